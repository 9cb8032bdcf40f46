//! What goes in and out of one service: its outbox and its counters, and the sending of the one.

use super::listener::Listener;
use super::sys::Sender;
use crate::core::{Counters, Outbox};
use mio::Registry;
use nix::libc;
use std::io;

/// Batches that one service sends in a turn. A room of 100,000 members must not keep the others waiting.
const BATCHES_A_TURN: usize = 4;

/// How often one delivery is tried again because an error of an earlier one came up in its place.
const RETRIES_MAX: u32 = 8;

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
    /// A socket that takes no more holds up what stands behind it in this outbox, for a moment; the others go on.
    pub(super) fn flush(&mut self, listeners: &mut [Listener], sender: &mut Sender, registry: &Registry) {
        let mut retries = 0;
        let mut batches = 0;
        while batches < BATCHES_A_TURN {
            let Some((path, _)) = self.outbox.pending().next() else { return };
            let Some(listener) = listeners.iter_mut().find(|listener| listener.id == path.listener) else {
                self.give_up_one();
                continue;
            };
            if listener.blocked {
                return;
            }
            match sender.send(listener.fd(), listener.id, self.outbox.pending()) {
                Ok(sent) => {
                    self.outbox.advance(sent);
                    retries = 0;
                    batches += 1;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // Should the poller refuse, the next turn tries again.
                    let _ = listener.set_blocked(registry, true);
                    return;
                }
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

    /// Whether something waits that a socket would take.
    pub(super) fn is_sendable(&self, listeners: &[Listener]) -> bool {
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
