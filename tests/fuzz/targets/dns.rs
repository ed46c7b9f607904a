//! Fuzzes the properties of `dns`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::dns::check(data));
