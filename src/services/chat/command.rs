//! What people type behind a slash.

use crate::core::Refusal;

/// A line that tells the sender what was wrong and what would work, and the reason that is counted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) why: Refusal,
    pub(super) line: String,
}

impl Problem {
    pub(super) fn new(why: Refusal, line: impl Into<String>) -> Self {
        Self { why, line: line.into() }
    }
}

/// A command whose words are complete. Names and texts are as typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command<'a> {
    WhoAmI,
    Nick(&'a str),
    Join(&'a str),
    Rooms,
    /// Who is in the sender's room, or in this one.
    Who(Option<&'a str>),
    Message {
        to: &'a str,
        text: &'a str,
    },
    Me(&'a str),
    ShowTopic,
    SetTopic(&'a str),
    /// The last so many lines, or as many as is usual.
    ShowHistory(Option<usize>),
    KeepHistory(bool),
    Back,
    Away(&'a str),
    /// On a link of ours nothing more than [`Command::WhoAmI`].
    Here,
    Help,
    Quit,
}

/// Each command with its words and what it does, as `/help` shows them.
const COMMANDS: [(&str, &str, &str); 12] = [
    ("nick", "[NAME]", "your name"),
    ("join", "ROOM", "another room; it is made if need be"),
    ("rooms", "", "which rooms there are"),
    ("who", "[ROOM]", "who is in this room, or in another"),
    ("msg", "NAME TEXT", "a message to one person"),
    ("me", "TEXT", "what you are doing"),
    ("topic", "[TEXT]", "what this room is about"),
    ("history", "[N|on|off]", "the last lines of this room"),
    ("away", "[TEXT]", "say that you are away; without a text: back"),
    ("here", "[TOKEN]", "come in from another network, and stay"),
    ("help", "", "this list"),
    ("quit", "", "leave"),
];

/// No word that is longer than this is near to a command.
const WORD_MAX: usize = "history".len() + 2;

/// The lines of `/help`.
pub(super) fn help() -> String {
    let mut lines = "-- Type to talk: everybody in your room reads it. // begins a text with a slash.".to_owned();
    for (word, arguments, does) in COMMANDS {
        let typed = format!("/{word} {arguments}");
        lines.push_str(&format!("\n-- {typed:<20} {does}"));
    }
    lines
}

/// Reads what stands behind the slash.
pub(super) fn parse(command: &str) -> Result<Command<'_>, Problem> {
    let command = command.trim();
    let (word, rest) = command.split_once(char::is_whitespace).unwrap_or((command, ""));
    let rest = rest.trim();
    let given = (!rest.is_empty()).then_some(rest);
    let lower = word.to_ascii_lowercase();
    let need = |what| Problem::new(Refusal::BadCommand, format!("? /{lower} needs {what}"));
    match lower.as_str() {
        "nick" => Ok(given.map_or(Command::WhoAmI, Command::Nick)),
        "join" => given.map(Command::Join).ok_or_else(|| need("a room: /join ROOM")),
        "rooms" => Ok(Command::Rooms),
        "who" => Ok(Command::Who(given)),
        "msg" => match rest.split_once(char::is_whitespace) {
            Some((to, text)) => Ok(Command::Message { to, text: text.trim() }),
            None => Err(need("a name and a text: /msg NAME TEXT")),
        },
        "me" => given.map(Command::Me).ok_or_else(|| need("a text: /me waves")),
        "topic" => Ok(given.map_or(Command::ShowTopic, Command::SetTopic)),
        "history" => history(rest).ok_or_else(|| need("a number, on or off: /history 20")),
        "away" => Ok(given.map_or(Command::Back, Command::Away)),
        "here" => Ok(Command::Here),
        "help" => Ok(Command::Help),
        "quit" => Ok(Command::Quit),
        _ => Err(unknown(&lower)),
    }
}

/// What stands behind `here`, if the command is that.
pub(super) fn here(command: &str) -> Option<&str> {
    let (word, rest) = command.trim().split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("here").then(|| rest.trim())
}

fn history(rest: &str) -> Option<Command<'_>> {
    match rest {
        "" => Some(Command::ShowHistory(None)),
        "on" => Some(Command::KeepHistory(true)),
        "off" => Some(Command::KeepHistory(false)),
        number => number.parse().ok().filter(|&count| count > 0).map(|count| Command::ShowHistory(Some(count))),
    }
}

fn unknown(word: &str) -> Problem {
    // A distance costs time in the length of the word, and strangers choose the word.
    let commands = if word.len() <= WORD_MAX { &COMMANDS[..] } else { &[] };
    let nearest = commands
        .iter()
        .map(|&(known, _, _)| (strsim::damerau_levenshtein(word, known), known))
        .filter(|&(distance, known)| distance <= 2 && distance < known.len())
        .min();
    let line = match nearest {
        Some((_, known)) => format!("? no such command; did you mean /{known}? /help lists them"),
        None => "? no such command; /help lists them, // sends a slash".to_owned(),
    };
    Problem::new(Refusal::BadCommand, line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_take_their_words_in_any_letter_case_of_the_command() {
        let cases = [
            ("nick", Command::WhoAmI),
            ("NICK  anna ", Command::Nick("anna")),
            ("join lab", Command::Join("lab")),
            ("msg bob  hello there", Command::Message { to: "bob", text: "hello there" }),
            ("topic", Command::ShowTopic),
            ("topic a b", Command::SetTopic("a b")),
            ("history", Command::ShowHistory(None)),
            ("history 20", Command::ShowHistory(Some(20))),
            ("history off", Command::KeepHistory(false)),
            ("away", Command::Back),
            ("quit now", Command::Quit),
        ];
        for (typed, command) in cases {
            assert_eq!(parse(typed), Ok(command), "{typed}");
        }
    }

    #[test]
    fn a_command_that_does_not_work_says_what_would() {
        let line = |typed| parse(typed).expect_err("not a command").line;
        assert_eq!(line("nikc anna"), "? no such command; did you mean /nick? /help lists them");
        assert_eq!(line("xyzzy"), "? no such command; /help lists them, // sends a slash");
        assert_eq!(line(""), line("xyzzy"));
        assert_eq!(line("msg bob"), "? /msg needs a name and a text: /msg NAME TEXT");
        assert_eq!(line("history many"), "? /history needs a number, on or off: /history 20");
    }

    #[test]
    fn help_lists_every_command_and_fits_a_datagram() {
        let help = help();
        for (word, _, _) in COMMANDS {
            assert!(help.contains(&format!("\n-- /{word} ")), "{word}");
            let arguments = if word == "history" { "20" } else { "bob hello" };
            assert!(parse(&format!("{word} {arguments}")).is_ok(), "{word} is listed and known");
        }
        assert!(help.len() < crate::core::limits::DATAGRAM_MAX, "{}", help.len());
    }
}
