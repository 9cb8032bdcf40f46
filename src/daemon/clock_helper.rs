//! The state of the clock, told by another process.
//!
//! `adjtimex(2)` reads the kernel's clock state and sets clocks, so the sandbox of a daemon that strangers talk to leaves it
//! out as a whole. `belfry-clock` ([`main`]) is a process that makes this one call and hears nobody but the daemon, which
//! asks it at a unix socket (`ClockHelper`), waits a moment at most, and then goes by what it was last told.
//!
//! A question is one byte, an answer one line: `synchronised 12000`, with the greatest error in microseconds, and behind it
//! `insert` or `delete` on a day that ends in a leap second.

use super::sys;
use crate::core::{ClockState, Instant, Leap};
use crate::unix;
use nix::errno::Errno;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Where the helper is asked.
const SOCKET: &str = "/run/belfry/clock";

/// How long an answer may take, and before it a place in the queue of a helper that was started anew. It takes some fifty
/// microseconds; the loop stands still meanwhile.
const ANSWER_WAIT_MAX: Duration = Duration::from_millis(25);

/// How long one that did not answer is left alone the first time: it may be about to start.
const SECOND_TRY_AFTER: Duration = Duration::from_secs(1);

/// And from then on, so that one that hangs does not slow the loop down.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// How long the last answer is good. Nobody knows what has become of the clock since.
const ANSWER_AGE_MAX: Duration = Duration::from_secs(60);

/// The longest answer.
const ANSWER_LEN_MAX: usize = 64;

/// The one who asks.
#[derive(Debug, Default)]
pub(super) struct ClockHelper {
    stream: Option<UnixStream>,
    /// What was told last, and when.
    told: Option<(Instant, ClockState)>,
    /// Not to be asked before.
    retry: Option<Instant>,
    /// Tries in vain, one after the other.
    failures: u32,
}

impl ClockHelper {
    /// The state of the clock: from the kernel, or where that may not be asked from the helper.
    pub(super) fn read(&mut self, now: Instant) -> ClockState {
        match sys::clock_state() {
            Ok(state) => state,
            Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => self.ask_at(Path::new(SOCKET), now),
            Err(_) => ClockState::default(),
        }
    }

    fn ask_at(&mut self, path: &Path, now: Instant) -> ClockState {
        if self.retry.is_none_or(|retry| retry <= now) {
            match self.ask(path) {
                Ok(state) => {
                    self.told = Some((now, state));
                    (self.retry, self.failures) = (None, 0);
                }
                Err(error) => {
                    self.failures += 1;
                    let wait = if self.failures == 1 { SECOND_TRY_AFTER } else { RETRY_AFTER };
                    (self.stream, self.retry) = (None, Some(now + wait));
                    if self.failures == 2 {
                        log::warn!("cannot learn the state of the clock at {}: {error}", path.display());
                    }
                }
            }
        }
        let good = self.told.filter(|&(then, _)| now.since(then) < ANSWER_AGE_MAX);
        good.map(|(then, state)| state.aged(now.since(then))).unwrap_or_default()
    }

