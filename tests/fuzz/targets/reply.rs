//! Fuzzes the properties of `reply`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::reply::check(data));
