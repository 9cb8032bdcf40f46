//! Which sockets are taken, and what clients of every kind get by one: those that are slow, silent, rude or many.

use super::*;
use crate::control::{Answer, Outcome, Reloaded, Request, outcome_line};
use crate::core::limits::{CONTROL_PATIENCE, CONTROL_REQUEST_MAX};
use mio::{Events, Poll};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

fn at(seconds: u64) -> Instant {
    Instant::from_nanos(seconds * 1_000_000_000)
}

/// A path that no other test has, with nothing there.
fn new_path(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("belfry-control-{}-{name}", std::process::id()));
    let _ = fs::remove_file(&path);
    path
}

fn reason(result: io::Result<Control>) -> String {
    crate::daemon::error::errno_text(&result.unwrap_err())
}

#[test]
fn only_a_unix_stream_socket_that_listens_is_adopted() {
    let path = new_path("adopt");
    let listener = UnixListener::bind(&path).unwrap();
    let control = Control::adopt(listener.into()).unwrap();
    let flags = nix::fcntl::fcntl(&control.listener, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    assert_ne!(flags & nix::libc::O_NONBLOCK, 0, "it does not block");
    drop(control);
    assert!(path.exists(), "it is not ours to remove");
    fs::remove_file(&path).unwrap();

    let connected = UnixStream::pair().unwrap().0;
    let datagrams = UnixDatagram::unbound().unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    for fd in [OwnedFd::from(connected), datagrams.into(), tcp.into(), fs::File::open("/dev/null").unwrap().into()] {
        assert!(Control::adopt(fd).is_err());
    }
}

#[test]
fn a_socket_of_ours_is_for_owner_and_group_and_goes_when_we_do() {
    let path = new_path("mode");
    let control = Control::listen(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o660);
    drop(control);
    assert!(!path.exists());
}

#[test]
fn a_socket_that_a_dead_daemon_left_is_replaced_and_that_of_a_living_one_is_not() {
    let path = new_path("stale");
    drop(UnixListener::bind(&path).unwrap());
    let first = Control::listen(&path).unwrap();
    assert_eq!(reason(Control::listen(&path)), "another daemon answers there");
    // More wait than the kernel keeps.
    let waiting: Vec<_> = std::iter::repeat_with(|| {
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket.connect(&SockAddr::unix(&path).unwrap()).map(|()| socket)
    })
    .map_while(Result::ok)
    .collect();
    assert!(waiting.len() >= BACKLOG as usize);
    assert_eq!(reason(Control::listen(&path)), "another daemon answers there");

    fs::remove_file(&path).unwrap();
    let second = Control::listen(&path).unwrap();
    drop(first);
    assert!(path.exists(), "it belongs to the second by now");
    drop(second);
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let path = new_path("file");
    fs::write(&path, "precious").unwrap();
    assert_eq!(reason(Control::listen(&path)), "something else is there");
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
    assert_eq!(reason(Control::listen(Path::new("/nonexistent/control"))), "no such file or directory");
    assert!(Control::listen(Path::new(&format!("/tmp/{}", "x".repeat(200)))).is_err());
}

/// A connection and its client.
fn pair() -> (Connection, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    (Connection::new(ours, at(0)).unwrap(), theirs)
}

fn outcome(configuration: &str) -> Outcome<Answer> {
    Ok(Answer::Reloaded(Reloaded { configuration: configuration.to_owned() }))
}

/// Everything that there is to read.
fn received(stream: &mut UnixStream) -> String {
    let mut bytes = Vec::new();
    // Ends with an error where the other end is still open.
    let _ = stream.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap()
}

#[test]
fn requests_of_one_connection_are_answered_one_after_the_other_however_they_come() {
    let (mut connection, mut client) = pair();
    client.write_all(b"{\"command\":\"status\"}\n{\"command\":\"sta").unwrap();
    assert_eq!(connection.next_request(at(0)), Some(Ok(Request::Status)));
    assert_eq!(connection.next_request(at(0)), None, "the second is half there");
    assert!(!connection.is_busy());
    client.write_all(b"ts\"}\n{\"command\":\"members\"}\nrubbish\n").unwrap();
    connection.mark(true, false);
    assert_eq!(connection.next_request(at(0)), Some(Ok(Request::Stats)));
    connection.answer(&outcome("a"));
    assert_eq!(connection.next_request(at(0)), None, "an answer has to leave");
    connection.flush(at(0));
    assert_eq!(received(&mut client), outcome_line(&outcome("a")) + "\n");
    assert!(connection.is_busy());
    assert_eq!(connection.next_request(at(0)), Some(Ok(Request::Members)));
    assert!(connection.next_request(at(0)).unwrap().is_err());
    drop(client);
    connection.mark(true, true);
    assert_eq!(connection.next_request(at(0)), None);
    assert!(connection.is_over(at(0)));
}

#[test]
fn who_closes_its_half_after_asking_gets_its_answers() {
    let (mut connection, mut client) = pair();
    client.write_all(b"{\"command\":\"status\"}\n{\"command\":\"stats\"}\nhalf a li").unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    for request in [Request::Status, Request::Stats] {
        assert!(!connection.is_over(at(0)));
        assert_eq!(connection.next_request(at(0)), Some(Ok(request)));
        connection.answer(&outcome("a"));
        connection.flush(at(0));
    }
    assert_eq!(received(&mut client).lines().count(), 2);
    assert!(connection.is_over(at(0)), "half a line is no request");
}

#[test]
fn a_request_of_the_longest_kind_is_taken_and_one_byte_more_ends_the_connection() {
    let longest = |len: usize| {
        let request = r#"{"command":"status"}"#;
        format!("{request}{}", " ".repeat(len - request.len()))
    };
    let (mut connection, mut client) = pair();
    client.write_all((longest(CONTROL_REQUEST_MAX) + "\n").as_bytes()).unwrap();
    assert_eq!(connection.next_request(at(0)), Some(Ok(Request::Status)));
    client.write_all((longest(CONTROL_REQUEST_MAX + 1) + "\n").as_bytes()).unwrap();
    connection.mark(true, false);
    let request = connection.next_request(at(0));
    assert_eq!(request, Some(Err("a request has at most 4096 bytes".to_owned())));
    connection.answer(&Err("too long".to_owned()));
    assert!(!connection.is_over(at(0)));
    connection.flush(at(0));
    assert!(connection.is_over(at(0)));
    assert_eq!(received(&mut client), "{\"ok\":false,\"error\":\"too long\"}\n");
}

#[test]
fn a_client_that_does_not_read_keeps_itself_waiting_and_is_closed_in_time() {
    let (mut connection, mut client) = pair();
    let long = "x".repeat(1 << 20);
    client.write_all(b"{\"command\":\"status\"}\n{\"command\":\"stats\"}\n").unwrap();
    assert!(connection.next_request(at(3)).is_some());
    connection.answer(&outcome(&long));
    connection.flush(at(3));
    assert!(!connection.is_busy(), "the socket takes no more");
    assert_eq!((connection.next_request(at(4)), connection.deadline()), (None, at(3) + CONTROL_PATIENCE));
    // A bit now and then buys no time.
    const BIT: usize = 100_000;
    client.read_exact(&mut [0; BIT]).unwrap();
    connection.mark(false, true);
    connection.flush(at(9));
    assert!(!connection.is_over(at(13) - Duration::from_nanos(1)) && connection.is_over(at(13)));
    let mut read = String::new();
    while !read.ends_with('\n') {
        read += &received(&mut client);
        connection.mark(false, true);
        connection.flush(at(12));
    }
    assert_eq!(read.len() + BIT, outcome_line(&outcome(&long)).len() + 1);
    assert_eq!(connection.deadline(), at(12) + CONTROL_PATIENCE);
    assert_eq!(connection.next_request(at(12)), Some(Ok(Request::Stats)));
}

#[test]
fn a_request_that_comes_byte_by_byte_has_as_long_as_any() {
    let (mut connection, mut client) = pair();
    for second in 1..10 {
        client.write_all(b"x").unwrap();
        connection.mark(true, false);
        assert_eq!(connection.next_request(at(second)), None);
        assert!(!connection.is_over(at(second)));
    }
    assert!(connection.is_over(at(10)));
}

/// A control socket with its poller, for as long as the test.
struct Stage {
    control: Control,
    poll: Poll,
    path: PathBuf,
}

impl Stage {
    fn new(name: &str) -> Self {
        let (poll, path) = (Poll::new().unwrap(), new_path(name));
        let control = Control::listen(&path).unwrap();
        control.register(poll.registry()).unwrap();
        Self { control, poll, path }
    }

    /// A turn at which nothing is asked.
    fn turn(&mut self, now: Instant) {
        let mut events = Events::with_capacity(64);
        self.poll.poll(&mut events, Some(Duration::ZERO)).unwrap();
        events.iter().for_each(|event| self.control.mark(event));
        self.control.accept(now, self.poll.registry());
        for connection in self.control.connections.iter_mut().flatten() {
            assert_eq!(connection.next_request(now), None);
        }
        self.control.close_finished(now, self.poll.registry());
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.path).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    }
}

