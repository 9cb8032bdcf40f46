//! What the daemon does when it is asked by the control socket.

use super::connection::Peer;
use crate::control::{self, Answer, Outcome, Request};
use crate::core::access::Decision;
use crate::core::limits::CONTROL_MEMBERS_MAX;
use crate::core::{DropReason, Interface, Now, Refusal};
use crate::daemon::logging::{self, event};
use crate::daemon::post::Post;
use crate::daemon::run::Daemon;
use crate::services::chat::{MemberView, NoSuchMember, Way};
use crate::services::{ServiceName, Transport};
use log::{LevelFilter, info};
use std::net::IpAddr;

/// How long a log level holds that was set by hand.
const UNTIL: &str = "the next reload";

impl Daemon {
    /// Answers who is connected to the control socket.
    pub(in crate::daemon) fn serve_control(&mut self, now: &Now) {
        // It comes back below; meanwhile the daemon is free to obey.
        let Some(mut control) = self.control.take() else { return };
        control.accept(now.mono, self.poll.registry());
        // One in a turn: a request may cost as much as a thousand datagrams.
        if let Some((connection, request)) = control.next_request(now.mono) {
            let peer = connection.peer;
            connection.answer(&request.and_then(|request| self.obey(now, request, peer)));
        }
        control.connections.iter_mut().flatten().for_each(|connection| connection.flush(now.mono));
        control.close_finished(now.mono, self.poll.registry());
        self.control = Some(control);
    }

    fn obey(&mut self, now: &Now, request: Request, peer: Peer) -> Outcome<Answer> {
        match request {
            Request::Status => Ok(Answer::Status(self.control_status(now))),
            Request::Members => Ok(Answer::Members(self.control_members(now))),
            Request::Stats => Ok(Answer::Stats(self.control_stats())),
            Request::Access { address, service, interface } => {
                self.control_access(address, service.as_deref(), interface.as_deref()).map(Answer::Access)
            }
            Request::Reload => {
                info!("control: {peer} has the configuration read again");
                self.reload(now).map_err(|fatal| format!("{fatal}\nthe old configuration stays in force"))?;
                Ok(Answer::Reloaded(control::Reloaded { configuration: self.origin.to_string() }))
            }
            Request::LogLevel { level } => Ok(Answer::LogLevel(set_log_level(level, peer))),
            Request::Kick { name } => self.kick(now, &name, peer).map(Answer::Kicked),
        }
    }

    fn control_status(&self, now: &Now) -> control::Status {
        let (members, rooms) = self.company();
        let datagrams = self.listeners.iter().map(|open| (open.service, open.addr, Transport::Udp));
        let streams = self.streams.listeners.iter().map(|open| (open.service, open.addr, Transport::Tcp));
        let listeners = datagrams.chain(streams).map(|(service, address, transport)| control::Listener {
            service: service.name().to_owned(),
            address,
            protocol: transport.name().to_owned(),
        });
        control::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            uptime: now.mono.since(self.started).as_secs(),
            configuration: self.origin.to_string(),
            members,
            rooms,
            clock: control::Clock {
                synchronised: self.clock_state.synchronised,
                // The kernel's figure bounds nothing else.
                max_error: self.clock_state.synchronised.then(|| control::seconds(self.clock_state.max_error)),
            },
            listeners: listeners.collect(),
            log_level: log::max_level(),
            state: self.state.words(),
        }
    }

    fn control_members(&self, now: &Now) -> control::Members {
        let hub = self.services.chat.iter();
        let members = hub.flat_map(|hub| hub.members()).take(CONTROL_MEMBERS_MAX).map(|view| member(now, &view));
        control::Members { count: self.company().0, members: members.collect() }
    }

    fn control_stats(&self) -> control::Stats {
        let services =
            ServiceName::ALL.map(|name| service_stats(name, &self.posts[name as usize], self.streams.count(name)));
        control::Stats { services: services.into() }
    }

    fn control_access(
        &self,
        address: IpAddr,
        service: Option<&str>,
        interface: Option<&str>,
    ) -> Outcome<control::Access> {
        let interface = interface.map(|wanted| self.interface(wanted)).transpose()?;
        let (arrived_on, source) = match interface {
            Some(Interface { index, name, .. }) => (*index, format!("{address} on {name}")),
            None => (0, address.to_string()),
        };
        let services = ServiceName::ALL.into_iter().filter(|name| service.is_none_or(|wanted| name.name() == wanted));
        let decisions: Vec<_> = services
            .map(|name| {
                let decision = self.admission.decide(address, arrived_on, name);
                access_decision(&decision, &source, self.config.listen(name).0)
            })
            .collect();
        if decisions.is_empty() {
            let known = ServiceName::ALL.map(ServiceName::name).join(", ");
            return Err(format!("there is no service {:?}; there are {known}", service.unwrap_or_default()));
        }
        Ok(control::Access { decisions })
    }

    /// The interface of that name or number.
    fn interface(&self, wanted: &str) -> Outcome<&Interface> {
        let is_named = |interface: &&Interface| interface.name == wanted;
        let is_numbered = |interface: &&Interface| interface.index.to_string() == wanted;
        let found = self.interfaces.iter().find(is_named).or_else(|| self.interfaces.iter().find(is_numbered));
        found.ok_or_else(|| {
            let known: Vec<_> = self.interfaces.iter().map(|interface| interface.name.as_str()).collect();
            format!("there is no interface {wanted:?}; there are {}", known.join(", "))
        })
    }

    fn kick(&mut self, now: &Now, name: &str, peer: Peer) -> Outcome<control::Kicked> {
        let Some(hub) = &mut self.services.chat else { return Err("the chat is switched off".to_owned()) };
        let outbox = &mut self.posts[ServiceName::Chat as usize].outbox;
        let kicked = hub.kick(now, name, outbox).map_err(|NoSuchMember { nearest }| match nearest {
            Some(nearest) => format!("nobody is called {name:?}; did you mean {nearest}?"),
            None => format!("nobody is called {name:?}"),
        })?;
        let (name, room) = (&kicked.name, &kicked.room);
        info!(
            message_id = event::KICKED, member = name.as_str(), room = room.as_str();
            "control: {peer} removes {name} from {room}"
        );
        Ok(control::Kicked { name: kicked.name, room: kicked.room, address: kicked.addr })
    }
}

