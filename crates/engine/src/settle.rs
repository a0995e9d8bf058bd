use std::borrow::Cow;
use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use config::{Copies, NoticeClass};
use delivery::SendAs;
use dkim::Signers;
use mail::{
    BodyKind, Domain, EnvelopeId, Failure, MailParameters, Mailbox, Notify, QueueId,
    RcptParameters, Reply, ReversePath,
};
use message::{Action, ActionKind, Notice, NoticeFacts, NoticeRecipient, Original, notice};
use queue::{Decided, Disposition, GivenUp, Judged, Moment};
use relay_policy::{Admitted, Forwards, Grounds};
use spool::{
    Body, Content, Health, HoldReason, Message, NewMessage, Recipient, Settled, Settlement, Spool,
    SpoolError,
};

use crate::signing::signatures;

/// What notices need to know of us.
#[derive(Debug, Clone)]
pub struct NoticeSettings {
    /// Our name: the Reporting-MTA.
    pub hostname: Domain,
    /// The domain of the postmaster from whom they come.
    pub sender_domain: Domain,
    /// As whom mail goes out: who is told of mail whose sender no notice reaches.
    pub send_as: Arc<SendAs>,
    /// Who signs mail; notices too, where their own domain has a signer.
    pub signers: Arc<Signers>,
    /// Who reads answers to notices, when that is not postmaster at our own name.
    pub reply_to: Option<Mailbox>,
    /// Who is told of what somebody has to look after.
    pub postmaster: Option<Mailbox>,
    /// With `RET=FULL`, messages up to so many octets come back whole.
    pub return_size_max: u64,
    /// How long a message is tried, counted from its arrival.
    pub expire: Duration,
    /// Who else gets notices, and which.
    pub copies: Copies,
    /// To whom the mail of a reader at a domain of ours goes on.
    pub forwards: Arc<Forwards>,
}

/// The start of a message that a notice may quote when it does not return all of it: more than any
/// header that we accept.
const QUOTED_BYTES_MAX: u64 = 256 << 10;

/// A decision that may need notices: they are written from what the spool has of the message.
#[derive(Debug)]
pub struct Composition {
    decided: Arc<Decided>,
    settings: NoticeSettings,
}

impl Composition {
    pub(crate) fn new(decided: Arc<Decided>, settings: &NoticeSettings) -> Self {
        Self {
            decided,
            settings: settings.clone(),
        }
    }

    /// The change of the spool that writes the decision down, notices included.
    ///
    /// `next_id` makes the queue ids of the notices. Reads the original's header from `spool` when
    /// a notice is needed and the content is no longer in memory, so it may block.
    ///
    /// # Errors
    /// The spool has failed ([`SpoolError::Io`] or [`SpoolError::Full`]). Nothing was decided: the
    /// same is to be tried again. An original that alone cannot be read is no error: its notice
    /// quotes nothing.
    pub fn compose(
        &self,
        now: Moment,
        next_id: &mut dyn FnMut() -> QueueId,
        spool: &dyn Spool,
    ) -> Result<Settlement, SpoolError> {
        settlement(&self.decided, &self.settings, now, next_id, spool)
    }
}

/// Whether writing this decision down may need a notice, so that [`settlement`] may have to read
/// the spool.
pub(crate) fn may_notify(decided: &Decided, settings: &NoticeSettings) -> bool {
    let mut recipients = decided.recipients.iter();
    let has_reader = match decided.message.reverse_path {
        ReversePath::Mailbox(_) => true,
        ReversePath::Null => {
            is_outsized(decided) || settings.copies.reader(NoticeClass::Badmail).is_some()
        }
    };
    has_reader && recipients.any(|judged| action(decided, judged).is_some())
}

/// Makes the settlement of a decision, as [`Composition::compose`] describes it.
fn settlement(
    decided: &Decided,
    settings: &NoticeSettings,
    now: Moment,
    next_id: &mut dyn FnMut() -> QueueId,
    spool: &dyn Spool,
) -> Result<Settlement, SpoolError> {
    if let Some(shorter) = shorter(decided, settings, now, next_id, spool)? {
        return Ok(Settlement {
            id: decided.message.id,
            recipients: vec![(0, Settled::Done)],
            notices: vec![shorter],
        });
    }
    let mut notices = Vec::new();
    if may_notify(decided, settings) {
        let wanted = QUOTED_BYTES_MAX.max(settings.return_size_max);
        let content = &original(decided, wanted, spool)?;
        let report = Report {
            decided,
            settings,
            now,
            sender: settings.send_as.reader(&decided.message, sites(decided)),
            content,
        };
        report.write_all(next_id, &mut notices);
    }
    Ok(Settlement {
        notices,
        ..settlement_without_notices(decided)
    })
}

