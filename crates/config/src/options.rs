//! The one table of options: parser, suggestions, `config explain` and `config show` read it, and
//! nothing else knows an option.

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
    /// Its full name. `*` stands for a name that the administrator gives (`listener.*.bind`), `[]`
    /// marks a list of tables.
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

const PERCENT: Kind = Kind::Count { min: 1, max: 100 };
const COUNT: Kind = Kind::Count {
    min: 1,
    max: 1_000_000,
};
const MODES: Kind = Kind::Choice(&["only-list", "all-except"]);
const CLIENTS: Kind = Kind::List(&Kind::Client);
const TLS_VERSIONS: Kind = Kind::Choice(&["1.2", "1.3"]);
const TLS_DEMANDS: Kind = Kind::Choice(&["off", "opportunistic", "require", "verify"]);
const TICKETS: Kind = Kind::Count { min: 0, max: 8 };
const PATHS: Kind = Kind::OneOrMany(&Kind::Path);
const CERTIFICATES: Kind = Kind::List(&Kind::Certificate);
/// How users sign in with us; SASL's registered names.
const MECHANISMS: Kind = Kind::List(&Kind::Choice(&[
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "PLAIN",
    "LOGIN",
    "OAUTHBEARER",
    "XOAUTH2",
]));
/// How we sign in elsewhere with a password.
const PASSWORD_MECHANISMS: Kind =
    Kind::Choice(&["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN", "LOGIN"]);
/// Signatures of tokens: by key pairs alone, as a key that both sides know would let us make tokens
/// (and `none` anybody).
const ALGORITHMS: Kind = Kind::List(&Kind::Choice(&[
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
]));
const WEIGHT: Kind = Kind::Signed {
    min: -1000,
    max: 1000,
};

