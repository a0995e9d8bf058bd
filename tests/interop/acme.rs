//! Certificates by ACME: an authority that others wrote gives them, and clients see them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::authority::fingerprint;
use crate::client::message;
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::pebble::{Manner, Pebble};
use crate::peer_certificates::PeerAuthority;
use crate::program::{feed, run};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until};

const ORDER_SECONDS_MAX: u64 = 60;
const DAY: i64 = 24 * 60 * 60;

fn client_of(relay: &Relay) -> Encrypted {
    Encrypted::after_starttls(relay.network.stranger(), relay.address())
}

/// The certificate that is shown for `name`, as openssl prints it.
fn shown(relay: &Relay, name: &str) -> String {
    let certificate = client_of(relay).with(&["-servername", name]).certificate();
    feed(
        "openssl",
        &["x509", "-noout", "-text"],
        certificate.as_bytes(),
    )
    .out
}

fn print_of(relay: &Relay, name: &str) -> String {
    fingerprint(&client_of(relay).with(&["-servername", name]).certificate())
}

fn rows(relay: &Relay) -> Vec<Value> {
    let ran = relay.command(&["acme", "status", "--json"]).expect_code(0);
    serde_json::from_str(&ran.out).expect("JSON")
}

fn row(relay: &Relay, name: &str) -> Value {
    let found = rows(relay).into_iter().find(|row| row["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is not in the status"))
}

/// Waits until as many orders for `name` have ended.
fn ended(relay: &Relay, name: &str, tries: u64) -> Value {
    until(
        &format!("{tries} orders for {name}"),
        seconds(ORDER_SECONDS_MAX),
        || {
            let row = row(relay, name);
            (row["tries"].as_u64() >= Some(tries)).then_some(row)
        },
    )
}

fn attention(relay: &Relay) -> String {
    relay.status().expect("a running relay")["attention"].to_string()
}

/// By each kind of proof; what is written is for nobody else, and nothing is open afterwards.
#[test]
fn a_certificate_comes_by_each_kind_of_proof() {
    for kind in ["http-01", "tls-alpn-01", "dns-01"] {
        let network = Network::new();
        let pebble = Pebble::start(&network, Manner::default());
        let challenge = format!("challenge = \"{kind}\"\n");
        let settings = match kind {
            "dns-01" => {
                let more = format!(
                    "hook = \"{}\"\nnames = [\"relay.test\", \"*.branch.test\"]",
                    pebble.hook()
                );
                pebble.settings_by_dns(&format!("{challenge}{more}"))
            }
            _ => pebble.settings(&challenge),
        };
        let relay = Relay::start(network, &settings);
        let row = ended(&relay, "relay.test", 1);
        assert_eq!(row["trouble"], Value::Null, "{kind}: {row}");
        assert_eq!(row["state"], "valid", "{row}");
        let certificate = shown(&relay, "relay.test");
        assert!(
            certificate.contains("Issuer: CN = Pebble Intermediate"),
            "{certificate}"
        );
        assert!(certificate.contains("DNS:relay.test"), "{certificate}");
        if kind == "dns-01" {
            ended(&relay, "*.branch.test", 1);
            let certificate = shown(&relay, "mx.branch.test");
            assert!(certificate.contains("DNS:*.branch.test"), "{certificate}");
            let record = |verb: &str, name: &str| format!("{verb} _acme-challenge.{name}");
            let expected = ["relay.test", "branch.test"]
                .map(|name| ["add", "remove"].map(|verb| record(verb, name)));
            assert_eq!(pebble.hook_calls(), expected.concat());
        }
        let folder = relay.data_dir().join("acme");
        let mut files: Vec<PathBuf> = fs::read_dir(&folder)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").path())
            .collect();
        files.sort();
        for file in &files {
            let mode = file.metadata().expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{}", file.display());
        }
        let names: Vec<_> = files
            .iter()
            .filter_map(|file| file.file_name()?.to_str())
            .collect();
        assert!(
            names.contains(&"relay.test.pem")
                && names[0].starts_with("_.branch") == (kind == "dns-01"),
            "{names:?}"
        );
        let mode = folder.metadata().expect("the folder").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(
            std::net::TcpStream::connect(pebble.proofs()).is_err(),
            "proofs are shown for as long as somebody looks for them"
        );
        assert_eq!(attention(&relay), "[]");
    }
}

