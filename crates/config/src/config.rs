use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Mailbox, Place};
use relay_policy::{NameMap, Rules};
use route::Routes;

/// The whole configuration, checked and typed. Immutable; a reload makes a new one.
#[derive(Debug)]
pub struct Config {
    /// The name by which the relay calls itself.
    pub hostname: Domain,
    /// Where the spool, the control socket and the like are kept.
    pub data_dir: PathBuf,
    /// The account to run as after binding. A default may be missing on a machine where nobody made it.
    pub user: Account,
    /// The group to run as after binding.
    pub group: Account,
    /// Who `<postmaster>` is (RFC 5321 section 4.5.1); `None` when no domain is hosted and nobody is named.
    pub postmaster: Option<Mailbox>,
    /// The virtual servers, in the order in which they were written; closed ones too.
    pub listeners: Vec<Listener>,
    /// The rules as they would be for a listener with no settings of its own: for `relay check` when there is no listener.
    pub rules: Arc<Rules>,
    /// What domains say about their delivery beside the route.
    pub domains: NameMap<DomainSettings>,
    /// Where recipients go next.
    pub routes: Arc<Routes>,
    /// Delivery to others.
    pub outbound: Outbound,
    /// Resolvers.
    pub dns: Dns,
    /// What a session may cost.
    pub limits: Limits,
    /// Retries and notices.
    pub queue: Queue,
    /// Where messages wait.
    pub spool: Spool,
    /// What is written down about the work.
    pub log: Log,
    /// The control socket.
    pub control: Control,
}

/// `user` or `group`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name.
    pub name: String,
    /// Where it was written; a default that does not exist on the machine is no error for a process that is not root anyway.
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

/// One `[listener.NAME]`.
#[derive(Debug, Clone)]
pub struct Listener {
    /// Its name.
    pub name: Arc<str>,
    /// Where it listens; port 0 takes a free one.
    pub binds: Vec<SocketAddr>,
    /// What it is for.
    pub kind: Kind,
    /// The name in its greeting.
    pub hostname: Domain,
    /// The text behind that name in its greeting.
    pub banner: Option<String>,
    /// Who may connect and relay.
    pub rules: Arc<Rules>,
    /// Sessions at one time.
    pub sessions_max: u32,
    /// Sessions at one time from one address that may not relay.
    pub sessions_per_client_max: u32,
    /// How long a session may say nothing.
    pub idle_timeout: Duration,
    /// Why it is not opened; `None`: it is.
    pub closed: Option<String>,
    /// Where it was written.
    pub place: Place,
}

/// What to do with 8-bit content when the next server does not take it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum EightBit {
    /// Send it as it is.
    #[default]
    Send,
    /// Bounce it.
    Bounce,
}

/// What a `[domain.NAME]` says about delivery, beside its route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DomainSettings {
    /// 8-bit content to a server without 8BITMIME.
    pub eight_bit: EightBit,
    /// Never say EHLO to its server.
    pub helo_only: bool,
}

/// `[outbound]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Connections at one time, in all.
    pub connections_max: u32,
    /// Connections at one time to one site.
    pub connections_per_site_max: u32,
    /// Messages on one connection.
    pub messages_per_connection: u32,
    /// How long a connection may take to open.
    pub connect_timeout: Duration,
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dns {
    /// Resolvers to ask; none: those of the system.
    pub servers: Vec<SocketAddr>,
    /// How long one question may take in all.
    pub timeout: Duration,
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Octets of a message.
    pub message_size: u64,
    /// Octets of all messages of a session.
    pub session_size: u64,
    /// Recipients of a message.
    pub recipients: u32,
    /// Received fields of a message.
    pub hops: u32,
    /// Refused or unknown commands of a session.
    pub errors: u32,
    /// Messages of a session.
    pub messages: u32,
    /// Commands between two messages that bring none forward.
    pub idle_commands: u32,
    /// Octets of a command line.
    pub command_line: u32,
    /// Octets of a line of a message.
    pub content_line: u32,
    /// Octets of a message's header.
    pub header_size: u64,
    /// How long the first octets of a message may take.
    pub data_start_timeout: Duration,
    /// How long each further block of a message may take.
    pub data_timeout: Duration,
}

/// `[queue]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Pauses between attempts; the last repeats. Never empty.
    pub retry: Vec<Duration>,
    /// After this age a recipient is given up.
    pub expire: Duration,
    /// After this age the sender is told once; `None`: never.
    pub delay_notice: Option<Duration>,
    /// The longest pause before a site that is down is tried again.
    pub probe: Duration,
    /// Octets of the original that a notice returns at most; beyond it only its header.
    pub return_size: u64,
    /// Who gets a copy of every notice.
    pub copy_to: Option<Mailbox>,
    /// What becomes of a notice that cannot be delivered.
    pub badmail: Badmail,
}

/// What becomes of a notice that cannot be delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Badmail {
    /// It is held for the administrator.
    #[default]
    Keep,
    /// It is dropped, with a line in the log.
    Discard,
}

/// `[spool]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Which store.
    pub kind: SpoolKind,
    /// Octets that must be free on its disk for new mail to be taken.
    pub min_free: u64,
}

/// Which store holds the messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolKind {
    /// In `data_dir`.
    Local,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// From which weight on lines are written: `error`, `warn`, `info`, `debug`.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
    /// Where lines go.
    pub target: LogTarget,
    /// Which dialogues are kept.
    pub transcript: Transcript,
}

/// From which weight on lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum LogLevel {
    /// What needs somebody.
    Error,
    /// And what may soon.
    Warn,
    /// And what happened.
    #[default]
    Info,
    /// And how.
    Debug,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Where the log goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// A file, appended to.
    File(PathBuf),
}

/// Which dialogues are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transcript {
    /// None.
    Off,
    /// Those that ended badly.
    Failures,
    /// All.
    All,
}

/// `[control]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// The path of the socket.
    pub socket: PathBuf,
}
