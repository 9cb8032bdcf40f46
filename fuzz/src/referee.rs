//! What must hold of a hub, whatever is said to it: looked at after each step, and cheap enough for millions of them.
//!
//! It does not know what a hub should say (the simulation in `tests/it/sim` does), but what it may never say, and to whom.

use belfry::config;
use belfry::core::frame::{Frame, Position, frames};
use belfry::core::limits::{
    ANSWER_BASE, DATAGRAM_MAX, HISTORY_BYTES_MAX, MAILBOX_BYTES_MAX, MAILBOX_MESSAGES_MAX, REPAIR_BYTES, REQUESTS_MAX,
    ROOMS_MAX, SESSION_ROOMS_MAX, SESSIONS_AWAY_MAX, TOPIC_MAX,
};
use belfry::core::{Counters, Datagram, Instant, Now, Outbox, Verdict};
use belfry::services::chat::{Hub, MemberView, News, Way};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::hub::addr_of;
use super::is_clean;

/// What one recipient gets at most for one step: what is repaired at once and what is asked for, with room for what fills
/// up bursts.
const STEP_BYTES_MAX: usize = 2 * (REPAIR_BYTES + (REQUESTS_MAX + 16) * DATAGRAM_MAX);

/// How long whoever sends heartbeats from another network is spoken to without a token.
const CONSENT: Duration = Duration::from_secs(30);

/// The verbs of a hub's frames.
const VERBS: [&str; 13] =
    ["token", "welcome", "bye", "ack", "error", "answer", "joined", "msg", "note", "at", "gone", "rooms", "members"];

/// What is known of an address.
#[derive(Default)]
struct Source {
    /// The tokens that it was given, the newest last.
    tokens: Vec<String>,
    session: Option<String>,
    /// The last position that it has seen.
    position: Option<String>,
    /// The number of its last request that was done.
    last: u64,
    /// When it has last shown one of its tokens.
    shown: Option<Instant>,
}

/// A member, as it was at some moment of the turn.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Known {
    way: Way,
    heartbeats: bool,
    rooms: BTreeSet<String>,
}

pub(crate) struct Referee {
    config: config::Chat,
    /// Everybody who has ever sent something.
    sources: BTreeMap<SocketAddr, Source>,
    /// Who has been a member in this turn, and where.
    known: BTreeMap<SocketAddr, Known>,
    /// Whether that may be more than who is here now.
    has_changed: bool,
    counters: Counters,
    datagrams: u64,
}

/// A datagram that is looked at the answers to.
#[derive(Clone, Copy)]
pub(crate) struct Cause<'a> {
    datagram: &'a Datagram<'a>,
    verdict: Verdict,
    is_stranger: bool,
}

/// Whether an address is on a link of the hub's; see `hub::path`.
fn is_on_link(addr: IpAddr) -> bool {
    match addr {
        IpAddr::V4(addr) => addr.octets()[0] == 192,
        IpAddr::V6(addr) => addr.segments()[3] == 0,
    }
}

fn rooms_of(member: &MemberView<'_>) -> BTreeSet<String> {
    member.rooms.iter().map(|&room| room.to_owned()).collect()
}

impl Referee {
    pub(crate) fn new(config: &config::Chat) -> Self {
        let (counters, sources, known) = (Counters::default(), BTreeMap::new(), BTreeMap::new());
        Self { config: config.clone(), sources, known, has_changed: true, counters, datagrams: 0 }
    }

    /// What stands for a letter in a datagram of this source.
    pub(crate) fn made_up(&self, letter: u8, of: SocketAddr, a: SocketAddr) -> Option<Vec<u8>> {
        let source = self.sources.get(if letter == b'A' { &a } else { &of });
        let position = source.and_then(|source| source.position.as_deref()).unwrap_or("lobby/00000000/0");
        let mut parts = position.split('/');
        let text = match letter {
            b'T' => source.and_then(|source| source.tokens.last().cloned()).unwrap_or_else(|| "0".repeat(16)),
            b'S' | b'A' => source.and_then(|source| source.session.clone()).unwrap_or_else(|| "0".repeat(16)),
            b'P' => position.to_owned(),
            b'R' => parts.next().unwrap_or_default().to_owned(),
            b'E' => parts.nth(1).unwrap_or_default().to_owned(),
            b'N' => (source.map_or(0, |source| source.last) + 1).to_string(),
            _ => return None,
        };
        Some(text.into_bytes())
    }

    // ---- a datagram ----

