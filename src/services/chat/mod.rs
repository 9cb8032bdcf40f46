//! The chat hub: who is in which room, and what each of them gets.
//!
//! A member is a source address. Its first datagram decides how it is spoken to: one that ends in a newline comes from
//! a terminal, which gets lines, a welcome and notices; any other from a program, which gets each message as one datagram
//! and nothing unasked. A third kind says hello, and speaks in frames from then on: a session, which loses nothing (`session`).
//! Whatever is said reaches the members of one room, in the order in which it was said.
//!
//! Lines that begin with `-- ` are the hub's own, `? ` begins an error line. A member's line begins with its name, so
//! no text passes for a line of the hub or for another member; a `line-format` that puts the text first gives that up.
//!
//! Two hubs that are made to talk to each other, or a hub and a time server, fall silent: see `reflex`.

mod actions;
mod command;
mod consent;
mod departure;
mod directory;
mod dump;
mod entrance;
mod fan_out;
mod history;
mod keeping;
mod listing;
mod member;
mod members;
mod message;
mod name;
mod news;
mod packer;
mod reach;
mod reflex;
mod relay;
mod rooms;
mod roster;
mod session;
mod stream;
mod tally;
mod utterance;

pub use dump::Slice;
pub use history::file_name;
pub use keeping::{Restored, kept_seed};
pub use member::Way;
pub use message::{Entry, Message};
pub use name::Hosts;
pub use news::News;
pub use roster::{Kicked, MemberView, NoSuchMember};

use super::Service;
use crate::config;
use crate::core::frame::{SessionId, frames};
use crate::core::rate_limit::RateLimit;
use crate::core::text::split_line;
use crate::core::{
    Datagram, DropReason, ErrorStreaks, Instant, ListenerId, Now, Outbox, Path, Place, Refusal, Seed, Verdict,
};
use command::Problem;
use departure::Departure;
use fan_out::FanOut;
use keeping::Keeping;
use listing::Question;
use member::MemberId;
use members::{Lifetimes, Members};
use message::{By, Draft};
use rooms::{RoomId, Rooms};
use session::Sessions;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use utterance::Said;

/// The room to talk in.
#[derive(Debug)]
pub struct Hub {
    config: config::Chat,
    /// This host's name, for the welcome.
    host: String,
    hosts: Hosts,
    members: Members,
    rooms: Rooms,
    /// When to try whom anew, in order; each member once. Somebody may be heard, and lost again, meanwhile.
    out_of_reach: VecDeque<(Instant, SocketAddr)>,
    keeping: Keeping,
    sessions: Sessions,
    /// How often sessions of one source may ask for something, however many requests share a datagram.
    request_limit: Option<RateLimit>,
    /// `None` where there is no limit.
    fan_out: Option<FanOut>,
    /// The request that is being done, of a session that gets what is told as its answer.
    asking: Option<(SessionId, u64)>,
    /// When this hub heard of the time for the first time, in nanoseconds: no other has the same.
    begun: Option<i128>,
    errors: ErrorStreaks,
    /// The line that is being relayed.
    line: String,
    /// Rooms that have something for their sessions.
    speaking: Vec<RoomId>,
    /// What is to leave before that, if something waits.
    spoken_behind: Option<Place>,
    /// When to tell the sessions of a room how far they should be.
    beacons: BTreeSet<(Instant, RoomId)>,
    /// The moment at which what was due was last seen to.
    settled: Option<Instant>,
}

/// A datagram, read.
#[derive(Clone, Copy, Debug)]
struct Utterance<'a> {
    said: Said<'a>,
    newline: bool,
}

/// Who has sent a datagram, as far as the hub wants to know.
#[derive(Clone, Copy, Debug)]
struct Sender {
    path: Path,
    /// Who it is, if it is here.
    member: Option<MemberId>,
    on_link: bool,
    /// Whether it ended in a newline.
    newline: bool,
}

impl Hub {
    /// An empty hub on the host called `host`.
    pub fn new(config: &config::Chat, host: &str, hosts: Hosts, seed: Seed) -> Self {
        Self {
            config: config.clone(),
            host: host.to_owned(),
            hosts,
            members: Members::new(seed, config.max_members),
            rooms: Rooms::new(seed),
            out_of_reach: VecDeque::new(),
            keeping: Keeping::new(seed),
            sessions: Sessions::new(seed),
            request_limit: config.rate_limit.map(|rate| RateLimit::new(rate, seed)),
            fan_out: config.fan_out.map(|rate| FanOut::new(rate, seed)),
            asking: None,
            begun: None,
            errors: ErrorStreaks::new(seed),
            line: String::new(),
            speaking: Vec::new(),
            spoken_behind: None,
            beacons: BTreeSet::new(),
            settled: None,
        }
    }

