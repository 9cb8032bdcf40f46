//! What we tell the service manager that started us (sd_notify(3)), and how often it wants to hear from us.
//!
//! The messages are made by the `sd-notify` crate; the sending is ours, because that crate's blocks and does not know
//! abstract sockets (`@…`). What decides about our life (ready, reloading, stopping) may wait a second for room; status
//! and watchdog come again anyway and never wait. Without a manager everything here does nothing.

use crate::core::text::is_control;
use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, sendmsg, setsockopt, socket,
    sockopt::SendTimeout,
};
use nix::sys::time::{TimeVal, TimeValLike};
use sd_notify::NotifyState;
use std::cell::Cell;
use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

/// The service manager, if there is one.
#[derive(Debug, Default)]
pub struct Supervisor {
    link: Option<Link>,
    watchdog: Option<Duration>,
    /// The status that it knows.
    status: String,
    /// It has not taken our READY yet, and is to hear it when it does.
    owes_ready: bool,
    /// It did not take the last that we waited for. Once it knows that we are ready it is not waited for again until it has
    /// taken what came next.
    is_slow: Cell<bool>,
}

#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    addr: UnixAddr,
}

impl Supervisor {
    /// The one that `$NOTIFY_SOCKET` and `$WATCHDOG_USEC` speak of.
    pub fn from_env() -> Self {
        let watchdog = sd_notify::watchdog_enabled();
        let Some(path) = std::env::var_os("NOTIFY_SOCKET") else { return Self { watchdog, ..Self::default() } };
        Self::at(&path, watchdog)
    }

    /// The one that listens at `path`, where a leading `@` stands for the abstract namespace.
    fn at(path: &OsStr, watchdog: Option<Duration>) -> Self {
        let link = Link::to(path)
            .inspect_err(|error| log::warn!("cannot reach the service manager at {}: {error}", path.display()))
            .ok();
        Self { link, watchdog, owes_ready: true, ..Self::default() }
    }

    /// Whether there is one.
    pub fn is_present(&self) -> bool {
        self.link.is_some()
    }

    /// Every socket is live.
    pub fn ready(&mut self, status: &str) {
        self.status = one_line(status);
        let status = self.status.clone();
        self.owes_ready = !self.announce(&[NotifyState::Ready, NotifyState::Status(&status)]);
    }

    /// Says again that we are ready, if that was not heard. To be called each turn.
    pub fn repeat_ready(&mut self) {
        let Some(link) = self.link.as_ref().filter(|_| self.owes_ready) else { return };
        let states = [NotifyState::Ready, NotifyState::Status(&self.status)];
        self.owes_ready = link.send(&states, MsgFlags::MSG_DONTWAIT).is_err();
    }

    /// One line for `systemctl status`. Sent when it differs from the last, so it may be called each turn.
    pub fn status(&mut self, status: &str) {
        let status = one_line(status);
        let Some(link) = &self.link else { return };
        if status != self.status && link.send(&[NotifyState::Status(&status)], MsgFlags::MSG_DONTWAIT).is_ok() {
            self.status = status;
        }
    }

    /// A reload begins; [`Supervisor::ready`] ends it, whether it went well or not.
    pub fn reloading(&mut self) {
        let mut states = vec![NotifyState::Reloading];
        states.extend(NotifyState::monotonic_usec_now());
        let _ = self.announce(&states);
    }

    /// The end begins.
    pub fn stopping(&mut self) {
        let _ = self.announce(&[NotifyState::Stopping]);
    }

    /// We are alive. To be said at least once in each [`Supervisor::watchdog_interval`].
    pub fn watchdog(&self) {
        if let Some(link) = &self.link {
            // One that finds no room is made up for by the next: there are two in each period.
            let _ = link.send(&[NotifyState::Watchdog], MsgFlags::MSG_DONTWAIT);
        }
    }

    /// How often to call [`Supervisor::watchdog`]: half of the time after which we would be killed.
    pub fn watchdog_interval(&self) -> Option<Duration> {
        self.link.as_ref().and(self.watchdog).map(|period| period / 2)
    }

    /// Has the manager hold an open file for us while we are gone, which it hands back under this name. It is not to watch
    /// it: a file in memory is always ready. Whether it has been told.
    pub fn store(&self, name: &str, fd: BorrowedFd<'_>) -> bool {
        let name = format!("FDNAME={name}");
        let states = ["FDSTORE=1", &name, "FDPOLL=0"].map(NotifyState::Custom);
        self.announce_with(&states, &[fd.as_raw_fd()])
    }

