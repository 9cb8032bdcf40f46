//! The contacts: what the user calls which server, in `~/.config/belfry/belfry.toml`.
//!
//! ```toml
//! server = "workshop"                  # who is asked when nobody is named
//! name = "anna"                        # what we are called in rooms
//!
//! [servers]
//! workshop = "192.0.2.7"
//! attic = { host = "attic.lan", time = 8081, chat = 9998 }
//! ```
//!
//! It is read key by key, so that a mistake is shown in its line, as belfryd shows those in its configuration.

use super::Server;
use crate::client::Failure;
use crate::client::talker::may_be_called;
use crate::config::{Problem, nearest};
use crate::core::limits::NAME_MAX;
use crate::daemon::config_file::{LoadError, read_file};
use crate::services::ServiceName;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::PathBuf;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The keys of the file.
const KEYS: [&str; 3] = ["server", "name", "servers"];

/// What the file says; nothing, where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contacts {
    /// Who is asked when nobody is named.
    pub(crate) server: Option<Server>,
    /// What we would like to be called in rooms.
    pub(crate) name: Option<String>,
    servers: BTreeMap<String, Contact>,
}

/// A server with the ports of its services, where they are not the usual ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Contact {
    pub(super) server: Server,
    ports: BTreeMap<ServiceName, u16>,
}

impl Contact {
    pub(super) fn port(&self, service: ServiceName) -> Option<u16> {
        self.ports.get(&service).copied()
    }
}

impl Contacts {
    /// Those of this user.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        let file = path.display().to_string();
        match read_file(&path) {
            Ok(text) => Self::parse(&file, &text).map_err(|problem| Failure::Failed(problem.to_string())),
            Err(LoadError::Read(_, error))
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                Ok(Self::default())
            }
            Err(error) => Err(Failure::Failed(error.to_string())),
        }
    }

    /// Those of a file with this name and text.
    pub(super) fn parse(file: &str, text: &str) -> Result<Self, Box<Problem>> {
        let show = |Fault { span, message, help }| Box::new(Problem::new(file, text, span, message, help));
        read(text).map_err(show)
    }

    /// The server of this name.
    pub(super) fn get(&self, name: &str) -> Option<&Contact> {
        self.servers.get(name)
    }

    /// What the servers are called.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.servers.keys().map(String::as_str)
    }
}

/// Where the file is (XDG Base Directory Specification).
fn path() -> Option<PathBuf> {
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = base.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(base.join("belfry/belfry.toml"))
}

/// Something that is wrong, before it is shown in its line.
#[derive(Debug)]
struct Fault {
    span: Range<usize>,
    message: String,
    help: Option<String>,
}

fn fault<T>(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Result<T, Fault> {
    Err(Fault { span, message: message.into(), help: Some(help.into()).filter(|help| !help.is_empty()) })
}

fn read(text: &str) -> Result<Contacts, Fault> {
    let table = DeTable::parse(text).or_else(|error| {
        let span = error.span().unwrap_or_default();
        fault(span, format!("not TOML: {}", error.message()), "")
    })?;
    let mut contacts = Contacts::default();
    for (key, value) in table.into_inner() {
        match key.get_ref().as_ref() {
            "server" => contacts.server = Some(server("server", value)?),
            "name" => contacts.name = Some(name(value)?),
            "servers" => contacts.servers = servers(value)?,
            _ => return unknown(&key, &KEYS),
        }
    }
    Ok(contacts)
}

fn servers(value: Spanned<DeValue<'_>>) -> Result<BTreeMap<String, Contact>, Fault> {
    let span = value.span();
    let DeValue::Table(entries) = value.into_inner() else {
        return fault(span, "servers is a table", "expected [servers] on a line of its own, and names below");
    };
    let mut servers = BTreeMap::new();
    for (key, value) in entries {
        let name = key.get_ref();
        if !name.parse().is_ok_and(|server: Server| server.may_be_name() && server.port.is_none()) {
            return fault(key.span(), format!("no server can be called {name:?}"), "expected a name such as workshop");
        }
        servers.insert(name.to_string(), contact(name, value)?);
    }
    Ok(servers)
}

/// An address, or a table with one and with ports.
fn contact(name: &str, value: Spanned<DeValue<'_>>) -> Result<Contact, Fault> {
    let span = value.span();
    if !value.get_ref().is_table() {
        return Ok(Contact { server: server(name, value)?, ports: BTreeMap::new() });
    }
    let DeValue::Table(entries) = value.into_inner() else { return fault(span, format!("{name} is a table"), "") };
    let (mut host, mut ports) = (None, BTreeMap::new());
    for (key, value) in entries {
        let service = ServiceName::ALL.into_iter().find(|service| service.name() == key.get_ref());
        match service {
            Some(service) => drop(ports.insert(service, port(service.name(), value)?)),
            None if key.get_ref() == "host" => host = Some(server("host", value)?),
            None => return unknown(&key, &["host", "time", "ntp", "announce", "echo", "chat"]),
        }
    }
    match host {
        Some(server) => Ok(Contact { server, ports }),
        None => fault(span, format!("{name} has no host"), "expected { host = \"192.0.2.7\", … }"),
    }
}

fn unknown<T>(key: &Spanned<impl AsRef<str>>, keys: &[&str]) -> Result<T, Fault> {
    let name = key.get_ref().as_ref();
    let help = match nearest(name, keys) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("expected {}", keys.join(", ")),
    };
    fault(key.span(), format!("unknown key {name}"), help)
}

