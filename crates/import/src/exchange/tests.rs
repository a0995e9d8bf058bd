use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use mail::{Client, Mailbox, Place, ReversePath, TlsFacts};
use proptest::prelude::*;
use relay_audit::explain;
use relay_policy::{Facts, Rights};

use super::*;

macro_rules! exported {
    ($($name:literal),*) => {
        vec![$(file($name, include_str!(concat!("../../../../tests/exports/exchange/", $name)))),*]
    };
}

fn file(name: &str, text: &str) -> Export {
    Export {
        name: name.to_owned(),
        octets: text.as_bytes().to_vec(),
    }
}

fn example() -> Vec<Export> {
    exported![
        "receive-connectors.txt",
        "permissions.txt",
        "send-connectors.xml",
        "accepted-domains.json",
        "transport-config.txt",
        "recipients.ldf"
    ]
}

fn imported(exports: &[Export]) -> Imported {
    exchange(exports, &Wishes::default(), &Environment::default()).expect("a configuration")
}

/// The configuration without comments.
fn bare(imported: &Imported) -> String {
    let lines = imported.configuration.lines();
    let cut = lines.map(|line| line.split(" # ").next().unwrap_or("").trim_end());
    let kept = cut.filter(|line| !line.is_empty() && !line.starts_with('#'));
    kept.map(|line| format!("{line}\n")).collect()
}

#[track_caller]
fn holds(imported: &Imported, expected: &[&str]) {
    let text = bare(imported);
    for part in expected {
        assert!(
            text.contains(part),
            "{part}\n---\n{text}\n{}",
            imported.report
        );
    }
}

#[test]
fn an_export_is_translated() {
    let imported = imported(&example());
    holds(
        &imported,
        &[
            "hostname = \"relay.example.com\"\n",
            "[relay]\nallow = []\nsigned_in = false\n",
            "[listener.default-frontend-ex01]\nbind = [\"[::]:25\", \"0.0.0.0:25\"]\nauth = \"off\"\ntls = \"offer\"\n",
            "[listener.default-frontend-ex01.relay]\nallow = [\n  \"10.0.7.40\",\n  \"10.0.8.0/25\",\n  \"10.0.9.1-10.0.9.20\",\n  \"10.0.10.0/25\",\n  \"10.0.20.0/24\",\n]\nsigned_in = false\n",
            "[listener.client-frontend-ex01]\nbind = [\"[::]:587\", \"0.0.0.0:587\"]\nauth = \"required\"\ntls = \"require\"\n",
            "[route.exchange]\nhosts = [\"[ex01.example.com]\"]\n",
            "[route.internet]\nhosts = [\"[192.0.2.200]\", \"smtp.provider.example\"]\norder = \"spread\"\ntls = \"verify\"\ntls_name = \"smtp.provider.example\"\nport = 587\n",
            "user = \"relay@example.com\"\nsecret = \"file:/etc/gatepost/secrets/internet.password\"\n",
            "[outbound]\nroute = \"internet\"\n",
            "[domain.\"example.com\"]\nroute = \"exchange\"\nrecipients = \"file:recipients-example.com.txt\"\n",
            "[domain.\"shared.example\"]\nroute = \"exchange\"\n[",
            "[domain.\"*.partner.example\"]\ntls = \"require\"\n",
            "[domain.\"branch.example\"]\nroute = \"internet\"\n",
            "[domain.\"archive.example\"]\naccept_from = \"relay\"\nroute = \"spare\"\n",
            "message_size = \"31457280B\"\n",
            "when = { direction = \"out\", larger_than = \"20971520B\" }\n",
        ],
    );
    assert_eq!(imported.lists.0.len(), 1);
    let (name, list) = &imported.lists.0[0];
    assert_eq!(name, "recipients-example.com.txt");
    assert!(
        list.contains("\nann@example.com\n") && list.contains("\nbob@example.com\n"),
        "{list}"
    );
    assert!(
        list.contains("in.the.middle@example.com") && !list.contains("everybody"),
        "{list}"
    );
}

