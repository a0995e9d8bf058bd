//! What a wrong configuration says. Whoever reads it should not need the manual.

mod memory;

use config::Severity;
use memory::{Memory, bad};

/// Text, and the first line of the first error with its place.
const MISTAKES: &[(&str, &str)] = &[
    // Keys and sections are unknown, or a value stands for a section, or the reverse.
    ("hostnme = \"a.test\"", "1:1 unknown key `hostnme`"),
    ("[relay]\nalow = []", "2:1 unknown key `alow` in [relay]"),
    ("[rely]\nallow = []", "1:2 unknown section [rely]"),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nbanr = \"x\"",
        "3:1 unknown key `banr` in [listener.a]",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nconnect = { mod = 1 }",
        "3:13 unknown key `mod` in [listener.a.connect]",
    ),
    (
        "listener.a.bind = \"127.0.0.1:25\"\n[listener.a.relay]\naccept_risk = \"open-relay\"",
        "3:1 unknown key `accept_risk` in [listener.a.relay]",
    ),
    (
        "[relay.allow]\nx = 1",
        "1:1 `allow` in [relay] must be a list, each a client: address, block, range or `*.host.name`",
    ),
    (
        "[route.a]\nhosts = \"a.test\"\nreply_timeout = \"1ms\"",
        "3:17 no server replies within that",
    ),
    (
        "[domain.\"a.test\"]\nroute = \"b.test\"\non_demand.expire = \"1d\"",
        "1:9 nobody may ask for the mail that waits by [domain.\"a.test\".on_demand]",
    ),
    (
        "[domain.\"a.test\"]\non_demand = { clients = [\"192.0.2.1\"] }",
        "2:25 mail that clients ask for needs a `route` in [domain.\"a.test\"]",
    ),
    (
        "[domain.\"a.test\"]\ntype = \"local\"\non_demand = { users = \"ann\" }",
        "3:15 `users` in [domain.\"a.test\"] means nothing in a local domain",
    ),
    (
        "[domain.\"a.test\"]\nroute = \"b.test\"\non_demand = { users = \"ann\", expire = \"0s\" }",
        "3:39 `domain.\"a.test\".on_demand.expire` must be longer than nothing",
    ),
    (
        "[domain.\"a.test\"]\non_demand = true",
        "2:1 `on_demand` in [domain.\"a.test\"] is a section, not a value",
    ),
    ("relay = 5", "1:1 `relay` is a section, not a value"),
    (
        "listener = \"x\"",
        "1:1 `listener` is a section, not a value",
    ),
    (
        "[listener]\na = 1",
        "2:1 `a` in [listener] is a section, not a value",
    ),
    ("[screen]\nname = \"x\"", "1:2 `screen` is a list of tables"),
    (
        "[queue]\nbadmail = \"discard\"\nndr.strangers = \"badmail\"",
        "3:17 `strangers` is \"badmail\", which `queue.badmail` discards",
    ),
    (
        "[queue.ndr]\nreturn = 1",
        "2:1 unknown key `return` in [queue.ndr]",
    ),
    (
        "[route.a]\nhosts = \"/run/lmtp\"\nprotocol = \"lmtp\"\n[route.a.auth]\nuser = \"a\"\nsecret = \"env:HOME\"",
        "5:8 [route.a] signs in at a socket of this machine",
    ),
    (
        "[scanner.a]\nkind = \"clamd\"\naddress = \"/c\"\nasked_at = \"end-of-message\"",
        "4:12 `asked_at` is not read: only policy services can be asked at RCPT",
    ),
    (
        "[route.a]\nhosts = \"run/lmtp\"",
        "2:9 `hosts` in [route.a] must be a host: [address], [address]:port, name, name:port or /path/of/socket",
    ),
    (
        "[route.a]\nhosts = \"[192.0.2.1]\"\nprotocol = \"lmtp\"",
        "3:12 [route.a] speaks LMTP at port 25, which is SMTP's",
    ),
    ("\"\u{1b}[2J\" = 1", "1:1 unknown key `\\x1b[2J`"),
    // The file is not valid TOML, or sets a key twice.
    (
        "hostname = ",
        "1:12 this is not TOML: string values must be quoted, expected literal string",
    ),
    (
        "hostname = \"a.test",
        "1:19 this is not TOML: invalid basic string, expected `\"`",
    ),
    (
        "[relay",
        "1:7 this is not TOML: unclosed table, expected `]`",
    ),
    (
        "[relay]\nmode = \"only-list\"\nmode = \"only-list\"",
        "3:1 `mode` is set twice",
    ),
    ("[relay]\n[relay]", "2:2 `relay` is set twice"),
    // The value of an option is of the wrong kind or out of range.
    ("hostname = 5", "1:12 `hostname` must be a host name"),
    ("hostname = \"a..b\"", "1:12 `hostname` must be a host name"),
    (
        "postmaster = \"nobody\"",
        "1:14 `postmaster` must be a mail address",
    ),
    ("data_dir = \"\"", "1:12 `data_dir` must be a path"),
    (
        "include = \"a.toml\"",
        "1:11 `include` must be a list, each text in quotes",
    ),
    (
        "[listener.a]\nbind = 25",
        "2:8 `bind` in [listener.a] must be an address and port",
    ),
    (
        "[listener.a]\nbind = \"0.0.0.0\"",
        "2:8 `bind` in [listener.a] must be an address and port",
    ),
    (
        "[listener.a]\nbind = \"0.0.0.0:99999\"",
        "2:8 `bind` in [listener.a] must be an address and port",
    ),
    (
        "[listener.a]\nbind = [\"127.0.0.1:25\", \"x\"]",
        "2:25 `bind` in [listener.a] must be an address and port",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nkind = \"mxx\"",
        "3:8 `kind` in [listener.a] must be \"mx\", \"submission\" or \"submissions\"",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nidle_timeout = 5",
        "3:16 `idle_timeout` in [listener.a] must be a duration",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nidle_timeout = \"5\"",
        "3:16 `idle_timeout` in [listener.a] must be a duration",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nmax_sessions = 0",
        "3:16 `max_sessions` in [listener.a] must be a whole number from 1 to 1000000",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nmax_sessions = \"5\"",
        "3:16 `max_sessions` in [listener.a] must be a whole number from 1 to 1000000",
    ),
    (
        "[relay]\nsigned_in = \"yes\"",
        "2:13 `signed_in` in [relay] must be true or false",
    ),
    (
        "[relay]\nmode = \"all\"",
        "2:8 `mode` in [relay] must be \"only-list\" or \"all-except\"",
    ),
    (
        "[relay]\naccept_risk = true",
        "2:15 `accept_risk` in [relay] must be \"open-relay\"",
    ),
    (
        "[limits]\nmessage_size = 25",
        "2:16 `message_size` in [limits] must be a size",
    ),
    (
        "[limits]\nmessage_size = \"25mb\"",
        "2:16 `message_size` in [limits] must be a size",
    ),
    (
        "[limits]\nrecipients = 50",
        "2:14 `recipients` in [limits] must be a whole number from 100 to 50000",
    ),
    (
        "[outbound]\nport = 0",
        "2:8 `port` in [outbound] must be a whole number from 1 to 65535",
    ),
    (
        "[outbound]\nip = 5",
        "2:6 `ip` in [outbound] must be \"any\", 4 or 6",
    ),
    (
        "[outbound]\nprivate_mx = [\"10.0.0.0/33\"]",
        "2:15 `private_mx` in [outbound] must be an address or a block of addresses",
    ),
    (
        "[dns]\nservers = [\"dns.test\"]",
        "2:12 `servers` in [dns] must be a resolver's address",
    ),
    (
        "[senders]\nblocked = [\"a b\"]",
        "2:12 `blocked` in [senders] must be a sender: user@domain, domain, *.domain or <>",
    ),
    (
        "[ldap.x]\nsecret = \"hunter2\"",
        "2:10 `secret` in [ldap.x] must be a secret: \"file:PATH\" or \"env:NAME\"",
    ),
    // Lists of clients have wrong entries, or are not read in the mode that is set.
    (
        "[relay]\nallow = [\"10.0.0.1/8\"]",
        "2:10 `allow` in [relay] must be a client: address, block, range or `*.host.name`",
    ),
    (
        "[relay]\nallow = [\"office.test\"]",
        "2:10 `allow` in [relay] must be a client: address, block, range or `*.host.name`",
    ),
    (
        "[relay]\nallow = [\"*\"]",
        "2:10 `allow` in [relay] must be a client: address, block, range or `*.host.name`",
    ),
    (
        "[relay]\nallow = \"10.0.0.1\"",
        "2:9 `allow` in [relay] must be a list, each a client: address, block, range or `*.host.name`",
    ),
    (
        "[relay]\nexcept = [\"10.0.0.1\"]",
        "2:1 `except` in [relay] is not read: the mode is \"only-list\"",
    ),
    (
        "[relay]\nmode = \"all-except\"\nallow = [\"10.0.0.1\"]",
        "3:1 `allow` in [relay] is not read: the mode is \"all-except\"",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nconnect.allow = [\"10.0.0.1\"]",
        "3:9 `allow` in [listener.a.connect] is not read: the mode is \"all-except\"",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nrelay.except = []",
        "3:7 `except` in [listener.a.relay] is not read: the mode is \"only-list\"",
    ),
    // Listeners have no address, addresses that clash, or a bad banner.
    ("[listener.a]", "1:11 [listener.a] has no `bind`"),
    ("[listener.a]\nbind = []", "1:11 [listener.a] has no `bind`"),
    (
        "[listener.a]\nbind = [\"0.0.0.0:25\", \"0.0.0.0:587\"]",
        "1:11 the ports of [listener.a] are of different kinds",
    ),
    (
        "[listener.a]\nbind = \"0.0.0.0:25\"\n[listener.b]\nbind = \"0.0.0.0:25\"",
        "3:11 0.0.0.0:25 is bound twice",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nbanner = \"a\\r\\nb\"",
        "3:10 a banner is one line of at most 200 plain characters",
    ),
    // Domains and routes.
    ("[domain.\"a b\"]", "1:9 [domain.\"a b\"] names no domain"),
    (
        "[domain.\"a.test\"]\n[domain.\"A.test\"]",
        "2:9 [domain.\"A.test\"] is the same domain as one before",
    ),
    (
        "[domain.\"a.test\"]\nroute = \"10.0.0.256\"",
        "2:9 \"10.0.0.256\" is no host",
    ),
    (
        "[domain.\"a.test\"]\nroute = []",
        "2:9 a route needs a host",
    ),
    (
        "[domain.\"a.test\"]\nroute = [\"mx.test\", \"[x\"]",
        "2:21 \"[x\" is no host",
    ),
    (
        "[domain.\"a.test\"]\naccept_from = \"everyone\"",
        "2:15 `accept_from` in [domain.\"a.test\"] must be \"anyone\", \"relay\" or a list of clients",
    ),
    (
        "[domain.\"a.test\"]\nmessage = \"no\"",
        "2:1 `message` in [domain.\"a.test\"] means nothing in a remote domain",
    ),
    (
        "[domain.\"a.test\"]\ntype = \"blocked\"\nroute = \"mx\"",
        "3:1 `route` in [domain.\"a.test\"] means nothing in a blocked domain",
    ),
    ("[dkim.\"a b\"]", "1:7 [dkim.\"a b\"] names no domain"),
    (
        "[dkim.\"a.test\"]\nsubdomains = true",
        "1:7 [dkim.\"a.test\"] needs `selector` and `key`",
    ),
    (
        "[dkim.\"a.test\"]\nselector = [\"x\", \"y\"]\nkey = \"x.key\"",
        "1:7 each key needs its selector: 1 and 2",
    ),
    (
        "[dkim.\"a.test\"]\nselector = [\"x\", \"x\"]\nkey = [\"x.key\", \"y.key\"]",
        "2:18 the selector x names two keys",
    ),
    (
        "[dkim.\"a.test\"]\nselector = \"x\"\nkey = \"x.key\"\nlifetime = \"2d\"",
        "4:12 signatures end before the messages that wait longest are given up",
    ),
    ("[opentelemetry]", "1:2 [opentelemetry] says nothing"),
    (
        "[opentelemetry]\ntrace_context = true",
        "2:1 [opentelemetry] has no `endpoint`",
    ),
    ("[route.isp]", "1:8 [route.isp] has no `hosts`"),
    ("[route.isp]\nhosts = []", "1:8 [route.isp] has no `hosts`"),
    (
        "[route.isp]\nhosts = [\"mx.test:0\"]",
        "2:10 `hosts` in [route.isp] must be a host: [address], [address]:port, name, name:port or /path/of/socket",
    ),
    // TLS and sign-in.
    (
        "[tls]\ncertificate = \"a.crt\"",
        "2:15 each certificate needs its key: 1 and 0",
    ),
    (
        "[tls]\nkey = \"a.key\"",
        "2:7 each certificate needs its key: 0 and 1",
    ),
    (
        "[tls]\ncertificate = [\"a.crt\", \"b.crt\"]\nkey = \"a.key\"",
        "2:15 each certificate needs its key: 2 and 1",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\ncertificate = \"a.crt\"",
        "3:15 each certificate needs its key: 1 and 0",
    ),
    (
        "[tls]\nmin_version = \"1.1\"",
        "2:15 `min_version` in [tls] must be \"1.2\" or \"1.3\"",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nauth = \"optional\"\ntls = \"off\"",
        "4:7 [listener.a] offers sign-in without TLS",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:587\"\ntls = \"off\"",
        "3:7 [listener.a] offers sign-in without TLS",
    ),
    (
        "[auth]\nmechanisms = [\"CRAM-MD5\"]",
        "2:15 `mechanisms` in [auth] must be \"SCRAM-SHA-256-PLUS\", \"SCRAM-SHA-256\", \"PLAIN\", \"LOGIN\", \"OAUTHBEARER\" or \"XOAUTH2\"",
    ),
    (
        "[auth]\nmechanisms = []",
        "2:14 nobody can sign in without a mechanism",
    ),
    (
        "[auth]\nsender_match = \"yes\"",
        "2:16 `sender_match` in [auth] must be \"off\", \"listed\" or \"own\"",
    ),
    ("[auth]\nldap = [\"dc\"]", "2:9 there is no [ldap.dc]"),
    (
        "[auth.oauth]\nissuer = \"https://a.test\"\naudience = \"us\"",
        "2:1 [auth.oauth] has no `keys`",
    ),
    (
        "[auth.oauth]\nkeys = \"http://a.test/keys\"",
        "2:8 `keys` in [auth.oauth] must be an https URL or a file",
    ),
    (
        "[auth.oauth]\nalgorithms = [\"none\"]",
        "2:15 `algorithms` in [auth.oauth] must be \"RS256\", \"RS384\", \"RS512\", \"PS256\", \"PS384\", \"PS512\", \"ES256\", \"ES384\" or \"EdDSA\"",
    ),
    ("[console.oidc]\n", "1:10 [console.oidc] says nothing"),
    ("[auth]\noauth = {}", "2:1 [auth.oauth] says nothing"),
    ("[srs]\n# domain = \"a.test\"", "1:2 [srs] says nothing"),
    ("[after_queue]", "1:2 [after_queue] says nothing"),
    (
        "[console.oidc]\nissuer = \"https://a.test\"",
        "2:1 [console.oidc] has no `client_id`",
    ),
    (
        "[console.oidc]\nissuer = \"http://a.test\"\nclient_id = \"us\"",
        "2:10 `issuer` in [console.oidc] must be an https URL",
    ),
    (
        "[console.oidc]\nissuer = \"https://a.test\"\nclient_id = \"us\"\nscope = \"email\"",
        "4:9 without openid in its scope, no issuer says who somebody is",
    ),
    (
        "[console.oidc]\nissuer = \"https://a.test\"\nclient_id = \"us\"\nabsolute_timeout = \"0s\"",
        "4:20 `console.oidc.absolute_timeout` must be longer than nothing",
    ),
    (
        "[relay]\ncertificates = [\"sha256:12\"]",
        "2:17 `certificates` in [relay] must be a client certificate: \"sha256:...\", \"spki:sha256:...\" or a name",
    ),
    (
        "[relay]\ncertificates = [\"spki:ab\"]",
        "2:17 `certificates` in [relay] must be a client certificate: \"sha256:...\", \"spki:sha256:...\" or a name",
    ),
    (
        "[tls]\nclient_ca_server_purpose = true",
        "2:28 client_ca_server_purpose needs a client_ca",
    ),
    (
        "[tls]\nclient_ca_server_purpose = false\n[listener.b]\nbind = \"127.0.0.1:26\"\nclient_ca_server_purpose = true",
        "5:28 client_ca_server_purpose needs a client_ca",
    ),
    (
        "[listener.b]\nbind = \"127.0.0.1:587\"\nstarttls_except = [\"10.0.0.7\"]",
        "3:19 [listener.b] requires TLS of everybody",
    ),
    (
        "[listener.b]\nbind = \"127.0.0.1:465\"\nstarttls_except = [\"10.0.0.7\"]",
        "3:19 [listener.b] has no STARTTLS to withhold",
    ),
    (
        "[listener.b]\nbind = \"127.0.0.1:26\"\ntls = \"off\"\nstarttls_except = [\"10.0.0.7\"]",
        "4:19 [listener.b] has no STARTTLS to withhold",
    ),
    (
        "[listener.b]\nbind = \"127.0.0.1:26\"\nstarttls_except = [\"*.old.test\"]",
        "3:20 `*.old.test` is no address",
    ),
    ("[ldap.dc]\nbase = \"o=x\"", "1:7 [ldap.dc] has no `url`"),
    (
        "[ldap.dc]\nurl = \"dc.test\"",
        "2:7 `url` in [ldap.dc] must be an ldap or ldaps URL",
    ),
    (
        "[ldap.dc]\nurl = \"ldaps://dc.test\"\nbase = \"o=x\"\nstart_tls = true",
        "4:13 an ldaps:// connection is encrypted from the start",
    ),
    (
        "[ldap.dc]\nurl = \"ldaps://dc.test\"\nbase = \"o=x\"\nfilter = \"(mail=x)\"",
        "4:10 `filter` in [ldap.dc] finds the same for everybody",
    ),
    (
        "[ldap.dc]\nurl = \"ldaps://dc.test\"\nbase = \"o=x\"\nbind = \"cn=x\"",
        "1:7 [ldap.dc] needs `bind` and `secret` together",
    ),
    // Options about a domain's recipients are wrong, mean nothing, or name what is not there.
    (
        "[domain.\"a.test\"]\nrecipients = \"ann@a.test\"",
        "2:14 `recipients` in [domain.\"a.test\"] must be \"file:PATH\", \"ldap:NAME\", \"verify\" or a list of recipients",
    ),
    (
        "[domain.\"a.test\"]\nrecipients = [\"ann\", \"bob@b.test\"]",
        "2:22 \"bob@b.test\" is no recipient of this domain",
    ),
    (
        "[domain.\"*.a.test\"]\nrecipients = [\"ann\"]",
        "2:15 \"ann\" is no recipient of this domain",
    ),
    (
        "[domain.\"a.test\"]\nrecipients = \"ldap:dc\"",
        "2:14 there is no [ldap.dc]",
    ),
    (
        "[domain.\"a.test\"]\nrecipients = \"file:gone\"",
        "2:14 cannot read gone: entity not found",
    ),
    (
        "[domain.\"a.test\"]\nrecipients = [\"ann\"]\nrecipients_unasked = \"accept\"",
        "3:22 `recipients_unasked` in [domain.\"a.test\"] is not read",
    ),
    (
        "[domain.\"a.test\"]\ntype = \"local\"\nrecipients = \"verify\"",
        "3:14 [domain.\"a.test\"] is local: there is no next hop to ask",
    ),
    (
        "[domain.\"a.test\"]\ntype = \"blocked\"\nrecipients = \"verify\"",
        "3:1 `recipients` in [domain.\"a.test\"] means nothing in a blocked domain",
    ),
    // Who sends as whom, and to whom.
    (
        "[[send_as]]\nsenders = \"a.test\"",
        "1:1 [[send_as]] has no `as`",
    ),
    (
        "[[send_as]]\nas = \"a.test\"",
        "2:6 `as` in [[send_as]] must be a mail address",
    ),
    (
        "[[send_as]]\nas = \"j\u{fc}rgen@a.test\"",
        "2:6 an address beyond ASCII is not taken by every server",
    ),
    (
        "[[send_as]]\nas = \"a@b.test\"\nsenders = [\"c.test\", \"<>\"]",
        "3:11 what comes from <> is nobody's, and goes out as it came",
    ),
    (
        "[[send_as]]\nas = \"a@b.test\"\nsenders = \"a b\"",
        "3:11 `senders` in [[send_as]] must be a sender: user@domain, domain, *.domain or <>",
    ),
    (
        "[[send_as]]\nas = \"a@b.test\"\nclients = [\"10.0.0.1\", \"*.a.test\"]",
        "3:24 [[send_as]] knows clients by address alone",
    ),
    (
        "[[send_as]]\nas = \"a@b.test\"\nclients = \"10.0.0.1/8\"",
        "3:11 `clients` in [[send_as]] must be a client: address, block, range or `*.host.name`",
    ),
    (
        "[[send_as]]\nas = \"a@b.test\"\nuser = \"ann\"",
        "3:1 unknown key `user` in [[send_as]]",
    ),
    (
        "[send_as]\nas = \"a@b.test\"",
        "1:2 `send_as` is a list of tables",
    ),
    (
        "[route.a]\nhosts = \"[10.0.0.1]\"\nsend_as = \"\u{fc}@a.test\"",
        "3:11 an address beyond ASCII is not taken by every server",
    ),
    (
        "[[send_only_to]]\nclients = \"10.0.0.1\"",
        "1:1 [[send_only_to]] has no `recipients`",
    ),
    (
        "[[send_only_to]]\nrecipients = \"hosted\"",
        "1:1 [[send_only_to]] has neither `clients` nor `certificates`",
    ),
    (
        "[[send_only_to]]\nclients = \"10.0.0.1\"\nrecipients = []",
        "3:14 a list of recipients that names nobody",
    ),
    (
        "[[send_only_to]]\nclients = \"10.0.0.1\"\nrecipients = \"*\"",
        "3:14 `recipients` in [[send_only_to]] must be a recipient: user@domain, domain, *.domain or hosted",
    ),
    (
        "[[send_only_to]]\nclients = \"*.a.test\"\nrecipients = \"hosted\"",
        "2:11 [[send_only_to]] knows clients by address alone",
    ),
    // At the door.
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nproxy_protocol_from = [\"10.0.0.1\", \"0.0.0.0/0\"]",
        "3:36 `0.0.0.0/0` is no proxy",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nproxy_protocol_from = [\"::/1\"]",
        "3:24 `::/1` is no proxy",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\nproxy_protocol_from = [\"*.lb.test\"]",
        "3:24 `*.lb.test` is no proxy",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\n[[listener.a.dnsbl]]\nweight = 2",
        "3:1 a DNS list has no `zone`",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\ndnsbl = [{ zone = \"bl.test\", codes = [\"2\"] }]",
        "3:39 `codes` in [[listener.a.dnsbl]] must be an answer of a DNS list, or a range of them",
    ),
    (
        "[listener.a]\nbind = \"127.0.0.1:25\"\ndnsbl = [{ zone = \"bl.test\", weight = 2000 }]",
        "3:39 `weight` in [[listener.a.dnsbl]] must be a whole number from -1000 to 1000",
    ),
    (
        "[limits]\nrate_per_client = \"600\"",
        "2:19 `messages` in [limits.rate_per_client] must be a rate or \"off\"",
    ),
    (
        "[limits]\nrate_per_user = { connections = \"1/1h\" }",
        "2:19 unknown key `connections` in [limits.rate_per_user]",
    ),
    (
        "[guardian.per_user]\nmessages = \"5/10m\"",
        "2:12 `messages` in [guardian.per_user] must be a rate in 1h to 24h or \"off\"",
    ),
    (
        "[guardian.per_client]\nfailures = \"5/2d\"",
        "2:12 `failures` in [guardian.per_client] must be a rate in 1h to 24h or \"off\"",
    ),
    (
        "[guardian]\nover_limit = \"off\"",
        "2:14 `over_limit` in [guardian] must be \"tell\", \"postpone\" or \"hold\"",
    ),
    (
        "[greylisting]\nenabled = true\ndelay = \"1h\"\nretry_within = \"30m\"",
        "4:16 a client that waited for `delay` is too late for `retry_within`",
    ),
    (
        "[greylisting]\ndelay = \"3d\"",
        "2:9 `delay` in [greylisting] is longer than clients wait",
    ),
    (
        "[greylisting]\ndelay = \"0s\"",
        "2:9 `greylisting.delay` must be longer than nothing",
    ),
    (
        "[greylisting]\nkeep = \"1d\"",
        "2:8 `keep` forgets what passed before `retry_within` is over",
    ),
    (
        "[greylisting]\nrecipients = [\"<>\"]",
        "2:15 no message goes to <>",
    ),
    (
        "[greylisting]\nipv4_prefix = 33",
        "2:15 `ipv4_prefix` in [greylisting] must be a whole number from 8 to 32",
    ),
    (
        "[reputation]\nhalf_life = \"0s\"",
        "2:13 `reputation.half_life` must be longer than nothing",
    ),
    (
        "[limits]\nrate_per_network = 5",
        "2:1 `rate_per_network` in [limits] is a section, not a value",
    ),
    (
        "[limits]\ntarpit = \"2m\"",
        "2:10 `limits.tarpit` is longer than clients wait",
    ),
    (
        "[verify]\ntimeout = \"0s\"",
        "2:11 `verify.timeout` must be longer than nothing",
    ),
    // Sign-in and encryption elsewhere.
    (
        "[route.isp]\nhosts = \"mx.test\"\nauth.user = \"us\"",
        "1:8 [route.isp.auth] has no `secret`",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\ntls = \"off\"\nauth = { user = \"us\", secret = \"env:P\" }",
        "3:7 [route.isp] signs in without encryption",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\nauth = { user = \"us\", secret = \"env:P\", client_id = \"x\" }",
        "3:41 `client_id` in [route.isp.auth] is read with a `token_url` only",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\nauth = { user = \"us\", token_url = \"https://t.test\", client_id = \"x\" }",
        "1:8 [route.isp.auth] has no `client_secret`",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\ncertificate = \"a.crt\"",
        "3:15 each certificate needs its key: 1 and 0",
    ),
    (
        "[outbound]\ntls = \"always\"",
        "2:7 `tls` in [outbound] must be \"off\", \"opportunistic\", \"require\" or \"verify\"",
    ),
    // Hours.
    (
        "[route.isp]\nhosts = \"mx.test\"\nhours = [\"Mon-Fri 18:00-07:00\", \"weekend\"]",
        "3:33 `hours` in [route.isp] must be days and times of a week",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\nhours = []",
        "3:9 [route.isp] is never open",
    ),
    (
        "[route.isp]\nhosts = \"mx.test\"\nlarge.over = \"10MB\"",
        "1:8 [route.isp.large] has no `hours`",
    ),
    (
        "[queue]\ntime_zone = \"../../etc/passwd\"",
        "2:13 this machine knows no time zone \"../../etc/passwd\"",
    ),
    // Routes by sender.
    (
        "[[sender_route]]\nsenders = \"a.test\"",
        "1:1 [[sender_route]] has no `route`",
    ),
    (
        "[[sender_route]]\nroute = \"mx\"",
        "1:1 [[sender_route]] has no `senders`",
    ),
    (
        "[[sender_route]]\nsenders = []\nroute = \"mx\"",
        "1:1 [[sender_route]] has no `senders`",
    ),
    (
        "[[sender_route]]\nsenders = [\"a.test\", \"<>\"]\nroute = \"mx\"",
        "2:22 mail from <> goes where its recipient's domain says",
    ),
    (
        "[[sender_route]]\nsenders = [\"Ann@a.test\", \"*.b.test\"]\nroute = \"mx\"\n\
         [[sender_route]]\nsenders = \"ann@A.test\"\nroute = \"mx.test\"",
        "5:11 two routes for mail from ann@A.test",
    ),
    // What contradicts itself.
    (
        "[queue]\nretry = []",
        "2:9 `retry` in [queue] needs pauses, each longer than nothing",
    ),
    (
        "[queue]\nretry = [\"0s\"]",
        "2:9 `retry` in [queue] needs pauses, each longer than nothing",
    ),
    (
        "[queue]\nexpire = \"0s\"",
        "2:10 `queue.expire` must be longer than nothing",
    ),
    (
        "[limits]\nsession_size = \"1MB\"",
        "2:16 a session must be able to carry a message",
    ),
    (
        "[spool]\nkind = \"postgres\"",
        "2:8 the shared spool is not there yet",
    ),
    ("[log]\nstdout = false", "2:10 the log must go somewhere"),
    (
        "include = [\"*/a.toml\"]",
        "1:12 `include` names files in one directory",
    ),
];

#[test]
fn every_mistake_is_shown_where_it_is() {
    let mut wrong = Vec::new();
    for (text, expected) in MISTAKES {
        let errors = match Memory::default().with("gatepost.toml", text).load() {
            Ok(_) => {
                wrong.push(format!("{text:?}: no error"));
                continue;
            }
            Err(errors) => errors,
        };
        let first = &errors.0[0];
        let said = match &first.location {
            Some(at) => format!(
                "{}:{} {}",
                at.line,
                at.column,
                mail::escaped(&first.message)
            ),
            None => first.message.clone(),
        };
        if said != *expected {
            wrong.push(format!(
                "{text:?}:\n  expected {expected}\n  said     {said}"
            ));
        }
        assert!(!errors.to_string().contains('\u{1b}'), "{text:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn shown(text: &str) -> String {
    bad(text).to_string()
}

#[test]
fn a_misspelt_key_is_shown_with_the_right_one() {
    let text = format!("{}[relay]\nalow = [\"192.168.1.254\"]\n", "\n".repeat(11));
    let expected = "\
error: unknown key `alow` in [relay]
  --> gatepost.toml:13:1
13 | alow = [\"192.168.1.254\"]
   | ^^^^ did you mean `allow`?";
    assert_eq!(shown(&text), expected);
}

/// The log and the audit log say what is wrong with a configuration, too.
#[test]
fn a_secret_in_the_file_is_shown_to_nobody() {
    for text in [
        "[ldap.x]\nsecret = \"hunter2\"",
        "[ldap.x]\nsecret = \"hunter2",
        "[ldap.x]\nsercet = \"hunter2\"",
        "[ldap.x]\npassword = \"hunter2\"",
        "[ldap]\nx = { secret = \"env:A\", bind = 1, secret = \"hunter2\" }",
        "[srs]\nold_secrets = [\n  \"hunter2\",\n]",
        "route.x.auth = { user = \"a\", secret = 'hunter2', mechanism = 1 }",
    ] {
        let said = shown(text);
        assert!(
            said.contains("error: ")
                && said.contains("gatepost.toml:")
                && !said.contains("hunter2"),
            "{said}"
        );
    }
}

/// What people write who come from elsewhere is answered with what they need to know next.
#[test]
fn words_of_others_and_forms_of_windows_are_met_with_help() {
    for (text, help) in [
        (
            "[pickup]\ndirectory = \"C:\\inetpub\\mailroot\"",
            "text with backslashes stands in single quotes, as 'a\\b'; a path is one of this machine",
        ),
        (
            "[pickup]\ndirectory = 'C:\\inetpub\\mailroot\\Pickup'",
            "a path of Windows: write where it is on this machine, as \"/inetpub/mailroot/Pickup\"",
        ),
        (
            "[domain.\"a.test\"]\ntype = \"local\"\ndrop_directory = \"d:/Drop\"",
            "write where it is on this machine, as \"/Drop\"",
        ),
        (
            "data_dir = '\\\\files\\relay\\queue'",
            "write where it is on this machine, as \"/files/relay/queue\"",
        ),
        (
            "[tls]\ncertificate = 'C:\\tls\\relay.pem'",
            "write where it is on this machine, as \"/tls/relay.pem\"",
        ),
        (
            "[listener]\nbind = \"0.0.0.0:25\"",
            "give the section a name, as [listener.NAME]",
        ),
        (
            "[outbound]\nsmart_host = \"[10.0.0.5]\"",
            "here that is `outbound.route`",
        ),
        (
            "[outbound]\nmasquerade = \"a.test\"",
            "did you mean `masquerade_domain`?",
        ),
        (
            "[domain.\"a.test\"]\ndrop_directory = \"/d\"",
            "write type = \"local\", or take it out",
        ),
    ] {
        let shown = shown(text);
        assert!(shown.contains(help), "{shown}");
    }
}

#[test]
fn an_open_relay_is_shown_with_its_proof() {
    let text = format!(
        "\n\n[listener.internet]\nbind = \"0.0.0.0:25\"\n{}[relay]\nmode = \"all-except\"\nexcept = [\"198.51.100.7\"]\n",
        "\n".repeat(7)
    );
    let expected = "\
error: this configuration is an open relay
  --> gatepost.toml:13:8
13 | mode = \"all-except\"
   |        ^^^^^^^^^^^^ listener `internet` (line 3) takes strangers, and this lets all but 1 of them send anywhere
   = proof: 203.0.113.9 -> someone@elsewhere.example would be accepted
   = help: use mode = \"only-list\", or let only known clients connect (connect.mode = \"only-list\"), or set relay.accept_risk = \"open-relay\"";
    assert_eq!(shown(&text), expected);
}

#[test]
fn every_way_to_open_the_relay_is_refused_with_a_proof() {
    let open = [
        "[relay]\nallow = [\"0.0.0.0/0\"]",
        "[relay]\nallow = [\"0.0.0.0/1\", \"128.0.0.0/1\"]",
        "[relay]\nallow = [\"*.com\"]",
        "[domain.\"*\"]\nroute = \"mx\"",
        "[domain.\"*.co.uk\"]",
        "[listener.internet.relay]\nmode = \"all-except\"",
        "[relay]\nmode = \"all-except\"\n[listener.internet.connect]\nexcept = [\"10.0.0.0/8\"]",
    ];
    for text in open {
        let said = shown(&format!(
            "listener.internet.bind = \"0.0.0.0:25\"\n{text}\n"
        ));
        assert!(
            said.starts_with("error: this configuration is an open relay\n -->"),
            "{text}: {said}"
        );
        assert!(
            said.contains("  = proof: ") && said.contains(" would be accepted"),
            "{text}: {said}"
        );
        assert!(said.contains("relay.accept_risk"), "{text}: {said}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once_and_in_order() {
    let text = "hostnme = \"a\"\n[listener.a]\nbind = 25\n[relay]\nalow = []\nmode = 5\n[domain.\"a b\"]\n";
    let errors = bad(text);
    let lines: Vec<u32> = errors
        .0
        .iter()
        .filter_map(|d| Some(d.location.as_ref()?.line))
        .collect();
    assert_eq!(lines, [1, 3, 5, 6, 7]);
    assert!(errors.0.iter().all(|d| d.severity == Severity::Error));
    assert_eq!(errors.to_string().matches("error: ").count(), 5);
}

#[test]
fn a_key_set_in_two_files_names_both_places() {
    let files = Memory::default()
        .with(
            "gatepost.toml",
            "include = [\"conf.d/*.toml\"]\n[relay]\nallow = [\"10.0.0.1\"]\n",
        )
        .with("conf.d/more.toml", "\n[relay]\nallow = [\"10.0.0.2\"]\n");
    let said = files.load().map(|_| ()).expect_err("set twice").to_string();
    let expected = "\
error: `relay.allow` is set twice
 --> conf.d/more.toml:3:1
3 | allow = [\"10.0.0.2\"]
  | ^^^^^ first set at gatepost.toml:3";
    assert_eq!(said, expected);
}

#[test]
fn a_key_set_twice_in_one_file_names_both_places() {
    let said = shown("[queue]\nexpire = \"1d\"\nexpire = \"2d\"\n");
    assert!(
        said.contains("gatepost.toml:3:1") && said.contains("first set at gatepost.toml:2"),
        "{said}"
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let missing = Memory::default()
        .load()
        .map(|_| ())
        .expect_err("no file")
        .to_string();
    assert!(
        missing.starts_with("error: cannot read gatepost.toml: "),
        "{missing}"
    );
    let files = Memory::default().with("gatepost.toml", "include = [\"gone.toml\"]\n");
    let missing = files.load().map(|_| ()).expect_err("no file").to_string();
    assert!(
        missing.starts_with("error: cannot read gone.toml: "),
        "{missing}"
    );
    assert!(missing.contains("gatepost.toml:1:12"), "{missing}");
}

#[test]
fn text_in_another_encoding_is_shown_where_it_begins() {
    let files = Memory::default().with("gatepost.toml", b"# fine\nhostname = \"b\xfccher.test\"\n");
    let said = files.load().map(|_| ()).expect_err("Latin-1").to_string();
    assert!(
        said.starts_with("error: the file is not UTF-8\n --> gatepost.toml:2:14\n"),
        "{said}"
    );
}

#[test]
fn a_mistake_in_a_very_long_line_is_still_shown_in_one_line() {
    let text = format!(
        "[relay]\nallow = [{}\"oops\"]\n",
        "\"10.0.0.1\", ".repeat(50_000)
    );
    let errors = bad(&text);
    let at = errors.0[0].location.as_ref().unwrap();
    assert_eq!(
        at.text
            .chars()
            .skip(at.indent)
            .take(at.width)
            .collect::<String>(),
        "\"oops\""
    );
    assert!(errors.to_string().len() < 1000);
}

#[test]
fn no_more_problems_are_shown_than_help() {
    let text: String = (0..5000).map(|n| format!("k{n} = 1\n")).collect();
    let errors = bad(&text);
    assert_eq!(errors.0.len(), 101);
    assert_eq!(errors.0[100].message, "and 4900 more");
}

#[test]
fn nothing_that_is_text_makes_the_parser_panic() {
    let seed = "[listener.a]\nbind = [\"0.0.0.0:25\"]\nconnect = { mode = \"only-list\", allow = [\"ü\"] }\n[[screen]]\nname = 'x'\n";
    for cut in (0..seed.len()).filter(|n| seed.is_char_boundary(*n)) {
        for glue in ["", "\"", "]", "}", "=", "\r", "\0", "ü", "[["] {
            let text = format!("{}{glue}{}", &seed[..cut], &seed[cut..]);
            let _ = config::parse("f", &text, &memory::environment());
            let _ = config::parse(
                "f",
                &text[..text.floor_char_boundary(cut + 1)],
                &memory::environment(),
            );
        }
    }
}
