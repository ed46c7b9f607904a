//! Fuzzes the properties of `login`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::login::check(data));
