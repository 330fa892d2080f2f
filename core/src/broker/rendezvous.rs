//! Which of several destinations a value goes to, by weighted rendezvous.
//!
//! For a value, each destination draws a number: its name and the value are all that this depends
//! on. The smallest number for its weight wins. So a value goes to the same destination wherever
//! and whenever it is asked for; each destination gets a share of the values that is its part of
//! all weights; and when one comes or goes, only those values move that it gets or had. Nothing of
//! this depends on the order in which destinations came.
//!
//! What is computed here is relied on by clients across restarts and versions: it must not change.
//! A value and a name become numbers by XXH3 (64 bits); what a destination draws is the
//! exponential distribution's value, in fixed point, at the finalizer of SplitMix64 of both.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The heaviest that a destination may be.
pub(crate) const WEIGHT_MAX: u64 = 10_000;

/// How many bits of a logarithm stand behind the point.
const FRACTION_BITS: u32 = 40;

/// Logarithms between which others are interpolated.
const STEPS: usize = 256;

/// The logarithms to base 2 of `1 + n / STEPS`.
static LOGARITHMS: [u64; STEPS + 1] = logarithms();

/// A value that destinations are chosen by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hashed(u64);

impl Hashed {
    /// The value of these bytes.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        Self(xxh3_64(bytes))
    }

    /// The value of this one and of these bytes behind it.
    pub(crate) fn and(self, bytes: &[u8]) -> Self {
        Self(xxh3_64_with_seed(bytes, self.0))
    }

    /// The value as a number.
    pub(crate) fn number(self) -> u64 {
        self.0
    }
}

/// A destination's part in the choice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contender {
    seed: u64,
    weight: u64,
}

/// What a contender drew for a value: the smaller for its weight, the better.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    drawn: u64,
    weight: u64,
}

impl Contender {
    /// One of this name, with a weight from 1 to [`WEIGHT_MAX`].
    pub(crate) fn new(name: Hashed, weight: u64) -> Self {
        Self { seed: name.0, weight: weight.clamp(1, WEIGHT_MAX) }
    }

    /// What it draws for a value.
    pub(crate) fn draw(self, value: Hashed) -> Draw {
        Draw { drawn: exponential(mix(self.seed ^ value.0)), weight: self.weight }
    }
}

impl Draw {
    /// Whether it wins against the other, which it does not when both are as good.
    pub(crate) fn beats(self, other: Self) -> bool {
        // What is drawn is below 2^47, a weight below 2^14.
        self.drawn * other.weight < other.drawn * self.weight
    }
}

/// The finalizer of SplitMix64: each bit of the result depends on all bits of the number.
const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// `-log2(number / 2^64)`, in fixed point: exponentially distributed where numbers are uniformly.
fn exponential(number: u64) -> u64 {
    const ONE: u64 = 1 << FRACTION_BITS;
    let number = number.max(1);
    let zeros = number.leading_zeros();
    let mantissa = number << zeros;
    let step = ((mantissa >> 55) & 0xFF) as usize;
    let rest = (mantissa >> 25) & ((1 << 30) - 1);
    let (low, high) = (LOGARITHMS[step], LOGARITHMS[step + 1]);
    let logarithm = low + (((high - low) * rest) >> 30);
    (u64::from(zeros) << FRACTION_BITS) + ONE - logarithm
}

const fn logarithms() -> [u64; STEPS + 1] {
    let mut table = [1 << FRACTION_BITS; STEPS + 1];
    let mut at = 0;
    while at < STEPS {
        table[at] = logarithm(((STEPS + at) as u64) << 55);
        at += 1;
    }
    table
}

