//! A moment in a zone, broken down into what people read off a clock and a calendar.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, TimeZoneOffsetInfo};

/// A moment in a zone.
#[derive(Debug)]
pub struct Moment<'z> {
    civil: DateTime,
    zone: TimeZoneOffsetInfo<'z>,
    unix_second: i64,
}

impl<'z> Moment<'z> {
    /// What `wall` is in `zone`.
    pub fn new(wall: Timestamp, zone: &'z TimeZone) -> Self {
        let zone = zone.to_offset_info(wall);
        Self { civil: zone.offset().to_datetime(wall), zone, unix_second: unix_second(wall) }
    }

    /// Year, from -9999 to 9999; year 0 is before year 1.
    pub fn year(&self) -> i64 {
        self.civil.year().into()
    }

    /// Month, 1 to 12.
    pub fn month(&self) -> i64 {
        self.civil.month().into()
    }

    /// Day of the month, from 1.
    pub fn day(&self) -> i64 {
        self.civil.day().into()
    }

    /// Day of the year, from 1.
    pub fn year_day(&self) -> i64 {
        self.civil.day_of_year().into()
    }

    /// Day of the week, Sunday 0 to Saturday 6.
    pub fn weekday(&self) -> i64 {
        self.civil.weekday().to_sunday_zero_offset().into()
    }

    /// Hour, 0 to 23.
    pub fn hour(&self) -> i64 {
        self.civil.hour().into()
    }

    /// Minute, 0 to 59.
    pub fn minute(&self) -> i64 {
        self.civil.minute().into()
    }

    /// Second, 0 to 59: the kernel's clock has no leap seconds.
    pub fn second(&self) -> i64 {
        self.civil.second().into()
    }

    /// Nanoseconds since the second began.
    pub fn nanosecond(&self) -> u32 {
        self.civil.subsec_nanosecond().unsigned_abs()
    }

    /// Seconds since 1970-01-01 00:00:00 UTC, rounded down.
    pub fn unix_second(&self) -> i64 {
        self.unix_second
    }

    /// Seconds to add to UTC for the zone's local time.
    pub fn offset(&self) -> i64 {
        self.zone.offset().seconds().into()
    }

    /// What the zone calls itself at this moment, such as `CEST`.
    pub fn abbreviation(&self) -> &str {
        self.zone.abbreviation()
    }
}

/// Seconds since the epoch, rounded down: -1 for half a second before it.
pub(super) fn unix_second(wall: Timestamp) -> i64 {
    wall.as_second() - i64::from(wall.subsec_nanosecond() < 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_second_before_the_epoch_is_in_the_second_before_it() {
        let wall = Timestamp::from_nanosecond(-500_000_000).unwrap();
        let zone = TimeZone::UTC;
        let moment = Moment::new(wall, &zone);
        assert_eq!((moment.unix_second(), moment.second(), moment.nanosecond()), (-1, 59, 500_000_000));
    }
}
