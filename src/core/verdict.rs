//! What became of a datagram: exactly one verdict, exactly one counter.

use std::fmt;

/// What became of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It asked for something and got it.
    Answered,
    /// It was taken in; nothing goes back to its sender but what goes to everybody.
    Accepted,
    /// It got one line that says what was wrong.
    Refused(Refusal),
    /// It got nothing.
    Dropped(DropReason),
}

macro_rules! reasons {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// Every variant, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The name in logs and counters.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// Why a datagram got an error line.
    Refusal {
        /// The bytes are not UTF-8.
        NotUtf8 = "not-utf-8",
        /// Longer than the service takes, or cut off by the kernel.
        TooLong = "too-long",
        /// The answer would be longer than a datagram, or than the request allows.
        AnswerTooLong = "answer-too-long",
        /// Nothing in the format is filled in.
        NoConversion = "no-conversion",
        /// A conversion that strftime does not have.
        UnknownConversion = "unknown-conversion",
        /// A time zone that nobody knows.
        UnknownZone = "unknown-zone",
        /// A `/word` that is not a command, or one with the wrong words behind it.
        BadCommand = "bad-command",
        /// A `^frame^` that this hub does not speak.
        BadFrame = "bad-frame",
        /// There is no such session, or it is not at this address.
        NoSession = "no-session",
        /// Whoever is on another network has to show that he gets what is sent to him, and has not.
        NoToken = "no-token",
        /// More is being said than can be sent to everybody.
        Busy = "busy",
        /// A name or room name that cannot be had.
        BadName = "bad-name",
        /// A name that somebody else has.
        NameTaken = "name-taken",
        /// Nobody has that name.
        NoSuchMember = "no-such-member",
        /// No room has that name.
        NoSuchRoom = "no-such-room",
        /// The source has used up its tokens, and is told so (NTP).
        TooOften = "too-often",
        /// A table is full.
        Full = "full",
    }
}

reasons! {
    /// Why a datagram got nothing.
    DropReason {
        /// From port 0, a port below 1024 or a port of ours: services live there, and two services can talk for ever.
        SourcePort = "source-port",
        /// From an address that is nobody's: unspecified, a group or the broadcast address.
        SourceAddress = "source-address",
        /// `allow` and `deny` do not let the source in, or not to a group.
        Access = "access",
        /// The source has used up its tokens.
        RateLimit = "rate-limit",
        /// It is an error line or a notice of a service like ours.
        ErrorLine = "error-line",
        /// It is our own line, come back.
        Echo = "echo",
        /// It answers what it is sent, again and again, as services do.
        Reflex = "reflex",
        /// It asks for a time that nobody here knows.
        NoTime = "no-time",
        /// It is nothing that the service answers.
        NotForUs = "not-for-us",
        /// The answer would be longer than a datagram.
        TooLong = "too-long",
        /// A table is full.
        Full = "full",
    }
}

/// One counter for each verdict.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Datagrams answered.
    pub answered: u64,
    /// Datagrams taken in.
    pub accepted: u64,
    refused: [u64; Refusal::ALL.len()],
    dropped: [u64; DropReason::ALL.len()],
}

impl Counters {
    /// Counts one datagram.
    pub fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Answered => self.answered += 1,
            Verdict::Accepted => self.accepted += 1,
            Verdict::Refused(why) => self.refused[why as usize] += 1,
            Verdict::Dropped(why) => self.dropped[why as usize] += 1,
        }
    }

    /// Datagrams that got an error line for this reason.
    pub fn refused(&self, why: Refusal) -> u64 {
        self.refused[why as usize]
    }

    /// Datagrams that got nothing for this reason.
    pub fn dropped(&self, why: DropReason) -> u64 {
        self.dropped[why as usize]
    }

    /// All datagrams that were counted.
    pub fn total(&self) -> u64 {
        self.answered + self.accepted + self.refused.iter().sum::<u64>() + self.dropped.iter().sum::<u64>()
    }

    /// Datagrams that were refused or dropped, but for those that were not for us: a group carries those all day.
    pub fn turned_away(&self) -> u64 {
        self.total() - self.answered - self.accepted - self.dropped(DropReason::NotForUs)
    }

    /// What was turned away since `earlier`, by name, without the zeros.
    pub fn turned_away_since(&self, earlier: &Self) -> Vec<(&'static str, u64)> {
        let refused = Refusal::ALL.iter().map(|&why| (why.name(), self.refused(why) - earlier.refused(why)));
        let dropped = DropReason::ALL
            .iter()
            .filter(|&&why| why != DropReason::NotForUs)
            .map(|&why| (why.name(), self.dropped(why) - earlier.dropped(why)));
        refused.chain(dropped).filter(|&(_, count)| count > 0).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verdict_has_a_counter_of_its_own() {
        let mut verdicts = vec![Verdict::Answered, Verdict::Accepted];
        verdicts.extend(Refusal::ALL.iter().map(|&why| Verdict::Refused(why)));
        verdicts.extend(DropReason::ALL.iter().map(|&why| Verdict::Dropped(why)));
        let mut counters = Counters::default();
        for (counted, &verdict) in verdicts.iter().enumerate() {
            let before = counters.clone();
            counters.count(verdict);
            assert_ne!(before, counters, "{verdict:?}");
            assert_eq!(counters.total(), counted as u64 + 1);
        }
        assert_eq!(
            counters.turned_away_since(&Counters::default()).len(),
            verdicts.len() - 3,
            "all but answered, accepted and not-for-us"
        );
    }
}
