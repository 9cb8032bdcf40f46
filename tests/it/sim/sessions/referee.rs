//! What is true: what was said where and in which order, who may be spoken to, and what each client has had.
//!
//! It knows nothing of how the hub works. What was said is known by a mark in each text; the order of a room is the one in
//! which the hub gives it out to be written down, before anything leaves.

use super::super::network::is_on_link;
use super::keeper::Note;
use belfry::client::session::{Message, Session};
use belfry::core::frame::{Epoch, Frame, MAILBOX, Position, SessionId, frames};
use belfry::core::limits::{
    ANSWER_BASE, DATAGRAM_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX, REPAIR_BYTES, REPAIR_MESSAGES_MIN,
};
use belfry::core::{Instant, Seed};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

/// Somebody on another network is spoken to for so long after a token has come back from there.
const CONSENT: Duration = Duration::from_secs(30);

/// A token is good for so long at most.
const TOKEN_MAX: Duration = Duration::from_secs(120);

/// Something that somebody means to say.
#[derive(Clone, Debug)]
pub(super) struct Text {
    pub(super) bytes: Vec<u8>,
    pub(super) is_me: bool,
    /// To whom alone.
    pub(super) to: Option<String>,
    /// Whether a session says it: then it is said once at most.
    pub(super) is_counted: bool,
}

/// What was said under one numbering: the mark of each text, by its number. A mark of 0 is nobody's that we know.
type Stream = BTreeMap<u64, u64>;

/// One numbering of a room, or of somebody's mailbox.
#[derive(Debug, Default)]
struct Numbering {
    said: Stream,
    /// From here on the hub has everything, whatever else it forgets.
    kept_from: u64,
    /// Numbers that a hub may have forgotten as it was killed.
    doubtful: Vec<u64>,
    /// When each of the last few was said.
    last: Vec<(Instant, u64)>,
}

impl Numbering {
    fn newest(&self) -> u64 {
        self.said.last_key_value().map_or(0, |(&number, _)| number)
    }

    /// The first that was said behind `had` and up to `number`, and that nobody can have forgotten.
    fn between(&self, had: u64, number: u64) -> Option<u64> {
        let mut said = self.said.range(had.saturating_add(1)..).map(|(&number, _)| number);
        said.find(|said| !self.doubtful.contains(said)).filter(|&said| said <= number)
    }
}

/// Whether and how somebody at an address may be spoken to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) heard: Instant,
    pub(super) lifetime: Duration,
}

#[derive(Debug, Default)]
pub(super) struct Referee {
    texts: BTreeMap<u64, Text>,
    rooms: BTreeMap<(String, Epoch), Numbering>,
    mailboxes: BTreeMap<Epoch, Numbering>,
    /// How often each text was said.
    count: BTreeMap<u64, usize>,
    /// How often it was told to somebody who keeps no count.
    told: BTreeMap<(SocketAddr, u64), usize>,
    standings: BTreeMap<SocketAddr, Standing>,
    /// The tokens that were sent to an address on another network, with when, and when one of them last came back.
    tokens: BTreeMap<SocketAddr, Vec<(Instant, String)>>,
    shown: BTreeMap<SocketAddr, Instant>,
    /// Who has gone, and when.
    gone: Vec<(Instant, SocketAddr, Standing)>,
    /// Which session is at an address, as the hub has welcomed it.
    homes: BTreeMap<SocketAddr, SessionId>,
    /// Whether a hub was killed, or lost everything; what was not acknowledged then may be said twice in rooms without history.
    pub(super) has_forgotten: bool,
    /// What was told to somebody who may have gone in the same turn, so that it was in a mailbox and nowhere else.
    excused: BTreeSet<u64>,
    /// From where each session counts in each room.
    since: BTreeMap<(SessionId, String, Epoch), u64>,
    /// When a room forgot what was said in it.
    pub(super) forgot_at: Option<Instant>,
    /// What somebody has asked for again without end, and since when.
    greedy: BTreeMap<SocketAddr, (Instant, usize)>,
}

/// The mark in a text or a line: `#17;`.
pub(super) fn mark(text: &[u8]) -> u64 {
    marks(text).next().unwrap_or_default()
}

/// All of them, in a datagram.
fn marks(text: &[u8]) -> impl Iterator<Item = u64> {
    text.split(|&byte| byte == b'#').skip(1).filter_map(|rest| {
        let digits = rest.iter().position(|byte| !byte.is_ascii_digit()).filter(|&end| rest[end] == b';')?;
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    })
}

