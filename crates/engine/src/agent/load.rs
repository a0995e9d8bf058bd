use std::sync::Arc;
use std::time::Duration;

use delivery::{EightBit, SentAs, Transaction};
use dkim::{HashedBody, Signer};
use mail::{Failure, Outcome, ReversePath, Scope, Timestamp};
use message::EightBitUse;
use queue::{Job, JobReport, Reach};
use relay_policy::Rewritten;
use smtp::Dialogue;
use spool::Message;

use super::content::Seen;
use super::outward::{Bounds, Outward};
use crate::DeliverySettings;

/// The message under way.
pub(super) struct Load {
    pub(super) job: Job,
    /// Recipients without an outcome yet, ascending; when empty, the job is done.
    pub(super) open: Vec<u32>,
    /// What has become of the others, and how far the job has come.
    pub(super) report: JobReport,
    /// Since when it is under way.
    pub(super) began: Timestamp,
    pub(super) unknown: bool,
    /// How long it took until its last connection was open.
    pub(super) connecting: Option<Duration>,
    /// How long the server took to answer the end of the message.
    pub(super) answering: Option<Duration>,
    /// The hosts of the site are being walked over for this message, rather than for one before it.
    pub(super) walks: bool,
    /// Connections that broke before anything was answered; a host that always does that counts as
    /// down.
    pub(super) fresh_starts: u32,
    /// As whom it goes to those to whom it is forwarded.
    pub(super) rewritten: Rewritten,
    /// As whom it goes to the others, where that is not as it came.
    pub(super) sent_as: Option<SentAs>,
    /// Octets at the start of the content that are not sent, as another header goes before it.
    pub(super) skip: usize,
    /// A server took MAIL for it: from then on trouble is the message's, until other messages show
    /// otherwise.
    pub(super) begun: bool,
    /// What was said about it, where the agent is recorded.
    pub(super) dialogue: Box<Dialogue>,
}

impl Load {
    pub(super) fn new(job: Job, began: Timestamp) -> Self {
        let numbers = job.recipients.iter().map(|recipient| recipient.number);
        let mut open: Vec<u32> = numbers.collect();
        open.sort_unstable();
        Self {
            job,
            open,
            report: JobReport {
                results: Vec::new(),
                reach: Reach::BeforeMail,
                reusable: false,
                dsn_passed: Vec::new(),
            },
            began,
            unknown: false,
            connecting: None,
            answering: None,
            walks: false,
            fresh_starts: 0,
            rewritten: Rewritten::Not,
            sent_as: None,
            skip: 0,
            begun: false,
            dialogue: Box::default(),
        }
    }

    /// The site's last host failed it: how far it came then, and so how far the trouble reaches.
    pub(super) fn end_walk(&mut self, outcome: Outcome) -> Outcome {
        let (reach, outcome) = match outcome {
            Outcome::Deferred(failure) if self.begun => {
                let scope = Scope::Message;
                (
                    Reach::AfterMail,
                    Outcome::Deferred(Failure { scope, ..failure }),
                )
            }
            Outcome::Deferred(failure) if failure.scope == Scope::Site => {
                (Reach::BeforeMail, Outcome::Deferred(failure))
            }
            other => (Reach::ToTheEnd, other),
        };
        self.report.reach = reach;
        outcome
    }

