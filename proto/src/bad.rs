//! What is wrong with a message from outside, and in which field.

use nepho_common::{
    histogram::BadHistogram,
    id::BadName,
    plan::{BadPick, BadRise, BadSchedule, BadStripe},
};

/// A message is refused as a whole; nothing in it is defaulted or skipped, but for what a newer
/// release may say of the runs that it knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {wrong}")]
pub struct BadMessage {
    /// Where, for example `recordings[3].series.agent`. Made of our own words only.
    pub field: String,
    /// What.
    #[source]
    pub wrong: Wrong,
}

/// What can be wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// It has to be there.
    #[error("is missing")]
    Missing,
    /// Not one of the values that this release knows.
    #[error("has the unknown value {0}")]
    Unknown(i64),
    /// Named by its sender, and not known here.
    #[error("is a {0:?}, which this release does not know; upgrade it, or leave that out")]
    Kind(String),
    /// It is there although nothing may be.
    #[error("is set, although it must not be")]
    Unexpected,
    /// More than is read.
    #[error("has {found}, more than {max}")]
    TooMany {
        /// So many entries or bytes.
        found: usize,
        /// So many are read.
        max: usize,
    },
    /// Beyond the range of this field.
    #[error("is {found}, not within {min} and {max}")]
    Range {
        /// The value.
        found: i128,
        /// The least that it may be.
        min: i128,
        /// The most that it may be.
        max: i128,
    },
    /// Columns of one table have to be equally long.
    #[error("has columns of different lengths")]
    Columns,
    /// The same entry twice in what is a set.
    #[error("names the same twice")]
    Twice,
    /// It ends before it begins, or goes back in time.
    #[error("goes backwards")]
    Backwards,
    /// Neither infinite nor not-a-number may be stored.
    #[error("is not finite")]
    NotFinite,
    /// A text with control characters, which could play tricks on a terminal or a header.
    #[error("holds a control character")]
    Control,
    /// The content is not what its digest says.
    #[error("is not what its digest says")]
    Digest,
    /// Not an address and a port.
    #[error("is no address with a port")]
    Address,
    /// Someone else's name.
    #[error("is {found:?}, although the record says {said:?}")]
    Foreign {
        /// What this field says.
        found: String,
        /// What the record says.
        said: String,
    },
    /// Not for this author to say: an agent speaks of itself, the controller of the run.
    #[error("is not for this author to say")]
    Author,
    /// Not a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Picks no process and no container.
    #[error(transparent)]
    Pick(#[from] BadPick),
    /// Nobody can send by it.
    #[error(transparent)]
    Schedule(#[from] BadSchedule),
    /// No users come in them.
    #[error(transparent)]
    Rise(#[from] BadRise),
    /// No share of anything.
    #[error(transparent)]
    Stripe(#[from] BadStripe),
    /// Not a histogram.
    #[error(transparent)]
    Histogram(#[from] BadHistogram),
    /// Not the plan that it is said to be.
    #[error("{0}")]
    Plan(String),
    /// The bytes are not a message of this kind at all.
    #[error("does not decode: {0}")]
    Encoding(String),
}

impl<E: Into<Wrong>> From<E> for BadMessage {
    fn from(wrong: E) -> Self {
        Self {
            field: String::new(),
            wrong: wrong.into(),
        }
    }
}

impl From<prost::DecodeError> for Wrong {
    fn from(error: prost::DecodeError) -> Self {
        Self::Encoding(error.to_string())
    }
}

/// Says in which field something was wrong.
pub(crate) trait Within<T> {
    /// Puts `field` in front of the place.
    fn within(self, field: &str) -> Result<T, BadMessage>;
}

impl<T, E: Into<BadMessage>> Within<T> for Result<T, E> {
    fn within(self, field: &str) -> Result<T, BadMessage> {
        self.map_err(|error| {
            let mut bad = error.into();
            bad.field = match bad.field.as_str() {
                "" => field.to_owned(),
                rest if rest.starts_with('[') => format!("{field}{rest}"),
                rest => format!("{field}.{rest}"),
            };
            bad
        })
    }
}
