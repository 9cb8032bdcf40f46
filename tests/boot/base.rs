//! What machines start from: a base of each suite, made once by mmdebstrap and kept outside the checkout.
//!
//! It comes from the package archive that this host uses. To have newer packages in it, remove it.

use crate::command::{run, succeed};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use std::collections::hash_map::DefaultHasher;
use std::fs::{self, File};
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a plain server has. The machines have no way to the archive, so whatever our packages depend on is here too.
const PACKAGES: &str =
    "systemd,systemd-sysv,systemd-timesyncd,dbus,iproute2,netcat-openbsd,tzdata,libgcc-s1,passwd,util-linux";

/// What makes it a server of its own: no name or identity from this host, a journal that outlives a boot, no address in
/// the Internet, and nobody who runs apt unasked while a test does.
const SETTLE: &str = r#"set -e
echo workshop > "$1/etc/hostname"
printf '127.0.0.1 localhost\n::1 localhost\n' > "$1/etc/hosts"
rm -f "$1/etc/resolv.conf"
tr -d - < /proc/sys/kernel/random/uuid > "$1/etc/machine-id"
mkdir -p "$1/var/log/journal"
ln -sf /dev/null "$1/etc/systemd/system/apt-daily.timer"
ln -sf /dev/null "$1/etc/systemd/system/apt-daily-upgrade.timer"
"#;

/// A release of Debian.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Suite {
    Bookworm,
    Trixie,
}

impl Suite {
    pub(crate) const ALL: [Self; 2] = [Self::Bookworm, Self::Trixie];

    fn name(self) -> &'static str {
        match self {
            Self::Bookworm => "bookworm",
            Self::Trixie => "trixie",
        }
    }
}

/// Where all this is kept: outside the checkout, so that `cargo clean` does not cost a download.
pub(crate) fn cache() -> PathBuf {
    let home = || Path::new(&std::env::var_os("HOME").expect("root has a home")).join(".cache/belfry-boot");
    std::env::var_os("BELFRY_BOOT_CACHE").map_or_else(home, PathBuf::from)
}

/// The base of a suite, which is made unless it is there. Nobody sees it half made.
pub(crate) fn base(suite: Suite) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    (PACKAGES, SETTLE).hash(&mut hasher);
    let base = cache().join(format!("{}-{:016x}", suite.name(), hasher.finish()));
    fs::create_dir_all(cache()).unwrap();
    let _lock = lock(&base.with_extension("lock"), FlockArg::LockExclusive).expect("it waits");
    if !base.exists() {
        println!("building {}", base.display());
        let (unfinished, settings) = (base.with_extension("unfinished"), base.with_extension("settings"));
        [&unfinished, &settings].into_iter().for_each(|folder| remove_folder(folder));
        fs::create_dir(&settings).unwrap();
        succeed(&mut mmdebstrap(suite, &unfinished, &settings));
        remove_folder(&settings);
        fs::rename(&unfinished, &base).unwrap();
    }
    base
}

/// The command that makes a base in `folder`, with what this host needs to reach its archive in `settings`.
fn mmdebstrap(suite: Suite, folder: &Path, settings: &Path) -> Command {
    let (options, hook) = (settings.join("apt.conf"), settings.join("settle.sh"));
    // Proxies, and how old an index may be.
    let dump = succeed(Command::new("apt-config").arg("dump"));
    let is_about_reach = |line: &&str| line.starts_with("Acquire::");
    fs::write(&options, dump.lines().filter(is_about_reach).collect::<Vec<_>>().join("\n")).unwrap();
    fs::write(&hook, SETTLE).unwrap();
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--variant=minbase", &format!("--include={PACKAGES}")])
        .arg(format!("--aptopt={}", options.display()))
        .arg(format!("--customize-hook=sh '{}' \"$1\"", hook.display()))
        .arg(suite.name())
        .arg(folder);
    for (kind, text) in [("list", one_line_sources(suite)), ("sources", deb822_sources(suite))] {
        let file = settings.join(format!("host.{kind}"));
        if !text.is_empty() {
            fs::write(&file, text).unwrap();
            command.arg(&file);
        }
    }
    command
}

/// The archive of this host, as the suite names it, in lines of `sources.list`.
fn one_line_sources(suite: Suite) -> String {
    let is_ours = |line: &&str| {
        let words: Vec<_> = line.split_whitespace().collect();
        words.first() == Some(&"deb") && words.contains(&"main") && words.iter().any(|word| is_own_suite(word))
    };
    let text = host_sources("list");
    text.lines().filter(is_ours).map(|line| format!("{}\n", line.replace(&own_suite(), suite.name()))).collect()
}

/// The same in paragraphs of the newer form.
fn deb822_sources(suite: Suite) -> String {
    let field = |paragraph: &str, name: &str| {
        let line = paragraph.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or_default().split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let is_ours = |paragraph: &&str| {
        let suites = field(paragraph, "Suites:");
        field(paragraph, "Components:").iter().any(|word| word == "main")
            && suites.iter().any(|word| is_own_suite(word))
            && field(paragraph, "Enabled:") != ["no"]
    };
    let text = host_sources("sources");
    let paragraphs = text.split("\n\n").filter(is_ours);
    paragraphs.map(|paragraph| format!("{}\n\n", paragraph.trim().replace(&own_suite(), suite.name()))).collect()
}

/// What apt of this host reads, of one form.
fn host_sources(extension: &str) -> String {
    let folder = fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten().map(|entry| entry.path());
    let mut files: Vec<_> = folder.filter(|path| path.extension().is_some_and(|other| other == extension)).collect();
    if extension == "list" {
        files.push(PathBuf::from("/etc/apt/sources.list"));
    }
    files.iter().filter_map(|path| fs::read_to_string(path).ok()).map(|text| format!("{text}\n\n")).collect()
}

/// The suite that this host is of.
fn own_suite() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or("stable").trim_matches('"').to_owned()
}

fn is_own_suite(word: &str) -> bool {
    let own = own_suite();
    [own.clone(), format!("{own}-updates"), format!("{own}-security")].iter().any(|known| known == word)
}

/// Locks a file that is made for that; `None` when somebody else has it and we do not wait.
pub(crate) fn lock(path: &Path, how: FlockArg) -> Option<Flock<File>> {
    let file = File::options().create(true).truncate(false).write(true).open(path).unwrap();
    match Flock::lock(file, how) {
        Ok(lock) => Some(lock),
        Err((_, Errno::EWOULDBLOCK)) => None,
        Err((_, error)) => panic!("{}: {error}", path.display()),
    }
}

/// Removes a folder, and nothing that is mounted below it.
pub(crate) fn remove_folder(folder: &Path) {
    let _ = run(Command::new("rm").args(["-rf", "--one-file-system"]).arg(folder));
}
