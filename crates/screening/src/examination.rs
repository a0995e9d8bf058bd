use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use crate::found::Found;
use crate::when::{Held, Missed};
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
        self.ask(to, |_| ())
    }

    /// What each rule says, in their order.
    pub fn tests(&self, to: &Addressee<'_>) -> Vec<(&'a Screen, Test)> {
        let mut tests = Vec::new();
        self.ask(to, |test| tests.push(test));
        tests.resize(self.screens.rules().len(), Test::NotAsked);
        self.screens.rules().iter().zip(tests).collect()
    }

    fn ask(&self, to: &Addressee<'_>, mut told: impl FnMut(Test)) -> Verdict {
        let mut verdict = Verdict::pass();
        let mut done = BTreeSet::new();
        for (at, screen) in self.screens.rules().iter().enumerate() {
            let (held, whys) = match self.test(at, screen, to, verdict.score) {
                Ok(all) => all,
                Err(missed) => {
                    told(Test::Misses(missed));
                    continue;
                }
            };
            let why = whys.join(", ");
            told(Test::Matches(why.clone()));
            let matched = Matched::new(screen, why);
            verdict.matched.push(matched.clone());
            if screen.dry_run {
                continue;
            }
            let mut ends = false;
            for action in &screen.then {
                ends |= *action == Action::Accept;
                if action.class().is_none_or(|class| done.insert(class)) {
                    apply(&mut verdict, screen, action, held, &matched);
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
        let held = held.as_ref().map_err(|missed| *missed)?;
        whys.extend(held.whys.iter().cloned());
        if whys.is_empty() {
            whys.push("every message".to_owned());
        }
        Ok((held, whys))
    }
}

fn apply(verdict: &mut Verdict, screen: &Screen, action: &Action, held: &Held, by: &Matched) {
    if action.ends() {
        verdict.by = Some(by.clone());
    }
    match action {
        Action::Accept => {}
        Action::Refuse(reply) => verdict.end = End::Refuse(reply.clone()),
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
        Action::Footer { text, html } => verdict.changes.push(Change::Footer {
            text: Arc::clone(text),
            html: Arc::clone(html),
            rule: Arc::clone(&screen.name),
        }),
    }
}
