use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admission::SlotLimits;
use authentication::Checks;
use delivery::{EightBit, Protocol, SendAs};
use mail::{Domain, Host, Mailbox, Place, TimeOfDay, Zone};
use relay_audit::Posture;
use relay_policy::{List, NameMap, Rules, SenderMatch};
use route::{Routes, TlsDemand};
use screening::{Screens, When};

use crate::relay_test::RelayTest;
use crate::shown::Written;

/// The whole configuration, checked and typed. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Config {
    /// The name by which the relay calls itself.
    pub hostname: Domain,
    /// Where the spool, the control socket and the like are kept.
    pub data_dir: PathBuf,
    /// The account to run as after binding. A default may be missing on a machine where nobody made
    /// it.
    pub user: Account,
    /// The group to run as after binding.
    pub group: Account,
    /// How it stops.
    pub stop: Stop,
    /// Who `<postmaster>` is (RFC 5321 section 4.5.1); `None` when no domain is hosted and nobody
    /// is named.
    pub postmaster: Option<Mailbox>,
    /// The virtual servers, in the order in which they were written.
    pub listeners: Vec<Listener>,
    /// The rules as they would be for a listener with no settings of its own: for `relay check`
    /// when there is no listener.
    pub rules: Arc<Rules>,
    /// What domains say about their delivery beside the route.
    pub domains: NameMap<DomainSettings>,
    /// Where recipients go next.
    pub routes: Arc<Routes>,
    /// Delivery to others.
    pub outbound: Outbound,
    /// Certificates and versions, where a listener says nothing of its own.
    pub tls: Tls,
    /// Who signs in, and how.
    pub auth: Auth,
    /// How senders of forwarded messages are rewritten.
    pub srs: Option<Srs>,
    /// Directories, by name.
    pub directories: BTreeMap<Arc<str>, Directory>,
    /// How routes want to be connected to, by the name of the site (see [`route::Site`]).
    pub deliveries: BTreeMap<Arc<str>, Delivery>,
    /// How recipients are verified at the next hop.
    pub verify: Verify,
    /// How DNS is asked: by which resolvers, and how long one question may take.
    pub dns: Dns,
    /// What the sessions of all listeners have in common; the rules are closed until a listener
    /// has its own.
    pub session: reception::Settings,
    /// What clients may cost over all their sessions.
    pub limits: Limits,
    /// What the queue manager goes by.
    pub queue: queue::Settings,
    /// What becomes of our own notices.
    pub notices: Notices,
    /// How we talk to servers, before a route or a domain says otherwise.
    pub delivery: delivery::Settings,
    /// What is looked for in messages.
    pub screening: Arc<Screening>,
    /// As whom mail goes out, where that is not as it came.
    pub send_as: Arc<SendAs>,
    /// Where messages wait.
    pub spool: Spool,
    /// The ways in which this machine itself hands messages in.
    pub local: Local,
    /// What is written down about the work.
    pub log: Log,
    /// Where metrics are served.
    pub metrics: Vec<SocketAddr>,
    /// Where spans go; `None`: nowhere.
    pub opentelemetry: Option<OpenTelemetry>,
    /// What domains are told of mail in their name.
    pub reports: Reports,
    /// What is remembered of what became of messages.
    pub tracking: Tracking,
    /// The web console.
    pub console: Console,
    /// The control socket.
    pub control: Control,
    /// Files with recipients or words that were read; a reload reads them again.
    pub list_files: Vec<PathBuf>,
    /// Who may relay, by which line.
    pub posture: Posture,
    /// What options that cannot change while the relay runs mean, with their keys.
    pub fixed: Vec<(String, String)>,
    /// What was written, for [`Config::options`].
    pub(crate) written: Written,
    /// The text of the main file. No secret is in it: options name where one is.
    pub text: Arc<str>,
    /// The files that it includes or takes recipients, words or tests from, and digests (SHA-256) of
    /// what they said.
    pub named_files: BTreeMap<PathBuf, Box<str>>,
    /// A digest of the text of the configuration files (the files that they name beside themselves
    /// left out): equal texts, equal digests. Not the same in another version.
    pub fingerprint: u64,
    /// What `relay.tests` says about the rules; it is so, or there would be no configuration.
    pub relay_tests: Vec<RelayTest>,
}

