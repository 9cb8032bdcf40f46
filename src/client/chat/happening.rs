//! What goes into the model and what comes out of it.

use super::room::Member;
use crate::client::session::{Event, Figures, RequestId, Unfit};
use ratatui_textarea::Input as Stroke;

/// Something that happens.
#[derive(Clone, Debug)]
pub(super) enum Input {
    Key(Stroke),
    Paste(String),
    /// A whole line, where nobody sees it being typed.
    Line(String),
    /// One that is no text.
    BadLine {
        number: u64,
        why: &'static str,
    },
    Resize {
        width: u16,
        height: u16,
    },
    Focus(bool),
    /// The session says so; whether a message is from before we came.
    Event {
        event: Event,
        is_earlier: bool,
    },
    /// The hub cannot be reached, or owes us an answer.
    Trouble(String),
    /// What the session is like.
    Figures {
        figures: Figures,
        waiting: usize,
        text_max: usize,
    },
    /// What was to be said has this id from now on, or could not be taken.
    Taken {
        mark: u64,
        result: Result<RequestId, Unfit>,
    },
    /// Something else could not be asked for.
    Unfit(Unfit),
    /// Who is in a room: as many as are shown, and how many there are.
    Members {
        room: String,
        members: Vec<Member>,
        total: u64,
    },
    /// Which rooms there are.
    Rooms(Vec<String>),
    /// Time passes.
    Tick,
}

/// Something to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Say it, and answer with [`Input::Taken`].
    Say {
        mark: u64,
        room: String,
        to: Option<String>,
        is_me: bool,
        text: String,
    },
    /// Ask the hub, about a room.
    Ask {
        room: Option<String>,
        text: String,
    },
    Join(String),
    Leave(String),
    /// Find out who is there.
    Members(String),
    /// Find out which rooms there are.
    Rooms,
    Bell,
    /// Draw everything anew.
    Redraw,
    Suspend,
    Quit,
}
