use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Config, DomainSettings};
use delivery::{Credentials, EightBit, Identity, SendAs, SentAs, SignInStart, Submitted};
use dkim::Signers;
use mail::{Domain, Mailbox, Timestamp};
use queue::Job;
use relay_policy::{DomainTable, Grounds, NameMap, Rewriting, Rewritten, Rules};
use route::{NextHop, Routes, Site, TlsDemand};
use spool::{Message, Recipient};
use srs::Scheme;

use crate::{KeptLimits, NoticeSettings};

/// One configuration, turned into what each part of the relay goes by. Immutable; a reload makes a
/// new one.
pub struct Setup {
    /// Where it came from.
    pub config: Config,
    /// For the queue manager.
    pub queue: queue::Settings,
    /// For our own notices.
    pub notices: NoticeSettings,
    /// As whom reports are sent.
    pub reports_from: Mailbox,
    /// From whom it comes what is held.
    pub digest_from: Mailbox,
    /// How much badmail is kept.
    pub badmail: KeptLimits,
    /// How much of what screening holds is kept.
    pub quarantine: KeptLimits,
    /// For sessions, by the name of the listener.
    pub sessions: HashMap<Arc<str>, Arc<reception::Settings>>,
    delivery: DeliverySettings,
}

/// How to talk to servers: what holds for a connection, and what each message's recipients say for
/// themselves.
#[derive(Clone)]
pub struct DeliverySettings {
    /// For the connection.
    pub(crate) settings: Arc<delivery::Settings>,
    pub(crate) domains: Arc<NameMap<DomainSettings>>,
    /// The address to connect from.
    pub(crate) source: Option<IpAddr>,
    /// How long a connection may take to come about.
    pub(crate) connect_timeout: Duration,
    /// The longest header that we accept: nothing is looked for in a message beyond it.
    pub(crate) header_size: u64,
    /// How senders of forwarded messages are rewritten.
    pub(crate) rewriting: Option<Arc<Rewriting>>,
    /// As whom mail goes out otherwise, where that is not as it came.
    pub(crate) send_as: Arc<SendAs>,
    /// Who signs what goes out with another author.
    pub(crate) signers: Arc<Signers>,
    /// The name of the site.
    pub(crate) site: Arc<str>,
    /// Whose senders are not rewritten.
    pub(crate) ours: Arc<DomainTable>,
    /// How to talk where the mail goes otherwise ([`route::Site::otherwise`]).
    pub(crate) otherwise: Option<Arc<DeliverySettings>>,
    /// What comes of encryption is told ([`crate::Step::Encryption`]).
    pub(crate) tells_encryption: bool,
}

/// What is read of a message before it goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reads {
    /// Nothing: its header stays.
    Nothing,
    /// Its header.
    Header,
    /// All of it: it is signed with the header that it gets.
    All,
}

impl DeliverySettings {
    /// What is to be done with 8-bit content of a message for these recipients at a server without
    /// 8BITMIME: the strictest word of their domains, since they share the transaction.
    pub(crate) fn eight_bit(&self, recipients: &[Recipient]) -> EightBit {
        recipients
            .iter()
            .filter_map(|recipient| self.of(recipient))
            .map(|domain| domain.eight_bit)
            .max()
            .unwrap_or_default()
    }

    /// As whom the message is forwarded `now` (on the system's clock) to those of the recipients who
    /// are forwarded.
    pub(crate) fn rewritten(&self, job: &Job, now: Timestamp) -> Rewritten {
        let mut recipients = job.recipients.iter();
        let is_forwarded = |one: &Recipient| one.admitted.grounds() == Grounds::Forwarded;
        match &self.rewriting {
            // Who is sent as one of ours at this site needs no other address.
            Some(rewriting)
                if recipients.any(is_forwarded)
                    && self
                        .sent_as(&job.message)
                        .is_none_or(|as_whom| !as_whom.author) =>
            {
                let message = &job.message;
                rewriting.rewrite(
                    &message.reverse_path,
                    message.from_stranger,
                    &self.ours,
                    now,
                )
            }
            Some(_) | None => Rewritten::Not,
        }
    }

