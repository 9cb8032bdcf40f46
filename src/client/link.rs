//! A connected UDP socket: what comes from elsewhere does not arrive, and a closed port is noticed at once.

use super::server::Chosen;
use super::{Failure, Who};
use crate::clock::Clock;
use crate::core::Instant;
use crate::core::limits::RECEIVE_MAX;
use crate::services::ServiceName;
use nix::errno::Errno;
use nix::sys::socket::{getsockopt, sockopt};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

/// How often a question is sent before silence counts as no answer: datagrams get lost.
const ATTEMPTS: u32 = 3;

/// A socket that speaks with one address.
#[derive(Debug)]
pub(super) struct Link {
    socket: UdpSocket,
    pub(super) addr: SocketAddr,
    clock: Clock,
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Link {
    /// A link to `addr`; nothing is sent yet.
    pub(super) fn open(addr: SocketAddr) -> Result<Self, Failure> {
        let ours = match addr {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(ours).and_then(|socket| socket.connect(addr).map(|()| socket));
        let socket = socket.map_err(Failure::to(&format!("reach {addr}/udp")))?;
        Ok(Self { socket, addr, clock: Clock::new() })
    }

    /// Does `work` with the first of the server's addresses where somebody answers: a name often has two, and a server
    /// that is heard at one of them is there all the same. `work` is told how long that address may be silent: those that are
    /// left share what is left of the timeout.
    pub(super) fn with_first<T>(
        who: &Who,
        service: ServiceName,
        work: impl FnMut(Self, Duration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let server = who.server()?;
        Self::with_first_of(&server, service, who.timeout, work)
    }

    /// The same, when the server is known already.
    pub(super) fn with_first_of<T>(
        server: &Chosen,
        service: ServiceName,
        timeout: Duration,
        mut work: impl FnMut(Self, Duration) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let addrs = server.resolve(service)?;
        let clock = Clock::new();
        let end = clock.now().mono + timeout;
        let (mut silent, mut last) = (Vec::new(), None);
        for (tried, addr) in addrs.iter().copied().enumerate() {
            let left = u32::try_from(addrs.len() - tried).unwrap_or(u32::MAX);
            let share = end.since(clock.now().mono) / left;
            match Self::open(addr).and_then(|link| work(link, share)) {
                Err(Failure::NoAnswer { .. }) => silent.push(addr),
                Err(failure @ (Failure::NobodyListens(_) | Failure::Failed(_))) => last = Some(failure),
                done => return done,
            }
        }
        // Silence says less than a closed port: behind it the server may be.
        Err(server.explain(match last {
            Some(failure) if silent.is_empty() => failure,
            _ => Failure::NoAnswer { addrs: silent, timeout, origin: None },
        }))
    }

    /// Our own address, as it is chosen for the way there.
    pub(super) fn ours(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// The largest packet that the way there takes, as far as the kernel knows; it says so of IPv4.
    pub(super) fn mtu(&self) -> Option<usize> {
        let mtu = getsockopt(&self.socket, sockopt::IpMtu).ok()?;
        usize::try_from(mtu).ok().filter(|_| self.addr.is_ipv4())
    }

    /// The monotonic clock.
    pub(super) fn now(&self) -> Instant {
        self.clock.now().mono
    }

    /// Sends one datagram. One for which the kernel has no room is lost, as it might be later.
    pub(super) fn send(&self, payload: &[u8]) -> Result<(), Failure> {
        match self.socket.send(payload) {
            Err(error)
                if error.kind() != ErrorKind::WouldBlock && error.raw_os_error() != Some(Errno::ENOBUFS as i32) =>
            {
                Err(self.failure("send to", error))
            }
            _ => Ok(()),
        }
    }

    /// The next datagram, or `None` when `until` comes first.
    pub(super) fn receive(&self, until: Instant) -> Result<Option<Vec<u8>>, Failure> {
        let wait = until.since(self.now());
        if wait.is_zero() {
            return Ok(None);
        }
        self.socket.set_read_timeout(Some(wait)).map_err(Failure::to("wait"))?;
        self.receive_waiting()
    }

    /// The next datagram, if one waits.
    pub(super) fn receive_now(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.socket.set_nonblocking(true).map_err(Failure::to("receive"))?;
        self.receive_waiting()
    }

    fn receive_waiting(&self) -> Result<Option<Vec<u8>>, Failure> {
        let mut buffer = vec![0; RECEIVE_MAX];
        match self.socket.recv(&mut buffer) {
            Ok(len) => {
                buffer.truncate(len);
                Ok(Some(buffer))
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => Ok(None),
                _ => Err(self.failure("receive from", error)),
            },
        }
    }

    /// Sends `question`, again while nothing comes, until `answer` makes something of a datagram.
    pub(super) fn ask<T>(
        &self,
        question: &[u8],
        timeout: Duration,
        mut answer: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<T, Failure> {
        let start = self.now();
        for attempt in 1..=ATTEMPTS {
            self.send(question)?;
            let until = start + timeout * attempt / ATTEMPTS;
            while self.now() < until {
                if let Some(answer) = self.receive(until)?.and_then(|payload| answer(&payload)) {
                    return Ok(answer);
                }
            }
        }
        Err(self.no_answer(timeout))
    }

    /// That nothing has come for so long.
    pub(super) fn no_answer(&self, timeout: Duration) -> Failure {
        Failure::NoAnswer { addrs: vec![self.addr], timeout, origin: None }
    }

    fn failure(&self, doing: &str, error: io::Error) -> Failure {
        match error.kind() {
            ErrorKind::ConnectionRefused => Failure::NobodyListens(self.addr),
            _ => Failure::Failed(format!("cannot {doing} {}/udp: {error}", self.addr)),
        }
    }
}
