mod edits;
mod facts;
mod letters;
mod refusals;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::screening::{Addressee, Change, Direction, Examination, Facts, Matched, Verdict};
use authentication::{
    Answer, Authentication, Checks, Claims, Question, Results, Stage, Step, header_len,
};
use bytes::Bytes;
use config::Screening as Terms;
use contents::{Contents, look_into};
use dkim::Signers;
use mail::{Place, QueueId, Timestamp};
use message::without_results_that_claim;
use reception::{Accepted, Refusal, StoreTrouble};
use relay_policy::{Rights, Rules};
use spool::{BodyWriter, Content, HoldReason, Spool, SpoolError};

use self::edits::{Edited, Unadded, edited};
pub use self::facts::ScreenedFact;
use self::facts::{facts, tell_of_parted, tell_of_unadded};
use self::letters::letters;
use self::refusals::Refusals;
use super::Storing;
use crate::signing::Signing;
use crate::trouble;

/// A whole message, to be looked at before it is stored: [`Screening::read`], then what DNS has to
/// say of its [`Screening::questions`], then [`Screening::run`].
pub struct Screening {
    storing: Storing,
    /// Its content, where that is on disk.
    body: Option<Box<dyn BodyWriter>>,
    terms: Arc<Terms>,
    rules: Arc<Rules>,
    /// What the user may do who had signed in.
    rights: Option<Arc<Rights>>,
    /// When it is looked at, on the system's clock.
    now: Timestamp,
    authentication: Option<Authentication>,
    results: Results,
    /// A check broke down over it.
    is_unreadable: bool,
}

/// What is to be done with a message that was looked at.
pub enum Screened {
    /// Store these, all of them: what differs from one recipient to another makes several messages
    /// of it. The first is the one that its client hears of.
    Store(Vec<Storing>),
    /// Refuse it, for all.
    Refuse(Refusal),
    /// Throw it away.
    Discard,
    /// It could not be read or written.
    Failed(StoreTrouble),
}

/// What came of looking at a message.
pub struct Judgement {
    /// What is to be done with it.
    pub screened: Screened,
    /// For each whom its client named why it is refused for it, if it is; empty where all fare alike,
    /// or the client takes one reply for all.
    pub each: Vec<Option<Refusal>>,
    /// What rules made of it.
    pub facts: Vec<ScreenedFact>,
}

impl From<Screened> for Judgement {
    fn from(screened: Screened) -> Self {
        Self {
            screened,
            each: Vec::new(),
            facts: Vec::new(),
        }
    }
}

/// What is larger takes its time.
const QUICK_OCTETS_MAX: u64 = 16 << 10;

/// What a rule says where the content cannot be looked into at all.
const UNREADABLE: &str = "the content cannot be looked into: a fault in its reader";

impl Screening {
    pub(super) fn new(
        storing: Storing,
        body: Option<Box<dyn BodyWriter>>,
        terms: &Arc<Terms>,
        rules: &Arc<Rules>,
        rights: Option<Arc<Rights>>,
    ) -> Self {
        Self {
            storing,
            body,
            terms: Arc::clone(terms),
            rules: Arc::clone(rules),
            rights,
            now: Timestamp::default(),
            authentication: None,
            results: Results::default(),
            is_unreadable: false,
        }
    }

    /// The message, before anything was done about it.
    pub fn storing(&self) -> &Storing {
        &self.storing
    }

    /// The same, to be held by who has a say in that before anything is looked at.
    pub fn storing_mut(&mut self) -> &mut Storing {
        &mut self.storing
    }

    /// Whether it is looked at in no time, so that it may be done where others wait. What is packed in
    /// it may take long whatever its size.
    pub fn is_quick(&self) -> bool {
        self.storing.accepted.size <= QUICK_OCTETS_MAX && !self.terms.screens.wanted().archives
    }

    /// Whether rules or checks look at its content; else it is only signed, if that.
    pub fn is_examined(&self) -> bool {
        self.terms.asks()
    }

    /// Whether it may have to be signed, which takes more time than all else.
    pub fn signs(&self) -> bool {
        self.terms.signs(self.storing.accepted.from_stranger)
    }

    /// Whether its sender is checked: those who may relay are believed.
    pub fn is_checked(&self) -> bool {
        let Storing {
            accepted, client, ..
        } = &self.storing;
        let is_asked = self.terms.checks != Checks::default();
        is_asked && accepted.from_stranger && client.uid.is_none()
    }

