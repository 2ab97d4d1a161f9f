//! Presence documents: XML, its limits and encodings, and what is written of them.

#![no_main]

#[path = "../../tests/common/readers.rs"]
mod readers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    readers::read_document(bytes);
});
