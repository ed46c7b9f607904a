//! Fuzzes the properties of `config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::config::check(data));
