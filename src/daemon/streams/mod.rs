//! Services that are spoken to by TCP: their listening sockets, and whoever is connected.
//!
//! Connections take their places in the turn like any other socket. Those that have something to do stand in a queue, each once;
//! a turn takes some of them from its head, has each move so much and no more, and puts those that have more to do at its end. So a
//! turn costs the same however many there are, and idle ones cost nothing. A deadline is looked at when it was due as it was first
//! set, and set anew if something has moved since.
//!
//! Who may connect is for admission to say, by the same rules as for datagrams, and how many for the configuration: who is one
//! too many is closed at once, and counted.

mod connection;
mod listener;
mod places;
#[cfg(test)]
mod tests;

pub(super) use listener::StreamListener;

use crate::config::{Config, Connections};
use crate::core::admission::Admission;
use crate::core::source::Source;
use crate::core::{DropReason, Instant, ListenerId, Now, Verdict};
use crate::daemon::services::{Posts, Services};
use crate::services::ServiceName;
use connection::Connection;
use listener::{Arrival, LISTENERS};
use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Registry, Token};
use places::Places;
use slab::Slab;
use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

/// Tokens of connections begin behind those of the listeners.
const CONNECTIONS: usize = LISTENERS + (1 << 16);

/// Connections that are taken in at one socket in a turn.
const ACCEPTS_MAX: usize = 32;

/// Connections that get on in a turn, as many as there are datagrams in a batch, and bytes that they move together: the datagrams of
/// the next turn wait for that.
const TURN_CONNECTIONS_MAX: usize = 64;
const TURN_BYTES_MAX: usize = 256 * 1024;

/// Everything that listens or is connected.
#[derive(Debug, Default)]
pub(super) struct Streams {
    pub(super) listeners: Vec<StreamListener>,
    /// The number of the next listener, if none has it.
    next_listener: u16,
    connections: Slab<Connection>,
    /// Those that have something to do.
    queue: VecDeque<usize>,
    /// When to look at whose deadline.
    deadlines: BTreeSet<(Instant, usize)>,
    places: Places,
    /// How many connections each service may have; `None` where it is not spoken to by TCP.
    bounds: [Option<Connections>; ServiceName::ALL.len()],
}

