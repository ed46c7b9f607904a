//! Fuzzes the properties of `numbers`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::numbers::check(data));
