//! Trials of deliveries that were begun of late, each as far as it has come.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use daemon::api::{DeliveryEvent, DeliveryQuestion, DeliveryTested, DeliveryWay};

/// Trials that are kept, the latest.
const TRIALS_MAX: usize = 32;

/// The trials of late.
#[derive(Default)]
pub(crate) struct Trials(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    /// So many were begun.
    begun: u64,
    trials: VecDeque<Trial>,
}

/// One of them, as far as it has come.
#[derive(Clone)]
pub(crate) struct Trial {
    pub(crate) number: u64,
    pub(crate) address: String,
    pub(crate) from: String,
    pub(crate) by: String,
    pub(crate) ways: Vec<DeliveryWay>,
    /// Hosts that are still to come.
    pub(crate) expected: usize,
    pub(crate) is_over: bool,
    pub(crate) error: Option<String>,
}

impl Trials {
    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Writes down that one was begun; answers its number.
    pub(crate) fn begin(&self, question: &DeliveryQuestion, by: &str) -> u64 {
        self.with(|kept| {
            kept.begun += 1;
            if kept.trials.len() >= TRIALS_MAX {
                kept.trials.pop_front();
            }
            kept.trials.push_back(Trial {
                number: kept.begun,
                address: question.address.clone(),
                from: question.from.clone(),
                by: by.to_owned(),
                ways: Vec::new(),
                expected: 0,
                is_over: false,
                error: None,
            });
            kept.begun
        })
    }

    /// One of them, as it stands.
    pub(crate) fn find(&self, number: u64) -> Option<Trial> {
        self.with(|kept| {
            kept.trials
                .iter()
                .find(|trial| trial.number == number)
                .cloned()
        })
    }

    /// All of them, the latest first.
    pub(crate) fn all(&self) -> Vec<Trial> {
        self.with(|kept| kept.trials.iter().rev().cloned().collect())
    }

    /// Changes one, unless it is forgotten.
    pub(crate) fn change(&self, number: u64, act: impl FnOnce(&mut Trial)) {
        self.with(|kept| {
            let trial = kept.trials.iter_mut().find(|trial| trial.number == number);
            trial.map(act)
        });
    }
}

impl Trial {
    /// Takes in what has become known.
    pub(crate) fn hear(&mut self, event: DeliveryEvent) {
        match event {
            DeliveryEvent::Site {
                recipient,
                site,
                hosts,
            } => {
                self.expected += hosts.len();
                self.way(recipient).sites.push(site);
            }
            DeliveryEvent::Host {
                recipient,
                site,
                host,
            } => {
                self.expected = self.expected.saturating_sub(1);
                let sites = self.way(recipient).sites.iter_mut();
                let mut sites = sites.filter(|own| own.site == site);
                if let Some(site) = sites.next_back() {
                    site.hosts.push(*host);
                }
            }
            DeliveryEvent::End { tested } => self.end(Ok(tested)),
            DeliveryEvent::Failed { error } => self.end(Err(error)),
        }
    }

    /// Nothing more will come.
    pub(crate) fn end(&mut self, end: Result<DeliveryTested, String>) {
        self.is_over = true;
        self.expected = 0;
        match end {
            Ok(tested) => self.ways = tested.recipients,
            Err(why) => self.error = Some(why),
        }
    }

    fn way(&mut self, recipient: String) -> &mut DeliveryWay {
        let at = self.ways.iter().position(|way| way.recipient == recipient);
        let at = at.unwrap_or_else(|| {
            self.ways.push(DeliveryWay {
                recipient,
                verdict: "trying".to_owned(),
                text: String::new(),
                sites: Vec::new(),
            });
            self.ways.len() - 1
        });
        &mut self.ways[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> DeliveryEvent {
        serde_json::from_str(text).expect("an event")
    }

    #[test]
    fn a_trial_grows_with_what_is_heard_and_the_end_has_the_last_word() {
        let trials = Trials::default();
        let question = DeliveryQuestion {
            address: "ann@far.example".to_owned(),
            from: String::new(),
        };
        let number = trials.begin(&question, "operator");
        let hear = |text| trials.change(number, |trial| trial.hear(event(text)));
        hear(
            r#"{"event":"site","recipient":"ann@far.example","site":{"site":"mx:far.example","place":"default",
            "lookups":[],"no_way":null,"hosts":[]},"hosts":[{"name":"mx1","address":"192.0.2.1","port":25},
            {"name":"mx2","address":"192.0.2.2","port":25}]}"#,
        );
        let trial = trials.find(number).expect("a trial");
        assert_eq!((trial.expected, trial.is_over), (2, false));
        assert_eq!(trial.ways[0].verdict, "trying");
        hear(
            r#"{"event":"host","recipient":"ann@far.example","site":"mx:far.example","host":{"name":"mx1",
            "address":"192.0.2.1","port":25,"stages":{"connect":"FAIL","banner":"","EHLO":"","STARTTLS":"",
            "certificate":"","sign-in":"","MAIL":"","RCPT":""},"failed_at":"connect","reason":"refused",
            "advice":null,"replies":[]}}"#,
        );
        let trial = trials.find(number).expect("a trial");
        assert_eq!(trial.ways[0].sites[0].hosts.len(), 1);
        assert_eq!(trial.expected, 1);
        hear(
            r#"{"event":"end","tested":{"address":"ann@far.example","recipients":[{"recipient":"ann@far.example",
            "verdict":"waits","text":"nobody answers","sites":[]}]}}"#,
        );
        let trial = trials.find(number).expect("a trial");
        assert_eq!((trial.expected, trial.is_over), (0, true));
        assert_eq!(trial.ways[0].verdict, "waits");
    }

    #[test]
    fn the_latest_trials_are_kept() {
        let trials = Trials::default();
        let question = DeliveryQuestion::default();
        for number in 1..=TRIALS_MAX as u64 + 1 {
            assert_eq!(trials.begin(&question, "operator"), number);
        }
        assert!(trials.find(1).is_none());
        assert!(trials.find(2).is_some());
        assert_eq!(trials.all().len(), TRIALS_MAX);
    }
}
