//! What outlives the process: the hub as lines of text, and back.
//!
//! ```text
//! {"hub":{"seed":1234,"log-messages":false}}
//! {"member":{"name":"anna","room":"lab","way":"line","heartbeats":true,"listener":"0.0.0.0:9999","remote":"192.0.2.7:40001"}}
//! {"session":{"id":"9f3c…","last":7,"name":"bob","rooms":[…],"mailbox":{…}}}
//! {"gone":{"remote":"192.0.2.7:40001"}}
//! {"room":{"name":"lab","topic":"tea","keeps-history":true,"epoch":"5e2f01aa","number":18}}
//! ```
//!
//! One object a line. A line that makes no sense costs what it stands for and nothing else; fields that are missing have
//! their defaults and those that nobody knows are passed over, so another version keeps what it understands. A member that is
//! a session stands behind it; sessions that are away stand in the order in which they went, rooms in that in which they fell
//! empty. Rooms are read first, wherever they stand. `gone` takes back what stands before it about whoever is at an address,
//! with its session: somebody has left, or stands behind it anew, since the hub goes on while it is told (`dump.rs`).
//!
//! Whoever comes back is as good as heard: while there was no hub nobody was silent. Nobody is told of it, unless what they say is logged
//! from now on. Not kept,
//! because it shows again by itself: who is out of reach, and what has just been said (`reflex`).

use super::dump::Dump;
use super::member::{Member, Way};
use super::news::News;
use super::rooms::LOBBY;
use super::session::SessionLine;
use super::{Hub, actions, name};
use crate::core::frame::{Epoch, SessionId};
use crate::core::limits::{MEMBERS_MAX, NEWS_MAX, NUMBER_MAX};
use crate::core::{ListenerId, Now, Outbox, Path, Seed};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

/// What the hub has for those who keep it.
#[derive(Debug)]
pub(super) struct Keeping {
    seed: Seed,
    /// Whether [`Hub::dump`] would tell something else than before: who is here, where, how and as whom. That somebody
    /// was heard is no change.
    pub(super) changed: bool,
    /// How far it has been told, while it is.
    pub(super) dump: Option<Dump>,
    pub(super) news: VecDeque<News>,
    /// News that there was no place for.
    pub(super) news_lost: usize,
}

impl Keeping {
    pub(super) fn new(seed: Seed) -> Self {
        Self { seed, changed: true, dump: None, news: VecDeque::new(), news_lost: 0 }
    }

    pub(super) fn seed(&self) -> Seed {
        self.seed
    }

    pub(super) fn note(&mut self, news: News) {
        if self.news.len() == NEWS_MAX {
            self.news.pop_front();
            self.news_lost += 1;
        }
        self.news.push_back(news);
    }
}

