//! Which codes of second factors have counted, and who guesses at one.

use std::collections::HashMap;

use crate::Totp;
use crate::totp::{DRIFT_STEPS, STEP_SECONDS};

/// Wrong codes of one user within [`WINDOW_SECONDS`], from wherever they come: only who has the
/// password comes this far, so nobody else can shut the user out by them. A code has a million
/// values, and three of them are good at a time.
const WRONG_MAX: u32 = 10;
const WINDOW_SECONDS: u64 = 600;

/// What is remembered of codes, each user's for ten minutes. The time is an argument: seconds since
/// 1970 (UTC).
#[derive(Debug, Default)]
pub struct Codes {
    by_user: HashMap<Box<str>, Record>,
}

#[derive(Debug, Default)]
struct Record {
    /// The steps whose codes have counted, as far as they could count again.
    counted: Vec<u64>,
    wrong: u32,
    /// When the wrong ones began to count.
    since: u64,
    last: u64,
}

impl Codes {
    /// Whether this code of `totp` lets `user` in now. One that does counts no second time (RFC 6238
    /// section 5.2: "The verifier MUST NOT accept the second attempt of the OTP"). After ten wrong
    /// ones none counts until ten minutes after the first of them.
    pub fn accept(&mut self, user: &str, totp: &Totp, code: &str, now: u64) -> bool {
        self.by_user
            .retain(|_, record| now.abs_diff(record.last) <= WINDOW_SECONDS);
        let record = self.by_user.entry(user.into()).or_default();
        record.last = now;
        if record.wrong > 0 && now.abs_diff(record.since) > WINDOW_SECONDS {
            record.wrong = 0;
        }
        if record.wrong >= WRONG_MAX {
            return false;
        }
        let this_step = now / STEP_SECONDS;
        record
            .counted
            .retain(|step| step.abs_diff(this_step) <= u64::from(DRIFT_STEPS));
        match totp.step_of(code, now) {
            Some(step) if !record.counted.contains(&step) => {
                record.counted.push(step);
                record.wrong = 0;
                true
            }
            Some(_) | None => {
                if record.wrong == 0 {
                    record.since = now;
                }
                record.wrong += 1;
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn totp() -> Totp {
        Totp::parse("GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ").unwrap()
    }

    /// A code that is good at no time near this one.
    fn wrong() -> String {
        let is_wrong = |code: &String| totp().step_of(code, NOW).is_none();
        (0..4).map(|n| format!("{n:06}")).find(is_wrong).unwrap()
    }

    #[test]
    fn a_code_counts_once() {
        let (mut codes, totp) = (Codes::default(), totp());
        let code = totp.code_at(NOW);
        assert!(codes.accept("ann", &totp, &code, NOW));
        for later in [0, 29, 30, 59] {
            assert!(!codes.accept("ann", &totp, &code, NOW + later), "{later}");
        }
        // Another user's secret may give the same code; the next one of the same user is another.
        assert!(codes.accept("bob", &totp, &code, NOW));
        assert!(codes.accept("ann", &totp, &totp.code_at(NOW + 30), NOW + 30));
        // Of a step before, which a slow phone still shows, but only once either.
        assert!(codes.accept("ann", &totp, &totp.code_at(NOW + 60), NOW + 90));
        assert!(!codes.accept("ann", &totp, &totp.code_at(NOW + 60), NOW + 90));
    }

    #[test]
    fn who_guesses_is_stopped_for_a_while_and_others_are_not() {
        let (mut codes, totp) = (Codes::default(), totp());
        for second in 0..10 {
            assert!(!codes.accept("ann", &totp, &wrong(), NOW + second));
        }
        let at = |seconds| totp.code_at(NOW + seconds);
        assert!(!codes.accept("ann", &totp, &at(10), NOW + 10));
        assert!(!codes.accept("ann", &totp, &at(600), NOW + 600));
        assert!(codes.accept("bob", &totp, &at(10), NOW + 10));
        assert!(codes.accept("ann", &totp, &at(630), NOW + 630));
    }

    #[test]
    fn the_right_code_forgives_wrong_ones_and_what_is_old_is_forgotten() {
        let (mut codes, totp) = (Codes::default(), totp());
        for code in [totp.code_at(NOW), totp.code_at(NOW + 30)] {
            for _ in 0..9 {
                assert!(!codes.accept("ann", &totp, &wrong(), NOW));
            }
            assert!(codes.accept("ann", &totp, &code, NOW));
        }
        assert!(codes.accept("bob", &totp, &totp.code_at(NOW + 1000), NOW + 1000));
        assert_eq!(codes.by_user.len(), 1);
    }

    /// The system's clock may be set back.
    #[test]
    fn a_clock_that_goes_back_shuts_nobody_out() {
        let (mut codes, totp) = (Codes::default(), totp());
        assert!(codes.accept("ann", &totp, &totp.code_at(NOW), NOW));
        let before = NOW - 3600;
        assert!(codes.accept("ann", &totp, &totp.code_at(before), before));
    }
}
