//! Connections to unix sockets, in time.

use socket2::{Domain, SockAddr, Socket, Type};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// A connection on which nothing takes longer than `timeout`, not even to be taken in: a listener that hangs takes in nobody,
/// and the kernel keeps only so many waiting.
pub(crate) fn connect(path: &Path, timeout: Duration) -> io::Result<UnixStream> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    // It bounds connect(2) too (unix(7)).
    socket.set_write_timeout(Some(timeout))?;
    socket.set_read_timeout(Some(timeout))?;
    socket.connect(&SockAddr::unix(path)?)?;
    Ok(OwnedFd::from(socket).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{ErrorKind, Read as _};
    use std::os::unix::net::UnixListener;

    #[test]
    fn a_listener_that_takes_in_nobody_is_given_up() {
        let path = std::env::temp_dir().join(format!("belfry-unix-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let moment = Duration::from_millis(10);
        let mut first = connect(&path, moment).unwrap();
        assert_eq!(first.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock, "nobody answers");
        let waiting: Vec<_> = (0..3).map(|_| connect(&path, moment)).collect();
        assert!(waiting.iter().any(|tried| tried.as_ref().is_err_and(|e| e.kind() == ErrorKind::WouldBlock)));
        drop(UnixListener::from(OwnedFd::from(listener)));
        std::fs::remove_file(path).unwrap();
    }
}
