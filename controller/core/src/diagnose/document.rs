//! YAML (and so JSON) into a value that remembers where each key and value stands.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span};
use serde_json::{Map, Value};

use super::{Code, Pointer, Problem, quoted, scalar};

/// The largest file, in bytes. The reference fleet of 40 services takes 9 KiB; thirty times that
/// is still read in milliseconds and leaves no room for attacks by size.
pub(crate) const LARGEST: usize = 256 * 1024;

/// The deepest nesting. The deepest honest value, a header of a probe, stands at level 8.
pub(crate) const DEEPEST: usize = 32;

/// Where one value stands, in bytes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Its key, if it stands in a map.
    pub(crate) key: Option<Range<usize>>,
    /// Itself. A block's end is the start of what follows it.
    pub(crate) value: Range<usize>,
}

/// A file as it was read. Mistakes that leave the rest readable are in `problems`.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// The value, unless the text could not be read to its end.
    pub(crate) value: Option<Value>,
    /// Where everything in `value` stands.
    pub(crate) places: BTreeMap<Pointer, Place>,
    /// What was refused and replaced by null.
    pub(crate) refused: BTreeSet<Pointer>,
    /// What is wrong.
    pub(crate) problems: Vec<(Range<usize>, Problem)>,
}

impl Document {
    /// Reads `text` as one YAML document.
    pub(crate) fn read(text: &str) -> Self {
        let mut reader = Reader::default();
        if text.len() > LARGEST {
            let problem = Problem::new(
                Code::TooLarge,
                format!(
                    "the file has {} bytes; at most {LARGEST} are read",
                    text.len()
                ),
            );
            reader.document.problems.push((0..0, problem));
            return reader.document;
        }
        let options = granit_parser::options! {
            emit_comments: false,
            emit_anchor_events: true,
            emit_unresolved_aliases: true,
            disallow_directives: true,
            flow_nesting_limit: DEEPEST + 1,
            block_nesting_limit: DEEPEST + 1,
        };
        for next in Parser::new_from_str_with_options(text, options) {
            let stop = match next {
                Ok((event, span)) => reader.take(event, bytes(&span, text)).err(),
                Err(error) => {
                    let at = error
                        .marker()
                        .byte_offset()
                        .unwrap_or(text.len())
                        .min(text.len());
                    Some((at..at, syntax(text, at, error.kind())))
                }
            };
            if let Some(stop) = stop {
                reader.document.problems.push(stop);
                return reader.document;
            }
        }
        if reader.root.is_none() || reader.root == Some(Value::Null) {
            let problem = Problem::new(Code::Empty, "there is nothing in this file")
                .help("`nepho init` writes one to start from");
            reader.document.problems.push((0..0, problem));
            return reader.document;
        }
        reader.document.value = reader.root;
        reader.document
    }
}

fn bytes(span: &Span, text: &str) -> Range<usize> {
    let range = span.byte_range().unwrap_or(0..0);
    let end = range.end.min(text.len());
    range.start.min(end)..end
}

fn syntax(text: &str, at: usize, kind: &ErrorKind) -> Problem {
    if *kind == ErrorKind::RecursionLimitExceeded {
        return too_deep();
    }
    let problem = Problem::new(Code::Syntax, "this is not YAML").label(kind.to_string());
    let before = text
        .get(..at)
        .unwrap_or(text)
        .rsplit('\n')
        .next()
        .unwrap_or("");
    let after = text.get(at..).unwrap_or("");
    if before.contains("${") || (before.ends_with('$') && after.starts_with('{')) {
        problem.help("inside `{…}` and `[…]` a reference must stand in quotes: \"${env:NAME}\"")
    } else if before.contains('\t') {
        problem.help("YAML indents with spaces, never with tabs")
    } else {
        problem
    }
}

fn too_deep() -> Problem {
    Problem::new(
        Code::TooDeep,
        format!("lists and maps are nested more than {DEEPEST} deep"),
    )
}

/// A list or map that is not closed yet.
#[derive(Debug)]
struct Open {
    at: Pointer,
    start: usize,
    /// Whether what stands inside is kept: not below a duplicate key or inside of a key.
    kept: bool,
    /// Whether this stands where a key should: refused, and nobody's value.
    is_key: bool,
    content: Content,
}

#[derive(Debug)]
enum Content {
    List(Vec<Value>),
    Map {
        entries: Map<String, Value>,
        key: Option<Key>,
    },
}

/// A key whose value is awaited.
#[derive(Debug)]
struct Key {
    text: String,
    span: Range<usize>,
    kept: bool,
}

#[derive(Debug, Default)]
struct Reader {
    document: Document,
    documents: usize,
    open: Vec<Open>,
    root: Option<Value>,
}

