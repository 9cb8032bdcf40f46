//! The loop: one turn after the other, until a signal ends it.
//!
//! A turn: poll; read the clocks once; mark what is ready; signals; interfaces; timers; the error queues; one batch from
//! each ready socket, service by service, and its answers; the control socket; what is to be kept; the outboxes; the service
//! manager and the log. mio tells of changes only (it is edge-triggered), so what was not emptied stays marked, and while
//! anything is marked the next poll does not wait.
//!
//! Only the poller and the signals are worth ending for; everything else that fails while running is counted.

use super::announcing;
use super::clock_helper::ClockHelper;
use super::config_file::Origin;
use super::control::Control;
use super::error::Fatal;
use super::listener::Listener;
use super::logging::event;
use super::netlink::Netlink;
use super::passed::Passed;
use super::post::Patience;
use super::report::{Report, Status};
use super::services::{Posts, Services};
use super::signals::{Request, Signals};
use super::state::State;
use super::supervisor::Supervisor;
use super::sys::{Receiver, Sender};
use crate::clock::Clock;
use crate::config::Config;
use crate::core::admission::Admission;
use crate::core::{ClockState, Instant, Interface, Now, Seed};
use crate::services::ServiceName;
use log::{info, warn};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::time::Duration;

const SIGNALS: Token = Token(usize::MAX - 1);
const NETLINK: Token = Token(usize::MAX - 2);

/// A turn that comes so much later than it was due finds a daemon that was stopped, or a machine that was.
const STALL: Duration = Duration::from_secs(1);

/// How old the state of the clock may be.
const CLOCK_STATE_AGE_MAX: Duration = Duration::from_secs(1);

/// Turns that the last words may take to leave.
const FAREWELL_TURNS_MAX: usize = 100;

/// Everything that runs.
pub(super) struct Daemon {
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) host: String,
    /// The file that was named on the command line.
    pub(super) config_path: Option<PathBuf>,
    pub(super) config: Config,
    /// Where it came from.
    pub(super) origin: Origin,
    /// What the service manager made for us, and has no place yet.
    pub(super) passed: Passed,
    pub(super) poll: Poll,
    pub(super) listeners: Vec<Listener>,
    /// The number of the next socket, if none has it.
    pub(super) next_listener: u16,
    pub(super) admission: Admission,
    pub(super) services: Services,
    pub(super) posts: Posts,
    pub(super) interfaces: Vec<Interface>,
    pub(super) netlink: Option<Netlink>,
    pub(super) signals: Signals,
    pub(super) supervisor: Supervisor,
    pub(super) control: Option<Control>,
    pub(super) state: State,
    pub(super) receiver: Receiver,
    pub(super) sender: Sender,
    report: Report,
    clock_helper: ClockHelper,
    pub(super) clock_state: ClockState,
    clock_state_read: Option<Instant>,
    watchdog_due: Option<Instant>,
    pub(super) started: Instant,
    /// The moment of the last turn.
    turned: Instant,
    /// The watch on the interfaces stopped at its bound, and has more to read.
    interfaces_waiting: bool,
}

/// What a daemon is made of, before it has sockets.
pub(super) struct Parts {
    pub(super) clock: Clock,
    pub(super) seed: Seed,
    pub(super) host: String,
    pub(super) config_path: Option<PathBuf>,
    pub(super) config: Config,
    pub(super) origin: Origin,
    pub(super) passed: Passed,
    pub(super) signals: Signals,
    pub(super) supervisor: Supervisor,
    pub(super) state: State,
}

impl Daemon {
    /// A daemon that has its poller and knows its interfaces, and has no sockets yet.
    pub(super) fn new(parts: Parts) -> Result<Self, Fatal> {
        let poll = Poll::new().map_err(Fatal::system("make an epoll instance"))?;
        let Parts { clock, seed, host, config_path, config, origin, mut passed, signals, supervisor, state } = parts;
        let watch = |fd: i32, token| poll.registry().register(&mut SourceFd(&fd), token, Interest::READABLE);
        watch(signals.as_fd().as_raw_fd(), SIGNALS).map_err(Fatal::system("watch for signals"))?;
        let (netlink, interfaces) = match announcing::watch_interfaces(passed.netlink.take()) {
            Ok((netlink, interfaces)) => {
                watch(netlink.as_fd().as_raw_fd(), NETLINK).map_err(Fatal::system("watch the interfaces"))?;
                (Some(netlink), interfaces)
            }
            Err(error) => {
                warn!("cannot see the interfaces: only loopback and link-local addresses are on-link: {error}");
                (None, Vec::new())
            }
        };
        let mut admission = Admission::new(&config, seed);
        admission.set_interfaces(&interfaces);
        let turned = clock.now().mono;
        let watchdog_due = supervisor.watchdog_interval().map(|interval| turned + interval);
        Ok(Self {
            clock,
            seed,
            host,
            config_path,
            config,
            passed,
            origin,
            poll,
            listeners: Vec::new(),
            next_listener: 0,
            admission,
            services: Services::default(),
            posts: Posts::default(),
            interfaces,
            netlink,
            signals,
            supervisor,
            control: None,
            state,
            receiver: Receiver::new(),
            sender: Sender::new(),
            report: Report::default(),
            clock_helper: ClockHelper::default(),
            clock_state: ClockState::default(),
            clock_state_read: None,
            watchdog_due,
            started: turned,
            turned,
            interfaces_waiting: false,
        })
    }

