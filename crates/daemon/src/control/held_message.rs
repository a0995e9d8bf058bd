//! What is shown of a message that is held. Messages lie here because something is wrong with them:
//! what is shown of them is bounded, is text without control characters, and a parser that fails at
//! one of them fails at that one alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use contents::{Contents, Unread, Wanted, Why};
use filter::Condition;
use mail::QueueId;
use queue::Moment;
use spool::{Page, Recipient, Waiting};

use super::{Answer, Trouble, blocking, filter};
use crate::api::{HeldField, HeldMessage, HeldPart, HeldRow, HeldText, UnreadPart};
use crate::held;
use crate::shared::Shared;

/// Characters of a field that are shown, of a name, and of a line of text.
const VALUE_MAX: usize = 2_000;
/// Fields, parts and unread parts that are shown, of each so many.
const ROWS_MAX: usize = 500;
/// Names of a part that are shown.
const NAMES_MAX: usize = 10;

/// `GET /v1/quarantine/ID`
pub(super) async fn quarantined(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Answer<HeldMessage> {
    let shown = look(&shared, &id, filter::State::Quarantined).await?;
    Ok(Json(shown.ok_or_else(|| unknown(&id, "in quarantine"))?))
}

/// `GET /v1/badmail/ID`
pub(super) async fn badmail(
    State(shared): State<Arc<Shared>>,
    Path(id): Path<String>,
) -> Answer<HeldMessage> {
    let shown = look(&shared, &id, filter::State::Badmail).await?;
    Ok(Json(shown.ok_or_else(|| unknown(&id, "badmail"))?))
}

fn unknown(id: &str, what: &str) -> Trouble {
    Trouble(StatusCode::NOT_FOUND, format!("{id} is not {what}"))
}

/// What is in a message, for its recipients who are in this state; `None` where it has none.
async fn look(
    shared: &Shared,
    id: &str,
    state: filter::State,
) -> Result<Option<HeldMessage>, Trouble> {
    let id: QueueId = id.parse().map_err(Trouble::bad)?;
    let now = shared.services.clock.moment();
    let mut filter = filter(&format!("id:{id}"), now)?;
    filter.conditions.push(Condition::State(state));
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
    shown.await
}

/// A row for each recipient of it.
pub(super) fn rows(waiting: &Waiting, subject: &str, now: Moment) -> Vec<HeldRow> {
    let message = &waiting.message;
    let row = |recipient: &Recipient| {
        let last = recipient.last.as_deref().unwrap_or_default();
        let (rule, reason) = screening::rule_in(last).unzip();
        HeldRow {
            id: message.id.to_string(),
            from: mail::escaped(message.reverse_path.as_str()).to_string(),
            to: mail::escaped(recipient.admitted.recipient().as_str()).to_string(),
            subject: subject.to_owned(),
            size: message.size,
            arrived: now.shown(message.arrived).to_string(),
            age_seconds: now.line.since(message.arrived).as_secs(),
            rule,
            reason: mail::escaped(reason.unwrap_or(last)).to_string(),
        }
    };
    waiting.recipients.iter().map(row).collect()
}

fn message(waiting: &Waiting, octets: &[u8], now: Moment) -> HeldMessage {
    let wanted = Wanted {
        texts: true,
        archives: true,
    };
    let mut shown = Shown::default();
    let Some(mut contents) = held::contents(octets, wanted) else {
        return HeldMessage {
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
    HeldMessage {
        recipients: rows(waiting, &subject, now),
        fields: shown.each(&contents.fields, |shown, field| HeldField {
            name: shown.text(&field.name),
            value: shown.text(&field.value),
        }),
        parts: shown.each(&contents.attachments, |shown, part| HeldPart {
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
        texts: shown.each(&contents.texts, |shown, text| HeldText {
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
pub(super) struct Shown {
    is_cut: bool,
}

impl Shown {
    /// One line that can be shown as it is.
    pub(super) fn text(&mut self, text: &str) -> String {
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
}
