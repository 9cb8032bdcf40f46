//! A moment as NTP writes it: seconds since 1900 and their fraction, 32 bits each (RFC 5905 §6).
//!
//! The seconds begin anew in 2036, and whoever reads them knows by his own clock which era is meant. Here they are only
//! written. The service writes those that it knows, and the sockets' side the one that nobody knows before: when an answer
//! leaves.

use jiff::Timestamp;

/// From 1900 to 1970.
const UNIX_EPOCH_SECONDS: i64 = 2_208_988_800;

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// A moment in the wire format of NTP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTimestamp(u64);

impl NtpTimestamp {
    /// Its length on the wire.
    pub const LEN: usize = size_of::<u64>();

    /// Stands for a moment that is not known.
    pub const UNKNOWN: Self = Self(0);

    /// Writes down a moment, to the quarter of a nanosecond below.
    pub fn of(moment: Timestamp) -> Self {
        let (seconds, nanos) = (moment.as_second(), i64::from(moment.subsec_nanosecond()));
        // Before 1970 it is negative, and the sum is right all the same.
        let fraction = (nanos << 32).div_euclid(NANOS_PER_SECOND);
        // Of the seconds the lower 32 bits remain: the era is left out.
        Self((((seconds + UNIX_EPOCH_SECONDS) << 32) + fraction) as u64)
    }

    /// The beginning of its second.
    #[must_use]
    pub fn whole_second(self) -> Self {
        Self(self.0 & !u64::from(u32::MAX))
    }

    /// As it stands in a packet.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        self.0.to_be_bytes()
    }

    /// As it stood in a packet.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(u64::from_be_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_as_the_standard_has_it_in_every_era() {
        // RFC 5905, figure 4, and the seconds around where the count begins anew.
        let table = [
            ("1900-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00Z", 0x83aa_7e80_0000_0000),
            ("1969-12-31T23:59:59.75Z", 0x83aa_7e7f_c000_0000),
            ("1972-01-01T00:00:00Z", 0x876c_e580_0000_0000),
            ("1999-12-31T00:00:00.5Z", 0xbc16_7080_8000_0000),
            ("2036-02-07T06:28:15.999999999Z", 0xffff_ffff_ffff_fffb),
            ("2036-02-07T06:28:16Z", 0),
            ("2036-02-08T00:00:00Z", 0x0000_f680_0000_0000),
        ];
        for (moment, written) in table {
            let timestamp = NtpTimestamp::of(moment.parse().unwrap());
            assert_eq!(timestamp.to_bytes(), u64::to_be_bytes(written), "{moment}");
            assert_eq!(NtpTimestamp::from_bytes(timestamp.to_bytes()), timestamp);
            assert_eq!(timestamp.whole_second().0, written >> 32 << 32, "{moment}");
        }
    }
}
