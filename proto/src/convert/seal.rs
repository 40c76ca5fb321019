//! Seals.

use std::collections::BTreeMap;

use nepho_common::{
    id::Seq,
    journal::{RecordKind, Seal},
    recording::Series,
};

use super::field::{at_most, choice, name, part};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::ENTRIES_MAX,
    wire,
};

impl TryFrom<wire::Seal> for Seal {
    type Error = BadMessage;

    fn try_from(wire: wire::Seal) -> Result<Self, BadMessage> {
        at_most("records", wire.records.len(), RecordKind::ALL.len())?;
        at_most("samples", wire.samples.len(), ENTRIES_MAX)?;
        let record = |one: wire::KindCount| {
            let kind = choice::<wire::RecordKind, _>("kind", one.kind)?;
            Ok((kind, one.count))
        };
        let sample = |one: wire::SeriesCount| {
            let series: Series = part("series", one.series)?;
            Ok((series, one.count))
        };
        Ok(Self {
            stage: name("stage", wire.stage)?,
            records: once_each(wire.records, record).within("records")?,
            samples: once_each(wire.samples, sample).within("samples")?,
            from: wire.since.map(Seq),
        })
    }
}

fn once_each<W, K: Ord>(
    wires: Vec<W>,
    read: impl Fn(W) -> Result<(K, u64), BadMessage>,
) -> Result<BTreeMap<K, u64>, BadMessage> {
    let mut counts = BTreeMap::new();
    for (place, wire) in wires.into_iter().enumerate() {
        let place = format!("[{place}]");
        let (key, count) = read(wire).within(&place)?;
        if counts.insert(key, count).is_some() {
            return Err(Wrong::Twice).within(&place);
        }
    }
    Ok(counts)
}

impl From<&Seal> for wire::Seal {
    fn from(seal: &Seal) -> Self {
        let record = |(&kind, &count)| wire::KindCount {
            kind: wire::RecordKind::from(kind).into(),
            count,
        };
        let sample = |(series, &count): (&Series, _)| wire::SeriesCount {
            series: Some(series.into()),
            count,
        };
        Self {
            stage: seal.stage.to_string(),
            records: seal.records.iter().map(record).collect(),
            samples: seal.samples.iter().map(sample).collect(),
            since: seal.from.map(|from| from.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{seal, through};

    proptest! {
        #[test]
        fn a_seal_reads_back_with_every_count(seal in seal()) {
            prop_assert_eq!(through::<wire::Seal, _>(&seal), Ok(seal));
        }

        #[test]
        fn a_series_that_is_counted_twice_is_refused(seal in seal()) {
            let mut wire = wire::Seal::from(&seal);
            let Some(first) = wire.samples.first().cloned() else { return Ok(()) };
            wire.samples.push(first);
            prop_assert_eq!(Seal::try_from(wire).unwrap_err().wrong, Wrong::Twice);
        }
    }

    #[test]
    fn more_series_than_any_seal_of_ours_has_are_refused() {
        let samples = vec![wire::SeriesCount::default(); ENTRIES_MAX + 1];
        let wire = wire::Seal {
            samples,
            ..Default::default()
        };
        let bad = Seal::try_from(wire).unwrap_err();
        assert_eq!(
            (
                bad.field.as_str(),
                matches!(bad.wrong, Wrong::TooMany { .. })
            ),
            ("samples", true)
        );
    }
}