/// Every option there is, section by section. A row a line, however long: it is read downwards.
#[rustfmt::skip]
pub static OPTIONS: &[OptionSpec] = &[
    now("hostname", Kind::Name, "", "The name by which the relay calls itself. Default: the system's full name."),
    now("data_dir", Kind::Path, "\"/var/lib/gatepost\"", "Where the queue, the control socket and the like are kept."),
    now("include", Kind::List(&Kind::Text), "[]", "More files, relative to this one; `*` stands for any part of a file name. A key may be set only once."),
    now("postmaster", Kind::Mailbox, "", "Who <postmaster> is. Default: postmaster at the first hosted domain of the file."),
    now("user", Kind::Text, "\"gatepost\"", "The account to run as after binding."),
    now("group", Kind::Text, "\"gatepost\"", "The group to run as after binding."),
    now("stop_timeout", Kind::Duration, "\"8s\"", "How long sessions and attempts under way may take when the relay stops; what is left is cut off (sessions hear 421)."),
    // Virtual servers.
    now("listener.*.bind", Kind::OneOrMany(&Kind::Bind), "", "Required. Address and port to listen on, or a list of them; port 0 takes a free one."),
    now("listener.*.kind", Kind::Choice(&["mx", "submission", "submissions"]), "", "What it is for. Default by port: 587 submission, 465 submissions, others mx."),
    now("listener.*.hostname", Kind::Name, "", "The name in its greeting. Default: `hostname`."),
    now("listener.*.banner", Kind::Text, "", "The text behind the name in its greeting."),
    now("listener.*.auth", Kind::Choice(&["off", "optional", "required"]), "", "Whether users sign in. Default: mx off, others required."),
    now("listener.*.tls", Kind::Choice(&["off", "offer", "require", "implicit"]), "", "Whether sessions are encrypted. Default: mx offer, submission require, submissions implicit."),
    now("listener.*.certificate", PATHS, "", "Its own certificate chain (PEM), or several, in place of tls.certificate."),
    now("listener.*.key", PATHS, "", "The keys of its own certificates (PEM), in their order, in place of tls.key."),
    now("listener.*.min_version", TLS_VERSIONS, "", "The oldest TLS version, in place of tls.min_version."),
    now("listener.*.client_ca", Kind::Path, "", "Who signs clients' certificates, in place of tls.client_ca."),
    now("listener.*.starttls_except", CLIENTS, "[]", "Devices, by address, that know no TLS of today: STARTTLS is withheld from them, and their mail comes in clear."),
    now("listener.*.client_ca_server_purpose", Kind::Bool, "", "Whether certificates for servers alone count, in place of tls.client_ca_server_purpose."),
    now("listener.*.session_tickets", TICKETS, "", "Session tickets, in place of tls.session_tickets."),
    now("listener.*.connect.mode", MODES, "\"all-except\"", "Who may connect at all: only the list `allow`, or all except the list `except`."),
    now("listener.*.connect.allow", CLIENTS, "[]", "Clients that may connect, when the mode is only-list."),
    now("listener.*.connect.except", CLIENTS, "[]", "Clients that may not connect, when the mode is all-except."),
    now("listener.*.relay.mode", MODES, "", "Replaces relay.mode for this listener."),
    now("listener.*.relay.allow", CLIENTS, "", "Replaces relay.allow for this listener."),
    now("listener.*.relay.except", CLIENTS, "", "Replaces relay.except for this listener."),
    now("listener.*.relay.deny", CLIENTS, "", "Adds to relay.deny for this listener."),
    now("listener.*.relay.certificates", CERTIFICATES, "", "Replaces relay.certificates for this listener."),
    now("listener.*.relay.signed_in", Kind::Bool, "", "Replaces relay.signed_in for this listener."),
    now("listener.*.dnsbl[].zone", Kind::Name, "", "Required. The zone of a DNS list of unwanted (or wanted) clients."),
    now("listener.*.dnsbl[].codes", Kind::List(&Kind::Codes), "[]", "The answers that count: 127.0.0.2, 127.0.0.2-127.0.0.11. Default: all but errors of the list."),
    now("listener.*.dnsbl[].weight", WEIGHT, "1", "How much it counts; below 0 for a list of wanted clients."),
    now("listener.*.dnsbl[].reply", Kind::Text, "", "The text of the refusal; %0 is the client's address, %1 the zone."),
    now("listener.*.dnsbl_threshold", Kind::Signed { min: 1, max: 1000 }, "1", "Weights of the lists that name a client, added, at which it is refused."),
    now("listener.*.dnsbl_except", CLIENTS, "[]", "Clients about whom no DNS list is asked."),
    now("listener.*.proxy_protocol_from", CLIENTS, "[]", "Proxies, by address, whose PROXY header is required and whose word about the client's address is taken."),
    now("listener.*.max_sessions", COUNT, "1000", "Sessions at one time."),
    now("listener.*.max_per_client", COUNT, "20", "Sessions at one time from one address that may not relay."),
    now("listener.*.idle_timeout", Kind::Duration, "\"5m\"", "How long a session may say nothing (RFC 5321 section 4.5.3.2: at least 5m)."),
    now("listener.*.bare_lf", Kind::Choice(&["refuse", "mend"]), "\"refuse\"", "LF without CR in messages: refuse, or mend to CRLF for clients in relay.allow; others are always refused."),
    // Who may relay.
    now("relay.mode", MODES, "\"only-list\"", "Who may send to domains that are not hosted here: only the list `allow`, or all except the list `except`."),
    now("relay.allow", CLIENTS, "[]", "Clients that may relay, when the mode is only-list: address, address/mask, range, `*.host.name`."),
    now("relay.except", CLIENTS, "[]", "Clients that may not relay, when the mode is all-except."),
    now("relay.deny", CLIENTS, "[]", "Clients that never relay, whatever else permits them."),
    now("relay.certificates", CERTIFICATES, "[]", "Client certificates whose holders may relay: sha256:HEX, spki:sha256:HEX of the key, or a name under tls.client_ca."),
    now("relay.signed_in", Kind::Bool, "true", "Whether users who signed in may relay regardless of the list."),
    now("relay.accept_risk", Kind::Choice(&["open-relay"]), "", "Starts a configuration that is an open relay all the same."),
    // Domains.
    now("domain.*.type", Kind::Choice(&["remote", "local", "blocked"]), "\"remote\"", "remote: handed on; local: kept in drop_directory; blocked: taken from nobody."),
    now("domain.*.route", Kind::OneOrMany(&Kind::Route), "\"mx\"", "Where its mail goes: mx, a host, an address, a list of them, or the name of a [route.NAME]."),
    now("domain.*.accept_from", Kind::AcceptFrom, "\"anyone\"", "From whom it is taken: anyone, relay (who may relay anyway), or a list of clients."),
    now("domain.*.recipients", Kind::Recipients, "", "Which recipients exist: file:PATH (one a line), a list, ldap:NAME, or verify (ask the next hop). Default: all."),
    now("domain.*.recipients_unasked", Kind::Choice(&["postpone", "accept"]), "\"postpone\"", "What becomes of a recipient when nobody can be asked whether it exists."),
    now("domain.*.tls", TLS_DEMANDS, "", "How much encryption its server must give at least. Default: as its route says."),
    now("domain.*.helo_only", Kind::Bool, "false", "Never say EHLO to its server."),
    later("domain.*.on_demand", Kind::Bool, "false", "Hold its mail until its server asks for it."),
    now("domain.*.drop_directory", Kind::Path, "", "Where mail of a local domain is put. Default: data_dir/drop."),
    now("domain.*.message", Kind::Text, "", "The text of the refusal of a blocked domain."),
    now("domain.*.eight_bit", Kind::Choice(&["send", "bounce"]), "\"send\"", "What to do with 8-bit content when its server does not offer 8BITMIME."),
    now("senders.blocked", Kind::List(&Kind::Sender), "[]", "Senders from whom nothing is taken: user@domain, domain, *.domain, <>."),
    now("verify.positive", Kind::Duration, "\"1d\"", "How long it is believed that a recipient exists, once the next hop said so."),
    now("verify.negative", Kind::Duration, "\"1h\"", "How long it is believed that a recipient does not exist."),
    now("verify.timeout", Kind::Duration, "\"30s\"", "How long the next hop may take in all."),
    now("ldap.*.url", Kind::LdapUrl, "", "Required. The directory server: ldaps://host, ldap://host:389."),
    now("ldap.*.start_tls", Kind::Bool, "false", "Whether an ldap:// connection is encrypted by STARTTLS."),
    now("ldap.*.ca", Kind::Path, "", "Who signs its certificate (PEM). Default: the well-known authorities."),
    now("ldap.*.bind", Kind::Text, "", "The name to bind as. Default: nobody (anonymous)."),
    now("ldap.*.secret", Kind::Secret, "", "Its password: file:PATH or env:NAME."),
    now("ldap.*.base", Kind::Text, "", "Required. Where to search: dc=example,dc=com."),
    now("ldap.*.filter", Kind::Text, "\"(|(proxyAddresses=smtp:%s)(mail=%s))\"", "What to search for when asked for a recipient: %s is the address."),
    now("ldap.*.user_filter", Kind::Text, "\"(|(mail=%s)(userPrincipalName=%s)(uid=%s))\"", "What to search for when somebody signs in: %s is the name given."),
    now("ldap.*.user_name", Kind::Text, "\"mail\"", "The attribute by which a user is known, whatever name was given; dn: the name of the entry."),
    now("ldap.*.timeout", Kind::Duration, "\"5s\"", "How long a search may take."),
    // Where mail goes.
    now("route.*.hosts", Kind::OneOrMany(&Kind::Host), "", "Required. Hosts to hand mail to: [address]:port, [name] (no MX look-up), or name."),
    now("route.*.order", Kind::Choice(&["failover", "spread"]), "\"failover\"", "failover: the next host only when one fails; spread: in random order."),
    now("route.*.auth.user", Kind::Text, "", "The name to sign in with; the connection is then always encrypted."),
    now("route.*.auth.secret", Kind::Secret, "", "Its password: file:PATH or env:NAME."),
    now("route.*.auth.mechanism", PASSWORD_MECHANISMS, "", "How to sign in with the password. Default: the best that the server offers."),
    now("route.*.auth.token_url", Kind::HttpsUrl, "", "In place of a password: where to get a token (OAuth 2.0, client credentials)."),
    now("route.*.auth.client_id", Kind::Text, "", "Who we are to the token endpoint."),
    now("route.*.auth.client_secret", Kind::Secret, "", "How we prove that: file:PATH or env:NAME."),
    now("route.*.auth.assertion_key", Kind::Path, "", "Or by an assertion signed with this key (PEM)."),
    now("route.*.auth.assertion_certificate", Kind::Path, "", "The certificate of that key (PEM), named in the assertion."),
    now("route.*.auth.subject", Kind::Text, "", "In whose name the assertion asks (the JWT bearer grant, as Google's service accounts do it): the sender's mailbox."),
    now("route.*.auth.scope", Kind::Text, "", "What the token is for: https://outlook.office365.com/.default"),
    now("route.*.auth.ca", Kind::Path, "", "Who signs the token endpoint's certificate (PEM). Default: the well-known authorities."),
    now("route.*.tls", TLS_DEMANDS, "", "How much encryption its hosts must give. Default: verify to sign in, otherwise outbound.tls."),
    now("route.*.tls_name", Kind::Name, "", "The name that its hosts' certificates must be for, with tls = verify. Default: each host's own name, or its address."),
    now("route.*.ca", Kind::Path, "", "Who signs its hosts' certificates (PEM), for tls = verify. Default: the well-known authorities."),
    now("route.*.certificate", Kind::Path, "", "A client certificate to show (PEM)."),
    now("route.*.key", Kind::Path, "", "The key of the client certificate (PEM)."),
    now("route.*.source_ip", Kind::Address, "", "The address to connect from."),
    now("route.*.helo", Kind::Name, "", "The name to give in EHLO. Default: hostname."),
    now("route.*.max_connections", COUNT, "", "Connections at one time. Default: outbound.max_per_site."),
    now("route.*.messages_per_connection", COUNT, "", "Messages on one connection. Default: outbound.messages_per_connection."),
    later("route.*.rate", Kind::Text, "", "Messages in a time."),
    now("route.*.timeout", Kind::Duration, "", "How long a connection may take to open. Default: outbound.timeout."),
    now("outbound.route", Kind::OneOrMany(&Kind::Route), "\"mx\"", "Where mail for domains that are not hosted here goes: mx, hosts, or the name of a [route.NAME]."),
    later("outbound.direct_first", Kind::Bool, "false", "Try MX delivery before the smart host."),
    now("outbound.port", Kind::Count { min: 1, max: 65_535 }, "25", "The port of MX hosts, and of hosts given without one."),
    now("outbound.ip", Kind::Family, "\"any\"", "Over which addresses mail goes out: any, 4 or 6."),
    now("outbound.tls", TLS_DEMANDS, "\"opportunistic\"", "How much encryption a next hop must give: off, opportunistic (if offered), require, verify (name and chain)."),
    now("outbound.dane", Kind::Bool, "true", "Hold MX hosts to their TLSA records (RFC 7672), when the resolver is local and validates."),
    now("outbound.mta_sts", Kind::Bool, "true", "Hold MX hosts to their domain's MTA-STS policy (RFC 8461)."),
    now("outbound.never_as_null", Kind::Bool, "false", "By MX, to a server without DSN: send recipients with NOTIFY=NEVER the null reverse path, apart from the others (RFC 3461 section 5.2.2)."),
    now("outbound.ca", Kind::Path, "", "Who signs certificates that are verified, of next hops and MTA-STS policies (PEM). Default: the well-known authorities."),
    later("outbound.masquerade_domain", Kind::Name, "", "The domain to put in place of senders' own."),
    now("outbound.private_mx", Kind::List(&Kind::Network), "[]", "Private or loopback addresses that an MX, or the host of an MTA-STS policy, may point to all the same."),
    now("outbound.max_connections", COUNT, "1000", "Connections at one time, in all."),
    now("outbound.reserved", Kind::Count { min: 0, max: 90 }, "25", "How many in a hundred of outbound.max_connections only next hops may have that the configuration names."),
    now("outbound.share.notices", PERCENT, "20", "How many in a hundred our own notices may have at most."),
    now("outbound.share.own_domains", PERCENT, "75", "How many in a hundred mail for domains hosted here may have, which strangers may send."),
    now("outbound.share.sender_domain", PERCENT, "50", "How many in a hundred mail from one sender domain may have."),
    now("outbound.silence_timeout", Kind::Duration, "\"20s\"", "How long an attempt may go on before a server takes MAIL, while others wait for a connection."),
    now("outbound.max_per_site", COUNT, "20", "Connections at one time to one site."),
    now("outbound.messages_per_connection", COUNT, "100", "Messages on one connection."),
    now("outbound.timeout", Kind::Duration, "\"30s\"", "How long a connection may take to open."),
    now("dns.servers", Kind::OneOrMany(&Kind::Resolver), "[]", "Resolvers to ask, each an address or address:port. Default: the system's."),
    now("dns.timeout", Kind::Duration, "\"10s\"", "How long one question may take in all."),
    // Sign-in and encryption.
    now("auth.users_file", Kind::Path, "", "Who may sign in. Default: data_dir/users.toml."),
    now("auth.mechanisms", MECHANISMS, "[\"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"PLAIN\", \"LOGIN\", \"OAUTHBEARER\", \"XOAUTH2\"]", "How users sign in; always under TLS. What not every source of users can answer is not offered."),
    now("auth.max_failures", Kind::Count { min: 1, max: 100 }, "3", "Failed sign-ins after which a session is closed."),
    now("auth.sender_match", Kind::Choice(&["off", "listed", "own"]), "\"listed\"", "Senders that a user may name: off any; listed those of the user's list, any without one; own its own address without one."),
    now("auth.ldap", Kind::OneOrMany(&Kind::Text), "[]", "Names of [ldap.NAME] whose people may sign in, asked after the users file."),
    now("auth.oauth.issuer", Kind::Text, "", "Whose tokens are taken: what stands in iss."),
    now("auth.oauth.audience", Kind::Text, "", "For whom they must be: what stands in aud."),
    now("auth.oauth.keys", Kind::Keys, "", "The issuer's keys (JWKS): an https URL, or file:PATH."),
    now("auth.oauth.user_claim", Kind::Text, "\"email\"", "The claim with the user's name."),
    now("auth.oauth.algorithms", ALGORITHMS, "[\"RS256\", \"ES256\"]", "Signatures that are taken."),
    now("tls.certificate", PATHS, "", "The certificate chain (PEM), or several, of which the client chooses by name (SNI). Default: a self-signed one is made."),
    now("tls.key", PATHS, "", "The keys of the certificates (PEM), in their order."),
    later("tls.acme", Kind::Any, "", "How to get a certificate by ACME."),
    now("tls.min_version", TLS_VERSIONS, "\"1.2\"", "The oldest TLS version."),
    now("tls.client_ca", Kind::Path, "", "Who signs clients' certificates (PEM). Default: nobody, only fingerprints and keys count."),
    now("tls.client_ca_server_purpose", Kind::Bool, "false", "Whether a certificate under client_ca that is for servers alone counts for a client too; not with public authorities alone."),
    now("tls.session_tickets", TICKETS, "1", "Session tickets for each TLS 1.3 handshake; 0: none, and no session is taken up again (for devices that stumble over them)."),
    later("screen[].name", Kind::Text, "", "What the rule is called."),
    later("screen[].when", Kind::Any, "", "Which messages it is about."),
    later("screen[].then", Kind::Any, "", "What becomes of them."),
    // Limits, the queue, the spool.
    now("limits.message_size", Kind::Size, "\"25MB\"", "Octets of a message. MB is 1,000,000, MiB 1,048,576."),
    now("limits.session_size", Kind::Size, "\"2GB\"", "Octets of all messages of a session."),
    now("limits.recipients", Kind::Count { min: 100, max: 50_000 }, "1000", "Recipients of a message from clients that may relay and from users (RFC 5321 section 4.5.3.1.8: at least 100)."),
    now("limits.recipients_of_strangers", Kind::Count { min: 100, max: 50_000 }, "", "Recipients of a message from anybody else. Default: limits.recipients where that is written, otherwise 100."),
    now("limits.hops", Kind::Count { min: 1, max: 200 }, "30", "Received fields of a message, against loops."),
    now("limits.errors", Kind::Count { min: 1, max: 10_000 }, "20", "Refused commands of a session."),
    now("limits.messages", Kind::Count { min: 1, max: 1_000_000 }, "10000", "Messages of a session."),
    now("limits.idle_commands", Kind::Count { min: 10, max: 10_000 }, "100", "Commands between two messages that bring none forward: EHLO, RSET, NOOP, VRFY."),
    now("limits.command_line", Kind::Count { min: 512, max: 65_536 }, "2048", "Octets of a command line (RFC 5321 section 4.5.3.1.4: at least 512)."),
    now("limits.content_line", Kind::Count { min: 1000, max: 10_000_000 }, "65536", "Octets of a line of a message (RFC 5321 section 4.5.3.1.6: at least 1000)."),
    now("limits.header_size", Kind::Size, "\"1MiB\"", "Octets of a message's header."),
    now("limits.data_start_timeout", Kind::Duration, "\"2m\"", "How long the first octets of a message may take (RFC 5321 section 4.5.3.2.4)."),
    now("limits.data_timeout", Kind::Duration, "\"3m\"", "How long each further block of a message may take (RFC 5321 section 4.5.3.2.5)."),
    now("limits.unknown_recipients", Kind::Count { min: 1, max: 10_000 }, "10", "Unknown recipients of a session, after which it is closed."),
    now("limits.tarpit", Kind::Duration, "\"1s\"", "How long a stranger waits for the third and every further refusal of a session; 0s: not at all."),
    now("limits.greeting_delay", Kind::Duration, "\"0s\"", "How long a stranger has to be silent before it is greeted."),
    now("limits.strict_pipelining", Kind::Bool, "true", "Refuse strangers that send on before they have heard the answer to EHLO or DATA."),
    now("limits.rate_per_client.messages", Kind::Rate, "\"off\"", "Messages of one stranger's address (IPv6: /64) in a time: 600/1h."),
    now("limits.rate_per_client.recipients", Kind::Rate, "\"off\"", "Its recipients in a time."),
    now("limits.rate_per_client.connections", Kind::Rate, "\"120/1m\"", "Its connections in a time."),
    now("limits.rate_per_network.messages", Kind::Rate, "\"off\"", "Messages of strangers in one network (IPv4 /24, IPv6 /48) in a time."),
    now("limits.rate_per_network.recipients", Kind::Rate, "\"off\"", "Their recipients in a time."),
    now("limits.rate_per_network.connections", Kind::Rate, "\"600/1m\"", "Their connections in a time."),
    now("limits.rate_loopback", Kind::Bool, "false", "Whether clients on loopback addresses are held to the rates of strangers too."),
    now("limits.rate_per_user.messages", Kind::Rate, "\"off\"", "Messages of one user in a time; the user's own limit in the users file goes before."),
    now("limits.rate_per_user.recipients", Kind::Rate, "\"off\"", "Recipients of one user in a time; the user's own limit goes before."),
    now("queue.retry", Kind::List(&Kind::Duration), "[\"1m\", \"5m\", \"15m\", \"30m\", \"1h\", \"2h\", \"4h\"]", "Pauses between attempts; the last repeats."),
    now("queue.expire", Kind::Duration, "\"2d\"", "After this age a message that cannot be delivered bounces."),
    now("queue.delay_notice", Kind::DurationOrOff, "\"12h\"", "After this age the sender is told once that the message is late; off: never."),
    now("queue.probe", Kind::Duration, "\"5m\"", "The longest pause before a site that is down is tried again."),
    later("queue.ndr.copy_to", Kind::Mailbox, "", "Who gets a copy of every bounce."),
    now("queue.ndr.success_rate", Kind::Rate, "\"60/1m\"", "Notices of success in a time for mail to domains hosted here, which strangers may send; further ones are left out."),
    now("queue.ndr.success_to_strangers", Kind::Bool, "true", "Tell strangers of success when they ask for it (NOTIFY=SUCCESS)."),
    now("queue.ndr.return_size", Kind::Size, "\"50kB\"", "Octets of a message up to which a bounce returns it whole when the sender asked for that (RET=FULL); otherwise its header."),
    now("queue.preset", Kind::Choice(&["iis"]), "", "iis: retry 15m, 30m, 1h, 4h; delay_notice 12h; expire 2d."),
    now("queue.badmail", Kind::Choice(&["keep", "discard"]), "\"keep\"", "What becomes of a bounce that cannot be delivered: it is held as badmail, or dropped with a line in the log."),
    now("queue.badmail_age", Kind::Duration, "\"14d\"", "After this age badmail is dropped."),
    now("queue.badmail_size", Kind::Size, "\"100MB\"", "Octets of badmail that are kept at most; beyond, the oldest is dropped."),
    now("spool.kind", Kind::Choice(&["local", "postgres"]), "\"local\"", "Where messages wait."),
    now("spool.min_free", Kind::Size, "\"500MB\"", "Octets that new mail leaves free on its disk; messages on their way count."),
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
