//! `belfry say` and `belfry msg`: one text, or each line of standard input, said in a room or to one member alone.
//!
//! It is done when the hub has acknowledged everything. Whatever has not come that far is reported: that it was refused,
//! or that nobody can tell. A text is data, whatever it looks like.

use super::attendance::{Attendance, News};
use super::entrance::Entrance;
use super::lines::{Lines, TooLong};
use super::progress::Progress;
use super::session::{self, Audience, Event, REQUESTS_MAX, Reason, RequestId, Unfit, Wanted};
use super::talker::Talker;
use super::{Failure, Who, complain, shown};
use clap::Args;
use nix::poll::PollFlags;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

/// What nobody can tell.
const PERHAPS: &str = "it may or may not have been said";

/// What has become of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Fate {
    Said,
    Refused(String),
    Unconfirmed,
}

/// What `belfry say` can be told.
#[derive(Debug, Args)]
pub(super) struct Options {
    /// The room [default: the lobby]
    #[arg(long, value_name = "ROOM")]
    room: Option<String>,
    /// Send it as an action: "* anna waves"
    #[arg(long)]
    me: bool,
    #[command(flatten)]
    talker: Talker,
    /// The text; "-", or nothing in a pipe, sends each line of standard input
    text: Vec<String>,
}

/// What `belfry msg` can be told.
#[derive(Debug, Args)]
pub(super) struct PrivateOptions {
    #[command(flatten)]
    talker: Talker,
    /// The member to send it to
    #[arg(value_name = "NAME")]
    to: String,
    /// The text; "-", or nothing in a pipe, sends each line of standard input
    text: Vec<String>,
}

/// Says something in a room.
pub(super) fn say(who: &Who, Options { room, me, talker, text }: &Options) -> Result<(), Failure> {
    say_to(who, talker, room.as_slice(), Speaker { to: None, is_me: *me }, text)
}

/// Says something to one member.
pub(super) fn message(who: &Who, PrivateOptions { talker, to, text }: &PrivateOptions) -> Result<(), Failure> {
    say_to(who, talker, &[], Speaker { to: Some(to), is_me: false }, text)
}

fn say_to(who: &Who, talker: &Talker, rooms: &[String], speaker: Speaker<'_>, text: &[String]) -> Result<(), Failure> {
    let is_lines = text == ["-"] || text.is_empty() && !io::stdin().is_terminal();
    let text = text.join(" ");
    if !is_lines && text.trim().is_empty() {
        return Err(Failure::Usage("there is nothing to say: give a text, or - for standard input".to_owned()));
    }
    let wanted = rooms.iter().map(|room| Wanted { room: room.clone(), from: None }).collect();
    let options = session::Options { name: talker.name()?, rooms: wanted, ..session::Options::default() };
    let mut attendance = Attendance::begin(who, &options)?;
    if is_lines {
        return say_lines(attendance, rooms, speaker);
    }
    let said = come_in(&mut attendance, rooms).and_then(|()| say_text(&mut attendance, speaker, &text));
    let is_open = attendance.leave().iter().any(|event| matches!(event, Event::Unconfirmed(_)));
    if is_open {
        complain(&PERHAPS);
    }
    said
}

/// Says each line of standard input that is not blank. A line that cannot be said, or that the hub refuses, is complained
/// of and does not keep the others back.
fn say_lines(mut attendance: Attendance, rooms: &[String], speaker: Speaker<'_>) -> Result<(), Failure> {
    let input = Lines::of_stdin().map_err(Failure::to("read standard input"))?;
    // Whoever types the lines sees them already.
    let progress = if io::stdin().is_terminal() { Progress::none() } else { Progress::begin("lines said", None) };
    let mut speech = Speech { speaker, input, open: VecDeque::new(), unsaid: 0, unknown: 0, progress };
    let said = come_in(&mut attendance, rooms).and_then(|()| speech.run(&mut attendance));
    attendance.leave();
    drop(speech.progress);
    if let Some((_, number)) = speech.open.front() {
        complain(&format_args!("from line {number} on nothing is acknowledged"));
    }
    said?;
    match (speech.unsaid, speech.unknown) {
        (0, 0) => Ok(()),
        (unsaid, 0) => Err(Failure::Failed(format!("lines not said: {unsaid}"))),
        (unsaid, unknown) => {
            Err(Failure::Failed(format!("lines not said: {unsaid}; may or may not be said: {unknown}")))
        }
    }
}

/// Waits until the hub has welcomed us: before that nothing can be said, nor lost to an address where nobody listens.
fn come_in(attendance: &mut Attendance, rooms: &[String]) -> Result<(), Failure> {
    let mut entrance = Entrance::new(rooms);
    loop {
        while let Some(news) = attendance.next() {
            entrance.hear(&news)?;
            match news {
                News::Trouble(failure) => return Err(failure),
                news => drop(fate(news)?),
            }
        }
        if entrance.is_over() {
            return Ok(());
        }
        wait(attendance, None)?;
    }
}

/// How texts are said.
#[derive(Clone, Copy, Debug)]
struct Speaker<'a> {
    /// To this member alone.
    to: Option<&'a str>,
    is_me: bool,
}

impl Speaker<'_> {
    fn say(self, attendance: &mut Attendance, text: &str) -> Result<RequestId, Failure> {
        let audience = self.to.map_or(Audience::Room(None), Audience::Member);
        attendance.session().say(audience, self.is_me, text.as_bytes()).map_err(unfit)
    }
}

