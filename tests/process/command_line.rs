//! What the command line and the configuration can get wrong, and what is said then.

use crate::belfryd::{Belfryd, QUIET, command, new_folder};
use crate::netns;
use std::net::UdpSocket;
use std::process::Output;

fn run(arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command().args(arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

fn run_with(config: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let file = new_folder().join("belfry.toml");
    std::fs::write(&file, config).unwrap();
    let mut all = vec!["--config", file.to_str().unwrap()];
    all.extend(arguments);
    run(&all)
}

#[test]
fn help_and_version_are_answers_and_bad_usage_is_64() {
    let (status, stdout, _) = run(&["--version"]);
    assert_eq!((status, stdout), (Some(0), format!("belfryd {}\n", env!("CARGO_PKG_VERSION"))));
    let (status, stdout, _) = run(&["--help"]);
    assert!(status == Some(0) && stdout.contains("--config <FILE>"), "{stdout}");
    for bad in [&["--chekc"][..], &["--check", "--print-config"], &["file"], &["--config"]] {
        assert_eq!(run(bad).0, Some(64), "{bad:?}");
    }
}

#[test]
fn check_says_nothing_of_a_good_configuration() {
    assert_eq!(run_with(QUIET, &["--check"]), (Some(0), String::new(), String::new()));
    assert_eq!(run(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/etc/belfry.toml"), "--check"]).0, Some(0));
}

#[test]
fn the_printed_configuration_is_one_and_prints_itself() {
    let (status, printed, _) = run_with(QUIET, &["--print-config"]);
    assert_eq!(status, Some(0));
    let (status, again, _) = run_with(&printed, &["--print-config"]);
    assert_eq!((status, again), (Some(0), printed));
}

#[test]
fn a_bad_configuration_is_78_with_file_line_and_caret_and_nothing_is_started() {
    let cases = [
        ("[chat]\nmax-mesage = 5\n", "max-message"),
        ("[time]\nenabled = \"yes\"\n", "true"),
        ("[chat]\nheartbeat-timeout = \"ten\"\n", "heartbeat-timeout"),
        ("[time]\nlisten = [\"0.0.0.0:9999\"]\n", "9999"),
        ("[announce]\ngroups = [\"192.0.2.1\"]\n", "multicast"),
        ("[chat]\nheartbeat-interval = \"20s\"\n", "shorter"),
        ("[time]\ntimezone = \"Mars/Olympus\"\n", "Mars/Olympus"),
        ("[time]\ndefault-format = \"now\"\n", "default-format"),
        ("[tmie]\n", "time"),
    ];
    // Should one of them be taken for good, what it starts is to be heard by nobody.
    netns::enter();
    for (config, told) in cases {
        for arguments in [&["--check"][..], &[]] {
            let (status, stdout, stderr) = run_with(config, arguments);
            assert_eq!((status, stdout.as_str()), (Some(78), ""), "{config}{stderr}");
            for part in ["belfryd: ", "belfry.toml:", "^", told] {
                assert!(stderr.contains(part), "no {part:?} for {config}: {stderr}");
            }
            assert!(!stderr.contains("listens on"), "{stderr}");
        }
    }
}

#[test]
fn a_file_that_was_named_has_to_be_there() {
    let (status, _, stderr) = run(&["--config", "/nonexistent/belfry.toml"]);
    assert_eq!(status, Some(78));
    assert_eq!(stderr, "belfryd: cannot read /nonexistent/belfry.toml: no such file or directory\n");
}

#[test]
fn a_zone_of_the_host_that_is_not_known_is_told_before_there_is_a_configuration() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/etc/belfry.toml");
    let output = command().args(["--check", "--config", example]).env("TZ", "Mars/Olympus").output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(stderr, "belfryd: warning: TZ=Mars/Olympus is no time zone that is known here: keeping UTC\n");
    assert!(output.status.success());
}

#[test]
fn a_port_in_use_is_told_by_service_and_address() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap();
    let config = QUIET.replace("[chat]\nlisten = [\"127.0.0.1:0\"]", &format!("[chat]\nlisten = [\"{addr}\"]"));
    let (status, _, stderr) = run_with(&config, &[]);
    assert_eq!(status, Some(1));
    let last = stderr.lines().last();
    assert_eq!(last, Some(format!("belfryd: cannot bind chat {addr}: address already in use").as_str()), "{stderr}");
}

/// Whether the kernel keeps port 80 from those who are not root. It does in a network of its own, however the host is set.
fn is_port_80_kept() -> bool {
    let first = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap();
    let kept = first.trim().parse::<u16>().unwrap() > 80;
    if !kept {
        println!("skipped: this host lets everybody have port 80");
    }
    kept
}

#[test]
fn a_port_that_only_root_may_have_is_told_too() {
    use std::os::unix::process::CommandExt;
    if !netns::enter() && !is_port_80_kept() {
        return;
    }
    let file = new_folder().join("belfry.toml");
    std::fs::write(&file, QUIET.replacen("127.0.0.1:0", "127.0.0.1:80", 1)).unwrap();
    // Somewhere that somebody who is not root can reach.
    let program = std::env::temp_dir().join(format!("belfryd-{}", std::process::id()));
    // By another process: what this one has open for writing, a child that another test starts has open for a moment
    // too, and a program that is open for writing cannot be run.
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_belfryd")).arg(&program).status().unwrap();
    assert!(copied.success());
    let config = std::fs::read(&file).unwrap();
    let open = program.with_extension("toml");
    std::fs::write(&open, config).unwrap();
    let mut command = std::process::Command::new(&program);
    command.arg("--config").arg(&open).env_remove("NOTIFY_SOCKET");
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    std::fs::remove_file(&program).unwrap();
    std::fs::remove_file(&open).unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    let told = "belfryd: cannot bind time 127.0.0.1:80: permission denied \
                (ports below 1024 take CAP_NET_BIND_SERVICE, root, or the sockets of systemd)\n";
    assert!(stderr.ends_with(told), "{stderr}");
}

#[test]
fn the_built_in_defaults_are_those_of_the_example_file() {
    let (_, of_nothing, _) = run_with("", &["--print-config"]);
    let (_, of_example, _) =
        run(&["--config", concat!(env!("CARGO_MANIFEST_DIR"), "/etc/belfry.toml"), "--print-config"]);
    assert_eq!(of_nothing, of_example);
}

#[test]
fn a_daemon_says_at_start_what_listens_where() {
    let belfryd = Belfryd::start(QUIET);
    for service in ["time", "chat"] {
        assert_ne!(belfryd.addr(service).port(), 0);
    }
}
