//! The stable codes. A code is never renumbered and never reused.

use std::fmt;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What kind of mistake it is. `nepho explain CODE` says more.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in order.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The code as it is printed: `N0201`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

codes! {
    /// The text is not YAML.
    Syntax = "N0101",
    /// The file is larger than any honest one.
    TooLarge = "N0102",
    /// Lists and maps are nested too deep.
    TooDeep = "N0103",
    /// A map has the same key twice.
    DuplicateKey = "N0104",
    /// Anchors and aliases are not taken.
    Alias = "N0105",
    /// The file holds more than one document.
    SeveralDocuments = "N0106",
    /// Tags (`!name`) are not taken.
    Tag = "N0107",
    /// A key is a list or a map.
    KeyNotText = "N0108",
    /// There is nothing in the file.
    Empty = "N0109",
    /// A key that does not exist.
    UnknownKey = "N0201",
    /// A value of the wrong form.
    WrongType = "N0202",
    /// A key that must be there is not.
    MissingKey = "N0203",
    /// This is designed but not built yet.
    ComesLater = "N0204",
    /// One of several keys must be there, and only one.
    ExactlyOne = "N0205",
    /// A number too small or too large, or a list too short or too long.
    OutOfRange = "N0206",
    /// Not one of the words that are allowed here.
    NotOneOf = "N0207",
    /// Written for another version of the format.
    ApiVersion = "N0208",
    /// Not a name.
    BadName = "N0301",
    /// Not a duration, or out of bounds.
    BadDuration = "N0302",
    /// Not a percentage, or out of bounds.
    BadRatio = "N0303",
    /// Not an address.
    BadAddress = "N0304",
    /// Not something that HTTP can send.
    BadHttp = "N0305",
    /// A `${…}` where none is read.
    Reference = "N0306",
    /// Text that can't be shown.
    BadText = "N0307",
    /// Bounds that nothing or everything satisfies.
    BadBounds = "N0308",
    /// A secret written into the file.
    LiteralSecret = "N0309",
    /// What a probe can't ask or expect.
    BadQuestion = "N0310",
    /// Not a rate, or not a schedule.
    BadSchedule = "N0311",
    /// An environment that the fleet does not have.
    UnknownEnvironment = "N0401",
    /// A group that the fleet does not have.
    UnknownGroup = "N0402",
    /// A service that the fleet does not have.
    UnknownService = "N0403",
    /// An instance that the fleet does not have.
    UnknownInstance = "N0404",
    /// A label that no instance has.
    UnknownLabel = "N0405",
    /// A step that the stage does not have.
    UnknownStep = "N0406",
    /// A stage that does not exist or comes later.
    UnknownStage = "N0407",
    /// A file that is not in the bundle.
    UnknownFile = "N0408",
    /// Two things of one name.
    DuplicateName = "N0501",
    /// Two instances on one host and port.
    SharedAddress = "N0502",
    /// Services that wait for each other.
    DependencyCycle = "N0503",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Every code as it is printed, in order.
pub fn codes() -> impl Iterator<Item = &'static str> {
    Code::ALL.iter().map(|code| code.as_str())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_code_is_given_twice_and_they_are_in_order() {
        let listed: Vec<_> = codes().collect();
        let sorted: Vec<_> = codes().collect::<BTreeSet<_>>().into_iter().collect();
        assert_eq!(listed, sorted);
    }
}