    /// The job as a transaction for its open recipients. `seen` is what was found in a content that
    /// is not in memory, and whose; `now` is on the system's clock.
    pub(super) fn transaction(
        &mut self,
        delivery: &DeliverySettings,
        seen: Option<&Seen>,
        now: Timestamp,
    ) -> Transaction {
        self.rewritten = delivery.rewritten(&self.job, now);
        self.sent_as = delivery.sent_as(&self.job.message);
        let sent_as = self.sent_as.as_ref();
        let sender = sent_as.map(|sent_as| ReversePath::Mailbox(sent_as.sender.clone()));
        let open = |number: u32| self.open.binary_search(&number).is_ok();
        let recipients = if self.open.len() == self.job.recipients.len() {
            self.job.recipients.clone()
        } else {
            self.job
                .recipients
                .iter()
                .filter(|r| open(r.number))
                .cloned()
                .collect()
        };
        let seen = seen.filter(|seen| seen.id == self.job.message.id);
        let message = self.outward(delivery, seen, now);
        let content = self.job.content.as_ref();
        // Of the header as it goes out.
        let start = seen.and_then(|seen| seen.start.as_ref());
        let start = start.filter(|_| message.parameters.smtputf8);
        let eight_bit = match (content, start) {
            (Some(content), _) => Some(EightBitUse::of(&message.head, &content[self.skip..])),
            (None, Some(start)) => EightBitUse::of_start(&message.head, &start[self.skip..]),
            (None, None) => seen.and_then(|seen| seen.used),
        };
        // Asked of each domain only when it matters.
        let eight_bit_policy = match eight_bit {
            Some(EightBitUse {
                anywhere: false, ..
            }) => EightBit::default(),
            Some(_) | None => delivery.eight_bit(&recipients),
        };
        Transaction {
            reverse_path: sender.unwrap_or_else(|| message.reverse_path.clone()),
            message,
            recipients,
            forwarded_from: self.rewritten.clone().into_path(),
            eight_bit,
            eight_bit_policy,
        }
    }

    /// The message as it goes out.
    fn outward(
        &mut self,
        delivery: &DeliverySettings,
        seen: Option<&Seen>,
        now: Timestamp,
    ) -> Arc<Message> {
        let of_look = seen.and_then(|seen| seen.start.as_ref());
        let start = self.job.content.as_ref().or(of_look);
        let sent_as = self.sent_as.as_ref().filter(|sent_as| sent_as.author);
        let Some((start, sent_as)) = start.zip(sent_as) else {
            self.skip = 0;
            return Arc::clone(&self.job.message);
        };
        let mut outward = Outward::new(&self.job.message, start, sent_as, &delivery.send_as);
        let body = match &self.job.content {
            Some(content) if delivery.signs(sent_as) => {
                Some(hashed(&self.job.message.head, content))
            }
            Some(_) => None,
            None => seen.and_then(|seen| seen.body),
        };
        if let Some(body) = body {
            outward.sign(&delivery.signers, sent_as, &body, now);
        }
        self.skip = outward.skip;
        outward.message
    }

    /// Gives every recipient that is still open this outcome.
    pub(super) fn close(&mut self, outcome: &Outcome) {
        let open = std::mem::take(&mut self.open).into_iter();
        let results = open.map(|number| (number, outcome.clone()));
        self.report.results.extend(results);
    }

    /// Keeps the outcomes that stand; recipients that failed for trouble of the host, or for what
    /// it does not offer, stay open for the next one.
    pub(super) fn settle(
        &mut self,
        outcomes: Vec<(u32, Outcome)>,
        another_host_follows: bool,
        dsn_passed: bool,
    ) {
        let mut settled = Vec::with_capacity(outcomes.len());
        for (number, outcome) in outcomes {
            let of_host = match &outcome {
                Outcome::Delivered(_) => false,
                Outcome::Deferred(failure) | Outcome::Failed(failure) => {
                    failure.scope == Scope::Host
                }
            };
            if another_host_follows && of_host {
                continue;
            }
            if dsn_passed && matches!(outcome, Outcome::Delivered(_)) {
                self.report.dsn_passed.push(number);
            }
            settled.push(number);
            self.report.results.push((number, outcome));
        }
        settled.sort_unstable();
        self.report.dsn_passed.sort_unstable();
        self.open
            .retain(|open| settled.binary_search(open).is_err());
    }
}

/// The body of a content that is in memory.
fn hashed(head: &[u8], content: &[u8]) -> HashedBody {
    let mut hash = Signer::body_hash();
    hash.push(&content[Bounds::of(head, content).body..]);
    hash.finish()
}
