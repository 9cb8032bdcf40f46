//! The hub, driven by a program: who says what, and when. What must hold is in `referee`.
//!
//! ```text
//! a>hello\n     a's datagram, and the turn ends
//! a&hello       a's datagram, and the turn goes on
//! a|hello       a's datagram, cut off by the kernel
//! a%hello       a's datagram, of which there were too many
//! a!  a?  ax    a's host says that nobody listens; a's host has left; the operator removes a
//! @2500         so many milliseconds go by
//! #2            another configuration
//! =  ==  =!     another hub takes over; what it would take over is kept; one is killed and another takes that
//! -1            a socket is about to close
//! ```
//!
//! Who somebody is, and from where, is in [`path`]. In a datagram, `$T` is the last token that its source was given, `$S` its
//! session, `$A` that of `a`, `$P` the last position that it has seen, `$E` and `$R` the epoch and the room of that, and `$N`
//! the number of its next request.

use super::referee::Referee;
use super::script::{number, steps, unescape};
use belfry::config;
use belfry::core::rate::{ByteRate, Rate};
use belfry::core::{Datagram, Instant, ListenerId, Now, Outbox, Path, Seed};
use belfry::services::Service;
use belfry::services::chat::{Hosts, Hub, kept_seed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The clock does not begin at zero.
const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// Steps that are done of a program.
const STEPS_MAX: usize = 256;

/// Timeouts that are waited for in one step; a longer wait jumps over the rest, as a daemon does that was held up.
const TIMEOUTS_MAX: usize = 12;

/// Members that are an address and nothing more, with the configuration as it is by default but for its bounds.
pub fn chat(data: &[u8]) {
    World::new(0, data).play(data);
}

/// Sessions, in a hub that forgets sooner.
pub fn sessions(data: &[u8]) {
    World::new(1, data).play(data);
}

struct World {
    hub: Hub,
    out: Outbox,
    mono: Instant,
    config: config::Chat,
    referee: Referee,
    /// A hub that was dumped, in case that it is killed.
    kept: Vec<u8>,
}

/// Bounds are the same in each, so that they hold from one to the next.
fn configuration(which: u64) -> config::Chat {
    let unlimited = config::Chat { rate_limit: None, fan_out: None, ..config::Chat::default() };
    let config = config::Chat { max_members: 12, max_members_per_address: 3, ..unlimited };
    match which {
        1 => config::Chat { history: 3, silent_timeout: Duration::from_secs(60), ..config },
        2 => config::Chat { history: 0, echo_to_sender: false, ..config },
        3 => config::Chat { max_message: 100, log_messages: true, ..config },
        4 => config::Chat { rate_limit: Some(Rate::new(1, 3)), heartbeat_timeout: Duration::from_secs(4), ..config },
        5 => config::Chat { fan_out: Some(ByteRate(4_000)), ..config },
        _ => config,
    }
}

/// Who a letter is. The first half are on the hub's links: hosts, `g` to `i` three programs on one, `j` to `l` in one IPv6
/// network, `m` by a link-local address. The others are from elsewhere, `t` to `v` on one host.
fn path(letter: u8) -> Path {
    let v6 = |network: u16, host: u8| {
        SocketAddr::from((IpAddr::from(Ipv6Addr::new(0x2001, 0xdb8, 0, network, 0, 0, 0, host.into())), 40_001))
    };
    let remote = match letter {
        b'a'..=b'f' => SocketAddr::from(([192, 0, 2, letter - b'a' + 1], 40_001)),
        b'g'..=b'i' => SocketAddr::from(([192, 0, 2, 200], 40_000 + u16::from(letter))),
        b'j'..=b'l' => v6(0, letter),
        b'm' => SocketAddr::from(([0xfe80, 0, 0, 0, 0, 0, 0, 1], 40_001)),
        b'n'..=b's' => SocketAddr::from(([198, 51, 100, letter], 40_001)),
        b't'..=b'v' => SocketAddr::from(([198, 51, 100, 200], 40_000 + u16::from(letter))),
        _ => v6(1, letter),
    };
    Path::to(listener_for(remote), remote)
}

/// The socket by which an address is reached.
pub(crate) fn listener_for(addr: SocketAddr) -> ListenerId {
    ListenerId(u16::from(addr.is_ipv6()))
}

/// The address of a socket.
pub(crate) fn addr_of(listener: ListenerId) -> Option<SocketAddr> {
    let addr = if listener.0 == 0 { "0.0.0.0:9999" } else { "[::]:9999" };
    addr.parse().ok()
}

impl World {
    /// A hub with secrets that no other program knows: libFuzzer sees what numbers are compared, and would learn them.
    fn new(which: u64, program: &[u8]) -> Self {
        let config = configuration(which);
        let seed = Seed(Seed(7).mac(&program).into());
        let hub = Hub::new(&config, "belfry.lan", Hosts::default(), seed);
        let (referee, kept) = (Referee::new(&config), Vec::new());
        Self { hub, out: Outbox::default(), mono: START, config, referee, kept }
    }

    fn now(&self) -> Now {
        let start = jiff::Timestamp::from_second(1_750_000_000).expect("a moment");
        Now { mono: self.mono, wall: start + self.mono.since(START) }
    }

    fn play(&mut self, program: &[u8]) {
        for step in steps(program).take(STEPS_MAX) {
            match step {
                [b'@', rest @ ..] => self.advance(Duration::from_millis(number(rest, 1_000_000))),
                [b'#', rest @ ..] => self.reconfigure(number(rest, 9)),
                [b'=', rest @ ..] => self.restart(rest),
                [b'-', rest @ ..] => {
                    let listener = ListenerId(number(rest, 1) as u16);
                    self.hub.remove_listener(&self.now(), listener, &mut self.out);
                    self.end_turn();
                }
                [letter @ b'a'..=b'z', what, rest @ ..] => self.act(*letter, *what, rest),
                _ => {}
            }
        }
        self.end_turn();
        self.referee.end(&self.hub);
    }

    fn act(&mut self, letter: u8, what: u8, rest: &[u8]) {
        let path = path(letter);
        let now = self.now();
        match what {
            b'>' | b'&' | b'|' | b'%' => self.hear(path, letter <= b'm', what, rest),
            b'!' => self.hub.handle_unreachable(&now, path.remote, &mut self.out),
            b'?' => self.hub.handle_out_of_reach(&now, path.remote),
            b'x' => {
                let name =
                    self.hub.members().find(|member| member.addr == path.remote).map(|member| member.name.to_owned());
                if let Some(name) = name {
                    self.hub.kick(&now, &name, &mut self.out).expect("it is there");
                    assert!(self.hub.members().all(|member| member.addr != path.remote), "it is gone");
                }
            }
            _ => return,
        }
        if what != b'&' {
            self.end_turn();
        }
    }

    fn hear(&mut self, path: Path, on_link: bool, what: u8, rest: &[u8]) {
        let payload = unescape(rest, |letter| self.referee.made_up(letter, path.remote, self::path(b'a').remote));
        let now = self.now();
        // What is due is no answer to the datagram.
        self.hub.handle_timeout(&now, &mut self.out);
        self.referee.look(&now, &mut self.hub, &mut self.out, None);
        let datagram = Datagram { truncated: what == b'|', on_link, ..Datagram::unicast(path, &payload) };
        let is_vouched = self.hub.vouches_for(&now, &datagram);
        if what == b'%' {
            self.hub.handle_excess(&now, &datagram, &mut self.out);
            assert!(self.out.is_empty(), "nobody gets anything for what is too much");
            return;
        }
        self.referee.begin(&now, &mut self.hub, &datagram);
        let verdict = self.hub.handle_datagram(&now, &datagram, &mut self.out);
        self.referee.judge(&now, &mut self.hub, &datagram, verdict, is_vouched, &mut self.out);
    }

    fn end_turn(&mut self) {
        self.hub.finish_turn(&mut self.out);
        let now = self.now();
        self.referee.look(&now, &mut self.hub, &mut self.out, None);
        self.referee.end_turn(&mut self.hub);
    }

    fn advance(&mut self, by: Duration) {
        self.end_turn();
        let until = self.mono + by;
        for _ in 0..TIMEOUTS_MAX {
            let Some(due) = self.hub.next_timeout().filter(|&due| due <= until) else { break };
            self.mono = self.mono.max(due);
            self.handle_timeout();
        }
        self.mono = until;
        self.handle_timeout();
    }

    fn handle_timeout(&mut self) {
        self.hub.handle_timeout(&self.now(), &mut self.out);
        self.end_turn();
        let due = self.hub.next_timeout();
        assert!(due.is_none_or(|due| due > self.mono), "what is due is done: {due:?} at {:?}", self.mono);
    }

    fn reconfigure(&mut self, which: u64) {
        self.config = configuration(which);
        self.hub.reconfigure(&self.config, Hosts::default(), &mut self.out);
        self.end_turn();
    }

    /// Another hub takes over what this one leaves, or what one left before, and what is in the files.
    fn restart(&mut self, how: &[u8]) {
        self.end_turn();
        let kept = self.referee.dump(&self.hub);
        if how == b"=" || self.kept.is_empty() {
            self.kept.clone_from(&kept);
        }
        if how == b"=" {
            return;
        }
        let is_killed = how == b"!";
        let kept = if is_killed { &self.kept } else { &kept };
        let seed = kept_seed(kept).expect("it is there");
        let new = Hub::new(&self.config, "belfry.lan", Hosts::default(), seed);
        let old = std::mem::replace(&mut self.hub, new);
        let now = self.now();
        let restored = self.hub.restore(&now, kept, |addr| Some(listener_for(addr)), &mut self.out);
        assert_eq!((restored.refused, restored.cut_off, restored.senseless), (0, 0, 0), "{}", kept.escape_ascii());
        for room in old.rooms() {
            let epoch = old.epoch_of(room).unwrap_or_default();
            let messages = old.history_of(room).into_iter().flatten().map(|message| (epoch, message.clone()));
            self.hub.restore_history(&now, room, messages);
        }
        self.referee.take_over(&now, &old, &self.hub, is_killed);
        self.end_turn();
    }
}
