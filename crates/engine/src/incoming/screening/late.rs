//! Screening after the 250. What its arrival knew of a message is stored with it, so that it is
//! looked at later, by another life of the relay too, as it would have been then; and what comes of
//! that is one change of the spool. Nothing goes out before.

use std::io::Read as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::screening::{Class, Finding, Scan};
use authentication::Start;
use bytes::Bytes;
use contents::Reader;
use mail::{
    Certificate, Client, Domain, Handshake, Mailbox, Place, Reply, Timestamp, TlsFacts, Trust,
};
use message::{RawField, listed_mailboxes};
use queue::Moment;
use reception::{Accepted, Refusal};
use relay_policy::{Envelope, EnvelopeRecipient, Reason, Rules, Why, may_write_as};
use route::Routes;
use scanner::Edit;
use serde::{Deserialize, Serialize};
use spool::{
    Body, Change, Content, HoldReason, INLINE_OCTETS_MAX, KeptMessage, LateVerdict, Message,
    Recipient, RecipientState, Settled, Settlement, Spool, SpoolError, Unscreened,
};

use super::super::storing::{BEING_SCREENED, PutOff};
use super::source::{Source, Stored};
use super::{Advised, Judgement, Screened, Screening, Storing, Terms};
use crate::{Acceptance, Setup, trouble};

/// So often a screening may be begun that does not end, as by a fault that takes the relay along.
const UNENDED_MAX: u32 = 5;
/// How long a message waits for its next try: half as long as it has waited, within these.
const RETRY_MIN: Duration = Duration::from_secs(10);
const RETRY_MAX: Duration = Duration::from_secs(15 * 60);
/// As so many authors somebody may write; a message with more is not signed.
const AUTHORS_MAX: usize = 50;

/// A message that is looked at after its 250, as it is stored.
#[derive(Debug, Clone)]
pub struct Late {
    message: Arc<Message>,
    recipients: Vec<Recipient>,
    /// As whom its sender may write, of those whom the message names.
    authors: Vec<Mailbox>,
    /// A number that none of its recipients ever had.
    next_number: u32,
    by: Option<By>,
}

/// In which session it came.
#[derive(Debug, Clone)]
pub(crate) struct By {
    pub client: Client,
    pub session: u64,
    pub hello: Box<str>,
    pub client_name: Option<Domain>,
}

/// What became of a message that was looked at after its 250.
pub struct LateOutcome {
    /// To be committed; until that is answered nothing has happened.
    pub change: Change,
    /// What came of it.
    pub end: LateEnd,
    /// What it is from now on, where it keeps its id: for the queue.
    pub kept: Option<KeptMessage>,
    /// Messages that were made of it, in its place.
    pub others: Vec<Acceptance>,
}

/// What came of looking at a message after its 250.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LateEnd {
    /// It goes on, to those whom no rule holds.
    Passed,
    /// It is held for all: why.
    Held(Box<str>),
    /// It is refused, and its sender told by a bounce.
    Refused(Reply),
    /// It is thrown away.
    Discarded,
    /// Nobody can tell now: why; it is tried again at this time.
    Postponed(Box<str>, Timestamp),
}

/// Why a message that was stored cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotResumed {
    /// It is gone, or cannot be read now.
    Spool(SpoolError),
    /// What its arrival knew cannot be read, or nobody takes mail by its rules any more.
    Unknown,
}

impl Screening {
    /// The line of the configuration by which it is taken before it is looked at, if one says so.
    pub fn is_late(&self, routes: &Routes) -> Option<&Place> {
        let Accepted { envelope, size, .. } = &self.storing.accepted;
        let from = &envelope.reverse_path;
        let recipients = envelope.recipients.iter();
        let sites = recipients.map(|one| queue::way_of(routes, from, &one.admitted).name);
        let late = &self.terms.late;
        late.applies(*size, sites).filter(|_| self.is_examined())
    }

