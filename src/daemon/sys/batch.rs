//! Batches of datagrams, in and out: `recvmmsg(2)` and `sendmmsg(2)` with buffers that are made once and used for ever, the
//! address and interface of each datagram on both ways (`IP_PKTINFO`, ip(7); `IPV6_PKTINFO`, RFC 3542 §6), bursts that the
//! kernel cuts into datagrams (`UDP_SEGMENT`, udp(7)), when each arrives (`SO_TIMESTAMPNS`, socket(7)) and leaves, the
//! kernel's drop counter (`SO_RXQ_OVFL`, socket(7)) and the error queue (`IP_RECVERR`, ip(7)).
//!
//! Every header is set up anew before each call: the kernel writes lengths and flags back into it, and a header that is
//! used again as it was left loses its control messages.

use crate::clock;
use crate::core::limits::RECEIVE_MAX;
use crate::core::{Delivery, ListenerId, NtpTimestamp, Path};
use jiff::Timestamp;
use nix::libc;
use std::io;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};

/// Datagrams or bursts in one call, at most. The gain from batches is spent well before this.
pub(in crate::daemon) const BATCH_MAX: usize = 64;

/// Room for the control messages of one datagram: packet information (at most 40 bytes with its header), the drop
/// counter (24), the moment of arrival (32) and an extended error with the address of who sent it (64); on the way out
/// packet information and the length of a segment (24).
const CONTROL_MAX: usize = 256;

/// `cmsghdr` wants the alignment of a `size_t`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_MAX]);

/// What a header points to; all of it stays where it is for the length of a call.
struct Slot {
    name: libc::sockaddr_storage,
    control: Control,
    /// A datagram is in one piece, but for one that says when it leaves: that stands in `stamp`.
    io: [libc::iovec; 2],
    stamp: [u8; NtpTimestamp::LEN],
}

impl Slot {
    fn new() -> Self {
        // SAFETY: these are C structs of integers and pointers, for all of which zero is a value.
        unsafe { MaybeUninit::zeroed().assume_init() }
    }
}

fn new_headers() -> Box<[libc::mmsghdr]> {
    // SAFETY: as above.
    (0..BATCH_MAX).map(|_| unsafe { MaybeUninit::zeroed().assume_init() }).collect()
}

/// Points a header at its slot.
fn set_header(header: &mut libc::mmsghdr, slot: &mut Slot, name_len: usize, control_len: usize) {
    header.msg_len = 0;
    header.msg_hdr.msg_name = (&raw mut slot.name).cast();
    header.msg_hdr.msg_namelen = name_len as libc::socklen_t;
    header.msg_hdr.msg_iov = slot.io.as_mut_ptr();
    header.msg_hdr.msg_iovlen = 1;
    header.msg_hdr.msg_control = if control_len == 0 { std::ptr::null_mut() } else { (&raw mut slot.control).cast() };
    header.msg_hdr.msg_controllen = control_len;
    header.msg_hdr.msg_flags = 0;
}

/// A datagram, or an entry of the error queue, as the kernel handed it over.
#[derive(Debug)]
pub(in crate::daemon) struct Received<'a> {
    /// Who sent it; in the error queue, to whom it was sent.
    pub(in crate::daemon) remote: Option<SocketAddr>,
    pub(in crate::daemon) payload: &'a [u8],
    pub(in crate::daemon) truncated: bool,
    /// Our address: the one that it was sent to or, if that is a group or a broadcast address, one to answer from.
    pub(in crate::daemon) local: Option<IpAddr>,
    /// Whether it was sent to a group or to everybody.
    pub(in crate::daemon) multicast: bool,
    pub(in crate::daemon) interface: u32,
    /// When it arrived, where the socket was asked to say so.
    pub(in crate::daemon) arrived_at: Option<Timestamp>,
    /// Datagrams that the kernel has dropped on this socket since it was opened, modulo 2³².
    pub(in crate::daemon) kernel_drops: Option<u32>,
    pub(in crate::daemon) trouble: Option<Trouble>,
}

/// What the error queue says of a datagram that was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct Trouble {
    pub(in crate::daemon) kind: TroubleKind,
    /// Who says so.
    pub(in crate::daemon) offender: Option<IpAddr>,
}