    /// Takes a new configuration; everybody stays.
    pub fn reconfigure(&mut self, config: &config::Chat, hosts: Hosts, out: &mut Outbox) {
        let was = std::mem::replace(&mut self.config, config.clone());
        self.settled = None;
        // Whether numbers go on after a restart, too.
        self.keeping.changed |= (config.history == 0) != (was.history == 0);
        if config.log_messages != was.log_messages {
            self.keeping.changed = true;
            self.tell_of_the_log(out);
        }
        self.hosts = hosts;
        self.members.set_count_max(config.max_members);
        if config.rate_limit != was.rate_limit {
            let seed = self.keeping.seed();
            self.request_limit = config.rate_limit.map(|rate| RateLimit::new(rate, seed));
        }
        if config.fan_out != was.fan_out {
            let seed = self.keeping.seed();
            self.fan_out = config.fan_out.map(|rate| FanOut::new(rate, seed));
        }
        if (config.heartbeat_interval, config.max_message) != (was.heartbeat_interval, was.max_message) {
            self.members.ids().into_iter().for_each(|id| self.tell_welcome(id));
        }
        for room in self.rooms.trim_histories(config.history) {
            self.keeping.note(News::Trimmed { room });
        }
    }

    /// Members at present.
    pub fn member_count(&self) -> usize {
        self.members.len()
    }

    /// Whether something has gathered for sessions that is to be sent with what is said until something else has left:
    /// [`Service::finish_turn`] is to be called again.
    pub fn has_gathered(&self) -> bool {
        self.spoken_behind.is_some()
    }

    /// Rooms with somebody in them.
    pub fn room_count(&self) -> usize {
        self.rooms.iter().filter(|room| room.len() > 0).count()
    }

    /// A socket takes the place of another that is about to close: those who came by the one are reached by the other.
    pub fn replace_listener(&mut self, now: &Now, old: ListenerId, new: ListenerId) {
        for id in self.members.ids() {
            if self.members.get(id).path.listener == old {
                self.rooms.unseat(id, &mut self.members, now.mono);
                self.members.get_mut(id).path.listener = new;
                self.rooms.seat(id, &mut self.members);
                self.note_change(id);
            }
        }
    }

    /// Has the hub begin, if it has not.
    fn begin(&mut self, now: &Now) {
        self.begun.get_or_insert(now.wall.as_nanosecond());
        self.keeping.changed |= self.rooms.begin(now);
    }

    fn lifetimes(&self) -> Lifetimes {
        Lifetimes { heartbeat: self.config.heartbeat_timeout, silent: self.config.silent_timeout }
    }

    fn hear(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Result<Verdict, Problem> {
        let path = datagram.path;
        if let Some((session, rest)) = session::claimed(datagram.payload) {
            return Ok(self.hear_session(now, datagram, session, rest, out));
        }
        if let Some(Ok(first)) = frames(datagram.payload).next() {
            if first.verb == "hello" {
                return Ok(self.hello(now, datagram, None, &first, out));
            }
            if let Some(question) = Question::read(first).filter(|_| Question::is_alone(datagram.payload)) {
                return Ok(self.hear_question(now, datagram, &question, out));
            }
            if listing::is_list(first) {
                return Ok(session::FROM_A_HUB);
            }
        }
        let member = self.members.at(path.remote);
        if self.is_session(member) {
            return Err(session::is_not_the_session());
        }
        let utterance = self.read(datagram);
        let mut is_shown = datagram.on_link;
        if !datagram.on_link {
            match self.hear_from_afar(now, datagram, utterance.as_ref().ok().copied(), out)? {
                Some(shown) => is_shown = shown,
                None => return Ok(Verdict::Dropped(DropReason::ErrorLine)),
            }
        }
        let newline = utterance.as_ref().is_ok_and(|utterance| utterance.newline);
        let sender = Sender { path, member, on_link: datagram.on_link, newline };
        let heard = self.hear_line(now, sender, utterance.map(|utterance| utterance.said), out);
        let is_noted = is_shown && (!datagram.on_link || self.members.has_consents());
        // It may have come or gone by what it has said.
        if let Some(id) = is_noted.then(|| self.members.at(path.remote)).flatten() {
            self.note_consent(now, id, datagram.on_link);
        }
        heard
    }

    /// What a program says, or somebody at a terminal.
    fn hear_line(
        &mut self,
        now: &Now,
        sender: Sender,
        said: Result<Said<'_>, Problem>,
        out: &mut Outbox,
    ) -> Result<Verdict, Problem> {
        let Sender { path, member, .. } = sender;
        let is_heartbeat = matches!(said, Ok(Said::Heartbeat(_)));
        if let Some(id) = member {
            if let Some(why) = self.reflex_in(now, id, said.as_ref().ok().copied()) {
                return Ok(Verdict::Dropped(why));
            }
            if self.members.heard(id, now.mono, is_heartbeat) {
                self.note_change(id);
            }
            self.set_in_reach(now, id, true);
        }
        let said = said?;
        match said {
            Said::Quit(_) => Ok(self.quit(now, path, out)),
            Said::Frame(line) if session::is_of_hub(line) => Ok(session::FROM_A_HUB),
            Said::Frame(_) => {
                Err(Problem::new(Refusal::BadFrame, "? no frame that a hub knows: ^hb^, ^hello 1^, ^as ID^"))
            }
            Said::Command(typed) => self.command(now, sender, typed, out),
            Said::Nothing | Said::Heartbeat(_) => {
                let id = self.enter(now, sender, out)?;
                if member.is_none() {
                    self.members.heard(id, now.mono, is_heartbeat);
                }
                Ok(Verdict::Accepted)
            }
            Said::Text(text) => {
                let id = self.enter(now, sender, out)?;
                let member = self.members.get(id);
                let (room, from) = (member.room(), member.name.clone());
                self.relay(now, id, room, &Draft { from: &from, text, is_action: false, by: None }, out)?;
                Ok(Verdict::Accepted)
            }
        }
    }

    fn read<'a>(&self, datagram: &Datagram<'a>) -> Result<Utterance<'a>, Problem> {
        let (line, newline) = split_line(datagram.payload);
        if datagram.truncated || line.len() > self.config.max_message {
            return Err(self.too_long());
        }
        let line = std::str::from_utf8(line)
            .map_err(|_| Problem::new(Refusal::NotUtf8, "? that is not UTF-8; nothing was relayed"))?;
        Ok(Utterance { said: utterance::read(line), newline })
    }

    /// Why a member's text is to be dropped without a word, lest two services talk for ever.
    fn reflex_in(&mut self, now: &Now, id: MemberId, said: Option<Said<'_>>) -> Option<DropReason> {
        let Some(Said::Text(text)) = said else { return None };
        let name = self.members.get(id).name.clone();
        let member = self.members.get_mut(id);
        let room = &self.rooms.get(member.room()).lines;
        member.reflex().find(now.mono, room, &self.config.line_format, &name, text)
    }

    fn too_long(&self) -> Problem {
        Problem::new(Refusal::TooLong, format!("? a message has at most {} bytes", self.config.max_message))
    }
}

