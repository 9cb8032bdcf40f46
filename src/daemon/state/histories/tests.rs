//! Histories on disks that are full, read-only, damaged, and in somebody's way.

use super::super::file::regular_len;
use super::*;
use crate::config::Chat;
use crate::core::frame::Epoch;
use crate::core::limits::{DATAGRAM_MAX, HISTORY_FILE_MAX};
use crate::core::{Datagram, ListenerId, Outbox, Path as Way, Seed};
use crate::services::Service as _;
use crate::services::chat::{Hosts, Message};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicU32, Ordering};

/// A hub with its files.
struct Scene {
    hub: Hub,
    histories: Histories,
    now: Now,
}

fn new_folder() -> PathBuf {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("belfry-histories-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    // One that a process of the same number has left there.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir(&folder).unwrap();
    folder
}

impl Scene {
    fn new(directory: &Path, history: usize) -> Self {
        let config = Chat { history, ..Chat::default() };
        let (hub, histories) = (Hub::new(&config, "belfry.lan", Hosts::default(), Seed(7)), Histories::new(directory));
        let now = Now { mono: Instant::from_nanos(1_000_000_000), wall: Timestamp::UNIX_EPOCH };
        let mut scene = Self { hub, histories, now };
        scene.histories.read(&now, &mut scene.hub);
        scene
    }

    /// Anna says something, and a turn ends.
    fn say(&mut self, said: &str) {
        self.say_from(1, said);
    }

    fn say_from(&mut self, host: u8, said: &str) {
        let path = Way::to(ListenerId(0), SocketAddr::from(([127, 0, 0, host], 40_001)));
        self.hub.handle_datagram(&self.now, &Datagram::unicast(path, said.as_bytes()), &mut Outbox::default());
        self.end_turn();
    }

    fn end_turn(&mut self) {
        let news: Vec<_> = self.hub.take_news().collect();
        self.histories.write(self.now.mono, &self.hub, &news);
    }

    fn wait(&mut self, seconds: u64) {
        self.now.mono = self.now.mono + Duration::from_secs(seconds);
        self.now.wall += Duration::from_secs(seconds);
    }

    fn file(&self, room: &str) -> String {
        std::fs::read_to_string(self.histories.folder.join(file_name(room))).unwrap()
    }

    fn lines(&self, room: &str) -> Vec<String> {
        self.hub.history_of(room).map_or(Vec::new(), |lines| lines.map(|message| message.line.to_string()).collect())
    }

    /// What a file says, and what the hub says, which is the same.
    fn is_written(&self, room: &str) -> bool {
        let text = self.file(room);
        let lines = text.lines().map(|line| Entry::read(line.as_bytes()).unwrap().message.line.to_string());
        lines.collect::<Vec<_>>() == self.lines(room)
    }
}

#[test]
fn a_file_has_little_more_than_twice_what_it_needs_however_much_is_said() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    let (mut longest, mut len, mut anew) = (0, 0, 0);
    let text = "x".repeat(1_000);
    for _ in 0..2_000 {
        scene.say(&text);
        let before = std::mem::replace(&mut len, scene.file("lobby").len() as u64);
        longest = longest.max(len);
        anew += u32::from(len < before);
    }
    let needed = scene.hub.history_file_len("lobby");
    assert!(longest <= 2 * needed + HISTORY_FILE_SLACK, "{longest} bytes for {needed}");
    assert!((5..20).contains(&anew), "written anew {anew} times");
    let again = Scene::new(&directory, 100);
    assert_eq!(again.lines("lobby"), scene.lines("lobby"));
    assert_eq!(scene.file("lobby").len() as u64, len, "what is in order is left alone at the start");
    let again = Scene::new(&directory, 10);
    assert_eq!(again.lines("lobby").len(), 10);
    assert!(again.is_written("lobby"), "so much that nobody needs is left out");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_line_is_appended_and_the_rest_of_the_file_is_left_alone() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    ["/nick anna", "one", "/join Lab", "two"].iter().for_each(|said| scene.say(said));
    let begin = "{\"room\":\"Lab\",\"when\":\"1970-01-01T00:00:00Z\",\"line\":\"anna: two\",\"epoch\":\"";
    let end = "\",\"number\":1,\"from\":\"anna\",\"len\":3}\n";
    assert!(scene.file("lab").starts_with(begin) && scene.file("lab").ends_with(end), "{}", scene.file("lab"));
    let path = scene.histories.folder.join("lab.jsonl");
    std::fs::write(&path, scene.file("lab").replace("two", "too")).unwrap();
    scene.say("three");
    assert!(
        scene.file("lab").contains("anna: too")
            && scene.file("lab").contains("anna: three\",")
            && scene.file("lab").ends_with("}\n")
    );
    std::fs::write(&path, scene.file("lab").replace("too", "two")).unwrap();
    File::options().append(true).open(&path).unwrap().write_all(b"?\n").unwrap();
    assert!(Scene::new(&directory, 100).is_written("lab"));
    // All but the last newline.
    let file = File::options().write(true).open(scene.histories.folder.join("lab.jsonl")).unwrap();
    file.set_len(regular_len(&file).unwrap() - 1).unwrap();
    let mut scene = Scene::new(&directory, 100);
    assert!(scene.file("lab").ends_with('\n') && scene.lines("lab") == ["anna: two", "anna: three"]);
    ["/nick anna", "/join lab"].iter().for_each(|said| scene.say(said));
    scene.say("/history off");
    assert!(!scene.histories.folder.join("lab.jsonl").exists());
    scene.say("four");
    assert!(!scene.histories.folder.join("lab.jsonl").exists());
    scene.say("/history on");
    scene.say("five");
    assert!(scene.is_written("lab"));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_room_that_makes_place_takes_its_file_along() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    for number in 1..=ROOMS_MAX + 1 {
        scene.wait(1);
        // Nobody may make all of them.
        let host = u8::try_from(number / 16).unwrap();
        scene.say_from(host, &format!("/join r{number}"));
        scene.say_from(host, "hello");
    }
    let count = std::fs::read_dir(&scene.histories.folder).unwrap().count();
    assert_eq!(count, ROOMS_MAX - 1, "the lobby has no file, since nothing was said there");
    assert!(!scene.histories.folder.join("r1.jsonl").exists());
    // One too many, as after a kill between the one and the other.
    let old = scene.file("r3").replace("r3", "old").replace("T00:00:", "T00:00:00.");
    std::fs::write(scene.histories.folder.join("old.jsonl"), old).unwrap();
    let again = Scene::new(&directory, 100);
    let rooms: Vec<_> = again.hub.rooms().collect();
    assert_eq!(rooms.len(), ROOMS_MAX);
    assert!(!rooms.contains(&"old") && !scene.histories.folder.join("old.jsonl").exists());
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn of_a_file_that_is_too_long_the_end_is_read() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 3);
    scene.say("/nick anna");
    scene.say("hello");
    let line = scene.file("lobby").replace("hello", &"x".repeat(DATAGRAM_MAX - 100));
    let mut text = line.repeat(HISTORY_FILE_MAX as usize / line.len() + 2);
    text.push_str(&scene.file("lobby"));
    std::fs::write(scene.histories.folder.join("lobby.jsonl"), text).unwrap();
    let again = Scene::new(&directory, 3);
    assert_eq!(again.lines("lobby")[2], "anna: hello");
    assert!(again.is_written("lobby"));
    std::fs::remove_dir_all(directory).unwrap();
}

