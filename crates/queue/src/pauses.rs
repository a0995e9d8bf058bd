use mail::{Failure, Reply, Scope, Timestamp};
use spool::Pause;

/// What operators have paused.
#[derive(Debug, Default)]
pub(crate) struct Pauses(Vec<Pause>);

impl Pauses {
    /// These in place of all; those that are over count no more.
    pub(crate) fn replace(&mut self, pauses: Vec<Pause>, now: Timestamp) {
        self.0 = pauses;
        self.0.retain(|pause| !pause.is_over(now));
    }

    /// Forgets those that are over, and gives them.
    pub(crate) fn end_over(&mut self, now: Timestamp) -> Vec<Pause> {
        self.0.extract_if(.., |pause| pause.is_over(now)).collect()
    }

    /// When the next of them is over.
    pub(crate) fn deadline(&self) -> Option<Timestamp> {
        self.0.iter().filter_map(|pause| pause.until).min()
    }

    /// The pause under which nothing goes to a site: of those that hold, the one that ends last.
    pub(crate) fn of(&self, site: &str) -> Option<&Pause> {
        let holds = |pause: &&Pause| pause.site.as_deref().is_none_or(|name| name == site);
        self.0.iter().filter(holds).max_by_key(|pause| end(pause))
    }

    /// Until when nothing goes to a site.
    pub(crate) fn until(&self, site: &str) -> Option<Timestamp> {
        self.of(site).map(end)
    }

    /// Sites that are paused by their names.
    pub(crate) fn sites(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|pause| pause.site.as_deref())
    }
}

fn end(pause: &Pause) -> Timestamp {
    pause.until.unwrap_or(Timestamp::from_millis(u64::MAX))
}

/// What is wrong with a site that is paused, for those who wait too long for it.
pub(crate) fn paused() -> Failure {
    Failure {
        scope: Scope::Site,
        // RFC 3463 section 3.4: X.3.2, system not accepting network messages.
        reply: Reply::new(451, 3, 2, "Delivery is paused by the administrator"),
        host: None,
    }
}