/// Why a datagram did not arrive (RFC 792; RFC 4443 §3.1). What else there is, networks mend (RFC 8085 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) enum TroubleKind {
    /// Nobody has the port.
    PortUnreachable,
    /// Nobody has the address.
    HostUnreachable,
}

/// Buffers for receiving.
pub(in crate::daemon) struct Receiver {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    buffers: Box<[u8]>,
}

impl Receiver {
    pub(in crate::daemon) fn new() -> Self {
        Self {
            slots: (0..BATCH_MAX).map(|_| Slot::new()).collect(),
            headers: new_headers(),
            buffers: vec![0; BATCH_MAX * RECEIVE_MAX].into_boxed_slice(),
        }
    }

    /// Receives up to [`BATCH_MAX`] datagrams that are there; how many there were.
    pub(in crate::daemon) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.call(fd, libc::MSG_DONTWAIT)
    }

    /// Receives up to [`BATCH_MAX`] entries of the error queue.
    pub(in crate::daemon) fn receive_errors(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.call(fd, libc::MSG_DONTWAIT | libc::MSG_ERRQUEUE)
    }

    fn call(&mut self, fd: BorrowedFd<'_>, flags: libc::c_int) -> io::Result<usize> {
        let buffers = self.buffers.chunks_exact_mut(RECEIVE_MAX);
        for ((header, slot), buffer) in self.headers.iter_mut().zip(&mut self.slots).zip(buffers) {
            slot.io[0] = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            set_header(header, slot, size_of::<libc::sockaddr_storage>(), CONTROL_MAX);
        }
        // SAFETY: every header points at a slot and a buffer that live in `self`, which is borrowed for the call, with
        // the lengths that they have.
        let count = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    /// The datagram at `index` of the last call, which was below what that returned.
    pub(in crate::daemon) fn received(&self, index: usize) -> Received<'_> {
        let header = &self.headers[index];
        let buffer = &self.buffers[index * RECEIVE_MAX..][..RECEIVE_MAX];
        let mut received = Received {
            remote: socket_addr(&self.slots[index].name, header.msg_hdr.msg_namelen as usize),
            payload: &buffer[..(header.msg_len as usize).min(RECEIVE_MAX)],
            truncated: header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0,
            local: None,
            multicast: false,
            interface: 0,
            arrived_at: None,
            kernel_drops: None,
            trouble: None,
        };
        // SAFETY: the kernel has filled the control buffer and set its length in the header; the macros walk no further
        // than that length.
        let mut cmsg = unsafe { libc::CMSG_FIRSTHDR(&raw const header.msg_hdr) };
        while !cmsg.is_null() {
            received.read_control(cmsg);
            // SAFETY: as above.
            cmsg = unsafe { libc::CMSG_NXTHDR(&raw const header.msg_hdr, cmsg) };
        }
        received
    }
}

impl Received<'_> {
    fn read_control(&mut self, cmsg: *const libc::cmsghdr) {
        // SAFETY: `cmsg` is a header inside the control buffer.
        let (level, kind) = unsafe { ((*cmsg).cmsg_level, (*cmsg).cmsg_type) };
        match (level, kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let Some(info) = control_data::<libc::in_pktinfo>(cmsg) else { return };
                self.local = Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(info.ipi_spec_dst.s_addr))));
                self.multicast = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
                self.interface = info.ipi_ifindex as u32;
            }
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let Some(info) = control_data::<libc::in6_pktinfo>(cmsg) else { return };
                let addr = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                self.multicast = addr.is_multicast();
                self.local = (!self.multicast).then_some(IpAddr::V6(addr));
                self.interface = info.ipi6_ifindex;
            }
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => {
                let moment = |at: libc::timespec| Timestamp::new(at.tv_sec, at.tv_nsec as i32).ok();
                self.arrived_at = control_data(cmsg).and_then(moment);
            }
            (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => self.kernel_drops = control_data::<u32>(cmsg),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR) => {
                let Some(error) = control_data::<libc::sock_extended_err>(cmsg) else { return };
                let kind = match (error.ee_origin, error.ee_type, error.ee_code) {
                    (libc::SO_EE_ORIGIN_ICMP, 3, 3) | (libc::SO_EE_ORIGIN_ICMP6, 1, 4) => TroubleKind::PortUnreachable,
                    (libc::SO_EE_ORIGIN_ICMP, 3, 1) | (libc::SO_EE_ORIGIN_ICMP6, 1, 3) => TroubleKind::HostUnreachable,
                    _ => return,
                };
                self.trouble = Some(Trouble { kind, offender: offender(cmsg) });
            }
            _ => {}
        }
    }
}

