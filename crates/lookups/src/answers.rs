//! Answers what decisions ask, by one configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Config;
use relay_policy::{Answer, Consultation, Fact, Greylisted, Question, Rules};
use sign_in::Source;
use tls::Connector;

use crate::directory::Directory;
use crate::directory_users::DirectoryUsers;
use crate::recipients::RecipientLookup;
use crate::resolver::Resolver;
use crate::resolvers::Resolvers;
use crate::scanners::{Advice, Caller, Scanners};

/// Who answers what decisions ask, by one configuration.
pub struct Answers {
    resolvers: Arc<Resolvers>,
    directories: BTreeMap<Arc<str>, Arc<Directory>>,
    recipients: RecipientLookup,
    scanners: Arc<Scanners>,
}

impl Answers {
    /// Answers by `config`: `resolvers` are asked about the outside, and next hops over handshakes
    /// of `connector`. Must be called within the runtime.
    ///
    /// # Errors
    /// What is wrong with the directories.
    pub fn new(
        config: &Config,
        resolvers: Arc<Resolvers>,
        connector: Arc<Connector>,
    ) -> Result<Self, Vec<String>> {
        let directories = directories(config, resolvers.resolver())?;
        let scanners = Scanners::new(&config.screening.scanners, resolvers.resolver())?;
        let recipients = RecipientLookup::new(
            directories.clone(),
            config.verify.clone(),
            Arc::clone(&resolvers),
            connector,
        );
        Ok(Self {
            resolvers,
            directories,
            recipients,
            scanners: Arc::new(scanners),
        })
    }

    /// Who is asked about the outside.
    pub fn resolvers(&self) -> &Arc<Resolvers> {
        &self.resolvers
    }

    /// Who looks at messages beside us.
    pub fn scanners(&self) -> &Arc<Scanners> {
        &self.scanners
    }

    /// Answers what the relay policy asks.
    pub async fn find_out(&self, config: &Config, rules: &Rules, question: Question) -> Answer {
        let resolvers = &self.resolvers;
        match question {
            Question::ConfirmedName(address) => {
                let name = resolvers.resolver().confirmed_name(address).await;
                Answer::ConfirmedName(match name {
                    Ok(Some(name)) => Fact::Yes(name),
                    Ok(None) => Fact::No,
                    Err(_) => Fact::CannotTell,
                })
            }
            Question::Listings(address) => {
                let listings = resolvers.dns_lists().listings(&rules.dns_lists, address);
                Answer::Listings(listings.await)
            }
            Question::Recipient { mailbox, source } => {
                let fact = self.recipients.recipient(config, &source, &mailbox).await;
                Answer::Recipient(mailbox, fact)
            }
            Question::Consult(asked) => {
                let caller = Caller::default();
                Answer::Consulted(self.consult(&asked, caller).await.consulted)
            }
            // Whoever runs a relay remembers who was here. Here nobody was.
            Question::Greylist(_) => Answer::Greylist(Greylisted::Waits {
                seconds: u32::try_from(config.limits.greylisting.delay.as_secs())
                    .unwrap_or(u32::MAX),
                since: None,
            }),
        }
    }

    /// Asks policy services about a recipient.
    pub async fn consult(&self, asked: &Consultation, mut caller: Caller) -> Advice {
        caller.reverse_name = match &asked.name {
            Fact::Yes(name) => Some(name.clone()),
            Fact::No => {
                let resolver = self.resolvers.resolver();
                resolver.reverse_name(asked.client.address()).await
            }
            Fact::CannotTell => None,
        };
        self.scanners.consult(asked, &caller).await
    }

    /// The people of the directories in which users are to be found.
    pub(crate) fn people(&self, config: &Config) -> Vec<Arc<dyn Source>> {
        let mut people: Vec<Arc<dyn Source>> = Vec::new();
        for name in &config.auth.directories {
            let settings = config.directories.get(name);
            if let (Some(directory), Some(settings)) = (self.directories.get(name), settings) {
                let directory = Arc::clone(directory);
                people.push(Arc::new(DirectoryUsers::new(
                    directory,
                    settings.place.clone(),
                )));
            }
        }
        people
    }

    /// What directories say against being asked as the configuration has it.
    pub async fn directory_warnings(&self) -> Vec<String> {
        let mut asked = tokio::task::JoinSet::new();
        for directory in self.directories.values() {
            let directory = Arc::clone(directory);
            asked.spawn(async move { directory.warnings().await });
        }
        let mut warnings = asked.join_all().await.concat();
        warnings.sort();
        warnings
    }
}

fn directories(
    config: &Config,
    resolver: &Arc<Resolver>,
) -> Result<BTreeMap<Arc<str>, Arc<Directory>>, Vec<String>> {
    let (mut directories, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, settings) in &config.directories {
        match Directory::new(settings, Arc::clone(resolver)) {
            Ok(directory) => drop(directories.insert(Arc::clone(name), Arc::new(directory))),
            Err(why) => problems.push(format!("{why} ({})", settings.place)),
        }
    }
    if problems.is_empty() {
        Ok(directories)
    } else {
        Err(problems)
    }
}
