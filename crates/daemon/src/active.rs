//! What is in force: a configuration, and everything that was made from it. Swapped as a whole by a
//! reload.

use std::collections::HashMap;
use std::sync::Arc;

use authentication::Claims;
use config::{Config, Listener};
use engine::Setup;
use lookups::{
    AcmeClient, Advice, Answers, Caller, Inquiries, Purpose, Resolvers, RouteSignIns, Scanners,
    UserSources, srs_scheme,
};
use mail::{Domain, Timestamp};
use metrics::Metrics;
use relay_policy::{Answer, Consultation, Question, Rules};
use sign_in::Mechanism;
use tls::{Acceptor, Connector, Obtained, ServerCertificates, TlsProblem};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::sign_in::{ConsoleIssuer, SignInSettings, TokenIssuer};
use crate::{certificates, clock};

/// A configuration, and everything that was made from it.
pub struct ActiveConfiguration {
    pub(crate) setup: Arc<Setup>,
    pub(crate) connector: Arc<Connector>,
    pub(crate) sign_ins: RouteSignIns,
    answers: Arc<Answers>,
    acceptors: HashMap<Arc<str>, Acceptor>,
    /// Of the console, where it is served by TLS.
    console: Option<Acceptor>,
    sign_in_settings: SignInSettings,
    /// A digest of the users file, where there is one.
    users: Option<u64>,
    /// What was got by ACME.
    pub(crate) obtained: Arc<Obtained>,
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
        let resolvers = before.map(|before| before.answers.resolvers());
        let resolvers = Resolvers::of(&config, resolvers)?;
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let obtained = before.map_or_else(Arc::default, |before| Arc::clone(&before.obtained));
        let read = Reading {
            config: &config,
            purpose,
            obtained: &obtained,
        };
        let acceptors = read.acceptors(&mut problems, &mut warnings);
        let console = read.console_acceptor(&mut warnings);
        let console = console.unwrap_or_else(|wrong| {
            problems.extend(wrong.iter().map(ToString::to_string));
            None
        });
        let made = Made::new(&config, &resolvers, purpose, &mut problems);
        let scheme = srs_scheme(&config).map_err(|why| problems.push(why));
        let signers = lookups::signers(&config).map_err(|wrong| problems.extend(wrong));
        let (Some(made), Ok(scheme), Ok(signers), []) = (made, scheme, signers, &*problems) else {
            return Err(problems.join("\n"));
        };
        let Made {
            connector,
            sign_ins,
            answers,
            sign_in_settings,
            users,
        } = made;
        if users.is_none() && before.is_some_and(|before| before.users.is_some()) {
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
        // Not before all the rest is good: the configuration in force shows them too.
        obtained.read(config.tls.acme.as_deref());
        let active = Self {
            obtained,
            setup: Arc::new(
                Setup::new(config)
                    .with_mechanisms(&offered)
                    .with_srs(scheme)
                    .with_signers(signers),
            ),
            connector,
            sign_ins,
            acceptors,
            console,
            sign_in_settings,
            users,
            answers: Arc::new(answers),
        };
        Ok((active, warnings))
    }

    /// What operators may ask about decisions by this configuration.
    pub(crate) fn inquiries(&self) -> Inquiries {
        Inquiries::new(
            Arc::clone(&self.setup),
            Arc::clone(&self.connector),
            Arc::clone(&self.answers),
            Some(Arc::clone(&self.sign_in_settings.sources)),
        )
    }

    /// What directories say against being asked as the configuration has it.
    pub(crate) async fn directory_warnings(&self) -> Vec<String> {
        self.answers.directory_warnings().await
    }

    /// That the console can be reached from elsewhere, and nobody could sign in there.
    pub(crate) fn console_warning(&self) -> Option<String> {
        let mut binds = self.setup.config.console.binds.iter();
        let open = binds.find(|bind| !bind.is_loopback())?;
        let settings = &self.sign_in_settings;
        let nobody = settings.issuer.is_none() && !settings.sources.have_console_roles();
        nobody.then(|| {
            format!(
                "the console at {} can be reached from elsewhere, and nobody has a role there: gatepost user role NAME admin",
                open.address
            )
        })
    }

