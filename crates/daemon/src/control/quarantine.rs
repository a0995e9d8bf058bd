//! What screening holds, as an administrator looks at it and decides on it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use filter::{Condition, Filter};
use mail::QueueId;
use queue::Moment;
use spool::{Page, Verb, Waiting};

use super::act::Act;
use super::held_message::{self, Shown};
use super::{Answer, Trouble, blocking, filter, operations};
use crate::api::{
    HeldRow, OperationRow, QuarantineChange, QuarantineCount, QuarantineDigest, QuarantinePage,
    QuarantineReport, QueueChange, QueueQuery,
};
use crate::shared::Shared;
use crate::{digests, held};

/// Messages in one answer: of each the header is read.
const PAGE_MESSAGES: usize = 200;
/// Messages read at once to be counted.
const COUNTED_MESSAGES: usize = 500;
/// Different names that are counted by themselves.
const COUNTED_MAX: usize = 10_000;
/// Those with the most that are told.
const COUNTS_TOLD: usize = 100;

/// What `text` names of what screening holds.
pub(super) fn held(text: &str, now: Moment) -> Result<Filter, Trouble> {
    let mut filter = filter(text, now)?;
    let quarantined = Condition::State(filter::State::Quarantined);
    filter.conditions.push(quarantined);
    Ok(filter)
}