/// Who sent an ICMP error: its address stands behind the error (`SO_EE_OFFENDER`, ip(7)).
fn offender(cmsg: *const libc::cmsghdr) -> Option<IpAddr> {
    #[repr(C)]
    #[derive(Clone, Copy)]
    struct WithOffender<A>(libc::sock_extended_err, A);

    let v4 = control_data::<WithOffender<libc::sockaddr_in>>(cmsg)?.1;
    if libc::c_int::from(v4.sin_family) == libc::AF_INET {
        return Some(IpAddr::V4(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr))));
    }
    let v6 = control_data::<WithOffender<libc::sockaddr_in6>>(cmsg)?.1;
    let is_v6 = libc::c_int::from(v6.sin6_family) == libc::AF_INET6;
    is_v6.then(|| IpAddr::V6(Ipv6Addr::from(v6.sin6_addr.s6_addr)))
}

/// The data of a control message, if it is as long as a `T`.
fn control_data<T: Copy>(cmsg: *const libc::cmsghdr) -> Option<T> {
    // SAFETY: `cmsg` is a header inside the control buffer, and its length is what the kernel has written there. The
    // data may not be aligned for a `T`.
    unsafe {
        let len = (*cmsg).cmsg_len.checked_sub(libc::CMSG_LEN(0) as usize)?;
        (len >= size_of::<T>()).then(|| libc::CMSG_DATA(cmsg).cast::<T>().read_unaligned())
    }
}

/// Buffers for sending.
pub(in crate::daemon) struct Sender {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    /// Datagrams of each delivery of the last call.
    counts: [usize; BATCH_MAX],
}

impl Sender {
    pub(in crate::daemon) fn new() -> Self {
        Self { slots: (0..BATCH_MAX).map(|_| Slot::new()).collect(), headers: new_headers(), counts: [0; BATCH_MAX] }
    }

    /// Sends the first deliveries, up to [`BATCH_MAX`], as long as they leave by `listener` and until there are `budget`
    /// datagrams or somewhat more; how many datagrams were taken by the kernel. An error is about the first delivery. One
    /// with several datagrams is taken as a whole or not at all.
    pub(in crate::daemon) fn send<'a>(
        &mut self,
        fd: BorrowedFd<'_>,
        listener: ListenerId,
        budget: usize,
        deliveries: impl Iterator<Item = Delivery<'a>>,
    ) -> io::Result<usize> {
        let (mut len, mut datagrams, mut any_stamped) = (0, 0, false);
        let places = self.headers.iter_mut().zip(&mut self.slots).zip(&mut self.counts);
        for (delivery, ((header, slot), count)) in deliveries.zip(places) {
            if delivery.path.listener != listener || datagrams >= budget {
                break;
            }
            let name_len = write_socket_addr(&mut slot.name, delivery.path.remote);
            let (bytes, stamp_len) = delivery.parts();
            // The kernel only reads what it sends, but an iovec has no const pointer.
            slot.io[0] = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
            slot.io[1] = libc::iovec { iov_base: slot.stamp.as_mut_ptr().cast(), iov_len: stamp_len };
            let mut control_len = write_packet_info(&mut slot.control, delivery.path);
            *count = delivery.datagram_count();
            if *count > 1 {
                let segment_len = u16::try_from(delivery.segment_len).expect("a segment is at most a datagram");
                control_len +=
                    write_control(&mut slot.control, control_len, libc::SOL_UDP, libc::UDP_SEGMENT, segment_len);
            }
            set_header(header, slot, name_len, control_len);
            header.msg_hdr.msg_iovlen += usize::from(stamp_len > 0);
            any_stamped |= stamp_len > 0;
            len += 1;
            datagrams += *count;
        }
        if any_stamped {
            let stamp = NtpTimestamp::of(clock::wall()).to_bytes();
            self.slots[..len as usize].iter_mut().for_each(|slot| slot.stamp = stamp);
        }
        // SAFETY: the first `len` headers point at slots in `self` and at bytes that outlive the call.
        let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), self.headers.as_mut_ptr(), len, libc::MSG_DONTWAIT as _) };
        let sent = usize::try_from(sent).map_err(|_| io::Error::last_os_error())?;
        Ok(self.counts[..sent].iter().sum())
    }
}

