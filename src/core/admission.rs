//! What stands before every service: who is heard, and how often.
//!
//! The cheap and certain refusals come first: a source port at which some service may live, so that no two services
//! can talk to each other for ever; a source address that is nobody's; `[access]`; and at last the token bucket, so
//! that only those who are let in take room in its table. Nothing is answered here, and nothing is logged: each
//! refusal is one counter.

use crate::config::Config;
use crate::core::access::{Access, Decision, Ground};
use crate::core::meter::Meter;
use crate::core::rate::Rate;
use crate::core::{Datagram, DropReason, Instant, Interface, Seed};
use crate::services::ServiceName;
use std::net::IpAddr;

/// Ports below this are given to services (RFC 6335 §6); people ask from above them.
const SERVICE_PORTS_END: u16 = 1_024;

/// The port of NTP.
const NTP_PORT: u16 = 123;

/// Who is heard by which service, and how often.
#[derive(Debug)]
pub struct Admission {
    access: Access,
    own_ports: Vec<u16>,
    /// `None` where a service has no limit.
    meters: [Option<Meter>; ServiceName::ALL.len()],
    seed: Seed,
}

impl Admission {
    /// Admission as `config` says. Until [`Admission::set_interfaces`] only loopback and link-local addresses are
    /// on-link; until [`Admission::set_own_ports`] our own ports are those of `config`.
    pub fn new(config: &Config, seed: Seed) -> Self {
        let mut admission = Self {
            access: Access::new(config, &[]),
            own_ports: Vec::new(),
            meters: [const { None }; ServiceName::ALL.len()],
            seed,
        };
        admission.reconfigure(config);
        admission
    }

    /// Takes over another configuration, its ports included. Buckets are kept where the rate stays the same, so that
    /// a reload is no pardon.
    pub fn reconfigure(&mut self, config: &Config) {
        self.access.reconfigure(config);
        self.set_own_ports(&configured_ports(config));
        for service in ServiceName::ALL {
            let meter = &mut self.meters[service as usize];
            let rate = rate(config, service);
            if meter.as_ref().map(Meter::rate) != rate {
                *meter = rate.map(|rate| Meter::new(rate, self.seed));
            }
        }
    }

    /// Takes over what is on-link from the interfaces as they are now.
    pub fn set_interfaces(&mut self, interfaces: &[Interface]) {
        self.access.set_interfaces(interfaces);
    }

    /// Takes over the ports that our listeners have, whatever the configuration says: port 0 is the kernel's choice,
    /// and systemd may have bound others.
    pub fn set_own_ports(&mut self, ports: &[u16]) {
        self.own_ports.clear();
        self.own_ports.extend(ports);
        self.own_ports.sort_unstable();
        self.own_ports.dedup();
    }

    /// Whether a source may speak to a service by way of an interface (0 where that is not known), and why.
    pub fn decide(&self, addr: IpAddr, arrived_on: u32, service: ServiceName) -> Decision<'_> {
        self.access.decide(addr, arrived_on, service)
    }

    /// Says whether `service` may hear this datagram, and notes on it whether its source is on-link.
    pub fn check(&self, service: ServiceName, datagram: &mut Datagram<'_>) -> Result<(), DropReason> {
        let source = datagram.path.remote;
        // A question to everybody (broadcast) is the announcer's alone: a whole network must not answer one datagram.
        if datagram.multicast && service != ServiceName::Announce {
            return Err(DropReason::NotForUs);
        }
        // Many an NTP server asks others from its own port (RFC 5905 §9.1). Questions are all that is answered there.
        let is_ntp_server = service == ServiceName::Ntp && source.port() == NTP_PORT;
        let is_service = source.port() < SERVICE_PORTS_END || self.own_ports.binary_search(&source.port()).is_ok();
        if is_service && !is_ntp_server {
            // Announcements, ours that come back and those of others, are what a group is for.
            return Err(if datagram.multicast { DropReason::NotForUs } else { DropReason::SourcePort });
        }
        let decision = self.access.decide(source.ip(), datagram.arrived_on, service);
        datagram.on_link = decision.on_link.is_some();
        match decision.ground {
            Ground::Allowed(_) => Ok(()),
            Ground::Denied(_) | Ground::NoRule => Err(DropReason::Access),
            Ground::Nobody => Err(DropReason::SourceAddress),
        }
    }

    /// Says whether a source that has connected to a service may, and takes a token of it; if so, whether it is on-link.
    ///
    /// Whoever has connected has shown to be there. Its port does not matter: nobody can introduce two services to each other so.
    pub fn admit_connection(
        &mut self,
        service: ServiceName,
        now: Instant,
        addr: IpAddr,
        arrived_on: u32,
    ) -> Result<bool, DropReason> {
        let decision = self.access.decide(addr, arrived_on, service);
        let on_link = decision.on_link.is_some();
        match decision.ground {
            Ground::Allowed(_) => {}
            Ground::Denied(_) | Ground::NoRule => return Err(DropReason::Access),
            Ground::Nobody => return Err(DropReason::SourceAddress),
        }
        let meter = self.meters[service as usize].as_mut();
        let in_time = meter.is_none_or(|meter| meter.allow(now, addr, on_link, true));
        if in_time { Ok(on_link) } else { Err(DropReason::RateLimit) }
    }

    /// Says whether the questions to a service pile up, or its answers, and only sources that have been sparing are to be heard.
    pub fn set_congested(&mut self, service: ServiceName, congested: bool) {
        if let Some(meter) = &mut self.meters[service as usize] {
            meter.set_congested(congested);
        }
    }

    /// Takes a token of the source of a datagram that may be heard; `is_vouched` says that it shows to be from there.
    pub fn take_token(
        &mut self,
        service: ServiceName,
        now: Instant,
        datagram: &Datagram<'_>,
        is_vouched: bool,
    ) -> Result<(), DropReason> {
        let addr = datagram.path.remote.ip();
        let meter = self.meters[service as usize].as_mut();
        let in_time = meter.is_none_or(|meter| meter.allow(now, addr, datagram.on_link, is_vouched));
        if in_time { Ok(()) } else { Err(DropReason::RateLimit) }
    }
}

