//! The time service, the announcer, and the network between.

use super::{Finding, Report, first};
use crate::client::link::Link;
use crate::client::millis::{shown, shown_signed};
use crate::client::server::Chosen;
use crate::client::time::samples::sample;
use crate::client::time::{Request, SAMPLES, clock_state};
use crate::client::{Failure, discover};
use crate::core::limits::DATAGRAM_MAX;
use crate::services::ServiceName;
use crate::services::announce::PADDED_QUESTION;
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// From here on two clocks differ by more than people overlook.
const DIFFERENCE_MAX: Duration = Duration::from_secs(1);

/// A request for the longest answer, and as many zero bytes behind it as pay for that.
const LONG_REQUEST: [u8; 400] = {
    let mut request = [0; 400];
    request.split_at_mut(6).0.copy_from_slice(b"%1232H");
    request
};

/// Headers of IPv4 and UDP.
const HEADERS_LEN: usize = 28;

/// The time service, its clock; and where it has answered.
pub(super) fn time<W: Write>(
    chosen: &Chosen,
    timeout: Duration,
    report: &mut Report<'_, W>,
) -> Result<Option<SocketAddr>, Failure> {
    let outcomes = sample(std::slice::from_ref(chosen), &Request::exact(), SAMPLES, timeout)?;
    let outcome = &outcomes[0];
    let (Some(best), Some(addr)) = (outcome.best(), outcome.addr) else {
        if let Err(failure) = &outcome.samples {
            report.tell(&Finding::unreachable("time", ServiceName::Time, failure))?;
        }
        return Ok(None);
    };
    report.answered.push(ServiceName::Time);
    report.tell(&Finding::ok("time", format!("{addr} answers in {}", shown(best.round_trip))))?;
    let state = clock_state(addr, timeout).unwrap_or_else(|failure| failure.to_string());
    let difference = format!("{} from ours, uncertain by {}", shown_signed(best.offset), shown(best.round_trip / 2));
    let least = best.offset.unsigned_abs().saturating_sub((best.round_trip / 2).as_nanos());
    let text = format!("{difference}; {state}");
    report.tell(&if least >= DIFFERENCE_MAX.as_nanos() {
        Finding::bad("clock", text, "find out which of the two is right: timedatectl, here and on the server")
    } else if state.starts_with("clock synchronised") {
        Finding::ok("clock", text)
    } else {
        Finding::note("clock", text, "have the server's clock kept right: timedatectl set-ntp true, on the server")
    })?;
    Ok(Some(addr))
}

/// The announcer, asked alone and by its group.
pub(super) fn announcer<W: Write>(
    chosen: &Chosen,
    timeout: Duration,
    report: &mut Report<'_, W>,
) -> Result<(), Failure> {
    // No round trip: an announcer that was asked a moment ago leaves the next question to be repeated.
    let asked = Link::with_first_of(chosen, ServiceName::Announce, timeout, |link, patience| {
        Ok((link.addr, link.ask(&PADDED_QUESTION, patience, discover::acknowlege)?))
    });
    match &asked {
        Ok((addr, _)) => {
            report.answered.push(ServiceName::Announce);
            report.tell(&Finding::ok("announcer", format!("{addr} answers")))?;
        }
        Err(failure @ Failure::NobodyListens(_)) => {
            let advice = "set enabled = true in [announce] of the server, unless it is not to be found by itself";
            return report.tell(&Finding::note("announcer", failure.to_string(), advice));
        }
        Err(failure) => report.tell(&Finding::unreachable("announcer", ServiceName::Announce, failure))?,
    }
    let (addr, alone) = match asked {
        Ok((addr, answer)) => (addr, Some(answer)),
        Err(_) => (first(chosen, ServiceName::Announce)?, None),
    };
    report.tell(&match discover::answers_groups(addr, alone) {
        Ok(Some(true)) => Finding::ok("discovery", "a question to the group is answered"),
        Ok(Some(false)) => Finding::bad(
            "discovery",
            "the server does not answer a question to the group",
            "see why: belfry discover -v; or name the server: --server, BELFRY_SERVER, ~/.config/belfry/belfry.toml",
        ),
        Ok(None) => Finding::note(
            "discovery",
            "the server is on another network, where no question to a group gets",
            "name it: --server, BELFRY_SERVER, ~/.config/belfry/belfry.toml",
        ),
        Err(failure) => Finding::bad("discovery", failure.to_string(), "see which interfaces there are: ip address"),
    })
}

/// Whether the longest datagrams come whole.
pub(super) fn mtu<W: Write>(addr: SocketAddr, timeout: Duration, report: &mut Report<'_, W>) -> Result<(), Failure> {
    let link = Link::open(addr)?;
    let came = link.ask(&LONG_REQUEST, timeout, |payload| Some(payload.len()));
    let mtu = link.mtu().map_or_else(String::new, |mtu| format!("; the MTU of the way there is {mtu}"));
    let advice = "give every interface on the way an MTU of 1280 or more (ip link), and let no firewall drop fragments or \
                  ICMP \"fragmentation needed\"";
    report.tell(&match came {
        Ok(DATAGRAM_MAX) if link.mtu().is_some_and(|mtu| mtu < DATAGRAM_MAX + HEADERS_LEN) => {
            Finding::note("size", format!("a datagram of {DATAGRAM_MAX} bytes comes in fragments{mtu}"), advice)
        }
        Ok(DATAGRAM_MAX) => Finding::ok("size", format!("a datagram of {DATAGRAM_MAX} bytes comes whole{mtu}")),
        Ok(len) => Finding::note("size", format!("the longest answer has {len} bytes{mtu}"), "update the server"),
        Err(failure) => {
            Finding::bad("size", format!("no datagram of {DATAGRAM_MAX} bytes comes: {failure}{mtu}"), advice)
        }
    })
}
