//! The one table of options: parser, suggestions, `config explain` and `config show` read it, and nothing else knows an option.

use crate::Kind;

/// Whether an option does something yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Force {
    /// It does.
    Now,
    /// It is read and checked, and does nothing yet.
    Later,
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct OptionSpec {
    /// Its full name. `*` stands for a name that the administrator gives (`listener.*.bind`), `[]` marks a list of tables.
    pub key: &'static str,
    /// What may be written.
    pub kind: Kind,
    /// What is meant when nothing is written, as TOML; empty: nothing, or what the help says.
    pub default: &'static str,
    /// One line.
    pub help: &'static str,
    /// Whether it does something yet.
    pub force: Force,
}

impl OptionSpec {
    /// The section it stands in: `listener.*`; empty at the top of the file.
    pub fn section(&self) -> &'static str {
        self.key.rsplit_once('.').map_or("", |(section, _)| section)
    }

    /// Its name within the section.
    pub fn name(&self) -> &'static str {
        self.key.rsplit_once('.').map_or(self.key, |(_, name)| name)
    }
}

const fn now(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        key,
        kind,
        default,
        help,
        force: Force::Now,
    }
}

const fn later(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    help: &'static str,
) -> OptionSpec {
    OptionSpec {
        key,
        kind,
        default,
        help,
        force: Force::Later,
    }
}

const COUNT: Kind = Kind::Count {
    min: 1,
    max: 1_000_000,
};
const MODES: Kind = Kind::Choice(&["only-list", "all-except"]);
const CLIENTS: Kind = Kind::List(&Kind::Client);
const TLS_VERSIONS: Kind = Kind::Choice(&["1.2", "1.3"]);

