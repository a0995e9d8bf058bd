mod edits;
mod facts;
mod fields;
mod head;
mod late;
mod letters;
mod refusals;
mod released;
mod scanning;
mod source;
#[cfg(test)]
mod tests;
mod writing;

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use ::screening::{Addressee, Direction, Examination, Facts, Matched, Reputation, Scan, Verdict};
use authentication::{
    Answer, Authentication, Checks, Claims, Question, Results, Stage, Start, Step, Summary,
};
use bytes::Bytes;
use config::Screening as Terms;
use contents::{Contents, Octets, Reader, Scratch, look_into_octets};
use dkim::Signers;
use dmarc::Policy;
use mail::{Domain, Mailbox, Place, QueueId, Timestamp};
use message::{is_report, without_fields, without_results_that_claim};
use milter::RecipientChange;
use reception::{Accepted, Refusal, StoreTrouble};
use relay_policy::{Rights, Rules, listed};
use spool::{BodyWriter, Spool};

use self::edits::Unadded;
pub use self::facts::ScreenedFact;
use self::facts::{facts, tell_of_parted, tell_of_unadded};
use self::head::renamed;
pub use self::late::{Late, LateEnd, LateOutcome, NotResumed, begun, unended};
use self::letters::{Letter, letters};
use self::refusals::Refusals;
pub use self::released::{CannotRelease, WithoutAttachments, without_attachments};
use self::scanning::Looked;
pub use self::scanning::{ForMilters, facts_for_hooks, unscanned};
use self::source::Source;
use self::writing::{Cleaned, Letters, content};
use super::{Advised, Storing};
use crate::reporting::Seen;
use crate::signing::Signing;
use crate::trouble;

