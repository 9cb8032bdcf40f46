#!/usr/bin/env python3
"""Holds `session.py` against docs/protocol-vectors.json: prints each vector that it reads or writes otherwise, and ends
with the status 1 if there is any."""

import json
import pathlib
import re
import sys

import session

VECTORS = pathlib.Path(__file__).parents[2] / "docs" / "protocol-vectors.json"


def raw(string):
    """The bytes that a string of the file stands for."""
    return re.sub(rb"\\x([0-9a-f]{2})", lambda escape: bytes([int(escape[1], 16)]), string.encode("ascii"))


def field(string):
    """The same, as session.py has words and values."""
    return raw(string).decode()


def frame(vector):
    return session.Frame(
        vector["verb"], [field(word) for word in vector["words"]],
        [(field(key), field(value)) for key, value in vector["values"]],
        None if vector["text"] is None else raw(vector["text"]))


def result(function, word):
    try:
        return function(field(word))
    except ValueError:
        return None


def pairs(vectors):
    """(what is checked, what the file says, what session.py says) of each vector."""
    for vector in vectors["datagrams"]:
        expected = (vector["session"], [frame(f) for f in vector["frames"]], not vector["rest"])
        yield vector["name"], expected, session.read(raw(vector["datagram"]))
    for vector in vectors["positions"]:
        parts = vector["range"] and [field(part) for part in vector["range"]]
        expected = parts and (parts[0], parts[1], int(parts[2]), int(parts[3]))
        yield "range " + vector["word"], expected, result(session.ranges, vector["word"])
        yield "position " + vector["word"], expected[:3] if vector["position"] else None, result(session.position, vector["word"])
    for vector in vectors["written"]:
        whole = frame(vector["frame"])
        yield "written " + vector["bytes"], raw(vector["bytes"]), session.write(whole.verb, *whole.words, *whole.values, text=whole.text)


def main():
    checked, wrong = 0, 0
    for name, expected, actual in pairs(json.loads(VECTORS.read_text())):
        checked += 1
        if expected != actual:
            wrong += 1
            print(f"{name}:\n  the file says   {expected}\n  session.py says {actual}")
    print(f"{checked} vectors, {wrong} wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