    /// Has the manager close what it holds under this name.
    pub fn forget(&self, name: &str) {
        let name = format!("FDNAME={name}");
        let _ = self.announce(&["FDSTOREREMOVE=1", &name].map(NotifyState::Custom));
    }

    fn announce(&self, states: &[NotifyState<'_>]) -> bool {
        self.announce_with(states, &[])
    }

    fn announce_with(&self, states: &[NotifyState<'_>], fds: &[RawFd]) -> bool {
        // What we need it to hold, and the first READY, are worth a second.
        let is_hasty = self.is_slow.get() && !self.owes_ready && fds.is_empty();
        let flags = if is_hasty { MsgFlags::MSG_DONTWAIT } else { MsgFlags::empty() };
        let sent = self.link.as_ref().map_or(Ok(()), |link| link.send_with(states, fds, flags));
        self.is_slow.set(sent == Err(Errno::EAGAIN));
        if let Err(error) = sent {
            log::warn!("cannot tell the service manager: {error}");
        }
        sent.is_ok()
    }
}

impl Link {
    fn to(path: &OsStr) -> nix::Result<Self> {
        let addr = match path.as_bytes() {
            [b'@', name @ ..] => UnixAddr::new_abstract(name)?,
            _ => UnixAddr::new(path)?,
        };
        let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&socket, SendTimeout, &TimeVal::seconds(1))?;
        Ok(Self { socket, addr })
    }

    fn send(&self, states: &[NotifyState<'_>], flags: MsgFlags) -> nix::Result<()> {
        self.send_with(states, &[], flags)
    }

    /// Sends a message with open files attached (unix(7)).
    fn send_with(&self, states: &[NotifyState<'_>], fds: &[RawFd], flags: MsgFlags) -> nix::Result<()> {
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        let (text, rights) = ([IoSlice::new(message.as_bytes())], [ControlMessage::ScmRights(fds)]);
        let attached = if fds.is_empty() { &[] } else { &rights[..] };
        let flags = flags | MsgFlags::MSG_NOSIGNAL;
        sendmsg(self.socket.as_raw_fd(), &text, attached, flags, Some(&self.addr)).map(drop)
    }
}

/// A newline would begin another message, and a member's name may be in there.
fn one_line(status: &str) -> String {
    status.chars().filter(|&c| c != '\n' && !is_control(c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};
    use std::io::IoSliceMut;
    use std::os::fd::AsFd;
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    fn manager(name: &str) -> (UnixDatagram, Supervisor) {
        let name = format!("belfry-test-{}-{name}", std::process::id());
        let addr = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&addr).unwrap();
        socket.set_nonblocking(true).unwrap();
        (socket, Supervisor::at(OsStr::new(&format!("@{name}")), Some(Duration::from_secs(30))))
    }

    fn messages(socket: &UnixDatagram) -> Vec<String> {
        let mut buffer = [0; 4096];
        std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| String::from_utf8_lossy(&buffer[..len]).into()))
            .collect()
    }

    #[test]
    fn a_life_is_told_in_order() {
        let (socket, mut supervisor) = manager("life");
        supervisor.ready("nobody is here");
        supervisor.watchdog();
        supervisor.reloading();
        supervisor.ready("2 members");
        supervisor.stopping();
        let mut told = messages(&socket);
        let reloading = told.remove(2);
        assert_eq!(
            told,
            ["READY=1\nSTATUS=nobody is here\n", "WATCHDOG=1\n", "READY=1\nSTATUS=2 members\n", "STOPPING=1\n"]
        );
        let since_boot = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().trim_end();
        assert!(since_boot.parse::<u64>().unwrap() > 0, "{reloading}");
        assert_eq!(supervisor.watchdog_interval(), Some(Duration::from_secs(15)));
    }

    #[test]
    fn an_open_file_is_handed_over_under_its_name_and_taken_back() {
        let (socket, supervisor) = manager("store");
        let (mine, other) = UnixDatagram::pair().unwrap();
        supervisor.store("state", mine.as_fd());
        drop(mine);
        let mut buffer = [0; 256];
        let mut io = [IoSliceMut::new(&mut buffer)];
        let mut control = nix::cmsg_space!([RawFd; 1]);
        let message =
            recvmsg::<()>(socket.as_raw_fd(), &mut io, Some(&mut control), MsgFlags::MSG_CMSG_CLOEXEC).unwrap();
        let rights = message.cmsgs().unwrap().find_map(|control| match control {
            ControlMessageOwned::ScmRights(fds) => Some(fds),
            _ => None,
        });
        let (len, fds) = (message.bytes, rights.unwrap());
        assert_eq!(str::from_utf8(&buffer[..len]).unwrap(), "FDSTORE=1\nFDNAME=state\nFDPOLL=0\n");
        assert_eq!(fds.len(), 1);
        other.send(b"hello").unwrap();
        let kept = std::fs::read_link(format!("/proc/self/fd/{}", fds[0])).unwrap();
        assert!(kept.to_str().unwrap().starts_with("socket:"), "{kept:?} is open, and the other end is heard");
        supervisor.forget("state");
        assert_eq!(messages(&socket), ["FDSTOREREMOVE=1\nFDNAME=state\n"]);
    }

    #[test]
    fn a_status_is_told_when_it_changes_and_cannot_carry_a_second_message() {
        let (socket, mut supervisor) = manager("status");
        supervisor.ready("1 member");
        supervisor.status("1 member");
        supervisor.status("2 members");
        supervisor.status("2 members");
        supervisor.status("mira\nMAINPID=1\x1b[2J\u{202e}");
        assert_eq!(
            messages(&socket),
            ["READY=1\nSTATUS=1 member\n", "STATUS=2 members\n", "STATUS=miraMAINPID=1[2J\n"]
        );
    }

    #[test]
    fn a_status_that_found_no_room_is_told_later_and_nothing_waits_for_it() {
        let (socket, mut supervisor) = manager("full");
        for number in 0..2_000 {
            supervisor.status(&format!("{number} members"));
            supervisor.watchdog();
        }
        assert!(messages(&socket).len() < 4_000);
        supervisor.status("1999 members");
        assert_eq!(messages(&socket), ["STATUS=1999 members\n"]);
    }

    #[test]
    fn a_manager_that_reads_nothing_is_waited_for_once() {
        let (socket, mut supervisor) = manager("slow");
        supervisor.ready("ready");
        messages(&socket);
        (0..2_000).for_each(|number| supervisor.status(&number.to_string()));
        for _ in 0..100 {
            supervisor.reloading();
        }
        assert!(supervisor.is_slow.get());
        messages(&socket);
        supervisor.stopping();
        assert!(!supervisor.is_slow.get());
        assert_eq!(messages(&socket), ["STOPPING=1\n"]);
    }

    #[test]
    fn a_manager_that_did_not_hear_that_we_are_ready_hears_it_later() {
        let (socket, mut supervisor) = manager("deaf");
        (0..2_000).for_each(|number| supervisor.status(&number.to_string()));
        supervisor.ready("ready");
        supervisor.repeat_ready();
        assert!(supervisor.owes_ready);
        messages(&socket);
        (0..2).for_each(|_| supervisor.repeat_ready());
        assert_eq!(messages(&socket), ["READY=1\nSTATUS=ready\n"]);
    }

    #[test]
    fn a_manager_is_found_by_its_path_even_after_it_came_back() {
        let path = std::env::temp_dir().join(format!("belfry-notify-{}", std::process::id()));
        let first = UnixDatagram::bind(&path).unwrap();
        let mut supervisor = Supervisor::at(path.as_os_str(), None);
        supervisor.status("one");
        assert_eq!(messages_blocking(&first), "STATUS=one\n");
        drop(first);
        std::fs::remove_file(&path).unwrap();
        supervisor.status("two");
        let second = UnixDatagram::bind(&path).unwrap();
        supervisor.status("two");
        assert_eq!(messages_blocking(&second), "STATUS=two\n");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(supervisor.watchdog_interval(), None);
    }

    fn messages_blocking(socket: &UnixDatagram) -> String {
        socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        let mut buffer = [0; 256];
        let len = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..len].to_vec()).unwrap()
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        let mut supervisor = Supervisor { watchdog: Some(Duration::from_secs(30)), ..Supervisor::default() };
        supervisor.ready("ready");
        supervisor.status("status");
        supervisor.reloading();
        supervisor.watchdog();
        supervisor.stopping();
        assert_eq!(supervisor.watchdog_interval(), None);
    }
}