    /// As whom the message goes out at this site, where that is not as it came.
    pub(crate) fn sent_as(&self, message: &Message) -> Option<SentAs> {
        self.send_as.sent_as(&Submitted::of(message), &self.site)
    }

    /// What has to be read of it before it goes out, as it may go out with another header than it
    /// came with, here or where it goes otherwise.
    pub(crate) fn reads(&self, message: &Message) -> Reads {
        let otherwise = self.otherwise.as_ref();
        let otherwise = otherwise.map_or(Reads::Nothing, |other| other.reads(message));
        let here = match self.sent_as(message).filter(|sent_as| sent_as.author) {
            None => Reads::Nothing,
            Some(sent_as) if self.signs(&sent_as) => Reads::All,
            Some(_) => Reads::Header,
        };
        here.max(otherwise)
    }

    /// Whether what goes out as this one is signed for it.
    pub(crate) fn signs(&self, sent_as: &SentAs) -> bool {
        let domain = sent_as.sender.host().domain();
        domain.is_some_and(|domain| self.signers.of(domain).is_some())
    }

    /// What the domain of each recipient says about encryption.
    pub(crate) fn tls(&self, recipients: &[Recipient]) -> impl Iterator<Item = Option<TlsDemand>> {
        recipients
            .iter()
            .map(|recipient| self.of(recipient).and_then(|domain| domain.tls))
    }

    fn of(&self, recipient: &Recipient) -> Option<&DomainSettings> {
        let domain = recipient.admitted.recipient().host().domain()?;
        self.domains.find(domain)
    }
}

impl Setup {
    /// Takes from `config` what each part of the relay goes by.
    pub fn new(config: Config) -> Self {
        let sessions = config
            .listeners
            .iter()
            .map(|listener| (Arc::clone(&listener.name), Arc::clone(&listener.session)))
            .collect();
        Self {
            queue: config.queue.clone(),
            notices: NoticeSettings {
                hostname: config.hostname.clone(),
                sender_domain: sender_domain(&config).clone(),
                reply_to: reply_to(&config),
                postmaster: config.postmaster.clone(),
                send_as: Arc::clone(&config.send_as),
                signers: Arc::default(),
                return_size_max: config.notices.return_size,
                expire: config.queue.expire,
                copies: config.notices.copies.clone(),
                forwards: Arc::clone(&config.rules.forwards),
            },
            reports_from: reports_from(&config),
            digest_from: digest_from(&config),
            badmail: KeptLimits {
                age: config.notices.badmail_age,
                bytes: config.notices.badmail_size,
            },
            quarantine: KeptLimits {
                age: config.screening.quarantine.keep,
                bytes: config.screening.quarantine.max_size,
            },
            sessions,
            delivery: DeliverySettings {
                settings: Arc::new(config.delivery.clone()),
                domains: Arc::new(config.domains.clone()),
                source: None,
                connect_timeout: config.outbound.connect_timeout,
                header_size: config.limits.header_size,
                rewriting: config.rules.rewriting.clone(),
                ours: Arc::clone(&config.rules.domains),
                send_as: Arc::clone(&config.send_as),
                signers: Arc::default(),
                site: "".into(),
                otherwise: None,
                tells_encryption: config.reports.tls,
            },
            config,
        }
    }

    /// The same, offering only these mechanisms for signing in: those that the sources of users can
    /// answer.
    pub fn with_mechanisms(mut self, mechanisms: &[&str]) -> Self {
        let mechanisms: Arc<[Box<str>]> = mechanisms.iter().map(|name| (*name).into()).collect();
        for settings in self.sessions.values_mut() {
            Arc::make_mut(settings).mechanisms = Arc::clone(&mechanisms);
        }
        self
    }

