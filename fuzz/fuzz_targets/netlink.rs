//! What the kernel says of interfaces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| belfry_fuzz::netlink(data));
