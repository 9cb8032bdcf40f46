//! What goes in and out of one service: its outbox and its counters, and the sending of the one.

use super::listener::Listener;
use super::sys::{BATCH_MAX, Sender};
use crate::core::{Counters, Outbox};
use crate::services::ServiceName;
use mio::Registry;
use nix::libc;
use std::io;
use std::time::Duration;

/// Deliveries that one service tries in a turn, the vain ones too. A room of 100,000 members must not keep the others
/// waiting, and less so when the network is down and each of them fails on its own.
const BUDGET: usize = 4 * BATCH_MAX;

/// How often one delivery is tried again because an error of an earlier one came up in its place.
const RETRIES_MAX: u32 = 8;

/// How long a message waits for a socket that takes no more. The talk of a room is worth a moment, and no more: what is
/// kept longer only delays what is said now.
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
            ServiceName::Time | ServiceName::Announce => Self::None,
        }
    }
}

/// A service's outbox and counters.
#[derive(Debug, Default)]
pub(super) struct Post {
    pub(super) outbox: Outbox,
    pub(super) counters: Counters,
    /// Datagrams that the kernel dropped because the service was not fast enough.
    pub(super) kernel_drops: u64,
    /// Datagrams that could not be sent: no route, a firewall, a socket that is closed by now.
    pub(super) unsent: u64,
}

impl Post {
    /// Sends what waits, in order, as far as the budget of a turn and the sockets allow.
    ///
    /// A socket that takes no more holds up what stands behind it in this outbox, up to [`WAIT_MAX`]; with
    /// [`Patience::None`] what it does not take is given up, for an answer that comes late is wrong.
    pub(super) fn flush(
        &mut self,
        patience: Patience,
        listeners: &mut [Listener],
        sender: &mut Sender,
        registry: &Registry,
    ) {
        self.outbox.forget_older_than(self.outbox.now() - WAIT_MAX);
        let mut retries = 0;
        let mut tried = 0;
        while tried < BUDGET {
            tried += 1;
            let Some((path, _)) = self.outbox.pending().next() else {
                debug_assert!(self.outbox.is_empty(), "what is for nobody is never sent, and waits for ever");
                return;
            };
            let Some(listener) = listeners.iter_mut().find(|listener| listener.id == path.listener) else {
                self.give_up_one();
                continue;
            };
            if listener.blocked {
                match patience {
                    Patience::Some => return,
                    Patience::None => self.give_up_one(),
                }
                continue;
            }
            match sender.send(listener.fd(), listener.id, self.outbox.pending()) {
                Ok(sent) => {
                    self.outbox.advance(sent);
                    retries = 0;
                    tried += sent.saturating_sub(1);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => listener.set_blocked(registry, true),
                Err(error) if is_about_another(&error) && retries < RETRIES_MAX => {
                    listener.errored = true;
                    retries += 1;
                }
                Err(_) => {
                    self.give_up_one();
                    retries = 0;
                }
            }
        }
    }

    fn give_up_one(&mut self) {
        self.outbox.advance(1);
        self.unsent += 1;
    }

    /// Whether something waits that a socket would take, or that is to be given up.
    pub(super) fn is_sendable(&self, patience: Patience, listeners: &[Listener]) -> bool {
        if patience == Patience::None {
            return !self.outbox.is_empty();
        }
        self.outbox
            .pending()
            .next()
            .is_some_and(|(path, _)| listeners.iter().all(|listener| listener.id != path.listener || !listener.blocked))
    }
}

/// Whether an error tells of a datagram that was sent before: the kernel hands those to whatever is called next, once.
fn is_about_another(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ECONNREFUSED | libc::EHOSTUNREACH | libc::ENETUNREACH))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ListenerId, Path};
    use crate::services::ServiceName;
    use mio::Poll;
    use std::net::SocketAddr;

    #[test]
    fn deliveries_that_fail_count_against_the_budget_of_a_turn_like_those_that_do_not() {
        let poll = Poll::new().unwrap();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let listener = Listener::bind(ListenerId(0), ServiceName::Chat, any, std::iter::empty()).unwrap();
        listener.register(poll.registry()).unwrap();
        let (mut listeners, mut sender) = ([listener], Sender::new());
        // An IPv6 address by an IPv4 socket, and a socket that is closed by now.
        let wrong_family = Path::to(ListenerId(0), "[::1]:9".parse().unwrap());
        for hopeless in [wrong_family, Path::to(ListenerId(1), any)] {
            let mut post = Post::default();
            (0..=BUDGET).for_each(|_| post.outbox.send(hopeless, b"x"));
            post.flush(Patience::Some, &mut listeners, &mut sender, poll.registry());
            assert_eq!((post.unsent, post.outbox.pending().count()), (BUDGET as u64, 1), "{hopeless:?}");
            assert!(post.is_sendable(Patience::Some, &listeners), "the next turn goes on");
        }
    }
}
