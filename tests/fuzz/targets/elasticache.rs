//! Fuzzes the properties of `elasticache`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| properties::elasticache::check(data));
