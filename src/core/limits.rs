//! The bounds that no configuration moves, each with its reason. The bounds that it does move have their defaults in
//! `etc/belfry.toml`.

use std::time::Duration;

/// The longest datagram that is sent: the smallest IPv6 MTU, 1,280, less 40 bytes of IPv6 and 8 of UDP header
/// (RFC 8200 §5), so that nothing Belfry says is ever cut in pieces on its way.
pub const DATAGRAM_MAX: usize = 1_232;

/// The longest time request: room for the longest format that anybody types, and for nine hops of `%`-halving.
pub const TIME_REQUEST_MAX: usize = 512;

/// An answer to whoever may have forged its address is at most this and three times the request. A request of n bytes is
/// 42 + n on Ethernet over IPv4, its headers counted (RFC 9175 §2.4), and an answer of 84 + 3n is three times that.
pub const ANSWER_BASE: usize = 84;

/// The longest line that says what was wrong, its newline included. (What asks for a token is none.)
pub const ERROR_LINE_MAX: usize = 64;

/// The receive buffer for one datagram: room for anything that is answered, and for the zero bytes that C programs send
/// behind it. What is longer is cut off by the kernel and refused.
pub const RECEIVE_MAX: usize = 16_384;

/// The receive buffer of a socket that is asked for, in bytes: what waits while the daemon is restarted, some five thousand
/// short datagrams. systemd grants it; without privilege the kernel grants at most `net.core.rmem_max`.
pub const RECEIVE_BUFFER: usize = 4 << 20;

/// The same for the time service, which anybody may flood: what comes on a fast link in the 70 ms for which other programs may
/// keep the processor from the daemon, some twenty thousand questions.
pub const QUESTIONS_BUFFER: usize = 16 << 20;

/// The send buffer that is asked for, in bytes. While the kernel looks for a host that has left the network (3 s) it keeps up
/// to 208 KiB for it, at the expense of this buffer. It grants twice what it is asked for, which has room for some eighty such
/// hosts; without privilege at most `net.core.wmem_max`.
pub const SEND_BUFFER: usize = 8 << 20;

/// The same for the time service, which answers whoever asks, hosts that never were among them: it has room for some three
/// hundred, and so for all that a network of the common size (/24) can be asked for in vain.
pub const ANSWERS_BUFFER: usize = 32 << 20;

/// While questions pile up in a socket, or answers, who has used more than one in so many of his tokens gets none. Who asks as
/// often as he may uses none, and one who is curious a few; a flood is read without being answered.
pub const SPARING_PART: u32 = 8;

/// The longest name of a member or a room, in bytes.
pub const NAME_MAX: usize = 32;

/// The longest topic of a room and the longest away text, in bytes.
pub const TOPIC_MAX: usize = 200;

/// Rooms at once, the lobby included.
pub const ROOMS_MAX: usize = 256;

/// Rooms of one source that are there, at which it can have no other make place for one more if that has a history. A
/// class behind one address has use for some; whoever makes hundreds wants to be rid of what others have said. Who has made a
/// room is not known any more after a restart.
pub const ROOMS_OF_SOURCE_MAX: usize = 32;

/// Rooms with somebody in them that one source may have made: otherwise nobody else could make any.
pub const ROOMS_MADE_MAX: usize = ROOMS_MAX / 2;

/// The history of one room, in bytes of text.
pub const HISTORY_BYTES_MAX: usize = 256 * 1024;

/// Messages of a room that are there at least for those who have missed one, even where less history is kept, or none: what
/// five hundred people say in the few seconds in which somebody asks again and again. [`HISTORY_BYTES_MAX`] bounds them too.
pub const REPAIR_MESSAGES_MIN: usize = 1_024;

/// Bytes that are sent again to one session at once, and that it may have again each second: a whole history in four
/// seconds, and for a room of a thousand lossy members no more than a fast network carries.
pub const REPAIR_BYTES: usize = 64 * 1024;

/// Messages in the mailbox of a session that it has not confirmed, and their bytes.
pub const MAILBOX_MESSAGES_MAX: usize = 32;

/// See [`MAILBOX_MESSAGES_MAX`].
pub const MAILBOX_BYTES_MAX: usize = 16 * 1024;

/// What waits in all mailboxes together, in bytes, before whoever has something waiting gets no more. It is written down with each
/// change of who is here.
pub const MAILBOXES_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Rooms that one session is in: their positions fit one datagram.
pub const SESSION_ROOMS_MAX: usize = 12;

/// Requests of a session that are looked at in one datagram, and that it may have in flight.
pub const REQUESTS_MAX: usize = 32;

/// Ranges of missing messages that are looked at in one `^want`.
pub const RANGES_MAX: usize = 64;

/// The highest number that is read from what was kept: nobody says so much, and one more is still a number.
pub const NUMBER_MAX: u64 = u64::MAX / 2;

/// Sessions that are remembered although nobody has been heard of them for a while. Of more, the first to have gone is
/// forgotten of the source that has most of them.
pub const SESSIONS_AWAY_MAX: usize = 4_096;

