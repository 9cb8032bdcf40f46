//! The configuration as a file that says it: every key, so that a reader sees what is in force.

use super::setting::{Glob, Setting};
use super::{Access, Announce, Chat, Config, Log, Ntp, Time};
use std::fmt::Display;
use toml::Value;

impl Config {
    /// A file with every key, which [`parse`](super::parse) reads as this same configuration.
    pub fn to_toml(&self) -> String {
        let mut file = File::default();
        self.log.print(&mut file);
        self.access.print(&mut file);
        self.time.print(&mut file);
        self.chat.print(&mut file);
        self.announce.print(&mut file);
        self.ntp.print(&mut file);
        self.echo.print(&mut file);
        file.text
    }
}

#[derive(Default)]
pub(super) struct File {
    text: String,
}

impl File {
    pub(super) fn table(&mut self, name: &str) -> &mut Self {
        let gap = if self.text.is_empty() { "" } else { "\n" };
        self.text.push_str(&format!("{gap}[{name}]\n"));
        self
    }

    pub(super) fn plain(&mut self, key: &str, value: impl Display) -> &mut Self {
        self.text.push_str(&format!("{key} = {value}\n"));
        self
    }

    pub(super) fn string(&mut self, key: &str, value: &impl Setting) -> &mut Self {
        self.plain(key, Value::String(value.to_text()))
    }

    pub(super) fn list(&mut self, key: &str, entries: &[impl Setting]) -> &mut Self {
        let entries = entries.iter().map(|entry| Value::String(entry.to_text()));
        self.plain(key, Value::Array(entries.collect()))
    }
}

impl Log {
    fn print(&self, file: &mut File) {
        file.table("log").string("target", &self.target).string("level", &self.level);
    }
}

impl Access {
    fn print(&self, file: &mut File) {
        file.table("access").list("allow", &self.allow).list("deny", &self.deny);
    }
}

impl Time {
    fn print(&self, file: &mut File) {
        file.table("time")
            .plain("enabled", self.enabled)
            .list("listen", &self.listen)
            .list("allow", &self.allow)
            .list("deny", &self.deny)
            .string("default-format", &self.default_format)
            .string("timezone", &self.timezone)
            .string("rate-limit", &self.rate_limit);
    }
}

impl Chat {
    fn print(&self, file: &mut File) {
        file.table("chat")
            .plain("enabled", self.enabled)
            .list("listen", &self.listen)
            .list("allow", &self.allow)
            .list("deny", &self.deny)
            .string("heartbeat-interval", &self.heartbeat_interval)
            .string("heartbeat-timeout", &self.heartbeat_timeout)
            .string("silent-timeout", &self.silent_timeout)
            .plain("echo-to-sender", self.echo_to_sender)
            .string("line-format", &self.line_format)
            .plain("max-message", self.max_message)
            .plain("max-members", self.max_members)
            .plain("max-members-per-address", self.max_members_per_address)
            .plain("history", self.history)
            .plain("log-messages", self.log_messages)
            .string("rate-limit", &self.rate_limit)
            .string("fan-out", &self.fan_out);
    }
}

impl Announce {
    fn print(&self, file: &mut File) {
        let interfaces: Vec<_> = self.interfaces.iter().cloned().map(Glob).collect();
        file.table("announce")
            .plain("enabled", self.enabled)
            .list("listen", &self.listen)
            .list("allow", &self.allow)
            .list("deny", &self.deny)
            .list("groups", &self.groups)
            .list("interfaces", &interfaces)
            .string("interval", &self.interval)
            .string("rate-limit", &self.rate_limit);
    }
}

impl Ntp {
    fn print(&self, file: &mut File) {
        file.table("ntp")
            .plain("enabled", self.enabled)
            .list("listen", &self.listen)
            .list("allow", &self.allow)
            .list("deny", &self.deny)
            .plain("stratum", self.stratum)
            .plain("local-stratum", self.local_stratum)
            .list("listen-rfc868", &self.listen_rfc868)
            .list("listen-rfc867", &self.listen_rfc867)
            .string("rate-limit", &self.rate_limit);
    }
}
