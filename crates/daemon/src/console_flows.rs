//! Sign-ins at the console on their way to an issuer and back. Nothing is kept of one but what its
//! browser holds, so that strangers who begin many take no room; those that came to their end are
//! remembered, and count once.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;

/// How long somebody may take at the issuer.
pub(crate) const VALID_FOR: Duration = Duration::from_mins(10);
/// Sign-ins that have succeeded of late; where there are more, nobody comes in for a while.
const USED_MAX: usize = 1_000;

/// What sign-ins are told apart by. Times are those since the start of the process, with which its
/// key ends.
pub(crate) struct ConsoleFlows {
    key: hmac::Key,
    /// Until when each could still be used, by its state.
    used: Mutex<BTreeMap<String, Duration>>,
}

/// One sign-in.
pub(crate) struct Flow {
    /// What the browser holds.
    pub(crate) ticket: String,
    /// What goes to the issuer, and comes back with the code.
    pub(crate) state: String,
    /// What the issuer puts into the token.
    pub(crate) nonce: String,
    /// What the issuer is shown for the code, and knows the digest of before (RFC 7636).
    pub(crate) verifier: String,
    until: Duration,
}

impl Default for ConsoleFlows {
    fn default() -> Self {
        let octets: [u8; 32] = rand::random();
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, &octets),
            used: Mutex::default(),
        }
    }
}

impl ConsoleFlows {
    /// A new one.
    pub(crate) fn begin(&self, now: Duration) -> Flow {
        let octets: [u8; 32] = rand::random();
        let until = now + VALID_FOR;
        let ticket = format!("{}.{}", mail::hex(octets), until.as_secs());
        self.of(ticket, until)
    }

    /// The one of which a browser brings ticket and state, if it is not too old.
    pub(crate) fn find(&self, ticket: &str, state: &str, now: Duration) -> Option<Flow> {
        let (_, until) = ticket.split_once('.')?;
        let until = Duration::from_secs(until.parse().ok()?);
        // Whoever wrote another time on it has another state.
        let flow = self.of(ticket.to_owned(), until);
        let is_its = verify_slices_are_equal(flow.state.as_bytes(), state.as_bytes()).is_ok();
        (is_its && now < until).then_some(flow)
    }

    /// Whether it counts: it does once.
    pub(crate) fn use_up(&self, flow: &Flow, now: Duration) -> bool {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        used.retain(|_, until| now < *until);
        used.len() < USED_MAX && used.insert(flow.state.clone(), flow.until).is_none()
    }

    fn of(&self, ticket: String, until: Duration) -> Flow {
        let [state, nonce, verifier] = ["state", "nonce", "verifier"].map(|word| {
            let tag = hmac::sign(&self.key, format!("{word} {ticket}").as_bytes());
            mail::hex(tag)
        });
        Flow {
            ticket,
            state,
            nonce,
            verifier,
            until,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    #[test]
    fn who_comes_back_is_who_left_and_in_time() {
        let flows = ConsoleFlows::default();
        let [one, other] = [flows.begin(START), flows.begin(START)];
        assert_ne!(one.state, other.state);
        let last = START + VALID_FOR - Duration::from_secs(1);
        let found = flows.find(&one.ticket, &one.state, last).unwrap();
        assert_eq!((&found.nonce, &found.verifier), (&one.nonce, &one.verifier));
        let later = one.ticket.replace(".1600", ".9600");
        assert_ne!(later, one.ticket);
        for (ticket, state, now) in [
            (&*one.ticket, &*one.state, START + VALID_FOR),
            (&one.ticket, &other.state, START),
            (&other.ticket, &one.state, START),
            (&later, &one.state, START),
            (&one.ticket, "", START),
            ("", &one.state, START),
            ("x.y", &one.state, START),
        ] {
            assert!(flows.find(ticket, state, now).is_none(), "{ticket} {state}");
        }
        let anew = ConsoleFlows::default();
        assert!(anew.find(&one.ticket, &one.state, START).is_none());
    }

    #[test]
    fn a_sign_in_counts_once() {
        let flows = ConsoleFlows::default();
        let flow = flows.begin(START);
        assert!(flows.use_up(&flow, START));
        assert!(!flows.use_up(&flow, START));
        for _ in 1..USED_MAX {
            assert!(flows.use_up(&flows.begin(START), START));
        }
        let one_more = flows.begin(START);
        assert!(!flows.use_up(&one_more, START));
        assert!(flows.use_up(&one_more, START + VALID_FOR));
    }
}
