//! What is in force: a configuration, and everything that was made from it. Swapped as a whole by a
//! reload.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::sync::Arc;

use config::{Config, Delivery, Listener};
use engine::Setup;
use mail::Domain;
use relay_policy::{Answer, Fact, Question, Rules};
use sign_in::{Mechanism, Source, Sources, Users};

use crate::clock;
use crate::decoys;
use crate::sign_in::{SignInSettings, TokenIssuer};
use lookups::DirectoryUsers;
use lookups::Https;
use lookups::Resolver;
use lookups::RouteSignIns;
use lookups::{Directory, DnsListLookup, RecipientLookup, secret};
use lookups::{MtaSts, Sts};
use tls::{Acceptor, Connector, ServerCertificates, TlsProblem};

/// A configuration, and everything that was made from it.
pub struct ActiveConfiguration {
    pub(crate) setup: Setup,
    pub(crate) connector: Connector,
    pub(crate) sign_ins: RouteSignIns,
    answers: Answers,
    acceptors: HashMap<Arc<str>, Acceptor>,
    sign_in_settings: SignInSettings,
    /// A digest of the users file.
    users: u64,
}

/// Who answers questions, and what they remember; a reload that does not change how they ask keeps
/// them.
pub(crate) struct Resolvers {
    pub(crate) resolver: Arc<Resolver>,
    dns_lists: DnsListLookup,
    policies: MtaSts,
}

/// Who answers what decisions ask, by one configuration.
pub(crate) struct Answers {
    services: Arc<Resolvers>,
    directories: BTreeMap<Arc<str>, Arc<Directory>>,
    recipients: RecipientLookup,
}

impl Answers {
    /// Must be called within the runtime. What is remembered of the outside is taken over from
    /// `before`, where it is asked in the same way.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub(crate) fn new(
        config: &Config,
        before: Option<&ActiveConfiguration>,
    ) -> Result<Self, String> {
        let services = outside(config, before)?;
        let directories = directories(config, &services.resolver)?;
        let recipients = RecipientLookup::new(
            directories.clone(),
            config.verify.clone(),
            Arc::clone(&services.resolver),
        );
        Ok(Self {
            services,
            directories,
            recipients,
        })
    }

    /// Answers what the relay policy asks.
    pub(crate) async fn find_out(
        &self,
        config: &Config,
        rules: &Rules,
        question: Question,
    ) -> Answer {
        match question {
            Question::ConfirmedName(address) => {
                Answer::ConfirmedName(match self.services.resolver.confirmed_name(address).await {
                    Ok(Some(name)) => Fact::Yes(name),
                    Ok(None) => Fact::No,
                    Err(_) => Fact::CannotTell,
                })
            }
            Question::Listings(address) => Answer::Listings(
                self.services
                    .dns_lists
                    .listings(&rules.dns_lists, address)
                    .await,
            ),
            Question::Recipient { mailbox, source } => {
                let fact = self.recipients.recipient(config, &source, &mailbox).await;
                Answer::Recipient(mailbox, fact)
            }
        }
    }
}

impl Resolvers {
    fn new(config: &Config) -> Result<Self, String> {
        let resolver = Arc::new(Resolver::configured(config));
        let https = Https::new(Arc::clone(&resolver), config.outbound.ca.as_deref())?;
        Ok(Self {
            dns_lists: DnsListLookup::new(Arc::clone(&resolver)),
            policies: MtaSts::new(Arc::clone(&resolver), https),
            resolver,
        })
    }
}

/// What a configuration is read for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// To serve by it: what is missing and can be made is made.
    Serve,
    /// To see whether it can be used: nothing is written.
    Look,
}

