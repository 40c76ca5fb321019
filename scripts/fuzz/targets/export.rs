//! The files of a run directory.
#![no_main]

// A payload in base64, decoded, written again and read again; then what it says, as in `message`.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(
        64 << 10,
        1_000,
        input,
        nepho_controller::export::fuzz::export,
    );
});
