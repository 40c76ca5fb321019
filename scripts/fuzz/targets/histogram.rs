//! The histogram of a recording.
#![no_main]

use nepho_proto::fuzz::{histogram, histogram_kept};

// A count of one byte becomes an entry of an ordered map; the check holds a handful of copies.
libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    nepho_fuzz::within(64 << 10, 500, input, |input| {
        if cfg!(feature = "planted") {
            // No seed is like this; the fuzzer has to make a histogram that is sound and is.
            histogram_kept(input, |mut sparse| {
                let rare = sparse.min % 8 == 5 && sparse.max % 2 == 1;
                if let Some(last) = sparse.n.last_mut().filter(|last| rare && **last > 1) {
                    *last -= 1;
                }
                sparse
            })
        } else {
            histogram(input)
        }
    });
});
