//! From a configuration to sockets and services: at start, and again at each reload.
//!
//! A reload first gets whatever can be refused: the file, then the sockets that are new. Only when all of it is there
//! does anything change, so a reload that fails leaves everything as it was. Sockets at addresses that stay are kept
//! with what waits in them, and everybody stays in their room.

use super::config_file::{self, Found};
use super::error::{Fatal, errno_text};
use super::listener::Listener;
use super::logging::{self, event};
use super::run::Daemon;
use super::streams::StreamListener;
use crate::clock;
use crate::config::Config;
use crate::core::access::Ground;
use crate::core::admission::Admission;
use crate::core::{Interface, ListenerId, Now};
use crate::services::announce::Announcer;
use crate::services::chat::{Hosts, Hub};
use crate::services::echo::Echo;
use crate::services::ntp::NtpService;
use crate::services::time::{TimeService, Zones};
use crate::services::{ServiceName, Transport};
use log::{error, info, warn};
use nix::libc;
use std::fs::File;
use std::io::Read as _;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// Where the host names of members come from (hosts(5)).
const HOSTS_FILE: &str = "/etc/hosts";

/// How much of it is read: some ten thousand hosts. Lists of advertisers are longer, but the names that count come
/// first.
const HOSTS_FILE_MAX: u64 = 1024 * 1024;

/// Sockets that are there, and not yet open to anybody.
#[derive(Default)]
struct New {
    listeners: Vec<Listener>,
    streams: Vec<StreamListener>,
}

impl Daemon {
    /// Binds the sockets and starts the services that the configuration names.
    pub(super) fn start(&mut self, zones: Zones) -> Result<(), Fatal> {
        let now = self.clock.now();
        self.begin_turn(&now);
        let config = self.config.clone();
        let new = self.bind_new(&config)?;
        self.passed.close_rest();
        self.open(new);
        self.serve(&now, zones);
        Ok(())
    }

    /// Reads the configuration again and applies it, or tells the log why not and goes on as before.
    pub(super) fn reload(&mut self, now: &Now) -> Result<(), Fatal> {
        self.supervisor.reloading();
        let reloaded = self.try_reload(now);
        if let Err(error) = &reloaded {
            if logging::stderr_leads_to_journal() {
                // One entry, not one for each line of the picture.
                error!(message_id = event::RELOAD_FAILED; "{}; the old configuration stays in force", error.line());
            } else {
                error.to_string().lines().for_each(|line| error!("{line}"));
                error!("the old configuration stays in force");
            }
        }
        let status = self.status();
        self.supervisor.ready(&status.to_string());
        reloaded
    }

    fn try_reload(&mut self, now: &Now) -> Result<(), Fatal> {
        let Found { config, origin, zones } = config_file::find(self.config_path.as_deref())?;
        let new = self.bind_new(&config)?;
        logging::reconfigure(config.log.target, config.log.level).map_err(Fatal::system("open the log"))?;
        if !config.announce.enabled {
            // While there is a socket to say it with.
            self.end_announcements();
        }
        self.close_unwanted(now, &config, &new.listeners);
        self.open(new);
        self.config = config;
        self.serve(now, zones);
        info!(message_id = event::RELOADED; "configuration: {origin}");
        self.origin = origin;
        Ok(())
    }

    /// Binds what the configuration names and is not bound yet, or takes what was passed for it, and has the poller watch it.
    fn bind_new(&mut self, config: &Config) -> Result<New, Fatal> {
        let mut new = New::default();
        for service in ServiceName::ALL {
            let wanted = wanted(config, service);
            for (&addr, &transport) in
                wanted.iter().flat_map(|addr| service.transports().iter().map(move |by| (addr, by)))
            {
                let had = match transport {
                    Transport::Udp => self.listener(config, service, addr).map(|had| new.listeners.extend(had)),
                    Transport::Tcp => self.stream_listener(config, service, addr).map(|had| new.streams.extend(had)),
                };
                match had {
                    Ok(()) => {}
                    Err(fatal) if is_ipv6_missing(addr, &fatal, &self.interfaces) && wanted.len() > 1 => {
                        warn!("{service} is not served at {addr}: this host has no IPv6");
                    }
                    Err(fatal) => return Err(fatal),
                }
            }
        }
        Ok(new)
    }

