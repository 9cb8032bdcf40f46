//! What outlives the process: the hub in a file in memory that the service manager holds, and the histories in files.
//!
//! The hub says when it has changed, and is written down at once unless that was done a moment ago, a slice in each turn, so
//! that a large one keeps nobody waiting for the time. So a kill costs
//! nobody a place who has been there for a second, and nothing wakes the daemon while nothing changes. A daemon that ends
//! in good order leaves the hub in the state directory as well (`farewell`).
//!
//! What reads files that somebody else may have written is for everybody, so that it can be fuzzed.

mod farewell;
mod file;
mod histories;
mod memory;
mod said;

use super::error::errno_text;
use super::listener::Listener;
use super::logging::event;
use super::supervisor::Supervisor;
use crate::core::limits::DUMP_SLICE_BYTES;
use crate::core::{Instant, ListenerId, Now, Outbox, Seed};
use crate::services::ServiceName;
use crate::services::chat::{Hub, News, Restored, kept_seed};
use histories::Histories;
pub use histories::Tail;
use jiff::Timestamp;
use log::{info, warn};
pub use memory::{Found, Memory};
use said::SaidLog;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the file in memory at the service manager.
pub(super) const NAME: &str = "state";

/// How long changes of the hub are gathered before they are written down. Half of a second, after which nobody is to be
/// lost.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(500);

/// And at least so long for each byte of it, so that a hub of a hundred thousand in which somebody comes or goes all the
/// time still has most of its time for them: it begins to count with some thirty thousand members.
const SNAPSHOT_INTERVAL_PER_BYTE: Duration = Duration::from_nanos(100);

/// The largest snapshot that is read: a million members, each with the longest texts.
const SNAPSHOT_MAX: u64 = 1 << 30;

/// How long to wait when there was no memory for it.
const RETRY: Duration = Duration::from_secs(60);

/// Everything that is kept, and what has been found of what was.
#[derive(Debug, Default)]
pub(super) struct State {
    directory: Option<PathBuf>,
    memory: Option<Memory>,
    /// What the process before us has left, until a hub takes it.
    left: Option<Left>,
    /// When to remove what it has left in the directory, if that may be there.
    farewell_due: Option<Instant>,
    histories: Option<Histories>,
    said: SaidLog,
    /// When to write the hub down next, and not before.
    due: Option<Instant>,
    not_before: Instant,
    /// Whether the last attempt failed.
    failed: bool,
    /// What was said in this turn, and the like.
    news: Vec<News>,
    /// What is written in one turn.
    slice: Vec<u8>,
}

/// A hub that was.
#[derive(Debug)]
struct Left {
    lines: Vec<u8>,
    /// When it was, if it may be long ago.
    since: Option<Timestamp>,
}

impl State {
    /// What was `passed` to us, or something new if the service manager takes it; and the histories in `directory`.
    ///
    /// Nothing is lost when the start fails after it.
    pub(super) fn open(passed: Option<OwnedFd>, supervisor: &Supervisor, directory: Option<&Path>) -> Self {
        let (directory, histories) = (directory.map(Path::to_owned), directory.map(Histories::new));
        let mut state = Self { directory, histories, ..Self::default() };
        let mut found = None;
        if let Some(fd) = passed {
            match Memory::adopt(fd) {
                Ok(Found::Whole(memory, lines)) => (state.memory, found) = (Some(memory), Some(lines)),
                Ok(Found::Damaged(memory, lines)) => {
                    warn!(message_id = event::STATE_DEGRADED; "the state that was kept is damaged; what can be read of it is taken");
                    (state.memory, found) = (Some(memory), Some(lines));
                }
                Err(reason) => {
                    warn!(message_id = event::STATE_DEGRADED; "nobody is back: the state that was kept cannot be used: {reason}");
                    supervisor.forget(NAME);
                }
            }
        }
        state.memory.iter_mut().for_each(Memory::give_back_all);
        let in_memory = found.filter(|lines| !lines.is_empty()).map(|lines| Left { lines, since: None });
        let in_directory = || {
            let (lines, since) = farewell::read(state.directory.as_deref()?)?;
            Some(Left { lines, since: Some(since) })
        };
        // What was kept in memory is newer.
        state.left = in_memory.or_else(in_directory);
        state.farewell_due = Some(Instant::default());
        if state.memory.is_none() && supervisor.is_present() {
            match Memory::new() {
                // One that is not held is none.
                Ok(memory) => state.memory = supervisor.store(NAME, memory.as_fd()).then_some(memory),
                Err(error) => warn!(
                    message_id = event::STATE_DEGRADED;
                    "a restart will empty the rooms: cannot make a file in memory: {error}"
                ),
            }
        }
        state
    }

