//! Lines with columns below each other, by how wide a terminal shows what is in them.

use unicode_width::UnicodeWidthStr;

/// The widest column, so that one long name does not push everything off the screen: as wide as the name that a hub makes of
/// an IPv6 address and a port.
const COLUMN_MAX: usize = 47;

/// Each row as a line; there are no spaces behind the last column.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> impl Iterator<Item = String> {
    let widths: [usize; N] = std::array::from_fn(|column| width(rows, column));
    rows.iter().map(move |row| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell}{}", padding(cell, width)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    })
}

/// Moves what is in a column to its right side, as for figures.
pub(super) fn to_the_right<const N: usize>(rows: &mut [[String; N]], column: usize) {
    let width = width(rows, column);
    rows.iter_mut().map(|row| &mut row[column]).for_each(|cell| *cell = padding(cell, width) + cell);
}

fn width<const N: usize>(rows: &[[String; N]], column: usize) -> usize {
    rows.iter().map(|row| row[column].width()).max().unwrap_or_default().min(COLUMN_MAX)
}

fn padding(cell: &str, width: usize) -> String {
    " ".repeat(width.saturating_sub(cell.width()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned);
        let mut rows = [row(["a", "192.0.2.1", "x"]), row(["tower", "::1", ""]), row(["アンナ", "", "y"])];
        let lines = ["a       192.0.2.1  x", "tower   ::1", "アンナ             y"];
        assert_eq!(aligned(&rows).collect::<Vec<_>>(), lines);
        to_the_right(&mut rows, 1);
        assert_eq!(aligned(&rows).nth(1).as_deref(), Some("tower         ::1"));
    }

    #[test]
    fn one_long_name_does_not_push_everything_off_the_screen() {
        let rows = [["x".repeat(COLUMN_MAX + 1), "y".to_owned()], ["x".to_owned(), "y".to_owned()]];
        let widths: Vec<usize> = aligned(&rows).map(|line| line.len()).collect();
        assert_eq!(widths, [COLUMN_MAX + 4, COLUMN_MAX + 3]);
    }
}