impl Reader {
    fn take(
        &mut self,
        event: Event<'_>,
        span: Range<usize>,
    ) -> Result<(), (Range<usize>, Problem)> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let problem =
                        Problem::new(Code::SeveralDocuments, "a second document begins here")
                            .help("write one document per file");
                    return Err((span, problem));
                }
            }
            Event::Scalar(text, style, _, tag) => {
                if tag.is_some() {
                    self.refuse_tag(&span);
                }
                self.scalar(&text, style, span);
            }
            Event::Alias(_) | Event::UnresolvedAlias(_) => {
                self.refuse_alias(&span, "aliases (`*name`) are not taken");
                let at = self.place_of_next();
                self.document.refused.insert(at);
                self.finish(Value::Null, span);
            }
            Event::Anchor(..) => self.refuse_alias(&span, "anchors (`&name`) are not taken"),
            Event::SequenceStart(_, _, tag) => {
                self.start(Content::List(Vec::new()), tag.is_some(), span)?;
            }
            Event::MappingStart(_, _, tag) => {
                let content = Content::Map {
                    entries: Map::new(),
                    key: None,
                };
                self.start(content, tag.is_some(), span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span.end),
            // Nothing to keep: stream and document ends, comments, and what later versions of the
            // parser may add (its enum is open).
            _ => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, span: &Range<usize>) {
        let problem = Problem::new(Code::Tag, "tags (`!name`) are not taken")
            .help("take the tag away; quotes make any value text");
        self.document.problems.push((span.clone(), problem));
    }

    fn refuse_alias(&mut self, span: &Range<usize>, message: &str) {
        let problem =
            Problem::new(Code::Alias, message).help("write the value out where it is needed");
        self.document.problems.push((span.clone(), problem));
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, span: Range<usize>) {
        if let Some(Open {
            content:
                Content::Map {
                    entries,
                    key: key @ None,
                },
            ..
        }) = self.open.last_mut()
        {
            let again = entries.contains_key(text);
            *key = Some(Key {
                text: text.to_owned(),
                span: span.clone(),
                kept: !again,
            });
            if again {
                let problem = Problem::new(
                    Code::DuplicateKey,
                    format!("{} stands here a second time", quoted(text)),
                )
                .label("the same key again")
                .help("keep one of the two");
                self.document.problems.push((span, problem));
            }
            return;
        }
        let value = match style {
            ScalarStyle::Plain => scalar::resolve(text),
            ScalarStyle::SingleQuoted
            | ScalarStyle::DoubleQuoted
            | ScalarStyle::Literal
            | ScalarStyle::Folded => Value::String(text.to_owned()),
        };
        self.finish(value, span);
    }

    fn start(
        &mut self,
        content: Content,
        tagged: bool,
        span: Range<usize>,
    ) -> Result<(), (Range<usize>, Problem)> {
        if tagged {
            self.refuse_tag(&span);
        }
        if self.open.len() >= DEEPEST {
            return Err((span, too_deep()));
        }
        let at = self.place_of_next();
        let mut kept = self.kept();
        let mut is_key = false;
        if let Some(Open {
            content: Content::Map {
                key: key @ None, ..
            },
            ..
        }) = self.open.last_mut()
        {
            let span = span.start..span.start;
            *key = Some(Key {
                text: String::new(),
                span: span.clone(),
                kept: false,
            });
            let problem = Problem::new(Code::KeyNotText, "a list or map can't be a key")
                .help("did you mean to put it in quotes?");
            self.document.problems.push((span, problem));
            (kept, is_key) = (false, true);
        }
        self.open.push(Open {
            at,
            start: span.start,
            kept,
            is_key,
            content,
        });
        Ok(())
    }

    fn end(&mut self, end: usize) {
        let Some(done) = self.open.pop() else { return };
        if done.is_key {
            return;
        }
        let value = match done.content {
            Content::List(items) => Value::Array(items),
            Content::Map { entries, .. } => Value::Object(entries),
        };
        self.finish(value, done.start..end.max(done.start));
    }

    /// Where the next finished value will stand.
    fn place_of_next(&self) -> Pointer {
        match self.open.last() {
            None => Pointer::root(),
            Some(Open {
                at,
                content: Content::List(items),
                ..
            }) => at.index(items.len()),
            Some(Open {
                at,
                content: Content::Map { key, .. },
                ..
            }) => at.key(key.as_ref().map_or("", |key| &key.text)),
        }
    }

    fn kept(&self) -> bool {
        self.open.last().is_none_or(|open| {
            open.kept
                && match &open.content {
                    Content::List(_) => true,
                    Content::Map { key, .. } => key.as_ref().is_none_or(|key| key.kept),
                }
        })
    }

    /// Puts a finished value where it belongs.
    fn finish(&mut self, value: Value, span: Range<usize>) {
        let (at, kept) = (self.place_of_next(), self.kept());
        let mut key_span = None;
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(value),
            Some(Content::List(items)) => items.push(value),
            Some(Content::Map { entries, key }) => {
                if let Some(key) = key.take() {
                    if key.kept {
                        entries.insert(key.text, value);
                    }
                    key_span = Some(key.span);
                } else {
                    // An alias as a key: already reported. Its value goes nowhere.
                    *key = Some(Key {
                        text: String::new(),
                        span: span.clone(),
                        kept: false,
                    });
                    return;
                }
            }
        }
        if kept {
            self.document.places.insert(
                at,
                Place {
                    key: key_span,
                    value: span,
                },
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn codes(text: &str) -> Vec<Code> {
        Document::read(text)
            .problems
            .iter()
            .map(|(_, problem)| problem.code)
            .collect()
    }

    #[test]
    fn every_key_and_value_knows_where_it_stands() {
        let text = "a: {b: [1, \"x\"]}\n中: 三\n";
        let document = Document::read(text);
        assert_eq!(
            document.value,
            Some(json!({"a": {"b": [1, "x"]}, "中": "三"}))
        );
        let shown = |pointer: &str| {
            let place = &document.places[&Pointer::from(pointer)];
            (
                place.key.clone().map(|key| text.get(key).unwrap()),
                text.get(place.value.clone()),
            )
        };
        assert_eq!(shown("/a/b"), (Some("b"), Some("[1, \"x\"]")));
        assert_eq!(shown("/a/b/1"), (None, Some("\"x\"")));
        assert_eq!(shown("/中"), (Some("中"), Some("三")));
    }

    #[test]
    fn json_is_yaml_too() {
        let document = Document::read("{\"a\": [true, null, -1.5], \"b\": {\"on\": \"x\"}}");
        assert_eq!(
            document.value,
            Some(json!({"a": [true, null, -1.5], "b": {"on": "x"}}))
        );
        assert!(document.problems.is_empty());
    }

    #[test]
    fn a_second_key_is_refused_and_the_first_stays() {
        let document = Document::read("a: 1\na: {b: 2, b: 3}\nc: 4\n");
        assert_eq!(document.value, Some(json!({"a": 1, "c": 4})));
        assert_eq!(document.problems.len(), 2);
        assert_eq!(document.places.len(), 3);
    }

    #[test]
    fn an_alias_bomb_is_refused_without_being_lit() {
        let mut bomb = String::from("a0: &a0 [x, x]\n");
        for level in 1..500 {
            let below = level - 1;
            bomb.push_str(&format!(
                "a{level}: &a{level} [*a{below}, *a{below}, *a{below}]\n"
            ));
        }
        assert!(codes(&bomb).iter().all(|code| *code == Code::Alias));
        assert_eq!(codes("a: *nowhere"), [Code::Alias]);
        assert_eq!(codes("*a : 1"), [Code::Alias]);
    }

    #[test]
    fn deep_nesting_is_refused_without_using_the_stack() {
        for open in ["[", "{a: ", "- ", "? ", "{? "] {
            assert_eq!(
                codes(&open.repeat(10_000)).last(),
                Some(&Code::TooDeep),
                "{open:?}"
            );
        }
        let staircase: String = (0..400).map(|n| format!("{}a:\n", " ".repeat(n))).collect();
        assert_eq!(codes(&staircase), [Code::TooDeep]);
        let allowed = "[".repeat(DEEPEST) + &"]".repeat(DEEPEST);
        assert_eq!(codes(&allowed), []);
    }

    #[test]
    fn other_odd_files_are_refused() {
        for (text, code) in [
            ("a: 1\n---\nb: 2\n", Code::SeveralDocuments),
            ("a: !!str 1", Code::Tag),
            ("? [a, b]\n: 1", Code::KeyNotText),
            ("{[a]: 1, b: {c: 2}}", Code::KeyNotText),
            ("", Code::Empty),
            ("# only a comment\n", Code::Empty),
            ("a: [1", Code::Syntax),
            ("%YAML 1.1\n---\na: 1", Code::Syntax),
            (&" ".repeat(LARGEST + 1), Code::TooLarge),
        ] {
            assert_eq!(codes(text), [code], "{:.20}", text);
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_whatever_breaks_the_reader(text in "[\\PC\n\t \\[\\]{}:,&*!?\"'|>-]{0,200}") {
            let document = Document::read(&text);
            for (span, _) in &document.problems {
                proptest::prop_assert!(span.start <= text.len());
            }
        }
    }
}