/// The token that the hub sends in a datagram, if it does.
pub(super) fn token_in(payload: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(payload).ok()?;
    let before = ["^token ", " send: /here ", " send: quit "];
    let is_token = |token: &&str| token.bytes().all(|byte| byte.is_ascii_hexdigit());
    before.into_iter().find_map(|before| text.split(before).nth(1)?.get(..16)).filter(is_token)
}

/// What came to the hub in this turn.
#[derive(Clone, Debug)]
pub(super) struct Input {
    pub(super) from: SocketAddr,
    pub(super) payload: Vec<u8>,
    /// Whether it is from whom it says, as far as the hub can know.
    pub(super) is_genuine: bool,
    /// How long somebody who speaks like this stays without another word.
    pub(super) lifetime: Duration,
}

impl Referee {
    /// Somebody is about to say this for the first time.
    pub(super) fn expect(&mut self, serial: u64, text: Text) {
        self.texts.insert(serial, text);
    }

    // ---- what the hub does ----

    /// The hub has been told something, before it has answered.
    pub(super) fn hear(&mut self, now: Instant, input: &Input) {
        let tokens = self.tokens.entry(input.from).or_default();
        tokens.retain(|&(sent, _)| now <= sent + TOKEN_MAX);
        let payload = String::from_utf8_lossy(&input.payload);
        if tokens.iter().any(|(_, token)| payload.contains(token.as_str())) {
            self.shown.insert(input.from, now);
        }
        if input.is_genuine {
            let standing =
                self.standings.entry(input.from).or_insert(Standing { heard: now, lifetime: input.lifetime });
            (standing.heard, standing.lifetime) = (now, input.lifetime.max(standing.lifetime));
        }
    }

    /// Takes note of what is written down.
    pub(super) fn note(&mut self, now: Instant, notes: Vec<Note>) {
        for note in notes {
            match note {
                Note::Said { room, epoch, number, line, is_kept } => {
                    let mark = mark(line.as_bytes());
                    // Where no session is any more, whoever forges its address is a stranger there, called after it.
                    let is_forged = line.contains("EVIL") && line.contains("member-");
                    assert!(!is_forged, "{line:?} is said in somebody's name");
                    let numbering = self.rooms.entry((room.clone(), epoch)).or_default();
                    assert!(number > numbering.newest(), "{room}/{epoch}/{number} after {}", numbering.newest());
                    numbering.said.insert(number, mark);
                    numbering.last.push((now, number));
                    numbering.kept_from =
                        numbering.kept_from.max((number + 1).saturating_sub(REPAIR_MESSAGES_MIN as u64));
                    let count = self.count.entry(mark).or_default();
                    *count += 1;
                    let is_counted = self.texts.get(&mark).is_some_and(|text| text.is_counted);
                    let may_be_twice = self.has_forgotten && !is_kept;
                    assert!(*count == 1 || !is_counted || may_be_twice, "{line:?} is said {count} times");
                }
                Note::Forgotten { room } => {
                    self.forgot_at = Some(now);
                    for (_, numbering) in self.rooms.iter_mut().filter(|((of, _), _)| *of == room) {
                        numbering.kept_from = numbering.newest() + 1;
                    }
                }
            }
        }
    }

    /// The hub is another from now on, which knows the last `history` messages of each room; `is_killed` is that its predecessor
    /// had no time.
    pub(super) fn restart(&mut self, ended: Instant, now: Instant, history: usize, is_killed: bool) {
        for numbering in self.rooms.values_mut() {
            numbering.kept_from = numbering.kept_from.max((numbering.newest() + 1).saturating_sub(history as u64));
        }
        if is_killed {
            self.has_forgotten = true;
            self.homes.clear();
            for numbering in self.mailboxes.values_mut() {
                let is_new = |&&(at, _): &&(Instant, u64)| at + Duration::from_millis(500) >= ended;
                numbering.doubtful.extend(numbering.last.iter().filter(is_new).map(|&(_, number)| number));
            }
        }
        self.greedy.clear();
        // Whoever was there then is there again: nobody was silent while nobody could be heard. A snapshot may be half a
        // second old.
        let then = if is_killed { ended - Duration::from_millis(500) } else { ended };
        for (left, addr, standing) in std::mem::take(&mut self.gone) {
            if left >= then {
                self.standings.entry(addr).or_insert(standing);
            }
        }
        let present = self.standings.values_mut().filter(|standing| standing.heard + standing.lifetime > then);
        present.for_each(|standing| standing.heard = now);
        let shown = self.shown.values_mut().filter(|shown| **shown + CONSENT > then);
        shown.for_each(|shown| *shown = now);
    }

