//! What goes in and out of one service: its outbox and its counters, and the sending of the one.
//!
//! A burst is handed to the kernel in one piece. What stands in its way is about this path and this moment (a route with
//! a small MTU, IPsec, a queue or a firewall that minds its length), so the batch that begins with it goes datagram by
//! datagram, and the next is tried in pieces as large as ever.

use super::listener::Listener;
use super::sys::{BATCH_MAX, Sender};
use crate::core::limits::BURST_MAX;
use crate::core::{Counters, ListenerId, Outbox, Path};
use crate::services::ServiceName;
use mio::Registry;
use nix::libc;
use std::io;
use std::time::Duration;

/// Datagrams of one message to a room that are tried in a turn.
const SLICE: usize = BATCH_MAX / 2;

/// Datagrams of one service that are tried in a turn: more than it hears in one.
const BUDGET_MAX: usize = 4 * BATCH_MAX;

/// How often one datagram is tried again because an error of an earlier one came up in its place.
const RETRIES_MAX: u32 = 8;

/// How long a message waits for a socket that takes no more. A message of a room is worth a short wait, no more: kept
/// longer, it only delays what is said now.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Whether what a socket does not take is worth a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// For at most [`WAIT_MAX`].
    Some,
    /// Who does not get an answer asks again.
    None,
}

impl Patience {
    pub(super) const fn of(service: ServiceName) -> Self {
        match service {
            ServiceName::Chat => Self::Some,
            ServiceName::Time | ServiceName::Announce | ServiceName::Ntp | ServiceName::Echo => Self::None,
        }
    }

    /// Datagrams that a service tries in a turn, the vain ones too, when so many messages wait.
    ///
    /// A room of 100,000 members must not keep the others waiting, and less so when the network is down and each of them
    /// fails on its own: what is said there goes out in slices of about 100 µs. Many messages are answers, of which as many
    /// have to leave as were asked for.
    fn budget(self, messages: usize) -> usize {
        match self {
            Self::Some => messages.clamp(SLICE, BUDGET_MAX),
            Self::None => BUDGET_MAX,
        }
    }
}

/// A service's outbox and counters.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) outbox: Outbox,
    /// What waits for each socket that took no more, in the order in which it is to go.
    held: Vec<(ListenerId, Outbox)>,
    pub(super) counters: Counters,
    /// Datagrams that the kernel dropped because the service was not fast enough.
    pub(super) kernel_drops: u64,
    /// Datagrams that could not be sent: no route, a firewall, a socket that takes no more or is closed by now.
    pub(super) unsent: u64,
}

/// What came of one attempt.
enum Attempt {
    /// So many datagrams are on their way.
    Sent(usize),
    /// The socket takes no more.
    Blocked,
    /// The first datagram can never be sent, and was taken off.
    Vain,
}

impl Post {
    /// Sends what waits, in order, as far as the budget of a turn and the sockets allow.
    ///
    /// What a socket does not take is held for it, up to [`WAIT_MAX`], and the others go on; with [`Patience::None`] it
    /// is given up, for an answer that comes late is wrong.
    pub(super) fn flush(
        &mut self,
        patience: Patience,
        listeners: &mut [Listener],
        sender: &mut Sender,
        registry: &Registry,
    ) {
        let mut budget = patience.budget(self.outbox.message_count());
        self.flush_held(&mut budget, listeners, sender, registry);
        while budget > 0 {
            let Some((&Path { listener, .. }, _)) = self.outbox.pending().next() else {
                debug_assert!(self.outbox.is_empty(), "what is for nobody is never sent, and waits for ever");
                return;
            };
            let mut spent = 1;
            if let Some((_, held)) = self.held.iter_mut().find(|(of, _)| *of == listener) {
                self.outbox.move_first_to(held);
            } else {
                match attempt(&mut self.outbox, budget, listeners, sender, registry) {
                    Attempt::Sent(count) => spent = count,
                    Attempt::Vain => self.unsent += 1,
                    Attempt::Blocked if patience == Patience::Some => self.held.push((listener, Outbox::default())),
                    Attempt::Blocked => {
                        self.outbox.advance(1);
                        self.unsent += 1;
                    }
                }
            }
            budget = budget.saturating_sub(spent);
        }
    }