    /// A datagram is about to be heard.
    pub(crate) fn begin(&mut self, now: &Now, hub: &mut Hub, datagram: &Datagram<'_>) {
        self.note_members(hub);
        let source = self.sources.entry(datagram.path.remote).or_default();
        let text = String::from_utf8_lossy(datagram.payload);
        if source.tokens.iter().any(|token| text.contains(token)) {
            source.shown = Some(now.mono);
        }
    }

    /// A datagram was heard; what was sent at once is looked at.
    pub(crate) fn judge(
        &mut self,
        now: &Now,
        hub: &mut Hub,
        datagram: &Datagram<'_>,
        verdict: Verdict,
        is_vouched: bool,
        out: &mut Outbox,
    ) {
        self.datagrams += 1;
        self.counters.count(verdict);
        assert_eq!(self.counters.total(), self.datagrams, "one verdict, one counter");
        let remote = datagram.path.remote;
        let is_stranger = !self.known.contains_key(&remote);
        // Whoever is here has shown who he is, or need not; of others nothing counts but the token of their address.
        assert!(!is_stranger || !is_vouched || self.sources[&remote].shown.is_some());
        self.look(now, hub, out, Some(Cause { datagram, verdict, is_stranger }));
    }

    /// Looks at what is sent, of which the `cause` may be a datagram.
    pub(crate) fn look(&mut self, now: &Now, hub: &mut Hub, out: &mut Outbox, cause: Option<Cause<'_>>) {
        self.note_members(hub);
        let mut bytes_to: BTreeMap<SocketAddr, usize> = BTreeMap::new();
        let mut count_to_sender = 0;
        let mut count = 0;
        for (path, bytes) in out.pending() {
            count += 1;
            *bytes_to.entry(path.remote).or_default() += bytes.len();
            assert!(bytes.len() <= DATAGRAM_MAX, "{} bytes", bytes.len());
            self.is_for(now, path.remote, bytes, cause.as_ref());
            self.is_well_formed(path.remote, bytes);
            if cause.is_some_and(|cause| cause.datagram.path.remote == path.remote) {
                count_to_sender += 1;
            }
        }
        assert_eq!(out.forgotten(), 0, "it is not so much");
        for (to, bytes) in bytes_to {
            assert!(bytes <= STEP_BYTES_MAX, "{to} gets {bytes} bytes");
        }
        if let Some(cause) = cause {
            self.is_bounded(&cause, count_to_sender, out);
        }
        out.advance(count);
        assert!(out.is_empty());
    }

    /// Whether somebody may get something.
    fn is_for(&self, now: &Now, to: SocketAddr, bytes: &[u8], cause: Option<&Cause<'_>>) {
        let shown = || bytes.escape_ascii();
        let Some(source) = self.sources.get(&to) else { panic!("{to} has never said anything, and gets {}", shown()) };
        let is_sender = cause.is_some_and(|cause| cause.datagram.path.remote == to);
        if is_sender {
            return;
        }
        let Some(known) = self.known.get(&to) else { panic!("{to} is no member, and gets {}", shown()) };
        if !is_on_link(to.ip()) {
            let since = source.shown.unwrap_or_else(|| panic!("{to} has shown no token, and gets {}", shown()));
            let has_heartbeats = known.heartbeats || known.way == Way::Session;
            let lifetime = if has_heartbeats { CONSENT } else { Duration::from_secs(600) };
            assert!(now.mono.since(since) <= lifetime, "{to} has shown a token at {since:?}, and gets {}", shown());
        }
        let Some(Cause { datagram, verdict, is_stranger }) = cause else { return };
        let sender = self.known.get(&datagram.path.remote).map(|known| &known.rooms);
        let is_private = bytes.windows(4).any(|part| part == b" -> ");
        // Whoever comes in comes into the lobby, and may go on at once.
        let is_lobby = *is_stranger && known.rooms.contains("lobby");
        let shares = is_lobby || sender.is_some_and(|rooms| !rooms.is_disjoint(&known.rooms));
        let said = datagram.payload.escape_ascii();
        assert!(is_private || shares, "{to} in {:?} gets {} of {said} from {sender:?}", known.rooms, shown());
        let is_plain = !datagram.payload.starts_with(b"^");
        // Somebody new may come in with a request that cannot be done.
        let is_heard = matches!(verdict, Verdict::Answered | Verdict::Accepted) || *is_stranger;
        assert!(is_heard || !is_plain, "{verdict:?}, and {to} gets {} of {said}", shown());
    }

