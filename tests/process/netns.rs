//! Other hosts beside the network of a test's own, and what its kernel counts.

pub(crate) use crate::common::netns::{enter, ip};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::os::fd::AsRawFd;
use std::process::Command;

/// Another host: a namespace beside that of the test, to be connected to it by a [`cable`].
pub(crate) struct Host(File);

impl Host {
    pub(crate) fn new() -> Self {
        let made = std::thread::spawn(|| {
            assert!(enter(), "the test's own could be made");
            File::open("/proc/thread-self/ns/net").unwrap()
        });
        Self(made.join().unwrap())
    }

    /// Does something there. Sockets that it makes stay there.
    pub(crate) fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).unwrap();
                action()
            });
            there.join().unwrap()
        })
    }
}

/// Connects the test's host (`NAME0`, 10.77.NET.1/24) with another (`NAME1`, 10.77.NET.2/24).
pub(crate) fn cable(name: &str, net: u8, host: &Host) {
    let there = format!("/proc/{}/fd/{}", std::process::id(), host.0.as_raw_fd());
    ip(&format!("link add {name}0 type veth peer name {name}1 netns {there}"));
    let up = |end: u8| {
        ip(&format!("addr add 10.77.{net}.{}/24 dev {name}{end}", end + 1));
        ip(&format!("link set {name}{end} up"));
    };
    host.run(|| up(1));
    up(0);
}

/// Has this host lose so many in a hundred of the datagrams that come in; whether it can. (What is dropped on its way out is
/// an error of the sender's.)
pub(crate) fn lose(percent: u32) -> bool {
    let rules = format!(
        "table inet loss {{ chain arriving {{ type filter hook input priority 0; \
         meta l4proto udp numgen random mod 100 < {percent} counter drop; }}; }}"
    );
    let output = Command::new("nft").arg(&rules).output();
    let trouble = match output {
        Ok(output) if output.status.success() => return true,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    println!("skipped: nft cannot drop anything: {trouble}");
    false
}

/// How many datagrams this host has lost so.
pub(crate) fn lost() -> u64 {
    let output = Command::new("nft").args(["list", "chain", "inet", "loss", "arriving"]).output().unwrap();
    let listed = String::from_utf8(output.stdout).unwrap();
    let count = listed.split("counter packets ").nth(1).and_then(|rest| rest.split(' ').next());
    count.expect("the rule counts").parse().unwrap()
}

/// A number from this namespace's UDP statistics (`/proc/net/snmp`), such as `OutDatagrams`.
pub(crate) fn udp_count(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/snmp").expect("Linux has it");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let at = names.split(' ').position(|known| known == name).expect("a name of the table");
    values.split(' ').nth(at).and_then(|value| value.parse().ok()).expect("a number")
}