    /// Who asks the authority of `[tls.acme]`; `None` where there is none.
    ///
    /// # Errors
    /// The authorities for HTTPS cannot be read.
    pub(crate) fn acme_client(&self) -> Option<Result<AcmeClient, String>> {
        let settings = self.setup.config.tls.acme.clone()?;
        let resolver = Arc::clone(self.answers.resolvers().resolver());
        Some(AcmeClient::new(resolver, settings))
    }

    /// What keeps certificates from being got, as far as can be seen at once.
    pub(crate) async fn acme_warnings(&self) -> Vec<String> {
        let wrong = self.obtained.wrong().into_iter();
        let mut warnings: Vec<String> = wrong.map(|wrong| wrong.to_string()).collect();
        let acme = self.setup.config.tls.acme.as_deref();
        let hook = acme.and_then(|acme| acme.hook.as_deref());
        warnings.extend(hook.and_then(certificates::hook_trouble));
        let asked = match self.acme_client() {
            Some(Ok(client)) => client.look().await,
            Some(Err(why)) => Err(why),
            None => Ok(()),
        };
        warnings.extend(
            asked
                .err()
                .map(|why| format!("no certificate can be got by ACME: {why}")),
        );
        warnings
    }

    /// Whether sessions that began under `before` decide as new ones do: at most certificates,
    /// users and the like are others.
    pub(crate) fn has_rules_of(&self, before: &Self) -> bool {
        self.setup.config.fingerprint == before.setup.config.fingerprint
            && self.setup.rewrites_as(&before.setup)
    }

    /// Whether the users file is as it was under `before`.
    pub(crate) fn has_users_of(&self, before: &Self) -> bool {
        self.users == before.users
    }