    /// The same, with the secrets by which senders of forwarded messages are rewritten, and turned
    /// back. Nothing where the configuration rewrites nobody.
    pub fn with_srs(mut self, scheme: Scheme) -> Self {
        let Some(rewriting) = self.delivery.rewriting.as_deref() else {
            return self;
        };
        let rewriting = Some(Arc::new(rewriting.by(scheme)));
        let local = &mut self.config.local;
        let pickup = local.pickup.as_mut().map(|pickup| &mut pickup.session);
        let submit = local.submit.as_mut().map(|submit| &mut submit.session);
        for settings in self.sessions.values_mut().chain(pickup).chain(submit) {
            let settings = Arc::make_mut(settings);
            let rules = Arc::make_mut(&mut settings.rules);
            rules.rewriting.clone_from(&rewriting);
        }
        self.delivery.rewriting = rewriting;
        self
    }

    /// The same, with those who sign mail.
    pub fn with_signers(mut self, signers: Signers) -> Self {
        self.notices.signers = Arc::new(signers);
        self.delivery.signers = Arc::clone(&self.notices.signers);
        self
    }

    /// Who signs mail.
    pub fn signers(&self) -> &Arc<Signers> {
        &self.notices.signers
    }

    /// Whether senders are rewritten by the same secrets as in `other`, where they are.
    pub fn rewrites_as(&self, other: &Self) -> bool {
        let scheme = |setup: &Self| {
            let rewriting = setup.delivery.rewriting.as_deref();
            rewriting.map(|rewriting| rewriting.scheme.clone())
        };
        scheme(self) == scheme(other)
    }

    /// The table of routes.
    pub fn routes(&self) -> &Arc<Routes> {
        &self.config.routes
    }

    /// The rules of a listener, or of a way of local submission, by its name; where it is gone, those of
    /// any listener.
    pub fn rules_of(&self, listener: &str) -> Option<Arc<Rules>> {
        let is_named = |one: &&Arc<reception::Settings>| *one.rules.listener.name == *listener;
        let named = self.sessions.get(listener);
        let named = named.or_else(|| self.config.local.sessions().find(is_named));
        let any = || {
            self.sessions
                .iter()
                .min_by_key(|(name, _)| Arc::clone(name))
        };
        let settings = named.or_else(|| Some(any()?.1));
        settings.map(|settings| Arc::clone(&settings.rules))
    }

    /// Where a recipient of a message goes.
    pub fn site_of(&self, message: &Message, recipient: &Recipient) -> Site {
        queue::site_of(self.routes(), message, recipient)
    }

    /// How to talk over the connection that is made for this job, and for those that follow over
    /// it. One domain of its recipients that wants HELO is enough: who understands EHLO understands
    /// HELO.
    pub fn delivery(&self, job: &Job) -> DeliverySettings {
        let otherwise = job.site.otherwise.as_ref();
        DeliverySettings {
            otherwise: otherwise.map(|site| Arc::new(self.delivery_to(site, job))),
            ..self.delivery_to(&job.site, job)
        }
    }

    /// The same over a connection on which somebody fetches mail.
    pub fn delivery_to_caller(&self, site: &Site) -> DeliverySettings {
        DeliverySettings {
            site: Arc::clone(&site.name),
            ..self.delivery.clone()
        }
    }

    fn delivery_to(&self, site: &Site, job: &Job) -> DeliverySettings {
        let mut delivery = self.delivery.clone();
        delivery.site = Arc::clone(&site.name);
        let helo_only = |recipient| {
            delivery
                .of(recipient)
                .is_some_and(|domain| domain.helo_only)
        };
        if job.recipients.iter().any(helo_only) {
            Arc::make_mut(&mut delivery.settings).helo_only = true;
        }
        if self.config.outbound.never_as_null && matches!(*site.next_hop, NextHop::Mx(_)) {
            Arc::make_mut(&mut delivery.settings).never_as_null = true;
        }
        let options = self.routes().options(&site.name);
        if let Some(timeout) = options.and_then(|options| options.timeout) {
            delivery.connect_timeout = timeout;
        }
        if let Some(of_route) = self.config.deliveries.get(&site.name) {
            delivery.source = of_route.source_ip;
            if of_route.is_filter {
                // As whom it goes out is decided when it does.
                delivery.send_as = Arc::default();
            }
            let settings = Arc::make_mut(&mut delivery.settings);
            of_route.apply(settings);
            if of_route.auth.is_some() {
                settings.credentials = Some(unsigned());
            }
        }
        delivery
    }
}