/// A small disk of its own, that only this thread sees.
fn small_disk(directory: &Path) -> bool {
    let own = unshare(CloneFlags::CLONE_NEWNS);
    let private =
        own.and_then(|()| mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>));
    let mounted =
        private.and_then(|()| mount(Some("none"), directory, Some("tmpfs"), MsFlags::empty(), Some("size=32k")));
    if let Err(error) = mounted {
        println!("skipped: a small disk cannot be made: {error}");
    }
    mounted.is_ok()
}

#[test]
fn a_full_disk_leaves_whole_lines_and_is_tried_again_once_a_minute_until_there_is_room() {
    let directory = new_folder();
    if !small_disk(&directory) {
        return;
    }
    let mut scene = Scene::new(&directory, 100);
    assert_eq!(scene.histories.next_timeout(), None);
    let text = "x".repeat(1_000);
    while scene.histories.stale.is_empty() {
        scene.say(&text);
    }
    assert!(scene.histories.told.contains(&Some(Errno::ENOSPC as i32)));
    assert!(scene.file("lobby").ends_with("}\n"));
    assert!(!scene.histories.folder.join(NEW).exists(), "what fills the disk is not ours");
    let (len, due) = (scene.file("lobby").len(), scene.now.mono + RETRY);
    for _ in 0..5 {
        scene.say("hello");
    }
    assert_eq!(scene.histories.next_timeout(), Some(due));
    scene.wait(60);
    scene.end_turn();
    assert_eq!((scene.file("lobby").len(), scene.histories.next_timeout()), (len, Some(due + RETRY)), "in vain");
    mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT, Some("size=1m")).unwrap();
    scene.wait(59);
    scene.say("not yet");
    assert_eq!(scene.file("lobby").len(), len);
    scene.wait(1);
    scene.end_turn();
    assert!(scene.is_written("lobby"));
    assert_eq!((scene.histories.next_timeout(), scene.histories.told.len()), (None, 0), "all is well");
    scene.say("and on");
    assert!(scene.is_written("lobby"));
}