impl Config {
    /// An option that only a restart can change, and that is another one in `new`.
    pub fn change_of_fixed<'a>(&'a self, new: &'a Self) -> Option<&'a str> {
        self.changes_of_fixed(new).into_iter().next()
    }

    /// All of them, each once.
    pub fn changes_of_fixed<'a>(&'a self, new: &'a Self) -> Vec<&'a str> {
        let only_in = |these: &'a Self, those: &'a Self| {
            let all = these.fixed.iter();
            all.filter(|option| !those.fixed.contains(option))
        };
        let changed = only_in(self, new).chain(only_in(new, self));
        let changed = changed.map(|(key, _)| key.as_str());
        // The log goes on to the servers of the start.
        let syslog = (self.log.syslog != new.log.syslog).then_some("log.syslog");
        let mut keys: Vec<&str> = Vec::new();
        for key in changed.chain(syslog) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

impl Config {
    /// Whether it is remembered what strangers do: greylisting or a rule of screening asks for it.
    pub fn remembers_strangers(&self) -> bool {
        self.rules.greylisting.is_some() || self.screening.screens.asks_reputation()
    }
}

/// How messages are looked at before they are taken.
#[derive(Debug, Clone)]
pub struct Screening {
    /// The rules; those that respect DMARC stand behind the others.
    pub screens: Screens,
    /// Which checks are made of mail that anybody may send.
    pub checks: Checks,
    /// Whose chains are believed where DMARC fails, by the domains that seal them.
    pub arc_trusted: Arc<[Domain]>,
    /// Domains are told of mail in their name.
    pub reports: bool,
    /// Results are written into messages; otherwise they are there for rules alone.
    pub tells: bool,
    /// Under which name their results are written (authserv-id, RFC 8601 section 2.5).
    pub id: Domain,
    /// How much of what it holds is kept.
    pub quarantine: Quarantine,
    /// By which keys mail of those who may relay is signed.
    pub dkim: Vec<Dkim>,
    /// Who looks at messages beside us.
    pub scanners: Vec<Arc<Scanner>>,
    /// Which messages are taken before they are looked at.
    pub late: Late,
}

/// Which messages are looked at after their 250.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Late {
    /// Those of more octets, and the line that says so.
    pub above: Option<(u64, Place)>,
    /// Those that go by these sites and no other, with the line that says so of each.
    pub sites: BTreeMap<Arc<str>, Place>,
    /// For how long that is tried, before one is held that nobody could look at.
    pub give_up: Duration,
}

impl Late {
    /// The line by which a message of so many octets, which goes to these sites, is taken before it is
    /// looked at; `None`: it is not.
    pub fn applies(&self, size: u64, sites: impl Iterator<Item = Arc<str>>) -> Option<&Place> {
        if let Some((_, place)) = self.above.as_ref().filter(|(above, _)| size > *above) {
            return Some(place);
        }
        let mut places = None;
        for site in sites {
            places = Some(self.sites.get(&site)?);
        }
        places
    }
}

impl Screening {
    /// Whether a message has to be looked at.
    pub fn asks(&self) -> bool {
        !self.screens.is_empty() || self.tells || self.reports || !self.scanners.is_empty()
    }

