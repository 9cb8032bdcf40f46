//! Weeks of the year, counted in three ways.

/// Weeks that began on a Sunday this year (`%U`); the days before the first are week 0.
pub(super) fn from_sunday(year_day: i64, weekday: i64) -> i64 {
    (year_day - 1 - weekday + 7) / 7
}

/// Weeks that began on a Monday this year (`%W`); the days before the first are week 0.
pub(super) fn from_monday(year_day: i64, weekday: i64) -> i64 {
    from_sunday(year_day, (weekday + 6) % 7)
}

/// The year and week of ISO 8601 (`%G`, `%V`): a week begins on Monday and belongs to the year its Thursday is in.
pub(super) fn iso(year: i64, year_day: i64, weekday: i64) -> (i64, i64) {
    let thursday = year_day + 3 - (weekday + 6) % 7;
    let (year, thursday) = if thursday < 1 {
        (year - 1, thursday + days_in(year - 1))
    } else if thursday > days_in(year) {
        (year + 1, thursday - days_in(year))
    } else {
        (year, thursday)
    };
    (year, (thursday - 1) / 7 + 1)
}

const fn days_in(year: i64) -> i64 {
    if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) { 366 } else { 365 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_iso_year_of_the_days_around_new_year_is_that_of_their_thursday() {
        // Year, day of the year, weekday; ISO year and week.
        let table = [
            ((2021, 1, 5), (2020, 53)),
            ((2024, 366, 2), (2025, 1)),
            ((2026, 1, 4), (2026, 1)),
            ((2020, 366, 4), (2020, 53)),
            ((0, 1, 6), (-1, 52)),
        ];
        for ((year, year_day, weekday), expected) in table {
            assert_eq!(iso(year, year_day, weekday), expected, "{year} {year_day}");
        }
    }

    #[test]
    fn the_days_before_the_first_week_are_week_zero() {
        assert_eq!((from_sunday(1, 1), from_monday(1, 1)), (0, 1));
        assert_eq!((from_sunday(1, 0), from_monday(1, 0)), (1, 0));
    }
}
