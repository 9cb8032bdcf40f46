//! Datagrams in batches, straight from and to the kernel: `recvmmsg(2)` and `sendmmsg(2)`, for the load and for the bare
//! loops that are the limit. The only `unsafe` of the benchmarks.
//!
//! IPv4 only. A datagram may name the address that it comes from (`IP_PKTINFO`, ip(7)), so that one socket is a hundred
//! thousand sources; several for one address may leave and arrive in one piece (`UDP_SEGMENT`, `UDP_GRO`, udp(7)).

use nix::libc;
use std::io;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, AsRawFd};

/// Datagrams in one call.
pub(crate) const BATCH_MAX: usize = 64;

/// Room for packet information (28 bytes with its header, in 32) and the length of a segment or the drop counter (24).
const CONTROL_MAX: usize = 64;

/// `cmsghdr` wants the alignment of a `size_t`.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
struct Control([u8; CONTROL_MAX]);

/// What a header points to.
struct Slot {
    name: libc::sockaddr_in,
    control: Control,
    io: libc::iovec,
}

fn new_slots() -> (Box<[Slot]>, Box<[libc::mmsghdr]>) {
    // SAFETY: these are C structs of integers and pointers, for all of which zero is a value.
    let slots = (0..BATCH_MAX).map(|_| unsafe { MaybeUninit::<Slot>::zeroed().assume_init() }).collect();
    // SAFETY: as above.
    let headers = (0..BATCH_MAX).map(|_| unsafe { MaybeUninit::<libc::mmsghdr>::zeroed().assume_init() }).collect();
    (slots, headers)
}

fn set_header(header: &mut libc::mmsghdr, slot: &mut Slot, control_len: usize) {
    let message = &mut header.msg_hdr;
    message.msg_name = (&raw mut slot.name).cast();
    message.msg_namelen = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    message.msg_iov = &raw mut slot.io;
    message.msg_iovlen = 1;
    message.msg_control = if control_len == 0 { std::ptr::null_mut() } else { (&raw mut slot.control).cast() };
    message.msg_controllen = control_len as _;
    message.msg_flags = 0;
}

/// What is to be sent: a datagram, or several of one length in one piece.
#[derive(Clone, Copy)]
pub(crate) struct Outgoing<'a> {
    pub(crate) to: SocketAddrV4,
    pub(crate) payload: &'a [u8],
    /// The address that it comes from, if the kernel is not to choose.
    pub(crate) from: Option<Ipv4Addr>,
    /// The length of each datagram but the last, if there are several.
    pub(crate) segment_len: Option<u16>,
}

impl<'a> Outgoing<'a> {
    /// One datagram, from the address that the kernel chooses.
    pub(crate) fn new(to: SocketAddrV4, payload: &'a [u8]) -> Self {
        Self { to, payload, from: None, segment_len: None }
    }
}

/// Buffers for sending.
pub(crate) struct Sender {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
}

impl Sender {
    pub(crate) fn new() -> Self {
        let (slots, headers) = new_slots();
        Self { slots, headers }
    }

    /// Sends all of it, waiting for the socket where it must.
    pub(crate) fn send_all(&mut self, socket: &impl AsFd, mut batch: &[Outgoing<'_>]) -> io::Result<()> {
        while !batch.is_empty() {
            let sent = self.send(socket, batch)?;
            batch = &batch[sent..];
        }
        Ok(())
    }

    /// Sends the first of a batch, at most [`BATCH_MAX`]; how many the kernel has taken.
    fn send(&mut self, socket: &impl AsFd, batch: &[Outgoing<'_>]) -> io::Result<usize> {
        let count = batch.len().min(BATCH_MAX);
        for ((outgoing, header), slot) in batch.iter().zip(&mut self.headers).zip(&mut self.slots) {
            slot.name.sin_family = libc::AF_INET as libc::sa_family_t;
            slot.name.sin_port = outgoing.to.port().to_be();
            slot.name.sin_addr.s_addr = u32::from(*outgoing.to.ip()).to_be();
            let payload = outgoing.payload;
            // The kernel only reads what it sends, but an iovec has no const pointer.
            slot.io = libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
            let mut control_len = 0;
            if let Some(from) = outgoing.from {
                let info = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from(from).to_be() },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                control_len += write_control(&mut slot.control, 0, (libc::IPPROTO_IP, libc::IP_PKTINFO), info);
            }
            if let Some(len) = outgoing.segment_len {
                control_len += write_control(&mut slot.control, control_len, (libc::SOL_UDP, libc::UDP_SEGMENT), len);
            }
            set_header(header, slot, control_len);
        }
        // SAFETY: the first `count` headers point at slots in `self` and at payloads, and `batch` outlives the call.
        let sent =
            unsafe { libc::sendmmsg(socket.as_fd().as_raw_fd(), self.headers.as_mut_ptr(), count as libc::c_uint, 0) };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }
}

/// Writes a control message behind the `offset` bytes of those before it; its length.
fn write_control<T: Copy>(control: &mut Control, offset: usize, kind: (libc::c_int, libc::c_int), data: T) -> usize {
    // SAFETY: CMSG_LEN and CMSG_SPACE only calculate.
    let (len, space) =
        unsafe { (libc::CMSG_LEN(size_of::<T>() as u32) as usize, libc::CMSG_SPACE(size_of::<T>() as u32) as usize) };
    assert!(offset + space <= CONTROL_MAX, "two control messages fit");
    let at = control.0[offset..].as_mut_ptr().cast::<libc::cmsghdr>();
    // SAFETY: `at` is aligned, since `Control` is and every offset is a sum of CMSG_SPACEs, and `space` bytes behind it
    // are in the buffer. The data may not be aligned for a `T`.
    unsafe {
        (*at).cmsg_len = len as _;
        ((*at).cmsg_level, (*at).cmsg_type) = kind;
        libc::CMSG_DATA(at).cast::<T>().write_unaligned(data);
    }
    space
}

/// Whether a call waits until there is a datagram.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// As long as it takes, or as the socket's timeout says.
    ForOne,
    Not,
}