    /// A new socket for datagrams; `None` where there is one already.
    fn listener(&mut self, config: &Config, service: ServiceName, addr: SocketAddr) -> Result<Option<Listener>, Fatal> {
        if self.listeners.iter().any(|open| (open.service, open.configured) == (service, addr)) {
            return Ok(None);
        }
        let id = self.next_listener_id();
        let mut listener = if self.passed.is_activated() {
            let socket = self.passed.take(service, Transport::Udp, addr)?;
            Listener::adopt(id, service, addr, socket).map_err(Fatal::passed(service))?
        } else {
            let closing = self.listeners.iter().filter(|open| !is_wanted(config, open.service, open.configured));
            Listener::bind(id, service, addr, closing)?
        };
        listener.register(self.poll.registry()).map_err(Fatal::system("watch a socket"))?;
        Ok(Some(listener))
    }

    /// The same for connections.
    fn stream_listener(
        &mut self,
        config: &Config,
        service: ServiceName,
        addr: SocketAddr,
    ) -> Result<Option<StreamListener>, Fatal> {
        let open = &self.streams.listeners;
        if open.iter().any(|open| (open.service, open.configured) == (service, addr)) {
            return Ok(None);
        }
        let id = self.streams.next_listener_id();
        let listener = if self.passed.is_activated() {
            let socket = self.passed.take(service, Transport::Tcp, addr)?;
            StreamListener::adopt(id, service, addr, socket).map_err(Fatal::passed(service))?
        } else {
            let open = self.streams.listeners.iter();
            StreamListener::bind(
                id,
                service,
                addr,
                open.filter(|open| !is_wanted(config, open.service, open.configured)),
            )?
        };
        listener.register(self.poll.registry()).map_err(Fatal::system("watch a socket"))?;
        Ok(Some(listener))
    }

    /// A number that no open socket has, and none has had for long: something may still wait for the last one that did.
    fn next_listener_id(&mut self) -> ListenerId {
        loop {
            let id = ListenerId(self.next_listener);
            self.next_listener = self.next_listener.wrapping_add(1);
            if self.listeners.iter().all(|open| open.id != id) {
                return id;
            }
        }
    }

    fn open(&mut self, new: New) {
        let New { listeners, streams } = new;
        listeners.iter().for_each(|listener| info!("{} listens on {}", listener.service, listener.addr));
        streams.iter().for_each(|listener| info!("{}/tcp listens on {}", listener.service, listener.addr));
        self.listeners.extend(listeners);
        self.streams.listeners.extend(streams);
    }

    /// Closes the sockets that the configuration no longer names. Members of the room who can be reached by a new one
    /// stay.
    fn close_unwanted(&mut self, now: &Now, config: &Config, new: &[Listener]) {
        let (kept, unwanted): (Vec<_>, Vec<_>) = std::mem::take(&mut self.listeners)
            .into_iter()
            .partition(|open| is_wanted(config, open.service, open.configured));
        self.listeners = kept;
        for mut listener in unwanted {
            info!("{} no longer listens on {}", listener.service, listener.addr);
            if let (Some(hub), ServiceName::Chat) = (&mut self.services.chat, listener.service) {
                match new.iter().find(|new| takes_the_place_of(new, &listener)) {
                    Some(new) => hub.replace_listener(now, listener.id, new.id),
                    None => hub.remove_listener(now, listener.id, &mut self.posts[ServiceName::Chat as usize].outbox),
                }
            }
            // It is closed in a moment, and the poller forgets it then at the latest.
            let _ = listener.deregister(self.poll.registry());
        }
        let is_wanted = |open: &StreamListener| is_wanted(config, open.service, open.configured);
        for listener in self.streams.close_unwanted(self.poll.registry(), is_wanted) {
            info!("{}/tcp no longer listens on {}", listener.service, listener.addr);
        }
    }

