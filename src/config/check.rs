//! From what the files say to what is valid: every bound, and every relation between keys.
//!
//! A fault is shown at a value that somebody wrote. Where two values do not go together it is the one that was written
//! later, and never a default.

use super::raw::{self, At, Fault, List, Raw, Said};
use super::setting::{Glob, is_plain};
use super::{Access, Announce, Chat, Config, Known, LineFormat, Log, Ntp, Time, Timezone};
use crate::core::access::AccessRule;
use crate::core::limits::{
    ANNOUNCE_INTERVAL_MIN, DATAGRAM_MAX, HEARTBEAT_MIN, HISTORY_MAX, LIST_MAX, MEMBERS_MAX, NAME_MAX, RECEIVE_MAX,
    STRATUM_MAX, TIME_REQUEST_MAX,
};
use crate::services::ServiceName;
use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;
use toml::Spanned;

const _: () = assert!(DATAGRAM_MAX <= RECEIVE_MAX, "a message that can be relayed can be received");

/// The configuration that the files describe, or everything that is wrong with it.
pub(super) fn check(raw: Raw, known: &Known<'_>) -> Result<Config, Vec<Fault>> {
    let mut checker = Checker { faults: Vec::new(), listeners: Vec::new() };
    let config = Config {
        log: log(raw.log),
        access: checker.access(raw.access),
        time: checker.time(raw.time, known),
        chat: checker.chat(raw.chat),
        announce: checker.announce(raw.announce),
        ntp: checker.ntp(raw.ntp),
        echo: checker.echo(raw.echo),
    };
    checker.ports();
    if checker.faults.is_empty() { Ok(config) } else { Err(checker.faults) }
}

/// What was said, or else the default, which stands nowhere.
pub(super) fn or<T>(said: Option<Said<T>>, default: T) -> Said<T> {
    said.unwrap_or(Said { value: default, at: None })
}

/// The later of two places.
fn later(one: Option<At>, other: Option<At>) -> Option<At> {
    let order = |at: &Option<At>| at.as_ref().map(|at| (at.file, at.span.start));
    if order(&one) >= order(&other) { one } else { other }
}

pub(super) fn values<T>(entries: Vec<Said<T>>) -> Vec<T> {
    entries.into_iter().map(|entry| entry.value).collect()
}

fn log(raw: raw::Log) -> Log {
    let default = Log::default();
    Log { target: or(raw.target, default.target).value, level: or(raw.level, default.level).value }
}

pub(super) struct Checker {
    faults: Vec<Fault>,
    /// The listeners of the services that run.
    listeners: Vec<(ServiceName, Said<SocketAddr>)>,
}

impl Checker {
    pub(super) fn fault(&mut self, at: Option<At>, message: impl Into<String>, help: impl Into<String>) {
        let at = at.unwrap_or_default();
        self.faults.push(Fault { at, message: message.into(), help: Some(help.into()) });
    }

    fn access(&mut self, raw: raw::Access) -> Access {
        let default = Access::default();
        Access {
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
        }
    }

    pub(super) fn rules(
        &mut self,
        key: &str,
        said: Option<Said<List<AccessRule>>>,
        default: Vec<AccessRule>,
    ) -> Vec<AccessRule> {
        values(self.list(key, said, default).1)
    }

    fn time(&mut self, raw: raw::Time, known: &Known<'_>) -> Time {
        let default = Time::default();
        let enabled = or(raw.enabled, default.enabled).value;
        let listen = self.listen(ServiceName::Time, enabled, raw.listen, default.listen);
        let format = or(raw.default_format, default.default_format);
        let timezone = or(raw.timezone, default.timezone);
        if let (Timezone::Named(zone), true) = (&timezone.value, timezone.at.is_some())
            && !(known.zone)(zone)
        {
            let help = "expected \"local\", a zone such as \"Europe/Berlin\", or a POSIX rule such as \"CET-1CEST\"";
            self.fault(timezone.at, format!("timezone: nobody knows the zone {zone:?}"), help);
        }
        if format.at.is_some() {
            self.default_format(&format, known);
        }
        let rate_limit = or(raw.rate_limit, default.rate_limit).value;
        Time {
            enabled,
            listen: values(listen),
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
            default_format: format.value,
            timezone: timezone.value,
            rate_limit,
        }
    }

