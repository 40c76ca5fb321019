//! Counts before anything is decoded, because decoding multiplies: an empty recording takes two
//! bytes on the wire and 300 in memory, so a payload of 1.25 MiB could take 200 MB.

use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};

use crate::{
    bad::{BadMessage, Within as _, Wrong},
    convert::field::at_most,
    limits::ENTRIES_MAX,
};

/// The number of the field `seal` in a payload; the only entry that has a long list of its own.
const SEAL: u32 = 8;

/// What a payload or a seal has beside its one list: run and attempt, or a stage and six kinds.
const BESIDE: usize = 8;

/// Refuses a payload with more fields than any that we read, those of seals included.
pub(super) fn check(payload: &[u8]) -> Result<(), BadMessage> {
    let mut found = 0;
    let mut one_more = || {
        found += 1;
        at_most("", found, ENTRIES_MAX + 2 * BESIDE)
    };
    let mut count = || {
        for field in Fields(payload) {
            one_more()?;
            let (number, content) = field?;
            if number == SEAL {
                Fields(content.unwrap_or_default())
                    .try_for_each(|field| field.map(|_| ()).and_then(|()| one_more()))?;
            }
        }
        Ok::<(), BadMessage>(())
    };
    count().within("payload")
}

/// A number, and the content if it has a length.
type Field<'a> = (u32, Option<&'a [u8]>);

/// The fields of a message.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<Field<'a>, Wrong> {
        let (number, kind) = decode_key(&mut self.0)?;
        if kind != WireType::LengthDelimited {
            skip_field(kind, number, &mut self.0, DecodeContext::default())?;
            return Ok((number, None));
        }
        let length = usize::try_from(decode_varint(&mut self.0)?).unwrap_or(usize::MAX);
        let (content, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| Wrong::Encoding("it ends too early".to_owned()))?;
        self.0 = rest;
        Ok((number, Some(content)))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Result<Field<'a>, BadMessage>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field().map_err(BadMessage::from))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::wire;

    #[test]
    fn two_bytes_that_become_three_hundred_are_counted_first() {
        let many = [0x22, 0].repeat(ENTRIES_MAX * 2);
        let bad = check(&many).unwrap_err();
        assert!(matches!(bad.wrong, Wrong::TooMany { .. }), "{bad}");
    }

    #[test]
    fn samples_hidden_in_several_seals_are_counted_together() {
        let samples = vec![wire::SeriesCount::default(); ENTRIES_MAX / 2];
        let seal = wire::Seal {
            samples,
            ..Default::default()
        };
        let one = wire::Payload {
            seal: Some(seal),
            ..Default::default()
        }
        .encode_to_vec();
        assert_eq!(check(&one), Ok(()));
        let bad = check(&one.repeat(3)).unwrap_err();
        assert!(matches!(bad.wrong, Wrong::TooMany { .. }), "{bad}");
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_it_ends_without_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            // What prost reads, this must read too.
            if wire::Payload::decode(bytes.as_slice()).is_ok() {
                prop_assert_eq!(check(&bytes), Ok(()));
            } else {
                check(&bytes).ok();
            }
        }
    }
}
