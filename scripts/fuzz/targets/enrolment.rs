//! What a stranger shows to be let in.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(
        256 << 10,
        200,
        input,
        nepho_controller::identity::fuzz::enrolment,
    );
});
