//! A whole record as bytes.

use nepho_common::journal::Record;
use prost::Message as _;

use crate::{
    bad::{BadMessage, Within as _},
    convert::field::at_most,
    limits::RECORD_MAX,
    wire,
};

/// The record as bytes, for spools and tests.
#[must_use]
pub fn to_bytes(record: &Record) -> Vec<u8> {
    wire::Record::from(record.clone()).encode_to_vec()
}

/// Reads what [`to_bytes`] wrote. The payload is not looked into.
///
/// # Errors
/// [`BadMessage`] when it is not such a record.
pub fn from_bytes(bytes: &[u8]) -> Result<Record, BadMessage> {
    at_most("record", bytes.len(), RECORD_MAX)?;
    wire::Record::decode(bytes).within("record")?.try_into()
}

#[cfg(test)]
mod tests {
    use nepho_common::journal::PAYLOAD_MAX;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        arbitrary::{entry, record_of},
        bad::Wrong,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_record_reads_back_whatever_its_format(entry in entry(), format in any::<u32>()) {
            let record = Record { format, ..record_of(&entry) };
            prop_assert_eq!(from_bytes(&to_bytes(&record)), Ok(record));
        }

        #[test]
        fn a_record_without_a_name_is_refused(entry in entry(), which in 0usize..6) {
            let mut wire = wire::Record::from(record_of(&entry));
            let field = match which {
                0 => { wire.kind = 0; "kind" }
                1 => { wire.agent.clear(); "agent" }
                2 => { wire.spool.truncate(15); "spool" }
                3 => { wire.seq = 0; "seq" }
                4 => { wire.seq = u64::MAX; "seq" }
                _ => { wire.run = "../etc".to_owned(); "run" }
            };
            prop_assert_eq!(from_bytes(&wire.encode_to_vec()).unwrap_err().field, field);
        }

        #[test]
        fn arbitrary_bytes_are_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            from_bytes(&bytes).ok();
        }
    }

    #[test]
    fn a_payload_above_its_cap_is_refused() {
        for (length, field) in [(PAYLOAD_MAX + 1, "payload"), (RECORD_MAX + 1, "record")] {
            let wire = wire::Record {
                payload: vec![0; length],
                ..Default::default()
            };
            let bad = from_bytes(&wire.encode_to_vec()).unwrap_err();
            assert_eq!(bad.field, field);
            assert!(matches!(bad.wrong, Wrong::TooMany { .. }), "{bad}");
        }
    }
}
