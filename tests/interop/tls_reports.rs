//! Domains are told how connections to their mail servers were encrypted: by mail, signed, and by HTTPS;
//! what MTA-STS made of it. Reports get through where no other mail does, and none causes another.

use std::fs;

use serde_json::{Value, json};

use crate::mta_sts::{POLICY_HOST, Setup, send};
use crate::program::{feed, run};
use crate::relay::{Relay, binary};
use crate::wait::{seconds, until};

/// A day that is over.
const YESTERDAY: u64 = 1_772_323_200;

/// Makes the counts in the relay's file those of a day long ago, so that they are due.
fn age(relay: &Relay) -> String {
    let file = relay.data_dir().join("reports");
    let text = fs::read_to_string(&file).expect("what is counted is kept");
    let mut kept: Value = serde_json::from_str(&text).expect("JSON");
    kept["since"] = json!(YESTERDAY);
    fs::write(&file, kept.to_string()).expect("the file");
    text
}

/// Domains that want reports by mail, beside `good`.
const SPOKEN_OF: [&str; 7] = [
    "badname", "hijacked", "testing", "nopolicy", "invalid", "lost", "other",
];

fn setup() -> Setup {
    Setup::with(&|network| {
        let mut zone = format!(
            "reports.good A {}\n\
             _smtp._tls.reader TXT \"v=TLSRPTv1; rua=mailto:reader@reader.test\"\n\
             _smtp._tls.good TXT \"v=TLSRPTv1; rua=mailto:good@reader.test,https://reports.good.test/tls\"\n",
            network.host(POLICY_HOST)
        );
        // The host of the one does not exist, the certificate of the other's is for other names.
        zone += "lost MX 10 mx.right\n_mta-sts.lost TXT \"v=STSv1; id=1\"\n\
                 other MX 10 mx.right\n_mta-sts.other TXT \"v=STSv1; id=1\"\n";
        zone += &format!("mta-sts.other A {}\n", network.host(POLICY_HOST));
        for name in SPOKEN_OF {
            zone +=
                &format!("_smtp._tls.{name} TXT \"v=TLSRPTv1;rua=mailto:{name}@reader.test\"\n");
        }
        zone
    })
}

fn relay(setup: &Setup) -> Relay {
    let mut relay = setup.relay(
        "[domain.\"hosted.test\"]\nroute = \"127.0.0.1:9\"\n\
         [reports]\ntls = true\nfrom = \"tls@hosted.test\"\norganization = \"Relay & Co\"\n",
    );
    relay.stop();
    let keys = relay.folder().join("dkim").display().to_string();
    relay
        .command(&["dkim", "keygen", "hosted.test", "--out", &keys])
        .expect_code(0);
    let config = fs::read_to_string(relay.config()).expect("the configuration");
    let signs = "[dkim.\"hosted.test\"]\nselector = \"rsa\"\nkey = \"dkim/rsa.hosted.test.key\"\n";
    relay.write_whole_config(&(config + signs));
    relay.run();
    relay
}