    /// Takes in the control socket, and has the poller watch it.
    pub(super) fn open_control(&mut self, control: Control) -> Result<(), Fatal> {
        control.register(self.poll.registry()).map_err(Fatal::system("watch the control socket"))?;
        self.control = Some(control);
        Ok(())
    }

    /// Turns until a signal ends it.
    pub(super) fn run(&mut self) -> Result<(), Fatal> {
        let mut events = Events::with_capacity(64);
        self.turned = self.clock.now().mono;
        self.read_clock_state(self.turned);
        let status = self.status();
        self.supervisor.ready(&status.to_string());
        info!(message_id = event::STARTED; "ready: {status}");
        while self.turn(&mut events)? {}
        Ok(())
    }

    /// One turn; whether there is to be another.
    fn turn(&mut self, events: &mut Events) -> Result<bool, Fatal> {
        let polled = self.read_clocks(self.turned, Some(self.turned)).mono;
        let due = self.next_timeout();
        // Not at all while something is left to do.
        let wait = if self.is_busy() { Some(Duration::ZERO) } else { due.map(|due| due.since(polled)) };
        match self.poll.poll(events, wait) {
            Ok(()) => {}
            // Without an event: the process was stopped and goes on.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Fatal::system("wait for events")(error)),
        }
        let now = self.read_clocks(polled, due.map(|due| due.max(polled)));
        self.turned = now.mono;
        self.begin_turn(&now);
        self.read_clock_state(now.mono);
        let (signalled, interfaces_changed) = self.mark(events);
        if signalled && !self.handle_signals(&now)? {
            return Ok(false);
        }
        if interfaces_changed || self.interfaces_waiting {
            self.read_interfaces(&now);
        }
        self.services.handle_timeouts(&now, &mut self.posts);
        self.hear(&now);
        self.serve_control(&now);
        self.flush();
        self.tell(&now);
        Ok(true)
    }

    /// Has the services hear what has come, one after the other. What answers is answered at once, before the next has its
    /// turn; what is said in a room has to be written down first.
    fn hear(&mut self, now: &Now) {
        let Self { services, listeners, receiver, posts, interfaces, .. } = self;
        services.hear_errors(now, interfaces, listeners, receiver, posts);
        for service in ServiceName::ALL {
            let Self { services, listeners, receiver, admission, posts, .. } = self;
            services.hear(service, now, listeners, receiver, admission, &mut posts[service as usize]);
            if Patience::of(service) == Patience::None {
                self.flush_one(service);
            }
        }
    }

    /// From now on what is sent is as old as this turn.
    pub(super) fn begin_turn(&mut self, now: &Now) {
        self.posts.iter_mut().for_each(|post| post.outbox.begin_turn(now.mono));
    }

    /// Reads the clocks, which were last read at `since` and should be read again at `until`.
    ///
    /// After a stall the monotonic clock goes on from `since`: while nobody could be heard nobody was silent, and the
    /// heartbeats of that time are still in the sockets.
    fn read_clocks(&mut self, since: Instant, until: Option<Instant>) -> Now {
        let now = self.clock.now();
        if until.is_none_or(|until| now.mono < until + STALL) {
            return now;
        }
        let stalled = now.mono.since(since);
        self.clock.set_back(stalled);
        // The service manager has counted it all the same.
        self.watchdog_due = self.watchdog_due.map(|due| due.min(since));
        warn!(message_id = event::STALLED; "stopped for up to {} s: that time is not counted", stalled.as_secs());
        self.clock.now()
    }