fn set_log_level(level: LevelFilter, peer: Peer) -> control::LogLevel {
    let name = control::level_name(level);
    // At whichever of the two levels writes more.
    let tell = || info!("control: {peer} sets the log level to {name} until {UNTIL}");
    if level < log::max_level() {
        tell();
        logging::set_level(level);
    } else {
        logging::set_level(level);
        tell();
    }
    control::LogLevel { level, until: UNTIL.to_owned() }
}

fn member(now: &Now, view: &MemberView<'_>) -> control::Member {
    control::Member {
        name: view.name.to_owned(),
        room: view.rooms.first().copied().unwrap_or_default().to_owned(),
        further_rooms: view.rooms.iter().skip(1).map(|&room| room.to_owned()).collect(),
        address: view.addr,
        way: match view.way {
            Way::Program => control::Way::Program,
            Way::Line => control::Way::Line,
            Way::Session => control::Way::Session,
        },
        heartbeats: view.heartbeats,
        silent_for: control::seconds(now.mono.since(view.last_heard)),
        away: view.away.map(str::to_owned),
        in_reach: view.in_reach,
    }
}

fn access_decision(decision: &Decision<'_>, source: &str, enabled: bool) -> control::Decision {
    let (rule, place) = decision.ground.rule().unzip();
    control::Decision {
        service: decision.service.name().to_owned(),
        enabled,
        allowed: decision.is_allowed(),
        rule: rule.map(|rule| rule.to_string()),
        place,
        on_link: decision.on_link.is_some(),
        subnet: decision.on_link.map(|by| by.subnet.to_string()),
        interface: decision.on_link.and_then(|by| by.interface).map(str::to_owned),
        sentence: decision.sentence(source),
    }
}

fn service_stats(name: ServiceName, post: &Post, connections: usize) -> control::ServiceStats {
    let counters = &post.counters;
    let refused = Refusal::ALL.iter().map(|&why| (why.name().to_owned(), counters.refused(why)));
    let dropped = DropReason::ALL.iter().map(|&why| (why.name().to_owned(), counters.dropped(why)));
    control::ServiceStats {
        service: name.name().to_owned(),
        answered: counters.answered,
        accepted: counters.accepted,
        refused: refused.collect(),
        dropped: dropped.collect(),
        kernel_drops: post.kernel_drops,
        forgotten: post.outbox.forgotten(),
        unsent: post.unsent,
        connections: connections as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Verdict;

    #[test]
    fn each_verdict_is_in_the_stats_by_its_name_and_zeros_are_too() {
        let mut post = Post::default();
        (post.kernel_drops, post.unsent) = (3, 4);
        let empty = service_stats(ServiceName::Time, &post, 0);
        for (count, &why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(empty.refused.get(why.name()), Some(&0));
            (0..=count).for_each(|_| post.counters.count(Verdict::Refused(why)));
        }
        for (count, &why) in DropReason::ALL.iter().enumerate() {
            assert_eq!(empty.dropped.get(why.name()), Some(&0));
            (0..=count).for_each(|_| post.counters.count(Verdict::Dropped(why)));
        }
        post.counters.count(Verdict::Answered);
        post.counters.count(Verdict::Accepted);
        let stats = service_stats(ServiceName::Time, &post, 5);
        assert_eq!(
            (stats.answered, stats.accepted, stats.kernel_drops, stats.unsent, stats.connections),
            (1, 1, 3, 4, 5)
        );
        for (count, why) in Refusal::ALL.iter().enumerate() {
            assert_eq!(stats.refused[why.name()], count as u64 + 1);
        }
        for (count, why) in DropReason::ALL.iter().enumerate() {
            assert_eq!(stats.dropped[why.name()], count as u64 + 1);
        }
    }
}
