//! Datagrams to an NTP server.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::ntp(data));