fn configured_ports(config: &Config) -> Vec<u16> {
    let listen = ServiceName::ALL.into_iter().flat_map(|service| config.listen(service).1);
    listen.map(|addr| addr.port()).filter(|&port| port != 0).collect()
}

fn rate(config: &Config, service: ServiceName) -> Option<Rate> {
    match service {
        ServiceName::Time => config.time.rate_limit,
        ServiceName::Chat => config.chat.rate_limit,
        ServiceName::Announce => config.announce.rate_limit,
        // Mostly these do not run, and a table of buckets is a quarter of a megabyte.
        ServiceName::Ntp => config.ntp.rate_limit.filter(|_| config.ntp.enabled),
        ServiceName::Echo => config.echo.rate_limit.filter(|_| config.echo.enabled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{ListenerId, Path};
    use std::time::Duration;

    const START: Instant = Instant::from_nanos(5_000_000_000);

    fn admit(admission: &mut Admission, service: ServiceName, source: &str) -> Result<(), DropReason> {
        let path = Path::to(ListenerId(0), source.parse().unwrap());
        admit_at(admission, service, START, &mut Datagram::unicast(path, b"%H"))
    }

    fn admit_at(
        admission: &mut Admission,
        service: ServiceName,
        now: Instant,
        datagram: &mut Datagram<'_>,
    ) -> Result<(), DropReason> {
        admission.check(service, datagram)?;
        admission.take_token(service, now, datagram, false)
    }

    fn config(edit: impl FnOnce(&mut Config)) -> Config {
        let mut config = Config::default();
        edit(&mut config);
        config
    }

    #[test]
    fn services_and_nobodies_are_not_heard() {
        let mut admission = Admission::new(&Config::default(), Seed(1));
        let table = [
            ("127.0.0.1:0", Err(DropReason::SourcePort)),
            ("127.0.0.1:1023", Err(DropReason::SourcePort)),
            ("127.0.0.1:1024", Ok(())),
            ("127.0.0.1:8079", Ok(())),
            ("127.0.0.1:8080", Err(DropReason::SourcePort)),
            ("[::1]:9999", Err(DropReason::SourcePort)),
            ("[::1]:8001", Err(DropReason::SourcePort)),
            ("[::1]:8002", Ok(())),
            ("0.0.0.0:5000", Err(DropReason::SourceAddress)),
            ("[::]:5000", Err(DropReason::SourceAddress)),
            ("224.0.0.1:5000", Err(DropReason::SourceAddress)),
            ("239.255.255.255:5000", Err(DropReason::SourceAddress)),
            ("[ff02::1]:5000", Err(DropReason::SourceAddress)),
            ("255.255.255.255:5000", Err(DropReason::SourceAddress)),
            ("[::ffff:255.255.255.255]:5000", Err(DropReason::SourceAddress)),
            ("192.0.2.1:5000", Err(DropReason::Access)),
            ("[::ffff:127.0.0.1]:5000", Ok(())),
        ];
        for (source, admitted) in table {
            assert_eq!(admit(&mut admission, ServiceName::Time, source), admitted, "{source}");
        }
    }

    #[test]
    fn an_ntp_server_asks_from_its_own_port_and_is_heard_there_by_ntp_alone() {
        let mut admission = Admission::new(&config(|c| c.ntp.enabled = true), Seed(1));
        assert_eq!(admit(&mut admission, ServiceName::Ntp, "127.0.0.1:123"), Ok(()));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:123"), Err(DropReason::SourcePort));
        for port in ["13", "37", "122", "8080"] {
            let source = format!("127.0.0.1:{port}");
            assert_eq!(admit(&mut admission, ServiceName::Ntp, &source), Err(DropReason::SourcePort), "{port}");
        }
    }

    #[test]
    fn our_own_ports_are_those_that_are_bound() {
        let mut admission = Admission::new(&Config::default(), Seed(1));
        admission.set_own_ports(&[40_001, 40_000, 40_001]);
        assert_eq!(admit(&mut admission, ServiceName::Chat, "127.0.0.1:40000"), Err(DropReason::SourcePort));
        assert_eq!(admit(&mut admission, ServiceName::Chat, "127.0.0.1:40001"), Err(DropReason::SourcePort));
        assert_eq!(admit(&mut admission, ServiceName::Chat, "127.0.0.1:8080"), Ok(()));
    }

    #[test]
    fn one_service_does_not_spend_the_tokens_of_another() {
        let one = Some(Rate::new(1, 1));
        let mut admission = Admission::new(&config(|c| (c.time.rate_limit, c.chat.rate_limit) = (one, one)), Seed(1));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5000"), Ok(()));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5001"), Err(DropReason::RateLimit));
        assert_eq!(admit(&mut admission, ServiceName::Chat, "127.0.0.1:5000"), Ok(()));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.2:5000"), Ok(()));
    }

    #[test]
    fn who_is_not_let_in_spends_no_tokens() {
        let one = Some(Rate::new(1, 1));
        let mut admission = Admission::new(&config(|c| c.time.rate_limit = one), Seed(1));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:53"), Err(DropReason::SourcePort));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5000"), Ok(()));
    }

    #[test]
    fn a_reload_keeps_the_buckets_of_a_rate_that_stays() {
        let one = Some(Rate::new(1, 1));
        let mut admission = Admission::new(&config(|c| c.time.rate_limit = one), Seed(1));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5000"), Ok(()));
        admission.reconfigure(&config(|c| {
            c.time.rate_limit = one;
            c.chat.rate_limit = None;
        }));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5000"), Err(DropReason::RateLimit));
        for _ in 0..10_000 {
            assert_eq!(admit(&mut admission, ServiceName::Chat, "127.0.0.1:5000"), Ok(()));
        }
        admission.reconfigure(&config(|c| c.time.rate_limit = Some(Rate::new(1, 2))));
        assert_eq!(admit(&mut admission, ServiceName::Time, "127.0.0.1:5000"), Ok(()));
    }

    #[test]
    fn a_reload_takes_over_access_and_ports() {
        let mut admission = Admission::new(&Config::default(), Seed(1));
        admission.set_interfaces(&[Interface {
            index: 2,
            name: "eth0".to_owned(),
            up: true,
            multicast: true,
            loopback: false,
            peers: Vec::new(),
            addresses: vec!["192.0.2.1/24".parse().unwrap()],
        }]);
        assert_eq!(admit(&mut admission, ServiceName::Time, "192.0.2.9:5000"), Ok(()));
        admission.reconfigure(&config(|c| {
            c.access.deny = vec!["192.0.2.9".parse().unwrap()];
            c.chat.listen = vec!["0.0.0.0:5001".parse().unwrap()];
        }));
        assert_eq!(admit(&mut admission, ServiceName::Time, "192.0.2.9:5000"), Err(DropReason::Access));
        assert_eq!(admit(&mut admission, ServiceName::Time, "192.0.2.8:5000"), Ok(()), "interfaces stay");
        assert_eq!(admit(&mut admission, ServiceName::Time, "192.0.2.8:5001"), Err(DropReason::SourcePort));
        assert!(!admission.decide("192.0.2.9".parse().unwrap(), 0, ServiceName::Chat).is_allowed());
    }

    #[test]
    fn who_has_connected_may_come_from_any_port_and_takes_no_token_of_datagrams() {
        let mut admission = Admission::new(
            &config(|c| {
                c.echo.enabled = true;
                c.echo.rate_limit = Some(Rate::new(1, 2));
                c.echo.deny = vec!["127.0.0.2".parse().unwrap()];
            }),
            Seed(1),
        );
        let connect = |admission: &mut Admission, addr: &str| {
            admission.admit_connection(ServiceName::Echo, START, addr.parse().unwrap(), 0)
        };
        // Somebody sends datagrams in its name.
        while admit(&mut admission, ServiceName::Echo, "127.0.0.1:5000").is_ok() {}
        let expected = [Ok(true), Ok(true), Err(DropReason::RateLimit)];
        assert_eq!(expected.map(|_| connect(&mut admission, "127.0.0.1")), expected);
        assert_eq!(connect(&mut admission, "127.0.0.2"), Err(DropReason::Access));
        assert_eq!(connect(&mut admission, "192.0.2.1"), Err(DropReason::Access));
        assert_eq!(connect(&mut admission, "224.0.0.1"), Err(DropReason::SourceAddress));
    }

    #[test]
    fn tokens_come_back_with_time() {
        let one = Some(Rate::new(1, 1));
        let mut admission = Admission::new(&config(|c| c.time.rate_limit = one), Seed(1));
        let path = Path::to(ListenerId(0), "127.0.0.1:5000".parse().unwrap());
        let mut datagram = Datagram::unicast(path, b"");
        let mut at =
            |after| admit_at(&mut admission, ServiceName::Time, START + Duration::from_millis(after), &mut datagram);
        assert_eq!(at(0), Ok(()));
        assert_eq!(at(999), Err(DropReason::RateLimit));
        assert_eq!(at(1_000), Ok(()));
    }
}
