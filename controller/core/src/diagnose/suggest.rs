//! What was probably meant.

/// The known word nearest to `written`, if it is near enough to be meant.
pub(crate) fn nearest<'a>(
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = written.to_lowercase();
    // One slip in three characters, as rustc allows; a swap of two neighbours counts as one. In
    // shorter words (`1` for `3`) any other word would be as near.
    let allowed = written.chars().count() / 3;
    known
        .into_iter()
        .map(|word| {
            (
                strsim::damerau_levenshtein(&lower, &word.to_lowercase()),
                word,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, word)| word)
}

/// The most names that one message lists.
const MOST_LISTED: usize = 12;

/// `a, b, c`; cut when long.
pub(crate) fn list<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<_> = words.into_iter().collect();
    let mut text = words
        .iter()
        .take(MOST_LISTED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if let Some(more) = words
        .len()
        .checked_sub(MOST_LISTED)
        .filter(|more| *more > 0)
    {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["environment", "group", "service"];
        assert_eq!(nearest("enviroment", known), Some("environment"));
        assert_eq!(nearest("gruop", known), Some("group"));
        assert_eq!(nearest("Service", known), Some("service"));
        assert_eq!(nearest("zone", known), None);
        assert_eq!(nearest("x", known), None);
        assert_eq!(nearest("3", ["1", "2"]), None);
    }

    #[test]
    fn long_lists_are_cut() {
        let many: Vec<_> = (0..20).map(|n| n.to_string()).collect();
        assert!(list(many.iter().map(String::as_str)).ends_with("11 and 8 more"));
        assert_eq!(list(["a", "b"]), "a, b");
    }
}