/// Buffers for receiving.
pub(crate) struct Receiver {
    slots: Box<[Slot]>,
    headers: Box<[libc::mmsghdr]>,
    buffers: Box<[u8]>,
    buffer_len: usize,
    count: usize,
}

/// What has come: a datagram, or several in one piece.
#[derive(Clone, Copy)]
pub(crate) struct Received<'a> {
    pub(crate) from: SocketAddrV4,
    pub(crate) payload: &'a [u8],
    /// The length of each datagram but the last, where the socket takes several in one piece.
    pub(crate) segment_len: usize,
}

impl Receiver {
    /// Receives datagrams, or pieces of several, of at most `buffer_len` bytes.
    pub(crate) fn new(buffer_len: usize) -> Self {
        let (slots, headers) = new_slots();
        Self { slots, headers, buffers: vec![0; BATCH_MAX * buffer_len].into(), buffer_len, count: 0 }
    }

    /// Receives a batch; how many there were, 0 when nothing came.
    pub(crate) fn receive(&mut self, socket: &impl AsFd, wait: Wait) -> io::Result<usize> {
        let buffers = self.buffers.chunks_exact_mut(self.buffer_len);
        for ((header, slot), buffer) in self.headers.iter_mut().zip(&mut self.slots).zip(buffers) {
            slot.io = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
            set_header(header, slot, CONTROL_MAX);
        }
        let flags = if wait == Wait::ForOne { libc::MSG_WAITFORONE } else { libc::MSG_DONTWAIT };
        // SAFETY: every header points at a slot and a buffer that live in `self`, with the lengths that they have.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                BATCH_MAX as libc::c_uint,
                flags as _,
                std::ptr::null_mut(),
            )
        };
        self.count = match usize::try_from(count) {
            Ok(count) => count,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => 0,
                error => return Err(error),
            },
        };
        Ok(self.count)
    }

    /// What the last call has received.
    pub(crate) fn received(&self) -> impl Iterator<Item = Received<'_>> {
        self.headers[..self.count].iter().zip(&self.slots).zip(self.buffers.chunks_exact(self.buffer_len)).map(
            |((header, slot), buffer)| {
                let payload = &buffer[..(header.msg_len as usize).min(self.buffer_len)];
                let ip = Ipv4Addr::from(u32::from_be(slot.name.sin_addr.s_addr));
                let from = SocketAddrV4::new(ip, u16::from_be(slot.name.sin_port));
                let segment_len = segment_len(&header.msg_hdr).unwrap_or(payload.len()).max(1);
                Received { from, payload, segment_len }
            },
        )
    }
}

/// The length of the datagrams in a piece, if the kernel says it.
fn segment_len(message: &libc::msghdr) -> Option<usize> {
    if message.msg_controllen == 0 {
        return None;
    }
    // SAFETY: the kernel has filled the control buffer and set its length; the macro looks no further than that, and
    // what it finds has an `int` behind its header when the kernel says that it is UDP_GRO.
    unsafe {
        let cmsg = libc::CMSG_FIRSTHDR(message);
        let is_segment = !cmsg.is_null() && (*cmsg).cmsg_level == libc::SOL_UDP && (*cmsg).cmsg_type == libc::UDP_GRO;
        is_segment.then(|| libc::CMSG_DATA(cmsg).cast::<libc::c_int>().read_unaligned() as usize)
    }
}
