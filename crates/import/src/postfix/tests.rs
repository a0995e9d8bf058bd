use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

struct Folder(BTreeMap<String, String>);

impl Sources for Folder {
    fn read(&self, path: &str) -> Option<Vec<u8>> {
        self.0.get(path).map(|text| text.as_bytes().to_vec())
    }
}

fn imported(files: &[(&str, &str)]) -> Imported {
    let files = files
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    postfix(&Folder(files.collect()), &Environment::default()).expect("a configuration")
}

/// The configuration without comments.
fn bare(imported: &Imported) -> String {
    let lines = imported.configuration.lines();
    let cut = lines.map(|line| line.split(" # ").next().unwrap_or("").trim_end());
    let kept = cut.filter(|line| !line.is_empty() && !line.starts_with('#'));
    kept.map(|line| format!("{line}\n")).collect()
}

const MAIN: &str = "compatibility_level = 3.6\nmyhostname = relay.example.com\nmydestination =\n\
    mynetworks = 127.0.0.0/8, 10.1.0.0/16, !10.2.0.1, 10.2.0.0/24\n\
    relay_domains = example.com\ntransport_maps = hash:/etc/postfix/transport\n\
    relay_recipient_maps = hash:/etc/postfix/recipients\nrelayhost = [smart.example.net]:587\n\
    smtp_sasl_auth_enable = yes\nsmtp_sasl_password_maps = hash:/etc/postfix/sasl_passwd\n\
    smtp_tls_security_level = encrypt\nheader_checks = regexp:/etc/postfix/header_checks\n";

const FILES: [(&str, &str); 4] = [
    ("main.cf", MAIN),
    (
        "transport",
        "example.com smtp:[10.1.0.5]\n.partner.test smtp:[192.0.2.9]:2525\n",
    ),
    (
        "recipients",
        "ann@example.com x\nbob@example.com x\n@open.example.com x\n",
    ),
    ("sasl_passwd", "[smart.example.net]:587 relay:s3cret-word\n"),
];

#[test]
fn policy_services_are_asked_where_postfix_asks_them() {
    let main = "myhostname = relay.example.com\nmynetworks = 10.1.0.0/16\nrelay_domains = example.com\n\
        smtpd_sender_restrictions = check_policy_service inet:127.0.0.1:10031\n\
        smtpd_recipient_restrictions = permit_mynetworks, reject_unauth_destination,\n  \
        check_policy_service inet:127.0.0.1:10023, check_policy_service unix:private/spf,\n  \
        check_policy_service { unix:postgrey/socket, timeout=10s }\n";
    let imported = imported(&[("main.cf", main)]);
    let text = bare(&imported);
    let section = |name: &str, address: &str, more: &str| {
        format!("[scanner.\"{name}\"]\nkind = \"policy\"\naddress = \"{address}\"\n{more}")
    };
    for expected in [
        section("policy", "127.0.0.1:10031", ""),
        section("policy2", "127.0.0.1:10031", "direction = \"out\"\n"),
        section("policy3", "127.0.0.1:10023", ""),
        section("policy4", "/var/spool/postfix/postgrey/socket", ""),
    ] {
        assert!(text.contains(&expected), "{expected}\n{text}");
    }
    assert!(!text.contains("spf"), "{text}");
}

#[test]
fn a_relay_is_translated() {
    let imported = imported(&FILES);
    let text = bare(&imported);
    for expected in [
        "hostname = \"relay.example.com\"\n",
        "[listener.smtp]\nbind = [\"0.0.0.0:25\", \"[::]:25\"]\nauth = \"off\"\ntls = \"off\"\n",
        "[relay]\nallow = [\n  \"10.1.0.0/16\",\n  \"10.2.0.0\",\n  \"10.2.0.2-10.2.0.255\",\n  \"127.0.0.0/8\",\n]\n",
        "[domain.\"example.com\"]\nroute = \"[10.1.0.5]\"\nrecipients = [\"ann@example.com\", \"bob@example.com\"]\n",
        "[domain.\"*.example.com\"]\nroute = \"to-smart-example-net--587\"\nrecipients = []\n",
        "[domain.\"open.example.com\"]\nroute = \"to-smart-example-net--587\"\n",
        "[domain.\"*.partner.test\"]\naccept_from = \"relay\"\nroute = \"[192.0.2.9]:2525\"\n",
        "hosts = [\"[smart.example.net]:587\"]\ntls = \"require\"\n",
        "user = \"relay\"\nsecret = \"file:/etc/gatepost/secrets/to-smart-example-net--587.password\"\n",
        "expire = \"5d\"\n",
    ] {
        assert!(
            text.contains(expected),
            "{expected}\n{}\n{}",
            imported.configuration,
            imported.report
        );
    }
    let report = imported.report.to_string();
    assert!(
        report.contains("not translated  main.cf:12  header_checks"),
        "{report}"
    );
    assert!(!imported.configuration.contains("s3cret") && !report.contains("s3cret"));
}

