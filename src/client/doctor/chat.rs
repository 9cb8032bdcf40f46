//! The chat: a session comes in, sends heartbeats one after the other, and goes.
//!
//! It is in a room of its own, so that nobody in the lobby hears of it.

use super::{CHECKS, Finding, Report, figures};
use crate::client::attendance::{Attendance, News};
use crate::client::millis::shown;
use crate::client::progress::Progress;
use crate::client::server::Chosen;
use crate::client::session::{Event, Options, Reason, Wanted};
use crate::client::{Failure, Who};
use crate::clock::Clock;
use crate::core::Instant;
use crate::services::ServiceName;
use std::io::Write;
use std::time::Duration;

/// What we are called, and the room that we are in.
const NAME: &str = "doctor";

/// To come in takes four datagrams in a row, of which any may be lost: so much longer than other answers may it take.
const PATIENCE: u32 = 2;

/// Between two heartbeats: forty a second. A hub that goes by its defaults takes fifty.
const PACE: Duration = Duration::from_millis(25);

/// When a heartbeat counts as lost.
const LATE: Duration = Duration::from_millis(500);

/// So many lost in a row, and the rest would be too.
const LOST_IN_A_ROW_MAX: usize = 10;

/// Up to so many lost in a hundred nobody notices much: sessions ask again.
const LOST_PERCENT_MAX: usize = 5;

/// Comes in, measures, goes.
pub(super) fn chat<W: Write>(
    who: &Who,
    chosen: &Chosen,
    count: u32,
    report: &mut Report<'_, W>,
) -> Result<(), Failure> {
    // Not by discovery once more.
    let addr = super::first(chosen, ServiceName::Chat)?;
    let server = addr.to_string().parse().map_err(Failure::Usage)?;
    let who = Who { server: vec![server], timeout: who.timeout * PATIENCE };
    let wanted = Wanted { room: NAME.to_owned(), from: None };
    let options = Options { name: Some(NAME.to_owned()), rooms: vec![wanted], ..Options::default() };
    let clock = Clock::new();
    let begin = clock.now().mono;
    let mut attendance = match Attendance::begin(&who, &options) {
        Ok(attendance) => attendance,
        Err(failure) => return report.tell(&Finding::unreachable("chat", ServiceName::Chat, &failure)),
    };
    if let Err(finding) = come_in(&mut attendance) {
        attendance.leave();
        return report.tell(&finding);
    }
    report.answered.push(ServiceName::Chat);
    let took = shown(clock.now().mono.since(begin));
    report.tell(&Finding::ok("chat", format!("{addr} has let a session in after {took}")))?;
    let measured = if count > 0 { measure(&mut attendance, &clock, count, report) } else { Ok(None) };
    attendance.leave();
    match measured? {
        Some(finding) => report.tell(&finding),
        None => Ok(()),
    }
}

/// Waits for the welcome; fails with what is wrong.
fn come_in(attendance: &mut Attendance) -> Result<(), Box<Finding>> {
    let bad = |text: &str, advice: &str| Err(Box::new(Finding::bad("chat", text, advice)));
    let failed = |failure: Failure| Box::new(Finding::unreachable("chat", ServiceName::Chat, &failure));
    loop {
        while let Some(news) = attendance.next() {
            match news {
                News::Event(Event::Welcomed { .. }) => return Ok(()),
                News::Event(Event::Full) => {
                    let advice = "raise max-members in [chat] of the server, or remove somebody: belfry ctl kick NAME";
                    return bad("the hub is full", advice);
                }
                News::Event(Event::Closed(Reason::Version)) => {
                    return bad("the hub speaks another version", "update whichever is older");
                }
                News::Trouble(failure) => return Err(failed(failure)),
                News::Event(_) => {}
            }
        }
        if attendance.wait(&[]).map_err(failed)?.is_interrupted {
            return Err(failed(Failure::Failed("interrupted".to_owned())));
        }
    }
}

/// Sends heartbeats, each when the one before is answered or lost, and not too fast.
fn measure<W: Write>(
    attendance: &mut Attendance,
    clock: &Clock,
    count: u32,
    report: &mut Report<'_, W>,
) -> Result<Option<Finding>, Failure> {
    report.progress = Progress::begin("heartbeats", Some(u64::from(count)));
    let (mut round_trips, mut sent, mut lost_in_a_row) = (Vec::new(), 0, 0);
    while sent < count as usize && lost_in_a_row < LOST_IN_A_ROW_MAX {
        let now = clock.now().mono;
        let before = attendance.session().heartbeats().answered;
        if !attendance.session().beat(now) {
            break;
        }
        sent += 1;
        let is_answered = |attendance: &mut Attendance| attendance.session().heartbeats().answered > before;
        if wait(attendance, clock, now + LATE, is_answered)? {
            break;
        }
        if is_answered(attendance) {
            round_trips.extend(attendance.session().heartbeats().round_trip);
            lost_in_a_row = 0;
        } else {
            lost_in_a_row += 1;
        }
        report.progress.advance(1);
        if wait(attendance, clock, now + PACE, |_| false)? {
            break;
        }
    }
    report.progress = Progress::begin(CHECKS, None);
    let (figures, text) = figures(sent, round_trips);
    let advice = "sessions ask again for what is lost; if it is wireless, go nearer or change its channel, if not, look \
                  for errors of the interface: ip -s link";
    let finding = match figures.lost {
        0 => Finding::ok("loss", text),
        lost if lost * 100 <= sent * LOST_PERCENT_MAX => Finding::note("loss", text, advice),
        _ => Finding::bad("loss", text, advice),
    };
    Ok(Some(Finding { figures: Some(figures), ..finding }))
}

/// Waits until `is_over`, at most until `until`; whether we were interrupted.
fn wait(
    attendance: &mut Attendance,
    clock: &Clock,
    until: Instant,
    is_over: impl Fn(&mut Attendance) -> bool,
) -> Result<bool, Failure> {
    while !is_over(attendance) && clock.now().mono < until {
        if attendance.wait_until(Some(until), &[])?.is_interrupted {
            return Ok(true);
        }
        while attendance.next().is_some() {}
    }
    Ok(false)
}
