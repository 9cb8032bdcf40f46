//! `[echo]`: what it says, its defaults, and what is valid; and what holds of the connections of any service by TCP.

use super::any_address;
use super::check::{Checker, or, values};
use super::print::File;
use super::raw::{self, Said};
use super::setting::{Setting, by_name, name_of};
use crate::core::access::AccessRule;
use crate::core::limits::{CONNECTIONS_MAX, IDLE_TIMEOUT_MIN};
use crate::core::rate::Rate;
use crate::services::ServiceName;
use std::net::SocketAddr;
use std::time::Duration;

/// What the echo makes of what it gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transform {
    /// The same (RFC 862).
    #[default]
    None,
    /// Text in upper case.
    Upper,
}

/// How many connections a service has, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connections {
    /// At once.
    pub max: usize,
    /// At once from one address (an IPv4 address, an IPv6 /64, on a link of ours an IPv6 address).
    pub max_per_address: usize,
    /// How long one stays on which nothing moves.
    pub idle_timeout: Duration,
}

impl Default for Connections {
    fn default() -> Self {
        Self { max: 1_024, max_per_address: 64, idle_timeout: Duration::from_secs(600) }
    }
}

/// `[echo]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Whether it runs.
    pub enabled: bool,
    /// The addresses it is spoken to at, by UDP and by TCP.
    pub listen: Vec<SocketAddr>,
    /// Who is let in besides those of `[access]`.
    pub allow: Vec<AccessRule>,
    /// Who is kept out, even when allowed here or there.
    pub deny: Vec<AccessRule>,
    /// What it makes of what it gets.
    pub transform: Transform,
    /// How often one source may send a datagram or connect; `None` for no limit.
    pub rate_limit: Option<Rate>,
    /// Its connections.
    pub connections: Connections,
}

impl Default for Echo {
    fn default() -> Self {
        Self {
            enabled: false,
            listen: any_address(8888),
            allow: Vec::new(),
            deny: Vec::new(),
            transform: Transform::None,
            rate_limit: Some(Rate { leak: 8, ..Rate::new(50, 200) }),
            connections: Connections::default(),
        }
    }
}

const TRANSFORMS: [(&str, Transform); 2] = [("none", Transform::None), ("upper", Transform::Upper)];

impl Setting for Transform {
    const EXPECTED: &'static str = "\"none\" or \"upper\"";

    fn from_text(text: &str) -> Result<Self, String> {
        by_name(&TRANSFORMS, text).ok_or_else(|| format!("there is no transform {text:?}"))
    }

    fn to_text(&self) -> String {
        name_of(&TRANSFORMS, *self)
    }
}

impl Checker {
    pub(super) fn echo(&mut self, raw: raw::Echo) -> Echo {
        let default = Echo::default();
        let enabled = or(raw.enabled, default.enabled).value;
        let listen = self.listen(ServiceName::Echo, enabled, raw.listen, default.listen);
        Echo {
            enabled,
            listen: values(listen),
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
            transform: or(raw.transform, default.transform).value,
            rate_limit: or(raw.rate_limit, default.rate_limit).value,
            connections: self.connections(raw.max_connections, raw.max_connections_per_address, raw.idle_timeout),
        }
    }

    /// What a service says of its connections.
    fn connections(
        &mut self,
        max: Option<Said<usize>>,
        max_per_address: Option<Said<usize>>,
        idle_timeout: Option<Said<Duration>>,
    ) -> Connections {
        let default = Connections::default();
        let idle_timeout = or(idle_timeout, default.idle_timeout);
        if idle_timeout.value < IDLE_TIMEOUT_MIN {
            let help = "expected a duration such as \"10m\", of at least 100ms";
            self.fault(idle_timeout.at.clone(), "idle-timeout is too short", help);
        }
        let (max, max_per_address) = (or(max, default.max), or(max_per_address, default.max_per_address));
        Connections {
            max: self.within("max-connections", max, 1..=CONNECTIONS_MAX),
            max_per_address: self.within("max-connections-per-address", max_per_address, 1..=CONNECTIONS_MAX),
            idle_timeout: idle_timeout.value,
        }
    }
}

impl Echo {
    pub(super) fn print(&self, file: &mut File) {
        let Connections { max, max_per_address, idle_timeout } = &self.connections;
        file.table("echo")
            .plain("enabled", self.enabled)
            .list("listen", &self.listen)
            .list("allow", &self.allow)
            .list("deny", &self.deny)
            .string("transform", &self.transform)
            .string("rate-limit", &self.rate_limit)
            .plain("max-connections", max)
            .plain("max-connections-per-address", max_per_address)
            .string("idle-timeout", idle_timeout);
    }
}