/// Writes the control message that chooses our address and the interface; its length, 0 when the kernel is to choose.
fn write_packet_info(control: &mut Control, path: &Path) -> usize {
    if path.local.is_none() && path.interface == 0 {
        return 0;
    }
    match path.remote {
        SocketAddr::V4(_) => {
            let source = match path.local {
                Some(IpAddr::V4(ip)) => ip,
                _ => Ipv4Addr::UNSPECIFIED,
            };
            let info = libc::in_pktinfo {
                ipi_ifindex: path.interface as libc::c_int,
                ipi_spec_dst: libc::in_addr { s_addr: u32::from(source).to_be() },
                ipi_addr: libc::in_addr { s_addr: 0 },
            };
            write_control(control, 0, libc::IPPROTO_IP, libc::IP_PKTINFO, info)
        }
        SocketAddr::V6(_) => {
            let source = match path.local {
                Some(IpAddr::V6(ip)) => ip,
                _ => Ipv6Addr::UNSPECIFIED,
            };
            let info = libc::in6_pktinfo {
                ipi6_addr: libc::in6_addr { s6_addr: source.octets() },
                ipi6_ifindex: path.interface as _,
            };
            write_control(control, 0, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info)
        }
    }
}

/// Writes a control message behind the `offset` bytes of those before it; its length.
fn write_control<T: Copy>(
    control: &mut Control,
    offset: usize,
    level: libc::c_int,
    kind: libc::c_int,
    data: T,
) -> usize {
    assert!(offset.is_multiple_of(align_of::<libc::cmsghdr>()));
    let room = &mut control.0[offset..];
    assert!(room.len() >= size_of::<T>() + 2 * size_of::<libc::cmsghdr>());
    let cmsg = room.as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: the buffer is aligned for a `cmsghdr`, as is the offset, and there is room for it and a `T` behind it, as
    // asserted.
    unsafe {
        (*cmsg).cmsg_level = level;
        (*cmsg).cmsg_type = kind;
        (*cmsg).cmsg_len = libc::CMSG_LEN(size_of::<T>() as u32) as _;
        libc::CMSG_DATA(cmsg).cast::<T>().write_unaligned(data);
        libc::CMSG_SPACE(size_of::<T>() as u32) as usize
    }
}

/// Writes an address as the kernel wants it; its length.
fn write_socket_addr(storage: &mut libc::sockaddr_storage, addr: SocketAddr) -> usize {
    let storage = &raw mut *storage;
    match addr {
        SocketAddr::V4(addr) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as _,
                sin_port: addr.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*addr.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: a `sockaddr_storage` has the size and alignment for every address.
            unsafe { storage.cast::<libc::sockaddr_in>().write(name) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(addr) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as _,
                sin6_port: addr.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: addr.ip().octets() },
                sin6_scope_id: addr.scope_id(),
            };
            // SAFETY: as above.
            unsafe { storage.cast::<libc::sockaddr_in6>().write(name) };
            size_of::<libc::sockaddr_in6>()
        }
    }
}