    /// Makes, changes and ends services as the configuration in force says; the sockets are there.
    fn serve(&mut self, now: &Now, zones: Zones) {
        self.admission.reconfigure(&self.config);
        let own_ports: Vec<_> = self.listeners.iter().map(|listener| listener.addr.port()).collect();
        self.admission.set_own_ports(&own_ports);
        let config = &self.config;
        self.streams.reconfigure(config);
        self.streams.shut_out(self.poll.registry(), |service, addr, arrived_on| {
            config.listen(service).0 && self.admission.decide(addr, arrived_on, service).is_allowed()
        });

        match &mut self.services.time {
            time if !config.time.enabled => *time = None,
            Some(time) => time.reconfigure(&config.time, zones),
            time => *time = Some(TimeService::new(&config.time, zones, self.seed)),
        }
        self.serve_ntp();
        // One that is new has to know it before the next reading.
        self.services.set_clock(self.clock_state);
        let config = &self.config;
        match &mut self.services.echo {
            echo if !config.echo.enabled => *echo = None,
            Some(echo) => echo.reconfigure(&config.echo),
            echo => *echo = Some(Echo::new(&config.echo, self.seed)),
        }
        let hosts = Hosts::parse(&read_hosts(Path::new(HOSTS_FILE)));
        let outbox = &mut self.posts[ServiceName::Chat as usize].outbox;
        match &mut self.services.chat {
            chat if !config.chat.enabled => *chat = None,
            Some(chat) => {
                chat.shut_out(now, |addr| !may_speak(&self.admission, addr, false), outbox);
                chat.reconfigure(&config.chat, hosts, outbox);
            }
            chat => {
                let hub = chat.insert(Hub::new(&config.chat, &self.host, hosts, self.seed));
                self.state.restore(now, hub, &self.listeners, config.chat.silent_timeout, outbox);
                hub.shut_out(now, |addr| !may_speak(&self.admission, addr, true), outbox);
            }
        }
        if self.config.announce.enabled {
            self.serve_announcements(now);
        }
    }

    fn serve_ntp(&mut self) {
        let config = &self.config.ntp;
        let sockets: Vec<_> = self
            .listeners
            .iter()
            .filter(|listener| listener.service == ServiceName::Ntp)
            .map(|listener| (listener.id, listener.configured))
            .collect();
        match &mut self.services.ntp {
            ntp if !config.enabled => *ntp = None,
            Some(ntp) => ntp.reconfigure(config, &sockets),
            ntp => *ntp = Some(NtpService::new(config, &sockets, clock::precision(), clock::SOURCE_DATE, self.seed)),
        }
    }

    fn serve_announcements(&mut self, now: &Now) {
        let facts = self.facts();
        let sockets: Vec<_> = self
            .listeners
            .iter()
            .filter(|listener| listener.service == ServiceName::Announce)
            .map(|listener| (listener.id, listener.addr))
            .collect();
        let config = &self.config.announce;
        let outbox = &mut self.posts[ServiceName::Announce as usize].outbox;
        let memberships = match &mut self.services.announce {
            Some(announcer) => {
                announcer.set_listeners(&sockets);
                announcer.set_facts(now, facts, outbox);
                announcer.reconfigure(now, config, outbox)
            }
            none => {
                let announcer = none.insert(Announcer::new(config, facts, self.seed));
                announcer.set_listeners(&sockets);
                announcer.set_interfaces(now, &self.interfaces, outbox)
            }
        };
        self.apply(&memberships);
    }
}

/// Whether somebody who is in the room may be. At a start the interfaces may not have their addresses yet, so nobody is shut out
/// then for being on none of their subnets.
fn may_speak(admission: &Admission, addr: IpAddr, is_start: bool) -> bool {
    match admission.decide(addr, 0, ServiceName::Chat).ground {
        Ground::Allowed(_) => true,
        Ground::NoRule => is_start,
        Ground::Denied(_) | Ground::Nobody => false,
    }
}