    /// Why no server is held to its TLSA records; `None`: they are.
    pub(crate) async fn dane_is_off(&self) -> Option<&'static str> {
        if !self.setup.config.outbound.dane {
            return Some("outbound.dane is false");
        }
        self.answers.resolvers().without_dnssec().await
    }

    /// Answers what the relay policy asks.
    pub(crate) async fn find_out(&self, rules: &Rules, question: Question) -> Answer {
        let config = &self.setup.config;
        self.answers.find_out(config, rules, question).await
    }

    /// Answers what routing asks, all side by side.
    pub(crate) async fn route_answers(
        self: Arc<Self>,
        questions: Vec<route::Question>,
    ) -> Vec<(route::Question, route::Answer)> {
        let mut asked = JoinSet::new();
        for question in questions {
            let active = Arc::clone(&self);
            asked.spawn(async move {
                let answer = active.route_answer(&question).await;
                (question, answer)
            });
        }
        asked.join_all().await
    }

    async fn route_answer(&self, question: &route::Question) -> route::Answer {
        let routes = self.setup.routes();
        self.answers
            .resolvers()
            .route_answer(routes, question)
            .await
    }

    /// What DNS says of a sender, all questions side by side; by the deadline it cannot be told.
    pub(crate) async fn about_sender(
        &self,
        questions: Vec<authentication::Question>,
        deadline: Instant,
    ) -> Vec<(authentication::Question, authentication::Answer)> {
        let resolvers = self.answers.resolvers();
        resolvers.about_sender(questions, deadline).await
    }

    /// The texts by which a domain asks for TLS reports.
    pub(crate) async fn tls_report_texts(
        &self,
        domain: &Domain,
    ) -> Result<Vec<Box<str>>, Box<str>> {
        self.answers.resolvers().tls_report_texts(domain).await
    }

    /// Hands over a TLS report at a URL.
    pub(crate) async fn post_tls_report(&self, url: &str, report: Vec<u8>) -> Result<(), String> {
        let (routes, resolvers) = (self.setup.routes(), self.answers.resolvers());
        resolvers.post_tls_report(routes, url, report).await
    }

    /// Whether the client passes SPF for its sender, as far as that is known by the deadline.
    pub(crate) async fn passes_spf(&self, claims: Claims, deadline: Instant) -> bool {
        self.answers.resolvers().passes_spf(claims, deadline).await
    }

    /// Asks policy services about a recipient.
    pub(crate) async fn consult(&self, asked: &Consultation, caller: Caller) -> Advice {
        self.answers.consult(asked, caller).await
    }

    /// Who looks at messages beside us.
    pub(crate) fn scanners(&self) -> &Arc<Scanners> {
        self.answers.scanners()
    }

    /// What is wrong with DNS or a policy host may have been put right just now: nothing of it is
    /// remembered. Policies that were fetched bind on.
    pub(crate) fn ask_anew(&self) {
        self.answers.resolvers().ask_anew();
    }

    /// Gives back the room of answers that hold no longer. Cheap: called now and then.
    pub(crate) async fn forget_expired(&self) {
        self.answers.resolvers().forget_expired().await;
    }

    /// What answers handshakes at a listener that offers TLS.
    pub(crate) fn acceptor(&self, listener: &str) -> Option<Acceptor> {
        self.acceptors.get(listener).cloned()
    }

    /// What answers handshakes of browsers.
    pub(crate) fn console_acceptor(&self) -> Option<Acceptor> {
        self.console.clone()
    }

    /// Has its listeners and routes counted from now on.
    pub(crate) fn make_known(&self, metrics: &Metrics) {
        let config = &self.setup.config;
        let local = config.local.sessions();
        let local = local.map(|session| &session.rules.listener.name);
        let listeners = config.listeners.iter().map(|listener| &listener.name);
        let routes = config.routes.route_names();
        metrics.know(listeners.chain(local).cloned(), routes.cloned());
        let screens = config.screening.screens.rules().iter();
        metrics.know_screens(screens.map(|screen| Arc::clone(&screen.name)));
        let scanners = config.screening.scanners.iter();
        metrics.know_scanners(scanners.map(|scanner| Arc::clone(&scanner.name)));
    }

    /// When the first certificate of each listener ends.
    pub(crate) fn certificates_end(&self) -> Vec<(Arc<str>, Timestamp)> {
        let console = self
            .console
            .as_ref()
            .map(|console| (CONSOLE.into(), console));
        let all = self
            .acceptors
            .iter()
            .map(|(name, one)| (Arc::clone(name), one));
        all.chain(console)
            .filter_map(|(name, acceptor)| Some((name, acceptor.ends()?)))
            .collect()
    }

    /// Who may sign in.
    pub(crate) fn sign_in_settings(&self) -> &SignInSettings {
        &self.sign_in_settings
    }
}

/// The listener, and what is to be said of its certificates.
type Warnings = Vec<(Arc<str>, String)>;

/// What certificates are read for.
#[derive(Clone, Copy)]
struct Reading<'a> {
    config: &'a Config,
    purpose: Purpose,
    obtained: &'a Arc<Obtained>,
}

/// The name of the console among those of listeners.
const CONSOLE: &str = "console";

