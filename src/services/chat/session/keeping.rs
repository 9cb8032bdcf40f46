//! The sessions as lines of the hub that is kept, and back.

use super::super::member::{Member, MemberId, Since};
use super::super::message::{By, EntryLine};
use super::super::name;
use super::Hub;
use super::away::AwayId;
use super::table::{Presence, Session, Stay};
use crate::core::Now;
use crate::core::frame::{Epoch, MAILBOX, SessionId};
use crate::core::limits::{MAILBOX_MESSAGES_MAX, NUMBER_MAX, SESSION_ROOMS_MAX};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::rc::Rc;

/// Numbers that a mailbox leaves out when it comes back: more than anybody is told in the half of a second that may pass
/// until the hub is kept again.
const UNUSED: u64 = 1_000;

/// Stretches of such numbers that are remembered of a mailbox that nobody empties: as many kills as it has seen.
const UNUSED_RANGES_MAX: usize = MAILBOX_MESSAGES_MAX;

/// A session, here or away.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(in super::super) struct SessionLine<'a> {
    id: SessionId,
    #[serde(default)]
    start: u64,
    #[serde(default)]
    last: u64,
    #[serde(borrow)]
    name: Cow<'a, str>,
    rooms: Vec<StayLine>,
    mailbox: StayLine,
    /// What is in the mailbox, as lines of a history.
    #[serde(borrow, default, skip_serializing_if = "Vec::is_empty")]
    messages: Vec<EntryLine<'a>>,
    /// The numbers of the mailbox that were left out, in order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    unused: Vec<(u64, u64)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct StayLine {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    room: String,
    epoch: Epoch,
    number: u64,
}

impl Hub {
    /// The session that a member is, if it is one.
    pub(in super::super) fn session_of<'a>(&'a self, member: &'a Member) -> Option<SessionLine<'a>> {
        let session = self.sessions.get(member.session()?)?;
        Some(session_line(session, &member.name, self.stays_of(member)))
    }

    /// The session that has been away for longest, of those from this one on.
    pub(in super::super) fn away_line(&self, from: AwayId) -> Option<(AwayId, SessionLine<'_>)> {
        let away = self.sessions.away.from(from);
        let line = |(away, id)| {
            let session = self.sessions.get(id)?;
            let Presence::Away { name, rooms, .. } = &session.presence else { return None };
            Some((away, session_line(session, name, rooms.clone())))
        };
        away.filter_map(line).next()
    }

    pub(super) fn stays_of(&self, member: &Member) -> Vec<Stay> {
        member.stays().map(|(room, since)| Stay { room: self.rooms.get(room).name.to_string(), since }).collect()
    }

    /// Takes a session back, as one that is away; whether it can be.
    pub(in super::super) fn restore_session(&mut self, now: &Now, kept: &SessionLine<'_>) -> bool {
        let is_known = self.sessions.get(kept.id).is_some();
        let is_good = kept.last <= NUMBER_MAX && kept.rooms.len() <= SESSION_ROOMS_MAX;
        let is_number = |stay: &StayLine| stay.number <= NUMBER_MAX;
        let is_good = is_good && kept.rooms.iter().chain([&kept.mailbox]).all(is_number);
        if is_known || !is_good || kept.rooms.iter().any(|stay| name::fault(&stay.room).is_some()) {
            return false;
        }
        let rooms = kept
            .rooms
            .iter()
            .map(|stay| Stay { room: stay.room.clone(), since: Since { epoch: stay.epoch, number: stay.number } });
        let away = self.sessions.away.push(now.mono, kept.id, None);
        let presence = Presence::Away { away, name: kept.name.to_string(), rooms: rooms.collect() };
        self.sessions.insert(now, kept.id, kept.start, presence);
        self.sessions.change_mailbox(kept.id, |session| fill(session, kept));
        true
    }

    /// Takes note that these requests were done, by a hub before this one.
    pub(in super::super) fn restore_requests(&mut self, requests: impl Iterator<Item = By>) {
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for By { session, request } in requests {
            let last = last.entry(session).or_insert(request);
            *last = request.max(*last);
        }
        if last.is_empty() {
            return;
        }
        let here = (0..self.members.places()).filter_map(|id| self.members.in_place(id)?.session());
        let away = self.sessions.away.sessions();
        for id in here.chain(away).collect::<Vec<_>>() {
            let last = last.get(&Session::public(id, self.keeping.seed()));
            if let Some((session, &last)) = self.sessions.get_mut(id).zip(last) {
                session.last = session.last.max(last);
            }
        }
    }

    /// Forgets the first to have gone, while there are more than there may be.
    pub(in super::super) fn bound_sessions(&mut self) {
        while let Some(id) = self.sessions.away.superfluous(None, 0) {
            self.sessions.remove(id);
        }
    }

    /// A member that is restored takes up its session: the rooms that it is in.
    pub(in super::super) fn resume(&mut self, now: &Now, member: MemberId, id: SessionId) -> bool {
        let Some((_, rooms)) = self.sessions.arrive(id, member) else { return false };
        self.take_places(now, member, id, &rooms);
        true
    }
}

/// Gives a session what was kept of its requests and of its mailbox.
fn fill(session: &mut Session, kept: &SessionLine<'_>) {
    session.last = kept.last;
    session.mailbox.epoch = kept.mailbox.epoch;
    session.mailbox_since = kept.mailbox.number;
    session.mailbox.newest = kept.mailbox.number;
    let lines = kept.messages.iter().take(MAILBOX_MESSAGES_MAX);
    for entry in lines.filter_map(EntryLine::read) {
        if entry.message.number > session.mailbox.newest {
            session.mailbox.push(Rc::new(entry.message), true, MAILBOX_MESSAGES_MAX);
        }
    }
    let unused = kept.unused.iter().copied().filter(|&(first, last)| first <= last && last <= NUMBER_MAX);
    session.unused = unused.take(UNUSED_RANGES_MAX).collect();
    // The last number may be one that was left out, behind which nothing was said.
    let newest = session.unused.last().map_or(0, |&(_, last)| last).max(session.mailbox.newest);
    session.mailbox.newest = newest.saturating_add(UNUSED);
    match session.unused.last_mut() {
        Some((_, last)) if *last == newest => *last = session.mailbox.newest,
        _ => session.unused.push((newest.saturating_add(1), session.mailbox.newest)),
    }
    if session.unused.len() > UNUSED_RANGES_MAX {
        session.unused.remove(0);
    }
}

fn session_line<'a>(session: &'a Session, name: &'a str, rooms: Vec<Stay>) -> SessionLine<'a> {
    let stay = |stay: Stay| StayLine { room: stay.room, epoch: stay.since.epoch, number: stay.since.number };
    // A mailbox has no room; any name that can be read will do.
    let line = |message| EntryLine::new("mailbox", session.mailbox.epoch, message);
    let messages: Vec<_> = session.mailbox.since(0).map(line).collect();
    // Where nothing waits, everything up to the newest has been confirmed.
    let confirmed = if messages.is_empty() { session.mailbox.newest } else { session.mailbox_since };
    SessionLine {
        id: session.id,
        start: session.start,
        last: session.last,
        name: name.into(),
        rooms: rooms.into_iter().map(stay).collect(),
        mailbox: StayLine { room: MAILBOX.to_owned(), epoch: session.mailbox.epoch, number: confirmed },
        messages,
        unused: session.unused.clone(),
    }
}
