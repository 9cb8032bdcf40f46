//! The lines of the log that mean one thing and always the same: each has an id of its own, `MESSAGE_ID=` in the journal.
//!
//! `journalctl MESSAGE_ID=…` finds them, and `journalctl --catalog` explains them, by `packaging/belfry.catalog`.

/// The daemon serves.
pub(crate) const STARTED: &str = "e9cbf8437d3a4461bdf5a6ebaf217854";

/// The daemon could not be started, or could not go on.
pub(crate) const FAILED: &str = "80dde07adee6441b836f698a9bfd7d37";

/// The daemon was asked to end.
pub(crate) const STOPPING: &str = "1b5c4daee70d490bb0025a37c9ec5437";

/// Another configuration is in force.
pub(crate) const RELOADED: &str = "b52dad5fb0534cbc94e7cfc4068a49b2";

/// Another configuration was to be in force, and is not.
pub(crate) const RELOAD_FAILED: &str = "ec9edfb4671f4b259ec732a102dca4fe";

/// What was turned away since the last such line.
pub(crate) const TURNED_AWAY: &str = "dd6a75e7a4f54156b6ca5a274ac97101";

/// The process, or the machine, stood still.
pub(crate) const STALLED: &str = "7ca60b887af14833a885510125c1a62a";

/// Lines of the log were lost.
pub(crate) const LINES_LOST: &str = "adcb3a2c13684291803ea58a39f33620";

/// Somebody said something in a room.
pub(crate) const SAID: &str = "c749febaa0ce4f288084ced7dfbdad58";

/// What outlives the process cannot be written or read.
pub(crate) const STATE_DEGRADED: &str = "ee3bf53eedc44f248e4ad5f04e42ef0d";

/// It can be written again.
pub(crate) const STATE_RECOVERED: &str = "870433cadd6c44cc892d2867650bce99";

/// The operator has removed a member.
pub(crate) const KICKED: &str = "67e400d7772542bca057d7d9185f1ad8";
