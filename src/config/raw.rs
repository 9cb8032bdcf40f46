//! What the files say: each key that stands there, with its value as it is written and the place where it stands.
//!
//! Files are read key by key, in order, so a later file replaces single keys of an earlier one, and one bad value does
//! not hide another. Keys that nobody knows are refused here; values are held to more than their own form in `check`.

use super::error::{ConfigError, Problem};
use super::setting::{Glob, Setting};
use super::{LineFormat, LogTarget, Source, Timezone, Transform};
use crate::core::access::AccessRule;
use crate::core::rate::{ByteRate, Rate};
use log::LevelFilter;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

/// A place in the sources.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct At {
    pub(super) file: usize,
    pub(super) span: Range<usize>,
}

/// Something that is wrong, before it is shown in its line.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: At,
    pub(super) message: String,
    pub(super) help: Option<String>,
}

/// A value and where it stands; nowhere when it is a default.
#[derive(Clone, Debug)]
pub(super) struct Said<T> {
    pub(super) value: T,
    pub(super) at: Option<At>,
}

/// The entries of a list, each with its place.
pub(super) type List<T> = Vec<Spanned<T>>;

macro_rules! tables {
    ($($(#[$doc:meta])* $table:ident $Table:ident { $($key:ident $name:literal: $type:ty = $read:ident,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Default)]
            pub(super) struct $Table {
                $(pub(super) $key: Option<Said<$type>>,)*
            }
        )*

        /// All that the files say.
        #[derive(Debug, Default)]
        pub(super) struct Raw {
            $(pub(super) $table: $Table,)*
        }

        /// Every table with its keys.
        pub(super) const TABLES: &[(&str, &[&str])] = &[$((stringify!($table), &[$($name,)*]),)*];

        impl Raw {
            /// Takes over one key, which is one of [`TABLES`].
            fn set(
                &mut self,
                (table, key): (&str, &str),
                value: ValueDeserializer<'_>,
                at: At,
            ) -> Result<(), toml::de::Error> {
                let at = Some(at);
                match (table, key) {
                    $($((stringify!($table), $name) => {
                        self.$table.$key = Some(Said { value: $read(value)?, at });
                    })*)*
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

tables! {
    /// `[log]`
    log Log {
        target "target": LogTarget = text,
        level "level": LevelFilter = text,
    }
    /// `[access]`
    access Access {
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
    }
    /// `[time]`
    time Time {
        enabled "enabled": bool = flag,
        listen "listen": List<SocketAddr> = list,
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
        default_format "default-format": String = text,
        timezone "timezone": Timezone = text,
        rate_limit "rate-limit": Option<Rate> = text,
    }
    /// `[chat]`
    chat Chat {
        enabled "enabled": bool = flag,
        listen "listen": List<SocketAddr> = list,
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
        heartbeat_interval "heartbeat-interval": Duration = text,
        heartbeat_timeout "heartbeat-timeout": Duration = text,
        silent_timeout "silent-timeout": Duration = text,
        echo_to_sender "echo-to-sender": bool = flag,
        line_format "line-format": LineFormat = text,
        max_message "max-message": usize = count,
        max_members "max-members": usize = count,
        max_members_per_address "max-members-per-address": usize = count,
        history "history": usize = count,
        log_messages "log-messages": bool = flag,
        rate_limit "rate-limit": Option<Rate> = text,
        fan_out "fan-out": Option<ByteRate> = text,
    }
    /// `[announce]`
    announce Announce {
        enabled "enabled": bool = flag,
        listen "listen": List<SocketAddr> = list,
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
        groups "groups": List<IpAddr> = list,
        interfaces "interfaces": List<Glob> = list,
        interval "interval": Duration = text,
        rate_limit "rate-limit": Option<Rate> = text,
    }
    /// `[ntp]`
    ntp Ntp {
        enabled "enabled": bool = flag,
        listen "listen": List<SocketAddr> = list,
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
        stratum "stratum": usize = count,
        local_stratum "local-stratum": usize = count,
        listen_rfc868 "listen-rfc868": List<SocketAddr> = list,
        listen_rfc867 "listen-rfc867": List<SocketAddr> = list,
        rate_limit "rate-limit": Option<Rate> = text,
    }
    /// `[echo]`
    echo Echo {
        enabled "enabled": bool = flag,
        listen "listen": List<SocketAddr> = list,
        allow "allow": List<AccessRule> = list,
        deny "deny": List<AccessRule> = list,
        transform "transform": Transform = text,
        rate_limit "rate-limit": Option<Rate> = text,
        max_connections "max-connections": usize = count,
        max_connections_per_address "max-connections-per-address": usize = count,
        idle_timeout "idle-timeout": Duration = text,
    }
}

/// Reads all sources, one after the other.
pub(super) fn read(sources: &[Source<'_>]) -> Result<Raw, Vec<Fault>> {
    let mut raw = Raw::default();
    let mut faults = Vec::new();
    for (file, source) in sources.iter().enumerate() {
        read_one(file, source, &mut raw, &mut faults);
    }
    if faults.is_empty() { Ok(raw) } else { Err(faults) }
}

/// As many problems as anybody mends before trying again.
const PROBLEMS_MAX: usize = 20;

/// Shows each fault in its line, in the order of the lines.
pub(super) fn explain(mut faults: Vec<Fault>, sources: &[Source<'_>]) -> ConfigError {
    faults.sort_by_key(|fault| (fault.at.file, fault.at.span.start));
    let omitted = faults.len().saturating_sub(PROBLEMS_MAX);
    faults.truncate(PROBLEMS_MAX);
    let nowhere = Source { file: "built-in defaults", text: "" };
    let problems = faults.into_iter().map(|fault| {
        let source = sources.get(fault.at.file).unwrap_or(&nowhere);
        Problem::new(source.file, source.text, fault.at.span, fault.message, fault.help)
    });
    ConfigError { problems: problems.collect(), omitted }
}

fn read_one(file: usize, source: &Source<'_>, raw: &mut Raw, faults: &mut Vec<Fault>) {
    // Only the first such mistake is shown: what follows it is a guess at what was meant.
    let tables = match DeTable::parse(source.text) {
        Ok(tables) => tables,
        Err(error) => return faults.push(fault_of(&error, file, "not TOML", 0..0)),
    };
    for (name, table) in tables.into_inner() {
        let (name_span, name) = (name.span(), name.into_inner());
        let at = |span| At { file, span };
        let Some(&(name, keys)) = TABLES.iter().find(|(known, _)| *known == name) else {
            faults.push(unknown_table(&name, table.get_ref(), at(name_span)));
            continue;
        };
        let DeValue::Table(entries) = table.into_inner() else {
            let help = format!("expected a table: [{name}] on a line of its own, and its keys below");
            faults.push(Fault { at: at(name_span), message: format!("{name} is a table"), help: Some(help) });
            continue;
        };
        for (key, value) in entries {
            let Some(&known) = keys.iter().find(|known| key.get_ref() == *known) else {
                faults.push(unknown_key(key.get_ref(), name, keys, at(key.span())));
                continue;
            };
            let span = value.span();
            if let Err(error) = raw.set((name, known), value.into(), at(span.clone())) {
                faults.push(fault_of(&error, file, known, span));
            }
        }
    }
}

/// An error of the TOML or serde crates in our words: both put "expected" behind the last comma.
fn fault_of(error: &toml::de::Error, file: usize, key: &str, value: Range<usize>) -> Fault {
    let span = error.span().unwrap_or_else(|| value.clone());
    let (reason, help) = match error.message().rsplit_once(EXPECTED) {
        Some((reason, expected)) => (reason, Some(format!("expected {expected}"))),
        None => (error.message(), None),
    };
    let message = match reason.strip_prefix("invalid type: ") {
        Some(found) if span == value => format!("{key} cannot be {found}"),
        Some(found) => format!("an entry of {key} cannot be {found}"),
        None => format!("{key}: {reason}"),
    };
    Fault { at: At { file, span }, message, help }
}

const EXPECTED: &str = ", expected ";

fn unknown_table(name: &str, value: &DeValue<'_>, at: At) -> Fault {
    if !value.is_table() {
        let homes: Vec<_> = TABLES.iter().filter(|(_, keys)| keys.contains(&name)).map(|(table, _)| *table).collect();
        let help = match homes.as_slice() {
            [] => "expected keys below a table such as [time]".to_owned(),
            homes => format!("expected it below [{}]", homes.join("] or [")),
        };
        return Fault { at, message: format!("{name} stands outside of all tables"), help: Some(help) };
    }
    let tables: Vec<_> = TABLES.iter().map(|(table, _)| *table).collect();
    let help = match nearest(name, &tables) {
        Some(table) => format!("did you mean [{table}]?"),
        None => format!("expected [{}]", tables.join("], [")),
    };
    Fault { at, message: format!("unknown table [{name}]"), help: Some(help) }
}

fn unknown_key(key: &str, table: &str, keys: &[&str], at: At) -> Fault {
    let home = TABLES.iter().find(|(_, keys)| keys.contains(&key));
    let help = match (nearest(key, keys), home) {
        (_, Some((home, _))) => format!("did you mean {key} of [{home}]?"),
        (Some(near), None) => format!("did you mean {near}?"),
        (None, None) => format!("expected {}", keys.join(", ")),
    };
    Fault { at, message: format!("unknown key {key} in [{table}]"), help: Some(help) }
}

/// The name that differs least, by a third of its letters at most.
pub(crate) fn nearest<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    // Nobody mistypes a name of 20 letters into one of 200, and the distance takes the product of both.
    if word.len() > 64 {
        return None;
    }
    let distances = names.iter().map(|&name| (strsim::osa_distance(word, name), name));
    let (distance, name) = distances.min()?;
    (distance * 3 <= name.len().max(3)).then_some(name)
}

/// Reads a string as a setting.
fn text<'de, T: Setting, D: Deserializer<'de>>(value: D) -> Result<T, D::Error> {
    value.deserialize_any(TextVisitor(PhantomData))
}

struct TextVisitor<T>(PhantomData<T>);

impl<T: Setting> Visitor<'_> for TextVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
        T::from_text(text).map_err(|reason| E::custom(format_args!("{reason}{EXPECTED}{}", T::EXPECTED)))
    }
}

/// Reads a list of strings as settings.
fn list<'de, T: Setting, D: Deserializer<'de>>(value: D) -> Result<List<T>, D::Error> {
    value.deserialize_any(ListVisitor(PhantomData))
}

struct ListVisitor<T>(PhantomData<T>);

/// An entry of a list.
struct Entry<T>(T);

impl<'de, T: Setting> Deserialize<'de> for Entry<T> {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        text(value).map(Self)
    }
}

impl<'de, T: Setting> Visitor<'de> for ListVisitor<T> {
    type Value = List<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list in brackets, each entry {}", T::EXPECTED)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<List<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element::<Spanned<Entry<T>>>()? {
            list.push(Spanned::new(entry.span(), entry.into_inner().0));
        }
        Ok(list)
    }
}

/// Reads `true` or `false`.
fn flag<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    struct Flag;

    impl Visitor<'_> for Flag {
        type Value = bool;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true or false")
        }

        fn visit_bool<E>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
    }

    value.deserialize_any(Flag)
}

/// Reads a count.
fn count<'de, D: Deserializer<'de>>(value: D) -> Result<usize, D::Error> {
    struct Count;

    impl Visitor<'_> for Count {
        type Value = usize;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number")
        }

        fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<usize, E> {
            usize::try_from(value)
                .map_err(|_| E::custom(format_args!("{value} is not a count{EXPECTED}a whole number, 0 or more")))
        }
    }

    value.deserialize_any(Count)
}