fn say_text(attendance: &mut Attendance, speaker: Speaker<'_>, text: &str) -> Result<(), Failure> {
    speaker.say(attendance, text)?;
    loop {
        while let Some(news) = attendance.next() {
            match fate(news)? {
                Some((_, Fate::Said)) => return Ok(()),
                Some((_, Fate::Refused(why))) => return Err(Failure::Refused(why)),
                Some((_, Fate::Unconfirmed)) => {
                    return Err(Failure::Failed(format!("the session is lost: {PERHAPS}")));
                }
                None => {}
            }
        }
        wait(attendance, None)?;
    }
}

/// Lines that are being said.
#[derive(Debug)]
struct Speech<'a> {
    speaker: Speaker<'a>,
    input: Lines<File>,
    /// Those whose fate is open, by their numbers.
    open: VecDeque<(RequestId, u64)>,
    unsaid: u64,
    /// Of these nobody can tell.
    unknown: u64,
    progress: Progress,
}

impl Speech<'_> {
    fn run(&mut self, attendance: &mut Attendance) -> Result<(), Failure> {
        loop {
            while let Some(news) = attendance.next() {
                if let Some((id, fate)) = fate(news)? {
                    self.close(id, fate);
                }
            }
            let has_room = |attendance: &mut Attendance| attendance.session().request_count() < REQUESTS_MAX;
            while has_room(attendance)
                && let Some((number, line)) = self.input.next()
            {
                self.say(attendance, number, line)?;
            }
            let wants_more = !self.input.is_at_end() && has_room(attendance);
            if self.open.is_empty() && self.input.is_at_end() {
                return Ok(());
            }
            if wait(attendance, wants_more.then_some(&self.input))? {
                self.input.read().map_err(Failure::to("read standard input"))?;
            }
        }
    }

    fn say(&mut self, attendance: &mut Attendance, number: u64, line: Result<Vec<u8>, TooLong>) -> Result<(), Failure> {
        let max = attendance.session().text_max();
        let line = line.map_err(|TooLong| Unfit::TooLong { max }.to_string());
        let line = line.and_then(|line| String::from_utf8(line).map_err(|_| "not UTF-8".to_owned()));
        let said = match &line {
            Ok(line) if line.trim().is_empty() => return Ok(()),
            Ok(line) => self.speaker.say(attendance, line),
            Err(why) => Err(Failure::Refused(why.clone())),
        };
        match said {
            Ok(id) => self.open.push_back((id, number)),
            Err(Failure::Refused(why)) => self.refuse(number, &why),
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// The fate of this line is known.
    fn close(&mut self, id: RequestId, fate: Fate) {
        let Some(at) = self.open.iter().position(|&(open, _)| open == id) else { return };
        let Some((_, number)) = self.open.remove(at) else { return };
        match fate {
            Fate::Said => self.progress.advance(1),
            Fate::Refused(why) => self.refuse(number, &why),
            Fate::Unconfirmed => {
                self.unknown += 1;
                self.complain(number, PERHAPS);
            }
        }
    }

    fn refuse(&mut self, number: u64, why: &str) {
        self.unsaid += 1;
        self.complain(number, why);
    }

    fn complain(&self, number: u64, why: &str) {
        self.progress.pause(|| complain(&format_args!("line {number}: {why}")));
    }
}

/// Waits for the hub or for input; whether there is some.
fn wait(attendance: &mut Attendance, input: Option<&Lines<File>>) -> Result<bool, Failure> {
    let watched: Vec<_> = input.iter().map(|input| (input.as_fd(), PollFlags::POLLIN)).collect();
    let wake = attendance.wait(&watched)?;
    if wake.is_interrupted {
        return Err(Failure::Failed("interrupted".to_owned()));
    }
    Ok(wake.watched.iter().any(|flags| !flags.is_empty()))
}

/// What the news mean for a text, or why there is nothing to hope for.
fn fate(news: News) -> Result<Option<(RequestId, Fate)>, Failure> {
    let event = match news {
        News::Event(event) => event,
        News::Trouble(failure @ Failure::NoAnswer { .. }) => return Err(failure),
        // The hub has known us: it may come back in time.
        News::Trouble(_) => return Ok(None),
    };
    Ok(match event {
        Event::Done(id) => Some((id, Fate::Said)),
        Event::Refused { id: Some(id), code, text } => Some((id, Fate::Refused(refusal(&code, &text)))),
        Event::Unconfirmed(id) => Some((id, Fate::Unconfirmed)),
        Event::Full => return Err(Failure::Refused("the hub is full; try again later".to_owned())),
        Event::Closed(reason) => return Err(closed(&reason)),
        _ => None,
    })
}

/// The hub's words; where it has none, the code that it gives for programs.
fn refusal(code: &str, text: &[u8]) -> String {
    let text = text.trim_ascii();
    shown(if text.is_empty() { code.as_bytes() } else { text }, " ")
}

fn unfit(unfit: Unfit) -> Failure {
    Failure::Refused(unfit.to_string())
}

/// Why there is no session any more, and will be none.
pub(super) fn closed(reason: &Reason) -> Failure {
    match reason {
        Reason::Left | Reason::Unanswered => Failure::Failed("the session is over".to_owned()),
        Reason::Kicked => Failure::Refused("the operator of the hub has removed us".to_owned()),
        Reason::Version => Failure::Refused("the hub speaks another version of the protocol".to_owned()),
        Reason::Other(code) => {
            Failure::Refused(format!("the hub has ended the session: {}", shown(code.as_bytes(), " ")))
        }
    }
}
