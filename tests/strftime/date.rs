//! The extensions that only date(1) has, against the date(1) that is installed.

pub(crate) fn extensions_mean_what_they_mean_in_date() {}
