//! Who comes in and how: TLS, sign-in, recipients, DNS lists, rates, proxies; and how we go to
//! others.

mod memory;

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use admission::{GuardianLimits, Limit, Rate, RateLimits, Reaction};
use config::*;
use mail::{Domain, Host, Mailbox};
use memory::{Memory, good};
use relay_policy::{
    CertificatePattern, RecipientList, RecipientSource, Recipients, Rules, SenderMatch,
};
use route::TlsDemand;

/// A rate's number and its seconds.
fn rate(limit: &Option<Limit<Rate>>) -> Option<(u32, u64)> {
    let rate = limit.as_ref()?.value;
    Some((rate.count, rate.per.as_secs()))
}

fn listener(text: &str) -> Listener {
    let loaded = good(&format!("[listener.a]\n{text}\n"));
    assert_eq!(loaded.warnings, [], "{text}");
    loaded.config.listeners.into_iter().next().unwrap()
}

#[test]
fn the_kind_of_a_listener_says_what_it_demands() {
    // Text; TLS offered, required, from the first octet; sign-in offered, required.
    let cases = [
        ("bind = \"0.0.0.0:25\"", "offer", "off"),
        ("bind = \"0.0.0.0:587\"", "require", "required"),
        ("bind = \"0.0.0.0:465\"", "implicit", "required"),
        (
            "bind = \"0.0.0.0:2525\"\nkind = \"submission\"",
            "require",
            "required",
        ),
        ("bind = \"0.0.0.0:587\"\nkind = \"mx\"", "offer", "off"),
        (
            "bind = \"0.0.0.0:25\"\nauth = \"optional\"",
            "offer",
            "optional",
        ),
        (
            "bind = \"0.0.0.0:587\"\nauth = \"off\"\ntls = \"off\"",
            "off",
            "off",
        ),
        (
            "bind = \"0.0.0.0:587\"\ntls = \"offer\"",
            "offer",
            "required",
        ),
        (
            "bind = \"0.0.0.0:2465\"\ntls = \"implicit\"",
            "implicit",
            "off",
        ),
    ];
    for (text, tls, auth) in cases {
        let listener = listener(text);
        let rules = &listener.rules.listener;
        let said = (
            rules.tls.offered,
            rules.tls.required,
            listener.implicit_tls,
            rules.sign_in.offered,
            rules.sign_in.required,
        );
        let expected = (
            tls != "off",
            tls == "require" || tls == "implicit",
            tls == "implicit",
            auth != "off",
            auth == "required",
        );
        assert_eq!(said, expected, "{text}");
    }
}

#[test]
fn everybody_knows_where_users_sign_in() {
    let text = "[listener.in]\nbind = \"0.0.0.0:25\"\n[listener.sub]\nbind = \"0.0.0.0:587\"\n";
    let config = good(text).config;
    let at = |rules: &Rules| rules.listener.sign_in_at.as_deref().map(str::to_owned);
    for rules in [
        &config.rules,
        &config.listeners[0].rules,
        &config.listeners[1].rules,
    ] {
        assert_eq!(at(rules).as_deref(), Some("port 587"));
    }
    let free = listener("bind = \"127.0.0.1:0\"\nkind = \"submission\"");
    assert_eq!(at(&free.rules).as_deref(), Some("listener a"));
    assert_eq!(at(&listener("bind = \"127.0.0.1:25\"").rules), None);
}

