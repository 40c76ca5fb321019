//! Texts that are different in each request of a load.
//!
//! ```text
//! /contacts/${sequence}?token=${taken:token}
//! ```
//! | hole | what stands there |
//! |---|---|
//! | `${sequence}` | the number of the request in the whole schedule; no two have the same |
//! | `${random:1-1000}` | a number from there to there, drawn by the seed |
//! | `${feed:people.name}` | a column of the row that the request has of a feed |
//! | `${taken:token}` | what an earlier answer of the same flow gave |
//!
//! `$${` is `${` itself. What else begins with `${` is not for here, and stays as it is: `${env:NAME}`
//! and `${file:PATH}` are read by the agent.

use std::{fmt, str::FromStr};

/// A text with holes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template(Vec<Part>);

/// A part of a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it is.
    Text(String),
    /// Other in each request.
    Hole(Hole),
}

/// What is other in each request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hole {
    /// The number of the request.
    Sequence,
    /// A number from the first to the second, both with it.
    Random(u64, u64),
    /// Of this feed, this column.
    Feed(String, String),
    /// What was taken from an answer under this name.
    Taken(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadTemplate {
    /// `${sequence`
    #[error("`${{` is not closed by `}}`; write `$${{` for the two characters themselves")]
    NotClosed,
    /// `${random:9-1}`
    #[error(
        "`${{{0}}}` draws from no range; write `${{random:1-1000}}`, from the least to the most"
    )]
    Range(String),
    /// `${feed:people}`
    #[error("`${{{0}}}` names no column; write `${{feed:people.name}}`")]
    Column(String),
    /// `${taken:}`
    #[error("`${{{0}}}` names nothing; write `${{taken:token}}`")]
    Taken(String),
    /// `${sequnce}`
    #[error(
        "`${{{0}}}` is nothing that is known here; there are `${{sequence}}`, `${{random:1-1000}}`, \
         `${{feed:NAME.COLUMN}}` and `${{taken:NAME}}`, and `$${{` is `${{` itself"
    )]
    Unknown(String),
}

/// Whether this may name a feed, a column or what is taken.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.len() <= 63 && text.chars().all(fits)
}

impl Template {
    /// Its parts, in order.
    #[must_use]
    pub fn parts(&self) -> &[Part] {
        &self.0
    }

    /// Its holes, in order.
    pub fn holes(&self) -> impl Iterator<Item = &Hole> {
        self.0.iter().filter_map(|part| match part {
            Part::Text(_) => None,
            Part::Hole(hole) => Some(hole),
        })
    }

    /// Whether every request has the same.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.holes().next().is_none()
    }

    /// With this in the place of each hole.
    #[must_use]
    pub fn filled(&self, with: &str) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Hole(_) => with.to_owned(),
        };
        self.0.iter().map(text).collect()
    }

    /// One without holes that is this text, whatever is in it.
    #[must_use]
    pub fn literal(text: &str) -> Self {
        let mut template = Self::default();
        template.push(text);
        template
    }

    fn push(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Part::Text(last)) => last.push_str(text),
            _ if text.is_empty() => {}
            _ => self.0.push(Part::Text(text.to_owned())),
        }
    }
}

impl FromStr for Template {
    type Err = BadTemplate;

    fn from_str(text: &str) -> Result<Self, BadTemplate> {
        let mut template = Self::default();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(SIGN) {
            if let Some(before) = before.strip_suffix('$') {
                template.push(before);
                template.push(SIGN);
                rest = after;
                continue;
            }
            template.push(before);
            let (inside, after) = after.split_once('}').ok_or(BadTemplate::NotClosed)?;
            if is_secret(inside) {
                for text in [SIGN, inside, "}"] {
                    template.push(text);
                }
            } else {
                template.0.push(Part::Hole(hole(inside)?));
            }
            rest = after;
        }
        template.push(rest);
        Ok(template)
    }
}

/// A hole begins with it.
const SIGN: &str = "${";

/// Whether this stands for a secret, which the agent reads.
fn is_secret(inside: &str) -> bool {
    ["env:", "file:"]
        .iter()
        .any(|sort| inside.starts_with(sort))
}

