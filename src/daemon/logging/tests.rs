//! Every place where lines go, with a fake at the other end.

use super::stderr::Style;
use super::*;
use crate::clock::Clock;
use log::Level;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

/// A folder that goes when the test does.
struct Folder(PathBuf);

impl Folder {
    fn named(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("belfry-log-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn listener(path: &Path) -> UnixDatagram {
    let socket = UnixDatagram::bind(path).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket
}

/// Everything that waits at a listener.
fn received(socket: &UnixDatagram) -> Vec<String> {
    let mut buffer = [0; 16 * 1024];
    std::iter::from_fn(|| socket.recv(&mut buffer).ok().map(|len| String::from_utf8(buffer[..len].to_vec()).unwrap()))
        .collect()
}

fn output(sink: impl Deliver + 'static) -> Output {
    Output { sink: Some(Box::new(sink)), ..Output::NOWHERE }
}

fn info(output: &mut Output, text: &str) {
    let fields: &[(&str, &str)] = &[("room", "lobby")];
    let mut record = Record::builder();
    output.log(&Line::new(&record.level(Level::Info).key_values(&fields).args(format_args!("{text}")).build()));
}

/// Logs `count` lines and fails if that takes longer than an output that never waits could need.
fn flood(output: &mut Output, count: usize) {
    let clock = Clock::new();
    let start = clock.now().mono;
    for number in 0..count {
        info(output, &format!("line {number}"));
    }
    let took = clock.now().mono.since(start);
    assert!(took < Duration::from_secs(5), "{count} lines took {took:?}");
}

/// An RFC 3164 line without its time of day, whose length is fixed.
fn without_time(line: &str) -> String {
    let (priority, rest) = line.split_once('>').unwrap();
    format!("{priority}>{}", &rest["Nov 12 10:00:00 ".len()..])
}

#[test]
fn the_journal_gets_an_entry_of_its_own_protocol_in_one_datagram() {
    let folder = Folder::named("journal");
    let path = folder.0.join("socket");
    let journal = listener(&path);
    let mut output = output(Journal::at(&path).unwrap());
    info(&mut output, "mira joins");
    assert_eq!(received(&journal), ["PRIORITY=6\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE=mira joins\nROOM=lobby\n"]);
}

#[test]
fn a_journal_that_hangs_costs_lines_but_no_time_and_is_told_how_many() {
    let folder = Folder::named("journal-hangs");
    let path = folder.0.join("socket");
    let journal = listener(&path);
    let mut output = output(Journal::at(&path).unwrap());
    flood(&mut output, 10_000);
    let kept = received(&journal);
    assert!(!kept.is_empty() && kept.len() < 10_000, "{}", kept.len());
    info(&mut output, "after");
    info(&mut output, "and on");
    let lost = 10_000 - kept.len();
    assert_eq!(
        received(&journal),
        [
            format!(
                "PRIORITY=4\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE={lost} log lines were lost\nMESSAGE_ID={}\n",
                event::LINES_LOST
            ),
            "PRIORITY=6\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE=after\nROOM=lobby\n".to_owned(),
            "PRIORITY=6\nSYSLOG_IDENTIFIER=belfryd\nMESSAGE=and on\nROOM=lobby\n".to_owned(),
        ]
    );
}

#[test]
fn syslog_gets_the_text_by_rfc_3164() {
    let folder = Folder::named("syslog");
    let path = folder.0.join("log");
    let syslog = listener(&path);
    let mut output = output(Syslog::at(&path).unwrap());
    info(&mut output, "mira joins");
    let lines = received(&syslog);
    assert_eq!(lines.len(), 1);
    assert_eq!(without_time(&lines[0]), format!("<30>belfryd[{}]: mira joins", std::process::id()));
}

#[test]
fn a_syslog_daemon_that_was_restarted_gets_the_next_line_and_standard_error_those_between() {
    let folder = Folder::named("syslog-restarts");
    let path = folder.0.join("log");
    let (mut shown, stderr) = UnixStream::pair().unwrap();
    let mut output = Output {
        sink: Some(Box::new(Syslog::at(&path).unwrap())),
        stderr: Some(Box::new(Stderr::new(stderr.as_fd(), Style::Plain).unwrap())),
        lost: 0,
    };
    info(&mut output, "too early");
    let first = listener(&path);
    info(&mut output, "one");
    assert!(received(&first)[0].ends_with(": one"));
    drop(first);
    info(&mut output, "nobody is there");
    std::fs::remove_file(&path).unwrap();
    let second = listener(&path);
    info(&mut output, "two");
    assert!(received(&second)[0].ends_with(": two"));
    drop((output, stderr));
    let mut text = String::new();
    shown.read_to_string(&mut text).unwrap();
    assert_eq!(text, "belfryd: too early\nbelfryd: nobody is there\n");
}

#[test]
fn a_syslog_daemon_that_hangs_costs_lines_but_no_time() {
    let folder = Folder::named("syslog-hangs");
    let path = folder.0.join("log");
    let syslog = listener(&path);
    let mut output = output(Syslog::at(&path).unwrap());
    flood(&mut output, 2_000);
    let lost = 2_000 - received(&syslog).len();
    info(&mut output, "after");
    let lines = received(&syslog);
    assert!(lines[0].ends_with(&format!("]: {lost} log lines were lost")), "{lines:?}");
    assert!(lines[1].ends_with("]: after"), "{lines:?}");
}

/// Floods standard error on `fd`, and returns what `drain` then reads and what comes after.
fn flooded_stderr(fd: OwnedFd, mut drain: impl FnMut() -> String) -> (String, String) {
    let mut output = output(Stderr::new(fd.as_fd(), Style::Prefixed).unwrap());
    flood(&mut output, 10_000);
    let kept = drain();
    info(&mut output, "after");
    (kept, drain())
}

/// Reads until there is nothing more for now.
fn drain(fd: &OwnedFd) -> String {
    let mut bytes = Vec::new();
    let mut buffer = [0; 64 * 1024];
    while let Ok(len @ 1..) = nix::unistd::read(fd, &mut buffer) {
        bytes.extend_from_slice(&buffer[..len]);
    }
    String::from_utf8(bytes).unwrap()
}

fn check_flooded(kept: &str, after: &str) {
    assert!(kept.ends_with('\n'));
    let lost = 10_000 - kept.lines().count();
    assert_eq!(after, format!("<4>{lost} log lines were lost\n<6>after\n"));
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_but_no_time() {
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let flags = nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK);
    nix::fcntl::fcntl(&reader, flags).unwrap();
    let (kept, after) = flooded_stderr(writer, || drain(&reader));
    check_flooded(&kept, &after);
}

#[test]
fn a_stream_that_systemd_does_not_read_costs_lines_but_no_time() {
    let (reader, writer) = UnixStream::pair().unwrap();
    reader.set_nonblocking(true).unwrap();
    let reader = OwnedFd::from(reader);
    let (kept, after) = flooded_stderr(writer.into(), || drain(&reader));
    check_flooded(&kept, &after);
}

#[test]
fn a_file_is_appended_to_and_a_long_line_is_cut() {
    let folder = Folder::named("file");
    let path = folder.0.join("log");
    std::fs::write(&path, "before\n").unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
    let mut output = output(Stderr::new(file.as_fd(), Style::Plain).unwrap());
    info(&mut output, "one");
    info(&mut output, &"ß".repeat(8_000));
    let text = std::fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["before", "belfryd: one"]);
    assert!((4_000..4_096).contains(&lines[2].len()), "{}", lines[2].len());
}

#[test]
fn standard_error_leads_to_the_journal_only_when_the_variable_names_that_very_stream() {
    use std::os::unix::fs::MetadataExt;
    let folder = Folder::named("stream");
    let path = folder.0.join("stream");
    let file = std::fs::File::create(&path).unwrap();
    let (device, inode) = (file.metadata().unwrap().dev(), file.metadata().unwrap().ino());
    let cases = [
        (Some(format!("{device}:{inode}")), true),
        (Some(format!("{device}:{}", inode + 1)), false),
        (Some(format!("{}:{inode}", device + 1)), false),
        (Some("nonsense".to_owned()), false),
        (None, false),
    ];
    for (stream, leads) in cases {
        assert_eq!(stderr::leads_to_journal(file.as_fd(), stream.as_deref()), leads, "{stream:?}");
    }
}

#[test]
fn a_reload_changes_the_level_and_a_second_install_changes_nothing_else() {
    install(LogTarget::Stderr, LevelFilter::Warn).unwrap();
    assert_eq!(log::max_level(), LevelFilter::Warn);
    install(LogTarget::Auto, LevelFilter::Info).unwrap();
    reconfigure(LogTarget::Stderr, LevelFilter::Error).unwrap();
    assert_eq!(log::max_level(), LevelFilter::Error);
}