#[test]
fn a_listener_replaces_tls_key_by_key() {
    let text = r#"
        [tls]
        certificate = ["one.crt", "two.crt"]
        key = ["one.key", "two.key"]
        client_ca = "ca.crt"
        client_ca_server_purpose = true
        [listener.a]
        bind = "127.0.0.1:25"
        [listener.b]
        bind = "127.0.0.1:26"
        certificate = "b.crt"
        key = "b.key"
        min_version = "1.3"
        session_tickets = 0
        [listener.c]
        bind = "127.0.0.1:27"
        client_ca = "other.crt"
        client_ca_server_purpose = false
    "#;
    let files = Memory::default().with("etc/gatepost.toml", text);
    let path = std::path::Path::new("etc/gatepost.toml");
    let config = load(path, &files, &memory::environment()).unwrap().config;
    let shown = |n: usize| {
        let tls = &config.listeners[n].tls;
        let chains = tls.certificates.iter();
        let pairs = chains.map(|c| format!("{}+{}", c.chain.display(), c.key.display()));
        let pairs: Vec<String> = pairs.collect();
        let ca = tls.client_ca.as_ref().unwrap().display();
        let servers = tls.client_ca_server_purpose;
        let tickets = tls.session_tickets;
        let version = tls.min_version;
        format!("{} {version:?} {ca} {servers} {tickets}", pairs.join(" "))
    };
    let two = "etc/one.crt+etc/one.key etc/two.crt+etc/two.key V1_2";
    assert_eq!(shown(0), format!("{two} etc/ca.crt true 1"));
    assert_eq!(shown(1), "etc/b.crt+etc/b.key V1_3 etc/ca.crt true 0");
    assert_eq!(shown(2), format!("{two} etc/other.crt false 1"));
    assert_eq!(config.tls, config.listeners[0].tls);
    assert_eq!(good("").config.tls, Tls::default());
}

#[test]
fn client_certificates_are_global_or_the_listeners_own() {
    let print = "ab".repeat(32);
    let text = format!(
        "[tls]\nclient_ca = \"ca.crt\"\n[relay]\ncertificates = [\"sha256:{print}\"]\n\
         [listener.a]\nbind = \"127.0.0.1:25\"\n\
         [listener.b]\nbind = \"127.0.0.1:26\"\nrelay.certificates = [\"Branch.test\"]\n"
    );
    let loaded = good(&text);
    assert_eq!(loaded.warnings, []);
    let entries = |n: usize| loaded.config.listeners[n].rules.relay.certificates.clone();
    assert_eq!(
        entries(0)[0].pattern,
        CertificatePattern::Fingerprint([0xab; 32])
    );
    assert_eq!(
        entries(1)[0].pattern,
        CertificatePattern::Name("branch.test".into())
    );
    assert_eq!(entries(1)[0].place.to_string(), "gatepost.toml:9");
    assert_eq!(loaded.config.rules.relay.certificates, entries(0));
    let unknown = good(&text.replace("client_ca", "#"));
    let warned: Vec<&str> = unknown
        .warnings
        .iter()
        .map(|w| w.message.as_str())
        .collect();
    assert_eq!(
        warned,
        ["certificates for `Branch.test` never count in [listener.b]"]
    );
}

#[test]
fn dns_lists_have_codes_weights_and_words() {
    let text = r#"
        bind = "127.0.0.1:25"
        dnsbl_threshold = 2
        dnsbl_except = ["192.0.2.0/24"]
        dnsbl = [
          { zone = "zen.test", codes = ["127.0.0.2", "127.0.0.4-127.0.0.7"], weight = 2, reply = "%0 is on %1" },
          { zone = "good.test", weight = -5 },
        ]
    "#;
    let config = good(&format!(
        "[listener.a]\n{text}\n[listener.b]\nbind = \"127.0.0.1:26\"\n[[listener.b.dnsbl]]\nzone = \"b.test\"\n[[listener.b.dnsbl]]\nzone = \"c.test\"\n"
    ))
    .config;
    let lists = &config.listeners[0].rules.dns_lists;
    assert_eq!(lists.threshold, 2);
    assert_eq!(lists.except.entries().len(), 1);
    let [zen, wanted] = lists.lists.as_slice() else {
        panic!("{lists:?}");
    };
    let code = |last| Ipv4Addr::new(127, 0, 0, last);
    assert_eq!(
        zen.codes,
        [(code(2), code(2)), (code(4), code(7))],
        "each a range"
    );
    assert_eq!(
        (zen.zone.as_str(), zen.weight, zen.reply.as_deref()),
        ("zen.test", 2, Some("%0 is on %1"))
    );
    assert_eq!((wanted.weight, wanted.codes.len()), (-5, 0));
    let others = &config.listeners[1].rules.dns_lists;
    let zones: Vec<&str> = others.lists.iter().map(|l| l.zone.as_str()).collect();
    assert_eq!((zones, others.threshold), (vec!["b.test", "c.test"], 1));
    let idle = good(
        "[listener.a]\nbind = \"127.0.0.1:25\"\ndnsbl_threshold = 2\ndnsbl = [{ zone = \"zen.test\" }]\n",
    );
    assert_eq!(
        idle.warnings[0].message,
        "the DNS lists of [listener.a] never refuse anybody"
    );
}

