//! When a certificate is renewed. Nothing here reads a clock or asks anybody: moments and random
//! numbers are arguments.

use std::time::Duration;

use mail::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// How long what an authority says of renewal holds, where it does not say so itself.
const ASK_AGAIN: Duration = Duration::from_secs(6 * 60 * 60);
/// RFC 9773 section 4.3.2: "Clients MUST set reasonable limits on their checking interval. For
/// example, values under one minute could be treated as if they were one minute, and values over one
/// day could be treated as if they were one day."
const ASK_AGAIN_MIN: Duration = MINUTE;
const ASK_AGAIN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// An authority that finds every certificate due at once does not get us to order all the time.
const AGE_MIN: Duration = HOUR;

/// So much of its life is left at least when a certificate is renewed, whatever the authority says.
const REST: u32 = 10;
/// Relays that got theirs together renew at different times: within this part of its life.
const SPREAD: u32 = 30;

/// Doublings of the pause after a failure.
const DOUBLINGS_MAX: u32 = 16;
/// The longest pause, but for a part of it by chance.
const REFUSED_MAX: Duration = Duration::from_secs(6 * 60 * 60);
/// That part, of one.
const PAUSE_SPREAD: f64 = 4.0;
/// An authority that wants to be left alone for longer is asked then all the same.
const LIMITED_MAX: Duration = Duration::from_secs(24 * 60 * 60);
/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(26 * 60 * 60);

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// Its first moment.
    pub begins: Timestamp,
    /// Its last one.
    pub ends: Timestamp,
}

impl Life {
    /// How long that is.
    pub fn length(self) -> Duration {
        self.ends.since(self.begins)
    }
}

/// When an authority suggests to renew (RFC 9773 section 4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    begins: Timestamp,
    ends: Timestamp,
}

impl Window {
    /// `None` where it does not end after it began: such a one counts as none.
    pub fn new(begins: Timestamp, ends: Timestamp) -> Option<Self> {
        (begins < ends).then_some(Self { begins, ends })
    }
}

/// Why no certificate was got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The authority did not answer, or not as one: it may at any time.
    Unreachable,
    /// It said no, or what we need for it failed: authorities count how often somebody fails.
    Refused,
    /// It has had enough of us, and wants to be left alone for so long.
    Limited(Duration),
}

impl Failure {
    /// The first pause after it, and the longest.
    fn pauses(self) -> (Duration, Duration) {
        match self {
            Self::Unreachable => (MINUTE, HOUR),
            Self::Refused | Self::Limited(_) => (15 * MINUTE, REFUSED_MAX),
        }
    }

    /// There is no pause shorter than this.
    fn least(self) -> Duration {
        match self {
            Self::Limited(wait) => wait.min(LIMITED_MAX),
            Self::Unreachable | Self::Refused => Duration::ZERO,
        }
    }
}

/// What is to be done for one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// A certificate is to be ordered.
    Order,
    /// The authority is to be asked when it suggests to renew.
    Ask,
    /// Nothing until then.
    Wait(Timestamp),
}

/// The certificate of one name, and when it is renewed: when the authority suggests, else when two
/// thirds of its life are over.
#[derive(Debug, Clone, PartialEq)]
pub struct Renewal {
    life: Option<Life>,
    window: Option<Window>,
    /// Between 0 and 1: where in a window.
    spread: f64,
    ask_at: Timestamp,
    obtained_at: Timestamp,
    failures: u32,
    retry_at: Option<Timestamp>,
    /// Whether one is wanted whatever the life of the one that is there.
    is_wanted: bool,
}

impl Renewal {
    /// Of a certificate that is there, or of none. `spread` is a random number between 0 and 1.
    pub fn new(life: Option<Life>, spread: f64) -> Self {
        Self {
            life,
            window: None,
            spread: spread.clamp(0.0, 1.0),
            ask_at: Timestamp::default(),
            obtained_at: Timestamp::default(),
            failures: 0,
            retry_at: None,
            is_wanted: false,
        }
    }

    /// A certificate was got.
    pub fn obtained(&mut self, life: Life, spread: f64, now: Timestamp) {
        *self = Self {
            obtained_at: now,
            ..Self::new(Some(life), spread)
        };
    }

