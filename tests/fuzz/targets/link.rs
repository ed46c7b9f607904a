//! Fuzzes the properties of `link`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::link::check(data));
