//! What scanners and milters come to of a message, heard before the rules decide.

use std::sync::Arc;

use ::screening::{Direction, End, Finding, Matched, Scan, Verdict};
use authentication::Summary;
use bytes::Bytes;
use config::{MayAdd, Scanner, ScannerKind};
use contents::edit::{Edit, apply};
use contents::{Contents, Octets, Reader};
use mail::{Domain, Mailbox, QueueId, ReversePath};
use message::without_fields;
use milter::{Changes, Edited, Envelope, Facts, Fate, Recipient, RecipientChange};
use reception::StoreTrouble;
use relay_policy::rule_for;
use scanner::policy::{Request, State};
use scanner::{Content, Subject, TlsFacts};
use spool::{Spool, SpoolError};

use super::fields::modifications;
use super::source::{Shared, Unpacked};
use super::writing::{Cleaned, content, whole};
use super::{Advised, ScreenedFact, Screening, Start, Storing, unharmed};
use crate::trouble;

/// The field that tells what scanners came to. Whoever else wrote one did not ask ours.
pub(super) const FIELD: &str = "X-Gatepost-Scan";

/// What is told of one scanner there, at most.
const TOLD_CHARS_MAX: usize = 300;

/// The head of a message without what scanners said of it: as they saw it.
pub fn unscanned(head: &[u8]) -> Bytes {
    without_fields(FIELD, head).into_owned().into()
}

/// What was seen of a message.
#[derive(Default)]
pub(super) struct Looked {
    pub cleaned: Option<Cleaned>,
    /// `None`: it cannot be looked into.
    pub contents: Option<Contents>,
    /// It has been changed since.
    pub is_stale: bool,
}

/// A message as milters are asked about it.
pub struct ForMilters {
    /// Who they are, in the order in which they are asked.
    pub names: Vec<Arc<str>>,
    /// What they are told beside it.
    pub facts: Facts,
    /// From whom it is and to whom it goes.
    pub envelope: Envelope,
    /// Its beginning; our own trace is not part of it.
    pub start: Beginning,
    /// All of it.
    pub content: Arc<dyn Content>,
}

/// The beginning of a message, with the whole header.
pub struct Beginning {
    octets: Vec<u8>,
    header_len: usize,
    /// Of all of it.
    len: usize,
}

impl Beginning {
    /// The message, to be changed.
    pub fn edited(&self, envelope: Envelope) -> Edited<'_> {
        Edited::new(&self.octets, self.header_len, self.len, envelope)
    }
}

impl Screening {
    /// Whether scanners have a say in it: then it is looked at before they are asked
    /// ([`Screening::look`]).
    pub fn is_scanned(&self) -> bool {
        self.meant().next().is_some() || self.advised != Advised::default()
    }

    /// Those that are asked about mail like this; policy services may have been, of each recipient.
    fn meant(&self) -> impl Iterator<Item = &Arc<Scanner>> {
        let direction = Direction::of(self.storing.accepted.from_stranger);
        let listener = &self.storing.client.listener;
        let is_meant = move |scanner: &&Arc<Scanner>| {
            let to = self.addressees().flat_map(|to| [to.mailbox, to.named]);
            scanner.is_asked(direction, listener, to)
        };
        self.terms.scanners.iter().filter(is_meant)
    }

    pub(super) fn is_looked_at(&self) -> bool {
        self.looked.as_ref().is_some_and(|looked| !looked.is_stale)
    }

    /// Looks at the message. Blocks.
    ///
    /// # Errors
    /// When it cannot be read; then there is nothing to be run.
    pub fn look(
        &mut self,
        spool: &dyn Spool,
        next_id: &mut dyn FnMut() -> QueueId,
    ) -> Result<(), StoreTrouble> {
        let source = self.take_source();
        let cleaned = match self.looked.take() {
            Some(looked) => looked.cleaned,
            None => self.with_results(&source),
        };
        let content = content(&source, cleaned.as_ref());
        let whole = whole(&self.storing.accepted.head, &content);
        self.storing.accepted.size = whole.size() as u64;
        let mut unpacked = Unpacked::new(spool, next_id);
        // What its sender wrote into it must not end the session, whatever it does to a library.
        let contents = unharmed(|| self.contents(&whole, &mut unpacked));
        let read = source.check().and(unpacked.check());
        drop(whole);
        drop(content);
        self.source = source;
        self.looked = Some(Looked {
            cleaned,
            contents: contents.filter(|_| !self.is_unreadable),
            is_stale: false,
        });
        read.map_err(|error| trouble(&error))
    }

