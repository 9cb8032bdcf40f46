//! Where it all happens: a network of its own, and two cores, one for the server that is measured and one for the load.
//!
//! Nothing leaves the machine, and every port is free. Root makes the network as it is; anybody else in a user namespace,
//! where the kernel allows that.

use nix::sched::{CloneFlags, CpuSet, sched_getaffinity, sched_setaffinity, unshare};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{Pid, getgid, getuid};
use socket2::{Domain, Protocol, Socket, Type};
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

/// The two cores; one and the same on a machine that has no other.
#[derive(Clone, Copy)]
pub(crate) struct Cores {
    pub(crate) server: usize,
    pub(crate) load: usize,
}

impl Cores {
    /// The first two that we may use; `taskset` chooses others.
    pub(crate) fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores = (0..CpuSet::count()).filter(|&core| allowed.is_set(core).unwrap_or(false));
        let server = cores.next().ok_or_else(|| io::Error::other("no core is allowed to us"))?;
        Ok(Self { server, load: cores.next().unwrap_or(server) })
    }
}

/// Keeps the calling thread, and the processes that it starts from now on, on a core.
pub(crate) fn pin(core: usize) -> io::Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core)?;
    Ok(sched_setaffinity(Pid::from_raw(0), &cores)?)
}

/// Moves the process, which has one thread yet, to a network that has nothing but loopback.
pub(crate) fn enter_network() -> io::Result<()> {
    let (user, group) = (getuid(), getgid());
    if user.is_root() {
        unshare(CloneFlags::CLONE_NEWNET)?;
    } else {
        unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
        fs::write("/proc/self/setgroups", "deny")?;
        fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
        fs::write("/proc/self/gid_map", format!("0 {group} 1"))?;
    }
    let status = Command::new("ip").args(["link", "set", "lo", "up"]).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("ip link set lo up has failed")) }
}

/// Allows as many open files as there may be, for us and the peers: each of their subscribers is a connection.
pub(crate) fn raise_open_files() -> io::Result<()> {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(setrlimit(Resource::RLIMIT_NOFILE, most, most)?)
}

/// Whether we are root, and not only in a namespace of our own.
pub(crate) fn is_privileged() -> bool {
    // Of all users, from the first on.
    fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| map.split_whitespace().eq(["0", "0", "4294967295"]))
        && getuid().is_root()
}

/// A port that nobody has been given yet.
pub(crate) fn new_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(20_000);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// A socket on every address of loopback, with buffers of that many bytes, or as many as the kernel grants.
pub(crate) fn bound(port: u16, buffer: usize) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    set_receive_buffer(&socket, buffer)?;
    socket.set_send_buffer_size(buffer)?;
    socket.bind(&SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port).into())?;
    Ok(socket.into())
}

/// Beyond what the machine allows to anybody where we are privileged.
fn set_receive_buffer(socket: &Socket, buffer: usize) -> io::Result<()> {
    let forced = nix::sys::socket::setsockopt(socket, nix::sys::socket::sockopt::RcvBufForce, &buffer);
    if forced.is_ok() { Ok(()) } else { socket.set_recv_buffer_size(buffer) }
}