#[test]
fn proxies_are_named() {
    let listener = listener(
        "bind = \"127.0.0.1:25\"\nproxy_protocol_from = [\"10.0.0.0/8\", \"fd00::/8\", \"127.0.0.1\"]",
    );
    assert_eq!(listener.proxies.entries().len(), 3);
}

fn recipients(config: &Config, domain: &str) -> Recipients {
    let domain = Domain::parse(domain).unwrap();
    let rule = config.rules.domains.find(&domain).unwrap();
    rule.recipients.clone()
}

fn list(config: &Config, domain: &str) -> Arc<RecipientList> {
    match recipients(config, domain) {
        Recipients::List(list) => list,
        other => panic!("{other:?}"),
    }
}

#[test]
fn recipients_are_listed_or_asked_for() {
    let text = r#"
        [domain."a.test"]
        recipients = ["Ann", "bob@a.test"]
        [domain."*.b.test"]
        recipients = "file:people/b"
        [domain."c.test"]
        recipients = "ldap:dc"
        recipients_unasked = "accept"
        [domain."d.test"]
        recipients = "verify"
        [domain."e.test"]
        [ldap.dc]
        url = "ldaps://dc.test"
        base = "dc=test"
    "#;
    let people = "# people\r\n\r\nann@x.b.test  # on leave\r\n  b#b@y.b.test\n";
    let config = Memory::default()
        .with("gatepost.toml", text)
        .with("people/b", people)
        .load()
        .unwrap()
        .config;
    let has = |domain: &str, address: &str| {
        list(&config, domain).contains(&Mailbox::parse(address).unwrap())
    };
    assert!(has("a.test", "ann@a.test") && has("a.test", "BOB@a.test"));
    assert!(!has("a.test", "carl@a.test"));
    assert!(has("x.b.test", "ann@x.b.test") && has("x.b.test", "b#b@y.b.test"));
    assert_eq!(list(&config, "x.b.test").len(), 2);
    assert_eq!(
        list(&config, "x.b.test").place().to_string(),
        "gatepost.toml:5"
    );
    assert_eq!(config.list_files, [PathBuf::from("people/b")]);
    let asked = |domain: &str| match recipients(&config, domain) {
        Recipients::Ask {
            source,
            accept_unasked,
            place,
        } => (source, accept_unasked, place.to_string()),
        other => panic!("{other:?}"),
    };
    let ldap = RecipientSource::Ldap("dc".into());
    assert_eq!(asked("c.test"), (ldap, true, "gatepost.toml:8".into()));
    let next_hop = RecipientSource::NextHop;
    assert_eq!(
        asked("d.test"),
        (next_hop, false, "gatepost.toml:10".into())
    );
    assert!(matches!(recipients(&config, "e.test"), Recipients::Any));
}

