//! The hub of a run: its turns, its timers, and the one that comes after it.

use super::super::network::{is_on_link, listener};
use super::actors::Way;
use super::keeper::{End, SNAPSHOT_INTERVAL};
use super::referee::Input;
use super::world::{Event, Phase, TURN, World};
use belfry::core::limits::OUTBOX_BYTES_MAX;
use belfry::core::{Datagram, Instant, Path, Seed};
use belfry::services::Service;
use std::net::SocketAddr;
use std::time::Duration;

impl World {
    /// A turn of the hub, and all that follows from it at once.
    pub(super) fn finish_turn(&mut self) {
        let heard = std::mem::take(&mut self.heard);
        let now = if heard.is_empty() { self.agenda.now } else { self.turned };
        self.hub.finish_turn(&mut self.out);
        self.referee.note(now, self.keeper.keep(&mut self.hub));
        let sent: Vec<(SocketAddr, Vec<u8>)> =
            self.out.pending().map(|(path, payload)| (path.remote, payload.to_vec())).collect();
        let bytes = sent.iter().map(|(_, payload)| payload.len()).sum::<usize>();
        assert!(bytes <= OUTBOX_BYTES_MAX && self.out.forgotten() == 0);
        self.out.advance(sent.len());
        self.referee.judge(now, &heard, &sent);
        if self.is_snapshot_needed {
            self.keeper.take_snapshot(now, &mut self.hub);
        }
        assert!(self.hub.member_count() <= self.config.max_members);
        sent.into_iter().for_each(|(to, payload)| self.send_to_client(to, payload));
    }

    pub(super) fn run_timers(&mut self, until: Instant) {
        if !self.heard.is_empty() {
            return;
        }
        while let Some(due) = self.hub.next_timeout().filter(|&due| due < until && !self.is_down) {
            self.agenda.now = self.agenda.now.max(due);
            let now = self.agenda.clocks();
            self.hub.handle_timeout(&now, &mut self.out);
            assert!(self.hub.next_timeout().is_none_or(|next| next > now.mono), "the hub's next deadline lies ahead");
            self.finish_turn();
        }
    }

    pub(super) fn lifetime(&self, addr: SocketAddr) -> Duration {
        let is_session = |&actor: &usize| matches!(self.actors[actor].way, Way::Session(_));
        let is_session = self.by_addr.get(&addr).is_some_and(is_session);
        if is_session { self.config.heartbeat_timeout } else { self.config.silent_timeout }
    }

    pub(super) fn arrive(&mut self, from: SocketAddr, payload: &[u8], is_genuine: bool) {
        if self.is_down {
            if self.random.below(2) == 0 {
                self.agenda.schedule(Duration::from_millis(5), Event::Refused(from));
            }
            return;
        }
        if self.is_snapshot_needed {
            self.keeper.take_snapshot(self.agenda.now, &mut self.hub);
        }
        let mut now = self.agenda.clocks();
        if self.heard.is_empty() {
            self.turned = now.mono;
            // Whoever is due is gone before anybody is heard.
            self.hub.handle_timeout(&now, &mut self.out);
            self.finish_turn();
        }
        // The daemon reads the clocks once in a turn.
        now.mono = self.turned;
        let input = Input { from, payload: payload.to_vec(), is_genuine, lifetime: self.lifetime(from) };
        self.referee.hear(now.mono, &input);
        self.heard.push(input);
        let path = Path::to(listener(from.is_ipv4()), from);
        let datagram = Datagram { on_link: is_on_link(from), ..Datagram::unicast(path, payload) };
        self.hub.handle_datagram(&now, &datagram, &mut self.out);
        // What waits already is heard in the same turn.
        let waits =
            self.agenda.peek().is_some_and(|(at, event)| at <= now.mono + TURN && matches!(event, Event::ToHub { .. }));
        if !waits || self.heard.len() == 64 {
            self.finish_turn();
        }
    }

    pub(super) fn end_hub(&mut self, end: End) {
        // A hub that is killed half a second after a room was told to forget may number what follows like what was forgotten.
        let has_forgotten = self.referee.forgot_at.is_some_and(|at| at + SNAPSHOT_INTERVAL > self.agenda.now);
        let end = if end == End::Killed && has_forgotten { End::Stopped } else { end };
        if !self.is_down && self.phase == Phase::Storm {
            (self.is_down, self.ended) = (true, self.agenda.now);
            if end == End::Killed {
                self.keeper.take_snapshot(self.agenda.now, &mut self.hub);
            }
            let after = Duration::from_millis(self.random.below(6_000));
            self.agenda.schedule(after, Event::HubBegins(end));
        }
    }

    pub(super) fn begin_hub(&mut self, end: End) {
        self.is_down = false;
        self.sum.restarts += 1;
        let (now, seed) = (self.agenda.clocks(), Seed(self.random.next_u64().into()));
        let hub = self.keeper.restart(&now, end, &self.hub, &self.config, seed);
        let old = std::mem::replace(&mut self.hub, hub);
        if end == End::Stopped {
            for room in old.rooms().filter(|room| old.history_of(room).is_some()) {
                assert_eq!(old.epoch_of(room), self.hub.epoch_of(room), "the numbers of {room} go on");
            }
        }
        self.referee.restart(self.ended, now.mono, self.config.history, end != End::Stopped);
        self.finish_turn();
    }
}