    /// Whether the answers to a datagram are no more than they may be.
    fn is_bounded(&self, cause: &Cause<'_>, count_to_sender: usize, out: &Outbox) {
        let Cause { datagram, verdict, is_stranger } = *cause;
        let remote = datagram.path.remote;
        let said = datagram.payload.escape_ascii();
        if matches!(verdict, Verdict::Dropped(_)) {
            assert_eq!(count_to_sender, 0, "{verdict:?}: {said}");
        }
        let is_member = self.known.contains_key(&remote);
        if !is_stranger || is_member {
            return;
        }
        assert!(count_to_sender <= 1, "{count_to_sender} to a stranger for {said}");
        for (path, bytes) in out.pending() {
            assert_eq!(path.remote, remote, "{} goes to another for {said}", bytes.escape_ascii());
            let is_within = bytes.len() <= ANSWER_BASE + 3 * datagram.payload.len();
            let is_list = bytes.starts_with(b"^rooms ") || bytes.starts_with(b"^members ");
            assert!(!is_list || self.shows_token(datagram), "{} for {said}", bytes.escape_ascii());
            assert!(
                datagram.on_link || is_within || is_list,
                "{} bytes for {said}: {}",
                bytes.len(),
                bytes.escape_ascii()
            );
        }
    }

    /// Whether a token of its source stands in a datagram.
    fn shows_token(&self, datagram: &Datagram<'_>) -> bool {
        let text = String::from_utf8_lossy(datagram.payload);
        self.sources[&datagram.path.remote].tokens.iter().any(|token| text.contains(token))
    }

    /// Whether a datagram is one that its recipient can read, and takes note of what stands in it.
    fn is_well_formed(&mut self, to: SocketAddr, bytes: &[u8]) {
        let shown = bytes.escape_ascii();
        let read: Vec<_> = frames(bytes).collect();
        let are_frames =
            !read.is_empty() && read.iter().all(|frame| frame.is_ok_and(|frame| VERBS.contains(&frame.verb)));
        let is_text = str::from_utf8(bytes).is_ok_and(is_clean);
        let is_session = self.known.get(&to).is_some_and(|known| known.way == Way::Session);
        if is_session {
            assert!(are_frames || (bytes.starts_with(b"? ") && is_text), "to a session: {shown}");
        } else {
            assert!(are_frames || is_text, "to a member or a stranger: {shown}");
        }
        if are_frames {
            read.into_iter().flatten().for_each(|frame| self.note_frame(to, &frame));
        } else if let Some((_, token)) = str::from_utf8(bytes).ok().and_then(|text| text.trim_end().rsplit_once(' ')) {
            self.note_token(to, token);
        }
    }

    fn note_frame(&mut self, to: SocketAddr, frame: &Frame<'_>) {
        let words: Vec<_> = frame.words().collect();
        let first = words.first().copied().unwrap_or_default();
        match frame.verb {
            "token" => self.note_token(to, first),
            "note" | "answer" | "error" | "rooms" | "members" => {
                assert!(str::from_utf8(frame.text).is_ok_and(is_clean), "{frame:?}")
            }
            _ => {}
        }
        let known = self.known.get(&to);
        let Some(source) = self.sources.get_mut(&to) else { return };
        match frame.verb {
            "welcome" => {
                source.session = frame.value("session").map(str::to_owned);
                source.last = frame.value("last").and_then(|last| last.parse().ok()).unwrap_or(0);
            }
            "ack" | "joined" => source.last = first.parse().unwrap_or(source.last),
            "msg" => {
                let room = Position::read(first).unwrap_or_else(|| panic!("{frame:?}")).room;
                let is_there = known.is_some_and(|known| room == "@" || known.rooms.contains(room));
                assert!(is_there, "{to} gets {frame:?} in {known:?}");
            }
            "note" if first != "@" => {
                let is_there = known.is_some_and(|known| known.rooms.contains(first));
                assert!(is_there, "{to} gets {frame:?} in {known:?}");
            }
            _ => {}
        }
        let positions = words.iter().copied().chain(frame.values("at")).filter(|word| Position::read(word).is_some());
        if let Some(position) = positions.last() {
            source.position = Some(position.to_owned());
        }
    }

    fn note_token(&mut self, to: SocketAddr, token: &str) {
        let is_token = token.len() == 16 && token.bytes().all(|byte| byte.is_ascii_hexdigit());
        if let Some(source) = self.sources.get_mut(&to).filter(|_| is_token) {
            source.tokens.retain(|other| other != token);
            source.tokens.push(token.to_owned());
        }
    }

    // ---- everybody ----

