//! A back end as it is written on the command line: `NAME=ADDR[*WEIGHT]`, and a skew: `NAME=FACTOR`.

use std::{net::SocketAddr, str::FromStr};

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BackEnd {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    /// What the balancer says that it gets, beside the others.
    pub(super) weight: u32,
}

/// What a back end gets in place of its due, in thousandths of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Skew {
    pub(super) name: String,
    pub(super) thousandths: u32,
}

/// So much weight adds up without care, and nobody needs more.
const WEIGHT_MAX: u32 = 1_000_000;
/// A back end is skewed by no more than this.
const FACTOR_MAX: u32 = 1_000;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotABackEnd {
    #[error("a back end is written NAME=ADDRESS:PORT or NAME=ADDRESS:PORT*WEIGHT")]
    Form,
    #[error("{0:?} is no address and port")]
    Address(String),
    #[error("{0:?} is no weight from 0 to {WEIGHT_MAX}")]
    Weight(String),
    #[error("a skew is written NAME=FACTOR")]
    Skew,
    #[error("{0:?} is no factor from 0 to {FACTOR_MAX} with at most three decimals")]
    Factor(String),
}

impl FromStr for BackEnd {
    type Err = NotABackEnd;

    fn from_str(text: &str) -> Result<Self, NotABackEnd> {
        let (name, place) = named(text).ok_or(NotABackEnd::Form)?;
        let (address, weight) = match place.rsplit_once('*') {
            None => (place, 1),
            Some((address, text)) => {
                let weight = text.parse().ok().filter(|weight| *weight <= WEIGHT_MAX);
                let weight = weight.ok_or_else(|| NotABackEnd::Weight(text.to_owned()))?;
                (address, weight)
            }
        };
        let parsed = address.parse();
        Ok(Self {
            name: name.to_owned(),
            address: parsed.map_err(|_| NotABackEnd::Address(address.to_owned()))?,
            weight,
        })
    }
}

impl FromStr for Skew {
    type Err = NotABackEnd;

    fn from_str(text: &str) -> Result<Self, NotABackEnd> {
        let (name, factor) = named(text).ok_or(NotABackEnd::Skew)?;
        let thousandths = thousandths(factor).filter(|one| *one <= FACTOR_MAX * 1_000);
        Ok(Self {
            name: name.to_owned(),
            thousandths: thousandths.ok_or_else(|| NotABackEnd::Factor(factor.to_owned()))?,
        })
    }
}

fn named(text: &str) -> Option<(&str, &str)> {
    text.split_once('=').filter(|(name, _)| !name.is_empty())
}

/// `1.5` is 1500.
fn thousandths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(whole) || !is_number(decimals) || decimals.len() > 3 {
        return None;
    }
    let whole: u32 = whole.parse().ok()?;
    let decimals: u32 = format!("{decimals:0<3}").parse().ok()?;
    whole.checked_mul(1_000)?.checked_add(decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_back_end_has_a_name_an_address_and_a_weight() {
        let read = |text: &str| text.parse::<BackEnd>();
        let one = |weight| BackEnd {
            name: "local/orders/1".to_owned(),
            address: "127.0.0.1:4000".parse().unwrap(),
            weight,
        };
        assert_eq!(read("local/orders/1=127.0.0.1:4000"), Ok(one(1)));
        assert_eq!(read("local/orders/1=127.0.0.1:4000*5"), Ok(one(5)));
        assert_eq!(read("local/orders/1=127.0.0.1:4000*0"), Ok(one(0)));
        assert!(read("a=[::1]:4000*2").is_ok());
        for form in ["", "a", "=127.0.0.1:4000"] {
            assert_eq!(read(form), Err(NotABackEnd::Form), "{form:?}");
        }
        let address = |text: &str| Err(NotABackEnd::Address(text.to_owned()));
        assert_eq!(read("a=localhost:4000"), address("localhost:4000"));
        for weight in ["", "-1", "x", "1000001"] {
            let expected = Err(NotABackEnd::Weight(weight.to_owned()));
            assert_eq!(read(&format!("a=127.0.0.1:4000*{weight}")), expected);
        }
    }

    #[test]
    fn a_skew_is_a_factor_with_at_most_three_decimals() {
        let read = |text: &str| text.parse::<Skew>().map(|skew| skew.thousandths);
        for (text, thousandths) in [("2", 2_000), ("0", 0), ("1.5", 1_500), ("0.125", 125)] {
            assert_eq!(read(&format!("a={text}")), Ok(thousandths), "{text}");
        }
        assert_eq!(read("2"), Err(NotABackEnd::Skew));
        for text in [
            "",
            "-1",
            "1.",
            ".5",
            "0.1234",
            "1e3",
            "1000.001",
            "99999999999",
        ] {
            let expected = Err(NotABackEnd::Factor(text.to_owned()));
            assert_eq!(read(&format!("a={text}")), expected, "{text}");
        }
    }
}