    /// The seed of the process before us.
    pub(super) fn seed(&self) -> Option<Seed> {
        kept_seed(&self.left.as_ref()?.lines)
    }

    /// Gives a new hub what was kept. Members who may have been gone for `silent_timeout` are expected no more.
    pub(super) fn restore(
        &mut self,
        now: &Now,
        hub: &mut Hub,
        listeners: &[Listener],
        silent_timeout: Duration,
        out: &mut Outbox,
    ) {
        if let Some(Left { mut lines, since }) = self.left.take() {
            if since.is_some_and(|since| !is_within(silent_timeout, since, now.wall)) {
                lines = farewell::without_members(&lines);
            }
            let restored = hub.restore(now, &lines, |addr| listener_at(listeners, addr), out);
            let Restored { members, cut_off, refused, senseless } = restored;
            if restored != Restored::default() {
                info!(
                    "members who are back: {members}; whose socket is gone: {cut_off}; who cannot be: \
                     {refused}; lines that make no sense: {senseless}"
                );
            }
        }
        if let Some(histories) = &mut self.histories {
            histories.read(now, hub);
        }
    }

    /// Writes down what a turn has brought, before any of it leaves.
    pub(super) fn keep(&mut self, now: Instant, hub: Option<&mut Hub>, listeners: &[Listener]) {
        let Some(hub) = hub else { return self.forget_hub(now) };
        self.news.extend(hub.take_news());
        let news = &self.news;
        self.said.note(now, news);
        if let Some(histories) = &mut self.histories {
            histories.write(now, hub, news);
            if histories.is_unwritten() && news.iter().any(|news| matches!(news, News::Said { kept: true, .. })) {
                hub.note_unwritten();
            }
        }
        self.news.clear();
        // What changes while it is written is seen to at the end.
        if self.memory.is_some() && !hub.is_dumping() && hub.take_changed() {
            self.due.get_or_insert(self.not_before);
        }
        if self.due.is_some_and(|due| due <= now) {
            self.save_slice(now, hub, listeners);
        } else if let Some(memory) = &mut self.memory {
            memory.give_back_slice();
        }
        // While the memory says less than what was left, a kill is to find that.
        if !self.failed && !hub.is_dumping() {
            self.end_farewell(now);
        }
    }

    /// What was left is in a hub now: a kill must not bring it back.
    fn end_farewell(&mut self, now: Instant) {
        if self.farewell_due.is_some_and(|due| due <= now) {
            let is_gone = self.directory.as_deref().is_none_or(farewell::remove);
            self.farewell_due = (!is_gone).then(|| now + RETRY);
        }
    }

    /// Writes down what [`State::keep`] has put off, and leaves the hub for whoever comes later.
    pub(super) fn keep_last(&mut self, now: Instant, hub: Option<&mut Hub>, listeners: &[Listener]) {
        self.histories.iter_mut().for_each(|histories| histories.write_last(now, hub.as_deref()));
        let Some(hub) = hub else { return };
        if self.due.is_some() {
            self.save_slice(now, hub, listeners);
            while hub.is_dumping() {
                self.save_slice(now, hub, listeners);
            }
        }
        let Some(directory) = &self.directory else { return };
        let write = |file: &mut File| hub.dump_to(|id| addr_of(listeners, id), |slice| file.write_all(slice));
        match farewell::leave(directory, write) {
            // It is newer than what is in memory.
            Ok(()) if self.failed => drop(self.memory.as_mut().map(|memory| memory.save(&[]))),
            Ok(()) => {}
            Err(reason) => {
                // One that is older would bring back who has left.
                farewell::remove(directory);
                // One warning is enough of a directory.
                if !self.histories.as_ref().is_some_and(Histories::is_in_trouble) {
                    warn_of_nothing_left(directory, &reason);
                }
            }
        }
    }

