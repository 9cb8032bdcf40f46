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

use super::Server;
use crate::client::Failure;
use crate::services::ServiceName;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;

/// What the file says; nothing, where there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contacts {
    /// Who is asked when nobody is named.
    #[serde(default)]
    pub(crate) server: Option<Server>,
    /// What we would like to be called in rooms.
    #[serde(default)]
    pub(crate) name: Option<String>,
    #[serde(default)]
    servers: BTreeMap<String, Entry>,
}

/// A server as the file has it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
enum Entry {
    Short(Server),
    Long(Contact),
}

/// A server with the ports of its services, where they are not the usual ones.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Contact {
    #[serde(rename = "host")]
    pub(super) server: Server,
    #[serde(default)]
    time: Option<u16>,
    #[serde(default)]
    announce: Option<u16>,
    #[serde(default)]
    chat: Option<u16>,
}

impl Contact {
    pub(super) fn port(&self, service: ServiceName) -> Option<u16> {
        match service {
            ServiceName::Time => self.time,
            ServiceName::Announce => self.announce,
            ServiceName::Chat => self.chat,
        }
    }
}

impl Contacts {
    /// Those of this user.
    pub(crate) fn read() -> Result<Self, Failure> {
        let Some(path) = path() else { return Ok(Self::default()) };
        match std::fs::read_to_string(&path) {
            Ok(text) => toml::from_str(&text).map_err(|error| Failure::Failed(format!("{}: {error}", path.display()))),
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(Self::default()),
            Err(error) => Err(Failure::Failed(format!("cannot read {}: {error}", path.display()))),
        }
    }

    /// The server of this name.
    pub(super) fn get(&self, name: &str) -> Option<Contact> {
        Some(match self.servers.get(name)? {
            Entry::Long(contact) => contact.clone(),
            Entry::Short(server) => Contact { server: server.clone(), time: None, announce: None, chat: None },
        })
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

impl<'de> Deserialize<'de> for Server {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
