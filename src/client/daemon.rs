//! The daemon of this host, asked by its control socket (`docs/CONTROL.md`): one line there, one line back.

use super::{Failure, Who, shown};
use crate::clock::Clock;
use crate::control::{self, Request};
use crate::core::limits::CONTROL_ANSWER_MAX;
use crate::unix;
use clap::Args;
use serde::de::DeserializeOwned;
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the daemon is asked, and how its answer is printed.
#[derive(Debug, Args)]
pub(super) struct Daemon {
    /// Print the answer as it came, one line of JSON
    #[arg(long, global = true)]
    json: bool,
    /// The control socket of the daemon
    #[arg(long, alias = "control", global = true, value_name = "PATH", default_value = "/run/belfry/control")]
    #[arg(env = "BELFRY_CONTROL", hide_env_values = true)]
    socket: PathBuf,
}

impl Daemon {
    /// Asks it, and prints the answer as `show` has it, or as it came.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        who: &Who,
        request: &Request,
        show: impl Fn(&T) -> String,
        out: &mut impl Write,
    ) -> Result<T, Failure> {
        if !who.server.is_empty() {
            let why = "--server does not go with a command that asks the daemon of this host";
            return Err(Failure::Usage(why.to_owned()));
        }
        let line = exchange(&self.socket, who.timeout, request)?;
        if self.json {
            writeln!(out, "{line}").map_err(Failure::printing)?;
        }
        let answer = read(&line)?;
        if !self.json {
            out.write_all(show(&answer).as_bytes()).map_err(Failure::printing)?;
        }
        Ok(answer)
    }
}

/// Asks the daemon at this control socket, for a command that prints the answer in its own way.
pub(super) fn inquire<T: DeserializeOwned>(socket: &Path, timeout: Duration, request: &Request) -> Result<T, Failure> {
    read(&exchange(socket, timeout, request)?)
}

/// What a line says; the error, when it says no.
fn read<T: DeserializeOwned>(line: &str) -> Result<T, Failure> {
    match control::parse_outcome(line) {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(Failure::Refused(shown(error.as_bytes(), "\n"))),
        Err(error) => Err(Failure::Failed(format!("that is no answer of belfryd: {error}"))),
    }
}

/// Sends one line and waits for one.
fn exchange(path: &Path, timeout: Duration, request: &Request) -> Result<String, Failure> {
    let clock = Clock::new();
    let until = clock.now().mono + timeout;
    let mut stream = unix::connect(path, timeout).map_err(|error| unreachable(path, timeout, &error))?;
    let asked = stream.write_all((request.line() + "\n").as_bytes());
    asked.map_err(|error| unreachable(path, timeout, &error))?;
    let (mut answer, mut buffer, mut ended) = (Vec::new(), [0; 16 * 1024], false);
    while !ended {
        let wait = until.since(clock.now().mono);
        if wait.is_zero() {
            return Err(no_answer(timeout));
        }
        stream.set_read_timeout(Some(wait)).map_err(Failure::to("wait"))?;
        match stream.read(&mut buffer) {
            Ok(0) => return Err(Failure::Failed("belfryd has closed the connection without an answer".to_owned())),
            Ok(len) => {
                answer.extend_from_slice(&buffer[..len]);
                ended = buffer[..len].contains(&b'\n');
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted => {}
                _ => return Err(unreachable(path, timeout, &error)),
            },
        }
        if answer.len() > CONTROL_ANSWER_MAX + 1 {
            return Err(Failure::Failed(format!("the answer is longer than {CONTROL_ANSWER_MAX} bytes")));
        }
    }
    let line = answer.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(String::from_utf8_lossy(line).into_owned())
}

fn unreachable(path: &Path, timeout: Duration, error: &io::Error) -> Failure {
    let why = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => return no_answer(timeout),
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => "belfryd does not run here, or without a control socket",
        ErrorKind::PermissionDenied => "you are not in the group belfry",
        _ => return Failure::Failed(format!("cannot ask {}: {error}", path.display())),
    };
    Failure::Failed(format!("cannot reach {}: {why}", path.display()))
}

fn no_answer(timeout: Duration) -> Failure {
    Failure::NobodyThere(format!(
        "no answer within {}: is belfryd running? systemctl status belfryd",
        humantime::format_duration(timeout)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::{Domain, SockAddr, Socket, Type};
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;

    const TIMEOUT: Duration = Duration::from_secs(2);

    /// What comes of a request at a socket that says `answer`, and then closes or does not.
    fn ask(name: &str, answer: Option<&[u8]>) -> Result<String, String> {
        let path = std::env::temp_dir().join(format!("belfry-ctl-{}-{name}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = UnixListener::bind(&path).unwrap();
        let exchanged = std::thread::scope(|scope| {
            if let Some(answer) = answer {
                scope.spawn(|| {
                    let mut stream = listener.accept().unwrap().0;
                    let _ = stream.read(&mut [0; 256]).unwrap();
                    // Who has heard enough may close before the end.
                    let _ = stream.write_all(answer);
                });
            }
            exchange(&path, TIMEOUT, &Request::Status)
        });
        std::fs::remove_file(&path).unwrap();
        exchanged.map_err(|failure| format!("{}: {failure}", failure.status()))
    }

    #[test]
    fn an_answer_is_one_line_whatever_follows_it() {
        assert_eq!(ask("whole", Some(b"{}\n")).as_deref(), Ok("{}"));
        assert_eq!(ask("more", Some(b"{\xff}\nmore")).as_deref(), Ok("{\u{fffd}}"));
    }

    #[test]
    fn what_is_no_answer_is_told_for_what_it_is() {
        let closed = "1: belfryd has closed the connection without an answer";
        assert_eq!(ask("none", Some(b"")).unwrap_err(), closed);
        assert_eq!(ask("half", Some(b"{\"ok\":tr")).unwrap_err(), closed);
        let endless = vec![b'x'; CONTROL_ANSWER_MAX + 2];
        assert_eq!(ask("endless", Some(&endless)).unwrap_err(), "1: the answer is longer than 4194304 bytes");
        let silence = "2: no answer within 2s: is belfryd running? systemctl status belfryd";
        assert_eq!(ask("silent", None).unwrap_err(), silence);
        let failure = read::<control::Reloaded>("rubbish").unwrap_err();
        assert_eq!(failure.to_string(), "that is no answer of belfryd: expected value at line 1 column 1");
    }

    #[test]
    fn a_daemon_that_takes_in_nobody_is_waited_for_no_longer_than_any() {
        let path = std::env::temp_dir().join(format!("belfry-ctl-{}-full", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        listener.listen(0).unwrap();
        let _first = UnixStream::connect(&path).unwrap();
        let failure = exchange(&path, TIMEOUT, &Request::Status).unwrap_err();
        std::fs::remove_file(&path).unwrap();
        assert_eq!(failure.status(), 2, "{failure}");
    }

    #[test]
    fn the_error_of_the_daemon_is_shown_line_by_line_and_cannot_steer_the_terminal() {
        let line = r#"{"ok":false,"error":"a.toml:1:1: no\n    1 | x\u001b[2J\n      | ^"}"#;
        let failure = read::<control::Reloaded>(line).unwrap_err();
        assert_eq!(failure.to_string(), "a.toml:1:1: no\n    1 | x\\u{1b}[2J\n      | ^");
        assert_eq!(failure.status(), 1);
    }
}
