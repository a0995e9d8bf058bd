//! What an operator gave up bounces: page by page, so that a million of them neither fill the memory
//! nor hold up the disk.

use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use spool::{SpoolError, Waiting};

use super::{Queue, Turn};
use crate::{Action, Decided, Judged, schedule};

/// Messages of one page.
const PAGE: usize = 200;
/// Until the next page: what the last one brought is mostly written by then.
const PAUSE: Duration = Duration::from_millis(100);
/// The same when nothing of a page could be had: agents had all of it in hand, the spool could not
/// be read, or could not write.
const LONG_PAUSE: Duration = Duration::from_secs(1);

/// How far the bounces are that operators asked for.
#[derive(Debug, Default)]
pub(super) struct Bouncing {
    /// A page is on its way since then, as [`crate::claims::Claims`] counts.
    loading: Option<u64>,
    /// That page may show less than there is.
    stale: bool,
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
        turn.actions.push(Action::LoadBouncing { limit: PAGE });
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
        let (is_last, mut any) = (matches!(&result, Ok(page) if page.is_empty()), false);
        for waiting in result.unwrap_or_default() {
            if self.settling.is_well() {
                any |= self.bounce(waiting, began, turn);
            }
        }
        self.claims.end_load(began);
        let pause = if any { PAUSE } else { LONG_PAUSE };
        self.bouncing.next = (is_stale || !is_last).then_some(turn.now + pause);
    }

    /// True when somebody was given up.
    fn bounce(&mut self, waiting: Waiting, began: u64, turn: &mut Turn<'_>) -> bool {
        let Waiting {
            message,
            recipients,
        } = waiting;
        let mut judged = Vec::new();
        for recipient in recipients {
            let key = (message.id, recipient.number);
            // An agent that has it in hand may deliver it yet.
            if self.claims.is_taken(key, began) || !self.claims.claim(key) {
                continue;
            }
            let host = recipient.admitted.recipient().host();
            self.hosts.entry(host, &self.routes).claimed += 1;
            judged.push(Judged {
                site: self.routes.site(host).name,
                disposition: schedule::given_up_by_operator(&self.settings, &message, &recipient),
                recipient,
                tried: false,
            });
        }
        if judged.is_empty() {
            return false;
        }
        let decided = Decided {
            message: Arc::clone(&message),
            content: None,
            untold: Vec::new(),
            dsn_passed: Vec::new(),
            recipients: judged,
        };
        self.settle(decided, turn);
        true
    }
}