    fn part(&mut self, now: Instant, addr: SocketAddr) {
        if let Some(standing) = self.standings.remove(&addr) {
            self.gone.push((now, addr, standing));
        }
        self.homes.remove(&addr);
    }

    /// Holds what the hub sends against what it may send.
    pub(super) fn judge(&mut self, now: Instant, inputs: &[Input], sent: &[(SocketAddr, Vec<u8>)]) {
        if inputs.len() > 1 {
            let marks = inputs.iter().flat_map(|input| marks(&input.payload));
            let is_private = |mark: &u64| self.texts.get(mark).is_some_and(|text| text.to.is_some());
            self.excused.extend(marks.filter(is_private));
        }
        let byes: Vec<_> = inputs.iter().filter(|input| input.is_genuine && self.is_bye(input)).collect();
        let byes: Vec<_> = byes.iter().map(|input| (input.from, self.homes.get(&input.from).copied())).collect();
        for (to, payload) in sent {
            assert!(payload.len() <= DATAGRAM_MAX, "{} bytes to {to}", payload.len());
            self.judge_recipient(now, inputs, *to, payload, sent);
            if let Some(token) = token_in(payload) {
                self.tokens.entry(*to).or_default().push((now, token.to_owned()));
            }
            if payload.starts_with(b"^") {
                for frame in frames(payload) {
                    let frame = frame.unwrap_or_else(|_| panic!("no frame: {}", payload.escape_ascii()));
                    self.judge_frame(now, *to, &frame);
                }
            } else if mark(payload) > 0 {
                let told = self.told.entry((*to, mark(payload))).or_default();
                *told += 1;
                let is_command = payload.starts_with(b"[");
                let said = self.count.get(&mark(payload)).copied().unwrap_or_default();
                let is_private = self.texts.get(&mark(payload)).is_some_and(|text| text.to.is_some());
                assert!(
                    *told <= said || is_private || is_command,
                    "{to} is told {told} times what was said {said} times"
                );
            }
        }
        for (left, session) in byes {
            // A hello that was late may have begun another there.
            if self.homes.get(&left).copied() == session {
                self.part(now, left);
            }
        }
    }

    fn is_bye(&self, input: &Input) -> bool {
        let own = self.homes.get(&input.from).map(|id| format!("^as {id}^^bye^"));
        input.payload == b"quit" || own.is_some_and(|own| input.payload == own.as_bytes())
    }

    fn judge_recipient(
        &mut self,
        now: Instant,
        inputs: &[Input],
        to: SocketAddr,
        payload: &[u8],
        sent: &[(SocketAddr, Vec<u8>)],
    ) {
        let is_here = self.standings.get(&to).is_some_and(|standing| now < standing.heard + standing.lifetime);
        let has_shown = is_on_link(to) || self.shown.get(&to).is_some_and(|&shown| now < shown + CONSENT);
        if is_here && has_shown {
            return;
        }
        let asked: Vec<_> = inputs.iter().filter(|input| input.from == to).map(|input| input.payload.len()).collect();
        assert!(!asked.is_empty(), "{to} is not here, and gets {}", payload.escape_ascii());
        let answers = sent.iter().filter(|(other, _)| *other == to).count();
        assert!(answers <= asked.len(), "{answers} answers to {to}, who is not here");
        let base = if is_on_link(to) { 0 } else { ANSWER_BASE };
        let most = base + 3 * asked.iter().max().copied().unwrap_or_default();
        assert!(payload.len() <= most, "{} for {asked:?} bytes", payload.escape_ascii());
    }

    fn judge_frame(&mut self, now: Instant, to: SocketAddr, frame: &Frame<'_>) {
        match frame.verb {
            "welcome" => {
                let id = frame.value("session").and_then(|id| id.parse().ok()).expect("a session");
                frame.values("at").for_each(|at| self.count_from(id, at));
                // Where it was before, it is no more.
                let olds: Vec<_> =
                    self.homes.iter().filter(|&(&at, &of)| of == id && at != to).map(|(&at, _)| at).collect();
                for old in olds {
                    self.part(now, old);
                }
                if self.homes.insert(to, id) != Some(id) {
                    // Another session has another allowance.
                    self.greedy.remove(&to);
                }
            }
            "bye" if frame.words().next() == Some("kicked") => {
                self.part(now, to);
            }
            "joined" => {
                if let Some((&id, at)) = self.homes.get(&to).zip(frame.words().nth(1)) {
                    self.count_from(id, at);
                }
            }
            "msg" => self.judge_message(now, to, frame),
            _ => {}
        }
    }

