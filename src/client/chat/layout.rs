//! Geometry: the parts of the screen, and an entry as rows of it: time, who, and the text, wrapped and indented.
//!
//! Only the first row of an entry has something in the first columns, and what is there is ours: the time. Whatever stands in a
//! text begins further to the right, so no text passes for another message, a notice or the line between two days.

use super::command::help_lines;
use super::entry::{Entry, What};
use super::model::Model;
use super::room::Pending;
use super::theme::Theme;
use crate::core::frame::MAILBOX;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use unicode_width::UnicodeWidthStr;

/// Columns of the list of members, the line beside it included.
pub(super) const MEMBERS_WIDTH: u16 = 20;

/// Rows that the field takes at most; behind that it scrolls.
const FIELD_MAX: u16 = 6;

/// What stands before what is typed.
pub(super) const PROMPT: &str = "> ";

/// The columns of a time and the space behind it.
const TIME_LEN: usize = 6;

/// Where further rows begin: deeper than anything that we say of an entry.
const INDENT: usize = 8;

/// How rows are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layout<'a> {
    pub(super) width: usize,
    pub(super) zone: &'a TimeZone,
    pub(super) theme: Theme,
    /// What is to stand out.
    pub(super) needle: Option<&'a str>,
}

/// What a cell or two of the screen show.
#[derive(Clone, Debug)]
struct Glyph {
    symbol: String,
    width: usize,
    style: Style,
}

impl Layout<'_> {
    /// The rows of an entry behind another, with the line of the day and the line where the new begins, where they belong.
    pub(super) fn entry(&self, entry: &Entry, before: Option<&Entry>, is_first_new: bool) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let day = self.date(entry.time);
        if day.is_some() && before.and_then(|before| self.date(before.time)) != day {
            rows.extend(day.map(|day| self.rule(&day.strftime("%A, %-d %B %Y").to_string(), self.theme.faint())));
        }
        if is_first_new {
            rows.push(self.rule("new", self.theme.mention()));
        }
        let (head, style) = (entry.head(), self.head_style(entry));
        rows.extend(self.rows(&self.time(entry.time), &head, style, entry.text().lines(), self.text_style(entry)));
        rows
    }

    /// The rows of something that is on its way.
    pub(super) fn pending(&self, pending: &Pending, name: &str) -> Vec<Line<'static>> {
        let head = match (&pending.to, pending.is_me) {
            (Some(to), _) => format!("you -> {to}: "),
            (None, true) => format!("* {name} "),
            (None, false) => format!("{name}: "),
        };
        let (time, style) = if pending.is_acknowledged { ("", Style::new()) } else { ("  …", self.theme.pending()) };
        self.rows(time, &head, style, pending.text().lines(), style)
    }

    fn head_style(&self, entry: &Entry) -> Style {
        match &entry.what {
            What::Said { is_mention: true, .. } | What::Private { to: None, .. } => self.theme.mention(),
            What::Said { is_echo: true, .. } | What::Private { .. } => self.theme.own(),
            What::Said { from, .. } => self.theme.name(from),
            What::Notice(_) => self.theme.notice(),
            What::Unsaid { .. } => self.theme.trouble(),
        }
    }

    fn text_style(&self, entry: &Entry) -> Style {
        match &entry.what {
            What::Said { is_me, .. } if *is_me => Style::new().add_modifier(Modifier::ITALIC),
            What::Said { .. } | What::Private { .. } | What::Unsaid { .. } => Style::new(),
            What::Notice(_) => self.theme.notice(),
        }
    }

    /// The day of a moment, where the zone has one.
    fn date(&self, time: i64) -> Option<Date> {
        Timestamp::from_second(time).ok().map(|moment| self.zone.to_datetime(moment).date())
    }

    /// The hour and the minute.
    pub(super) fn time(&self, time: i64) -> String {
        let moment = Timestamp::from_second(time).ok().map(|moment| self.zone.to_datetime(moment));
        moment.map_or_else(|| "--:--".to_owned(), |moment| format!("{:02}:{:02}", moment.hour(), moment.minute()))
    }

    /// A line across, with a word in it.
    fn rule(&self, word: &str, style: Style) -> Line<'static> {
        let begin = format!("── {word} ");
        let rest = self.width.saturating_sub(begin.width());
        Line::styled(begin + &"─".repeat(rest), style)
    }

    fn rows<'t>(
        &self,
        time: &str,
        head: &str,
        head_style: Style,
        lines: impl Iterator<Item = &'t str>,
        text_style: Style,
    ) -> Vec<Line<'static>> {
        let mut rows = Vec::new();
        let indent = INDENT.min(self.width / 4);
        for (at, line) in lines.enumerate() {
            let mut glyphs = Vec::new();
            if at == 0 {
                glyphs.extend(glyphs_of(&format!("{time:<TIME_LEN$}"), self.theme.faint()));
                glyphs.extend(glyphs_of(head, head_style));
            }
            let fixed = glyphs.len();
            let mut text = glyphs_of(line, text_style);
            self.mark_found(&mut text);
            glyphs.extend(text);
            let begin = if at == 0 { 0 } else { indent };
            rows.extend(wrap(&glyphs, fixed, self.width.max(1), begin, indent));
        }
        rows
    }

    /// Has what is searched for stand out.
    fn mark_found(&self, glyphs: &mut [Glyph]) {
        let Some(needle) = self.needle.map(str::to_lowercase).filter(|needle| !needle.is_empty()) else { return };
        let (mut line, mut ends) = (String::new(), Vec::new());
        for glyph in &*glyphs {
            line.push_str(&glyph.symbol.to_lowercase());
            ends.push(line.len());
        }
        for (at, found) in line.match_indices(&needle) {
            let first = ends.partition_point(|&end| end <= at);
            let last = ends.partition_point(|&end| end < at + found.len());
            for glyph in glyphs.iter_mut().take(last + 1).skip(first) {
                glyph.style = glyph.style.patch(self.theme.found());
            }
        }
    }
}

