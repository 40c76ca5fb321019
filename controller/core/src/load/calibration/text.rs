//! What a host can send, in words.

use std::fmt;

use nepho_common::time::Nanos;

use super::Calibration;

impl fmt::Display for Calibration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "this host, {} cores: {} of the generator, {} connections, a target that does nothing",
            self.cores,
            match self.threads {
                1 => "one thread".to_owned(),
                more => format!("{more} threads"),
            },
            self.connections
        )?;
        writeln!(f)?;
        writeln!(
            f,
            "  as fast as it goes    {:>9.0}/s   {:.2} CPU seconds per million requests",
            self.closed_rate, self.cpu_seconds_per_million
        )?;
        for on_time in &self.on_time {
            let limit = Nanos(on_time.lag_p99_max_ns);
            match on_time.rate.zip(on_time.plan_with) {
                Some((rate, plan_with)) => writeln!(
                    f,
                    "  late by {:<14}{rate:>9}/s   plan with {plan_with}/s at most",
                    format!("{limit} at p99")
                )?,
                None => writeln!(
                    f,
                    "  late by {:<14}     none   not even {}/s",
                    format!("{limit} at p99"),
                    self.trials.iter().map(|one| one.rate).min().unwrap_or(0)
                )?,
            }
        }
        if self.cut_short {
            writeln!(f, "\n  time ran out: it may be more than that")?;
        }
        if !self.doubts.is_empty() {
            writeln!(f, "\n  what speaks against it:")?;
        }
        for doubt in &self.doubts {
            writeln!(f, "    {doubt}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use nepho_common::{load::Withheld, time::Mono};

    use super::*;
    use crate::load::{
        Tally,
        calibration::search::{Search, tests::host},
        tests::order,
    };

    #[test]
    fn it_is_told_in_words() {
        let mut search = Search::up_to(64_000);
        while let Some(rate) = search.next_rate() {
            search.note(host(rate.0 / 1_000, 0, 20_000));
        }
        let order = order();
        let mut closed = Tally::new(&order).summary(&order, Mono(0), Nanos::from_secs(2));
        (closed.sent, closed.rate, closed.connections) = (128_000, 64_000.0, 64);
        let used = Nanos::from_millis(1_900);
        let took = Nanos::from_secs(20);
        let told = |withheld| Calibration::new((2, 1), &closed, used, &search, withheld, took);
        insta::assert_snapshot!(told(Withheld::default()));
        let withheld = Withheld {
            stolen_ppm: Some(20_000),
            throttled: None,
        };
        let doubts = told(withheld).doubts;
        assert!(doubts[0].contains("the hypervisor gave 2%"), "{doubts:?}");
    }
}
