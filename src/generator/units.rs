//! The units that a configuration asks for: one socket unit for each service, one for the watch on the interfaces, one for
//! the control socket, and a drop-in that hands them to the daemon.
//!
//! A service that is switched off has a unit too, which is never started: so it is stopped with the others once it has been
//! switched off.

use crate::config::Config;
use crate::services::{ServiceName, Transport};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

/// The multicast groups of rtnetlink(7) that tell of links and addresses: 1, 16 and 256.
const NETLINK_GROUPS: u32 = 273;

/// A file to be written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unit {
    /// Where, below the folder of generated units.
    pub(super) path: String,
    pub(super) text: String,
}

/// What `config` asks for. `origin` is the file that it came from, if there is one.
pub(super) fn units(config: &Config, origin: Option<&Path>) -> Vec<Unit> {
    let mut units: Vec<_> = ServiceName::ALL
        .into_iter()
        .map(|service| {
            let (enabled, listen) = config.listen(service);
            let about = if enabled { String::new() } else { never(service) };
            socket(service.name(), origin, &about, &sockets(service, &listen))
        })
        .collect();
    units.push(socket("netlink", origin, "", &format!("ListenNetlink=route {NETLINK_GROUPS}\n")));
    units.push(socket("control", origin, "", CONTROL));
    let passed = ServiceName::ALL.into_iter().filter(|&service| config.listen(service).0).map(ServiceName::name);
    let names: Vec<_> = passed.chain(["netlink", "control"]).map(|name| format!("belfry-{name}.socket")).collect();
    let names = names.join(" ");
    // Who restarts a socket means to have it served.
    let text = format!("# Written by belfry-generator.\n\n[Unit]\nPartOf={names}\n\n[Service]\nSockets={names}\n");
    units.push(Unit { path: DROP_IN.to_owned(), text });
    units
}

/// The paths of all units, whatever the configuration.
pub(super) fn paths() -> Vec<String> {
    units(&Config::default(), None).into_iter().map(|unit| unit.path).collect()
}

/// What hands the sockets to the daemon.
const DROP_IN: &str = "belfryd.service.d/50-belfry-sockets.conf";

/// Who may give orders: root, and the group.
const CONTROL: &str = "\
ListenStream=/run/belfry/control
SocketGroup=belfry
SocketMode=0660
DirectoryMode=0755
RemoveOnStop=yes
";

fn never(service: ServiceName) -> String {
    format!("# [{service}] is not enabled, and this never true.\nConditionPathExists=!/\n")
}

fn socket(name: &str, origin: Option<&Path>, about: &str, listen: &str) -> Unit {
    // systemd says when the file has changed since.
    let source = origin.map_or_else(String::new, |path| format!("SourcePath={}\n", escape(path)));
    let text = format!(
        "# Written by belfry-generator.\n\
         \n\
         [Unit]\n\
         Description=Belfry, the {name} socket\n\
         Documentation=man:belfryd(8) man:belfry.toml(5)\n\
         {source}\
         PartOf=belfry.target\n\
         Before=belfryd.service\n\
         Wants=belfry-hold@{name}.service\n\
         StartLimitIntervalSec=0\n\
         {about}\
         \n\
         [Socket]\n\
         FileDescriptorName={name}\n\
         Service=belfry-hold@{name}.service\n\
         {listen}"
    );
    Unit { path: format!("belfry-{name}.socket"), text }
}

fn sockets(service: ServiceName, listen: &[SocketAddr]) -> String {
    let mut text = String::new();
    for (addr, transport) in listen.iter().flat_map(|addr| service.transports().iter().map(move |by| (addr, by))) {
        let key = match transport {
            Transport::Udp => "ListenDatagram",
            Transport::Tcp => "ListenStream",
        };
        let _ = writeln!(text, "{key}={}", told(addr));
    }
    // An address that the host is yet to get is no reason to fail.
    if listen.iter().any(|addr| !addr.ip().is_unspecified()) {
        text.push_str("FreeBind=yes\n");
    }
    text.push_str("BindIPv6Only=ipv6-only\nPassPacketInfo=yes\n");
    if service == ServiceName::Ntp {
        // When each datagram came, which takes time itself: once a socket asks, the kernel reads the clock for all.
        text.push_str("Timestamping=ns\n");
    }
    // For datagrams; of connections the daemon makes them smaller.
    let _ = write!(
        text,
        "ReceiveBuffer={}\n\
         SendBuffer={}\n",
        service.receive_buffer(),
        service.send_buffer()
    );
    text
}

/// Why systemd could not make a socket at one of the addresses, if it could not.
pub(super) fn fault(config: &Config) -> Option<String> {
    let enabled = ServiceName::ALL.into_iter().filter(|&service| config.listen(service).0);
    let addrs = enabled.flat_map(|service| config.listen(service).1.into_iter().map(move |addr| (service, addr)));
    addrs.into_iter().find_map(|(service, addr)| match addr {
        addr if addr.port() == 0 => Some(format!("{service} {addr}: systemd has to be told which port")),
        SocketAddr::V6(v6) if i32::try_from(v6.scope_id()).is_err() => {
            Some(format!("{service} {addr}: there is no interface of that number"))
        }
        _ => None,
    })
}