/// A whole message, to be looked at before it is stored: [`Screening::read`], then what DNS has to
/// say of its [`Screening::questions`], then [`Screening::run`].
pub struct Screening {
    storing: Storing,
    source: Source,
    terms: Arc<Terms>,
    rules: Arc<Rules>,
    /// What the user may do who had signed in.
    rights: Option<Arc<Rights>>,
    /// When it is looked at, on the system's clock.
    now: Timestamp,
    authentication: Option<Authentication>,
    results: Results,
    /// The DNS lists that name the client.
    listed: Vec<Domain>,
    /// What its client and the domain of its sender are worth, where that is known.
    reputation: Option<greylisting::Reputation>,
    /// A check broke down over it.
    is_unreadable: bool,
    /// It is a report about mail itself, by its header.
    is_report: bool,
    /// What was seen of it, once it was looked at.
    looked: Option<Looked>,
    /// What policy services said of its recipients.
    advised: Advised,
    /// How far scanners have come with it.
    scans: Vec<Scan>,
    /// Nobody has to be asked: rules decided before.
    is_settled: bool,
    /// What scanners want changed in it.
    edits_of: Vec<(Arc<str>, Vec<scanner::Edit>)>,
    /// What milters make of its recipients.
    milted: Vec<RecipientChange>,
    /// It was stored before, and its client heard so.
    late: Option<Late>,
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

impl Screened {
    /// What is done with it, as a domain may ask for it (DMARC); `None` where its client is to send it
    /// again.
    pub fn done(&self) -> Option<Policy> {
        let is_held = |message: &Storing| {
            let recipients = message.accepted.envelope.recipients.len();
            message.held.len() == recipients && message.held.iter().all(Option::is_some)
        };
        match self {
            Self::Store(messages) if messages.iter().all(is_held) => Some(Policy::Quarantine),
            Self::Store(_) => Some(Policy::None),
            Self::Refuse(refusal) if !refusal.reply.is_permanent() => None,
            Self::Refuse(_) | Self::Discard => Some(Policy::Reject),
            Self::Failed(_) => None,
        }
    }
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
    /// Its sender is who it says ([`Results::proves`]).
    pub is_proven: bool,
}

impl From<Screened> for Judgement {
    fn from(screened: Screened) -> Self {
        Self {
            screened,
            each: Vec::new(),
            facts: Vec::new(),
            is_proven: false,
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
        let head = storing.accepted.head.len() as u64;
        let size = storing.accepted.size.saturating_sub(head);
        Self {
            source: Source::new(&storing.content, body, size),
            storing,
            terms: Arc::clone(terms),
            rules: Arc::clone(rules),
            rights,
            now: Timestamp::default(),
            authentication: None,
            results: Results::default(),
            listed: Vec::new(),
            reputation: None,
            is_unreadable: false,
            is_report: false,
            looked: None,
            advised: Advised::default(),
            scans: Vec::new(),
            is_settled: false,
            edits_of: Vec::new(),
            milted: Vec::new(),
            late: None,
        }
    }

    /// The same, of whose recipients policy services said this.
    pub(super) fn advised(self, advised: Advised) -> Self {
        Self { advised, ..self }
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

    /// Whether it is in memory, and stored in no time.
    pub fn is_small(&self) -> bool {
        matches!(self.source, Source::Memory(_)) && !self.signs()
    }

    /// Whether rules or checks look at its content; else it is only signed, if that.
    pub fn is_examined(&self) -> bool {
        self.terms.asks()
    }

    /// Whether it may have to be signed, which may take more time than all else.
    pub fn signs(&self) -> bool {
        self.terms.signs(self.storing.accepted.from_stranger)
    }

    /// Whether its sender is checked: those who may relay are believed.
    pub fn is_checked(&self) -> bool {
        let Storing {
            accepted, client, ..
        } = &self.storing;
        let is_asked = self.checks() != Checks::default();
        is_asked && accepted.from_stranger && client.uid.is_none()
    }

    /// A refusal that comes late goes to nobody who may not have sent the message.
    fn checks(&self) -> Checks {
        let asked = self.terms.checks;
        Checks {
            spf: asked.spf || self.late.is_some(),
            ..asked
        }
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
        let checks = self.checks();
        let content = Reader::new(&self.source);
        let trusted = Arc::clone(&self.terms.arc_trusted);
        let begun = unharmed(|| {
            let begun = Authentication::new(checks, claims, content);
            begun.map(|begun| begun.trusting(&trusted))
        });
        let is_report = self.terms.reports && self.is_report();
        self.source.check().map_err(|error| trouble(&error))?;
        self.is_report = is_report;
        self.is_unreadable = begun.is_none();
        self.authentication = begun.and_then(Result::ok);
        Ok(())
    }

    fn is_report(&self) -> bool {
        let start = Start::read(&mut Reader::new(&self.source));
        start.is_ok_and(|start| is_report(&start.octets))
    }

    /// By which rules it was taken.
    pub fn rules(&self) -> &Arc<Rules> {
        &self.rules
    }

    /// What has to be known of DNS lists, where rules ask for them; of strangers alone.
    pub fn listings_question(&self) -> Option<relay_policy::Question> {
        let Storing {
            accepted, client, ..
        } = &self.storing;
        let is_asked = self.terms.screens.asks_dns_lists();
        if !is_asked || !accepted.from_stranger || client.uid.is_some() {
            return None;
        }
        let known = relay_policy::Facts::default();
        match relay_policy::screened(&self.rules, client, &known) {
            relay_policy::Screened::Ask(question) => Some(question),
            relay_policy::Screened::Exempt(_)
            | relay_policy::Screened::Clear { .. }
            | relay_policy::Screened::Barred { .. }
            | relay_policy::Screened::CannotTell(_) => None,
        }
    }

    /// The answer to it.
    pub fn on_listings(&mut self, answer: relay_policy::Answer) {
        let mut facts = relay_policy::Facts::default();
        facts.answer(answer);
        self.listed = listed(&self.rules, &self.storing.client, &facts);
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

    /// What the author's domain is told of it, once the checks are made; `None` where nobody is told,
    /// and of what comes to `from`, as whom such reports are sent: answers to them cause no others.
    pub fn seen(&self, from: &Mailbox) -> Option<Box<Seen>> {
        let Storing {
            accepted, client, ..
        } = &self.storing;
        let envelope = &accepted.envelope;
        let mut recipients = envelope.recipients.iter();
        if !self.terms.reports || recipients.any(|one| one.admitted.named() == from) {
            return None;
        }
        let (client, sender) = (client.address(), &envelope.reverse_path);
        Seen::of(&self.results, client, sender, self.is_report).map(Box::new)
    }

    /// What the checks came to, once there are no more questions.
    pub fn summary(&self) -> Summary {
        self.results.summary()
    }

    /// What its client and the domain of its sender are worth by what they did here.
    pub fn set_reputation(&mut self, reputation: greylisting::Reputation) {
        self.reputation = Some(reputation);
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
        if !self.is_looked_at()
            && let Err(trouble) = self.look(spool, next_id)
        {
            return Screened::Failed(trouble).into();
        }
        self.give_up_scanners();
        self.put_on_top(self.scan_field());
        let Looked {
            cleaned, contents, ..
        } = self.looked.take().unwrap_or_default();
        let source = self.take_source();
        let size = content(&source, cleaned.as_ref()).size() + self.storing.accepted.head.len();
        self.storing.accepted.size = size as u64;
        let verdicts = contents.as_ref();
        let verdicts = verdicts.and_then(|contents| unharmed(|| self.verdicts(contents)));
        let mut verdicts = verdicts.unwrap_or_else(|| self.unreadable());
        let mut found = self.found();
        found.extend(self.apply_milted(&mut verdicts));
        let mut facts = facts(&self.storing.accepted, &verdicts);
        facts.extend(found);
        let terms = Arc::clone(&self.terms);
        let sender = &self.storing.accepted.envelope.reverse_path;
        let is_proven = self.results.proves(sender);
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
                    cleaned,
                    contents: contents.as_ref(),
                    verdicts: &verdicts,
                    told: &told,
                    limits: terms.screens.limits(),
                };
                self.stored(source, &letters, signers, spool, next_id, &mut without)
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
            is_proven,
        }
    }

    fn signing<'a>(&self, signers: &'a Signers) -> Signing<'a> {
        Signing {
            signers,
            rules: Arc::clone(&self.rules),
            client: self.storing.client.clone(),
            rights: self.rights.clone(),
            authors: self.late_authors(),
            now: self.now,
        }
    }