impl ActiveConfiguration {
    /// Reads what `config` names: certificates, keys, users, secrets. Must be called within the
    /// runtime.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub(crate) fn new(config: Config, before: Option<&Self>) -> Result<Self, String> {
        let (active, warnings) = Self::read(config, before, Purpose::Serve)?;
        for (listener, warning) in warnings {
            tracing::warn!(%listener, warning, "certificate");
        }
        Ok(active)
    }

    /// The same, only to see whether it can be used; with what an administrator should know of
    /// certificates, each with the listener's name.
    ///
    /// # Errors
    /// Everything that is wrong, a line each.
    pub(crate) fn look(config: Config) -> Result<(Self, Warnings), String> {
        Self::read(config, None, Purpose::Look)
    }

    fn read(
        config: Config,
        before: Option<&Self>,
        purpose: Purpose,
    ) -> Result<(Self, Warnings), String> {
        let answers = Answers::new(&config, before)?;
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let acceptors = acceptors(&config, purpose, &mut problems, &mut warnings);
        let connector = Connector::load(config.deliveries.values().chain([&everybody(&config)]));
        let connector =
            connector.map_err(|wrong| problems.extend(wrong.iter().map(ToString::to_string)));
        let sign_ins = RouteSignIns::new(&config, &answers.services.resolver)
            .map_err(|wrong| problems.extend(wrong));
        let sign_in_settings =
            sign_in_settings(&config, &answers, purpose).map_err(|wrong| problems.extend(wrong));
        let (Ok(connector), Ok(sign_ins), Ok((sign_in_settings, users)), []) =
            (connector, sign_ins, sign_in_settings, &*problems)
        else {
            return Err(problems.join("\n"));
        };
        if users == NO_USERS && before.is_some_and(|before| before.users != NO_USERS) {
            let path = config.auth.users_file.display();
            return Err(format!(
                "{path} is gone: nobody could sign in any more; an empty file says that on purpose"
            ));
        }
        let offered = sign_in::offered(
            &sign_in_settings.sources,
            &config.auth.mechanisms,
            true,
            sign_in_settings.tokens.is_some(),
        );
        let active = Self {
            setup: Setup::new(config).with_mechanisms(&offered),
            connector,
            sign_ins,
            acceptors,
            sign_in_settings,
            users,
            answers,
        };
        Ok((active, warnings))
    }

    /// What directories say against being asked as the configuration has it.
    pub(crate) async fn directory_warnings(&self) -> Vec<String> {
        let mut asked = tokio::task::JoinSet::new();
        for directory in self.answers.directories.values() {
            let directory = Arc::clone(directory);
            asked.spawn(async move { directory.warnings().await });
        }
        let mut warnings = asked.join_all().await.concat();
        warnings.sort();
        warnings
    }

    /// Whether sessions that began under `before` decide as new ones do: at most certificates,
    /// users and the like are others.
    pub(crate) fn has_rules_of(&self, before: &Self) -> bool {
        self.setup.config.fingerprint == before.setup.config.fingerprint
    }

    /// Whether the users file is as it was under `before`.
    pub(crate) fn has_users_of(&self, before: &Self) -> bool {
        self.users == before.users
    }

    /// Why no server is held to its TLSA records; `None`: they are.
    pub(crate) async fn dane_is_off(&self) -> Option<&'static str> {
        let resolver = &self.answers.services.resolver;
        if !self.setup.config.outbound.dane {
            Some("outbound.dane is false")
        } else if !resolver.is_trusted() {
            Some(
                "a resolver is not on this machine, so nobody can trust what it says of DNSSEC: run a validating one here",
            )
        } else if !resolver.validates().await {
            Some("the resolver does not validate DNSSEC")
        } else {
            None
        }
    }

    /// Answers what the relay policy asks.
    pub(crate) async fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        self.answers
            .find_out(&self.setup.config, rules, question)
            .await
    }

    /// Answers what routing asks.
    pub(crate) async fn route_answer(&self, question: &route::Question) -> route::Answer {
        match question {
            route::Question::MtaSts(domain) => self.policy(domain).await,
            route::Question::Mx(_)
            | route::Question::Addresses(_)
            | route::Question::Tlsa { .. } => self.answers.services.resolver.answer(question).await,
        }
    }

    /// What is wrong with DNS or a policy host may have been put right just now: nothing of it is
    /// remembered. Policies that were fetched bind on.
    pub(crate) fn ask_anew(&self) {
        self.answers.services.resolver.forget();
        self.answers.services.policies.forget_failures();
    }

    /// RFC 8461 section 3.3: who cannot find out about a policy delivers as if there were none.
    async fn policy(&self, domain: &Domain) -> route::Answer {
        let routes = self.setup.routes();
        match self.answers.services.policies.policy(domain, routes).await {
            Sts::None => route::Answer::NoData { secure: false },
            Sts::Policy(policy) => route::Answer::MtaSts(policy),
            Sts::CannotTell(why) => {
                tracing::info!(%domain, why, "the MTA-STS policy cannot be found out");
                route::Answer::NoData { secure: false }
            }
        }
    }

    /// Gives back the room of answers that hold no longer. Cheap: called now and then.
    pub(crate) async fn forget_expired(&self) {
        self.answers.services.resolver.forget_expired().await;
    }

    /// What answers handshakes at a listener that offers TLS.
    pub(crate) fn acceptor(&self, listener: &str) -> Option<Acceptor> {
        self.acceptors.get(listener).cloned()
    }

    /// Who may sign in.
    pub(crate) fn sign_in_settings(&self) -> SignInSettings {
        self.sign_in_settings.clone()
    }
}

/// The listener, and what is to be said of its certificates.
type Warnings = Vec<(Arc<str>, String)>;

