//! `gatepost test dns` against a real resolver.

use serde_json::Value;

use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::relay::Relay;

/// What is said of this, as its mark and its text.
fn found<'a>(told: &'a Value, subject: &str, what: &str) -> (&'a str, &'a str) {
    let findings = told["findings"].as_array().expect("findings");
    let mut findings = findings.iter();
    let finding = findings.find(|finding| finding["subject"] == subject && finding["what"] == what);
    let finding = finding.unwrap_or_else(|| panic!("no {what} of {subject}: {told}"));
    let text = |key: &str| finding[key].as_str().expect("a text");
    (text("result"), text("text"))
}

#[test]
fn what_others_see_is_told_with_what_is_wrong() {
    let network = Network::new();
    let (ours, nameless) = (network.relay(), network.host(77));
    let zone = format!(
        "relay A {ours}\ngood MX 10 relay\ngood TXT \"v=spf1 mx -all\"\n\
         else MX 10 mail.else\nmail.else A 192.0.2.9\nelse TXT \"v=spf1 -all\"\nelse TXT \"v=spf1 mx\"\n\
         broken MX 10 gone\n_mta-sts.broken TXT \"v=STSv1; id=1\"\n\
         bare A 192.0.2.9\nnull MX 0 ."
    );
    let names = NameServer::start_with(network.name_server(), &zone, &[(ours, "relay.test")]);
    let domain = |name: &str| format!("[domain.\"{name}.test\"]\nroute = \"[192.0.2.1]\"\n");
    let fine = domain("good") + &names.config();
    let ours = ours.to_string();
    let look = |relay: &Relay, addresses: &[&str], code| {
        let mut arguments = vec!["test", "dns", "--json"];
        for address in addresses {
            arguments.extend(["--address", *address]);
        }
        let ran = relay.command(&arguments);
        serde_json::from_str::<Value>(&ran.expect_code(code).out).expect("JSON")
    };
    let relay = Relay::prepare(network, &fine);
    let told = look(&relay, &[&ours], 0);
    assert_eq!(found(&told, "relay.test", "greeting").0, "ok");
    assert_eq!(found(&told, &ours, "PTR"), ("ok", "relay.test, and back"));
    assert_eq!(found(&told, "good.test", "MX"), ("ok", "10 relay.test"));
    assert_eq!(found(&told, "good.test", "SPF"), ("ok", "v=spf1 mx -all"));
    assert_eq!(found(&told, "good.test", "MTA-STS").0, "note");

    let others = ["else", "broken", "bare", "null", "nowhere"];
    let others: String = others.iter().map(|name| domain(name)).collect();
    relay.write_config(&(fine + &others));
    let told = look(&relay, &[&nameless.to_string()], 1);
    assert_eq!(found(&told, &nameless.to_string(), "PTR").0, "FAIL");
    assert_eq!(found(&told, "else.test", "MX").0, "note");
    assert_eq!(found(&told, "else.test", "SPF").0, "FAIL");
    assert_eq!(found(&told, "broken.test", "MX").0, "note");
    assert_eq!(found(&told, "gone.test", "addresses").0, "FAIL");
    assert_eq!(found(&told, "broken.test", "MTA-STS").0, "FAIL");
    assert_eq!(found(&told, "bare.test", "MX").0, "warning");
    assert_eq!(found(&told, "bare.test", "SPF").0, "warning");
    assert_eq!(found(&told, "null.test", "MX").0, "FAIL");
    assert_eq!(found(&told, "nowhere.test", "MX").0, "FAIL");
}

#[test]
fn what_dns_cannot_tell_is_unknown() {
    let network = Network::new();
    let config = format!(
        "[domain.\"good.test\"]\n{}timeout = \"1s\"\n",
        dns::config_for(network.name_server())
    );
    let relay = Relay::prepare(network, &config);
    let text = relay.command(&["test", "dns"]).expect_code(75).out;
    assert!(text.contains("unknown"), "{text}");
}