    /// Whether it may have to be signed.
    pub fn signs(&self, from_stranger: bool) -> bool {
        !self.dkim.is_empty() && !from_stranger
    }
}

/// `[scanner.NAME]`: a program beside us that looks at messages.
#[derive(Debug, Clone)]
pub struct Scanner {
    /// Its name here.
    pub name: Arc<str>,
    /// How it is spoken to.
    pub kind: ScannerKind,
    /// Where it is, at least one place: the next one where one does not answer.
    pub addresses: Vec<ScannerAddress>,
    /// What is asked for there: the path of an ICAP service or of a hook; empty for others.
    pub service: Box<str>,
    /// Its password, or what signs the questions to a hook.
    pub secret: Option<Secret>,
    /// By which settings of its own rspamd looks at it.
    pub settings_id: Option<Box<str>>,
    /// How it learns from messages; `None`: it does not.
    pub learning: Option<Learning>,
    /// For how long one message may take it, waiting for its turn included.
    pub timeout: Duration,
    /// It is not asked about what has more octets.
    pub max_size: Option<u64>,
    /// Messages that it looks at at one time.
    pub parallel: u32,
    /// Of a policy service: it is asked about a message, once that is there, in place of each recipient.
    pub asked_at_end: bool,
    /// Messages are refused, postponed, held and thrown away as it asks for.
    pub obey: bool,
    /// Where it does not answer, the client is to come again.
    pub postpones_on_failure: bool,
    /// To whom else it may have messages sent.
    pub may_add: MayAdd,
    /// About which mail it is asked: direction, listeners, recipients.
    pub when: When,
    /// The line where the section begins.
    pub place: Place,
}

/// How a scanner learns what is spam and what is not.
#[derive(Debug, Clone)]
pub struct Learning {
    /// Where: each of them learns.
    pub addresses: Vec<ScannerAddress>,
    /// The password for it.
    pub secret: Option<Secret>,
    /// A list of rspamd's to which spam is added, by its flag, and what that counts there.
    pub fuzzy: Option<(u32, i32)>,
}

/// How a scanner is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ScannerKind {
    /// ClamAV's daemon.
    Clamd,
    /// rspamd's normal worker, over HTTP.
    Rspamd,
    /// SpamAssassin's daemon.
    Spamd,
    /// An ICAP server (RFC 3507).
    Icap,
    /// A program of the site's own that takes JSON over HTTP.
    Hook,
    /// A milter.
    Milter,
    /// A policy service, as Postfix asks them (`check_policy_service`).
    Policy,
}

/// To whom else a scanner may have messages sent than their client named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MayAdd {
    /// To addresses at domains of ours.
    #[default]
    Hosted,
    /// To whomever it names.
    Anybody,
    /// To nobody.
    Nobody,
}

/// Where a scanner is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ScannerAddress {
    /// A UNIX socket.
    Unix(PathBuf),
    /// A host, by name or address, and its port.
    Tcp(Box<str>, u16),
}

/// As it is written: `/run/clamav/clamd.ctl`, `127.0.0.1:3310`.
impl fmt::Display for ScannerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "{}", path.display()),
            Self::Tcp(host, port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp(host, port) => write!(f, "{host}:{port}"),
        }
    }
}

/// `[dkim.DOMAIN]`: how mail of authors at a domain is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkim {
    /// The domain that signs.
    pub domain: Domain,
    /// By which keys, at least one.
    pub keys: Vec<DkimKey>,
    /// It signs for authors at the domains below as well.
    pub subdomains: bool,
    /// How long its signatures count; `None`: they do not end.
    pub lifetime: Option<Duration>,
    /// The line where the section begins.
    pub place: Place,
}

/// A key that signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DkimKey {
    /// Its name within the domain.
    pub selector: Domain,
    /// Its file, PEM.
    pub file: PathBuf,
    /// The line that names the file.
    pub place: Place,
}

/// How much of what screening holds is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantine {
    /// What is older is deleted.
    pub keep: Duration,
    /// Octets that are kept at most; beyond, the oldest is deleted.
    pub max_size: u64,
    /// Who is told of it.
    pub digest: Option<Digest>,
    /// By which links readers of the digest release or delete it.
    pub links: Option<Links>,
}

/// Links in the digest, behind which its reader releases or deletes what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    /// What stands before `/TOKEN`.
    pub url: String,
    /// How long one counts.
    pub expire: Duration,
    /// The names of the rules whose messages have one.
    pub rules: BTreeSet<Arc<str>>,
}

/// When and by whom somebody is told of what is held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Digest {
    /// Who.
    pub to: DigestTo,
    /// When, every day.
    pub at: TimeOfDay,
    /// By which clock.
    pub zone: Zone,
    /// From whom it comes; `None`: from whom notices do.
    pub from: Option<Mailbox>,
}

/// Who is told of what is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestTo {
    /// The postmaster of all.
    Postmaster,
    /// Each recipient at a domain of ours of his own.
    Recipients,
}

/// `user` or `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The name of the user or group on this machine.
    pub name: String,
    /// Where it was written; a default that does not exist on the machine is no error for a process
    /// that is not root anyway.
    pub place: Place,
}

/// What a listener is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Mail from other servers, without sign-in.
    Mx,
    /// Mail from users: sign-in after STARTTLS (RFC 6409).
    Submission,
    /// Mail from users: TLS from the first octet (RFC 8314).
    Submissions,
}

