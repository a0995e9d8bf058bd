//! A message that screening holds, to go on without its attachments.

use std::fmt;
use std::io::Read as _;
use std::sync::Arc;

use bytes::Bytes;
use contents::edit::{Edit, apply, remove_part};
use contents::{Attachment, Contents, Limits, Octets, Reader, Wanted, look_into_octets, parts};
use dkim::Signers;
use mail::{QueueId, Timestamp};
use queue::Moment;
use spool::{
    Body, Content, HoldReason, Message, NewMessage, Recipient, RecipientState, Replacement, Spool,
    SpoolError, Waiting,
};

use super::head::{divided, renamed};
use super::source::Source;
use super::writing::{PIECE_OCTETS, whole, written};
use super::{UNREADABLE, unharmed};
use crate::signing::{signatures, without_signatures};

/// What is to go on of a held message.
pub struct WithoutAttachments {
    /// The message in its place.
    pub replacement: Replacement,
    /// What is not in it any longer, by place and name.
    pub removed: Vec<String>,
}

/// Why a message cannot go on without its attachments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CannotRelease {
    /// It is gone.
    Gone,
    /// It has none.
    NoAttachments,
    /// One of them cannot be taken out without harm: which, and why.
    StaysIn(String),
    /// There may be more in it than was seen: where and why.
    Unread(String),
    /// It could not be read or written.
    Spool(SpoolError),
}