    fn default_format(&mut self, format: &Said<String>, known: &Known<'_>) {
        let help = "expected a strftime format such as \"%Y-%m-%d %X\"";
        let wrong = if format.value.len() > TIME_REQUEST_MAX {
            format!("is longer than a request may be ({TIME_REQUEST_MAX} bytes)")
        } else if !is_plain(&format.value) {
            "has a control character".to_owned()
        } else if !(known.format)(&format.value) {
            "is no format, or has no conversion to fill in".to_owned()
        } else {
            return;
        };
        self.fault(format.at.clone(), format!("default-format {wrong}"), help);
    }

    fn chat(&mut self, raw: raw::Chat) -> Chat {
        let default = Chat::default();
        let enabled = or(raw.enabled, default.enabled).value;
        let listen = self.listen(ServiceName::Chat, enabled, raw.listen, default.listen);
        let interval = or(raw.heartbeat_interval, default.heartbeat_interval);
        let timeout = or(raw.heartbeat_timeout, default.heartbeat_timeout);
        let silent = or(raw.silent_timeout, default.silent_timeout);
        self.heartbeats(&interval, &timeout, &silent);
        let line_format = or(raw.line_format, default.line_format);
        let message = or(raw.max_message, default.max_message);
        self.message_fits(&message, &line_format);
        let history = or(raw.history, default.history);
        let members = or(raw.max_members, default.max_members);
        let per_address = or(raw.max_members_per_address, default.max_members_per_address);
        Chat {
            enabled,
            listen: values(listen),
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
            heartbeat_interval: interval.value,
            heartbeat_timeout: timeout.value,
            silent_timeout: silent.value,
            echo_to_sender: or(raw.echo_to_sender, default.echo_to_sender).value,
            line_format: line_format.value,
            max_message: message.value,
            max_members: self.within("max-members", members, 1..=MEMBERS_MAX),
            max_members_per_address: self.within("max-members-per-address", per_address, 1..=MEMBERS_MAX),
            history: self.within("history", history, 0..=HISTORY_MAX),
            log_messages: or(raw.log_messages, default.log_messages).value,
            rate_limit: or(raw.rate_limit, default.rate_limit).value,
            fan_out: or(raw.fan_out, default.fan_out).value,
        }
    }

    /// A member must have the time to send a heartbeat before it expires, and none is thrown out for having begun.
    fn heartbeats(&mut self, interval: &Said<Duration>, timeout: &Said<Duration>, silent: &Said<Duration>) {
        let before = self.faults.len();
        let all = [("heartbeat-interval", interval), ("heartbeat-timeout", timeout), ("silent-timeout", silent)];
        for (key, duration) in all {
            if duration.value < HEARTBEAT_MIN {
                let help = "expected a duration such as \"10s\", of at least 100ms";
                self.fault(duration.at.clone(), format!("{key} is too short"), help);
            }
        }
        if self.faults.len() > before {
            return;
        }
        self.in_order(("heartbeat-interval", interval), ("heartbeat-timeout", timeout), false);
        self.in_order(("heartbeat-timeout", timeout), ("silent-timeout", silent), true);
    }

    /// Holds one duration below another, and blames the one that was written later.
    fn in_order(&mut self, short: (&str, &Said<Duration>), long: (&str, &Said<Duration>), equal: bool) {
        let ((short_key, short), (long_key, long)) = (short, long);
        if short.value < long.value || (equal && short.value == long.value) {
            return;
        }
        let written = |duration: &Said<Duration>| humantime::format_duration(duration.value).to_string();
        let at = later(short.at.clone(), long.at.clone());
        let (message, help) = if at == short.at {
            let relation = if equal { "must not be longer than" } else { "must be shorter than" };
            let bound = if equal { "at most" } else { "below" };
            let long = written(long);
            (format!("{short_key} {relation} {long_key} ({long})"), format!("expected a duration {bound} {long}"))
        } else {
            let relation = if equal { "must not be shorter than" } else { "must be longer than" };
            let bound = if equal { "at least" } else { "above" };
            let short = written(short);
            (format!("{long_key} {relation} {short_key} ({short})"), format!("expected a duration {bound} {short}"))
        };
        self.fault(at, message, help);
    }

