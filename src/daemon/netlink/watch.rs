//! From netlink messages to the interface table, without a system call.
//!
//! A notification says only that something changed: it marks the table dirty, and the kernel is asked for all of it
//! again, first the interfaces, then their addresses. So a notification that was lost, doubled or not understood costs
//! one more dump and can never leave a table that is half true.
//!
//! The caller hands over what it receives, and asks for the next request only once nothing more waits to be received:
//! then many notifications cost one dump, and the answer finds room in the socket's buffer.

use super::message::{self, Address, DONE, ERROR, Link, Message};
use crate::core::Interface;
use nix::libc;
use std::io;

/// How far a dump has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Nothing is asked for.
    Idle,
    /// The interfaces are being told.
    Links,
    /// The interfaces are told; their addresses are to be asked for.
    BetweenDumps,
    /// The addresses are being told.
    Addresses,
}

/// The state of the interface watch.
#[derive(Debug)]
pub struct Watch {
    /// Our netlink port: answers to us carry it, notifications carry that of whoever caused them.
    port: u32,
    /// The number of the last request.
    sequence: u32,
    step: Step,
    /// Whether something changed since the dump that runs was asked for.
    dirty: bool,
    /// Whether messages were lost since then.
    overrun: bool,
    /// Whether the kernel says that the dump may have missed something.
    interrupted: bool,
    links: Vec<Link>,
    addresses: Vec<Address>,
    /// The last whole table.
    table: Option<Vec<Interface>>,
    /// Whether it was given out.
    published: bool,
    refusal: Option<i32>,
}

impl Watch {
    /// A watch that knows nothing and wants to.
    pub fn new(port: u32) -> Self {
        Self {
            port,
            sequence: 0,
            step: Step::Idle,
            dirty: true,
            overrun: false,
            interrupted: false,
            links: Vec::new(),
            addresses: Vec::new(),
            table: None,
            published: true,
            refusal: None,
        }
    }

    /// Takes what was received at once.
    pub fn take(&mut self, bytes: &[u8]) {
        for message in message::messages(bytes) {
            let is_ours = message.port == self.port && message.sequence == self.sequence;
            if is_ours && matches!(self.step, Step::Links | Step::Addresses) {
                self.take_answer(&message);
            } else {
                let changes = [libc::RTM_NEWLINK, libc::RTM_DELLINK, libc::RTM_NEWADDR, libc::RTM_DELADDR];
                self.dirty |= changes.contains(&message.kind);
            }
        }
    }

    /// Takes note that messages were lost: the socket's buffer or ours was too small for them.
    pub fn lose(&mut self) {
        self.dirty = true;
        self.overrun = true;
    }

    /// What to send to the kernel, when nothing waits to be received; `None` when there is nothing to ask.
    pub fn next_request(&mut self) -> Option<Vec<u8>> {
        let kind = match self.step {
            Step::BetweenDumps => {
                self.step = Step::Addresses;
                libc::RTM_GETADDR
            }
            // A dump whose end was lost is not waited for.
            Step::Links | Step::Addresses if !self.overrun => return None,
            Step::Idle if !self.dirty => return None,
            _ => {
                (self.dirty, self.overrun, self.interrupted) = (false, false, false);
                self.links.clear();
                self.addresses.clear();
                self.step = Step::Links;
                libc::RTM_GETLINK
            }
        };
        // Never 0, which is what notifications carry that nobody's request caused.
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        Some(message::write_dump_request(kind, self.sequence))
    }

    /// Takes note that the last request could not be sent.
    pub fn forget_request(&mut self) {
        self.step = Step::Idle;
        self.dirty = true;
    }

    /// The table, if it differs from the one given out before; or why the kernel does not tell it.
    pub fn publish(&mut self) -> io::Result<Option<Vec<Interface>>> {
        if let Some(errno) = self.refusal.take() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let new = !std::mem::replace(&mut self.published, true);
        Ok(self.table.clone().filter(|_| new))
    }

