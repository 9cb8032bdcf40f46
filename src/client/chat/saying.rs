//! What we say: shown as pending until the hub has it, and what becomes of it otherwise.
//!
//! A message of ours stands at the end of its room until it comes back from there, in its place among the others. What was said
//! to somebody alone does not come back: there the acknowledgement does.

use super::entry::{Text, What, clean_line};
use super::field::messages;
use super::happening::Action;
use super::model::Model;
use super::room::Pending;
use crate::client::session::{REQUESTS_MAX, RequestId, Unfit};
use crate::core::frame::MAILBOX;
use crate::core::text::plural;

impl Model {
    /// Says a text, in as many messages as it takes. Fails with the reason when that cannot be begun.
    pub(super) fn say(&mut self, to: Option<&str>, is_me: bool, text: &str) -> Result<(), String> {
        let room = if to.is_some() { MAILBOX } else { self.room().name.as_str() }.to_owned();
        let at = self.find_or_add(&room);
        let messages = messages(text, self.text_max);
        if messages.len() + self.waiting > REQUESTS_MAX {
            let count = plural(messages.len(), "message");
            return Err(format!("not sent: this takes {count}, and at most {REQUESTS_MAX} can wait to be sent"));
        }
        for text in messages {
            let mark = self.next_id();
            let to = to.map(str::to_owned);
            let pending = Pending { mark, id: None, to: to.clone(), is_me, raw: text.clone(), is_acknowledged: false };
            self.rooms[at].pending.push(pending);
            self.act(Action::Say { mark, room: room.clone(), to, is_me, text });
        }
        self.rooms[at].anchor = None;
        self.rooms[at].new_from = None;
        Ok(())
    }

    /// What is to be said has been taken, or not.
    pub(super) fn taken(&mut self, mark: u64, result: Result<RequestId, Unfit>) {
        let mut rooms = self.rooms.iter_mut();
        let found = rooms.find_map(|room| room.pending.iter_mut().find(|pending| pending.mark == mark));
        let Some(pending) = found else { return };
        match result {
            Ok(id) => pending.id = Some(id),
            Err(Unfit::TooLong { max }) if max < pending.raw.len() && max > 4 && max < self.text_max => {
                self.text_max = max;
                self.take_back(mark, |model, at, pending| {
                    if let Err(why) = model.say(pending.to.as_deref(), pending.is_me, &pending.raw) {
                        model.leave_unsaid(at, &why, pending.text());
                    }
                });
            }
            Err(unfit) => self.give_up(mark, &format!("not delivered, {unfit}")),
        }
    }

    fn take_back(&mut self, mark: u64, then: impl FnOnce(&mut Self, usize, Pending)) {
        for at in 0..self.rooms.len() {
            if let Some(place) = self.rooms[at].pending.iter().position(|pending| pending.mark == mark) {
                let pending = self.rooms[at].pending.remove(place);
                return then(self, at, pending);
            }
        }
    }

    /// It will not be said.
    pub(super) fn give_up(&mut self, mark: u64, why: &str) {
        self.take_back(mark, |model, at, pending| {
            model.leave_unsaid(at, why, pending.text());
        });
    }

    fn leave_unsaid(&mut self, at: usize, why: &str, text: Text) {
        let time = self.unix();
        self.push(at, time, What::Unsaid { why: clean_line(why), text: text.clone() });
        self.unsaid_count += 1;
        // Whoever has said it from another room is looking at that one.
        if at != self.current {
            self.push(self.current, time, What::Unsaid { why: clean_line(why), text });
        }
    }

    /// A line that nobody saw being typed: whatever is not said of it is told and counted.
    pub(super) fn submit_line(&mut self, text: &str) {
        if let Err(why) = self.submit(text) {
            self.leave_unsaid(self.current, &why, Text::new(text.as_bytes()));
        }
    }

    /// A line that is no text.
    pub(super) fn refuse_line(&mut self, number: u64, why: &str) {
        self.notice(&format!("line {number} not sent: {why}"));
        self.unsaid_count += 1;
    }

    /// Messages that were not delivered, or perhaps not.
    pub(super) fn unsaid_count(&self) -> usize {
        let is_unsaid = |(_, pending): &&(u64, Pending)| !pending.is_acknowledged;
        let doubtful = self.rooms.iter().flat_map(|room| &room.doubtful).filter(is_unsaid);
        self.unsaid_count + doubtful.count()
    }

    /// Nobody can tell whether it was said.
    pub(super) fn doubt(&mut self, mark: u64) {
        self.take_back(mark, |model, at, pending| {
            let (time, why) = (model.unix(), "delivery unknown".to_owned());
            let id = model.push(at, time, What::Unsaid { why, text: pending.text() });
            model.rooms[at].doubtful.push((id, pending));
        });
    }

    /// The hub has acknowledged it.
    pub(super) fn acknowledge(&mut self, id: RequestId) {
        let found = self.pending(id).map(|pending| {
            pending.is_acknowledged = true;
            (pending.mark, pending.to.is_some())
        });
        if let Some((mark, true)) = found {
            // What we say to somebody alone does not come back.
            self.take_back(mark, |model, at, pending| {
                let (time, text) = (model.unix(), pending.text());
                let what = What::Private { from: model.name.clone(), to: pending.to.as_deref().map(clean_line), text };
                model.push(at, time, what);
            });
        }
    }

    /// The hub has these, and they will perhaps not come back: they stand where they would otherwise wait for ever. One that
    /// does come back takes the place of its entry here.
    pub(super) fn settle(&mut self, at: usize) {
        let pending = std::mem::take(&mut self.rooms[at].pending);
        let (acknowledged, waiting) = pending.into_iter().partition(|pending| pending.is_acknowledged);
        self.rooms[at].pending = waiting;
        for pending in acknowledged {
            let (time, from, is_me) = (self.unix(), self.name.clone(), pending.is_me);
            let what = What::Said { from, is_me, is_echo: true, is_mention: false, text: pending.text() };
            let id = self.push(at, time, what);
            self.rooms[at].doubtful.push((id, pending));
        }
    }

    pub(super) fn pending(&mut self, id: RequestId) -> Option<&mut Pending> {
        self.rooms.iter_mut().find_map(|room| room.pending.iter_mut().find(|pending| pending.id == Some(id)))
    }
}
