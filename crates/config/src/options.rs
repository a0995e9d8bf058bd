//! The one table of options. The typed settings, suggestions, `config explain`, `config show`, the
//! reference in `docs/configuration.md` and the JSON schema all come from it; nothing else knows an
//! option's key, its default or what may be written.
//!
//! A row says, in this order: what the option means; its key and the name by which the code asks
//! for it (`_`: it does nothing yet, so nobody asks); the type of its values and how they are
//! written; its default as TOML; whether a reload may change it (`fixed()`: no); and behind `=>`
//! the field that takes the value, where nothing but that is to be done with it. An option that
//! nobody asks for does not pass the compiler's check for dead code.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ::delivery::Protocol;
use ::protocol_log::{Field, Form, Rotation};

use ::route::{HostSpec, HoursSpan, IpFamily, SendRate, TlsDemand};
use ::syslog::{Destination, Facility, Form as SyslogForm, Framing};
use admission::{Rate, Reaction};
use delivery::EightBit;
use ipnet::IpNet;
use mail::{Domain, Mailbox, TimeOfDay};
use relay_policy::{
    CertificateEntry, DomainKind, Entry, Party, RecipientPattern, SenderMatch, SenderPattern,
};
use screening::Direction;
use smtp::BareLf;

use crate::config::Secret;
use crate::config::{
    AcmeChallenge, DigestTo, Directory, DomainSettings, KeySource, Kind as ListenerKind, LogFormat,
    LogLevel, MayAdd, NoticeClass, Privacy, ScannerAddress, ScannerKind, TlsVersion, Transcripts,
};
use crate::form::{Either, Flag, Item, List, One, OneOrMany, Optional, OrOff, Whole};
use crate::option::{Definition, Opt};
use crate::parts::{
    Dmarc, ListenerParts, Preset, RouteParts, ScannerWord, ScreenWord, Sections, Wanted,
};
use crate::settings::{Section, Settings};
use crate::smart_host::SmartHost;
use crate::values::{self, RecipientsAt};
use crate::words;