    /// The longest message, from the longest name, with its newline, must go into one datagram: none is ever cut.
    fn message_fits(&mut self, message: &Said<usize>, format: &Said<LineFormat>) {
        if message.value == 0 {
            self.fault(message.at.clone(), "max-message must not be zero", "expected a number of bytes");
            return;
        }
        let LineFormat { before, between, after, .. } = &format.value;
        let frame = before.len() + between.len() + after.len() + NAME_MAX + "\n".len();
        if frame + message.value <= DATAGRAM_MAX {
            return;
        }
        let most = DATAGRAM_MAX.saturating_sub(frame);
        if message.at.is_some() && most > 0 {
            let why = format!("a datagram of {DATAGRAM_MAX} bytes, with a name and line-format around it");
            self.fault(
                message.at.clone(),
                format!("max-message does not fit {why}"),
                format!("expected at most {most}"),
            );
        } else {
            let room = DATAGRAM_MAX.saturating_sub(NAME_MAX + "\n".len() + message.value);
            let (longest, own) = (message.value, frame - NAME_MAX - "\n".len());
            self.fault(
                format.at.clone().or(message.at.clone()),
                format!("line-format leaves no room for a message of {longest} bytes (max-message) in a datagram"),
                format!("expected at most {room} bytes beside {{from}} and {{text}}, found {own}"),
            );
        }
    }

    fn announce(&mut self, raw: raw::Announce) -> Announce {
        let default = Announce::default();
        let enabled = or(raw.enabled, default.enabled).value;
        let listen_at = raw.listen.as_ref().and_then(|said| said.at.clone());
        let listen = self.listen(ServiceName::Announce, enabled, raw.listen, default.listen);
        // Groups that nobody asked for are not worth a complaint: without an IPv6 socket there is no IPv6 group.
        let reachable = |group: &IpAddr| listen.iter().any(|listener| listener.value.is_ipv4() == group.is_ipv4());
        let default_groups = default.groups.into_iter().filter(|group| !enabled || reachable(group)).collect();
        let (_, groups) = self.list("groups", raw.groups, default_groups);
        let families = (enabled && !listen.is_empty()).then_some((listen.as_slice(), listen_at));
        self.groups(&groups, families);
        let patterns = default.interfaces.into_iter().map(Glob).collect();
        let (at, interfaces) = self.list("interfaces", raw.interfaces, patterns);
        if enabled && interfaces.is_empty() {
            self.fault(at, "interfaces chooses none", "expected a pattern, such as \"*\"");
        }
        let interval = or(raw.interval, default.interval);
        if !interval.value.is_zero() && interval.value < ANNOUNCE_INTERVAL_MIN {
            let help = "expected a duration of at least 1s, or \"0s\" for only when asked";
            self.fault(interval.at.clone(), "interval is too short", help);
        }
        Announce {
            enabled,
            listen: values(listen),
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
            groups: values(groups),
            interfaces: interfaces.into_iter().map(|pattern| pattern.value.0).collect(),
            interval: interval.value,
            rate_limit: or(raw.rate_limit, default.rate_limit).value,
        }
    }

    fn groups(&mut self, groups: &[Said<IpAddr>], families: Option<(&[Said<SocketAddr>], Option<At>)>) {
        for (index, group) in groups.iter().enumerate() {
            let addr = group.value;
            if !addr.is_multicast() {
                let help = "expected an address in 224.0.0.0/4 or ff00::/8";
                self.fault(group.at.clone(), format!("{addr} is not a multicast group"), help);
                continue;
            }
            if groups[..index].iter().any(|earlier| earlier.value == addr) {
                self.fault(group.at.clone(), format!("{addr} stands twice in groups"), "expected each group once");
            }
            let Some((listen, listen_at)) = &families else { continue };
            if !listen.iter().any(|listener| listener.value.is_ipv4() == addr.is_ipv4()) {
                let (family, any) = if addr.is_ipv4() { ("IPv4", "0.0.0.0:8001") } else { ("IPv6", "[::]:8001") };
                self.fault(
                    later(group.at.clone(), listen_at.clone()),
                    format!("the group {addr} needs an {family} listener in [announce]"),
                    format!("expected an address such as \"{any}\" in listen, or groups without {addr}"),
                );
            }
        }
    }

