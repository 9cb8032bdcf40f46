//! `belfry`: the client.

fn main() {}