#[test]
fn every_setting_has_a_row() {
    let imported = imported(&FILES);
    for line in 1..=12 {
        let told = imported
            .report
            .rows()
            .iter()
            .any(|row| row.origin.file == "main.cf" && row.origin.line == line);
        assert!(told, "main.cf:{line}\n{}", imported.report);
    }
}

#[test]
fn what_would_be_an_open_relay_is_left_out() {
    for main in [
        "mynetworks = 0.0.0.0/0\n",
        "smtpd_relay_restrictions = permit\n",
        "smtpd_relay_restrictions = check_sender_access inline:{{a.test = OK}}, reject_unauth_destination\n",
        "relay_domains = com\n",
        "mynetworks = 192.0.0.0/12\n",
    ] {
        let main = format!("compatibility_level = 3.6\nmyhostname = a.example.com\n{main}");
        let imported = imported(&[("main.cf", &main)]);
        let loud = imported.report.of(Fate::LeftOut).count();
        assert!(
            loud > 0 && imported.report.to_string().starts_with("WARNING"),
            "{main}{}",
            imported.report
        );
    }
}

/// The configuration that a main.cf of today becomes, with its table.
fn of_main(main: &str) -> (String, String) {
    let main =
        format!("compatibility_level = 3.6\nmyhostname = a.example.com\nmydestination =\n{main}");
    let imported = imported(&[("main.cf", &main), ("networks", "192.0.2.1 x\n198 x\n")]);
    (bare(&imported), imported.report.to_string())
}

#[test]
fn users_relay_only_where_a_list_lets_them() {
    let networks = "mynetworks = 127.0.0.0/8 [::1]/128\nsmtpd_sasl_auth_enable = yes\n";
    for (list, may) in [
        (
            "permit_mynetworks, permit_sasl_authenticated, reject_unauth_destination",
            true,
        ),
        ("permit_mynetworks, reject_unauth_destination", false),
        (
            "check_client_access cidr:{{192.0.2.0/24 reject_unauth_destination}}, permit_sasl_authenticated, \
             reject_unauth_destination",
            false,
        ),
        (
            "check_client_access cidr:{{192.0.2.0/24 REJECT}}, permit_sasl_authenticated, reject_unauth_destination",
            true,
        ),
    ] {
        let (text, report) = of_main(&format!("{networks}smtpd_relay_restrictions = {list}\n"));
        assert_eq!(
            !text.contains("signed_in = false\n"),
            may,
            "{list}\n{text}{report}"
        );
    }
}

#[test]
fn what_one_list_lets_through_passes_only_where_no_other_refuses_it() {
    let certificate = "ab:".repeat(31) + "cd";
    let opened = "smtpd_tls_security_level = may\nparent_domain_matches_subdomains =\n".to_owned()
        + "relay_clientcerts = inline:{{"
        + &certificate
        + " = x}}\n";
    let list = "permit_tls_clientcerts, check_recipient_access inline:{{guest.test = OK}},\
        check_client_access inline:{{.friend.test = OK}}, reject_unauth_destination\n";
    for (others, passes) in [
        ("smtpd_relay_restrictions =\n", true),
        ("", false),
        (
            "smtpd_relay_restrictions =\nsmtpd_client_restrictions = permit_mynetworks, reject_unauth_destination\n",
            false,
        ),
        (
            "smtpd_relay_restrictions =\nsmtpd_client_restrictions = permit_mynetworks\n",
            true,
        ),
    ] {
        let main = format!(
            "{opened}mynetworks = 10.0.0.0/8\nsmtpd_recipient_restrictions = {list}{others}"
        );
        let (text, report) = of_main(&main);
        for entry in ["sha256:abab", "guest.test", "*.friend.test"] {
            assert_eq!(
                text.contains(entry),
                passes,
                "{entry} {others}{text}{report}"
            );
        }
    }
    let beside = format!("{opened}smtpd_client_restrictions = permit_tls_clientcerts\n");
    assert!(!of_main(&beside).0.contains("sha256:"));
}

#[test]
fn what_cannot_be_read_of_networks_permits_nobody() {
    for (networks, expected) in [
        ("!/nowhere, 10.0.0.0/8", "allow = []\n"),
        (
            "10.1.0.0/16, !10.0.0.5/8, 10.0.0.0/8",
            "allow = [\n  \"10.1.0.0/16\",\n]\n",
        ),
        // A table is asked for whole addresses.
        (
            "hash:/etc/postfix/networks",
            "allow = [\n  \"192.0.2.1\",\n]\n",
        ),
    ] {
        let (text, report) = of_main(&format!("mynetworks = {networks}\n"));
        assert!(
            text.contains(&format!("[relay]\n{expected}")),
            "{text}{report}"
        );
    }
}