/// One section `[listener.NAME]`: addresses that we listen on, with rules of their own.
#[derive(Debug, Clone)]
pub struct Listener {
    /// The `NAME` of its section.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes a free one.
    pub binds: Vec<SocketAddr>,
    /// What it is for.
    pub kind: Kind,
    /// The name in its greeting.
    pub hostname: Domain,
    /// Who may connect and relay; also whether TLS and sign-in are offered or required.
    pub rules: Arc<Rules>,
    /// Its certificates and versions.
    pub tls: Tls,
    /// TLS from the first octet.
    pub implicit_tls: bool,
    /// Proxies whose PROXY header is read, and required.
    pub proxies: List,
    /// Sessions at one time.
    pub slots: SlotLimits,
    /// What its sessions go by.
    pub session: Arc<reception::Settings>,
    /// Where it was written.
    pub place: Place,
}

/// The ways of local submission that are open.
#[derive(Debug, Clone, Default)]
pub struct Local {
    /// Files in a directory.
    pub pickup: Option<Pickup>,
    /// A socket.
    pub submit: Option<Submit>,
}

impl Local {
    /// What the sessions of each go by.
    pub fn sessions(&self) -> impl Iterator<Item = &Arc<reception::Settings>> {
        let pickup = self.pickup.as_ref().map(|pickup| &pickup.session);
        let submit = self.submit.as_ref().map(|submit| &submit.session);
        pickup.into_iter().chain(submit)
    }
}

/// `[pickup]`
#[derive(Debug, Clone)]
pub struct Pickup {
    /// Where programs put files.
    pub directory: PathBuf,
    /// How often it is looked into.
    pub interval: Duration,
    /// What a file is taken by, with the rules for it.
    pub session: Arc<reception::Settings>,
}

/// `[submit]`
#[derive(Debug, Clone)]
pub struct Submit {
    /// The path of the socket.
    pub socket: PathBuf,
    /// Its mode.
    pub mode: u32,
    /// Its group, where it is not the relay's own.
    pub group: Option<String>,
    /// What its sessions go by, with the rules for them.
    pub session: Arc<reception::Settings>,
}

/// What a `[domain.NAME]` says about delivery, beside its route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DomainSettings {
    /// 8-bit content to a server without 8BITMIME.
    pub eight_bit: EightBit,
    /// Never say EHLO to its server.
    pub helo_only: bool,
    /// How much encryption its server must give; `None`: as much as its route says.
    pub tls: Option<TlsDemand>,
    /// How its mail becomes files, where it is a local domain.
    pub filing: Filing,
}

/// How mail becomes files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filing {
    /// Octets that the directory may hold; `None`: as many as the disk does.
    pub quota: Option<u64>,
    /// Each recipient of a message has a file of its own.
    pub per_recipient: bool,
}

/// `[outbound]`, as far as it is neither the queue manager's nor the route table's.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outbound {
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
    /// How much encryption a next hop must give, where its route says nothing.
    pub tls: TlsDemand,
    /// Hold MX hosts to their TLSA records, where the resolver can be trusted.
    pub dane: bool,
    /// Hold MX hosts to their domain's MTA-STS policy.
    pub mta_sts: bool,
    /// Recipients with NOTIFY=NEVER get the null reverse path at MX hosts without DSN.
    pub never_as_null: bool,
    /// Who signs certificates that are verified, of next hops and of the web servers of MTA-STS
    /// policies; `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// Resolvers to ask; none: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take in all.
    pub timeout: Duration,
}

/// `[limits]`, `[guardian]`, `[greylisting]` and `[reputation]`, as far as they hold for more than one session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// Octets of a message's header.
    pub header_size: u64,
    /// How fast clients and users may go.
    pub admission: Arc<admission::Limits>,
    /// How much those may send out who may, and what follows.
    pub guardian: admission::GuardianRules,
    /// How it is remembered what strangers did. Whether they wait is among the rules of listeners.
    pub greylisting: Arc<greylisting::Settings>,
}

/// What becomes of our own notices.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Notices {
    /// Octets of the original that a notice returns at most; beyond it only its header.
    pub return_size: u64,
    /// After this age badmail, a notice that cannot be delivered, is dropped.
    pub badmail_age: Duration,
    /// Octets of badmail that are kept at most; beyond, the oldest is dropped.
    pub badmail_size: u64,
    /// Who else gets notices.
    pub copies: Copies,
}

/// Who gets copies of our notices, and of which.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copies {
    /// `None`: nobody.
    pub to: Option<Mailbox>,
    /// Of these.
    pub classes: Vec<NoticeClass>,
}