    /// Which scanners have to be asked about it now, side by side, milters aside
    /// ([`Screening::for_milters`]); none where rules without them decide. Those to whom it is too large
    /// count as heard, and so do policy services.
    pub fn scanners(&mut self) -> Vec<Arc<str>> {
        let size = self.storing.accepted.size;
        let scan = |scanner: &Arc<Scanner>| Scan {
            scanner: Arc::clone(&scanner.name),
            finding: scanner.too_large(size),
        };
        let advised = std::mem::take(&mut self.advised);
        self.scans = self.meant().map(scan).chain(advised.scans).collect();
        if !advised.fields.is_empty() {
            self.edits_of.push(("".into(), advised.fields));
        }
        self.is_settled = !self.awaits_scanners();
        self.pending(|kind| kind != ScannerKind::Milter)
    }

    /// What those came to that have been heard, or count so.
    pub fn heard(&self) -> impl Iterator<Item = (&str, &Finding)> {
        let all = self.scans.iter();
        all.filter_map(|scan| Some((&*scan.scanner, scan.finding.as_ref()?)))
    }

    fn pending(&self, is_meant: impl Fn(ScannerKind) -> bool) -> Vec<Arc<str>> {
        if self.is_settled {
            return Vec::new();
        }
        let pending = self.scans.iter().filter(|scan| scan.finding.is_none());
        let meant = pending.filter(|scan| {
            let scanner = self.scanner(&scan.scanner);
            scanner.is_some_and(|scanner| is_meant(scanner.kind))
        });
        meant.map(|scan| Arc::clone(&scan.scanner)).collect()
    }

    fn scanner(&self, name: &str) -> Option<&Arc<Scanner>> {
        let mut scanners = self.terms.scanners.iter();
        scanners.find(|scanner| *scanner.name == *name)
    }

    /// What scanners are told of it; `server` is our name.
    pub fn subject(&self, server: &Domain) -> Subject {
        let Storing {
            accepted,
            client,
            client_name,
            ..
        } = &self.storing;
        Subject {
            queue_id: accepted.id.to_string(),
            client: client.uid.is_none().then(|| client.address()),
            client_name: client_name.as_ref().map(ToString::to_string),
            hello: Some(accepted.hello.to_string()),
            user: accepted.user.as_deref().map(str::to_owned),
            sender: match &accepted.envelope.reverse_path {
                ReversePath::Null => String::new(),
                ReversePath::Mailbox(sender) => sender.to_string(),
            },
            recipients: self.addressees().map(|to| to.mailbox.to_string()).collect(),
            tls: client.tls.as_ref().map(|tls| TlsFacts {
                version: tls.version.to_owned(),
                cipher: tls.cipher.to_string(),
            }),
            server: server.to_string(),
            facts: facts_for_hooks(accepted.from_stranger, self.results.summary()),
            size: accepted.size,
        }
    }

    /// What policy services are told beside that, if they are asked about it.
    pub fn request(&self) -> Request {
        let mut to = self.addressees();
        let only = to.next().filter(|_| to.next().is_none());
        Request {
            instance: self.storing.accepted.id.to_string(),
            recipient: only.map(|to| to.mailbox.to_string()),
            is_extended: self.storing.is_extended,
            ..Request::about(&self.storing.client, State::EndOfMessage)
        }
    }

