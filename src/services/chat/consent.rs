//! Those who come from another network: nothing that is said goes to an address there until a token has come back from it, and
//! again and again while they stay.
//!
//! Whoever can forge a source address could otherwise have a whole room's talk sent to somebody who never asked for it
//! (RFC 9000 §8.1, RFC 9175 §2.4). So a datagram of theirs is answered by one, of at most three times its length, that holds a
//! token: a keyed hash of the address and the minute, of which the hub keeps
//! nothing. Whoever sends it back is there and wants to be (RFC 7675 §5.1). That holds for a while only: programs
//! and sessions show it with each heartbeat, people once for as long as they may be silent.
//!
//! | way | is asked by | shows it by |
//! |---|---|---|
//! | program | `^token T^` | `^hb T^` |
//! | line | a line that says what to type | `/here T` |
//! | session | `^token T^`, `^token T renew^` | `token=T` in a hello or a heartbeat |
//!
//! Leaving takes a token too: `quit T`. What is not defended: whoever forges the address of a plain member who is here can put
//! words into its mouth, as he can on a link. Sessions have a secret for that.

use super::command::{self, Command, Problem};
use super::member::{MemberId, Way};
use super::session::{self, Session};
use super::utterance::{self, Said};
use super::{Hub, Utterance};
use crate::core::frame::{frames, hex};
use crate::core::limits::{DATAGRAM_MAX, TOKEN_PERIOD};
use crate::core::source::Source;
use crate::core::text::split_line;
use crate::core::{Datagram, Instant, Now, Outbox, Path, Refusal};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

/// How long programs and sessions may be spoken to without having shown that they are there (RFC 7675 §5.1).
const CONSENT: Duration = Duration::from_secs(30);

/// What people are told, before the token.
const TO_COME_IN: &str = "You are on another network. To come in, send: /here";
const TO_STAY: &str = "To stay, send: /here";
const TO_LEAVE: &str = "To leave, send: quit";

/// What shows that somebody gets what is sent to an address. It is of one hub: a clock that begins anew with the machine does not
/// make those good again that were given before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token(u64);

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl Token {
    /// The token that is written so.
    pub(super) fn read(text: &str) -> Option<Self> {
        hex(text, 16).map(Self)
    }
}

impl Hub {
    /// The token for an address at present.
    pub(super) fn token(&self, now: &Now, remote: SocketAddr) -> Token {
        self.token_of(remote, period(now.mono))
    }

    fn token_of(&self, remote: SocketAddr, period: u64) -> Token {
        Token(self.keeping.seed().mac(&("token", self.begun, remote, period)))
    }

    /// Whether a token was given to this address in this period or the one before.
    pub(super) fn is_token(&self, now: &Now, remote: SocketAddr, token: &str) -> bool {
        let Some(token) = Token::read(token) else { return false };
        let now = period(now.mono);
        [now, now.wrapping_sub(1)].into_iter().any(|period| token == self.token_of(remote, period))
    }

    /// Whether a datagram holds what only its source can know: the session that is there, or the token of its address. Somebody
    /// else's session is no more than a number that he may write on datagrams of others.
    pub(super) fn is_vouched_for(&self, now: &Now, datagram: &Datagram<'_>) -> bool {
        let is_token = |token: &str| self.is_token(now, datagram.path.remote, token);
        let payload = datagram.payload;
        // No client says more in one, and looking at it is not for nothing.
        match payload.first().filter(|_| payload.len() <= DATAGRAM_MAX) {
            Some(b'^') => {
                if let Some((id, rest)) = session::claimed(payload) {
                    let member = self.sessions.get(id).and_then(Session::here);
                    let returns = || session::hello_in(rest)?.value("token").map(is_token);
                    return member.is_some_and(|member| self.is_known_at(member, datagram)) || returns() == Some(true);
                }
                let Some(Ok(frame)) = frames(payload).next() else { return false };
                match frame.verb {
                    "hello" | "list" => frame.value("token").is_some_and(is_token),
                    "hb" => frame.words().next().is_some_and(is_token),
                    _ => false,
                }
            }
            Some(b'/' | b'q') => {
                let (line, _) = split_line(payload);
                std::str::from_utf8(line).is_ok_and(|line| shown_by(utterance::read(line)).is_some_and(is_token))
            }
            _ => false,
        }
    }

