//! What is told of the figures: tables, for the screen and for the page. They hold what was measured in this run and
//! nothing else; who could not be measured has a row too, which says why.

use crate::rounds::Series;
use std::fmt::Write as _;

/// The longest line of a paragraph on the page.
const LINE_MAX: usize = 120;

/// What a value counts.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    PerSecond,
    Microseconds,
    Milliseconds,
    Mebibytes,
    Bytes,
    Nanoseconds,
    Times,
}

impl Unit {
    const fn suffix(self) -> &'static str {
        match self {
            Self::PerSecond => "/s",
            Self::Microseconds => " µs",
            Self::Milliseconds => " ms",
            Self::Mebibytes => " MiB",
            Self::Bytes => " bytes",
            Self::Nanoseconds => " ns",
            Self::Times => " times",
        }
    }

    pub(crate) fn text(self, value: f64) -> String {
        match self {
            Self::PerSecond => grouped(value),
            Self::Microseconds | Self::Milliseconds | Self::Mebibytes if value < 100.0 => format!("{value:.2}"),
            Self::Times | Self::Nanoseconds | Self::Bytes => format!("{value:.0}"),
            Self::Microseconds | Self::Milliseconds | Self::Mebibytes => format!("{value:.0}"),
        }
    }
}

/// A paragraph in lines.
pub(crate) fn wrapped(paragraph: &str) -> String {
    let (mut text, mut column) = (String::new(), 0);
    for word in paragraph.split_whitespace() {
        let len = word.chars().count();
        if column > 0 {
            let is_full = column + 1 + len > LINE_MAX;
            text.push(if is_full { '\n' } else { ' ' });
            column = if is_full { 0 } else { column + 1 };
        }
        text.push_str(word);
        column += len;
    }
    text.push('\n');
    text
}

/// For how much of the time the server ran, and for how long for each of what it did.
fn busy(series: &Series) -> Option<String> {
    let (busy, cost) = (series.busy()?, series.costs().median()?);
    Some(format!("{:.0} %, {} ns", busy * 100.0, grouped(cost)))
}

/// A number to three digits, in groups of three.
fn grouped(value: f64) -> String {
    let unit = 10_f64.powf((value.max(1.0).log10().floor() - 2.0).max(0.0));
    let digits = format!("{:.0}", (value / unit).round() * unit);
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// What is to be reached, and whether it was.
pub(crate) struct Target {
    text: String,
    met: bool,
}

impl Target {
    /// At least so many times what the other does.
    pub(crate) fn ratio_at_least(ratio: Option<f64>, least: f64) -> Self {
        Self { text: format!("≥ {least:.2} ×"), met: ratio.is_some_and(|it| it >= least) }
    }

    /// A value that is to be no more than that.
    pub(crate) fn at_most(unit: Unit, value: Option<f64>, most: f64) -> Self {
        Self { text: format!("≤ {most}{}", unit.suffix()), met: value.is_some_and(|it| it <= most) }
    }

    /// Whatever the words say.
    pub(crate) fn new(text: &str, met: bool) -> Self {
        Self { text: text.to_owned(), met }
    }

    fn verdict(&self) -> &'static str {
        if self.met { "met" } else { "**missed**" }
    }
}

struct Row {
    work: String,
    unit: Unit,
    series: Series,
    /// `belfryd` in relation to who this row is about.
    ratio: Option<f64>,
    target: Option<Target>,
}

/// The table of a figure.
pub(crate) struct Table {
    title: String,
    /// How it is measured, and what stands in the way of a fair comparison.
    about: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(title: &str, about: &str) -> Self {
        Self { title: title.to_owned(), about: about.to_owned(), rows: Vec::new() }
    }

    /// Adds a row that is compared with nobody.
    pub(crate) fn add(&mut self, work: &str, unit: Unit, series: Series, target: Option<Target>) {
        self.rows.push(Row { work: work.to_owned(), unit, series, ratio: None, target });
    }

