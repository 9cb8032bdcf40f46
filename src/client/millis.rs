//! Times as people and programs read them: in milliseconds with three places, which is microseconds.

use std::time::Duration;

/// From here on a difference is shown in seconds.
const LONG_MILLIS: f64 = 10_000.0;

/// In milliseconds, for programs.
pub(super) fn millis(time: Duration) -> f64 {
    // Rounded to microseconds: what is behind them is noise.
    (time.as_secs_f64() * 1e6).round() / 1e3
}

/// `0.412 ms`
pub(super) fn shown(time: Duration) -> String {
    format!("{:.3} ms", millis(time))
}

/// Nanoseconds in milliseconds, for programs.
pub(super) fn signed_millis(nanos: i128) -> f64 {
    (nanos as f64 / 1e3).round() / 1e3
}

/// `+0.412 ms`, `-3600.001 s`
pub(super) fn shown_signed(nanos: i128) -> String {
    let millis = signed_millis(nanos);
    if millis.abs() < LONG_MILLIS { format!("{millis:+.3} ms") } else { format!("{:+.3} s", millis / 1e3) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_microseconds_and_long_differences_are_in_seconds() {
        assert_eq!(shown(Duration::from_nanos(412_499)), "0.412 ms");
        assert_eq!(shown(Duration::from_secs(2)), "2000.000 ms");
        assert_eq!(millis(Duration::from_nanos(412_499)), 0.412);
        let cases = [
            (412_000, "+0.412 ms"),
            (-1, "-0.000 ms"),
            (9_999_999_000, "+9999.999 ms"),
            (-3_600_001_000_000, "-3600.001 s"),
        ];
        for (nanos, text) in cases {
            assert_eq!(shown_signed(nanos), text);
        }
    }
}
