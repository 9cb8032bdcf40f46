//! What the service manager passes: sockets that it made, and what it keeps for us, each known by its name.
//!
//! The order of the file descriptors means nothing (it differs from boot to boot), and a unit file may be edited by hand:
//! each socket is looked at, and one that is not what its name says ends the start with the name of the unit. From there
//! on a passed socket is like one of our own: see [`Listener::adopt`](super::listener::Listener::adopt).

use super::error::Fatal;
use crate::services::{ServiceName, Transport};
use log::warn;
use nix::libc;
use socket2::{Protocol, Socket, Type};
use std::fmt;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

/// What was passed, and has not been taken yet.
#[derive(Debug, Default)]
pub(super) struct Passed {
    sockets: Vec<(ServiceName, Transport, SocketAddr, Socket)>,
    /// The watch on the interfaces, in the network namespace of the host.
    pub(super) netlink: Option<OwnedFd>,
    /// The control socket.
    pub(super) control: Option<OwnedFd>,
    /// What an earlier process wants us to know.
    pub(super) state: Option<OwnedFd>,
    is_activated: bool,
}

impl Passed {
    /// Looks at what was passed, and whether it is what its name says. With `is_activated` no socket is to be opened here
    /// even if none was passed.
    pub(super) fn sort(fds: Vec<(String, OwnedFd)>, is_activated: bool) -> Result<Self, Fatal> {
        let mut passed = Self { is_activated, ..Self::default() };
        for (name, fd) in fds {
            match name.as_str() {
                "state" => passed.state = Some(fd),
                "netlink" => passed.netlink = Some(check_netlink(fd)?),
                "control" => passed.control = Some(fd),
                name => match ServiceName::ALL.into_iter().find(|service| service.name() == name) {
                    Some(service) => {
                        let (transport, addr, socket) = check(service, fd)?;
                        passed.sockets.push((service, transport, addr, socket));
                        passed.is_activated = true;
                    }
                    // Another version may have kept it.
                    None => warn!("what is passed as {name:?} has no use here (FileDescriptorName=)"),
                },
            }
        }
        Ok(passed)
    }

    /// Whether the service manager makes the sockets, so that none is bound here.
    pub(super) fn is_activated(&self) -> bool {
        self.is_activated
    }

    /// The socket of a service at a configured address, whose port may be 0.
    pub(super) fn take(
        &mut self,
        service: ServiceName,
        transport: Transport,
        configured: SocketAddr,
    ) -> Result<Socket, Fatal> {
        let is_it = |addr: SocketAddr| addr.ip() == configured.ip() && [addr.port(), 0].contains(&configured.port());
        let is_for = |&(of, by, ..): &(ServiceName, Transport, SocketAddr, Socket)| (of, by) == (service, transport);
        let Some(at) = self.sockets.iter().position(|socket| is_for(socket) && is_it(socket.2)) else {
            let passed = self.sockets.iter().filter(|socket| is_for(socket)).map(|&(_, _, addr, _)| addr).collect();
            return Err(Fatal::NotPassed { service, addr: configured, passed });
        };
        Ok(self.sockets.swap_remove(at).3)
    }

    /// Closes the sockets that nothing asked for, and says so: the units and the configuration are not of one mind.
    pub(super) fn close_rest(&mut self) {
        for (service, _, addr, _) in self.sockets.drain(..) {
            warn!("{} passes {addr}, which the configuration does not name", unit(service));
        }
    }
}

/// The unit that makes the socket of this name.
pub(super) fn unit(name: impl fmt::Display) -> String {
    format!("belfry-{name}.socket")
}