/// Stands where a route wants a sign-in until [`Agent::on_identity`](crate::Agent::on_identity) says
/// as whom: a message must not go out unsigned because nobody did.
struct Nobody;

impl Credentials for Nobody {
    fn begin(&self, _: &[Box<str>], _: Option<&[u8; 32]>) -> Result<SignInStart, Box<str>> {
        Err("there are no credentials".into())
    }
}

fn unsigned() -> Identity {
    Identity(Arc::new(Nobody))
}

/// At which domain the sender of our notices is.
fn sender_domain(config: &Config) -> &Domain {
    let masquerade = config.send_as.masquerade.as_ref();
    masquerade.map_or(&config.hostname, |(domain, _)| domain)
}

/// As whom reports are sent: the sender of our notices, where nobody says otherwise.
fn reports_from(config: &Config) -> Mailbox {
    let postmaster = || Mailbox::postmaster(sender_domain(config));
    config.reports.from.clone().unwrap_or_else(postmaster)
}

/// From whom it comes what is held: the sender of our notices, where nobody says otherwise.
fn digest_from(config: &Config) -> Mailbox {
    let digest = config.screening.quarantine.digest.as_ref();
    let from = digest.and_then(|digest| digest.from.clone());
    from.unwrap_or_else(|| Mailbox::postmaster(sender_domain(config)))
}

/// Postmaster, when the configuration says that this is somebody else than the sender of our
/// notices.
fn reply_to(config: &Config) -> Option<Mailbox> {
    let ours = format!("postmaster@{}", sender_domain(config));
    let written = config.postmaster.as_ref();
    written
        .filter(|mailbox| !mailbox.as_str().eq_ignore_ascii_case(&ours))
        .cloned()
}

#[cfg(test)]
mod tests {
    use mail::Host;
    use relay_policy::Admitted;
    use smtp::BareLf;

    use super::*;
    use crate::sample::job;

    fn setup(text: &str) -> Setup {
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let loaded = config::parse("gatepost.toml", text, &environment);
        Setup::new(loaded.unwrap_or_else(|why| panic!("{why}")).config)
    }

    #[test]
    fn each_listener_has_the_sessions_that_were_written_for_it() {
        let setup = setup(
            "[limits]\nrecipients = 700\nrecipients_of_strangers = 300\nunknown_recipients = 3\ntarpit = \"2s\"\n\
             [auth]\nmax_failures = 2\nmechanisms = [\"PLAIN\"]\n\
             [listener.in]\nbind = \"127.0.0.1:25\"\nhostname = \"mx.test\"\nbanner = \"so\"\nbare_lf = \"mend\"\n\
             [listener.sub]\nbind = \"127.0.0.1:587\"\nidle_timeout = \"9m\"\n",
        );
        let (mx, submission) = (&setup.sessions["in"], &setup.sessions["sub"]);
        assert_eq!(
            (mx.hostname.as_str(), &*mx.banner, &*mx.rules.listener.name),
            ("mx.test", "so", "in")
        );
        assert_eq!(submission.hostname.as_str(), "relay.test");
        let names = |settings: &reception::Settings| {
            settings
                .own_names
                .iter()
                .map(Domain::to_string)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(mx), ["mx.test", "relay.test"]);
        assert_eq!(names(submission), ["relay.test", "relay.test"]);
        assert_eq!(
            (mx.bare_lf, submission.bare_lf),
            (BareLf::Mend, BareLf::Refuse)
        );
        assert_eq!(submission.limits.timeouts.command.as_secs(), 540);
        for settings in [mx, submission] {
            let limits = &settings.limits;
            assert_eq!((limits.recipients, limits.unknown_recipients), (700, 3));
            assert_eq!(limits.recipients_of_strangers, 300);
            assert_eq!(limits.sign_in_failures, 2);
            assert_eq!(settings.tarpit.as_secs(), 2);
            assert_eq!(*settings.mechanisms, ["PLAIN".into()]);
        }
        let setup = setup.with_mechanisms(&["LOGIN", "XOAUTH2"]);
        let offered = &setup.sessions["in"].mechanisms;
        assert_eq!(**offered, ["LOGIN".into(), "XOAUTH2".into()]);
    }