    /// Reads the content and its signatures, at `now` (the system's clock). Blocks. What was read is
    /// forgotten again, as DNS may take its time.
    ///
    /// # Errors
    /// When it cannot be read; then there is nothing to be run.
    pub fn read(&mut self, now: Timestamp) -> Result<(), StoreTrouble> {
        self.now = now;
        if !self.is_checked() {
            return Ok(());
        }
        let Storing {
            accepted, client, ..
        } = &self.storing;
        let claims = Claims {
            client: client.address(),
            hello: accepted.hello.clone(),
            sender: accepted.envelope.reverse_path.clone(),
            receiver: self.terms.id.clone(),
            now,
        };
        let checks = self.terms.checks;
        let content = self.content()?;
        let trusted = Arc::clone(&self.terms.arc_trusted);
        let begun = unharmed(|| Authentication::new(checks, claims, &content).trusting(&trusted));
        self.is_unreadable = begun.is_none();
        self.authentication = begun;
        Ok(())
    }

    /// The content as it came.
    fn content(&mut self) -> Result<Bytes, StoreTrouble> {
        let Some(body) = &mut self.body else {
            return match &self.storing.content {
                Content::Inline(content) => Ok(content.clone()),
                // What was synced unseen is a fault of ours.
                Content::Large(_) => Err(StoreTrouble::Failed),
            };
        };
        let mut written = body.written().map_err(|error| trouble(&error))?;
        let mut content = Vec::new();
        let read = written.read_to_end(&mut content);
        read.map_err(|error| trouble(&error.into()))?;
        Ok(content.into())
    }

    /// What has to be known of DNS now, side by side, and for what; nothing: it can be run.
    pub fn questions(&mut self) -> Option<(Stage, Vec<Question>)> {
        let mut authentication = self.authentication.take()?;
        let step = unharmed(|| {
            let step = authentication.step();
            (step, authentication)
        });
        match step {
            Some((Step::Ask(stage, questions), authentication)) => {
                self.authentication = Some(authentication);
                return Some((stage, questions));
            }
            Some((Step::Done(results), _)) => self.results = *results,
            None => self.is_unreadable = true,
        }
        None
    }

    /// The answer to one of them.
    pub fn on_answer(&mut self, question: &Question, answer: &Answer) {
        if let Some(authentication) = &mut self.authentication {
            authentication.on_answer(question, answer);
        }
    }

    /// Looks at the message and signs it; `next_id` names each further message that is made of it.
    /// Blocks.
    pub fn run(
        mut self,
        signers: &Signers,
        spool: &dyn Spool,
        next_id: &mut dyn FnMut() -> QueueId,
    ) -> Judgement {
        if !self.is_examined() {
            return self.signed(signers).into();
        }
        let content = match self.content() {
            Ok(content) => content,
            Err(trouble) => return Screened::Failed(trouble).into(),
        };
        let (whole, is_cleaned) = self.with_results(&content);
        drop(content);
        // What its sender wrote into it must not end the session, whatever it does to a library.
        let looked_at = unharmed(|| self.looked_at(&whole)).filter(|_| !self.is_unreadable);
        let (contents, verdicts) = match looked_at {
            Some((contents, verdicts)) => (Some(contents), verdicts),
            None => (None, self.unreadable()),
        };
        let mut facts = facts(&self.storing.accepted, &verdicts);
        let terms = Arc::clone(&self.terms);
        let mut without = Vec::new();
        let Refusals {
            whole: refused,
            each,
            told,
        } = Refusals::of(self.storing.accepted.named.as_ref(), &verdicts);
        let screened = match refused {
            Some(refusal) => Screened::Refuse(refusal),
            None => {
                let letters = Letters {
                    whole: &whole,
                    contents: contents.as_ref(),
                    is_cleaned,
                    verdicts: &verdicts,
                    told: &told,
                    limits: terms.screens.limits(),
                };
                self.stored(&letters, signers, spool, next_id, &mut without)
            }
        };
        for unadded in &without {
            tell_of_unadded(unadded, &mut facts);
        }
        if let Screened::Store(messages) = &screened {
            for message in messages.iter().skip(1) {
                tell_of_parted(message, &mut facts);
            }
        }
        Judgement {
            screened,
            each,
            facts,
        }
    }