    fn count_from(&mut self, id: SessionId, at: &str) {
        let Position { room, epoch, number } = Position::read(at).expect("a position");
        self.since.insert((id, room.to_owned(), epoch), number);
    }

    fn judge_message(&mut self, now: Instant, to: SocketAddr, frame: &Frame<'_>) {
        let position = frame.words().next().and_then(Position::read).expect("a position");
        let mark = mark(frame.text);
        if let Some(text) = self.texts.get(&mark) {
            assert_eq!(frame.text.escape_ascii().to_string(), text.bytes.escape_ascii().to_string());
        }
        if position.room == MAILBOX {
            let numbering = self.mailboxes.entry(position.epoch).or_default();
            let known = numbering.said.insert(position.number, mark);
            assert!(known.is_none_or(|known| known == mark), "{position} is two messages");
            if known.is_none() {
                numbering.last.push((now, position.number));
                *self.count.entry(mark).or_default() += 1;
                let mut bytes = 0;
                // A line has two names, and what people see of the text, with a tab behind each newline; the text beside it counts
                // thrice.
                let texts = &self.texts;
                let len = |mark: &u64| 5 * texts.get(mark).map_or(DATAGRAM_MAX, |text| text.bytes.len()) + 80;
                let kept = numbering.said.iter().rev().take(MAILBOX_MESSAGES_MAX).take_while(|(_, mark)| {
                    bytes += len(mark);
                    bytes <= MAILBOX_BYTES_MAX
                });
                numbering.kept_from =
                    numbering.kept_from.max(kept.last().map_or(position.number + 1, |(&number, _)| number));
            }
            return;
        }
        let numbering = self.rooms.get(&(position.room.to_owned(), position.epoch)).expect("a room that was spoken in");
        assert_eq!(numbering.said.get(&position.number), Some(&mark), "{position}");
        let is_again =
            !numbering.last.iter().rev().take_while(|(at, _)| *at == now).any(|&(_, number)| number == position.number);
        if is_again && let Some((since, bytes)) = self.greedy.get_mut(&to) {
            *bytes += frame.text.len();
            let most = REPAIR_BYTES + (REPAIR_BYTES as f64 * now.since(*since).as_secs_f64()) as usize;
            assert!(*bytes <= most, "{to} has had {bytes} bytes again, and {most} are for it");
        }
    }

    /// Somebody asks for everything again and again.
    pub(super) fn watch(&mut self, now: Instant, addr: SocketAddr) {
        self.greedy.entry(addr).or_insert((now, 0));
    }

    /// The host of somebody says that nobody listens any more.
    pub(super) fn doubt(&mut self, addr: SocketAddr) {
        self.homes.remove(&addr);
    }

    /// Whether the session at this address is there, and will be for a moment.
    pub(super) fn is_at_home(&self, now: Instant, addr: SocketAddr) -> bool {
        self.homes.contains_key(&addr)
            && self
                .standings
                .get(&addr)
                .is_some_and(|standing| now + Duration::from_secs(1) < standing.heard + standing.lifetime)
    }

    /// Whether a text was said in a room, or told to somebody alone.
    pub(super) fn was_said(&self, mark: u64) -> bool {
        self.count.contains_key(&mark) || self.excused.contains(&mark) || self.told.keys().any(|&(_, of)| of == mark)
    }

    fn numbering(&self, room: &str, epoch: Epoch) -> Option<&Numbering> {
        if room == MAILBOX { self.mailboxes.get(&epoch) } else { self.rooms.get(&(room.to_owned(), epoch)) }
    }

    /// A hash of what was said so far.
    pub(super) fn trace(&self) -> u64 {
        let said: Vec<_> = self.rooms.iter().map(|((room, epoch), numbering)| (room, epoch, &numbering.said)).collect();
        Seed(0).hash(&said)
    }
}

/// What one client has had: for each room, the last number.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    stays: BTreeMap<String, (Epoch, u64)>,
    had: BTreeMap<(String, Epoch), u64>,
}

