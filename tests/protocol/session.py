#!/usr/bin/env python3
"""A client for Belfry's chat sessions, made from docs/PROTOCOL.md alone, with nothing but the standard library.

As a program it says what standard input says, a text for each line, and prints what happens, a JSON object for each
event. As a module it has frames (`read`, `write`), positions (`position`, `ranges`) and `Session`:

    session = Session("127.0.0.1", 9999, name="anna", rooms=["lobby"])
    session.say("hello")
    while not session.ended:
        for event in session.turn(timeout=1.0):
            print(event)

Nothing happens but in `turn`: it sends what is due, waits for datagrams until the timeout or until something else is
due, and returns the events since the last one. The socket is `session.socket`, for programs with a loop of their own.
"""

import argparse
import dataclasses
import json
import os
import re
import select
import socket
import sys
import time

DATAGRAM_MAX = 1232
NUMBER_MAX = 2**64 - 1
IN_FLIGHT_MAX = 32
WINDOW = 256                    # so many numbers behind the last one of a room are asked for at a time
TEXT_VERBS = {b"say", b"ask", b"msg", b"note", b"answer", b"error"}
OVERTAKING = 0.03               # datagrams overtake one another by that much
RETRY_FIRST, RETRY_MAX = 0.25, 3.0
FULL_RETRY = 10.0               # "try again later"


# Frames

AS = re.compile(rb"\^as ([0-9a-f]{16})\^")
FIELD = rb"(?:[a-z]+=[^ ^\x00-\x1f\x7f]*|[^ ^=\x00-\x1f\x7f]+)"
FRAME = re.compile(rb"\^([a-z]{2,})((?: " + FIELD + rb")*)\^")


@dataclasses.dataclass
class Frame:
    verb: str
    words: list             # in their order
    values: list            # of (key, value), in their order
    text: bytes | None      # None: a frame without text

    def value(self, key, default=None):
        return next((value for k, value in self.values if k == key), default)

    def all(self, key):
        return [value for k, value in self.values if k == key]


def number(text):
    """The number that a word says. ValueError if it says none."""
    if not re.fullmatch("[0-9]+", text, re.ASCII) or int(text) > NUMBER_MAX:
        raise ValueError(f"{text!r} is no number")
    return int(text)


def read(datagram):
    """What a datagram says: the session behind `^as`, or None; its frames; and whether all of it could be read."""
    begin = AS.match(datagram)
    session, place = (begin[1].decode(), begin.end()) if begin else (None, 0)
    frames = []
    while True:
        while datagram[place:place + 1] in (b"\n", b"\r", b"\0"):
            place += 1
        if place == len(datagram):
            return session, frames, True
        head = FRAME.match(datagram, place)
        if not head:
            return session, frames, False
        place = head.end()
        try:
            fields = head[2].decode().split(" ")[1:]
            frame = Frame(head[1].decode(), [field for field in fields if "=" not in field],
                          [tuple(field.split("=", 1)) for field in fields if "=" in field], None)
            end = place + number(frame.value("len", "0"))
        except ValueError:
            return session, frames, False
        if end > len(datagram):
            return session, frames, False
        if frame.value("len") is not None:
            frame.text, place = datagram[place:end], end
        elif head[1] in TEXT_VERBS:
            frame.text, place = re.sub(rb"(\r?\n)?\0*\Z", b"", datagram[place:], count=1), len(datagram)
        frames.append(frame)


def write(verb, *fields, text=None):
    """A frame as bytes. A field is a word, or (key, value), or None: left out."""
    parts = [verb]
    for field in fields:
        if isinstance(field, tuple):
            parts += [] if field[1] is None else [f"{field[0]}={field[1]}"]
        elif field is not None:
            parts.append(str(field))
    if text is not None:
        parts.append(f"len={len(text)}")
    return b"^" + " ".join(parts).encode() + b"^" + (text or b"")


def position(word):
    """`lobby/5e2f01aa/18` as (room, epoch, number). ValueError if it is none."""
    room, epoch, at, last = ranges(word)
    if "-" in word.rsplit("/", 1)[1]:
        raise ValueError(f"{word!r} is a range")
    return room, epoch, at


def ranges(word):
    """`lobby/5e2f01aa/12-15` as (room, epoch, first, last); a position is a range of one. ValueError if it is none."""
    parts = re.fullmatch("([^/]+)/([0-9a-f]{8})/([0-9]+)(?:-([0-9]+))?", word, re.ASCII)
    if not parts:
        raise ValueError(f"{word!r} is no position and no range")
    first = number(parts[3])
    last = first if parts[4] is None else number(parts[4])
    if last < first:
        raise ValueError(f"{word!r} ends before it begins")
    return parts[1], parts[2], first, last


