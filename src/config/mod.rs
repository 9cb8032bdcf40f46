//! What the configuration says once it is known to be true.
//!
//! `raw` is what the files say; [`Config`] is what is valid. `setting` knows how each kind of value is written, `check`
//! holds every key to its bounds and its relations to others, and nobody does so later. [`parse`] leads from the one
//! to the other, [`Config::to_toml`] back. The defaults stand here once, and `etc/belfry.toml` is held equal to them
//! by a test. Files are read elsewhere, in [`daemon::config_file`](crate::daemon::config_file).

mod check;
mod echo;
mod error;
mod print;
#[cfg(test)]
mod properties;
mod raw;
mod setting;
#[cfg(test)]
mod tests;

pub use echo::{Connections, Echo, Transform};
pub use error::{ConfigError, Problem};
pub(crate) use raw::nearest;
pub use setting::LEVELS;

use crate::core::access::AccessRule;
use crate::core::rate::{ByteRate, Rate};
use crate::services::ServiceName;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The text of a file and the name that errors give it.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The name of the file.
    pub file: &'a str,
    /// All that it says.
    pub text: &'a str,
}

/// What only the host knows.
#[derive(Clone, Copy)]
pub struct Known<'a> {
    /// Whether there is a time zone of this name.
    pub zone: &'a dyn Fn(&str) -> bool,
    /// Whether the time service can fill in this format.
    pub format: &'a dyn Fn(&str) -> bool,
}

/// What the sources say together; a key in a later one replaces the same key of an earlier one.
///
/// What none of them says is as in [`Config::default`]. Every problem that can be seen at once is in the error:
/// what is wrong with single values hides what is wrong between them.
pub fn parse(sources: &[Source<'_>], known: &Known<'_>) -> Result<Config, ConfigError> {
    let said = raw::read(sources).and_then(|raw| check::check(raw, known));
    said.map_err(|faults| raw::explain(faults, sources))
}

/// The whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// `[log]`
    pub log: Log,
    /// `[access]`
    pub access: Access,
    /// `[time]`
    pub time: Time,
    /// `[chat]`
    pub chat: Chat,
    /// `[announce]`
    pub announce: Announce,
    /// `[ntp]`
    pub ntp: Ntp,
    /// `[echo]`
    pub echo: Echo,
}

impl Config {
    /// Whether a service runs, and where it is reached when it does.
    pub fn listen(&self, service: ServiceName) -> (bool, Vec<SocketAddr>) {
        match service {
            ServiceName::Time => (self.time.enabled, self.time.listen.clone()),
            ServiceName::Chat => (self.chat.enabled, self.chat.listen.clone()),
            ServiceName::Announce => (self.announce.enabled, self.announce.listen.clone()),
            ServiceName::Ntp => {
                (self.ntp.enabled, [&self.ntp.listen[..], &self.ntp.listen_rfc868, &self.ntp.listen_rfc867].concat())
            }
            ServiceName::Echo => (self.echo.enabled, self.echo.listen.clone()),
        }
    }

    /// How many connections a service has, and for how long; `None` for one that is spoken to by UDP alone.
    pub fn connections(&self, service: ServiceName) -> Option<&Connections> {
        match service {
            ServiceName::Echo => Some(&self.echo.connections),
            ServiceName::Time | ServiceName::Chat | ServiceName::Announce | ServiceName::Ntp => None,
        }
    }
}

/// Where log lines go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogTarget {
    /// The journal when systemd started us, else standard error.
    #[default]
    Auto,
    /// The journal's native socket.
    Journal,
    /// `/dev/log`, RFC 3164.
    Syslog,
    /// Standard error.
    Stderr,
}

/// `[log]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Where lines go.
    pub target: LogTarget,
    /// The least important lines that are written.
    pub level: log::LevelFilter,
}

impl Default for Log {
    fn default() -> Self {
        Self { target: LogTarget::Auto, level: log::LevelFilter::Info }
    }
}

/// `[access]`: who may speak to us at all; the services have lists of their own beside it. `deny` wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// Who is let in.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed.
    pub deny: Vec<AccessRule>,
}

impl Default for Access {
    fn default() -> Self {
        Self { allow: vec![AccessRule::OnLink], deny: Vec::new() }
    }
}

/// A zone for answers that do not name one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Timezone {
    /// The host's own (`/etc/localtime`).
    #[default]
    Local,
    /// An IANA name or a POSIX string (POSIX.1 §8.3).
    Named(String),
}

/// `[time]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Time {
    /// Whether it runs.
    pub enabled: bool,
    /// The addresses it is asked at.
    pub listen: Vec<SocketAddr>,
    /// Who is let in besides those of `[access]`.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed here or there.
    pub deny: Vec<AccessRule>,
    /// The answer to an empty request: a format that is known to be good.
    pub default_format: String,
    /// The zone of answers to requests that name none.
    pub timezone: Timezone,
    /// How often one source may ask; `None` for no limit.
    pub rate_limit: Option<Rate>,
}

impl Default for Time {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: any_address(8080),
            allow: Vec::new(),
            deny: Vec::new(),
            default_format: "%Y-%m-%d %X".to_owned(),
            timezone: Timezone::Local,
            rate_limit: Some(Rate { leak: 8, ..Rate::new(50, 200) }),
        }
    }
}

