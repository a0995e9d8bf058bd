//! Whether a recipient exists: asked once, remembered for a while.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::{Config, Verify};
use mail::Mailbox;
use relay_policy::{Fact, RecipientSource};
use tls::Connector;

use crate::directory::Directory;
use crate::next_hop::NextHop;
use crate::resolvers::Resolvers;

/// Answers kept; the least used go first.
const ANSWERS_MAX: u64 = 20_000;
/// For how long a directory's yes and no are believed.
const DIRECTORY_TTL: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(60));
/// For how long nobody is asked again who could not tell.
const CANNOT_TELL_TTL: Duration = Duration::from_secs(5);

/// Asks directories and next hops for recipients.
pub struct RecipientLookup {
    directories: BTreeMap<Arc<str>, Arc<Directory>>,
    next_hop: NextHop,
    verify: Verify,
    answers: moka::future::Cache<(RecipientSource, Box<str>), Known>,
}

#[derive(Debug, Clone)]
struct Known {
    fact: Fact<()>,
    ttl: Duration,
}

struct ByTtl;

impl<K> moka::Expiry<K, Known> for ByTtl {
    fn expire_after_create(&self, _: &K, known: &Known, _: Instant) -> Option<Duration> {
        Some(known.ttl)
    }
}

impl RecipientLookup {
    /// Asks `directories`, and next hops as `verify` says: their ways are found with `resolvers`,
    /// handshakes are made with `connector`.
    pub fn new(
        directories: BTreeMap<Arc<str>, Arc<Directory>>,
        verify: Verify,
        resolvers: Arc<Resolvers>,
        connector: Arc<Connector>,
    ) -> Self {
        Self {
            directories,
            next_hop: NextHop::new(resolvers, connector, verify.timeout),
            verify,
            answers: moka::future::Cache::builder()
                .max_capacity(ANSWERS_MAX)
                .expire_after(ByTtl)
                .build(),
        }
    }

    /// Whether `source` knows this recipient. One question at a time about each, however many wait
    /// for the answer.
    pub async fn recipient(
        &self,
        config: &Config,
        source: &RecipientSource,
        recipient: &Mailbox,
    ) -> Fact<()> {
        // Nobody tells two recipients apart by the case of their letters.
        let key = (source.clone(), mail::lower_case(recipient.as_str()).into());
        let ask = async {
            let fact = match source {
                RecipientSource::Ldap(name) => self.in_directory(name, recipient).await,
                RecipientSource::NextHop => self.next_hop.takes(config, recipient).await,
            };
            let ttl = self.ttl(source, &fact);
            Known { fact, ttl }
        };
        self.answers.get_with(key, ask).await.fact
    }

    async fn in_directory(&self, name: &Arc<str>, recipient: &Mailbox) -> Fact<()> {
        let Some(directory) = self.directories.get(name) else {
            tracing::error!(directory = %name, "recipients are to be found in a directory that is not there");
            return Fact::CannotTell;
        };
        match directory.has_recipient(recipient).await {
            Ok(true) => Fact::Yes(()),
            Ok(false) => Fact::No,
            Err(why) => {
                tracing::warn!(directory = %name, why, "a directory could not be asked for a recipient");
                Fact::CannotTell
            }
        }
    }

    fn ttl(&self, source: &RecipientSource, fact: &Fact<()>) -> Duration {
        let (positive, negative) = match source {
            RecipientSource::Ldap(_) => DIRECTORY_TTL,
            RecipientSource::NextHop => (self.verify.positive, self.verify.negative),
        };
        match fact {
            Fact::Yes(()) => positive,
            Fact::No => negative,
            Fact::CannotTell => CANNOT_TELL_TTL,
        }
    }
}
