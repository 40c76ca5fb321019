//! Any message of the wire.
#![no_main]

// An empty entry takes two bytes on the wire and some 300 in memory; the check holds three copies
// and what it wrote. What else there is per message does not depend on its size.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(64 << 10, 2_000, input, nepho_proto::fuzz::message);
});
