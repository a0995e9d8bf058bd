//! Under which names mail waits in the spool: its host, and where its sender has a route of its own,
//! or it goes to a filter first, the site of that with the host. What is found under another name, as after a reload that changed such routes, goes
//! by the routes of now all the same; it is brought to its own name page by page, so that it waits
//! behind nobody else's mail and nobody's behind it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use route::Site;
use spool::{DuePlace, Filed, Message, Page, Recipient, SpoolError, Waiting};

use super::{Queue, Turn};
use crate::Action;
use crate::ways::own_way;

/// Messages of one page.
const PAGE: usize = 50;
/// Recipients filed anew in one change, so that no 250 waits for it.
const FILED_MAX: usize = 500;
/// Until the next page: the disk has others to serve.
const PAUSE: Duration = Duration::from_millis(20);
/// The same when a page could not be read, or not be written.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// After a start, before the first page: what is due goes first.
pub(super) const START_PAUSE: Duration = Duration::from_secs(5);

/// How far all that waits has been looked through.
#[derive(Debug, Default)]
pub(super) struct Filing {
    /// The last message of the page before.
    after: Option<QueueId>,
    /// When the next page is wanted; there is no more, or one is under way, when it is `None`.
    next: Option<Timestamp>,
    /// A page is under way.
    busy: bool,
    /// Then all is to be looked at from the beginning.
    again: bool,
    /// The new names of what is being filed anew, and behind which message it goes on after that.
    moved: Option<(BTreeSet<Arc<str>>, Option<QueueId>)>,
}

impl Filing {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.next
    }

    fn is_under_way(&self) -> bool {
        self.busy || self.next.is_some()
    }

    /// The page under way is done.
    fn go_on(&mut self, after: Option<QueueId>, next: Option<Timestamp>) {
        (self.busy, self.after, self.next) = (false, after, next);
    }
}

impl Queue {
    /// All that waits is to be looked through, from the beginning, at this time.
    pub(super) fn file_all(&mut self, at: Timestamp) {
        if self.filing.busy {
            self.filing.again = true;
        } else {
            self.filing.go_on(None, Some(at));
        }
    }

    /// Where it goes, if that is another way than everybody's to its host.
    pub(super) fn own_way(&self, message: &Message, recipient: &Recipient) -> Option<Site> {
        own_way(&self.routes, &message.reverse_path, &recipient.admitted)
    }

    /// Whether it is to be found under another name than it is.
    pub(super) fn is_misfiled(&self, message: &Message, recipient: &Recipient) -> bool {
        recipient.rerouted().is_none()
            && self.filed_elsewhere(message, recipient) != recipient.filed
    }

    /// Has all looked through when one of these is found under a wrong name.
    pub(super) fn note_misfiled(
        &mut self,
        message: &Message,
        recipients: &[Recipient],
        now: Timestamp,
    ) {
        let is_misfiled = |recipient| self.is_misfiled(message, recipient);
        if !self.filing.is_under_way() && recipients.iter().any(is_misfiled) {
            self.file_all(now);
        }
    }

    /// A recipient waits in the spool, due at the first of these times: under the name that was
    /// read with it, or one under which it was brought meanwhile.
    pub(super) fn note_waiting(
        &mut self,
        message: &Message,
        recipient: &Recipient,
        (due, milestone): (Timestamp, Timestamp),
        turn: &mut Turn<'_>,
    ) {
        let mut names: BTreeSet<Arc<str>> = BTreeSet::new();
        names.insert(recipient.filed_under().into());
        names.insert(self.own_name(message, recipient));
        // An operator may have led it elsewhere, or back, while it was in hand.
        names.extend(self.reroutes.iter().cloned());
        let place = DuePlace {
            due,
            id: message.id,
            number: recipient.number,
        };
        for name in names {
            self.note_place(&name, place, milestone, turn);
        }
    }

    fn filed_elsewhere(&self, message: &Message, recipient: &Recipient) -> Option<Arc<str>> {
        let site = self.own_way(message, recipient)?;
        Some(site.filed_name(recipient.admitted.recipient().host()))
    }

    fn own_name(&self, message: &Message, recipient: &Recipient) -> Arc<str> {
        let elsewhere = self.filed_elsewhere(message, recipient);
        elsewhere.unwrap_or_else(|| recipient.admitted.recipient().host().to_string().into())
    }

    pub(super) fn load_filed(&mut self, turn: &mut Turn<'_>) {
        (self.filing.busy, self.filing.next) = (true, None);
        turn.actions.push(Action::LoadFiled(Page {
            after: self.filing.after,
            limit: PAGE,
        }));
    }

    pub(super) fn on_filed_loaded(
        &mut self,
        result: Result<Vec<Waiting>, SpoolError>,
        turn: &mut Turn<'_>,
    ) {
        if std::mem::take(&mut self.filing.again) {
            return self.filing.go_on(None, Some(turn.now));
        }
        let Ok(page) = result else {
            return (self.filing).go_on(self.filing.after, Some(turn.now + LONG_PAUSE));
        };
        let Some(last) = page.last().map(|waiting| waiting.message.id) else {
            return self.filing.go_on(None, None);
        };
        let misfiled = page.iter().flat_map(|waiting| self.to_be_filed(waiting));
        let filed: Vec<Filed> = misfiled.take(FILED_MAX).collect();
        if filed.is_empty() {
            return self.filing.go_on(Some(last), Some(turn.now + PAUSE));
        }
        // When there are more, the same page shows those that are left.
        let after = match filed.len() {
            FILED_MAX => self.filing.after,
            _ => Some(last),
        };
        let names = filed.iter().map(|filed| Arc::clone(&filed.name));
        self.filing.moved = Some((names.collect(), after));
        turn.actions.push(Action::File(filed));
    }

    fn to_be_filed(&self, waiting: &Waiting) -> Vec<Filed> {
        let message = &waiting.message;
        let misfiled = |recipient: &&Recipient| self.is_misfiled(message, recipient);
        let filed = |recipient: &Recipient| Filed {
            id: message.id,
            number: recipient.number,
            name: self.own_name(message, recipient),
        };
        let recipients = waiting.recipients.iter();
        recipients.filter(misfiled).map(filed).collect()
    }

    /// A page is filed, or could not be.
    pub(super) fn on_filed(&mut self, ok: bool, turn: &mut Turn<'_>) {
        let Some((names, after)) = self.filing.moved.take() else {
            return;
        };
        let again = std::mem::take(&mut self.filing.again);
        let (after, pause) = match ok {
            true => (after, PAUSE),
            false => (self.filing.after, LONG_PAUSE),
        };
        let after = after.filter(|_| !again);
        self.filing.go_on(after, Some(turn.now + pause));
        // When they are due may have changed since they were read. Who has become too old is looked
        // for a little later, once for what was filed meanwhile.
        let look = turn.now + LONG_PAUSE;
        for name in names {
            self.look_anew(&name, look, turn);
        }
    }
}
