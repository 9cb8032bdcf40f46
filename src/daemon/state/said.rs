//! What is said in rooms, as lines of the log (`log-messages`), and no more of them than a log takes.
//!
//! The journal drops whatever else a unit has to say once it says too much (journald.conf(5), `RateLimitBurst=`), so those
//! who talk without end would silence its warnings. What is beyond the bound is counted, and one line says how many.

use super::super::logging::event;
use crate::core::Instant;
use crate::core::limits::{LOGGED_MESSAGES_MAX, LOGGED_MESSAGES_PERIOD};
use crate::services::chat::News;
use log::{info, warn};

/// What was logged in this period.
#[derive(Debug, Default)]
pub(super) struct SaidLog {
    period_end: Option<Instant>,
    logged: usize,
    omitted: u64,
}

impl SaidLog {
    /// Writes the lines of what was said, as far as there may be more of them.
    pub(super) fn note(&mut self, now: Instant, news: &[News]) {
        self.tell_omitted(now);
        for news in news {
            let News::Said { room, message, logged: true, .. } = news else { continue };
            if self.take(now) {
                let (line, member) = (&message.line, message.from.as_str());
                info!(message_id = event::SAID, room = room.as_str(), member = member; "{room}: {line}");
            }
        }
    }

    /// Whether one line more may be written; if not, it is counted.
    fn take(&mut self, now: Instant) -> bool {
        self.period_end.get_or_insert(now + LOGGED_MESSAGES_PERIOD);
        let may = self.logged < LOGGED_MESSAGES_MAX;
        if may {
            self.logged += 1;
        } else {
            self.omitted += 1;
        }
        may
    }

    /// Ends a period that is over, and says how much of it was left out; how much it was.
    fn tell_omitted(&mut self, now: Instant) -> u64 {
        if self.period_end.is_none_or(|end| now < end) {
            return 0;
        }
        let Self { omitted, .. } = std::mem::take(self);
        if omitted > 0 {
            warn!(
                "{omitted} messages are not in the log: it takes {LOGGED_MESSAGES_MAX} in {LOGGED_MESSAGES_PERIOD:?}"
            );
        }
        omitted
    }

    /// When there is something to say of what was left out.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        self.period_end.filter(|_| self.omitted > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_log_takes_so_many_messages_in_a_period_and_is_told_how_many_more_there_were() {
        let (mut log, start) = (SaidLog::default(), Instant::from_nanos(7_000_000_000));
        let end = start + LOGGED_MESSAGES_PERIOD;
        let last = end - Duration::from_nanos(1);
        assert!((0..LOGGED_MESSAGES_MAX).all(|_| log.take(start)));
        assert_eq!(log.next_timeout(), None);
        assert_eq!((0..5).filter(|_| log.take(last)).count(), 0);
        assert_eq!(log.next_timeout(), Some(end));
        assert_eq!(log.tell_omitted(last), 0, "not before the period is over");
        assert_eq!((log.tell_omitted(end), log.next_timeout()), (5, None));
        assert!(log.take(end));
        assert_eq!(log.tell_omitted(end + LOGGED_MESSAGES_PERIOD), 0, "nothing was left out");
    }
}