    /// What the authority said, and for how long it holds; `None`: it says nothing, or nothing that
    /// can be used. What it said before holds on while it cannot be asked.
    pub fn advised(&mut self, advice: Option<(Window, Duration)>, now: Timestamp) {
        let again = match advice {
            Some((window, again)) => {
                self.window = Some(window);
                again.clamp(ASK_AGAIN_MIN, ASK_AGAIN_MAX)
            }
            None => ASK_AGAIN,
        };
        self.ask_at = now + again;
    }

    /// No certificate was got. `spread` is a random number between 0 and 1: relays that failed
    /// together do not come again together.
    pub fn failed(&mut self, why: Failure, spread: f64, now: Timestamp) {
        let (first, longest) = why.pauses();
        let doubled = first * 2_u32.pow(self.failures.min(DOUBLINGS_MAX));
        let pause = doubled.min(longest);
        self.failures = self.failures.saturating_add(1);
        let by_chance = pause.mul_f64(spread.clamp(0.0, 1.0) / PAUSE_SPREAD);
        self.retry_at = Some(now + pause.max(why.least()) + by_chance);
    }

    /// A new one is wanted now, and tried for until it was got.
    pub fn want(&mut self) {
        self.is_wanted = true;
        self.retry_at = None;
    }

    /// What kept a certificate from being got may be mended: the pause is over.
    pub fn retry(&mut self) {
        self.retry_at = None;
    }

    /// Whether one is wanted that nobody tried for yet.
    pub fn is_wanted(&self) -> bool {
        self.is_wanted && self.retry_at.is_none()
    }

    /// How often it failed since a certificate was got.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// When a certificate is ordered, as far as is known; `None`: as soon as can be.
    pub fn at(&self) -> Option<Timestamp> {
        match (self.due(), self.retry_at) {
            (Some(due), Some(retry)) => Some(due.max(retry)),
            (due, retry) => due.or(retry),
        }
    }

    /// When it is due but for failures; `None`: at once.
    fn due(&self) -> Option<Timestamp> {
        let life = self.life.filter(|_| !self.is_wanted)?;
        let length = life.length();
        let at = match self.window {
            Some(window) => window.begins + window.ends.since(window.begins).mul_f64(self.spread),
            None => life.begins + length * 2 / 3 + (length / SPREAD).mul_f64(self.spread),
        };
        let last = life.ends - length / REST;
        Some(at.min(last).max(self.obtained_at + AGE_MIN.min(length / 3)))
    }