fn check(service: ServiceName, fd: OwnedFd) -> Result<(Transport, SocketAddr, Socket), Fatal> {
    let unfit = Fatal::passed(service);
    let socket = Socket::from(fd);
    let kind = (socket.r#type().map_err(&unfit)?, socket.protocol().map_err(&unfit)?);
    let addr = socket.local_addr().map_err(&unfit)?.as_socket();
    let wrong = |what: &str| {
        let it = addr.map_or_else(|| "it".to_owned(), |addr| addr.to_string());
        Fatal::Passed { unit: unit(service), reason: format!("{it} {what}") }
    };
    let transport = match kind {
        (Type::DGRAM, Some(Protocol::UDP)) => Some(Transport::Udp),
        (Type::STREAM, Some(Protocol::TCP)) => Some(Transport::Tcp),
        _ => None,
    };
    let Some(transport) = transport.filter(|transport| service.transports().contains(transport)) else {
        return Err(wrong(match service.transports() {
            [Transport::Udp] => "is not a UDP socket (ListenDatagram=)",
            _ => "is neither a UDP nor a TCP socket (ListenDatagram=, ListenStream=)",
        }));
    };
    let addr = addr.ok_or_else(|| wrong("has no address"))?;
    if addr.port() == 0 {
        return Err(wrong("is not bound"));
    }
    if socket.peer_addr().is_ok() {
        return Err(wrong("is connected, and hears nobody else"));
    }
    if transport == Transport::Tcp && !socket.is_listener().map_err(&unfit)? {
        return Err(wrong("does not listen"));
    }
    if addr.is_ipv6() && !socket.only_v6().map_err(&unfit)? {
        return Err(wrong("takes IPv4 too (BindIPv6Only=ipv6-only)"));
    }
    Ok((transport, addr, socket))
}

fn check_netlink(fd: OwnedFd) -> Result<OwnedFd, Fatal> {
    let wrong = || Fatal::Passed {
        unit: unit("netlink"),
        reason: "it is not a route netlink socket (ListenNetlink=route)".to_owned(),
    };
    let socket = Socket::from(fd);
    let is_netlink = socket.domain().is_ok_and(|domain| i32::from(domain) == libc::AF_NETLINK);
    // `NETLINK_ROUTE` is 0, which socket2 calls none.
    let is_route = socket.protocol().is_ok_and(|protocol| protocol.is_none());
    if is_netlink && is_route { Ok(socket.into()) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::Domain;
    use std::net::UdpSocket;

    fn udp(addr: &str) -> (SocketAddr, OwnedFd) {
        let socket = UdpSocket::bind(addr).unwrap();
        (socket.local_addr().unwrap(), socket.into())
    }

    fn sort(fds: Vec<(&str, OwnedFd)>) -> Result<Passed, String> {
        let named = fds.into_iter().map(|(name, fd)| (name.to_owned(), fd)).collect();
        Passed::sort(named, false).map_err(|fatal| fatal.to_string())
    }

    #[test]
    fn sockets_are_known_by_their_names_whatever_their_order() {
        let ((first, one), (second, two)) = (udp("127.0.0.1:0"), udp("127.0.0.1:0"));
        let mut passed = sort(vec![("chat", one), ("state", udp("127.0.0.1:0").1), ("time", two)]).unwrap();
        assert!(passed.is_activated() && passed.state.is_some());
        assert!(passed.take(ServiceName::Time, Transport::Udp, first).is_err(), "that one is for the chat");
        let time = passed.take(ServiceName::Time, Transport::Udp, second).unwrap();
        assert_eq!(time.local_addr().unwrap().as_socket(), Some(second));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        assert!(
            passed.take(ServiceName::Chat, Transport::Udp, any_port).is_ok(),
            "port 0 leaves the choice to the other side"
        );
        let none_left = passed.take(ServiceName::Chat, Transport::Udp, any_port).unwrap_err();
        assert_eq!(none_left.exit_status(), 78);
    }

    #[test]
    fn a_socket_at_another_address_is_told_with_its_unit_and_what_to_do() {
        let (addr, fd) = udp("127.0.0.1:0");
        let mut passed = sort(vec![("time", fd)]).unwrap();
        let wanted = "127.0.0.1:8080".parse().unwrap();
        let told = passed.take(ServiceName::Time, Transport::Udp, wanted).unwrap_err().to_string();
        assert!(told.starts_with("time 127.0.0.1:8080 is not among the sockets that systemd passes"), "{told}");
        assert!(told.contains(&format!("belfry-time.socket has {addr}")) && told.contains("daemon-reload"), "{told}");
    }

    #[test]
    fn what_is_not_what_its_name_says_is_refused_with_unit_and_address() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let unbound = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
        let dual = Socket::new(Domain::IPV6, Type::DGRAM, None).unwrap();
        dual.set_only_v6(false).unwrap();
        dual.bind(&SocketAddr::from(([0; 16], 0)).into()).unwrap();
        let tcp_addr = tcp.local_addr().unwrap();
        let dual_port = dual.local_addr().unwrap().as_socket().unwrap().port();
        let cases: [(&str, OwnedFd, &str); 5] = [
            ("time", tcp.into(), &format!("belfry-time.socket: {tcp_addr} is not a UDP socket")),
            ("chat", unbound.into(), "belfry-chat.socket: 0.0.0.0:0 is not bound"),
            ("chat", dual.into(), &format!("belfry-chat.socket: [::]:{dual_port} takes IPv4 too")),
            (
                "announce",
                std::fs::File::open("/dev/null").unwrap().into(),
                "belfry-announce.socket: socket operation on",
            ),
            ("netlink", udp("127.0.0.1:0").1, "belfry-netlink.socket: it is not a route netlink socket"),
        ];
        for (name, fd, reason) in cases {
            let told = sort(vec![(name, fd)]).unwrap_err();
            assert!(told.contains(reason), "{told}");
        }
    }

    #[test]
    fn a_daemon_that_is_to_open_no_socket_says_which_was_not_passed() {
        let mut passed = Passed::sort(Vec::new(), true).unwrap();
        assert!(passed.is_activated());
        let told =
            passed.take(ServiceName::Chat, Transport::Udp, "0.0.0.0:9999".parse().unwrap()).unwrap_err().to_string();
        assert!(told.contains("(see journalctl -u belfry-chat.socket)"), "{told}");
    }

    #[test]
    fn a_service_that_is_spoken_to_both_ways_has_a_socket_for_each() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = tcp.local_addr().unwrap();
        let udp = std::net::UdpSocket::bind(addr).unwrap();
        let mut passed = sort(vec![("echo", tcp.into()), ("echo", udp.into())]).unwrap();
        for (transport, kind) in [(Transport::Udp, Type::DGRAM), (Transport::Tcp, Type::STREAM)] {
            let socket = passed.take(ServiceName::Echo, transport, addr).unwrap();
            assert_eq!(socket.r#type().unwrap(), kind);
        }
        assert!(passed.take(ServiceName::Echo, Transport::Tcp, addr).is_err(), "it is taken");
        let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        deaf.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
        let told = sort(vec![("echo", deaf.into())]).unwrap_err();
        assert!(told.contains("does not listen"), "{told}");
    }

    #[test]
    fn a_name_that_nobody_knows_is_no_reason_to_end() {
        let passed = sort(vec![("sundial", udp("127.0.0.1:0").1)]).unwrap();
        assert!(!passed.is_activated());
    }
}
