//! The configuration: whatever stands in the files, it is read as something that is printed and read as the same, or
//! every mistake is shown in its place, on lines that steer no terminal.
//!
//! Two files are apart by a line with nothing but `---`.

use super::is_clean;
use belfry::config::{Config, ConfigError, Known, Source, parse};
use belfry::services::time::{Format, Zones};

/// What the files say.
pub fn config(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (first, second) = text.split_once("\n---\n").unwrap_or((text, ""));
    match read(&[first, second]) {
        Ok(config) => {
            let printed = config.to_toml();
            let again =
                read(&[&printed]).unwrap_or_else(|error| panic!("what is printed is not read: {error}\n{printed}"));
            assert_eq!(again, config, "{printed}");
        }
        Err(error) => {
            assert!(!error.problems.is_empty());
            for problem in &error.problems {
                let file = if problem.file == "0" { first } else { second };
                assert!((1..=file.matches('\n').count() + 1).contains(&problem.line), "{error}");
                let shown = problem.to_string();
                assert!((3..=4).contains(&shown.lines().count()) && is_clean(&shown), "{shown:?}");
                let line = problem.line();
                assert!(is_clean(&line) && !line.contains('\n'), "{line:?}");
            }
        }
    }
}

fn read(texts: &[&str]) -> Result<Config, ConfigError> {
    let zones = Zones::utc_only();
    let format = |format: &str| Format::parse(format).is_ok_and(|format| format.fills_in());
    let known = Known { zone: &|zone| zones.is_known(zone), format: &format };
    let sources: Vec<_> = texts.iter().zip(["0", "1"]).map(|(text, file)| Source { file, text }).collect();
    parse(&sources, &known)
}
