//! Fuzzes the properties of `binary`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::binary::check(data));
