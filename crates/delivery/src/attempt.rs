use mail::{Failure, Outcome, Reply, Scope};
use route::Hop;

/// Hosts tried in one attempt. The others have their turn in the next: their order is drawn anew.
pub const HOSTS_MAX: usize = 5;

/// One attempt to reach a site: the walk over its hosts, best first (RFC 5321 section 5.1).
///
/// Trouble of a host leads to the next one, and so does a host that cannot take this message for
/// what it offers (its `SIZE`, no `SMTPUTF8`). Any other refusal of a recipient or message is the
/// site's, whatever host said so.
#[derive(Debug)]
pub struct Attempt {
    hops: std::vec::IntoIter<Hop>,
    is_lone: bool,
    last: Option<Failure>,
    trouble: Option<Failure>,
    unfit: Option<Failure>,
}

impl Attempt {
    /// An attempt at `hops`, in this order; those after the first [`HOSTS_MAX`] are left out.
    pub fn new(mut hops: Vec<Hop>) -> Self {
        hops.truncate(HOSTS_MAX);
        Self {
            is_lone: hops.len() == 1,
            hops: hops.into_iter(),
            last: None,
            trouble: None,
            unfit: None,
        }
    }

    /// The host to try now: the first, or after a failure of one the next. `None` when all have
    /// failed: [`Attempt::give_up`].
    pub fn next_hop(&mut self) -> Option<Hop> {
        self.hops.next()
    }

    /// Whether the site has no other host than the one that is tried.
    pub fn is_lone(&self) -> bool {
        self.is_lone
    }

    /// Whether a host remains that can be tried over IPv4.
    pub fn has_ipv4(&self) -> bool {
        let mut left = self.hops.as_slice().iter();
        left.any(|hop| hop.address.is_ipv4())
    }

    /// No host is tried over IPv6 any more.
    pub fn keep_ipv4(&mut self) {
        let left = self.hops.as_slice().iter();
        let left = left.filter(|hop| hop.address.is_ipv4()).cloned();
        self.hops = left.collect::<Vec<_>>().into_iter();
    }

    /// Another message goes over the connection that was found: what was said of the last one does
    /// not count for it.
    pub fn renew(&mut self) {
        (self.last, self.trouble, self.unfit) = (None, None, None);
    }

    /// No connection came about; `why` as the operating system says it (`connection refused`).
    pub fn on_connect_failed(&mut self, hop: &Hop, why: &str) {
        self.on_host_failure(Self::not_connected(hop, why));
    }

    /// What is told of a host to which no connection came about.
    pub fn not_connected(hop: &Hop, why: &str) -> Failure {
        Failure {
            scope: Scope::Host,
            reply: Reply::new(451, 4, 1, format!("Could not connect to {hop}: {why}")),
            host: Some(hop.to_string().into()),
        }
    }

    /// A conversation ended with trouble of its host
    /// ([`Ended::host_failure`](crate::Ended::host_failure)).
    pub fn on_host_failure(&mut self, failure: Failure) {
        self.trouble = Some(failure.clone());
        self.last = Some(failure);
    }

    /// A host will never take this message ([`Ended::unfit`](crate::Ended::unfit)).
    pub fn on_unfit(&mut self, failure: Failure) {
        self.unfit = Some(failure.clone());
        self.last = Some(failure);
    }

    /// What the last host that failed said.
    pub fn last_failure(&self) -> Option<&Failure> {
        self.last.as_ref()
    }

    /// All hosts have failed, which is the outcome of everybody who has none. Names the last host
    /// and what it said.
    pub fn give_up(self) -> Outcome {
        let scope = match self.unfit {
            None => Scope::Site,
            // Whoever answered so far shows that the site works: it is this message that waits for
            // the other hosts.
            Some(_) => Scope::Message,
        };
        match (self.trouble, self.unfit) {
            (Some(trouble), _) => Outcome::Deferred(Failure { scope, ..trouble }),
            (None, Some(unfit)) => Outcome::Failed(Failure { scope, ..unfit }),
            (None, None) => Outcome::Deferred(Failure {
                scope,
                reply: Reply::new(451, 4, 4, "There is no host to connect to"),
                host: None,
            }),
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

    fn deferred(attempt: Attempt) -> Failure {
        match attempt.give_up() {
            Outcome::Deferred(failure) => failure,
            other => panic!("{other:?}"),
        }
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
        let failure = deferred(attempt);
        assert_eq!((failure.scope, failure.reply), (Scope::Site, reply));
        assert_eq!(failure.host.as_deref(), Some("mx2.example [192.0.2.2]:25"));
    }

    #[test]
    fn a_refused_connection_is_told_with_host_and_reason() {
        let mut attempt = Attempt::new(hops(1));
        let hop = attempt.next_hop().unwrap();
        attempt.on_connect_failed(&hop, "connection refused");
        let text = deferred(attempt).reply.to_string();
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
            deferred(Attempt::new(Vec::new()))
                .reply
                .status()
                .to_string(),
            "4.4.4"
        );
    }

    #[test]
    fn what_no_host_can_take_fails_and_waits_for_one_that_was_not_reached() {
        let too_large = |hop: &Hop| Failure {
            scope: Scope::Host,
            reply: Reply::new(552, 3, 4, "too large"),
            host: Some(hop.to_string().into()),
        };
        let mut attempt = Attempt::new(hops(2));
        let first = attempt.next_hop().unwrap();
        attempt.on_unfit(too_large(&first));
        let second = attempt.next_hop().unwrap();
        attempt.on_unfit(too_large(&second));
        let Outcome::Failed(failure) = attempt.give_up() else {
            panic!("not failed")
        };
        assert_eq!((failure.scope, failure.reply.code()), (Scope::Message, 552));

        let mut attempt = Attempt::new(hops(2));
        let first = attempt.next_hop().unwrap();
        attempt.on_connect_failed(&first, "connection refused");
        let second = attempt.next_hop().unwrap();
        attempt.on_unfit(too_large(&second));
        let failure = deferred(attempt);
        // The site is not to be left alone for it.
        assert_eq!(failure.scope, Scope::Message);
        assert!(failure.reply.text().contains("connection refused"));
    }
}