/// One section of the table, as a module: its key, a constant for each option, all rows, and with
/// `fills` a function that reads the options with a `=>` into their fields.
macro_rules! section {
    ($module:ident $section:literal fills $target:ty {$(
        $(#[doc = $meaning:literal])+
        $key:literal $name:tt: $type:ty = $form:expr
            $(, $mark:ident($($argument:expr)?))* $(=> $($field:ident).+)?;
    )+}) => {
        section! { $module $section {
            /// Reads the options with a `=>` into their fields.
            pub(crate) fn fill(settings: &Settings, section: &Section, to: &mut $target) {
                $($(to.$($field).+ = settings.fill(section.at($name));)?)+
            }
        } {$(
            $(#[doc = $meaning])+
            $key $name: $type = $form $(, $mark($($argument)?))*;
        )+}}
    };
    ($module:ident $section:literal {$(
        $(#[doc = $meaning:literal])+
        $key:literal $name:tt: $type:ty = $form:expr $(, $mark:ident($($argument:expr)?))*;
    )+}) => {
        section! { $module $section {} {$(
            $(#[doc = $meaning])+
            $key $name: $type = $form $(, $mark($($argument)?))*;
        )+}}
    };
    ($module:ident $section:literal {$($fill:item)?} {$(
        $(#[doc = $meaning:literal])+
        $key:literal $name:tt: $type:ty = $form:expr $(, $mark:ident($($argument:expr)?))*;
    )+}) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) const SECTION: &str = $section;
            $(pub(crate) const $name: &Opt<$type> =
                &Opt::new(SECTION, $key, concat!($($meaning),+), $form)
                    $(.$mark($($argument)?))*;)+
            pub(crate) const ROWS: &[&dyn Definition] = &[$(
                &Opt::<$type>::new(SECTION, $key, concat!($($meaning),+), $form)
                    $(.$mark($($argument)?))*,
            )+];
            $($fill)?
        }
    };
}

/// A text as TOML.
fn quoted(text: impl Display) -> Option<String> {
    Some(format!("\"{text}\""))
}

fn pauses(pauses: &[Duration]) -> String {
    let minutes = pauses.iter().map(|p| format!("\"{}m\"", p.as_secs() / 60));
    format!("[{}]", minutes.collect::<Vec<_>>().join(", "))
}

section! {
    top "" fills Sections {
        /// The name by which the relay calls itself. Default: the system's full name.
        "hostname" HOSTNAME: Option<Domain> = &Optional(values::NAME),
            follows(|config| quoted(&config.hostname));
        /// Where the queue, the control socket and the like are kept.
        "data_dir" DATA_DIR: PathBuf = &values::PATH, default(r#""/var/lib/gatepost""#), fixed();
        /// More files, relative to this one; `*` stands for any part of a file name. A key may be
        /// set only once.
        "include" INCLUDE: Vec<Item<String>> = &List(values::TEXT), default("[]");
        /// Who <postmaster> is. Default: postmaster at the first hosted domain of the file.
        "postmaster" POSTMASTER: Option<Mailbox> = &Optional(values::MAILBOX),
            follows(|config| quoted(config.postmaster.as_ref()?));
        /// The account to run as after binding: its name in /etc/passwd, or its number.
        "user" USER: String = &values::TEXT, default(r#""gatepost""#), fixed();
        /// The group to run as after binding: its name in /etc/group, or its number.
        "group" GROUP: String = &values::TEXT, default(r#""gatepost""#), fixed();
        /// How long sessions and attempts under way may take when the relay stops; what is left is
        /// cut off (sessions hear 421).
        "stop_timeout" STOP_TIMEOUT: Duration = &values::DURATION, default(r#""8s""#)
            => stop.timeout;
        /// How long the relay goes on as before when it is told to stop, while /ready says no: whoever
        /// sends clients here has this time to send them elsewhere.
        "stop_delay" STOP_DELAY: Duration = &values::DURATION, default(r#""0s""#)
            => stop.delay;
    }
}

section! {
    listener "listener.*" fills ListenerParts {
        /// Required. Address and port to listen on, or a list of them; port 0 takes a free one.
        "bind" BIND: Vec<Item<SocketAddr>> = &OneOrMany(values::BIND);
        /// What it is for. Default by port: 587 submission, 465 submissions, others mx.
        "kind" KIND: Option<ListenerKind> = &Optional(words::KINDS);
        /// The name in its greeting. Default: `hostname`.
        "hostname" HOSTNAME: Option<Domain> = &Optional(values::NAME),
            follows(|config| quoted(&config.hostname));
        /// The text behind the name in its greeting.
        "banner" BANNER: Option<String> = &Optional(values::TEXT);
        /// Whether users sign in. Default: mx off, others required.
        "auth" AUTH: Option<Wanted> = &Optional(words::SIGN_IN);
        /// Whether sessions are encrypted. Default: mx offer, submission require, submissions
        /// implicit.
        "tls" TLS: Option<Wanted> = &Optional(words::ENCRYPTION);
        /// Its own certificate chain (PEM), or several, in place of tls.certificate.
        "certificate" CERTIFICATE: Vec<Item<PathBuf>> = &words::PATHS;
        /// The keys of its own certificates (PEM), in their order, in place of tls.key.
        "key" KEY: Vec<Item<PathBuf>> = &words::PATHS;
        /// The oldest TLS version, in place of tls.min_version.
        "min_version" MIN_VERSION: Option<TlsVersion> = &Optional(words::TLS_VERSIONS);
        /// Who signs clients' certificates, in place of tls.client_ca.
        "client_ca" CLIENT_CA: Option<PathBuf> = &Optional(values::PATH);
        /// Devices, by address, that know no TLS of today: STARTTLS is withheld from them, and
        /// their mail comes in clear.
        "starttls_except" STARTTLS_EXCEPT: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Whether certificates for servers alone count, in place of tls.client_ca_server_purpose.
        "client_ca_server_purpose" CLIENT_CA_SERVER_PURPOSE: Option<bool> = &Optional(Flag);
        /// Session tickets, in place of tls.session_tickets.
        "session_tickets" SESSION_TICKETS: Option<u32> = &Optional(words::TICKETS);
        /// Weights of the lists that name a client, added, at which it is refused.
        "dnsbl_threshold" DNSBL_THRESHOLD: i32 = &Whole { min: 1, max: 1000 }, default("1");
        /// Clients about whom no DNS list is asked.
        "dnsbl_except" DNSBL_EXCEPT: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Proxies, by address, whose PROXY header is required and whose word about the client's
        /// address is taken.
        "proxy_protocol_from" PROXY_PROTOCOL_FROM: Vec<Item<Entry>> = &words::CLIENTS,
            default("[]");
        /// Sessions at one time.
        "max_sessions" MAX_SESSIONS: u32 = &words::COUNT, default("1000") => slots.in_all;
        /// Sessions at one time from one address that may not relay.
        "max_per_client" MAX_PER_CLIENT: u32 = &words::COUNT, default("20")
            => slots.per_client;
        /// How long a session may say nothing (RFC 5321 section 4.5.3.2: at least 5m).
        "idle_timeout" IDLE_TIMEOUT: Duration = &values::DURATION, default(r#""5m""#)
            => session.limits.timeouts.command;
        /// LF without CR in messages: refuse, or mend to CRLF for clients in relay.allow; others
        /// are always refused.
        "bare_lf" BARE_LF: BareLf = &words::BARE_LF, default(r#""refuse""#) => session.bare_lf;
    }
}

section! {
    listener_connect "listener.*.connect" {
        /// Who may connect at all: only the list `allow`, or all except the list `except`.
        "mode" MODE: bool = &words::MODES, default(r#""all-except""#);
        /// Clients that may connect, when the mode is only-list.
        "allow" ALLOW: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Clients that may not connect, when the mode is all-except.
        "except" EXCEPT: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
    }
}

section! {
    listener_relay "listener.*.relay" {
        /// Replaces relay.mode for this listener.
        "mode" MODE: Option<bool> = &Optional(words::MODES);
        /// Replaces relay.allow for this listener.
        "allow" ALLOW: Vec<Item<Entry>> = &words::CLIENTS;
        /// Replaces relay.except for this listener.
        "except" EXCEPT: Vec<Item<Entry>> = &words::CLIENTS;
        /// Adds to relay.deny for this listener.
        "deny" DENY: Vec<Item<Entry>> = &words::CLIENTS;
        /// Replaces relay.certificates for this listener.
        "certificates" CERTIFICATES: Vec<Item<CertificateEntry>> = &words::CERTIFICATES;
        /// Replaces relay.signed_in for this listener.
        "signed_in" SIGNED_IN: Option<bool> = &Optional(Flag);
    }
}

section! {
    listener_dnsbl "listener.*.dnsbl[]" {
        /// Required. The zone of a DNS list of unwanted (or wanted) clients.
        "zone" ZONE: Option<Domain> = &Optional(values::NAME);
        /// The answers that count: 127.0.0.2, 127.0.0.2-127.0.0.11. Default: all but errors of the
        /// list.
        "codes" CODES: Vec<Item<(Ipv4Addr, Ipv4Addr)>> = &List(values::CODES), default("[]");
        /// How much it counts; below 0 for a list of wanted clients.
        "weight" WEIGHT: i32 = &words::WEIGHT, default("1");
        /// The text of the refusal; %0 is the client's address, %1 the zone.
        "reply" REPLY: Option<String> = &Optional(values::TEXT);
    }
}

section! {
    relay "relay" {
        /// Who may send to domains that are not hosted here: only the list `allow`, or all except
        /// the list `except`.
        "mode" MODE: bool = &words::MODES, default(r#""only-list""#);
        /// Clients that may relay, when the mode is only-list: address, address/mask, range,
        /// `*.host.name`.
        "allow" ALLOW: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Clients that may not relay, when the mode is all-except.
        "except" EXCEPT: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Clients that never relay, whatever else permits them.
        "deny" DENY: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Client certificates whose holders may relay: sha256:HEX, spki:sha256:HEX of the key, or
        /// a name under tls.client_ca.
        "certificates" CERTIFICATES: Vec<Item<CertificateEntry>> = &words::CERTIFICATES,
            default("[]");
        /// Whether users who signed in may relay regardless of the list.
        "signed_in" SIGNED_IN: bool = &Flag, default("true");
        /// Whether files in pickup.directory may go to domains that are not hosted here.
        "pickup" PICKUP: bool = &Flag, default("false");
        /// Whether what comes through submit.socket may go to domains that are not hosted here.
        "submit" SUBMIT: bool = &Flag, default("false");
        /// Starts a configuration that is an open relay all the same.
        "accept_risk" ACCEPT_RISK: Option<()> = &Optional(words::ACCEPTED_RISKS);
    }
}

section! {
    domain "domain.*" fills DomainSettings {
        /// remote: handed on; local: kept in drop_directory; blocked: taken from nobody.
        "type" TYPE: DomainKind = &words::DOMAIN_KINDS, default(r#""remote""#);
        /// Where its mail goes: mx, a host, an address, a list of them, or the name of a
        /// [route.NAME].
        "route" ROUTE: Vec<Item<String>> = &OneOrMany(values::ROUTE), default(r#""mx""#);
        /// From whom it is taken: anyone, relay (who may relay anyway), or a list of clients.
        "accept_from" ACCEPT_FROM: Either<bool, Entry> = &words::ACCEPT_FROM,
            default(r#""anyone""#);
        /// Which recipients exist: file:PATH (one a line), a list, ldap:NAME, or verify (ask the
        /// next hop). Default: all.
        "recipients" RECIPIENTS: Option<Either<RecipientsAt, String>> =
            &Optional(words::RECIPIENTS_OR_LIST);
        /// What becomes of a recipient when nobody can be asked whether it exists.
        "recipients_unasked" RECIPIENTS_UNASKED: bool = &words::UNASKED, default(r#""postpone""#);
        /// How much encryption its server must give at least. Default: as its route says.
        "tls" TLS: Option<TlsDemand> = &Optional(words::TLS_DEMANDS) => tls;
        /// Never say EHLO to its server.
        "helo_only" HELO_ONLY: bool = &Flag, default("false") => helo_only;
        /// Where mail of a local domain is put. Default: data_dir/drop.
        "drop_directory" DROP_DIRECTORY: Option<PathBuf> = &Optional(values::PATH);
        /// How much drop_directory may hold; more waits until files were taken away. Default: no
        /// limit.
        "drop_quota" DROP_QUOTA: Option<u64> = &Optional(values::SIZE) => filing.quota;
        /// message: a file for all recipients of a message; recipient: one for each.
        "drop_file_per" DROP_FILE_PER: bool = &words::FILES_PER, default(r#""message""#)
            => filing.per_recipient;
        /// The text of the refusal of a blocked domain.
        "message" MESSAGE: Option<String> = &Optional(values::TEXT);
        /// What to do with 8-bit content when its server does not offer 8BITMIME.
        "eight_bit" EIGHT_BIT: EightBit = &words::EIGHT_BIT, default(r#""send""#) => eight_bit;
    }
}

section! {
    on_demand "domain.*.on_demand" {
        /// Who may ask for its mail by ETRN or ATRN, once signed in: users. Until somebody asks it
        /// waits.
        "users" USERS: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Who may ask without signing in, by ETRN alone: clients. Needs a `route`.
        "clients" CLIENTS: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// After this age it is given up, asked for or not; queue.expire does not count.
        "expire" EXPIRE: Duration = &values::DURATION, default(r#""7d""#);
    }
}

section! {
    forward "forward" {
        /// Whose mail goes on to whom: an address of ours, or @domain for everybody at a domain of
        /// ours, and behind it an address, @domain (the same local part there), or a list of them.
        /// Whoever is named in its own list keeps it too.
        "*" TARGETS: Vec<Item<Party>> = &OneOrMany(values::PARTY);
    }
}

section! {
    srs "srs" {
        /// Required. The domain at which senders of forwarded messages are rewritten. Bounces come
        /// back to it, so this relay is its MX.
        "domain" DOMAIN: Option<Domain> = &Optional(values::NAME);
        /// Required. By what their addresses are signed: file:PATH or env:NAME. Further lines of
        /// the file count on the way back alone, as in a file of postsrsd.
        "secret" SECRET: Option<Secret> = &Optional(values::SECRET);
        /// What they were signed by before, and still count by on the way back.
        "old_secrets" OLD_SECRETS: Vec<Item<Secret>> = &List(values::SECRET), default("[]");
        /// How long bounces to such an address are taken, in whole days.
        "age" AGE: Duration = &values::DURATION, default(r#""21d""#);
    }
}

section! {
    senders "senders" {
        /// Senders from whom nothing is taken: user@domain, domain, *.domain, <>.
        "blocked" BLOCKED: Vec<Item<SenderPattern>> = &List(values::SENDER), default("[]");
    }
}

section! {
    verify "verify" fills Sections {
        /// How long it is believed that a recipient exists, once the next hop said so.
        "positive" POSITIVE: Duration = &values::DURATION, default(r#""1d""#) => verify.positive;
        /// How long it is believed that a recipient does not exist.
        "negative" NEGATIVE: Duration = &values::DURATION, default(r#""1h""#) => verify.negative;
        /// How long the next hop may take in all.
        "timeout" TIMEOUT: Duration = &values::DURATION, default(r#""30s""#) => verify.timeout;
    }
}

section! {
    ldap "ldap.*" fills Directory {
        /// Required. The directory server: ldaps://host, ldap://host:389.
        "url" URL: String = &values::LDAP_URL => url;
        /// Whether an ldap:// connection is encrypted by STARTTLS.
        "start_tls" START_TLS: bool = &Flag, default("false") => start_tls;
        /// Who signs its certificate (PEM). Default: the well-known authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// The name to bind as. Default: nobody (anonymous).
        "bind" BIND: Option<String> = &Optional(values::TEXT) => bind;
        /// Its password: file:PATH or env:NAME.
        "secret" SECRET: Option<Secret> = &Optional(values::SECRET);
        /// Required. Where to search: dc=example,dc=com.
        "base" BASE: String = &values::TEXT => base;
        /// What to search for when asked for a recipient: %s is the address.
        "filter" FILTER: String = &values::TEXT,
            default(r#""(|(proxyAddresses=smtp:%s)(mail=%s))""#)
            => filter;
        /// What to search for when somebody signs in: %s is the name given.
        "user_filter" USER_FILTER: String = &values::TEXT,
            default(r#""(|(mail=%s)(userPrincipalName=%s)(uid=%s))""#) => user_filter;
        /// The attribute by which a user is known, whatever name was given; dn: the name of the
        /// entry.
        "user_name" USER_NAME: String = &values::TEXT, default(r#""mail""#) => user_name;
        /// How long a search may take.
        "timeout" TIMEOUT: Duration = &values::DURATION, default(r#""5s""#) => timeout;
    }
}

section! {
    route "route.*" fills RouteParts {
        /// Required. Hosts to hand mail to: [address]:port, [name] (no MX look-up), name, or
        /// /path/of/socket on this machine; or a table of that as host, with its weight in order = spread (1), and its own tls_name.
        "hosts" HOSTS: Vec<Item<HostSpec>> = &OneOrMany(SmartHost);
        /// A service whose port, encryption, kind of sign-in and limits are filled in, where nothing
        /// else is said here.
        "preset" PRESET: Option<Preset> = &Optional(words::SERVICES);
        /// What its hosts speak: smtp, or lmtp, as a server with mailboxes does, on a port of its
        /// own.
        "protocol" PROTOCOL: Protocol = &words::PROTOCOLS, default(r#""smtp""#)
            => delivery.protocol;
        /// The port of hosts given without one. Default: outbound.port.
        "port" PORT: Option<u16> = &Optional(words::PORT);
        /// failover: the next host only when one fails; spread: in random order, a host first as
        /// often as its weight among all of them says.
        "order" ORDER: bool = &words::ORDERS, default(r#""failover""#) => site.spread;
        /// How much encryption its hosts must give. Default: verify to sign in, otherwise
        /// outbound.tls.
        "tls" TLS: Option<TlsDemand> = &Optional(words::TLS_DEMANDS);
        /// The name that its hosts' certificates must be for, with tls = verify, where a host has
        /// none of its own. Default: each host's own name, or its address.
        "tls_name" TLS_NAME: Option<Domain> = &Optional(values::NAME) => site.tls_name;
        /// Who signs its hosts' certificates (PEM), for tls = verify. Default: the well-known
        /// authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// A client certificate to show (PEM).
        "certificate" CERTIFICATE: Vec<Item<PathBuf>> = &One(values::PATH);
        /// The key of the client certificate (PEM).
        "key" KEY: Vec<Item<PathBuf>> = &One(values::PATH);
        /// The address to connect from.
        "source_ip" SOURCE_IP: Option<IpAddr> = &Optional(values::ADDRESS) => delivery.source_ip;
        /// The name to give in EHLO. Default: hostname.
        "helo" HELO: Option<Domain> = &Optional(values::NAME) => delivery.helo;
        /// before: what goes there is looked at before it is taken; after: it is taken first, where
        /// all recipients of the message go by such routes, as with screening.after_above.
        "screen" SCREEN: bool = &words::SCREENED, default(r#""before""#);
        /// As whom all mail of ours goes there, in the reverse path and in the header, where no
        /// [[send_as]] says so.
        "send_as" SEND_AS: Option<Mailbox> = &Optional(values::MAILBOX);
        /// Connections at one time. Default: outbound.max_per_site.
        "max_connections" MAX_CONNECTIONS: Option<u32> = &Optional(words::COUNT)
            => site.connections_max;
        /// Messages on one connection. Default: outbound.messages_per_connection.
        "messages_per_connection" MESSAGES_PER_CONNECTION: Option<u32> = &Optional(words::COUNT)
            => site.messages_per_connection;
        /// Recipients in one transaction; 1 for an LMTP server that answers only once for all.
        /// Default: 100, or what the server says.
        "recipients_per_transaction" RECIPIENTS: Option<u32> = &Optional(words::COUNT)
            => delivery.recipients_max;
        /// How much may go there in a time, or a list of that: 30/1m (messages), 100 recipients/1m.
        /// What is over it waits. Default: outbound.rate.
        "rate" RATE: Option<Vec<Item<SendRate>>> = &Optional(OneOrMany(values::SEND_RATE));
        /// When mail goes there, as "Mon-Fri 18:00-07:00", "Sat" or "22:00-06:00", or a list of that,
        /// by the clock of queue.time_zone. Outside them it waits. Default: at any time.
        "hours" HOURS: Option<Vec<Item<HoursSpan>>> = &Optional(OneOrMany(values::HOURS));
        /// How long a connection may take to open. Default: outbound.timeout.
        "timeout" TIMEOUT: Option<Duration> = &Optional(values::DURATION) => site.timeout;
        /// How long its hosts may take over each step until a message is with them, and by LMTP over
        /// each answer after the first. Default: 5m for the greeting and commands, 2m to shake hands
        /// and for DATA, 3m for each piece of content, 30s for each such answer.
        "reply_timeout" REPLY_TIMEOUT: Option<Duration> = &Optional(values::DURATION)
            => delivery.reply_timeout;
    }
}

section! {
    route_large "route.*.large" {
        /// Required. A message of more octets than this is large.
        "over" OVER: Option<u64> = &Optional(values::SIZE);
        /// Required. When large messages go there, as in hours of the route, and within those.
        "hours" HOURS: Option<Vec<Item<HoursSpan>>> = &Optional(OneOrMany(values::HOURS));
    }
}

section! {
    route_auth "route.*.auth" {
        /// The name to sign in with; the connection is then always encrypted.
        "user" USER: Option<String> = &Optional(values::TEXT);
        /// Its password: file:PATH or env:NAME.
        "secret" SECRET: Option<Secret> = &Optional(values::SECRET);
        /// How to sign in with the password. Default: the best that the server offers.
        "mechanism" MECHANISM: Option<&'static str> = &Optional(words::PASSWORD_MECHANISMS);
        /// In place of a password: where to get a token (OAuth 2.0, client credentials).
        "token_url" TOKEN_URL: Option<String> = &Optional(values::HTTPS_URL);
        /// Who we are to the token endpoint.
        "client_id" CLIENT_ID: Option<String> = &Optional(values::TEXT);
        /// How we prove that: file:PATH or env:NAME.
        "client_secret" CLIENT_SECRET: Option<Secret> = &Optional(values::SECRET);
        /// Or by an assertion signed with this key (PEM).
        "assertion_key" ASSERTION_KEY: Option<PathBuf> = &Optional(values::PATH);
        /// The certificate of that key (PEM), named in the assertion.
        "assertion_certificate" ASSERTION_CERTIFICATE: Option<PathBuf> = &Optional(values::PATH);
        /// In whose name the assertion asks (the JWT bearer grant, as Google's service accounts do
        /// it): the sender's mailbox.
        "subject" SUBJECT: Option<String> = &Optional(values::TEXT);
        /// What the token is for: https://outlook.office365.com/.default
        "scope" SCOPE: Option<String> = &Optional(values::TEXT);
        /// Who signs the token endpoint's certificate (PEM). Default: the well-known authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
    }
}

section! {
    outbound "outbound" fills Sections {
        /// Where mail for domains that are not hosted here goes: mx, hosts, or the name of a
        /// [route.NAME].
        "route" ROUTE: Vec<Item<String>> = &OneOrMany(values::ROUTE), default(r#""mx""#);
        /// Whether mail goes by MX first, and by outbound.route only where DNS shows no host or none
        /// can be reached.
        "direct_first" DIRECT_FIRST: bool = &Flag, default("false");
        /// The port of MX hosts, and of hosts given without one.
        "port" PORT: u16 = &words::PORT, default("25");
        /// Over which addresses mail goes out: any, 4 or 6.
        "ip" IP: IpFamily = &words::FAMILIES, default(r#""any""#);
        /// How much encryption a next hop must give: off, opportunistic (if offered), require,
        /// verify (name and chain).
        "tls" TLS: TlsDemand = &words::TLS_DEMANDS, default(r#""opportunistic""#) => outbound.tls;
        /// Hold MX hosts to their TLSA records (RFC 7672), when the resolver is local and
        /// validates.
        "dane" DANE: bool = &Flag, default("true") => outbound.dane;
        /// Hold MX hosts to their domain's MTA-STS policy (RFC 8461).
        "mta_sts" MTA_STS: bool = &Flag, default("true") => outbound.mta_sts;
        /// By MX, to a server without DSN: send recipients with NOTIFY=NEVER the null reverse path,
        /// apart from the others (RFC 3461 section 5.2.2).
        "never_as_null" NEVER_AS_NULL: bool = &Flag, default("false") => outbound.never_as_null;
        /// Who signs certificates that are verified, of next hops and MTA-STS policies (PEM).
        /// Default: the well-known authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// The domain in place of those of senders that mean nothing to others: our own names,
        /// names without a dot, names of inner networks, addresses. In reverse paths, and in our
        /// notices.
        "masquerade_domain" MASQUERADE_DOMAIN: Option<Domain> = &Optional(values::NAME);
        /// Private or loopback addresses that an MX, or the host of an MTA-STS policy, may point to
        /// all the same.
        "private_mx" PRIVATE_MX: Vec<Item<IpNet>> = &List(values::NETWORK), default("[]");
        /// Connections at one time, in all.
        "max_connections" MAX_CONNECTIONS: u32 = &words::COUNT, default("1000")
            => queue.connections_max;
        /// How many in a hundred of outbound.max_connections only next hops may have that the
        /// configuration names.
        "reserved" RESERVED: u32 = &Whole { min: 0, max: 90 }, default("25")
            => queue.reserved_percent;
        /// How long an attempt may go on before a server takes MAIL, while others wait for a
        /// connection.
        "silence_timeout" SILENCE_TIMEOUT: Duration = &values::DURATION, default(r#""20s""#)
            => queue.silence_max;
        /// Connections at one time to one site.
        "max_per_site" MAX_PER_SITE: u32 = &words::COUNT, default("20")
            => queue.site_connections_max;
        /// Messages on one connection.
        "messages_per_connection" MESSAGES_PER_CONNECTION: u32 = &words::COUNT, default("100")
            => queue.messages_per_connection;
        /// How much may go to each site in a time, or a list of that: 30/1m (messages), 100
        /// recipients/1m. What is over it waits.
        "rate" RATE: Vec<Item<SendRate>> = &OneOrMany(values::SEND_RATE), default("[]");
        /// How long a connection may take to open.
        "timeout" TIMEOUT: Duration = &values::DURATION, default(r#""30s""#)
            => outbound.connect_timeout;
    }
}

section! {
    outbound_share "outbound.share" fills Sections {
        /// How many in a hundred our own notices may have at most.
        "notices" NOTICES: u32 = &words::PERCENT, default("20") => queue.notices_percent;
        /// How many in a hundred mail for domains hosted here may have, which strangers may send.
        "own_domains" OWN_DOMAINS: u32 = &words::PERCENT, default("75") => queue.strangers_percent;
        /// How many in a hundred mail from one sender domain may have.
        "sender_domain" SENDER_DOMAIN: u32 = &words::PERCENT, default("50") => queue.sender_percent;
    }
}

section! {
    dns "dns" fills Sections {
        /// Resolvers to ask, each an address or address:port. Default: the system's.
        "servers" SERVERS: Vec<Item<SocketAddr>> = &OneOrMany(values::RESOLVER), default("[]");
        /// How long one question may take in all.
        "timeout" TIMEOUT: Duration = &values::DURATION, default(r#""10s""#) => dns.timeout;
    }
}

section! {
    auth "auth" fills Sections {
        /// Who may sign in. Default: data_dir/users.toml.
        "users_file" USERS_FILE: Option<PathBuf> = &Optional(values::PATH),
            follows(|config| quoted(config.auth.users_file.display()));
        /// How users sign in; always under TLS. What not every source of users can answer is not
        /// offered.
        "mechanisms" MECHANISMS: Vec<Item<&'static str>> = &words::MECHANISMS,
            default(words::ALL_MECHANISMS);
        /// Failed sign-ins after which a session is closed.
        "max_failures" MAX_FAILURES: u32 = &Whole { min: 1, max: 100 }, default("3")
            => session.limits.sign_in_failures;
        /// Senders that a user may name: off any; listed those of the user's list, any without one;
        /// own its own address without one.
        "sender_match" SENDER_MATCH: SenderMatch = &words::SENDER_MATCHES, default(r#""listed""#);
        /// Names of [ldap.NAME] whose people may sign in, asked after the users file.
        "ldap" LDAP: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
    }
}

section! {
    auth_oauth "auth.oauth" {
        /// Whose tokens are taken: what stands in iss.
        "issuer" ISSUER: Option<String> = &Optional(values::TEXT);
        /// For whom they must be: what stands in aud.
        "audience" AUDIENCE: Option<String> = &Optional(values::TEXT);
        /// The issuer's keys (JWKS): an https URL, or file:PATH.
        "keys" KEYS: Option<KeySource> = &Optional(values::KEYS);
        /// The claim with the user's name.
        "user_claim" USER_CLAIM: String = &values::TEXT, default(r#""email""#);
        /// Signatures that are taken.
        "algorithms" ALGORITHMS: Vec<Item<&'static str>> = &words::ALGORITHMS,
            default(r#"["RS256", "ES256"]"#);
    }
}

section! {
    tls "tls" {
        /// The certificate chain (PEM), or several, of which the client chooses by name (SNI).
        /// Default: a self-signed one is made.
        "certificate" CERTIFICATE: Vec<Item<PathBuf>> = &words::PATHS;
        /// The keys of the certificates (PEM), in their order.
        "key" KEY: Vec<Item<PathBuf>> = &words::PATHS;
        /// The oldest TLS version.
        "min_version" MIN_VERSION: TlsVersion = &words::TLS_VERSIONS, default(r#""1.2""#);
        /// Who signs clients' certificates (PEM). Default: nobody, only fingerprints and keys
        /// count.
        "client_ca" CLIENT_CA: Option<PathBuf> = &Optional(values::PATH);
        /// Whether a certificate under client_ca that is for servers alone counts for a client too;
        /// not where a public authority is among them.
        "client_ca_server_purpose" CLIENT_CA_SERVER_PURPOSE: bool = &Flag, default("false");
        /// Session tickets for each TLS 1.3 handshake; 0: none, and no session is taken up again
        /// (for devices that stumble over them).
        "session_tickets" SESSION_TICKETS: u32 = &words::TICKETS, default("1");
    }
}

section! {
    tls_acme "tls.acme" {
        /// Certificates are got and renewed by ACME (RFC 8555), one for each of these names, where
        /// there is this section; to write it is to agree to the terms of the authority. Default:
        /// `hostname`. A name with *. in front needs dns-01.
        "names" NAMES: Vec<Item<String>> = &OneOrMany(values::CERTIFICATE_NAME),
            follows(|config| quoted(&config.hostname));
        /// The authority: the URL of its directory. Default: Let's Encrypt.
        "directory" DIRECTORY: String = &values::HTTPS_URL,
            default(r#""https://acme-v02.api.letsencrypt.org/directory""#);
        /// Who signs the certificate of the directory itself (PEM). Default: the well-known
        /// authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// The address of somebody whom the authority may write to.
        "contact" CONTACT: Option<Mailbox> = &Optional(values::MAILBOX);
        /// The name of our account at the authority's own site, where it takes none but those it
        /// knows (external account binding), with eab_key.
        "eab_key_id" EAB_KEY_ID: Option<String> = &Optional(values::TEXT);
        /// The key (HMAC) that goes with that name, in base64url: file:PATH or env:NAME. It is needed
        /// until the account is made.
        "eab_key" EAB_KEY: Option<Secret> = &Optional(values::SECRET);
        /// How we prove that a name is ours: http-01 (the authority asks port 80 of the name),
        /// tls-alpn-01 (port 443), dns-01 (it looks for a record that hook writes).
        "challenge" CHALLENGE: AcmeChallenge = &words::ACME_CHALLENGES, default(r#""http-01""#);
        /// Where http-01 and tls-alpn-01 are answered while a proof is under way, and nothing else
        /// is: an address and port, or a list. Default: port 80 or 443 of all addresses.
        "bind" BIND: Vec<Item<SocketAddr>> = &OneOrMany(values::BIND);
        /// The program that writes and removes the record of dns-01. It is called without a shell:
        /// add or remove, the name of the record, its text.
        "hook" HOOK: Option<PathBuf> = &Optional(values::PATH);
        /// How long the hook may take. It ends when the record can be seen from outside.
        "hook_timeout" HOOK_TIMEOUT: Duration = &values::DURATION, default(r#""5m""#);
        /// The kind of certificate to ask for, by the name that the directory gives it, as
        /// shortlived. Where the directory has none of that name, no certificate is asked for.
        "profile" PROFILE: Option<String> = &Optional(values::TEXT);
        /// Whether a new certificate is for the key of the one before, so that TLSA records of the
        /// key (3 1 1) stay true.
        "keep_key" KEEP_KEY: bool = &Flag, default("false");
    }
}

section! {
    authentication "authentication" {
        /// Check whether the client may send for the sender's domain (SPF, RFC 7208), of mail that
        /// anybody may send. What rules ask for is checked in any case.
        "spf" SPF: bool = &Flag, default("false");
        /// Verify the signatures of domains (DKIM, RFC 6376), likewise.
        "dkim" DKIM: bool = &Flag, default("false");
        /// Verify the chain of those who passed a message on (ARC, RFC 8617), likewise.
        "arc" ARC: bool = &Flag, default("false");
        /// Domains that pass on the mail of others, by the d= of their seals (google.com), whom we
        /// believe: a message that fails DMARC is not refused and not held for that if its chain
        /// holds, one of these sealed it last, and the first of them without a stranger behind it
        /// found DMARC, or a signature of the author's domain, good.
        "arc_trusted" ARC_TRUSTED: Vec<Item<Domain>> = &OneOrMany(values::NAME), default("[]");
        /// What is made of DMARC (RFC 9989): ignore; tag: check it, and SPF and DKIM with it, for
        /// the Authentication-Results field and for rules; respect: do what the author's domain asks
        /// for, refuse or hold what fails, postpone what cannot be told, and hold what names authors of
        /// several domains, where no rule of [[screen]] decided before.
        "dmarc" DMARC: Dmarc = &words::DMARC, default(r#""ignore""#);
        /// Clients that pass on the mail of others, whose messages are not refused and not held for
        /// DMARC: address, address/mask, range, or a list.
        "forwarders" FORWARDERS: Vec<Item<Entry>> = &OneOrMany(values::CLIENT), default("[]");
        /// The name under which results are written (authserv-id). Fields of this name that a message
        /// came with are taken out, whoever sends it.
        "id" ID: Option<Domain> = &Optional(values::NAME),
            follows(|config| quoted(&config.screening.id));
    }
}

section! {
    dkim "dkim.*" {
        /// Required. The name of its key within the domain (s=), or a list, one for each key.
        "selector" SELECTOR: Vec<Item<Domain>> = &OneOrMany(values::NAME), default("[]");
        /// Required. The file of the key (PEM), as gatepost dkim keygen makes it, or a list: each of
        /// them signs. One of them is an RSA key, as others are not known to every server.
        "key" KEY: Vec<Item<PathBuf>> = &OneOrMany(values::PATH), default("[]");
        /// Authors at the domains below this one are signed for as well, where those have no section
        /// of their own.
        "subdomains" SUBDOMAINS: bool = &Flag, default("false");
        /// After this time a signature counts no more (x=), which is longer than queue.expire; off:
        /// it counts as long as its key is published.
        "lifetime" LIFETIME: Option<Duration> = &OrOff(values::DURATION), default(r#""off""#);
    }
}

section! {
    screen "screen[]" {
        /// What the rule is called, in the log and to those who ask. Default: screen and its number.
        "name" NAME: Option<String> = &Optional(values::TEXT);
        /// What becomes of a message that it matches: accept (no rule behind it is asked), refuse,
        /// discard, hold, strip (the attachments that matched, for each a text in its place), or a
        /// list. Of accept, refuse, discard, hold and redirect_to the first that matches decides.
        "then" THEN: Vec<Item<ScreenWord>> = &OneOrMany(words::SCREEN), default("[]");
        /// The text with which it is refused.
        "message" MESSAGE: String = &values::TEXT,
            default(r#""Message refused by policy""#);
        /// It goes to this address in place of the recipient.
        "redirect_to" REDIRECT_TO: Option<Mailbox> = &Optional(values::MAILBOX);
        /// It goes to this address, too.
        "copy_to" COPY_TO: Option<Mailbox> = &Optional(values::MAILBOX);
        /// What is put in front of the subject, and a blank. Breaks signatures (DKIM) that the message came with.
        "tag" TAG: Option<String> = &Optional(values::SUBJECT_TAG);
        /// A field that is added to the header: "Name: value".
        "add_header" ADD_HEADER: Option<(String, String)> = &Optional(values::FIELD);
        /// What is added below the text. Breaks signatures (DKIM) that the message came with; what
        /// is encrypted itself gets none, what is signed only with footer_in_signed.
        "footer" FOOTER: Option<String> = &Optional(values::TEXT);
        /// The same as HTML. Default: made of the text.
        "footer_html" FOOTER_HTML: Option<String> = &Optional(values::TEXT);
        /// Messages that are signed themselves (S/MIME, PGP) get the footer as well, within what is
        /// signed: the signature does not hold any longer.
        "footer_in_signed" FOOTER_IN_SIGNED: bool = &Flag, default("false");
        /// What is added to its score for the rules that follow.
        "score" SCORE: i32 = &Whole { min: -1000, max: 1000 }, default("0");
        /// What it holds may be released and deleted by whoever reads of it in the digest
        /// (quarantine.link_url): its recipient, or the postmaster.
        "release_by_link" RELEASE_BY_LINK: bool = &Flag, default("false");
        /// Only say, in log and tracking, what it would have done.
        "dry_run" DRY_RUN: bool = &Flag, default("false");
    }
}

section! {
    screen_when "screen[].when" {
        /// in: to a domain of ours, from whoever may send to it; out: from those who may relay.
        "direction" DIRECTION: Option<Direction> = &Optional(words::DIRECTIONS);
        /// The listener through which it came, by its name, or a list.
        "listener" LISTENER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Its client: address, address/mask, range, or a list.
        "client" CLIENT: Vec<Item<Entry>> = &OneOrMany(values::CLIENT), default("[]");
        /// A DNS list that names its client, by the zone that `dnsbl` of its listener has, or a list of
        /// zones. Such a list refuses nobody by itself below dnsbl_threshold.
        "dnsbl" DNSBL: Vec<Item<Domain>> = &OneOrMany(values::NAME), default("[]");
        /// Who had signed in; * stands for any run of characters, or a list.
        "user" USER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Its sender (MAIL FROM): user@domain, domain, *.domain, <>, or a list.
        "from" FROM: Vec<Item<SenderPattern>> = &OneOrMany(values::SENDER), default("[]");
        /// Its recipient: user@domain, domain, *.domain, or a list. Others keep what is theirs.
        "to" TO: Vec<Item<SenderPattern>> = &OneOrMany(values::SENDER), default("[]");
        /// What came of SPF, or a list; of mail that anybody may send.
        "spf" SPF: Vec<Item<&'static str>> = &OneOrMany(words::SPF), default("[]");
        /// What came of DKIM: pass where one signature is good, none where there is none, or a list.
        "dkim" DKIM: Vec<Item<&'static str>> = &OneOrMany(words::DKIM), default("[]");
        /// What came of ARC, the chain of those who passed it on: none, pass, fail, or a list.
        "arc" ARC: Vec<Item<&'static str>> = &OneOrMany(words::ARC), default("[]");
        /// What came of DMARC, or a list. several-authors: the message names authors of several
        /// domains, of which DMARC judges none.
        "dmarc" DMARC: Vec<Item<&'static str>> = &OneOrMany(words::DMARC_RESULTS), default("[]");
        /// What the author's domain asks for where DMARC fails or cannot be told, or a list; nothing
        /// where authentication.arc_trusted counts.
        "dmarc_policy" DMARC_POLICY: Vec<Item<&'static str>> =
            &OneOrMany(words::DMARC_POLICIES), default("[]");
        /// What a scanner says of it: "NAME: infected", or clean, spam, reject, postpone, quarantine,
        /// discard, encrypted, limit, too-large, error; "NAME: score > 6", "NAME: score < 0"; or a list.
        "scanner" SCANNER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// It is larger than this.
        "larger_than" LARGER_THAN: Option<u64> = &Optional(values::SIZE);
        /// A field of its header: "Name", or "Name: words" as in words, or a list.
        "header" HEADER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Words in its subject, as in words.
        "subject" SUBJECT: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Words in its text and HTML, as in words.
        "text" TEXT: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Words in its subject, text or HTML: whole words in any case, /regular expression/,
        /// file:PATH with one of these a line, or a list.
        "words" WORDS: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// An attachment's name; * stands for any run of characters, or a list. This and the next
        /// ones up to attachment_larger_than have to hold of one attachment together; what is in
        /// archives counts as well.
        "attachment" ATTACHMENT: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// What stands behind the last dot of an attachment's name: exe, or a list.
        "extension" EXTENSION: Vec<Item<String>> = &OneOrMany(values::EXTENSION), default("[]");
        /// What an attachment is by its octets, whatever it is called, or a list.
        "kind" KIND: Vec<Item<contents::Kind>> =
            &OneOrMany(words::CONTENT_KINDS), default("[]");
        /// Whether an attachment's name has two extensions of which the last runs something:
        /// invoice.pdf.exe.
        "double_extension" DOUBLE_EXTENSION: Option<bool> = &Optional(Flag);
        /// Whether an attachment is something else than its name or type says.
        "mismatch" MISMATCH: Option<bool> = &Optional(Flag);
        /// An attachment is larger than this.
        "attachment_larger_than" ATTACHMENT_LARGER_THAN: Option<u64> = &Optional(values::SIZE);
        /// It has more attachments than this; what is in archives counts.
        "attachments_above" ATTACHMENTS_ABOVE: Option<u32> =
            &Optional(Whole { min: 0, max: 100_000 });
        /// Archives lie in each other deeper than this in it: 1 is an archive, 2 an archive in an
        /// archive; a .tar.gz is 2. What lies too deep to be opened is `unread`.
        "archive_depth_above" ARCHIVE_DEPTH_ABOVE: Option<u8> = &Optional(Whole { min: 0, max: 5 });
        /// Whether anything in it is encrypted.
        "encrypted" ENCRYPTED: Option<bool> = &Optional(Flag);
        /// Whether anything in it could not be looked into: damaged, encrypted, of a kind that is
        /// not opened, beyond the limits.
        "unread" UNREAD: Option<bool> = &Optional(Flag);
        /// The scores of the rules before this one add up to more than this.
        "score_above" SCORE_ABOVE: Option<i32> = &Optional(Whole { min: -100_000, max: 100_000 });
        /// The client's network, or the sender's domain where SPF passes, is worth less than this by
        /// what it did here; of mail that anybody may send.
        "reputation_below" REPUTATION_BELOW: Option<i32> = &Optional(Whole { min: -100, max: 20 });
    }
}

section! {
    scanner "scanner.*" {
        /// Required. How it is spoken to: clamd (ClamAV), rspamd (its normal worker), spamd
        /// (SpamAssassin), icap (RFC 3507), hook (a program that takes JSON over HTTP), milter, policy (a
        /// policy service as Postfix asks them, which sees no content).
        "kind" KIND: Option<ScannerKind> = &Optional(words::SCANNERS);
        /// Required. Where it is: /path/of/socket, host:port, or a list, of which the next one is asked
        /// where one does not answer.
        "address" ADDRESS: Vec<Item<ScannerAddress>> =
            &OneOrMany(values::SCANNER), default("[]");
        /// The path of the ICAP service or of the hook there: "/avscan".
        "service" SERVICE: Option<String> = &Optional(values::SERVICE);
        /// The password of rspamd, or the key by which questions to a hook are signed: file:PATH or
        /// env:NAME.
        "secret" SECRET: Option<Secret> = &Optional(values::SECRET);
        /// Which settings of its own rspamd uses for what comes from here (Settings-ID).
        "settings_id" SETTINGS_ID: Option<String> = &Optional(values::TEXT);
        /// Where rspamd (its controller) or spamd (with --allow-tell) is taught by
        /// `gatepost quarantine learn-spam` and `learn-ham`: an address, or a list, each of which
        /// learns. Default: nowhere.
        "learn_address" LEARN_ADDRESS: Vec<Item<ScannerAddress>> =
            &OneOrMany(values::SCANNER), default("[]");
        /// The password of rspamd's controller: file:PATH or env:NAME.
        "learn_secret" LEARN_SECRET: Option<Secret> = &Optional(values::SECRET);
        /// What rspamd learns as spam is added to its fuzzy list of this flag too, and what it learns
        /// as ham is taken from there. Default: to none.
        "learn_fuzzy_flag" LEARN_FUZZY_FLAG: Option<u32> =
            &Optional(Whole { min: 1, max: 2_147_483_647 });
        /// How much that counts there.
        "learn_fuzzy_weight" LEARN_FUZZY_WEIGHT: i32 =
            &Whole { min: 1, max: 1_000_000 }, default("10");
        /// How long one message, or one recipient, may take, waiting for its turn included.
        "timeout" TIMEOUT: Duration = &values::DURATION, default(r#""30s""#);
        /// It is not asked about messages that are larger than this; off: about all.
        "max_size" MAX_SIZE: Option<u64> = &OrOff(values::SIZE), default(r#""off""#);
        /// How many messages it looks at at one time; the others wait for their turn.
        "parallel" PARALLEL: u32 = &words::PARALLEL, default("16");
        /// Where a policy service is asked: rcpt, about each recipient, before there is a message; or
        /// end-of-message, about each message once it is there, beside scanners.
        "asked_at" ASKED_AT: bool = &words::ASKED_AT, default(r#""rcpt""#);
        /// It is asked about mail that goes this way alone, as `direction` in [[screen]] has it.
        /// Default: both; in where it is a policy service that is asked about recipients.
        "direction" DIRECTION: Option<Direction> = &Optional(words::DIRECTIONS);
        /// It is asked about what comes through these listeners alone. Default: all.
        "listener" LISTENER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// It is asked about mail to these alone: user@domain, domain, *.domain, or a list. Default: all.
        "to" TO: Vec<Item<SenderPattern>> = &OneOrMany(values::SENDER), default("[]");
        /// What becomes of a message in which it finds malware: refuse, hold, discard, accept.
        "infected" INFECTED: ScannerWord = &words::INFECTED, default(r#""refuse""#);
        /// Whether messages are refused, postponed, held and thrown away as it asks for.
        "obey" OBEY: bool = &Flag, default("true");
        /// To whom else a milter or rspamd may have messages sent: hosted (addresses at domains of
        /// ours), anybody, nobody.
        "may_add_recipients" MAY_ADD_RECIPIENTS: MayAdd = &words::MAY_ADD, default(r#""hosted""#);
        /// What becomes of a message that is larger than max_size: accept, hold, refuse.
        "too_large" TOO_LARGE: ScannerWord = &words::TOO_LARGE, default(r#""accept""#);
        /// What becomes of a message when it does not answer: postpone, accept, hold.
        "on_failure" ON_FAILURE: ScannerWord = &words::ON_FAILURE, default(r#""postpone""#);
    }
}

section! {
    send_as "send_as[]" {
        /// Required. As whom the mail goes out, in the reverse path and in the header: an address.
        "as" AS: Option<Mailbox> = &Optional(values::MAILBOX);
        /// Whose mail, by its sender: user@domain, domain, *.domain, or a list. Default: all.
        "senders" SENDERS: Vec<Item<SenderPattern>> = &OneOrMany(values::SENDER), default("[]");
        /// By the client that hands it in: address, address/mask, range, or a list. Default: all.
        "clients" CLIENTS: Vec<Item<Entry>> = &OneOrMany(values::CLIENT), default("[]");
        /// By the user who signed in, or a list. Default: all.
        "users" USERS: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
    }
}

section! {
    sender_route "sender_route[]" {
        /// Required. Whose mail, by its sender as it came: user@domain, domain, *.domain, *, or a
        /// list. The most specific of all such lines counts; what anybody may send, from <> and to
        /// domains of ours goes by its recipient.
        "senders" SENDERS: Vec<Item<SenderPattern>> = &OneOrMany(values::SENDER), default("[]");
        /// Required. Where it goes: mx, a host, an address, a list of them, or the name of a
        /// [route.NAME].
        "route" ROUTE: Vec<Item<String>> = &OneOrMany(values::ROUTE), default("[]");
    }
}

section! {
    send_only_to "send_only_to[]" {
        /// Which clients: address, address/mask, range, or a list. Needed where no certificates are
        /// named.
        "clients" CLIENTS: Vec<Item<Entry>> = &OneOrMany(values::CLIENT), default("[]");
        /// Client certificates whose holders these are, as in relay.certificates, from wherever they
        /// come; of a name, whoever vouches for it.
        "certificates" CERTIFICATES: Vec<Item<CertificateEntry>> = &words::CERTIFICATES,
            default("[]");
        /// Required. To whom alone they may send: user@domain, domain, *.domain, hosted (all domains
        /// hosted here), or a list.
        "recipients" RECIPIENTS: Vec<Item<RecipientPattern>> =
            &OneOrMany(values::RECIPIENT), default("[]");
    }
}

section! {
    limits "limits" fills Sections {
        /// Octets of a message. MB is 1,000,000, MiB 1,048,576.
        "message_size" MESSAGE_SIZE: u64 = &values::SIZE, default(r#""25MB""#)
            => session.limits.message_size;
        /// Octets of all messages of a session.
        "session_size" SESSION_SIZE: Option<u64> = &Optional(values::SIZE), default(r#""2GB""#)
            => session.limits.session_size;
        /// Recipients of a message from clients that may relay and from users (RFC 5321 section
        /// 4.5.3.1.8: at least 100).
        "recipients" RECIPIENTS: u32 = &Whole { min: 100, max: 50_000 }, default("1000")
            => session.limits.recipients;
        /// Recipients of a message from anybody else. Default: limits.recipients where that is
        /// written, otherwise 100.
        "recipients_of_strangers" RECIPIENTS_OF_STRANGERS: Option<u32> =
            &Optional(Whole { min: 100, max: 50_000 }),
            follows(|config| Some(config.session.limits.recipients_of_strangers.to_string()));
        /// Received fields of a message, against loops.
        "hops" HOPS: u32 = &Whole { min: 1, max: 200 }, default("30") => session.limits.hops;
        /// Refused commands of a session.
        "errors" ERRORS: u32 = &Whole { min: 1, max: 10_000 }, default("20")
            => session.limits.errors;
        /// Messages of a session.
        "messages" MESSAGES: u32 = &Whole { min: 1, max: 1_000_000 }, default("10000")
            => session.limits.messages;
        /// Commands between two messages that bring none forward: EHLO, RSET, NOOP, VRFY.
        "idle_commands" IDLE_COMMANDS: u32 = &Whole { min: 10, max: 10_000 }, default("100")
            => session.limits.idle_commands;
        /// Octets of a command line (RFC 5321 section 4.5.3.1.4: at least 512).
        "command_line" COMMAND_LINE: usize = &Whole { min: 512, max: 65_536 }, default("2048")
            => session.limits.command_line.line;
        /// Octets of a line of a message (RFC 5321 section 4.5.3.1.6: at least 1000).
        "content_line" CONTENT_LINE: usize = &Whole { min: 1000, max: 10_000_000 },
            default("65536") => session.limits.content_line;
        /// Octets of a message's header.
        "header_size" HEADER_SIZE: u64 = &values::SIZE, default(r#""1MiB""#)
            => session.limits.header_size;
        /// How long the first octets of a message may take (RFC 5321 section 4.5.3.2.4).
        "data_start_timeout" DATA_START_TIMEOUT: Duration = &values::DURATION, default(r#""2m""#)
            => session.limits.timeouts.data_initiation;
        /// How long each further block of a message may take (RFC 5321 section 4.5.3.2.5).
        "data_timeout" DATA_TIMEOUT: Duration = &values::DURATION, default(r#""3m""#)
            => session.limits.timeouts.data_block;
        /// Unknown recipients of a session, after which it is closed.
        "unknown_recipients" UNKNOWN_RECIPIENTS: u32 = &Whole { min: 1, max: 10_000 },
            default("10") => session.limits.unknown_recipients;
        /// How long a stranger waits for the third and every further refusal of a session; 0s: not
        /// at all.
        "tarpit" TARPIT: Duration = &values::DURATION, default(r#""1s""#) => session.tarpit;
        /// How long a stranger has to be silent before it is greeted.
        "greeting_delay" GREETING_DELAY: Duration = &values::DURATION, default(r#""0s""#)
            => admission.greeting_delay;
        /// Refuse strangers that send on before they have heard the answer to EHLO or DATA.
        "strict_pipelining" STRICT_PIPELINING: bool = &Flag, default("true")
            => session.strict_pipelining;
        /// Whether clients on loopback addresses are held to the rates of strangers too.
        "rate_loopback" RATE_LOOPBACK: bool = &Flag, default("false") => admission.limit_loopback;
    }
}

section! {
    limits_rate_per_client "limits.rate_per_client" fills Sections {
        /// Messages of one stranger's address (IPv6: /64) in a time: 600/1h.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_client.messages;
        /// Its recipients in a time.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_client.recipients;
        /// Its connections in a time.
        "connections" CONNECTIONS: Option<Rate> = &OrOff(values::RATE), default(r#""120/1m""#)
            => admission.per_client.connections;
        /// Its bounces that are turned back ([srs]) in a time.
        "bounces" BOUNCES: Option<Rate> = &OrOff(values::RATE), default(r#""120/1h""#)
            => admission.per_client.bounces;
    }
}

section! {
    limits_rate_per_network "limits.rate_per_network" fills Sections {
        /// Messages of strangers in one network (IPv4 /24, IPv6 /48) in a time.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_network.messages;
        /// Their recipients in a time.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_network.recipients;
        /// Their connections in a time.
        "connections" CONNECTIONS: Option<Rate> = &OrOff(values::RATE), default(r#""600/1m""#)
            => admission.per_network.connections;
        /// Their bounces that are turned back ([srs]) in a time.
        "bounces" BOUNCES: Option<Rate> = &OrOff(values::RATE), default(r#""600/1h""#)
            => admission.per_network.bounces;
    }
}

section! {
    limits_rate_per_user "limits.rate_per_user" fills Sections {
        /// Messages of one user in a time; the user's own limit in the users file goes before.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_user.messages;
        /// Recipients of one user in a time; the user's own limit goes before.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::RATE), default(r#""off""#)
            => admission.per_user.recipients;
    }
}

section! {
    guardian "guardian" fills Sections {
        /// What becomes of a message with which a user, a client that may relay or a sender domain
        /// is over a limit below: tell (it goes out, and the postmaster is told), postpone (4yz) or
        /// hold (until `gatepost queue release`). The postmaster is told in any case, once until
        /// nothing was too much for a day.
        "over_limit" OVER_LIMIT: Reaction = &words::REACTIONS, default(r#""tell""#)
            => guardian.over_limit;
        /// The same for whoever is over its own usual, which is learned from the days on which it
        /// sends; off: what is usual does not matter.
        "over_usual" OVER_USUAL: Option<Reaction> = &OrOff(words::REACTIONS),
            default(r#""tell""#) => guardian.over_usual;
        /// Over so many times the usual of a day, in a day, is over the usual.
        "usual_times" USUAL_TIMES: u32 = &Whole { min: 2, max: 1000 }, default("10")
            => guardian.usual_times;
        /// What is not over this number in a day is never over the usual.
        "usual_least" USUAL_LEAST: u32 = &words::COUNT, default("100") => guardian.usual_least;
    }
}

section! {
    guardian_per_user "guardian.per_user" fills Sections {
        /// Messages of one user to other domains than ours, in 1h to 24h: 200/1h.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_user.messages;
        /// Their recipients there.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_user.recipients;
        /// Those among them to whom the user never wrote, as far as is remembered.
        "new_recipients" NEW_RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE),
            default(r#""off""#) => guardian.per_user.new_recipients;
        /// Recipients of the user that are refused for good, here or by another server.
        "failures" FAILURES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_user.failures;
    }
}

section! {
    guardian_per_client "guardian.per_client" fills Sections {
        /// Messages of one client that may relay without a user (IPv6: /64), or of one account of
        /// this machine, to other domains than ours.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_client.messages;
        /// Their recipients there.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_client.recipients;
        /// Those among them to whom it never wrote, as far as is remembered.
        "new_recipients" NEW_RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE),
            default(r#""off""#) => guardian.per_client.new_recipients;
        /// Its recipients that are refused for good, here or by another server.
        "failures" FAILURES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_client.failures;
    }
}

section! {
    guardian_per_sender_domain "guardian.per_sender_domain" fills Sections {
        /// Messages of all users and clients that send as one domain, to other domains than ours.
        "messages" MESSAGES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_sender_domain.messages;
        /// Their recipients there.
        "recipients" RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_sender_domain.recipients;
        /// Those among them to whom nobody wrote as that domain, as far as is remembered.
        "new_recipients" NEW_RECIPIENTS: Option<Rate> = &OrOff(values::HOURLY_RATE),
            default(r#""off""#) => guardian.per_sender_domain.new_recipients;
        /// Recipients of mail as that domain that are refused for good, here or by another server.
        "failures" FAILURES: Option<Rate> = &OrOff(values::HOURLY_RATE), default(r#""off""#)
            => guardian.per_sender_domain.failures;
    }
}

section! {
    greylisting "greylisting" fills Sections {
        /// Whether a stranger has to come again (451) the first time that its network, the sender and
        /// the recipient meet.
        "enabled" ENABLED: bool = &Flag, default("false");
        /// How long it has to wait.
        "delay" DELAY: Duration = &values::DURATION, default(r#""5m""#) => greylisting.delay;
        /// How long after its first try it may come again; later it waits once more.
        "retry_within" RETRY_WITHIN: Duration = &values::DURATION, default(r#""2d""#)
            => greylisting.retry_within;
        /// How long what passed is remembered, from the last time that it was seen.
        "keep" KEEP: Duration = &values::DURATION, default(r#""36d""#) => greylisting.keep;
        /// How many bits of an IPv4 address name the client's network.
        "ipv4_prefix" IPV4_PREFIX: u8 = &Whole { min: 8, max: 32 }, default("24")
            => greylisting.ipv4_prefix;
        /// The same for IPv6.
        "ipv6_prefix" IPV6_PREFIX: u8 = &Whole { min: 16, max: 128 }, default("64")
            => greylisting.ipv6_prefix;
        /// Once mail of it was taken in so many hours, the network of a client waits no longer; off:
        /// it always does.
        "allow_after" ALLOW_AFTER: Option<u32> = &OrOff(words::COUNT), default("5")
            => greylisting.allow_after;
        /// Clients that never wait: address, address/mask, range, `*.host.name`.
        "clients" CLIENTS: Vec<Item<Entry>> = &words::CLIENTS, default("[]");
        /// Senders that never wait, whoever claims to be one: user@domain, domain, *.domain, <>.
        "senders" SENDERS: Vec<Item<SenderPattern>> = &List(values::SENDER), default("[]");
        /// Recipients whose mail never waits: user@domain, domain, *.domain.
        "recipients" RECIPIENTS: Vec<Item<SenderPattern>> = &List(values::SENDER), default("[]");
        /// Entries of a kind that are remembered: triplets that wait, triplets that passed, networks,
        /// domains. The oldest are forgotten first.
        "max_entries" MAX_ENTRIES: u32 = &Whole { min: 100, max: 1_000_000 }, default("100000")
            => greylisting.max_entries;
    }
}

section! {
    reputation "reputation" fills Sections {
        /// In this time the score of a client's network or a sender's domain halves. Scores are kept
        /// where greylisting is enabled or a [[screen]] asks for them.
        "half_life" HALF_LIFE: Duration = &values::DURATION, default(r#""7d""#)
            => greylisting.half_life;
    }
}

section! {
    after_queue "after_queue" {
        /// Required. The [route.NAME] of a filter to which every message goes once it is taken, before
        /// it goes on; it speaks LMTP where the route does not say protocol.
        "route" ROUTE: Option<String> = &Optional(values::TEXT);
        /// Required. The [listener.NAME] on which messages come back. It is for the filter alone, and
        /// what comes there goes on to anybody.
        "return_listener" RETURN_LISTENER: Option<String> = &Optional(values::TEXT);
        /// The addresses from which the filter connects; to be written where that listener is not on
        /// loopback alone.
        "from" FROM: Vec<Item<Entry>> = &words::CLIENTS, default(r#"["127.0.0.0/8", "::1"]"#);
    }
}

section! {
    late "screening" {
        /// Messages of more octets are taken first and looked at then (their 250 does not wait for
        /// that): what is refused bounces, where its sender is known to be who it says, and is held
        /// otherwise. off: all are looked at before the 250.
        "after_above" AFTER_ABOVE: Option<u64> = &OrOff(values::SIZE), default(r#""off""#);
        /// For how long it is tried to look at such a message, as while a scanner does not answer;
        /// then it is held in quarantine.
        "give_up" GIVE_UP: Duration = &values::DURATION, default(r#""1d""#);
    }
}

section! {
    quarantine "quarantine" {
        /// What screening holds is deleted after this age.
        "keep" KEEP: Duration = &values::DURATION, default(r#""30d""#);
        /// Octets of strangers' mail, and of all other mail, that are kept of it at most; beyond, the
        /// oldest is deleted.
        "max_size" MAX_SIZE: u64 = &values::SIZE, default(r#""1GB""#);
        /// Who is told once a day what was held since the last time: postmaster (of all), recipients
        /// (each at a domain of ours of his own), or off.
        "digest" DIGEST: Option<DigestTo> = &words::DIGESTS, default(r#""off""#);
        /// When, by the clock of queue.time_zone.
        "digest_at" DIGEST_AT: TimeOfDay = &values::TIME_OF_DAY, default(r#""07:00""#);
        /// From whom that comes. Default: from whom notices come.
        "digest_from" DIGEST_FROM: Option<Mailbox> = &Optional(values::MAILBOX);
        /// Where link_bind is reached: what a rule with release_by_link holds has a link in the digest
        /// that begins so, behind which its reader releases or deletes it.
        "link_url" LINK_URL: Option<String> = &Optional(values::HTTP_URL);
        /// Where the pages of these links are served, and nothing else. On loopback in clear, elsewhere
        /// by TLS alone, with the certificate of the console.
        "link_bind" LINK_BIND: Vec<Item<SocketAddr>> = &OneOrMany(values::BIND), default("[]"),
            fixed();
        /// How long a link counts.
        "link_expire" LINK_EXPIRE: Duration = &values::DURATION, default(r#""7d""#);
    }
}

section! {
    reports "reports" fills Sections {
        /// Once a day domains that ask for it in their DMARC record (rua) are told what came in their
        /// name from anybody, and what DMARC made of it (RFC 9990). Mail is checked for that as with
        /// authentication.dmarc = "tag", without a field.
        "dmarc" DMARC: bool = &Flag, default("false") => reports.dmarc;
        /// Once a day domains that ask for it (_smtp._tls, TLSRPT) are told how connections to their mail
        /// servers were encrypted, and why they were not as the domain's policy demands (RFC 8460).
        "tls" TLS: bool = &Flag, default("false") => reports.tls;
        /// As whom reports are sent, and whom their readers ask. A [dkim.DOMAIN] of its domain should
        /// sign them. Default: postmaster, as for bounces.
        "from" FROM: Option<Mailbox> = &Optional(values::MAILBOX),
            follows(|config| quoted(config.reports.from.as_ref()?)) => reports.from;
        /// The name of the organization in reports. Default: the host name.
        "organization" ORGANIZATION: Option<String> = &Optional(values::TEXT),
            follows(|config| quoted(config.reports.organization.as_ref()?)) => reports.organization;
        /// At which hour of the day they are sent, in UTC.
        "hour" HOUR: u32 = &words::HOUR, default("0") => reports.hour;
    }
}

section! {
    queue "queue" fills Sections {
        /// Pauses between attempts; the last repeats.
        "retry" RETRY: Vec<Item<Duration>> = &List(values::DURATION),
            default(r#"["1m", "5m", "15m", "30m", "1h", "2h", "4h"]"#),
            follows(|config| Some(pauses(&config.queue.retry)));
        /// After this age a message that cannot be delivered bounces.
        "expire" EXPIRE: Duration = &values::DURATION, default(r#""2d""#) => queue.expire;
        /// After this age the sender is told once that the message is late; off: never.
        "delay_notice" DELAY_NOTICE: Option<Duration> = &OrOff(values::DURATION),
            default(r#""12h""#)
            => queue.delay_notice;
        /// The zone in whose time route.NAME.hours are, by its name in the system's database
        /// (Europe/Berlin). Default: that of the system.
        "time_zone" TIME_ZONE: Option<String> = &Optional(values::TEXT);
        /// The longest pause before a site that is down is tried again.
        "probe" PROBE: Duration = &values::DURATION, default(r#""5m""#) => queue.probe;
        /// iis: retry 15m, 30m, 1h, 4h; delay_notice 12h; expire 2d.
        "preset" PRESET: Option<()> = &Optional(words::PRESETS);
        /// What becomes of a bounce that cannot be delivered: it is held as badmail, or dropped
        /// with a line in the log.
        "badmail" BADMAIL: bool = &words::BADMAIL, default(r#""keep""#) => queue.keep_badmail;
        /// After this age badmail is dropped.
        "badmail_age" BADMAIL_AGE: Duration = &values::DURATION, default(r#""14d""#)
            => notices.badmail_age;
        /// Octets of badmail that are kept at most; beyond, the oldest is dropped.
        "badmail_size" BADMAIL_SIZE: u64 = &values::SIZE, default(r#""100MB""#)
            => notices.badmail_size;
    }
}

section! {
    queue_ndr "queue.ndr" fills Sections {
        /// Who gets copies of notices.
        "copy_to" COPY_TO: Option<Mailbox> = &Optional(values::MAILBOX) => notices.copies.to;
        /// Of which notices: those of failure, of delay, of success, and about notices that could
        /// not be delivered.
        "copies" COPIES: Vec<Item<NoticeClass>> = &words::NOTICE_CLASSES,
            default(r#"["failed"]"#);
        /// What becomes of strangers' mail that cannot be delivered, for domains with `recipients`:
        /// its sender, who may be forged, gets a bounce; or it is held as badmail.
        "strangers" STRANGERS: bool = &words::STRANGERS, default(r#""send""#);
        /// Notices of success in a time for mail to domains hosted here, which strangers may send;
        /// further ones are left out.
        "success_rate" SUCCESS_RATE: Option<Rate> = &OrOff(values::RATE), default(r#""60/1m""#)
            => queue.success_notices;
        /// Tell strangers of success when they ask for it (NOTIFY=SUCCESS).
        "success_to_strangers" SUCCESS_TO_STRANGERS: bool = &Flag, default("true")
            => session.success_to_strangers;
        /// Octets of a message up to which a bounce returns it whole when the sender asked for that
        /// (RET=FULL); otherwise its header.
        "return_size" RETURN_SIZE: u64 = &values::SIZE, default(r#""50kB""#) => notices.return_size;
    }
}

section! {
    spool "spool" fills Sections {
        /// Where messages wait.
        "kind" KIND: bool = &words::SPOOL_KINDS, default(r#""local""#), fixed();
        /// Octets that new mail leaves free on its disk; messages on their way count.
        "min_free" MIN_FREE: u64 = &values::SIZE, default(r#""500MB""#), fixed() => spool.min_free;
        /// The shared database.
        "url" _: Option<String> = &Optional(values::TEXT), not_yet();
        /// The name of this node.
        "node" _: Option<String> = &Optional(values::TEXT), not_yet();
    }
}

section! {
    pickup "pickup" {
        /// Where programs put messages to be sent, as files NAME.eml. Off when left out.
        "directory" DIRECTORY: Option<PathBuf> = &Optional(values::PATH), fixed();
        /// How often it is looked into, beside what the system tells of it at once.
        "interval" INTERVAL: Duration = &values::DURATION, default(r#""1s""#), fixed();
        /// Senders that files may name: user@domain, domain, *.domain. Default: any.
        "senders" SENDERS: Vec<Item<SenderPattern>> = &List(values::SENDER), default("[]");
        /// Recipients that files may name: user@domain, domain, *.domain, hosted. Default: any.
        "recipients" RECIPIENTS: Vec<Item<RecipientPattern>> =
            &List(values::RECIPIENT), default("[]");
    }
}

section! {
    submit "submit" {
        /// The socket by which programs of this machine hand in messages, and nothing else.
        /// Off when left out.
        "socket" SOCKET: Option<PathBuf> = &Optional(values::PATH), fixed();
        /// Who may use it, as the mode of a file.
        "mode" MODE: u32 = &values::MODE, default(r#""0666""#), fixed();
        /// The group that it belongs to. Default: `group`.
        "group" GROUP: Option<String> = &Optional(values::TEXT), fixed();
        /// Senders that may be named there: user@domain, domain, *.domain. Default: any.
        "senders" SENDERS: Vec<Item<SenderPattern>> = &List(values::SENDER), default("[]");
        /// Recipients that may be named there: user@domain, domain, *.domain, hosted. Default: any.
        "recipients" RECIPIENTS: Vec<Item<RecipientPattern>> =
            &List(values::RECIPIENT), default("[]");
    }
}

section! {
    log "log" fills Sections {
        /// From which weight on lines are written.
        "level" LEVEL: LogLevel = &words::LOG_LEVELS, default(r#""info""#), fixed() => log.level;
        /// How a line looks.
        "format" FORMAT: Option<LogFormat> = &words::LOG_FORMATS, default(r#""text""#), fixed();
        /// A file to write to, in place of standard output.
        "file" FILE: Option<PathBuf> = &Optional(values::PATH), fixed();
        /// Octets of that file and of the one before it: at half of it, it becomes FILE.1, in place of
        /// an earlier one, so that the log never fills the disk where nobody moves it away.
        "max_size" MAX_SIZE: u64 = &values::SIZE, default(r#""1GB""#), fixed() => log.max_size;
        /// Free octets of that file's disk below which no line is written to it: the last is left to
        /// mail. Default: 64 MB more than `spool.min_free`, at most twice that.
        "min_free" MIN_FREE: Option<u64> = &Optional(values::SIZE),
            follows(|config| quoted(format_args!("{}B", config.log.min_free))), fixed();
        /// Octets of the files of all logs together, this one and each `[log.NAME]`: beyond, the
        /// oldest file goes, whichever log it is of; "off": as much as each log's own `max_size`
        /// allows.
        "total_size" TOTAL_SIZE: Option<u64> = &OrOff(values::SIZE), default(r#""off""#), fixed()
            => log.total_size;
        /// Whether to write to standard output, when there is no file. Default: true, but for
        /// `journald = true`, as systemd gives standard output to the journal.
        "stdout" STDOUT: Option<bool> = &Optional(Flag), fixed();
        /// Servers [syslog.NAME] to which it goes, beside the file or standard output.
        "syslog" SYSLOG: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]"), fixed();
        /// Whether to write to the journal of systemd, with a field for each field of a line.
        "journald" JOURNALD: bool = &Flag, default("false"), fixed() => log.journald;
        /// Which SMTP dialogues are kept beside what is tracked: of sessions in which something was
        /// refused and attempts in which something was not delivered, or all.
        "transcript" TRANSCRIPT: Transcripts = &words::TRANSCRIPTS, default(r#""failures""#)
            => log.transcript;
        /// What becomes of mail addresses in this log, in all others, in dialogues and in what is
        /// tracked: "hash" puts a keyed hash in place of what stands before the domain, the same for
        /// the same address; "cut" takes it away.
        "privacy" PRIVACY: Privacy = &words::PRIVACY, default(r#""off""#), fixed() => log.privacy;
    }
}

section! {
    protocol_log "log.*" {
        /// How a row looks: W3C extended, Microsoft IIS or NCSA common as IIS wrote them, lines of
        /// JSON; or what became of messages, in the words of Postfix.
        "format" FORMAT: Form = &words::PROTOCOL_LOG_FORMATS, default(r#""w3c""#);
        /// The server [syslog.NAME] to which it goes, in place of files; for json and maillog.
        "syslog" SYSLOG: Vec<Item<String>> = &One(values::TEXT);
        /// Whether it goes to the journal of systemd, in place of files; for json and maillog.
        "journald" JOURNALD: bool = &Flag, default("false");
        /// The folder of its files, and of nothing else. Default: data_dir/log/NAME.
        "directory" DIRECTORY: Option<PathBuf> = &Optional(values::PATH);
        /// The fields of the W3C format, or "all"; they stand in IIS's order.
        "fields" FIELDS: Vec<Item<&'static [Field]>> = &words::W3C_FIELDS,
            default(r#"["time", "c-ip", "cs-method", "cs-uri-stem", "sc-status"]"#);
        /// When another file is begun, by IIS's names for them.
        "rotation" ROTATION: Rotation = &words::ROTATIONS, default(r#""daily""#);
        /// Octets after which another file is begun, with `rotation = "size"`.
        "truncate_size" TRUNCATE_SIZE: u64 = &values::SIZE, default(r#""20480000B""#);
        /// How long a file is kept after its last row; "off": as long as there is room.
        "keep" KEEP: Option<Duration> = &OrOff(values::DURATION), default(r#""30d""#);
        /// Octets of all its files: beyond, the oldest go. No file has more than a quarter of it.
        "max_size" MAX_SIZE: u64 = &values::SIZE, default(r#""1GB""#);
        /// Free octets of its disk below which nothing is written.
        "min_free" MIN_FREE: u64 = &values::SIZE, default(r#""1GB""#);
        /// Whether a file that is gone on with after a restart has the `#` lines again, as IIS
        /// writes them.
        "repeat_header" REPEAT_HEADER: bool = &Flag, default("true");
        /// Whether files are named, and begun, by the clock of `queue.time_zone` and not by UTC.
        "local_time" LOCAL_TIME: bool = &Flag, default("false");
        /// The listeners whose sessions are written. Default: all.
        "listeners" LISTENERS: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Whether outgoing connections are written too.
        "outbound" OUTBOUND: bool = &Flag, default("true");
        /// The name by which lines of the maillog format are known, and all that goes to syslog.
        "program" PROGRAM: String = &values::TEXT, default(r#""gatepost""#);
    }
}

section! {
    syslog "syslog.*" {
        /// Required. Where messages go: "/dev/log", "udp://host:514", "tcp://host:514",
        /// "tls://host:6514".
        "to" TO: Option<Destination> = &Optional(values::SYSLOG);
        /// The form of a message. Default: rfc3164 for a socket of this machine, else rfc5424.
        "format" FORMAT: Option<SyslogForm> = &Optional(words::SYSLOG_FORMATS);
        /// How one message is told from the next on a connection, which is what the server expects:
        /// by its octets, counted, or by a line end. Default: octet-counting.
        "framing" FRAMING: Option<Framing> = &Optional(words::FRAMINGS);
        /// By which facility messages are known.
        "facility" FACILITY: Facility = &words::FACILITIES, default(r#""mail""#);
        /// Octets of a message at most: it is cut, before the server cuts it. Default: 8096; over
        /// UDP 2048.
        "max_bytes" MAX_BYTES: Option<usize> = &Optional(words::SYSLOG_BYTES);
        /// Who signs the server's certificate (PEM), which must be for the host's name. Default: the
        /// well-known authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// A client certificate to show (PEM).
        "certificate" CERTIFICATE: Vec<Item<PathBuf>> = &One(values::PATH);
        /// The key of the client certificate (PEM).
        "key" KEY: Vec<Item<PathBuf>> = &One(values::PATH);
    }
}

section! {
    tracking "tracking" fills Sections {
        /// Whether it is remembered what became of every recipient, refused ones included.
        "enabled" ENABLED: bool = &Flag, default("true"), fixed() => tracking.enabled;
        /// For how long.
        "keep" KEEP: Duration = &values::DURATION, default(r#""30d""#) => tracking.keep;
        /// Octets of the file at most: the oldest rows go first.
        "max_size" MAX_SIZE: u64 = &values::SIZE, default(r#""2GB""#) => tracking.max_size;
        /// Whether subjects are remembered, too.
        "subject" SUBJECT: bool = &Flag, default("false") => tracking.subject;
    }
}

section! {
    metrics "metrics" {
        /// Where metrics are served: /metrics for Prometheus, /live and /ready for whoever starts
        /// the relay anew or sends clients elsewhere. To everybody who can reach it: let that not
        /// be the Internet. Off when left out.
        "bind" BIND: Vec<Item<SocketAddr>> = &OneOrMany(values::BIND), fixed();
    }
}

section! {
    opentelemetry "opentelemetry" fills Sections {
        /// Where spans of sessions, messages and attempts are posted, as protobuf over HTTP (OTLP):
        /// "http://127.0.0.1:4318/v1/traces". The section needs it.
        "endpoint" ENDPOINT: Option<String> = &Optional(values::HTTP_URL), fixed();
        /// What stands in the field Authorization: file:PATH or env:NAME.
        "authorization" AUTHORIZATION: Option<Secret> = &Optional(values::SECRET), fixed();
        /// Who signs the certificate of an https:// endpoint (PEM). Default: the well-known
        /// authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH), fixed();
        /// Whether the trace that a message belongs to is taken from its field `traceparent` (W3C
        /// Trace Context), where its sender may relay, and such a field is put before every message.
        "trace_context" TRACE_CONTEXT: bool = &Flag, default("false") => session.trace_context;
    }
}

section! {
    console "console" {
        /// Where the console is served, or "off". On loopback in clear, elsewhere by TLS alone.
        "bind" BIND: Option<Vec<Item<SocketAddr>>> = &OrOff(OneOrMany(values::BIND)),
            default(r#""127.0.0.1:8025""#), fixed();
        /// Its certificate chain (PEM), or several, with which it is served by TLS on loopback too.
        /// Default: tls.certificate off loopback, none on it.
        "certificate" CERTIFICATE: Vec<Item<PathBuf>> = &words::PATHS;
        /// The keys of its certificates (PEM), in their order.
        "key" KEY: Vec<Item<PathBuf>> = &words::PATHS;
        /// Names by which browsers may ask for it, beside its addresses, localhost and `hostname`.
        "hostnames" HOSTNAMES: Vec<Item<Domain>> = &List(values::NAME), default("[]"), fixed();
        /// How long somebody stays signed in who asks for nothing.
        "idle_timeout" IDLE_TIMEOUT: Duration = &values::DURATION, default(r#""30m""#), fixed();
        /// How long somebody stays signed in at most.
        "absolute_timeout" ABSOLUTE_TIMEOUT: Duration = &values::DURATION, default(r#""12h""#),
            fixed();
    }
}

section! {
    console_oidc "console.oidc" {
        /// Who vouches for people at the console (OpenID Connect): an https URL, below which the
        /// issuer describes itself (/.well-known/openid-configuration).
        "issuer" ISSUER: Option<String> = &Optional(values::HTTPS_URL);
        /// Who we are to the issuer. There, the address of the console followed by
        /// /login/issuer/back has to be permitted to be led back to.
        "client_id" CLIENT_ID: Option<String> = &Optional(values::TEXT);
        /// How we prove that: file:PATH or env:NAME. Leave it out for a public client.
        "client_secret" CLIENT_SECRET: Option<Secret> = &Optional(values::SECRET);
        /// Who signs the issuer's certificate (PEM). Default: the well-known authorities.
        "ca" CA: Option<PathBuf> = &Optional(values::PATH);
        /// What the issuer is asked to tell.
        "scope" SCOPE: String = &values::TEXT, default(r#""openid email profile""#);
        /// The claim of the ID token with the user's name. A mailbox in email counts only where the
        /// issuer has verified it.
        "user_claim" USER_CLAIM: String = &values::TEXT, default(r#""email""#);
        /// The claim of the ID token by whose values roles are given; /realm_access/roles for one
        /// within another.
        "role_claim" ROLE_CLAIM: String = &values::TEXT, default(r#""groups""#);
        /// Values that make somebody an admin. Where none gives any role, the users file says who has
        /// one.
        "admin" ADMIN: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Values that make somebody an operator.
        "operator" OPERATOR: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Values that make somebody a viewer.
        "viewer" VIEWER: Vec<Item<String>> = &OneOrMany(values::TEXT), default("[]");
        /// Signatures that are taken.
        "algorithms" ALGORITHMS: Vec<Item<&'static str>> = &words::ALGORITHMS,
            default(r#"["RS256", "ES256"]"#);
        /// How long somebody stays signed in before the issuer is asked again.
        "absolute_timeout" ABSOLUTE_TIMEOUT: Duration = &values::DURATION, default(r#""1h""#);
    }
}

section! {
    control "control" {
        /// The socket for the command line. Default: data_dir/control.sock.
        "socket" SOCKET: Option<PathBuf> = &Optional(values::PATH),
            follows(|config| quoted(config.control.socket.display())), fixed();
    }
}

/// Every section, in the order in which they are shown.
pub(crate) static SECTIONS: &[&[&dyn Definition]] = &[
    top::ROWS,
    listener::ROWS,
    listener_connect::ROWS,
    listener_relay::ROWS,
    listener_dnsbl::ROWS,
    relay::ROWS,
    domain::ROWS,
    on_demand::ROWS,
    forward::ROWS,
    srs::ROWS,
    senders::ROWS,
    verify::ROWS,
    ldap::ROWS,
    route::ROWS,
    route_large::ROWS,
    route_auth::ROWS,
    outbound::ROWS,
    outbound_share::ROWS,
    dns::ROWS,
    auth::ROWS,
    auth_oauth::ROWS,
    tls::ROWS,
    tls_acme::ROWS,
    authentication::ROWS,
    dkim::ROWS,
    screen::ROWS,
    screen_when::ROWS,
    scanner::ROWS,
    after_queue::ROWS,
    late::ROWS,
    quarantine::ROWS,
    reports::ROWS,
    send_as::ROWS,
    sender_route::ROWS,
    send_only_to::ROWS,
    limits::ROWS,
    limits_rate_per_client::ROWS,
    limits_rate_per_network::ROWS,
    limits_rate_per_user::ROWS,
    guardian::ROWS,
    guardian_per_user::ROWS,
    guardian_per_client::ROWS,
    guardian_per_sender_domain::ROWS,
    greylisting::ROWS,
    reputation::ROWS,
    queue::ROWS,
    queue_ndr::ROWS,
    spool::ROWS,
    pickup::ROWS,
    submit::ROWS,
    log::ROWS,
    protocol_log::ROWS,
    syslog::ROWS,
    tracking::ROWS,
    metrics::ROWS,
    opentelemetry::ROWS,
    console::ROWS,
    console_oidc::ROWS,
    control::ROWS,
];
