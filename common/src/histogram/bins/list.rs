//! A list of the bins that hold something, by rising bin.

use super::Bin;

/// So many bins are looked for one by one: ten seconds of a probe, merged into the hour that it runs.
const FEW: usize = 16;

/// Adds `count` others, by rising bin, to `list`.
pub(super) fn merge(list: &mut Vec<Bin>, count: usize, others: impl Iterator<Item = Bin>) {
    if count <= FEW && count * 8 <= list.len() {
        return scatter(list, others);
    }
    let mut place = 0;
    let mut others = others.peekable();
    while let Some(&(bin, n)) = others.peek() {
        while list.get(place).is_some_and(|&(own, _)| own < bin) {
            place += 1;
        }
        match list.get_mut(place) {
            Some((own, sum)) if *own == bin => *sum = sum.saturating_add(n),
            // Seldom: a view over many agents soon has every bin that they have.
            Some(_) | None => return weave(list, place, others),
        }
        others.next();
    }
}

/// Merges others without walking over what lies between them.
fn scatter(list: &mut Vec<Bin>, others: impl Iterator<Item = Bin>) {
    let mut place = 0;
    for (bin, n) in others {
        let behind = list.get(place..).unwrap_or_default();
        match behind.binary_search_by_key(&bin, |&(own, _)| own) {
            Ok(found) => {
                place += found;
                let (_, sum) = list.get_mut(place).expect("it was found there");
                *sum = sum.saturating_add(n);
            }
            Err(gap) => {
                place += gap;
                list.insert(place, (bin, n));
            }
        }
    }
}

/// Merges `others` into what is behind `place`; what is before it is below all of them.
fn weave(list: &mut Vec<Bin>, place: usize, others: impl Iterator<Item = Bin>) {
    let tail = list.split_off(place);
    list.reserve(tail.len());
    let (mut own, mut others) = (tail.into_iter().peekable(), others.peekable());
    while let (Some(&(mine, m)), Some(&(theirs, t))) = (own.peek(), others.peek()) {
        if mine <= theirs {
            own.next();
        }
        if theirs <= mine {
            others.next();
        }
        list.push(match mine.cmp(&theirs) {
            std::cmp::Ordering::Less => (mine, m),
            std::cmp::Ordering::Equal => (mine, m.saturating_add(t)),
            std::cmp::Ordering::Greater => (theirs, t),
        });
    }
    list.extend(own);
    list.extend(others);
}
