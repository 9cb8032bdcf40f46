//! What a server says of itself, where it said so, and which of several answers are of the same server.

use crate::client::millis;
use crate::core::Interface;
use crate::services::announce::Announcement;
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// What a server says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::client) struct Answer {
    pub(super) host: Option<String>,
    pub(super) services: Vec<(String, u16)>,
    pub(super) version: Option<String>,
    pub(super) heartbeat: Option<Duration>,
}

impl From<Announcement> for Answer {
    fn from(said: Announcement) -> Self {
        let Announcement { host, services, version, heartbeat_interval, .. } = said;
        Self { host, services, version, heartbeat: heartbeat_interval }
    }
}

impl Answer {
    /// `time 8080, chat 9999`
    fn services_text(&self) -> String {
        let each: Vec<String> = self.services.iter().map(|(name, port)| format!("{name} {port}")).collect();
        or_dash(Some(each.join(", ")).filter(|text| !text.is_empty()))
    }
}

/// A server that has answered, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::client) struct Found {
    pub(super) source: SocketAddr,
    pub(super) answer: Answer,
    /// Of a question to it alone: one to a group is answered late on purpose.
    pub(super) round_trip: Option<Duration>,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.answer.host {
            Some(host) => write!(f, "{host} ({})", self.source.ip()),
            None => write!(f, "{}", self.source.ip()),
        }
    }
}

/// A server as a JSON object.
#[derive(Debug, Serialize)]
struct Listed<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a str>,
    name: Option<&'a str>,
    address: String,
    services: BTreeMap<&'a str, u16>,
    version: Option<&'a str>,
    heartbeat_ms: Option<f64>,
    round_trip_ms: Option<f64>,
}

impl Found {
    /// Where it offers a service, when it says so.
    pub(in crate::client) fn addr_of(&self, service: &str) -> Option<SocketAddr> {
        let &(_, port) = self.answer.services.iter().find(|(name, _)| name == service)?;
        Some(self.addr_at(port))
    }

    pub(in crate::client) fn addr_at(&self, port: u16) -> SocketAddr {
        let mut addr = self.source;
        addr.set_port(port);
        addr
    }

    /// What is shown of it: name, address, services, version, heartbeat, round trip.
    pub(super) fn columns(&self, interfaces: &[Interface]) -> [String; 6] {
        let Self { source, answer, round_trip } = self;
        let heartbeat = answer.heartbeat.map(|heartbeat| humantime::format_duration(heartbeat).to_string());
        [
            or_dash(answer.host.clone()),
            place(*source, interfaces),
            answer.services_text(),
            or_dash(answer.version.clone()),
            or_dash(heartbeat),
            or_dash(round_trip.map(millis::shown)),
        ]
    }

    /// The same as a JSON object; with what has become of it, where that is told.
    pub(super) fn json(&self, event: Option<&str>, interfaces: &[Interface]) -> String {
        let Self { source, answer, round_trip } = self;
        let listed = Listed {
            event,
            name: answer.host.as_deref(),
            address: place(*source, interfaces),
            services: answer.services.iter().map(|(name, port)| (name.as_str(), *port)).collect(),
            version: answer.version.as_deref(),
            heartbeat_ms: answer.heartbeat.map(millis::millis),
            round_trip_ms: round_trip.map(millis::millis),
        };
        serde_json::to_string(&listed).expect("strings and numbers can be written")
    }
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

/// Each server once, in the order of their names: of this host's own addresses one, and of others that say the same the
/// IPv4 ones, since a host seldom has two of those on one network but always answers by IPv6 as well.
pub(super) fn servers(mut found: Vec<Found>, ours: &[IpAddr]) -> Vec<Found> {
    let rank = |addr: IpAddr| (addr.is_ipv6(), addr.is_loopback(), addr);
    found.sort_by(|a, b| (&a.answer, rank(a.source.ip())).cmp(&(&b.answer, rank(b.source.ip()))));
    let mut servers: Vec<Found> = Vec::new();
    for one in found {
        if !servers.iter().any(|other| is_same(other, &one, ours)) {
            servers.push(one);
        }
    }
    servers
}

/// Whether the second answer is of the server that has given the first, by another way.
pub(super) fn is_same(first: &Found, second: &Found, ours: &[IpAddr]) -> bool {
    let is_ours = |found: &Found| ours.contains(&found.source.ip());
    let by_another_way = second.source.is_ipv6() && first.source.is_ipv4() && second.answer.host.is_some();
    first.answer == second.answer && is_ours(first) == is_ours(second) && (is_ours(second) || by_another_way)
}

/// The one that is asked when nobody says which: this host's own, rather by IPv4, with a name, the first by name.
pub(super) fn choose<'a>(servers: &'a [Found], ours: &[IpAddr]) -> Option<&'a Found> {
    servers.iter().min_by_key(|found| {
        let addr = found.source.ip();
        (Reverse(ours.contains(&addr)), addr.is_ipv6(), found.answer.host.is_none(), &found.answer.host, addr)
    })
}