fn is_closed(client: &mut UnixStream) -> bool {
    client.read(&mut [0]).is_ok_and(|len| len == 0)
}

#[test]
fn when_there_is_one_more_than_there_may_be_the_one_that_was_idle_for_the_longest_goes() {
    let mut stage = Stage::new("full");
    assert_eq!(stage.control.next_timeout(), None);
    let mut clients = Vec::new();
    for second in 0..=CONTROL_CONNECTIONS_MAX as u64 {
        clients.push(stage.connect());
        stage.turn(at(1_000) + Duration::from_millis(second));
        assert_eq!(is_closed(&mut clients[0]), second == CONTROL_CONNECTIONS_MAX as u64);
    }
    assert!(clients[1..].iter_mut().all(|client| !is_closed(client)));
    assert!(!stage.control.is_busy());
    stage.turn(at(1_000) + CONTROL_PATIENCE + Duration::from_millis(1));
    assert!(is_closed(&mut clients[1]) && !is_closed(&mut clients[2]));
    clients.truncate(2);
    stage.turn(at(1_001));
    assert_eq!(stage.control.next_timeout(), None, "who is gone is forgotten");
}

#[test]
fn each_of_a_crowd_that_comes_at_once_is_served_before_it_has_to_go() {
    let mut stage = Stage::new("crowd");
    let mut clients: Vec<_> = (0..50).map(|_| stage.connect()).collect();
    for turn in 1..=4 {
        stage.turn(at(turn));
        let closed = clients.iter_mut().filter_map(|client| is_closed(client).then_some(())).count();
        assert_eq!(closed, (turn as usize - 1) * CONTROL_CONNECTIONS_MAX - if turn == 4 { 14 } else { 0 });
    }
    assert_eq!(stage.control.connections.iter().flatten().count(), CONTROL_CONNECTIONS_MAX);
}