#[test]
fn a_wrong_line_of_a_file_is_shown_where_it_is() {
    let files = Memory::default()
        .with(
            "gatepost.toml",
            "[domain.\"a.test\"]\nrecipients = \"file:people\"\n",
        )
        .with("people", "ann\n# b\nbob@b.test\n a b\n");
    let said = files.load().map(|_| ()).expect_err("wrong").to_string();
    assert!(
        said.contains("error: \"bob@b.test\" is no recipient of this domain\n --> people:3:1\n3 | bob@b.test\n  | ^^^^^^^^^^ this is the list of a.test"),
        "{said}"
    );
    assert!(said.contains(" --> people:4:2\n"), "{said}");
}

#[test]
fn a_long_file_of_recipients_is_read_in_no_time() {
    let people: String = (0..200_000).map(|n| format!("user{n}@a.test\n")).collect();
    let files = Memory::default()
        .with(
            "gatepost.toml",
            "[domain.\"a.test\"]\nrecipients = \"file:people\"\n",
        )
        .with("people", &people);
    assert_eq!(list(&files.load().unwrap().config, "a.test").len(), 200_000);
    let wrong = files.with("people", people.replace("a.test", "b.test"));
    let errors = wrong.load().map(|_| ()).expect_err("wrong");
    assert_eq!(errors.0.len(), 20);
}

#[test]
fn sign_in_is_read_whole() {
    let text = r#"
        [auth]
        users_file = "people.toml"
        mechanisms = ["PLAIN", "XOAUTH2"]
        max_failures = 5
        sender_match = "own"
        ldap = ["dc"]
        [auth.oauth]
        issuer = "https://login.test/"
        audience = "gatepost"
        keys = "https://login.test/keys"
        user_claim = "upn"
        [ldap.dc]
        url = "ldap://dc.test:389"
        start_tls = true
        ca = "dc.crt"
        bind = "cn=gatepost"
        secret = "file:dc.password"
        base = "dc=test"
        timeout = "3s"
        [limits]
        rate_per_user = { messages = "100/1h", recipients = "1000/1d" }
        [listener.a]
        bind = "127.0.0.1:587"
    "#;
    let files = Memory::default().with("etc/gp.toml", text);
    let path = std::path::Path::new("etc/gp.toml");
    let loaded = load(path, &files, &memory::environment()).unwrap();
    assert_eq!(loaded.warnings, []);
    let auth = &loaded.config.auth;
    assert_eq!(auth.users_file, PathBuf::from("etc/people.toml"));
    assert_eq!(auth.mechanisms, ["PLAIN", "XOAUTH2"]);
    assert_eq!(auth.sender_match, SenderMatch::Own);
    let session = &loaded.config.listeners[0].session;
    assert_eq!(session.limits.sign_in_failures, 5);
    assert_eq!(*session.mechanisms, ["PLAIN".into(), "XOAUTH2".into()]);
    assert_eq!(auth.directories, [Arc::from("dc")]);
    let issuer = auth.issuer.as_ref().unwrap();
    assert_eq!(
        issuer.keys,
        KeySource::Url("https://login.test/keys".into())
    );
    assert_eq!(issuer.user_claim, "upn");
    assert_eq!(issuer.algorithms, ["RS256", "ES256"]);
    let per_user = &loaded.config.limits.admission.per_user;
    assert_eq!(
        (
            rate(&per_user.messages),
            rate(&per_user.recipients),
            per_user.messages.as_ref().unwrap().place.to_string()
        ),
        (
            Some((100, 3600)),
            Some((1000, 86_400)),
            "etc/gp.toml:22".to_owned()
        )
    );
    let rules = &loaded.config.listeners[0].rules;
    assert_eq!(rules.sender_match, SenderMatch::Own);
    assert_eq!(rules.sender_match_place.to_string(), "etc/gp.toml:6");
    let directory = &loaded.config.directories["dc"];
    assert_eq!(
        directory.secret,
        Some(Secret::File("etc/dc.password".into()))
    );
    assert_eq!(directory.ca, Some("etc/dc.crt".into()));
    assert_eq!(directory.filter, "(|(proxyAddresses=smtp:%s)(mail=%s))");
    assert_eq!(directory.timeout, Duration::from_secs(3));
}

