//! What is other in each request, made ready and filled in.

use std::sync::Arc;

use nepho_common::{
    load::{Order, Sent},
    plan::Feed,
    template::{Hole, Part, Template},
};

/// What stands in holes, for all calls of a load.
#[derive(Debug, Default)]
pub(super) struct Filler {
    feeds: Vec<Feed>,
    seed: u64,
    /// What answers give, by place.
    names: Vec<String>,
}

/// A template whose names are known.
#[derive(Debug, Clone, Default)]
struct Blank(Vec<Bit>);

#[derive(Debug, Clone)]
enum Bit {
    Text(Vec<u8>),
    Sequence,
    /// From here so many numbers; the third tells this hole from others.
    Random(u64, u64, u64),
    /// A column of a feed.
    Feed(usize, usize),
    Taken(usize),
}

/// What of a call is other in each request.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    filler: Arc<Filler>,
    target: Blank,
    /// One for each header, in order.
    values: Vec<Blank>,
    body: Blank,
    is_json: bool,
}

impl Draft {
    /// Of this call, to be sent to `path` if it does not say; `None` when it is the same each time.
    ///
    /// # Errors
    /// It has a hole that nothing fills, or a body that is no text.
    pub(super) fn new(
        filler: &Arc<Filler>,
        call: &Sent,
        path: &str,
    ) -> Result<Option<Self>, String> {
        if !call.is_template {
            return Ok(None);
        }
        let body = std::str::from_utf8(&call.body);
        let body = body.map_err(|_| "a body with holes is no text".to_owned())?;
        let values = call.headers.iter();
        let values = values.map(|(_, value)| filler.blank(value));
        Ok(Some(Self {
            target: filler.blank(call.target.as_deref().unwrap_or(path))?,
            values: values.collect::<Result<_, _>>()?,
            body: filler.blank(body)?,
            is_json: call.is_json,
            filler: Arc::clone(filler),
        }))
    }

    /// Its path and query, behind what is in `out`.
    pub(super) fn target(&self, of: Filling<'_>, out: &mut Vec<u8>) {
        self.filler.fill(&self.target, of, Written::Path, out);
    }

    /// The value of this header.
    pub(super) fn value(&self, nth: usize, of: Filling<'_>, out: &mut Vec<u8>) {
        if let Some(blank) = self.values.get(nth) {
            self.filler.fill(blank, of, Written::Header, out);
        }
    }

    /// Its body.
    pub(super) fn body(&self, of: Filling<'_>, out: &mut Vec<u8>) {
        let written = if self.is_json {
            Written::Json
        } else {
            Written::Plain
        };
        self.filler.fill(&self.body, of, written, out);
    }
}

/// How what stands in a hole is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// As it is.
    Plain,
    /// In a path or a query (RFC 3986 §2.3): all that is not unreserved is percent-encoded.
    Path,
    /// In a header: what would end its line is left out.
    Header,
    /// In a string of JSON (RFC 8259 §7).
    Json,
}

/// The request that is filled.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Filling<'a> {
    /// Its number in the whole schedule.
    pub(super) number: u64,
    /// What earlier answers of its flow gave, by place.
    pub(super) taken: &'a [String],
}

impl Filler {
    pub(super) fn new(order: &Order) -> Self {
        let takes = order.calls.iter().flat_map(|call| &call.take);
        let mut names: Vec<String> = takes.map(|take| take.name.to_string()).collect();
        names.sort();
        names.dedup();
        Self {
            feeds: order.feeds.clone(),
            seed: order.seed,
            names,
        }
    }

    /// The place of what is taken under this name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|one| one == name)
    }

    /// How many things are taken.
    pub(super) const fn taken(&self) -> usize {
        self.names.len()
    }

    /// This template, made ready.
    ///
    /// # Errors
    /// It has a hole that nothing fills.
    fn blank(&self, text: &str) -> Result<Blank, String> {
        let template: Template = text.parse().map_err(|why| format!("{text:?}: {why}"))?;
        let parts = template.parts().iter().zip(0..);
        let bit = |(part, nth): (&Part, u64)| match part {
            Part::Text(text) => Ok(Bit::Text(text.as_bytes().to_vec())),
            Part::Hole(hole) => self
                .bit(hole, nth)
                .ok_or_else(|| format!("{text:?} has a hole that nothing fills: {hole:?}")),
        };
        parts.map(bit).collect::<Result<_, _>>().map(Blank)
    }

    fn bit(&self, hole: &Hole, nth: u64) -> Option<Bit> {
        Some(match hole {
            Hole::Sequence => Bit::Sequence,
            Hole::Random(from, to) => Bit::Random(*from, to.checked_sub(*from)?, nth),
            Hole::Feed(feed, column) => {
                let place = self
                    .feeds
                    .iter()
                    .position(|one| one.name.as_str() == feed)?;
                let found = &self.feeds[place];
                let mut columns = found.columns.iter();
                let column = columns.position(|one| one.as_str() == column)?;
                let is_whole = found
                    .rows
                    .iter()
                    .all(|row| row.len() == found.columns.len());
                if !is_whole || found.rows.is_empty() {
                    return None;
                }
                Bit::Feed(place, column)
            }
            Hole::Taken(name) => Bit::Taken(self.place(name)?),
        })
    }

    /// Writes it behind what is in `out`.
    fn fill(&self, blank: &Blank, of: Filling<'_>, written: Written, out: &mut Vec<u8>) {
        for bit in &blank.0 {
            match bit {
                Bit::Text(text) => out.extend_from_slice(text),
                Bit::Sequence => digits(of.number, out),
                Bit::Random(from, span, nth) => {
                    let drawn = scatter(self.seed ^ scatter(of.number) ^ scatter(!*nth));
                    // All 2⁶⁴ numbers are a range too, of which one more has no count.
                    let offset = span
                        .checked_add(1)
                        .map_or(drawn, |count| share(drawn, count));
                    digits(from.wrapping_add(offset), out);
                }
                Bit::Feed(feed, column) => {
                    let feed = &self.feeds[*feed];
                    let count = feed.rows.len() as u64;
                    let row = if feed.is_drawn {
                        share(scatter(self.seed ^ scatter(of.number)), count)
                    } else {
                        of.number % count
                    };
                    let row = usize::try_from(row).unwrap_or_default();
                    write(&feed.rows[row][*column], written, out);
                }
                Bit::Taken(place) => {
                    let taken = of.taken.get(*place).map_or("", String::as_str);
                    write(taken, written, out);
                }
            }
        }
    }
}

