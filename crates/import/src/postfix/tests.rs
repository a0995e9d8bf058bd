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