/// How long a session is remembered after it has gone: people walk from one building to the next.
pub const SESSION_AWAY_MAX: Duration = Duration::from_secs(600);

/// The longest file of a room's history that is read; of a longer one the end. [`HISTORY_MAX`] of the shortest messages,
/// each with its room and its time, twice.
pub const HISTORY_FILE_MAX: u64 = 16 * 1024 * 1024;

/// How much a file of history may have beyond twice what it needs: so much is appended before it is written anew.
pub const HISTORY_FILE_SLACK: u64 = 64 * 1024;

/// Entries of the folder of histories that are looked at: four times as many as there can be rooms.
pub const HISTORY_FILES_MAX: usize = 4 * ROOMS_MAX;

/// Datagrams in one answer to `/history`; the oldest lines are left out.
pub const HISTORY_ANSWER_DATAGRAMS_MAX: usize = 16;

/// What may go out to rooms in one moment, in seconds of `fan-out`: whoever has said nothing for that long may paste a page.
pub const FAN_OUT_SECONDS: u32 = 2;

/// Sources that it takes to use up `fan-out`: nobody silences the others by himself.
pub const FAN_OUT_SOURCES_MIN: u32 = 4;

/// Bytes that wait in one service's outbox, and again for each socket that takes no more; what comes on top is forgotten
/// and counted.
pub const OUTBOX_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Messages that wait in one service's outbox, however short they are.
pub const OUTBOX_ENTRIES_MAX: usize = 65_536;

/// Datagrams that wait in one service's outbox, one for each who gets it: about as many as can be sent in a second, so that
/// what is said is not far ahead of what is heard. A room's list is copied when the room changes while a message to it
/// waits, so this bounds the copies too: 14 MiB of paths at the most.
pub const OUTBOX_DATAGRAMS_MAX: usize = 262_144;

/// Datagrams in one burst. The kernel takes 64 in one piece (`UDP_MAX_SEGMENTS`) and 65,507 bytes, but queues on the way drop
/// a burst as a whole, and 16 spare nearly all that there is to be spared.
pub const BURST_MAX: usize = 16;

/// Sources whose tokens are remembered, for each service.
pub const RATE_LIMIT_SOURCES: usize = 4_096;

/// How long a token is given to an address before it is another: it is good for that long at least, and twice that at most.
pub const TOKEN_PERIOD: Duration = Duration::from_secs(60);

/// Of the NTP requests for which there is no token, one in so many is told to come less often; whoever forges somebody's
/// address has that much less sent to him than he sends.
pub const KISS_PART: u32 = 8;

/// On a link of ours each IPv6 address is a source, and all of its /64 together count as this many: everybody of a class may
/// speak at once, and one host that has a million addresses is no million hosts.
pub const SOURCES_OF_NETWORK: u32 = 16;

/// Error lines in a row that one source gets: a service that answers each of them falls silent for want of the next. Somebody
/// who types gets one at a time.
pub const ERRORS_IN_A_ROW_MAX: usize = 3;

/// Two errors of one source are in a row when the second comes sooner than this after the first.
pub const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// Sources whose errors are counted, for each service.
pub const ERROR_STREAKS_MAX: usize = 1_024;

/// Names that are looked through for one page of a list: some ten times as many as fit it, and a fraction of a millisecond.
pub const LISTED_MAX: usize = 1_024;

/// The longest `from` and `mark` of a question for a list, in bytes: the longest name fits twice.
pub const LIST_FIELD_MAX: usize = 2 * NAME_MAX;

/// How often a program or a terminal in the room may say the same again at once (50 ms): more often only a service does that
/// knows no other answer.
pub const REPEATS_MAX: usize = 3;

/// How often a program or a terminal may speak in a row, each time soon (2 s) after its own line has come back to it, until
/// one does not come back.
pub const ANSWERS_IN_A_ROW_MAX: usize = 1_000;

/// The highest stratum that a server may tell (RFC 5905 §7.3); 16 means that it is not synchronised.
pub const STRATUM_MAX: u8 = 15;

/// Requests whose answers are remembered within a second.
pub const TIME_CACHE_MAX: usize = 2_048;

/// The longest line of the announcer, its newline included: 42 bytes of headers and these are three times the shortest
/// frame of Ethernet (60 bytes without its check sum), which is what `Notify` comes in.
pub const ANNOUNCEMENT_MAX: usize = 138;

/// The longest host name in an announcement: what Linux lets a host be called (`HOST_NAME_MAX`).
pub const HOST_MAX: usize = 64;

/// Answers of the announcer that wait out their jitter: the sources that can ask a group within a tenth of a second.
/// Who asks when it is full asks again, as everybody does who asks over Wi-Fi.
pub const PENDING_ANSWERS_MAX: usize = 1_024;

/// Groups that the announcer takes part in, on all interfaces together: one announcement is that many datagrams.
pub const MEMBERSHIPS_MAX: usize = 256;

/// Messages that are read from the kernel's interface watch in one turn; a change of one interface is a dozen.
pub const NETLINK_TURN_MAX: usize = 256;

