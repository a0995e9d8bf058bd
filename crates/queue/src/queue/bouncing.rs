//! What an operator gave up bounces: page by page, so that a million of them neither fill the memory
//! nor hold up the disk.

use std::sync::Arc;
use std::time::Duration;

use mail::{QueueId, Timestamp};
use spool::{Page, SpoolError, Waiting};

use super::{Queue, Turn};
use crate::{Action, Decided, Judged, schedule};

/// Messages of one page.
const PAGE: usize = 200;
/// Until the next page: what the last one brought is mostly written by then.
const PAUSE: Duration = Duration::from_millis(100);
/// The same when there is none, or none could be read.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How far the bounces are that operators asked for.
#[derive(Debug, Default)]
pub(super) struct Bouncing {
    /// A page is on its way since then, as [`crate::claims::Claims`] counts.
    loading: Option<u64>,
    /// That page may show less than there is.
    stale: bool,
    /// The last message of the page before: agents may have all of a page in hand, and keep it.
    after: Option<QueueId>,
    /// When the next page is wanted; there may be no more when it is `None`.
    next: Option<Timestamp>,
}

impl Bouncing {
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.next
    }
}

impl Queue {
    /// There may be recipients that bounce: a page of them is wanted.
    pub(super) fn load_bouncing(&mut self, turn: &mut Turn<'_>) {
        self.bouncing.next = None;
        if self.bouncing.loading.is_some() {
            self.bouncing.stale = true;
            return;
        }
        self.bouncing.loading = Some(self.claims.begin_load());
        turn.actions.push(Action::LoadBouncing(Page {
            after: self.bouncing.after,
            limit: PAGE,
        }));
    }

    /// Gives up who is in the page and in nobody's hand.
    pub(super) fn on_bouncing_loaded(
        &mut self,
        result: Result<Vec<Waiting>, SpoolError>,
        turn: &mut Turn<'_>,
    ) {
        let Some(began) = self.bouncing.loading.take() else {
            return;
        };
        let is_stale = std::mem::take(&mut self.bouncing.stale);
        let is_read = result.is_ok();
        let page = result.unwrap_or_default();
        let last = page.last().map(|waiting| waiting.message.id);
        // Behind the end it begins anew, until nothing is found from there either.
        let is_done = is_read && last.is_none() && self.bouncing.after.is_none();
        if is_read {
            self.bouncing.after = last.filter(|_| self.settling.is_well() && !is_stale);
        }
        for waiting in page {
            if self.settling.is_well() {
                self.bounce(waiting, began, turn);
            }
        }
        self.claims.end_load(began);
        let pause = if last.is_some() { PAUSE } else { LONG_PAUSE };
        self.bouncing.next = (is_stale || !is_done).then_some(turn.now + pause);
    }

    fn bounce(&mut self, waiting: Waiting, began: u64, turn: &mut Turn<'_>) {
        let Waiting {
            message,
            recipients,
            content: _,
        } = waiting;
        let mut judged = Vec::new();
        for recipient in recipients {
            let key = (message.id, recipient.number);
            // An agent that has it in hand may deliver it yet.
            if self.claims.is_taken(key, began) || !self.claim(key, &recipient.filed_under()) {
                continue;
            }
            judged.push(Judged {
                site: self.site_of(&message, &recipient).name,
                disposition: schedule::given_up_by_operator(&self.settings, &message, &recipient),
                recipient,
                tried: false,
            });
        }
        if judged.is_empty() {
            return;
        }
        let decided = Decided {
            message: Arc::clone(&message),
            content: None,
            untold: Vec::new(),
            dsn_passed: Vec::new(),
            recipients: judged,
        };
        self.settle(decided, turn);
    }
}