/// Every option there is, section by section. A row a line, however long: it is read downwards.
#[rustfmt::skip]
pub static OPTIONS: &[OptionSpec] = &[
    now("hostname", Kind::Name, "", "The name by which the relay calls itself. Default: the system's full name."),
    now("data_dir", Kind::Path, "\"/var/lib/gatepost\"", "Where the queue, the control socket and the like are kept."),
    now("include", Kind::List(&Kind::Text), "[]", "More files, relative to this one; `*` stands for any part of a file name. A key may be set only once."),
    now("postmaster", Kind::Mailbox, "", "Who <postmaster> is. Default: postmaster at the first hosted domain of the file."),
    now("user", Kind::Text, "\"gatepost\"", "The account to run as after binding."),
    now("group", Kind::Text, "\"gatepost\"", "The group to run as after binding."),
    // Virtual servers.
    now("listener.*.bind", Kind::OneOrMany(&Kind::Bind), "", "Required. Address and port to listen on, or a list of them; port 0 takes a free one."),
    now("listener.*.kind", Kind::Choice(&["mx", "submission", "submissions"]), "", "What it is for. Default by port: 587 submission, 465 submissions, others mx."),
    now("listener.*.hostname", Kind::Name, "", "The name in its greeting. Default: `hostname`."),
    now("listener.*.banner", Kind::Text, "", "The text behind the name in its greeting."),
    now("listener.*.auth", Kind::Choice(&["off", "optional", "required"]), "", "Whether users sign in. Default: mx off, others required."),
    now("listener.*.tls", Kind::Choice(&["off", "offer", "require", "implicit"]), "", "Whether sessions are encrypted. Default: mx offer, submission require, submissions implicit."),
    later("listener.*.certificate", Kind::Path, "", "Its own certificate chain, in place of tls.certificate."),
    later("listener.*.key", Kind::Path, "", "The key of its own certificate."),
    later("listener.*.min_version", TLS_VERSIONS, "", "The oldest TLS version, in place of tls.min_version."),
    later("listener.*.client_ca", Kind::Path, "", "Who signs clients' certificates, in place of tls.client_ca."),
    now("listener.*.connect.mode", MODES, "\"all-except\"", "Who may connect at all: only the list `allow`, or all except the list `except`."),
    now("listener.*.connect.allow", CLIENTS, "[]", "Clients that may connect, when the mode is only-list."),
    now("listener.*.connect.except", CLIENTS, "[]", "Clients that may not connect, when the mode is all-except."),
    now("listener.*.relay.mode", MODES, "", "Replaces relay.mode for this listener."),
    now("listener.*.relay.allow", CLIENTS, "", "Replaces relay.allow for this listener."),
    now("listener.*.relay.except", CLIENTS, "", "Replaces relay.except for this listener."),
    now("listener.*.relay.deny", CLIENTS, "", "Adds to relay.deny for this listener."),
    now("listener.*.relay.signed_in", Kind::Bool, "", "Replaces relay.signed_in for this listener."),
    later("listener.*.dnsbl[].zone", Kind::Name, "", "A DNS list of unwanted clients."),
    later("listener.*.dnsbl[].codes", Kind::List(&Kind::Text), "[]", "The answers that count."),
    later("listener.*.dnsbl[].weight", Kind::Count { min: 0, max: 1_000_000 }, "1", "How much they count."),
    later("listener.*.dnsbl[].reply", Kind::Text, "", "The text of the refusal."),
    now("listener.*.proxy_protocol_from", CLIENTS, "[]", "Proxies whose word about the client's address is taken."),
    now("listener.*.max_sessions", COUNT, "1000", "Sessions at one time."),
    now("listener.*.max_per_client", COUNT, "20", "Sessions at one time from one address that may not relay."),
    now("listener.*.idle_timeout", Kind::Duration, "\"5m\"", "How long a session may say nothing (RFC 5321 section 4.5.3.2: at least 5m)."),
    // Who may relay.
    now("relay.mode", MODES, "\"only-list\"", "Who may send to domains that are not hosted here: only the list `allow`, or all except the list `except`."),
    now("relay.allow", CLIENTS, "[]", "Clients that may relay, when the mode is only-list: address, address/mask, range, `*.host.name`."),
    now("relay.except", CLIENTS, "[]", "Clients that may not relay, when the mode is all-except."),
    now("relay.deny", CLIENTS, "[]", "Clients that never relay, whatever else permits them."),
    now("relay.signed_in", Kind::Bool, "true", "Whether users who signed in may relay regardless of the list."),
    now("relay.accept_risk", Kind::Choice(&["open-relay"]), "", "Starts a configuration that is an open relay all the same."),
    // Domains.
    now("domain.*.type", Kind::Choice(&["remote", "local", "blocked"]), "\"remote\"", "remote: handed on; local: kept in drop_directory; blocked: taken from nobody."),
    now("domain.*.route", Kind::OneOrMany(&Kind::Route), "\"mx\"", "Where its mail goes: mx, a host, an address, a list of them, or the name of a [route.NAME]."),
    now("domain.*.accept_from", Kind::AcceptFrom, "\"anyone\"", "From whom it is taken: anyone, relay (who may relay anyway), or a list of clients."),
    later("domain.*.recipients", Kind::Any, "", "Which recipients exist: a file, a list, ldap:NAME, or verify."),
    later("domain.*.tls", Kind::Any, "", "How much encryption its server must give."),
    now("domain.*.helo_only", Kind::Bool, "false", "Never say EHLO to its server."),
    later("domain.*.on_demand", Kind::Bool, "false", "Hold its mail until its server asks for it."),
    now("domain.*.drop_directory", Kind::Path, "", "Where mail of a local domain is put. Default: data_dir/drop."),
    now("domain.*.message", Kind::Text, "", "The text of the refusal of a blocked domain."),
    now("domain.*.eight_bit", Kind::Choice(&["send", "bounce"]), "\"send\"", "What to do with 8-bit content when its server does not offer 8BITMIME."),
    now("senders.blocked", Kind::List(&Kind::Sender), "[]", "Senders from whom nothing is taken: user@domain, domain, *.domain, <>."),
    later("ldap.*.url", Kind::Text, "", "The directory server."),
    later("ldap.*.bind", Kind::Text, "", "The name to bind as."),
    later("ldap.*.secret", Kind::Secret, "", "Its password: file:PATH or env:NAME."),
    later("ldap.*.base", Kind::Text, "", "Where to search."),
    later("ldap.*.filter", Kind::Text, "", "What to search for."),
    later("ldap.*.timeout", Kind::Duration, "\"5s\"", "How long a search may take."),
    // Where mail goes.
    now("route.*.hosts", Kind::OneOrMany(&Kind::Host), "", "Required. Hosts to hand mail to: [address]:port, [name] (no MX look-up), or name."),
    now("route.*.order", Kind::Choice(&["failover", "spread"]), "\"failover\"", "failover: the next host only when one fails; spread: in random order."),
    later("route.*.auth.user", Kind::Text, "", "The name to sign in with."),
    later("route.*.auth.secret", Kind::Secret, "", "Its password: file:PATH or env:NAME."),
    later("route.*.auth.mechanism", Kind::Text, "", "How to sign in."),
    later("route.*.tls", Kind::Any, "", "How much encryption its hosts must give."),
    later("route.*.source_ip", Kind::Address, "", "The address to connect from."),
    later("route.*.helo", Kind::Name, "", "The name to give in EHLO."),
    now("route.*.max_connections", COUNT, "", "Connections at one time. Default: outbound.max_per_site."),
    now("route.*.messages_per_connection", COUNT, "", "Messages on one connection. Default: outbound.messages_per_connection."),
    later("route.*.rate", Kind::Text, "", "Messages in a time."),
    now("route.*.timeout", Kind::Duration, "", "How long a connection may take to open. Default: outbound.timeout."),
    now("outbound.route", Kind::OneOrMany(&Kind::Route), "\"mx\"", "Where mail for domains that are not hosted here goes: mx, hosts, or the name of a [route.NAME]."),
    later("outbound.direct_first", Kind::Bool, "false", "Try MX delivery before the smart host."),
    now("outbound.port", Kind::Count { min: 1, max: 65_535 }, "25", "The port of MX hosts, and of hosts given without one."),
    now("outbound.ip", Kind::Family, "\"any\"", "Over which addresses mail goes out: any, 4 or 6."),
    later("outbound.dane", Kind::Bool, "true", "Hold servers to their TLSA records."),
    later("outbound.mta_sts", Kind::Bool, "true", "Hold servers to their MTA-STS policy."),
    later("outbound.masquerade_domain", Kind::Name, "", "The domain to put in place of senders' own."),
    now("outbound.private_mx", Kind::List(&Kind::Network), "[]", "Private or loopback addresses that an MX may point to all the same."),
    now("outbound.max_connections", COUNT, "1000", "Connections at one time, in all."),
    now("outbound.max_per_site", COUNT, "20", "Connections at one time to one site."),
    now("outbound.messages_per_connection", COUNT, "100", "Messages on one connection."),
    now("outbound.timeout", Kind::Duration, "\"30s\"", "How long a connection may take to open."),
    now("dns.servers", Kind::OneOrMany(&Kind::Resolver), "[]", "Resolvers to ask, each an address or address:port. Default: the system's."),
    now("dns.timeout", Kind::Duration, "\"10s\"", "How long one question may take in all."),
    // Sign-in and encryption.
    later("auth.users_file", Kind::Path, "", "Who may sign in. Default: data_dir/users.toml."),
    later("auth.mechanisms", Kind::List(&Kind::Text), "[]", "How users sign in."),
    later("auth.max_failures", COUNT, "3", "Wrong passwords of one session."),
    later("auth.sender_match", Kind::Any, "", "Whether a user may send only as itself."),
    later("tls.certificate", Kind::Path, "", "The certificate chain. Default: a self-signed one is made."),
    later("tls.key", Kind::Path, "", "The key of the certificate."),
    later("tls.acme", Kind::Any, "", "How to get a certificate by ACME."),
    later("tls.min_version", TLS_VERSIONS, "\"1.2\"", "The oldest TLS version."),
    later("tls.client_ca", Kind::Path, "", "Who signs clients' certificates."),
    later("screen[].name", Kind::Text, "", "What the rule is called."),
    later("screen[].when", Kind::Any, "", "Which messages it is about."),
    later("screen[].then", Kind::Any, "", "What becomes of them."),
    // Limits, the queue, the spool.
    now("limits.message_size", Kind::Size, "\"25MB\"", "Octets of a message. MB is 1,000,000, MiB 1,048,576."),
    now("limits.session_size", Kind::Size, "\"2GB\"", "Octets of all messages of a session."),
    now("limits.recipients", Kind::Count { min: 100, max: 50_000 }, "100", "Recipients of a message (RFC 5321 section 4.5.3.1.8: at least 100)."),
    now("limits.hops", Kind::Count { min: 1, max: 200 }, "30", "Received fields of a message, against loops."),
    now("limits.errors", Kind::Count { min: 1, max: 10_000 }, "20", "Refused commands of a session."),
    now("limits.messages", Kind::Count { min: 1, max: 1_000_000 }, "10000", "Messages of a session."),
    now("limits.idle_commands", Kind::Count { min: 10, max: 10_000 }, "100", "Commands between two messages that bring none forward: EHLO, RSET, NOOP, VRFY."),
    now("limits.command_line", Kind::Count { min: 512, max: 65_536 }, "2048", "Octets of a command line (RFC 5321 section 4.5.3.1.4: at least 512)."),
    now("limits.content_line", Kind::Count { min: 1000, max: 10_000_000 }, "65536", "Octets of a line of a message (RFC 5321 section 4.5.3.1.6: at least 1000)."),
    now("limits.header_size", Kind::Size, "\"1MiB\"", "Octets of a message's header."),
    now("limits.data_start_timeout", Kind::Duration, "\"2m\"", "How long the first octets of a message may take (RFC 5321 section 4.5.3.2.4)."),
    now("limits.data_timeout", Kind::Duration, "\"3m\"", "How long each further block of a message may take (RFC 5321 section 4.5.3.2.5)."),
    later("limits.rate_per_client", Kind::Text, "", "Messages of one client in a time."),
    later("limits.rate_per_user", Kind::Text, "", "Messages of one user in a time."),
    now("queue.retry", Kind::List(&Kind::Duration), "[\"1m\", \"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"]", "Pauses between attempts; the last repeats."),
    now("queue.expire", Kind::Duration, "\"2d\"", "After this age a message that cannot be delivered bounces."),
    now("queue.delay_notice", Kind::DurationOrOff, "\"12h\"", "After this age the sender is told once that the message is late; off: never."),
    now("queue.probe", Kind::Duration, "\"5m\"", "The longest pause before a site that is down is tried again."),
    later("queue.ndr.copy_to", Kind::Mailbox, "", "Who gets a copy of every bounce."),
    now("queue.ndr.return_size", Kind::Size, "\"50kB\"", "Octets of a message up to which a bounce returns it whole when the sender asked for that (RET=FULL); otherwise its header."),
    now("queue.preset", Kind::Choice(&["iis"]), "", "iis: retry 15m, 30m, 1h, 4h; delay_notice 12h; expire 2d."),
    later("queue.badmail", Kind::Choice(&["keep", "discard"]), "\"keep\"", "What becomes of a bounce that cannot be delivered."),
    now("spool.kind", Kind::Choice(&["local", "postgres"]), "\"local\"", "Where messages wait."),
    now("spool.min_free", Kind::Size, "\"500MB\"", "Octets that must be free on its disk for new mail to be taken."),
    later("spool.url", Kind::Text, "", "The shared database."),
    later("spool.node", Kind::Text, "", "The name of this node."),
    later("pickup.directory", Kind::Path, "", "Where programs put messages to be sent."),
    // What is written down.
    now("log.level", Kind::Choice(&["error", "warn", "info", "debug"]), "\"info\"", "From which weight on lines are written."),
    now("log.format", Kind::Choice(&["text", "json", "w3c"]), "\"text\"", "How a line looks."),
    now("log.file", Kind::Path, "", "A file to write to, in place of standard output."),
    now("log.stdout", Kind::Bool, "true", "Whether to write to standard output, when there is no file."),
    later("log.journald", Kind::Bool, "false", "Whether to write to the journal."),
    later("log.transcript", Kind::Choice(&["off", "failures", "all"]), "\"failures\"", "Which SMTP dialogues are kept."),
    later("tracking.keep", Kind::Duration, "\"30d\"", "How long it is remembered what became of every recipient."),
    later("tracking.max_size", Kind::Size, "\"2GB\"", "Octets of that memory."),
    later("metrics.bind", Kind::OneOrMany(&Kind::Bind), "", "Where metrics are served."),
    later("console.bind", Kind::OneOrMany(&Kind::Bind), "\"127.0.0.1:8025\"", "Where the console is served."),
    now("control.socket", Kind::Path, "", "The socket for the command line. Default: data_dir/control.sock."),
];
