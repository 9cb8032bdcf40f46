//! The hub, among members that are an address and nothing more.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::chat(data));