    fn take_answer(&mut self, message: &Message<'_>) {
        self.interrupted |= message.is_interrupted();
        match (message.kind, self.step) {
            (libc::RTM_NEWLINK, Step::Links) => self.links.extend(message::parse_link(message.body)),
            (libc::RTM_NEWADDR, Step::Addresses) => self.addresses.extend(message::parse_address(message.body)),
            (DONE | ERROR, _) if message.errno() != 0 => self.take_refusal(message.errno()),
            (DONE, Step::Links) => self.step = Step::BetweenDumps,
            (DONE, _) => self.finish(),
            _ => {}
        }
    }

    fn take_refusal(&mut self, errno: i32) {
        self.step = Step::Idle;
        match errno {
            // A dump that somebody asked for before us still runs on this socket, and ends as we read it.
            libc::EBUSY | libc::EINTR | libc::EAGAIN => self.dirty = true,
            _ => self.refusal = Some(errno),
        }
    }

    fn finish(&mut self) {
        self.step = Step::Idle;
        if self.interrupted {
            self.dirty = true;
            return;
        }
        let table = assemble(std::mem::take(&mut self.links), &self.addresses);
        if self.table.as_ref() != Some(&table) {
            self.table = Some(table);
            self.published = false;
        }
    }
}

/// Brings interfaces and addresses together, in the same order whatever the order of the dump.
fn assemble(mut links: Vec<Link>, addresses: &[Address]) -> Vec<Interface> {
    links.sort_by_key(|link| link.index);
    // The sort keeps the order of doubles, and of those the first stays.
    links.dedup_by_key(|link| link.index);
    let has = |link: &Link, flag: i32| link.flags & flag.cast_unsigned() != 0;
    let mut sorted = addresses.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let of = |index: u32| {
        let start = sorted.partition_point(|address| address.interface < index);
        sorted[start..].iter().take_while(move |address| address.interface == index)
    };
    let interface = |link: Link| {
        let mut addresses: Vec<_> = of(link.index).map(|address| address.ours).collect();
        // One address of ours may have several ends opposite.
        addresses.dedup();
        Interface {
            index: link.index,
            up: has(&link, libc::IFF_UP) && has(&link, libc::IFF_RUNNING),
            multicast: has(&link, libc::IFF_MULTICAST) || has(&link, libc::IFF_LOOPBACK),
            loopback: has(&link, libc::IFF_LOOPBACK),
            addresses,
            peers: of(link.index).filter_map(|address| address.peer).collect(),
            name: link.name,
        }
    };
    links.into_iter().map(interface).collect()
}

#[cfg(test)]
mod tests {
    use super::super::message::build;
    use super::*;
    use proptest::prelude::*;

    const PORT: u32 = 77;
    const RUNNING: i32 = libc::IFF_UP | libc::IFF_RUNNING;