#[test]
fn exceptions_of_domains_are_taken_from_whoever_may_relay() {
    let (text, report) =
        of_main("relay_domains = !inner.example.com, example.com, !hash:/x, other.test\n");
    for name in ["inner.example.com", "*.inner.example.com"] {
        let expected = format!("[domain.\"{name}\"]\naccept_from = \"relay\"\n");
        assert!(text.contains(&expected), "{text}{report}");
    }
    assert!(text.contains("[domain.\"example.com\"]\n") && !text.contains("other.test"));
}

#[test]
fn a_table_may_refuse_all_but_hosted_domains() {
    let main = "mynetworks = 10.0.0.0/8\n\
        smtpd_client_restrictions = check_client_access inline:{{10.0.0.5 = permit_auth_destination, reject}}\n";
    let (text, report) = of_main(main);
    assert!(text.contains("\"10.0.0.6-"), "{text}{report}");
}

#[test]
fn overrides_of_services_that_hold_for_all_here_are_told() {
    let main =
        "compatibility_level = 3.6\nmyhostname = a.example.com\nrelay_domains = example.com\n";
    let master = "smtp inet n - y - - smtpd\n2525 inet n - y - - smtpd\n  -o relay_domains=\n  -o mynetworks=10.0.0.1\n\
        dovecot unix - n n - - pipe\n";
    let report = imported(&[("main.cf", main), ("master.cf", master)]).report;
    let fate = |name: &str| {
        let mut rows = report.rows().iter();
        rows.find(|row| row.origin.name == name).map(|row| row.fate)
    };
    assert_eq!(
        fate("-o relay_domains"),
        Some(Fate::NotTranslated),
        "{report}"
    );
    assert_eq!(fate("-o mynetworks"), Some(Fate::Translated), "{report}");
}

#[test]
fn transports_are_the_programs_that_master_cf_says() {
    let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nvirtual_mailbox_domains = box.test\n\
        virtual_transport = store\n";
    let master = "smtp inet n - y - - smtpd\nstore unix - n n - - pipe flags=R argv=/bin/store\n";
    let imported = imported(&[("main.cf", main), ("master.cf", master)]);
    let text = bare(&imported);
    assert!(
        text.contains("[domain.\"box.test\"]\n") && !text.contains("route ="),
        "{text}"
    );
    let report = imported.report.to_string();
    assert!(
        report.contains("the transport store has no counterpart"),
        "{report}"
    );
}

#[test]
fn a_socket_lies_in_the_folder_of_the_queue() {
    for (transport, expected) in [
        (
            "lmtp:unix:private/mail",
            "hosts = [\"/var/spool/postfix/private/mail\"]\n",
        ),
        ("lmtp:unix:/run/mail", "hosts = [\"/run/mail\"]\n"),
    ] {
        let main = format!("virtual_mailbox_domains = box.test\nvirtual_transport = {transport}\n");
        let (text, report) = of_main(&main);
        assert!(text.contains(expected), "{text}{report}");
        assert!(text.contains("route = \"to-"), "{text}{report}");
    }
    // A section that cannot be used leaves no name behind, which would be a host's.
    let main = "queue_directory = x\nvirtual_mailbox_domains = box.test\nvirtual_transport = lmtp:unix:y\n";
    let (text, report) = of_main(main);
    assert!(!text.contains("route"), "{text}{report}");
}

#[test]
fn the_domain_of_names_without_one_may_stand_in_a_file() {
    let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nmydestination =\nmyorigin = /etc/postfix/name\n\
        relay_domains = example.com\nvirtual_alias_maps = inline:{{info@example.com = ann}}\n";
    let imported = imported(&[("main.cf", main), ("name", "Example.org\n")]);
    let text = bare(&imported);
    assert!(
        text.contains("\"info@example.com\" = [\"ann@example.org\"]\n"),
        "{text}"
    );
}

#[test]
fn what_may_be_a_password_alone_is_no_user() {
    let main = "relayhost = [smart.test]\nsmtp_sasl_auth_enable = yes\n\
        smtp_sasl_password_maps = inline:{{[smart.test] = s3cret-word}}\n";
    let (text, report) = of_main(main);
    assert!(
        !text.contains("s3cret") && !report.contains("s3cret"),
        "{text}{report}"
    );
}

#[test]
fn a_table_of_many_blocks_is_read_whole() {
    let block = |n: u32| {
        format!(
            "{}/24 REJECT\n",
            std::net::Ipv4Addr::from((1 << 24) + n * 512)
        )
    };
    let blocks: String = (0..60_000).map(block).collect();
    // Changed so often that its order cannot be kept.
    let mixed: String = (0..6000).map(|n| block(n) + "192.0.2.1 OK\n").collect();
    for blocks in [blocks, mixed] {
        let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nmynetworks = 10.0.0.1\n\
            smtpd_client_restrictions = check_client_access cidr:/etc/postfix/blocks\n";
        let imported = imported(&[("main.cf", main), ("blocks", &blocks)]);
        let written = imported.configuration.matches("/24\",").count();
        assert_eq!(written, blocks.matches("REJECT").count());
    }
}

