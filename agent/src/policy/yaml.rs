//! YAML as a tree that knows its lines. What a policy has no use for is refused: aliases, tags,
//! several documents, the same key twice.

use granit_parser::{Event, Parser, ScalarStyle};

use super::Mistake;

/// The deepest honest value, a port of a secret's target, stands at level 6.
const DEEPEST: usize = 8;

/// A value and the line where it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// A text, a number or nothing, as it was written.
    Scalar(String),
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<(Key, Node)>),
}

/// A key and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) line: usize,
    pub(super) text: String,
}

impl Value {
    /// What it is, for a message.
    pub(super) const fn kind(&self) -> &'static str {
        match self {
            Self::Scalar(_) => "a single value",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }
}

/// The one document of this text; what is wrong with it goes to `mistakes`, and `None` means that
/// nothing more can be said of it.
pub(super) fn read(text: &str, mistakes: &mut Vec<Mistake>) -> Option<Node> {
    let options = granit_parser::options! {
        emit_comments: false,
        emit_anchor_events: true,
        emit_unresolved_aliases: true,
        disallow_directives: true,
        flow_nesting_limit: DEEPEST + 1,
        block_nesting_limit: DEEPEST + 1,
    };
    let mut reader = Reader {
        documents: 0,
        open: Vec::new(),
        root: None,
        mistakes,
    };
    for next in Parser::new_from_str_with_options(text, options) {
        let taken = match next {
            Ok((event, span)) => reader.take(event, span.start.line()),
            Err(error) => Err(Mistake {
                line: error.marker().line(),
                what: format!("this is not YAML: {}", error.kind()),
            }),
        };
        if let Err(stop) = taken {
            reader.mistakes.push(stop);
            return None;
        }
    }
    if reader.root.is_none() {
        reader.mistakes.push(Mistake {
            line: 1,
            what: "there is nothing in it; `nepho-agent policy init` writes a careful one"
                .to_owned(),
        });
    }
    reader.root
}

/// A list or map that is not closed yet.
struct Open {
    line: usize,
    content: Content,
}

enum Content {
    List(Vec<Node>),
    Map(Vec<(Key, Node)>, Option<Key>),
}

struct Reader<'a> {
    documents: usize,
    open: Vec<Open>,
    root: Option<Node>,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_> {
    fn take(&mut self, event: Event<'_>, line: usize) -> Result<(), Mistake> {
        let stop = |what: &str| {
            Err(Mistake {
                line,
                what: what.to_owned(),
            })
        };
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return stop("a second document begins; a policy is one");
                }
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, _, Some(_))
            | Event::MappingStart(_, _, Some(_)) => return stop("tags (`!name`) are not taken"),
            Event::Alias(_) | Event::UnresolvedAlias(_) | Event::Anchor(..) => {
                return stop("anchors and aliases are not taken; write the value out");
            }
            Event::Scalar(text, style, ..) => {
                // `~` and nothing at all are no text, but quoted they are.
                let empty = matches!(style, ScalarStyle::Plain) && text == "~";
                let text = if empty {
                    String::new()
                } else {
                    text.into_owned()
                };
                self.scalar(text, line);
            }
            Event::SequenceStart(..) => self.start(line, Content::List(Vec::new()))?,
            Event::MappingStart(..) => self.start(line, Content::Map(Vec::new(), None))?,
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            // Starts and ends of the stream, comments, and what later versions of the parser may
            // add: its enum is open.
            _ => {}
        }
        Ok(())
    }

    fn scalar(&mut self, text: String, line: usize) {
        if let Some(Open {
            content: Content::Map(_, key @ None),
            ..
        }) = self.open.last_mut()
        {
            *key = Some(Key { line, text });
            return;
        }
        self.finish(Node {
            line,
            value: Value::Scalar(text),
        });
    }

    fn start(&mut self, line: usize, content: Content) -> Result<(), Mistake> {
        let stop = |what: String| Err(Mistake { line, what });
        if self.open.len() >= DEEPEST {
            return stop(format!(
                "lists and maps are nested more than {DEEPEST} deep"
            ));
        }
        if let Some(Open {
            content: Content::Map(_, None),
            ..
        }) = self.open.last()
        {
            return stop("a list or map can't be a key".to_owned());
        }
        self.open.push(Open { line, content });
        Ok(())
    }

    fn end(&mut self) {
        let Some(Open { line, content }) = self.open.pop() else {
            return;
        };
        let value = match content {
            Content::List(items) => Value::List(items),
            Content::Map(entries, _) => Value::Map(entries),
        };
        self.finish(Node { line, value });
    }

    fn finish(&mut self, node: Node) {
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.root = Some(node),
            Some(Content::List(items)) => items.push(node),
            Some(Content::Map(entries, key)) => {
                // Without a key only a bug of the parser brings us here; the value is nobody's.
                let Some(key) = key.take() else { return };
                if entries.iter().any(|(other, _)| other.text == key.text) {
                    self.mistakes.push(Mistake {
                        line: key.line,
                        what: format!("`{}` stands there a second time", key.text),
                    });
                } else {
                    entries.push((key, node));
                }
            }
        }
    }
}