    fn flush_held(&mut self, budget: &mut usize, listeners: &mut [Listener], sender: &mut Sender, registry: &Registry) {
        let too_old = self.outbox.now() - WAIT_MAX;
        for (_, held) in &mut self.held {
            self.unsent += held.forget_older_than(too_old) as u64;
            while *budget > 0 && !held.is_empty() {
                let spent = match attempt(held, *budget, listeners, sender, registry) {
                    Attempt::Sent(count) => count,
                    Attempt::Blocked => break,
                    Attempt::Vain => {
                        self.unsent += 1;
                        1
                    }
                };
                *budget = budget.saturating_sub(spent);
            }
        }
        let unsent = &mut self.unsent;
        self.held.retain(|(_, held)| {
            *unsent += if held.is_empty() { held.forgotten() } else { 0 };
            !held.is_empty()
        });
    }

    /// Gives up what waits, for good.
    pub(super) fn give_up(&mut self) {
        let too_old = self.outbox.now() + Duration::from_nanos(1);
        let all = self.held.iter_mut().map(|(_, held)| held).chain([&mut self.outbox]);
        self.unsent += all.map(|outbox| outbox.forget_older_than(too_old) as u64).sum::<u64>();
    }

    /// Whether something waits with which a turn would get on.
    pub(super) fn is_sendable(&self, listeners: &[Listener]) -> bool {
        let is_blocked = |id| listeners.iter().any(|listener| listener.id == id && listener.blocked);
        !self.outbox.is_empty() || self.held.iter().any(|&(id, ref held)| !held.is_empty() && !is_blocked(id))
    }
}

/// Tries to send the first deliveries of an outbox that is not empty, as many as fit into the budget and one at least.
fn attempt(
    outbox: &mut Outbox,
    budget: usize,
    listeners: &mut [Listener],
    sender: &mut Sender,
    registry: &Registry,
) -> Attempt {
    let first = outbox.pending().next().map(|(path, _)| path.listener);
    if let Some(listener) = listeners.iter_mut().find(|listener| Some(listener.id) == first) {
        if listener.blocked {
            return Attempt::Blocked;
        }
        let mut piece_max = if listener.takes_bursts { BURST_MAX } else { 1 };
        for _ in 0..=RETRIES_MAX {
            let mut deliveries = outbox.deliveries(piece_max);
            match sender.send(listener.fd(), listener.id, budget, deliveries.clone()) {
                Ok(sent) => {
                    outbox.advance(sent);
                    return Attempt::Sent(sent);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    listener.set_blocked(registry, true);
                    return Attempt::Blocked;
                }
                Err(error) if is_about_another(&error) => listener.errored = true,
                Err(_) if deliveries.next().is_some_and(|first| first.datagram_count() > 1) => piece_max = 1,
                // None of ours is too long itself: an earlier one has met a small MTU on its way.
                Err(error) if error.raw_os_error() == Some(libc::EMSGSIZE) => listener.errored = true,
                Err(_) => break,
            }
        }
    }
    outbox.advance(1);
    Attempt::Vain
}

