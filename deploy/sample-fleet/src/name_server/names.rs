//! Which addresses a name has.

use std::{collections::BTreeMap, net::IpAddr, str::FromStr};

use hickory_proto::rr::Name;

/// More than any fleet here has.
const MOST_NAMES: usize = 256;
/// Of one name: an answer over TCP has room for far more, but nobody needs it.
const MOST_ADDRESSES: usize = 64;

/// One name with its addresses, as NAME=ADDR[,ADDR…].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Given {
    name: Name,
    addresses: Vec<IpAddr>,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum GivenError {
    #[error("give a name and its addresses, like orders.test=127.0.0.1,::1")]
    Shape,
    #[error("{0:?} is no DNS name")]
    Name(String),
    #[error("{0:?} is no IP address")]
    Address(String),
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NamesError {
    #[error("too many names: give {MOST_NAMES} at most")]
    Names,
    #[error("too many addresses for {0}: give {MOST_ADDRESSES} at most")]
    Addresses(Name),
}

/// Every name, whatever its case, with its addresses in the order in which they were given.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<Name, Vec<IpAddr>>);

impl FromStr for Given {
    type Err = GivenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, addresses) = text.split_once('=').ok_or(GivenError::Shape)?;
        let no_name = || GivenError::Name(name.to_owned());
        let mut parsed = Name::from_ascii(name).map_err(|_no_name| no_name())?;
        // No search list: the name is whole, with and without its last dot.
        parsed.set_fqdn(true);
        if parsed.is_root() {
            return Err(no_name());
        }
        let address = |text: &str| {
            let address = text.parse();
            address.map_err(|_no_address| GivenError::Address(text.to_owned()))
        };
        Ok(Self {
            name: parsed,
            addresses: addresses
                .split(',')
                .map(address)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Names {
    /// A name that is given twice has the addresses of both.
    pub(super) fn of(all: Vec<Given>) -> Result<Self, NamesError> {
        let mut names = BTreeMap::<Name, Vec<IpAddr>>::new();
        for given in all {
            let known = names.entry(given.name.clone()).or_default();
            for address in given.addresses {
                if !known.contains(&address) {
                    known.push(address);
                }
            }
            if known.len() > MOST_ADDRESSES {
                return Err(NamesError::Addresses(given.name));
            }
        }
        if names.len() > MOST_NAMES {
            return Err(NamesError::Names);
        }
        Ok(Self(names))
    }

    /// `None` for a name that is not known.
    pub(super) fn addresses(&self, name: &Name) -> Option<&[IpAddr]> {
        self.0.get(name).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(all: &[&str]) -> Result<Names, NamesError> {
        Names::of(all.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn addresses(names: &Names, name: &str) -> Option<Vec<String>> {
        let known = names.addresses(&Name::from_ascii(name).unwrap())?;
        Some(known.iter().map(IpAddr::to_string).collect())
    }

    #[test]
    fn a_name_is_found_in_any_case_with_all_its_addresses_in_order() {
        let names = names(&["Orders.test=127.0.0.9,::1", "orders.TEST.=127.0.0.2,::1"]).unwrap();
        let all = ["127.0.0.9", "::1", "127.0.0.2"].map(str::to_owned);
        assert_eq!(addresses(&names, "oRDERS.test."), Some(all.to_vec()));
        assert_eq!(addresses(&names, "test."), None);
        assert_eq!(addresses(&names, "a.orders.test."), None);
    }

    #[test]
    fn what_is_not_a_name_with_addresses_is_refused_by_its_fault() {
        let refused = |text: &str| text.parse::<Given>().unwrap_err();
        assert_eq!(refused("orders.test"), GivenError::Shape);
        for name in ["", ".", "a..b", &"a".repeat(64)] {
            let refused = refused(&format!("{name}=127.0.0.1"));
            assert_eq!(refused, GivenError::Name(name.to_owned()));
        }
        for address in ["", "127.0.0.1:53", "localhost"] {
            let refused = refused(&format!("a={address}"));
            assert_eq!(refused, GivenError::Address(address.to_owned()));
        }
        assert!(matches!(refused("a=::1,"), GivenError::Address(_)));
    }

    #[test]
    fn names_and_addresses_have_bounds() {
        let given = |many: usize| -> Vec<Given> {
            let text = |number| format!("n{number}=127.0.0.1");
            (0..many)
                .map(|number| text(number).parse().unwrap())
                .collect()
        };
        assert!(Names::of(given(MOST_NAMES)).is_ok());
        assert_eq!(
            Names::of(given(MOST_NAMES + 1)).unwrap_err(),
            NamesError::Names
        );
        let many = |many: usize| {
            let all: Vec<_> = (0..many).map(|last| format!("127.0.0.{last}")).collect();
            names(&[&format!("n={}", all.join(","))])
        };
        assert!(many(MOST_ADDRESSES).is_ok());
        assert!(matches!(
            many(MOST_ADDRESSES + 1),
            Err(NamesError::Addresses(_))
        ));
    }
}
