//! What ends the daemon: what it was doing, to what, and why not.

use super::config_file::LoadError;
use crate::services::ServiceName;
use nix::errno::Errno;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// The configuration is bad (`EX_CONFIG`, sysexits.h).
const EXIT_CONFIG: u8 = 78;

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

    /// Wraps an error in where the control socket was to be.
    pub(super) fn control(path: &Path) -> impl Fn(io::Error) -> Self {
        move |error| Self::Control { path: path.to_owned(), reason: errno_text(&error) }
    }

    /// The exit status that belongs to it.
    pub fn exit_status(&self) -> u8 {
        match self {
            Self::Config(_) => EXIT_CONFIG,
            Self::Bind { .. } | Self::Control { .. } | Self::System { .. } => 1,
        }
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Config(error) => write!(f, "{error}"),
            Self::Bind { service, addr, reason } => write!(f, "cannot bind {service} {addr}: {reason}"),
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