impl fmt::Display for CannotRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("it is not in quarantine any more"),
            Self::NoAttachments => f.write_str("it has no attachments: release it as it is"),
            Self::StaysIn(which) => write!(f, "an attachment cannot be taken out: {which}"),
            Self::Unread(what) => write!(f, "it may have attachments that were not found: {what}"),
            Self::Spool(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for CannotRelease {}

impl From<SpoolError> for CannotRelease {
    fn from(error: SpoolError) -> Self {
        Self::Spool(error)
    }
}

/// Makes a message, called `id`, of one that is held: without anything that a recipient can open, with
/// a text in the place of each; for those of its recipients that are named. What we had signed is
/// signed anew. Blocks; nothing is changed before the replacement is committed.
///
/// # Errors
/// It cannot be done without harm.
pub fn without_attachments(
    held: &Waiting,
    signers: &Signers,
    limits: &Limits,
    id: QueueId,
    now: Moment,
    spool: &dyn Spool,
) -> Result<WithoutAttachments, CannotRelease> {
    let old = &held.message;
    let source = copy(old, id, spool)?;
    let head = without_signatures(&old.head);
    let was_signed = head.len() < old.head.len();
    let head = renamed(head, old.id, id);
    let whole = whole(&head, &source);
    let rule = held.recipients.iter().find_map(rule_of);
    let found = unharmed(|| removals(&whole, limits, rule.as_deref()));
    source.check()?;
    let unreadable = || Err(CannotRelease::Unread(UNREADABLE.to_owned()));
    let (edits, removed) = found.unwrap_or_else(unreadable)?;
    source.give_up_name();
    let new = apply(&whole, edits);
    let (above, content) = divided(&head, &new);
    let signed = match was_signed {
        // Whoever sent it was allowed to write as its authors, who are the same.
        true => signatures(signers, &|_| true, Reader::new(&new), now.wall),
        false => Ok(String::new()),
    };
    let signed = signed.map_err(SpoolError::from)?;
    let head = [signed.as_bytes(), &above].concat();
    let size = (head.len() + content.size()) as u64;
    let content = written(&content, &source, id, spool)?;
    let message = Message {
        id,
        head: head.into(),
        size,
        ..Message::clone(old)
    };
    let recipients = held.recipients.iter();
    let by = NewMessage {
        message: Arc::new(message),
        recipients: recipients.map(|one| released(one, now.line)).collect(),
        content,
    };
    let replacement = Replacement {
        id: old.id,
        reason: HoldReason::Screening,
        by,
    };
    Ok(WithoutAttachments {
        replacement,
        removed,
    })
}

/// The content of a message, to be read from any place on; on disk where it is large, as a body of
/// this name that is never finished.
fn copy(message: &Message, id: QueueId, spool: &dyn Spool) -> Result<Source, CannotRelease> {
    let mut content = match spool.body(message.id)?.ok_or(CannotRelease::Gone)? {
        Body::Memory(content) => return Ok(Source::new(&Content::Inline(content), None, 0)),
        Body::Stream(content) => content,
    };
    let mut body = spool.open_body(id)?;
    let (mut piece, mut size) = (vec![0; PIECE_OCTETS], 0);
    loop {
        match content.read(&mut piece).map_err(SpoolError::from)? {
            0 => break,
            octets => {
                body.write(&piece[..octets])?;
                size += octets as u64;
            }
        }
    }
    Ok(Source::new(
        &Content::Inline(Bytes::new()),
        Some(body),
        size,
    ))
}

/// What takes the attachments out, and what they are.
fn removals(
    whole: &dyn Octets,
    limits: &Limits,
    rule: Option<&str>,
) -> Result<(Vec<Edit>, Vec<String>), CannotRelease> {
    // An archive goes as a whole, whatever is in it.
    let contents = look_into_octets(whole, Wanted::default(), limits, &mut Vec::new());
    let Contents {
        attachments,
        unread,
        ..
    } = &contents;
    let parts = parts(whole, limits);
    let (mut edits, mut removed) = (Vec::new(), Vec::new());
    for attachment in attachments {
        let shown = shown(attachment);
        let part = parts.get(attachment.part.0 as usize);
        let seal = part.and_then(|part| part.seal);
        let made = match seal {
            Some(seal) => Err(contents::edit::CannotEdit::Sealed(seal)),
            None => remove_part(whole, &parts, attachment.part, &note(attachment, rule)),
        };
        let made = made.map_err(|why| CannotRelease::StaysIn(format!("{shown}: {why}")))?;
        edits.extend(made);
        removed.push(shown);
    }
    let goes = |place: &str| {
        let mut gone = attachments.iter().map(|one| &*one.place);
        gone.any(|gone| place.strip_prefix(gone).is_some_and(is_within))
    };
    match unread.iter().find(|one| !goes(&one.place)) {
        Some(unread) => Err(CannotRelease::Unread(escaped(&unread.to_string()))),
        None if removed.is_empty() => Err(CannotRelease::NoAttachments),
        None => Ok((edits, removed)),
    }
}

/// Whether what follows the place of a part is the place of something in it, or nothing.
fn is_within(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(['/', '.'])
}

fn rule_of(recipient: &Recipient) -> Option<String> {
    let (rule, _) = screening::rule_in(recipient.last.as_deref()?)?;
    Some(rule)
}

/// What stands in the place of an attachment.
fn note(attachment: &Attachment, rule: Option<&str>) -> String {
    let name = attachment.names.first();
    let name = name.map_or("without a name".to_owned(), |name| format!("{name:?}"));
    let by = rule.map_or(String::new(), |rule| format!(" by its rule {rule:?}"));
    format!(
        "The attachment {name} was removed by the mail gateway, which had held this message{by}.\n"
    )
}

fn shown(attachment: &Attachment) -> String {
    let name = attachment.names.first();
    let name = name.map_or(String::new(), |name| format!(" {name:?}"));
    escaped(&format!("{}{name} ({})", attachment.place, attachment.kind))
}

fn escaped(text: &str) -> String {
    mail::escaped(text).to_string()
}

/// It goes out as if nobody had held it.
fn released(recipient: &Recipient, now: Timestamp) -> Recipient {
    Recipient {
        state: RecipientState::Waiting,
        due: now,
        last: None,
        ..recipient.clone()
    }
}

#[cfg(test)]
mod tests {
    use dkim::{Algorithm, DomainSigner, PrivateKey, Signer};
    use mail::{Domain, MailParameters, Mailbox, Place, ReversePath};
    use relay_policy::Admitted;
    use spool::{Change, Commit, Model};

    use super::*;
    use crate::sample::id;

    const ATTACHED: &str = "MIME-Version: 1.0\r\nFrom: ann@a.test\r\n\
        Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nHello\r\n--b\r\n\
        Content-Type: application/pdf; name=a.pdf\r\n\r\n%PDF-1.4\r\n--b--\r\n";

    fn held(content: &str) -> (Model, Waiting) {
        let head = format!(
            "DKIM-Signature: d=a.test\r\nReceived: by x id {}\r\n",
            id(1)
        );
        let message = Arc::new(Message {
            id: id(1),
            arrived: Timestamp::default(),
            reverse_path: ReversePath::Null,
            parameters: MailParameters::default(),
            client: "192.0.2.1".into(),
            user: None,
            from_stranger: false,
            size: (head.len() + content.len()) as u64,
            head: head.into(),
        });
        let to = Admitted::own_notice(Mailbox::parse("bob@b.test").unwrap());
        let recipients = vec![Recipient {
            state: RecipientState::Held(HoldReason::Screening),
            last: Some("held: screen \"pdf\": hold: x (y.toml:1)".into()),
            ..Recipient::waiting(3, to, Timestamp::default())
        }];
        let spool = Model::new();
        let stored = spool.commit(vec![Change::Store(NewMessage {
            message: Arc::clone(&message),
            recipients: recipients.clone(),
            content: Content::Inline(Bytes::copy_from_slice(content.as_bytes())),
        })]);
        assert!(matches!(stored[..], [Commit::Stored(_)]));
        let waiting = Waiting {
            message,
            recipients,
            content: None,
        };
        (spool, waiting)
    }

    fn released(content: &str, signers: &Signers) -> Result<String, String> {
        let (spool, held) = held(content);
        let now = Moment::of(Timestamp::from_millis(9_000));
        let made = without_attachments(&held, signers, &Limits::default(), id(2), now, &spool);
        let made = made.map_err(|why| why.to_string())?;
        let by = made.replacement.by.clone();
        assert_eq!(by.recipients[0].number, 3);
        let Content::Inline(content) = &by.content else {
            panic!("it is small");
        };
        let text = [&by.message.head[..], content].concat();
        assert_eq!(by.message.size, text.len() as u64);
        let stored = spool.commit(vec![Change::Replace(made.replacement)]);
        assert!(matches!(stored[..], [Commit::Stored(_)]), "{stored:?}");
        assert!(spool.body(id(1)).unwrap().is_none());
        Ok(String::from_utf8(text).unwrap())
    }

    #[test]
    fn what_we_had_signed_is_signed_anew_under_the_new_name() {
        let text = released(ATTACHED, &Signers::default()).unwrap();
        assert!(
            text.starts_with(&format!("Received: by x id {}", id(2))),
            "{text}"
        );
        assert!(
            text.contains("\r\nHello\r\n") && !text.contains("%PDF"),
            "{text}"
        );
        assert!(
            text.replace("=\r\n", "").contains("by its rule \"pdf\"."),
            "{text}"
        );
        let key = Arc::new(PrivateKey::generate(Algorithm::Ed25519Sha256).unwrap());
        let name = |text| Domain::parse(text).unwrap();
        let signers = Signers::new([DomainSigner {
            signer: Signer::new(name("a.test"), name("k"), key),
            subdomains: false,
            place: Place::Default,
        }]);
        let text = released(ATTACHED, &signers).unwrap();
        assert_eq!(text.matches("DKIM-Signature").count(), 1, "{text}");
        assert!(text.contains("s=k"), "{text}");
    }

    #[test]
    fn what_cannot_be_taken_out_without_harm_stays_as_it_is() {
        let smime = |kind: &str| {
            format!(
                "Content-Type: application/pkcs7-mime; smime-type={kind}; name=smime.p7m\r\n\r\nMIIB\r\n"
            )
        };
        for (content, expected) in [
            (smime("enveloped-data"), "it is encrypted"),
            (smime("signed-data"), "it is signed"),
            (ATTACHED.replace("mixed", "signed"), "it is signed"),
            (ATTACHED.replace("mixed", "encrypted"), "it is encrypted"),
            (
                ATTACHED.replace("Hello", "begin 644 a.exe\r\n#0V%T\r\n`\r\nend"),
                "attachments that were not found: 1: uuencode",
            ),
            (
                "Subject: x\r\n\r\nHello\r\n".to_owned(),
                "it has no attachments",
            ),
        ] {
            let why = released(&content, &Signers::default()).err();
            let why = why.unwrap_or_default();
            assert!(why.contains(expected), "{expected}: {why}");
        }
    }
}