/// One line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line<'a> {
    Hub(HubLine),
    #[serde(borrow)]
    Room(RoomLine<'a>),
    #[serde(borrow)]
    Session(SessionLine<'a>),
    #[serde(borrow)]
    Member(MemberLine<'a>),
    /// What stands before it about a member is true no more.
    Gone(GoneLine),
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HubLine {
    seed: u128,
    #[serde(default)]
    log_messages: bool,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct RoomLine<'a> {
    #[serde(borrow)]
    pub(super) name: Cow<'a, str>,
    #[serde(borrow, default)]
    pub(super) topic: Cow<'a, str>,
    #[serde(default = "yes")]
    pub(super) keeps_history: bool,
    /// In which epoch it is.
    #[serde(default)]
    pub(super) epoch: Epoch,
    /// Where the numbers stand; `None` where its history will not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) number: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct MemberLine<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow, default)]
    room: Cow<'a, str>,
    #[serde(default)]
    way: Way,
    #[serde(default)]
    heartbeats: bool,
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    away: Option<Cow<'a, str>>,
    /// The address of the socket; its number is another in the next process.
    listener: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    local: Option<IpAddr>,
    #[serde(default, skip_serializing_if = "is_zero")]
    interface: u32,
    remote: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    /// Whether it has to show that it is where it says.
    #[serde(default, skip_serializing_if = "is_false")]
    off_link: bool,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct GoneLine {
    pub(super) remote: SocketAddr,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<SessionId>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_false(flag: &bool) -> bool {
    !*flag
}

fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over so")]
fn is_zero(interface: &u32) -> bool {
    *interface == 0
}

/// Appends an object and a newline.
pub(super) fn write_line(object: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(&mut *text, object).expect("texts, numbers and flags are JSON, and memory takes them");
    text.push(b'\n');
}

/// The seed of a hub that was [dumped](Hub::dump), if it says so.
pub fn kept_seed(text: &[u8]) -> Option<Seed> {
    lines(text).find_map(|line| match read_line(line) {
        Some(Line::Hub(HubLine { seed, .. })) => Some(Seed(seed)),
        _ => None,
    })
}

fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty())
}

/// What a line says; `None` for one that makes no sense.
fn read_line(line: &[u8]) -> Option<Line<'_>> {
    serde_json::from_slice(line).ok()
}

fn is_room(line: &[u8]) -> bool {
    line.starts_with(b"{\"room\":")
}

/// What became of a hub that was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Members who are back.
    pub members: usize,
    /// Members who came by a socket that is no longer there.
    pub cut_off: usize,
    /// Members who cannot be, such as two at one address.
    pub refused: usize,
    /// Lines that make no sense, and rooms that cannot be.
    pub senseless: usize,
}

impl Hub {
    pub(super) fn head_line(&self) -> HubLine {
        HubLine { seed: self.keeping.seed.0, log_messages: self.config.log_messages }
    }

    pub(super) fn member_line<'a>(&'a self, member: &'a Member, listener: SocketAddr) -> MemberLine<'a> {
        let Path { listener: _, local, interface, remote } = member.path;
        MemberLine {
            name: member.name.as_str().into(),
            room: self.rooms.get(member.room()).name.as_str().into(),
            way: member.way,
            heartbeats: member.heartbeats,
            away: member.away().map(Cow::from),
            listener,
            local,
            interface,
            remote,
            session: member.session(),
            off_link: member.consent().is_some(),
        }
    }

    /// Whether something has changed, since the last call, of what [`Hub::dump`] tells.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.keeping.changed)
    }

    /// Takes in whom another hub has left behind, as far as this one has place for them. `listener_at` tells the socket
    /// that now answers where one had this address. Whatever the text holds, it does no harm: it may be damaged. They are
    /// told nothing, unless what they say is now logged and was not.
    pub fn restore(
        &mut self,
        now: &Now,
        text: &[u8],
        listener_at: impl Fn(SocketAddr) -> Option<ListenerId>,
        out: &mut Outbox,
    ) -> Restored {
        self.begin(now);
        let mut restored = Restored::default();
        let mut was_logged = false;
        // Whoever comes in is in a room.
        let (rooms, others) = (lines(text).filter(|line| is_room(line)), lines(text).filter(|line| !is_room(line)));
        for line in rooms.chain(others).map(read_line) {
            let count = match line {
                Some(Line::Hub(hub)) => {
                    was_logged |= hub.log_messages;
                    continue;
                }
                Some(Line::Gone(gone)) => {
                    restored.members -= usize::from(self.restore_gone(now, &gone));
                    continue;
                }
                Some(Line::Room(room)) if self.restore_room(now, &room) => continue,
                Some(Line::Session(session)) if self.restore_session(now, &session) => continue,
                Some(Line::Room(_) | Line::Session(_)) | None => &mut restored.senseless,
                Some(Line::Member(member)) => match listener_at(member.listener) {
                    None => &mut restored.cut_off,
                    Some(listener) if self.restore_member(now, &member, listener) => &mut restored.members,
                    Some(_) => &mut restored.refused,
                },
            };
            *count += 1;
        }
        self.bound_sessions();
        // Some may be missing now.
        self.keeping.changed = true;
        if !was_logged {
            self.tell_of_the_log(out);
        }
        restored
    }

    fn restore_room(&mut self, now: &Now, kept: &RoomLine<'_>) -> bool {
        let is_good = name::fault(&kept.name).is_none();
        let Some(id) = is_good.then(|| self.rooms.open_free(&kept.name, now)).flatten() else { return false };
        self.rooms.leave_epoch(id, kept.epoch, now);
        let room = self.rooms.get_mut(id);
        room.topic = actions::short_text(&kept.topic).unwrap_or_default();
        room.keeps_history = kept.keeps_history;
        let number = kept.number.filter(|&number| number <= NUMBER_MAX);
        room.kept_position = number.map(|number| (kept.epoch, number));
        true
    }

    /// Takes out whom other lines have brought in; whether that was somebody.
    fn restore_gone(&mut self, now: &Now, gone: &GoneLine) -> bool {
        let member = self.members.at(gone.remote).map(|id| {
            self.rooms.unseat(id, &mut self.members, now.mono);
            self.members.remove(id)
        });
        let own = member.as_ref().and_then(Member::session);
        // That of somebody else who is here is not to be had.
        let away = gone.session.filter(|&id| self.sessions.get(id).is_some_and(|session| session.here().is_none()));
        own.into_iter().chain(away).for_each(|id| self.sessions.remove(id));
        member.is_some()
    }

    fn restore_member(&mut self, now: &Now, kept: &MemberLine<'_>, listener: ListenerId) -> bool {
        let &MemberLine { local, interface, remote, .. } = kept;
        let is_v4 = |addr: IpAddr| addr.is_ipv4() == remote.is_ipv4();
        let is_path = is_v4(kept.listener.ip()) && local.is_none_or(is_v4);
        // The present stay whatever the bounds in force are, as at a reload.
        if !is_path || self.members.at(remote).is_some() || self.members.len() >= MEMBERS_MAX {
            return false;
        }
        // One whose line is lost has lost its topic, and nobody.
        let is_good = name::fault(&kept.room).is_none();
        let room = is_good.then(|| self.rooms.open_free(&kept.room, now)).flatten().unwrap_or(LOBBY);
        let path = Path { listener, local, interface, remote };
        let id = self.members.insert(now.mono, path, kept.way, room, &self.hosts);
        let is_good = name::fault(&kept.name).is_none() || name::is_automatic(&kept.name, remote);
        if is_good && self.members.named(&kept.name).is_none_or(|other| other == id) {
            self.members.rename(id, &kept.name);
        }
        self.members.heard(id, now.mono, kept.heartbeats);
        let session = kept.session.filter(|_| kept.way == Way::Session);
        if kept.way == Way::Session && !session.is_some_and(|session| self.resume(now, id, session)) {
            self.members.remove(id);
            return false;
        }
        self.note_consent(now, id, !kept.off_link);
        let away = kept.away.as_deref().and_then(|text| actions::short_text(text).ok());
        self.members.get_mut(id).set_away(away);
        self.rooms.seat(id, &mut self.members);
        true
    }
}