/// RFC 8737: whoever asks for `acme-tls/1` alone gets the proof while there is one, and browsers their page.
#[test]
fn a_console_at_the_port_shows_the_proof() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    let authority = PeerAuthority::named("authority of the console");
    let own = authority.certificate(&["relay.test"]);
    let console = format!(
        "[console]\nbind = \"{}\"\ncertificate = {:?}\nkey = {:?}\n",
        pebble.proofs(),
        own.chain,
        own.key
    );
    let settings = pebble.settings("challenge = \"tls-alpn-01\"");
    let relay = Relay::start(network, &format!("{settings}{console}"));
    let row = ended(&relay, "relay.test", 1);
    assert_eq!(row["state"], "valid", "{row}");
    let at = pebble.proofs().to_string();
    let seen = |more: &[&str]| {
        let ask = ["s_client", "-connect", &at, "-servername", "relay.test"];
        feed("openssl", &[&ask, more].concat(), b"").out
    };
    for more in [&[][..], &["-alpn", "h2,http/1.1"], &["-alpn", "acme-tls/1"]] {
        let shown = seen(more);
        assert!(
            shown.contains("authority of the console"),
            "{more:?}: {shown}"
        );
    }
}

/// Until the first one is there a self-signed one is shown; a new one is shown to whoever comes next,
/// and who is there stays.
#[test]
fn a_renewed_certificate_is_shown_and_open_sessions_stay() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.is_now(json!({ "down": true }));
    let server = RecordingServer::start(network.mail_server());
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let settings = format!("{}{domain}", pebble.settings("keep_key = true"));
    let relay = Relay::start(network, &settings);
    let row = ended(&relay, "relay.test", 1);
    assert_eq!(row["state"], "none", "{row}");
    let said = attention(&relay);
    assert!(
        said.contains("there is no certificate for relay.test yet, tried once"),
        "{said}"
    );
    let certificate = shown(&relay, "relay.test");
    assert!(
        certificate.contains("Issuer: CN = relay.test"),
        "{certificate}"
    );
    let mut open = client_of(&relay).ready();
    open.ask("MAIL FROM:<ann@client.test>", 250);
    pebble.is_now(json!({}));
    let ran = relay.command(&["acme", "renew"]).expect_code(0);
    assert!(ran.out.contains("3 1 1 "), "{}", ran.out);
    let first = print_of(&relay, "relay.test");
    let before = row_tlsa(&relay);
    relay
        .command(&["acme", "renew", "relay.test"])
        .expect_code(0);
    let second = print_of(&relay, "relay.test");
    assert_ne!(first, second);
    // The same key, so that what was published in DNS stays true.
    assert_eq!(before, row_tlsa(&relay));
    open.ask("RSET", 250);
    let reply = open.submit(
        "ann@client.test",
        &["bob@hosted.test"],
        &message("over-old-keys"),
    );
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("over-old-keys");
    let ran = relay.command(&["acme", "renew", "other.test"]);
    assert_ne!(ran.code, 0);
    assert!(ran.text().contains("tls.acme.names"), "{}", ran.text());
    let audit = fs::read_to_string(relay.data_dir().join("audit.jsonl")).expect("the audit log");
    let renewals = audit
        .lines()
        .filter(|line| line.contains("acme/renew"))
        .count();
    assert_eq!(renewals, 3, "{audit}");
}

fn row_tlsa(relay: &Relay) -> String {
    row(relay, "relay.test")["tlsa"]
        .as_str()
        .expect("a record")
        .to_owned()
}

/// Nothing changes for mail; who looks is told, and so are metrics.
#[test]
fn while_the_authority_is_down_the_old_certificate_is_shown() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    let mut relay = Relay::start(network, &pebble.settings(""));
    ended(&relay, "relay.test", 1);
    let first = print_of(&relay, "relay.test");
    pebble.is_now(json!({ "down": true }));
    let ran = relay.command(&["acme", "renew"]);
    assert_eq!(ran.code, 1, "{}", ran.text());
    assert_eq!(print_of(&relay, "relay.test"), first);
    let said = attention(&relay);
    assert!(
        said.contains("the certificate for relay.test, which ends at"),
        "{said}"
    );
    relay.wait_for_log(&["no certificate was got by ACME", "relay.test"]);
    let page = relay.command(&["status", "--metrics"]).expect_code(0).out;
    for line in [
        "gatepost_acme_orders_total{result=\"issued\"} 1",
        "gatepost_acme_orders_total{result=\"failed\"} 1",
        "gatepost_acme_certificate_not_after_timestamp_seconds{name=\"relay.test\"}",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    // A start needs no authority either.
    assert!(relay.stop().success());
    relay.run();
    assert_eq!(print_of(&relay, "relay.test"), first);
    assert_eq!(attention(&relay), "[]");
}