    /// Has it stored as it is, to be looked at later, as the line `by` says. Blocks.
    pub fn put_off(mut self, by: Place) -> Screened {
        match self.arrival().and_then(|arrival| self.keep(&arrival, by)) {
            Ok(storing) => Screened::Store(vec![storing]),
            Err(error) => Screened::Failed(trouble(&error)),
        }
    }

    fn keep(&mut self, arrival: &Arrival, by: Place) -> Result<Storing, SpoolError> {
        let facts = serde_json::to_vec(arrival);
        let facts = facts.map_err(|why| SpoolError::Invalid(why.to_string().into()))?;
        let content = self.take_source().finish()?;
        let storing = &mut self.storing;
        Ok(Storing {
            coming: storing.coming.take(),
            accepted: storing.accepted.clone(),
            held: Vec::new(),
            content,
            unscreened: Some(PutOff {
                facts: facts.into(),
                by,
            }),
            client: storing.client.clone(),
            client_name: storing.client_name.clone(),
            ..*storing
        })
    }

    fn arrival(&self) -> Result<Arrival, SpoolError> {
        let Storing {
            accepted,
            client,
            client_name,
            ..
        } = &self.storing;
        let held = self.storing.held.iter().flatten().next();
        Ok(Arrival {
            peer: client.peer,
            local: client.local,
            listener: client.listener.to_string(),
            tls: client.tls.as_ref().map(Tls::of),
            mechanism: client.mechanism.to_string(),
            uid: client.uid,
            hello: accepted.hello.to_string(),
            client_name: client_name.as_ref().map(ToString::to_string),
            is_extended: self.storing.is_extended,
            session: self.storing.session,
            message_id: accepted.message_id.to_string(),
            subject: accepted.subject.to_string(),
            recipients: self.storing.recipients(),
            held: held.map(|(_, why)| why.to_string()),
            authors: self.authors()?,
            fields: self.advised.fields.clone(),
            scans: self.advised.scans.iter().filter_map(Said::of).collect(),
        })
    }

    /// As whom it is written, as far as its sender may write so.
    fn authors(&self) -> Result<Vec<String>, SpoolError> {
        if !self.signs() {
            return Ok(Vec::new());
        }
        let start = Start::read(&mut Reader::new(&self.source));
        self.source.check()?;
        let Start { octets, header_len } = start?;
        let whole = [
            &self.storing.accepted.head,
            &octets[..header_len.min(octets.len())],
        ]
        .concat();
        let fields = RawField::all(&whole).filter(|field| field.is("From"));
        let authors = fields.flat_map(|field| listed_mailboxes(field.value));
        let rights = self.rights.as_ref();
        let may_write =
            |author: &Mailbox| may_write_as(&self.rules, &self.storing.client, rights, author);
        let authors = authors
            .filter_map(|listed| listed.mailbox())
            .filter(may_write);
        let authors: Vec<String> = authors.map(|one| one.to_string()).collect();
        Ok(match authors.len() {
            0..=AUTHORS_MAX => authors,
            _ => Vec::new(),
        })
    }

    /// A message that was stored to be looked at later, on these terms; `rules` are those of a
    /// listener. Blocks.
    ///
    /// # Errors
    /// It cannot be read, or what its arrival knew cannot.
    pub fn resumed(
        stored: &Unscreened,
        terms: &Arc<Terms>,
        rules: impl FnOnce(&str) -> Option<Arc<Rules>>,
        spool: &dyn Spool,
    ) -> Result<Self, NotResumed> {
        let arrival: Arrival =
            serde_json::from_slice(&stored.facts).map_err(|_| NotResumed::Unknown)?;
        let rules = rules(&arrival.listener).ok_or(NotResumed::Unknown)?;
        let (message, recipients) = (&stored.waiting.message, &stored.waiting.recipients);
        let source = content(message, spool).map_err(NotResumed::Spool)?;
        let authors = arrival.authors.iter();
        let authors = authors.filter_map(|one| Mailbox::parse(one).ok()).collect();
        let advised = Advised {
            fields: arrival.fields.clone(),
            scans: arrival.scans.iter().map(Said::scan).collect(),
        };
        let next_number = arrival.recipients;
        let storing = arrival.storing(message, recipients);
        let by = By {
            client: storing.client.clone(),
            session: storing.session,
            hello: storing.accepted.hello.clone(),
            client_name: storing.client_name.clone(),
        };
        let mut screening = Self::new(storing, None, terms, &rules, None).advised(advised);
        screening.source = source;
        screening.late = Some(Late {
            message: Arc::clone(message),
            recipients: recipients.clone(),
            authors,
            next_number,
            by: Some(by),
        });
        Ok(screening)
    }

