//! Announcements: what is understood of a line is safe to show and within bounds, and an announcer that has such facts says
//! them so that they are understood the same; whatever is said to it gets at most the one line that it has.

use belfry::config;
use belfry::core::limits::{ANNOUNCEMENT_MAX, HOST_MAX, NAME_MAX};
use belfry::core::{Datagram, Instant, Interface, ListenerId, Now, Outbox, Path, Seed, Verdict};
use belfry::services::Service;
use belfry::services::announce::{Announcement, Announcer, Facts, Verb, parse_announcement};

/// A line, for a client and for an announcer.
pub fn announcement(data: &[u8]) {
    let heard = str::from_utf8(data).ok().and_then(parse_announcement);
    let facts = heard.as_ref().map_or_else(Facts::default, facts_of);
    let answer = ask(&facts, b"Notify", false).expect("a question is answered");
    let again = str::from_utf8(&answer).ok().and_then(parse_announcement).expect("what we say is an announcement");
    assert_eq!(again.verb, Verb::Acknowlege);
    if let Some(heard) = heard {
        is_safe(&heard);
        let expected = |said: &Option<String>, again: &Option<String>| again.is_none() || said == again;
        assert!(
            expected(&heard.host, &again.host) && expected(&heard.version, &again.version),
            "{again:?} of {heard:?}"
        );
        assert!(again.services.iter().all(|service| heard.services.contains(service)), "{again:?} of {heard:?}");
        // What can be said in half a line is never left off.
        if data.len() < ANNOUNCEMENT_MAX / 2 {
            assert_eq!((&again.host, &again.services), (&heard.host, &heard.services));
            assert_eq!(again.heartbeat_interval, heard.heartbeat_interval);
        }
    }
    for multicast in [false, true] {
        let answered = ask(&facts, data, multicast).is_some();
        let line = data.strip_suffix(b"\n").unwrap_or(data);
        assert!(!answered || line.starts_with(b"Notify"), "nothing else is a question");
    }
}

fn is_safe(heard: &Announcement) {
    let is_word =
        |text: &str, max: usize| (1..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    assert!(heard.host.as_deref().is_none_or(|host| is_word(host, HOST_MAX)), "{heard:?}");
    assert!(heard.version.as_deref().is_none_or(|version| is_word(version, NAME_MAX)), "{heard:?}");
    for (at, (name, port)) in heard.services.iter().enumerate() {
        assert!(is_word(name, NAME_MAX) && *port != 0, "{heard:?}");
        assert!(heard.services[..at].iter().all(|(other, _)| other != name), "{heard:?}");
    }
}

fn facts_of(heard: &Announcement) -> Facts {
    Facts {
        host: heard.host.clone().unwrap_or_default(),
        version: heard.version.clone().unwrap_or_default(),
        services: heard.services.clone(),
        heartbeat_interval: heard.heartbeat_interval,
    }
}

/// What an announcer with these facts answers, at once or after a while.
fn ask(facts: &Facts, payload: &[u8], multicast: bool) -> Option<Vec<u8>> {
    let listener = ListenerId(3);
    let now = Now { mono: Instant::from_nanos(1), wall: jiff::Timestamp::UNIX_EPOCH };
    let later = Now { mono: Instant::from_nanos(1_000_000_000), ..now };
    let mut out = Outbox::default();
    let mut announcer = Announcer::new(&config::Announce::default(), facts.clone(), Seed(1));
    announcer.set_listeners(&[(listener, "0.0.0.0:8001".parse().expect("an address"))]);
    let addresses = vec!["192.0.2.1/24".parse().expect("a block")];
    let interface = Interface {
        index: 2,
        name: "eth0".to_owned(),
        up: true,
        multicast: true,
        loopback: false,
        addresses,
        peers: Vec::new(),
    };
    drop(announcer.set_interfaces(&now, &[interface], &mut out));
    out.advance(out.pending().count());

    let path = Path::to(listener, "192.0.2.7:40001".parse().expect("an address"));
    let datagram = Datagram { multicast, arrived_on: 2, ..Datagram::unicast(path, payload) };
    let verdict = announcer.handle_datagram(&now, &datagram, &mut out);
    if multicast {
        assert!(out.is_empty(), "an answer to a group waits");
        announcer.handle_timeout(&Now { mono: Instant::from_nanos(200_000_000), ..now }, &mut out);
    }
    let answers: Vec<_> = out.pending().collect();
    assert_eq!(answers.len(), usize::from(verdict == Verdict::Answered), "{verdict:?}");
    let answer = answers.first().map(|(to, bytes)| {
        assert_eq!(to.remote, path.remote);
        assert!(bytes.len() <= ANNOUNCEMENT_MAX, "{} bytes", bytes.len());
        bytes.to_vec()
    });
    announcer.handle_timeout(&later, &mut out);
    assert!(announcer.next_timeout().is_none_or(|due| due > later.mono), "what is due is done");
    answer
}