/// The whole lines in the first [`HOSTS_FILE_MAX`] bytes of a hosts file; nothing when it cannot be read.
fn read_hosts(path: &Path) -> String {
    let mut bytes = Vec::new();
    let Ok(len) = File::open(path).and_then(|file| file.take(HOSTS_FILE_MAX).read_to_end(&mut bytes)) else {
        return String::new();
    };
    if len as u64 == HOSTS_FILE_MAX {
        bytes.truncate(bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or_default());
    }
    // A comment in some old encoding is no reason to do without the names.
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether a new socket answers wherever an old one did: at the same port, of the same address or of all.
fn takes_the_place_of(new: &Listener, old: &Listener) -> bool {
    let same_port = (new.service, new.addr.port()) == (old.service, old.addr.port());
    let covers = new.addr.ip() == old.addr.ip() || new.addr.ip().is_unspecified();
    same_port && covers && new.addr.is_ipv4() == old.addr.is_ipv4()
}

/// The addresses that a service is to be reached at.
fn wanted(config: &Config, service: ServiceName) -> Vec<SocketAddr> {
    let (enabled, listen) = config.listen(service);
    if enabled { listen } else { Vec::new() }
}

/// Whether a socket that is open for an address that was configured is still to be.
fn is_wanted(config: &Config, service: ServiceName, configured: SocketAddr) -> bool {
    wanted(config, service).contains(&configured)
}

/// Whether the reason is that there is no IPv6 on this host, which has these `interfaces`. The defaults must not mind that:
/// systemd leaves out an address that it cannot have.
fn is_ipv6_missing(addr: SocketAddr, fatal: &Fatal, interfaces: &[Interface]) -> bool {
    let missing = match fatal {
        Fatal::Bind { reason, .. } => [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL]
            .iter()
            .any(|&code| errno_text(&std::io::Error::from_raw_os_error(code)) == *reason),
        // Where there is IPv6, loopback has an address.
        Fatal::NotPassed { .. } => {
            !interfaces.iter().flat_map(|interface| &interface.addresses).any(|net| net.addr().is_ipv6())
        }
        _ => false,
    };
    addr.is_ipv6() && addr.ip().is_unspecified() && missing
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_left_out_only_where_the_host_has_no_ipv6() {
        let host = |nets: &[&str]| {
            let addresses = nets.iter().map(|net| net.parse().unwrap()).collect();
            [Interface {
                name: "lo".to_owned(),
                index: 1,
                up: true,
                multicast: false,
                loopback: true,
                addresses,
                peers: Vec::new(),
            }]
        };
        let (without, with) = (host(&["127.0.0.1/8"]), host(&["127.0.0.1/8", "::1/128"]));
        let any: SocketAddr = "[::]:9999".parse().unwrap();
        let not_passed = |addr| Fatal::NotPassed { service: ServiceName::Chat, addr, passed: Vec::new() };
        assert!(is_ipv6_missing(any, &not_passed(any), &without));
        assert!(!is_ipv6_missing(any, &not_passed(any), &with), "the units do not have it");
        for addr in ["0.0.0.0:9999", "[2001:db8::1]:9999"].map(|addr| addr.parse().unwrap()) {
            assert!(!is_ipv6_missing(addr, &not_passed(addr), &without), "{addr}");
        }
    }

    #[test]
    fn a_hosts_file_is_read_up_to_its_bound_in_whole_lines() {
        let path = std::env::temp_dir().join(format!("belfry-hosts-{}", std::process::id()));
        let len = HOSTS_FILE_MAX as usize;
        let line = b"192.0.2.1 tower # \xe9\n";
        let mut bytes = line.repeat(len / line.len());
        bytes.resize(len - 1, b'x');
        std::fs::write(&path, &bytes).unwrap();
        assert!(read_hosts(&path).ends_with("xxx"), "one byte less than the bound");
        bytes.resize(len + 1, b'x');
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read_hosts(&path).lines().count(), len / line.len());
        assert!(read_hosts(&path).ends_with("# \u{fffd}"), "the line that the bound cuts is left out");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(read_hosts(&path), "");
    }
}