    pub(super) fn late_authors(&self) -> Option<Vec<Mailbox>> {
        Some(self.late.as_ref()?.authors.clone())
    }

    /// The message as it is stored, where it is looked at after its 250.
    pub fn late(&self) -> Option<&Late> {
        self.late.as_ref()
    }
}

/// The content of a message, where it is.
fn content(message: &Message, spool: &dyn Spool) -> Result<Source, SpoolError> {
    let size = message.size.saturating_sub(message.head.len() as u64);
    if let Some(body) = spool.shared_body(message.id)? {
        return Ok(Source::Stored(Stored::new(body, size)));
    }
    let content = match spool.body(message.id)? {
        Some(Body::Memory(content)) => content,
        Some(Body::Stream(stream)) => {
            let mut content = Vec::new();
            stream
                .take(INLINE_OCTETS_MAX as u64)
                .read_to_end(&mut content)?;
            content.into()
        }
        None => return Err(SpoolError::Invalid("the message is gone".into())),
    };
    match content.len() as u64 == size {
        true => Ok(Source::Memory(content)),
        false => Err(SpoolError::Corrupt("its content lacks its end".into())),
    }
}

/// How often a look at it was begun that did not end: that may have taken the relay along.
pub fn unended(stored: &Unscreened) -> u32 {
    let tries = stored.waiting.recipients.iter().map(|one| one.tries);
    tries.max().unwrap_or(0)
}

/// What is to be written down before a message is looked at: should that take the relay along, the
/// next one knows. `None`: it has happened so often that it is held, and why.
pub fn begun(stored: &Unscreened, now: Timestamp) -> Option<Change> {
    let (recipients, unended) = (&stored.waiting.recipients, unended(stored));
    let again = |one: &Recipient| {
        let again = Settled::Again {
            due: now,
            tries: unended + 1,
            last: BEING_SCREENED.into(),
            delay_told: one.delay_told,
        };
        (one.number, again)
    };
    (unended < UNENDED_MAX).then(|| {
        Change::Settle(Settlement {
            id: stored.waiting.message.id,
            recipients: recipients.iter().map(again).collect(),
            notices: Vec::new(),
        })
    })
}

impl Late {
    /// Of a message that is not looked at, since that cannot be.
    pub fn of(stored: &Unscreened) -> Self {
        Self {
            message: Arc::clone(&stored.waiting.message),
            recipients: stored.waiting.recipients.clone(),
            authors: Vec::new(),
            // It goes on as it is.
            next_number: u32::MAX,
            by: None,
        }
    }

    /// In which session it came, where that is known.
    pub(crate) fn by(&self) -> Option<&By> {
        self.by.as_ref()
    }

    /// The message, as it is stored.
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// Those it was looked at for.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// It was begun too often without an end.
    pub fn never_ended(self) -> LateOutcome {
        let why = format!("its screening was begun {UNENDED_MAX} times and did not end");
        self.held(&why)
    }

    /// What its arrival knew cannot be read.
    pub fn unknown(self) -> LateOutcome {
        self.held("it cannot be screened: what was known when it came cannot be read")
    }

