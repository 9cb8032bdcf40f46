//! The client's end of lists: whatever a hub says, what the client asks is well-formed, bounded and not without end, and so is
//! what it keeps.
//!
//! ```text
//! ?lobby                who is in the lobby
//! !                     which rooms there are
//! <^token 0123^         the hub says this; $M is the mark of the last question
//! @250                  so many milliseconds go by
//! ```

use super::script::{number, steps, unescape};
use belfry::client::listing::{ENTRIES_MAX, Entries, Listing, Wanted};
use belfry::core::frame::frames;
use belfry::core::limits::DATAGRAM_MAX;
use belfry::core::{Instant, Seed};
use std::time::Duration;

/// A program.
pub fn lists(data: &[u8]) {
    let mut listing = Listing::new(Seed(1));
    let mut now = Instant::from_nanos(1_000_000_000_000);
    let (mut mark, mut asked, mut answered) = (Vec::new(), 0_usize, 0_usize);
    for step in steps(data).take(200) {
        let [what, rest @ ..] = step else { continue };
        let rest = unescape(rest, |letter| (letter == b'M').then(|| mark.clone()));
        let mut ask = |wanted| asked += usize::from(listing.ask(wanted, now).is_ok());
        match what {
            b'?' => ask(Wanted::Members(String::from_utf8_lossy(&rest).into_owned())),
            b'!' => ask(Wanted::Rooms),
            b'<' => listing.handle_datagram(now, &rest),
            b'@' => {
                now = now + Duration::from_millis(number(&rest, 100_000));
                listing.handle_timeout(now);
            }
            _ => {}
        }
        let mut count = 0;
        while let Some(datagram) = listing.poll_datagram(now) {
            count += 1;
            assert!(count == 1 && datagram.len() <= DATAGRAM_MAX, "{count} of {} bytes", datagram.len());
            let mut asked = frames(&datagram);
            let frame = asked.next().and_then(Result::ok).expect("a question is a frame");
            assert!(frame.verb == "list" && frame.text.is_empty() && asked.next().is_none(), "{frame:?}");
            mark = frame.value("mark").expect("it has one").as_bytes().to_vec();
        }
        assert!(listing.next_timeout().is_none_or(|due| due > now), "what is due is done");
        while let Some(answer) = listing.poll() {
            answered += 1;
            let Ok(list) = answer else { continue };
            let names: Vec<String> = match list.entries {
                Entries::Rooms(rooms) => rooms.into_iter().map(|room| room.name.to_lowercase()).collect(),
                Entries::Members(members) => members.into_iter().map(|member| member.name.to_lowercase()).collect(),
            };
            assert!(names.len() <= ENTRIES_MAX && names.is_sorted_by(|a, b| a < b), "{names:?}");
        }
        // What waits already is not asked for twice.
        assert!(answered <= asked, "{answered} of {asked}");
    }
}
