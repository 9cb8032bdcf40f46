//! The limit: loops that do nothing but receive and send in batches, in the same language, each a process as the daemon is.
//!
//! They know no addresses but those that they are spoken to from, no time, no names and no bounds. What they send is as
//! long as what `belfryd` sends for the same work.

use crate::batch::{BATCH_MAX, Outgoing, Received, Receiver, Sender, Wait};
use crate::crowd::TEXT_LEN;
use crate::frames::frames;
use crate::place::{self, Cores};
use crate::process::{Process, new_folder};
use nix::sys::socket::{setsockopt, sockopt};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;

/// The first word of a command line that asks for a loop.
pub(crate) const ARGUMENT: &str = "bare";

/// As much as `belfryd` asks for at its chat.
const BUFFER: usize = 4 << 20;

/// The longest datagram, as `belfryd` has it.
const DATAGRAM_MAX: usize = 1_232;

/// Datagrams in one piece: less than 64, and less than 65,507 bytes.
const PIECE_MAX: usize = 52;

/// What a loop does.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    /// Answers each datagram with one of so many bytes.
    Answer { len: usize },
    /// The same, as a server must that has several addresses: it is told to which each datagram came, and what was
    /// dropped, and answers from there.
    AnswerFrom { len: usize },
    /// Sends each text on to all that have sent a heartbeat, one datagram for each.
    Relay,
    /// Sends what it has received together on to all that have said hello: as many messages in a datagram as fit, and the
    /// datagrams for one member in one piece.
    Pack,
    /// Receives, and answers questions only.
    Receive,
}

impl Loop {
    fn arguments(self) -> [String; 2] {
        let (kind, len) = match self {
            Self::Answer { len } => ("answer", len),
            Self::AnswerFrom { len } => ("answer-from", len),
            Self::Relay => ("relay", 0),
            Self::Pack => ("pack", 0),
            Self::Receive => ("receive", 0),
        };
        [kind.to_owned(), len.to_string()]
    }

    /// Starts it as a process; the address that it serves.
    pub(crate) fn start(self, cores: Cores) -> io::Result<(Process, SocketAddrV4)> {
        let server = SocketAddrV4::new(Ipv4Addr::LOCALHOST, place::new_port());
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(ARGUMENT).arg(server.port().to_string()).args(self.arguments());
        let mut process = Process::start(cores, new_folder()?, &mut command)?;
        // Nobody else can have the port once it does.
        process.wait_until(|| UdpSocket::bind(server).is_err())?;
        Ok((process, server))
    }
}

/// Runs the loop that a command line asks for: `bare PORT KIND LEN`.
pub(crate) fn run(arguments: &[String]) -> io::Result<()> {
    let [_, port, kind, len] = arguments else { return Err(io::ErrorKind::InvalidInput.into()) };
    let (Ok(port), Ok(len)) = (port.parse(), len.parse()) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let socket = place::bound(port, BUFFER)?;
    match kind.as_str() {
        "answer" => answer(&socket, len, None),
        "answer-from" => {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
            setsockopt(&socket, sockopt::RxqOvfl, &1)?;
            answer(&socket, len, Some(Ipv4Addr::LOCALHOST))
        }
        "relay" => relay(&socket),
        "pack" => pack(&socket),
        "receive" => receive(&socket),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn answer(socket: &UdpSocket, len: usize, from: Option<Ipv4Addr>) -> io::Result<()> {
    let (mut receiver, mut sender) = (Receiver::new(2_048), Sender::new());
    let answer = vec![b'0'; len];
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        receiver.receive(socket, Wait::ForOne)?;
        batch.extend(receiver.received().map(|it| Outgoing { from, ..Outgoing::new(it.from, &answer) }));
        sender.send_all(socket, &batch)?;
        batch.clear();
    }
}

/// Answers what is asked to know whether everything before it was read.
fn answer_question(socket: &UdpSocket, sender: &mut Sender, received: Received<'_>) -> io::Result<bool> {
    let is_question = received.payload.starts_with(b"^list ");
    if is_question {
        sender.send_all(socket, &[Outgoing::new(received.from, b"^token 0^")])?;
    }
    Ok(is_question)
}

fn relay(socket: &UdpSocket) -> io::Result<()> {
    let (mut receiver, mut sender) = (Receiver::new(2_048), Sender::new());
    let (delivery, mut members) = ([b'0'; TEXT_LEN], Vec::new());
    loop {
        receiver.receive(socket, Wait::ForOne)?;
        for received in receiver.received() {
            if received.payload == b"^hb^" {
                members.push(received.from);
            } else if !answer_question(socket, &mut sender, received)? {
                send_to_all(socket, &mut sender, &members, &delivery, None)?;
            }
        }
    }
}

fn receive(socket: &UdpSocket) -> io::Result<()> {
    let (mut receiver, mut sender) = (Receiver::new(2_048), Sender::new());
    loop {
        receiver.receive(socket, Wait::ForOne)?;
        for received in receiver.received() {
            answer_question(socket, &mut sender, received)?;
        }
    }
}

fn pack(socket: &UdpSocket) -> io::Result<()> {
    let (mut receiver, mut sender) = (Receiver::new(2_048), Sender::new());
    // As long as those of `belfryd`, which counts.
    let head = format!("^msg lobby/5e2f01aa/100000 m0 time=1764000000 len={TEXT_LEN}^");
    let datagram_len = DATAGRAM_MAX / (head.len() + TEXT_LEN) * (head.len() + TEXT_LEN);
    let (mut packed, mut members) = (Vec::new(), Vec::new());
    loop {
        receiver.receive(socket, Wait::ForOne)?;
        for received in receiver.received() {
            if received.payload.starts_with(b"^hello ") {
                members.push(received.from);
                sender.send_all(socket, &[Outgoing::new(received.from, b"^welcome 1 session=0000000000000000^")])?;
            }
            for said in frames(received.payload).filter(|frame| frame.head.starts_with(b"say ")) {
                packed.extend_from_slice(head.as_bytes());
                packed.extend_from_slice(said.text);
            }
        }
        for piece in packed.chunks(datagram_len * PIECE_MAX) {
            let segment_len = (piece.len() > datagram_len).then_some(datagram_len as u16);
            send_to_all(socket, &mut sender, &members, piece, segment_len)?;
        }
        packed.clear();
    }
}

fn send_to_all(
    socket: &UdpSocket,
    sender: &mut Sender,
    members: &[SocketAddrV4],
    payload: &[u8],
    segment_len: Option<u16>,
) -> io::Result<()> {
    for members in members.chunks(BATCH_MAX) {
        let to = |at| Outgoing { segment_len, ..Outgoing::new(members[at % members.len()], payload) };
        let batch: [_; BATCH_MAX] = std::array::from_fn(to);
        sender.send_all(socket, &batch[..members.len()])?;
    }
    Ok(())
}
