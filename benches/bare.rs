//! The limit: loops that do nothing but receive and send in batches, in the same language, each a process as the daemon is.
//!
//! They know no addresses but those that they are spoken to from, no time, no names and no bounds. What they send is as
//! long as what `belfryd` sends for the same work.

use crate::batch::{BATCH_MAX, Outgoing, Receiver, Sender, Wait};
use crate::place::{self, Cores};
use crate::process::{Process, new_folder};
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;

/// The first word of a command line that asks for a loop.
pub(crate) const ARGUMENT: &str = "bare";

/// As much as `belfryd` asks for at its chat.
const BUFFER: usize = 8 << 20;

/// What a loop does.
#[derive(Clone, Copy)]
pub(crate) enum Loop {
    /// Answers each datagram with one of so many bytes.
    Answer { len: usize },
}

impl Loop {
    fn arguments(self) -> [String; 2] {
        match self {
            Self::Answer { len } => ["answer".to_owned(), len.to_string()],
        }
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
        "answer" => answer(&socket, len),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn answer(socket: &UdpSocket, len: usize) -> io::Result<()> {
    let (mut receiver, mut sender) = (Receiver::new(2_048), Sender::new());
    let answer = vec![b'0'; len];
    let mut batch = Vec::with_capacity(BATCH_MAX);
    loop {
        receiver.receive(socket, Wait::ForOne)?;
        batch.extend(receiver.received().map(|it| Outgoing::new(it.from, &answer)));
        sender.send_all(socket, &batch)?;
        batch.clear();
    }
}