/// `GET /v1/quarantine`
pub(super) async fn list(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<Vec<HeldRow>> {
    Ok(Json(listed(&shared, query).await?.rows))
}

/// `GET /v1/quarantine/page`
pub(super) async fn page(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<QuarantinePage> {
    listed(&shared, query).await.map(Json)
}

async fn listed(shared: &Shared, query: QueueQuery) -> Result<QuarantinePage, Trouble> {
    let now = shared.services.clock.moment();
    let filter = held(&query.filter, now)?;
    let after = query.after.as_deref().map(str::parse::<QueueId>);
    let after = after.transpose().map_err(Trouble::bad)?;
    let limit = query.limit.unwrap_or(PAGE_MESSAGES).min(PAGE_MESSAGES);
    let spool = Arc::clone(&shared.services.spool);
    let looks = query.looks.unwrap_or(usize::MAX).max(1);
    let page = blocking(move || {
        let found = spool.find_within(&filter, Page { after, limit }, looks)?;
        let mut all = Vec::new();
        for waiting in &found.messages {
            let subject = held::subject(&*spool, &waiting.message)?;
            let subject = Shown::default().text(&subject);
            all.extend(held_message::rows(waiting, &subject, now));
        }
        Ok(QuarantinePage {
            rows: all,
            next: found.next.map(|id| id.to_string()),
        })
    });
    page.await
}

/// `GET /v1/quarantine/report`
pub(super) async fn report(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<QueueQuery>,
) -> Answer<QuarantineReport> {
    let filter = held(&query.filter, shared.services.clock.moment())?;
    let mut left = query.looks.unwrap_or(usize::MAX);
    let spool = Arc::clone(&shared.services.spool);
    let counted = blocking(move || {
        let mut counted = Counted::default();
        let mut after = None;
        loop {
            let limit = COUNTED_MESSAGES.min(left);
            let found = spool.find_within(&filter, Page { after, limit }, left)?;
            let messages = &found.messages;
            messages.iter().for_each(|waiting| counted.count(waiting));
            left -= messages.len();
            after = found.next;
            counted.is_cut = after.is_some();
            if after.is_none() || messages.len() < limit || left == 0 {
                return Ok(counted);
            }
        }
    });
    Ok(Json(counted.await?.into_report()))
}

/// `POST /v1/quarantine/digest`
pub(super) async fn digest(
    State(shared): State<Arc<Shared>>,
    act: Act,
) -> Answer<QuarantineDigest> {
    let told = digests::tell_now(&shared.services).await?;
    let off = || {
        let why = "quarantine.digest says that nobody is told";
        Trouble(StatusCode::CONFLICT, why.to_owned())
    };
    let readers = told.ok_or_else(off)?;
    act.counted(readers.len() as u64);
    let readers = readers.iter();
    let to = readers.map(|one| mail::escaped(one.as_str()).to_string());
    Ok(Json(QuarantineDigest { to: to.collect() }))
}

/// `POST /v1/quarantine/release`
pub(super) async fn release(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<QuarantineChange>,
) -> Answer<OperationRow> {
    carry_out(&shared, &act, Verb::Release, change).await
}

/// `POST /v1/quarantine/delete`
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    act: Act,
    Json(change): Json<QuarantineChange>,
) -> Answer<OperationRow> {
    carry_out(&shared, &act, Verb::Delete, change).await
}

async fn carry_out(
    shared: &Shared,
    act: &Act,
    verb: Verb,
    change: QuarantineChange,
) -> Answer<OperationRow> {
    let now = shared.services.clock.moment();
    let filter = held(&change.filter, now)?;
    let change = QueueChange {
        filter: change.filter,
        by: change.by,
        reason: change.reason,
        route: None,
        back: false,
    };
    operations::carry_out(shared, act, verb, filter, change, now).await
}

/// What was counted so far.
#[derive(Default)]
struct Counted {
    messages: u64,
    recipients: u64,
    size: u64,
    rules: Tally,
    sender_domains: Tally,
    by_recipient: Tally,
    is_cut: bool,
}

impl Counted {
    fn count(&mut self, waiting: &Waiting) {
        let message = &waiting.message;
        self.messages += 1;
        self.size += message.size;
        let sender = message.reverse_path.mailbox();
        let domain = sender.map_or("<>".to_owned(), |sender| sender.host().to_string());
        for recipient in &waiting.recipients {
            self.recipients += 1;
            let last = recipient.last.as_deref().unwrap_or_default();
            let rule = screening::rule_in(last).map(|(rule, _)| rule);
            self.rules.count(rule.as_deref().unwrap_or("no rule"));
            self.sender_domains.count(&domain);
            let to = recipient.admitted.recipient().as_str();
            self.by_recipient.count(&to.to_lowercase());
        }
    }

    fn into_report(self) -> QuarantineReport {
        QuarantineReport {
            messages: self.messages,
            recipients: self.recipients,
            size: self.size,
            rules: self.rules.most(),
            sender_domains: self.sender_domains.most(),
            by_recipient: self.by_recipient.most(),
            is_cut: self.is_cut,
        }
    }
}

/// How often each name came.
#[derive(Default)]
struct Tally(BTreeMap<String, u64>);

impl Tally {
    /// Senders choose names: those beyond the bound are counted together.
    fn count(&mut self, name: &str) {
        let name = mail::escaped(name).to_string();
        let is_counted = self.0.len() < COUNTED_MAX || self.0.contains_key(&name);
        let name = if is_counted {
            name
        } else {
            "others".to_owned()
        };
        *self.0.entry(name).or_default() += 1;
    }

    fn most(self) -> Vec<QuarantineCount> {
        let mut counts: Vec<_> = self.0.into_iter().collect();
        counts.sort_by(|(a, n), (b, m)| m.cmp(n).then_with(|| a.cmp(b)));
        counts.truncate(COUNTS_TOLD);
        let counts = counts.into_iter();
        counts
            .map(|(name, count)| QuarantineCount { name, count })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_who_invent_names_are_counted_together_in_the_end() {
        let mut tally = Tally::default();
        for n in 0..COUNTED_MAX + 5 {
            tally.count(&format!("d{n}.test"));
        }
        tally.count("d0.test");
        assert_eq!(tally.0.len(), COUNTED_MAX + 1);
        let most = tally.most();
        let counts: Vec<_> = most.iter().map(|one| (&*one.name, one.count)).collect();
        assert_eq!(counts[..2], [("others", 5), ("d0.test", 2)]);
        assert_eq!(most.len(), COUNTS_TOLD);
    }
}