impl Streams {
    /// Takes over how many there may be, and for how long. Those who are there stay.
    pub(super) fn reconfigure(&mut self, config: &Config) {
        self.bounds = ServiceName::ALL.map(|_| None);
        for service in ServiceName::ALL {
            self.bounds[service as usize] = config.connections(service).cloned();
        }
        let keys: Vec<usize> = self.connections.iter().map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.arm(key));
    }

    /// A number that no open listener has, and none has had for long.
    pub(super) fn next_listener_id(&mut self) -> ListenerId {
        loop {
            let id = ListenerId(self.next_listener);
            self.next_listener = self.next_listener.wrapping_add(1);
            if self.listeners.iter().all(|open| open.id != id) {
                return id;
            }
        }
    }

    /// Closes the listeners that are not wanted any more, and says which.
    pub(super) fn close_unwanted(
        &mut self,
        registry: &Registry,
        is_wanted: impl Fn(&StreamListener) -> bool,
    ) -> Vec<StreamListener> {
        let (kept, unwanted): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners).into_iter().partition(is_wanted);
        self.listeners = kept;
        unwanted.iter().for_each(|listener| listener.deregister(registry));
        unwanted
    }

    /// Closes the connections of those who may not be connected any more.
    pub(super) fn shut_out(&mut self, registry: &Registry, may_stay: impl Fn(ServiceName, IpAddr, u32) -> bool) {
        let is_shut_out =
            |connection: &Connection| !may_stay(connection.service, connection.remote.ip(), connection.arrived_on);
        let shut_out = self.connections.iter().filter(|(_, connection)| is_shut_out(connection));
        let keys: Vec<usize> = shut_out.map(|(key, _)| key).collect();
        keys.into_iter().for_each(|key| self.close(key, registry));
    }

    /// How many are connected to a service.
    pub(super) fn count(&self, service: ServiceName) -> usize {
        self.places.count(service)
    }

    /// Marks what an event says is ready; whether it was about us.
    pub(super) fn mark(&mut self, event: &Event) -> bool {
        let Token(token) = event.token();
        if let Some(key) = token.checked_sub(CONNECTIONS) {
            let Some(connection) = self.connections.get_mut(key) else { return false };
            // An error is found by whatever is tried next.
            let fails = event.is_error();
            connection.endpoint.mark(event.is_readable() || fails, event.is_writable() || fails);
            self.enqueue(key);
            return true;
        }
        let Some(id) = token.checked_sub(LISTENERS) else { return false };
        let listener = self.listeners.iter_mut().find(|listener| usize::from(listener.id.0) == id);
        listener.map(|listener| listener.readable = true).is_some()
    }

    /// Whether a turn would get on with something.
    pub(super) fn is_busy(&self) -> bool {
        !self.queue.is_empty() || self.listeners.iter().any(StreamListener::is_busy)
    }

    /// When something is due next.
    pub(super) fn next_timeout(&self) -> Option<Instant> {
        let paused = self.listeners.iter().filter_map(|listener| listener.paused);
        paused.chain(self.deadlines.first().map(|&(at, _)| at)).min()
    }

    /// One turn: closes who has been idle for too long, takes in who has connected, and gets on with some of those who are there.
    pub(super) fn serve(
        &mut self,
        now: &Now,
        registry: &Registry,
        services: &mut Services,
        admission: &mut Admission,
        posts: &mut Posts,
    ) {
        self.close_idle(now.mono, registry);
        for index in 0..self.listeners.len() {
            self.listeners[index].resume(now.mono);
            for _ in 0..ACCEPTS_MAX {
                let listener = &mut self.listeners[index];
                let Some(arrival) = listener.accept(now.mono) else { break };
                let service = listener.service;
                let taken_in = self.take_in(now, registry, service, arrival, services, admission);
                let verdict = taken_in.map_or_else(Verdict::Dropped, |()| Verdict::Accepted);
                posts[service as usize].counters.count(verdict);
            }
        }
        self.get_on(now, registry);
    }

    /// Takes in somebody who has connected, or says why not; the socket is closed then.
    fn take_in(
        &mut self,
        now: &Now,
        registry: &Registry,
        service: ServiceName,
        arrival: Arrival,
        services: &mut Services,
        admission: &mut Admission,
    ) -> Result<(), DropReason> {
        let addr = arrival.remote.ip();
        let on_link = admission.admit_connection(service, now.mono, addr, arrival.arrived_on)?;
        let (Some(bounds), Some(conversation)) = (&self.bounds[service as usize], services.begin(service)) else {
            return Err(DropReason::NotForUs);
        };
        let source = Source::of_sender(addr, on_link);
        if !self.places.take(service, source, bounds) {
            return Err(DropReason::Full);
        }
        let connection = Connection::new(service, source, arrival, conversation, now.mono);
        let key = self.connections.insert(connection);
        self.arm(key);
        self.enqueue(key);
        if self.connections[key].register(registry, Token(CONNECTIONS + key)).is_err() {
            self.close(key, registry);
            return Err(DropReason::Full);
        }
        Ok(())
    }

    /// Has those at the head of the queue get on.
    fn get_on(&mut self, now: &Now, registry: &Registry) {
        let mut moved = 0;
        for _ in 0..TURN_CONNECTIONS_MAX.min(self.queue.len()) {
            if moved >= TURN_BYTES_MAX {
                break;
            }
            let Some(key) = self.queue.pop_front() else { break };
            // One that was closed may have stood there.
            let Some(connection) = self.connections.get_mut(key).filter(|connection| connection.queued) else {
                continue;
            };
            connection.queued = false;
            let progress = connection.proceed(now);
            moved += progress.moved;
            if connection.is_over() {
                self.close(key, registry);
            } else {
                // It lingers, and for less time than it had.
                if self.connections[key].deadline(self.idle_timeout(key)) < self.connections[key].armed {
                    self.arm(key);
                }
                if progress.more {
                    self.enqueue(key);
                }
            }
        }
    }

    fn close_idle(&mut self, now: Instant, registry: &Registry) {
        while let Some(&(at, key)) = self.deadlines.first().filter(|(at, _)| *at <= now) {
            debug_assert_eq!(at, self.connections[key].armed, "a deadline stands there once");
            self.arm(key);
            if self.connections[key].armed <= now {
                self.close(key, registry);
            }
        }
    }

    /// Has the deadline of a connection looked at when it is due as things stand now.
    fn arm(&mut self, key: usize) {
        let idle_timeout = self.idle_timeout(key);
        let connection = &mut self.connections[key];
        self.deadlines.remove(&(connection.armed, key));
        connection.armed = connection.deadline(idle_timeout);
        self.deadlines.insert((connection.armed, key));
    }

    fn idle_timeout(&self, key: usize) -> Duration {
        let bounds = self.bounds[self.connections[key].service as usize].as_ref();
        bounds.map(|bounds| bounds.idle_timeout).unwrap_or_default()
    }

    fn enqueue(&mut self, key: usize) {
        let connection = &mut self.connections[key];
        if !connection.queued {
            connection.queued = true;
            self.queue.push_back(key);
        }
    }

    fn close(&mut self, key: usize, registry: &Registry) {
        let connection = self.connections.remove(key);
        self.deadlines.remove(&(connection.armed, key));
        self.places.release(connection.service, connection.source);
        // It is closed in a moment, and the poller forgets it then at the latest.
        let _ = registry.deregister(&mut SourceFd(&connection.endpoint.fd()));
        // Its descriptor is for somebody who waits for one.
        self.listeners.iter_mut().for_each(|listener| listener.paused = None);
    }
}
