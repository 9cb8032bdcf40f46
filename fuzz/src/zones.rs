//! Zones: any bytes are a zone file or none, any text is a POSIX string or none, and what is one can be asked for any moment.
//!
//! The files are the host's own, and may call a zone what they like; a stranger's POSIX string may not.

use super::is_clean;
use belfry::services::time::{Format, Moment, Text, ZoneFile, Zones};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// From the first moment that can be asked for to the last.
const SECONDS: [i64; 7] = [-377_705_023_201, -2_000_000_000, -1, 0, 1_795_271_007, 4_102_444_800, 253_402_207_200];

/// A zone file, or a text behind `TZ=`.
pub fn zones(data: &[u8]) {
    let name = "Fuzz/Zone";
    let file = ZoneFile { names: vec![name.to_owned()], bytes: data.into() };
    let mut zones = Zones::new([file]);
    let is_known = zones.is_known(name);
    let found = zones.find(name);
    assert_eq!(found.is_some(), is_known);
    assert_eq!(zones.is_known(&name.to_lowercase()), is_known, "once it is read, in any letter case");
    found.iter().for_each(|zone| drop(ask(zone)));

    let Ok(text) = str::from_utf8(data) else { return };
    let found = zones.find(text);
    assert_eq!(found.is_some(), zones.is_known(text), "{text:?}");
    assert!(found.iter().flat_map(ask).all(|shown| is_clean(&shown)), "{text:?}");
    if let Some(suggested) = zones.suggest(text) {
        assert_eq!(suggested, name);
    }
}

/// What is shown of the zone.
fn ask(zone: &TimeZone) -> Vec<String> {
    let format = Format::parse("%c %z %Z %s %j %G-W%V").expect("a format");
    let show = |second| {
        let mut text = Text::new(usize::MAX);
        let moment = Moment::new(Timestamp::from_second(second).expect("a moment"), zone);
        format.render(&moment, &mut text).ok()?;
        Some(String::from_utf8(text.as_bytes().to_vec()).expect("an answer is UTF-8"))
    };
    SECONDS.into_iter().filter_map(show).collect()
}