#[test]
fn a_submission_service_needs_a_user() {
    let master = "smtp inet n - y - - smtpd\nsubmission inet n - y - - smtpd\n  -o smtpd_tls_security_level=encrypt\n  \
        -o smtpd_sasl_auth_enable=yes\n  -o smtpd_client_restrictions=permit_sasl_authenticated,reject\n";
    let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nmynetworks = 10.0.0.0/8\n\
        smtpd_tls_security_level = may\n";
    let text = bare(&imported(&[("main.cf", main), ("master.cf", master)]));
    assert!(text.contains("[listener.submission]\nbind = [\"0.0.0.0:587\", \"[::]:587\"]\nauth = \"required\"\ntls = \"require\"\n"), "{text}");
    assert!(text.contains("[listener.smtp]\nbind = [\"0.0.0.0:25\", \"[::]:25\"]\nauth = \"off\"\ntls = \"offer\"\n"), "{text}");
}

#[test]
fn aliases_become_forwards() {
    let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nmydestination =\nrelay_domains = example.org\n\
        parent_domain_matches_subdomains =\nvirtual_alias_domains = example.net\n\
        virtual_alias_maps = inline:{{info@example.net = ann@example.org bob@other.test}, {@example.net = @example.org},\
        {sales@example.org = ann@example.org}, {x@strange.test = ann@example.org}}\n";
    let imported = imported(&[("main.cf", main)]);
    let text = bare(&imported);
    for expected in [
        "\"info@example.net\" = [\"ann@example.org\", \"bob@other.test\"]\n",
        "\"@example.net\" = [\"@example.org\"]\n",
        "\"sales@example.org\" = [\"ann@example.org\"]\n",
        "[domain.\"example.net\"]\n",
    ] {
        assert!(
            text.contains(expected),
            "{expected}\n{text}\n{}",
            imported.report
        );
    }
    assert!(!text.contains("strange.test"));
}

#[test]
fn without_main_cf_there_is_nothing() {
    assert!(postfix(&Folder(BTreeMap::new()), &Environment::default()).is_err());
}

const WORDS: [&str; 24] = [
    "mynetworks = ",
    "relay_domains = ",
    "smtpd_relay_restrictions = ",
    "transport_maps = ",
    "virtual_alias_maps = ",
    "relayhost = ",
    "smtp_tls_policy_maps = ",
    "mydestination = ",
    "smtpd_client_restrictions = ",
    "permit_mynetworks, ",
    "reject ",
    "check_client_access ",
    "check_recipient_access ",
    "inline:{",
    "{a.test = smtp:[b]}",
    "{x@a.test = OK}",
    "}",
    "cidr:{{10.0.0.0/8 OK}}",
    "$mynetworks ",
    "\n",
    " ",
    "example.com ",
    "relay_recipient_maps = ",
    "[::1]:25 ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_is_read_ends_in_a_configuration_or_a_refusal(
        words in proptest::collection::vec(proptest::sample::select(&WORDS[..]), 0..40),
        noise in "\\PC{0,60}",
    ) {
        let main = format!("myhostname = a.example.com\n{}\n{noise}", words.concat());
        let files = BTreeMap::from([("main.cf".to_owned(), main)]);
        if let Ok(imported) = postfix(&Folder(files), &Environment::default()) {
            prop_assert!(config::parse("x", &imported.configuration, &Environment::default()).is_ok());
        }
    }
}

/// Of several services behind postscreen, it hands its clients to the one that it names.
#[test]
fn postscreen_has_the_service_that_it_names() {
    let main = "compatibility_level = 3.6\nmyhostname = a.example.com\nmydestination =\nmynetworks = 10.0.0.0/8\n";
    let open = "other pass - - n - - smtpd\n  -o mynetworks=10.0.0.0/8\n";
    let closed = |name: &str| format!("{name} pass - - n - - smtpd\n  -o mynetworks=10.1.0.0/16\n");
    for (name, more) in [("smtpd", ""), ("third", "  -o smtpd_service_name=third\n")] {
        let master = format!(
            "smtp inet n - n - 1 postscreen\n{more}{open}{}",
            closed(name)
        );
        let imported = imported(&[("main.cf", main), ("master.cf", &master)]);
        let text = bare(&imported);
        assert!(
            text.contains("allow = [\n  \"10.1.0.0/16\",\n]"),
            "{text}\n{}",
            imported.report
        );
    }
}