#[test]
fn rows_name_file_and_line() {
    let exports = example();
    let imported = imported(&exports);
    for (name, beginning, file) in [
        (
            "RemoteIPRanges",
            "RemoteIPRanges                          : {10.0.7.40",
            0,
        ),
        ("SmartHosts", "      <Obj N=\"SmartHosts\"", 2),
        ("MaxSendSize", "MaxSendSize", 4),
    ] {
        let text = std::str::from_utf8(&exports[file].octets).unwrap();
        let line = 1 + text
            .lines()
            .position(|line| line.starts_with(beginning))
            .unwrap();
        let mut rows = imported.report.rows().iter();
        assert!(
            rows.any(|row| row.origin.name == name
                && row.origin.line == line
                && row.origin.file == exports[file].name),
            "{name} {line}\n{}",
            imported.report
        );
    }
    // A line of the configuration says the same.
    assert!(
        imported
            .configuration
            .contains("# RemoteIPRanges, receive-connectors.txt:394\n")
    );
}

#[test]
fn no_password_and_no_hash_of_one_is_shown() {
    let imported = imported(&example());
    let all = format!(
        "{imported:?}\n{}\n{}",
        imported.configuration, imported.report
    );
    assert!(!all.contains("01000000d08c9ddf"));
    assert!(all.contains("internet.password"));
}

/// Without the permissions that say so, nobody relays but through what is secured externally.
#[test]
fn the_right_to_relay_has_to_be_shown() {
    let exports = exported!["receive-connectors.txt"];
    let imported = imported(&exports);
    holds(
        &imported,
        &["[listener.default-frontend-ex01.relay]\nallow = [\n  \"10.0.20.0/24\",\n]\n"],
    );
    assert!(imported.report.to_string().contains("Get-ADPermission"));
}

/// One receive connector as text.
fn connector(name: &str, binds: &str, ranges: &str, groups: &str, mechanisms: &str) -> String {
    format!(
        "Name : {name}\nIdentity : EX01\\{name}\nServer : EX01\nEnabled : True\nBindings : {{{binds}}}\nRemoteIPRanges : {{{ranges}}}\n\
         PermissionGroups : {groups}\nAuthMechanism : {mechanisms}\nRequireTLS : False\n\n"
    )
}

fn permitted(name: &str) -> String {
    format!(
        "User : NT AUTHORITY\\ANONYMOUS LOGON\nIdentity : EX01\\{name}\nDeny : False\nExtendedRights : {{ms-Exch-SMTP-Accept-Any-Recipient}}\n\n"
    )
}

const DOMAIN: &str = "DomainName : hosted.test\nDomainType : InternalRelay\n\n";

#[test]
fn everybody_may_relay_is_left_out() {
    let text = connector(
        "Open",
        "0.0.0.0:25",
        "0.0.0.0-255.255.255.255",
        "AnonymousUsers",
        "Tls",
    ) + &permitted("Open")
        + DOMAIN;
    let imported = imported(&[file("a.txt", &text)]);
    assert_eq!(
        imported.report.of(Fate::LeftOut).count(),
        1,
        "{}",
        imported.report
    );
    assert!(
        !bare(&imported).contains("0.0.0.0/0"),
        "{}",
        imported.configuration
    );
    let star = "DomainName : *\nDomainType : ExternalRelay\n\n";
    let imported = self::imported(&[file("a.txt", star)]);
    assert_eq!(
        imported.report.of(Fate::LeftOut).count(),
        1,
        "{}",
        imported.report
    );
}

/// What a cut list may name belongs to another connector than the one whose range is around it.
#[test]
fn a_list_that_is_cut_short_permits_nobody() {
    let whole = connector(
        "Inside",
        "0.0.0.0:25",
        "10.0.0.0/8",
        "AnonymousUsers",
        "Tls",
    ) + &permitted("Inside");
    let cut = connector(
        "Less",
        "0.0.0.0:25",
        "10.0.1.1, 10.0.1.2...",
        "AnonymousUsers",
        "Tls",
    );
    let imported = imported(&[file("a.txt", &format!("{whole}{cut}{DOMAIN}"))]);
    assert!(
        bare(&imported).contains("[relay]\nallow = []\n"),
        "{}",
        imported.configuration
    );
    assert!(
        imported
            .report
            .to_string()
            .contains("$FormatEnumerationLimit")
    );
    // It takes nothing from what it permits itself.
    let cut = connector(
        "More",
        "0.0.0.0:25",
        "192.0.2.1, 192.0.2.2...",
        "AnonymousUsers",
        "Tls",
    ) + &permitted("More");
    let imported = self::imported(&[file("a.txt", &format!("{whole}{cut}{DOMAIN}"))]);
    holds(
        &imported,
        &["  \"10.0.0.0/8\",\n  \"192.0.2.1\",\n  \"192.0.2.2\",\n"],
    );
}

