//! A terminal with somebody at it: tmux, which is asked to press keys and what is on the screen.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// How long something may take to appear: a network that loses a lot is among what is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// A terminal in which a shell command runs.
pub(crate) struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// A terminal of this size; what runs in it is in the network of the calling thread. `folder` is for this one alone.
    pub(crate) fn start(folder: &Path, width: u16, height: u16, command: &str) -> Self {
        let terminal = Self { socket: folder.join("tmux") };
        let (width, height) = (width.to_string(), height.to_string());
        let started = ["-f", "/dev/null", "new-session", "-d", "-x", &width, "-y", &height, command];
        let output = terminal.tmux(&started);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        terminal
    }

    fn tmux(&self, words: &[&str]) -> Output {
        let mut tmux = Command::new("tmux");
        // Whether there are colours, and which terminal it is, is for the test to say.
        tmux.arg("-u").arg("-S").arg(&self.socket).args(words).env_remove("TMUX").env_remove("NO_COLOR");
        tmux.output().expect("tmux is installed")
    }

    fn asked(&self, words: &[&str]) -> String {
        String::from_utf8(self.tmux(words).stdout).expect("tmux speaks UTF-8")
    }

    /// Types a text as it is.
    pub(crate) fn types(&self, text: &str) {
        self.tmux(&["send-keys", "-l", "--", text]);
    }

    /// Presses keys, by tmux's names.
    pub(crate) fn presses(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys", "--"], keys].concat());
    }

    /// Types a line and Enter.
    pub(crate) fn says(&self, text: &str) {
        self.types(text);
        self.presses(&["Enter"]);
    }

    /// Pastes a text, marked as such if the program has asked for that.
    pub(crate) fn pastes(&self, text: &str) {
        self.tmux(&["set-buffer", "--", text]);
        self.tmux(&["paste-buffer", "-p", "-r"]);
    }

    pub(crate) fn resize(&self, width: u16, height: u16) {
        self.tmux(&["resize-window", "-x", &width.to_string(), "-y", &height.to_string()]);
    }

    /// What is on the screen, without white space at the ends of its rows.
    pub(crate) fn screen(&self) -> String {
        let screen = self.asked(&["capture-pane", "-p"]);
        screen.lines().map(|row| format!("{}\n", row.trim_end())).collect()
    }

    /// The same with what gives it colours.
    pub(crate) fn coloured_screen(&self) -> String {
        self.asked(&["capture-pane", "-p", "-e"])
    }

    /// Whether a program has the whole screen, and whether the cursor is shown.
    pub(crate) fn modes(&self) -> String {
        self.asked(&["display-message", "-p", "#{alternate_on} #{cursor_flag}"]).trim().to_owned()
    }

    /// Waits until the screen is as it should be, and says what it looks like then.
    pub(crate) fn waits_for(&self, what: &str, is_there: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let screen = self.screen();
            if is_there(&screen) {
                return screen;
            }
            assert!(Instant::now() < deadline, "no {what:?} on the screen:\n{screen}");
            std::thread::sleep(Duration::from_millis(30));
        }
    }

    /// Waits until a text is on the screen.
    pub(crate) fn shows(&self, text: &str) -> String {
        self.waits_for(text, |screen| screen.contains(text))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}