    /// Adds the rows of one work, all of them rates: that of `belfryd`, which comes first, and those that it is compared
    /// with, some of which have a ratio that it is to reach.
    pub(crate) fn compare(&mut self, work: &str, series: &[Series], targets: &[(&str, f64)]) {
        let Some((belfryd, others)) = series.split_first() else { return };
        let unit = Unit::PerSecond;
        self.add(work, unit, belfryd.clone(), None);
        for other in others {
            let ratio = belfryd.ratio_to(other);
            let least = targets.iter().find(|(who, _)| *who == other.who).map(|&(_, least)| least);
            let target = least.map(|least| Target::ratio_at_least(ratio, least));
            self.rows.push(Row { work: work.to_owned(), unit, series: other.clone(), ratio, target });
        }
    }

    fn cells(&self) -> Vec<[String; 8]> {
        let head = ["work", "who", "median", "lowest–highest", "server busy, each", "belfryd / this", "target", ""];
        let mut cells = vec![head.map(str::to_owned)];
        let mut last_work = "";
        for Row { work, unit, series, ratio, target } in &self.rows {
            let value = match &series.values {
                Ok(_) => series
                    .median()
                    .map_or_else(|| "none".to_owned(), |median| format!("{}{}", unit.text(median), unit.suffix())),
                Err(reason) => format!("not measured: {reason}"),
            };
            let spread = series.spread().map(|(low, high)| format!("{}–{}", unit.text(low), unit.text(high)));
            cells.push([
                if work == last_work { String::new() } else { work.clone() },
                series.who.clone(),
                value,
                spread.unwrap_or_default(),
                busy(series).unwrap_or_default(),
                ratio.map(|ratio| format!("{ratio:.2}")).unwrap_or_default(),
                target.as_ref().map(|target| target.text.clone()).unwrap_or_default(),
                target.as_ref().filter(|_| series.values.is_ok()).map_or("", Target::verdict).to_owned(),
            ]);
            last_work = work;
        }
        cells
    }

    /// In the place of a figure that could not be run.
    pub(crate) fn absent(figure: &str, reason: &str) -> Self {
        Self::new(figure, &format!("Not measured: {reason}."))
    }

    /// As a section of the page.
    pub(crate) fn markdown(&self) -> String {
        let mut text = format!("## {}\n\n{}", self.title, wrapped(&self.about));
        if self.rows.is_empty() {
            return text;
        }
        text.push('\n');
        for (at, cells) in self.cells().iter().enumerate() {
            let _ = writeln!(text, "| {} |", cells.join(" | "));
            if at == 0 {
                text.push_str("|---|---|---:|---:|---:|---:|---|---|\n");
            }
        }
        text
    }

    /// In columns.
    pub(crate) fn screen(&self) -> String {
        let cells = self.cells();
        // A reason is longer than any number, and comes last in its row.
        let is_reason = |cell: &str| cell.starts_with("not measured");
        let width = |column: usize| {
            let lens =
                cells.iter().map(|row| &row[column]).filter(|cell| !is_reason(cell)).map(|cell| cell.chars().count());
            lens.max().unwrap_or(0)
        };
        let widths: [usize; 8] = std::array::from_fn(width);
        if self.rows.is_empty() {
            return format!("{}\n  {}\n", self.title, self.about);
        }
        let mut text = format!("{}\n", self.title);
        for row in &cells {
            let line: Vec<_> = (0..8).map(|at| format!("{:<1$}", row[at].replace("**", ""), widths[at])).collect();
            let _ = writeln!(text, "  {}", line.join("  ").trim_end());
        }
        text
    }

    /// How many targets there are, and how many of them are met.
    pub(crate) fn targets(&self) -> (usize, usize) {
        let targets = self.rows.iter().filter_map(|row| row.target.as_ref());
        targets.fold((0, 0), |(all, met), target| (all + 1, met + usize::from(target.met)))
    }
}