/// Whether an error tells of a datagram that was sent before: the kernel hands those to whatever is called next, once.
fn is_about_another(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::Instant;
    use crate::services::ServiceName;
    use mio::Poll;
    use nix::sched::{CloneFlags, unshare};
    use nix::sys::socket::{setsockopt, sockopt};
    use socket2::{Domain, Protocol, Socket, Type};
    use std::net::{SocketAddr, UdpSocket};
    use std::process::Command;
    use std::rc::Rc;

    /// One listener and what sends by it.
    struct Scene {
        poll: Poll,
        listeners: [Listener; 1],
        sender: Sender,
        post: Post,
    }

    impl Scene {
        fn new() -> Self {
            let poll = Poll::new().unwrap();
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            let mut listener = Listener::bind(ListenerId(0), ServiceName::Chat, any, std::iter::empty()).unwrap();
            listener.register(poll.registry()).unwrap();
            Self { poll, listeners: [listener], sender: Sender::new(), post: Post::default() }
        }

        fn fan_out(&mut self, to: &[&UdpSocket], burst: &[u8], segment_len: usize) {
            let path = |socket: &&UdpSocket| Path::to(ListenerId(0), socket.local_addr().unwrap());
            let payload = self.post.outbox.store_burst(burst, segment_len);
            self.post.outbox.fan_out(&Rc::new(to.iter().map(path).collect()), None, payload);
        }

        fn flush(&mut self) {
            self.post.flush(Patience::Some, &mut self.listeners, &mut self.sender, self.poll.registry());
        }
    }

    /// Somebody whose kernel puts bursts together again, by which we know that they came as one.
    fn gatherer(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind(addr).unwrap();
        setsockopt(&socket, sockopt::UdpGroSegment, &true).unwrap();
        socket.set_nonblocking(true).unwrap();
        socket
    }

    /// The lengths of what has come, bursts as one.
    fn lens(socket: &UdpSocket) -> Vec<usize> {
        let mut buffer = [0; 65_536];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok()).collect()
    }

    /// Moves the thread to a network of its own that is as `commands` say; `false` when it may not.
    fn own_network(commands: &[&str]) -> bool {
        if let Err(error) = unshare(CloneFlags::CLONE_NEWNET) {
            println!("skipped: a network namespace cannot be made: {error}");
            return false;
        }
        for command in ["ip link set lo up"].iter().chain(commands) {
            let mut words = command.split(' ');
            let status = Command::new(words.next().unwrap()).args(words).status().expect("iproute2 is installed");
            assert!(status.success(), "{command}");
        }
        true
    }

    #[test]
    fn a_burst_goes_in_one_piece_and_counts_against_the_budget_with_each_of_its_datagrams() {
        let (mut scene, to) = (Scene::new(), gatherer("127.0.0.1:0"));
        let bursts = SLICE / BURST_MAX + 1;
        scene.fan_out(&vec![&to; bursts], &[b'x'; BURST_MAX], 1);
        scene.flush();
        assert_eq!((scene.post.outbox.pending().count(), scene.post.unsent), (BURST_MAX, 0));
        assert_eq!(lens(&to), vec![BURST_MAX; bursts - 1]);
        scene.flush();
        assert_eq!((lens(&to), scene.post.outbox.is_empty()), (vec![BURST_MAX], true));
    }

    #[test]
    fn a_kernel_that_knows_no_bursts_gets_datagrams_and_is_not_asked_again() {
        let (mut scene, to) = (Scene::new(), gatherer("127.0.0.1:0"));
        assert!(scene.listeners[0].takes_bursts, "this one knows them");
        scene.listeners[0].takes_bursts = false;
        scene.fan_out(&[&to, &to], &[b'x'; 25], 10);
        scene.flush();
        assert_eq!((lens(&to), scene.post.unsent), (vec![10, 10, 5, 10, 10, 5], 0));
    }

    #[test]
    fn a_burst_that_is_not_taken_goes_datagram_by_datagram_and_later_ones_in_one_piece() {
        // A queue that has room for a datagram and not for a burst, and a route that has none for a long datagram.
        let queue = "tc qdisc replace dev lo root bfifo limit 3000";
        if !own_network(&[queue, "ip route add local 127.0.0.2 dev lo table local mtu lock 1000"]) {
            return;
        }
        let (mut scene, wide, narrow) = (Scene::new(), gatherer("127.0.0.1:0"), gatherer("127.0.0.2:0"));
        let burst = [b'x'; 2_500];
        scene.fan_out(&[&wide, &narrow, &narrow], &burst, 1_200);
        scene.flush();
        assert_eq!((lens(&narrow), lens(&wide)), (vec![1_200, 1_200, 100, 1_200, 1_200, 100], vec![2_500]));
        scene.fan_out(&[&narrow], &burst, 900);
        scene.fan_out(&[&wide], &[b'x'; 3_500], 1_200);
        scene.flush();
        assert_eq!((lens(&narrow), lens(&wide)), (vec![2_500], vec![1_200, 1_200, 1_100]));
        scene.fan_out(&[&wide], &burst, 1_200);
        scene.flush();
        assert_eq!((lens(&wide), scene.post.unsent), (vec![2_500], 0));
    }

    #[test]
    fn a_burst_that_nobody_takes_is_counted_with_each_of_its_datagrams() {
        let mut scene = Scene::new();
        let hopeless = Path::to(ListenerId(0), "[::1]:9".parse().unwrap());
        let payload = scene.post.outbox.store_burst(&[b'x'; 25], 10);
        scene.post.outbox.send_payload(hopeless, payload);
        scene.flush();
        assert_eq!((scene.post.unsent, scene.post.outbox.is_empty()), (3, true));
    }

    #[test]
    fn deliveries_that_fail_count_against_the_budget_of_a_turn_like_those_that_do_not() {
        let poll = Poll::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut listener = Listener::bind(ListenerId(0), ServiceName::Chat, any, std::iter::empty()).unwrap();
        listener.register(poll.registry()).unwrap();
        let (mut listeners, mut sender) = ([listener], Sender::new());
        // An IPv6 address by an IPv4 socket, and a socket that is closed by now.
        let wrong_family = Path::to(ListenerId(0), "[::1]:9".parse().unwrap());
        for hopeless in [wrong_family, Path::to(ListenerId(1), any)] {
            let mut post = Post::default();
            (0..=BUDGET_MAX).for_each(|_| post.outbox.send(hopeless, b"x"));
            post.flush(Patience::Some, &mut listeners, &mut sender, poll.registry());
            assert_eq!((post.unsent, post.outbox.pending().count()), (BUDGET_MAX as u64, 1), "{hopeless:?}");
            assert!(post.is_sendable(&listeners), "the next turn goes on");
        }
    }

    /// A router's word that what `from` sends to `to` is too long for the way (RFC 792; RFC 1191 §4).
    fn fragmentation_needed(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
        let (SocketAddr::V4(from), SocketAddr::V4(to)) = (from, to) else { panic!("IPv4 it is") };
        let mut message = vec![3, 4, 0, 0, 0, 0, 0x03, 0xe8]; // an MTU of 1,000
        message.extend([0x45, 0, 4, 0xec, 0, 0, 0x40, 0, 64, 17, 0, 0]);
        message.extend([from.ip().octets(), to.ip().octets()].concat());
        message.extend([from.port().to_be_bytes(), to.port().to_be_bytes(), [4, 0xd8], [0, 0]].concat());
        let sum: u32 = message.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]]))).sum();
        let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
        message[2..4].copy_from_slice(&checksum.to_be_bytes());
        message
    }

    #[test]
    fn a_small_mtu_on_the_way_to_one_costs_another_nothing() {
        if !own_network(&[]) {
            return;
        }
        let (mut scene, far, near) = (Scene::new(), gatherer("127.0.0.2:0"), gatherer("127.0.0.1:0"));
        let from = SocketAddr::from(([127, 0, 0, 1], scene.listeners[0].addr.port()));
        let router = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)).unwrap();
        let to = far.local_addr().unwrap();
        router.send_to(&fragmentation_needed(from, to), &from.into()).unwrap();
        scene.listeners[0].errored = false;
        scene.fan_out(&[&near], b"x", 1);
        scene.flush();
        assert_eq!((lens(&near), scene.post.unsent, scene.listeners[0].errored), (vec![1], 0, true));
    }

    #[test]
    fn what_is_given_up_is_counted_whether_it_was_held_or_not() {
        let (mut scene, to) = (Scene::new(), gatherer("127.0.0.1:0"));
        scene.listeners[0].set_blocked(scene.poll.registry(), true);
        scene.fan_out(&[&to, &to], b"x", 1);
        scene.flush();
        scene.fan_out(&[&to], b"x", 1);
        scene.post.give_up();
        assert_eq!((scene.post.unsent, scene.post.outbox.is_empty()), (3, true));
        assert!(!scene.post.is_sendable(&scene.listeners));
    }

    #[test]
    fn a_socket_that_takes_no_more_holds_up_no_other_and_its_own_stay_in_order() {
        let poll = Poll::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let bind = |id| Listener::bind(ListenerId(id), ServiceName::Chat, any, std::iter::empty()).unwrap();
        let (mut listeners, mut sender) = ([bind(0), bind(1)], Sender::new());
        listeners.iter_mut().for_each(|listener| listener.register(poll.registry()).unwrap());
        let (slow, quick) = (UdpSocket::bind(any).unwrap(), UdpSocket::bind(any).unwrap());
        let to = |id, socket: &UdpSocket| Path::to(ListenerId(id), socket.local_addr().unwrap());
        let received = |socket: &UdpSocket| {
            socket.set_nonblocking(true).unwrap();
            let mut buffer = [0; 8];
            std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| buffer[..len].to_vec())).collect::<Vec<_>>()
        };
        let mut post = Post::default();
        let mut flush = |post: &mut Post, listeners: &mut [Listener; 2], blocked| {
            listeners[0].set_blocked(poll.registry(), blocked);
            post.flush(Patience::Some, listeners, &mut sender, poll.registry());
        };
        for text in [b"1", b"2"] {
            post.outbox.send(to(0, &slow), text);
            post.outbox.send(to(1, &quick), text);
            flush(&mut post, &mut listeners, true);
        }
        assert_eq!((received(&slow).len(), received(&quick)), (0, vec![b"1".to_vec(), b"2".to_vec()]));
        assert!(!post.is_sendable(&listeners), "there is nothing to do but wait");
        post.outbox.send(to(0, &slow), b"3");
        flush(&mut post, &mut listeners, false);
        assert_eq!(received(&slow), [b"1", b"2", b"3"]);
        post.outbox.send(to(0, &slow), b"4");
        flush(&mut post, &mut listeners, true);
        post.outbox.begin_turn(Instant::default() + WAIT_MAX + Duration::from_nanos(1));
        flush(&mut post, &mut listeners, false);
        assert_eq!((received(&slow).len(), post.unsent), (0, 1), "it is too old by now");
    }
}
