//! The table of sessions: those that are here, those that have gone for a while, and what each is yet to be told in a turn.

use super::super::consent::Token;
use super::super::member::{MemberId, Since};
use super::super::packer::Packer;
use super::super::stream::Stream;
use super::away::{Away, AwayId};
use crate::core::frame::{Epoch, SessionId};
use crate::core::limits::{OUTBOX_BYTES_MAX, REPAIR_BYTES};
use crate::core::source::Source;
use crate::core::{Instant, Now, Outbox, Seed, SeededMap};

#[derive(Debug)]
pub(in super::super) struct Session {
    pub(super) id: SessionId,
    /// What its program said to tell this start from others.
    pub(super) start: u64,
    pub(super) presence: Presence,
    /// The number of the last of its requests that was done.
    pub(super) last: u64,
    pub(super) mailbox: Stream,
    /// Numbers of the mailbox, both included, that were left out when the hub could not know whether they had been used.
    pub(super) unused: Vec<(u64, u64)>,
    /// From where it counts in its mailbox.
    pub(super) mailbox_since: u64,
    /// Frames for it, until the turn ends.
    pub(super) frames: Packer,
    /// What else it is told at the end of the turn, once however often it has asked.
    pub(super) owed: Owed,
    pub(super) allowance: Allowance,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Owed {
    pub(super) welcome: bool,
    /// The newest number of each room.
    pub(super) newest: bool,
    /// How far its requests were done.
    pub(super) ack: bool,
    /// What it is to show, so that it may stay.
    pub(super) token: Option<Token>,
}

#[derive(Debug)]
pub(super) enum Presence {
    Here(MemberId),
    /// What it comes back to.
    Away {
        away: AwayId,
        name: String,
        rooms: Vec<Stay>,
    },
}

/// A room that a session was in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct Stay {
    pub(super) room: String,
    pub(super) since: Since,
}

/// What may be sent to a session beyond what everybody gets, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Allowance {
    bytes: usize,
    at: Instant,
}

impl Allowance {
    pub(super) fn refill(&mut self, now: Instant) {
        let nanos = now.since(self.at).as_nanos().min(1_000_000_000);
        let back = REPAIR_BYTES as u128 * nanos / 1_000_000_000;
        if back > 0 {
            self.bytes = (self.bytes + back as usize).min(REPAIR_BYTES);
            self.at = now;
        }
    }

    pub(super) fn has(&self, bytes: usize) -> bool {
        self.bytes >= bytes
    }

    /// Charges what is given.
    pub(super) fn charge(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }
}

impl Session {
    /// The number that everybody may know.
    pub(super) fn public(id: SessionId, seed: Seed) -> u64 {
        seed.mac(&("by", id))
    }

    pub(in super::super) fn here(&self) -> Option<MemberId> {
        match self.presence {
            Presence::Here(member) => Some(member),
            Presence::Away { .. } => None,
        }
    }
}

/// All sessions, those that are away too.
#[derive(Debug)]
pub(in super::super) struct Sessions {
    by_id: SeededMap<SessionId, Box<Session>>,
    pub(super) away: Away,
    /// What waits in all mailboxes.
    pub(super) mailbox_bytes: usize,
    /// Those with something to send at the end of the turn.
    pub(super) touched: Vec<SessionId>,
    /// Bytes that they have for them.
    pub(super) waiting: usize,
    pub(super) seed: Seed,
    /// Sessions that were ever made.
    pub(super) made: u64,
}

impl Sessions {
    pub(in super::super) fn new(seed: Seed) -> Self {
        let (by_id, away) = (SeededMap::with_hasher(seed), Away::default());
        Self { by_id, away, mailbox_bytes: 0, touched: Vec::new(), waiting: 0, seed, made: 0 }
    }

    pub(in super::super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.by_id.get(&id).map(|session| &**session)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.by_id.get_mut(&id).map(|session| &mut **session)
    }