    /// What is to be done by what was found: at this moment, as `setup` has it.
    pub fn concluded(self, judgement: Judgement, setup: &Setup, now: Moment) -> LateOutcome {
        let Judgement {
            screened,
            is_proven,
            ..
        } = judgement;
        match screened {
            Screened::Store(messages) => self.stored(messages, setup, now),
            Screened::Refuse(refusal) if refusal.reply.is_permanent() => {
                self.refused(&refusal, is_proven, setup)
            }
            Screened::Refuse(refusal) => {
                let Refusal { reply, by } = &refusal;
                let why = format!("{reply}: {} ({})", by.why, by.place);
                self.postponed(&why, setup, now)
            }
            Screened::Discard => {
                let verdict = self.verdict(None, Vec::new());
                let (end, others) = (LateEnd::Discarded, Vec::new());
                outcome(verdict, end, others)
            }
            Screened::Failed(_) => {
                let why = "it could not be read or written, or its turn did not come";
                self.postponed(why, setup, now)
            }
        }
    }

    /// A try ends without anything found, and the next one may begin at once: the relay stops.
    pub fn given_back(&self, now: Timestamp) -> Change {
        self.again(now, BEING_SCREENED)
    }

    fn again(&self, due: Timestamp, last: &str) -> Change {
        let again = |one: &Recipient| {
            let again = Settled::Again {
                due,
                tries: 0,
                last: last.into(),
                delay_told: one.delay_told,
            };
            (one.number, again)
        };
        Change::Settle(Settlement {
            id: self.message.id,
            recipients: self.recipients.iter().map(again).collect(),
            notices: Vec::new(),
        })
    }

    /// It is tried again; when it has waited for too long, it is held.
    pub fn postponed(self, why: &str, setup: &Setup, now: Moment) -> LateOutcome {
        let late = &setup.config.screening.late;
        let waited = now.line.since(self.message.arrived);
        if waited >= late.give_up {
            return self.held(&format!("it could not be screened: {why}"));
        }
        let why: Box<str> = mail::escaped(why).to_string().into();
        let due = now.line + (waited / 2).clamp(RETRY_MIN, RETRY_MAX);
        LateOutcome {
            change: self.again(due, &format!("{BEING_SCREENED}: {why}")),
            end: LateEnd::Postponed(why, due),
            kept: None,
            others: Vec::new(),
        }
    }

    fn stored(self, messages: Vec<Storing>, setup: &Setup, now: Moment) -> LateOutcome {
        let is_held = messages.iter().all(Storing::is_held);
        let (mut kept, mut others) = (None, Vec::new());
        for storing in messages {
            let mut acceptance = storing.into_acceptance(now.line, setup.routes());
            let message = Arc::make_mut(&mut acceptance.message.message);
            message.arrived = self.message.arrived;
            if message.id == self.message.id {
                kept = Some(self.renumbered(&acceptance));
            } else {
                self.lead(&mut acceptance.message.recipients);
                others.push(acceptance);
            }
        }
        let all = kept.iter().flat_map(|kept| &kept.recipients);
        let all = all.chain(others.iter().flat_map(|one| &one.message.recipients));
        let why = all.filter_map(|one| one.last.clone()).next();
        let end = match why.filter(|_| is_held) {
            Some(why) => LateEnd::Held(why),
            None => LateEnd::Passed,
        };
        let verdict = self.verdict(kept, others.iter().map(|one| one.message.clone()).collect());
        outcome(verdict, end, others)
    }

    /// Whoever it went to before waits where an operator led it.
    fn lead(&self, recipients: &mut [Recipient]) {
        for one in recipients {
            let mut before = self.recipients.iter();
            let same = before.find(|old| old.admitted == one.admitted);
            if let Some(old) = same.filter(|old| old.rerouted().is_some()) {
                one.filed = old.filed.clone();
            }
        }
    }

    /// The same, and it has the number from before.
    fn renumbered(&self, acceptance: &Acceptance) -> KeptMessage {
        let mut before: Vec<&Recipient> = self.recipients.iter().collect();
        let mut next = self.next_number;
        let mut recipients = Vec::new();
        for one in &acceptance.message.recipients {
            let mut one = one.clone();
            let same = before.iter().position(|old| old.admitted == one.admitted);
            if let Some(old) = same.map(|at| before.remove(at)) {
                one.number = old.number;
            } else {
                one.number = next;
                next = next.saturating_add(1);
            }
            recipients.push(one);
        }
        self.lead(&mut recipients);
        KeptMessage {
            message: Arc::clone(&acceptance.message.message),
            recipients,
        }
    }