    /// What the kernel would answer to a request: the messages, then the end.
    fn answer(request: &[u8], flags: i32, bodies: &[Vec<u8>]) -> Vec<u8> {
        let asked = message::messages(request).next().unwrap();
        let kind = if asked.kind == libc::RTM_GETLINK { libc::RTM_NEWLINK } else { libc::RTM_NEWADDR };
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.extend(build::message(kind, flags | libc::NLM_F_MULTI, asked.sequence, PORT, body));
        }
        bytes.extend(build::message(DONE, libc::NLM_F_MULTI, asked.sequence, PORT, &[0; 4]));
        bytes
    }

    fn refuse(request: &[u8], errno: i32) -> Vec<u8> {
        let asked = message::messages(request).next().unwrap();
        build::message(ERROR, 0, asked.sequence, PORT, &(-errno).to_ne_bytes())
    }

    fn notify(kind: u16) -> Vec<u8> {
        build::message(kind, 0, 0, 0, &build::link(2, "eth0", 0))
    }

    /// Answers the two requests of a dump.
    fn dump(watch: &mut Watch, links: &[Vec<u8>], addresses: &[Vec<u8>]) {
        for (kind, bodies) in [(libc::RTM_GETLINK, links), (libc::RTM_GETADDR, addresses)] {
            let request = watch.next_request().unwrap();
            assert_eq!(message::messages(&request).next().unwrap().kind, kind);
            watch.take(&answer(&request, 0, bodies));
        }
    }

    fn interface(index: u32, name: &str, up: bool, multicast: bool, addresses: &[&str]) -> Interface {
        let addresses = addresses.iter().map(|net| net.parse().unwrap()).collect();
        Interface { index, name: name.to_owned(), up, multicast, loopback: name == "lo", addresses, peers: Vec::new() }
    }

    #[test]
    fn two_dumps_make_a_table_sorted_by_interface_and_address() {
        let mut watch = Watch::new(PORT);
        let links = [
            build::link(2, "eth0", RUNNING | libc::IFF_MULTICAST),
            build::link(3, "wlan0", libc::IFF_UP | libc::IFF_MULTICAST),
            build::link(1, "lo", RUNNING | libc::IFF_LOOPBACK),
            build::link(4, "tun0", RUNNING),
        ];
        let addresses = ["fe80::1/64", "10.0.0.9/8", "10.0.0.1/8"].map(|net| build::address(2, net));
        let others = [build::address(1, "127.0.0.1/8"), build::address(99, "192.0.2.1/24")];
        dump(&mut watch, &links, &[addresses.as_slice(), &others].concat());
        let expected = vec![
            interface(1, "lo", true, true, &["127.0.0.1/8"]),
            interface(2, "eth0", true, true, &["10.0.0.1/8", "10.0.0.9/8", "fe80::1/64"]),
            interface(3, "wlan0", false, true, &[]),
            interface(4, "tun0", true, false, &[]),
        ];
        assert_eq!(watch.publish().unwrap(), Some(expected));
        assert_eq!(watch.publish().unwrap(), None);
        assert_eq!(watch.next_request(), None);
    }

    #[test]
    fn an_address_with_two_ends_opposite_is_one_address_with_two_peers() {
        let mut watch = Watch::new(PORT);
        let to = |peer: u8| {
            let mut body = build::address(5, "10.0.0.1/32");
            body.extend(build::attribute(libc::IFA_ADDRESS, &[10, 0, 0, peer]));
            body
        };
        dump(&mut watch, &[build::link(5, "tun0", RUNNING)], &[to(3), to(2)]);
        let peers = ["10.0.0.2/32", "10.0.0.3/32"].map(|net| net.parse().unwrap()).to_vec();
        let expected = Interface { peers, ..interface(5, "tun0", true, false, &["10.0.0.1/32"]) };
        assert_eq!(watch.publish().unwrap(), Some(vec![expected]));
    }

    #[test]
    fn many_notifications_cost_one_dump_and_the_same_table_is_not_given_out_again() {
        let mut watch = Watch::new(PORT);
        let eth0 = [build::link(2, "eth0", RUNNING)];
        dump(&mut watch, &eth0, &[]);
        assert!(watch.publish().unwrap().is_some());
        for kind in [libc::RTM_NEWLINK, libc::RTM_DELLINK, libc::RTM_NEWADDR, libc::RTM_DELADDR] {
            watch.take(&notify(kind).repeat(3));
            dump(&mut watch, &eth0, &[]);
            assert_eq!((watch.publish().unwrap(), watch.next_request()), (None, None), "{kind}");
        }
        watch.take(&notify(libc::RTM_NEWROUTE));
        assert_eq!(watch.next_request(), None);
        watch.take(&notify(libc::RTM_NEWADDR));
        dump(&mut watch, &eth0, &[build::address(2, "10.0.0.1/8")]);
        assert_eq!(watch.publish().unwrap(), Some(vec![interface(2, "eth0", true, false, &["10.0.0.1/8"])]));
    }

    #[test]
    fn a_change_during_a_dump_and_a_dump_that_was_interrupted_cost_another() {
        let mut watch = Watch::new(PORT);
        let request = watch.next_request().unwrap();
        watch.take(&notify(libc::RTM_NEWLINK));
        watch.take(&answer(&request, libc::NLM_F_DUMP_INTR, &[build::link(2, "old", 0)]));
        let request = watch.next_request().unwrap();
        watch.take(&answer(&request, 0, &[]));
        assert_eq!(watch.publish().unwrap(), None, "interrupted, so perhaps not whole");
        dump(&mut watch, &[build::link(2, "new", 0)], &[]);
        assert_eq!(watch.publish().unwrap(), Some(vec![interface(2, "new", false, false, &[])]));
        assert_eq!(watch.next_request(), None);
    }

    #[test]
    fn a_dump_whose_end_was_lost_is_begun_again_and_late_answers_to_it_do_not_count() {
        let mut watch = Watch::new(PORT);
        let lost = watch.next_request().unwrap();
        assert_eq!(watch.next_request(), None);
        watch.lose();
        let request = watch.next_request().unwrap();
        assert_ne!(lost, request);
        watch.take(&answer(&lost, 0, &[build::link(2, "old", 0)]));
        watch.take(&answer(&request, 0, &[build::link(2, "new", 0)]));
        let request = watch.next_request().unwrap();
        watch.take(&answer(&request, 0, &[]));
        assert_eq!(watch.publish().unwrap(), Some(vec![interface(2, "new", false, false, &[])]));
    }

    #[test]
    fn answers_that_waited_for_the_last_owner_of_the_socket_give_way_to_ours() {
        let mut watch = Watch::new(PORT);
        let request = watch.next_request().unwrap();
        watch.take(&answer(&request, 0, &[build::link(2, "old", 0)]));
        watch.take(&answer(&request, 0, &[build::link(2, "new", 0)]));
        let request = watch.next_request().unwrap();
        watch.take(&answer(&request, 0, &[build::address(2, "10.0.0.1/8")]));
        watch.take(&answer(&request, 0, &[]));
        dump(&mut watch, &[build::link(2, "new", 0)], &[]);
        assert_eq!(watch.publish().unwrap(), Some(vec![interface(2, "new", false, false, &[])]));
        assert_eq!(watch.next_request(), None);
    }

    #[test]
    fn an_answer_to_somebody_else_is_a_notification() {
        let mut watch = Watch::new(PORT);
        let request = watch.next_request().unwrap();
        let sequence = message::messages(&request).next().unwrap().sequence;
        watch.take(&build::message(libc::RTM_NEWLINK, 0, sequence, PORT + 1, &build::link(9, "veth", 0)));
        watch.take(&build::message(DONE, 0, sequence, PORT + 1, &[0; 4]));
        watch.take(&answer(&request, 0, &[]));
        let request = watch.next_request().unwrap();
        watch.take(&answer(&request, 0, &[]));
        assert_eq!(watch.publish().unwrap(), Some(vec![]));
        assert!(watch.next_request().is_some(), "it was a change, too");
    }

    #[test]
    fn a_busy_kernel_is_asked_again_and_a_refusal_is_told_once() {
        let mut watch = Watch::new(PORT);
        let request = watch.next_request().unwrap();
        watch.take(&refuse(&request, libc::EBUSY));
        assert_eq!(watch.publish().unwrap(), None);
        let request = watch.next_request().unwrap();
        watch.take(&refuse(&request, libc::EPERM));
        assert_eq!(watch.publish().unwrap_err().raw_os_error(), Some(libc::EPERM));
        assert_eq!(watch.publish().unwrap(), None);
        assert_eq!(watch.next_request(), None, "it is not asked again until something changes");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic_or_ask_without_end(
            received in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..60)), 0..20),
        ) {
            let mut watch = Watch::new(PORT);
            let mut request = watch.next_request();
            for (cut, junk) in received {
                let links = [build::link(1, "lo", RUNNING), junk.clone()];
                let mut bytes = request.as_deref().map_or(Vec::new(), |asked| answer(asked, 0, &links));
                if cut {
                    bytes.truncate(junk.len());
                }
                watch.take(&bytes);
                watch.take(&junk);
                let _ = watch.publish();
                request = watch.next_request().or(request);
                prop_assert_eq!(watch.next_request(), None, "one request at a time");
            }
            watch.lose();
            prop_assert!(watch.next_request().is_some());
            prop_assert_eq!(watch.next_request(), None);
        }
    }
}