/// Reads an address that the kernel wrote.
fn socket_addr(storage: &libc::sockaddr_storage, len: usize) -> Option<SocketAddr> {
    let storage = &raw const *storage;
    // SAFETY: the kernel has written `len` bytes of an address of this family, of which a `sockaddr_storage` has room
    // for any, and every bit pattern of these structs is a value.
    unsafe {
        match libc::c_int::from((*storage).ss_family) {
            libc::AF_INET if len >= size_of::<libc::sockaddr_in>() => {
                let name = storage.cast::<libc::sockaddr_in>().read();
                let ip = Ipv4Addr::from(u32::from_be(name.sin_addr.s_addr));
                Some(SocketAddr::from((ip, u16::from_be(name.sin_port))))
            }
            libc::AF_INET6 if len >= size_of::<libc::sockaddr_in6>() => {
                let name = storage.cast::<libc::sockaddr_in6>().read();
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                // Without the flow label, which may change from datagram to datagram of one source.
                Some(SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    fn socket(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind(addr).expect("loopback is there");
        let (v4, fd) = (addr.starts_with('1') || addr.starts_with('0'), socket.as_fd());
        if v4 {
            nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::Ipv4PacketInfo, &true).expect("supported");
            nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::Ipv4RecvErr, &true).expect("supported");
        } else {
            nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::Ipv6RecvPacketInfo, &true).expect("supported");
        }
        socket
    }

    fn single<'a>(path: &'a Path, bytes: &'a [u8]) -> Delivery<'a> {
        Delivery { path, bytes, segment_len: bytes.len(), is_stamped: false }
    }

    #[test]
    fn a_batch_is_sent_from_the_chosen_address_and_received_with_it_call_after_call() {
        let (server, client) = (socket("0.0.0.0:0"), socket("127.0.0.1:0"));
        let to = client.local_addr().expect("bound");
        let (mut sender, mut receiver) = (Sender::new(), Receiver::new());
        for round in 0..3_u8 {
            let path = Path { local: Some(IpAddr::from([127, 0, 0, 9])), ..Path::to(ListenerId(0), to) };
            let payloads: Vec<_> = (0..100_u8).map(|n| vec![round, n]).collect();
            let deliveries = payloads.iter().map(|payload| single(&path, payload));
            assert_eq!(sender.send(server.as_fd(), ListenerId(0), usize::MAX, deliveries).expect("sent"), BATCH_MAX);
            assert_eq!(receiver.receive(client.as_fd()).expect("received"), BATCH_MAX);
            for index in 0..BATCH_MAX {
                let received = receiver.received(index);
                assert_eq!(received.payload, [round, index as u8]);
                assert_eq!(received.remote.map(|addr| addr.ip()), path.local);
                assert_eq!(received.local, Some(to.ip()));
                assert!(received.interface > 0 && !received.truncated);
            }
        }
        assert_eq!(receiver.receive(client.as_fd()).expect_err("empty").kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn a_datagram_says_when_it_leaves_if_it_is_to_and_the_kernel_when_it_arrives() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        nix::sys::socket::setsockopt(&client, nix::sys::socket::sockopt::ReceiveTimestampns, &true).expect("supported");
        let path = Path::to(ListenerId(0), client.local_addr().expect("bound"));
        let (mut sender, mut receiver) = (Sender::new(), Receiver::new());
        let before = clock::wall();
        let stamped = Delivery { is_stamped: true, ..single(&path, b"is sent  WHEN!! ") };
        let deliveries = [single(&path, b"is sent"), stamped, single(&path, b"once")];
        assert_eq!(sender.send(server.as_fd(), ListenerId(0), usize::MAX, deliveries.into_iter()).expect("sent"), 3);
        assert_eq!(receiver.receive(client.as_fd()).expect("received"), 3);
        let after = clock::wall();
        let payload = receiver.received(1).payload;
        let (text, stamp) = payload.split_last_chunk().expect("a moment is eight bytes");
        assert_eq!(
            [receiver.received(0).payload, text, receiver.received(2).payload],
            [&b"is sent"[..], b"is sent ", b"once"]
        );
        let written = |moment| NtpTimestamp::of(moment).to_bytes();
        assert!((written(before)..=written(after)).contains(stamp), "{stamp:?}");
        for index in 0..3 {
            let arrived_at = receiver.received(index).arrived_at.expect("the kernel notes it");
            assert!((before..=after).contains(&arrived_at), "{arrived_at}");
        }
    }

    #[test]
    fn a_batch_ends_with_its_budget_or_where_another_listener_begins() {
        let server = socket("127.0.0.1:0");
        let to = server.local_addr().expect("bound");
        let (ours, other) = (Path::to(ListenerId(0), to), Path::to(ListenerId(1), to));
        let deliveries = [&ours, &ours, &other, &ours].map(|path| single(path, b"x"));
        let sent = |budget| Sender::new().send(server.as_fd(), ListenerId(0), budget, deliveries.into_iter());
        assert_eq!((sent(1).expect("sent"), sent(2).expect("sent"), sent(3).expect("sent")), (1, 2, 2));
    }

    /// Sends bursts among datagrams that are alone, and looks at what comes.
    fn send_bursts(server: &UdpSocket, client: &UdpSocket, local: IpAddr) {
        let path = Path { local: Some(local), ..Path::to(ListenerId(0), client.local_addr().expect("bound")) };
        let unspecified = Path::to(ListenerId(0), path.remote);
        let bytes: Vec<u8> = (0..16 * 1_232_u32).map(|at| (at / 7) as u8).collect();
        let burst = |path, len: usize| Delivery { path, bytes: &bytes[..len], segment_len: 1_232, is_stamped: false };
        let deliveries = [
            burst(&path, bytes.len()),
            single(&path, b"alone"),
            burst(&path, 2 * 1_232 + 1),
            burst(&unspecified, 2 * 1_232),
            burst(&path, 1_232),
        ];
        let sent = Sender::new().send(server.as_fd(), ListenerId(0), usize::MAX, deliveries.into_iter()).expect("sent");
        let mut receiver = Receiver::new();
        assert_eq!((sent, receiver.receive(client.as_fd()).expect("received")), (16 + 1 + 3 + 2 + 1, sent));
        let datagrams =
            deliveries.iter().flat_map(|one| one.bytes.chunks(one.segment_len).map(|bytes| (one.path, bytes)));
        for (index, (path, bytes)) in datagrams.enumerate() {
            let received = receiver.received(index);
            assert!(received.payload == bytes, "datagram {index} has {} bytes", received.payload.len());
            let from = received.remote.map(|addr| addr.ip());
            assert!(from == Some(local) || path.local.is_none(), "datagram {index} is from {from:?}");
        }
    }

    #[test]
    fn a_burst_arrives_as_its_datagrams_from_the_chosen_address() {
        send_bursts(&socket("0.0.0.0:0"), &socket("127.0.0.1:0"), IpAddr::from([127, 0, 0, 9]));
        if UdpSocket::bind("[::1]:0").is_err() {
            return println!("skipped: this host has no IPv6");
        }
        send_bursts(&socket("[::]:0"), &socket("[::1]:0"), IpAddr::V6(Ipv6Addr::LOCALHOST));
    }

    #[test]
    fn ipv6_addresses_go_out_and_come_in() {
        if UdpSocket::bind("[::1]:0").is_err() {
            return println!("skipped: this host has no IPv6");
        }
        let (server, client) = (socket("[::]:0"), socket("[::1]:0"));
        let path = Path {
            local: Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
            ..Path::to(ListenerId(0), client.local_addr().expect("bound"))
        };
        let deliveries = [single(&path, b"x")];
        assert_eq!(
            Sender::new().send(server.as_fd(), ListenerId(0), usize::MAX, deliveries.into_iter()).expect("sent"),
            1
        );
        let mut receiver = Receiver::new();
        assert_eq!(receiver.receive(client.as_fd()).expect("received"), 1);
        let from = receiver.received(0).remote.expect("an address");
        assert_eq!((from.ip(), from.port()), (path.local.expect("set"), server.local_addr().expect("bound").port()));
    }

    #[test]
    fn a_datagram_longer_than_the_buffer_is_marked() {
        let (server, client) = (socket("127.0.0.1:0"), socket("127.0.0.1:0"));
        let to = client.local_addr().expect("bound");
        server.send_to(&vec![b'x'; RECEIVE_MAX], to).expect("sent");
        server.send_to(&vec![b'x'; RECEIVE_MAX + 1], to).expect("sent");
        let mut receiver = Receiver::new();
        assert_eq!(receiver.receive(client.as_fd()).expect("received"), 2);
        let cut = [0, 1].map(|index| (receiver.received(index).payload.len(), receiver.received(index).truncated));
        assert_eq!(cut, [(RECEIVE_MAX, false), (RECEIVE_MAX, true)]);
    }

    #[test]
    fn the_error_queue_names_the_member_whose_port_is_closed() {
        let server = socket("127.0.0.1:0");
        let closed = socket("127.0.0.1:0").local_addr().expect("bound");
        server.send_to(b"x", closed).expect("sent");
        let mut receiver = Receiver::new();
        let refused = receiver.receive(server.as_fd()).expect_err("pending error");
        assert_eq!(refused.raw_os_error(), Some(libc::ECONNREFUSED));
        assert_eq!(receiver.receive_errors(server.as_fd()).expect("one error"), 1);
        let error = receiver.received(0);
        let port_unreachable = Trouble { kind: TroubleKind::PortUnreachable, offender: Some(closed.ip()) };
        assert_eq!((error.remote, error.trouble), (Some(closed), Some(port_unreachable)));
        assert_eq!(receiver.receive_errors(server.as_fd()).expect_err("drained").kind(), io::ErrorKind::WouldBlock);
    }
}
