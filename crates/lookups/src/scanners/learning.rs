//! Scanners learn what is spam and what is not from what an administrator says of messages.

use std::sync::Arc;

use ::scanner::rspamd::{self, Rspamd};
use ::scanner::spamd::{self, Spamd};
use ::scanner::{Answer, Content, Exchange, Learned, Subject};
use config::{ScannerAddress, ScannerKind};
use tokio::time::timeout;

use super::places::{self, Places};
use super::{One, Scanners, conversation};

/// What a message is, by the word of an administrator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lesson {
    /// Unwanted.
    Spam,
    /// Wanted.
    Ham,
}

/// What one scanner made of a message at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taught {
    /// Its name.
    pub scanner: Arc<str>,
    /// Where it was taught.
    pub address: String,
    /// Whether it was its list of fuzzy hashes, and not its classifier.
    pub is_fuzzy: bool,
    /// What it answered, or why there is no answer, fit to be shown.
    pub learned: Result<Learned, String>,
}

impl Scanners {
    /// Whether one of them learns.
    pub fn learn(&self) -> bool {
        let mut all = self.by_name.values();
        all.any(|one| one.settings.learning.is_some())
    }

    /// Tells all that learn what a message is, one after the other, each within the time that it has
    /// for a message.
    pub async fn teach(&self, lesson: Lesson, content: &Arc<dyn Content>) -> Vec<Taught> {
        let mut all = Vec::new();
        for one in self.by_name.values() {
            let Some(learning) = &one.settings.learning else {
                continue;
            };
            for address in &learning.addresses {
                let mut questions = vec![one.lesson(lesson, address, content.size())];
                if let Some((flag, weight)) = learning.fuzzy {
                    let command = match lesson {
                        Lesson::Spam => rspamd::Command::FuzzyAdd { flag, weight },
                        Lesson::Ham => rspamd::Command::FuzzyDelete { flag },
                    };
                    questions.push(one.to_rspamd(command, address, content.size()));
                }
                for (number, question) in questions.into_iter().enumerate() {
                    all.push(Taught {
                        scanner: Arc::clone(&one.settings.name),
                        address: address.to_string(),
                        is_fuzzy: number > 0,
                        learned: one.taught(address, question, content).await,
                    });
                }
            }
        }
        all
    }
}

impl One {
    fn lesson(&self, lesson: Lesson, address: &ScannerAddress, size: u64) -> Exchange {
        match (self.settings.kind, lesson) {
            (ScannerKind::Spamd, Lesson::Spam) => tell(spamd::Command::LearnSpam, size),
            (ScannerKind::Spamd, Lesson::Ham) => tell(spamd::Command::LearnHam, size),
            (_, Lesson::Spam) => self.to_rspamd(rspamd::Command::LearnSpam, address, size),
            (_, Lesson::Ham) => self.to_rspamd(rspamd::Command::LearnHam, address, size),
        }
    }

    fn to_rspamd(&self, command: rspamd::Command, address: &ScannerAddress, size: u64) -> Exchange {
        let settings = rspamd::Settings {
            host: places::host(address),
            password: self.learn_secret.clone(),
            settings_id: None,
        };
        Rspamd::new(command, &settings, &subject(size)).into()
    }

    async fn taught(
        &self,
        address: &ScannerAddress,
        mut question: Exchange,
        content: &Arc<dyn Content>,
    ) -> Result<Learned, String> {
        let asked = async {
            let mut socket = Places::connect_to(address, self.places.resolver()).await?;
            let answer = conversation::hold(&mut *socket, &mut question, content).await;
            answer.map_err(|trouble| trouble.why)
        };
        let within = self.settings.timeout;
        let answer = timeout(within, asked).await;
        match answer.unwrap_or_else(|_| Err(format!("no answer within {within:?}")))? {
            Answer::Learned(learned) => Ok(learned),
            _ => Err("it answered something else".to_owned()),
        }
    }
}

fn tell(command: spamd::Command, size: u64) -> Exchange {
    Spamd::new(command, None, &subject(size)).into()
}

/// A lesson says nothing of a message beside its content.
fn subject(size: u64) -> Subject {
    Subject {
        size,
        ..Subject::default()
    }
}
