//! How many users a closed load has, from the start or in stairs.

use nepho_common::{
    plan::{BadRise, Rise},
    time::Nanos,
};

use super::{
    super::{duration::print_duration, raw::RawClosed},
    SECOND,
};
use crate::diagnose::{Checker, Code, Pointer, Problem};

/// The shortest stair, in seconds: the first is for those who have just come, one is to look at.
const STAIR_MIN: u64 = 2;

/// How many users there are at the most, and in which stairs they come.
pub(super) fn users(
    checker: &mut Checker,
    at: &Pointer,
    raw: &RawClosed,
    lasts: Option<Nanos>,
) -> Option<(u32, Option<Rise>)> {
    let stairs = match (raw.users, &raw.stairs) {
        (Some(users), None) => return Some((users, None)),
        (None, Some(stairs)) => stairs,
        (both, _) => {
            if !checker.is_incomplete(at) {
                let what = match both {
                    Some(_) => "these users are there from the start, and come in stairs",
                    None => "this load doesn't say how many users there are",
                };
                let problem = Problem::new(Code::ExactlyOne, what)
                    .label("exactly one of `users` and `stairs`")
                    .help("for example `users: 20`");
                checker.at_key(at, problem);
            }
            return None;
        }
    };
    let at = at.key("stairs");
    let (from, to, count) = (stairs.from?, stairs.to?, stairs.count?);
    let rise = match Rise::new(from, to, count) {
        Ok(rise) => rise,
        Err(why @ BadRise::Falls { .. }) => {
            let problem = Problem::new(Code::BadBounds, "these stairs lead down");
            checker.at_value(&at.key("to"), problem.label(why.to_string()));
            return None;
        }
        // The schema noted it.
        Err(BadRise::Nobody | BadRise::Count(_)) => return None,
    };
    let each = u64::from(count) * SECOND.0;
    let lasts = lasts?;
    if !lasts.0.is_multiple_of(each) || lasts.0 / each < STAIR_MIN {
        let below = (lasts.0 / each).max(STAIR_MIN) * each;
        let above = (lasts.0 / each + 1).max(STAIR_MIN) * each;
        let would = if below == above {
            print_duration(Nanos(above))
        } else {
            format!(
                "{} or {}",
                print_duration(Nanos(below)),
                print_duration(Nanos(above))
            )
        };
        let what = format!(
            "{count} stairs of {} are no whole seconds, two at least",
            print_duration(lasts)
        );
        let problem = Problem::new(Code::OutOfRange, what)
            .label("each is equally long")
            .help(format!("let the stage last {would}"));
        checker.at_value(&at.key("count"), problem);
        return None;
    }
    Some((to, Some(rise)))
}