#[test]
fn a_part_of_a_connector_is_refused() {
    let text = connector("A", "0.0.0.0:25", "10.0.0.0/8", "AnonymousUsers", "Tls")
        .replace("PermissionGroups", "Permissions");
    let refused = exchange(
        &[file("a.txt", &text)],
        &Wishes::default(),
        &Environment::default(),
    )
    .unwrap_err();
    assert!(
        refused.0.starts_with("a.txt:1:") && refused.0.contains("PermissionGroups"),
        "{refused}"
    );
    for text in [
        "",
        "Name  Enabled\n----  -------\nA  True\n",
        "{}",
        "<Objs/>",
        "a,b\n1,2\n",
    ] {
        assert!(
            exchange(
                &[file("a", text)],
                &Wishes::default(),
                &Environment::default()
            )
            .is_err(),
            "{text}"
        );
    }
}

/// Where all who need not sign in may relay, the others sign in on the same port.
#[test]
fn domains_are_for_those_who_may_relay_where_strangers_have_to_sign_in() {
    let inner = connector(
        "Users",
        "0.0.0.0:25",
        "0.0.0.0-255.255.255.255",
        "ExchangeUsers, ExchangeServers",
        "Tls, BasicAuth",
    );
    let devices = connector(
        "Devices",
        "0.0.0.0:25",
        "10.0.7.0/24",
        "AnonymousUsers",
        "Tls",
    ) + &permitted("Devices");
    let imported = imported(&[file("a.txt", &format!("{inner}{devices}{DOMAIN}"))]);
    holds(
        &imported,
        &[
            "auth = \"optional\"\n",
            "allow = [\n  \"10.0.7.0/24\",\n]\nsigned_in = true\n",
            "[domain.\"hosted.test\"]\naccept_from = \"relay\"\n",
        ],
    );
}

#[test]
fn without_a_connector_for_all_nobody_sends_elsewhere() {
    let send = "Name : Partner\nAddressSpaces : {SMTP:partner.test;1}\nSmartHosts : {[192.0.2.1], [192.0.2.2]}\nDNSRoutingEnabled : False\nEnabled : True\n\n";
    let imported = imported(&[file(
        "a.txt",
        &(connector(
            "A",
            "0.0.0.0:25",
            "10.0.0.0/8",
            "ExchangeServers",
            "ExternalAuthoritative",
        ) + send),
    )]);
    holds(
        &imported,
        &[
            "[[send_only_to]]\nclients = [\"0.0.0.0/0\", \"::/0\"]\nrecipients = \"hosted\"\n",
            "[domain.\"partner.test\"]\naccept_from = \"relay\"\n",
        ],
    );
}

#[test]
fn an_edge_server_has_its_way_inside() {
    let text = "Name : EdgeSync - Inbound\nAddressSpaces : {smtp:--;100}\nSmartHosts : {--}\nDNSRoutingEnabled : False\nEnabled : True\n\n".to_owned() + DOMAIN;
    let wishes = Wishes {
        mail_servers: vec!["10.0.0.9".to_owned(), "mail.inner.test:2525".to_owned()],
        ..Wishes::default()
    };
    let imported = exchange(&[file("a.txt", &text)], &wishes, &Environment::default()).unwrap();
    holds(
        &imported,
        &[
            "[route.exchange]\nhosts = [\"[10.0.0.9]\", \"[mail.inner.test]:2525\"]\n",
            "[domain.\"hosted.test\"]\nroute = \"exchange\"\n",
        ],
    );
}

#[test]
fn utf_16_and_tables_are_read() {
    let ldif: Vec<u8> = "dn: CN=a\nproxyAddresses: SMTP:a@hosted.test\n\n"
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let ldif = Export {
        name: "r.ldf".to_owned(),
        octets: [&[0xff, 0xfe][..], &ldif].concat(),
    };
    let table = "\"Name\",\"PrimarySmtpAddress\",\"EmailAddresses\"\r\n\"B\",\"b@hosted.test\",\"SMTP:b@hosted.test smtp:c@hosted.test X400:c=US;a= ;p=X\"\r\n\
        \"D\",\"d@hosted.test\",\"Microsoft.Exchange.Data.ProxyAddressCollection\"\r\n";
    let domain = DOMAIN.replace("InternalRelay", "Authoritative");
    let imported = imported(&[ldif, file("r.csv", table), file("a.txt", &domain)]);
    assert_eq!(
        imported.lists.0[0].1,
        "# Recipients at hosted.test, one a line.\na@hosted.test\nb@hosted.test\nc@hosted.test\nd@hosted.test\n"
    );
    assert!(
        imported.report.to_string().contains("r.csv:3"),
        "{}",
        imported.report
    );
}