    fn next_timeout(&self) -> Option<Instant> {
        let control = self.control.as_ref().and_then(Control::next_timeout);
        let others = [self.report.next_timeout(), self.watchdog_due, control, self.state.next_timeout()];
        self.services.next_timeout().into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Whether something is left to do.
    fn is_busy(&self) -> bool {
        self.interfaces_waiting
            || self.listeners.iter().any(|listener| listener.readable || listener.errored)
            || self.has_sendable()
            || self.control.as_ref().is_some_and(Control::is_busy)
    }

    fn has_sendable(&self) -> bool {
        self.posts.iter().any(|post| post.is_sendable(&self.listeners))
    }

    /// Marks what is ready; whether there are signals, and whether the interfaces have changed.
    fn mark(&mut self, events: &Events) -> (bool, bool) {
        let (mut signalled, mut interfaces_changed) = (false, false);
        for event in events {
            match event.token() {
                SIGNALS => signalled = true,
                NETLINK => interfaces_changed = true,
                token => {
                    let Some(listener) = self.listeners.iter_mut().find(|listener| listener.token() == token) else {
                        self.control.iter_mut().for_each(|control| control.mark(event));
                        continue;
                    };
                    listener.readable |= event.is_readable();
                    listener.errored |= event.is_error();
                    if event.is_writable() {
                        listener.set_blocked(self.poll.registry(), false);
                    }
                }
            }
        }
        (signalled, interfaces_changed)
    }

    /// Obeys the signals that wait; whether to go on.
    fn handle_signals(&mut self, now: &Now) -> Result<bool, Fatal> {
        while let Some(signal) = self.signals.read().map_err(Fatal::system("read signals"))? {
            match signal.which {
                Request::Reload => {
                    info!("{signal}: reading the configuration again");
                    // What is wrong has been told in the log, and who sent the signal waits for no answer.
                    let _ = self.reload(now);
                }
                Request::Terminate => {
                    info!(message_id = event::STOPPING; "{signal}: stopping");
                    self.stop();
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn read_interfaces(&mut self, now: &Now) {
        let Some(netlink) = &mut self.netlink else { return };
        let changed = netlink.on_readable();
        self.interfaces_waiting = netlink.more_waits();
        match changed {
            Ok(None) => {}
            Ok(Some(interfaces)) => {
                self.admission.set_interfaces(&interfaces);
                self.interfaces = interfaces;
                self.take_part(now);
            }
            Err(error) => warn!("cannot read the interfaces: {error}"),
        }
    }

    fn read_clock_state(&mut self, now: Instant) {
        if self.clock_state_read.is_some_and(|read| now < read + CLOCK_STATE_AGE_MAX) {
            return;
        }
        self.clock_state_read = Some(now);
        self.clock_state = self.clock_helper.read(now);
        if let Some(time) = &mut self.services.time {
            time.set_clock(self.clock_state);
        }
    }

    /// Writes down what there is to keep and sends what waits: in this order, so that nothing leaves that a kill could
    /// cost.
    pub(super) fn flush(&mut self) {
        self.services.finish_turn(&mut self.posts);
        self.state.keep(self.turned, self.services.chat.as_mut(), &self.listeners);
        ServiceName::ALL.into_iter().for_each(|service| self.flush_one(service));
    }

    fn flush_one(&mut self, service: ServiceName) {
        let post = &mut self.posts[service as usize];
        post.flush(Patience::of(service), &mut self.listeners, &mut self.sender, self.poll.registry());
    }

    pub(super) fn status(&self) -> Status {
        let (members, rooms) = self.company();
        Status { members, rooms, is_synchronised: self.clock_state.synchronised }
    }

    /// How many members there are, and how many rooms with somebody in them.
    pub(super) fn company(&self) -> (usize, usize) {
        self.services.chat.as_ref().map_or((0, 0), |hub| (hub.member_count(), hub.room_count()))
    }

    /// Tells the service manager and the log what they are due.
    fn tell(&mut self, now: &Now) {
        if let (Some(interval), Some(due)) = (self.supervisor.watchdog_interval(), self.watchdog_due)
            && due <= now.mono
        {
            self.supervisor.watchdog();
            self.watchdog_due = Some(now.mono + interval);
        }
        self.supervisor.repeat_ready();
        self.report.look(now.mono, &self.posts);
        self.report.summarise(now.mono, &self.posts);
        if self.supervisor.is_present() {
            let status = self.status();
            if self.report.status_is_due(now.mono, status) {
                self.supervisor.status(&status.to_string());
            }
        }
    }

    /// Sends what waits until nothing does that a socket would take, or it has been long enough.
    pub(super) fn flush_all(&mut self) {
        for _ in 0..FAREWELL_TURNS_MAX {
            self.flush();
            if !self.has_sendable() {
                break;
            }
        }
    }

    /// Says goodbye, leaves the groups, and sends what still waits.
    fn stop(&mut self) {
        self.supervisor.stopping();
        self.end_announcements();
        self.flush_all();
        self.state.keep_last(self.turned, self.services.chat.as_mut(), &self.listeners);
        self.report.summarise_now(&self.posts);
    }
}
