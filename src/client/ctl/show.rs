//! Answers of the control socket as people read them: tables, with the text of strangers escaped.

use crate::control::{Clock, Kicked, LogLevel, Member, Members, Reloaded, Stats, Status, Way, level_name};
use crate::core::escape::one_line;
use crate::core::text::plural;
use std::time::Duration;

/// Between columns.
const GAP: &str = "  ";

/// Cells in rows; each column is as wide as its widest cell.
#[derive(Debug, Default)]
struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    fn row<const N: usize>(&mut self, cells: [String; N]) {
        self.rows.push(cells.into());
    }

    /// One line for each row, the columns from `right_from` on to the right.
    fn text(&self, right_from: usize) -> String {
        let width =
            |column: usize| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
        let widths: Vec<usize> = (0..).map_while(width).collect();
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| {
                if column < right_from { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
            });
            text.push_str(cells.collect::<Vec<_>>().join(GAP).trim_end());
            text.push('\n');
        }
        text
    }
}

fn clean(text: &str) -> String {
    one_line(format_args!("{text}"), usize::MAX)
}

/// In whole seconds, as people write it.
fn duration(seconds: f64) -> String {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

pub(super) fn status(status: &Status) -> String {
    let clock = match &status.clock {
        Clock { synchronised: true, max_error: Some(seconds) } => {
            format!("synchronised, error below {} ms", (seconds * 1e3).ceil())
        }
        _ => "not synchronised".to_owned(),
    };
    let mut table = Table::default();
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    row("configuration", clean(&status.configuration));
    row("members", format!("{} in {}", status.members, plural(status.rooms, "room")));
    row("clock", clock);
    row("log level", level_name(status.log_level).to_owned());
    row("state", clean(&status.state));
    for (index, listener) in status.listeners.iter().enumerate() {
        let name = if index == 0 { "listens" } else { "" };
        row(name, format!("{} {}/{}", clean(&listener.service), listener.address, clean(&listener.protocol)));
    }
    let (version, up) = (clean(&status.version), duration(status.uptime as f64));
    format!("belfryd {version}, process {}, up for {up}\n{}", status.pid, table.text(usize::MAX))
}

pub(super) fn members(members: &Members) -> String {
    if members.members.is_empty() {
        return "nobody is here\n".to_owned();
    }
    let mut table = Table::default();
    table.row(["NAME", "ROOM", "ADDRESS", "WAY", "HEARTBEATS", "SILENT", "NOTE"].map(str::to_owned));
    for member in &members.members {
        table.row([
            clean(&member.name),
            [&member.room]
                .into_iter()
                .chain(&member.further_rooms)
                .map(|room| clean(room))
                .collect::<Vec<_>>()
                .join(", "),
            member.address.to_string(),
            match member.way {
                Way::Program => "program".to_owned(),
                Way::Line => "line".to_owned(),
                Way::Session => "session".to_owned(),
            },
            if member.heartbeats { "yes" } else { "no" }.to_owned(),
            duration(member.silent_for),
            note(member),
        ]);
    }
    let mut text = table.text(usize::MAX);
    let omitted = members.count.saturating_sub(members.members.len());
    if omitted > 0 {
        text.push_str(&format!("and {omitted} more\n"));
    }
    text
}

fn note(member: &Member) -> String {
    match &member.away {
        Some(text) => format!("away: {}", clean(text)),
        None if !member.in_reach => "out of reach".to_owned(),
        None => String::new(),
    }
}

pub(super) fn stats(stats: &Stats) -> String {
    let services = &stats.services;
    let mut table = Table::default();
    let mut row = |name: String, cells: Vec<String>| table.rows.push([vec![name], cells].concat());
    row(String::new(), services.iter().map(|service| clean(&service.service)).collect());
    let mut counts = |name: String, counts: Vec<Option<u64>>| {
        // A service that is older or newer may lack a reason.
        let cells = counts.iter().map(|count| count.map_or_else(|| "-".to_owned(), |count| count.to_string()));
        row(name, cells.collect());
    };
    counts("answered".to_owned(), services.iter().map(|service| Some(service.answered)).collect());
    counts("accepted".to_owned(), services.iter().map(|service| Some(service.accepted)).collect());
    for reason in services.first().iter().flat_map(|first| first.refused.keys()) {
        let name = format!("refused: {}", clean(reason));
        counts(name, services.iter().map(|service| service.refused.get(reason).copied()).collect());
    }
    for reason in services.first().iter().flat_map(|first| first.dropped.keys()) {
        let name = format!("dropped: {}", clean(reason));
        counts(name, services.iter().map(|service| service.dropped.get(reason).copied()).collect());
    }
    counts("dropped by the kernel".to_owned(), services.iter().map(|service| Some(service.kernel_drops)).collect());
    counts("forgotten".to_owned(), services.iter().map(|service| Some(service.forgotten)).collect());
    counts("unsent".to_owned(), services.iter().map(|service| Some(service.unsent)).collect());
    counts("connections".to_owned(), services.iter().map(|service| Some(service.connections)).collect());
    table.text(1)
}

pub(super) fn reloaded(reloaded: &Reloaded) -> String {
    format!("configuration: {}\n", clean(&reloaded.configuration))
}

pub(super) fn log_level(level: &LogLevel) -> String {
    format!("log level {} until {}\n", level_name(level.level), clean(&level.until))
}

pub(super) fn kicked(kicked: &Kicked) -> String {
    format!("{} at {} is removed from {}\n", clean(&kicked.name), kicked.address, clean(&kicked.room))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::parse_outcome;
    use serde::de::DeserializeOwned;

    /// The answer at the head of a chapter of the page on the control socket.
    fn answer<T: DeserializeOwned>(command: &str) -> T {
        let page = include_str!("../../../docs/CONTROL.md");
        let chapter = page.split(&format!("\n### {command}\n")).nth(1).unwrap();
        let line = chapter.lines().find(|line| line.starts_with("{\"ok\":true")).unwrap();
        parse_outcome(line).unwrap().unwrap()
    }

    #[test]
    fn a_status_is_a_line_and_a_table() {
        let mut shown: Status = answer("status");
        assert_eq!(
            status(&shown),
            "belfryd 0.1.0, process 4711, up for 1day
configuration  /etc/belfry/belfry.toml
members        2 in 1 room
clock          synchronised, error below 12 ms
log level      info
state          members handed to the service manager, histories in /var/lib/belfry/history
listens        time 0.0.0.0:8080/udp
               echo [::]:8888/tcp
"
        );
        shown.clock.synchronised = false;
        shown.state = "in memory\n".to_owned();
        let text = status(&shown);
        assert!(text.contains("\nclock          not synchronised\n"), "{text}");
        assert!(text.contains("\nstate          in memory\\n\n"), "{text}");
    }

    #[test]
    fn members_stand_in_columns_and_what_they_say_stays_on_its_line() {
        let mut shown: Members = answer("members");
        shown.members[0].name = "Änne".to_owned();
        shown.members[0].away = Some("at lunch\x1b[2J".to_owned());
        shown.members[1].in_reach = false;
        shown.count = 5;
        assert_eq!(
            members(&shown),
            "NAME   ROOM   ADDRESS              WAY      HEARTBEATS  SILENT  NOTE
Änne   lobby  192.0.2.7:40001      line     no          42s     away: at lunch\\u{1b}[2J
robot  lobby  [2001:db8::7]:40002  program  yes         1s      out of reach
and 3 more
"
        );
        assert_eq!(members(&Members { count: 0, members: Vec::new() }), "nobody is here\n");
    }

    #[test]
    fn stats_have_a_column_for_each_service_and_a_row_for_each_reason() {
        let mut shown: Stats = answer("stats");
        let mut chat = shown.services[0].clone();
        chat.service = "chat".to_owned();
        chat.accepted = 77_000;
        chat.refused.remove("unknown-zone");
        shown.services.push(chat);
        assert_eq!(
            stats(&shown),
            "                        time   chat
answered                1200   1200
accepted                   0  77000
refused: no-conversion     3      3
refused: unknown-zone      0      -
dropped: access           12     12
dropped: rate-limit        0      0
dropped by the kernel      0      0
forgotten                  0      0
unsent                     0      0
connections                0      0
"
        );
    }

    #[test]
    fn what_was_done_is_told_in_a_line() {
        assert_eq!(reloaded(&answer("reload")), "configuration: /etc/belfry/belfry.toml and 1 more\n");
        assert_eq!(log_level(&answer("log-level")), "log level debug until the next reload\n");
        assert_eq!(kicked(&answer("kick")), "anna at 192.0.2.7:40001 is removed from lobby\n");
    }
}