impl Copies {
    /// Who gets copies of this class.
    pub fn reader(&self, class: NoticeClass) -> Option<&Mailbox> {
        self.to.as_ref().filter(|_| self.classes.contains(&class))
    }
}

/// What a notice tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeClass {
    /// A recipient was given up.
    Failed,
    /// A message is late.
    Delayed,
    /// The sender wanted to know that it was delivered or passed on.
    Delivered,
    /// A notice of ours could not be delivered itself. There is nothing but the copy.
    Badmail,
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Spool {
    /// Which store holds the messages.
    pub kind: SpoolKind,
    /// Octets that new mail leaves free on its disk.
    pub min_free: u64,
}

/// Which store holds the messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SpoolKind {
    /// A database, and files for large bodies, in the folder `spool` of `data_dir`.
    #[default]
    Local,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Log {
    /// From which weight on lines are written: `error`, `warn`, `info`, `debug`.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub target: LogTarget,
    /// Octets of its file and of the one before it.
    pub max_size: u64,
    /// Octets free on the disk of its file below which nothing is written there.
    pub min_free: u64,
    /// Octets of the files of all logs together.
    pub total_size: Option<u64>,
    /// Which SMTP dialogues are kept with what is tracked.
    pub transcript: Transcripts,
    /// What becomes of mail addresses there, in the other logs and in what is tracked.
    pub privacy: Privacy,
    /// Whether lines go to the journal of systemd beside that.
    pub journald: bool,
    /// Servers to which they go, too.
    pub syslog: Vec<Arc<Syslog>>,
    /// The protocol logs beside it, each a `[log.NAME]`.
    pub protocol: Vec<ProtocolLog>,
    /// Every server there is.
    pub syslogs: BTreeMap<Arc<str>, Arc<Syslog>>,
}

/// `[log.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProtocolLog {
    /// What is written, and how files are kept.
    pub settings: protocol_log::Settings,
    /// Where it goes.
    pub target: ProtocolLogTarget,
}

/// Where a protocol log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolLogTarget {
    /// Files in a folder.
    Files,
    /// A server.
    Syslog(Arc<Syslog>),
    /// The journal of systemd.
    Journald,
}

/// `[syslog.NAME]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Syslog {
    /// Its name in the configuration.
    pub name: Arc<str>,
    /// Where it is.
    pub to: syslog::Destination,
    /// How messages look that it takes.
    pub format: syslog::Format,
    /// Whose signatures count; `None`: those of well-known authorities.
    pub ca: Option<PathBuf>,
    /// The certificate that we show.
    pub certificate: Option<CertificateFiles>,
}

/// `[reports]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reports {
    /// Whether domains are told what DMARC made of mail in their name.
    pub dmarc: bool,
    /// Whether domains are told what came of encryption on connections to them.
    pub tls: bool,
    /// As whom; `None`: as postmaster.
    pub from: Option<Mailbox>,
    /// The name of the organization; `None`: the host name.
    pub organization: Option<String>,
    /// At which hour of the day, in UTC.
    pub hour: u32,
}

impl Reports {
    /// Whether anybody is told anything.
    pub fn is_on(&self) -> bool {
        self.dmarc || self.tls
    }
}

/// How the relay stops, once it is told to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stop {
    /// How long all goes on, with `/ready` saying no.
    pub delay: Duration,
    /// How long what is under way may take from then on.
    pub timeout: Duration,
}

/// `[tracking]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tracking {
    /// Whether anything is remembered.
    pub enabled: bool,
    /// For how long.
    pub keep: Duration,
    /// Octets of the file at most.
    pub max_size: u64,
    /// Whether subjects are remembered.
    pub subject: bool,
}

/// Which SMTP dialogues are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Transcripts {
    /// None, but for those that an operator asks for.
    Off,
    /// Those in which something was refused, or not delivered.
    #[default]
    Failures,
    /// Every one.
    All,
}

/// From which weight on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LogLevel {
    /// Only what somebody has to see to.
    Error,
    /// Also what somebody may have to see to soon.
    Warn,
    /// Also what happened.
    #[default]
    Info,
    /// Also details of how it happened, such as refused commands.
    Debug,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LogFormat {
    /// Each event is one line of text for people to read.
    #[default]
    Text,
    /// Each event is one JSON object on a line of its own, for programs to read.
    Json,
}