/// What is written down of a decision itself.
pub(crate) fn settlement_without_notices(decided: &Decided) -> Settlement {
    let recipients = decided.recipients.iter();
    Settlement {
        id: decided.message.id,
        recipients: recipients
            .map(|judged| (judged.recipient.number, settled(judged)))
            .collect(),
        notices: Vec::new(),
    }
}

/// For an operator to look at: kept, not tried, nobody told. Who has the message already is done
/// with: a release must not send it again.
pub(crate) fn held(decided: &Decided) -> Settlement {
    let held = |judged: &Judged| {
        let settled = match judged.disposition {
            Disposition::Delivered(_) | Disposition::Dropped(_) => Settled::Done,
            Disposition::TryAgain { .. } | Disposition::GiveUp(_) | Disposition::Badmail(_) => {
                Settled::Held {
                    reason: HoldReason::Operator,
                    last: "its notice could not be written, see the log".into(),
                }
            }
        };
        (judged.recipient.number, settled)
    };
    Settlement {
        id: decided.message.id,
        recipients: decided.recipients.iter().map(held).collect(),
        notices: Vec::new(),
    }
}

fn settled(judged: &Judged) -> Settled {
    match &judged.disposition {
        Disposition::Delivered(_) | Disposition::GiveUp(_) | Disposition::Dropped(_) => {
            Settled::Done
        }
        Disposition::TryAgain {
            due,
            tries,
            last,
            delay_notice,
            ..
        } => Settled::Again {
            due: *due,
            tries: *tries,
            last: last.clone(),
            delay_told: *delay_notice || judged.recipient.delay_told,
        },
        Disposition::Badmail(end) => Settled::Held {
            reason: HoldReason::Badmail,
            last: mail::escaped(&end.reason().to_string()).to_string().into(),
        },
    }
}

/// What is to be told about this recipient, if anything, to the sender first of all (RFC 3461
/// section 5.2).
fn action(decided: &Decided, judged: &Judged) -> Option<Action> {
    let Judged {
        recipient,
        disposition,
        ..
    } = judged;
    let wishes = recipient.parameters.notify.unwrap_or_default();
    let Notify {
        success,
        failure,
        delay,
    } = wishes;
    match disposition {
        Disposition::Delivered(delivery) => {
            let is_among = |numbers: &[u32]| numbers.binary_search(&recipient.number).is_ok();
            let ours = !is_among(&decided.dsn_passed) && !is_among(&decided.untold);
            (success && ours).then_some(if delivery.host.is_some() {
                Action::Relayed
            } else {
                // RFC 3464 section 2.3.3: "successfully delivered to the recipient address", and no
                // server behind us.
                Action::Delivered
            })
        }
        Disposition::TryAgain { delay_notice, .. } => {
            (*delay_notice && delay).then_some(Action::Delayed)
        }
        Disposition::GiveUp(end) => failure.then_some(end_of(end)),
        // Whoever gets copies may hear of a notice that was lost.
        Disposition::Badmail(end) | Disposition::Dropped(end) => {
            is_own_notice(recipient).then_some(end_of(end))
        }
    }
}

fn end_of(end: &GivenUp) -> Action {
    if end.expired {
        Action::Expired
    } else {
        Action::Failed
    }
}

fn is_own_notice(recipient: &Recipient) -> bool {
    recipient.admitted.grounds() == Grounds::OwnNotice
}

fn told<'a>(
    decided: &'a Decided,
    settings: &NoticeSettings,
    now: Moment,
) -> impl Iterator<Item = NoticeRecipient<'a>> {
    let retry_until = now.shown(decided.message.arrived + settings.expire);
    decided.recipients.iter().filter_map(move |judged| {
        let action = action(decided, judged)?;
        let (reply, host) = last_word(decided, judged).unzip();
        Some(NoticeRecipient {
            // RFC 3464 section 2.3.2: the recipient "as it was when the Reporting MTA accepted the
            // message".
            recipient: judged.recipient.admitted.named(),
            original: judged.recipient.parameters.original.as_ref(),
            action,
            reply,
            host: host.flatten(),
            last_attempt: judged.tried.then_some(now.wall),
            retry_until: (action == Action::Delayed).then_some(retry_until),
        })
    })
}

/// What was heard last, and of which host. RFC 3464 section 4.2: whoever has their mail forwarded
/// may not want to "reveal the location" of it, so strangers do not hear how a server put it.
fn last_word<'a>(
    decided: &Decided,
    judged: &'a Judged,
) -> Option<(Cow<'a, Reply>, Option<&'a str>)> {
    let (reply, host) = match &judged.disposition {
        Disposition::Delivered(delivery) => (&delivery.reply, delivery.host.as_deref()),
        Disposition::TryAgain { failure, .. } => of_failure(failure.as_ref()?),
        Disposition::GiveUp(end) | Disposition::Badmail(end) | Disposition::Dropped(end) => {
            of_failure(&end.failure)
        }
    };
    let forwarded_from = judged.recipient.admitted.forwarded_from();
    if forwarded_from.is_none() || !decided.message.from_stranger {
        return Some((Cow::Borrowed(reply), host));
    }
    let status = reply.status();
    let text = "so ended the attempt at the address to which it is forwarded";
    let said = Reply::new(reply.code(), status.subject, status.detail, text);
    Some((Cow::Owned(said), None))
}

