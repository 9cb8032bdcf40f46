//! What disturbs a run, and how it ends.

use super::actors::Way;
use super::attack::{as_session, evil, garbage, garbage_for_client, session_of, victim};
use super::keeper::{End, dump};
use super::world::{Event, Phase, SETTLED_AFTER, World};
use crate::sim::network::Weather;
use belfry::config;
use belfry::core::limits::{MAILBOX_MESSAGES_MAX, SESSIONS_AWAY_MAX};
use belfry::services::chat::Hub;
use std::net::SocketAddr;
use std::time::Duration;

/// How long the silence is listened to: three heartbeats.
const SILENCE: Duration = Duration::from_secs(9);

impl World {
    /// What will disturb them.
    pub(super) fn plan(&mut self, storm: Duration) {
        let millis = storm.as_millis() as u64;
        for _ in 0..self.random.below(3).saturating_sub(u64::from(self.random.below(2) == 0)) {
            let end =
                [End::Stopped, End::Killed, End::Killed, End::PowerCut, End::Erased][self.random.below(5) as usize];
            self.is_snapshot_needed |= end == End::Killed;
            let after = Duration::from_millis(self.random.below(millis));
            self.agenda.schedule(after, Event::HubEnds(end));
        }
        if self.random.below(4) > 0 {
            for _ in 0..5 + self.random.below(millis / 200) {
                let after = Duration::from_millis(self.random.below(millis));
                self.agenda.schedule(after, Event::Attack);
            }
        }
        if self.random.below(10) == 0 {
            let after = Duration::from_millis(self.random.below(millis));
            self.agenda.schedule(after, Event::Kick);
        }
        self.agenda.schedule(storm, Event::Calm);
    }

    pub(super) fn attack(&mut self) {
        let now = self.agenda.now;
        check_bounds(&self.hub, &self.config);
        let captured = self.to_hub.any(&mut self.random).cloned();
        let Some((from, payload)) = captured.filter(|_| self.phase == Phase::Storm) else { return };
        let number = 1 + self.random.below(40);
        let evil = evil(&mut self.random, number).into_bytes();
        let is_session = payload.starts_with(b"^as ") || payload.starts_with(b"^hello ");
        match self.random.below(9) {
            0 | 1 => self.arrive(from, &payload, true),
            2 if is_session => {
                let victim = victim(&mut self.random);
                self.arrive(victim, &payload, false);
            }
            3 if self.referee.is_at_home(now, from) => self.arrive(from, &evil, false),
            4 if self.referee.is_at_home(now, from) => self.arrive(from, b"quit", false),
            5 => {
                let Some(id) = session_of(&payload) else { return };
                let victim = victim(&mut self.random);
                self.arrive(victim, &as_session(id, std::str::from_utf8(&evil).expect("ASCII")), false);
            }
            6 => {
                let attacker = SocketAddr::from(([10, 8, 8, 8], 8_000));
                let garbage = garbage(&mut self.random);
                self.arrive(attacker, &garbage, true);
            }
            7 => {
                let to = self.actors[self.random.below(self.actors.len() as u64) as usize].addr;
                let payload = garbage_for_client(&mut self.random);
                self.agenda.schedule(Duration::ZERO, Event::ToClient { to, payload });
            }
            _ => {
                if let Some((to, payload)) = self.to_clients.any(&mut self.random).cloned() {
                    self.agenda.schedule(Duration::ZERO, Event::ToClient { to, payload });
                }
            }
        }
    }

    pub(super) fn kick(&mut self) {
        let name = &self.names[self.random.below(self.names.len() as u64) as usize];
        let now = self.agenda.clocks();
        if !self.is_down && self.hub.kick(&now, name, &mut self.out).is_ok() {
            self.finish_turn();
        }
    }

    /// The network is well from now on, and nobody says anything new.
    pub(super) fn calm_down(&mut self) {
        if self.is_down {
            return self.agenda.schedule(Duration::from_secs(1), Event::Calm);
        }
        check_bounds(&self.hub, &self.config);
        self.phase = Phase::Settling;
        let delay_max = self.weather.delay_max;
        self.weather = Weather { loss_percent: 0, double_percent: 0, delay_max: Duration::from_millis(10) };
        for actor in &mut self.actors {
            actor.cut_until = self.agenda.now;
        }
        // What is still on its way belongs to the storm.
        self.agenda.schedule(delay_max + SETTLED_AFTER, Event::Settled);
        self.agenda.schedule(delay_max + SETTLED_AFTER + SILENCE, Event::End);
    }

    pub(super) fn finish(&mut self) {
        let is_full = self.hub.member_count() == self.config.max_members;
        for actor in self.actors.iter().filter(|actor| actor.is_alive) {
            if let Way::Session(client) = &actor.way {
                assert!(client.is_welcome || is_full, "{} is not here, and could be", client.session.name());
                if client.is_welcome {
                    client.finish(&self.referee, &self.hub);
                }
            }
        }
        self.phase = Phase::Silent;
    }
}

/// What the hub keeps of sessions must be bounded.
fn check_bounds(hub: &Hub, config: &config::Chat) {
    let mut sessions = 0;
    for line in dump(hub).split(|&byte| byte == b'\n').filter(|line| line.starts_with(b"{\"session\"")) {
        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        let messages = line["session"]["messages"].as_array().map_or(0, Vec::len);
        assert!(messages <= MAILBOX_MESSAGES_MAX, "{messages} messages in a mailbox");
        sessions += 1;
    }
    assert!(sessions <= config.max_members + SESSIONS_AWAY_MAX);
}
