//! The members of a UDP hub: all on one socket, each with an address of loopback's own, so that a hundred thousand of them
//! cost one file descriptor.

use crate::batch::{BATCH_MAX, Outgoing, Receiver, Sender, Wait};
use crate::frames::{Frame, frames};
use crate::place;
use crate::rooms::Room;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// What a member of the program way joins with, and stays.
const HEARTBEAT: &[u8] = b"^hb^";

/// What any hub of ours answers with `^token …^`, behind everything that was sent before: so it has read that.
const QUESTION: &[u8] = b"^list rooms^";

/// The length of what is delivered to a program, and of the text that is said to sessions.
pub(crate) const TEXT_LEN: usize = 64;

/// The members that may join before the hub is asked whether it has read that. The smallest socket has room for twice as many.
const JOINING_MAX: usize = 128;

/// The longest datagram that is sent.
const DATAGRAM_MAX: usize = 1_232;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who speaks, and asks.
const SPEAKER: Ipv4Addr = Ipv4Addr::new(127, 8, 0, 1);

fn member(number: usize) -> Ipv4Addr {
    Ipv4Addr::from(0x7f10_0000 + number as u32)
}

/// The members' socket, and the way to the hub.
pub(crate) struct Crowd {
    socket: UdpSocket,
    speaker: UdpSocket,
    receiver: Receiver,
    sender: Sender,
    hub: SocketAddrV4,
    count: usize,
}

impl Crowd {
    /// Nobody yet. `buffer` is that of the members' socket.
    pub(crate) fn new(hub: SocketAddrV4, buffer: usize) -> io::Result<Self> {
        let (socket, speaker) = (place::bound(0, buffer)?, place::bound(0, 1 << 20)?);
        // Several datagrams that were sent in one piece come in one, too.
        nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::UdpGroSegment, &true)?;
        speaker.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { socket, speaker, receiver: Receiver::new(65_536), sender: Sender::new(), hub, count: 0 })
    }

    /// Has members of the program way join until there are so many.
    pub(crate) fn grow_to(&mut self, count: usize) -> io::Result<()> {
        while self.count < count {
            let joining = JOINING_MAX.min(count - self.count);
            self.beat(self.count, joining)?;
            self.count += joining;
            self.wait_until_read()?;
        }
        Ok(())
    }

    /// Whether the hub answers, which may have to start yet.
    pub(crate) fn is_served(&mut self) -> bool {
        self.ask_whether_read().is_ok() && {
            std::thread::sleep(Duration::from_millis(20));
            self.receiver.receive(&self.speaker, Wait::Not).is_ok_and(|count| count > 0)
        }
    }

    /// A heartbeat of each of so many members, from that one on.
    fn beat(&mut self, first: usize, count: usize) -> io::Result<()> {
        let beat = |number| Outgoing { from: Some(member(number)), ..Outgoing::new(self.hub, HEARTBEAT) };
        for begin in (first..first + count).step_by(BATCH_MAX) {
            let end = (begin + BATCH_MAX).min(first + count);
            let batch: [_; BATCH_MAX] = std::array::from_fn(|at| beat(begin + at));
            self.sender.send_all(&self.socket, &batch[..end - begin])?;
        }
        Ok(())
    }

    /// Waits until the hub has read all that was sent to it.
    fn wait_until_read(&mut self) -> io::Result<()> {
        self.ask_whether_read()?;
        self.hear_that_read()
    }

    fn ask_whether_read(&mut self) -> io::Result<()> {
        let question = Outgoing { from: Some(SPEAKER), ..Outgoing::new(self.hub, QUESTION) };
        self.sender.send_all(&self.speaker, &[question])
    }

    fn hear_that_read(&mut self) -> io::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            self.receiver.receive(&self.speaker, Wait::Not)?;
            if self.receiver.received().any(|it| it.payload.starts_with(b"^token ")) {
                return Ok(());
            }
        }
        Err(io::Error::other("the hub does not answer"))
    }

    /// Heartbeats that the hub takes in each second, found out for that long: `burst` of them wait in its socket while it
    /// is stopped, with a question behind them; the clock runs from when it goes on until it answers. So it is the hub
    /// that is measured, and not how fast the load can send.
    pub(crate) fn heartbeats(
        &mut self,
        burst: usize,
        time: Duration,
        mut stop: impl FnMut(bool) -> io::Result<()>,
    ) -> io::Result<f64> {
        let (begin, drops) = (Instant::now(), kernel_drops(self.hub.port())?);
        let (mut first, mut beats, mut took) = (0, 0, Duration::ZERO);
        while beats == 0 || begin.elapsed() < time {
            stop(true)?;
            self.beat(first, burst)?;
            self.ask_whether_read()?;
            let continued = Instant::now();
            stop(false)?;
            self.hear_that_read()?;
            took += continued.elapsed();
            beats += burst;
            first = (first + burst) % (self.count - burst).max(1);
        }
        let dropped = kernel_drops(self.hub.port())? - drops;
        if dropped > 0 {
            return Err(io::Error::other(format!("the kernel dropped {dropped} heartbeats")));
        }
        Ok(beats as f64 / took.as_secs_f64())
    }

    /// Has somebody say something who is no member of the crowd.
    pub(crate) fn say(&mut self, text: &str) -> io::Result<()> {
        let said = Outgoing { from: Some(SPEAKER), ..Outgoing::new(self.hub, text.as_bytes()) };
        self.sender.send_all(&self.speaker, &[said])
    }

    /// What did not fit the members' socket.
    pub(crate) fn missed(&self) -> io::Result<u64> {
        kernel_drops(self.socket.local_addr()?.port())
    }
}

