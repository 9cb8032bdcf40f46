//! Those who ask: so many questions in flight, each answer followed by the next question.

use crate::batch::{BATCH_MAX, Outgoing, Receiver, Sender, Wait};
use crate::place;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

/// The sockets that ask, so that no server wins by having its answers go to one.
const SOCKETS: usize = 4;

/// Questions in flight, of all sockets together.
pub(crate) const IN_FLIGHT: usize = 128;

/// After this long without an answer what is in flight counts as lost, and is asked again.
const PATIENCE: Duration = Duration::from_millis(100);

/// Who asks one server.
pub(crate) struct Askers {
    sockets: Vec<UdpSocket>,
    receiver: Receiver,
    sender: Sender,
    server: SocketAddrV4,
    /// What they ask, in turn.
    requests: Vec<Vec<u8>>,
    /// Where they ask from, in turn; none leaves it to the kernel.
    sources: Vec<Ipv4Addr>,
    /// What an answer is.
    is_answer: fn(&[u8]) -> bool,
    asked: usize,
}

impl Askers {
    pub(crate) fn new(
        server: SocketAddrV4,
        requests: Vec<Vec<u8>>,
        sources: Vec<Ipv4Addr>,
        is_answer: fn(&[u8]) -> bool,
    ) -> io::Result<Self> {
        let sockets = (0..SOCKETS).map(|_| place::bound(0, 1 << 20)).collect::<io::Result<_>>()?;
        let (receiver, sender) = (Receiver::new(2_048), Sender::new());
        Ok(Self { sockets, receiver, sender, server, requests, sources, is_answer, asked: 0 })
    }

    /// Whether one question is answered, by a server that may have to start yet.
    pub(crate) fn is_served(&mut self) -> io::Result<bool> {
        self.ask(0, 1)?;
        std::thread::sleep(Duration::from_millis(20));
        Ok(self.hear(0)? > 0)
    }

    /// Asks for that long; the answers in each second.
    pub(crate) fn rate(&mut self, time: Duration) -> io::Result<f64> {
        let begin = Instant::now();
        let (mut answers, mut last_answer, mut lost) = (0, begin, 0);
        let mut in_flight = [0; SOCKETS];
        let mut now = begin;
        while now - begin < time {
            for (socket, in_flight) in in_flight.iter_mut().enumerate() {
                let heard = self.hear(socket)?;
                // More than are in flight: late answers to what counted as lost.
                *in_flight -= heard.min(*in_flight);
                answers += heard;
                let missing = IN_FLIGHT / SOCKETS - *in_flight;
                self.ask(socket, missing)?;
                *in_flight += missing;
                if heard > 0 {
                    last_answer = now;
                }
            }
            now = Instant::now();
            if now - last_answer > PATIENCE {
                lost += in_flight.iter().sum::<usize>();
                (in_flight, last_answer) = ([0; SOCKETS], now);
            }
        }
        if lost > answers {
            return Err(io::Error::other(format!("{lost} questions have no answer, {answers} have one")));
        }
        let rate = answers as f64 / begin.elapsed().as_secs_f64();
        self.settle()?;
        Ok(rate)
    }

    /// Hears what is still to come.
    fn settle(&mut self) -> io::Result<()> {
        let mut last_answer = Instant::now();
        while last_answer.elapsed() < Duration::from_millis(10) {
            for socket in 0..SOCKETS {
                if self.hear(socket)? > 0 {
                    last_answer = Instant::now();
                }
            }
        }
        Ok(())
    }

    fn ask(&mut self, socket: usize, count: usize) -> io::Result<()> {
        let mut batch = [Outgoing::new(self.server, &[]); BATCH_MAX];
        for outgoing in &mut batch[..count] {
            outgoing.payload = &self.requests[self.asked % self.requests.len()];
            outgoing.from = self.sources.get(self.asked % self.sources.len().max(1)).copied();
            self.asked += 1;
        }
        self.sender.send_all(&self.sockets[socket], &batch[..count])
    }

    fn hear(&mut self, socket: usize) -> io::Result<usize> {
        let count = self.receiver.receive(&self.sockets[socket], Wait::Not)?;
        for received in self.receiver.received() {
            if !(self.is_answer)(received.payload) {
                let payload = String::from_utf8_lossy(received.payload);
                return Err(io::Error::other(format!("this is no answer: {payload:?}")));
            }
        }
        Ok(count)
    }
}
