//! The limits in words, before anybody reaches them.

use mail::Place;

use crate::counters::Counted;
use crate::{Freedom, Limit, Rate, SlotLimits, Standing, Subject};

impl Standing {
    /// What holds for a client of a listener with these slots: it came with this standing, and has
    /// `later` by the time it sends (after TLS and sign-in). Each limit in words; a line of the
    /// configuration that set one stands behind it.
    pub fn explain(&self, slots: &SlotLimits, later: &Self) -> Vec<String> {
        let sessions = slots.of_client(self);
        let mut all = vec![cited(
            format!("at most {} sessions of one client", sessions.value),
            &sessions.place,
        )];
        all.extend(self.waits());
        all.extend(self.told(Counted::Connections));
        all.extend(later.told(Counted::Messages));
        all.extend(later.told(Counted::Recipients));
        match later {
            Self::Free(Freedom::Permitted) => {
                all.push("clients that may relay go as fast as they like".into());
            }
            Self::Free(Freedom::Loopback(place)) => {
                let text = "clients on this machine go as fast as they like";
                all.push(cited(text.into(), place));
            }
            Self::Stranger { .. } | Self::User { .. } => {}
        }
        all
    }

    /// The same of bounces that are turned back, for a relay that does so.
    pub fn explain_bounces(&self) -> Vec<String> {
        self.told(Counted::Bounces)
    }

    /// What it has to wait for the greeting.
    fn waits(&self) -> Option<String> {
        let Self::Stranger { limits, .. } = self else {
            return None;
        };
        let delay = &limits.greeting_delay;
        let seconds = delay.value.as_secs_f32();
        (!delay.value.is_zero()).then(|| {
            cited(
                format!("silent for {seconds} s before the greeting"),
                &delay.place,
            )
        })
    }

    fn told(&self, counted: Counted) -> Vec<String> {
        let rates = self.rates(counted).into_iter();
        rates
            .map(|(subject, limit)| told(counted, subject, &limit))
            .collect()
    }
}

/// `100 connections in 60 s of one client`
fn told(counted: Counted, subject: &Subject, limit: &Limit<Rate>) -> String {
    let Rate { count, per } = limit.value;
    let seconds = per.as_secs();
    cited(
        format!("{count} {counted} in {seconds} s of one {subject}"),
        &limit.place,
    )
}

fn cited(text: String, place: &Place) -> String {
    match place {
        Place::Default => text,
        Place::Preset | Place::Line { .. } => format!("{text} ({place})"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{Limits, OwnRates, RateLimits};

    fn limit<T>(value: T, line: u32) -> Limit<T> {
        let place = match line {
            0 => Place::Default,
            line => Place::line(&"gatepost.toml".into(), line, 1),
        };
        Limit { value, place }
    }

    fn limits() -> Arc<Limits> {
        let rate = |count, line| {
            let per = Duration::from_secs(60);
            Some(limit(Rate { count, per }, line))
        };
        let rates = |connections, messages| RateLimits {
            connections,
            messages,
            ..RateLimits::default()
        };
        Arc::new(Limits {
            per_client: rates(rate(120, 0), rate(7, 3)),
            per_network: rates(rate(600, 0), None),
            per_user: rates(None, rate(5, 8)),
            greeting_delay: limit(Duration::from_millis(1_500), 4),
            limit_loopback: limit(false, 6),
            ..Limits::default()
        })
    }

    #[test]
    fn each_client_is_told_what_holds_for_it() {
        let limits = limits();
        let slots = SlotLimits {
            in_all: limit(100, 0),
            per_client: limit(20, 0),
        };
        let standing =
            |address: &str, permitted| Standing::new(address.parse().unwrap(), permitted, &limits);
        let own = OwnRates {
            messages_per_hour: Some(9),
            recipients_per_hour: None,
            place: limit((), 12).place,
        };
        let user = |own| Standing::user(&"ann".into(), own, &limits);
        let stranger = standing("203.0.113.9", false);
        let came = "at most 20 sessions of one client, silent for 1.5 s before the greeting \
                    (gatepost.toml:4), 120 connections in 60 s of one client, 600 connections in \
                    60 s of one network";
        let of_stranger = format!("{came}, 7 messages in 60 s of one client (gatepost.toml:3)");
        let of_everybody = format!("{came}, 5 messages in 60 s of one user (gatepost.toml:8)");
        let its_own = format!("{came}, 9 messages in 3600 s of one user (gatepost.toml:12)");
        let by_certificate = format!("{came}, clients that may relay go as fast as they like");
        for (came, later, expected) in [
            (&stranger, stranger.clone(), &*of_stranger),
            (&stranger, user(&OwnRates::default()), &of_everybody),
            (&stranger, user(&own), &its_own),
            (&stranger, Standing::permitted(), &by_certificate),
            (
                &standing("192.0.2.1", true),
                Standing::permitted(),
                "at most 200 sessions of one client, clients that may relay go as fast as they \
                 like",
            ),
            (
                &standing("127.0.0.1", false),
                standing("::ffff:127.0.0.1", false),
                "at most 20 sessions of one client, clients on this machine go as fast as they \
                 like (gatepost.toml:6)",
            ),
        ] {
            assert_eq!(came.explain(&slots, &later).join(", "), expected);
        }
    }
}
