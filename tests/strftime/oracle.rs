//! The C library's own strftime, in the C locale, which is the one that a process starts in.

use belfry::services::time::Zones;
use jiff::tz::TimeZone;
use nix::libc;
use std::ffi::CString;
use std::mem::MaybeUninit;
use std::path::Path;

const DIRECTORY: &str = "/usr/share/zoneinfo";

unsafe extern "C" {
    // Not in the libc crate for Linux.
    fn tzset();
}

/// A zone as the C library and we know it.
pub(crate) struct Zone {
    pub(crate) name: String,
    pub(crate) ours: TimeZone,
}

impl Zone {
    /// Whether it is a POSIX string and not a name.
    pub(crate) fn is_posix(&self) -> bool {
        !Path::new(DIRECTORY).join(&self.name).exists()
    }
}

/// Makes `name` the zone of this process and finds the same for us.
///
/// The environment and the C library's zone are the process's, so there is one test function in this binary.
pub(crate) fn enter(name: &str) -> Zone {
    let file = std::fs::read(Path::new(DIRECTORY).join(name));
    let files = file.into_iter().map(|bytes| belfry::services::time::ZoneFile {
        names: vec![name.to_owned()],
        bytes: bytes.into_boxed_slice(),
    });
    let ours = Zones::new(files).find(name).unwrap_or_else(|| panic!("no zone {name}"));
    set_zone(name);
    Zone { name: name.to_owned(), ours }
}

/// Makes this the zone of this process, whether it is one or not.
pub(crate) fn set_zone(tz: &str) {
    // SAFETY: this is the only thread that reads or writes the environment.
    unsafe {
        std::env::set_var("TZ", tz);
        tzset();
    }
}

/// What the C library makes of a second.
pub(crate) struct Moment {
    tm: libc::tm,
    /// What it makes of that again: the second that `%s` shows.
    pub(crate) mktime: i64,
}

impl Moment {
    /// Seconds east of UTC.
    pub(crate) fn offset(&self) -> i64 {
        self.tm.tm_gmtoff
    }
}

/// Breaks a second down in the zone last entered.
pub(crate) fn break_down(second: i64) -> Moment {
    let mut tm = MaybeUninit::uninit();
    // SAFETY: both point to what they should; localtime_r fills the whole structure in unless it returns null.
    let tm = unsafe {
        assert!(!libc::localtime_r(&raw const second, tm.as_mut_ptr()).is_null(), "{second}");
        tm.assume_init()
    };
    let mut copy = tm;
    // SAFETY: mktime reads and changes our copy.
    let mktime = unsafe { libc::mktime(&raw mut copy) };
    Moment { tm, mktime }
}

/// What strftime writes; `None` when it is longer than 4 KiB.
pub(crate) fn strftime(format: &str, moment: &Moment) -> Option<String> {
    let mut buffer = [0_u8; 4_096];
    // A last character tells nothing from too much: both are length 0.
    let format = CString::new([format, "."].concat()).expect("no NUL in a test");
    // SAFETY: the buffer is as long as it is said to be, and `tm_zone` points into what tzset keeps.
    let len =
        unsafe { libc::strftime(buffer.as_mut_ptr().cast(), buffer.len(), format.as_ptr(), &raw const moment.tm) };
    let written = buffer[..len].strip_suffix(b".")?;
    Some(String::from_utf8(written.to_vec()).expect("ASCII in, ASCII out"))
}
