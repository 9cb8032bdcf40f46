//! `belfry tail`: what is said in rooms, line by line, until interrupted; and `belfry history`: what was said there.
//!
//! Standard output has what is said and nothing else. That the hub is away, or that something is lost, is said on standard
//! error, once.

use super::attendance::{Attendance, News};
use super::entrance::Entrance;
use super::print::{Style, local_zone};
use super::printer::{Printer, Reader};
use super::say::closed;
use super::session::{self, Event, Message, Wanted};
use super::{Failure, Who, complain, shown};
use crate::clock::Clock;
use crate::core::Instant;
use crate::core::frame::MAILBOX;
use crate::core::text::plural;
use clap::Args;
use std::fmt;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

/// What `belfry tail` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Begin with earlier messages: the last 20 of each room, or those of the last 15m
    #[arg(long, value_name = "COUNT|DURATION")]
    since: Option<Since>,
    /// Print the time of each message
    #[arg(long, short)]
    time: bool,
    /// Exit when nothing has been said for this long
    #[arg(long, value_name = "DURATION", value_parser = super::parse_timeout)]
    until_idle: Option<Duration>,
}

/// What `belfry history` can be told.
#[derive(Debug, Args)]
pub(super) struct HistoryOptions {
    /// How many messages of each room, or how far back: 20, 15m
    #[arg(value_name = "COUNT|DURATION", default_value = "20")]
    since: Since,
    #[command(flatten)]
    source: Source,
}

/// Whose messages, and how they are printed.
#[derive(Debug, Args)]
struct Source {
    /// The room [default: the lobby]; can be repeated
    #[arg(long = "room", value_name = "ROOM")]
    rooms: Vec<String>,
    /// The name to have in the room [default: one that the hub makes up]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Print a JSON object for each message
    #[arg(long)]
    json: bool,
}

/// From where on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Since {
    /// So many messages ago.
    Count(u64),
    /// So long ago.
    Age(Duration),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.bytes().all(|byte| byte.is_ascii_digit()) && !text.is_empty() {
            return text.parse().map(Self::Count).map_err(|error| error.to_string());
        }
        let age = humantime::parse_duration(text).map_err(|_| "expected a count or a duration: 20, 15m".to_owned())?;
        Ok(Self::Age(age))
    }
}

impl Since {
    /// How many earlier messages of each room are asked for.
    fn back(self) -> u64 {
        match self {
            Self::Count(count) => count,
            Self::Age(_) => u64::MAX,
        }
    }

    /// The first second of Unix time whose messages are wanted. Where our clock and the hub's differ, so does this.
    fn first(self) -> u64 {
        match self {
            Self::Count(_) => 0,
            Self::Age(age) => {
                let now = u64::try_from(Clock::new().now().wall.as_second()).unwrap_or_default();
                now.saturating_sub(age.as_secs())
            }
        }
    }
}

impl Source {
    fn begin(&self, who: &Who, since: Since) -> Result<Attendance, Failure> {
        let rooms = self.rooms.iter().map(|room| Wanted { room: room.clone(), from: None }).collect();
        let options =
            session::Options { name: self.name.clone(), rooms, back: since.back(), ..session::Options::default() };
        Attendance::begin(who, &options)
    }

    fn style(&self, has_time: bool) -> Style {
        match self.json {
            true => Style::Json,
            false => Style::Text { time: has_time.then(local_zone), room: self.rooms.len() > 1 },
        }
    }
}

/// Prints what is said to `out` until a signal comes or nobody reads `out` any more.
pub(super) fn tail(who: &Who, options: &Options, out: &impl AsFd) -> Result<(), Failure> {
    let since = options.since.unwrap_or(Since::Count(0));
    let mut attendance = options.source.begin(who, since)?;
    let mut tail = Tail {
        style: options.source.style(options.time),
        entrance: Entrance::new(&options.source.rooms),
        first: since.first(),
        idle_max: options.until_idle,
        heard_at: None,
        printer: Printer::default(),
        has_complained: false,
        end: None,
    };
    let outcome = tail.run(&mut attendance, out);
    attendance.leave();
    outcome
}

/// Prints what was said to `out`.
pub(super) fn history(who: &Who, options: &HistoryOptions, out: &impl AsFd) -> Result<(), Failure> {
    let HistoryOptions { since, source } = options;
    let mut attendance = source.begin(who, *since)?;
    let outcome = read_history(&mut attendance, source, *since)
        .and_then(|messages| print_history(&mut attendance, &messages, &source.style(true), out));
    attendance.leave();
    outcome
}

/// What there is of the rooms, in the order of its times.
fn read_history(attendance: &mut Attendance, source: &Source, since: Since) -> Result<Vec<Message>, Failure> {
    let mut messages: Vec<Message> = Vec::new();
    let mut entrance = Entrance::new(&source.rooms);
    loop {
        while let Some(news) = attendance.next() {
            entrance.hear(&news)?;
            match news {
                News::Event(Event::Message(message)) if message.room != MAILBOX => messages.push(message),
                News::Event(Event::Closed(reason)) => return Err(closed(&reason)),
                News::Event(Event::Disconnected) => return Err(attendance.no_answer()),
                News::Trouble(failure) => return Err(failure),
                News::Event(_) => {}
            }
        }
        if entrance.is_over() && attendance.session().gap_count() == 0 {
            break;
        }
        if attendance.wait(&[])?.is_interrupted {
            return Err(Failure::Failed("interrupted".to_owned()));
        }
    }
    let first = since.first();
    messages.retain(|message| message.time >= first);
    // Those of one room keep their order, even where the hub's clock was set back.
    messages.sort_by_key(|message| message.time);
    Ok(messages)
}

