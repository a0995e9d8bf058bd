//! `[console]`: where it is served, by TLS or in clear.

mod memory;

use std::path::PathBuf;
use std::time::Duration;

use memory::{bad, good};

const CERTIFICATE: &str = "certificate = \"c.pem\"\nkey = \"k.pem\"\n";

/// Each address, and whether it is served by TLS.
fn binds(text: &str) -> Vec<(String, bool)> {
    let binds = good(text).config.console.binds;
    let each = binds
        .iter()
        .map(|bind| (bind.address.to_string(), bind.tls));
    each.collect()
}

fn expected(binds: &[(&str, bool)]) -> Vec<(String, bool)> {
    let each = binds.iter();
    each.map(|(address, tls)| ((*address).to_owned(), *tls))
        .collect()
}

#[test]
fn it_is_on_loopback_unless_somebody_says_otherwise() {
    let console = good("").config.console;
    assert!(console.is_default);
    assert_eq!(console.idle_timeout, Duration::from_mins(30));
    assert_eq!(console.absolute_timeout, Duration::from_hours(12));
    assert_eq!(binds(""), expected(&[("127.0.0.1:8025", false)]));
    let tls = format!("[tls]\n{CERTIFICATE}");
    assert_eq!(binds(&tls), expected(&[("127.0.0.1:8025", false)]));
    for off in ["\"off\"", "[]"] {
        let text = format!("[console]\nbind = {off}\n");
        assert_eq!(binds(&text), []);
        assert!(!good(&text).config.console.is_default);
    }
}

#[test]
fn it_is_encrypted_off_loopback_and_where_it_has_a_certificate() {
    let both = "[console]\nbind = [\"[::1]:8025\", \"192.0.2.1:443\"]\n";
    let with_tls =
        format!("[tls]\n{CERTIFICATE}min_version = \"1.3\"\nclient_ca = \"ca.pem\"\n{both}");
    let served = [("[::1]:8025", false), ("192.0.2.1:443", true)];
    assert_eq!(binds(&with_tls), expected(&served));
    let tls = good(&with_tls).config.console.tls;
    assert_eq!(tls.min_version, config::TlsVersion::V1_3);
    assert_eq!((tls.certificates.len(), tls.client_ca), (1, None));
    let own = format!("[tls]\ncertificate = \"a.pem\"\nkey = \"b.pem\"\n{both}{CERTIFICATE}");
    let served = [("[::1]:8025", true), ("192.0.2.1:443", true)];
    assert_eq!(binds(&own), expected(&served));
    let tls = good(&own).config.console.tls;
    assert_eq!(tls.certificates[0].chain, PathBuf::from("c.pem"));
}

#[test]
fn it_is_never_reached_in_clear_from_elsewhere() {
    for address in [
        "192.0.2.1:8025",
        "0.0.0.0:8025",
        "[::]:8025",
        "[::ffff:192.0.2.1]:8025",
    ] {
        let refused = bad(&format!("[console]\nbind = \"{address}\"\n")).to_string();
        assert!(refused.contains("would be reached in clear"), "{refused}");
        assert!(refused.contains("ssh -L"), "{refused}");
    }
    let mapped = "[console]\nbind = \"[::ffff:127.0.0.1]:8025\"\n";
    assert_eq!(
        binds(mapped),
        expected(&[("[::ffff:127.0.0.1]:8025", false)])
    );
}

#[test]
fn mistakes_are_told() {
    for (lines, part) in [
        ("bind = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "twice"),
        ("bind = \"on\"", "or \"off\""),
        ("certificate = \"c.pem\"", "each certificate needs its key"),
        ("idle_timeout = \"0s\"", "longer than nothing"),
        ("absolute_timeout = \"0s\"", "longer than nothing"),
        ("hostnames = [\"a b\"]", "name"),
    ] {
        let refused = bad(&format!("[console]\n{lines}\n")).to_string();
        assert!(refused.contains(part), "{lines}: {refused}");
    }
    let names = good("[console]\nhostnames = [\"relay.test\"]\n")
        .config
        .console
        .hostnames;
    assert_eq!(names[0].as_str(), "relay.test");
}