    /// Hears somebody who is not on-link and has no session: whether it has shown that it is there. `None` says that nothing
    /// is to come of it, an error what is to be told instead.
    pub(super) fn hear_from_afar(
        &mut self,
        now: &Now,
        datagram: &Datagram<'_>,
        utterance: Option<Utterance<'_>>,
        out: &mut Outbox,
    ) -> Result<Option<bool>, Problem> {
        let path = datagram.path;
        let said = utterance.map(|utterance| utterance.said);
        let member = self.members.at(path.remote);
        let has_consented = member.is_some_and(|id| self.members.get(id).consent().is_some());
        let newline = utterance.map_or_else(|| split_line(datagram.payload).1, |utterance| utterance.newline);
        let newline = member.map_or(newline, |id| self.members.get(id).way == Way::Line);
        if let Some(shown) = said.and_then(shown_by).filter(|token| self.is_token(now, path.remote, token)) {
            // A program that is here with the last token is told the next, which will be good when that is not any more.
            let is_late = has_consented && Token::read(shown) != Some(self.token(now, path.remote));
            if is_late && matches!(said, Some(Said::Heartbeat(_))) {
                out.send_line(path, &self.request_for_token(now, path, newline, TO_STAY), newline);
            }
            return Ok(Some(true));
        }
        let what_to_do = match said {
            Some(said) if has_consented && is_quit(said) => TO_LEAVE,
            Some(Said::Heartbeat(_)) if has_consented => TO_STAY,
            _ if has_consented => {
                self.remind(now, path, newline, out);
                return Ok(Some(false));
            }
            _ if is_answer(datagram.payload) => return Ok(None),
            _ => TO_COME_IN,
        };
        Err(Problem::new(Refusal::NoToken, self.request_for_token(now, path, newline, what_to_do)))
    }

    /// What asks a program or a person for a token.
    fn request_for_token(&self, now: &Now, path: Path, newline: bool, what_to_do: &str) -> String {
        let token = self.token(now, path.remote);
        if newline { format!("-- {what_to_do} {token}") } else { format!("^token {token}^") }
    }

    /// Tells somebody at a terminal, who has no heartbeats, when half of his time is over; once, and only since he speaks.
    fn remind(&mut self, now: &Now, path: Path, newline: bool, out: &mut Outbox) {
        let Some(id) = self.members.at(path.remote) else { return };
        let lifetime = self.consent_of(id);
        let Some(consent) = self.members.get_mut(id).consent_mut() else { return };
        let is_half_over = consent.until.since(now.mono) < lifetime / 2;
        if newline && is_half_over && !std::mem::replace(&mut consent.is_reminded, true) {
            out.send_line(path, &self.request_for_token(now, path, newline, TO_STAY), newline);
        }
    }

    /// How long what a member has shown holds.
    fn consent_of(&self, id: MemberId) -> Duration {
        let has_heartbeats = self.members.get(id).heartbeats;
        if has_heartbeats { CONSENT } else { self.config.silent_timeout.max(CONSENT) }
    }

    /// Notes that a member has shown that it is where it says; or, on a link of ours, that it need not.
    pub(super) fn note_consent(&mut self, now: &Now, id: MemberId, on_link: bool) {
        let until = (!on_link).then(|| now.mono + self.consent_of(id));
        if self.members.get(id).consent().is_none() != on_link {
            self.note_change(id);
        }
        self.members.set_consent(id, until);
    }

    /// Whose word a member's is, where words are counted.
    pub(super) fn source_of(&self, id: MemberId) -> Source {
        let member = self.members.get(id);
        Source::of_sender(member.path.remote.ip(), member.consent().is_none())
    }

    /// Whether a session is to show soon that it is where it says.
    pub(super) fn is_consent_old(&self, now: &Now, id: MemberId) -> bool {
        let consent = self.members.get(id).consent();
        consent.is_some_and(|consent| consent.until.since(now.mono) < CONSENT / 2)
    }
}

/// Whether it is, or holds, what a service says to somebody who has said nothing to it: it comes from one that was made to talk to
/// this one.
fn is_answer(payload: &[u8]) -> bool {
    let text = String::from_utf8_lossy(payload).to_ascii_lowercase();
    ["-- ", "? "].iter().any(|mark| text.starts_with(mark))
        || ["^token ", "send: /here "].iter().any(|own| text.contains(own))
}

/// The token that is shown by what is said.
fn shown_by(said: Said<'_>) -> Option<&str> {
    match said {
        Said::Heartbeat(token) | Said::Quit(token) => token,
        Said::Command(typed) => command::here(typed),
        Said::Nothing | Said::Frame(_) | Said::Text(_) => None,
    }
}

fn is_quit(said: Said<'_>) -> bool {
    match said {
        Said::Quit(_) => true,
        Said::Command(typed) => command::parse(typed) == Ok(Command::Quit),
        _ => false,
    }
}

fn period(now: Instant) -> u64 {
    now.as_nanos() / 1_000_000_000 / TOKEN_PERIOD.as_secs()
}
