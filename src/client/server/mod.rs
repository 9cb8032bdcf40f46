//! Which server is asked.
//!
//! The first of these that there is: `--server`, `BELFRY_SERVER`, `server` in the contacts (`contacts.rs`), the server of this
//! host or of this network that answers discovery, and at last 127.0.0.1. It is written `HOST`, `HOST:PORT`, `[V6]:PORT`, as a bare
//! IPv6 address, or as a name of the contacts.

mod contacts;

use contacts::Contact;
pub(super) use contacts::Contacts;

use super::discover::{self, Found};
use super::{Failure, Who};
use crate::services::ServiceName;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;

/// The variable that names the server where `--server` does not.
const VARIABLE: &str = "BELFRY_SERVER";

/// A server that was chosen, and why that one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    /// What it is called, for people.
    pub(super) name: String,
    pub(super) origin: Origin,
    place: Place,
}

/// Why a server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// `--server` says so.
    Option,
    /// `BELFRY_SERVER` says so.
    Environment,
    /// `server` in the contacts says so.
    Contacts,
    /// It has answered discovery.
    Discovered,
    /// Nothing says anything, and nobody has answered.
    Loopback,
}

impl Origin {
    /// The same in words.
    pub(super) fn why(self) -> &'static str {
        match self {
            Self::Option => "--server names it",
            Self::Environment => "BELFRY_SERVER names it",
            Self::Contacts => "the contacts name it",
            Self::Discovered => "it has answered discovery",
            Self::Loopback => "nobody is named, and nobody has answered discovery",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    /// As it is written.
    Written(Server),
    /// As the contacts have it, and the port of the service that is asked, where one was written behind the name.
    Contact(Contact, Option<u16>),
    /// As it has announced itself.
    Found(Found),
}

impl Chosen {
    /// Where one of its services is, in the order of preference; there is at least one address.
    pub(super) fn resolve(&self, service: ServiceName) -> Result<Vec<SocketAddr>, Failure> {
        self.resolve_at(service, usual_port(service))
    }

    /// The same, where another port is the usual one.
    pub(super) fn resolve_at(&self, service: ServiceName, usual: u16) -> Result<Vec<SocketAddr>, Failure> {
        match &self.place {
            Place::Written(server) => server.resolve(usual).map_err(|failure| among_contacts(server, failure)),
            Place::Contact(contact, Some(port)) => contact.server.clone().at(*port).resolve(usual),
            Place::Contact(contact, None) => contact.server.resolve(contact.port(service).unwrap_or(usual)),
            Place::Found(found) => Ok(vec![found.addr_of(service.name()).unwrap_or_else(|| found.addr_at(usual))]),
        }
    }

    /// A failure to reach it, with what was tried before it was chosen.
    pub(super) fn explain(&self, failure: Failure) -> Failure {
        match failure {
            Failure::NoAnswer { addrs, timeout, .. } => {
                let origin = Some(self.origin).filter(|origin| *origin != Origin::Option);
                Failure::NoAnswer { addrs, timeout, origin }
            }
            Failure::NobodyListens(_) if self.origin == Origin::Loopback => Failure::NobodyThere(format!(
                "no server found: {failure}, and nobody answered on the network; name a server with --server HOST"
            )),
            failure => failure,
        }
    }
}

/// Contacts that are named where none of them was meant.
const NAMED_MAX: usize = 16;

/// What may have been meant by a name that nobody knows.
fn among_contacts(server: &Server, failure: Failure) -> Failure {
    let contacts = if server.may_be_name() { Contacts::read().unwrap_or_default() } else { Contacts::default() };
    let names: Vec<&str> = contacts.names().take(NAMED_MAX).collect();
    match failure {
        Failure::Failed(why) if !names.is_empty() => {
            Failure::Failed(format!("{why}; the contacts are {}", names.join(", ")))
        }
        failure => failure,
    }
}

impl Who {
    /// The one server that is asked.
    pub(super) fn server(&self) -> Result<Chosen, Failure> {
        let mut servers = self.servers()?;
        if servers.len() > 1 {
            return Err(Failure::Usage("one --server goes with this command, not several".to_owned()));
        }
        Ok(servers.remove(0))
    }

    /// Each that is named, or the one that is chosen; there is at least one.
    pub(super) fn servers(&self) -> Result<Vec<Chosen>, Failure> {
        if !self.server.is_empty() {
            return self.server.iter().map(|server| look_up(server, Origin::Option)).collect();
        }
        if let Some(text) = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty()) {
            let server: Server = text.parse().map_err(|why| Failure::Usage(format!("{VARIABLE}={text}: {why}")))?;
            return Ok(vec![look_up(&server, Origin::Environment)?]);
        }
        let contacts = Contacts::read()?;
        if let Some(server) = &contacts.server {
            return Ok(vec![choose(server, Origin::Contacts, &contacts)]);
        }
        let found = discover::nearest(self.timeout, self.is_hasty)?;
        Ok(vec![match found {
            Some(found) => Chosen { name: found.to_string(), origin: Origin::Discovered, place: Place::Found(found) },
            None => choose(&Server::loopback(), Origin::Loopback, &contacts),
        }])
    }
}

/// A server as somebody has written it, who may mean a contact. For an address no file is read.
fn look_up(server: &Server, origin: Origin) -> Result<Chosen, Failure> {
    let contacts = if server.may_be_name() { Contacts::read()? } else { Contacts::default() };
    Ok(choose(server, origin, &contacts))
}

fn choose(server: &Server, origin: Origin, contacts: &Contacts) -> Chosen {
    let place = match contacts.get(&server.host) {
        Some(contact) => Place::Contact(contact.clone(), server.port),
        None => Place::Written(server.clone()),
    };
    Chosen { name: server.to_string(), origin, place }
}