/// Its report as JSON, from the message that was received.
fn unpacked(relay: &Relay, message: &str) -> Value {
    let packed = message.split("base64\n\n").nth(1);
    let packed = packed.and_then(|rest| rest.split("\n--").next());
    let packed = packed.expect("a report").to_owned() + "\n";
    let file = relay.folder().join("report.gz").display().to_string();
    let decode = ["base64", "-d", "-out", &file];
    feed("openssl", &decode, packed.as_bytes()).expect_code(0);
    let text = run("gzip", &["-dc", &file]).expect_code(0).out;
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn domains_that_ask_for_it_are_told_once_a_day_how_connections_were_encrypted() {
    let setup = setup();
    let mut relay = relay(&setup);
    for name in SPOKEN_OF.into_iter().chain(["good", "skip"]) {
        send(&relay, name, name);
    }
    send(&relay, "reader", "plain");
    for name in ["badname", "hijacked", "reader"] {
        relay.wait_for_deferral(&format!("bob@{name}.test"));
        let to = format!("to:bob@{name}.test");
        relay
            .command(&["queue", "delete", &to, "--yes"])
            .expect_code(0);
    }
    relay.wait_until_empty();
    relay.stop();
    age(&relay);
    relay.run();

    let told = |name: &str| {
        let message = setup
            .right
            .wait_for(&format!("TLS-Report-Domain: {name}.test"));
        let message = message["message"].as_str().expect("a message").to_owned();
        (unpacked(&relay, &message), message)
    };
    let (good, message) = told("good");
    for words in [
        "From: <tls@hosted.test>",
        "To: <good@reader.test>",
        "TLS-Report-Submitter: hosted.test",
        "Subject: Report Domain: good.test\n Submitter: hosted.test\n Report-ID: <",
        "Content-Type: multipart/report; report-type=\"tlsrpt\"",
        "Content-Type: application/tlsrpt+gzip",
        &format!("filename=\"hosted.test!good.test!{YESTERDAY}!"),
    ] {
        assert!(message.contains(words), "{words}: {message}");
    }
    let head = message.split("\n\n").next().unwrap_or_default();
    let signed = head.replace(['\n', '\t', ' '], "").to_ascii_lowercase();
    assert!(signed.contains("d=hosted.test"), "{head}");
    assert!(signed.contains(":tls-report-domain"), "{head}");
    assert_eq!(
        (&good["organization-name"], &good["contact-info"]),
        (&json!("Relay & Co"), &json!("tls@hosted.test"))
    );
    let summary = |successful: u64, failed: u64| json!({ "total-successful-session-count": successful, "total-failure-session-count": failed });
    let policy = json!({
        "policy-type": "sts",
        "policy-domain": "good.test",
        "policy-string": ["version: STSv1", "mode: enforce", "mx: *.right.test", "max_age: 86400"],
        "mx-host": ["*.right.test"],
    });
    let expected = json!([{ "policy": policy, "summary": summary(1, 0) }]);
    assert_eq!(good["policies"], expected);
    let host = setup.policy_host.as_ref().expect("a host");
    let posted = &until("the report by HTTPS", seconds(20), || {
        host.entries("report").pop()
    });
    assert_eq!(
        (&posted["report"], &posted["path"]),
        (&good, &json!("/tls"))
    );

    let address = setup.network.host(21).to_string();
    for (name, kind, result, to) in [
        (
            "badname",
            "sts",
            "certificate-host-mismatch",
            Some(&address),
        ),
        ("hijacked", "sts", "validation-failure", None),
        ("testing", "sts", "validation-failure", Some(&address)),
    ] {
        let (report, _) = told(name);
        let of = &report["policies"][0];
        assert_eq!(of["policy"]["policy-type"], kind, "{name}: {report}");
        assert_eq!(
            of["summary"]["total-successful-session-count"], 0,
            "{name}: {report}"
        );
        let failure = &of["failure-details"][0];
        assert_eq!(failure["result-type"], result, "{name}: {report}");
        assert_eq!(
            failure["receiving-mx-hostname"], "mx.wrong.test",
            "{name}: {report}"
        );
        assert_eq!(
            failure["receiving-ip"].as_str(),
            to.map(String::as_str),
            "{name}: {report}"
        );
        assert!(
            failure["failure-reason-code"].is_string(),
            "{name}: {report}"
        );
    }
    for (name, result) in [
        ("invalid", "sts-policy-invalid"),
        ("lost", "sts-policy-fetch-error"),
        ("other", "sts-webpki-invalid"),
    ] {
        let (report, _) = told(name);
        let of = &report["policies"][0];
        let domain = format!("{name}.test");
        let policy = json!({ "policy-type": "sts", "policy-domain": domain });
        assert_eq!(
            (&of["policy"], &of["summary"]),
            (&policy, &summary(0, 1)),
            "{report}"
        );
        let failures = of["failure-details"].as_array().expect("failures");
        let [failure] = &failures[..] else {
            panic!("{report}");
        };
        assert_eq!(failure["result-type"], result, "{report}");
        assert!(failure["failure-reason-code"].is_string(), "{report}");
    }
    let (report, message) = told("nopolicy");
    let policy = json!({ "policy-type": "no-policy-found", "policy-domain": "nopolicy.test" });
    let expected = json!([{ "policy": policy, "summary": summary(1, 0) }]);
    assert_eq!(report["policies"], expected);
    // We read what we write.
    let shown = feed(
        binary(),
        &["reports", "-"],
        message.replace('\n', "\r\n").as_bytes(),
    );
    let shown = shown.expect_code(0).out;
    assert!(
        shown.contains("nopolicy.test") && shown.contains("Relay & Co"),
        "{shown}"
    );

    // By mail nobody but reports gets to where they go, and nothing is told of that.
    relay.wait_until_empty();
    send(&relay, "testing", "again");
    relay.wait_until_empty();
    relay.stop();
    let kept = age(&relay);
    assert!(!kept.contains("reader.test"), "{kept}");
    relay.run();
    let about = |domain: &str| {
        let reports = setup.right.entries("message").into_iter();
        let words = format!("TLS-Report-Domain: {domain}.test");
        reports
            .filter(|entry| entry.to_string().contains(&words))
            .count()
    };
    // Reports go out in the order of the names.
    until("the last report of the day", seconds(20), || {
        (about("testing") == 2).then_some(())
    });
    assert_eq!(about("good"), 1);
}

#[test]
fn a_report_that_a_web_server_did_not_take_is_not_forgotten_by_a_restart() {
    let mut setup = setup();
    let mut relay = relay(&setup);
    send(&relay, "good", "good");
    relay.wait_until_empty();
    relay.stop();
    age(&relay);
    setup.policy_host = None;
    relay.run();
    relay.wait_for_log(&["a TLS report was not taken, and is tried again"]);
    relay.stop();
    setup.open_policy_host();
    relay.run();
    let host = setup.policy_host.as_ref().expect("a host");
    let posted = until("the report by HTTPS", seconds(20), || {
        host.entries("report").pop()
    });
    let policy = &posted["report"]["policies"][0]["policy"];
    assert_eq!(policy["policy-domain"], "good.test", "{posted}");
    relay.wait_for_log(&["a TLS report was taken"]);
    relay.stop();
    let kept = fs::read_to_string(relay.data_dir().join("reports")).expect("what is counted");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["handovers"], json!([]), "{kept}");
}
