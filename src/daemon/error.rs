//! What ends the daemon: what it was doing, to what, and why not.

use super::config_file::LoadError;
use super::passed::unit;
use crate::exit;
use crate::services::ServiceName;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why the daemon cannot start, or cannot go on. `main` prints it, once.
#[derive(Debug)]
pub enum Fatal {
    /// The configuration cannot be used.
    Config(LoadError),
    /// A socket cannot be had.
    Bind {
        /// For which service.
        service: ServiceName,
        /// At which address.
        addr: SocketAddr,
        /// Why, in the words of strerror(3).
        reason: String,
    },
    /// The service manager makes the sockets, and this one is not among them.
    NotPassed {
        /// For which service.
        service: ServiceName,
        /// At which address.
        addr: SocketAddr,
        /// What it passes for that service, and nobody has asked for.
        passed: Vec<SocketAddr>,
    },
    /// What the service manager passes is not what its name says.
    Passed {
        /// The unit that it comes from.
        unit: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no control socket where one was asked for.
    Control {
        /// Where.
        path: PathBuf,
        /// Why, in the words of strerror(3) or our own.
        reason: String,
    },
    /// Something that the daemon cannot do without.
    System {
        /// What it was doing, as in "cannot …".
        doing: &'static str,
        /// Why, in the words of strerror(3).
        reason: String,
    },
}

impl Fatal {
    /// Wraps an error in what was being done.
    pub(super) fn system(doing: &'static str) -> impl Fn(io::Error) -> Self {
        move |error| Self::System { doing, reason: errno_text(&error) }
    }

    /// The whole of it in one line, for a log.
    pub(super) fn line(&self) -> String {
        match self {
            Self::Config(error) => error.line(),
            other => other.to_string(),
        }
    }

    /// Wraps an error in the unit that passes the socket of this name.
    pub(super) fn passed(name: impl fmt::Display) -> impl Fn(io::Error) -> Self {
        move |error| Self::Passed { unit: unit(&name), reason: errno_text(&error) }
    }

    /// Wraps an error in where the control socket was to be.
    pub(super) fn control(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Control { path: path.to_owned(), reason: errno_text(&error) }
    }

    /// The exit status that belongs to it.
    pub fn exit_status(&self) -> u8 {
        match self {
            // Units are configuration too.
            Self::Config(_) | Self::NotPassed { .. } | Self::Passed { .. } => exit::CONFIG,
            Self::Bind { .. } | Self::Control { .. } | Self::System { .. } => 1,
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Bind { service, addr, reason } => {
                write!(f, "cannot bind {service} {addr}: {reason}")?;
                let is_forbidden = *reason == errno_text(&io::Error::from_raw_os_error(Errno::EACCES as i32));
                if is_forbidden && (1..1_024).contains(&addr.port()) {
                    f.write_str(" (ports below 1024 take CAP_NET_BIND_SERVICE, root, or the sockets of systemd)")?;
                }
                Ok(())
            }
            Self::NotPassed { service, addr, passed } => {
                let unit = unit(service);
                write!(f, "{service} {addr} is not among the sockets that systemd passes (")?;
                match passed.as_slice() {
                    [] => write!(f, "see journalctl -u {unit}")?,
                    [first, others @ ..] => {
                        write!(f, "{unit} has {first}")?;
                        others.iter().try_for_each(|other| write!(f, ", {other}"))?;
                    }
                }
                f.write_str("). To have it make others: systemctl daemon-reload && systemctl restart belfry.target")
            }
            Self::Passed { unit, reason } => write!(f, "cannot use what systemd passes from {unit}: {reason}"),
            Self::Control { path, reason } => write!(f, "cannot make the control socket {}: {reason}", path.display()),
            Self::System { doing, reason } => write!(f, "cannot {doing}: {reason}"),
        }
    }
}

impl std::error::Error for Fatal {}

impl From<LoadError> for Fatal {
    fn from(error: LoadError) -> Self {
        Self::Config(error)
    }
}

/// An error in the words of strerror(3), to stand at the end of a sentence.
pub(super) fn errno_text(error: &io::Error) -> String {
    let Some(code) = error.raw_os_error() else { return error.to_string() };
    let text = Errno::from_raw(code).desc();
    let mut chars = text.chars();
    // "Address already in use", but "I/O error".
    match (chars.next(), chars.next()) {
        (Some(first), Some(second)) if second.is_lowercase() || second == ' ' => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fatal_error_says_what_was_done_to_what_and_why_not() {
        let addr = "0.0.0.0:9999".parse().expect("an address");
        let reason = errno_text(&io::Error::from_raw_os_error(Errno::EADDRINUSE as i32));
        let fatal = Fatal::Bind { service: ServiceName::Chat, addr, reason };
        assert_eq!(fatal.to_string(), "cannot bind chat 0.0.0.0:9999: address already in use");
        assert_eq!(fatal.exit_status(), 1);
    }
}