    /// The message as it came, signed.
    fn signed(self, signers: &Signers) -> Screened {
        let signing = self.signing(signers);
        let Self {
            mut storing,
            source,
            ..
        } = self;
        let signed = match source {
            // What was synced is on its way already.
            Source::Synced(_) => Ok(()),
            _ => signing.sign(&mut storing.accepted, Reader::new(&source)),
        };
        match signed.map_err(Into::into).and_then(|()| source.finish()) {
            Ok(content) => {
                storing.content = content;
                Screened::Store(vec![storing])
            }
            Err(error) => Screened::Failed(trouble(&error)),
        }
    }

    fn take_source(&mut self) -> Source {
        std::mem::replace(&mut self.source, Source::Memory(Bytes::new()))
    }

    /// Puts on top of the head what the checks came to, and looks for what somebody else wrote in our
    /// name (RFC 8601 section 5).
    fn with_results(&mut self, source: &Source) -> Option<Cleaned> {
        let (tells, is_scanned) = (self.terms.tells, !self.terms.scanners.is_empty());
        if !tells && !is_scanned {
            return None;
        }
        let id = &self.terms.id;
        self.put_on_top(self.results.field(id).filter(|_| tells));
        let id = &self.terms.id;
        // What could not be read is asked for when all has been.
        let Start { octets, header_len } = Start::read(&mut Reader::new(source)).ok()?;
        let mut header = Cow::Borrowed(octets.get(..header_len)?);
        if tells && let Cow::Owned(without) = without_results_that_claim(id, &header) {
            header = Cow::Owned(without);
        }
        if is_scanned && let Cow::Owned(without) = without_fields(scanning::FIELD, &header) {
            header = Cow::Owned(without);
        }
        match header {
            Cow::Borrowed(_) => None,
            Cow::Owned(start) => Some(Cleaned {
                start,
                rest: header_len,
            }),
        }
    }

    fn put_on_top(&mut self, field: Option<String>) {
        if let Some(field) = field {
            let head = &mut self.storing.accepted.head;
            *head = [field.as_bytes(), head].concat();
        }
    }

    fn contents(&self, whole: &dyn Octets, unpacked: &mut dyn Scratch) -> Contents {
        let screens = &self.terms.screens;
        if screens.is_empty() {
            return Contents::default();
        }
        look_into_octets(whole, screens.wanted(), screens.limits(), unpacked)
    }

    fn examination<'a>(&'a self, contents: &'a Contents) -> Examination<'a> {
        let accepted = &self.storing.accepted;
        Examination::new(
            &self.terms.screens,
            Facts {
                client: &self.storing.client,
                direction: Direction::of(accepted.from_stranger),
                sender: &accepted.envelope.reverse_path,
                size: accepted.size,
                contents,
                listed: &self.listed,
                authentication: self.results.summary(),
                reputation: reputation(self.reputation, self.results.summary()),
                scans: &self.scans,
            },
        )
    }

