//! Single calls: the state of the clock (`adjtimex(2)`, reading only), what a socket holds and has lost (`SO_MEMINFO`), by
//! which interface somebody has connected, and the file descriptors that the service manager left open for us, which become ours.

use crate::core::{ClockState, Leap};
use nix::libc;
use std::io;
use std::mem;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the kernel says of its clock.
pub(in crate::daemon) fn clock_state() -> io::Result<ClockState> {
    // SAFETY: `timex` is a C struct of integers; with `modes` zero, `adjtimex` changes nothing and fills it.
    let (state, timex) = unsafe {
        let mut timex: libc::timex = mem::zeroed();
        (libc::adjtimex(&raw mut timex), timex)
    };
    if state < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(ClockState {
        synchronised: timex.status & libc::STA_UNSYNC == 0 && state != libc::TIME_ERROR,
        max_error: Duration::from_micros(u64::try_from(timex.maxerror).unwrap_or(0)),
        leap: match timex.status & (libc::STA_INS | libc::STA_DEL) {
            libc::STA_INS => Leap::Insert,
            libc::STA_DEL => Leap::Delete,
            _ => Leap::None,
        },
    })
}

/// What the kernel says of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::daemon) struct SocketMemory {
    /// What has come and was not read yet, in bytes as the kernel counts them.
    pub(in crate::daemon) unread: u32,
    /// How much of that there may be.
    pub(in crate::daemon) receive_buffer: u32,
    /// What has been sent and has not left the host yet.
    pub(in crate::daemon) unsent: u32,
    /// How much of that there may be.
    pub(in crate::daemon) send_buffer: u32,
    /// Datagrams that were dropped since the socket was opened, modulo 2³².
    pub(in crate::daemon) kernel_drops: u32,
}

/// Asks for the memory of a socket (`SO_MEMINFO`, Linux 4.12).
pub(in crate::daemon) fn socket_memory(fd: BorrowedFd<'_>) -> io::Result<SocketMemory> {
    // `sk_meminfo` in linux/sock_diag.h.
    let mut info = [0_u32; 9];
    let mut len = size_of_val(&info) as libc::socklen_t;
    // SAFETY: `info` is as long as `len` says, and any bits are a value of it.
    let status = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast(), &raw mut len)
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let [unread, receive_buffer, unsent, send_buffer, _, _, _, _, kernel_drops] = info;
    Ok(SocketMemory { unread, receive_buffer, unsent, send_buffer, kernel_drops })
}

/// The interface that a TCP connection came in by, where its listener asks for that (`IP_PKTINFO`, `IPV6_RECVPKTINFO`); 0 where the
/// kernel does not say. It notes it with the first packet, and tells by an option that is otherwise of no use (`IP_PKTOPTIONS`).
pub(in crate::daemon) fn arrival_interface(fd: BorrowedFd<'_>, is_ipv4: bool) -> u32 {
    let (level, option, kind, at) = if is_ipv4 {
        (libc::IPPROTO_IP, libc::IP_PKTOPTIONS, libc::IP_PKTINFO, mem::offset_of!(libc::in_pktinfo, ipi_ifindex))
    } else {
        let at = mem::offset_of!(libc::in6_pktinfo, ipi6_ifindex);
        (libc::IPPROTO_IPV6, libc::IPV6_2292PKTOPTIONS, libc::IPV6_PKTINFO, at)
    };
    // One control message, or a few: see cmsg(3).
    let mut buffer = [0_u64; 16];
    let mut len = size_of_val(&buffer) as libc::socklen_t;
    // SAFETY: `buffer` is as long as `len` says, and any bits are a value of it.
    let status = unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, buffer.as_mut_ptr().cast(), &raw mut len) };
    if status != 0 {
        return 0;
    }
    let bytes: Vec<u8> = buffer.iter().flat_map(|word| word.to_ne_bytes()).take(len as usize).collect();
    let number = |at: usize| Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    let mut start = 0;
    while let Some(header) = bytes.get(start..start + size_of::<libc::cmsghdr>()) {
        let len = usize::from_ne_bytes(header[..size_of::<usize>()].try_into().expect("a header has a length"));
        let (of_level, of_kind) = (number(start + size_of::<usize>()), number(start + size_of::<usize>() + 4));
        if (of_level, of_kind) == (Some(level as u32), Some(kind as u32)) {
            return number(start + size_of::<libc::cmsghdr>() + at).unwrap_or(0);
        }
        start += len.max(header.len()).next_multiple_of(size_of::<usize>());
    }
    0
}

/// Takes over the file descriptors that the service manager passes (sd_listen_fds(3)), with their names. The second call
/// finds none.
pub(in crate::daemon) fn passed_fds() -> io::Result<Vec<(String, OwnedFd)>> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    // Without any, the names may be those of another process's.
    if sd_notify::listen_fds()?.len() == 0 {
        return Ok(Vec::new());
    }
    let fds = sd_notify::listen_fds_with_names()?;
    // SAFETY: they are open, as setting FD_CLOEXEC on them has shown; they were made for this process, by its number, and
    // nobody else in it takes them over, as this is done once.
    Ok(fds.map(|(fd, name)| (name, unsafe { OwnedFd::from_raw_fd(fd) })).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{setsockopt, sockopt};
    use std::net::{TcpListener, TcpStream, UdpSocket};
    use std::os::fd::AsFd;

    #[test]
    fn the_kernel_tells_how_much_it_has_dropped_on_a_socket() {
        let bound = || UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
        let (server, client) = (bound(), bound());
        let kernel_drops = || socket_memory(client.as_fd()).expect("known").kernel_drops;
        assert_eq!(kernel_drops(), 0);
        setsockopt(&client, sockopt::RcvBuf, &0).expect("the least there is");
        (0..100).for_each(|_| drop(server.send_to(&[0; 1_000], client.local_addr().expect("bound"))));
        assert!((50..100).contains(&kernel_drops()));
    }

    #[test]
    fn the_kernel_tells_by_which_interface_somebody_has_connected() {
        let loopback = nix::net::if_::if_nametoindex("lo").expect("it is there");
        for (addr, is_ipv4) in [("127.0.0.1:0", true), ("[::1]:0", false)] {
            let Ok(listener) = TcpListener::bind(addr) else { continue };
            let connect = || {
                let client = TcpStream::connect(listener.local_addr().expect("bound")).expect("it listens");
                (client, listener.accept().expect("somebody has connected").0)
            };
            let (_client, server) = connect();
            assert_eq!(arrival_interface(server.as_fd(), is_ipv4), 0, "nobody asked for it");
            if is_ipv4 {
                setsockopt(&listener, sockopt::Ipv4PacketInfo, &true).expect("it can be asked for");
            } else {
                setsockopt(&listener, sockopt::Ipv6RecvPacketInfo, &true).expect("it can be asked for");
            }
            let (_client, server) = connect();
            assert_eq!(arrival_interface(server.as_fd(), is_ipv4), loopback, "{addr}");
        }
    }

    #[test]
    fn the_kernel_tells_the_state_of_its_clock() {
        let state = clock_state().expect("reading needs no privilege");
        assert!(state.max_error <= Duration::from_secs(17), "the kernel stops counting at 16 s: {state:?}");
    }
}
