//! Notices to senders. Written by hand rather than by a MIME library: each line's length, the form
//! of each status field and the untouched octets of the returned header matter more here than
//! comfort, and no peer's text may end up as a field of ours.

mod human;
mod lines;
mod returned;
mod shortened;
mod status;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt::Write;

use mail::{
    BodyKind, Domain, MailParameters, Mailbox, OriginalRecipient, QueueId, Reply, Ret, ReversePath,
    Timestamp,
};

use returned::Returned;

pub use shortened::shortened;

/// What a notice reports about one recipient (RFC 3464 section 2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The next hop refused it for good.
    Failed,
    /// It was tried until the time for it was up.
    Expired,
    /// It is late, and still being tried.
    Delayed,
    /// It was put where the recipient reads it.
    Delivered,
    /// It was handed to a server that sends no notices of its own.
    Relayed,
}

/// The actions that may share a notice: programs take one of several kinds for no bounce at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionKind {
    /// [`Action::Failed`], [`Action::Expired`]
    Failure,
    /// [`Action::Delayed`]
    Delay,
    /// [`Action::Relayed`], [`Action::Delivered`]
    Success,
}

/// One recipient in a notice.
#[derive(Debug, Clone)]
pub struct NoticeRecipient<'a> {
    /// The recipient that it is about.
    pub recipient: &'a Mailbox,
    /// `ORCPT=` as it came, in xtext.
    pub original: Option<&'a OriginalRecipient>,
    /// What became of the message.
    pub action: Action,
    /// The last reply, the server's or our own about the trouble.
    pub reply: Option<Cow<'a, Reply>>,
    /// Who gave it, as in [`mail::Failure::host`].
    pub host: Option<&'a str>,
    /// When it was tried last.
    pub last_attempt: Option<Timestamp>,
    /// For delays: until when it is tried.
    pub retry_until: Option<Timestamp>,
}

/// The message that a notice is about.
#[derive(Debug, Clone, Copy)]
pub struct Original<'a> {
    /// Its name in the spool.
    pub id: QueueId,
    /// When we took the message.
    pub arrived: Timestamp,
    /// `ENVID=` as it came, in xtext.
    pub envid: Option<&'a str>,
    /// `RET=`
    pub ret: Option<Ret>,
    /// It came with SMTPUTF8.
    pub smtputf8: bool,
    /// The fields that we put before it.
    pub head: &'a [u8],
    /// Its content as received: all of it, or the start of it, which should hold the header.
    pub content: &'a [u8],
    /// Whether `content` is all of it.
    pub complete: bool,
}

/// Everything that goes into a notice.
#[derive(Debug, Clone, Copy)]
pub struct NoticeFacts<'a> {
    /// The notice's own name in the spool.
    pub id: QueueId,
    /// Our name, as the reporting server.
    pub hostname: &'a Domain,
    /// The domain of the postmaster from whom it comes.
    pub sender_domain: &'a Domain,
    /// When the notice is written.
    pub now: Timestamp,
    /// Who is to read it: the sender of the message, or who gets copies.
    pub to: &'a Mailbox,
    /// For a copy: the sender of the message.
    pub copy_of: Option<&'a ReversePath>,
    /// The message that it is about.
    pub original: Original<'a>,
    /// At least one; their actions are of one kind.
    pub recipients: &'a [NoticeRecipient<'a>],
    /// Who reads answers, when that is not the postmaster from whom it comes.
    pub reply_to: Option<&'a Mailbox>,
    /// With `RET=FULL`, messages up to so many octets come back whole.
    pub return_size_max: u64,
}

/// A notice, ready to be stored: header, blank line, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// All of it; no further head is needed.
    pub content: Vec<u8>,
    /// Whether it holds octets above 127, and whether it is written in the forms of RFC 6533 and
    /// is to be sent with SMTPUTF8.
    pub parameters: MailParameters,
}

/// Writes a delivery status notification (RFC 3464; RFC 6533 where addresses or header need it). To
/// be sent from `<>`.
pub fn notice(facts: &NoticeFacts<'_>) -> Notice {
    let returned = Returned::of(facts);
    let smtputf8 = facts.original.smtputf8 && (needs_utf8(facts) || !returned.is_ascii());
    let eight_bit = smtputf8 || !returned.is_ascii();
    let boundary = format!("gatepost-{}", facts.id);
    let mut text = header(facts, &boundary, smtputf8, eight_bit);
    human::push(&mut text, facts, &boundary, smtputf8);
    status::push(&mut text, facts, &boundary, smtputf8);
    returned.push_part_header(&mut text, &boundary, smtputf8);
    let mut content = text.into_bytes();
    returned.append_to(&mut content);
    content.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    let body = if eight_bit {
        BodyKind::EightBit
    } else {
        BodyKind::SevenBit
    };
    let parameters = MailParameters {
        body,
        smtputf8,
        ..MailParameters::default()
    };
    Notice {
        content,
        parameters,
    }
}

impl Action {
    /// The word of RFC 3464 section 2.3.3.
    fn as_str(self) -> &'static str {
        match self {
            Self::Failed | Self::Expired => "failed",
            Self::Delayed => "delayed",
            Self::Delivered => "delivered",
            Self::Relayed => "relayed",
        }
    }

    fn subject(self) -> &'static str {
        match self {
            Self::Failed | Self::Expired => "Your message could not be delivered",
            Self::Delayed => "Your message is delayed",
            Self::Delivered => "Your message was delivered",
            Self::Relayed => "Your message was passed on",
        }
    }

    /// With which others it may share a notice.
    pub fn kind(self) -> ActionKind {
        match self {
            Self::Failed | Self::Expired => ActionKind::Failure,
            Self::Delayed => ActionKind::Delay,
            Self::Delivered | Self::Relayed => ActionKind::Success,
        }
    }
}

fn needs_utf8(facts: &NoticeFacts<'_>) -> bool {
    let recipients = || facts.recipients.iter().map(|r| r.recipient);
    facts.to.needs_smtputf8() || recipients().any(Mailbox::needs_smtputf8)
}

/// The notice's own header, and the preamble of its parts.
fn header(facts: &NoticeFacts<'_>, boundary: &str, smtputf8: bool, eight_bit: bool) -> String {
    let NoticeFacts {
        id,
        hostname,
        sender_domain,
        now,
        to,
        ..
    } = facts;
    // Relayed to one is less than delivered to all.
    let actions = || facts.recipients.iter().map(|r| r.action);
    let action = actions().find(|action| *action != Action::Delivered);
    let action = action.unwrap_or(Action::Delivered);
    let copy = if facts.copy_of.is_some() {
        "Copy: "
    } else {
        ""
    };
    let mut text = String::with_capacity(4096);
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: Mail Delivery System <postmaster@{sender_domain}>\r\n\
         To: <{to}>\r\n\
         Subject: {copy}{}\r\n\
         Date: {}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-replied\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status;\r\n\
         \tboundary=\"{boundary}\"\r\n",
        action.subject(),
        now.rfc5322(),
    );
    if let Some(reply_to) = facts.reply_to
        && (smtputf8 || !reply_to.needs_smtputf8())
    {
        let _ = write!(text, "Reply-To: <{reply_to}>\r\n");
    }
    if eight_bit {
        text.push_str("Content-Transfer-Encoding: 8bit\r\n");
    }
    text.push_str("\r\nThis is a notice in MIME format (RFC 3464).\r\n");
    text
}