impl Ledger {
    /// Where it is.
    pub(super) fn places(&self) -> impl Iterator<Item = (&str, Epoch, u64)> {
        self.stays.iter().map(|(room, &(epoch, number))| (room.as_str(), epoch, number))
    }

    fn go(&mut self, room: &str, epoch: Epoch, number: u64) {
        self.stays.insert(room.to_owned(), (epoch, number));
        self.had.insert((room.to_owned(), epoch), number);
    }

    /// It counts from here in a room.
    pub(super) fn begin(&mut self, referee: &Referee, room: &str, epoch: Epoch, number: u64) {
        let newest = referee.numbering(room, epoch).map_or(0, Numbering::newest);
        assert!(number <= newest, "{room}/{epoch}/{number} is said to be had, and {newest} is the newest");
        match self.stays.get(room) {
            Some(&(of, had)) if of == epoch => assert_eq!(number, had, "who stays goes on in {room}"),
            _ => {
                let had = self.had.get(&(room.to_owned(), epoch)).copied().unwrap_or_default();
                assert!(number >= had, "{room}/{epoch}/{number}, and {had} was had");
            }
        }
        self.go(room, epoch, number);
    }

    pub(super) fn leave(&mut self, room: &str) {
        self.stays.remove(room);
    }

    /// It has a message.
    pub(super) fn take(&mut self, referee: &Referee, message: &Message) {
        let Message { room, epoch, number, text, is_me, .. } = message;
        let place = format!("{room}/{epoch}/{number}");
        let numbering = referee.numbering(room, *epoch).unwrap_or_else(|| panic!("{place} was never said"));
        let mark = mark(text);
        assert_eq!(numbering.said.get(number), Some(&mark), "{place}: {}", text.escape_ascii());
        if let Some(meant) = referee.texts.get(&mark) {
            assert_eq!(text.escape_ascii().to_string(), meant.bytes.escape_ascii().to_string(), "{place}");
            assert_eq!(*is_me, meant.is_me, "{place}");
        }
        let last = match self.stays.get(room) {
            Some(&(of, last)) if of == *epoch => last,
            _ if room == MAILBOX => self.had.get(&(room.clone(), *epoch)).copied().unwrap_or_default(),
            at => panic!("{place} comes to who is at {at:?}"),
        };
        assert!(*number > last, "{place} comes after {last}");
        assert_eq!(numbering.between(last, *number - 1), None, "before {place} came {last}");
        self.go(room, *epoch, *number);
    }

    /// It is told that so many are lost.
    pub(super) fn lose(&mut self, referee: &Referee, addr: SocketAddr, place: (&str, Epoch), first: u64, count: u64) {
        let (room, epoch) = place;
        let (last, place) = (first + (count - 1), format!("{room}/{epoch}/{first}-{}", first + (count - 1)));
        let had = self.had.get(&(room.to_owned(), epoch)).copied().unwrap_or_default();
        let numbering = referee.numbering(room, epoch).unwrap_or_else(|| panic!("{place} was never said"));
        assert_eq!(numbering.between(had, first - 1), None, "before {place} came {had}");
        // Whoever comes, whatever it says to have had, may read what the history shows and what is said from then on.
        let since = referee.homes.get(&addr).and_then(|&id| referee.since.get(&(id, room.to_owned(), epoch)));
        let is_lost = last < numbering.kept_from
            || since.is_some_and(|&since| last <= since)
            || (first..=last).all(|number| numbering.doubtful.contains(&number));
        assert!(is_lost, "{place} is there, from {} to {}", numbering.kept_from, numbering.newest());
        self.go(room, epoch, last);
    }

    /// What its session says of where it is must be true.
    pub(super) fn compare(&self, referee: &Referee, session: &Session) {
        for position in session.positions() {
            let Some(&(epoch, last)) = self.stays.get(position.room).filter(|(epoch, _)| *epoch == position.epoch)
            else {
                continue;
            };
            let numbering = referee.numbering(position.room, epoch);
            let skipped = numbering.and_then(|numbering| numbering.between(last, position.number));
            assert!(position.number >= last && skipped.is_none(), "{position}, and {last} was had");
        }
    }

    /// It must have had everything of where it is.
    pub(super) fn finish(&self, referee: &Referee, session: &Session) {
        for position in session.positions() {
            let Some(numbering) = referee.numbering(position.room, position.epoch) else { continue };
            let missing = numbering.between(position.number, u64::MAX);
            assert_eq!(missing, None, "{} is at {position}", session.name());
        }
    }
}