/// An authority that passes over the wish must not give another kind in silence.
#[test]
fn an_unknown_profile_is_told_and_never_another_taken() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.is_now(json!({ "profiles": { "classic": "of long life" } }));
    let relay = Relay::start(network, &pebble.settings("profile = \"shortlived\""));
    let row = ended(&relay, "relay.test", 1);
    let why = "the directory has no profile `shortlived` (tls.acme.profile); it offers classic";
    assert_eq!(row["trouble"], why);
    assert_eq!(row["state"], "none");
    assert_eq!(pebble.entries("ordered"), Vec::<Value>::new());
    let checked = relay.command(&["config", "check"]);
    assert!(checked.text().contains(why), "{}", checked.text());
    // Offered, and yet another kind comes, of ninety days.
    pebble.is_now(json!({ "profiles": { "shortlived": "of a week" } }));
    relay.command(&["acme", "renew"]).expect_code(0);
    assert_eq!(pebble.entries("ordered")[0]["profile"], "shortlived");
    let said = attention(&relay);
    assert!(
        said.contains("of the profile shortlived 7 at most"),
        "{said}"
    );
}

#[test]
fn a_name_that_cannot_be_proven_costs_no_other() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.leads_to("wrong.test", network.host(99));
    let names = "names = [\"wrong.test\", \"Relay.test\", \"mx.branch.test\"]";
    let relay = Relay::start(network, &pebble.settings(names));
    let wrong = ended(&relay, "wrong.test", 1);
    for name in ["relay.test", "mx.branch.test"] {
        assert_eq!(ended(&relay, name, 1)["state"], "valid");
        assert!(shown(&relay, name).contains(&format!("DNS:{name}")));
    }
    // In the authority's own words.
    let why = wrong["trouble"].as_str().expect("a reason");
    assert!(
        why.contains("refused") && why.contains("(connection)"),
        "{why}"
    );
    let said = attention(&relay);
    assert!(
        said.contains("no certificate for wrong.test") && !said.contains("branch"),
        "{said}"
    );
    // What no authority would take is found before any is asked.
    for (name, why) in [
        ("mail_relay.test", "`_`"),
        ("*.relay.test", "dns-01"),
        ("-a.test", "hyphen"),
        ("192.0.2.1", "address"),
    ] {
        relay.write_config(&pebble.settings(&format!("names = [\"relay.test\", \"{name}\"]")));
        let checked = relay.command(&["config", "check"]);
        assert_ne!(checked.code, 0, "{name}");
        assert!(checked.text().contains(why), "{name}: {}", checked.text());
    }
}

/// Also where authorisations count again, which are not to be proven twice.
#[test]
fn the_account_and_what_it_has_proven_are_used_again() {
    let network = Network::new();
    let manner = Manner {
        reuse: 100,
        ..Manner::default()
    };
    let mut pebble = Pebble::start(&network, manner);
    let mut relay = Relay::start(network, &pebble.settings(""));
    ended(&relay, "relay.test", 1);
    assert!(relay.stop().success());
    relay.run();
    relay.command(&["acme", "renew"]).expect_code(0);
    let accounts = |pebble: &Pebble| {
        let mut accounts: Vec<String> = (pebble.entries("ordered").iter())
            .map(|order| order["account"].to_string())
            .collect();
        accounts.dedup();
        accounts
    };
    assert_eq!(pebble.entries("ordered").len(), 2);
    assert_eq!(accounts(&pebble).len(), 1);
    // One that has forgotten us gets another account.
    pebble.restart();
    relay.command(&["acme", "renew"]).expect_code(0);
    relay.wait_for_log(&["the authority has forgotten our account"]);
    assert_eq!(row(&relay, "relay.test")["failures"], 0);
}