    /// What is to be done now. The clock may have been set back meanwhile: what it said before holds
    /// for no longer than it could have been meant to.
    pub fn next(&mut self, now: Timestamp) -> Due {
        self.obtained_at = self.obtained_at.min(now);
        self.retry_at = self.retry_at.filter(|retry| *retry <= now + PAUSE_MAX);
        if self.ask_at > now + ASK_AGAIN_MAX {
            self.ask_at = now;
        }
        if let Some(retry) = self.retry_at.filter(|retry| *retry > now) {
            return Due::Wait(retry);
        }
        match self.due() {
            None => Due::Order,
            Some(_) if self.ask_at <= now => Due::Ask,
            Some(due) if due <= now => Due::Order,
            Some(due) => Due::Wait(due.min(self.ask_at)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn life(from: Timestamp, days: u32) -> Life {
        Life {
            begins: from,
            ends: from + DAY * days,
        }
    }

    /// An authority in virtual time: when it answers, and what it says of renewal.
    struct Authority {
        down: std::ops::Range<Timestamp>,
        days: u32,
        window: fn(Life) -> Option<Window>,
    }

    /// When certificates were got within `span`, and the shortest rest of life that there was.
    fn lived(authority: &Authority, spread: f64, span: Duration) -> (Vec<Duration>, Duration) {
        let (mut now, mut renewal) = (START, Renewal::new(None, spread));
        let (mut got, mut rest) = (Vec::new(), Duration::MAX);
        let mut held = None;
        while now < START + span {
            let is_down = authority.down.contains(&now);
            rest = rest.min(held.map_or(Duration::MAX, |life: Life| life.ends.since(now)));
            match renewal.next(now) {
                Due::Wait(until) => {
                    assert!(until > now, "{renewal:?}");
                    now = until;
                }
                Due::Ask => {
                    let window = held.filter(|_| !is_down).and_then(authority.window);
                    renewal.advised(window.map(|window| (window, 6 * HOUR)), now);
                }
                Due::Order if is_down => renewal.failed(Failure::Unreachable, spread, now),
                Due::Order => {
                    let new = life(now, authority.days);
                    held = Some(new);
                    renewal.obtained(new, spread, now);
                    got.push(now.since(START));
                }
            }
        }
        (got, rest)
    }

    const NEVER: std::ops::Range<Timestamp> = START..START;

    #[test]
    fn without_advice_two_thirds_of_life_pass() {
        let authority = Authority {
            down: NEVER,
            days: 90,
            window: |_| None,
        };
        let (got, rest) = lived(&authority, 0.0, 365 * DAY);
        assert_eq!(got, [0, 60, 120, 180, 240, 300, 360].map(|days| DAY * days));
        assert_eq!(rest, 30 * DAY);
        // Others come up to a thirtieth of the life later.
        let (got, _) = lived(&authority, 1.0, 100 * DAY);
        assert_eq!(got, [Duration::ZERO, 63 * DAY]);
    }

    #[test]
    fn certificates_of_a_week_are_renewed_as_well() {
        let authority = Authority {
            down: NEVER,
            days: 6,
            window: |_| None,
        };
        let (got, rest) = lived(&authority, 0.0, 13 * DAY);
        assert_eq!(got, [0, 4, 8, 12].map(|days| DAY * days));
        assert_eq!(rest, 2 * DAY);
    }

    #[test]
    fn the_authority_says_when() {
        let authority = Authority {
            down: NEVER,
            days: 90,
            window: |life| Window::new(life.begins + 20 * DAY, life.begins + 22 * DAY),
        };
        let (got, _) = lived(&authority, 0.5, 50 * DAY);
        assert_eq!(got, [0, 21, 42].map(|days| DAY * days));
    }

    /// It revokes all that it gave, so to speak; and one that always does gets no flood.
    #[test]
    fn a_window_that_is_over_means_now_but_not_all_the_time() {
        let mut renewal = Renewal::new(Some(life(START - DAY, 90)), 0.5);
        assert_eq!(renewal.next(START), Due::Ask);
        let past = Window::new(START - 2 * DAY, START - DAY).unwrap();
        renewal.advised(Some((past, HOUR)), START);
        assert_eq!(renewal.next(START), Due::Order);
        renewal.obtained(life(START, 90), 0.5, START);
        renewal.advised(Some((past, HOUR)), START);
        assert_eq!(renewal.next(START), Due::Wait(START + HOUR));
    }

    #[test]
    fn a_window_too_late_or_none_at_all_costs_no_outage() {
        let late = Authority {
            down: NEVER,
            days: 90,
            window: |life| Window::new(life.ends + DAY, life.ends + 2 * DAY),
        };
        let (got, rest) = lived(&late, 0.5, 100 * DAY);
        assert_eq!((got.len(), rest), (2, 9 * DAY));
        assert_eq!(Window::new(START, START), None);
        assert_eq!(Window::new(START + DAY, START), None);
    }

    #[test]
    fn an_authority_that_is_down_for_weeks_is_asked_again_and_again() {
        let authority = Authority {
            down: START + 59 * DAY..START + 85 * DAY,
            days: 90,
            window: |_| None,
        };
        let (got, rest) = lived(&authority, 0.0, 100 * DAY);
        let [_, second] = got[..] else {
            panic!("{got:?}")
        };
        assert!(
            second < 85 * DAY + HOUR && rest > 4 * DAY,
            "{got:?} {rest:?}"
        );
    }

    #[test]
    fn pauses_grow_and_differ_by_cause() {
        let mut renewal = Renewal::new(None, 0.0);
        let mut pauses = |why, spread| {
            renewal.failed(why, spread, START);
            match renewal.next(START) {
                Due::Wait(until) => until.since(START),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(pauses(Failure::Unreachable, 0.0), MINUTE);
        assert_eq!(pauses(Failure::Unreachable, 1.0), 2 * MINUTE + MINUTE / 2);
        assert_eq!(pauses(Failure::Refused, 0.0), HOUR);
        for _ in 0..60 {
            pauses(Failure::Refused, 0.0);
        }
        assert_eq!(pauses(Failure::Refused, 0.0), 6 * HOUR);
        assert_eq!(pauses(Failure::Unreachable, 0.0), HOUR);
        renewal.want();
        assert_eq!((renewal.next(START), renewal.at()), (Due::Order, None));
    }

    /// Without a number of its own it would be a refusal as others are.
    #[test]
    fn an_authority_that_has_had_enough_is_left_alone_for_as_long_as_it_says_within_a_day() {
        for (asked, spread, expected) in [
            (Duration::ZERO, 0.0, 15 * MINUTE),
            (3 * HOUR, 0.0, 3 * HOUR),
            (3 * HOUR, 1.0, 3 * HOUR + 15 * MINUTE / 4),
            (DAY, 0.0, DAY),
            (400 * DAY, 0.0, DAY),
            (Duration::MAX, 1.0, DAY + 15 * MINUTE / 4),
        ] {
            let mut renewal = Renewal::new(Some(life(START - 89 * DAY, 90)), 0.0);
            renewal.failed(Failure::Limited(asked), spread, START);
            let until = START + expected;
            assert_eq!(renewal.next(START), Due::Wait(until), "{asked:?}");
            assert_eq!(renewal.at(), Some(until));
            assert_ne!(renewal.next(until), Due::Wait(until));
        }
        let mut renewal = Renewal::new(None, 0.0);
        for _ in 0..60 {
            renewal.failed(Failure::Limited(DAY), 1.0, START);
        }
        assert!(matches!(renewal.next(START), Due::Wait(_)));
    }

    /// Another authority is configured, and does not give one at first: the certificate of the one
    /// before would be good for weeks.
    #[test]
    fn what_is_wanted_is_tried_for_until_it_is_there() {
        let mut renewal = Renewal::new(Some(life(START, 90)), 0.0);
        renewal.want();
        assert!(renewal.is_wanted());
        renewal.failed(Failure::Refused, 0.0, START);
        let again = START + 15 * MINUTE;
        assert_eq!(renewal.next(START), Due::Wait(again));
        assert_eq!((renewal.is_wanted(), renewal.at()), (false, Some(again)));
        assert_eq!(renewal.next(again), Due::Order);
        renewal.obtained(life(again, 90), 0.0, again);
        assert_eq!(renewal.next(again), Due::Ask);
    }

    /// A machine begins with a clock that is years ahead, by which no authority can be believed.
    #[test]
    fn a_clock_that_is_set_back_costs_no_certificate() {
        let ahead = START + 3650 * DAY;
        let mut renewal = Renewal::new(None, 0.0);
        renewal.failed(Failure::Refused, 0.0, ahead);
        assert_eq!(renewal.next(START), Due::Order);
        let mut renewal = Renewal::new(Some(life(START, 90)), 0.0);
        renewal.advised(None, ahead);
        assert_eq!(renewal.next(START), Due::Ask);
        let mut renewal = Renewal::new(None, 0.0);
        renewal.obtained(life(START, 90), 0.0, ahead);
        assert_eq!(renewal.next(START), Due::Ask);
        renewal.advised(None, START + 60 * DAY);
        assert_eq!(renewal.next(START + 60 * DAY), Due::Order);
    }

    #[test]
    fn what_the_authority_said_last_holds_while_it_is_down() {
        let mut renewal = Renewal::new(Some(life(START, 90)), 0.0);
        let window = Window::new(START + 30 * DAY, START + 31 * DAY).unwrap();
        renewal.advised(Some((window, Duration::ZERO)), START);
        assert_eq!(renewal.next(START), Due::Wait(START + MINUTE));
        renewal.advised(None, START + MINUTE);
        assert_eq!(renewal.at(), Some(START + 30 * DAY));
        let day_long = Duration::from_secs(u64::MAX / 2);
        renewal.advised(Some((window, day_long)), START);
        assert_eq!(renewal.next(START), Due::Wait(START + DAY));
    }

    proptest! {
        /// Whatever the authority suggests, and whatever the life: there is an end to waiting before
        /// the certificate's.
        #[test]
        fn it_is_due_before_it_ends(
            length in 60_000_u64..1_000_000_000_000, from in any::<u32>(), long in any::<u32>(), spread in 0.0..1.0,
        ) {
            let ends = START + Duration::from_millis(length);
            let mut renewal = Renewal::new(Some(Life { begins: START, ends }), spread);
            let from = Timestamp::from_millis(u64::from(from) * 1000);
            let window = Window::new(from, from + Duration::from_secs(u64::from(long)));
            renewal.advised(window.map(|window| (window, DAY)), START);
            prop_assert!(renewal.at().unwrap() < ends);
        }
    }
}