    fn ntp(&mut self, raw: raw::Ntp) -> Ntp {
        let default = Ntp::default();
        let enabled = or(raw.enabled, default.enabled).value;
        let listen = self.listen(ServiceName::Ntp, enabled, raw.listen, default.listen);
        let (_, listen_rfc868) = self.list("listen-rfc868", raw.listen_rfc868, default.listen_rfc868);
        let (_, listen_rfc867) = self.list("listen-rfc867", raw.listen_rfc867, default.listen_rfc867);
        if enabled {
            let others = listen_rfc868.iter().chain(&listen_rfc867);
            self.listeners.extend(others.map(|listener| (ServiceName::Ntp, listener.clone())));
        }
        let mut stratum = |key, said: Option<Said<usize>>, default: u8, least| {
            let stratum = self.within(key, or(said, default.into()), least..=STRATUM_MAX.into());
            u8::try_from(stratum).unwrap_or(default)
        };
        Ntp {
            enabled,
            stratum: stratum("stratum", raw.stratum, default.stratum, 1),
            local_stratum: stratum("local-stratum", raw.local_stratum, default.local_stratum, 0),
            listen: values(listen),
            allow: self.rules("allow", raw.allow, default.allow),
            deny: self.rules("deny", raw.deny, default.deny),
            listen_rfc868: values(listen_rfc868),
            listen_rfc867: values(listen_rfc867),
            rate_limit: or(raw.rate_limit, default.rate_limit).value,
        }
    }

    /// Checks the listeners of a service by themselves, and keeps those of one that runs for [`Checker::ports`].
    pub(super) fn listen(
        &mut self,
        service: ServiceName,
        enabled: bool,
        said: Option<Said<List<SocketAddr>>>,
        default: Vec<SocketAddr>,
    ) -> Vec<Said<SocketAddr>> {
        let (at, listen) = self.list("listen", said, default);
        if enabled && listen.is_empty() {
            let help = "expected at least one address, or enabled = false";
            self.fault(at, format!("{service} is enabled but listens nowhere"), help);
        }
        if enabled {
            self.listeners.extend(listen.iter().map(|listener| (service, listener.clone())));
        }
        listen
    }

    /// No two listeners may take each other's datagrams.
    fn ports(&mut self) {
        let listeners = std::mem::take(&mut self.listeners);
        for (index, (service, listener)) in listeners.iter().enumerate() {
            let shares = |of: ServiceName| of.transports().iter().any(|way| service.transports().contains(way));
            let clash =
                listeners[..index].iter().find(|(of, other)| shares(*of) && overlap(listener.value, other.value));
            let Some((other_service, other)) = clash else { continue };
            let at = later(listener.at.clone(), other.at.clone());
            let (one, two) = (listener.value, other.value);
            let message = if service == other_service {
                format!("{service} listens twice: on {two} and on {one}")
            } else {
                format!("{other_service} on {two} and {service} on {one} share a port")
            };
            self.fault(at, message, "expected a port for each, or addresses that do not overlap");
        }
    }

    /// The entries of a list, each with its place, and the place of the list.
    fn list<T>(&mut self, key: &str, said: Option<Said<List<T>>>, default: Vec<T>) -> (Option<At>, Vec<Said<T>>) {
        let default = default.into_iter().map(|value| Spanned::new(0..0, value)).collect();
        let Said { value: mut list, at } = or(said, default);
        if list.len() > LIST_MAX {
            let message = format!("{key} has {} entries", list.len());
            self.fault(at.clone(), message, format!("expected at most {LIST_MAX}"));
            // The relations within a list take the square of its length.
            list.truncate(LIST_MAX);
        }
        let entry_at = |span| at.as_ref().map(|at| At { file: at.file, span });
        let entries = list.into_iter().map(|entry| Said { at: entry_at(entry.span()), value: entry.into_inner() });
        (at.clone(), entries.collect())
    }

    pub(super) fn within(&mut self, key: &str, count: Said<usize>, bounds: RangeInclusive<usize>) -> usize {
        if !bounds.contains(&count.value) {
            let help = format!("expected a number from {} to {}", bounds.start(), bounds.end());
            self.fault(count.at, format!("{key} cannot be {}", count.value), help);
        }
        count.value
    }
}

/// Whether two listeners would get the same datagrams. IPv6 listeners take no IPv4 datagrams, so families never clash.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    if one.port() != other.port() || one.port() == 0 || one.is_ipv4() != other.is_ipv4() {
        return false;
    }
    one == other || one.ip().is_unspecified() || other.ip().is_unspecified()
}
