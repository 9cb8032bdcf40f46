//! What things look like, with colours and without (<https://no-color.org>). Without them nothing is lost: what matters is bold,
//! reversed or underlined, and has a sign of its own.

use ratatui::style::{Color, Modifier, Style};

/// Colours of names: those that are legible on light and on dark, and mean nothing yet.
const NAMES: [Color; 5] = [Color::Cyan, Color::Green, Color::Magenta, Color::Blue, Color::LightBlue];

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Theme {
    pub(super) is_coloured: bool,
}

impl Theme {
    fn with(self, style: Style, colour: Color) -> Style {
        if self.is_coloured { style.fg(colour) } else { style }
    }

    /// What is there to be looked up: times, lines between days.
    pub(super) fn faint(self) -> Style {
        if self.is_coloured { Style::new().fg(Color::DarkGray) } else { Style::new() }
    }

    /// Somebody's name, always in the same colour.
    pub(super) fn name(self, name: &str) -> Style {
        let sum = name.to_lowercase().bytes().fold(7_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        self.with(Style::new().add_modifier(Modifier::BOLD), NAMES[sum % NAMES.len()])
    }

    /// Our own name, where we say something.
    pub(super) fn own(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What the hub or we say about what goes on.
    pub(super) fn notice(self) -> Style {
        self.with(Style::new(), Color::Yellow)
    }

    /// What we have not been able to say.
    pub(super) fn trouble(self) -> Style {
        self.with(Style::new().add_modifier(Modifier::BOLD), Color::Red)
    }

    /// Where somebody speaks of us or to us.
    pub(super) fn mention(self) -> Style {
        self.with(Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED), Color::LightRed)
    }

    /// What is on its way.
    pub(super) fn pending(self) -> Style {
        self.faint().add_modifier(Modifier::ITALIC)
    }

    /// What a search has found.
    pub(super) fn found(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// The room that is shown, the line of the state.
    pub(super) fn bar(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Somebody who is away.
    pub(super) fn away(self) -> Style {
        self.faint()
    }
}
