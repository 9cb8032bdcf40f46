//! Who has gone for a while, in the order in which they went; and whom of them to forget when there are too many.
//!
//! Sessions cost nobody anything to begin, so whoever begins thousands and leaves them is the first to be forgotten himself:
//! a source has place for as many as it may have members, and when all places are taken, the source that has most of them
//! gives one up.

use crate::core::Instant;
use crate::core::frame::SessionId;
use crate::core::limits::{SESSION_AWAY_MAX, SESSIONS_AWAY_MAX};
use crate::core::source::Source;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

/// A place among those who are away: the lower, the longer ago they went.
pub(in super::super) type AwayId = u64;

/// Somebody who is away.
#[derive(Clone, Copy, Debug)]
struct Entry {
    since: Instant,
    session: SessionId,
    /// From where it was, if that is known: of those who came back with another hub it is not.
    source: Option<Source>,
}

/// Who is away.
#[derive(Debug, Default)]
pub(super) struct Away {
    in_order: BTreeMap<AwayId, Entry>,
    of_source: BTreeMap<Source, BTreeSet<AwayId>>,
    /// The sources by how many they have, and of those that have as many the one whose first has been away for longest last.
    by_count: BTreeSet<(usize, Reverse<AwayId>, Source)>,
    /// How many were ever away.
    count: u64,
}

impl Away {
    /// Notes that a session has gone. `most` of its source are remembered.
    pub(super) fn push(&mut self, since: Instant, session: SessionId, source: Option<Source>) -> AwayId {
        self.count += 1;
        self.in_order.insert(self.count, Entry { since, session, source });
        if let Some(source) = source {
            let id = self.count;
            self.change(source, |ids| ids.insert(id));
        }
        self.count
    }

    /// Notes that a session is back, or forgotten.
    pub(super) fn remove(&mut self, id: AwayId) {
        let Some(Entry { source: Some(source), .. }) = self.in_order.remove(&id) else { return };
        self.change(source, |ids| ids.remove(&id));
    }

    /// Changes whom a source has away.
    fn change(&mut self, source: Source, change: impl FnOnce(&mut BTreeSet<AwayId>) -> bool) {
        let rank = |ids: &BTreeSet<AwayId>| ids.first().map(|&first| (ids.len(), Reverse(first), source));
        let ids = self.of_source.entry(source).or_default();
        if let Some(before) = rank(ids) {
            self.by_count.remove(&before);
        }
        change(ids);
        self.by_count.extend(rank(ids));
        if ids.is_empty() {
            self.of_source.remove(&source);
        }
    }

    /// Whom to forget, since `source` has more than `most`, or all together are too many.
    pub(super) fn superfluous(&self, source: Option<Source>, most: usize) -> Option<SessionId> {
        let own = source.and_then(|source| self.of_source.get(&source)).filter(|ids| ids.len() > most);
        let id = match own {
            Some(ids) => *ids.first()?,
            None if self.in_order.len() <= SESSIONS_AWAY_MAX => return None,
            None => match self.by_count.last() {
                Some(&(count, Reverse(first), _)) if count > 1 => first,
                _ => *self.in_order.keys().next()?,
            },
        };
        self.in_order.get(&id).map(|entry| entry.session)
    }

    /// Who has been away for too long.
    pub(super) fn forgotten(&self, now: Instant) -> Option<SessionId> {
        self.in_order.values().next().filter(|entry| entry.since + SESSION_AWAY_MAX <= now).map(|entry| entry.session)
    }

    /// When the first of them is forgotten.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.in_order.values().next().map(|entry| entry.since + SESSION_AWAY_MAX)
    }

    /// Who went when this one went, or later, in the order in which they went.
    pub(super) fn from(&self, id: AwayId) -> impl Iterator<Item = (AwayId, SessionId)> {
        self.in_order.range(id..).map(|(&id, entry)| (id, entry.session))
    }

    /// Everybody, in the order in which they went.
    pub(super) fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.in_order.values().map(|entry| entry.session)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(number: u32) -> Option<Source> {
        Some(Source::of(IpAddr::from((0x0a00_0000 + number).to_be_bytes())))
    }

    /// Somebody goes; who is forgotten for it.
    fn leave(away: &mut Away, session: u64, source: Option<Source>, most: usize) -> Option<u64> {
        away.push(Instant::from_nanos(session), SessionId(session), source);
        let forgotten = away.superfluous(source, most)?;
        let id = away.in_order.iter().find(|(_, entry)| entry.session == forgotten).map(|(&id, _)| id);
        away.remove(id.expect("it is there"));
        assert_eq!(away.superfluous(source, most), None, "one is enough");
        Some(forgotten.0)
    }

    #[test]
    fn a_source_has_so_many_places_and_forgets_its_own_for_one_more() {
        let mut away = Away::default();
        assert_eq!(leave(&mut away, 1, source(1), 2), None);
        assert_eq!(leave(&mut away, 2, source(2), 2), None);
        assert_eq!(leave(&mut away, 3, source(1), 2), None);
        assert_eq!(leave(&mut away, 4, source(1), 2), Some(1));
        assert_eq!(leave(&mut away, 5, source(1), 2), Some(3));
        assert_eq!(away.sessions().map(|session| session.0).collect::<Vec<_>>(), [2, 4, 5]);
    }

    #[test]
    fn when_all_places_are_taken_who_has_most_gives_one_up() {
        let mut away = Away::default();
        for number in 0..SESSIONS_AWAY_MAX as u64 - 3 {
            assert_eq!(leave(&mut away, number, source(number as u32), usize::MAX), None);
        }
        for number in [10_000, 10_001, 10_002] {
            assert_eq!(leave(&mut away, number, source(9_999), usize::MAX), None);
        }
        assert_eq!(leave(&mut away, 10_003, source(9_998), usize::MAX), Some(10_000));
        assert_eq!(leave(&mut away, 10_004, source(9_997), usize::MAX), Some(10_001));
        assert_eq!(
            leave(&mut away, 10_005, source(9_996), usize::MAX),
            Some(0),
            "everybody has one: the first to have gone"
        );
    }

    #[test]
    fn whoever_is_back_or_away_for_ten_minutes_has_no_place_any_more() {
        let mut away = Away::default();
        let (start, minute) = (Instant::from_nanos(1), SESSION_AWAY_MAX / 10);
        let first = away.push(start, SessionId(1), source(1));
        away.push(start + minute, SessionId(2), None);
        assert_eq!(away.next_timeout(), Some(start + SESSION_AWAY_MAX));
        away.remove(first);
        assert!(away.of_source.is_empty() && away.by_count.is_empty());
        assert_eq!(away.forgotten(start + SESSION_AWAY_MAX), None);
        assert_eq!(away.forgotten(start + SESSION_AWAY_MAX + minute), Some(SessionId(2)));
    }
}
