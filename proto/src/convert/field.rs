//! How a field is read: one checked way for each sort of value.

use std::collections::BTreeSet;

use nepho_common::{
    id::{Attempt, BadName, Seq},
    time::{Nanos, RunTime},
};

use crate::{
    bad::{BadMessage, Within, Wrong},
    limits::{SPAN_MAX, TEXT_MAX},
};

/// A name, through its own door.
pub(crate) fn name<T>(field: &str, text: String) -> Result<T, BadMessage>
where
    T: TryFrom<String, Error = BadName>,
{
    T::try_from(text).within(field)
}

/// Raw bytes of a fixed length: a digest, a spool, a boot.
pub(crate) fn id<T>(field: &str, bytes: &[u8]) -> Result<T, BadMessage>
where
    T: for<'a> TryFrom<&'a [u8], Error = BadName>,
{
    T::try_from(bytes).within(field)
}

/// A message that has to be there.
pub(crate) fn part<W, N>(field: &str, wire: Option<W>) -> Result<N, BadMessage>
where
    N: TryFrom<W, Error = BadMessage>,
{
    let wire = wire.ok_or(Wrong::Missing).within(field)?;
    N::try_from(wire).within(field)
}

/// An enumeration; zero and what this release does not know are refused.
pub(crate) fn choice<W, N>(field: &str, value: i32) -> Result<N, BadMessage>
where
    W: TryFrom<i32>,
    N: TryFrom<W, Error = Wrong>,
{
    W::try_from(value)
        .map_err(|_| Wrong::Unknown(value.into()))
        .and_then(N::try_from)
        .within(field)
}

/// A list of messages.
pub(crate) fn list<W, N>(field: &str, wires: Vec<W>, max: usize) -> Result<Vec<N>, BadMessage>
where
    N: TryFrom<W, Error = BadMessage>,
{
    at_most(field, wires.len(), max)?;
    // The place is only put into words when it is asked for: lists are long and nearly always right.
    let one = |(place, wire)| {
        N::try_from(wire).or_else(|bad| Err(bad).within(&format!("{field}[{place}]")))
    };
    wires.into_iter().enumerate().map(one).collect()
}

/// A list of names, in its order.
pub(crate) fn names<T>(field: &str, texts: Vec<String>, max: usize) -> Result<Vec<T>, BadMessage>
where
    T: TryFrom<String, Error = BadName>,
{
    at_most(field, texts.len(), max)?;
    let one = |(place, text)| name(&format!("{field}[{place}]"), text);
    texts.into_iter().enumerate().map(one).collect()
}

/// A set of names; each once.
pub(crate) fn set<T>(field: &str, texts: Vec<String>, max: usize) -> Result<BTreeSet<T>, BadMessage>
where
    T: TryFrom<String, Error = BadName> + Ord,
{
    let names = names::<T>(field, texts, max)?;
    let found = names.len();
    let set: BTreeSet<T> = names.into_iter().collect();
    if set.len() == found {
        Ok(set)
    } else {
        Err(Wrong::Twice).within(field)
    }
}

/// Refuses what is longer than `max` entries or bytes.
pub(crate) fn at_most(field: &str, found: usize, max: usize) -> Result<(), BadMessage> {
    if found > max {
        return Err(Wrong::TooMany { found, max }).within(field);
    }
    Ok(())
}

/// A text without control characters, of at most `max` bytes.
pub(crate) fn plain(field: &str, text: String, max: usize) -> Result<String, BadMessage> {
    at_most(field, text.len(), max)?;
    if text.contains(char::is_control) {
        return Err(Wrong::Control).within(field);
    }
    Ok(text)
}

/// A text for people. [`said`] is its way out.
pub(crate) fn text(field: &str, text: String) -> Result<String, BadMessage> {
    plain(field, text, TEXT_MAX)
}

/// A text for people on its way out: what [`text`] would refuse is made harmless, because one
/// strange character in an error of the operating system must not cost the message.
pub(crate) fn said(text: &str) -> String {
    let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut room = TEXT_MAX;
    let fits = |c: &char| {
        let left = room.checked_sub(c.len_utf8());
        room = left.unwrap_or(0);
        left.is_some()
    };
    clean.take_while(fits).collect()
}

/// A duration.
pub(crate) fn span(field: &str, nanos: u64) -> Result<Nanos, BadMessage> {
    within_range(field, nanos.into(), 0, SPAN_MAX.into()).map(|()| Nanos(nanos))
}

/// A time since the run's start, or before it.
pub(crate) fn run_time(field: &str, nanos: i64) -> Result<RunTime, BadMessage> {
    let end = i128::from(SPAN_MAX);
    within_range(field, nanos.into(), -end, end).map(|()| RunTime(nanos))
}

/// The number of a record: from 1, and never so high that there is none after it.
pub(crate) fn seq(field: &str, seq: u64) -> Result<Seq, BadMessage> {
    within_range(field, seq.into(), 1, i128::from(u64::MAX) - 1).map(|()| Seq(seq))
}

/// A try, from 1.
pub(crate) fn attempt(field: &str, attempt: u32) -> Result<Attempt, BadMessage> {
    within_range(field, attempt.into(), 1, u32::MAX.into()).map(|()| Attempt(attempt))
}

/// A `bool` that only marks which variant is meant: `true`, or it means nothing.
pub(crate) fn mark(field: &str, set: bool) -> Result<(), BadMessage> {
    if set {
        Ok(())
    } else {
        Err(Wrong::Unknown(0)).within(field)
    }
}

/// Refuses what lies outside `min` and `max`.
pub(crate) fn within_range(
    field: &str,
    found: i128,
    min: i128,
    max: i128,
) -> Result<(), BadMessage> {
    if (min..=max).contains(&found) {
        return Ok(());
    }
    Err(Wrong::Range { found, min, max }).within(field)
}
