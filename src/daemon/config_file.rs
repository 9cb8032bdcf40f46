//! The configuration as it is found on this host: the main file and what `conf.d` beside it adds.
//!
//! Only reading happens here. What the files mean, and whether that is valid, is the affair of [`config`].

use super::error::errno_text;
use super::zoneinfo;
use crate::config::{self, Config, ConfigError, Known};
use crate::core::limits::{ANSWER_BASE, CONFIG_FILE_MAX, CONFIG_FILES_MAX};
use crate::services::time::{Format, Zones};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

/// The main file, when no other is named.
pub const DEFAULT_PATH: &str = "/etc/belfry/belfry.toml";

/// The files that a configuration came from, in the order in which they were read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// None of them: the built-in defaults.
    pub files: Vec<PathBuf>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.files.as_slice() {
            [] => f.write_str("built-in defaults"),
            [file] => write!(f, "{}", file.display()),
            [first, others @ ..] => write!(f, "{} and {} more", first.display(), others.len()),
        }
    }
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum LoadError {
    /// A file or directory cannot be read.
    Read(PathBuf, io::Error),
    /// A file is larger than [`CONFIG_FILE_MAX`].
    TooLarge(PathBuf),
    /// A file is not UTF-8, from this line on.
    NotUtf8(PathBuf, usize),
    /// `conf.d` has more files than [`CONFIG_FILES_MAX`].
    TooManyFiles(PathBuf),
    /// What the files say is wrong.
    Invalid(ConfigError),
}

impl LoadError {
    /// The whole of it in one line, for a log.
    pub fn line(&self) -> String {
        match self {
            Self::Invalid(error) => error.line(),
            other => other.to_string(),
        }
    }
}

impl std::error::Error for LoadError {}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read(path, error) => write!(f, "cannot read {}: {}", path.display(), errno_text(error)),
            Self::TooLarge(path) => write!(f, "{} is larger than {CONFIG_FILE_MAX} bytes", path.display()),
            Self::NotUtf8(path, line) => write!(f, "{}:{line}: not UTF-8", path.display()),
            Self::TooManyFiles(path) => write!(f, "{} has more than {CONFIG_FILES_MAX} files", path.display()),
            Self::Invalid(error) => error.fmt(f),
        }
    }
}

/// A configuration that is valid on this host, with the zones that it was checked against.
#[derive(Debug)]
pub struct Found {
    /// What it says.
    pub config: Config,
    /// Where it was found.
    pub origin: Origin,
    /// The time zones of this host.
    pub zones: Zones,
}

/// Finds the configuration of this host, the one at `path` if it is given, and checks it.
pub fn find(path: Option<&Path>) -> Result<Found, LoadError> {
    let zones = zoneinfo::Source::from_environment().read();
    // An empty request is answered with it, and pays for no more than the base.
    let format = |text: &str| Format::parse(text).is_ok_and(|format| format.fills_in() && format.fits(ANSWER_BASE));
    let (config, origin) = load(path, &Known { zone: &|name| zones.is_known(name), format: &format })?;
    Ok(Found { config, origin, zones })
}

/// Loads the configuration, and says where it came from.
///
/// A file that was named must be there; [`DEFAULT_PATH`] may be absent. `conf.d/*.toml` beside the main file is read in
/// either case, in the order of the names.
pub fn load(path: Option<&Path>, known: &Known<'_>) -> Result<(Config, Origin), LoadError> {
    match path {
        Some(path) => load_from(path, true, known),
        None => load_from(Path::new(DEFAULT_PATH), false, known),
    }
}

fn load_from(main: &Path, required: bool, known: &Known<'_>) -> Result<(Config, Origin), LoadError> {
    let mut files = Vec::new();
    match read(main) {
        Err(LoadError::Read(_, error)) if error.kind() == io::ErrorKind::NotFound && !required => {}
        text => files.push((main.to_owned(), text?)),
    }
    let beside = main.parent().unwrap_or(Path::new("")).join("conf.d");
    for path in drop_ins(&beside)? {
        let text = read_file(&path)?;
        files.push((path, text));
    }
    let names: Vec<_> = files.iter().map(|(path, _)| path.display().to_string()).collect();
    let texts = files.iter().map(|(_, text)| text.as_str());
    let sources: Vec<_> = names.iter().zip(texts).map(|(file, text)| config::Source { file, text }).collect();
    let config = config::parse(&sources, known).map_err(LoadError::Invalid)?;
    Ok((config, Origin { files: files.into_iter().map(|(path, _)| path).collect() }))
}

/// The files of `conf.d`, in the order of their names; none when it is absent.
fn drop_ins(directory: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let failed = |error| LoadError::Read(directory.to_owned(), error);
    let entries = match directory.read_dir() {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries.map_err(failed)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Editors leave hidden files beside the one they edit.
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !hidden && path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
        if files.len() > CONFIG_FILES_MAX {
            return Err(LoadError::TooManyFiles(directory.to_owned()));
        }
    }
    files.sort();
    Ok(files)
}

/// The text of something that must be a file.
pub fn read_file(path: &Path) -> Result<String, LoadError> {
    // A pipe would have us wait for whoever writes into it.
    if std::fs::metadata(path).is_ok_and(|meta| !meta.is_file()) {
        return Err(LoadError::Read(path.to_owned(), io::Error::other("it is no file")));
    }
    read(path)
}

