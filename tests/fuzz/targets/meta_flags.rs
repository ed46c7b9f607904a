//! Fuzzes the properties of `meta_flags`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::meta_flags::check(data));
