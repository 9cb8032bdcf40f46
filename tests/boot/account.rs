//! What has become of everything that was sent: requests for the time with their answers, texts with everybody who has
//! seen them, and what nobody has asked for.

use std::fmt;
use std::time::Instant;

/// A request for the time.
pub(crate) struct Request {
    pub(crate) sent: Instant,
    pub(crate) answers: u32,
}

/// A text that was said in a room.
pub(crate) struct Text {
    pub(crate) sent: Instant,
    /// As everybody sees it: `NAME: TEXT`.
    pub(crate) line: String,
    pub(crate) room: usize,
    /// How often it came back to its sender, who then knows that it was said.
    pub(crate) acks: u32,
    /// How often it came to one of the others in the room.
    pub(crate) seen: u32,
    /// How many others there are.
    pub(crate) others: u32,
}

/// Everything that a load has caused. Shown, it is its sums.
#[derive(Default)]
pub(crate) struct Account {
    pub(crate) requests: Vec<Request>,
    pub(crate) texts: Vec<Text>,
    /// What was refused when it was to be sent: the port was closed.
    pub(crate) unsent: u32,
    /// Texts that came in another order than they were said in, or twice.
    pub(crate) disordered: u32,
    /// Notices (`-- …`), with who got them.
    pub(crate) notices: Vec<String>,
    /// Everything else, with who got it.
    pub(crate) strange: Vec<String>,
}

/// Of so many that were sent, so many have arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) sent: u32,
    pub(crate) arrived: u32,
}

impl Tally {
    fn of(arrivals: impl Iterator<Item = bool>) -> Self {
        arrivals.fold(Self { sent: 0, arrived: 0 }, |tally, has_arrived| Self {
            sent: tally.sent + 1,
            arrived: tally.arrived + u32::from(has_arrived),
        })
    }

    pub(crate) fn lost(self) -> u32 {
        self.sent - self.arrived
    }
}

impl Account {
    /// Requests that were sent between these moments, and those of them that were answered.
    pub(crate) fn requests_between(&self, from: Instant, to: Instant) -> Tally {
        let of_then = self.requests.iter().filter(|request| (from..to).contains(&request.sent));
        Tally::of(of_then.map(|request| request.answers > 0))
    }

    /// Texts that were said between these moments, and those of them that came back to their senders.
    pub(crate) fn texts_between(&self, from: Instant, to: Instant) -> Tally {
        let of_then = self.texts.iter().filter(|text| (from..to).contains(&text.sent));
        Tally::of(of_then.map(|text| text.acks > 0))
    }

    pub(crate) fn requests(&self) -> Tally {
        Tally::of(self.requests.iter().map(|request| request.answers > 0))
    }

    pub(crate) fn texts(&self) -> Tally {
        Tally::of(self.texts.iter().map(|text| text.acks > 0))
    }

    /// What came more than once: answers, and texts to their senders.
    pub(crate) fn doubled(&self) -> u32 {
        let answers = self.requests.iter().map(|request| request.answers);
        answers.chain(self.texts.iter().map(|text| text.acks)).map(|count| count.saturating_sub(1)).sum()
    }

    /// Texts to all the others in their rooms.
    pub(crate) fn deliveries(&self) -> Tally {
        self.texts.iter().fold(Tally { sent: 0, arrived: 0 }, |tally, text| Tally {
            sent: tally.sent + text.others,
            arrived: tally.arrived + text.seen,
        })
    }

    /// The lines of a room whose senders know that they were said.
    pub(crate) fn acked_lines(&self, room: usize) -> impl Iterator<Item = &str> {
        self.texts.iter().filter(move |text| text.room == room && text.acks > 0).map(|text| text.line.as_str())
    }
}

impl fmt::Display for Account {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (requests, texts, deliveries) = (self.requests(), self.texts(), self.deliveries());
        let mut line = |what: &str, tally: Tally| {
            writeln!(out, "{what}: sent {}, arrived {}, lost {}", tally.sent, tally.arrived, tally.lost())
        };
        line("requests for the time", requests)?;
        line("texts back to their senders", texts)?;
        line("texts to the others", deliveries)?;
        let (doubled, disordered, unsent) = (self.doubled(), self.disordered, self.unsent);
        write!(out, "doubled {doubled}, disordered {disordered}, unsent {unsent}, ")?;
        write!(out, "notices {}, strange {}", self.notices.len(), self.strange.len())?;
        let unasked = self.notices.iter().chain(&self.strange);
        unasked.take(10).try_for_each(|line| write!(out, "\n  {line}"))
    }
}