/// The logarithm to base 2 of a number from 1 up to, but not, 2, of which 63 bits stand behind the
/// point: squaring it doubles the logarithm, whose bits are so found one by one.
const fn logarithm(mut number: u64) -> u64 {
    let mut bits = 0;
    let mut left = FRACTION_BITS;
    while left > 0 {
        let square = (number as u128 * number as u128) >> 63;
        let is_two = square >> 64 != 0;
        number = if is_two { (square >> 1) as u64 } else { square as u64 };
        bits = bits << 1 | is_two as u64;
        left -= 1;
    }
    bits
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec::Vec;

    use super::*;

    /// Who of these wins a value, by their place.
    fn winner(contenders: &[Contender], value: Hashed) -> usize {
        let mut best = (0, contenders[0].draw(value));
        for (at, contender) in contenders.iter().enumerate().skip(1) {
            let draw = contender.draw(value);
            if draw.beats(best.1) {
                best = (at, draw);
            }
        }
        best.0
    }

    fn contenders(weights: &[u64]) -> Vec<Contender> {
        let name = |at: usize| Hashed::new(format!("q{at}").as_bytes());
        weights.iter().enumerate().map(|(at, weight)| Contender::new(name(at), *weight)).collect()
    }

    fn value(number: u32) -> Hashed {
        Hashed::new(format!("key.{number}").as_bytes())
    }

    #[test]
    fn logarithms_are_right_at_powers_and_in_between() {
        assert_eq!(LOGARITHMS[0], 0);
        // log2(1.5) = 0.58496250072115...
        let half = LOGARITHMS[STEPS / 2];
        assert!(half.abs_diff(643173071356) <= 1, "{half}");
        assert_eq!(exponential(1 << 63), 1 << FRACTION_BITS);
        assert_eq!(exponential(1 << 40), 24 << FRACTION_BITS);
        assert_eq!(exponential(0), 64 << FRACTION_BITS);
        assert!(exponential(u64::MAX) > 0);
        assert!((1..64).all(|bit| exponential(1 << bit) < exponential((1 << bit) - 1)));
    }

    #[test]
    fn each_gets_the_part_of_the_values_that_its_weight_is_of_all_weights() {
        const VALUES: u32 = 200_000;
        for weights in [&[1, 1, 1, 1, 1][..], &[1, 2, 3, 4], &[10_000, 5000, 100], &[1, 99]] {
            let contenders = contenders(weights);
            let mut counts = alloc::vec![0_u64; weights.len()];
            (0..VALUES).for_each(|number| counts[winner(&contenders, value(number))] += 1);
            let all: u64 = weights.iter().sum();
            for (count, weight) in counts.iter().zip(weights) {
                let due = u64::from(VALUES) * weight / all;
                // Five times the standard deviation of chance, which is the root of what is due.
                let slack = 5 * due.isqrt();
                assert!(count.abs_diff(due) <= slack, "{weights:?}: {counts:?}");
            }
        }
    }

    #[test]
    fn who_comes_takes_its_part_and_nothing_else_moves() {
        const VALUES: u32 = 50_000;
        let after = contenders(&[3, 1, 2, 4]);
        let before = &after[..3];
        let mut moved = 0;
        for number in 0..VALUES {
            let (old, new) = (winner(before, value(number)), winner(&after, value(number)));
            assert!(new == old || new == 3, "{number} moved from {old} to {new}");
            moved += u64::from(new != old);
        }
        // Four of ten parts.
        assert!(moved.abs_diff(20_000) < 5 * 20_000_u64.isqrt(), "{moved}");
    }

    #[test]
    fn who_is_made_heavier_takes_from_others_and_nothing_else_moves() {
        let (before, after) = (contenders(&[3, 1, 2]), contenders(&[3, 5, 2]));
        for number in 0..20_000 {
            let (old, new) = (winner(&before, value(number)), winner(&after, value(number)));
            assert!(new == old || new == 1, "{number} moved from {old} to {new}");
        }
    }

    #[test]
    fn what_clients_rely_on_stays_as_it_is() {
        let contenders = contenders(&[1, 2, 3]);
        let winners: Vec<_> = (0..24).map(|number| winner(&contenders, value(number))).collect();
        assert_eq!(winners, EXPECTED);
    }

    const EXPECTED: [usize; 24] =
        [0, 2, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 2, 1, 2, 2, 1, 1, 2, 0];
}