    pub(super) fn expect_mut(&mut self, id: SessionId) -> &mut Session {
        self.get_mut(id).expect("a member's session is there")
    }

    pub(super) fn insert(&mut self, now: &Now, id: SessionId, start: u64, presence: Presence) -> &mut Session {
        let epoch = Epoch(self.seed.mac(&("mailbox", id, now.wall.as_nanosecond())) as u32);
        let session = Session {
            id,
            start,
            presence,
            last: 0,
            mailbox: Stream::new(epoch),
            unused: Vec::new(),
            mailbox_since: 0,
            frames: Packer::default(),
            owed: Owed::default(),
            allowance: Allowance { bytes: REPAIR_BYTES, at: now.mono },
        };
        self.by_id.entry(id).or_insert(Box::new(session))
    }

    pub(in super::super) fn remove(&mut self, id: SessionId) {
        let Some(session) = self.by_id.remove(&id) else { return };
        self.mailbox_bytes -= session.mailbox.bytes();
        if let Presence::Away { away, .. } = session.presence {
            self.away.remove(away);
        }
    }

    /// A member has gone from `source`; its session may come back to what it had, as one of `most` of that source.
    pub(in super::super) fn leave(
        &mut self,
        now: Instant,
        id: SessionId,
        (name, rooms): (String, Vec<Stay>),
        (source, most): (Option<Source>, usize),
    ) {
        let away = self.away.push(now, id, source);
        let Some(session) = self.get_mut(id) else { return self.away.remove(away) };
        session.presence = Presence::Away { away, name, rooms };
        (session.owed, session.frames) = (Owed::default(), Packer::default());
        while let Some(id) = self.away.superfluous(source, most) {
            self.remove(id);
        }
    }

    /// Forgets who has been away for too long; whether anybody was.
    pub(in super::super) fn forget_old(&mut self, now: Instant) -> bool {
        let mut is_anybody = false;
        while let Some(id) = self.away.forgotten(now) {
            self.remove(id);
            is_anybody = true;
        }
        is_anybody
    }

    /// When the first of those who are away is forgotten.
    pub(in super::super) fn next_timeout(&self) -> Option<Instant> {
        self.away.next_timeout()
    }

    /// Somebody who was away is here; what it was called and in which rooms.
    pub(super) fn arrive(&mut self, id: SessionId, member: MemberId) -> Option<(String, Vec<Stay>)> {
        let session = self.get_mut(id).filter(|session| session.here().is_none())?;
        let was = std::mem::replace(&mut session.presence, Presence::Here(member));
        let Presence::Away { away, name, rooms } = was else { unreachable!("it is not here") };
        self.away.remove(away);
        Some((name, rooms))
    }

    /// Lets `change` do something to somebody's mailbox.
    pub(super) fn change_mailbox<T>(&mut self, id: SessionId, change: impl FnOnce(&mut Session) -> T) -> T {
        let session = self.by_id.get_mut(&id).expect("a mailbox is of a session");
        let before = session.mailbox.bytes();
        let changed = change(session);
        self.mailbox_bytes = self.mailbox_bytes - before + session.mailbox.bytes();
        changed
    }

    /// Whether so much waits that what can be asked for again had better not be added.
    pub(super) fn is_crowded(&self, out: &Outbox) -> bool {
        out.is_crowded() || self.waiting > OUTBOX_BYTES_MAX / 4
    }

    /// Adds a frame to what a session gets at the end of the turn.
    pub(super) fn add_frame(&mut self, id: SessionId, frame: &[u8]) {
        self.waiting += frame.len();
        self.touch(id).frames.add(frame);
    }

    /// A session that will be told something at the end of the turn.
    pub(super) fn touch(&mut self, id: SessionId) -> &mut Session {
        let session = self.by_id.get_mut(&id).expect("who is told something is here");
        if session.frames.is_empty() && session.owed == Owed::default() {
            self.touched.push(id);
        }
        session
    }
}