    /// Takes note of who is here, and looks whether they may be, if the hub says that anything is new.
    fn note_members(&mut self, hub: &mut Hub) {
        if !hub.take_changed() {
            return;
        }
        self.has_changed = true;
        let mut names = BTreeSet::new();
        let mut of_host: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for member in hub.members() {
            let (addr, name) = (member.addr, member.name);
            assert!(names.insert(name.to_lowercase()), "two are called {name}");
            assert!(is_clean(name) && (1..=52).contains(&name.len()) && !name.contains(' '), "{name:?}");
            let host = match addr.ip() {
                IpAddr::V6(ip) if !is_on_link(addr.ip()) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
                ip => ip,
            };
            *of_host.entry(host).or_default() += 1;
            assert!((1..=SESSION_ROOMS_MAX).contains(&member.rooms.len()), "{:?}", member.rooms);
            let Some(source) = self.sources.get(&addr) else { panic!("{addr} is a member and has said nothing") };
            assert!(is_on_link(addr.ip()) || source.shown.is_some(), "{addr} is a member and has shown no token");
            self.note_member(&member);
        }
        assert_eq!(names.len(), hub.member_count());
        assert!(names.len() <= self.config.max_members, "{} members", names.len());
        for (host, count) in of_host {
            assert!(count <= self.config.max_members_per_address, "{count} members at {host}");
        }
        assert!(hub.rooms().count() <= ROOMS_MAX);
    }

    /// The turn is over; who has gone in it is gone.
    pub(crate) fn end_turn(&mut self, hub: &mut Hub) {
        for news in hub.take_news() {
            match news {
                News::Said { message, .. } => assert!(is_clean(&message.line), "{:?}", message.line),
                News::Lost { count } => panic!("{count} lost"),
                News::Forgotten { .. } | News::Trimmed { .. } => {}
            }
        }
        self.note_members(hub);
        if std::mem::take(&mut self.has_changed) {
            self.known.clear();
            hub.members().for_each(|member| self.note_member(&member));
        }
    }

    fn note_member(&mut self, member: &MemberView<'_>) {
        let (way, heartbeats) = (member.way, member.heartbeats);
        let known = self.known.entry(member.addr).or_insert_with(|| Known { way, heartbeats, rooms: BTreeSet::new() });
        (known.way, known.heartbeats) = (way, heartbeats);
        known.rooms.extend(rooms_of(member));
    }

    // ---- what is kept ----

    /// What a hub leaves to the next, which is not without bounds.
    pub(crate) fn dump(&self, hub: &Hub) -> Vec<u8> {
        let mut text = Vec::new();
        hub.dump(addr_of, &mut text);
        // A byte may take six.
        let (place, short) = (128, 6 * TOPIC_MAX);
        let mailbox = 6 * (MAILBOX_BYTES_MAX + MAILBOX_MESSAGES_MAX * 64) + MAILBOX_MESSAGES_MAX * (256 + 44);
        let kinds = [
            ("{\"hub\"", 1, 128),
            ("{\"room\"", ROOMS_MAX, 256 + 6 * 32 + short),
            ("{\"session\"", self.config.max_members + SESSIONS_AWAY_MAX, 512 + SESSION_ROOMS_MAX * place + mailbox),
            ("{\"member\"", self.config.max_members, 768 + short),
        ];
        let lines: Vec<_> = text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).collect();
        let mut known = 0;
        for (begin, count_max, len_max) in kinds {
            let of_kind = lines.iter().filter(|line| line.starts_with(begin.as_bytes()));
            let lens: Vec<_> = of_kind.map(|line| line.len()).collect();
            assert!(lens.len() <= count_max && lens.iter().all(|&len| len <= len_max), "{begin}: {lens:?}");
            known += lens.len();
        }
        assert_eq!(known, lines.len(), "{}", text.escape_ascii());
        text
    }

    /// Another hub has taken over: the same are there, and none of them was asked for a token.
    pub(crate) fn take_over(&mut self, now: &Now, old: &Hub, new: &Hub, is_killed: bool) {
        if !is_killed {
            let all = |hub: &Hub| -> Vec<_> {
                let of = |member: MemberView<'_>| {
                    (member.addr, member.name.to_owned(), member.way, rooms_of(&member), member.away.map(str::to_owned))
                };
                hub.members().map(of).collect()
            };
            assert_eq!(all(old), all(new));
        }
        for member in new.members() {
            self.sources.entry(member.addr).or_default().shown = Some(now.mono);
        }
        self.has_changed = true;
    }

    /// The end of a program.
    pub(crate) fn end(&mut self, hub: &Hub) {
        self.dump(hub);
        for room in hub.rooms() {
            let lines: Vec<_> = hub.history_of(room).into_iter().flatten().map(|message| &message.line).collect();
            assert!(lines.iter().all(|line| is_clean(line)), "{lines:?}");
            assert!(lines.iter().map(|line| line.len()).sum::<usize>() <= HISTORY_BYTES_MAX);
        }
    }
}