impl Service for Hub {
    fn handle_datagram(&mut self, now: &Now, datagram: &Datagram<'_>, out: &mut Outbox) -> Verdict {
        self.begin(now);
        // The caller may be late; the expired get not even the message that finds them expired, unless they are too many for one
        // turn. Nothing more is due until the next.
        if self.settled != Some(now.mono) {
            self.handle_timeout(now, out);
        }
        let heard = self.hear(now, datagram, out);
        if heard.as_ref().is_ok_and(|verdict| !matches!(verdict, Verdict::Dropped(_))) {
            self.errors.end(now.mono, datagram.path.remote);
        }
        heard.unwrap_or_else(|problem| {
            if !self.errors.may_tell(now.mono, datagram.path.remote) {
                return Verdict::Dropped(DropReason::Reflex);
            }
            let (_, mut newline) = split_line(datagram.payload);
            if let Some(id) = self.members.at(datagram.path.remote) {
                let member = self.members.get_mut(id);
                newline = member.way == Way::Line;
                member.reflex().note_told(now.mono, &problem.line);
            }
            out.send_line(datagram.path, &problem.line, newline);
            Verdict::Refused(problem.why)
        })
    }

    fn handle_timeout(&mut self, now: &Now, out: &mut Outbox) {
        self.settled = Some(now.mono);
        self.fill_fan_out(now.mono);
        self.expire(now, out);
        self.try_out_of_reach(now);
        self.tell_newest(now.mono);
        self.keeping.changed |= self.sessions.forget_old(now.mono);
    }

    fn vouches_for(&self, now: &Now, datagram: &Datagram<'_>) -> bool {
        self.is_vouched_for(now, datagram)
    }

    /// Nobody loses his place because he, or somebody in his name, says too much.
    fn handle_excess(&mut self, now: &Now, datagram: &Datagram<'_>, _out: &mut Outbox) -> Verdict {
        let member = self.members.at(datagram.path.remote);
        let is_question = Question::in_datagram(datagram.payload).is_some();
        if let Some(id) = member.filter(|&id| !is_question && self.members.get(id).session().is_none()) {
            self.members.heard(id, now.mono, false);
        }
        Verdict::Dropped(DropReason::RateLimit)
    }

    fn finish_turn(&mut self, out: &mut Outbox) {
        self.send_frames(out);
    }

    fn next_timeout(&self) -> Option<Instant> {
        let tries = self.out_of_reach.front().map(|&(due, _)| due);
        let beacon = self.beacons.first().map(|&(due, _)| due);
        let others = [tries, beacon, self.sessions.next_timeout()];
        self.members.next_expiry(self.lifetimes()).into_iter().chain(others.into_iter().flatten()).min()
    }
}