#[test]
fn a_directory_in_clear_is_told() {
    let text = |url: &str| format!("[ldap.dc]\nurl = \"{url}\"\nbase = \"dc=test\"\n");
    let warned = |url: &str| good(&text(url)).warnings.len();
    assert_eq!(
        ["ldap://dc.test", "ldap://127.0.0.1", "ldaps://dc.test"].map(warned),
        [1, 0, 0]
    );
}

#[test]
fn defaults_of_the_door() {
    let config = good("[listener.a]\nbind = \"127.0.0.1:0\"\n").config;
    assert_eq!(config.auth.mechanisms.len(), 6);
    assert_eq!(
        config.auth.users_file,
        PathBuf::from("/var/lib/gatepost/users.toml")
    );
    assert_eq!(config.auth.sender_match, SenderMatch::Listed);
    let limits = &config.limits;
    let admission = &limits.admission;
    assert_eq!(rate(&admission.per_client.connections), Some((120, 60)));
    assert_eq!(rate(&admission.per_network.connections), Some((600, 60)));
    assert_eq!(admission.per_client.messages, None);
    assert_eq!(admission.per_user, RateLimits::default());
    assert!(!admission.limit_loopback.value);
    assert_eq!(admission.unknown_recipients.value, 10);
    let session = &config.listeners[0].session;
    assert_eq!(
        (session.limits.unknown_recipients, session.tarpit.as_secs()),
        (10, 1)
    );
    assert!(session.strict_pipelining && admission.greeting_delay.value.is_zero());
    assert_eq!(config.verify.positive, Duration::from_secs(86_400));
    let outbound = &config.outbound;
    assert_eq!(outbound.tls, TlsDemand::Opportunistic);
    assert!(outbound.dane && outbound.mta_sts);
    assert!(config.deliveries.is_empty());
}

/// Learning and telling are the default; nothing is held up that nobody wrote a line about.
#[test]
fn the_guardian_tells_until_it_is_told_to_hold() {
    let guardian = |text: &str| good(text).config.limits.guardian;
    let unwritten = guardian("");
    assert_eq!(unwritten.over_limit.value, Reaction::Tell);
    let over_usual = unwritten.over_usual.map(|usual| usual.value);
    assert_eq!(over_usual, Some(Reaction::Tell));
    assert_eq!(unwritten.per_user, GuardianLimits::default());
    let written = guardian(
        "[guardian]\nover_limit = \"hold\"\nover_usual = \"off\"\n\
         [guardian.per_sender_domain]\nnew_recipients = \"50/2h\"\n",
    );
    assert_eq!(written.over_limit.value, Reaction::Hold);
    assert_eq!(written.over_usual, None);
    let new_recipients = written.per_sender_domain.new_recipients;
    assert_eq!(rate(&new_recipients), Some((50, 7200)));
    let place = new_recipients.map(|limit| limit.place.to_string());
    assert_eq!(place.as_deref(), Some("gatepost.toml:5"));
}

/// Nobody waits unless somebody wrote so.
#[test]
fn greylisting_is_off_until_it_is_switched_on() {
    let unwritten = good("[greylisting]\nclients = [\"192.0.2.1\"]\n").config;
    assert!(unwritten.rules.greylisting.is_none());
    assert!(!unwritten.remembers_strangers());
    assert_eq!(
        *unwritten.limits.greylisting,
        greylisting::Settings::default()
    );
    let written = good(
        "[listener.a]\nbind = \"127.0.0.1:25\"\n\
         [greylisting]\nenabled = true\nallow_after = \"off\"\nsenders = [\"*.partner.test\"]\n",
    )
    .config;
    assert!(written.remembers_strangers());
    assert_eq!(written.limits.greylisting.allow_after, None);
    let own = written.listeners[0].rules.greylisting.as_deref().unwrap();
    assert_eq!(own.place.to_string(), "gatepost.toml:4");
    assert_eq!(own.senders[0].place.to_string(), "gatepost.toml:6");
    let asked = good("[[screen]]\nwhen.reputation_below = -5\nthen = \"hold\"\n").config;
    assert!(asked.remembers_strangers() && asked.screening.checks.spf);
}