    fn ask(&mut self, path: &Path) -> io::Result<ClockState> {
        match self.stream.as_mut().map(ask) {
            Some(Ok(state)) => return Ok(state),
            // It may have been started anew; one that hangs is not asked twice.
            Some(Err(error)) if is_timeout(&error) => return Err(error),
            Some(Err(_)) | None => {}
        }
        let mut stream = unix::connect(path, ANSWER_WAIT_MAX)?;
        let state = ask(&mut stream)?;
        self.stream = Some(stream);
        Ok(state)
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn ask(stream: &mut UnixStream) -> io::Result<ClockState> {
    stream.write_all(b"?")?;
    // It is written at once, and so it is read: a stream of drops would have us wait for each.
    let mut answer = [0; ANSWER_LEN_MAX];
    let len = stream.read(&mut answer)?;
    match answer[..len].strip_suffix(b"\n") {
        Some(line) => parse(line).ok_or_else(|| io::ErrorKind::InvalidData.into()),
        None if len == 0 => Err(io::ErrorKind::UnexpectedEof.into()),
        None => Err(io::ErrorKind::InvalidData.into()),
    }
}

fn render(state: ClockState) -> String {
    let word = if state.synchronised { "synchronised" } else { "unsynchronised" };
    let leap = match state.leap {
        Leap::None => "",
        Leap::Insert => " insert",
        Leap::Delete => " delete",
    };
    format!("{word} {}{leap}\n", state.max_error.as_micros())
}

/// What a line says, without its end.
fn parse(line: &[u8]) -> Option<ClockState> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    let synchronised = match words.next()? {
        "synchronised" => true,
        "unsynchronised" => false,
        _ => return None,
    };
    let max_error = Duration::from_micros(words.next()?.parse().ok()?);
    let leap = match (words.next(), words.next()) {
        (None, _) => Leap::None,
        (Some("insert"), None) => Leap::Insert,
        (Some("delete"), None) => Leap::Delete,
        _ => return None,
    };
    Some(ClockState { synchronised, max_error, leap })
}

/// Everything that `belfry-clock` does: answers at the socket that systemd passes.
pub fn main() -> ExitCode {
    let passed = sys::passed_fds().unwrap_or_default();
    let Some((_, fd)) = passed.into_iter().next() else {
        let _ = writeln!(io::stderr(), "belfry-clock: it is started by systemd, at belfry-clock.socket");
        return ExitCode::FAILURE;
    };
    let failed = answer_all(&UnixListener::from(fd));
    let _ = writeln!(io::stderr(), "belfry-clock: {failed}");
    ExitCode::FAILURE
}

/// Answers one asker after the other, until the listener fails.
fn answer_all(listener: &UnixListener) -> io::Error {
    loop {
        match listener.accept() {
            // Who goes away in the middle is no trouble of ours.
            Ok((stream, _)) => drop(answer(stream)),
            Err(error) => return error,
        }
    }
}

fn answer(mut stream: UnixStream) -> io::Result<()> {
    let mut question = [0];
    while stream.read(&mut question)? > 0 {
        stream.write_all(render(sys::clock_state().unwrap_or_default()).as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    /// A helper with a script: each connection gets the answers, one for each question, and is closed.
    #[expect(clippy::disallowed_methods, reason = "the other process, in the same one")]
    fn helper(name: &str, connections: Vec<Vec<&'static str>>) -> std::path::PathBuf {
        let path = std::env::temp_dir().join(format!("belfry-clock-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            for answers in connections {
                let (mut stream, _) = listener.accept().unwrap();
                for answer in answers {
                    stream.read_exact(&mut [0]).unwrap();
                    stream.write_all(answer.as_bytes()).unwrap();
                }
            }
        });
        path
    }

    const GOOD: ClockState =
        ClockState { synchronised: true, max_error: Duration::from_micros(12_000), leap: Leap::None };

    #[test]
    fn what_is_told_is_what_was_read() {
        let unsynchronised = ClockState { synchronised: false, max_error: Duration::from_secs(16), leap: Leap::None };
        let leaps = [Leap::Insert, Leap::Delete].map(|leap| ClockState { leap, ..GOOD });
        for state in leaps.into_iter().chain([GOOD, unsynchronised]) {
            assert_eq!(parse(render(state).trim_end().as_bytes()), Some(state));
        }
        for nonsense in [
            "",
            " ",
            "synchronised",
            "synchronised x",
            "perhaps 1",
            "synchronised -1",
            "synchronised 1 2",
            "synchronised 1 insert 2",
        ] {
            assert_eq!(parse(nonsense.as_bytes()), None, "{nonsense:?}");
        }
    }

    #[test]
    fn a_helper_that_was_started_anew_is_asked_anew() {
        let path =
            helper("anew", vec![vec!["synchronised 12000\n", "synchronised 12000\n"], vec!["unsynchronised 1\n"]]);
        let mut clock = ClockHelper::default();
        assert_eq!((clock.ask_at(&path, at(1)), clock.ask_at(&path, at(2))), (GOOD, GOOD));
        assert!(!clock.ask_at(&path, at(3)).synchronised);
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn without_an_answer_the_last_one_is_good_for_a_minute_and_then_nothing_is_claimed() {
        let path = helper("silent", vec![vec!["synchronised 12000\n"], vec!["nonsense\n"]]);
        let mut clock = ClockHelper::default();
        assert_eq!(clock.ask_at(&path, at(1)), GOOD);
        let aged = |seconds| GOOD.aged(Duration::from_secs(seconds));
        assert_eq!(clock.ask_at(&path, at(2)), aged(1), "nonsense was told");
        std::fs::remove_file(&path).unwrap();
        assert_eq!(clock.ask_at(&path, at(60)), aged(59));
        assert_eq!(aged(59).max_error, Duration::from_micros(12_000 + 29_500), "clocks drift");
        assert_eq!(clock.ask_at(&path, at(61)), ClockState::default());
    }

    #[test]
    fn a_helper_that_hangs_costs_a_moment_and_not_at_each_turn() {
        let path = helper("hangs", Vec::new());
        let mut clock = ClockHelper::default();
        for second in 0..9 {
            assert_eq!(clock.ask_at(&path, at(second)), ClockState::default());
        }
        assert_eq!((clock.failures, clock.retry), (2, Some(at(11))), "it was asked twice");
        std::fs::remove_file(path).unwrap();
    }

    #[test]
    fn the_program_tells_each_asker_the_state_of_the_kernels_clock() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(b"??").unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        answer(theirs).unwrap();
        let mut told = String::new();
        ours.read_to_string(&mut told).unwrap();
        assert_eq!(told.lines().filter(|line| parse(line.as_bytes()).is_some()).count(), 2, "{told}");
    }
}
