//! How long requests wait at one server that answers them in the order they come: what a measured
//! response time is compared with.
//!
//! D. V. Lindley, "The theory of queues with a single server", 1952: the next request waits
//! `max(0, W + S - A)`, where this one waited W and was served for S, and A lies between the two.

use nepho_common::time::Nanos;

/// One server and its queue. Integers, so that nothing is lost however many there are.
///
/// ```
/// use nepho_agent_core::pace::lindley::Server;
/// use nepho_common::time::Nanos;
/// let mut server = Server::default();
/// let waits = [0, 4, 8, 40].map(|at| server.wait(Nanos(at), Nanos(10)).0);
/// assert_eq!(waits, [0, 6, 12, 0]);
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Has nothing to do from here on.
    free: Nanos,
}

impl Server {
    /// How long a request that arrives at `at` waits until it is served, which takes `service`. No
    /// earlier one may come after it.
    pub fn wait(&mut self, at: Nanos, service: Nanos) -> Nanos {
        // W + S - A is how much later than this request the server is free.
        let wait = Nanos(self.free.0.saturating_sub(at.0));
        let begins = at.0.max(self.free.0);
        self.free = Nanos(begins.saturating_add(service.0));
        wait
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::plan::{Arrivals, Rate, Schedule, Stripe};
    use proptest::prelude::*;

    use super::*;
    use crate::pace::Pace;

    const SERVICE: Nanos = Nanos::from_millis(1);

    fn waits(schedule: &Schedule, seed: u64) -> Vec<u64> {
        let mut server = Server::default();
        let pace = Pace::new(schedule, seed, Stripe::WHOLE).unwrap();
        pace.map(|arrival| server.wait(arrival.at, SERVICE).0)
            .collect()
    }

    /// P(wait ≤ x), x in service times, with Poisson arrivals at a load of ρ and a constant service
    /// time: A. K. Erlang, "The theory of probabilities and telephone conversations", 1909, for one
    /// server. Terms alternate and grow as e^ρx, so it is good for the first thirty service times.
    fn share_that_waits_at_most(x: f64, load: f64) -> f64 {
        let term = |k: usize| {
            let u = load * (x - k as f64);
            let power = (1..=k).fold(1.0, |power, i| power * -u / i as f64);
            power * u.exp()
        };
        let begun = (0..).take_while(|k| *k as f64 <= x);
        (1.0 - load) * begun.map(term).sum::<f64>()
    }

    /// The wait, in service times, that this share of requests doesn't exceed.
    fn quantile(share: f64, load: f64) -> f64 {
        let (mut low, mut high) = (0.0, 30.0);
        for _ in 0..60 {
            let middle = (low + high) / 2.0;
            if share_that_waits_at_most(middle, load) < share {
                low = middle;
            } else {
                high = middle;
            }
        }
        high
    }

    /// The theory against itself: the series has to have the mean that F. Pollaczek and A. Y.
    /// Khinchine found, ρ / 2(1 - ρ) service times, and the second moment of L. Takács, 1962.
    #[test]
    fn the_series_has_the_moments_that_others_found() {
        let step = 1e-3;
        for load in [0.3, 0.5, 0.7] {
            let (mut mean, mut square) = (0.0, 0.0);
            for k in 0..25_000 {
                let x = (f64::from(k) + 0.5) * step;
                let longer = 1.0 - share_that_waits_at_most(x, load);
                mean += longer * step;
                square += 2.0 * x * longer * step;
            }
            let exact = load / 2.0 / (1.0 - load);
            assert!((mean / exact - 1.0).abs() < 1e-4, "{load}: {mean}, {exact}");
            let exact = 2.0 * exact * exact + load / 3.0 / (1.0 - load);
            assert!(
                (square / exact - 1.0).abs() < 1e-4,
                "{load}: {square}, {exact}"
            );
        }
    }

    /// Of the service time, in thousandths: so many requests per second.
    const LOAD: u64 = 700;

    /// Mean, median and p99 of the wait at this load, as multiples of what theory says for `LOAD`:
    /// means over some seeds with three million arrivals each.
    fn against_theory(arrivals: Arrivals, load: u64, seeds: u32) -> [f64; 3] {
        let lasts = Nanos(3_000_000 * SECOND.0 / load);
        let schedule = Schedule::constant(arrivals, Rate::per_second(load), lasts).unwrap();
        let mut sums = [0.0; 3];
        for seed in 0..seeds {
            let mut waits = waits(&schedule, u64::from(seed));
            let many = waits.len();
            assert!(many.abs_diff(3_000_000) < 10_000, "{many}");
            let unit = SERVICE.0 as f64;
            sums[0] += waits.iter().sum::<u64>() as f64 / many as f64 / unit;
            for (sum, percent) in sums[1..].iter_mut().zip([50, 99]) {
                let (_, wait, _) = waits.select_nth_unstable(many * percent / 100);
                *sum += *wait as f64 / unit;
            }
        }
        let load = LOAD as f64 / 1e3;
        let mean = load / 2.0 / (1.0 - load);
        let theory = [mean, quantile(0.5, load), quantile(0.99, load)];
        [0, 1, 2].map(|which| sums[which] / f64::from(seeds) / theory[which])
    }

    const SECOND: Nanos = Nanos::from_secs(1);

    /// Over forty seeds of three million the three figures scattered by 0.25 %, 0.23 % and 0.42 %
    /// (standard deviations). So a mean of four seeds strays by 1 % for one choice of them in
    /// 500,000.
    #[test]
    fn poisson_arrivals_wait_at_a_constant_server_as_theory_says() {
        let figures = against_theory(Arrivals::Poisson, LOAD, 4);
        let is_close = |figure: &f64| (figure - 1.0).abs() < 0.01;
        assert!(figures.iter().all(is_close), "{figures:?}");
        // What is a hundredth too fast is found out by each of the three, and so is what is even.
        let fast = against_theory(Arrivals::Poisson, LOAD + LOAD / 100, 1);
        assert!(!fast.iter().any(is_close), "{fast:?}");
        let even = against_theory(Arrivals::Constant, LOAD, 1);
        assert!(even.iter().all(|figure| *figure == 0.0), "{even:?}");
    }

    proptest! {
        #[test]
        fn the_server_is_the_recursion(requests in prop::collection::vec((0u64..50, 0u64..50), 1..200)) {
            let mut server = Server::default();
            let (mut at, mut wait, mut service) = (0, 0u64, 0);
            for (after, serve) in requests {
                at += after;
                wait = (wait + service).saturating_sub(after);
                service = serve;
                prop_assert_eq!(server.wait(Nanos(at), Nanos(serve)), Nanos(wait));
            }
        }
    }
}