# Rooms

class Room:
    """What has been taken of one room, and what is held until the messages before it are there."""

    def __init__(self, name, epoch, last):
        self.name, self.left_epochs = name, set()
        self.begin(epoch, last)

    def begin(self, epoch, last):
        self.epoch, self.last, self.newest = epoch, last, last
        self.held = {}          # number -> event
        self.gone = []          # (first, last, unused)
        self.missing = []       # numbers to ask for

    def position(self):
        return f"{self.name}/{self.epoch}/{self.last}"

    def advance(self):
        """Events in their order, as far as nothing is missing."""
        while True:
            following = self.last + 1
            hole = next((hole for hole in self.gone if hole[0] <= following <= hole[1]), None)
            if following in self.held:
                yield self.held.pop(following)
                self.last = following
            elif hole:
                end = min([hole[1]] + [n - 1 for n in self.held if n > following])
                if not hole[2]:
                    yield {"event": "lost", "room": self.name, "epoch": self.epoch, "first": following, "last": end}
                self.last = end
            else:
                break
        self.gone = [hole for hole in self.gone if hole[1] > self.last]
        self.newest = max(self.newest, self.last)

    def notice(self, now):
        """Brings the list of what is missing up to date."""
        before, window = self.missing, range(self.last + 1, min(self.newest, self.last + WINDOW) + 1)
        self.missing = [n for n in window if n not in self.held and not any(a <= n <= b for a, b, _ in self.gone)]
        if not before:
            self.want_due, self.want_wait = now + OVERTAKING, RETRY_FIRST
        elif not set(before) <= set(self.missing):      # some of it has come
            self.want_due, self.want_wait = min(self.want_due, now + RETRY_FIRST), RETRY_FIRST

    def want(self, now):
        """The ranges to ask for now."""
        runs = []
        if self.missing and self.want_due <= now:
            self.want_due, self.want_wait = now + self.want_wait, min(2 * self.want_wait, RETRY_MAX)
            for n in self.missing:
                if runs and runs[-1][1] == n - 1:
                    runs[-1][1] = n
                else:
                    runs.append([n, n])
        return [f"{self.name}/{self.epoch}/{a}" + (f"-{b}" if b > a else "") for a, b in runs]


# The session

@dataclasses.dataclass
class Request:
    verb: str
    fields: list
    text: bytes | None
    sent: bool = False
    due: float = 0.0
    wait: float = RETRY_FIRST


