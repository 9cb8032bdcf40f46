//! Somebody at a terminal, with one of the netcats.

use crate::belfryd::PATIENCE;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::process::{Child, Command, Stdio};

/// Runs a line in a shell; what it printed.
pub(crate) fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-c", line]).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) fn is_installed(program: &str) -> bool {
    let found = !shell(&format!("command -v {program}")).is_empty();
    if !found {
        println!("skipped: {program} is not installed");
    }
    found
}

/// A client with somebody at its terminal.
pub(crate) struct Person {
    child: Child,
    screen: BufReader<std::process::ChildStdout>,
}

impl Person {
    pub(crate) fn at(command: &str) -> Self {
        let mut words = command.split(' ');
        let mut child = Command::new(words.next().unwrap())
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let screen = BufReader::new(child.stdout.take().unwrap());
        Self { child, screen }
    }

    pub(crate) fn types(&mut self, line: &str) {
        // At once, as a terminal hands it over: in two pieces it would be two datagrams.
        self.child.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Reads until a line that ends like this.
    pub(crate) fn reads(&mut self, end: &str) {
        let mut seen = String::new();
        while self.has_more() {
            // What is there, up to the end of a line: one that does not end must not be waited for.
            let there = self.screen.fill_buf().unwrap();
            let len = there.iter().position(|&byte| byte == b'\n').map_or(there.len(), |at| at + 1);
            if len == 0 {
                break;
            }
            seen.push_str(&String::from_utf8_lossy(&there[..len]));
            self.screen.consume(len);
            if seen.ends_with('\n') && seen.trim_end().ends_with(end) {
                return;
            }
        }
        panic!("no {end:?} in {seen:?}");
    }

    /// Reads the next line.
    pub(crate) fn reads_line(&mut self) -> String {
        assert!(self.has_more(), "there is nothing to read");
        let mut line = String::new();
        self.screen.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits until there is more to read, but not for ever.
    fn has_more(&mut self) -> bool {
        let mut fds = [PollFd::new(self.screen.get_ref().as_fd(), PollFlags::POLLIN)];
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        !self.screen.buffer().is_empty() || poll(&mut fds, patience).unwrap() > 0
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