/// What becomes of mail addresses in logs and in what is tracked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Privacy {
    /// They stand as they are.
    #[default]
    Off,
    /// A keyed hash stands in place of what is before the domain.
    Hash,
    /// It is cut off.
    Cut,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LogTarget {
    /// The log goes to standard output.
    #[default]
    Stdout,
    /// A file, appended to.
    File(PathBuf),
    /// No place of its own: it goes to syslog alone.
    Nowhere,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The path of the socket.
    pub socket: PathBuf,
}

/// `[opentelemetry]`, but for what sessions go by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTelemetry {
    /// The URL to which spans are posted.
    pub endpoint: Box<str>,
    /// What stands in the field `Authorization`.
    pub authorization: Option<Secret>,
    /// Who signs the server's certificate; `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
}

/// `[console]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Console {
    /// Where it is served; empty: nowhere.
    pub binds: Vec<ConsoleBind>,
    /// Whether nobody wrote where. Another relay of the machine may have that address, which is
    /// nobody's mistake.
    pub is_default: bool,
    /// Where the pages of links in digests are served, by the same certificates: `quarantine.link_bind`.
    pub links: Vec<ConsoleBind>,
    /// Certificates and versions where it is served by TLS. Browsers are asked for no certificate.
    pub tls: Tls,
    /// Names by which browsers may ask for it, beside its addresses, localhost and the relay's name.
    pub hostnames: Vec<Domain>,
    /// How long somebody stays signed in who asks for nothing.
    pub idle_timeout: Duration,
    /// How long somebody stays signed in at most.
    pub absolute_timeout: Duration,
    /// Who else vouches for people.
    pub oidc: Option<Oidc>,
}

/// `[console.oidc]`: an issuer of ID tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Oidc {
    /// Its URL, which its tokens have as `iss`.
    pub issuer: String,
    /// Where that is written.
    pub place: Place,
    /// Who we are to it.
    pub client_id: String,
    /// How we prove that.
    pub client_secret: Option<Secret>,
    /// Whose signatures on its certificate count; `None`: those of well-known authorities.
    pub ca: Option<PathBuf>,
    /// What it is asked to tell.
    pub scope: String,
    /// The claim with the user's name.
    pub user_claim: String,
    /// The claim by whose values roles are given.
    pub role_claim: String,
    /// Values that make somebody an admin, an operator, a viewer; all empty: the users file says it.
    pub roles: [Vec<String>; 3],
    /// Signature algorithms that are taken.
    pub algorithms: Vec<String>,
    /// How long somebody stays signed in before the issuer is asked again.
    pub absolute_timeout: Duration,
}

/// One address of the console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConsoleBind {
    /// Where; port 0 takes a free one.
    pub address: SocketAddr,
    /// By TLS; in clear, which is for loopback alone.
    pub tls: bool,
}

impl ConsoleBind {
    /// Whether only this machine reaches it.
    pub fn is_loopback(&self) -> bool {
        self.address.ip().to_canonical().is_loopback()
    }
}

/// Certificates and versions of TLS as a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Certificate chains with their keys; which is shown is chosen by the name that the client
    /// asks for (SNI), the first when it asks for none that is there. Empty: a self-signed pair is
    /// made in `data_dir`.
    pub certificates: Vec<CertificateFiles>,
    /// How certificates are got by ACME, which come before them; `None`: they are not.
    pub acme: Option<Arc<Acme>>,
    /// The oldest version.
    pub min_version: TlsVersion,
    /// Who signs clients' certificates (PEM); `None`: certificates of clients are asked for, and
    /// only their fingerprints count.
    pub client_ca: Option<PathBuf>,
    /// Whether a certificate under `client_ca` that is for servers alone (extendedKeyUsage) counts
    /// for a client too. Public authorities issue no others since 2026.
    pub client_ca_server_purpose: bool,
    /// Session tickets per TLS 1.3 handshake; 0: sessions cannot be taken up again, under TLS 1.2
    /// neither.
    pub session_tickets: u32,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            certificates: Vec::new(),
            acme: None,
            min_version: TlsVersion::default(),
            client_ca: None,
            client_ca_server_purpose: false,
            session_tickets: 1,
        }
    }
}