fn of_failure(failure: &Failure) -> (&Reply, Option<&str>) {
    (&failure.reply, failure.host.as_deref())
}

/// Where its recipients were to go.
fn sites(decided: &Decided) -> impl Iterator<Item = &str> {
    decided.recipients.iter().map(|judged| &*judged.site)
}

/// As much of the original's content as a notice may return, and whether that is all of it.
///
/// Content that is damaged, missing, or on a bad spot of a disk that works otherwise is left out:
/// the sender must be told all the same, and one such message must not hold up others. Only a spool
/// that has failed is waited for.
fn original(
    decided: &Decided,
    wanted: u64,
    spool: &dyn Spool,
) -> Result<(Bytes, bool), SpoolError> {
    if let Some(content) = &decided.content {
        return Ok((content.clone(), true));
    }
    match read_start(decided.message.id, wanted, spool) {
        Ok(start) => Ok(start),
        Err(error @ (SpoolError::Io(_) | SpoolError::Full)) => match spool.health() {
            Health::Failed(_) => Err(error),
            Health::Accepting | Health::LowSpace { .. } => Ok((Bytes::new(), false)),
        },
        Err(SpoolError::Corrupt(_) | SpoolError::Invalid(_)) => Ok((Bytes::new(), false)),
    }
}

/// At most `wanted` octets of the content and a little more, and whether that is all of it.
fn read_start(id: QueueId, wanted: u64, spool: &dyn Spool) -> Result<(Bytes, bool), SpoolError> {
    Ok(match spool.body(id)? {
        None => (Bytes::new(), false),
        Some(Body::Memory(content)) => (content, true),
        Some(Body::Stream(stream)) => {
            let mut start = Vec::new();
            stream.take(wanted + 1).read_to_end(&mut start)?;
            let complete = start.len() as u64 <= wanted;
            (start.into(), complete)
        }
    })
}

/// The notices about a decision.
struct Report<'a> {
    decided: &'a Decided,
    settings: &'a NoticeSettings,
    now: Moment,
    /// Who is told in place of the sender, or the sender.
    sender: Option<Mailbox>,
    content: &'a (Bytes, bool),
}

impl Report<'_> {
    /// All notices that the decision causes, each with its copy where copies are wished.
    fn write_all(&self, next_id: &mut dyn FnMut() -> QueueId, notices: &mut Vec<NewMessage>) {
        let sender = self.sender.as_ref();
        let of_failure = sender.map_or(NoticeClass::Badmail, |_| NoticeClass::Failed);
        // RFC 3834 section 2: a program has no use for what only informs. Lists live on failures.
        let is_program = message::is_automatic(&self.content.0);
        for (kind, class) in [
            (ActionKind::Failure, of_failure),
            (ActionKind::Delay, NoticeClass::Delayed),
            (ActionKind::Success, NoticeClass::Delivered),
        ] {
            let told = told(self.decided, self.settings, self.now);
            let group: Vec<_> = told.filter(|told| told.action.kind() == kind).collect();
            if group.is_empty() {
                continue;
            }
            let sender = sender.filter(|_| kind == ActionKind::Failure || !is_program);
            for reader in sender.into_iter().chain(self.copy_to(class, kind)) {
                let places = self.settings.forwards.places_of(reader);
                notices.extend(places.map(|to| self.write(next_id(), reader, to, &group)));
            }
        }
    }

    /// Who gets a copy of a notice about these recipients: nobody who has it, or whom it could not
    /// reach any more than the message did.
    fn copy_to(&self, class: NoticeClass, kind: ActionKind) -> Option<&Mailbox> {
        let reader = self.settings.copies.reader(class)?;
        let has_it = self.sender.as_ref() == Some(reader);
        let is_told = |judged: &&Judged| {
            action(self.decided, judged).is_some_and(|action| action.kind() == kind)
        };
        let told = self.decided.recipients.iter().filter(is_told);
        let about: Vec<_> = told
            .map(|judged| judged.recipient.admitted.recipient())
            .collect();
        let mut places = self.settings.forwards.places_of(reader);
        let out_of_reach = places.any(|place| about.contains(&&place));
        (!has_it && !out_of_reach).then_some(reader)
    }

    /// One notice for `reader`, as a message of our own from `<>` that goes to `place`, where that
    /// mail is read.
    fn write(
        &self,
        id: QueueId,
        reader: &Mailbox,
        place: Mailbox,
        recipients: &[NoticeRecipient<'_>],
    ) -> NewMessage {
        let message = &self.decided.message;
        let (content, complete) = self.content;
        let sender = &message.reverse_path;
        let written = notice(&NoticeFacts {
            id,
            hostname: &self.settings.hostname,
            sender_domain: &self.settings.sender_domain,
            now: self.now.wall,
            to: reader,
            copy_of: (self.sender.as_ref() != Some(reader)).then_some(sender),
            original: Original {
                id: message.id,
                arrived: self.now.shown(message.arrived),
                envid: message.parameters.envid.as_ref().map(EnvelopeId::as_str),
                ret: message.parameters.ret,
                smtputf8: message.parameters.smtputf8,
                head: &message.head,
                content,
                complete: *complete,
            },
            recipients,
            reply_to: self.settings.reply_to.as_ref(),
            return_size_max: self.settings.return_size_max,
        });
        own_message(
            self.settings,
            id,
            self.now,
            ReversePath::Null,
            place,
            written,
        )
    }
}

