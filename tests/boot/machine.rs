//! A machine: systemd of one of the suites, booted in a container with a network of its own.
//!
//! All of it lives in one process namespace that dies with the test, and its file system is mounted nowhere else, so
//! nothing is left behind even by a test that is killed.

use crate::base::Suite;
use crate::cgroup::Cgroup;
use crate::command::{PATIENCE, Said, can_boot, eventually, run};
use crate::common::netns::ip;
use crate::packages::packages;
use crate::root::{Root, take_turn};
use nix::fcntl::Flock;
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// The environment of a command, as a login of root has it.
const ENVIRONMENT: [(&str, &str); 5] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("SYSTEMD_COLORS", "0"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// A machine of a test's own, and the only one that the test has at a time. It is gone when this is dropped.
pub(crate) struct Machine {
    running: Option<Running>,
    cgroup: Cgroup,
    root: Root,
    _turn: Flock<File>,
}

/// Its processes, by their ids on this host.
struct Running {
    /// Waits for the container, which dies with it.
    keeper: Child,
    /// The container's systemd.
    init: u32,
}

impl Machine {
    /// Boots a machine that nothing was done to; `None`, with a word why, where that cannot be.
    pub(crate) fn boot_fresh(suite: Suite) -> Option<Self> {
        if !can_boot() {
            return None;
        }
        let turn = take_turn();
        let root = Root::fresh(suite);
        let cgroup = Cgroup::new(root.name());
        let mut machine = Self { running: None, cgroup, root, _turn: turn };
        machine.boot();
        Some(machine)
    }

    /// The same with both packages installed.
    pub(crate) fn boot_with_belfry(suite: Suite) -> Option<Self> {
        let machine = Self::boot_fresh(suite)?;
        machine.install(packages());
        Some(machine)
    }

    /// Switches it on, and waits until it has started everything.
    pub(crate) fn boot(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let script = format!(
            "set -e
             {}{}exec systemd-nspawn --quiet --register=no --keep-unit --machine='{}' --directory='{}' \
             --boot --console=read-only --private-network --link-journal=no --resolv-conf=off --timezone=off",
            self.cgroup.enter_script(),
            self.root.mount_script(),
            self.root.name(),
            self.root.mount_point().display(),
        );
        let console = File::options().create(true).append(true).open(self.root.console()).unwrap();
        // Should this test be killed, so is `unshare`, and with it the first process of the namespace, and so all of it.
        let mut keeper = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--fork", "--pid", "--kill-child", "--mount", "--mount-proc"])
            .args(["sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(console.try_clone().unwrap())
            .stderr(console)
            .spawn()
            .unwrap();
        let mut init = None;
        let has_begun = eventually(|| {
            init = children(keeper.id()).first().and_then(|&nspawn| children(nspawn).into_iter().find(is_init));
            init.is_some() || keeper.try_wait().unwrap().is_some()
        });
        self.running = init.map(|init| Running { keeper, init });
        assert!(has_begun && self.running.is_some(), "it does not boot:\n{}", self.console());
        let mut state = String::new();
        let has_booted = eventually(|| {
            state = self.run("systemctl is-system-running --wait").stdout.trim().to_owned();
            ["running", "degraded"].contains(&state.as_str())
        });
        assert!(has_booted, "it is {state:?}:\n{}", self.console());
        if state == "degraded" {
            println!("degraded:\n{}", self.run("systemctl --failed --no-legend --plain").stdout);
        }
    }

    /// Shuts it down as its administrator would.
    pub(crate) fn power_off(&mut self) {
        self.succeed("systemctl poweroff");
        let mut running = self.running.take().expect("it runs");
        assert!(eventually(|| running.keeper.try_wait().unwrap().is_some()), "it does not end:\n{}", self.console());
    }

    /// Takes its power away. It can be booted again.
    pub(crate) fn pull_the_plug(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        // The container's own first process, before its keeper: who waits for that knows that everything has gone.
        for nspawn in children(running.keeper.id()) {
            let _ = kill(Pid::from_raw(nspawn as i32), Signal::SIGKILL);
        }
        let _ = running.keeper.wait();
    }

    /// Runs a line of shell there, as root, for a while at most.
    pub(crate) fn run(&self, line: &str) -> Said {
        let init = self.init().to_string();
        let patience = PATIENCE.as_secs().to_string();
        let mut command = Command::new("timeout");
        command.args(["--kill-after=2", &patience, "nsenter", "--all", "--target", &init, "sh", "-c", line]);
        command.env_clear().envs(ENVIRONMENT);
        let said = run(&mut command);
        assert_ne!(said.status, 124, "{line}: not done within {PATIENCE:?}: {said:?}");
        said
    }

    /// Runs a line of shell that must succeed, and has what it wrote to its standard output.
    pub(crate) fn succeed(&self, line: &str) -> String {
        let said = self.run(line);
        assert_eq!(said.status, 0, "{line}:\n{}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// What the journal has: `journal("-u belfryd -o cat")`.
    pub(crate) fn journal(&self, arguments: &str) -> String {
        self.succeed(&format!("journalctl --sync; journalctl --quiet --no-pager {arguments}"))
    }

    /// The daemon's process, by its id there, when the daemon is ready.
    pub(crate) fn daemon(&self) -> Option<u32> {
        let shown = self.succeed("systemctl show --property=ActiveState --property=MainPID belfryd");
        let process = shown.lines().find_map(|line| line.strip_prefix("MainPID=")?.parse().ok());
        process.filter(|process| *process != 0 && shown.contains("ActiveState=active\n"))
    }

    /// Does something on the machine's network. Sockets that it makes stay there.
    pub(crate) fn in_network<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.init())).unwrap();
        std::thread::scope(|scope| {
            let there = scope.spawn(|| {
                setns(&network, CloneFlags::CLONE_NEWNET).unwrap();
                action()
            });
            there.join().unwrap()
        })
    }

    /// Connects the network of this thread (`NAME0`, 10.77.NET.1/24) with the machine (`NAME1`, 10.77.NET.2/24).
    pub(crate) fn cable(&self, name: &str, net: u8) {
        ip(&format!("link add {name}0 type veth peer name {name}1 netns {}", self.init()));
        let up = |end: u8| {
            ip(&format!("addr add 10.77.{net}.{}/24 dev {name}{end}", end + 1));
            ip(&format!("link set {name}{end} up"));
        };
        self.in_network(|| up(1));
        up(0);
    }

    /// Where one of its files is on this host, whether it runs or not.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        match &self.running {
            Some(running) => Path::new(&format!("/proc/{}/root", running.init)).join(path.trim_start_matches('/')),
            None => self.root.path(path),
        }
    }

    /// Writes one of its files.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        fs::create_dir_all(file.parent().expect("a path from the top")).unwrap();
        fs::write(file, text).unwrap();
    }

    /// Installs packages from files, as README says it.
    pub(crate) fn install(&self, packages: &[PathBuf]) {
        self.bring(packages);
        self.succeed("cd /srv/packages && apt-get install --yes ./*.deb");
    }

    /// Puts packages into `/srv/packages`.
    pub(crate) fn bring(&self, packages: &[PathBuf]) {
        self.succeed("mkdir -p /srv/packages && rm -f /srv/packages/*.deb");
        for package in packages {
            let name = package.file_name().expect("a file");
            fs::copy(package, self.path("/srv/packages").join(name)).unwrap();
        }
    }

    fn init(&self) -> u32 {
        self.running.as_ref().expect("it runs").init
    }

    /// What it has shown on its console.
    pub(crate) fn console(&self) -> String {
        fs::read_to_string(self.root.console()).unwrap_or_default()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking() && self.running.is_some() {
            println!("the end of the journal:\n{}", self.run("journalctl --no-pager --boot --lines=80").stdout);
        }
        self.pull_the_plug();
    }
}

/// The processes that a process has started.
fn children(parent: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Whether a process is the first of a namespace of its own.
fn is_init(process: &u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    ids.split_whitespace().last() == Some("1")
}
