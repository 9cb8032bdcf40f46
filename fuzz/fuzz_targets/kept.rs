//! A hub that was kept, and what has become of it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::kept(data));
