//! A real `belfryd`, started for one test and ended with it.

use nix::sys::signal::{Signal, kill};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use nix::unistd::Pid;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take before a test fails. Nothing waits so long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Time and chat on ports of the kernel's choice, no announcer, no limits.
pub(crate) const QUIET: &str = r#"
[time]
listen = ["127.0.0.1:0"]
rate-limit = "off"
timezone = "UTC"
[chat]
listen = ["127.0.0.1:0"]
rate-limit = "off"
[announce]
enabled = false
"#;

/// A running daemon.
pub(crate) struct Belfryd {
    child: Child,
    folder: PathBuf,
    notifications: UnixDatagram,
    stored: RefCell<Vec<File>>,
    told: RefCell<String>,
}

impl Belfryd {
    /// Starts one with this configuration, and waits until it says that it is ready.
    pub(crate) fn start(config: &str) -> Self {
        Self::start_with(config, |_| {})
    }

    /// The same, with a chance to change the command.
    pub(crate) fn start_with(config: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_in(new_folder(), config, change)
    }

    /// The same, in a folder that is there.
    pub(crate) fn start_in(folder: PathBuf, config: &str, change: impl FnOnce(&mut Command)) -> Self {
        std::fs::write(folder.join("belfry.toml"), config).unwrap();
        let notifications = UnixDatagram::bind(folder.join("notify")).unwrap();
        notifications.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = command();
        command
            .arg("--config")
            .arg(folder.join("belfry.toml"))
            .env("NOTIFY_SOCKET", folder.join("notify"))
            .stderr(std::fs::File::create(folder.join("log")).unwrap());
        change(&mut command);
        let child = command.spawn().unwrap();
        let belfryd = Self { child, folder, notifications, stored: RefCell::default(), told: RefCell::default() };
        belfryd.wait_for_notification("READY=1");
        belfryd
    }

    /// Waits for a message to the service manager that has this line.
    pub(crate) fn wait_for_notification(&self, line: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            let Some(text) = self.read_notification() else { break };
            if text.lines().any(|told| told.starts_with(line)) {
                return text;
            }
        }
        panic!("no {line} within {PATIENCE:?}; the log:\n{}", self.log());
    }

    /// The next message to the service manager; what is attached to it is kept, as systemd would.
    fn read_notification(&self) -> Option<String> {
        let mut buffer = [0; 4096];
        let received = uninterrupted(|| {
            let mut io = [IoSliceMut::new(&mut buffer)];
            let mut control = nix::cmsg_space!([RawFd; 1]);
            let (socket, flags) = (self.notifications.as_raw_fd(), MsgFlags::MSG_CMSG_CLOEXEC);
            let message = recvmsg::<()>(socket, &mut io, Some(&mut control), flags)?;
            let rights = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmRights(fds) => Some(fds),
                _ => None,
            });
            Ok((message.bytes, rights.unwrap_or_default()))
        });
        let (len, fds) = received.ok()?;
        // By its place in /proc, since nobody vouches for a number.
        let reopen = |fd| OpenOptions::new().read(true).write(true).open(format!("/proc/self/fd/{fd}"));
        self.stored.borrow_mut().extend(fds.into_iter().map(|fd| reopen(fd).unwrap()));
        let text = String::from_utf8_lossy(&buffer[..len]).into_owned();
        self.told.borrow_mut().push_str(&text);
        Some(text)
    }

    /// Everything that it has told the service manager, as far as it was waited for.
    pub(crate) fn told(&self) -> String {
        self.told.borrow().clone()
    }

    /// The files that it has handed to the service manager.
    pub(crate) fn stored(&self) -> Vec<File> {
        self.stored.take()
    }

    /// Everything that it has logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// Waits until the log holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) {
        assert!(eventually(|| self.log().contains(text)), "no {text:?} in the log:\n{}", self.log());
    }

    /// The address of a service's newest socket, as the log told it.
    pub(crate) fn addr(&self, service: &str) -> SocketAddr {
        let log = self.log();
        let told = log.lines().rev().filter_map(|line| line.split_once(&format!("{service} listens on ")));
        told.map(|(_, addr)| addr.trim().parse().unwrap()).next().unwrap_or_else(|| panic!("not told:\n{log}"))
    }

    /// A socket that is connected to a service.
    pub(crate) fn client(&self, service: &str) -> Client {
        Client::to(self.addr(service))
    }

    /// Writes another configuration, and has it read.
    pub(crate) fn reload(&self, config: &str) {
        std::fs::write(self.folder.join("belfry.toml"), config).unwrap();
        self.signal(Signal::SIGHUP);
        self.wait_for_notification("RELOADING=1");
        self.wait_for_notification("READY=1");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Asks it to end, and waits for it.
    pub(crate) fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.stop_status()
    }

    /// Waits until it has ended.
    pub(crate) fn stop_status(&mut self) -> ExitStatus {
        let mut status = None;
        assert!(
            eventually(|| {
                status = self.child.try_wait().unwrap();
                status.is_some()
            }),
            "it does not end"
        );
        status.unwrap()
    }

    /// Resident memory in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

impl Drop for Belfryd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The command, with nothing of the environment that would change how it behaves. `BELFRYD` names another program than
/// that which was built for the tests, to be measured.
pub(crate) fn command() -> Command {
    let program = std::env::var_os("BELFRYD").unwrap_or_else(|| env!("CARGO_BIN_EXE_belfryd").into());
    let mut command = Command::new(program);
    for variable in ["LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PID", "STATE_DIRECTORY"] {
        command.env_remove(variable);
    }
    command.env_remove("JOURNAL_STREAM").env_remove("TZ").env_remove("NOTIFY_SOCKET").stdin(Stdio::null());
    command
}

/// A folder that no other test has.
pub(crate) fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("belfryd-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Whether something comes true while we are patient.
pub(crate) fn eventually(mut is_true: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if is_true() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    false
}

/// Calls again what a signal has interrupted: the end of a child is one.
pub(crate) fn uninterrupted<T>(mut call: impl FnMut() -> std::io::Result<T>) -> std::io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// A UDP client of the simplest kind: one connected socket.
pub(crate) struct Client(pub(crate) UdpSocket);

impl Client {
    pub(crate) fn to(addr: SocketAddr) -> Self {
        let any = if addr.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(any).unwrap();
        socket.connect(addr).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    pub(crate) fn send(&self, payload: impl AsRef<[u8]>) {
        self.0.send(payload.as_ref()).unwrap();
    }

    /// The next datagram.
    pub(crate) fn receive(&self) -> String {
        let mut buffer = [0; 65_536];
        let len = uninterrupted(|| self.0.recv(&mut buffer)).expect("an answer");
        String::from_utf8_lossy(&buffer[..len]).into_owned()
    }

    pub(crate) fn ask(&self, payload: impl AsRef<[u8]>) -> String {
        self.send(payload);
        self.receive()
    }

    /// What has come and not been read.
    pub(crate) fn waiting(&self) -> Vec<String> {
        self.0.set_nonblocking(true).unwrap();
        let mut buffer = [0; 65_536];
        let mut waiting = Vec::new();
        while let Ok(len) = self.0.recv(&mut buffer) {
            waiting.push(String::from_utf8_lossy(&buffer[..len]).into_owned());
        }
        self.0.set_nonblocking(false).unwrap();
        waiting
    }
}