/// Datagrams that the kernel has dropped since a socket of this network was opened.
fn kernel_drops(port: u16) -> io::Result<u64> {
    let sockets = fs::read_to_string("/proc/net/udp")?;
    let of = |line: &str| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let local = fields.get(1)?.split_once(':')?.1;
        if u16::from_str_radix(local, 16) == Ok(port) { fields.last()?.parse::<u64>().ok() } else { None }
    };
    Ok(sockets.lines().filter_map(of).sum())
}

/// A room of programs: one datagram for each message and member.
pub(crate) struct Programs {
    crowd: Crowd,
    said: u64,
    text_len: usize,
}

impl Programs {
    /// Finds out how long a text must be for what is delivered to have [`TEXT_LEN`] bytes, name and all.
    pub(crate) fn new(crowd: Crowd) -> io::Result<Self> {
        let mut programs = Self { crowd, said: 0, text_len: 20 };
        programs.say(1)?;
        let deadline = Instant::now() + PATIENCE;
        let (mut heard, mut delivered_len) = (0, 0);
        while heard < programs.members() && Instant::now() < deadline {
            heard += programs.crowd.receiver.receive(&programs.crowd.socket, Wait::Not)?;
            delivered_len =
                programs.crowd.receiver.received().map(|it| it.payload.len()).next().unwrap_or(delivered_len);
        }
        let shorter = TEXT_LEN.checked_sub(delivered_len).filter(|_| heard == programs.members());
        let shorter = shorter
            .ok_or_else(|| io::Error::other(format!("{heard} of {} got {delivered_len} bytes", programs.members())))?;
        programs.text_len += shorter;
        Ok(programs)
    }
}

impl Room for Programs {
    fn members(&self) -> usize {
        self.crowd.count
    }

    fn say(&mut self, count: usize) -> io::Result<()> {
        for _ in 0..count {
            self.said += 1;
            let text = format!("{:0>1$}", self.said, self.text_len);
            self.crowd.say(&text)?;
        }
        Ok(())
    }

    fn hear(&mut self) -> io::Result<usize> {
        let heard = self.crowd.receiver.receive(&self.crowd.socket, Wait::Not)?;
        match self.crowd.receiver.received().find(|it| it.payload.len() != TEXT_LEN) {
            None => Ok(heard),
            Some(it) => Err(io::Error::other(format!("not what was said: {:?}", String::from_utf8_lossy(it.payload)))),
        }
    }
}

