//! `belfry who` and `belfry rooms`: who is there, and where, asked without coming in.
//!
//! A line for each, in columns for people, or a JSON object for programs. Names and texts are those of strangers.

use super::columns::{aligned, to_the_right};
use super::link::Link;
use super::listing::{Entries, List, ListError, Listing, MemberEntry, RoomEntry, Wanted};
use super::print::object;
use super::{Failure, LOBBY, Who, complain, shown};
use crate::core::Instant;
use crate::daemon::seed;
use crate::services::ServiceName;
use clap::Args;
use serde::Serialize;
use std::io::Write;
use std::time::Duration;

/// What `belfry who` can be told.
#[derive(Debug, Args)]
pub(super) struct MembersOptions {
    /// The room; the hub's lobby when there is none
    room: Option<String>,
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// What `belfry rooms` can be told.
#[derive(Debug, Args)]
pub(super) struct RoomsOptions {
    /// Print a JSON object for each
    #[arg(long)]
    json: bool,
}

/// A member as programs read it.
#[derive(Serialize)]
struct Member<'a> {
    room: &'a str,
    name: &'a str,
    away: bool,
    text: Option<&'a str>,
    idle: Option<u64>,
    in_reach: bool,
}

/// A room as programs read it.
#[derive(Serialize)]
struct Room<'a> {
    name: &'a str,
    members: u64,
    topic: Option<&'a str>,
}

/// Lists the members of a room.
pub(super) fn who(who: &Who, options: &MembersOptions, out: &mut impl Write) -> Result<(), Failure> {
    let room = options.room.as_deref().unwrap_or(LOBBY);
    let room = room.strip_prefix('#').unwrap_or(room);
    list(who, &Wanted::Members(room.to_owned()), options.json, out)
}

/// Lists the rooms.
pub(super) fn rooms(who: &Who, options: &RoomsOptions, out: &mut impl Write) -> Result<(), Failure> {
    list(who, &Wanted::Rooms, options.json, out)
}

fn list(who: &Who, wanted: &Wanted, is_json: bool, out: &mut impl Write) -> Result<(), Failure> {
    let list = Link::with_first(who, ServiceName::Chat, |link, patience| fetch(&link, wanted, patience))?;
    let text = if is_json { json(&list) } else { columns(&list) };
    out.write_all(text.as_bytes()).map_err(Failure::printing)?;
    let count = match &list.entries {
        Entries::Rooms(rooms) => rooms.len(),
        Entries::Members(members) => members.len(),
    };
    if usize::try_from(list.total).is_ok_and(|total| total > count) {
        complain(&format!("{count} of {}", list.total));
    }
    Ok(())
}

/// Asks for a list; `timeout` is how long a page of it may take.
fn fetch(link: &Link, wanted: &Wanted, timeout: Duration) -> Result<List, Failure> {
    let seed = seed().map_err(Failure::to("read /dev/urandom"))?;
    let mut listing = Listing::new(seed);
    listing.ask(wanted.clone(), link.now()).map_err(|error| failure(&error, wanted))?;
    let (mut pages, mut until) = (0, link.now() + timeout);
    loop {
        turn(link, &mut listing, until)?;
        if let Some(answer) = listing.poll() {
            return answer.map_err(|error| failure(&error, wanted));
        }
        if std::mem::replace(&mut pages, listing.page_count()) != listing.page_count() {
            until = link.now() + timeout;
        }
        if until <= link.now() {
            return Err(link.no_answer(timeout));
        }
    }
}

/// Sends what is due, and waits for a datagram; no longer than until then.
pub(super) fn turn(link: &Link, listing: &mut Listing, until: Instant) -> Result<(), Failure> {
    let now = link.now();
    listing.handle_timeout(now);
    while let Some(datagram) = listing.poll_datagram(now) {
        link.send(&datagram)?;
    }
    let wake = listing.next_timeout().unwrap_or(until).min(until);
    if let Some(datagram) = link.receive(wake)? {
        listing.handle_datagram(link.now(), &datagram);
    }
    Ok(())
}

fn failure(error: &ListError, wanted: &Wanted) -> Failure {
    let room = match wanted {
        Wanted::Members(room) => shown(room.as_bytes(), " "),
        Wanted::Rooms => String::new(),
    };
    match error {
        ListError::BadName => Failure::Usage(format!("{room:?} is not a room name")),
        ListError::NoSuchRoom => Failure::Refused(format!("there is no room {room}; belfry rooms lists them")),
        ListError::Full => Failure::Refused("too much is asked for at once".to_owned()),
        ListError::Refused(text) => Failure::Refused(shown(text.as_bytes(), " ")),
    }
}