fn print_history(
    attendance: &mut Attendance,
    messages: &[Message],
    style: &Style,
    out: &impl AsFd,
) -> Result<(), Failure> {
    let (mut printer, mut left) = (Printer::default(), messages.iter());
    loop {
        while printer.has_room()
            && let Some(message) = left.next()
        {
            printer.print(&style.print(message));
        }
        if printer.is_empty() {
            return Ok(());
        }
        let wake = attendance.wait(&[(out.as_fd(), printer.wanted())])?;
        if wake.is_interrupted || printer.write(out, wake.watched[0])? == Reader::Gone {
            return Ok(());
        }
        // What is said meanwhile is not history.
        while attendance.next().is_some() {}
    }
}

#[derive(Debug)]
struct Tail {
    style: Style,
    entrance: Entrance,
    /// Messages of an earlier second are not wanted.
    first: u64,
    /// How long nothing may be said.
    idle_max: Option<Duration>,
    /// When something was said last, or the hub was there again; `None` while it is away.
    heard_at: Option<Instant>,
    printer: Printer,
    /// Whether the trouble that there is has been said.
    has_complained: bool,
    /// What ends us, once everything is printed.
    end: Option<Failure>,
}

impl Tail {
    fn run(&mut self, attendance: &mut Attendance, out: &impl AsFd) -> Result<(), Failure> {
        loop {
            // When whoever reads us has stopped, the rest waits in the session, which knows how much that may be.
            while self.printer.has_room()
                && let Some(news) = attendance.next()
            {
                self.hear(attendance, news);
            }
            if self.printer.is_empty()
                && let Some(end) = self.end.take()
            {
                return Err(end);
            }
            let idle_at = self.idle_at(attendance);
            if idle_at.is_some_and(|at| at <= attendance.now()) {
                return Ok(());
            }
            let wake = attendance.wait_until(idle_at, &[(out.as_fd(), self.printer.wanted())])?;
            if wake.is_interrupted || self.printer.write(out, wake.watched[0])? == Reader::Gone {
                return Ok(());
            }
        }
    }

    /// When nothing has been said for long enough. While something is to be printed, or missing, that is not to be known.
    fn idle_at(&self, attendance: &mut Attendance) -> Option<Instant> {
        let is_quiet = self.printer.is_empty() && attendance.session().gap_count() == 0;
        self.heard_at.filter(|_| is_quiet).zip(self.idle_max).map(|(at, max)| at + max)
    }

    fn hear(&mut self, attendance: &Attendance, news: News) {
        if let Err(failure) = self.entrance.hear(&news) {
            self.end = Some(failure);
        }
        match news {
            // Whoever waits for silence would wait for ever.
            News::Trouble(failure) if self.idle_max.is_some() && self.heard_at.is_none() => self.end = Some(failure),
            News::Trouble(failure) => self.complain(&failure),
            News::Event(event) => match event {
                Event::Message(message) => {
                    self.heard_at = Some(attendance.now());
                    if message.time >= self.first {
                        self.printer.print(&self.style.print(&message));
                    }
                }
                Event::Welcomed { .. } => {
                    self.heard_at = Some(attendance.now());
                    self.be_relieved(attendance);
                }
                Event::Disconnected => {
                    self.heard_at = None;
                    if self.idle_max.is_some() {
                        self.end = Some(attendance.no_answer());
                    }
                    self.complain(&format_args!("{}/udp does not answer", attendance.addr()));
                }
                Event::Full => self.complain(&"the hub is full"),
                Event::Lost { room, count, .. } => {
                    complain(&format_args!(
                        "{} lost in {}",
                        plural(usize::try_from(count).unwrap_or(usize::MAX), "message"),
                        place(&room)
                    ));
                }
                Event::Anew { room, .. } => {
                    complain(&format_args!("the numbers of {} start anew; messages may be lost", place(&room)));
                }
                Event::Left { room } if self.entrance.has_seen(&room) => {
                    complain(&format_args!("we are no longer in {}", place(&room)));
                }
                Event::Closed(reason) => self.end = Some(closed(&reason)),
                _ => {}
            },
        }
    }

    fn be_relieved(&mut self, attendance: &Attendance) {
        if std::mem::take(&mut self.has_complained) {
            complain(&format_args!("{}/udp answers", attendance.addr()));
        }
    }

    fn complain(&mut self, trouble: &impl fmt::Display) {
        if !std::mem::replace(&mut self.has_complained, true) {
            complain(&format_args!("{trouble}; still trying"));
        }
    }
}

fn place(room: &str) -> String {
    if room == MAILBOX { "our mailbox".to_owned() } else { shown(room.as_bytes(), " ") }
}