    /// Writes down the next slice of the hub. While there is another this stays due, so that nobody sleeps meanwhile.
    fn save_slice(&mut self, now: Instant, hub: &mut Hub, listeners: &[Listener]) {
        let Some(memory) = &mut self.memory else { return };
        self.slice.clear();
        self.slice.shrink_to(2 * DUMP_SLICE_BYTES);
        let slice = hub.dump_slice(DUMP_SLICE_BYTES, |id| addr_of(listeners, id), &mut self.slice);
        if slice.is_first {
            memory.begin();
        }
        let mut saved = memory.append(&self.slice);
        if saved.is_ok() && !slice.is_last {
            return;
        }
        saved = saved.and_then(|()| memory.finish());
        if saved.is_err() {
            memory.abandon();
            hub.abandon_dump();
        }
        let interval = SNAPSHOT_INTERVAL_PER_BYTE * u32::try_from(memory.len()).unwrap_or(u32::MAX);
        self.not_before = now + interval.max(SNAPSHOT_INTERVAL);
        self.due = hub.take_changed().then_some(self.not_before);
        if let Err(error) = &saved {
            self.due = Some(now + RETRY);
            if !self.failed {
                warn!(
                    message_id = event::STATE_DEGRADED;
                    "a restart would lose the changes since: cannot write the state: {}", errno_text(error)
                );
            }
        }
        if std::mem::replace(&mut self.failed, saved.is_err()) && !self.failed {
            info!(message_id = event::STATE_RECOVERED; "the state can be written again");
        }
    }

    /// What would be there after a restart, for the operator.
    pub(super) fn words(&self) -> String {
        let members = match self.memory {
            Some(_) if !self.failed => "members handed to the service manager",
            _ => "members in memory",
        };
        let histories = self.histories.as_ref().map_or_else(|| "histories in memory".to_owned(), Histories::words);
        format!("{members}, {histories}")
    }

    /// There is no hub any more: whoever comes later finds nobody.
    fn forget_hub(&mut self, now: Instant) {
        self.left = None;
        if self.due.take().is_some() {
            // It may have been written in part.
            self.memory.iter_mut().for_each(Memory::abandon);
        }
        self.end_farewell(now);
        self.histories.iter_mut().for_each(|histories| histories.give_up(now));
        if let Some(memory) = self.memory.as_mut().filter(|memory| !memory.is_empty())
            && let Err(error) = memory.save(&[])
            // Each turn tries again.
            && !std::mem::replace(&mut self.failed, true)
        {
            warn!("cannot write the state: {}", errno_text(&error));
        }
    }

    /// When something is to be written.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let memory = self.memory.as_ref().filter(|memory| memory.has_superfluous()).map(|_| Instant::default());
        let histories = self.histories.as_ref().and_then(Histories::next_timeout);
        self.due.into_iter().chain(memory).chain(histories).chain(self.said.next_timeout()).min()
    }
}

/// Leaves in the directory what the service manager has `kept`, for a daemon that it was handed to in vain.
pub(super) fn rescue(kept: Option<OwnedFd>, directory: Option<&Path>) {
    let (Some(kept), Some(directory)) = (kept, directory) else { return };
    let Ok(Found::Whole(_, lines) | Found::Damaged(_, lines)) = Memory::adopt(kept) else { return };
    if !lines.is_empty()
        && let Err(reason) = farewell::leave(directory, |file| file.write_all(&lines))
    {
        warn_of_nothing_left(directory, &reason);
    }
}

fn warn_of_nothing_left(directory: &Path, error: &std::io::Error) {
    let (directory, reason) = (directory.display(), errno_text(error));
    warn!(message_id = event::STATE_DEGRADED; "nobody can be left in {directory} for the next start: {reason}");
}

