//! Rooms that are written to: so many messages in flight, and the next when all have the first of them.

use std::io;
use std::time::{Duration, Instant};

/// After this long without a delivery what is missing counts as lost.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the load knows of a room, whoever runs it.
pub(crate) trait Room {
    /// How many get each message.
    fn members(&self) -> usize;
    /// Says so many messages.
    fn say(&mut self, count: usize) -> io::Result<()>;
    /// Deliveries that have come since it was asked last; it does not wait for any.
    fn hear(&mut self) -> io::Result<usize>;
}

/// Writes to a room for that long; the deliveries in each second.
pub(crate) fn deliveries(room: &mut impl Room, in_flight: usize, time: Duration) -> io::Result<f64> {
    let members = room.members();
    let begin = Instant::now();
    let (mut said, mut heard, mut lost) = (0, 0, 0);
    let (mut now, mut last_heard) = (begin, begin);
    while now - begin < time {
        let missing = (in_flight + (heard + lost) / members).saturating_sub(said);
        if missing > 0 {
            room.say(missing)?;
            said += missing;
        }
        let count = room.hear()?;
        heard += count;
        now = Instant::now();
        if count > 0 {
            last_heard = now;
        } else if now - last_heard > PATIENCE {
            (lost, last_heard) = (said * members - heard, now);
        }
    }
    let rate = heard as f64 / begin.elapsed().as_secs_f64();
    while heard + lost < said * members && last_heard.elapsed() < PATIENCE {
        let count = room.hear()?;
        heard += count;
        if count > 0 {
            last_heard = Instant::now();
        }
    }
    lost = (said * members).saturating_sub(heard);
    // A few are a full buffer at a bad moment; more, and the rate is not that of the work.
    if lost > heard / 1_000 {
        return Err(io::Error::other(format!("{lost} deliveries were lost, {heard} have come")));
    }
    Ok(rate)
}
