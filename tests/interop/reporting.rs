//! Domains are told what came in their name: counted, kept over a restart, sent a day later to who
//! wants it, signed, and read by another program.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::client::{Dialogue, message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::program::{feed, run};
use crate::relay::{Relay, binary};
use crate::server::RecordingServer;
use crate::wait::{seconds, until};

const OTHERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/reporting");
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../reports/tests/reporting.py");

/// A day that is over.
const YESTERDAY: u64 = 1_772_323_200;

/// Makes the counts in the relay's file those of a day long ago, so that they are due.
fn age(relay: &Relay) -> Value {
    let file = relay.data_dir().join("reports");
    let text = fs::read_to_string(&file).expect("what is counted is kept");
    let mut kept: Value = serde_json::from_str(&text).expect("JSON");
    kept["since"] = json!(YESTERDAY);
    fs::write(&file, kept.to_string()).expect("the file");
    kept
}

fn dmarc_report_reads(file: &Path) -> Value {
    let file = file.display().to_string();
    let told = run("/usr/bin/python3", &[DRIVER, OTHERS, "dmarc", &file]).expect_code(0);
    serde_json::from_str(&told.out).expect("JSON")
}

#[test]
fn domains_that_ask_for_it_are_told_once_a_day_what_came_in_their_name() {
    let network = Network::new();
    let far = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let keys = relay.folder().join("dkim").display().to_string();
    let key = relay
        .command(&["dkim", "keygen", "hosted.test", "--out", &keys])
        .expect_code(0)
        .out;
    let (_, key) = key.split_once('\n').expect("a file and a record");
    let stranger = relay.network.stranger();
    let records = format!(
        "{key}good TXT \"v=spf1 ip4:{stranger} -all\"\n\
         _dmarc.good TXT \"v=DMARC1; p=reject; rua=mailto:rua@good.test,mailto:all@reader.test,mailto:no@victim.test\"\n\
         good.test._report._dmarc.reader TXT \"v=DMARC1\"\n\
         bad TXT \"v=spf1 -all\"\n_dmarc.bad TXT \"v=DMARC1; p=reject; rua=mailto:rua@bad.test\"\n\
         quiet TXT \"v=spf1 -all\"\n_dmarc.quiet TXT \"v=DMARC1; p=reject\"\n\
         pong TXT \"v=spf1 ip4:{stranger} -all\"\n_dmarc.pong TXT \"v=DMARC1; p=reject; rua=mailto:rua@pong.test\"\n"
    );
    let names = NameServer::start(relay.network.name_server(), &records);
    relay.write_config(&format!(
        "{}[outbound]\nroute = \"{far}\"\n[domain.\"hosted.test\"]\nroute = \"{far}\"\n\
         [authentication]\ndmarc = \"respect\"\n[reports]\ndmarc = true\nfrom = \"dmarc@hosted.test\"\n\
         organization = \"Relay & Co\"\n[dkim.\"hosted.test\"]\nselector = \"rsa\"\nkey = \"dkim/rsa.hosted.test.key\"\n",
        names.config(),
        far = far.route(),
    ));
    relay.run();
    let send = |relay: &Relay, id: &str, domain: &str, to: &str| {
        let text = message(id).replace("client.test", &format!("{domain}.test"));
        let text = match domain {
            "pong" => text.replace(
                "Subject: ",
                "Subject: Report Domain: hosted.test Submitter: ",
            ),
            _ => text,
        };
        let mut client = Dialogue::ready(stranger, relay.address());
        client
            .submit(&format!("ann@{domain}.test"), &[to], &text)
            .code
    };
    assert_eq!(send(&relay, "one", "good", "bob@hosted.test"), 250);
    assert_eq!(send(&relay, "two", "bad", "bob@hosted.test"), 550);
    assert_eq!(send(&relay, "three", "quiet", "bob@hosted.test"), 550);
    // An answer to a report is not reported.
    assert_eq!(send(&relay, "four", "bad", "dmarc@hosted.test"), 550);
    // A report by a domain that sends nothing else: one about it would be answered by the next.
    assert_eq!(send(&relay, "pong", "pong", "bob@hosted.test"), 250);
    relay.stop();
    // What was counted goes on after a restart.
    relay.run();
    assert_eq!(send(&relay, "five", "good", "bob@hosted.test"), 250);
    // Ours are not checked.
    submit(
        relay.network.permitted(),
        relay.address(),
        "ann@bad.test",
        &["bob@hosted.test"],
        &message("six"),
    );
    relay.stop();
    assert_eq!(age(&relay)["domains"].as_array().map(Vec::len), Some(3));
    relay.run();

    let report = |to: &str| far.wait_where("a report", |received| received.to == [to]);
    let (own, other) = (report("rua@good.test"), report("all@reader.test"));
    let bad = report("rua@bad.test");
    assert_eq!(own.from, "dmarc@hosted.test");
    assert_eq!(own.header("From").as_deref(), Some("<dmarc@hosted.test>"));
    let signature = own.header("DKIM-Signature").expect("it is signed");
    assert!(signature.contains("d=hosted.test"), "{signature}");
    let subject = own.subject();
    let id = subject.strip_prefix("Report Domain: good.test Submitter: relay.test Report-ID: <");
    let id = id.and_then(|rest| rest.strip_suffix('>')).expect(&subject);
    assert_eq!(other.subject(), subject);

    let file = relay.folder().join("report.eml");
    fs::write(&file, &own.data).expect("a file");
    let shown = feed(
        binary(),
        &["reports", &file.display().to_string(), "-"],
        &bad.data,
    )
    .expect_code(0);
    for (domain, words) in [
        ("good.test", ["Relay & Co", "2", "pass", "pass", "fail"]),
        ("bad.test", ["Relay & Co", "1", "reject", "fail", "fail"]),
    ] {
        let line = shown.out.lines().find(|line| line.contains(domain));
        let line = line.unwrap_or_else(|| panic!("{domain}: {}", shown.out));
        assert!(
            line.contains(words[0]) && line.contains(&stranger.to_string()),
            "{line}"
        );
        let cells: Vec<&str> = line.split_whitespace().rev().take(4).collect();
        assert_eq!(cells, [words[4], words[3], words[2], words[1]], "{line}");
    }

    // Another program, which is strict, reads the file that is attached.
    let text = own.text();
    let name = text
        .split("filename=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let name = name.expect("a file");
    assert!(
        name.starts_with(&format!("relay.test!good.test!{YESTERDAY}!")),
        "{name}"
    );
    assert!(name.ends_with(&format!("!{id}.xml.gz")), "{name}");
    let packed = text
        .split("base64\r\n\r\n")
        .nth(1)
        .and_then(|rest| rest.split("\r\n--").next());
    let packed = packed.expect("a report").replace("\r\n", "\n") + "\n";
    let attached = relay.folder().join(name);
    let decode = ["base64", "-d", "-out", &attached.display().to_string()];
    feed("openssl", &decode, packed.as_bytes()).expect_code(0);
    let told = dmarc_report_reads(&attached);
    assert_eq!(
        (&told["format"], &told["id"]),
        (&json!("rfc_9990"), &json!(id))
    );
    assert_eq!(
        (&told["domain"], &told["contact"]),
        (&json!("good.test"), &json!("dmarc@hosted.test"))
    );
    let record = json!([{
        "source": stranger.to_string(), "count": 2, "disposition": "pass", "dkim": "fail", "spf": "pass",
        "overrides": [], "names": ["good.test", "good.test", null],
        "results": [["good.test", "mfrom", "pass"]],
    }]);
    assert_eq!(told["records"], record);

    // Nobody who did not ask for it hears of it, and nobody twice.
    relay.wait_until_empty();
    let taken: Vec<String> = far
        .received()
        .into_iter()
        .flat_map(|received| received.to)
        .collect();
    let reports = taken
        .iter()
        .filter(|to| !to.ends_with("@hosted.test"))
        .count();
    assert_eq!(reports, 3, "{taken:?}");
    let rows = until("the report in the tracking", seconds(10), || {
        let ran = relay
            .command(&["--json", "track", "to:rua@good.test"])
            .expect_code(0);
        let rows: Value = serde_json::from_str(&ran.out).expect("JSON");
        (rows[0]["result"] == "delivered").then_some(rows)
    });
    assert_eq!(rows[0]["from"], "dmarc@hosted.test", "{rows}");
    relay.stop();
    let kept = fs::read_to_string(relay.data_dir().join("reports")).expect("the file");
    let kept: Value = serde_json::from_str(&kept).expect("JSON");
    assert_eq!(kept["domains"], json!([]));
}
