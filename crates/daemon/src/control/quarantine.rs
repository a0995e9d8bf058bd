//! What screening holds, as an administrator looks at it. Messages lie here because something is
//! wrong with them: what is shown of them is bounded, is text without control characters, and a
//! parser that fails at one of them fails at that one alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use contents::{Contents, Unread, Wanted, Why};
use filter::{Condition, Filter};
use mail::QueueId;
use queue::Moment;
use spool::{Page, Recipient, Verb, Waiting};

use super::act::Act;
use super::{Answer, Trouble, blocking, filter, operations};
use crate::api::{
    OperationRow, QuarantineChange, QuarantineCount, QuarantineDigest, QuarantinePage,
    QuarantineReport, QuarantineRow, QuarantinedField, QuarantinedMessage, QuarantinedPart,
    QuarantinedText, QueueChange, QueueQuery, UnreadPart,
};
use crate::shared::Shared;
use crate::{digests, held};

/// Messages in one answer: of each the header is read.
const PAGE_MESSAGES: usize = 200;
/// Messages read at once to be counted.
const COUNTED_MESSAGES: usize = 500;
/// Characters of a field that are shown, of a name, and of a line of text.
const VALUE_MAX: usize = 2_000;
/// Fields, parts and unread parts that are shown, of each so many.
const ROWS_MAX: usize = 500;
/// Names of a part that are shown.
const NAMES_MAX: usize = 10;
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
) -> Answer<Vec<QuarantineRow>> {
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
            all.extend(rows(waiting, &subject, now));
        }
        Ok(QuarantinePage {
            rows: all,
            next: found.next.map(|id| id.to_string()),
        })
    });
    page.await
}

/// `GET /v1/quarantine/ID`
pub(super) async fn show(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Answer<QuarantinedMessage> {
    let id: QueueId = id.parse().map_err(Trouble::bad)?;
    let now = shared.services.clock.moment();
    let filter = held(&format!("id:{id}"), now)?;
    let _turn = shared.services.screening.acquire().await;
    let spool = Arc::clone(&shared.services.spool);
    let shown = blocking(move || {
        let page = Page {
            after: None,
            limit: 1,
        };
        let found = spool.find(&filter, page)?;
        let Some(waiting) = found.first() else {
            return Ok(None);
        };
        let octets = held::octets(&*spool, &waiting.message, u64::MAX)?;
        Ok(Some(message(waiting, &octets, now)))
    });
    let unknown = || Trouble(StatusCode::NOT_FOUND, format!("{id} is not in quarantine"));
    Ok(Json(shown.await?.ok_or_else(unknown)?))
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

pub(super) fn rows(waiting: &Waiting, subject: &str, now: Moment) -> Vec<QuarantineRow> {
    let message = &waiting.message;
    let row = |recipient: &Recipient| {
        let last = recipient.last.as_deref().unwrap_or_default();
        let (rule, reason) = screening::rule_in(last).unzip();
        QuarantineRow {
            id: message.id.to_string(),
            from: mail::escaped(message.reverse_path.as_str()).to_string(),
            to: mail::escaped(recipient.admitted.recipient().as_str()).to_string(),
            subject: subject.to_owned(),
            size: message.size,
            arrived: now.shown(message.arrived).to_string(),
            age_seconds: now.line.since(message.arrived).as_secs(),
            rule,
            reason: reason.unwrap_or(last).to_owned(),
        }
    };
    waiting.recipients.iter().map(row).collect()
}

fn message(waiting: &Waiting, octets: &[u8], now: Moment) -> QuarantinedMessage {
    let wanted = Wanted {
        texts: true,
        archives: true,
    };
    let mut shown = Shown::default();
    let Some(mut contents) = held::contents(octets, wanted) else {
        return QuarantinedMessage {
            recipients: rows(waiting, "", now),
            fields: Vec::new(),
            parts: Vec::new(),
            unread: vec![UnreadPart {
                place: String::new(),
                why: "it cannot be read".to_owned(),
            }],
            texts: Vec::new(),
            is_cut: false,
        };
    };
    let Contents { texts, unread, .. } = &mut contents;
    // More text than is shown was read well enough.
    let is_cut =
        |one: &Unread| one.why == Why::TooLarge && texts.iter().any(|text| text.place == one.place);
    shown.is_cut |= unread.iter().any(is_cut);
    unread.retain(|one| !is_cut(one));
    let subject = shown.text(&contents.subject);
    QuarantinedMessage {
        recipients: rows(waiting, &subject, now),
        fields: shown.each(&contents.fields, |shown, field| QuarantinedField {
            name: shown.text(&field.name),
            value: shown.text(&field.value),
        }),
        parts: shown.each(&contents.attachments, |shown, part| QuarantinedPart {
            place: shown.text(&part.place),
            names: (part.names.iter().take(NAMES_MAX))
                .map(|name| shown.text(name))
                .collect(),
            declared: shown.text(&part.declared),
            kind: part.kind.to_string(),
            size: part.size,
            is_encrypted: part.is_encrypted,
        }),
        unread: shown.each(&contents.unread, |shown, unread| UnreadPart {
            place: shown.text(&unread.place),
            why: unread.why.to_string(),
        }),
        texts: shown.each(&contents.texts, |shown, text| QuarantinedText {
            place: shown.text(&text.place),
            is_html: text.is_html,
            lines: text
                .text
                .lines()
                .map(|line| mail::escaped(&line.replace('\t', "    ")).to_string())
                .collect(),
        }),
        is_cut: shown.is_cut,
    }
}

/// What is shown of things that somebody else wrote.
#[derive(Default)]
struct Shown {
    is_cut: bool,
}

impl Shown {
    /// One line that can be shown as it is.
    fn text(&mut self, text: &str) -> String {
        let end = text.char_indices().nth(VALUE_MAX).map(|(at, _)| at);
        self.is_cut |= end.is_some();
        mail::escaped(&text[..end.unwrap_or(text.len())]).to_string()
    }

    /// No more of them than are looked at.
    fn each<T, R>(&mut self, all: &[T], mut row: impl FnMut(&mut Self, &T) -> R) -> Vec<R> {
        self.is_cut |= all.len() > ROWS_MAX;
        let first = all.iter().take(ROWS_MAX);
        first.map(|one| row(self, one)).collect()
    }
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
    fn what_others_wrote_is_bounded_and_drives_no_terminal() {
        let mut shown = Shown::default();
        assert_eq!(
            shown.text("a\u{1b}[2J\u{202e}\r\n"),
            "a\\x1b[2J\\x202e\\x0d\\x0a"
        );
        assert!(!shown.is_cut);
        let long = shown.text(&"é".repeat(VALUE_MAX + 1));
        assert_eq!((long.chars().count(), shown.is_cut), (VALUE_MAX, true));
        let mut shown = Shown::default();
        let rows = shown.each(&[0; ROWS_MAX + 1], |_, row| *row);
        assert_eq!((rows.len(), shown.is_cut), (ROWS_MAX, true));
    }

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
