//! What goes out to members: a line for one, a notice to a room, and what is said.

use super::command::Problem;
use super::member::{MemberId, Way};
use super::message::{Draft, Message};
use super::rooms::RoomId;
use super::utterance::push_clean;
use super::{Hub, News, reflex};
use crate::core::frame::write_text_frame;
use crate::core::limits::DATAGRAM_MAX;
use crate::core::source::Source;
use crate::core::{Now, Outbox, Refusal};
use std::net::SocketAddr;
use std::rc::Rc;

/// No head of a frame is longer: that of a message has a position, a name of its own and one that the hub has made of an
/// address, two numbers and the words between.
const FRAME_HEAD_MAX: usize = 256;

impl Hub {
    /// One line to one member, in its way.
    pub(super) fn tell(&mut self, id: MemberId, line: &str, out: &mut Outbox) {
        let member = self.members.get(id);
        match member.session() {
            Some(session) => self.tell_line(session, line),
            None => out.send_line(member.path, line, member.way == Way::Line),
        }
    }

    /// A notice to the terminals and sessions of a member's rooms, but not to its own terminal.
    pub(super) fn notify_others(&mut self, id: MemberId, notice: &str, out: &mut Outbox) {
        let member = self.members.get(id);
        let (rooms, except) = (member.rooms().collect::<Vec<_>>(), Some(member.path.remote));
        let source = Some(self.source_of(id));
        rooms.into_iter().for_each(|room| self.notify_room(source, room, notice, except, out));
    }

    /// A notice to the terminals in a room but `except`, and to its sessions, on account of a source if one is to blame.
    pub(super) fn notify_room(
        &mut self,
        source: Option<Source>,
        room: RoomId,
        notice: &str,
        except: Option<SocketAddr>,
        out: &mut Outbox,
    ) {
        if !self.pay_for_notice(source, room, notice) {
            return;
        }
        let of_room = self.rooms.get(room);
        of_room.notify(notice, except, out);
        if of_room.has_sessions() {
            let head = format!("note {}", of_room.name);
            for note in text_frames(&head, notice) {
                self.add_frame_for(room, &note);
            }
        }
    }

    /// Adds a frame to what the sessions of a room get together.
    pub(super) fn add_frame_for(&mut self, room: RoomId, frame: &[u8]) {
        let frames = &mut self.rooms.get_mut(room).frames;
        if frames.is_empty() {
            self.speaking.push(room);
        }
        frames.add(frame);
    }

    /// A message to a room of a member's, kept in the room's history.
    pub(super) fn relay(
        &mut self,
        now: &Now,
        id: MemberId,
        room: RoomId,
        draft: &Draft<'_>,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        let mut line = std::mem::take(&mut self.line);
        line.clear();
        self.render(draft, &mut line);
        let relayed = self.relay_line(now, id, room, draft, &line, out);
        self.line = line;
        relayed
    }

    /// The same with the line in which programs and terminals get it.
    fn relay_line(
        &mut self,
        now: &Now,
        id: MemberId,
        room: RoomId,
        draft: &Draft<'_>,
        line: &str,
        out: &mut Outbox,
    ) -> Result<(), Problem> {
        fits(line)?;
        let sender_first = draft.is_action || self.config.line_format.sender_first;
        let signature = reflex::signature(line, sender_first, draft.from, &self.config.line_format);
        let of_room = self.rooms.get(room);
        let (kept, epoch) = (of_room.keeps_history && self.config.history > 0, of_room.stream.epoch);
        let message = Rc::new(Message::new(of_room.stream.newest + 1, now.wall, line, draft));
        let has_sessions = of_room.has_sessions();
        let mut frame = Vec::new();
        if has_sessions || message.text_len() > DATAGRAM_MAX - FRAME_HEAD_MAX {
            message.write_frame(&of_room.name, epoch, &mut frame);
        }
        if frame.len() > DATAGRAM_MAX {
            return Err(self.too_long());
        }
        self.pay_for_text(self.source_of(id), room, line, frame.len())?;
        let member = self.members.get_mut(id);
        member.last_said = now.mono;
        let gets_echo = member.reflex().note_said(now.mono, draft.text) && self.config.echo_to_sender;
        let except = (!gets_echo).then_some(member.path.remote);
        let of_room = self.rooms.get_mut(room);
        of_room.lines.note(now.mono, signature);
        of_room.relay(line, except, out);
        of_room.stream.push(Rc::clone(&message), kept, self.config.history);
        let name = of_room.name.clone();
        if has_sessions {
            self.add_frame_for(room, &frame);
            self.note_spoken(now.mono, room);
        }
        let logged = self.config.log_messages;
        self.keeping.note(News::Said { room: name, epoch, message, kept, logged });
        Ok(())
    }

    /// Appends the line in which programs and terminals get it.
    fn render(&self, draft: &Draft<'_>, line: &mut String) {
        let (name, text) = (draft.from, draft.text);
        if draft.is_action {
            line.extend(["* ", name, " "]);
            return push_clean(line, text);
        }
        let format = &self.config.line_format;
        line.push_str(&format.before);
        if format.sender_first {
            line.extend([name, &format.between]);
            push_clean(line, text);
        } else {
            push_clean(line, text);
            line.extend([&format.between, name]);
        }
        line.push_str(&format.after);
    }
}

/// Frames that have a text of the hub's own between them: a list may be as long as a datagram, and so has no place in one
/// with a head before it.
pub(super) fn text_frames(head: &str, text: &str) -> impl Iterator<Item = Vec<u8>> {
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        let most = DATAGRAM_MAX - FRAME_HEAD_MAX;
        let mut end = text.len();
        if end > most {
            end = (0..=most).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(most);
            end = text[..end].rfind('\n').map_or(end, |newline| newline + 1);
            rest = Some(&text[end..]);
        }
        let mut frame = Vec::new();
        write_text_frame(&mut frame, format_args!("{head}"), &text.as_bytes()[..end]);
        Some(frame)
    })
}

/// Refuses a line that would not fit a datagram with its newline.
pub(super) fn fits(line: &str) -> Result<(), Problem> {
    if line.len() < DATAGRAM_MAX {
        return Ok(());
    }
    Err(Problem::new(Refusal::TooLong, "? too long once your name and the indentation are added"))
}
