//! Why an agent refuses.

use nepho_common::control::Refusal;

use super::field::{mark, name, said, set, span, text};
use crate::{
    bad::BadMessage,
    limits::FEATURES_MAX,
    wire::{self, refusal::Why},
};

/// What stands for a reason that this release does not know.
const UNKNOWN: &str = "for a reason that this release does not know; upgrade the older side";

impl TryFrom<wire::Refusal> for Refusal {
    type Error = BadMessage;

    fn try_from(wire: wire::Refusal) -> Result<Self, BadMessage> {
        let Some(why) = wire.why else {
            // Of a newer release. That it refuses is what counts, so it may not get lost.
            return Ok(Self::Invalid(UNKNOWN.to_owned()));
        };
        Ok(match why {
            Why::Busy(run) => Self::Busy(name("busy", run)?),
            Why::Unsupported(features) => {
                Self::Unsupported(set("unsupported", features.feature, FEATURES_MAX)?)
            }
            Why::Invalid(why) => Self::Invalid(text("invalid", why)?),
            Why::Fenced(set) => mark("fenced", set).map(|()| Self::Fenced)?,
            Why::Policy(why) => Self::Policy(text("policy", why)?),
            Why::Late(late) => Self::Late(span("late", late)?),
            Why::Leaving(set) => mark("leaving", set).map(|()| Self::Leaving)?,
        })
    }
}

impl From<&Refusal> for wire::Refusal {
    fn from(refusal: &Refusal) -> Self {
        let why = match refusal {
            Refusal::Busy(run) => Why::Busy(run.to_string()),
            Refusal::Unsupported(features) => Why::Unsupported(wire::Features {
                feature: features.iter().map(ToString::to_string).collect(),
            }),
            Refusal::Invalid(why) => Why::Invalid(said(why)),
            Refusal::Fenced => Why::Fenced(true),
            Refusal::Policy(why) => Why::Policy(said(why)),
            Refusal::Late(late) => Why::Late(late.0),
            Refusal::Leaving => Why::Leaving(true),
        };
        Self { why: Some(why) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        arbitrary::{event::refusal, through},
        bad::Wrong,
    };

    proptest! {
        #[test]
        fn a_refusal_reads_back(refusal in refusal()) {
            prop_assert_eq!(through::<wire::Refusal, _>(&refusal), Ok(refusal));
        }
    }

    #[test]
    fn a_refusal_for_an_unknown_reason_is_one_and_a_false_mark_is_none() {
        let none = Refusal::try_from(wire::Refusal { why: None });
        assert_eq!(none, Ok(Refusal::Invalid(UNKNOWN.to_owned())));
        let fenced = wire::Refusal {
            why: Some(Why::Fenced(false)),
        };
        assert_eq!(
            Refusal::try_from(fenced).unwrap_err().wrong,
            Wrong::Unknown(0)
        );
    }
}