const OF_2003: &str = "dn: CN=1,CN=SMTP,CN=Protocols,CN=EX03,DC=example,DC=com\nobjectClass: protocolCfgSMTPServer\ncn: 1\nadminDisplayName: Default SMTP Virtual Server\n\
    msExchServerBindings: :25:\nmsExchAuthenticationFlags: 7\nmsExchSmtpRelayForAuth: TRUE\nmsExchSmtpMaxHopCount: 15\nmsExchSmtpMaxRecipients: 64000\n\
    msExchSmtpFullyQualifiedDomainName: ex03.example.com\nmsExchSmtpRelayIpList:: GAAAgCAAAIA8AACARAAAgAEAAABMAAAAAAAAAAAAAAABAAAAAQAAAAIAAAACAAAABAAAAAAAAABMAACAAAAAAAAAAAAAAAAAAAAAAP////8KAAAB\n\n\
    dn: CN=Internet,CN=Connections,DC=example,DC=com\nobjectClass: msExchRoutingSMTPConnector\ncn: Internet\nroutingList: SMTP:*;1\nmsExchSmtpSmartHost: [192.0.2.1];[192.0.2.2]\n\
    msExchSmtpOutboundSecurityUserName: relay\nmsExchSmtpOutboundSecurityPassword: s3cret\n\n\
    dn: CN=Default Policy,DC=example,DC=com\nobjectClass: msExchRecipientPolicy\ncn: Default Policy\ngatewayProxy: SMTP:@example.com\ngatewayProxy: smtp:%g.%s@shared.example\n\
    gatewayProxy: X400:c=us\nmsExchNonAuthoritativeDomains: smtp:@shared.example\n\n";

#[test]
fn exchange_2003_is_read_from_the_directory() {
    let imported = imported(&[file("a.ldf", OF_2003)]);
    holds(
        &imported,
        &[
            "hostname = \"ex03.example.com\"\n",
            "[listener.default-smtp-virtual-server]\nbind = [\"0.0.0.0:25\"]\nauth = \"optional\"\n",
            "allow = [\n  \"10.0.0.1\",\n]\nsigned_in = true\n",
            "[route.internet]\nhosts = [\"[192.0.2.1]\", \"[192.0.2.2]\"]\norder = \"spread\"\n",
            "user = \"relay\"\n",
            "[domain.\"example.com\"]\n",
            "[domain.\"shared.example\"]\n",
            "hops = 15\n",
        ],
    );
    assert!(!format!("{imported:?}").contains("s3cret"));
    assert!(
        imported
            .report
            .rows()
            .iter()
            .any(|row| row.origin.name == "msExchSmtpRelayIpList" && row.origin.line == 11),
        "{}",
        imported.report
    );
}

/// One connector of a model, small enough that ranges meet.
#[derive(Debug, Clone)]
struct Modelled {
    bind: usize,
    range: (u8, u8),
    anonymous: bool,
    relays: bool,
    users: bool,
    enabled: bool,
    trusted: bool,
    tls: bool,
    /// Sending anywhere is denied to somebody.
    denied: bool,
}

const BINDS: [&str; 3] = ["0.0.0.0:25", "192.0.2.25:25", "0.0.0.0:587"];

fn modelled() -> impl Strategy<Value = Modelled> {
    let range = (0u8..16, 0u8..16).prop_map(|(a, b)| (a.min(b), a.max(b)));
    (0usize..3, range, any::<[bool; 7]>()).prop_map(
        |(bind, range, [anonymous, relays, users, off, trusted, tls, denied])| Modelled {
            bind,
            range,
            anonymous,
            relays,
            users,
            enabled: !off || users,
            trusted: trusted && relays,
            tls: tls && off,
            denied: denied && tls,
        },
    )
}

