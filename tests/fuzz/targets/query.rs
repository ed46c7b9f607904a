//! Fuzzes the properties of `query`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::query::check(data));
