//! `belfry tail`: what is said in rooms, line by line, until interrupted; and `belfry history`: what was said there.
//!
//! Standard output has what is said and nothing else. That the hub is away, or that something is lost, is said on standard
//! error, once.

use super::attendance::{Attendance, Entrance, News};
use super::print::{Style, local_zone};
use super::say::closed;
use super::session::{self, Event, Message, Wanted};
use super::{Failure, Who, complain, shown};
use crate::clock::Clock;
use crate::core::Instant;
use crate::core::frame::MAILBOX;
use clap::Args;
use nix::errno::Errno;
use nix::poll::PollFlags;
use std::fmt;
use std::os::fd::AsFd;
use std::str::FromStr;
use std::time::Duration;

/// Bytes that are printed at once: what a pipe takes without a wait when it takes something (`PIPE_BUF`, pipe(7)). During
/// a wait no signal would be heard.
const PRINTED_MAX: usize = 4_096;

/// What `belfry tail` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    #[command(flatten)]
    source: Source,
    /// Begin with so many earlier messages of each room, or with those of this time: 20, 15m
    #[arg(long, value_name = "COUNT|DURATION")]
    since: Option<Since>,
    /// Print the time of each message
    #[arg(long, short)]
    time: bool,
    /// End when nothing has been said for so long
    #[arg(long, value_name = "DURATION", value_parser = super::parse_timeout)]
    until_idle: Option<Duration>,
}

/// What `belfry history` can be told.
#[derive(Debug, Args)]
pub(super) struct HistoryOptions {
    /// The last so many messages of each room, or those of this time: 20, 15m
    #[arg(value_name = "COUNT|DURATION", default_value = "20")]
    since: Since,
    #[command(flatten)]
    source: Source,
}

/// Whose messages, and how they are printed.
#[derive(Debug, Args)]
struct Source {
    /// The room [default: the lobby]; several when given several times
    #[arg(long = "room", value_name = "ROOM")]
    rooms: Vec<String>,
    /// A name, for those who want to send something to this program alone [default: the hub's choice]
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
        heard_at: attendance.now(),
        unprinted: Vec::new(),
        has_complained: false,
        end: None,
    };
    let outcome = tail.run(&mut attendance, out);
    attendance.leave();
    outcome
}

/// Prints what was said to `out`.
pub(super) fn history(who: &Who, options: &HistoryOptions, out: &mut impl std::io::Write) -> Result<(), Failure> {
    let HistoryOptions { since, source } = options;
    let mut attendance = source.begin(who, *since)?;
    let said = read_history(&mut attendance, source, *since);
    attendance.leave();
    let style = source.style(true);
    said?.iter().try_for_each(|message| out.write_all(style.print(message).as_bytes()).map_err(Failure::to("print")))
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
    messages.retain(|message| message.time >= since.first());
    // Those of one room keep their order, even where the hub's clock was set back.
    messages.sort_by_key(|message| message.time);
    Ok(messages)
}

#[derive(Debug)]
struct Tail {
    style: Style,
    entrance: Entrance,
    /// Messages of an earlier second are not wanted.
    first: u64,
    /// How long nothing may be said.
    idle_max: Option<Duration>,
    heard_at: Instant,
    unprinted: Vec<u8>,
    /// Whether the trouble that there is has been said.
    has_complained: bool,
    /// What ends us, once everything is printed.
    end: Option<Failure>,
}

impl Tail {
    fn run(&mut self, attendance: &mut Attendance, out: &impl AsFd) -> Result<(), Failure> {
        loop {
            // When whoever reads us has stopped, the rest waits in the session, which knows how much that may be.
            while self.unprinted.len() < PRINTED_MAX
                && let Some(news) = attendance.next()
            {
                self.hear(attendance, news);
            }
            if self.unprinted.is_empty()
                && let Some(end) = self.end.take()
            {
                return Err(end);
            }
            // Where nothing is asked of it, that its other end has gone is reported all the same.
            let wanted = if self.unprinted.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
            let idle_at = self.idle_max.map(|max| self.heard_at + max);
            if self.unprinted.is_empty() && idle_at.is_some_and(|at| at <= attendance.now()) {
                return Ok(());
            }
            let wake = attendance.wait_until(idle_at, &[(out.as_fd(), wanted)])?;
            let told = wake.watched[0];
            if wake.is_interrupted || told.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL) {
                return Ok(());
            }
            if told.contains(PollFlags::POLLOUT) {
                let len = self.unprinted.len().min(PRINTED_MAX);
                match nix::unistd::write(out, &self.unprinted[..len]) {
                    Ok(len) => drop(self.unprinted.drain(..len)),
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    Err(Errno::EPIPE) => return Ok(()),
                    Err(error) => return Err(Failure::to("print")(error.into())),
                }
            }
        }
    }

    fn hear(&mut self, attendance: &Attendance, news: News) {
        if let Err(failure) = self.entrance.hear(&news) {
            self.end = Some(failure);
        }
        match news {
            News::Trouble(failure) => self.complain(&failure),
            News::Event(event) => match event {
                Event::Message(message) => {
                    self.heard_at = attendance.now();
                    if message.time >= self.first {
                        self.unprinted.extend_from_slice(self.style.print(&message).as_bytes());
                    }
                }
                Event::Welcomed { .. } => self.be_relieved(attendance),
                Event::Disconnected => self.complain(&format_args!("{}/udp does not answer", attendance.addr())),
                Event::Full => self.complain(&"the hub is full"),
                Event::Lost { room, count, .. } => {
                    let messages = if count == 1 { "message" } else { "messages" };
                    complain(&format_args!("{count} {messages} lost in {}", place(&room)));
                }
                Event::Anew { room, .. } => {
                    complain(&format_args!("{} begins anew; what was said meanwhile may be lost", place(&room)));
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