fn glyphs_of(text: &str, style: Style) -> Vec<Glyph> {
    let span = Span::raw(text);
    let glyphs = span.styled_graphemes(Style::new());
    glyphs.map(|glyph| Glyph { symbol: glyph.symbol.to_owned(), width: glyph.symbol.width(), style }).collect()
}

/// Breaks a line where words end, if they do behind the first `fixed` glyphs; the first row begins at `begin`, others at `indent`.
fn wrap(glyphs: &[Glyph], fixed: usize, width: usize, begin: usize, indent: usize) -> Vec<Line<'static>> {
    let mut rows = Vec::new();
    let (mut start, mut used, mut margin) = (0, begin, begin);
    // Behind the last space of this row.
    let mut after_space = None;
    let mut at = 0;
    while at < glyphs.len() {
        let glyph = &glyphs[at];
        if used + glyph.width > width && at > start {
            let end = after_space.filter(|&end| end > start).unwrap_or(at);
            rows.push(row(&glyphs[start..end], margin));
            (start, margin, after_space) = (end, indent, None);
            used = indent + glyphs[start..at].iter().map(|glyph| glyph.width).sum::<usize>();
            continue;
        }
        used += glyph.width;
        at += 1;
        if at > fixed && glyph.symbol == " " {
            after_space = Some(at);
        }
    }
    rows.push(row(&glyphs[start..], margin));
    rows
}

/// The glyphs of a row, those of one style together.
fn row(glyphs: &[Glyph], margin: usize) -> Line<'static> {
    let mut spans: Vec<Span<'static>> = Vec::new();
    if margin > 0 {
        spans.push(Span::raw(" ".repeat(margin)));
    }
    for glyph in glyphs {
        match spans.last_mut() {
            Some(last) if last.style == glyph.style => last.content.to_mut().push_str(&glyph.symbol),
            _ => spans.push(Span::styled(glyph.symbol.clone(), glyph.style)),
        }
    }
    Line::from(spans)
}

// ---- the parts of the screen ----

impl Model {
    /// Rows of the field.
    pub(super) fn field_height(&self) -> u16 {
        if self.search.is_some() {
            return 1;
        }
        let width = usize::from(self.width).saturating_sub(PROMPT.len()).max(1);
        let rows: usize = self.field.area.lines().iter().map(|line| line.width() / width + 1).sum();
        let max = FIELD_MAX.min(self.height / 3).max(1);
        u16::try_from(rows).unwrap_or(max).clamp(1, max)
    }

