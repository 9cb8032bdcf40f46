//! The subscribers of a broker, each a TCP connection, and who publishes: as much of the NATS protocol and of MQTT 3.1.1 as
//! it takes to join, to publish and to count.

use crate::crowd::TEXT_LEN;
use crate::rooms::Room;
use mio::{Events, Interest, Poll, Token};
use std::io::{self, Read, Write};
use std::net::{SocketAddrV4, TcpStream};
use std::time::Duration;

/// What a broker speaks.
#[derive(Clone, Copy)]
pub(crate) enum Protocol {
    Nats,
    Mqtt,
}

impl Protocol {
    /// What a subscriber says, and how the last answer to it begins.
    fn subscription(self, number: usize) -> (Vec<u8>, &'static [u8]) {
        match self {
            Self::Nats => (b"CONNECT {\"verbose\":false}\r\nSUB room 1\r\nPING\r\n".to_vec(), b"PONG\r\n"),
            Self::Mqtt => ([&connect(number)[..], b"\x82\x09\x00\x01\x00\x04room\x00"].concat(), b"\x90\x03"),
        }
    }

    /// What who publishes says, and the answer.
    fn greeting(self) -> (Vec<u8>, &'static [u8]) {
        match self {
            Self::Nats => (b"CONNECT {\"verbose\":false}\r\nPING\r\n".to_vec(), b"PONG\r\n"),
            Self::Mqtt => (connect(usize::MAX), b"\x20\x02"),
        }
    }

    fn message(self) -> Vec<u8> {
        let text = [b'0'; TEXT_LEN];
        match self {
            Self::Nats => [format!("PUB room {TEXT_LEN}\r\n").as_bytes(), &text, b"\r\n"].concat(),
            Self::Mqtt => [b"\x30", &[6 + TEXT_LEN as u8][..], b"\x00\x04room", &text].concat(),
        }
    }

    /// The length of what begins with that byte, and whether it is a message.
    fn frame(self, first: u8) -> io::Result<(usize, bool)> {
        match (self, first) {
            (Self::Nats, b'M') => Ok(("MSG room 1 64\r\n".len() + TEXT_LEN + 2, true)),
            (Self::Nats, b'P') => Ok(("PING\r\n".len(), false)),
            (Self::Mqtt, 0x30) => Ok((8 + TEXT_LEN, true)),
            _ => Err(io::Error::other(format!("the broker says something else: {first:#x}"))),
        }
    }
}

/// CONNECT with a clean session, without keep-alive.
fn connect(number: usize) -> Vec<u8> {
    let name = format!("{:08x}", number as u32);
    [b"\x10\x14\x00\x04MQTT\x04\x02\x00\x00\x00\x08", name.as_bytes()].concat()
}

/// A subscriber, and what is still to come of the frame that it is being sent.
struct Subscriber {
    connection: mio::net::TcpStream,
    pending: usize,
    is_message: bool,
}

/// A topic, all who have subscribed to it, and who publishes.
pub(crate) struct Subscribers {
    protocol: Protocol,
    subscribers: Vec<Subscriber>,
    publisher: TcpStream,
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
}

impl Subscribers {
    pub(crate) fn new(protocol: Protocol, broker: SocketAddrV4, count: usize) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut subscribers = Vec::new();
        for number in 0..count {
            let connection = joined(broker, protocol.subscription(number))?;
            connection.set_nonblocking(true)?;
            let mut connection = mio::net::TcpStream::from_std(connection);
            poll.registry().register(&mut connection, Token(number), Interest::READABLE)?;
            subscribers.push(Subscriber { connection, pending: 0, is_message: false });
        }
        let publisher = joined(broker, protocol.greeting())?;
        let (events, buffer) = (Events::with_capacity(count), vec![0; 1 << 16]);
        Ok(Self { protocol, subscribers, publisher, poll, events, buffer })
    }
}

/// Connects and greets, until the answer is there.
fn joined(broker: SocketAddrV4, (greeting, answer): (Vec<u8>, &[u8])) -> io::Result<TcpStream> {
    let mut connection = TcpStream::connect(broker)?;
    connection.set_nodelay(true)?;
    connection.set_read_timeout(Some(Duration::from_secs(5)))?;
    connection.write_all(&greeting)?;
    let (mut heard, mut buffer) = (Vec::new(), [0; 4_096]);
    while !heard.windows(answer.len()).any(|it| it == answer) {
        let len = connection.read(&mut buffer)?;
        if len == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        heard.extend_from_slice(&buffer[..len]);
    }
    Ok(connection)
}

impl Room for Subscribers {
    fn members(&self) -> usize {
        self.subscribers.len()
    }

    fn say(&mut self, count: usize) -> io::Result<()> {
        self.publisher.write_all(&self.protocol.message().repeat(count))
    }

    fn hear(&mut self) -> io::Result<usize> {
        self.poll.poll(&mut self.events, Some(Duration::ZERO))?;
        let mut messages = 0;
        for event in &self.events {
            let subscriber = &mut self.subscribers[event.token().0];
            loop {
                let len = match subscriber.connection.read(&mut self.buffer) {
                    Ok(0) => return Err(io::Error::other("the broker has closed a connection")),
                    Ok(len) => len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                };
                messages += subscriber.take(self.protocol, &self.buffer[..len])?;
                // A stream that gave less than was asked for is empty (epoll(7)).
                if len < self.buffer.len() {
                    break;
                }
            }
        }
        Ok(messages)
    }
}

impl Subscriber {
    /// The messages that end in these bytes.
    fn take(&mut self, protocol: Protocol, mut bytes: &[u8]) -> io::Result<usize> {
        let mut messages = 0;
        while let Some(&first) = bytes.first() {
            if self.pending == 0 {
                (self.pending, self.is_message) = protocol.frame(first)?;
            }
            let len = self.pending.min(bytes.len());
            self.pending -= len;
            bytes = &bytes[len..];
            messages += usize::from(self.pending == 0 && self.is_message);
        }
        Ok(messages)
    }
}