fn exported(connectors: &[Modelled]) -> String {
    let mut text = DOMAIN.to_owned();
    for (number, one) in connectors.iter().enumerate() {
        let name = format!("C{number}");
        let ranges = format!("10.0.0.{}-10.0.0.{}", one.range.0, one.range.1);
        let flags = [
            (one.anonymous, "AnonymousUsers"),
            (one.users, "ExchangeUsers"),
            (one.trusted, "ExchangeServers"),
            (true, "Custom"),
        ];
        let groups: Vec<&str> = flags
            .iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| *name)
            .collect();
        let mechanisms = if one.trusted {
            "Tls, ExternalAuthoritative"
        } else {
            "Tls, BasicAuth"
        };
        let part = connector(
            &name,
            BINDS[one.bind],
            &ranges,
            &groups.join(", "),
            mechanisms,
        );
        let part = part.replace(
            "Enabled : True",
            if one.enabled {
                "Enabled : True"
            } else {
                "Enabled : False"
            },
        );
        text += &part.replace(
            "RequireTLS : False",
            if one.tls {
                "RequireTLS : True"
            } else {
                "RequireTLS : False"
            },
        );
        if one.relays && !one.trusted {
            text += &permitted(&name);
        }
        if one.denied {
            text += &permitted(&name).replace("Deny : False", "Deny : True");
        }
    }
    text
}

/// What Exchange answers, in the words of its documentation: the connector with the narrowest range decides; of two that
/// are equally narrow it is not known which.
fn of_exchange(
    connectors: &[Modelled],
    local: SocketAddr,
    client: u8,
    signed_in: bool,
    hosted: bool,
    tls: bool,
) -> bool {
    let everywhere = SocketAddr::new(IpAddr::from([0; 4]), local.port());
    let there = |one: &&Modelled| {
        let bind: SocketAddr = BINDS[one.bind].parse().unwrap();
        one.enabled
            && (bind == local || bind == everywhere)
            && (one.range.0..=one.range.1).contains(&client)
    };
    let serving: Vec<&Modelled> = connectors.iter().filter(there).collect();
    let least = serving.iter().map(|one| one.range.1 - one.range.0).min();
    let narrowest = serving
        .iter()
        .filter(|one| Some(one.range.1 - one.range.0) == least);
    let permits = |one: &&&Modelled| {
        let anonymous = one.anonymous || one.trusted;
        let by_user = one.users && !one.trusted && signed_in;
        let relay = !one.denied && (one.trusted || one.anonymous && one.relays || by_user);
        (tls || !one.tls) && if hosted { anonymous || by_user } else { relay }
    };
    least.is_some() && narrowest.clone().all(|one| permits(&one))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn what_comes_out_is_never_more_open(connectors in proptest::collection::vec(modelled(), 1..5)) {
        let text = exported(&connectors);
        let imported = imported(&[file("a.txt", &text)]);
        let loaded = imported.load(&Environment::default()).expect("it was checked");
        for listener in &loaded.config.listeners {
            for (client, signed_in, tls) in (0..17).flat_map(|n| [(n, false, false), (n, false, true), (n, true, true)]) {
                for recipient in ["ann@hosted.test", "bob@elsewhere.test"] {
                    for local in ["192.0.2.25", "192.0.2.26"] {
                        let local = SocketAddr::new(local.parse().unwrap(), listener.binds[0].port());
                        if !listener.binds.iter().any(|bind| bind.ip().is_unspecified() || *bind == local) {
                            continue;
                        }
                        let ours = accepted(listener, local, client, signed_in, tls, recipient);
                        let theirs = of_exchange(&connectors, local, client, signed_in, recipient.ends_with("hosted.test"), tls);
                        prop_assert!(theirs || !ours, "10.0.0.{client} at {local} {recipient} {signed_in} {tls}\n{text}\n{}", imported.configuration);
                    }
                }
            }
        }
    }

    #[test]
    fn whatever_is_read_ends_in_a_configuration_or_a_refusal(which in 0usize..6, at in 0usize..40_000, noise in "[<>\\[\\]{}=\"&:;*,a-zA-Z0-9. \n-]{0,30}") {
        let mut exports = example();
        let octets = &mut exports[which].octets;
        let at = at % octets.len();
        octets.splice(at..at, noise.bytes());
        if let Ok(imported) = exchange(&exports, &Wishes::default(), &Environment::default()) {
            prop_assert!(imported.load(&Environment::default()).is_ok());
        }
    }
}