    /// Whether the list of everything that can be typed has room.
    pub(super) fn has_room_for_help(&self) -> bool {
        !self.settings.is_plain && usize::from(self.height) > help_lines().count() && self.width >= 72
    }

    /// Whether members have a place on the screen.
    pub(super) fn has_members_shown(&self) -> bool {
        let room = self.room();
        let is_wide = self.width >= 72 && !room.members.is_empty();
        self.shows_members.unwrap_or(is_wide) && self.width >= 30 && room.name != MAILBOX
    }

    /// The conversation's part of the screen.
    pub(super) fn conversation_size(&self) -> (usize, usize) {
        let members = if self.has_members_shown() { MEMBERS_WIDTH } else { 0 };
        let height = self.height.saturating_sub(2 + self.field_height());
        (self.width.saturating_sub(members).max(1).into(), height.max(1).into())
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::Text;
    use super::*;
    use proptest::prelude::*;

    const THEME: Theme = Theme { is_coloured: true };

    static UTC: TimeZone = TimeZone::UTC;

    fn layout(width: usize) -> Layout<'static> {
        Layout { width, zone: &UTC, theme: THEME, needle: None }
    }

    fn said(from: &str, text: &str) -> Entry {
        let text = Text::new(text.as_bytes());
        let what = What::Said { from: from.to_owned(), is_me: false, is_echo: false, is_mention: false, text };
        Entry { id: 1, time: 50_400, what }
    }

    fn shown(width: usize, entry: &Entry) -> Vec<String> {
        layout(width).entry(entry, Some(entry), false).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn long_lines_are_wrapped_at_words_and_further_lines_are_indented() {
        let rows = shown(24, &said("anna", "the kiln is at nine hundred\n14:01 bob: no"));
        assert_eq!(rows, ["14:00 anna: the kiln is ", "      at nine hundred", "      14:01 bob: no"]);
        let rows = shown(40, &said("anna", "over\n14:01 bob: no"));
        assert_eq!(rows, ["14:00 anna: over", "        14:01 bob: no"]);
        assert_eq!(shown(12, &said("anna", "天気天気")), ["14:00 anna: ", "   天気天気"]);
        assert_eq!(shown(8, &said("anna", "xxxxxxx")), ["14:00 an", "  na: xx", "  xxxxx"]);
    }

    #[test]
    fn a_new_day_and_what_is_new_begin_with_a_line_across() {
        let (one, mut two) = (said("anna", "x"), said("bob", "y"));
        two.time += 86_400;
        let rows = layout(30).entry(&two, Some(&one), true);
        let rows: Vec<_> = rows.iter().map(ToString::to_string).collect();
        assert_eq!(rows, ["── Friday, 2 January 1970 ────", "── new ───────────────────────", "14:00 bob: y"]);
        two.time = i64::MAX;
        assert_eq!(layout(30).entry(&two, Some(&one), false)[0].to_string(), "--:-- bob: y");
    }

    #[test]
    fn what_is_found_stands_out_whatever_its_letter_case() {
        let layout = Layout { needle: Some("KILN"), ..layout(40) };
        let rows = layout.entry(&said("anna", "the Kiln, kiln"), None, false);
        let found = rows.last().unwrap().spans.iter().filter(|span| span.style == THEME.found());
        assert_eq!(found.map(|span| span.content.as_ref()).collect::<Vec<_>>(), ["Kiln", "kiln"]);
    }

    proptest! {
        #[test]
        fn whatever_somebody_says_only_the_first_row_has_something_in_the_first_columns_and_no_row_is_too_long(
            text in proptest::collection::vec(
                prop_oneof![any::<char>(), Just('\n'), Just('\x1b'), Just('─'), Just(' '), Just('\u{301}'), Just('天')], 0..80,
            ),
            from in "[a-z]{1,12}", width in 4_usize..60,
        ) {
            let rows = shown(width, &said(&from, &String::from_iter(text)));
            let (first, others) = rows.split_first().unwrap();
            prop_assert!(first.starts_with("14:00") || width < 5, "{first:?}");
            for row in others {
                prop_assert!(row.starts_with(&" ".repeat(8.min(width / 4))), "{row:?}");
            }
            for row in &rows {
                prop_assert!(!row.contains(crate::core::text::is_control), "{row:?}");
                prop_assert!(row.width() <= width.max(2 + width / 4), "{row:?} in {width}");
            }
        }
    }
}
