//! When something is tried again, and how long the hub takes to answer.

use super::options::{RETRY_MAX, RETRY_MIN};
use crate::core::SplitMix;
use std::time::Duration;

/// A tenth less at the most, by chance: those who began at the same moment do not go on together.
pub(super) fn jittered(random: &mut SplitMix, delay: Duration) -> Duration {
    let nanos = u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(nanos - random.below(nanos / 10 + 1))
}

/// The estimate of RFC 6298 §2.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct RoundTrip {
    /// The smoothed time and its variation, once one was measured.
    smoothed: Option<(Duration, Duration)>,
}

impl RoundTrip {
    /// Takes the time of one question that was asked once.
    pub(super) fn measure(&mut self, time: Duration) {
        self.smoothed = Some(match self.smoothed {
            None => (time, time / 2),
            Some((smoothed, variation)) => ((smoothed * 7 + time) / 8, (variation * 3 + smoothed.abs_diff(time)) / 4),
        });
    }

    /// How long an answer takes.
    pub(super) fn estimate(&self) -> Option<Duration> {
        self.smoothed.map(|(smoothed, _)| smoothed)
    }

    /// When an answer is late.
    pub(super) fn patience(&self) -> Duration {
        self.smoothed.map_or(RETRY_MIN, |(smoothed, variation)| (smoothed + variation * 4).clamp(RETRY_MIN, RETRY_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Seed;

    #[test]
    fn a_long_way_to_the_hub_makes_us_patient_within_bounds() {
        let mut round_trip = RoundTrip::default();
        assert_eq!((round_trip.estimate(), round_trip.patience()), (None, RETRY_MIN));
        round_trip.measure(Duration::from_millis(400));
        assert_eq!(round_trip.estimate(), Some(Duration::from_millis(400)));
        assert_eq!(round_trip.patience(), Duration::from_millis(1_200));
        round_trip.measure(Duration::from_millis(480));
        assert_eq!(round_trip.estimate(), Some(Duration::from_millis(410)));
        round_trip.measure(Duration::from_secs(60));
        assert_eq!(round_trip.patience(), RETRY_MAX);
        for _ in 0..100 {
            round_trip.measure(Duration::from_micros(80));
        }
        assert_eq!(round_trip.patience(), RETRY_MIN);
    }

    #[test]
    fn jitter_shortens_by_a_tenth_at_most_and_takes_anything() {
        let mut random = SplitMix::new(Seed(1));
        for delay in [Duration::ZERO, Duration::from_nanos(1), RETRY_MIN, Duration::MAX] {
            for _ in 0..100 {
                let jittered = jittered(&mut random, delay);
                assert!(jittered <= delay);
                assert!(delay > HOUR || jittered >= delay * 9 / 10, "{jittered:?} of {delay:?}");
            }
        }
    }

    const HOUR: Duration = Duration::from_secs(3_600);
}