fn accepted(
    listener: &config::Listener,
    local: SocketAddr,
    client: u8,
    signed_in: bool,
    tls: bool,
    recipient: &str,
) -> bool {
    let peer = SocketAddr::new(IpAddr::from([10, 0, 0, client]), 40_000);
    let mut client = Client::new(peer, local, listener.name.clone());
    if tls {
        let (version, cipher, group) = ("TLSv1.3", "TLS_AES_128_GCM_SHA256".into(), "X25519");
        client.tls = Some(TlsFacts {
            version,
            cipher,
            group,
            handshake: mail::Handshake::Full,
            certificate: None,
        });
    }
    client.user = signed_in.then(|| "ann".into());
    let recipient = Mailbox::parse(recipient).unwrap();
    let rights = Rights {
        may_relay: true,
        senders: Box::default(),
        only_to: Box::default(),
        place: Place::Default,
    };
    let facts = Facts {
        rights: signed_in.then(|| Arc::new(rights)),
        ..Facts::default()
    };
    let told = explain(
        &listener.rules,
        &client,
        &ReversePath::Null,
        &recipient,
        &facts,
    );
    assert_eq!(told.question, None);
    told.answer.is_some_and(|reply| reply.code() == 250)
}

/// And it is as open, where everything is certain.
#[test]
fn what_is_certain_is_kept() {
    let devices = Modelled {
        bind: 0,
        range: (4, 7),
        anonymous: true,
        relays: true,
        users: false,
        enabled: true,
        trusted: false,
        tls: false,
        denied: false,
    };
    let everybody = Modelled {
        range: (0, 15),
        relays: false,
        ..devices.clone()
    };
    let users = Modelled {
        bind: 2,
        anonymous: false,
        users: true,
        ..everybody.clone()
    };
    let connectors = [devices, everybody, users];
    let imported = imported(&[file("a.txt", &exported(&connectors))]);
    let loaded = imported.load(&Environment::default()).unwrap();
    let mut asked = 0;
    for listener in &loaded.config.listeners {
        for (client, signed_in) in (0..17).flat_map(|n| [(n, false), (n, true)]) {
            if signed_in != (listener.binds[0].port() == 587) {
                continue;
            }
            for recipient in ["ann@hosted.test", "bob@elsewhere.test"] {
                let local = SocketAddr::new([192, 0, 2, 26].into(), listener.binds[0].port());
                let ours = accepted(listener, local, client, signed_in, true, recipient);
                let theirs = of_exchange(
                    &connectors,
                    local,
                    client,
                    signed_in,
                    recipient.ends_with("hosted.test"),
                    true,
                );
                assert_eq!(
                    ours, theirs,
                    "{client} {signed_in} {recipient}\n{}",
                    imported.configuration
                );
                asked += 1;
            }
        }
    }
    assert_eq!(asked, 68);
}

/// What the directory denies is denied to clients that are secured externally, too, at whatever connector.
#[test]
fn what_is_denied_is_denied_to_all() {
    let secured = connector(
        "Secured",
        "0.0.0.0:25",
        "10.0.0.0/24",
        "ExchangeServers",
        "ExternalAuthoritative",
    );
    let denied = |identity: &str, rights: &str| {
        format!(
            "User : MS Exchange\\Externally Secured Servers\nIdentity : {identity}\nDeny : True\n{rights}\n\n"
        )
    };
    let relay = "ExtendedRights : {ms-Exch-SMTP-Accept-Any-Recipient}";
    for (permission, relays) in [
        (String::new(), true),
        (denied("EX01\\Secured", relay), false),
        (
            denied("example.com/Configuration/EX01/Secured", relay),
            false,
        ),
        // A name that was wrapped within a word.
        (denied("EX01\\Secu\n       red", relay), false),
        // Another name for it, for all that is known.
        (denied("Sécured", relay), false),
        (
            denied(
                "EX01\\Secured",
                "AccessRights : {GenericAll}\nExtendedRights :",
            ),
            false,
        ),
        (
            denied(
                "EX01\\Secured",
                "AccessRights : {ExtendedRight}\nExtendedRights : {Receive-As}",
            ),
            true,
        ),
    ] {
        let text = format!("{secured}{permission}{DOMAIN}");
        let imported = imported(&[file("a.txt", &text)]);
        let allowed = bare(&imported).contains("[relay]\nallow = [\n  \"10.0.0.0/24\",\n]");
        assert_eq!(allowed, relays, "{permission}\n{}", imported.report);
    }
    // What permits counts for the connector alone that has the very name.
    let text = connector(
        "Relay 1",
        "0.0.0.0:25",
        "10.0.0.0/24",
        "AnonymousUsers",
        "Tls",
    ) + &permitted("Relay1")
        + DOMAIN;
    let imported = imported(&[file("a.txt", &text)]);
    holds(&imported, &["[relay]\nallow = []\n"]);
    let told = imported.report.to_string();
    assert!(
        told.contains("of a connector that is not among the files"),
        "{told}"
    );
}