impl Reading<'_> {
    /// One for each listener that offers TLS; those with the same certificates and the same rules for
    /// clients' share it. Others do not: a session that one listener issued is not taken up at a
    /// listener to which its certificate means something else.
    fn acceptors(
        self,
        problems: &mut Vec<String>,
        warnings: &mut Warnings,
    ) -> HashMap<Arc<str>, Acceptor> {
        let mut acceptors = HashMap::new();
        let mut known: Vec<(&Listener, Acceptor)> = Vec::new();
        let listeners = self.config.listeners.iter();
        for listener in listeners.filter(|l| l.rules.listener.tls.offered) {
            let alike = |other: &Listener| {
                let (ours, others) = (&listener.rules.relay, &other.rules.relay);
                other.tls == listener.tls && others.certificates == ours.certificates
            };
            let found = known.iter().find(|(other, _)| alike(other));
            let acceptor = match found {
                Some((_, acceptor)) => acceptor.clone(),
                None => match self.acceptor(listener, warnings) {
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
        self,
        listener: &Listener,
        warnings: &mut Warnings,
    ) -> Result<Acceptor, Vec<TlsProblem>> {
        let hostname = listener.hostname.as_str();
        let certificates = self.certificates(&listener.name, &listener.tls, hostname, warnings)?;
        Acceptor::new(&certificates, &listener.tls).map_err(|problem| vec![problem])
    }

    fn console_acceptor(
        self,
        warnings: &mut Warnings,
    ) -> Result<Option<Acceptor>, Vec<TlsProblem>> {
        let console = &self.config.console;
        let mut binds = console.binds.iter().chain(&console.links);
        if !binds.any(|bind| bind.tls) {
            return Ok(None);
        }
        let (tls, hostname) = (&console.tls, self.config.hostname.as_str());
        let certificates = self.certificates(&CONSOLE.into(), tls, hostname, warnings)?;
        let acceptor = Acceptor::for_browsers(&certificates, tls);
        acceptor.map(Some).map_err(|problem| vec![problem])
    }

    fn certificates(
        self,
        listener: &Arc<str>,
        tls: &config::Tls,
        hostname: &str,
        warnings: &mut Warnings,
    ) -> Result<ServerCertificates, Vec<TlsProblem>> {
        let (data_dir, now) = (&self.config.data_dir, clock::now());
        let certificates = match self.purpose {
            // Without a certificate a start makes a pair.
            Purpose::Look if tls.certificates.is_empty() => ServerCertificates::default(),
            Purpose::Look | Purpose::Serve => {
                ServerCertificates::load(tls, data_dir, hostname, now, self.obtained)?
            }
        };
        for warning in certificates.warnings() {
            warnings.push((Arc::clone(listener), warning.to_string()));
        }
        Ok(certificates)
    }
}

/// What is made from a configuration beside its listeners.
struct Made {
    connector: Arc<Connector>,
    sign_ins: RouteSignIns,
    answers: Answers,
    sign_in_settings: SignInSettings,
    users: Option<u64>,
}

impl Made {
    /// `None` when something is wrong, which is then among the `problems`.
    fn new(
        config: &Config,
        resolvers: &Arc<Resolvers>,
        purpose: Purpose,
        problems: &mut Vec<String>,
    ) -> Option<Self> {
        let connector = Connector::configured(config)
            .map_err(|wrong| problems.extend(wrong.iter().map(ToString::to_string)));
        let sign_ins =
            RouteSignIns::new(config, resolvers.resolver()).map_err(|wrong| problems.extend(wrong));
        let connector = Arc::new(connector.ok()?);
        let answers = Answers::new(config, Arc::clone(resolvers), Arc::clone(&connector))
            .map_err(|wrong| problems.extend(wrong))
            .ok()?;
        let sign_in = sign_in_settings(config, &answers, purpose);
        let (sign_in_settings, users) = sign_in.map_err(|wrong| problems.extend(wrong)).ok()?;
        Some(Self {
            connector,
            sign_ins: sign_ins.ok()?,
            answers,
            sign_in_settings,
            users,
        })
    }
}

/// Who may sign in: the users of the file first, then the people of directories, and whoever an
/// issuer vouches for; with the digest of the users file.
fn sign_in_settings(
    config: &Config,
    answers: &Answers,
    purpose: Purpose,
) -> Result<(SignInSettings, Option<u64>), Vec<String>> {
    let UserSources { sources, digest } = UserSources::read(config, answers, purpose)?;
    let tokens = match &config.auth.issuer {
        None => None,
        Some(issuer) => Some(Arc::new(
            TokenIssuer::new(issuer, answers.resolvers().resolver())
                .map_err(|why| vec![format!("{why} ({})", issuer.place)])?,
        )),
    };
    let issuer = match &config.console.oidc {
        None => None,
        Some(oidc) => Some(Arc::new(
            ConsoleIssuer::new(oidc, answers.resolvers().resolver())
                .map_err(|why| vec![format!("{why} ({})", oidc.place)])?,
        )),
    };
    let plus = Mechanism::ScramSha256Plus.name();
    let mut mechanisms = config.auth.mechanisms.iter();
    let sign_in_settings = SignInSettings {
        sources,
        tokens,
        issuer,
        binds: mechanisms.any(|name| name.eq_ignore_ascii_case(plus)),
    };
    Ok((sign_in_settings, digest))
}
