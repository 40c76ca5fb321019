//! What could not be used, with the line where it stands.

use std::{collections::BTreeMap, fmt};

use crate::diagnose::{Place, Pointer};

/// The most that is said. A file of 256 KiB could have ten thousand ports, and nobody reads that.
const MOST: usize = 100;

/// One thing that could not be used.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// Its line in the Compose file, from 1.
    pub line: usize,
    /// What, and why; one line, free of control characters.
    pub text: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.line, self.text)
    }
}

#[derive(Debug)]
pub(super) struct Notes<'a> {
    places: &'a BTreeMap<Pointer, Place>,
    /// Where each line begins, in bytes.
    lines: Vec<usize>,
    notes: Vec<Note>,
}

impl<'a> Notes<'a> {
    pub(super) fn new(text: &str, places: &'a BTreeMap<Pointer, Place>) -> Self {
        let breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self {
            places,
            lines: std::iter::once(0).chain(breaks).collect(),
            notes: Vec::new(),
        }
    }

    /// About the value at `at`, or what it stands in.
    pub(super) fn at(&mut self, at: &Pointer, text: impl Into<String>) {
        let mut at = Some(at.clone());
        let place = loop {
            let Some(here) = at else { break None };
            match self.places.get(&here) {
                Some(place) => break Some(place),
                None => at = here.parent(),
            }
        };
        let byte = place.map_or(0, |place| match &place.key {
            Some(key) => key.start,
            None => place.value.start,
        });
        self.at_byte(byte, text);
    }

    pub(super) fn at_byte(&mut self, byte: usize, text: impl Into<String>) {
        self.notes.push(Note {
            line: self.lines.partition_point(|begin| *begin <= byte).max(1),
            text: text.into(),
        });
    }

    pub(super) fn first(&self) -> Option<&str> {
        self.notes.first().map(|note| note.text.as_str())
    }

    /// By line, and how many there would be more.
    pub(super) fn finish(mut self) -> (Vec<Note>, usize) {
        self.notes.sort();
        self.notes.dedup();
        let hidden = self.notes.len().saturating_sub(MOST);
        self.notes.truncate(MOST);
        (self.notes, hidden)
    }
}
