//! A segment of an agent's spool.
#![no_main]

// The check copies the file once; a place of 24 bytes stands for 9 of the file at least.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(64 << 10, 20, input, nepho_agent::spool::fuzz::segment);
});