/// A room of sessions, two of which speak. Nobody sends heartbeats, and nothing is asked for again: a loss is an error.
pub(crate) struct Sessions {
    crowd: Crowd,
    /// What a datagram of each that speaks begins with, and the number of its last request.
    speakers: Vec<(Vec<u8>, u64)>,
    /// Whose turn it is.
    turn: usize,
}

impl Sessions {
    /// Has so many sessions come in.
    pub(crate) fn new(mut crowd: Crowd, count: usize) -> io::Result<Self> {
        let mut speakers = Vec::new();
        for number in 0..count {
            let session = crowd.come_in(number)?;
            if number < 2 {
                speakers.push((session, 0));
            }
        }
        crowd.count = count;
        let mut sessions = Self { crowd, speakers, turn: 0 };
        // Who was there has notes of who came later.
        let mut last = Instant::now();
        while last.elapsed() < Duration::from_millis(100) {
            if sessions.crowd.receiver.receive(&sessions.crowd.socket, Wait::Not)? > 0 {
                last = Instant::now();
            }
        }
        Ok(sessions)
    }
}

impl Crowd {
    /// Says hello for a member until it is welcome; what its datagrams begin with from then on.
    fn come_in(&mut self, number: usize) -> io::Result<Vec<u8>> {
        let mut hello = format!("^hello 1 start=m{number} name=m{number} at=lobby^").into_bytes();
        let deadline = Instant::now() + PATIENCE;
        let mut due = Instant::now();
        while Instant::now() < deadline {
            if Instant::now() >= due {
                let outgoing = Outgoing { from: Some(member(number)), ..Outgoing::new(self.hub, &hello) };
                self.sender.send_all(&self.socket, &[outgoing])?;
                due = Instant::now() + Duration::from_secs(1);
            }
            self.receiver.receive(&self.socket, Wait::Not)?;
            let all = self.receiver.received().flat_map(|it| it.payload.chunks(it.segment_len));
            for frame in all.flat_map(frames) {
                if let Some(token) = frame.head.strip_prefix(b"token ") {
                    let begin = hello.len() - 1;
                    hello.splice(begin.., [b" token=", token, b"^"].concat());
                    due = Instant::now();
                } else if frame.head.starts_with(b"welcome ") {
                    let session = frame.value("session").unwrap_or_default();
                    return Ok([b"^as ", session, b"^"].concat());
                }
            }
        }
        Err(io::Error::other(format!("session {number} does not come in")))
    }
}

impl Room for Sessions {
    fn members(&self) -> usize {
        self.crowd.count
    }

    fn say(&mut self, count: usize) -> io::Result<()> {
        let (begin, last) = &mut self.speakers[self.turn];
        let mut datagrams = vec![begin.clone()];
        for _ in 0..count {
            *last += 1;
            let request = format!("^say {last} lobby len={TEXT_LEN}^{last:0>TEXT_LEN$}");
            if datagrams[datagrams.len() - 1].len() + request.len() > DATAGRAM_MAX {
                datagrams.push(begin.clone());
            }
            datagrams.last_mut().expect("there is one").extend_from_slice(request.as_bytes());
        }
        let from = Some(member(self.turn));
        let batch: Vec<_> = datagrams.iter().map(|it| Outgoing { from, ..Outgoing::new(self.crowd.hub, it) }).collect();
        self.turn = (self.turn + 1) % self.speakers.len();
        self.crowd.sender.send_all(&self.crowd.socket, &batch)
    }

    fn hear(&mut self) -> io::Result<usize> {
        self.crowd.receiver.receive(&self.crowd.socket, Wait::Not)?;
        let datagrams = self.crowd.receiver.received().flat_map(|it| it.payload.chunks(it.segment_len));
        let is_message = |frame: &Frame<'_>| frame.head.starts_with(b"msg ") && frame.text.len() == TEXT_LEN;
        Ok(datagrams.flat_map(frames).filter(is_message).count())
    }
}
