//! Zone files and POSIX strings.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::zones(data));