/// Nine of ten nonces are refused, wherever they are.
#[test]
fn refused_nonces_cost_no_certificate() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.is_now(json!({ "refuse": 10 }));
    let relay = Relay::start(network, &pebble.settings(""));
    let row = ended(&relay, "relay.test", 1);
    assert_eq!(row["state"], "valid", "{row}");
    assert!(pebble.entries("refused").len() > 30);
}

/// RFC 9773: a window in the past means now; where nothing usable is said, two thirds of the life pass.
#[test]
fn the_authority_says_when_to_renew() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.is_now(json!({ "window": [DAY, 2 * DAY] }));
    let mut relay = Relay::start(network, &pebble.settings(""));
    let advised = |relay: &Relay, is_advised: bool| {
        until("advice", seconds(ORDER_SECONDS_MAX), || {
            let row = row(relay, "relay.test");
            (row["is_advised"] == is_advised && row["state"] == "valid").then_some(row)
        })
    };
    let row = advised(&relay, true);
    assert!(days_until(&row["renewed"]) < 3, "{row}");
    let first = print_of(&relay, "relay.test");
    // All that were given have to be renewed.
    assert!(relay.stop().success());
    pebble.is_now(json!({ "window": [-2 * DAY, -DAY] }));
    relay.run();
    ended(&relay, "relay.test", 1);
    assert_ne!(print_of(&relay, "relay.test"), first);
    let orders = pebble.entries("ordered");
    assert_eq!(
        (orders.len(), orders[0]["replaces"].is_null()),
        (2, true),
        "{orders:?}"
    );
    assert!(
        orders[1]["replaces"]
            .as_str()
            .is_some_and(|id| id.contains('.')),
        "{orders:?}"
    );
    // Without Retry-After it cannot be told for how long that holds.
    assert!(relay.stop().success());
    pebble.is_now(json!({ "window": [-2 * DAY, -DAY], "silent": true }));
    let asked = pebble.entries("renewal").len();
    relay.run();
    until("a question", seconds(ORDER_SECONDS_MAX), || {
        (pebble.entries("renewal").len() > asked).then_some(())
    });
    let row = advised(&relay, false);
    assert!((58..65).contains(&days_until(&row["renewed"])), "{row}");
    assert_eq!(pebble.entries("ordered").len(), 2);
}

/// Whole days from now to a moment of the status.
fn days_until(moment: &Value) -> i64 {
    minutes_until(moment) / (24 * 60)
}

fn minutes_until(moment: &Value) -> i64 {
    let moment = moment.as_str().expect("a moment");
    let seconds = |what: &str| -> i64 {
        let ran = run("date", &["-d", what, "+%s"]).expect_code(0);
        ran.out.trim().parse().expect("seconds")
    };
    (seconds(moment) - seconds("now")) / 60
}

/// By the clock, within seconds of life: nobody asks for it.
#[test]
fn two_thirds_of_its_life_are_enough() {
    let network = Network::new();
    let manner = Manner {
        seconds: 12,
        ..Manner::default()
    };
    let pebble = Pebble::start(&network, manner);
    let relay = Relay::start(network, &pebble.settings(""));
    let row = ended(&relay, "relay.test", 3);
    assert_eq!(row["state"], "valid", "{row}");
    assert_eq!(row["failures"], 0, "{row}");
}

/// What came from an authority of trials is not kept when the real one is configured.
#[test]
fn another_authority_gives_another_certificate() {
    let network = Network::new();
    let [first, second] = [0; 2].map(|_| Pebble::start(&network, Manner::default()));
    let relay = Relay::start(network, &first.settings(""));
    ended(&relay, "relay.test", 1);
    let before = print_of(&relay, "relay.test");
    relay.write_config(&second.settings(""));
    relay.command(&["reload"]).expect_code(0);
    ended(&relay, "relay.test", 1);
    assert_ne!(print_of(&relay, "relay.test"), before);
    assert_eq!(second.entries("ordered").len(), 1);
}