/// Of two connectors that are equally narrow, and of two parts of Exchange at one port, it is not known which serves.
#[test]
fn what_either_of_two_connectors_may_serve_has_the_rights_of_both() {
    let everybody = connector(
        "All",
        "0.0.0.0:25",
        "0.0.0.0-255.255.255.255",
        "AnonymousUsers",
        "Tls",
    );
    let relay = connector("Relay", "0.0.0.0:25", "10.0.0.0/8", "AnonymousUsers", "Tls")
        + &permitted("Relay");
    let same = connector("Same", "0.0.0.0:25", "10.0.0.0/8", "AnonymousUsers", "Tls");
    let role =
        |text: &str, role: &str| text.replace("Name :", &format!("TransportRole : {role}\nName :"));
    let text = format!("{everybody}{relay}{same}{DOMAIN}");
    holds(
        &imported(&[file("a.txt", &text)]),
        &["[relay]\nallow = []\n"],
    );
    let of_roles = |one: &str, other: &str| {
        let text = role(&everybody, one) + &role(&relay, other) + DOMAIN;
        imported(&[file("a.txt", &text)])
    };
    holds(
        &of_roles("FrontendTransport", "HubTransport"),
        &["[relay]\nallow = []\n"],
    );
    holds(
        &of_roles("FrontendTransport", "FrontendTransport"),
        &["[relay]\nallow = [\n  \"10.0.0.0/8\",\n]\n"],
    );
}

#[test]
fn a_connector_that_may_keep_clients_from_another_is_known_whole() {
    let relay = connector("Relay", "0.0.0.0:25", "10.0.0.0/8", "AnonymousUsers", "Tls")
        + &permitted("Relay");
    let narrow = connector("Narrow", "0.0.0.0:25", "10.0.0.5", "AnonymousUsers", "Tls");
    let comment = |lines: &str| {
        narrow.replace(
            "PermissionGroups",
            &format!("Comment : one{lines}\nPermissionGroups"),
        )
    };
    for (text, refused) in [
        (comment("\n          \n          two"), None),
        (
            comment("\n\n          two"),
            Some("has no PermissionGroups"),
        ),
        (
            format!("{narrow}{narrow}"),
            Some("it is at a.txt:16 already"),
        ),
        (
            narrow.replace("0.0.0.0:25", "10.0.0.1:25, 10.0.0.2:25..."),
            Some("cut short"),
        ),
        (
            narrow.replace(
                "0.0.0.0:25",
                "Microsoft.Exchange.Data.MultiValuedProperty`1",
            ),
            Some("cannot be read"),
        ),
        (
            narrow.replace("Enabled : True", "Enabled : Wahr"),
            Some("neither True nor False"),
        ),
        (
            narrow.replace(": AnonymousUsers", ": 5"),
            Some("is a number"),
        ),
        (
            narrow.replace("RequireTLS", "Other"),
            Some("has no RequireTLS"),
        ),
    ] {
        let all = format!("{relay}{text}{DOMAIN}");
        let made = exchange(
            &[file("a.txt", &all)],
            &Wishes::default(),
            &Environment::default(),
        );
        match (made, refused) {
            (Ok(imported), None) => holds(
                &imported,
                &[
                    "[relay]\nallow = [\n  \"10.0.0.0/30\",\n  \"10.0.0.4\",\n  \"10.0.0.6-10.255.255.255\",\n]",
                ],
            ),
            (made, expected) => {
                let why = made.map(|imported| imported.configuration).unwrap_err().0;
                assert!(why.contains(expected.unwrap_or("?")), "{why}\n{text}");
            }
        }
    }
}