#[test]
fn what_is_forgotten_while_the_disk_is_read_only_is_gone_when_it_is_not() {
    let directory = new_folder();
    if !small_disk(&directory) {
        return;
    }
    let mut scene = Scene::new(&directory, 100);
    ["/nick anna", "/join hall", "nobody is to find this", "/join lobby", "one"]
        .iter()
        .for_each(|said| scene.say(said));
    mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY, None::<&str>).unwrap();
    ["two", "/join lab", "three", "/join lobby", "/history off"].iter().for_each(|said| scene.say(said));
    ["/join hall", "/history off", "/history on", "five"].iter().for_each(|said| scene.say(said));
    assert_eq!(scene.histories.told.iter().copied().collect::<Vec<_>>(), [Some(Errno::EROFS as i32)]);
    assert_eq!((scene.lines("lab"), scene.lines("lobby").len()), (vec!["anna: three".to_owned()], 0));
    mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT, None::<&str>).unwrap();
    scene.wait(60);
    scene.end_turn();
    assert!(scene.is_written("lab") && !scene.histories.folder.join("lobby.jsonl").exists());
    assert_eq!(scene.lines("hall"), ["anna: five"]);
    assert!(scene.is_written("hall") && !scene.histories.folder.join("hall.jsonl.unread").exists());
    assert!(scene.histories.told.is_empty());
}

#[test]
fn what_somebody_has_put_in_the_way_of_a_file_makes_place_or_costs_its_room_a_minute() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    let precious = directory.join("precious");
    std::fs::write(&precious, "text").unwrap();
    std::os::unix::fs::symlink(&precious, scene.histories.folder.join("lobby.jsonl")).unwrap();
    std::fs::create_dir(scene.histories.folder.join("lab.jsonl")).unwrap();
    ["/nick anna", "one", "/join lab", "two", "/join hall", "three"].iter().for_each(|said| scene.say(said));
    assert!(scene.is_written("lobby") && scene.is_written("hall"));
    assert_eq!(std::fs::read_to_string(precious).unwrap(), "text");
    assert!(scene.is_written("lab") && scene.histories.folder.join("lab.jsonl.unread").is_dir());
    assert!(scene.histories.folder.join("lobby.jsonl.unread").is_symlink());
    for file in ["kitchen.jsonl", "kitchen.jsonl.unread"] {
        std::fs::write(scene.histories.folder.join(file), "not read").unwrap();
    }
    ["/join kitchen", "four"].iter().for_each(|said| scene.say(said));
    assert_eq!(scene.histories.told.iter().copied().collect::<Vec<_>>(), [IN_THE_WAY]);
    assert_eq!(scene.file("kitchen"), "not read");
    std::fs::remove_file(scene.histories.folder.join("kitchen.jsonl.unread")).unwrap();
    scene.wait(60);
    scene.end_turn();
    assert!(scene.is_written("kitchen"));
    assert_eq!(std::fs::read(scene.histories.folder.join("kitchen.jsonl.unread")).unwrap(), b"not read");
    std::fs::remove_dir_all(&scene.histories.folder).unwrap();
    scene.say("five");
    assert!(scene.is_written("kitchen"), "the folder is there again");
    std::fs::remove_dir_all(directory).unwrap();
}