fn json(list: &List) -> String {
    let lines: Vec<String> = match (&list.entries, &list.wanted) {
        (Entries::Members(members), Wanted::Members(room)) => members
            .iter()
            .map(|MemberEntry { name, is_away, away_text, in_reach, idle }| {
                let (text, idle) = (away_text.as_deref(), idle.map(|idle| idle.as_secs()));
                object(&Member { room, name, away: *is_away, text, idle, in_reach: *in_reach })
            })
            .collect(),
        (Entries::Rooms(rooms), _) => rooms
            .iter()
            .map(|RoomEntry { name, members, topic }| {
                object(&Room { name, members: *members, topic: topic.as_deref() })
            })
            .collect(),
        (Entries::Members(_), Wanted::Rooms) => Vec::new(),
    };
    lines.into_iter().map(|line| line + "\n").collect()
}

fn columns(list: &List) -> String {
    let cleaned = |text: &str| shown(text.as_bytes(), " ");
    let mut rows: Vec<[String; 3]> = match &list.entries {
        Entries::Rooms(rooms) => rooms
            .iter()
            .map(|room| {
                let topic = room.topic.as_deref().map(cleaned).unwrap_or_default();
                [cleaned(&room.name), room.members.to_string(), topic]
            })
            .collect(),
        Entries::Members(members) => members
            .iter()
            .map(|member| {
                let idle = member.idle.map(age).unwrap_or_default();
                [cleaned(&member.name), idle, presence(member)]
            })
            .collect(),
    };
    to_the_right(&mut rows, 1);
    aligned(&rows).map(|line| line + "\n").collect()
}

/// What there is to say of a member beside when it last said something.
fn presence(member: &MemberEntry) -> String {
    let mut words = Vec::new();
    if member.is_away {
        let text = member.away_text.as_deref().map(|text| format!(": {}", shown(text.as_bytes(), " ")));
        words.push(format!("away{}", text.unwrap_or_default()));
    }
    if !member.in_reach {
        words.push("out of reach".to_owned());
    }
    words.join(", ")
}

/// How long ago something was, in its largest unit.
fn age(idle: Duration) -> String {
    match idle.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}min", seconds / 60),
        seconds @ 3_600..86_400 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, away: Option<&str>, idle: u64) -> MemberEntry {
        MemberEntry {
            name: name.to_owned(),
            is_away: away.is_some(),
            away_text: away.map(str::to_owned),
            in_reach: name != "carl",
            idle: Some(Duration::from_secs(idle)),
        }
    }

    fn members() -> List {
        let entries =
            vec![member("anna", None, 12), member("carl", Some("lunch\u{1b}[2J"), 300), member("アンナ", None, 90_000)];
        List { wanted: Wanted::Members("lobby".to_owned()), total: 3, entries: Entries::Members(entries) }
    }

    #[test]
    fn people_read_columns_that_nothing_in_them_can_break() {
        let expected = "anna     12s\ncarl    5min  away: lunch\\u{1b}[2J, out of reach\nアンナ    1d\n";
        assert_eq!(columns(&members()), expected);
        let room = |name: &str, members, topic: Option<&str>| RoomEntry {
            name: name.to_owned(),
            members,
            topic: topic.map(str::to_owned),
        };
        let rooms = vec![room("lobby", 12, None), room("tea", 3, Some("green\nor black"))];
        let list = List { wanted: Wanted::Rooms, total: 2, entries: Entries::Rooms(rooms) };
        assert_eq!(columns(&list), "lobby  12\ntea     3  green or black\n");
    }

    #[test]
    fn programs_read_an_object_a_line() {
        let json = json(&members());
        let lines: Vec<&str> = json.lines().collect();
        assert_eq!(
            lines[..2],
            [
                r#"{"room":"lobby","name":"anna","away":false,"text":null,"idle":12,"in_reach":true}"#,
                r#"{"room":"lobby","name":"carl","away":true,"text":"lunch\u001b[2J","idle":300,"in_reach":false}"#,
            ]
        );
    }

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let ages =
            [(0, "0s"), (59, "59s"), (60, "1min"), (3_599, "59min"), (3_600, "1h"), (86_399, "23h"), (86_400, "1d")];
        for (seconds, text) in ages {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }
}
