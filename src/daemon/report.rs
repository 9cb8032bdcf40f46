//! What the log and the service manager are told of the traffic: a summary a minute while there is something to tell.

use super::logging::event;
use super::post::Post;
use crate::core::text::plural;
use crate::core::{Counters, Instant};
use crate::services::ServiceName;
use log::info;
use std::fmt;
use std::time::Duration;

/// How long what was turned away is gathered before it is told.
const PERIOD: Duration = Duration::from_secs(60);

/// How long a change of the status waits for others, so that a hundred joins are one message to the service manager.
const STATUS_DELAY: Duration = Duration::from_secs(1);

/// What was last told, and when the next is due.
#[derive(Debug, Default)]
pub(super) struct Report {
    told: [Told; ServiceName::ALL.len()],
    summary_due: Option<Instant>,
    status: Option<Status>,
    status_due: Option<Instant>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Told {
    counters: Counters,
    kernel_drops: u64,
    forgotten: u64,
    unsent: u64,
}

impl Told {
    fn of(post: &Post) -> Self {
        let forgotten = post.outbox.forgotten();
        Self { counters: post.counters.clone(), kernel_drops: post.kernel_drops, forgotten, unsent: post.unsent }
    }

    /// What went wrong since `earlier`, as `name count`.
    fn troubles_since(&self, earlier: &Self) -> Vec<(&'static str, u64)> {
        let mut troubles = self.counters.turned_away_since(&earlier.counters);
        let others = [
            ("dropped by the kernel", self.kernel_drops - earlier.kernel_drops),
            ("forgotten", self.forgotten - earlier.forgotten),
            ("unsent", self.unsent - earlier.unsent),
        ];
        troubles.extend(others.into_iter().filter(|&(_, count)| count > 0));
        troubles
    }
}

impl Report {
    /// Looks whether there is something to tell; called at the end of each turn.
    pub(super) fn look(&mut self, now: Instant, posts: &[Post; ServiceName::ALL.len()]) {
        if self.summary_due.is_none() {
            let troubled = posts.iter().zip(&self.told).any(|(post, told)| {
                post.counters.turned_away() != told.counters.turned_away()
                    || (post.kernel_drops, post.outbox.forgotten(), post.unsent)
                        != (told.kernel_drops, told.forgotten, told.unsent)
            });
            if troubled {
                self.summary_due = Some(now + PERIOD);
            }
        }
    }

    /// When something is to be told.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.summary_due.into_iter().chain(self.status_due).min()
    }

    /// Writes the summary that is due at `now`, if one is.
    pub(super) fn summarise(&mut self, now: Instant, posts: &[Post; ServiceName::ALL.len()]) {
        if self.summary_due.is_some_and(|due| due <= now) {
            self.summarise_now(posts);
        }
    }

    /// Writes the summary of what has not been told yet.
    pub(super) fn summarise_now(&mut self, posts: &[Post; ServiceName::ALL.len()]) {
        self.summary_due = None;
        for service in ServiceName::ALL {
            let (told, now) = (&mut self.told[service as usize], Told::of(&posts[service as usize]));
            for (reason, count) in now.troubles_since(told) {
                info!(
                    message_id = event::TURNED_AWAY, service = service.name(), reason = reason, count = count;
                    "{service}: turned away {count}: {reason}"
                );
            }
            *told = now;
        }
    }

    /// Whether `status` is to be told: when it has been another than the last for a moment.
    pub(super) fn status_is_due(&mut self, now: Instant, status: Status) -> bool {
        if self.status == Some(status) {
            self.status_due = None;
            return false;
        }
        let due = *self.status_due.get_or_insert(now + STATUS_DELAY) <= now;
        if due {
            self.status = Some(status);
            self.status_due = None;
        }
        due
    }
}

/// What the service manager is told of us.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) members: usize,
    /// Those with somebody in them.
    pub(super) rooms: usize,
    pub(super) is_synchronised: bool,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let clock = if self.is_synchronised { "synchronised" } else { "not synchronised" };
        write!(f, "{} in {}, clock {clock}", plural(self.members, "member"), plural(self.rooms, "room"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{DropReason, Verdict};

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_summary_is_due_a_minute_after_the_first_trouble_and_never_without_one() {
        let (mut report, mut posts) = (Report::default(), <[Post; ServiceName::ALL.len()]>::default());
        posts[0].counters.count(Verdict::Answered);
        report.look(at(1), &posts);
        assert_eq!(report.next_timeout(), None);
        for second in 2..50 {
            posts[0].counters.count(Verdict::Dropped(DropReason::Access));
            report.look(at(second), &posts);
        }
        assert_eq!(report.next_timeout(), Some(at(62)));
        report.summarise(at(62), &posts);
        report.look(at(63), &posts);
        assert_eq!(report.next_timeout(), None, "all has been told");
    }

    #[test]
    fn a_status_is_told_when_it_has_changed_and_a_second_has_passed() {
        let mut report = Report::default();
        let status = |members| Status { members, rooms: 1, is_synchronised: false };
        let (one, two) = (status(1), status(2));
        assert_eq!(two.to_string(), "2 members in 1 room, clock not synchronised");
        assert!(!report.status_is_due(at(0), one));
        assert!(!report.status_is_due(at(0), two));
        assert!(report.status_is_due(at(1), two));
        assert!(!report.status_is_due(at(5), two));
        assert_eq!(report.next_timeout(), None);
    }
}