/// An address as systemd.socket(5) reads it, where % has a meaning of its own.
fn told(addr: &SocketAddr) -> String {
    match addr {
        SocketAddr::V6(v6) if v6.scope_id() != 0 => format!("[{}]:{}%%{}", v6.ip(), v6.port(), v6.scope_id()),
        addr => addr.to_string(),
    }
}

/// A path in which nothing is a specifier or a second line (systemd.unit(5)).
fn escape(path: &Path) -> String {
    path.display().to_string().replace('%', "%%").replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Known, Source, parse};

    fn made(toml: &str, path: &str) -> String {
        let known = Known { zone: &|_| true, format: &|_| true };
        let config = parse(&[Source { file: "belfry.toml", text: toml }], &known).unwrap();
        let units = units(&config, Some(Path::new("/etc/belfry/belfry.toml")));
        units.into_iter().find(|unit| unit.path == path).unwrap().text
    }

    #[test]
    fn a_service_has_a_socket_unit_of_its_name_with_every_address() {
        assert_eq!(
            made("", "belfry-time.socket"),
            "# Written by belfry-generator.\n\
             \n\
             [Unit]\n\
             Description=Belfry, the time socket\n\
             Documentation=man:belfryd(8) man:belfry.toml(5)\n\
             SourcePath=/etc/belfry/belfry.toml\n\
             PartOf=belfry.target\n\
             Before=belfryd.service\n\
             Wants=belfry-hold@time.service\n\
             StartLimitIntervalSec=0\n\
             \n\
             [Socket]\n\
             FileDescriptorName=time\n\
             Service=belfry-hold@time.service\n\
             ListenDatagram=0.0.0.0:8080\n\
             ListenDatagram=[::]:8080\n\
             BindIPv6Only=ipv6-only\n\
             PassPacketInfo=yes\n\
             ReceiveBuffer=16777216\n\
             SendBuffer=33554432\n"
        );
    }

    #[test]
    fn the_unit_of_a_service_that_is_spoken_to_both_ways_has_both_at_each_address() {
        let unit = made("[echo]\nenabled = true", "belfry-echo.socket");
        let both = "ListenDatagram=0.0.0.0:8888\nListenStream=0.0.0.0:8888\nListenDatagram=[::]:8888\nListenStream=[::]:8888\n";
        assert!(unit.contains(both) && !unit.contains("Condition"), "{unit}");
    }

    #[test]
    fn only_who_serves_clocks_has_the_kernel_tell_when_a_datagram_came() {
        for (name, expected) in [("ntp", true), ("time", false), ("chat", false)] {
            let unit = made("[ntp]\nenabled = true", &format!("belfry-{name}.socket"));
            assert_eq!(unit.contains("Timestamping=ns\n"), expected, "{unit}");
        }
    }

    #[test]
    fn an_address_of_one_interface_may_come_later_and_keeps_its_scope() {
        let unit = made("[chat]\nlisten = ['192.0.2.1:9999', '[fe80::1%3]:9999']", "belfry-chat.socket");
        assert!(
            unit.contains("ListenDatagram=192.0.2.1:9999\nListenDatagram=[fe80::1]:9999%%3\nFreeBind=yes\n"),
            "{unit}"
        );
    }

    #[test]
    fn what_systemd_cannot_listen_on_is_a_fault_where_it_is_asked_for() {
        let known = Known { zone: &|_| true, format: &|_| true };
        let fault = |toml| fault(&parse(&[Source { file: "belfry.toml", text: toml }], &known).unwrap());
        assert_eq!(fault(""), None);
        let told = fault("[time]\nlisten = ['127.0.0.1:0']").unwrap();
        assert_eq!(told, "time 127.0.0.1:0: systemd has to be told which port");
        assert_eq!(fault("[time]\nenabled = false\nlisten = ['127.0.0.1:0']"), None);
        assert!(fault("[time]\nlisten = ['[fe80::1%4294967295]:8080']").is_some());
    }

    #[test]
    fn a_service_that_is_switched_off_is_never_started_and_not_passed() {
        let off = "[announce]\nenabled = false";
        assert!(made(off, "belfry-announce.socket").contains("\nConditionPathExists=!/\n"));
        let sockets = |toml| made(toml, DROP_IN);
        let passed = "belfry-time.socket belfry-chat.socket belfry-netlink.socket belfry-control.socket";
        let expected =
            format!("# Written by belfry-generator.\n\n[Unit]\nPartOf={passed}\n\n[Service]\nSockets={passed}\n");
        assert_eq!(sockets(off), expected);
        assert!(sockets("").contains(" belfry-announce.socket "));
    }

    #[test]
    fn a_path_cannot_add_a_line_to_a_unit() {
        let unit = &units(&Config::default(), Some(Path::new("/etc/100%\nExecStart=x")))[0];
        assert!(unit.text.contains("SourcePath=/etc/100%% ExecStart=x\n"), "{}", unit.text);
    }
}
