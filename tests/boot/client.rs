//! A UDP client of the simplest kind: one socket that is connected to one service.

use crate::command::eventually;
use nix::sys::socket::{setsockopt, sockopt};
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

/// The receive buffer of a client: what comes at once after a long silence must not be lost here.
const RECEIVE_BUFFER: usize = 8 * 1024 * 1024;

pub(crate) struct Client(UdpSocket);

impl Client {
    /// To a service, from an address and port of the kernel's choice.
    pub(crate) fn to(service: &str) -> Self {
        Self::between(Ipv4Addr::UNSPECIFIED, service)
    }

    /// To a service, from this address.
    pub(crate) fn between(own: Ipv4Addr, service: &str) -> Self {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        setsockopt(&socket, sockopt::RcvBufForce, &RECEIVE_BUFFER).unwrap();
        socket.connect(service.parse::<SocketAddr>().unwrap()).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self(socket)
    }

    /// Sends a datagram. An error is mostly one that was reported since the last call, such as a closed port.
    pub(crate) fn send(&self, payload: &str) -> io::Result<()> {
        self.0.send(payload.as_bytes()).map(|_| ())
    }

    /// The next datagram, if it has come.
    pub(crate) fn receive(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        loop {
            match self.0.recv(&mut buffer) {
                Ok(len) => return Some(String::from_utf8_lossy(&buffer[..len]).into_owned()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                // What was sent before has found nobody.
                Err(_) => {}
            }
        }
    }

    /// Waits for a datagram that has this in it, and throws away what comes before.
    pub(crate) fn wait_for(&self, part: &str) -> String {
        let mut found = None;
        let has_come = eventually(|| {
            found = std::iter::from_fn(|| self.receive()).find(|text| text.contains(part));
            found.is_some()
        });
        assert!(has_come, "nothing with {part:?} in it has come");
        found.unwrap()
    }

    pub(crate) fn ask(&self, payload: &str) -> String {
        self.send(payload).unwrap();
        self.wait_for("")
    }
}
