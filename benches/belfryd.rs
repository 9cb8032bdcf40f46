//! `belfryd` as it was built for release, with a configuration of its own in which nothing is limited unless the figure is
//! about that. `BELFRYD` names another program, to compare two builds.

use crate::place::{self, Cores};
use crate::process::{Process, new_folder};
use serde_json::Value;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::Command;
use std::time::{Duration, Instant};

/// What differs from figure to figure.
pub(crate) struct Settings {
    /// `rate-limit` of the time service.
    pub(crate) time_rate_limit: &'static str,
    /// Whether there is an announcer, which speaks only when it is asked.
    pub(crate) announces_when_asked: bool,
    /// Whether a service manager is there, for which it keeps a list of the members.
    pub(crate) supervised: bool,
    /// Whether clocks are served.
    pub(crate) serves_clocks: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { time_rate_limit: "off", announces_when_asked: false, supervised: true, serves_clocks: false }
    }
}

/// A daemon that has said that it is ready.
pub(crate) struct Belfryd {
    pub(crate) process: Process,
    pub(crate) time: SocketAddrV4,
    pub(crate) chat: SocketAddrV4,
    pub(crate) ntp: SocketAddrV4,
    /// From the start of the program to its `READY=1`, if anybody is told that.
    pub(crate) start: Duration,
}

impl Belfryd {
    pub(crate) fn start(cores: Cores, settings: &Settings) -> io::Result<Self> {
        let at = |port| SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let [time, chat, ntp] = [(); 3].map(|()| at(place::new_port()));
        let folder = new_folder()?;
        let config = folder.join("belfry.toml");
        std::fs::write(&config, configuration(settings, [time, chat, ntp]))?;
        let notices = UnixDatagram::bind(folder.join("notify"))?;
        notices.set_nonblocking(true)?;
        let mut command = Command::new(program());
        command.arg("--config").arg(config).arg("--control").arg(folder.join("control"));
        for variable in
            ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "STATE_DIRECTORY", "JOURNAL_STREAM", "WATCHDOG_USEC"]
        {
            command.env_remove(variable);
        }
        command.env_remove("NOTIFY_SOCKET");
        if settings.supervised {
            command.env("NOTIFY_SOCKET", folder.join("notify"));
        }
        let control = folder.join("control");
        let begin = Instant::now();
        let mut process = Process::start(cores, folder, &mut command)?;
        let mut start = None;
        process.wait_until(|| {
            if !settings.supervised {
                return UnixStream::connect(&control).is_ok();
            }
            let deadline = Instant::now() + Duration::from_millis(100);
            let mut notice = [0; 4_096];
            while start.is_none() && Instant::now() < deadline {
                let len = notices.recv(&mut notice).unwrap_or(0);
                if notice[..len].starts_with(b"READY=1") || notice[..len].windows(9).any(|it| it == b"\nREADY=1\n") {
                    start = Some(begin.elapsed());
                }
            }
            start.is_some()
        })?;
        Ok(Self { process, time, chat, ntp, start: start.unwrap_or_default() })
    }

    /// The answer to a command over the control socket.
    pub(crate) fn ask(&self, command: &str) -> io::Result<Value> {
        let mut stream = UnixStream::connect(self.process.folder().join("control"))?;
        writeln!(stream, "{{\"command\":\"{command}\"}}")?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }

    /// An error unless there are so many members: what is measured would be less work.
    pub(crate) fn expect_members(&self, count: usize) -> io::Result<()> {
        let members = self.ask("status")?["members"].as_u64();
        if members == Some(count as u64) {
            return Ok(());
        }
        Err(io::Error::other(format!("{count} members were to be there, and belfryd has {members:?}")))
    }
}

fn program() -> std::ffi::OsString {
    std::env::var_os("BELFRYD").unwrap_or_else(|| env!("CARGO_BIN_EXE_belfryd").into())
}

/// The version that the program says it has.
pub(crate) fn version() -> String {
    let output = Command::new(program()).arg("--version").output();
    output.map_or_else(|error| error.to_string(), |it| String::from_utf8_lossy(&it.stdout).trim().to_owned())
}

/// Members send a heartbeat when they come and never again, so that only what a figure is about is sent.
fn configuration(settings: &Settings, [time, chat, ntp]: [SocketAddrV4; 3]) -> String {
    let Settings { time_rate_limit, announces_when_asked, serves_clocks, .. } = settings;
    let announce = SocketAddrV4::new(Ipv4Addr::LOCALHOST, place::new_port());
    format!(
        r#"[log]
target = "stderr"
level = "warn"

[time]
listen = ["{time}"]
rate-limit = "{time_rate_limit}"

[chat]
listen = ["{chat}"]
heartbeat-interval = "1h"
heartbeat-timeout = "2h"
silent-timeout = "3h"
echo-to-sender = false
max-members = 200000
max-members-per-address = 200000
rate-limit = "off"
fan-out = "off"

[announce]
enabled = {announces_when_asked}
listen = ["{announce}"]
groups = ["224.0.0.1"]
interval = "0s"

[ntp]
enabled = {serves_clocks}
listen = ["{ntp}"]
local-stratum = 1
rate-limit = "off"
"#
    )
}
