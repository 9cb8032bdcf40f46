//! The announcer's part of the system calls: the interfaces, and the groups that are joined and left on them.

use super::netlink::Netlink;
use super::run::Daemon;
use crate::core::{Interface, Now};
use crate::services::ServiceName;
use crate::services::announce::{Facts, Memberships};
use log::{debug, warn};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// How long the kernel may take to tell its interfaces at start. It takes less than a millisecond.
const INTERFACES_WAIT_MAX: Duration = Duration::from_secs(2);

/// Begins to watch the interfaces, by a socket that was passed or one of our own, and reads them.
pub(super) fn watch_interfaces(passed: Option<OwnedFd>) -> io::Result<(Netlink, Vec<Interface>)> {
    let mut netlink = passed.map_or_else(Netlink::open, Netlink::from_fd)?;
    let interfaces = netlink.wait_for_table(INTERFACES_WAIT_MAX)?;
    Ok((netlink, interfaces))
}

impl Daemon {
    /// Has the announcer look at the interfaces, and joins and leaves what it asks for.
    pub(super) fn take_part(&mut self, now: &Now) {
        let Some(announcer) = &mut self.services.announce else { return };
        let outbox = &mut self.posts[ServiceName::Announce as usize].outbox;
        let memberships = announcer.set_interfaces(now, &self.interfaces, outbox);
        self.apply(&memberships);
    }

    /// Leaves and joins groups; what cannot be joined is logged, for the rest works without it.
    pub(super) fn apply(&self, memberships: &Memberships) {
        let listener = |id| self.listeners.iter().find(|listener| listener.id == id);
        for left in &memberships.leave {
            // The interface may be gone, and the membership with it.
            let _ = listener(left.listener).map(|listener| listener.leave(left.group, left.interface));
        }
        for joined in &memberships.join {
            let name = self.interfaces.iter().find(|interface| interface.index == joined.interface);
            let name = name.map_or("?", |interface| &interface.name);
            let Some(listener) = listener(joined.listener) else { continue };
            match listener.join(joined.group, joined.interface) {
                Ok(()) => debug!("announce joins {} on {name}", joined.group),
                // The socket outlives us, and whoever served it before had joined already.
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                Err(error) => warn!("announce cannot join {} on {name}: {error}", joined.group),
            }
        }
    }

    /// What the announcer tells of this daemon: each service that runs, at the port of its first socket.
    pub(super) fn facts(&self) -> Facts {
        let port = |service| self.listeners.iter().find(|listener| listener.service == service).map(|l| l.addr.port());
        let services = [ServiceName::Time, ServiceName::Chat, ServiceName::Ntp, ServiceName::Echo]
            .into_iter()
            .filter_map(|service| Some((service.name().to_owned(), port(service)?)))
            .collect();
        Facts {
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            services,
            heartbeat_interval: self.config.chat.enabled.then_some(self.config.chat.heartbeat_interval),
        }
    }

    /// Says goodbye to the groups, and leaves them once it is sent.
    pub(super) fn end_announcements(&mut self) {
        let Some(mut announcer) = self.services.announce.take() else { return };
        let left = announcer.goodbye(&mut self.posts[ServiceName::Announce as usize].outbox);
        self.flush_all();
        self.apply(&left);
    }
}