    /// The message as they read it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn message(&self) -> Result<Arc<dyn Content>, StoreTrouble> {
        self.shared(&self.storing.accepted.head)
            .map_err(|error| trouble(&error))
    }

    fn shared(&self, head: &[u8]) -> Result<Arc<dyn Content>, SpoolError> {
        let cleaned = self.cleaned();
        let (start, rest) = cleaned.map_or((&[][..], 0), |one| (&one.start[..], one.rest));
        let start = [head, start].concat();
        let size = start.len() + self.source.size().saturating_sub(rest);
        Ok(Arc::new(Shared {
            start,
            rest,
            source: self.source.share()?,
            size: size as u64,
        }))
    }

    fn cleaned(&self) -> Option<&Cleaned> {
        self.looked.as_ref()?.cleaned.as_ref()
    }

    /// The message for the milters that have to be asked about it, after [`Screening::scanners`]; none
    /// where there are none. `server` is our name, `software` what we are.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn for_milters(
        &self,
        server: &Domain,
        software: &str,
    ) -> Result<Option<ForMilters>, StoreTrouble> {
        let names = self.pending(|kind| kind == ScannerKind::Milter);
        if names.is_empty() {
            return Ok(None);
        }
        let Storing {
            accepted,
            client,
            client_name,
            ..
        } = &self.storing;
        let mechanism = &client.mechanism;
        let facts = Facts {
            host: server.as_str().into(),
            software: software.into(),
            client: client.clone(),
            client_name: client_name.as_ref().map(|name| name.as_str().into()),
            hello: accepted.hello.clone(),
            mechanism: Some(mechanism.clone()).filter(|name| !name.is_empty()),
            id: accepted.id,
            declared_size: None,
            macros: std::collections::BTreeMap::new(),
        };
        let start = self.start()?;
        let content = self.shared(&[]).map_err(|error| trouble(&error))?;
        Ok(Some(ForMilters {
            names,
            facts,
            envelope: self.envelope(),
            start,
            content,
        }))
    }

    /// Its beginning as it is by now, with the whole header.
    fn start(&self) -> Result<Beginning, StoreTrouble> {
        let whole = content(&self.source, self.cleaned());
        let start = Start::read(&mut Reader::new(&whole));
        self.source.check().map_err(|error| trouble(&error))?;
        let Start { octets, header_len } = start.map_err(|error| trouble(&error.into()))?;
        Ok(Beginning {
            octets,
            header_len,
            len: whole.size(),
        })
    }

    fn envelope(&self) -> Envelope {
        let envelope = &self.storing.accepted.envelope;
        let recipients = envelope.recipients.iter();
        Envelope {
            sender: envelope.reverse_path.clone(),
            parameters: envelope.parameters.clone(),
            recipients: recipients
                .map(|one| Recipient {
                    mailbox: one.admitted.recipient().clone(),
                    parameters: one.parameters.clone(),
                    is_added: false,
                })
                .collect(),
        }
    }

    /// What one of them came to, and wants changed.
    pub fn on_scanned(&mut self, scanner: &str, finding: Finding, edits: Vec<scanner::Edit>) {
        if !edits.is_empty() {
            self.edits_of.push((scanner.into(), edits));
        }
        let mut scans = self.scans.iter_mut();
        if let Some(scan) = scans.find(|scan| *scan.scanner == *scanner) {
            scan.finding = Some(finding);
        }
    }

    /// What milters change together, of the message as [`Screening::for_milters`] gave it.
    pub fn on_milters(&mut self, changes: Changes) {
        let Changes {
            top,
            edits,
            sender,
            recipients,
        } = changes;
        self.milted.extend(recipients);
        if let Some(sender) = sender {
            self.storing.accepted.envelope.reverse_path = sender;
        }
        self.change(top, edits);
    }

    /// Changes what came, as it is by now; `top` goes above our own trace.
    fn change(&mut self, top: Vec<u8>, edits: Vec<milter::Edit>) {
        let head = &mut self.storing.accepted.head;
        *head = [&top[..], head].concat();
        let Some(looked) = &mut self.looked else {
            return;
        };
        looked.is_stale |= !top.is_empty() || !edits.is_empty();
        let Some(end) = edits.iter().map(|edit| edit.range.end).max() else {
            return;
        };
        // What stands behind the last change stays where it is.
        let before = content(&self.source, looked.cleaned.as_ref());
        let begin = looked.cleaned.as_ref().map_or(0, |one| one.start.len());
        let end = end.max(begin);
        let changed = edits.into_iter().map(|edit| Edit {
            range: edit.range,
            with: edit.with,
        });
        let start = before.copy(0..end);
        let rest = looked.cleaned.as_ref().map_or(0, |one| one.rest) + (end - begin);
        let start = apply(&start, changed.collect());
        let start = start.copy(0..start.size());
        looked.cleaned = Some(Cleaned { start, rest });
    }

    /// Where something depends on one that has not been heard, and will not be, it counts as one that
    /// failed: to be asked of the message as it goes on, which may not be as they saw it.
    pub(super) fn give_up_scanners(&mut self) {
        let is_awaited = self.awaits_scanners();
        for scan in self.scans.iter_mut().filter(|scan| scan.finding.is_none()) {
            if is_awaited {
                scan.finding = Some(Finding::error("it broke down, or was not asked"));
            }
        }
    }

    /// All have been heard that will be.
    ///
    /// # Errors
    /// The message cannot be read.
    pub fn on_scanners_done(&mut self) -> Result<(), StoreTrouble> {
        let edits_of = std::mem::take(&mut self.edits_of);
        if edits_of.is_empty() {
            return Ok(());
        }
        // What milters changed is changed by now.
        let start = self.start()?;
        let mut message = start.edited(self.envelope());
        let mut changes = Changes::default();
        for (scanner, edits) in edits_of {
            let answer = modifications(&start.octets[..start.header_len], &edits);
            changes.make(&scanner, &answer, &mut message);
        }
        self.on_milters(changes);
        Ok(())
    }

    /// Whether what becomes of it may still depend on one that has to be heard.
    pub fn awaits_scanners(&self) -> bool {
        let looked = self.looked.as_ref();
        let Some(contents) = looked.and_then(|looked| looked.contents.as_ref()) else {
            return false;
        };
        // What cannot be decided is not decided.
        let awaits = unharmed(|| {
            let examination = self.examination(contents);
            self.addressees()
                .any(|to| examination.awaits(&to).is_some())
        });
        awaits.unwrap_or(true)
    }

    /// Whether it is refused for everybody, whatever scanners say that have to be heard.
    pub fn is_refused(&self) -> bool {
        let looked = self.looked.as_ref();
        let contents = looked.and_then(|looked| looked.contents.as_ref());
        let refused = contents
            .filter(|_| !self.awaits_scanners())
            .map(|contents| {
                let verdicts = unharmed(|| self.verdicts(contents)).unwrap_or_default();
                let is_refused = |verdict: &Verdict| matches!(verdict.end, End::Refuse(_));
                !verdicts.is_empty() && verdicts.iter().all(is_refused)
            });
        refused.unwrap_or(false)
    }

    /// What those came to who found something, for the log.
    pub(super) fn found(&self) -> Vec<ScreenedFact> {
        let recipients = || self.addressees().map(|to| to.mailbox.clone()).collect();
        let found = self.scans.iter().filter_map(|scan| {
            let finding = scan
                .finding
                .as_ref()
                .filter(|finding| !finding.is_clean() && !finding.classes.is_empty())?;
            let by = self.by(&scan.scanner, "found", finding.to_string());
            Some(told(by, recipients()))
        });
        found.collect()
    }

    fn by(&self, scanner: &str, does: &str, why: String) -> Matched {
        let place = self.scanner(scanner).map(|scanner| scanner.place.clone());
        Matched {
            name: format!("scanner {scanner}").into(),
            place: place.unwrap_or_default(),
            why,
            does: does.to_owned(),
            dry_run: false,
        }
    }

    /// Has single recipients fare as milters say, where no rule decided before; what there is to be told
    /// of that.
    pub(super) fn apply_milted(&self, verdicts: &mut [Verdict]) -> Vec<ScreenedFact> {
        let mut facts = Vec::new();
        for (number, change) in self.milted.iter().enumerate() {
            let RecipientChange { by, mailbox, fate } = change;
            let mut later = self.milted.iter().skip(number + 1);
            let is_undone = later.any(|one| one.mailbox == *mailbox && one.fate == Fate::Removed);
            let mut earlier = self.milted.iter().take(number);
            let is_added = |one: &RecipientChange| {
                one.mailbox == *mailbox && matches!(one.fate, Fate::Added(_))
            };
            let is_undone = is_undone || earlier.any(is_added);
            // A client may have named somebody several times.
            let all = self.addressees().zip(&*verdicts).enumerate();
            let theirs =
                all.filter(|(_, (to, of_one))| *to.mailbox == *mailbox && of_one.by.is_none());
            let theirs: Vec<usize> = theirs.map(|(at, _)| at).collect();
            let (does, why, end) = match fate {
                Fate::Added(_) if is_undone => continue,
                Fate::Added(_) if self.may_add(by, mailbox) => {
                    let by = self.by(by, "copy", "it adds a recipient".to_owned());
                    let passes = |verdict: &&mut Verdict| verdict.end == End::Pass;
                    // With what nobody gets, nobody is added to.
                    if let Some(first) = verdicts.iter_mut().find(passes) {
                        first.added.push((Arc::new(mailbox.clone()), by));
                    }
                    ("copy", "it adds a recipient", None)
                }
                Fate::Added(_) => (
                    "nothing",
                    "may_add_recipients keeps it from this recipient",
                    None,
                ),
                // A rule decided before.
                Fate::Refused(_) | Fate::Removed if theirs.is_empty() => continue,
                Fate::Refused(reply) => {
                    let end = End::Refuse(reply.clone());
                    ("refuse", "it refuses this recipient", Some(end))
                }
                Fate::Removed => ("discard", "it takes out this recipient", Some(End::Discard)),
            };
            let by = self.by(by, does, why.to_owned());
            if let Some(end) = end {
                for at in theirs {
                    verdicts[at].end = end.clone();
                    verdicts[at].by = Some(by.clone());
                }
            }
            let mut fact = told(by, vec![mailbox.clone()]);
            if *fate == Fate::Removed {
                fact.dropped = fact.recipients.clone();
            }
            facts.push(fact);
        }
        facts
    }

    fn may_add(&self, scanner: &str, to: &Mailbox) -> bool {
        let may_add = self.scanner(scanner).map(|scanner| scanner.may_add);
        match may_add.unwrap_or(MayAdd::Nobody) {
            MayAdd::Hosted => rule_for(&self.rules, to).is_some(),
            MayAdd::Anybody => true,
            MayAdd::Nobody => false,
        }
    }

    /// The field that tells of them: `clam clean; rspamd spam 7.3 (BAYES_99)`.
    pub(super) fn scan_field(&self) -> Option<String> {
        let told = self.scans.iter().map(|scan| match &scan.finding {
            Some(finding) => format!("{} {finding}", scan.scanner),
            None => format!("{} not asked", scan.scanner),
        });
        // What scanners say may be anything; RFC 5322 section 2.1.1 wants lines of 998 octets at most.
        let fit = |told: String| -> String {
            let kept = told.chars().take(TOLD_CHARS_MAX);
            kept.map(|c| if matches!(c, ' '..='~') { c } else { '?' })
                .collect()
        };
        let told: Vec<String> = told.map(fit).collect();
        (!told.is_empty()).then(|| format!("{FIELD}: {}\r\n", told.join(";\r\n ")))
    }
}

fn told(matched: Matched, recipients: Vec<Mailbox>) -> ScreenedFact {
    ScreenedFact {
        matched,
        recipients,
        dropped: Vec::new(),
        parted: Vec::new(),
    }
}

/// What hooks are told that was found out of a message: which way it goes, and what came of the
/// checks that were made.
pub fn facts_for_hooks(from_stranger: bool, came_to: Summary) -> Vec<(&'static str, &'static str)> {
    let direction = if from_stranger { "in" } else { "out" };
    let facts = [
        ("direction", direction),
        ("spf", came_to.spf),
        ("dkim", came_to.dkim),
        ("arc", came_to.arc),
        ("dmarc", came_to.dmarc),
        ("dmarc_policy", came_to.policy),
    ];
    // What was not asked has no word.
    facts
        .into_iter()
        .filter(|(_, word)| !word.is_empty())
        .collect()
}