class Session:
    def __init__(self, host, port=9999, name=None, rooms=("lobby",)):
        self.address, self.name, self.wished = (host, port), name, list(rooms)
        self.start = os.urandom(8).hex()
        self.session = self.token = None
        self.left_sessions = set()
        self.rooms = {}             # name -> Room, the mailbox `@` among them
        self.requests = {}          # number -> Request, what is not answered yet
        self.given_up = set()       # numbers that ended in an error
        self.numbered = 0           # the last number that was given to a request
        self.first = 1              # the first number that this session has used
        self.last = 0               # the last that the hub has done
        self.max, self.heartbeat = DATAGRAM_MAX, 3.0
        self.leaving, self.ended = False, False
        self.events = []
        self.open()
        self.come_in()

    # What a program asks for. The number is in the events that follow from it.

    def say(self, text, room=None, to=None, me=False):
        return self.request("say", [room, ("to", to), ("kind", "me" if me else None)], text)

    def ask(self, command, room=None):
        return self.request("ask", [room], command)

    def join(self, room):
        return self.request("join", [room])

    def leave(self, room):
        return self.request("leave", [room])

    def bye(self):
        """Ends the session; `ended` is true when the hub has heard it."""
        self.leaving, self.bye_due, self.bye_wait = True, 0.0, RETRY_FIRST

    def request(self, verb, fields, text=None):
        self.numbered += 1
        text = text.encode(errors="surrogateescape") if isinstance(text, str) else text
        self.requests[self.numbered] = Request(verb, fields, text)
        return self.numbered

    def turn(self, timeout=0.0):
        """Sends what is due, waits for datagrams, and returns what has happened."""
        self.send_what_is_due(time.monotonic())
        wait = min(timeout, self.next_due() - time.monotonic())
        if not self.events and not self.ended and select.select([self.socket], [], [], max(wait, 0.0))[0]:
            for _ in range(64):
                try:
                    datagram = self.socket.recv(65536)
                except OSError:         # no more of them, or nobody is there at the moment
                    break
                self.heard = time.monotonic()
                for frame in read(datagram)[1]:
                    try:
                        getattr(self, "on_" + frame.verb, lambda frame: None)(frame)
                    except (ValueError, IndexError):
                        pass            # not what the page says: as if it had been lost
            for room in self.rooms.values():
                room.notice(time.monotonic())
        events, self.events = self.events, []
        return events

    # Sending

    def open(self):
        family, kind, protocol, _, address = socket.getaddrinfo(*self.address, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        self.socket.connect(address)
        self.socket.setblocking(False)

    def come_in(self):
        """Says hello from now on, until there is a welcome."""
        self.coming_in, self.hello_due, self.hello_wait = True, 0.0, RETRY_FIRST

    def send_what_is_due(self, now):
        if self.ended:
            return
        if not self.coming_in and now - self.heard > 3 * self.heartbeat:
            self.events.append({"event": "silence"})
            self.socket.close()         # our address may have changed: another socket has the right one
            self.open()
            self.come_in()
        if self.coming_in:
            if self.hello_due <= now:
                self.hello_due, self.hello_wait = now + self.hello_wait, min(2 * self.hello_wait, RETRY_MAX)
                at = [room.position() for room in self.rooms.values() if room.name != "@"] or self.wished
                self.send([write("hello", 1, ("start", self.start), ("name", self.name), ("token", self.token),
                                 *(("at", place) for place in at))])
            return
        frames = []
        if self.heartbeat_due <= now:
            self.heartbeat_due = now + self.heartbeat
            frames.append(write("hb", *(room.position() for room in self.rooms.values())))
        for n, request in list(self.requests.items())[:IN_FLIGHT_MAX]:
            if request.text is not None and len(request.text) > self.max:
                self.fail(n, "too-long", f"a text has at most {self.max} bytes")
            elif request.due <= now:
                frames.append(self.frame(n, request))
                request.sent, request.due, request.wait = True, now + request.wait, min(2 * request.wait, RETRY_MAX)
        wanted = [word for room in self.rooms.values() for word in room.want(now)]
        frames += [write("want", *wanted[i:i + 10]) for i in range(0, len(wanted), 10)]
        if self.leaving and self.bye_due <= now:
            self.bye_due, self.bye_wait = now + self.bye_wait, min(2 * self.bye_wait, RETRY_MAX)
            frames.append(write("bye"))
        self.send(frames)

    def frame(self, n, request):
        """A request as a frame, and after which one it comes: the last that was done, or the one in flight before it."""
        before = max((m for m in self.requests if m < n), default=None)
        after = self.last if before is None else before if before != n - 1 else None
        return write(request.verb, n, *request.fields, ("after", after), text=request.text)

    def send(self, frames):
        begin = write("as", self.session) if self.session else b""
        datagram = begin
        for frame in frames + [None]:
            if datagram != begin and (frame is None or len(datagram) + len(frame) > DATAGRAM_MAX):
                try:
                    self.socket.send(datagram)
                except OSError:         # lost, like any other
                    pass
                datagram = begin
            datagram += frame or b""

    def next_due(self):
        if self.coming_in:
            return self.hello_due
        due = [self.heartbeat_due, self.heard + 3 * self.heartbeat]
        due += [request.due for request in list(self.requests.values())[:IN_FLIGHT_MAX]]
        due += [room.want_due for room in self.rooms.values() if room.missing]
        return min(due + ([self.bye_due] if self.leaving else []))

    # Coming in and going

    def on_token(self, frame):
        if not self.coming_in:
            self.come_in()              # the hub does not know this address
        if frame.words[0] != self.token:
            self.hello_due, self.hello_wait = 0.0, RETRY_FIRST
        self.token = frame.words[0]

    def on_welcome(self, frame):
        session, last, now = frame.value("session", ""), number(frame.value("last", "")), time.monotonic()
        places = [position(word) for word in frame.all("at")]
        if not re.fullmatch("[0-9a-f]{16}", session) or session in self.left_sessions:
            return
        if session != self.session:
            if not self.coming_in:
                return
            self.forget_session()
            self.session, self.first, self.last = session, min(self.requests, default=self.numbered + 1), last
        self.name = frame.value("name", self.name)
        self.max = number(frame.value("max", str(self.max)))
        self.heartbeat = number(frame.value("heartbeat", "3000")) / 1000
        self.coming_in, self.heartbeat_due = False, now + self.heartbeat
        for room, epoch, n in places:
            self.place(room, epoch, n)
        self.events.append({"event": "welcome", "name": self.name, "rooms": [room for room, _, _ in places]})
        self.acknowledge(last)

    def on_bye(self, frame):
        code, session = frame.words[0], frame.value("session")
        if session is None and frame.value("start") != self.start:
            return                      # an answer to somebody else's hello, or a forgery
        if session is None and self.coming_in and code == "full":
            self.hello_due = time.monotonic() + FULL_RETRY
        elif session is not None and session == self.session and code == "unknown" and not self.leaving:
            self.forget_session()
            self.come_in()
        elif (session is None and self.coming_in) or (session is not None and session == self.session):
            self.ended = True
        else:
            return
        self.events.append({"event": "bye", "code": code})

    def forget_session(self):
        """There is another session, or none: what became of the requests of the last one nobody can tell."""
        if self.session:
            self.left_sessions.add(self.session)
        self.session, self.last = None, 0
        for n in [n for n, request in self.requests.items() if request.sent]:
            del self.requests[n]
            self.events.append({"event": "unknown", "request": n})

    # Answers to requests

    def acknowledge(self, n):
        if n > self.numbered or n < self.first:
            return                      # of an earlier session
        self.last, moved = max(self.last, n), False
        if n in self.given_up:
            self.given_up.remove(n)     # a copy of it was done after all
            self.events.append({"event": "done", "request": n})
        for m in [m for m in self.requests if m <= n]:
            request = self.requests.pop(m)
            if request.verb == "leave":
                self.rooms.pop(request.fields[0], None)
            elif request.verb == "join" and request.fields[0] not in self.rooms:
                self.come_in()          # the welcome has the position that was lost
            self.events.append({"event": "done", "request": m})
            moved = True
        if moved:
            # What came before its turn was not done, and its turn has come: nothing is to wait for long any more.
            for request in self.requests.values():
                request.wait, request.due = RETRY_FIRST, min(request.due, time.monotonic() + RETRY_FIRST)

    def fail(self, n, code, text):
        del self.requests[n]
        self.given_up.add(n)
        for m, request in self.requests.items():
            if m > n:
                request.due = 0.0       # it waits for n, which will never be: say anew what it is after
        self.events.append({"event": "error", "request": n, "code": code, "text": text})

    def on_ack(self, frame):
        self.acknowledge(number(frame.words[0]))

    def on_joined(self, frame):
        self.place(*position(frame.words[1]))
        self.acknowledge(number(frame.words[0]))

    def on_error(self, frame):
        text = (frame.text or b"").decode(errors="replace")
        if frame.words[0] == "-":
            self.events.append({"event": "error", "request": None, "code": frame.words[1], "text": text})
        elif number(frame.words[0]) in self.requests:
            self.fail(number(frame.words[0]), frame.words[1], text)

    def on_answer(self, frame):
        text = frame.text.decode(errors="surrogateescape")
        self.events.append({"event": "answer", "request": number(frame.words[0]), "text": text})

    # What is said

    def place(self, name, epoch, n):
        """The hub says where we are in a room. If we know it already, we know better."""
        if name not in self.rooms:
            self.rooms[name] = Room(name, epoch, n)
        else:
            self.newest(name, epoch, n)

    def newest(self, name, epoch, n):
        """A room has come as far as n, in that epoch. Returns the room if that is the epoch it is in."""
        room = self.rooms.get(name)
        if room is None or epoch in room.left_epochs:
            return None
        if room.epoch != epoch:
            room.left_epochs.add(room.epoch)
            room.begin(epoch, 0)
            self.events.append({"event": "epoch", "room": name, "epoch": epoch})
        room.newest = max(room.newest, n)
        return room

    def on_msg(self, frame):
        name, epoch, n = position(frame.words[0])
        room = self.newest(name, epoch, n)
        if room and room.last < n <= room.last + 2 * WINDOW:
            room.held.setdefault(n, {
                "event": "msg", "room": name, "epoch": epoch, "number": n, "name": frame.words[1],
                "kind": frame.value("kind"), "time": number(frame.value("time", "0")),
                "text": frame.text.decode(errors="surrogateescape")})
            self.events += room.advance()

    def on_gone(self, frame):
        name, epoch, first, last = ranges(frame.words[0])
        room = self.rooms.get(name)
        if room and room.epoch == epoch and last > room.last:
            room.gone.append((first, last, "unused" in frame.words[1:]))
            self.events += room.advance()

    def on_at(self, frame):
        for word in frame.words:
            self.newest(*position(word))

    def on_note(self, frame):
        self.events.append({"event": "note", "room": frame.words[0], "text": frame.text.decode(errors="surrogateescape")})


# Lists

def lists(host, port=9999, of="rooms", room=None, patience=10.0):
    """The rooms of a hub, or with of="members" who is in a room, a dictionary for each: name, words, text and what
    else there is. Nobody comes in for it. TimeoutError if the hub does not answer, LookupError if it says no."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    entries, token, begin, wait = {}, None, None, RETRY_FIRST
    with socket.socket(family, kind, protocol) as link:
        link.connect(address)
        mark, due, end = os.urandom(8).hex(), 0.0, time.monotonic() + patience
        while time.monotonic() < end:
            if due <= time.monotonic():
                link.send(write("list", of, room, ("from", begin), ("mark", mark), ("token", token)))
                due, wait = time.monotonic() + wait, min(2 * wait, RETRY_MAX)
            if not select.select([link], [], [], max(due - time.monotonic(), 0.0))[0]:
                continue
            for frame in read(link.recv(65536))[1]:
                if frame.verb == "token" and frame.words[0] != token:
                    token, due = frame.words[0], 0.0
                elif frame.value("mark") != mark:
                    continue            # late, or not for us
                elif frame.verb == "error":
                    raise LookupError(frame.words[1])
                elif frame.verb == of:
                    for line in frame.text.decode().splitlines():
                        entry = entry_of(line)
                        entries[entry["name"].lower()] = entry
                    begin = frame.value("next")
                    if begin is None:
                        return [entries[name] for name in sorted(entries)]
                    mark, due, wait = os.urandom(8).hex(), 0.0, RETRY_FIRST
    raise TimeoutError(f"no answer from {host}")


def entry_of(line):
    """A line of a list."""
    fields, mark, text = line.partition(" text=")
    name, *fields = fields.split(" ")
    entry = {"name": name, "words": [field for field in fields if "=" not in field], "text": text if mark else None}
    return entry | dict(field.split("=", 1) for field in fields if "=" in field)


# The program

def main():
    arguments = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    arguments.add_argument("host")
    arguments.add_argument("port", type=int, nargs="?", default=9999)
    arguments.add_argument("--name")
    arguments.add_argument("--room", action="append", help="may be given several times; lobby")
    arguments.add_argument("--list", metavar="ROOM", help="print who is in this room, or with '*' which rooms there are")
    arguments.add_argument("--expect", type=int, default=0, metavar="COUNT", help="stay until COUNT messages are there")
    arguments.add_argument("--json", action="store_true", help="each line of standard input is a JSON string to say, "
                           'or an object: {"say":"hi","to":"bob"}, {"ask":"/who"}, {"join":"tea"}, {"leave":"tea"}')
    options = arguments.parse_args()
    if options.list:
        of, room = ("rooms", None) if options.list == "*" else ("members", options.list)
        for entry in lists(options.host, options.port, of, room):
            print(json.dumps(entry), flush=True)
        return
    session = Session(options.host, options.port, options.name, options.room or ["lobby"])
    waiting, reading, received = b"", True, 0
    while not session.ended:
        # No more is read than can be in flight: whoever writes to us waits with us.
        if reading and len(session.requests) < IN_FLIGHT_MAX:
            while reading and select.select([sys.stdin], [], [], 0.0)[0]:
                chunk = os.read(sys.stdin.fileno(), 4096)
                reading = chunk != b""
                *lines, waiting = (waiting + (chunk or (b"\n" if waiting else b""))).split(b"\n")
                for line in lines:
                    obey(session, line, options.json)
                if lines:
                    break
        for event in session.turn(timeout=0.05 if reading else 1.0):
            received += event["event"] == "msg"
            print(json.dumps(event), flush=True)
        if not reading and not session.requests and received >= options.expect and not session.leaving:
            session.bye()


def obey(session, line, as_json):
    """Says a line of standard input, or does what it asks for."""
    wish = json.loads(line) if as_json else {"say": line}
    wish = {"say": wish} if isinstance(wish, str) else dict(wish)
    for verb in ("say", "ask", "join", "leave"):
        if verb in wish:
            return getattr(session, verb)(wish.pop(verb), **wish)


if __name__ == "__main__":
    try:
        main()
    except (KeyboardInterrupt, BrokenPipeError):
        pass
