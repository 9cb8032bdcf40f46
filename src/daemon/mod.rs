//! The daemon: every system call, and the loop that drives the services by turns.
//!
//! [`main`] is all of `belfryd`. `reload` makes sockets and services from a configuration, `run` turns the loop,
//! `services` takes a batch from a socket to its service, `post` sends what comes of it, `control` answers those who run it.

mod announcing;
pub mod args;
pub mod clock_helper;
pub mod config_file;
mod control;
mod endpoint;
mod error;
mod farewell;
mod listener;
pub mod logging;
pub mod netlink;
mod passed;
mod post;
mod reload;
mod report;
mod run;
mod services;
pub mod signals;
pub mod state;
mod streams;
pub mod supervisor;
mod sys;
pub mod zoneinfo;

pub use error::Fatal;

use crate::clock::Clock;
use crate::config::LogTarget;
use crate::core::Seed;
use crate::exit;
use crate::services::ServiceName;
use args::Args;
use clap::Parser;
use clap::error::ErrorKind;
use config_file::Found;
use control::Control;
use log::{LevelFilter, error, info, warn};
use logging::event;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use passed::Passed;
use run::{Daemon, Parts};
use signals::Signals;
use state::State;
use std::io::{IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitCode;
use supervisor::Supervisor;

/// Everything that `belfryd` does.
pub fn main() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Nothing is left to tell when the terminal is gone.
            let _ = error.print();
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            return if asked { ExitCode::SUCCESS } else { ExitCode::from(exit::USAGE) };
        }
    };
    match obey(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            if logging::stderr_leads_to_journal() {
                // One entry, not one for each line of the picture.
                error!(message_id = event::FAILED; "{}", fatal.line());
            } else {
                let _ = writeln!(std::io::stderr(), "belfryd: {fatal}");
            }
            ExitCode::from(fatal.exit_status())
        }
    }
}

fn obey(mut args: Args) -> Result<(), Fatal> {
    // First of all, while the numbers of what was passed are nobody else's.
    let passed = sys::passed_fds().map_err(Fatal::system("take over what the service manager passes"))?;
    args.state_directory = state_directory(args.state_directory.take());
    let directory = args.state_directory.clone();
    let kept = passed.iter().find(|(name, _)| name == state::NAME).and_then(|(_, fd)| fd.try_clone().ok());
    serve(args, passed).inspect_err(|fatal| {
        // The manager does not try again, and lets go of it.
        if fatal.exit_status() == exit::CONFIG {
            state::rescue(kept, directory.as_deref());
        }
    })
}

fn serve(args: Args, passed: Vec<(String, OwnedFd)>) -> Result<(), Fatal> {
    raise_descriptor_limit();
    // Before anything takes time, so that no signal finds us without an answer.
    let signals = Signals::new().map_err(Fatal::system("take over signals"))?;
    // What is found on the way to the configuration has to be told too; where, and how much else, it says itself.
    logging::install(LogTarget::Auto, LevelFilter::Warn).map_err(Fatal::system("open the log"))?;
    let Found { config, origin, zones } = config_file::find(args.config.as_deref())?;
    if args.check {
        return Ok(());
    }
    if args.print_config {
        return print(&config.to_toml());
    }
    logging::reconfigure(config.log.target, config.log.level).map_err(Fatal::system("open the log"))?;
    info!("version {}, configuration: {origin}", env!("CARGO_PKG_VERSION"));
    let mut passed = Passed::sort(passed, args.activated)?;
    let supervisor = Supervisor::from_env();
    let state = State::open(passed.state.take(), &supervisor, args.state_directory.as_deref());
    let seed = state.seed().map_or_else(seed, Ok).map_err(Fatal::system("read /dev/urandom"))?;
    let (clock, host, config_path) = (Clock::new(), host_name(), args.config);
    let mut daemon =
        Daemon::new(Parts { clock, seed, host, config_path, config, origin, passed, signals, supervisor, state })?;
    daemon.start(zones)?;
    if let Some(fd) = daemon.passed.control.take() {
        daemon.open_control(Control::adopt(fd).map_err(Fatal::passed("control"))?)?;
    } else if let Some(path) = &args.control {
        daemon.open_control(Control::listen(path).map_err(Fatal::control(path))?)?;
        info!("control listens on {}", path.display());
    } else if args.activated {
        warn!("belfry ctl and systemctl reload will not work: no socket is passed from belfry-control.socket");
    }
    if std::io::stderr().is_terminal() {
        print_invitation(&daemon);
    }
    daemon.run()
}

/// Lets the process have as many descriptors as it may: the usual 1,024 are for programs that call select(2), and each connection
/// is one. Where that fails, those who connect wait for one that is free.
fn raise_descriptor_limit() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

fn print(text: &str) -> Result<(), Fatal> {
    std::io::stdout().write_all(text.as_bytes()).map_err(Fatal::system("print the configuration"))
}

/// Chance, of the kernel.
pub(crate) fn seed() -> std::io::Result<Seed> {
    let mut bytes = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
    Ok(Seed(u128::from_ne_bytes(bytes)))
}

/// The directory that was named, or the first that the service manager has made for us (systemd.exec(5)).
fn state_directory(named: Option<PathBuf>) -> Option<PathBuf> {
    named.or_else(|| std::env::split_paths(&std::env::var_os("STATE_DIRECTORY")?).find(|path| path.is_absolute()))
}

fn host_name() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
    name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
}

/// Says to somebody at a terminal what they could type now.
fn print_invitation(daemon: &Daemon) {
    let first = |name| daemon.listeners.iter().find(|listener| listener.service == name);
    let lines: String = ServiceName::ALL
        .into_iter()
        .filter_map(first)
        .map(|listener| invitation(listener.service, listener.addr))
        .collect();
    let _ = std::io::stderr().write_all(lines.as_bytes());
}

fn invitation(service: ServiceName, addr: SocketAddr) -> String {
    let ip = match addr.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let port = addr.port();
    match service {
        ServiceName::Time => format!("  the time:   echo '%A %d %B %Y %T %Z' | nc -u -w1 {ip} {port}\n"),
        ServiceName::Chat => format!("  the room:   nc -u {ip} {port}    then type, and press Enter\n"),
        ServiceName::Ntp => format!("  for clocks: chronyd -Q 'server {ip} port {port} iburst'\n"),
        ServiceName::Echo => format!("  the echo:   echo hello | nc -u -w1 {ip} {port}\n"),
        ServiceName::Announce => format!("  who is on:  {} discover\n", client().display()),
    }
}

/// How to call `belfry`: by its place beside this program, where a shell would not find it.
fn client() -> PathBuf {
    let name = PathBuf::from("belfry");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join(&name)));
    let is_hidden =
        |beside: &PathBuf| beside.exists() && !std::env::split_paths(&path).any(|folder| folder.join(&name) == *beside);
    beside.filter(is_hidden).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_to_try_reaches_the_socket_whatever_it_is_bound_to() {
        let cases = [
            ("0.0.0.0:9999", "nc -u 127.0.0.1 9999 "),
            ("[::]:9998", "nc -u ::1 9998 "),
            ("192.0.2.1:1", "nc -u 192.0.2.1 1 "),
        ];
        for (addr, line) in cases {
            let told = invitation(ServiceName::Chat, addr.parse().unwrap());
            assert!(told.contains(line), "{told}");
        }
    }
}
