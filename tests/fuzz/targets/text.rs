//! Fuzzes the properties of `text`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::text::check(data));
