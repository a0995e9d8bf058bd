use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::found::Found;
use crate::when::{Held, Missed};
use mail::Reply;

use crate::{Action, Addressee, Change, End, Facts, Matched, Screen, Screens, Test, Verdict};

/// One message before one set of rules.
///
/// What a rule finds in the message itself is found once, when the first recipient asks.
pub struct Examination<'a> {
    screens: &'a Screens,
    facts: Facts<'a>,
    found: Found<'a>,
    held: Vec<OnceCell<Result<Held, Missed>>>,
}

impl<'a> Examination<'a> {
    /// Of this message by these rules.
    pub fn new(screens: &'a Screens, facts: Facts<'a>) -> Self {
        Self {
            screens,
            facts,
            found: Found::new(facts.contents),
            held: vec![OnceCell::new(); screens.rules().len()],
        }
    }

    /// What this recipient gets.
    pub fn verdict(&self, to: &Addressee<'_>) -> Verdict {
        self.ask(to, |_, _| ())
    }

    /// What each rule says, in their order.
    pub fn tests(&self, to: &Addressee<'_>) -> Vec<(&'a Screen, Test)> {
        let mut tests = Vec::new();
        self.ask(to, |test, _| tests.push(test));
        tests.resize(self.screens.rules().len(), Test::NotAsked);
        self.screens.rules().iter().zip(tests).collect()
    }

    fn ask(&self, to: &Addressee<'_>, mut told: impl FnMut(Test, &Verdict)) -> Verdict {
        let mut verdict = Verdict::pass();
        let mut done = BTreeSet::new();
        for (at, screen) in self.screens.rules().iter().enumerate() {
            let (held, whys) = match self.test(at, screen, to, verdict.score) {
                Ok(all) => all,
                Err(missed) => {
                    let test = match missed {
                        Missed::Condition(condition) => Test::Misses(condition),
                        Missed::Awaits(scanner) => Test::Awaits(scanner),
                    };
                    told(test, &verdict);
                    continue;
                }
            };
            let why = whys.join(", ");
            told(Test::Matches(why.clone()), &verdict);
            let matched = Matched::new(screen, why);
            verdict.matched.push(matched.clone());
            if screen.dry_run {
                continue;
            }
            let mut ends = false;
            for action in &screen.then {
                ends |= *action == Action::Accept;
                if action.class().is_none_or(|class| done.insert(class)) {
                    self.apply(&mut verdict, screen, action, held, &matched);
                }
            }
            if ends {
                break;
            }
        }
        verdict
    }

    fn test(
        &self,
        at: usize,
        screen: &Screen,
        to: &Addressee<'_>,
        score: i32,
    ) -> Result<(&Held, Vec<String>), Missed> {
        // The recipient first: it costs next to nothing.
        let mut whys = screen.when.of_addressee(to, score)?;
        let of_message = || screen.when.of_message(&self.facts, &self.found);
        let held = self.held[at].get_or_init(of_message);
        let held = held.as_ref().map_err(Clone::clone)?;
        whys.extend(held.whys.iter().cloned());
        if whys.is_empty() {
            whys.push("every message".to_owned());
        }
        Ok((held, whys))
    }

    /// The first scanner that has still to be heard before it is certain what this recipient gets: a
    /// refusal of all or an `accept` that stands before its rules leaves nothing to wait for.
    pub fn awaits(&self, to: &Addressee<'_>) -> Option<Arc<str>> {
        let mut awaited = None;
        self.ask(to, |test, so_far| {
            if let Test::Awaits(scanner) = test
                && !matches!(so_far.end, End::Refuse(_))
            {
                awaited.get_or_insert(scanner);
            }
        });
        awaited
    }

    fn reply_of(&self, scanner: &str) -> Option<&'a Reply> {
        let mut scans = self.facts.scans.iter();
        let scan = scans.find(|scan| *scan.scanner == *scanner)?;
        scan.finding.as_ref()?.reply.as_ref()
    }

    fn apply(
        &self,
        verdict: &mut Verdict,
        screen: &Screen,
        action: &Action,
        held: &Held,
        by: &Matched,
    ) {
        if action.ends() {
            verdict.by = Some(by.clone());
        }
        match action {
            Action::Accept => {}
            Action::Refuse(reply) => verdict.end = End::Refuse(reply.clone()),
            Action::RefuseFor(scanner, otherwise) => {
                let reply = self.reply_of(scanner).unwrap_or(otherwise);
                verdict.end = End::Refuse(reply.clone());
            }
            Action::Discard => verdict.end = End::Discard,
            Action::Hold => verdict.end = End::Hold,
            Action::Redirect(to) => verdict.end = End::Redirect(Arc::clone(to)),
            Action::Copy(to) => verdict.copies.push((Arc::clone(to), by.clone())),
            Action::Score(score) => verdict.score = verdict.score.saturating_add(*score),
            Action::Strip => verdict.changes.push(Change::Strip {
                attachments: held.attachments.clone(),
                rule: Arc::clone(&screen.name),
            }),
            Action::TagSubject(tag) => verdict.changes.push(Change::TagSubject(Arc::clone(tag))),
            Action::AddField { name, value } => verdict.changes.push(Change::AddField {
                name: Arc::clone(name),
                value: Arc::clone(value),
            }),
            Action::Footer(footer) => verdict.changes.push(Change::Footer {
                footer: Arc::clone(footer),
                rule: Arc::clone(&screen.name),
            }),
        }
    }
}