/// `[tls.acme]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The names, each of which gets a certificate of its own; in lower case, some with `*.` in front.
    pub names: Vec<AcmeName>,
    /// The URL of the authority's directory.
    pub directory: String,
    /// Who signs the directory's certificate (PEM); `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
    /// Whom the authority may write to.
    pub contact: Option<Mailbox>,
    /// The account at the authority's own site that ours is bound to (RFC 8555 section 7.3.4).
    pub binding: Option<AcmeBinding>,
    /// How we prove that a name is ours.
    pub challenge: AcmeChallenge,
    /// Where that is asked, if not by DNS.
    pub binds: Vec<SocketAddr>,
    /// What writes the record of dns-01.
    pub hook: Option<PathBuf>,
    /// How long that may take.
    pub hook_timeout: Duration,
    /// The kind of certificate to ask for.
    pub profile: Option<String>,
    /// Whether a new certificate is for the key of the one before.
    pub keep_key: bool,
    /// Where certificates, keys and the account are kept.
    pub folder: PathBuf,
}

/// What an authority has given somebody at its own site, for his account by ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeBinding {
    /// The name of the key.
    pub key_id: String,
    /// The key, in base64url.
    pub key: Secret,
}

/// A name that gets a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeName {
    /// In lower case.
    pub name: Arc<str>,
    /// The certificate and its key, in one file: both are new at one moment.
    pub files: CertificateFiles,
}

/// How we prove to an authority that a name is ours (RFC 8555 section 8, RFC 8737).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AcmeChallenge {
    /// By a text at port 80 of the name.
    #[default]
    Http,
    /// By a certificate at port 443.
    TlsAlpn,
    /// By a record in DNS.
    Dns,
}

impl AcmeChallenge {
    /// As standards call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http-01",
            Self::TlsAlpn => "tls-alpn-01",
            Self::Dns => "dns-01",
        }
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    /// The chain, own certificate first.
    pub chain: PathBuf,
    /// The private key of the first certificate in `chain`.
    pub key: PathBuf,
    /// Where it was written.
    pub place: Place,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum TlsVersion {
    /// Version 1.2 of TLS (RFC 5246).
    #[default]
    V1_2,
    /// Version 1.3 of TLS (RFC 8446).
    V1_3,
}

/// `[auth]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Auth {
    /// Users with their password hashes; may be missing.
    pub users_file: PathBuf,
    /// The mechanisms offered, in upper case; those that not every source of users can answer are
    /// left out when the relay starts.
    pub mechanisms: Vec<String>,
    /// Whether a user may send only under its own name.
    pub sender_match: SenderMatch,
    /// Names of the [`Directory`] entries whose people may sign in.
    pub directories: Vec<Arc<str>>,
    /// An issuer whose tokens are taken.
    pub issuer: Option<Issuer>,
}

/// `[auth.oauth]`: whose tokens are taken for OAUTHBEARER and XOAUTH2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issuer {
    /// What must stand in `iss`.
    pub issuer: String,
    /// What must stand in `aud`.
    pub audience: String,
    /// Where its keys (JWKS) are: an https URL, or a file.
    pub keys: KeySource,
    /// The claim with the user's name.
    pub user_claim: String,
    /// Signature algorithms that are taken.
    pub algorithms: Vec<String>,
    /// Where it was written.
    pub place: Place,
}

/// Where an issuer's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// An https URL.
    Url(String),
    /// The path of a file that holds the keys.
    File(PathBuf),
}

/// `[ldap.NAME]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Directory {
    /// The `NAME` of its section, by which other sections refer to it.
    pub name: Arc<str>,
    /// `ldap://host:port` or `ldaps://host:port`
    pub url: String,
    /// STARTTLS on an `ldap://` connection.
    pub start_tls: bool,
    /// Who signs its certificate; `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
    /// Who to bind as; `None`: nobody (anonymous).
    pub bind: Option<String>,
    /// The password of that.
    pub secret: Option<Secret>,
    /// Where to search.
    pub base: String,
    /// What to search for when asked for a recipient; `%s` is the address, escaped.
    pub filter: String,
    /// What to search for when somebody signs in; `%s` is the name given, escaped. The entry found
    /// is bound to with the password.
    pub user_filter: String,
    /// Which of the two stand in the configuration.
    pub filters_written: FiltersWritten,
    /// The attribute by which a user is known, whatever name was given; `dn`: the name of the
    /// entry.
    pub user_name: String,
    /// How long a search may take.
    pub timeout: Duration,
    /// Where it was written.
    pub place: Place,
}