    fn signing<'a>(&self, signers: &'a Signers) -> Signing<'a> {
        Signing {
            signers,
            rules: Arc::clone(&self.rules),
            client: self.storing.client.clone(),
            rights: self.rights.clone(),
            now: self.now,
        }
    }

    /// The message as it came, signed.
    fn signed(self, signers: &Signers) -> Screened {
        let signing = self.signing(signers);
        let Self {
            mut storing, body, ..
        } = self;
        let signed = match (body, storing.content.clone()) {
            (Some(mut body), _) => {
                let signed = body.written().and_then(|written| {
                    signing.sign(&mut storing.accepted, written)?;
                    Ok(())
                });
                signed.and_then(|()| body.finish())
            }
            (None, Content::Inline(content)) => {
                let signed = signing.sign(&mut storing.accepted, &*content);
                signed
                    .map_err(Into::into)
                    .map(|()| Content::Inline(content))
            }
            // What was synced is on its way already.
            (None, large @ Content::Large(_)) => Ok(large),
        };
        match signed {
            Ok(content) => {
                storing.content = content;
                Screened::Store(vec![storing])
            }
            Err(error) => Screened::Failed(trouble(&error)),
        }
    }

    /// Head and content in one, on top what the checks came to, and without what somebody else wrote
    /// in our name (RFC 8601 section 5); whether there was such a thing.
    fn with_results(&mut self, content: &[u8]) -> (Vec<u8>, bool) {
        let (id, tells) = (&self.terms.id, self.terms.tells);
        let field = self.results.field(id).filter(|_| tells);
        let (header, body) = content.split_at(if tells { header_len(content) } else { 0 });
        let kept = without_results_that_claim(id, header);
        let accepted = &mut self.storing.accepted;
        if let Some(field) = field {
            let head = std::mem::replace(&mut accepted.head, field.into_bytes());
            accepted.head.extend_from_slice(&head);
        }
        let whole = [&accepted.head[..], &kept, body].concat();
        accepted.size = whole.len() as u64;
        (whole, matches!(kept, Cow::Owned(_)))
    }

    fn looked_at(&self, whole: &[u8]) -> (Contents, Vec<Verdict>) {
        let accepted = &self.storing.accepted;
        let screens = &self.terms.screens;
        if screens.is_empty() {
            let passes = vec![Verdict::pass(); accepted.envelope.recipients.len()];
            return (Contents::default(), passes);
        }
        let contents = look_into(whole, screens.wanted(), screens.limits());
        let examination = Examination::new(
            screens,
            Facts {
                client: &self.storing.client,
                direction: Direction::of(accepted.from_stranger),
                sender: &accepted.envelope.reverse_path,
                size: accepted.size,
                contents: &contents,
                authentication: self.results.summary(),
            },
        );
        let recipients = accepted.envelope.recipients.iter();
        let verdicts = recipients
            .map(|recipient| {
                let admitted = &recipient.admitted;
                examination.verdict(&Addressee {
                    mailbox: admitted.recipient(),
                    named: admitted.named(),
                })
            })
            .collect();
        (contents, verdicts)
    }

    /// Everybody's is held: neither lost nor let through unseen.
    fn unreadable(&self) -> Vec<Verdict> {
        let by = Matched {
            name: "unreadable".into(),
            place: Place::Default,
            why: UNREADABLE.to_owned(),
            does: "hold".to_owned(),
            dry_run: false,
        };
        let held = Verdict::hold(by);
        vec![held; self.storing.accepted.envelope.recipients.len()]
    }

    fn stored(
        self,
        made_of: &Letters<'_>,
        signers: &Signers,
        spool: &dyn Spool,
        next_id: &mut dyn FnMut() -> QueueId,
        without: &mut Vec<Unadded>,
    ) -> Screened {
        let letters = letters(&self.storing.accepted, made_of, &self.rules);
        if letters.is_empty() {
            return Screened::Discard;
        }
        let is_as_it_came = letters.len() == 1 && !made_of.is_cleaned;
        let signing = self.signing(signers);
        let Self {
            storing, mut body, ..
        } = self;
        let mut messages: Vec<Storing> = Vec::with_capacity(letters.len());
        for letter in letters {
            let mut accepted = storing.accepted.clone();
            if !messages.is_empty() {
                rename(&mut accepted, next_id());
            }
            accepted.envelope.recipients = letter.recipients;
            let body = body.take();
            let content = if letter.changes.is_empty() && is_as_it_came {
                let content = &made_of.whole[accepted.head.len()..];
                let signed = signing.sign(&mut accepted, content).map_err(Into::into);
                let content = signed.and_then(|()| match body {
                    Some(body) => body.finish(),
                    None => Ok(storing.content.clone()),
                });
                content.map(|content| (content, None, None))
            } else {
                // A file of the same name must be gone before another one is written.
                drop(body);
                made_of.changed(&mut accepted, letter.changes, &signing, spool)
            };
            let (content, left_in, unadded) = match content {
                Ok(content) => content,
                Err(error) => {
                    for message in messages {
                        message.abandon(spool);
                    }
                    return Screened::Failed(trouble(&error));
                }
            };
            without.extend(unadded);
            let mut held = letter.held;
            if let Some(before) = storing.held.iter().flatten().next() {
                for held in &mut held {
                    held.get_or_insert_with(|| before.clone());
                }
            }
            if let Some(why) = left_in {
                let why: Box<str> = mail::escaped(&why).to_string().into();
                for held in &mut held {
                    held.get_or_insert_with(|| (HoldReason::Screening, why.clone()));
                }
            }
            messages.push(Storing {
                coming: None,
                accepted,
                held,
                judged: storing.judged,
                parted_from: (!messages.is_empty()).then_some(storing.accepted.id),
                content,
                client: storing.client.clone(),
                client_name: storing.client_name.clone(),
                session: storing.session,
            });
        }
        if let Some(first) = messages.first_mut() {
            first.coming = storing.coming;
        }
        Screened::Store(messages)
    }
}