/// The port of a service where nothing else is said.
fn usual_port(service: ServiceName) -> u16 {
    match service {
        ServiceName::Time => 8080,
        ServiceName::Announce => 8001,
        ServiceName::Chat => 9999,
        ServiceName::Ntp => 123,
        ServiceName::Echo => 8888,
    }
}

/// A host by name or address; a port where it is not the usual one of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Server {
    host: String,
    port: Option<u16>,
}

impl Server {
    fn loopback() -> Self {
        Self { host: "127.0.0.1".to_owned(), port: None }
    }

    /// The same host at another port.
    fn at(self, port: u16) -> Self {
        Self { port: Some(port), ..self }
    }

    /// Whether it could be the name of a contact.
    fn may_be_name(&self) -> bool {
        self.host.parse::<std::net::IpAddr>().is_err() && !is_v6(&self.host)
    }
}

impl FromStr for Server {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("the ] is missing")?;
                if !is_v6(host) {
                    return Err(format!("{host:?} is not an IPv6 address"));
                }
                match after.strip_prefix(':') {
                    Some(port) => (host, Some(port)),
                    None if after.is_empty() => (host, None),
                    None => return Err(format!("expected :PORT behind the ], not {after:?}")),
                }
            }
            None if is_v6(text) => (text, None),
            None => match text.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() || host.contains(char::is_whitespace) {
            return Err("expected HOST, HOST:PORT, [IPV6]:PORT or IPV6".to_owned());
        }
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.host)
    }
}

impl Server {
    /// Its addresses, in the order of preference; there is at least one.
    pub(super) fn resolve(&self, usual_port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let found = (self.host.as_str(), self.port.unwrap_or(usual_port)).to_socket_addrs();
        let addrs: Vec<SocketAddr> = found.map_err(Failure::to(&format!("find {self}")))?.collect();
        if addrs.is_empty() { Err(Failure::Failed(format!("cannot find {self}: no addresses"))) } else { Ok(addrs) }
    }
}

/// With or without the interface behind it (`fe80::1%eth0`).
fn is_v6(text: &str) -> bool {
    text.split('%').next().is_some_and(|addr| addr.parse::<Ipv6Addr>().is_ok())
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port @ 1..) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(format!("{text:?} is not a port from 1 to 65535")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_written_in_each_usual_way() {
        let cases = [
            ("127.0.0.1", "127.0.0.1", None),
            ("127.0.0.1:8081", "127.0.0.1", Some(8081)),
            ("belfry.lan", "belfry.lan", None),
            ("belfry.lan:1", "belfry.lan", Some(1)),
            ("::1", "::1", None),
            ("[::1]", "::1", None),
            ("[::1]:65535", "::1", Some(65535)),
            ("fe80::1%eth0", "fe80::1%eth0", None),
            ("[fe80::1%eth0]:9999", "fe80::1%eth0", Some(9999)),
        ];
        for (text, host, port) in cases {
            assert_eq!(text.parse(), Ok(Server { host: host.to_owned(), port }), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_server_is_refused() {
        let cases =
            ["", ":80", "host:", "host:0", "host:+1", "host:65536", "[::1", "[::1]80", "[host]:80", "[]:80", "a b"];
        for text in cases {
            assert!(text.parse::<Server>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_of_the_contacts_stands_for_what_they_say_and_a_port_behind_it_for_the_service_that_is_asked() {
        let text = "[servers]\nattic = { host = \"192.0.2.8\", time = 8081, chat = 9998 }\nodd = \"192.0.2.9:7\"\n";
        let contacts = Contacts::parse("belfry.toml", text).unwrap();
        let cases = [
            ("attic", "192.0.2.8:8081", "192.0.2.8:9998", "192.0.2.8:8001"),
            ("attic:1", "192.0.2.8:1", "192.0.2.8:1", "192.0.2.8:1"),
            ("odd", "192.0.2.9:7", "192.0.2.9:7", "192.0.2.9:7"),
            ("192.0.2.8", "192.0.2.8:8080", "192.0.2.8:9999", "192.0.2.8:8001"),
        ];
        for (text, time, chat, announce) in cases {
            let chosen = choose(&text.parse().unwrap(), Origin::Option, &contacts);
            for (service, addr) in
                [(ServiceName::Time, time), (ServiceName::Chat, chat), (ServiceName::Announce, announce)]
            {
                assert_eq!(chosen.resolve(service).unwrap(), [addr.parse().unwrap()], "{text}");
            }
        }
    }

    #[test]
    fn a_closed_port_of_loopback_tells_what_was_tried_before_it() {
        let closed = || Failure::NobodyListens("127.0.0.1:9999".parse().unwrap());
        let explain = |origin| choose(&Server::loopback(), origin, &Contacts::default()).explain(closed()).to_string();
        assert_eq!(explain(Origin::Option), "nobody listens on 127.0.0.1:9999/udp");
        let told = "no server found: nobody listens on 127.0.0.1:9999/udp, and nobody answered on the network; \
                    name a server with --server HOST";
        assert_eq!(explain(Origin::Loopback), told);
    }

    #[test]
    fn the_port_that_is_given_stands_above_the_usual_one() {
        let cases = [("127.0.0.1", "127.0.0.1:8080"), ("127.0.0.1:7", "127.0.0.1:7"), ("::1", "[::1]:8080")];
        for (text, addr) in cases {
            let server: Server = text.parse().unwrap();
            assert_eq!(server.resolve(8080).unwrap(), [addr.parse().unwrap()]);
        }
    }
}