/// Which filters of a directory were written, rather than left to the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FiltersWritten {
    /// [`Directory::filter`]
    pub filter: bool,
    /// [`Directory::user_filter`]
    pub user_filter: bool,
}

/// `[srs]`: how senders of forwarded messages are rewritten, and bounces to them turned back. The
/// rules have the rest of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Srs {
    /// By what addresses are signed; a file may have more lines, which are as `old_secrets`.
    pub secret: Secret,
    /// What still counts on the way back.
    pub old_secrets: Vec<Secret>,
    /// How many days an address is good for.
    pub age_days: u16,
}

/// `[verify]`: recipients verified by RCPT at the next hop.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verify {
    /// How long a yes is believed.
    pub positive: Duration,
    /// How long a no is believed.
    pub negative: Duration,
    /// How long the next hop may take in all.
    pub timeout: Duration,
}

/// How a `[route.NAME]` wants to be connected to; what is `None` is as for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Delivery {
    /// How we sign in there.
    pub auth: Option<RouteAuth>,
    /// A client certificate.
    pub certificate: Option<CertificateFiles>,
    /// Who signs the server's certificate; `None`: the well-known authorities.
    pub ca: Option<PathBuf>,
    /// The address to connect from.
    pub source_ip: Option<IpAddr>,
    /// The name to give in EHLO.
    pub helo: Option<Domain>,
    /// What its hosts speak.
    pub protocol: Protocol,
    /// Recipients in one transaction; `None`: as many as SMTP allows.
    pub recipients_max: Option<u32>,
    /// How long its hosts may take over each step before the message is with them, and over each
    /// answer of LMTP after the first; `None`: as RFC 5321 has it.
    pub reply_timeout: Option<Duration>,
    /// They are the filter to which messages go before they go on, and are told where each came from.
    pub is_filter: bool,
}

impl Delivery {
    /// Puts what the route says about talking to its hosts into `settings`; credentials are
    /// whoever's who has the secrets.
    pub fn apply(&self, settings: &mut delivery::Settings) {
        if let Some(helo) = &self.helo {
            settings.helo = Host::Domain(helo.clone());
        }
        settings.protocol = self.protocol;
        settings.is_filter = self.is_filter;
        let recipients_max = self.recipients_max.and_then(|n| usize::try_from(n).ok());
        settings.recipients_max = recipients_max.unwrap_or(settings.recipients_max);
        if let Some(limit) = self.reply_timeout {
            settings.timeouts = settings.timeouts.with_replies_within(limit);
        }
    }
}

/// `route.NAME.auth`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteAuth {
    /// The name that we sign in with.
    pub user: String,
    /// What proves that we may use that name: a password or a token.
    pub credentials: RouteCredentials,
    /// Where it was written.
    pub place: Place,
}

/// With what a route signs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RouteCredentials {
    /// A password, by this mechanism (upper case), or the best that the server offers.
    Password {
        /// Where the password is to be found.
        secret: Secret,
        /// The mechanism in upper case; `None`: the best that the server offers.
        mechanism: Option<String>,
    },
    /// A token from the client-credentials flow (RFC 6749 section 4.4), by XOAUTH2.
    Token {
        /// The token endpoint, https.
        url: String,
        /// Who we are there.
        client_id: String,
        /// How we prove that.
        proof: ClientProof,
        /// The access that the token is to give (RFC 6749 section 3.3); empty: not named.
        scope: String,
        /// In whose name: the assertion is then the grant itself (RFC 7523 section 2.1), not only
        /// the proof of who we are.
        subject: Option<String>,
        /// Who signs the endpoint's certificate; `None`: the well-known authorities.
        ca: Option<PathBuf>,
    },
}

/// How we prove to a token endpoint who we are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientProof {
    /// `client_secret`
    Secret(Secret),
    /// A signed assertion (RFC 7523) with this key, PEM; the certificate's thumbprint goes along
    /// when there is one (`x5t`).
    Assertion {
        /// The file with the private key that signs the assertion (PEM).
        key: PathBuf,
        /// The file with the certificate of that key (PEM), if one was written.
        certificate: Option<PathBuf>,
    },
}

/// Where a secret is to be found; the secret itself is never in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secret {
    /// `file:PATH`
    File(PathBuf),
    /// `env:NAME`
    Variable(String),
}