/// A further message that is made of one has a name of its own, in `Received` too, which holds it as
/// text of one length.
fn rename(accepted: &mut Accepted, id: QueueId) {
    let (old, new) = (accepted.id.to_string(), id.to_string());
    let head = String::from_utf8_lossy(&accepted.head).replace(&old, &new);
    if head.len() == accepted.head.len() {
        accepted.head = head.into_bytes();
    }
    accepted.id = id;
}

/// Of what the messages for all recipients are made.
struct Letters<'a> {
    /// Head and content.
    whole: &'a [u8],
    contents: Option<&'a Contents>,
    /// It is not what came any more.
    is_cleaned: bool,
    verdicts: &'a [Verdict],
    /// Who gets nothing, by place, since the client hears so.
    told: &'a BTreeSet<usize>,
    limits: &'a contents::Limits,
}

/// What `work` gives, and `None` where it panics.
fn unharmed<T>(work: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

impl Letters<'_> {
    /// The content with these changes, as `accepted` is to be stored: what was its head is part of it
    /// then. Also why the message must not go on, where what was to be taken out is still in it; and
    /// the footer that could not be added.
    fn changed(
        &self,
        accepted: &mut Accepted,
        changes: &[Change],
        signing: &Signing<'_>,
        spool: &dyn Spool,
    ) -> Result<(Content, Option<String>, Option<Unadded>), SpoolError> {
        let (content, left_in, without) = match self.contents {
            Some(contents) if !changes.is_empty() => {
                // Its own name may stand in its head by now.
                let whole = [&accepted.head[..], &self.whole[accepted.head.len()..]].concat();
                let changed = unharmed(|| edited(&whole, contents, changes, self.limits));
                let failed = || Edited {
                    message: whole.clone(),
                    left_in: Some(UNREADABLE.to_owned()),
                    without: None,
                };
                let edited = changed.unwrap_or_else(failed);
                accepted.head = Vec::new();
                accepted.size = edited.message.len() as u64;
                (edited.message, edited.left_in, edited.without)
            }
            Some(_) | None => (self.whole[accepted.head.len()..].to_vec(), None, None),
        };
        signing.sign(accepted, &*content)?;
        if content.len() <= spool::INLINE_OCTETS_MAX {
            return Ok((Content::Inline(Bytes::from(content)), left_in, without));
        }
        let mut body = spool.open_body(accepted.id)?;
        body.write(&content)?;
        Ok((body.finish()?, left_in, without))
    }
}