fn string(key: &str, value: Spanned<DeValue<'_>>) -> Result<Spanned<String>, Fault> {
    let span = value.span();
    match String::deserialize(toml::de::ValueDeserializer::from(value)) {
        Ok(text) => Ok(Spanned::new(span, text)),
        Err(_) => fault(span, format!("{key} is a string"), "expected it in quotes"),
    }
}

fn name(value: Spanned<DeValue<'_>>) -> Result<String, Fault> {
    let name = string("name", value)?;
    if may_be_called(name.get_ref()) {
        return Ok(name.into_inner());
    }
    let message = format!("nobody can be called {:?}", name.get_ref());
    fault(
        name.span(),
        message,
        format!("expected at most {NAME_MAX} bytes of letters, digits, - _ ., a letter or digit first"),
    )
}

fn server(key: &str, value: Spanned<DeValue<'_>>) -> Result<Server, Fault> {
    let text = string(key, value)?;
    text.get_ref().parse().or_else(|why: String| fault(text.span(), format!("{key}: {why}"), ""))
}

fn port(key: &str, value: Spanned<DeValue<'_>>) -> Result<u16, Fault> {
    let span = value.span();
    match u16::deserialize(toml::de::ValueDeserializer::from(value)) {
        Ok(port @ 1..) => Ok(port),
        _ => fault(span, format!("{key} is a port"), "expected a number from 1 to 65535"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Contacts, String> {
        Contacts::parse("belfry.toml", text).map_err(|problem| problem.to_string())
    }

    #[test]
    fn the_file_says_who_is_asked_how_we_are_called_and_where_servers_are() {
        let contacts = parse(
            "server = \"workshop\"\nname = \"anna\"\n[servers]\nworkshop = \"192.0.2.7\"\n\
             attic = { host = \"attic.lan:7\", time = 8081, chat = 9998 }\n",
        );
        let contacts = contacts.unwrap();
        assert_eq!(contacts.server, Some("workshop".parse().unwrap()));
        assert_eq!(contacts.name.as_deref(), Some("anna"));
        assert_eq!(contacts.names().collect::<Vec<_>>(), ["attic", "workshop"]);
        let attic = contacts.get("attic").unwrap();
        assert_eq!(attic.server, "attic.lan:7".parse().unwrap());
        let ports = ServiceName::ALL.map(|service| (service.name(), attic.port(service)));
        let service_ports =
            [("time", Some(8081)), ("ntp", None), ("announce", None), ("echo", None), ("chat", Some(9998))];
        assert_eq!(ports, service_ports);
        assert_eq!(contacts.get("workshop").unwrap().port(ServiceName::Time), None);
        assert_eq!(contacts.get("cellar"), None);
        assert_eq!(parse(""), Ok(Contacts::default()));
    }

    #[test]
    fn what_the_readme_shows_can_be_read() {
        let shown =
            include_str!("../../../README.md").split("belfry.toml`, where all of this may be left out:\n\n```toml\n");
        let shown = shown.last().and_then(|rest| rest.split("```").next()).expect("it shows one");
        let contacts = parse(shown).unwrap();
        assert_eq!(contacts.names().collect::<Vec<_>>(), ["attic", "workshop"]);
        assert_eq!(contacts.get("attic").unwrap().port(ServiceName::Chat), Some(9998));
    }

    #[test]
    fn what_is_wrong_is_shown_where_it_stands_with_what_would_be_right() {
        let cases = [
            ("servr = \"a\"", "1:1: unknown key servr", "did you mean server?"),
            ("colour = 1", "1:1: unknown key colour", "expected server, name, servers"),
            ("name = \"a\"\nserver = 7", "2:10: server is a string", "expected it in quotes"),
            ("server = \"a:b\"", "1:10: server: \"b\" is not a port from 1 to 65535", ""),
            (
                "name = \"anna b\"",
                "1:8: nobody can be called \"anna b\"",
                "expected at most 32 bytes of letters, digits, - _ ., a letter or digit first",
            ),
            ("servers = 1", "1:11: servers is a table", "expected [servers] on a line of its own, and names below"),
            ("[servers]\na = true", "2:5: a is a string", "expected it in quotes"),
            ("[servers]\n\"a b\" = \"c\"", "2:1: no server can be called \"a b\"", "expected a name such as workshop"),
            ("[servers]\n\"::1\" = \"c\"", "2:1: no server can be called \"::1\"", "expected a name such as workshop"),
            ("[servers]\na = { time = 1 }", "2:5: a has no host", "expected { host = \"192.0.2.7\", … }"),
            ("[servers]\na = { hots = \"c\" }", "2:7: unknown key hots", "did you mean host?"),
            ("[servers]\na = { host = \"c\", time = 0 }", "2:26: time is a port", "expected a number from 1 to 65535"),
            (
                "[servers]\na = { host = \"c\", chat = 65536 }",
                "2:26: chat is a port",
                "expected a number from 1 to 65535",
            ),
        ];
        for (text, place, help) in cases {
            let problem = parse(text).unwrap_err();
            let lines: Vec<&str> = problem.lines().collect();
            assert_eq!(lines[0], format!("belfry.toml:{place}"), "{text}");
            assert!(lines[2].contains('^'), "{problem}");
            assert_eq!(lines.get(3).map_or("", |line| line.trim()), help, "{text}");
        }
        assert!(parse("server = ").unwrap_err().starts_with("belfry.toml:1:"));
    }
}
