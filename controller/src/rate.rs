//! How often something may happen: a bucket of tokens that fills at a steady rate, one for
//! everybody or one for each key.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::Instant;

/// Keys that are remembered at a time. One that is forgotten begins with a full bucket again, so
/// this must be more than an attacker has: 10,000 IPv4 addresses or IPv6 networks, 1 MB.
const KEYS_MAX: usize = 10_000;

/// So many at once, and one more in each interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// What a full bucket holds.
    pub burst: u32,
    /// In which a token comes back.
    pub every: Duration,
}

/// A bucket, as the instant at which it will be full again.
#[derive(Debug, Clone, Copy)]
pub struct Bucket(Instant);

impl Bucket {
    /// A full one.
    #[must_use]
    pub const fn full(now: Instant) -> Self {
        Self(now)
    }

    /// Takes a token.
    ///
    /// # Errors
    /// There is none; the next one comes after this time.
    pub fn take(&mut self, rate: Rate, now: Instant) -> Result<(), Duration> {
        let full_at = self.0.max(now) + rate.every;
        let filling = full_at.saturating_duration_since(now);
        let most = rate.every.saturating_mul(rate.burst);
        if filling > most {
            return Err(filling.saturating_sub(most));
        }
        self.0 = full_at;
        Ok(())
    }
}

/// A bucket for each key.
#[derive(Debug)]
pub struct Buckets<K> {
    rate: Rate,
    keys_max: usize,
    /// Only those that are not full.
    buckets: BTreeMap<K, Bucket>,
}

impl<K: Ord + Clone> Buckets<K> {
    /// All of them full.
    #[must_use]
    pub const fn new(rate: Rate) -> Self {
        Self {
            rate,
            keys_max: KEYS_MAX,
            buckets: BTreeMap::new(),
        }
    }

    /// Takes a token of this key.
    ///
    /// # Errors
    /// There is none; the next one comes after this time.
    pub fn take(&mut self, key: &K, now: Instant) -> Result<(), Duration> {
        if self.buckets.len() >= self.keys_max && !self.buckets.contains_key(key) {
            self.buckets.retain(|_, bucket| bucket.0 > now);
            // Still too many: the one that is fullest has the least to forget.
            let fullest = self.buckets.iter().min_by_key(|(_, bucket)| bucket.0);
            let fullest = fullest.map(|(key, _)| key.clone());
            if let Some(fullest) = fullest.filter(|_| self.buckets.len() >= self.keys_max) {
                self.buckets.remove(&fullest);
            }
        }
        let bucket = self.buckets.entry(key.clone());
        bucket.or_insert(Bucket::full(now)).take(self.rate, now)
    }

    /// Whether a token of this key is there; takes none.
    ///
    /// # Errors
    /// There is none; the next one comes after this time.
    pub fn look(&self, key: &K, now: Instant) -> Result<(), Duration> {
        let bucket = self.buckets.get(key);
        bucket.map_or(Ok(()), |bucket| bucket.clone().take(self.rate, now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        burst: 3,
        every: Duration::from_secs(10),
    };

    #[test]
    fn a_burst_and_then_one_in_each_interval() {
        let start = Instant::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut bucket = Bucket::full(start);
        let taken = (0..5).filter(|_| bucket.take(RATE, at(0)).is_ok()).count();
        assert_eq!(taken, 3);
        assert_eq!(bucket.take(RATE, at(4)), Err(Duration::from_secs(6)));
        assert_eq!(bucket.take(RATE, at(10)), Ok(()));
        assert!(bucket.take(RATE, at(10)).is_err());
        let taken = (0..9)
            .filter(|_| bucket.take(RATE, at(999)).is_ok())
            .count();
        assert_eq!(taken, 3, "it never holds more than it can");
    }

    #[test]
    fn one_key_does_not_take_from_another_and_memory_is_bounded() {
        let now = Instant::now();
        let mut buckets = Buckets::new(RATE);
        buckets.keys_max = 100;
        for _ in 0..3 {
            buckets.take(&1, now).unwrap();
        }
        assert!(buckets.look(&1, now).is_err() && buckets.take(&1, now).is_err());
        assert!(buckets.look(&2, now).is_ok() && buckets.take(&2, now).is_ok());
        for key in 3..1000 {
            buckets.take(&key, now).unwrap();
        }
        assert_eq!(buckets.buckets.len(), 100);
        assert!(buckets.take(&1, now).is_err(), "the emptiest is kept");
    }
}
