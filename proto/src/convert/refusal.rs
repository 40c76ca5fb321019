//! Why an agent refuses.

use nepho_common::control::Refusal;

use super::field::{mark, name, said, set, span, text};
use crate::{
    bad::{BadMessage, Within as _, Wrong},
    limits::FEATURES_MAX,
    wire::{self, refusal::Why},
};

impl TryFrom<wire::Refusal> for Refusal {
    type Error = BadMessage;

    fn try_from(wire: wire::Refusal) -> Result<Self, BadMessage> {
        Ok(match wire.why.ok_or(Wrong::Missing).within("why")? {
            Why::Busy(run) => Self::Busy(name("busy", run)?),
            Why::Unsupported(features) => {
                Self::Unsupported(set("unsupported", features.feature, FEATURES_MAX)?)
            }
            Why::Invalid(why) => Self::Invalid(text("invalid", why)?),
            Why::Fenced(set) => mark("fenced", set).map(|()| Self::Fenced)?,
            Why::Policy(why) => Self::Policy(text("policy", why)?),
            Why::Late(late) => Self::Late(span("late", late)?),
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
        };
        Self { why: Some(why) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::arbitrary::{event::refusal, through};

    proptest! {
        #[test]
        fn a_refusal_reads_back(refusal in refusal()) {
            prop_assert_eq!(through::<wire::Refusal, _>(&refusal), Ok(refusal));
        }
    }

    #[test]
    fn a_refusal_without_a_reason_or_with_a_false_mark_is_refused() {
        let none = Refusal::try_from(wire::Refusal { why: None }).unwrap_err();
        assert_eq!(none.to_string(), "why: is missing");
        let fenced = wire::Refusal {
            why: Some(Why::Fenced(false)),
        };
        assert_eq!(
            Refusal::try_from(fenced).unwrap_err().wrong,
            Wrong::Unknown(0)
        );
    }
}
