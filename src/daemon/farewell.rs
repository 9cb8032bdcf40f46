//! The end in good order: what was said leaves, and what is to be kept is written down.
//!
//! The last words wait for sockets that take no more, but not for ever: whoever ends the daemon waits too.

use super::post::Post;
use super::run::Daemon;

/// Turns that the last words may take to leave: some thirty thousand datagrams to rooms, in a tenth of a second.
const FAREWELL_TURNS_MAX: usize = 1_000;

impl Daemon {
    /// Sends what waits until nothing does that a socket would take, or it has been long enough.
    pub(super) fn flush_all(&mut self) {
        for _ in 0..FAREWELL_TURNS_MAX {
            self.flush();
            if !self.has_sendable() {
                break;
            }
        }
    }

    /// Says goodbye, leaves the groups, and sends what still waits.
    pub(super) fn stop(&mut self) {
        self.supervisor.stopping();
        self.end_announcements();
        self.flush_all();
        self.posts.iter_mut().for_each(Post::give_up);
        self.state.keep_last(self.turned, self.services.chat.as_mut(), &self.listeners);
        self.report.summarise_now(&self.posts);
    }
}