fn hole(inside: &str) -> Result<Hole, BadTemplate> {
    let own = || inside.to_owned();
    match inside.split_once(':') {
        None if inside == "sequence" => Ok(Hole::Sequence),
        Some(("random", range)) => {
            let ends = range.split_once('-');
            let ends = ends.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
            let ends = ends.filter(|(from, to): &(u64, u64)| from <= to);
            let (from, to) = ends.ok_or_else(|| BadTemplate::Range(own()))?;
            Ok(Hole::Random(from, to))
        }
        Some(("feed", of)) => {
            let named = of.split_once('.');
            let named = named.filter(|(feed, column)| is_name(feed) && is_name(column));
            let (feed, column) = named.ok_or_else(|| BadTemplate::Column(own()))?;
            Ok(Hole::Feed(feed.to_owned(), column.to_owned()))
        }
        Some(("taken", name)) if is_name(name) => Ok(Hole::Taken(name.to_owned())),
        Some(("taken", _)) => Err(BadTemplate::Taken(own())),
        _ => Err(BadTemplate::Unknown(own())),
    }
}

/// As it may be written; what stands for a secret is text from then on.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.0 {
            match part {
                Part::Text(text) => {
                    let mut rest = text.as_str();
                    while let Some((before, after)) = rest.split_once(SIGN) {
                        write!(f, "{before}${SIGN}")?;
                        rest = after;
                    }
                    f.write_str(rest)?;
                }
                Part::Hole(Hole::Sequence) => f.write_str("${sequence}")?,
                Part::Hole(Hole::Random(from, to)) => write!(f, "${{random:{from}-{to}}}")?,
                Part::Hole(Hole::Feed(feed, column)) => write!(f, "${{feed:{feed}.{column}}}")?,
                Part::Hole(Hole::Taken(name)) => write!(f, "${{taken:{name}}}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn holes_are_found_and_all_else_stays() {
        let text = "/a/${sequence}?n=${random:1-9}&x=${feed:people.first_name}${taken:token}/$";
        let template: Template = text.parse().unwrap();
        let holes: Vec<_> = template.holes().cloned().collect();
        assert_eq!(
            holes,
            [
                Hole::Sequence,
                Hole::Random(1, 9),
                Hole::Feed("people".to_owned(), "first_name".to_owned()),
                Hole::Taken("token".to_owned()),
            ]
        );
        assert_eq!(template.to_string(), text);
        assert_eq!(template.filled("_"), "/a/_?n=_&x=__/$");
        for plain in [
            "",
            "/a",
            "$",
            "{}",
            "$$",
            "Bearer ${env:TOKEN}",
            "${file:/a}",
        ] {
            let template: Template = plain.parse().unwrap();
            assert!(template.is_plain(), "{plain}");
            assert_eq!(template.filled("_"), plain);
        }
        let escaped: Template = "$${sequence}".parse().unwrap();
        assert_eq!(escaped.filled("_"), "${sequence}");
        assert!(escaped.is_plain());
    }

    #[test]
    fn what_is_no_hole_says_what_would_be() {
        for (text, why) in [
            ("${sequence", "not closed"),
            ("${sequnce}", "is nothing that is known here"),
            ("${}", "is nothing that is known here"),
            ("${random:9-1}", "draws from no range"),
            ("${random:5}", "draws from no range"),
            ("${random:-1-5}", "draws from no range"),
            ("${feed:people}", "names no column"),
            ("${feed:.name}", "names no column"),
            ("${taken:}", "names nothing"),
            ("${taken:a b}", "names nothing"),
        ] {
            let bad = text.parse::<Template>().unwrap_err().to_string();
            assert!(bad.contains(why), "{text}: {bad}");
        }
    }

    proptest! {
        #[test]
        fn a_template_reads_back_as_it_is_written(text in "(a|\\$|\\{|\\}|\\$\\{sequence\\}|\\$\\{env:A\\}|\\$\\$\\{){0,12}") {
            if let Ok(template) = text.parse::<Template>() {
                let again: Template = template.to_string().parse().unwrap();
                prop_assert_eq!(again, template);
            }
        }
    }
}