    fn refused(self, refusal: &Refusal, is_proven: bool, setup: &Setup) -> LateOutcome {
        let Refusal { reply, by } = refusal;
        let is_told = !self.message.from_stranger || is_proven;
        let all = &mut self.recipients.iter();
        let is_told = is_told && all.all(|one| queue::may_bounce(&setup.queue, &self.message, one));
        if !is_told {
            let why = format!(
                "refused after its 250, and its sender may be forged, so held: {} ({})",
                by.why, by.place
            );
            return self.held(&why);
        }
        let (reply, last) = (reply.clone(), mail::escaped(&reply.to_string()).to_string());
        let kept = self.as_it_is(HoldReason::Bouncing, &last);
        let verdict = self.verdict(Some(kept), Vec::new());
        outcome(verdict, LateEnd::Refused(reply), Vec::new())
    }

    /// It is in quarantine, for everybody.
    fn held(self, why: &str) -> LateOutcome {
        let why = mail::escaped(why).to_string();
        let kept = self.as_it_is(HoldReason::Screening, &why);
        let verdict = self.verdict(Some(kept), Vec::new());
        outcome(verdict, LateEnd::Held(why.into()), Vec::new())
    }

    fn as_it_is(&self, reason: HoldReason, last: &str) -> KeptMessage {
        let recipients = self.recipients.iter().map(|one| Recipient {
            state: RecipientState::Held(reason),
            tries: 0,
            last: Some(last.into()),
            ..one.clone()
        });
        KeptMessage {
            message: Arc::clone(&self.message),
            recipients: recipients.collect(),
        }
    }

    fn verdict(&self, kept: Option<KeptMessage>, others: Vec<spool::NewMessage>) -> LateVerdict {
        LateVerdict {
            id: self.message.id,
            numbers: self.recipients.iter().map(|one| one.number).collect(),
            led: self.recipients.iter().filter_map(Recipient::led).collect(),
            kept,
            others,
        }
    }
}

fn outcome(verdict: LateVerdict, end: LateEnd, others: Vec<Acceptance>) -> LateOutcome {
    LateOutcome {
        kept: verdict.kept.clone(),
        change: Change::Screened(verdict),
        end,
        others,
    }
}

/// What is known of a message when it comes, and not stored with it otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Arrival {
    peer: SocketAddr,
    local: SocketAddr,
    listener: String,
    tls: Option<Tls>,
    mechanism: String,
    uid: Option<u32>,
    hello: String,
    client_name: Option<String>,
    is_extended: bool,
    session: u64,
    message_id: String,
    subject: String,
    /// How many it came for.
    recipients: u32,
    /// Why the guardian has it kept, whatever screening says.
    held: Option<String>,
    /// As whom its sender may write, of those whom it names.
    authors: Vec<String>,
    /// What policy services said of its recipients.
    fields: Vec<Edit>,
    scans: Vec<Said>,
}

impl Arrival {
    fn storing(self, message: &Message, recipients: &[Recipient]) -> Storing {
        let mut client = Client::new(self.peer, self.local, self.listener.into());
        client.tls = self.tls.map(Tls::facts);
        client.user = message.user.as_deref().map(Into::into);
        (client.mechanism, client.uid) = (self.mechanism.into(), self.uid);
        let mut envelope = Envelope::new(message.reverse_path.clone());
        envelope.parameters = message.parameters.clone();
        let of_recipient = |one: &Recipient| EnvelopeRecipient {
            admitted: one.admitted.clone(),
            why: Reason {
                why: Why::Taken,
                place: Place::Default,
            },
            parameters: one.parameters.clone(),
        };
        envelope.recipients = recipients.iter().map(of_recipient).collect();
        let held = |why: String| (HoldReason::Operator, Box::from(why));
        Storing {
            coming: None,
            held: match self.held {
                Some(why) => vec![Some(held(why)); recipients.len()],
                None => Vec::new(),
            },
            accepted: Accepted {
                id: message.id,
                envelope,
                named: None,
                head: message.head.to_vec(),
                content: Vec::new(),
                size: message.size,
                hello: self.hello.into(),
                from_stranger: message.from_stranger,
                user: client.user.clone(),
                origin: None,
                message_id: self.message_id.into(),
                subject: self.subject.into(),
                trace_parent: None,
            },
            judged: true,
            parted_from: None,
            content: Content::Inline(Bytes::new()),
            unscreened: None,
            client,
            client_name: self.client_name.and_then(|name| Domain::parse(&name).ok()),
            is_extended: self.is_extended,
            session: self.session,
        }
    }
}

