//! Lines as unix datagrams: the journal's native protocol and syslog's.
//!
//! The socket is not connected: each line finds the listener by its path, so a logging daemon that was restarted gets
//! the next line without any reconnecting here. It does not block: a listener that hangs costs lines, never a turn.

use super::line::{IDENTIFIER, Line};
use super::{Deliver, Delivery};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use syslog::{Facility, Formatter3164, LogFormat, Severity};

/// Where the journal listens (systemd's native protocol, <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>).
pub(crate) const JOURNAL: &str = "/run/systemd/journal/socket";

/// Where a syslog daemon listens.
pub(super) const SYSLOG: &str = "/dev/log";

/// Sends datagrams to a path, if that can be done at once.
#[derive(Debug)]
struct Courier {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Courier {
    fn to(path: &Path) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, path: path.to_owned() })
    }

    fn send(&self, bytes: &[u8]) -> Delivery {
        match self.socket.send_to(bytes, &self.path) {
            Ok(_) => Delivery::Done,
            Err(error) => match error.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused | ErrorKind::PermissionDenied => Delivery::Absent,
                _ => Delivery::Full,
            },
        }
    }
}

/// The journal, with fields.
#[derive(Debug)]
pub(super) struct Journal(Courier);

impl Journal {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Courier::to(path).map(Self)
    }
}

impl Deliver for Journal {
    fn deliver(&mut self, line: &Line) -> Delivery {
        self.0.send(line.journal_entry().as_bytes())
    }
}

/// A syslog daemon: RFC 3164 as local daemons read it, without the host's name.
#[derive(Debug)]
pub(super) struct Syslog {
    courier: Courier,
    formatter: Formatter3164,
}

impl Syslog {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let process = IDENTIFIER.to_owned();
        let formatter =
            Formatter3164 { facility: Facility::LOG_DAEMON, hostname: None, process, pid: std::process::id() };
        Ok(Self { courier: Courier::to(path)?, formatter })
    }
}

impl Deliver for Syslog {
    fn deliver(&mut self, line: &Line) -> Delivery {
        let severity = match line.level {
            log::Level::Error => Severity::LOG_ERR,
            log::Level::Warn => Severity::LOG_WARNING,
            log::Level::Info => Severity::LOG_INFO,
            log::Level::Debug | log::Level::Trace => Severity::LOG_DEBUG,
        };
        // The formatter writes in pieces; a datagram is one piece.
        let mut datagram = Vec::new();
        match self.formatter.format(&mut datagram, severity, line.text.as_str()) {
            Ok(()) => self.courier.send(&datagram),
            Err(_) => Delivery::Full,
        }
    }
}
