//! Octets changed by chance, again and again: a loop that looks for what breaks a reader. A few hundred at
//! each run of the tests; `GATEPOST_MUTATIONS` says how many, and `GATEPOST_MUTATION` replays one.

use std::env;
use std::thread;

const USUALLY: u64 = 300;
const CHANGES_MAX: usize = 8;

/// A sequence of numbers that one number makes (SplitMix64).
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end.max(1) as u64).expect("it is below a usize")
    }

    /// A part of so many octets: mostly a short one.
    fn part(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len + 1);
        let most = if self.below(4) == 0 { len } else { 40 };
        (from, from + self.below(most.min(len - from) + 1))
    }
}

/// Says which one it was where a check fails.
struct Replay(u64);

impl Drop for Replay {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("GATEPOST_MUTATION={} replays it", self.0);
        }
    }
}

/// Gives `check` one of these samples after the other, changed.
pub fn each_changed(samples: &[Vec<u8>], mut check: impl FnMut(&[u8])) {
    let number = |name| {
        env::var(name)
            .ok()
            .map(|text| text.parse().expect("a number"))
    };
    let seeds = match number("GATEPOST_MUTATION") {
        Some(seed) => seed..seed + 1,
        None => 0..number("GATEPOST_MUTATIONS").unwrap_or(USUALLY),
    };
    for seed in seeds {
        let _replay = Replay(seed);
        check(&changed(samples, &mut Chance(seed)));
    }
}

/// One of the samples: octets are changed, left out, written twice, or are those of another sample.
fn changed(samples: &[Vec<u8>], chance: &mut Chance) -> Vec<u8> {
    let mut octets = samples[chance.below(samples.len())].clone();
    for _ in 0..=chance.below(CHANGES_MAX) {
        let (from, to) = chance.part(octets.len());
        match chance.below(5) {
            0 if from < octets.len() => octets[from] = chance.next().to_le_bytes()[0],
            1 if from < octets.len() => octets[from] ^= 1 << chance.below(8),
            2 => drop(octets.drain(from..to)),
            3 => {
                let twice = octets[from..to].to_vec();
                octets.splice(from..from, twice);
            }
            _ => {
                let other = &samples[chance.below(samples.len())];
                let (begin, end) = chance.part(other.len());
                octets.splice(from..to, other[begin..end].iter().copied());
            }
        }
    }
    octets
}
