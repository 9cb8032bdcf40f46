//! The chat: a session comes in, sends heartbeats one after the other, and goes.
//!
//! It is in a room of its own, so that nobody in the lobby hears of it.

use super::{CHECKS, Finding, Report, figures};
use crate::client::attendance::{Attendance, News};
use crate::client::millis::shown;
use crate::client::progress::Progress;
use crate::client::say::closed;
use crate::client::server::Chosen;
use crate::client::session::{Event, Options, Reason, Wanted};
use crate::client::{Failure, Who};
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

/// When a heartbeat counts as lost, on a quick way: others may take four times as long as the welcome has. A late answer would
/// pass for that to the next.
const LATE_MIN: Duration = Duration::from_millis(500);

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
    let wanted = Wanted { room: NAME.to_owned(), from: None };
    let options = Options { name: Some(NAME.to_owned()), rooms: vec![wanted], ..Options::default() };
    // Not by discovery once more.
    let mut attendance = match Attendance::begin_at(chosen.clone(), who.timeout * PATIENCE, &options) {
        Ok(attendance) => attendance,
        Err(failure) => return report.tell(&Finding::unreachable("chat", ServiceName::Chat, &failure)),
    };
    let checked = check(&mut attendance, who.timeout, count, report);
    attendance.leave();
    report.progress = Progress::begin(CHECKS, None);
    checked?.map_or(Ok(()), |finding| report.tell(&finding))
}

/// What there is to say at the end.
fn check<W: Write>(
    attendance: &mut Attendance,
    timeout: Duration,
    count: u32,
    report: &mut Report<'_, W>,
) -> Result<Option<Finding>, Failure> {
    let begin = attendance.now();
    let wrong = come_in(attendance)?;
    if attendance.session().is_connected() {
        report.answered.push(ServiceName::Chat);
    }
    if wrong.is_some() {
        return Ok(wrong);
    }
    let (addr, took) = (attendance.addr(), shown(attendance.now().since(begin)));
    report.tell(&Finding::ok("chat", format!("{addr} has let a session in after {took}")))?;
    if count == 0 { Ok(None) } else { measure(attendance, timeout, count, report).map(Some) }
}

/// Waits until we are in our room; or what is wrong.
fn come_in(attendance: &mut Attendance) -> Result<Option<Finding>, Failure> {
    loop {
        while let Some(news) = attendance.next() {
            match news {
                News::Event(Event::Joined { room, .. }) if room.eq_ignore_ascii_case(NAME) => return Ok(None),
                // The hub has put us elsewhere.
                News::Event(Event::Joined { .. } | Event::Left { .. }) => return Ok(Some(no_room())),
                News::Event(Event::Full) => {
                    let advice = "raise max-members in [chat] of the server, or remove somebody: belfry ctl kick NAME";
                    return Ok(Some(Finding::bad("chat", "the hub is full", advice)));
                }
                News::Event(Event::Closed(reason)) => return Ok(Some(ended(&reason))),
                News::Trouble(failure) => {
                    return Ok(Some(Finding::unreachable("chat", ServiceName::Chat, &failure)));
                }
                News::Event(_) => {}
            }
        }
        if attendance.wait(&[])?.is_interrupted {
            return Err(interrupted());
        }
    }
}

fn no_room() -> Finding {
    let text = format!("the hub has let a session in, but cannot make the room {NAME}: the loss is not measured");
    Finding::note("chat", text, "wait until rooms that nobody is in are forgotten; belfry rooms lists all")
}

fn ended(reason: &Reason) -> Finding {
    let advice = match reason {
        Reason::Version => "update whichever is older",
        _ => "ask the operator of the server why",
    };
    Finding::bad("chat", closed(reason).to_string(), advice)
}

fn interrupted() -> Failure {
    Failure::Failed("interrupted".to_owned())
}

/// Sends heartbeats, each when the one before is answered or lost, and not too fast.
fn measure<W: Write>(
    attendance: &mut Attendance,
    timeout: Duration,
    count: u32,
    report: &mut Report<'_, W>,
) -> Result<Finding, Failure> {
    report.progress = Progress::begin("heartbeats", Some(u64::from(count)));
    let (mut round_trips, mut sent, mut lost_in_a_row) = (Vec::new(), 0, 0);
    let welcome = attendance.session().figures().round_trip.unwrap_or_default();
    let late = (welcome * 4).max(LATE_MIN).min(timeout);
    while sent < count as usize && lost_in_a_row < LOST_IN_A_ROW_MAX {
        let now = attendance.now();
        let before = attendance.session().heartbeats().answered;
        if !attendance.session().beat(now) {
            break;
        }
        sent += 1;
        let is_answered = |attendance: &mut Attendance| attendance.session().heartbeats().answered > before;
        if let Some(reason) = wait(attendance, now + late, is_answered)? {
            return Ok(ended(&reason));
        }
        if is_answered(attendance) {
            round_trips.extend(attendance.session().heartbeats().round_trip);
            lost_in_a_row = 0;
        } else {
            lost_in_a_row += 1;
        }
        report.progress.advance(1);
        if let Some(reason) = wait(attendance, now + PACE, |_| false)? {
            return Ok(ended(&reason));
        }
    }
    let (figures, text) = figures(sent, round_trips);
    let advice = "sessions ask again for what is lost; if it is wireless, go nearer or change its channel, if not, look \
                  for errors of the interface: ip -s link";
    let finding = match figures.lost {
        0 => Finding::ok("loss", text),
        lost if lost * 100 <= sent * LOST_PERCENT_MAX => Finding::note("loss", text, advice),
        _ => Finding::bad("loss", text, advice),
    };
    Ok(Finding { figures: Some(figures), ..finding })
}

/// Waits until `is_over`, at most until `until`; or why the session is over.
fn wait(
    attendance: &mut Attendance,
    until: Instant,
    is_over: impl Fn(&mut Attendance) -> bool,
) -> Result<Option<Reason>, Failure> {
    while !is_over(attendance) && attendance.now() < until {
        if attendance.wait_until(Some(until), &[])?.is_interrupted {
            return Err(interrupted());
        }
        while let Some(news) = attendance.next() {
            if let News::Event(Event::Closed(reason)) = news {
                return Ok(Some(reason));
            }
        }
    }
    Ok(None)
}