/// An address without the port of the announcer, as `--server` takes it.
pub(super) fn place(source: SocketAddr, interfaces: &[Interface]) -> String {
    match source {
        SocketAddr::V6(addr) if addr.scope_id() != 0 => {
            let interface = interfaces.iter().find(|interface| interface.index == addr.scope_id());
            let scope = interface.map_or_else(|| addr.scope_id().to_string(), |interface| interface.name.clone());
            format!("{}%{scope}", addr.ip())
        }
        addr => addr.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::columns::aligned;
    use crate::core::text::is_control;
    use crate::services::announce::{Verb, parse_announcement};
    use proptest::prelude::*;

    fn found(addr: &str, said: &str) -> Found {
        let said = parse_announcement(said).unwrap();
        Found { source: addr.parse().unwrap(), answer: said.into(), round_trip: None }
    }

    #[test]
    fn an_answer_is_shown_as_far_as_it_is_understood() {
        let cases = [
            (
                "Acknowlege belfry/1 host=tower time=8080 chat=9999 heartbeat=3s version=0.1.0\n",
                "tower  192.0.2.1  time 8080, chat 9999  0.1.0  3s  -",
                r#"{"name":"tower","address":"192.0.2.1","services":{"chat":9999,"time":8080},"version":"0.1.0","heartbeat_ms":3000.0,"round_trip_ms":null}"#,
            ),
            (
                "Acknowlege belfry/2 ntp=123 colour=red heartbeat=1500ms",
                "-  192.0.2.1  ntp 123  -  1s 500ms  -",
                r#"{"name":null,"address":"192.0.2.1","services":{"ntp":123},"version":null,"heartbeat_ms":1500.0,"round_trip_ms":null}"#,
            ),
            (
                "Acknowlege belfry/1 host=\x1b[2J time=0",
                "-  192.0.2.1  -  -  -  -",
                r#"{"name":null,"address":"192.0.2.1","services":{},"version":null,"heartbeat_ms":null,"round_trip_ms":null}"#,
            ),
        ];
        for (said, line, json) in cases {
            let found = found("192.0.2.1:8001", said);
            assert_eq!(aligned(&[found.columns(&[])]).collect::<Vec<_>>(), [line]);
            assert_eq!(found.json(None, &[]), json);
        }
        let gone = found("192.0.2.1:8001", "Acknowlege").json(Some("gone"), &[]);
        assert!(gone.starts_with(r#"{"event":"gone","name":null,"#), "{gone}");
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_answers_steers_the_terminal(
            rest in "( (host|time|chat|version|[a-z]{1,9})=[a-z0-9\\PC\u{1b}\u{9b}\u{202e}\r\u{7f}]{0,9}){0,5}[\n\0]?",
        ) {
            if let Some(said) = parse_announcement(&format!("Acknowlege belfry/1{rest}")) {
                prop_assert_eq!(said.verb, Verb::Acknowlege);
                let found = Found { source: ([192, 0, 2, 1], 1).into(), answer: said.into(), round_trip: None };
                let shown = found.columns(&[]).concat() + &found.json(None, &[]);
                prop_assert!(!shown.contains(|c| c == '\n' || is_control(c)), "{shown:?}");
            }
        }
    }

    #[test]
    fn an_address_is_shown_as_the_server_option_takes_it() {
        let eth3 = Interface {
            index: 3,
            name: "eth3".to_owned(),
            up: true,
            multicast: true,
            loopback: false,
            addresses: Vec::new(),
            peers: Vec::new(),
        };
        let cases = [
            ("192.0.2.1:8001", "192.0.2.1"),
            ("[fe80::1%3]:8001", "fe80::1%eth3"),
            ("[fe80::1%4]:8001", "fe80::1%4"),
            ("[::1]:8001", "::1"),
        ];
        for (addr, shown) in cases {
            assert_eq!(place(addr.parse().unwrap(), std::slice::from_ref(&eth3)), shown);
            assert!(shown.parse::<crate::client::server::Server>().is_ok());
        }
    }

    const ANSWERS: [(&str, &str); 9] = [
        ("[fe80::9%2]:8001", "Acknowlege belfry/1 host=workshop time=8080"),
        ("192.0.2.9:8001", "Acknowlege belfry/1 host=workshop time=8080"),
        ("192.0.2.8:8001", "Acknowlege belfry/1 host=workshop time=8080"),
        ("[fe80::7%2]:8001", "Acknowlege belfry/1 host=attic time=8080"),
        ("127.0.0.1:8001", "Acknowlege belfry/1 host=tower chat=9999"),
        ("192.0.2.1:8001", "Acknowlege belfry/1 host=tower chat=9999"),
        ("[fe80::1%2]:8001", "Acknowlege belfry/1 host=tower chat=9999"),
        ("192.0.2.5:8001", "Acknowlege"),
        ("[fe80::5%2]:8001", "Acknowlege"),
    ];

    fn shown(found: &[Found]) -> Vec<String> {
        found.iter().map(|found| found.source.to_string()).collect()
    }

    #[test]
    fn each_server_is_listed_once_however_many_ways_it_answers() {
        let ours = ["127.0.0.1", "192.0.2.1", "fe80::1"].map(|addr| addr.parse().unwrap());
        let listed = servers(ANSWERS.map(|(addr, said)| found(addr, said)).to_vec(), &ours);
        let expected = [
            "192.0.2.5:8001",
            "[fe80::5%2]:8001",
            "[fe80::7%2]:8001",
            "192.0.2.1:8001",
            "192.0.2.8:8001",
            "192.0.2.9:8001",
        ];
        assert_eq!(shown(&listed), expected);
    }

    #[test]
    fn of_several_servers_that_of_this_host_is_asked_or_the_first_by_name_whoever_answers_first() {
        let ours = ["192.0.2.1".parse().unwrap()];
        let mut listed = servers(ANSWERS.map(|(addr, said)| found(addr, said)).to_vec(), &ours);
        for expected in ["192.0.2.1:8001", "127.0.0.1:8001", "192.0.2.8:8001", "192.0.2.9:8001", "192.0.2.5:8001"] {
            let backwards: Vec<Found> = listed.iter().rev().cloned().collect();
            let chosen = choose(&listed, &ours).unwrap().source;
            assert_eq!((chosen.to_string(), choose(&backwards, &ours).unwrap().source), (expected.to_owned(), chosen));
            listed.retain(|found| found.source != chosen);
        }
        assert_eq!(choose(&[], &ours), None);
    }
}
