//! Progress of what lasts: a bar on standard error while it goes on, and nothing of it left afterwards.
//!
//! It is there for people who wait. Where standard error is no terminal nothing is written, so that logs and pipes hold
//! results only.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{self, IsTerminal};

/// A bar, or a line with a count where nobody knows how much there is. It is gone when this is dropped.
#[derive(Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Begins with nothing done of `count`; `None` where the end is not known.
    pub(super) fn begin(what: &'static str, count: Option<u64>) -> Self {
        let is_seen = io::stderr().is_terminal();
        let target = if is_seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let template = if count.is_some() { "{msg} {wide_bar} {pos}/{len}" } else { "{msg} {pos}" };
        let bar = ProgressBar::with_draw_target(count, target).with_message(what);
        // Without this style it has its own, which is as good.
        Self(match ProgressStyle::with_template(template) {
            Ok(style) => bar.with_style(style),
            Err(_) => bar,
        })
    }

    /// One that is not shown.
    pub(super) fn none() -> Self {
        Self(ProgressBar::hidden())
    }

    /// So many more are done.
    pub(super) fn advance(&self, count: u64) {
        self.0.inc(count);
    }

    /// Prints something, with the bar out of its way.
    pub(super) fn pause<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
