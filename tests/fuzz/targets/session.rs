//! Fuzzes the properties of `session`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::session::check(data));
