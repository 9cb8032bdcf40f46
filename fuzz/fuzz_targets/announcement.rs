//! Announcements, heard and made.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::announcement(data));