/// What an authority says ends up on pages, in programs and before clients: it is what was asked for,
/// or the old certificate is shown on; and no word of it stops renewal for ever.
#[test]
fn an_authority_is_believed_no_more_than_it_has_to_be() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    let relay = Relay::start(network, &pebble.settings(""));
    ended(&relay, "relay.test", 1);
    let first = print_of(&relay, "relay.test");
    let other = PeerAuthority::named("relay.test");
    let other = fs::read_to_string(other.certificate(&["relay.test"]).chain).expect("a chain");
    let long = other.repeat(11);
    let wrong = fs::read_to_string(PeerAuthority::named("wrong").file()).expect("a certificate");
    for (state, why) in [
        (
            json!({ "name": "other.test" }),
            "another name than relay.test proven: other.test",
        ),
        (json!({ "token": "../../x" }), "a token that is none"),
        (json!({ "token": "" }), "a token that is none"),
        (
            json!({ "nonces": "http://127.0.0.1/" }),
            "does not begin with https://",
        ),
        (json!({ "chain": "" }), "no certificate"),
        (
            json!({ "chain": "-----BEGIN CERTIFICATE-----\nAAAA\n" }),
            "not PEM",
        ),
        (json!({ "chain": wrong }), "not for relay.test"),
        (json!({ "chain": other }), "for another key"),
        (json!({ "chain": long }), "more than 10 certificates"),
    ] {
        pebble.is_now(state);
        let ran = relay.command(&["acme", "renew"]).expect_code(1);
        assert!(ran.text().contains(why), "{why}: {}", ran.text());
        assert_eq!(print_of(&relay, "relay.test"), first, "{why}");
    }
    // It asks for more patience than anybody has.
    let late = (30 * DAY).to_string();
    pebble.is_now(json!({ "later": late, "window": [-20, -10] }));
    relay.command(&["acme", "renew"]);
    pebble.is_now(json!({ "window": [-20, -10] }));
    relay.command(&["acme", "renew"]).expect_code(0);
    assert_ne!(print_of(&relay, "relay.test"), first);
    // It says when to renew, and does not say what an order replaces.
    let advised = || (row(&relay, "relay.test")["is_advised"] == true).then_some(());
    until("advice", seconds(ORDER_SECONDS_MAX), advised);
    pebble.is_now(json!({ "window": [-20, -10], "bare": true }));
    relay.command(&["acme", "renew"]).expect_code(0);
}

/// RFC 8555 section 6.6: by seconds or a date, within a day; an operator who asks anew is obeyed.
#[test]
fn an_authority_that_has_had_enough_is_left_alone_until_it_says() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    pebble.is_now(json!({ "limited": "18000" }));
    let relay = Relay::start(network, &pebble.settings(""));
    let first = ended(&relay, "relay.test", 1);
    assert!(
        (295..310).contains(&minutes_until(&first["renewed"])),
        "{first}"
    );
    let renewed = first["renewed"].as_str().expect("a moment");
    let why = format!("too many of you (rateLimited); it is left alone until {renewed}");
    let said = attention(&relay);
    assert!(said.contains(&why), "{said}");
    let date = run("date", &["-u", "-R", "-d", "+10 hours"]).expect_code(0);
    let date = date.out.trim().replace("+0000", "GMT");
    for (asked, minutes) in [(&*date, 595..616), ("99999999999", 1435..1476)] {
        pebble.is_now(json!({ "limited": asked }));
        relay.command(&["acme", "renew"]).expect_code(1);
        let row = row(&relay, "relay.test");
        let left = minutes_until(&row["renewed"]);
        assert!(minutes.contains(&left), "{asked}: {row}");
    }
    // Nobody tried a second time by itself.
    assert_eq!(pebble.entries("limited").len(), 3);
    pebble.is_now(json!({}));
    relay.command(&["acme", "renew"]).expect_code(0);
    assert_eq!(attention(&relay), "[]");
}

/// What failed is not given up until the old certificate is near its end, and a configuration that is
/// mended is tried at once.
#[test]
fn a_certificate_of_another_authority_is_tried_for_until_it_is_there() {
    let network = Network::new();
    let [first, second] = [0; 2].map(|_| Pebble::start(&network, Manner::default()));
    let relay = Relay::start(network, &first.settings(""));
    ended(&relay, "relay.test", 1);
    let before = print_of(&relay, "relay.test");
    second.is_now(json!({ "token": "" }));
    relay.write_config(&second.settings(""));
    relay.command(&["reload"]).expect_code(0);
    let failed = ended(&relay, "relay.test", 1);
    assert!(days_until(&failed["renewed"]) < 1, "{failed}");
    second.is_now(json!({}));
    relay.write_config(&second.settings("contact = \"postmaster@relay.test\""));
    relay.command(&["reload"]).expect_code(0);
    let got = ended(&relay, "relay.test", 2);
    assert_eq!(
        (&got["failures"], &got["trouble"]),
        (&json!(0), &Value::Null)
    );
    assert_ne!(print_of(&relay, "relay.test"), before);
}