/// Has the files of the folder be another's while `act` is running: root may read everything, so this thread is not.
fn as_nobody<T>(act: impl FnOnce() -> T) -> Option<T> {
    use nix::unistd::{Uid, setfsuid};
    let root = Uid::effective();
    if !root.is_root() {
        println!("skipped: nobody else can be made the owner");
        return None;
    }
    setfsuid(Uid::from_raw(65_534));
    let result = act();
    setfsuid(root);
    Some(result)
}

#[test]
fn a_file_that_cannot_be_read_is_set_aside_when_its_room_speaks_and_read_once_it_can_be() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    ["/nick anna", "one", "/join lab", "two"].iter().for_each(|said| scene.say(said));
    let (folder, old) = (scene.histories.folder.clone(), scene.file("lab"));
    std::fs::set_permissions(&folder, PermissionsExt::from_mode(0o777)).unwrap();
    for room in ["lab", "lobby"] {
        std::fs::set_permissions(folder.join(file_name(room)), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let said = as_nobody(|| {
        let mut scene = Scene::new(&directory, 100);
        assert_eq!(scene.lines("lab"), Vec::<String>::new());
        ["/nick anna", "/join lab", "three"].iter().for_each(|said| scene.say(said));
        assert!(scene.is_written("lab"));
    });
    if said.is_some() {
        assert_eq!(std::fs::read_to_string(folder.join("lab.jsonl.unread")).unwrap(), old);
        std::fs::rename(folder.join("lab.jsonl.unread"), folder.join("lab.jsonl")).unwrap();
        let mut scene = Scene::new(&directory, 100);
        assert_eq!((scene.lines("lab"), scene.lines("lobby")), (vec!["anna: two".into()], vec!["anna: one".into()]));
        std::fs::write(folder.join("lab.jsonl.unread"), "some").unwrap();
        ["/nick anna", "/join lab", "/history off"].iter().for_each(|said| scene.say(said));
        assert!(!folder.join("lab.jsonl").exists() && !folder.join("lab.jsonl.unread").exists(), "forgotten");
    }
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_was_not_looked_at_is_not_written_over_and_what_makes_no_sense_is() {
    let directory = new_folder();
    let folder = directory.join("history");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("lobby.jsonl"), "{\"room\":\"lob").unwrap();
    let mut scene = Scene::new(&directory, 100);
    std::fs::write(folder.join("lab.jsonl"), "came later").unwrap();
    ["one", "/join lab", "two"].iter().for_each(|said| scene.say(said));
    assert!(scene.is_written("lobby") && scene.is_written("lab"));
    assert!(!folder.join("lobby.jsonl.unread").exists());
    assert_eq!(std::fs::read(folder.join("lab.jsonl.unread")).unwrap(), b"came later");
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_file_that_was_cut_off_or_removed_is_written_anew() {
    let directory = new_folder();
    let mut scene = Scene::new(&directory, 100);
    ["/nick anna", "one", "two"].iter().for_each(|said| scene.say(said));
    let path = scene.histories.folder.join("lobby.jsonl");
    let half = scene.file("lobby").len() as u64 / 2;
    File::options().write(true).open(&path).unwrap().set_len(half).unwrap();
    scene.say("three");
    assert!(scene.is_written("lobby"));
    std::fs::remove_file(&path).unwrap();
    scene.say("four");
    assert!(scene.is_written("lobby"));
    assert_eq!(scene.lines("lobby").len(), 4);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_folder_that_could_not_be_made_at_the_start_is_no_more_told_of_when_it_can() {
    let directory = new_folder();
    std::fs::write(directory.join("history"), "in the way").unwrap();
    let mut scene = Scene::new(&directory, 100);
    assert!(scene.histories.words().ends_with("cannot be written"));
    std::fs::remove_file(directory.join("history")).unwrap();
    scene.say("one");
    assert!(scene.is_written("lobby"));
    assert!(scene.histories.words().starts_with("histories in "));
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn what_is_to_be_forgotten_is_tried_at_the_end_and_without_a_hub_and_not_read_again() {
    let directory = new_folder();
    if !small_disk(&directory) {
        return;
    }
    let read_only = |flags| mount(None::<&str>, &directory, None::<&str>, MsFlags::MS_REMOUNT | flags, None::<&str>);
    let mut scene = Scene::new(&directory, 100);
    for has_hub in [true, false] {
        ["/nick anna", "/history on", "one"].iter().for_each(|said| scene.say(said));
        read_only(MsFlags::MS_RDONLY).unwrap();
        scene.say("/history off");
        let now = scene.now;
        if !has_hub {
            scene.histories.give_up(now.mono);
            let mut hub = Hub::new(&Chat::default(), "belfry.lan", Hosts::default(), Seed(8));
            scene.histories.read(&now, &mut hub);
            assert!(hub.history_of("lobby").is_none());
        }
        read_only(MsFlags::empty()).unwrap();
        assert_eq!(scene.lines("lobby"), Vec::<String>::new());
        assert!(scene.file("lobby").contains("one"));
        scene.histories.write_last(now.mono, has_hub.then_some(&scene.hub));
        assert!(!scene.histories.folder.join("lobby.jsonl").exists());
    }
}

#[test]
fn a_tail_is_no_longer_than_asked_for_and_finds_its_lines_behind_what_makes_no_sense() {
    let directory = new_folder();
    let path = directory.join("lab.jsonl");
    let line = |number: usize| {
        let mut line = Vec::new();
        let text = format!("anna: {number} {}", "\"".repeat(number % 500));
        Entry::write("lab", Epoch(1), &Message::from_line(Timestamp::UNIX_EPOCH, &text), &mut line);
        line
    };
    let lines = (0..2_000).map(line).collect::<Vec<_>>();
    let numbers = |tail: Tail| -> Vec<usize> {
        tail.lines.iter().map(|(_, message)| message.line.split(' ').nth(1).unwrap().parse().unwrap()).collect()
    };
    std::fs::write(&path, lines.concat()).unwrap();
    for count in [1, 7, 300] {
        let tail = Tail::read(&path, count).unwrap().unwrap();
        assert!(tail.is_clean);
        assert_eq!(numbers(tail), (2_000 - count..2_000).rev().collect::<Vec<_>>());
    }
    let whole = numbers(Tail::read(&path, 5_000).unwrap().unwrap());
    assert!((1_000..1_100).contains(&whole.len()), "{} lines of 256 KiB", whole.len());
    std::fs::write(&path, [&lines[..500].concat()[..], &[0; 100_000], b"\n", &lines[500]].concat()).unwrap();
    let tail = Tail::read(&path, 3).unwrap().unwrap();
    assert!(!tail.is_clean);
    assert_eq!(numbers(tail)[..2], [500, 499]);
    std::fs::remove_dir_all(directory).unwrap();
}

#[test]
fn so_many_entries_of_the_folder_are_looked_at_and_no_more() {
    for (count, looked_at) in [(HISTORY_FILES_MAX, HISTORY_FILES_MAX), (HISTORY_FILES_MAX + 1, HISTORY_FILES_MAX)] {
        let directory = new_folder();
        let folder = directory.join("history");
        std::fs::create_dir(&folder).unwrap();
        for number in 0..count {
            std::fs::write(folder.join(format!("r{number}.jsonl")), "makes no sense").unwrap();
        }
        let scene = Scene::new(&directory, 100);
        assert_eq!(scene.histories.known.len(), looked_at);
        std::fs::remove_dir_all(directory).unwrap();
    }
}
