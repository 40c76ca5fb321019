//! How many come from where: places that are taken and given back.

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// Where somebody comes from, as far as limits go: an IPv4 address, or the /64 that an IPv6 host
/// usually has all of to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source(IpAddr);

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self(v4.into()),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

/// Counts places. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Crowd(Arc<Mutex<Counts>>);

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: BTreeMap<Source, usize>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    crowd: Crowd,
    source: Source,
}

impl Crowd {
    /// Takes a place, unless there are so many of this source or in all.
    pub(super) fn enter(&self, source: Source, of_source: usize, of_all: usize) -> Option<Place> {
        let mut counts = self.lock();
        if counts.all >= of_all || counts.of(source) >= of_source {
            return None;
        }
        counts.all += 1;
        *counts.by_source.entry(source).or_default() += 1;
        drop(counts);
        let crowd = self.clone();
        Some(Place { crowd, source })
    }

    /// How many places this source has.
    pub(super) fn of(&self, source: Source) -> usize {
        self.lock().of(source)
    }

    /// How many places are taken.
    pub(super) fn all(&self) -> usize {
        self.lock().all
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        // Two numbers that are changed together: nothing can be half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn of(&self, source: Source) -> usize {
        self.by_source.get(&source).copied().unwrap_or(0)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.crowd.lock();
        counts.all -= 1;
        if counts.of(self.source) <= 1 {
            counts.by_source.remove(&self.source);
        } else if let Some(count) = counts.by_source.get_mut(&self.source) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn a_source_has_its_share_and_gives_it_back() {
        let crowd = Crowd::default();
        let enter = |text| crowd.enter(source(text), 2, 3);
        let (one, two) = (enter("10.0.0.1"), enter("10.0.0.1"));
        assert!(one.is_some() && enter("10.0.0.1").is_none());
        let other = enter("10.0.0.2");
        assert!(
            other.is_some() && enter("10.0.0.3").is_none(),
            "all are taken"
        );
        drop((one, two, other));
        assert_eq!((crowd.all(), crowd.of(source("10.0.0.1"))), (0, 0));
        assert!(crowd.lock().by_source.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_and_a_mapped_address_are_one_source() {
        assert_eq!(source("2001:db8:1:2:3::4"), source("2001:db8:1:2::9"));
        assert_ne!(source("2001:db8:1:2::9"), source("2001:db8:1:3::9"));
        assert_eq!(source("::ffff:10.0.0.1"), source("10.0.0.1"));
    }
}
