//! A scenario and its fleet.
#![no_main]

// Tree, schema, raw and checked types of two loads, and a plan with a line for each pair: a
// flood is what this is to find, not the last byte.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(8 << 20, 20_000, input, nepho_controller::cli::fuzz::bundle);
});