    #[test]
    fn other_secrets_are_other_rules() {
        let with = |secrets: &[&str]| {
            let srs = "[srs]\ndomain = \"srs.test\"\nsecret = \"file:srs.secret\"\n";
            setup(srs).with_srs(Scheme::new(secrets, 21))
        };
        let (one, other) = ("a secret of sixteen", "another of sixteen");
        assert!(with(&[one]).rewrites_as(&with(&[one])));
        assert!(!with(&[one]).rewrites_as(&with(&[other])));
        assert!(!with(&[one]).rewrites_as(&with(&[one, other])));
        assert!(!with(&[one, other]).rewrites_as(&with(&[other, one])));
    }

    #[test]
    fn the_null_path_for_never_is_for_mx_hosts_alone_and_only_where_it_is_wished() {
        for (wish, host, expected) in [
            ("never_as_null = true", "mx.test", true),
            ("never_as_null = true", "smart.test", false),
            ("", "mx.test", false),
        ] {
            let setup = setup(&format!(
                "[domain.\"smart.test\"]\nroute = \"[192.0.2.1]\"\n[outbound]\n{wish}\n"
            ));
            let site = setup.routes().site(&Host::parse(host).unwrap());
            let job = job(1, &[&format!("bob@{host}")], &site);
            let settings = setup.delivery(&job).settings;
            assert_eq!(settings.never_as_null, expected, "{wish} {host}");
        }
    }

    #[test]
    fn whoever_is_forwarded_gets_the_message_from_a_rewritten_sender() {
        let setup = setup(
            "[domain.\"hosted.test\"]\n[forward]\n\"info@hosted.test\" = \"bob@away.test\"\n\
             [srs]\ndomain = \"srs.test\"\nsecret = \"env:S\"\n[pickup]\ndirectory = \"/x\"\n",
        );
        let setup = setup.with_srs(Scheme::new(["tops3cret"], 21));
        let site = setup.routes().site(&Host::parse("away.test").unwrap());
        let mut job = job(1, &["eve@away.test", "bob@away.test"], &site);
        // The day `JS`.
        let now = Timestamp::from_millis(306 * 24 * 3600 * 1000);
        let rewritten = |job: &Job| setup.delivery(job).rewritten(job, now);
        assert_eq!(rewritten(&job), Rewritten::Not, "nobody is forwarded");
        let bob = job.recipients[1].admitted.recipient().clone();
        job.recipients[1].admitted = Admitted::from_stored(bob, Grounds::Forwarded);
        let expected = Mailbox::parse("SRS0=5mFG=JS=client.example=ann@srs.test").unwrap();
        assert_eq!(rewritten(&job), Rewritten::To(expected));
        // Sessions of this machine turn bounces back as those of listeners do.
        let pickup = setup.config.local.pickup.as_ref().unwrap();
        let rewriting = pickup.session.rules.rewriting.as_ref().unwrap();
        assert!(format!("{rewriting:?}").contains("secrets: 1"));
    }

