use std::sync::Arc;
use std::time::Duration;

use mail::{Domain, Mailbox};
use relay_policy::Rules;
use smtp::{BareLf, CONTENT_LINE_MAX, LineLimits};

/// What the sessions of one listener go by. Immutable; a reload makes new ones for new sessions.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our name in greeting, EHLO reply and `Received`.
    pub hostname: Domain,
    /// What stands behind the name and `ESMTP` in the greeting.
    pub banner: Box<str>,
    /// Who may send to whom.
    pub rules: Arc<Rules>,
    /// How much of everything.
    pub limits: Limits,
    /// Who `<postmaster>` without a domain is (RFC 5321 section 4.5.1); refused when nobody is.
    pub postmaster: Option<Mailbox>,
    /// Our own names: postmaster there is the same one.
    pub own_names: Arc<[Domain]>,
    /// What becomes of an LF without CR in content from clients on the list of those who may relay.
    /// Refused from everybody else.
    pub bare_lf: BareLf,
    /// The mechanisms by which users sign in, in upper case and in the order in which they are
    /// offered (RFC 4954); what the names mean is known to whoever answers
    /// [`crate::Event::SignIn`]. Offered under TLS only, where the rules offer sign-in at all.
    pub mechanisms: Arc<[Box<str>]>,
    /// Refuse strangers that send on before they have heard the answer to EHLO, HELO or DATA (RFC
    /// 2920 section 3.1): 503, and closed.
    pub strict_pipelining: bool,
    /// What a stranger wants to hear of success (RFC 3461, NOTIFY=SUCCESS) counts.
    pub success_to_strangers: bool,
    /// The trace that a message belongs to is taken from its header, where its sender may relay, and
    /// put there ([`message::TraceParent`]).
    pub trace_context: bool,
    /// How long a stranger waits for the third and every further 5yz of a session; nothing when
    /// zero.
    pub tarpit: Duration,
}

impl Settings {
    /// Settings with the default banner and limits, and `postmaster` at nobody; nobody signs in,
    /// and nothing is done against strangers.
    pub fn new(hostname: Domain, rules: Arc<Rules>) -> Self {
        Self {
            own_names: Arc::new([hostname.clone()]),
            bare_lf: BareLf::Refuse,
            hostname,
            banner: "Gatepost".into(),
            rules,
            limits: Limits::default(),
            postmaster: None,
            mechanisms: Arc::default(),
            strict_pipelining: false,
            success_to_strangers: true,
            trace_context: false,
            tarpit: Duration::ZERO,
        }
    }
}

/// How much a client may send, and how long it may take. Defaults in brackets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one message as content, announced as `SIZE` \[25,000,000]. Beyond: 552 5.3.4.
    pub message_size: u64,
    /// Octets of content in one session, after which no further message is begun \[none]. Beyond:
    /// 421 4.7.0, and the client connects anew.
    pub session_size: Option<u64>,
    /// Octets of a message that is refused already that are still read, so that the client hears
    /// the refusal \[25,000,000]. Beyond: closed.
    pub passed_over: u64,
    /// Recipients of one message of a client that may relay, or of a user, announced as `RCPTMAX`
    /// \[1,000]. Beyond: 452 4.5.3. Many mail programs do not send the rest in another message, as
    /// they should.
    pub recipients: u32,
    /// The same for strangers \[100].
    pub recipients_of_strangers: u32,
    /// Messages begun in one session, announced as `MAILMAX` \[10,000]. Beyond: 421 4.7.0.
    pub messages: u32,
    /// Refused commands and recipients in one session \[20]. The last of them is followed by 421
    /// 4.7.0.
    pub errors: u32,
    /// Recipients refused as unknown (5.1.1) in one session \[10]. The last of them is followed by
    /// 421 4.7.0.
    pub unknown_recipients: u32,
    /// Failed sign-ins of one session \[3]. The last of them is followed by 421 4.7.0.
    pub sign_in_failures: u32,
    /// Recipients and messages postponed with 4yz in one session \[1,000]. The last of them is
    /// followed by 421 4.7.0.
    pub postponed: u32,
    /// Commands between two messages that bring no message forward: EHLO, RSET, NOOP, VRFY, HELP
    /// \[100]. Beyond: 421 4.7.0.
    pub idle_commands: u32,
    /// Octets of a command line \[2,048]. Beyond: 500 5.5.2.
    pub command_line: LineLimits,
    /// Octets of a line of content \[65,536]. Beyond: 554 5.6.0.
    pub content_line: usize,
    /// `Received` fields at which a message is taken to be in a loop \[30]: 554 5.4.6.
    pub hops: u32,
    /// Octets of a message's header \[1 MiB]. Beyond: 552 5.3.4.
    pub header_size: u64,
    /// Octets of content kept in memory before they are spilled, unless whoever drives the session
    /// has room for more ([`crate::Session::keep_content`]) \[64 KiB].
    pub content_inline: usize,
    /// How long a client may take.
    pub timeouts: Timeouts,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_size: 25_000_000,
            session_size: None,
            passed_over: 25_000_000,
            recipients: 1_000,
            recipients_of_strangers: 100,
            messages: 10_000,
            errors: 20,
            unknown_recipients: 10,
            sign_in_failures: 3,
            postponed: 1_000,
            idle_commands: 100,
            command_line: LineLimits::COMMANDS,
            content_line: CONTENT_LINE_MAX,
            hops: 30,
            header_size: 1 << 20,
            content_inline: 64 << 10,
            timeouts: Timeouts::default(),
        }
    }
}

/// How long a client may take. Each holds for a whole step, however the octets of it trickle in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the next whole command \[5 min]. RFC 5321 section 4.5.3.2.7: "An SMTP server SHOULD have
    /// a timeout of at least 5 minutes while it is awaiting the next command from the sender."
    pub command: Duration,
    /// For the TLS handshake \[30 s].
    pub handshake: Duration,
    /// For the first block of content \[2 min].
    pub data_initiation: Duration,
    /// For each further block of content \[3 min].
    pub data_block: Duration,
    /// For an answer of our own side: a look-up, a sign-in, the spool \[10 min].
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Self {
            command: minutes(5),
            handshake: Duration::from_secs(30),
            data_initiation: minutes(2),
            data_block: minutes(3),
            answer: minutes(10),
        }
    }
}