/// A notice, or what else we write, as a message of our own.
pub(crate) fn own_message(
    settings: &NoticeSettings,
    id: QueueId,
    now: Moment,
    reverse_path: ReversePath,
    to: Mailbox,
    written: Notice,
) -> NewMessage {
    let head = if settings.signers.is_empty() {
        String::new()
    } else {
        // It is in memory, where all can be read.
        let content = &*written.content;
        signatures(&settings.signers, &|_| true, content, now.wall).unwrap_or_default()
    };
    let message = Message {
        id,
        arrived: now.line,
        reverse_path,
        parameters: written.parameters,
        client: "local".into(),
        user: None,
        from_stranger: false,
        size: (head.len() + written.content.len()) as u64,
        head: head.into(),
    };
    let recipient = Recipient {
        // RFC 3461 section 5.2.1 and RFC 3464 section 2: a notice is never answered by another.
        parameters: RcptParameters {
            notify: Some(Notify::NEVER),
            original: None,
        },
        ..Recipient::waiting(0, Admitted::own_notice(to), now.line)
    };
    NewMessage {
        message: Arc::new(message),
        recipients: vec![recipient],
        content: Content::Inline(written.content.into()),
    }
}

/// Whether this is a notice of ours that was refused for its size (RFC 3463 sections 3.3 and 3.4:
/// X.2.3 and X.3.4).
fn is_outsized(decided: &Decided) -> bool {
    let [judged] = &decided.recipients[..] else {
        return false;
    };
    let own = is_own_notice(&judged.recipient);
    match &judged.disposition {
        Disposition::Badmail(end) | Disposition::Dropped(end) if own && !end.expired => {
            let reply = &end.failure.reply;
            let status = reply.status();
            reply.code() == 552 || matches!((status.subject, status.detail), (2, 3) | (3, 4))
        }
        Disposition::Badmail(_) | Disposition::Dropped(_) => false,
        Disposition::Delivered(_) | Disposition::TryAgain { .. } | Disposition::GiveUp(_) => false,
    }
}

/// Whether `notice` is what was decided about once more, only shorter.
pub(crate) fn is_same_again(decided: &Decided, notice: &NewMessage) -> bool {
    let is_notice = decided.message.reverse_path == ReversePath::Null;
    let reader = |recipient: &Recipient| recipient.admitted.recipient().clone();
    let same = decided
        .recipients
        .first()
        .map(|judged| reader(&judged.recipient));
    is_notice && same == notice.recipients.first().map(reader)
}

/// A notice of ours that was refused for its size, once more and shorter: the sender is to hear all
/// the same.
fn shorter(
    decided: &Decided,
    settings: &NoticeSettings,
    now: Moment,
    next_id: &mut dyn FnMut() -> QueueId,
    spool: &dyn Spool,
) -> Result<Option<NewMessage>, SpoolError> {
    if !is_outsized(decided) {
        return Ok(None);
    }
    let (content, complete) = original(decided, QUOTED_BYTES_MAX, spool)?;
    let to = decided.recipients.first().map(|judged| &judged.recipient);
    let (Some(content), Some(to)) = (message::shortened(&content).filter(|_| complete), to) else {
        return Ok(None);
    };
    let body = if content.is_ascii() {
        BodyKind::SevenBit
    } else {
        BodyKind::EightBit
    };
    let parameters = MailParameters {
        body,
        smtputf8: decided.message.parameters.smtputf8,
        ..MailParameters::default()
    };
    let written = Notice {
        content,
        parameters,
    };
    let to = to.admitted.recipient().clone();
    Ok(Some(own_message(
        settings,
        next_id(),
        now,
        ReversePath::Null,
        to,
        written,
    )))
}

#[cfg(test)]
mod tests;
