//! The time service: a datagram is a strftime format, the answer is that format filled in.
//!
//! ```text
//! "%H:%M"                   14:03
//! "TZ=Asia/Tokyo %c\n"      Mon Sep 21 23:03:27 2026\n
//! ""                        2026-09-21 14:03:27
//! "?"                       strftime formats: %H:%M, TZ=Asia/Tokyo %c; clock synchronised, error below 3 ms
//! "%Q"                      ? unknown conversion %Q; try %Z
//! "? anything"              (nothing)
//! ```
//!
//! Two rules keep it from being of use against others. No answer is longer than a datagram, or than [`ANSWER_BASE`] and
//! three times its request. And no two services, echoes or Belfries talk for ever: what is only literal text gets an error
//! line, and an error line gets nothing. A `%` in an answer takes two in the request, so a request of 512 bytes has fewer
//! than ten answers that are themselves answered. A service of somebody else's, which does answer error lines, gets three in
//! a row.
//!
//! It reads no clock and no file: the moment comes with the datagram, zones as the bytes that the daemon read. Which source
//! ports are answered is for `core::admission` to say.

mod cache;
mod format;
mod lines;
mod moment;
mod request;
#[cfg(test)]
mod tests;
mod text;
mod zones;

pub use format::{Format, FormatError};
pub(super) use lines::is_of_a_service;
pub use moment::Moment;
pub use text::{Full, Text};
pub use zones::{ZoneFile, Zones};

use super::Service;
use crate::config;
use crate::core::limits::{ANSWER_BASE, DATAGRAM_MAX};
use crate::core::{ClockState, Datagram, DropReason, ErrorStreaks, Instant, Now, Outbox, Seed, Verdict};
use cache::Cache;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use lines::Wrong;
use request::{Request, Wanted};

/// The time service.
#[derive(Debug)]
pub struct TimeService {
    default_format: String,
    zone: TimeZone,
    zones: Zones,
    clock: ClockState,
    cache: Cache,
    answer: Text,
    errors: ErrorStreaks,
}

impl TimeService {
    /// A service that answers as `config` says. Its format is good and its zone is known, or the configuration would not
    /// be valid.
    pub fn new(config: &config::Time, zones: Zones, seed: Seed) -> Self {
        let mut service = Self {
            default_format: String::new(),
            zone: TimeZone::UTC,
            zones: Zones::utc_only(),
            clock: ClockState::default(),
            cache: Cache::new(seed),
            answer: Text::new(DATAGRAM_MAX),
            errors: ErrorStreaks::new(seed),
        };
        service.reconfigure(config, zones);
        service
    }

    /// Answers from now on as `config` says, in zones that were read anew.
    pub fn reconfigure(&mut self, config: &config::Time, mut zones: Zones) {
        self.zone = match &config.timezone {
            config::Timezone::Local => zones.local().clone(),
            config::Timezone::Named(name) => zones.find(name).unwrap_or_else(|| zones.local().clone()),
        };
        self.zones = zones;
        self.default_format.clone_from(&config.default_format);
        self.cache.clear();
    }

    /// Tells what the kernel says of the clock, which is for the help to say.
    pub fn set_clock(&mut self, clock: ClockState) {
        self.clock = clock;
    }

    /// Fills `self.answer` with what the datagram gets.
    fn answer(&mut self, wall: Timestamp, datagram: &Datagram<'_>) -> Verdict {
        let payload = datagram.payload;
        let request = Request::read(payload, datagram.truncated);
        let newline_len = usize::from(request.newline);
        // A byte is set aside for the newline.
        self.answer.restart(answer_max(payload.len()) - newline_len);
        let filled_in = match request.wanted {
            Wanted::Help => {
                lines::help(self.clock, &mut self.answer);
                Ok(false)
            }
            Wanted::Time { zone, format } => self.fill_in(wall, zone, format),
            Wanted::TooLong => Err(Wrong::TooLong),
            Wanted::NotUtf8 => Err(Wrong::NotUtf8),
        };
        let verdict = match &filled_in {
            Ok(_) => Verdict::Answered,
            Err(wrong) => {
                wrong.write(&self.zones, &mut self.answer);
                Verdict::Refused(wrong.refusal())
            }
        };
        if request.newline {
            self.answer.end_line();
        }
        if filled_in == Ok(true) && !datagram.truncated {
            self.cache.keep(payload, moment::unix_second(wall), self.answer.as_bytes());
        }
        verdict
    }

    /// Writes the time, and says whether that text stays true until the second is over.
    fn fill_in<'r>(
        &mut self,
        wall: Timestamp,
        zone: Option<&'r str>,
        format: Option<&'r str>,
    ) -> Result<bool, Wrong<'r>> {
        let named = zone.map(|name| self.zones.find(name).ok_or(Wrong::UnknownZone(name))).transpose()?;
        let moment = Moment::new(wall, named.as_ref().unwrap_or(&self.zone));
        let format = match format {
            Some(format) => Format::parse(format).map_err(Wrong::UnknownConversion)?,
            None => Format::parse(&self.default_format).expect("the configuration's format was checked"),
        };
        if !format.fills_in() {
            return Err(Wrong::NoConversion);
        }
        format.render(&moment, &mut self.answer).map_err(|Full| Wrong::AnswerTooLong)?;
        Ok(!format.shows_fractions())
    }
}

/// The longest answer to a request of this length.
fn answer_max(request_len: usize) -> usize {
    DATAGRAM_MAX.min(ANSWER_BASE + 3 * request_len)
}

impl Service for TimeService {
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        // A request that was cut off may look like one that was not.
        if !datagram.truncated
            && let Some(answer) = self.cache.find(datagram.payload, moment::unix_second(now.wall))
        {
            out.send(datagram.path, answer);
            self.errors.end(now.mono, datagram.path.remote);
            return Verdict::Answered;
        }
        if lines::is_of_a_service(datagram.payload) {
            return Verdict::Dropped(DropReason::ErrorLine);
        }
        let verdict = self.answer(now.wall, datagram);
        if !matches!(verdict, Verdict::Refused(_)) {
            self.errors.end(now.mono, datagram.path.remote);
        } else if !self.errors.may_tell(now.mono, datagram.path.remote) {
            return Verdict::Dropped(DropReason::Reflex);
        }
        out.send(datagram.path, self.answer.as_bytes());
        verdict
    }

    fn handle_timeout(&mut self, _now: &Now, _out: &mut Outbox) {}

    fn next_timeout(&self) -> Option<Instant> {
        None
    }
}