#[test]
fn a_rate_may_be_written_in_short() {
    let limits = good(
        "[limits]\nrate_per_client = \"600/1h\"\nrate_per_network = { connections = \"off\" }\n",
    )
    .config
    .limits
    .admission;
    assert_eq!(rate(&limits.per_client.messages), Some((600, 3600)));
    assert_eq!(rate(&limits.per_client.connections), Some((120, 60)));
    assert_eq!(limits.per_network.connections, None);
    let place = |limit: &Option<Limit<Rate>>| limit.as_ref().unwrap().place.to_string();
    assert_eq!(place(&limits.per_client.messages), "gatepost.toml:2");
    assert_eq!(place(&limits.per_client.connections), "default");
}

#[test]
fn routes_sign_in_by_password_or_token() {
    let text = r#"
        [route.isp]
        hosts = "[smtp.isp.test]:587"
        tls = "verify"
        ca = "isp.crt"
        auth = { user = "us", secret = "env:ISP", mechanism = "PLAIN" }
        helo = "us.test"
        source_ip = "192.0.2.1"
        certificate = "us.crt"
        key = "us.key"
        [route.m365]
        hosts = "smtp.office.test:587"
        tls = "verify"
        [route.m365.auth]
        user = "us@a.test"
        token_url = "https://login.test/token"
        client_id = "gatepost"
        assertion_key = "a.key"
        assertion_certificate = "a.crt"
        scope = "https://outlook.test/.default"
        [route.plain]
        hosts = "mx.test"
        [domain."a.test"]
        route = "isp"
        tls = "require"
    "#;
    let loaded = good(text);
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    let names: Vec<&str> = config.deliveries.keys().map(|name| &**name).collect();
    assert_eq!(names, ["route:isp", "route:m365"]);
    let isp = &config.deliveries["route:isp"];
    assert_eq!(isp.helo.as_ref().map(Domain::as_str), Some("us.test"));
    assert_eq!(isp.source_ip, "192.0.2.1".parse().ok());
    assert_eq!(isp.ca, Some("isp.crt".into()));
    assert_eq!(
        isp.certificate.as_ref().unwrap().key,
        PathBuf::from("us.key")
    );
    let password = RouteCredentials::Password {
        secret: Secret::Variable("ISP".into()),
        mechanism: Some("PLAIN".into()),
    };
    assert_eq!(isp.auth.as_ref().unwrap().credentials, password);
    let token = RouteCredentials::Token {
        url: "https://login.test/token".into(),
        client_id: "gatepost".into(),
        proof: ClientProof::Assertion {
            key: "a.key".into(),
            certificate: Some("a.crt".into()),
        },
        scope: "https://outlook.test/.default".into(),
        subject: None,
        ca: None,
    };
    let m365 = config.deliveries["route:m365"].auth.as_ref().unwrap();
    assert_eq!(
        (m365.user.as_str(), &m365.credentials),
        ("us@a.test", &token)
    );
    let domain = config.domains.find(&Domain::parse("a.test").unwrap());
    assert_eq!(domain.unwrap().tls, Some(TlsDemand::Require));
}

