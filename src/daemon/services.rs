//! The services that run, and the way from a socket to them.

use super::listener::Listener;
use super::post::{Patience, Post};
use super::sys::{Received, Receiver, Trouble, TroubleKind};
use crate::core::admission::Admission;
use crate::core::{ClockState, Datagram, Instant, Interface, Now, Path};
use crate::services::announce::Announcer;
use crate::services::chat::Hub;
use crate::services::echo::Echo;
use crate::services::ntp::NtpService;
use crate::services::time::TimeService;
use crate::services::{Conversation, Service, ServiceName, StreamService, hear};
use mio::Registry;
use std::net::{IpAddr, Ipv6Addr};

/// One outbox and set of counters for each service, by its name.
pub(super) type Posts = [Post; ServiceName::ALL.len()];

/// What datagrams come in by.
pub(super) struct Reception<'a> {
    pub(super) receiver: &'a mut Receiver,
    pub(super) registry: &'a Registry,
    pub(super) admission: &'a mut Admission,
}

/// The services; those that are switched off are not there.
#[derive(Debug, Default)]
pub(super) struct Services {
    pub(super) time: Option<TimeService>,
    pub(super) announce: Option<Announcer>,
    pub(super) chat: Option<Hub>,
    pub(super) ntp: Option<NtpService>,
    pub(super) echo: Option<Echo>,
}

impl Services {
    fn get_mut(&mut self, name: ServiceName) -> Option<&mut dyn Service> {
        match name {
            ServiceName::Time => self.time.as_mut().map(|service| service as _),
            ServiceName::Announce => self.announce.as_mut().map(|service| service as _),
            ServiceName::Chat => self.chat.as_mut().map(|service| service as _),
            ServiceName::Ntp => self.ntp.as_mut().map(|service| service as _),
            ServiceName::Echo => self.echo.as_mut().map(|service| service as _),
        }
    }

    /// Begins a conversation with somebody who has connected to a service.
    pub(super) fn begin(&mut self, name: ServiceName) -> Option<Box<dyn Conversation>> {
        match name {
            ServiceName::Echo => self.echo.as_mut().map(StreamService::begin),
            ServiceName::Time | ServiceName::Announce | ServiceName::Chat | ServiceName::Ntp => None,
        }
    }

    /// Tells the clock's state to those that tell the time.
    pub(super) fn set_clock(&mut self, state: ClockState) {
        if let Some(time) = &mut self.time {
            time.set_clock(state);
        }
        if let Some(ntp) = &mut self.ntp {
            ntp.set_clock(state);
        }
    }

    /// When the next of them has something to do.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let timeouts = [
            self.time.as_ref().and_then(Service::next_timeout),
            self.announce.as_ref().and_then(Service::next_timeout),
            self.chat.as_ref().and_then(Service::next_timeout),
            self.ntp.as_ref().and_then(Service::next_timeout),
            self.echo.as_ref().and_then(Service::next_timeout),
        ];
        timeouts.into_iter().flatten().min()
    }

    /// Has each do what is due.
    pub(super) fn handle_timeouts(&mut self, now: &Now, posts: &mut Posts) {
        for name in ServiceName::ALL {
            if let Some(service) = self.get_mut(name) {
                service.handle_timeout(now, &mut posts[name as usize].outbox);
            }
        }
    }

    /// Has each send what has gathered in the turn.
    pub(super) fn finish_turn(&mut self, posts: &mut Posts) {
        for name in ServiceName::ALL {
            if let Some(service) = self.get_mut(name) {
                service.finish_turn(&mut posts[name as usize].outbox);
            }
        }
    }

    /// Has one hear a batch from each of its sockets that may have something.
    pub(super) fn hear(
        &mut self,
        name: ServiceName,
        now: &Now,
        listeners: &mut [Listener],
        reception: Reception<'_>,
        post: &mut Post,
    ) {
        let Some(service) = self.get_mut(name) else { return };
        let Reception { receiver, registry, admission } = reception;
        for listener in listeners.iter_mut().filter(|listener| listener.service == name && listener.readable) {
            let count = listener.receive(receiver, registry);
            // What is said in a room waits instead.
            let gives_up = Patience::of(name) == Patience::None;
            admission.set_congested(name, gives_up && count > 0 && listener.is_congested());
            for index in 0..count {
                let received = receiver.received(index);
                if let Some(drops) = received.kernel_drops {
                    post.kernel_drops += u64::from(drops.wrapping_sub(listener.kernel_drops));
                    listener.kernel_drops = drops;
                }
                let Some(mut datagram) = datagram(listener, &received) else { continue };
                let verdict = hear(name, service, admission, now, &mut datagram, &mut post.outbox);
                post.counters.count(verdict);
            }
        }
    }

    /// Empties the error queues, and tells the hub whose port is closed and who has left the network.
    ///
    /// A host speaks for its own ports, and we for our own links; others may be mistaken, or lie.
    pub(super) fn hear_errors(
        &mut self,
        now: &Now,
        interfaces: &[Interface],
        listeners: &mut [Listener],
        receiver: &mut Receiver,
        posts: &mut Posts,
    ) {
        let ours = |addr| interfaces.iter().flat_map(|interface| &interface.addresses).any(|net| net.addr() == addr);
        for listener in listeners.iter_mut().filter(|listener| listener.errored) {
            let count = receiver.receive_errors(listener.fd()).unwrap_or(0);
            // A full batch may not be all; the rest is for the next turn.
            listener.errored = count == super::sys::BATCH_MAX;
            let Some(hub) = self.chat.as_mut().filter(|_| listener.service == ServiceName::Chat) else { continue };
            for index in 0..count {
                let error = receiver.received(index);
                let (Some(remote), Some(Trouble { kind, offender: Some(offender) })) = (error.remote, error.trouble)
                else {
                    continue;
                };
                match kind {
                    TroubleKind::PortUnreachable if offender == remote.ip() => {
                        hub.handle_unreachable(now, remote, &mut posts[ServiceName::Chat as usize].outbox);
                    }
                    TroubleKind::HostUnreachable if ours(offender) => hub.handle_out_of_reach(now, remote),
                    _ => {}
                }
            }
        }
    }
}

/// What was received, as the services see it; `None` for what has no source, which UDP does not know.
fn datagram<'a>(listener: &Listener, received: &Received<'a>) -> Option<Datagram<'a>> {
    let local = received.local.filter(|_| !received.multicast);
    // A link-local address of ours means nothing without its interface (RFC 4007 §6).
    let scoped = matches!(local, Some(IpAddr::V6(ip)) if Ipv6Addr::is_unicast_link_local(&ip));
    let interface = if scoped { received.interface } else { 0 };
    Some(Datagram {
        path: Path { listener: listener.id, local, interface, remote: received.remote? },
        arrived_on: received.interface,
        arrived_at: received.arrived_at,
        multicast: received.multicast,
        on_link: false,
        payload: received.payload,
        truncated: received.truncated,
    })
}