/// `[chat]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chat {
    /// Whether it runs.
    pub enabled: bool,
    /// The addresses it is spoken to at.
    pub listen: Vec<SocketAddr>,
    /// Who is let in besides those of `[access]`.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed here or there.
    pub deny: Vec<AccessRule>,
    /// How often members are asked to send a heartbeat; told in announcements.
    pub heartbeat_interval: Duration,
    /// How long a member that has ever sent a heartbeat stays after its last datagram.
    pub heartbeat_timeout: Duration,
    /// How long a member that never has stays after its last datagram.
    pub silent_timeout: Duration,
    /// Whether a member gets its own messages back.
    pub echo_to_sender: bool,
    /// How a message is rendered.
    pub line_format: LineFormat,
    /// The longest text, in bytes.
    pub max_message: usize,
    /// Members at once.
    pub max_members: usize,
    /// Members at once from one address (an IPv4 address, an IPv6 /64, on a link of ours an IPv6 address).
    pub max_members_per_address: usize,
    /// Messages of each room that are kept; 0 keeps none.
    pub history: usize,
    /// Whether what is said in rooms is written to the log.
    pub log_messages: bool,
    /// How often one source may speak; `None` for no limit.
    pub rate_limit: Option<Rate>,
    /// How much may be sent to rooms; `None` for no limit.
    pub fan_out: Option<ByteRate>,
}

impl Default for Chat {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: any_address(9999),
            allow: Vec::new(),
            deny: Vec::new(),
            heartbeat_interval: Duration::from_secs(3),
            heartbeat_timeout: Duration::from_secs(10),
            silent_timeout: Duration::from_secs(600),
            echo_to_sender: true,
            line_format: LineFormat::default(),
            max_message: 1_024,
            max_members: 1_024,
            max_members_per_address: 64,
            history: 256,
            log_messages: false,
            rate_limit: Some(Rate::new(50, 200)),
            fan_out: Some(ByteRate(32_000_000)),
        }
    }
}

/// How a message is rendered: its sender and its text, each once, with something before, between and after.
///
/// Both are needed: a line without its sender could be forged, and could not be told from our own when it comes back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineFormat {
    /// What stands before the first field.
    pub before: String,
    /// What stands between the fields: more than letters, digits and spaces, as people use between words.
    pub between: String,
    /// What stands after the second field.
    pub after: String,
    /// Whether the sender comes first.
    pub sender_first: bool,
}

impl Default for LineFormat {
    /// `{from}: {text}`
    fn default() -> Self {
        Self { before: String::new(), between: ": ".to_owned(), after: String::new(), sender_first: true }
    }
}

/// `[announce]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announce {
    /// Whether it runs.
    pub enabled: bool,
    /// The addresses it is asked at.
    pub listen: Vec<SocketAddr>,
    /// Who is let in besides those of `[access]`.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed here or there.
    pub deny: Vec<AccessRule>,
    /// The groups it is asked in and announces to, at the port of the listener of the same family.
    pub groups: Vec<IpAddr>,
    /// Globs for the names of the interfaces; the last that matches decides, `!` excludes. A list that begins with an
    /// exclusion begins with everything.
    pub interfaces: Vec<String>,
    /// How often it announces unasked; zero for only when asked.
    pub interval: Duration,
    /// How often one source is answered; `None` for no limit.
    pub rate_limit: Option<Rate>,
}

impl Default for Announce {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: any_address(8001),
            allow: Vec::new(),
            deny: Vec::new(),
            groups: vec![IpAddr::from([224, 0, 0, 1]), IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 1])],
            interfaces: ["*", "!docker*", "!veth*", "!br-*", "!virbr*"].map(str::to_owned).to_vec(),
            interval: Duration::from_secs(60),
            rate_limit: Some(Rate { leak: 8, ..Rate::new(5, 20) }),
        }
    }
}

/// `[ntp]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ntp {
    /// Whether it runs.
    pub enabled: bool,
    /// The addresses it is asked at.
    pub listen: Vec<SocketAddr>,
    /// Who is let in besides those of `[access]`.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed here or there.
    pub deny: Vec<AccessRule>,
    /// The stratum that it tells while the kernel's clock is synchronised.
    pub stratum: u8,
    /// The stratum that it tells while the kernel's clock is not; 0 for that there is no time to be had.
    pub local_stratum: u8,
    /// The addresses at which the time is asked for as a number.
    pub listen_rfc868: Vec<SocketAddr>,
    /// The addresses at which it is asked for as a line of text.
    pub listen_rfc867: Vec<SocketAddr>,
    /// How often one source may ask; `None` for no limit.
    pub rate_limit: Option<Rate>,
}

impl Default for Ntp {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: any_address(123),
            allow: Vec::new(),
            deny: Vec::new(),
            stratum: 4,
            local_stratum: 0,
            listen_rfc868: Vec::new(),
            listen_rfc867: Vec::new(),
            rate_limit: Some(Rate { leak: 8, ..Rate::new(10, 100) }),
        }
    }
}

/// Every IPv4 and every IPv6 address of ours, as two sockets.
fn any_address(port: u16) -> Vec<SocketAddr> {
    vec![SocketAddr::from(([0, 0, 0, 0], port)), SocketAddr::from(([0_u16; 8], port))]
}