    #[test]
    fn a_smart_host_to_which_nobody_turns_has_no_word_in_who_the_sender_is() {
        let setup = setup(
            "[domain.\"hosted.test\"]\n[forward]\n\"info@hosted.test\" = \"bob@away.test\"\n\
             [srs]\ndomain = \"srs.test\"\nsecret = \"env:S\"\n\
             [outbound]\nroute = \"isp\"\ndirect_first = true\n\
             [route.isp]\nhosts = \"[192.0.2.1]\"\nsend_as = \"us@hosted.test\"\n",
        );
        let setup = setup.with_srs(Scheme::new(["tops3cret"], 21));
        let site = setup.routes().site(&Host::parse("away.test").unwrap());
        let mut job = job(1, &["bob@away.test"], &site);
        let bob = job.recipients[0].admitted.recipient().clone();
        job.recipients[0].admitted = Admitted::from_stored(bob, Grounds::Forwarded);
        // By MX the sender is one of ours that holds the old one, and the author stays.
        let direct = setup.delivery(&job);
        assert!(direct.sent_as(&job.message).is_none());
        let now = Timestamp::from_millis(306 * 24 * 3600 * 1000);
        let rewritten = direct.rewritten(&job, now);
        let Rewritten::To(sender) = &rewritten else {
            panic!("{rewritten:?}")
        };
        assert!(sender.to_string().starts_with("SRS0="), "{sender}");
        // Behind it is the one whom the smart host wants, and the header may be needed for that.
        let behind = direct.otherwise.as_ref().unwrap();
        let sent_as = behind.sent_as(&job.message).unwrap();
        assert_eq!(sent_as.sender.to_string(), "us@hosted.test");
        assert_eq!(behind.rewritten(&job, now), Rewritten::Not);
        assert_eq!(direct.reads(&job.message), Reads::Header);
    }

    #[test]
    fn the_smart_host_behind_mx_is_talked_to_as_its_route_says() {
        let setup = setup(
            "[outbound]\nroute = \"isp\"\ndirect_first = true\nnever_as_null = true\n\
             [route.isp]\nhosts = \"[192.0.2.1]\"\nhelo = \"out.test\"\n\
             auth.user = \"us\"\nauth.secret = \"env:US\"\n",
        );
        let site = setup.routes().site(&Host::parse("far.test").unwrap());
        let direct = setup.delivery(&job(1, &["bob@far.test"], &site));
        assert!(direct.settings.credentials.is_none() && direct.settings.never_as_null);
        let behind = direct.otherwise.unwrap();
        assert_eq!(behind.settings.helo.to_string(), "out.test");
        assert!(behind.settings.credentials.is_some() && !behind.settings.never_as_null);
    }

    #[test]
    fn a_site_is_talked_to_as_its_route_and_its_recipients_want() {
        let setup = setup(
            "[domain.\"cloud.test\"]\nroute = \"cloud\"\n\
             [domain.\"plain.test\"]\n\
             [domain.\"old.test\"]\nhelo_only = true\neight_bit = \"bounce\"\ntls = \"require\"\n\
             [route.cloud]\nhosts = \"[192.0.2.1]:587\"\nhelo = \"out.test\"\nsource_ip = \"192.0.2.7\"\n\
             auth.user = \"us\"\nauth.secret = \"env:US\"\n",
        );
        let delivery = |addresses: &[&str]| {
            let host = addresses[0].rsplit_once('@').unwrap().1;
            let site = setup.routes().site(&Host::parse(host).unwrap());
            let job = job(1, addresses, &site);
            (setup.delivery(&job), job)
        };
        let (cloud, _) = delivery(&["a@cloud.test"]);
        assert_eq!(cloud.settings.helo.to_string(), "out.test");
        assert_eq!(cloud.source, "192.0.2.7".parse().ok());
        // Never unsigned: until somebody says as whom, the sign-in fails.
        let nobody = cloud.settings.credentials.as_ref().unwrap();
        assert!(nobody.0.begin(&["PLAIN".into()], None).is_err());
        let (plain, job) = delivery(&["a@plain.test"]);
        assert_eq!(plain.settings.helo.to_string(), "relay.test");
        assert!(plain.settings.credentials.is_none() && !plain.settings.helo_only);
        assert_eq!(plain.eight_bit(&job.recipients), EightBit::Send);
        let (old, job) = delivery(&["a@plain.test", "b@old.test"]);
        assert!(old.settings.helo_only);
        assert_eq!(old.eight_bit(&job.recipients), EightBit::Bounce);
        let demands: Vec<_> = old.tls(&job.recipients).collect();
        assert_eq!(demands, [None, Some(TlsDemand::Require)]);
    }
}