/// A session's encryption.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Tls {
    version: String,
    cipher: String,
    /// Both are absent in what earlier versions wrote.
    #[serde(default)]
    group: String,
    #[serde(default)]
    handshake: String,
    certificate: Option<Shown>,
}

/// The groups that `tls` agrees upon.
const GROUPS: [&str; 4] = ["X25519", "X25519MLKEM768", "secp256r1", "secp384r1"];

/// The client's certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shown {
    sha256: [u8; 32],
    key_sha256: Option<[u8; 32]>,
    names: Vec<String>,
    /// Its names may be believed.
    is_trusted: bool,
}

impl Tls {
    fn of(facts: &TlsFacts) -> Self {
        let certificate = facts.certificate.as_ref().map(|one| Shown {
            sha256: one.sha256,
            key_sha256: one.key_sha256,
            names: one.names.iter().map(ToString::to_string).collect(),
            is_trusted: one.is_trusted(),
        });
        Self {
            version: facts.version.to_owned(),
            cipher: facts.cipher.to_string(),
            group: facts.group.to_owned(),
            handshake: facts.handshake.as_str().to_owned(),
            certificate,
        }
    }

    fn facts(self) -> TlsFacts {
        let certificate = self.certificate.map(|shown| {
            Arc::new(Certificate {
                sha256: shown.sha256,
                key_sha256: shown.key_sha256,
                names: shown.names.into_iter().map(Into::into).collect(),
                trust: match shown.is_trusted {
                    true => Trust::Ok,
                    false => Trust::Unknown,
                },
            })
        });
        TlsFacts {
            version: match &*self.version {
                "TLSv1.2" => "TLSv1.2",
                _ => "TLSv1.3",
            },
            cipher: self.cipher.into(),
            group: GROUPS
                .into_iter()
                .find(|group| *group == self.group)
                .unwrap_or_default(),
            handshake: [Handshake::Resumed, Handshake::Retried]
                .into_iter()
                .find(|kind| kind.as_str() == self.handshake)
                .unwrap_or(Handshake::Full),
            certificate,
        }
    }
}

/// What a policy service came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Said {
    scanner: String,
    classes: Vec<String>,
    score: Option<f64>,
    what: String,
    /// Code, subject and detail of its status, text.
    reply: Option<(u16, u16, u16, String)>,
}

impl Said {
    fn of(scan: &Scan) -> Option<Self> {
        let finding = scan.finding.as_ref()?;
        Some(Self {
            scanner: scan.scanner.to_string(),
            classes: finding
                .classes
                .iter()
                .map(|one| one.name().to_owned())
                .collect(),
            score: finding.score,
            what: finding.what.clone(),
            reply: finding.reply.as_ref().map(|reply| {
                let status = reply.status();
                let text = reply.text().to_owned();
                (reply.code(), status.subject, status.detail, text)
            }),
        })
    }

    fn scan(&self) -> Scan {
        let is_said = |class: &Class| self.classes.iter().any(|name| name == class.name());
        Scan {
            scanner: self.scanner.as_str().into(),
            finding: Some(Finding {
                classes: Class::ALL.into_iter().filter(is_said).collect(),
                score: self.score,
                what: self.what.clone(),
                reply: self
                    .reply
                    .as_ref()
                    .and_then(|(code, subject, detail, text)| {
                        Reply::from_peer(*code, Some((*subject, *detail)), text)
                    }),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
