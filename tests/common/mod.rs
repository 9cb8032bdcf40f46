//! What tests of more than one kind use.

pub(crate) mod netns;