/// The longest duration in the configuration: a year is for ever to a chat, and no sum of two comes near an overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The highest `max-members`: that many heartbeats every 3 s are about what one thread can receive at all.
pub const MEMBERS_MAX: usize = 1_000_000;

/// Members whose time is over that are taken out in one turn: two milliseconds' work, so that nobody waits longer for the time
/// because a whole network has gone. The others go in the next turns; until then they are members.
pub const EXPIRIES_MAX: usize = 1_024;

/// A slice of the hub as text ends when it is as long as this, and so what is written of it in one turn: some four hundred
/// members, a third of a millisecond's work. The line that reaches it is whole.
pub const DUMP_SLICE_BYTES: usize = 64 * 1024;

/// It ends, too, when so many places of the table of members have been looked at: most may be free.
pub const DUMP_SLICE_PLACES: usize = 1_024;

/// What a hub has to tell that waits to be written down. One turn brings no more: a batch from each of [`LIST_MAX`] sockets
/// with [`REQUESTS_MAX`] in each datagram, and a reload that has each room forget something. The daemon, which knows its batches, asserts it.
pub const NEWS_MAX: usize = 4_096 * REQUESTS_MAX + ROOMS_MAX;

/// The highest `history`: [`HISTORY_BYTES_MAX`] holds no more messages than this, however short they are.
pub const HISTORY_MAX: usize = 65_536;

/// The most entries in one list of the configuration: each listener is a socket, each access rule is read for each
/// datagram.
pub const LIST_MAX: usize = 64;

/// The largest configuration file that is read: a mistaken path (`--config /dev/zero`) must not fill the memory.
pub const CONFIG_FILE_MAX: u64 = 1024 * 1024;

/// The most files that are read from `conf.d`.
pub const CONFIG_FILES_MAX: usize = 256;

/// The shortest `interval` of the announcer, in which every host of the network hears it: `1ms` is a mistake for `1m`.
pub const ANNOUNCE_INTERVAL_MIN: Duration = Duration::from_secs(1);

/// The shortest of the heartbeat times: members at ten heartbeats a second are kept busy by nothing else.
pub const HEARTBEAT_MIN: Duration = Duration::from_millis(100);

/// Connections to the control socket at once: a few people and a program that watches. When there is one more, the one
/// that has been idle for the longest goes.
pub const CONTROL_CONNECTIONS_MAX: usize = 16;

/// The longest request on the control socket, without its newline: a name fits fifty times.
pub const CONTROL_REQUEST_MAX: usize = 4 * 1024;

/// The longest answer on the control socket, and so what waits for one connection: the next request is read when the
/// answer to the last has left.
pub const CONTROL_ANSWER_MAX: usize = 4 * 1024 * 1024;

/// Members in one answer on the control socket: twice the default of `max-members`, with room in
/// [`CONTROL_ANSWER_MAX`] for the longest names and texts.
pub const CONTROL_MEMBERS_MAX: usize = 2_048;

/// How long a request on the control socket may take to come, and its answer to be read. People type by way of a
/// program, and that is quick.
pub const CONTROL_PATIENCE: Duration = Duration::from_secs(10);

/// Names that are looked through for the one that was meant: a distance costs time in their number.
pub const NEAREST_AMONG_MAX: usize = 4_096;

/// Messages that go to the log in one [`LOGGED_MESSAGES_PERIOD`] where `log-messages` is on: a third of what the journal takes
/// from one unit before it drops everything, warnings too (journald.conf(5), `RateLimitBurst=`).
pub const LOGGED_MESSAGES_MAX: usize = 3_000;

/// See [`LOGGED_MESSAGES_MAX`]; as long as the journal's.
pub const LOGGED_MESSAGES_PERIOD: Duration = Duration::from_secs(30);

/// Sources whose last answers the echo remembers: a little more than a megabyte, if all are as long as can be.
pub const ECHOES_MAX: usize = 1_024;

/// The highest `max-connections`: if all that may wait on each does, they take 128 MiB, and 512 MiB of the kernel's.
pub const CONNECTIONS_MAX: usize = 4_096;

/// The shortest `idle-timeout`: a connection across the world takes three round trips before its first byte is there.
pub const IDLE_TIMEOUT_MIN: Duration = Duration::from_millis(100);

/// What has come on a connection and was not taken yet, in bytes. A sender who is quicker than his reader waits.
pub const CONNECTION_INPUT_MAX: usize = 16 * 1024;

/// What waits to leave on a connection, in bytes; while there is no room nothing more is taken of what comes.
pub const CONNECTION_OUTPUT_MAX: usize = 16 * 1024;

/// The send and the receive buffer of a connection in the kernel that are asked for, in bytes, where none is to be fast: it grants
/// twice that, and would let them grow to six megabytes by itself.
pub const CONNECTION_BUFFER: usize = 32 * 1024;

/// How long a connection that we have ended is kept for the other end to read what was said last: were it closed while something
/// comes, the kernel would take that back (RST).
pub const LINGER_MAX: Duration = Duration::from_secs(2);