    /// What each recipient gets.
    fn verdicts(&self, contents: &Contents) -> Vec<Verdict> {
        let examination = self.examination(contents);
        self.addressees()
            .map(|to| examination.verdict(&to))
            .collect()
    }

    fn addressees(&self) -> impl Iterator<Item = Addressee<'_>> {
        let recipients = self.storing.accepted.envelope.recipients.iter();
        recipients.map(|recipient| Addressee {
            mailbox: recipient.admitted.recipient(),
            named: recipient.admitted.named(),
        })
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
        source: Source,
        made_of: &Letters<'_>,
        signers: &Signers,
        spool: &dyn Spool,
        next_id: &mut dyn FnMut() -> QueueId,
        without: &mut Vec<Unadded>,
    ) -> Screened {
        let mut letters = letters(&self.storing.accepted, made_of, &self.rules);
        let (signing, is_late) = (self.signing(signers), self.late.is_some());
        let storing = self.storing;
        let is_one = letters.len() == 1 && made_of.cleaned.is_none();
        if let Some(letter) = letters.pop_if(|letter| is_one && letter.changes.is_empty()) {
            let mut message = of_letter(&storing, letter, None);
            let signed = signing.sign(&mut message.accepted, Reader::new(&source));
            return match signed.map_err(Into::into).and_then(|()| source.finish()) {
                Ok(content) => {
                    message.content = content;
                    message.coming = storing.coming;
                    Screened::Store(vec![message])
                }
                Err(error) => Screened::Failed(trouble(&error)),
            };
        }
        // The first of them has the name of what came, where that is not stored.
        source.give_up_name();
        let mut messages: Vec<Storing> = Vec::with_capacity(letters.len());
        for letter in letters {
            // What is stored keeps its name.
            let is_further = is_late || !messages.is_empty();
            let changes = letter.changes;
            let mut message = of_letter(&storing, letter, is_further.then(&mut *next_id));
            match made_of.write(&source, &mut message, changes, &signing, spool) {
                Ok(unadded) => {
                    without.extend(unadded);
                    messages.push(message);
                }
                Err(error) => {
                    for message in messages {
                        message.abandon(spool);
                    }
                    return Screened::Failed(trouble(&error));
                }
            }
        }
        match messages.first_mut() {
            Some(first) => {
                first.coming = storing.coming;
                Screened::Store(messages)
            }
            None => Screened::Discard,
        }
    }
}

/// The message for those who get the same, with a name of its own where it is a further one; its
/// content has still to be made.
fn of_letter(storing: &Storing, letter: Letter<'_>, id: Option<QueueId>) -> Storing {
    let mut accepted = storing.accepted.clone();
    if let Some(id) = id {
        rename(&mut accepted, id);
    }
    accepted.envelope.recipients = letter.recipients;
    let mut held = letter.held;
    if let Some(before) = storing.held.iter().flatten().next() {
        for held in &mut held {
            held.get_or_insert_with(|| before.clone());
        }
    }
    Storing {
        coming: None,
        accepted,
        held,
        judged: storing.judged,
        parted_from: id.map(|_| storing.accepted.id),
        content: storing.content.clone(),
        unscreened: None,
        client: storing.client.clone(),
        client_name: storing.client_name.clone(),
        is_extended: storing.is_extended,
        session: storing.session,
    }
}

/// A further message that is made of one has a name of its own, in `Received` too.
fn rename(accepted: &mut Accepted, id: QueueId) {
    accepted.head = renamed(&accepted.head, accepted.id, id);
    accepted.id = id;
}

/// The domain's counts where SPF vouches for it: anybody can write any sender.
pub fn reputation(of: Option<greylisting::Reputation>, came_to: Summary) -> Option<Reputation> {
    of.map(|of| Reputation {
        client: of.client,
        domain: (came_to.spf == "pass").then_some(of.domain),
    })
}

/// What `work` gives, and `None` where it panics.
fn unharmed<T>(work: impl FnOnce() -> T) -> Option<T> {
    let work = || {
        #[cfg(test)]
        tests::break_down();
        work()
    };
    catch_unwind(AssertUnwindSafe(work)).ok()
}