/// The status tells what is shown, and what is gone comes again.
#[test]
fn files_that_are_taken_away_or_spoilt_are_noticed_at_a_reload() {
    let network = Network::new();
    let pebble = Pebble::start(&network, Manner::default());
    let relay = Relay::start(network, &pebble.settings(""));
    ended(&relay, "relay.test", 1);
    let first = print_of(&relay, "relay.test");
    let file = relay.data_dir().join("acme/relay.test.pem");
    fs::write(&file, "spoilt").expect("another text");
    relay.command(&["reload"]).expect_code(0);
    assert_eq!(print_of(&relay, "relay.test"), first);
    assert!(attention(&relay).contains("relay.test.pem"));
    fs::remove_file(&file).expect("a file less");
    relay.command(&["reload"]).expect_code(0);
    until("another certificate", seconds(ORDER_SECONDS_MAX), || {
        let shown = print_of(&relay, "relay.test");
        (file.exists() && shown != first && attention(&relay) == "[]").then_some(())
    });
    // A pipe in the place of the account holds nothing up.
    let account = fs::read_dir(relay.data_dir().join("acme")).expect("the folder");
    let account = account
        .map(|entry| entry.expect("an entry").path())
        .find(|path| path.extension().is_some_and(|end| end == "json"))
        .expect("an account");
    fs::remove_file(&account).expect("an account less");
    run("mkfifo", &[account.to_str().expect("a path")]).expect_code(0);
    let ran = relay.command(&["acme", "renew"]).expect_code(1);
    assert!(ran.text().contains("no ordinary file"), "{}", ran.text());
    fs::remove_file(&account).expect("a pipe less");
    relay.command(&["acme", "renew"]).expect_code(0);
}

/// Some authorities give nothing to accounts that they do not know from their own site.
#[test]
fn an_account_is_bound_to_the_one_outside() {
    let network = Network::new();
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let manner = Manner {
        binding: Some(["kid-1", key]),
        ..Manner::default()
    };
    let pebble = Pebble::start(&network, manner);
    let relay = Relay::start(network, &pebble.settings(""));
    let refused = ended(&relay, "relay.test", 1)["trouble"].to_string();
    assert!(refused.contains("externalAccountRequired"), "{refused}");
    let file = relay.data_dir().join("eab.key");
    let bound = format!(
        "eab_key_id = \"kid-1\"\neab_key = {:?}",
        format!("file:{}", file.display())
    );
    for (text, why) in [("c29tZXRoaW5n", "no account"), ("%", "not base64url")] {
        fs::write(&file, text).expect("a key");
        run("chmod", &["600", file.to_str().expect("a path")]).expect_code(0);
        relay.write_config(&pebble.settings(&bound));
        relay.command(&["reload"]).expect_code(0);
        let ran = relay.command(&["acme", "renew"]).expect_code(1);
        assert!(
            ran.text().contains(why) && !ran.text().contains(key),
            "{}",
            ran.text()
        );
    }
    let checked = relay.command(&["config", "check"]);
    assert!(
        checked.text().contains("not base64url"),
        "{}",
        checked.text()
    );
    fs::write(&file, format!("{key}\n")).expect("the key");
    relay.command(&["acme", "renew"]).expect_code(0);
    // It is for the making of the account alone.
    fs::remove_file(&file).expect("a key less");
    let settings = pebble.settings(&format!("{bound}\ncontact = \"postmaster@relay.test\""));
    relay.write_config(&settings);
    relay.command(&["reload"]).expect_code(0);
    relay.command(&["acme", "renew"]).expect_code(0);
    assert_eq!(pebble.entries("contact").len(), 1);
    relay.command(&["acme", "renew"]).expect_code(0);
    assert_eq!(pebble.entries("contact").len(), 1);
    let half = pebble.settings("eab_key_id = \"kid-1\"");
    relay.write_config(&half);
    let checked = relay.command(&["config", "check"]);
    assert_ne!(checked.code, 0, "{}", checked.text());
}
