//! What somebody who talks is called.

use super::Failure;
use super::server::Contacts;
use crate::core::limits::NAME_MAX;
use clap::Args;

/// Who it is that talks.
#[derive(Clone, Debug, Args)]
pub(super) struct Talker {
    /// Your name in the room; if it is taken, a number is added [default: `name` in your contacts, or $USER]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
}

impl Talker {
    /// The name that is wanted; where there is none the hub makes one.
    pub(super) fn name(&self) -> Result<Option<String>, Failure> {
        if let Some(name) = &self.name {
            return Ok(Some(name.clone()));
        }
        Ok(Contacts::read()?.name.or_else(|| std::env::var("USER").ok().filter(|name| may_be_called(name))))
    }
}

/// Whether a hub lets somebody be called so; but for names that look like others, of which it knows more.
pub(super) fn may_be_called(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.len() <= NAME_MAX
        && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}