fn read(path: &Path) -> Result<String, LoadError> {
    let mut bytes = Vec::new();
    let file = File::open(path).and_then(|file| file.take(CONFIG_FILE_MAX + 1).read_to_end(&mut bytes));
    file.map_err(|error| LoadError::Read(path.to_owned(), error))?;
    if bytes.len() as u64 > CONFIG_FILE_MAX {
        return Err(LoadError::TooLarge(path.to_owned()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        LoadError::NotUtf8(path.to_owned(), good.iter().filter(|byte| **byte == b'\n').count() + 1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const KNOWN: Known<'static> = Known { zone: &|_| true, format: &|_| true };

    /// A directory of its own for each test.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str, files: &[(&str, &[u8])]) -> Self {
            let path = std::env::temp_dir().join(format!("belfry-config-{}-{name}", std::process::id()));
            fs::create_dir_all(path.join("conf.d")).unwrap();
            for (file, bytes) in files {
                fs::write(path.join(file), bytes).unwrap();
            }
            Self(path)
        }

        fn load(&self, required: bool) -> Result<(Config, Vec<String>), String> {
            let (config, origin) =
                load_from(&self.0.join("belfry.toml"), required, &KNOWN).map_err(|error| self.shorten(&error))?;
            Ok((config, origin.files.iter().map(|file| self.shorten(&file.display())).collect()))
        }

        fn shorten(&self, text: &dyn fmt::Display) -> String {
            text.to_string().replace(&format!("{}/", self.0.display()), "")
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_that_is_absent_is_an_error_only_when_it_was_named() {
        let directory = Directory::new("absent", &[]);
        assert_eq!(directory.load(false), Ok((Config::default(), Vec::new())));
        let error = directory.load(true).unwrap_err();
        assert_eq!(error, "cannot read belfry.toml: no such file or directory");
        assert_eq!(Origin::default().to_string(), "built-in defaults");
    }

    #[test]
    fn drop_ins_are_read_in_the_order_of_their_names() {
        let directory = Directory::new(
            "order",
            &[
                ("belfry.toml", b"[chat]\nhistory = 1\nmax-members = 1\n"),
                ("conf.d/20-b.toml", b"[chat]\nhistory = 3\n"),
                ("conf.d/10-a.toml", b"[chat]\nhistory = 2\n[log]\nlevel = 'warn'\n"),
                ("conf.d/.30.toml", b"[chat]\nhistory = 4\n"),
                ("conf.d/40.toml~", b"[chat]\nhistory = 5\n"),
            ],
        );
        let (config, files) = directory.load(true).unwrap();
        assert_eq!((config.chat.history, config.chat.max_members, config.log.level), (3, 1, log::LevelFilter::Warn));
        assert_eq!(files, ["belfry.toml", "conf.d/10-a.toml", "conf.d/20-b.toml"]);
    }

    #[test]
    fn drop_ins_are_read_without_a_main_file() {
        let directory = Directory::new("alone", &[("conf.d/a.toml", b"[chat]\nhistory = 2\n")]);
        assert_eq!(directory.load(false).unwrap().0.chat.history, 2);
    }

    #[test]
    fn a_mistake_names_its_file() {
        let directory =
            Directory::new("mistake", &[("belfry.toml", b""), ("conf.d/a.toml", b"[chat]\nhistory = true\n")]);
        let error = directory.load(true).unwrap_err();
        assert!(error.starts_with("conf.d/a.toml:2:11: history cannot be boolean `true`\n"), "{error}");
    }

    #[test]
    fn a_file_that_is_too_large_or_not_text_is_refused() {
        let mut large = vec![b'#'; CONFIG_FILE_MAX as usize];
        let directory = Directory::new("large", &[("belfry.toml", &large)]);
        assert_eq!(directory.load(true).unwrap().0, Config::default());
        large.push(b'#');
        fs::write(directory.0.join("belfry.toml"), &large).unwrap();
        assert_eq!(directory.load(true).unwrap_err(), "belfry.toml is larger than 1048576 bytes");
        fs::write(directory.0.join("belfry.toml"), b"[chat]\n# \xff\n").unwrap();
        assert_eq!(directory.load(true).unwrap_err(), "belfry.toml:2: not UTF-8");
        assert!(load_from(Path::new("/dev/zero"), true, &KNOWN).is_err());
    }

    #[test]
    fn a_drop_in_that_is_no_file_is_an_error_and_not_waited_for() {
        let directory = Directory::new("pipe", &[]);
        nix::unistd::mkfifo(&directory.0.join("conf.d/a.toml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(directory.load(false).unwrap_err(), "cannot read conf.d/a.toml: it is no file");
    }

    #[test]
    fn more_drop_ins_than_anybody_writes_are_refused() {
        let names: Vec<_> = (0..=CONFIG_FILES_MAX).map(|number| format!("conf.d/{number}.toml")).collect();
        let files: Vec<_> = names.iter().map(|name| (name.as_str(), b"".as_slice())).collect();
        let directory = Directory::new("many", &files);
        assert_eq!(directory.load(false).unwrap_err(), "conf.d has more than 256 files");
        fs::remove_file(directory.0.join("conf.d/0.toml")).unwrap();
        assert!(directory.load(false).is_ok());
    }
}