/// A number below `count` from one that is any: the high half of their product.
fn share(drawn: u64, count: u64) -> u64 {
    let wide = (u128::from(drawn) * u128::from(count)) >> 64;
    u64::try_from(wide).unwrap_or_default()
}

fn digits(number: u64, out: &mut Vec<u8>) {
    let (mut digits, mut at, mut rest) = ([0_u8; 20], 20, number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

fn write(text: &str, written: Written, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    match written {
        Written::Plain => out.extend_from_slice(text.as_bytes()),
        Written::Path => {
            for byte in text.bytes() {
                if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                    out.push(byte);
                } else {
                    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
                    out.extend_from_slice(&[b'%', HEX[high], HEX[low]]);
                }
            }
        }
        Written::Header => {
            let fits = |byte: &u8| (b' '..=b'~').contains(byte) || *byte == b'\t';
            out.extend(text.bytes().filter(fits));
        }
        Written::Json => {
            let quoted = serde_json::Value::from(text).to_string();
            out.extend_from_slice(&quoted.as_bytes()[1..quoted.len() - 1]);
        }
    }
}

/// The finaliser of SplitMix64 (Steele, Lea and Flood, 2014): neighbours come apart.
pub(super) const fn scatter(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn filler(is_drawn: bool) -> Filler {
        let name = |text: &str| text.to_owned().try_into().unwrap();
        let rows = ["a b", "ü\"", "c\r\nd: e"];
        Filler {
            feeds: vec![Feed {
                name: name("people"),
                is_drawn,
                columns: vec![name("name")],
                rows: rows.map(|row| vec![row.to_owned()]).into(),
            }],
            seed: 7,
            names: vec!["token".to_owned()],
        }
    }

    fn filled(filler: &Filler, text: &str, number: u64, written: Written) -> String {
        let blank = filler.blank(text).unwrap();
        let taken = ["t/1".to_owned()];
        let of = Filling {
            number,
            taken: &taken,
        };
        let mut out = b">".to_vec();
        filler.fill(&blank, of, written, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_hole_is_filled_as_its_place_wants_it() {
        let filler = filler(false);
        let all = "/${sequence}/${feed:people.name}/${taken:token}";
        assert_eq!(filled(&filler, all, 3, Written::Path), ">/3/a%20b/t%2F1");
        assert_eq!(
            filled(&filler, all, 4, Written::Path),
            ">/4/%C3%BC%22/t%2F1"
        );
        assert_eq!(filled(&filler, all, 4, Written::Json), ">/4/ü\\\"/t/1");
        assert_eq!(filled(&filler, all, 5, Written::Header), ">/5/cd: e/t/1");
        assert_eq!(filled(&filler, all, 5, Written::Plain), ">/5/c\r\nd: e/t/1");
        assert_eq!(filled(&filler, "${sequence}", 0, Written::Plain), ">0");
        let most = format!(">{}", u64::MAX);
        assert_eq!(
            filled(&filler, "${sequence}", u64::MAX, Written::Plain),
            most
        );
    }

    #[test]
    fn what_is_drawn_is_in_its_range_and_the_same_each_time() {
        let filler = filler(true);
        let text = "${random:5-9},${random:5-9},${feed:people.name}";
        let all: Vec<_> = (0..500)
            .map(|number| filled(&filler, text, number, Written::Plain))
            .collect();
        let column = |nth: usize| -> BTreeSet<_> {
            let row = |row: &String| row.trim_start_matches('>').to_owned();
            let cell = |row: String| row.split(',').nth(nth).unwrap().to_owned();
            all.iter().map(row).map(cell).collect()
        };
        let range: BTreeSet<_> = (5..=9).map(|n| n.to_string()).collect();
        assert_eq!((column(0), column(1)), (range.clone(), range));
        assert_eq!(column(2).len(), 3);
        let differ = all
            .iter()
            .filter(|row| row.as_bytes()[1] != row.as_bytes()[3])
            .count();
        assert!(differ > 300, "two holes of one request differ: {differ}");
        assert_eq!(filled(&filler, text, 9, Written::Plain), all[9]);
        let whole = format!("${{random:0-{}}}", u64::MAX);
        assert_ne!(
            filled(&filler, &whole, 1, Written::Plain),
            filled(&filler, &whole, 2, Written::Plain)
        );
    }

    #[test]
    fn a_hole_that_nothing_fills_is_refused_and_a_plain_call_has_no_draft() {
        let filler = Arc::new(filler(false));
        let mut call = Sent::get();
        for text in ["${feed:people.age}", "${feed:x.y}", "${taken:x}", "${x}"] {
            (call.is_template, call.body) = (true, text.as_bytes().to_vec());
            assert!(Draft::new(&filler, &call, "/").is_err(), "{text}");
            call.is_template = false;
            assert!(Draft::new(&filler, &call, "/").unwrap().is_none());
        }
        (call.is_template, call.body) = (true, vec![0xff]);
        assert!(Draft::new(&filler, &call, "/").is_err());
    }
}
