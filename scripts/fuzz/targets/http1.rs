//! What a target under load answers.
#![no_main]

// Two readers of at most 72 KiB each at a time, a stream of at most 80 KiB made of the input, and
// three copies of what is kept of it.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(768 << 10, 20, input, nepho_agent::work::load::http1::fuzz::http1);
});
