//! The knee: where more users begin to cost more than they bring.

use super::Stair;

/// Fewer stairs than this have no shape.
const STAIRS_MIN: usize = 3;

/// The stair with the greatest power, which is throughput over the median response time: there the
/// users are about as many as the target can serve without letting them wait (Kleinrock, Power and
/// deterministic rules of thumb, 1979). `Some(None)` when none was reached: it is the highest of
/// which anything is known. `None` when too few are known. What lies beyond a generator that did
/// not keep up is not known.
pub(super) fn knee<'a, 'b>(stairs: &'b [Stair<'a>]) -> Option<Option<&'b Stair<'a>>> {
    let known = stairs
        .iter()
        .take_while(|stair| !stair.judged.ground.is_of_generator());
    let known: Vec<_> = known
        .filter_map(|stair| Some((stair, stair.median()?)))
        .collect();
    if known.len() < STAIRS_MIN {
        return None;
    }
    let (last, _) = known.last()?;
    let best = known.iter().reduce(|best, one| {
        // a / b > c / d
        let power = |of: u64, by: u64| u128::from(of) * u128::from(by);
        let more = power(one.0.rate.0, best.1.0) > power(best.0.rate.0, one.1.0);
        if more { one } else { best }
    })?;
    Some((!std::ptr::eq(best.0, *last)).then_some(best.0))
}
