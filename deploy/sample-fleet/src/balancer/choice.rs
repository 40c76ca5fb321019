//! Whose turn it is.

/// How the next back end is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Policy {
    /// In turn, the heavier ones more often, and never many times in a row (as nginx does it).
    RoundRobin,
    /// By chance, the heavier ones more often.
    Random,
}

impl Policy {
    /// As it is written.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::RoundRobin => "round-robin",
            Self::Random => "random",
        }
    }
}

/// The sequence of choices.
#[derive(Debug)]
pub(super) struct Choice {
    policy: Policy,
    turns: Vec<Turn>,
    draws: Draws,
}

#[derive(Debug)]
struct Turn {
    weight: u64,
    /// How much it is owed: all of them together are owed nothing.
    owed: i128,
}

impl Choice {
    /// Among back ends with these weights; one of weight 0 is never chosen.
    pub(super) fn new(policy: Policy, seed: u64, weights: impl IntoIterator<Item = u64>) -> Self {
        let turn = |weight| Turn { weight, owed: 0 };
        Self {
            policy,
            turns: weights.into_iter().map(turn).collect(),
            draws: Draws(seed),
        }
    }

    /// The next one of those that `may` be chosen; `None` if that is nobody.
    pub(super) fn next(&mut self, may: impl Fn(usize) -> bool) -> Option<usize> {
        let candidates = self.turns.iter_mut().enumerate();
        let candidates = candidates.filter(|(place, turn)| turn.weight > 0 && may(*place));
        let mut candidates: Vec<_> = candidates.collect();
        let all: u64 = candidates.iter().map(|(_, turn)| turn.weight).sum();
        if all == 0 {
            return None;
        }
        match self.policy {
            Policy::RoundRobin => {
                for (_, turn) in &mut candidates {
                    turn.owed += i128::from(turn.weight);
                }
                // The first of those that are owed the most.
                let chosen = candidates
                    .into_iter()
                    .rev()
                    .max_by_key(|(_, turn)| turn.owed);
                let (place, turn) = chosen?;
                turn.owed -= i128::from(all);
                Some(place)
            }
            Policy::Random => {
                let mut left = self.draws.below(all);
                let chosen = candidates.into_iter().find(|(_, turn)| {
                    let is_here = left < turn.weight;
                    left = left.saturating_sub(turn.weight);
                    is_here
                });
                chosen.map(|(place, _)| place)
            }
        }
    }
}

/// Seeded draws: SplitMix64 (Steele, Lea, Flood 2014). Nothing here is a secret.
#[derive(Debug)]
struct Draws(u64);

impl Draws {
    /// One of `0..n`.
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let wide = u128::from(z ^ (z >> 31)) * u128::from(n);
        u64::try_from(wide >> 64).expect("below n")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sequence(choice: &mut Choice, many: usize) -> String {
        let next = |_| match choice.next(|_| true) {
            Some(place) => char::from(b'a' + u8::try_from(place).unwrap()),
            None => '-',
        };
        (0..many).map(next).collect()
    }

    #[test]
    fn five_to_one_to_one_is_as_smooth_as_it_can_be() {
        // The order that nginx's own commit of 2012 gives for these weights.
        let mut choice = Choice::new(Policy::RoundRobin, 0, [5, 1, 1]);
        assert_eq!(sequence(&mut choice, 14), "aabacaaaabacaa");
    }

    #[test]
    fn equal_weights_take_turns_and_weight_0_has_none() {
        let mut choice = Choice::new(Policy::RoundRobin, 0, [2, 0, 2, 2]);
        assert_eq!(sequence(&mut choice, 7), "acdacda");
        assert_eq!(sequence(&mut Choice::new(Policy::Random, 0, [0]), 2), "--");
        assert_eq!(
            sequence(&mut Choice::new(Policy::RoundRobin, 0, []), 1),
            "-"
        );
    }

    #[test]
    fn who_may_not_be_chosen_leaves_its_turns_to_the_others() {
        let mut choice = Choice::new(Policy::RoundRobin, 0, [1, 1, 1]);
        let chosen: Vec<_> = (0..4).map(|_| choice.next(|place| place != 1)).collect();
        assert_eq!(chosen, [Some(0), Some(2), Some(0), Some(2)]);
        assert_eq!(choice.next(|_| false), None);
    }

    #[test]
    fn chance_follows_the_weights_and_the_seed() {
        let counted = |seed| {
            let mut choice = Choice::new(Policy::Random, seed, [5, 1, 1]);
            let mut counts = [0u32; 3];
            for _ in 0..7_000 {
                counts[choice.next(|_| true).unwrap()] += 1;
            }
            counts
        };
        let [a, b, c] = counted(1);
        // Six standard deviations: sqrt(7000 * 5/7 * 2/7) is 38, sqrt(7000 * 1/7 * 6/7) is 29.
        assert!(a.abs_diff(5_000) < 228 && b.abs_diff(1_000) < 176 && c.abs_diff(1_000) < 176);
        assert_eq!(counted(1), [a, b, c]);
        assert_ne!(counted(2), [a, b, c]);
        assert_ne!((b, c), (1_000, 1_000), "turns are no dice");
    }

    proptest! {
        #[test]
        fn a_round_of_turns_gives_each_its_weight_whatever_the_scale(
            weights in prop::collection::vec(0u64..12, 1..6), scale in 1u64..2_000,
        ) {
            let all = usize::try_from(weights.iter().sum::<u64>()).unwrap();
            let scaled = weights.iter().map(|weight| weight * scale);
            let mut plain = Choice::new(Policy::RoundRobin, 0, weights.clone());
            let round = sequence(&mut plain, all);
            prop_assert_eq!(&sequence(&mut Choice::new(Policy::RoundRobin, 0, scaled), all), &round);
            prop_assert_eq!(&sequence(&mut plain, all), &round, "the next round is the same");
            for (place, weight) in (b'a'..).zip(&weights) {
                let got = round.bytes().filter(|one| *one == place).count() as u64;
                prop_assert_eq!(got, *weight);
            }
        }
    }
}
