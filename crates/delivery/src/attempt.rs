use mail::{Failure, Reply, Scope};
use route::Hop;

/// Hosts tried in one attempt. The others have their turn in the next: their order is drawn anew.
pub const HOSTS_MAX: usize = 5;

/// One attempt to reach a site: the walk over its hosts, best first (RFC 5321 section 5.1).
///
/// Only trouble of a host leads to the next one. A refused recipient or message is refused by the site, whatever host said so.
#[derive(Debug)]
pub struct Attempt {
    hops: std::vec::IntoIter<Hop>,
    last: Option<Failure>,
}

impl Attempt {
    /// An attempt at `hops`, in this order; those after the first [`HOSTS_MAX`] are left out.
    pub fn new(mut hops: Vec<Hop>) -> Self {
        hops.truncate(HOSTS_MAX);
        Self {
            hops: hops.into_iter(),
            last: None,
        }
    }

    /// The host to try now: the first, or after a failure of one the next. `None` when all have failed: [`Attempt::give_up`].
    pub fn next_hop(&mut self) -> Option<Hop> {
        self.hops.next()
    }

    /// No connection came about; `why` as the operating system says it (`connection refused`).
    pub fn on_connect_failed(&mut self, hop: &Hop, why: &str) {
        let reply = Reply::new(451, 4, 1, format!("Could not connect to {hop}: {why}"));
        self.on_host_failure(Failure {
            scope: Scope::Host,
            reply,
            host: Some(hop.to_string().into()),
        });
    }

    /// A conversation ended with trouble of its host ([`Ended::host_failure`](crate::Ended::host_failure)).
    pub fn on_host_failure(&mut self, failure: Failure) {
        self.last = Some(failure);
    }

    /// What the last host that failed said.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last.as_ref()
    }

    /// All hosts have failed: the outcome is deferral for this reason. Names the last host and what it said.
    pub fn give_up(self) -> Failure {
        let failure = self.last.unwrap_or_else(|| Failure {
            scope: Scope::Site,
            reply: Reply::new(451, 4, 4, "There is no host to connect to"),
            host: None,
        });
        Failure {
            scope: Scope::Site,
            ..failure
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hops(n: u8) -> Vec<Hop> {
        (1..=n)
            .map(|i| Hop::new(format!("mx{i}.example"), ([192, 0, 2, i], 25).into()))
            .collect()
    }

    #[test]
    fn hosts_are_tried_in_order_and_the_last_word_is_kept() {
        let mut attempt = Attempt::new(hops(2));
        let first = attempt.next_hop().unwrap();
        assert_eq!(&*first.name, "mx1.example");
        attempt.on_connect_failed(&first, "connection refused");
        let second = attempt.next_hop().unwrap();
        let reply = Reply::new(554, 0, 0, "no service");
        attempt.on_host_failure(Failure {
            scope: Scope::Host,
            reply: reply.clone(),
            host: Some(second.to_string().into()),
        });
        assert_eq!(attempt.next_hop(), None);
        let failure = attempt.give_up();
        assert_eq!((failure.scope, failure.reply), (Scope::Site, reply));
        assert_eq!(failure.host.as_deref(), Some("mx2.example [192.0.2.2]:25"));
    }

    #[test]
    fn a_refused_connection_is_told_with_host_and_reason() {
        let mut attempt = Attempt::new(hops(1));
        let hop = attempt.next_hop().unwrap();
        attempt.on_connect_failed(&hop, "connection refused");
        let text = attempt.give_up().reply.to_string();
        assert_eq!(
            text,
            "451 4.4.1 Could not connect to mx1.example [192.0.2.1]:25: connection refused"
        );
    }

    #[test]
    fn no_more_than_the_named_number_of_hosts_is_tried() {
        let mut attempt = Attempt::new(hops(9));
        assert_eq!(std::iter::from_fn(|| attempt.next_hop()).count(), HOSTS_MAX);
    }

    #[test]
    fn a_site_without_hosts_is_deferred() {
        assert_eq!(
            Attempt::new(Vec::new())
                .give_up()
                .reply
                .status()
                .to_string(),
            "4.4.4"
        );
    }
}