/// One for each listener that offers TLS; those with the same certificates and the same rules for
/// clients' share it. Others do not: a session that one listener issued is not taken up at a
/// listener to which its certificate means something else.
fn acceptors(
    config: &Config,
    purpose: Purpose,
    problems: &mut Vec<String>,
    warnings: &mut Warnings,
) -> HashMap<Arc<str>, Acceptor> {
    let mut acceptors = HashMap::new();
    let mut known: Vec<(&Listener, Acceptor)> = Vec::new();
    for listener in config
        .listeners
        .iter()
        .filter(|l| l.rules.listener.tls.offered)
    {
        let alike = |other: &Listener| {
            let (ours, others) = (&listener.rules.relay, &other.rules.relay);
            other.tls == listener.tls && others.certificates == ours.certificates
        };
        let found = known.iter().find(|(other, _)| alike(other));
        let acceptor = match found {
            Some((_, acceptor)) => acceptor.clone(),
            None => match acceptor(config, listener, purpose, warnings) {
                Ok(acceptor) => acceptor,
                Err(wrong) => {
                    problems.extend(wrong.iter().map(ToString::to_string));
                    continue;
                }
            },
        };
        known.push((listener, acceptor.clone()));
        acceptors.insert(Arc::clone(&listener.name), acceptor);
    }
    problems.dedup();
    acceptors
}

fn acceptor(
    config: &Config,
    listener: &Listener,
    purpose: Purpose,
    warnings: &mut Warnings,
) -> Result<Acceptor, Vec<TlsProblem>> {
    let hostname = listener.hostname.as_str();
    let certificates = match purpose {
        // Without a certificate a start makes a pair.
        Purpose::Look if listener.tls.certificates.is_empty() => ServerCertificates::default(),
        Purpose::Look | Purpose::Serve => {
            ServerCertificates::load(&listener.tls, &config.data_dir, hostname, clock::now())?
        }
    };
    for warning in certificates.warnings() {
        warnings.push((Arc::clone(&listener.name), warning.to_string()));
    }
    Acceptor::new(&certificates, &listener.tls).map_err(|problem| vec![problem])
}

/// What is remembered of the outside goes on where the same resolvers are asked in the same way.
fn outside(
    config: &Config,
    before: Option<&ActiveConfiguration>,
) -> Result<Arc<Resolvers>, String> {
    match before {
        Some(before)
            if before.setup.config.dns == config.dns
                && before.setup.config.outbound.ca == config.outbound.ca =>
        {
            Ok(Arc::clone(&before.answers.services))
        }
        Some(_) | None => Resolvers::new(config).map(Arc::new),
    }
}

/// What holds for hosts of routes that say nothing of their own.
fn everybody(config: &Config) -> Delivery {
    Delivery {
        ca: config.outbound.ca.clone(),
        ..Delivery::default()
    }
}

fn directories(
    config: &Config,
    resolver: &Arc<Resolver>,
) -> Result<BTreeMap<Arc<str>, Arc<Directory>>, String> {
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
        Err(problems.join("\n"))
    }
}

/// Who may sign in: the users of the file first, then the people of directories, and whoever an
/// issuer vouches for.
pub(crate) fn sign_in_settings(
    config: &Config,
    answers: &Answers,
    purpose: Purpose,
) -> Result<(SignInSettings, u64), Vec<String>> {
    let (users, digest) = users(config)?;
    let decoys = decoys::of(&config.data_dir, purpose).map_err(|why| vec![why])?;
    let mut others: Vec<Arc<dyn Source>> = Vec::new();
    for name in &config.auth.directories {
        let settings = config.directories.get(name);
        if let (Some(directory), Some(settings)) = (answers.directories.get(name), settings) {
            others.push(Arc::new(DirectoryUsers::new(
                Arc::clone(directory),
                settings.place.clone(),
            )));
        }
    }
    let tokens = match &config.auth.issuer {
        None => None,
        Some(issuer) => Some(Arc::new(
            TokenIssuer::new(issuer, &answers.services.resolver)
                .map_err(|why| vec![format!("{why} ({})", issuer.place)])?,
        )),
    };
    let sources = Arc::new(Sources::new(users.with_decoys(decoys), others));
    let plus = Mechanism::ScramSha256Plus.name();
    let mut mechanisms = config.auth.mechanisms.iter();
    let sign_in_settings = SignInSettings {
        sources,
        tokens,
        binds: mechanisms.any(|name| name.eq_ignore_ascii_case(plus)),
    };
    Ok((sign_in_settings, digest))
}

/// The digest where there is no users file.
const NO_USERS: u64 = 0;

/// The users of the file; nobody where there is none.
fn users(config: &Config) -> Result<(Users, u64), Vec<String>> {
    let path = &config.auth.users_file;
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok((Users::default(), NO_USERS));
        }
        Err(error) => return Err(vec![format!("{}: {error}", path.display())]),
    };
    secret::check_rights(path).map_err(|why| vec![why])?;
    let name = path.display().to_string().into();
    let users = Users::parse(&text, &name);
    let users = users.map_err(|wrong| wrong.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    Ok((users, hasher.finish()))
}
