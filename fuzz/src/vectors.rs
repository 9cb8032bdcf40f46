//! The examples of `docs/protocol-vectors.json` as seeds: each datagram of them is one.

use serde_json::Value;

const VECTORS: &str = include_str!("../../docs/protocol-vectors.json");

/// The targets that they are for, and what they are for each.
pub fn seeds() -> [(&'static str, Vec<Vec<u8>>); 2] {
    // The hub says it.
    let said = datagrams().iter().map(|datagram| [b"<", &datagram[..]].concat()).collect();
    [("frames", datagrams()), ("client", said)]
}

/// The datagrams of the examples.
fn datagrams() -> Vec<Vec<u8>> {
    let file: Value = serde_json::from_str(VECTORS).expect("the examples are JSON");
    let of = |list: &str, key: &str| -> Vec<Vec<u8>> {
        file[list].as_array().into_iter().flatten().filter_map(|vector| vector[key].as_str()).map(bytes).collect()
    };
    [of("datagrams", "datagram"), of("written", "bytes")].concat()
}

/// The bytes that a string of the file stands for: `\xNN` is a byte, everything else is itself.
fn bytes(string: &str) -> Vec<u8> {
    super::script::unescape(string.as_bytes(), |_| None)
}
