//! The examples of docs/protocol-vectors.json, which are for those who write clients, hold here too.
#![expect(clippy::unwrap_used, reason = "a test fails by panics")]

use belfry::core::frame::{Frame, Position, Range, SessionId, frames, write_frame, write_text_frame};
use serde_json::Value;

const VECTORS: &str = include_str!("../../docs/protocol-vectors.json");

fn vectors(of: &str) -> Vec<Value> {
    let mut file: Value = serde_json::from_str(VECTORS).unwrap();
    let Value::Array(vectors) = file[of].take() else { panic!("no list of {of}") };
    assert!(vectors.len() > 5, "{} {of}", vectors.len());
    vectors
}

/// The bytes that a string of the file stands for: `\xNN` is a byte, everything else is itself.
fn bytes(string: &Value) -> Vec<u8> {
    let mut parts = string.as_str().unwrap().split("\\x");
    let mut bytes = parts.next().unwrap().as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(&part[..2], 16).unwrap());
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    bytes
}

fn text(string: &Value) -> String {
    String::from_utf8(bytes(string)).unwrap()
}

fn words(frame: &Value) -> Vec<String> {
    frame["words"].as_array().unwrap().iter().map(text).collect()
}

/// Key and value of each field that has both.
fn values(frame: &Value) -> Vec<(String, String)> {
    frame["values"].as_array().unwrap().iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

#[track_caller]
fn assert_is(frame: &Frame<'_>, expected: &Value) {
    assert_eq!(frame.verb, expected["verb"], "{expected}");
    assert_eq!(frame.words().collect::<Vec<_>>(), words(expected), "{expected}");
    let pairs = values(expected);
    for (key, _) in &pairs {
        let of_key: Vec<_> = pairs.iter().filter(|(of, _)| of == key).map(|(_, value)| value.as_str()).collect();
        assert_eq!(frame.values(key).collect::<Vec<_>>(), of_key, "{expected}");
    }
    let expected_text = if expected["text"].is_null() { Vec::new() } else { bytes(&expected["text"]) };
    assert_eq!(frame.text, expected_text, "{expected}");
}

#[test]
fn every_datagram_of_the_vectors_is_read_as_they_say() {
    for vector in vectors("datagrams") {
        let (name, datagram) = (&vector["name"], bytes(&vector["datagram"]));
        let mut read: Vec<_> = frames(&datagram).collect();
        let malformed = read.pop_if(|last| last.is_err()).is_some();
        assert_eq!(malformed, vector["rest"], "{name}");
        let mut read: Vec<_> = read.into_iter().map(|frame| frame.expect("only the last is none")).collect();
        if let Some(session) = vector["session"].as_str() {
            let first = read.remove(0);
            assert_eq!((first.verb, first.words().next()), ("as", Some(session)), "{name}");
            assert!(session.parse::<SessionId>().is_ok(), "{name}");
        }
        let expected = vector["frames"].as_array().unwrap();
        assert_eq!(read.len(), expected.len(), "{name}: {read:?}");
        read.iter().zip(expected).for_each(|(frame, expected)| assert_is(frame, expected));
    }
}

#[test]
fn every_position_and_range_of_the_vectors_is_one_or_none_as_they_say() {
    for vector in vectors("positions") {
        let word = text(&vector["word"]);
        let parts = Range::read(&word).map(|range| {
            [range.room.to_owned(), range.epoch.to_string(), range.first.to_string(), range.last.to_string()].to_vec()
        });
        let expected = vector["range"].as_array().map(|parts| parts.iter().map(text).collect());
        assert_eq!(parts, expected, "{word}");
        assert_eq!(Position::read(&word).is_some(), vector["position"], "{word}");
    }
}

#[test]
fn every_frame_of_the_vectors_is_written_as_they_say() {
    for vector in vectors("written") {
        let frame = &vector["frame"];
        let mut head = text(&frame["verb"]);
        words(frame).iter().for_each(|word| head.push_str(&format!(" {word}")));
        values(frame).iter().for_each(|(key, value)| head.push_str(&format!(" {key}={value}")));
        let mut written = Vec::new();
        match &frame["text"] {
            Value::Null => write_frame(&mut written, format_args!("{head}")),
            text => write_text_frame(&mut written, format_args!("{head}"), &bytes(text)),
        }
        assert_eq!(written, bytes(&vector["bytes"]), "{head}");
    }
}
