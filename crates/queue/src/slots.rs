use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use mail::ReversePath;
use relay_policy::Grounds;

use crate::{Job, Settings};

/// A kind of traffic. None may hold more than its share of the slots that all have in common:
/// connections, and room in memory.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// Our own notices: a stranger chooses where they go.
    Notices,
    /// Mail for domains of ours, also where it is forwarded or turned back, which anybody may send.
    Strangers,
    /// Mail from one reverse path's domain.
    Sender(Box<str>),
}

impl Kind {
    /// The kinds that a job is of.
    pub(crate) fn of(job: &Job) -> Vec<Self> {
        let any = |is_so: fn(Grounds) -> bool| {
            let mut recipients = job.recipients.iter();
            recipients.any(|recipient| is_so(recipient.admitted.grounds()))
        };
        let mut kinds = Vec::new();
        if any(|grounds| grounds == Grounds::OwnNotice) {
            kinds.push(Self::Notices);
        }
        if any(Grounds::is_of_strangers) {
            kinds.push(Self::Strangers);
        }
        if let ReversePath::Mailbox(sender) = &job.message.reverse_path {
            kinds.push(Self::Sender(sender.host().to_string().into()));
        }
        kinds
    }

    /// How many of `all` slots it may hold; at least one.
    pub(crate) fn share(&self, settings: &Settings, all: usize) -> usize {
        let percent = match self {
            Self::Notices => settings.notices_percent,
            Self::Strangers => settings.strangers_percent,
            Self::Sender(_) => settings.sender_percent,
        };
        percent_of(all, percent).max(1)
    }
}

/// How many of `all` slots sites may hold that the configuration does not name; at least one.
pub(crate) fn unreserved(settings: &Settings, all: usize) -> usize {
    (all - percent_of(all, settings.reserved_percent)).max(1)
}

fn percent_of(all: usize, percent: u32) -> usize {
    all * percent.min(100) as usize / 100
}

/// How many slots each kind holds.
#[derive(Debug, Default)]
pub(crate) struct SlotUsage(HashMap<Kind, usize>);

impl SlotUsage {
    pub(crate) fn take(&mut self, kinds: &[Kind]) {
        for kind in kinds {
            *self.0.entry(kind.clone()).or_default() += 1;
        }
    }

    pub(crate) fn give_back(&mut self, kinds: &[Kind]) {
        for kind in kinds {
            if let Some(count) = self.0.get_mut(kind) {
                *count -= 1;
                if *count == 0 {
                    self.0.remove(kind);
                }
            }
        }
    }

    /// The first of `kinds` that has its whole share of `all` slots.
    pub(crate) fn full<'a>(
        &self,
        kinds: &'a [Kind],
        settings: &Settings,
        all: usize,
    ) -> Option<&'a Kind> {
        let count = |kind| self.0.get(kind).copied().unwrap_or(0);
        kinds
            .iter()
            .find(|kind| count(kind) >= kind.share(settings, all))
    }
}

/// Sites with ready jobs that wait for a connection.
#[derive(Debug, Default)]
pub(crate) struct WaitingSites {
    /// Those that have none, in turn, for any connection.
    unserved: VecDeque<Arc<str>>,
    /// Those that could use another, in turn, when all others have one.
    waiting: VecDeque<Arc<str>>,
    /// In turn, until the kind of traffic that they have ready holds less than its share. May hold
    /// sites that wait no more.
    blocked: BTreeMap<Kind, VecDeque<Arc<str>>>,
}

impl WaitingSites {
    /// A site that has so many connections wants another.
    pub(crate) fn push(&mut self, site: Arc<str>, connections: usize) {
        self.line(connections).push_back(site);
    }

    /// Its turn came, and there was no connection.
    pub(crate) fn push_front(&mut self, site: Arc<str>, connections: usize) {
        self.line(connections).push_front(site);
    }

    fn line(&mut self, connections: usize) -> &mut VecDeque<Arc<str>> {
        if connections == 0 {
            &mut self.unserved
        } else {
            &mut self.waiting
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Arc<str>> {
        let unserved = self.unserved.pop_front();
        unserved.or_else(|| self.waiting.pop_front())
    }

    /// Whose turn it is.
    pub(crate) fn first(&self) -> Option<&Arc<str>> {
        self.unserved.front().or_else(|| self.waiting.front())
    }

    /// One that has stood there since it waited before keeps its slot: else a site with other mail
    /// as well would stand there once for each.
    pub(crate) fn block(&mut self, kind: Kind, site: Arc<str>) {
        let sites = self.blocked.entry(kind).or_default();
        if !sites.contains(&site) {
            sites.push_back(site);
        }
    }

    /// Takes one that waits for a kind of which `has_room` is true.
    pub(crate) fn unblock(&mut self, has_room: impl Fn(&Kind) -> bool) -> Option<Arc<str>> {
        let kind = self.blocked.keys().find(|kind| has_room(kind)).cloned()?;
        let sites = self.blocked.get_mut(&kind)?;
        let site = sites.pop_front();
        if sites.is_empty() {
            self.blocked.remove(&kind);
        }
        site
    }

    pub(crate) fn is_blocked(&self, kind: &Kind) -> bool {
        self.blocked.contains_key(kind)
    }

    /// How many wait for any connection.
    pub(crate) fn waiting(&self) -> usize {
        self.unserved.len() + self.waiting.len()
    }

    /// How many wait in all.
    pub(crate) fn len(&self) -> usize {
        self.waiting() + self.blocked.values().map(VecDeque::len).sum::<usize>()
    }

    pub(crate) fn clear(&mut self) {
        self.unserved.clear();
        self.waiting.clear();
        self.blocked.clear();
    }
}

/// Something in turn, that of sites which the configuration names first.
#[derive(Debug, Default)]
pub(crate) struct Ranked<T> {
    pub(crate) named: T,
    pub(crate) others: T,
}

impl<T> Ranked<T> {
    pub(crate) fn of(&mut self, named: bool) -> &mut T {
        if named {
            &mut self.named
        } else {
            &mut self.others
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_waits_once_for_a_kind_of_traffic() {
        let mut sites = WaitingSites::default();
        for site in ["a.test", "b.test", "a.test"] {
            sites.block(Kind::Notices, site.into());
        }
        assert_eq!(sites.len(), 2);
        let next = || sites.unblock(|_| true);
        let order: Vec<_> = std::iter::from_fn(next).collect();
        assert_eq!(order, ["a.test".into(), "b.test".into()]);
    }
}
