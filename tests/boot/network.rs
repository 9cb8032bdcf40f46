//! An interface comes, changes its address and goes, while the daemon runs: who is announced to and who is answered follow.

use crate::base::Suite;
use crate::client::Client;
use crate::command::eventually;
use crate::common::netns::{self, ip};
use crate::machine::Machine;
use std::net::{Ipv4Addr, UdpSocket};

/// While nobody reads them, the kernel has more changes to tell than the socket holds that tells them.
const MORE_THAN_WAITS: &str = "for number in $(seq 2000); do
    echo addr add 10.99.0.1/24 dev lo; echo addr del 10.99.0.1/24 dev lo
done | ip -batch -";

#[test]
fn the_announcer_and_who_is_answered_follow_the_interfaces() {
    for suite in Suite::ALL {
        let Some(machine) = Machine::boot_with_belfry(suite) else { return };
        let neighbour = |machine: &Machine| {
            assert!(netns::enter(), "root may");
            let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 8001)).unwrap();
            ear.set_nonblocking(true).unwrap();
            it_comes(machine, &ear, || machine.cable("lan", 1));
            its_address_changes(machine);
            it_goes(machine);
            it_comes(machine, &ear, || machine.cable("lan", 1));
            it_goes(machine);
            it_comes(machine, &ear, || {
                machine.succeed("systemctl stop belfryd");
                machine.succeed(MORE_THAN_WAITS);
                assert_ne!(machine.succeed("awk 'NR > 1 && $9 > 0' /proc/net/netlink"), "", "nothing was lost");
                machine.cable("lan", 1);
                machine.succeed("systemctl start belfryd");
            });
        };
        std::thread::scope(|scope| scope.spawn(|| neighbour(&machine)).join().unwrap());
        let restarts = machine.succeed("systemctl show --property=NRestarts belfryd");
        assert_eq!(restarts, "NRestarts=0\n", "{suite:?}: it has crashed");
    }
}

/// A cable is plugged in: the machine is heard on it unasked, answers there, and belongs to the groups.
fn it_comes(machine: &Machine, ear: &UdpSocket, plug: impl FnOnce()) {
    while ear.recv_from(&mut [0; 2048]).is_ok() {}
    plug();
    let mut buffer = [0; 2048];
    let mut announcement = String::new();
    let is_announced = eventually(|| {
        while let Ok((len, from)) = ear.recv_from(&mut buffer) {
            announcement = format!("{} {}", from.ip(), String::from_utf8_lossy(&buffer[..len]));
        }
        announcement.starts_with("10.77.1.2 Announce belfry/1 host=workshop time=8080 chat=9999")
    });
    assert!(is_announced, "the last that was heard: {announcement:?}");
    // IPv6 a little later, when its address there is known to be nobody else's.
    assert!(eventually(|| has_joined(machine)), "{}", machine.succeed("ip maddr show"));
    assert_eq!(Client::to("10.77.1.2:8080").ask("TZ=UTC %Z"), "UTC");
    let asker = UdpSocket::bind("10.77.1.1:0").unwrap();
    asker.set_read_timeout(Some(crate::command::PATIENCE)).unwrap();
    asker.send_to(b"Notify", "224.0.0.1:8001").unwrap();
    let (len, from) = asker.recv_from(&mut buffer).unwrap();
    assert!(buffer[..len].starts_with(b"Acknowlege belfry/1 "), "{from}");
}

/// It is pulled out, and the interface is gone.
fn it_goes(machine: &Machine) {
    ip("link del lan0");
    assert!(eventually(|| machine.run("ip link show lan1").status != 0));
}

/// The machine moves to another subnet. Its neighbour has an address in both, and a way back to either.
fn its_address_changes(machine: &Machine) {
    ip("addr add 10.78.1.1/24 dev lan0");
    let (old, new) = ([10, 77, 1, 1].into(), [10, 78, 1, 1].into());
    machine.succeed("ip addr add 10.78.1.2/24 dev lan1");
    let [old, new] = [old, new].map(|own| Client::between(own, "10.78.1.2:8080"));
    assert_eq!((old.ask("TZ=UTC %Z"), new.ask("TZ=UTC %Z")), ("UTC".to_owned(), "UTC".to_owned()));
    let before = turned_away(machine);
    machine.succeed("ip addr del 10.77.1.2/24 dev lan1 && ip route add 10.77.1.0/24 dev lan1");
    // What the kernel tells of its interfaces is read before what arrives, and what arrives is read in its order.
    let sent = 5;
    (0..sent).for_each(|_| old.send("TZ=UTC %Z").unwrap());
    assert_eq!(new.ask("TZ=UTC %Z"), "UTC");
    let turned_away = turned_away(machine) - before;
    println!("from the subnet that is gone: sent {sent}, turned away {turned_away}");
    assert_eq!((turned_away, old.receive()), (sent, None));
}

/// Whether the daemon belongs to the groups of both families there: the kernel itself is their first user.
fn has_joined(machine: &Machine) -> bool {
    let said = machine.run("ip maddr show dev lan1").stdout;
    ["224.0.0.1 users 2", "ff02::1 users 2"].iter().all(|line| said.contains(line))
}

/// How many requests for the time came from elsewhere.
fn turned_away(machine: &Machine) -> u32 {
    let stats = machine.succeed("belfry ctl stats");
    let line = stats.lines().find_map(|line| line.strip_prefix("dropped: access ")).unwrap_or_default();
    line.split_whitespace().next().and_then(|count| count.parse().ok()).unwrap_or_else(|| panic!("{stats}"))
}
