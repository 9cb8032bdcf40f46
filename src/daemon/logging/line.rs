//! One line of the log, rendered for each place where it may go.
//!
//! Everything in a line has been through [`one_line`]: a line stays one line, and a stranger's name in it cannot steer
//! the terminal that shows it. So the journal's binary framing for values with newlines is never needed.

use super::event;
use crate::core::escape::one_line;
use log::{Level, Record, kv};
use std::fmt::{self, Write};

/// Who is speaking.
pub(super) const IDENTIFIER: &str = "belfryd";

/// The longest rendered line: what a datagram to the journal or to syslog takes without trouble.
pub(super) const LINE_MAX: usize = 8 * 1024;

/// The longest text in it, so that there is room for the fields.
const TEXT_MAX: usize = 4 * 1024;

/// The longest value of a field.
const VALUE_MAX: usize = 512;

/// The longest name of a field that the journal takes (systemd.journal-fields(7)).
const NAME_MAX: usize = 64;

/// A record that can no longer do any harm.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) level: Level,
    pub(super) text: String,
    /// Names in the journal's spelling, and values.
    fields: Vec<(String, String)>,
    /// Where in the code it was written, for the lines that only a developer reads.
    origin: Option<Origin>,
}

#[derive(Debug)]
struct Origin {
    target: String,
    file: String,
    line: u32,
}

impl Line {
    /// The line of a record.
    pub(super) fn new(record: &Record<'_>) -> Self {
        let mut fields = Fields(Vec::new());
        // Reading fields fails only where the record's own source does, and then what was read is still worth having.
        let _ = record.key_values().visit(&mut fields);
        let origin = (record.level() >= Level::Debug).then(|| Origin {
            target: one_line(format_args!("{}", record.target()), VALUE_MAX),
            file: one_line(format_args!("{}", record.file().unwrap_or_default()), VALUE_MAX),
            line: record.line().unwrap_or_default(),
        });
        Self { level: record.level(), text: one_line(*record.args(), TEXT_MAX), fields: fields.0, origin }
    }

    /// The line that says how many others were lost.
    pub(super) fn lost(count: u64) -> Self {
        let (lines, were) = if count == 1 { ("line", "was") } else { ("lines", "were") };
        let text = format!("{count} log {lines} {were} lost");
        let fields = vec![("MESSAGE_ID".to_owned(), event::LINES_LOST.to_owned())];
        Self { level: Level::Warn, text, fields, origin: None }
    }

    /// The importance as syslog counts it (RFC 5424 §6.2.1).
    pub(super) const fn priority(&self) -> u8 {
        match self.level {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        }
    }

    /// One entry in the journal's own protocol: `FIELD=value` and a newline for each field.
    pub(super) fn journal_entry(&self) -> String {
        let mut entry =
            format!("PRIORITY={}\nSYSLOG_IDENTIFIER={IDENTIFIER}\nMESSAGE={}\n", self.priority(), self.text);
        if let Some(Origin { target, file, line }) = &self.origin {
            let _ = write!(entry, "TARGET={target}\nCODE_FILE={file}\nCODE_LINE={line}\n");
        }
        for (name, value) in &self.fields {
            if entry.len() + name.len() + value.len() + 2 <= LINE_MAX {
                let _ = writeln!(entry, "{name}={value}");
            }
        }
        entry
    }
}

/// The fields of a record, in its order.
struct Fields(Vec<(String, String)>);

impl<'kvs> kv::VisitSource<'kvs> for Fields {
    fn visit_pair(&mut self, key: kv::Key<'kvs>, value: kv::Value<'kvs>) -> Result<(), kv::Error> {
        let name = field_name(key.as_str());
        if !name.is_empty() {
            self.0.push((name, one_line(format_args!("{value}"), VALUE_MAX)));
        }
        Ok(())
    }
}

/// A name as the journal takes it: capitals, digits and underscores, beginning with a capital.
fn field_name(key: &str) -> String {
    let capitals = key.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' });
    capitals.skip_while(|c| !c.is_ascii_uppercase()).take(NAME_MAX).collect()
}

/// As a terminal shows it: the fields are left out, and the importance is said only where it matters.
impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{IDENTIFIER}: {}{}", self.level_word(), self.text)
    }
}

impl Line {
    /// `warning: `, `error: ` or nothing.
    pub(super) const fn level_word(&self) -> &'static str {
        match self.level {
            Level::Error => "error: ",
            Level::Warn => "warning: ",
            Level::Info | Level::Debug | Level::Trace => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(level: Level, text: &str, fields: &[(&str, &str)]) -> Line {
        let mut builder = Record::builder();
        builder.level(level).target("belfry::daemon").file(Some("src/daemon/turn.rs")).line(Some(7));
        Line::new(&builder.key_values(&fields).args(format_args!("{text}")).build())
    }

    #[test]
    fn a_journal_entry_has_a_line_for_each_field_and_says_where_it_was_written_only_at_debug() {
        let fields = [("room", "lobby"), ("member", "mira"), ("message_id", "6d1f"), ("_kernel-time", "1"), ("9", "x")];
        assert_eq!(
            line(Level::Info, "mira joins", &fields).journal_entry(),
            "PRIORITY=6\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE=mira joins\n\
             ROOM=lobby\nMEMBER=mira\nMESSAGE_ID=6d1f\nKERNEL_TIME=1\n"
        );
        assert_eq!(
            line(Level::Debug, "a turn", &[]).journal_entry(),
            "PRIORITY=7\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE=a turn\n\
             TARGET=belfry::daemon\nCODE_FILE=src/daemon/turn.rs\nCODE_LINE=7\n"
        );
    }

    #[test]
    fn each_level_has_its_priority() {
        let priorities = Level::iter().map(|level| line(level, "", &[]).priority()).collect::<Vec<_>>();
        assert_eq!(priorities, [3, 4, 6, 7, 7]);
    }

    #[test]
    fn a_stranger_cannot_forge_a_line_a_field_or_an_escape_sequence() {
        let evil = "x\nPRIORITY=0\x1b[2J\u{9b}K\u{202e}";
        let line = line(Level::Info, evil, &[("member", evil)]);
        let shown = r"x\nPRIORITY=0\u{1b}[2J\u{9b}K\u{202e}";
        assert_eq!(
            line.journal_entry(),
            format!("PRIORITY=6\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE={shown}\nMEMBER={shown}\n")
        );
        assert_eq!(line.to_string(), format!("belfryd: {shown}"));
    }

    #[test]
    fn a_line_is_bounded_whatever_is_in_it() {
        let long = "ß\x1b".repeat(10_000);
        let names: Vec<String> = (0..40).map(|i| format!("field{i}")).collect();
        let fields: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), long.as_str())).collect();
        let line = line(Level::Error, &long, &fields);
        let entry = line.journal_entry();
        assert!((LINE_MAX - 1_024..=LINE_MAX).contains(&entry.len()), "{}", entry.len());
        assert!(line.text.ends_with('…'));
        assert_eq!(line.journal_entry().lines().count(), 3 + 7);
    }
}