/// A name of ours that is a word of ours, too.
#[test]
fn what_a_listener_called_relay_says_must_not_get_lost() {
    let kept = guards(
        "[listener.relay]\nauth = \"required\"\n[route.relay]\ntls = \"require\"\n[listener.relay.relay]\nallow = []\n[relay]\nallow = []\n",
    );
    assert_eq!(kept, ["auth = \"required\"", "tls = \"require\""]);
}

#[test]
fn senders_of_our_own_domains_are_told_of() {
    let everybody = connector(
        "All",
        "0.0.0.0:25",
        "0.0.0.0-255.255.255.255",
        "AnonymousUsers",
        "Tls",
    );
    let right = |right: &str| permitted("All").replace("Accept-Any-Recipient", right);
    let told = |rights: &[&str]| {
        let rights: String = rights.iter().map(|name| right(name)).collect();
        let text = format!("{everybody}{rights}{DOMAIN}");
        imported(&[file("a.txt", &text)])
            .report
            .to_string()
            .contains("senders of accepted domains")
    };
    assert!(told(&["Submit", "Accept-Any-Sender"]));
    assert!(!told(&[
        "Submit",
        "Accept-Any-Sender",
        "Accept-Authoritative-Domain-Sender"
    ]));
    assert!(!told(&[]));
}

/// One list permits everybody where it cannot be read, or is not there; and another server's listens at the same port.
#[test]
fn virtual_servers_of_2003_are_of_one_server_and_their_lists_are_whole() {
    let second = OF_2003.replace("EX03", "EX04");
    let second = second.split("dn: CN=Internet").next().unwrap_or("");
    let second = second.replace(
        "msExchServerBindings: :25:",
        "msExchServerBindings: 10.0.0.4:25:",
    );
    let both = format!("{OF_2003}{second}");
    for (server, bind) in [(None, "0.0.0.0:25"), (Some("ex04"), "10.0.0.4:25")] {
        let wishes = Wishes {
            server: server.map(str::to_owned),
            ..Wishes::default()
        };
        let imported = exchange(&[file("a.ldf", &both)], &wishes, &Environment::default()).unwrap();
        assert_eq!(
            bare(&imported).matches("\nbind = ").count(),
            1,
            "{}",
            imported.configuration
        );
        holds(&imported, &[&format!("bind = [\"{bind}\"]\n")]);
        assert!(
            imported
                .report
                .to_string()
                .contains("of another server: --server EX0"),
            "{}",
            imported.report
        );
    }
    // Who may connect is on a list; who may relay lies in a file that nobody reads.
    let list = "msExchSmtpRelayIpList:: ";
    let at = OF_2003.find(list).unwrap();
    let (before, rest) = OF_2003.split_at(at);
    let (value, rest) = rest.split_once('\n').unwrap();
    let unread = format!(
        "{before}msExchIPSecurity:: {}\nmsExchSmtpRelayIpList:< file:///list\n{rest}",
        &value[list.len()..]
    );
    let imported = imported(&[file("a.ldf", &unread)]);
    holds(
        &imported,
        &[
            "mode = \"only-list\"\nallow = [\n  \"10.0.0.1\",\n]\n",
            "[relay]\nallow = []\n",
        ],
    );
}

/// An address of its own beside all addresses: whom the table calls served comes in.
#[test]
fn clients_that_are_not_served_are_told_of() {
    let everybody = connector(
        "All",
        "0.0.0.0:25",
        "0.0.0.0-255.255.255.255",
        "AnonymousUsers",
        "Tls",
    );
    let own = connector(
        "Own",
        "192.0.2.25:25",
        "10.0.7.0/24",
        "ExchangeServers",
        "ExternalAuthoritative",
    );
    let imported = imported(&[file("a.txt", &format!("{everybody}{own}{DOMAIN}"))]);
    holds(
        &imported,
        &["mode = \"only-list\"\nallow = [\n  \"10.0.7.0/24\",\n]\n"],
    );
    let rows = imported.report.rows().iter();
    let told: Vec<(usize, Fate)> = rows
        .filter(|row| row.origin.name == "RemoteIPRanges" && row.option == "listener.NAME.connect")
        .map(|row| (row.origin.line, row.fate))
        .collect();
    assert_eq!(
        told,
        [(6, Fate::NotTranslated), (16, Fate::Translated)],
        "{}",
        imported.report
    );
}
