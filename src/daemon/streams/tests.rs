//! Single connections over loopback: what waits where, and how they end.

use super::connection::Connection;
use super::listener::{Arrival, StreamListener};
use crate::config;
use crate::core::limits::{CONNECTION_BUFFER, CONNECTION_INPUT_MAX, CONNECTION_OUTPUT_MAX, LINGER_MAX};
use crate::core::source::Source;
use crate::core::{Instant, ListenerId, Now, Output, Seed};
use crate::services::echo::Echo;
use crate::services::{Conversation, ServiceName, StreamService};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn now(after: Duration) -> Now {
    Now { mono: START + after, wall: jiff::Timestamp::UNIX_EPOCH }
}

/// Somebody who has connected, and our end of it.
fn connected(conversation: Box<dyn Conversation>) -> (TcpStream, Connection) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut listener = StreamListener::bind(ListenerId(0), ServiceName::Echo, any, std::iter::empty()).unwrap();
    let client = TcpStream::connect(listener.addr).unwrap();
    client.set_nonblocking(true).unwrap();
    let arrival = (0..1_000).find_map(|_| {
        listener.readable = true;
        listener.accept(START)
    });
    let arrival: Arrival = arrival.expect("somebody has connected");
    arrival.socket.set_nonblocking(true).unwrap();
    let source = Source::of(arrival.remote.ip());
    (client, Connection::new(ServiceName::Echo, source, arrival, conversation, START))
}

fn echo() -> Box<dyn Conversation> {
    Echo::new(&config::Echo::default(), Seed(1)).begin()
}

/// Has a connection get on as if the poller had told of everything, until it has no more to do.
fn settle(connection: &mut Connection) {
    connection.endpoint.mark(true, true);
    while connection.proceed(&now(Duration::ZERO)).more {}
}

/// Sends until nothing more is taken; how much that was.
fn fill(client: &mut TcpStream) -> usize {
    let mut sent = 0;
    loop {
        match client.write(&[b'x'; 65_536]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Reads until the end, while the connection gets on.
fn read_to_end(client: &mut TcpStream, connection: &mut Connection) -> Vec<u8> {
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
    for _ in 0..100_000 {
        settle(connection);
        match client.read(&mut buffer) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error} after {} bytes", all.len()),
        }
    }
    panic!("it does not end");
}

/// Says goodbye to whatever it is told.
#[derive(Debug)]
struct Goodbye;

impl Conversation for Goodbye {
    fn proceed(&mut self, _now: &Now, input: &[u8], _is_last: bool, out: &mut Output) -> usize {
        if input.is_empty() {
            return 0;
        }
        out.push(b"goodbye");
        out.end();
        1
    }
}

#[test]
fn what_waits_on_a_connection_is_bounded_on_both_sides_and_arrives_when_it_is_read() {
    let (mut client, mut connection) = connected(echo());
    let mut sent = 0;
    // What is under way arrives a moment later.
    for _ in 0..200 {
        sent += fill(&mut client);
        settle(&mut connection);
        assert!(connection.endpoint.input.len() <= CONNECTION_INPUT_MAX);
        assert!(connection.endpoint.output.pending().len() <= CONNECTION_OUTPUT_MAX);
        std::thread::yield_now();
    }
    assert_eq!(connection.endpoint.output.pending().len(), CONNECTION_OUTPUT_MAX, "it is full");
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end_and_drop(client, connection).len(), sent);
}

/// The same where the other end closes when it is done.
fn read_to_end_and_drop(mut client: TcpStream, connection: Connection) -> Vec<u8> {
    let mut connection = Some(connection);
    let (mut all, mut buffer) = (Vec::new(), vec![0; 65_536]);
    loop {
        if let Some(open) = &mut connection {
            settle(open);
            if open.is_over() {
                connection = None;
            }
        }
        match client.read(&mut buffer) {
            Ok(0) => return all,
            Ok(len) => all.extend_from_slice(&buffer[..len]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
            Err(error) => panic!("{error} after {} bytes", all.len()),
        }
    }
}

#[test]
fn who_has_closed_its_half_gets_what_waits_for_it_and_then_the_end() {
    let (mut client, mut connection) = connected(echo());
    let mut sent = 0;
    // Until the kernel takes no more, and there is still room with us, so that the end is seen.
    while connection.endpoint.output.is_empty() {
        client.write_all(&[b'x'; 1_024]).unwrap();
        sent += 1_024;
        settle(&mut connection);
    }
    client.shutdown(Shutdown::Write).unwrap();
    for _ in 0..1_000 {
        settle(&mut connection);
    }
    assert!(connection.endpoint.is_ended() && !connection.is_over());
    assert_eq!(read_to_end_and_drop(client, connection).len(), sent);
}

/// Waits for something that does not come.
#[derive(Debug)]
struct Waiting;

impl Conversation for Waiting {
    fn proceed(&mut self, _now: &Now, _input: &[u8], _is_last: bool, _out: &mut Output) -> usize {
        0
    }
}

#[test]
fn what_is_not_taken_is_kept_up_to_the_bound_and_the_sender_waits() {
    let (mut client, mut connection) = connected(Box::new(Waiting));
    for _ in 0..200 {
        fill(&mut client);
        settle(&mut connection);
        std::thread::yield_now();
    }
    assert_eq!(connection.endpoint.input.len(), CONNECTION_INPUT_MAX);
    assert!(connection.endpoint.is_readable(), "there is more");
}

#[test]
fn the_kernel_keeps_no_more_for_a_connection_than_it_is_asked_for() {
    let (_client, connection) = connected(echo());
    let socket = socket2::SockRef::from(&connection.endpoint.socket);
    let sizes = (socket.send_buffer_size().unwrap(), socket.recv_buffer_size().unwrap());
    assert_eq!(sizes, (2 * CONNECTION_BUFFER, 2 * CONNECTION_BUFFER));
}

#[test]
fn what_was_said_last_is_read_by_who_still_sends() {
    let (mut client, mut connection) = connected(Box::new(Goodbye));
    // More than the kernel takes at once, so that something comes when all has been said.
    fill(&mut client);
    assert_eq!(read_to_end(&mut client, &mut connection), b"goodbye");
    assert!(!connection.is_over(), "it may still send");
    client.shutdown(Shutdown::Both).unwrap();
    for _ in 0..100_000 {
        settle(&mut connection);
    }
    assert!(connection.is_over());
}

#[test]
fn who_stays_when_all_has_been_said_does_so_for_a_moment_and_not_for_as_long_as_others() {
    let (mut client, mut connection) = connected(Box::new(Goodbye));
    let idle_timeout = Duration::from_secs(600);
    assert_eq!(connection.deadline(idle_timeout), START + idle_timeout);
    client.write_all(b"x").unwrap();
    read_to_end(&mut client, &mut connection);
    assert_eq!(connection.deadline(idle_timeout), START + LINGER_MAX);
    // Nor by going on.
    client.write_all(b"x").unwrap();
    connection.endpoint.mark(true, true);
    connection.proceed(&now(LINGER_MAX));
    assert_eq!(connection.deadline(idle_timeout), START + LINGER_MAX);
}

#[test]
fn who_resets_a_connection_has_it_closed() {
    let (mut client, mut connection) = connected(echo());
    client.write_all(b"hello").unwrap();
    settle(&mut connection);
    socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    for _ in 0..100_000 {
        settle(&mut connection);
    }
    assert!(connection.is_over());
}