#[test]
fn signing_in_at_a_route_needs_encryption() {
    // outbound.tls, the route's own words, and what comes of it.
    let auth = "auth = { user = \"us\", secret = \"env:P\" }";
    let cases = [
        ("opportunistic", String::new(), None),
        ("opportunistic", auth.to_owned(), Some(TlsDemand::Verify)),
        ("off", auth.to_owned(), Some(TlsDemand::Verify)),
        ("require", auth.to_owned(), Some(TlsDemand::Verify)),
        (
            "off",
            format!("tls = \"verify\"\n{auth}"),
            Some(TlsDemand::Verify),
        ),
        (
            "verify",
            format!("tls = \"require\"\n{auth}"),
            Some(TlsDemand::Require),
        ),
        (
            "verify",
            format!("tls = \"opportunistic\"\n{auth}"),
            Some(TlsDemand::Require),
        ),
        ("verify", "tls = \"off\"".to_owned(), Some(TlsDemand::Off)),
    ];
    for (outbound, own, expected) in cases {
        let text =
            format!("[outbound]\ntls = \"{outbound}\"\n[route.isp]\nhosts = \"mx.test\"\n{own}\n");
        let loaded = good(&text);
        let options = loaded.config.routes.options("route:isp").unwrap();
        assert_eq!(options.tls, expected, "{text}");
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        let warning = match expected {
            Some(TlsDemand::Require) => "nobody checks to whom [route.isp] gives its password",
            Some(TlsDemand::Verify) if !own.contains("tls =") => "write tls = \"verify\" there",
            _ => "",
        };
        assert_eq!(warnings.len(), usize::from(!warning.is_empty()), "{text}");
        assert!(warnings.concat().contains(warning), "{warnings:?}");
    }
}

#[test]
fn what_a_verified_certificate_must_name_is_told() {
    // The route's lines, and what is warned of.
    let cases = [
        ("hosts = \"mx.test\"\ntls = \"verify\"", ""),
        (
            "hosts = [\"mx.test\", \"[192.0.2.1]:25\"]\ntls = \"verify\"",
            "the certificate of [192.0.2.1] must name that address",
        ),
        (
            "hosts = \"[192.0.2.1]\"\ntls = \"verify\"\ntls_name = \"mx.test\"",
            "",
        ),
        (
            "hosts = [{ host = \"[192.0.2.1]\", tls_name = \"mx.test\" }]\ntls = \"verify\"",
            "",
        ),
        (
            "hosts = [{ host = \"mx.test\", tls_name = \"b.test\" }]\ntls = \"require\"",
            "`tls_name` of a host in [route.isp] is not read",
        ),
        (
            "hosts = [\"a.test\", { host = \"b.test\", weight = 2 }]",
            "`weight` in [route.isp] is not read",
        ),
        (
            "hosts = \"[192.0.2.1]\"\ntls_name = \"mx.test\"",
            "`tls_name` in [route.isp] is not read",
        ),
        (
            "hosts = \"[192.0.2.1]\"\n[outbound]\ntls = \"verify\"\nroute = \"[192.0.2.2]\"",
            "the certificate of [192.0.2.2] must name that address",
        ),
    ];
    for (lines, warning) in cases {
        let loaded = good(&format!("[route.isp]\n{lines}\n"));
        let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings.is_empty(), warning.is_empty(), "{warnings:?}");
        assert!(warnings.concat().contains(warning), "{warnings:?}");
    }
    let loaded =
        good("[route.isp]\nhosts = \"[192.0.2.1]\"\ntls = \"verify\"\ntls_name = \"MX.test\"\n");
    let options = loaded.config.routes.options("route:isp").unwrap();
    assert_eq!(
        options.tls_name.as_ref().map(Domain::as_str),
        Some("mx.test")
    );
}

#[test]
fn recipients_may_be_asked_for_whatever_tls_is_demanded() {
    for tls in ["off", "opportunistic", "require", "verify"] {
        let loaded = good(&format!(
            "[domain.\"example.com\"]\nroute = \"[192.0.2.1]\"\nrecipients = \"verify\"\ntls = \"{tls}\"\n"
        ));
        let host = Host::parse("example.com").unwrap();
        let domain = loaded.config.domains.find(host.domain().unwrap()).unwrap();
        let site = loaded.config.routes.site(&host);
        assert_eq!(
            Some(loaded.config.routes.demand(&site.name, [domain.tls])),
            domain.tls
        );
    }
}
