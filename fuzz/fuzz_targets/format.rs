//! The formatter against the C library's.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::format(data));
