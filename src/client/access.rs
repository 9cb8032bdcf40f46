//! `belfry access`: may somebody speak to the daemon of this host, and why?
//!
//! It asks by the control socket, so the answer is about the rules that are in force and the interfaces as they are now,
//! and is made by the code that decides about datagrams.

use super::daemon::Daemon;
use super::{Failure, Who};
use crate::control::{self, Request};
use crate::core::escape::one_line;
use crate::services::ServiceName;
use clap::Args;
use clap::builder::PossibleValuesParser;
use std::io::Write;
use std::net::IpAddr;
use std::process::ExitCode;
use std::str::FromStr;

/// What `belfry access` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The address, as 192.0.2.7, 2001:db8::7 or fe80::7%eth0; a port behind it does not matter
    #[arg(value_name = "ADDRESS")]
    source: Source,
    /// The service that it would speak to [default: each]
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(ServiceName::ALL.map(ServiceName::name)))]
    service: Option<String>,
    /// The interface that it would come by [default: any]
    #[arg(long, value_name = "NAME")]
    interface: Option<String>,
    #[command(flatten)]
    daemon: Daemon,
}

/// An address, and the interface behind it (RFC 4007 §11).
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    addr: IpAddr,
    zone: Option<String>,
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']').ok_or("the ] is missing")?;
                let port = if after.is_empty() { None } else { Some(after.strip_prefix(':').ok_or("expected :PORT")?) };
                (host, port)
            }
            // One colon stands before a port, several in an IPv6 address.
            None => match text.split_once(':') {
                Some((host, port)) if !port.contains(':') => (host, Some(port)),
                _ => (text, None),
            },
        };
        let (addr, zone) = host.split_once('%').map_or((host, None), |(addr, zone)| (addr, Some(zone)));
        let is_good = port.is_none_or(|port| port.parse::<u16>().is_ok()) && zone != Some("");
        match addr.parse() {
            Ok(addr) if is_good => Ok(Self { addr, zone: zone.map(str::to_owned) }),
            _ => Err("expected an address, such as 192.0.2.7, 2001:db8::7 or fe80::7%eth0".to_owned()),
        }
    }
}

/// Prints a line for each decision, and tells by the exit status whether all let the source in.
pub(super) fn access(who: &Who, options: &Options, out: &mut impl Write) -> Result<ExitCode, Failure> {
    let answer = options.daemon.ask(who, &request(options)?, show, out)?;
    let allowed = answer.decisions.iter().all(|decision| decision.allowed);
    Ok(if allowed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn request(Options { source, service, interface, .. }: &Options) -> Result<Request, Failure> {
    let Source { addr, zone } = source.clone();
    if let (Some(zone), Some(interface)) = (&zone, interface)
        && zone != interface
    {
        return Err(Failure::Usage(format!("the address is on {zone}, and not on {interface}")));
    }
    Ok(Request::Access { address: addr, service: service.clone(), interface: zone.or_else(|| interface.clone()) })
}

fn show(answer: &control::Access) -> String {
    let line = |decision: &control::Decision| {
        let off = if decision.enabled { "" } else { " (switched off)" };
        one_line(format_args!("{}{off}: {}", decision.service, decision.sentence), usize::MAX) + "\n"
    };
    answer.decisions.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Cli, Command};
    use clap::Parser;

    /// The line that is asked, or the complaint.
    fn asked(words: &[&str]) -> Result<String, String> {
        let cli = Cli::try_parse_from([&["belfry", "access"], words].concat()).map_err(|error| error.to_string())?;
        let Command::Access(options) = cli.command else { panic!("{words:?}") };
        request(&options).map(|request| request.line()).map_err(|failure| failure.to_string())
    }

    #[test]
    fn an_address_is_read_as_people_and_members_write_it() {
        for (words, rest) in [
            (&["192.0.2.7"][..], r#""address":"192.0.2.7""#),
            (&["192.0.2.7:40001"], r#""address":"192.0.2.7""#),
            (&["2001:db8::7"], r#""address":"2001:db8::7""#),
            (&["[2001:db8::7]"], r#""address":"2001:db8::7""#),
            (&["[2001:db8::7]:40001"], r#""address":"2001:db8::7""#),
            (&["::ffff:192.0.2.7"], r#""address":"::ffff:192.0.2.7""#),
            (&["fe80::7%eth0"], r#""address":"fe80::7","interface":"eth0""#),
            (&["[fe80::7%3]:40001"], r#""address":"fe80::7","interface":"3""#),
            (&["fe80::7%eth0", "--interface", "eth0"], r#""address":"fe80::7","interface":"eth0""#),
            (
                &["--service", "chat", "192.0.2.7", "--interface", "wlan0", "--json"],
                r#""address":"192.0.2.7","service":"chat","interface":"wlan0""#,
            ),
        ] {
            assert_eq!(asked(words), Ok(format!(r#"{{"command":"access",{rest}}}"#)), "{words:?}");
        }
        let cases = [
            "",
            "localhost",
            "192.0.2",
            "192.0.2.0/24",
            "192.0.2.7:port",
            "[2001:db8::7",
            "[2001:db8::7]40001",
            "fe80::7%",
        ];
        for text in cases {
            assert!(asked(&[text]).is_err(), "{text}");
        }
        assert!(asked(&["192.0.2.7", "--service", "dns"]).is_err());
        let contradiction = asked(&["fe80::7%eth0", "--interface", "eth1"]);
        assert_eq!(contradiction.unwrap_err(), "the address is on eth0, and not on eth1");
    }

    #[test]
    fn a_decision_is_a_line_whatever_is_in_it() {
        let decision = |service: &str, enabled| control::Decision {
            service: service.to_owned(),
            enabled,
            allowed: true,
            rule: None,
            place: None,
            on_link: false,
            subnet: None,
            interface: None,
            sentence: "anna\x1b[2J\nbob".to_owned(),
        };
        let decisions = vec![decision("time", true), decision("chat", false)];
        let shown = show(&control::Access { decisions });
        assert_eq!(shown, "time: anna\\u{1b}[2J\\nbob\nchat (switched off): anna\\u{1b}[2J\\nbob\n");
    }
}
