//! Fuzzes the properties of `resp`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::resp::check(data));