/// Whether it is so long since then, at most, and the clock has not been set back meanwhile.
fn is_within(time: Duration, since: Timestamp, now: Timestamp) -> bool {
    Duration::try_from(now.duration_since(since)).is_ok_and(|age| age < time)
}

fn addr_of(listeners: &[Listener], id: ListenerId) -> Option<SocketAddr> {
    listeners.iter().find(|listener| listener.id == id).map(|listener| listener.addr)
}

/// The socket of the hub at this address, or the one at the same port of all addresses.
fn listener_at(listeners: &[Listener], addr: SocketAddr) -> Option<ListenerId> {
    let at = |addr: SocketAddr| {
        listeners.iter().find(|listener| listener.service == ServiceName::Chat && listener.addr == addr)
    };
    let any = if addr.is_ipv4() { [0; 4].into() } else { std::net::IpAddr::from([0_u16; 8]) };
    at(addr).or_else(|| at(SocketAddr::new(any, addr.port()))).map(|listener| listener.id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Chat;
    use crate::core::{Datagram, Outbox, Path as Way};
    use crate::services::Service as _;
    use crate::services::chat::Hosts;

    fn at(millis: u64) -> Now {
        Now { mono: Instant::from_nanos(millis * 1_000_000), wall: jiff::Timestamp::UNIX_EPOCH }
    }

    fn say(hub: &mut Hub, millis: u64, port: u16, said: &str) {
        let path = Way::to(ListenerId(0), SocketAddr::from(([127, 0, 0, 1], port)));
        hub.handle_datagram(&at(millis), &Datagram::unicast(path, said.as_bytes()), &mut Outbox::default());
    }

    #[test]
    fn a_change_is_written_at_once_or_half_a_second_after_the_last_and_nothing_is_due_while_people_talk() {
        let mut hub = Hub::new(&Chat::default(), "belfry.lan", Hosts::default(), Seed(7));
        let mut state = State { memory: Some(Memory::new().unwrap()), ..State::default() };
        let mut keep = |hub: &mut Hub, millis| {
            let before = state.not_before;
            state.keep(at(millis).mono, Some(hub), &[]);
            (state.not_before != before, state.next_timeout())
        };
        let due = |millis| Some(at(millis).mono);
        assert_eq!(keep(&mut hub, 1_000), (true, None), "there was nothing before");
        say(&mut hub, 1_100, 5_001, "hello");
        assert_eq!(keep(&mut hub, 1_100), (false, due(1_500)));
        say(&mut hub, 1_499, 5_002, "hello");
        assert_eq!(keep(&mut hub, 1_499), (false, due(1_500)), "one who comes later does not put it off");
        assert_eq!(keep(&mut hub, 1_500), (true, None));
        say(&mut hub, 1_600, 5_001, "hello again");
        assert_eq!(keep(&mut hub, 1_600), (false, None));
        say(&mut hub, 9_000, 5_002, "quit");
        assert_eq!(keep(&mut hub, 9_000), (true, None));
    }

    /// A hub so large that it is told in several slices.
    fn full_hub() -> Hub {
        let config = Chat { max_members_per_address: 2_000, rate_limit: None, ..Chat::default() };
        let mut hub = Hub::new(&config, "belfry.lan", Hosts::default(), Seed(7));
        (1..=1_000).for_each(|port| say(&mut hub, 1_000, port, "^hb^"));
        hub
    }

    /// Whom a daemon that is killed now leaves at the service manager.
    fn left(state: &State) -> usize {
        let memory = state.memory.as_ref().unwrap().as_fd().try_clone_to_owned().unwrap();
        let Ok(Found::Whole(_, lines)) = Memory::adopt(memory) else { panic!("not whole") };
        let mut hub = Hub::new(&Chat::default(), "belfry.lan", Hosts::default(), Seed(7));
        let listener = |_| Some(ListenerId(0));
        hub.restore(&at(1_000), &lines, listener, &mut Outbox::default()).members
    }

    #[test]
    fn a_large_hub_is_written_a_slice_in_each_turn_and_a_kill_before_the_last_finds_what_was_there_before() {
        let folder = std::env::temp_dir().join(format!("belfry-slices-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let mut hub = full_hub();
        let mut listener =
            Listener::bind(ListenerId(0), ServiceName::Chat, "127.0.0.1:0".parse().unwrap(), std::iter::empty())
                .unwrap();
        listener.addr = "127.0.0.1:9999".parse().unwrap();
        let (listeners, memory, due) = ([listener], Some(Memory::new().unwrap()), Some(Instant::default()));
        let mut state = State { memory, directory: Some(folder.clone()), farewell_due: due, ..State::default() };
        farewell::leave(&folder, |file| file.write_all(b"{}\n")).unwrap();
        let mut keep = |hub: &mut Hub, millis| {
            state.keep(at(millis).mono, Some(hub), &listeners);
            (state.next_timeout(), left(&state), farewell::read(&folder).is_some())
        };
        let (busy, later) = (Some(Instant::default()), |millis| Some(at(millis).mono));
        assert_eq!(keep(&mut hub, 1_000), (busy, 0, true), "what was left stays until all is written");
        say(&mut hub, 1_001, 1, "quit");
        say(&mut hub, 1_001, 2_000, "^hb^");
        say(&mut hub, 1_001, 2_001, "^hb^");
        assert_eq!(keep(&mut hub, 1_001), (busy, 0, true));
        assert_eq!(keep(&mut hub, 1_002), (later(1_502), 1_001, false), "what changed meanwhile is in it");
        assert_eq!(keep(&mut hub, 1_502), (later(1_502), 1_001, false), "the next is begun, with what changed");
        say(&mut hub, 1_503, 2_001, "quit");
        state.keep_last(at(1_503).mono, Some(&mut hub), &listeners);
        assert_eq!(left(&state), 1_000, "the last words are whole");
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn nothing_is_due_and_nobody_is_kept_when_there_is_no_hub_any_more() {
        let mut hub = Hub::new(&Chat::default(), "belfry.lan", Hosts::default(), Seed(7));
        let (memory, histories) = (Memory::new().unwrap(), Histories::new(Path::new("/dev/null")));
        let mut state = State { memory: Some(memory), histories: Some(histories), ..State::default() };
        for said in ["hello", "/nick anna"] {
            say(&mut hub, 1_000, 5_001, said);
            state.keep(at(1_000).mono, Some(&mut hub), &[]);
        }
        assert_eq!(state.next_timeout(), Some(at(1_500).mono));
        state.keep(at(2_000).mono, Some(&mut hub), &[]);
        assert_eq!(state.next_timeout(), Some(at(61_000).mono), "the file");
        state.keep(at(3_000).mono, None, &[]);
        assert_eq!((state.next_timeout(), state.memory.unwrap().is_empty()), (None, true));
    }

    #[test]
    fn members_who_may_have_been_gone_for_their_lifetime_are_expected_no_more() {
        let (since, minute) = (jiff::Timestamp::UNIX_EPOCH, Duration::from_secs(60));
        assert!(is_within(minute, since, since + Duration::from_secs(59)));
        assert!(!is_within(minute, since, since + minute));
        assert!(!is_within(minute, since, since - Duration::from_secs(1)), "the clock was set back");
    }

    #[test]
    fn members_are_reached_by_the_socket_that_answers_at_the_address_of_theirs() {
        let listener = |id, service, addr: &str| {
            let mut listener =
                Listener::bind(ListenerId(id), service, "127.0.0.1:0".parse().unwrap(), std::iter::empty()).unwrap();
            listener.addr = addr.parse().unwrap();
            listener
        };
        let listeners = [
            listener(1, ServiceName::Time, "192.0.2.1:9999"),
            listener(2, ServiceName::Chat, "0.0.0.0:9999"),
            listener(3, ServiceName::Chat, "192.0.2.1:9999"),
        ];
        let cases =
            [("192.0.2.1:9999", Some(3)), ("192.0.2.2:9999", Some(2)), ("192.0.2.1:9998", None), ("[::]:9999", None)];
        for (addr, id) in cases {
            assert_eq!(listener_at(&listeners, addr.parse().unwrap()), id.map(ListenerId), "{addr}");
        }
    }
}
