//! `domain.*.recipients`: who knows which recipients of a domain exist.

use std::path::PathBuf;
use std::sync::Arc;

use mail::Mailbox;
use relay_policy::{NamePattern, RecipientList, RecipientSource, Recipients};

use crate::form::{Either, Item};
use crate::options::domain as options;
use crate::settings::{Section, Settings, first_place};
use crate::source::{Source, Span};
use crate::text::text_of;
use crate::values::RecipientsAt;
use crate::{Files, directories};

/// So many wrong lines of a file are shown; after that another one helps nobody.
const WRONG_LINES_MAX: usize = 20;

/// What one domain says; files that are read are added to `read`.
pub(crate) fn of_domain(
    settings: &mut Settings,
    section: &Section,
    pattern: &NamePattern,
    files: &dyn Files,
    read: &mut Vec<PathBuf>,
) -> Recipients {
    let at = section.at(options::RECIPIENTS);
    let span = settings
        .setting(&at.key)
        .map(|setting| setting.span.clone());
    let (Some(written), Some(span)) = (settings.get(at), span) else {
        forbid_unasked(settings, section);
        return Recipients::Any;
    };
    match written {
        Either::List(items) => {
            forbid_unasked(settings, section);
            Recipients::List(Arc::new(inline(settings, &items, &span, pattern)))
        }
        Either::Word(RecipientsAt::File(path)) => {
            forbid_unasked(settings, section);
            let path = settings.base.join(path);
            let list = from_file(settings, &path, &span, pattern, files);
            read.push(path);
            Recipients::List(Arc::new(list))
        }
        Either::Word(RecipientsAt::Ldap(name)) => {
            match directories::named(settings, &name, &span) {
                Some(name) => ask(settings, section, RecipientSource::Ldap(name)),
                None => Recipients::Any,
            }
        }
        Either::Word(RecipientsAt::NextHop) => ask(settings, section, RecipientSource::NextHop),
    }
}

fn ask(settings: &Settings, section: &Section, source: RecipientSource) -> Recipients {
    let unasked = section.at(options::RECIPIENTS_UNASKED);
    Recipients::Ask {
        source,
        accept_unasked: settings.get(&unasked),
        place: first_place([
            settings.place_of(unasked),
            settings.place_of(section.at(options::RECIPIENTS)),
        ]),
    }
}

/// Without anybody to ask, what becomes of the unasked is no setting.
fn forbid_unasked(settings: &mut Settings, section: &Section) {
    let message = format!("`recipients_unasked` in [{}] is not read", section.key);
    let label = "nobody is asked here: recipients is no \"ldap:NAME\" and not \"verify\"";
    settings.error_at(section.at(options::RECIPIENTS_UNASKED), message, label);
}

fn inline(
    settings: &mut Settings,
    items: &[Item<String>],
    span: &Span,
    pattern: &NamePattern,
) -> RecipientList {
    let mut list = RecipientList::new(settings.place(span));
    for item in items {
        match recipient(&item.value, pattern) {
            Ok(mailbox) => list.insert(&mailbox),
            Err(why) => wrong(settings, &item.value, &item.span, &why),
        }
    }
    list
}

fn from_file(
    settings: &mut Settings,
    path: &std::path::Path,
    span: &Span,
    pattern: &NamePattern,
    files: &dyn Files,
) -> RecipientList {
    let mut list = RecipientList::new(settings.place(span));
    let name = path.display().to_string();
    let octets = match files.read_named(path) {
        Ok(octets) => octets,
        Err(why) => {
            settings.error(span, format!("cannot read {name}: {why}"), "");
            return list;
        }
    };
    let Some(text) = text_of(settings, &name, octets) else {
        return list;
    };
    let mut wrong_lines = Vec::new();
    for (line, range) in lines(&text) {
        match recipient(line, pattern) {
            Ok(mailbox) => list.insert(&mailbox),
            Err(why) if wrong_lines.len() < WRONG_LINES_MAX => {
                wrong_lines.push((line.to_owned(), range, why));
            }
            Err(_) => break,
        }
    }
    if !wrong_lines.is_empty() {
        let file = settings.sources.len();
        settings.sources.push(Source::new(&name, text));
        for (line, range, why) in wrong_lines {
            wrong(settings, &line, &Span { file, range }, &why);
        }
    }
    list
}

/// What stands in each line before a comment, trimmed, with where it is; empty ones are left out.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (&str, std::ops::Range<usize>)> {
    let mut next = 0;
    text.split('\n').filter_map(move |line| {
        let start = next;
        next += line.len() + 1;
        let plain = before_comment(line);
        let start = start + plain.len() - plain.trim_start().len();
        let plain = plain.trim();
        (!plain.is_empty()).then_some((plain, start..start + plain.len()))
    })
}

/// A `#` within a word belongs to an address (RFC 5322 section 3.2.3: atext).
fn before_comment(line: &str) -> &str {
    let begins = |at: &usize| line[..*at].is_empty() || line[..*at].ends_with([' ', '\t']);
    let comment = line.match_indices('#').map(|(at, _)| at).find(begins);
    &line[..comment.unwrap_or(line.len())]
}

fn wrong(settings: &mut Settings, text: &str, span: &Span, why: &str) {
    let message = format!("\"{}\" is no recipient of this domain", mail::escaped(text));
    settings.error(span, message, why);
}

/// An address, or a local part where there is one domain alone.
fn recipient(text: &str, pattern: &NamePattern) -> Result<Mailbox, String> {
    let mailbox = match pattern {
        NamePattern::Exact(domain) if !text.contains('@') => {
            Mailbox::parse(&format!("{text}@{domain}"))
        }
        NamePattern::Exact(_) | NamePattern::Below(_) | NamePattern::Any => Mailbox::parse(text),
    };
    let mailbox = mailbox.map_err(|why| why.to_string())?;
    let domain = mailbox.host().domain();
    let ours = match pattern {
        NamePattern::Exact(name) => domain == Some(name),
        NamePattern::Below(name) => domain.is_some_and(|domain| domain.is_below(name)),
        NamePattern::Any => domain.is_some(),
    };
    if ours {
        Ok(mailbox)
    } else {
        Err(format!("this is the list of {pattern}"))
    }
}
