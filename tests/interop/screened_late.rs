//! What is large is taken first and looked at then: refused, held, changed, let through; whatever
//! happens to the relay and to scanners in between.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

const RULES: &str = "[screening]\nafter_above = \"100kB\"\n\
    [[screen]]\nname = \"forbidden\"\nwhen.text = \"forbidden fruit\"\nthen = \"refuse\"\n\
    message = \"No fruit here\"\n\
    [[screen]]\nname = \"odd\"\nwhen.text = \"odd fruit\"\nthen = \"hold\"\n\
    [[screen]]\nname = \"rotten\"\nwhen.text = \"rotten fruit\"\nthen = \"discard\"\n\
    [[screen]]\nname = \"marked\"\nwhen.text = \"marked fruit\"\ntag = \"[FRUIT]\"\n";

/// A message of more than 256 KiB, which the spool keeps as a file, or of more than 100 kB.
fn large(id: &str, text: &str, lines: usize) -> String {
    format!(
        "{}{text}\r\n{}",
        message(id),
        "And more of it.\r\n".repeat(lines)
    )
}

fn taken(from: std::net::IpAddr, relay: &Relay, sender: &str, text: &str) -> String {
    let mut client = Dialogue::ready(from, relay.address());
    let reply = client.submit(sender, &["bob@hosted.test"], text);
    assert_eq!(reply.code, 250, "{}", reply.text());
    let text = reply.text();
    let (_, id) = text.split_once("queued as ").expect("an id");
    id.split_whitespace().next().expect("an id").to_owned()
}

#[test]
fn what_is_large_is_taken_and_then_refused_held_thrown_away_changed_or_passed() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let spf = format!("client TXT \"v=spf1 ip4:{} -all\"\n", network.stranger());
    let names = NameServer::start(network.name_server(), &spf);
    let hosted = format!(
        "[domain.\"hosted.test\"]\nroute = \"{0}\"\n[domain.\"client.test\"]\nroute = \"{0}\"\n{1}",
        server.route(),
        names.config(),
    );
    let mut relay = Relay::start(network, &format!("{hosted}{RULES}"));
    let (ours, anybody) = (relay.network.permitted(), relay.network.stranger());

    // What is small is refused at once.
    let mut client = Dialogue::ready(anybody, relay.address());
    let small = large("small", "forbidden fruit", 1);
    let refused = client.submit("ann@client.test", &["bob@hosted.test"], &small);
    assert_eq!(refused.text(), "550 5.7.1 No fruit here");

    // Whoever may relay hears of it, and who is who it says.
    for (from, sender) in [(ours, "dan@hosted.test"), (anybody, "ann@client.test")] {
        let id = taken(
            from,
            &relay,
            sender,
            &large("bad", "forbidden fruit", 20_000),
        );
        let by = relay.place_of("after_above");
        relay.wait_for_log(&[&id, "it is screened after its 250", &by]);
        let bounce = server.wait_where("a bounce", |one| {
            one.from.is_empty() && one.to == [sender] && one.text().contains("No fruit here")
        });
        assert!(bounce.text().contains("550 5.7.1"), "{}", bounce.text());
        relay.wait_for_log(&[&id, "screened after its 250: refused"]);
    }
    relay.wait_until_empty();

    // Nobody else does: it may be forged.
    let id = taken(
        anybody,
        &relay,
        "eve@other.test",
        &large("forged", "forbidden fruit", 8_000),
    );
    let held = &relay.wait_until_held(1)[0];
    assert_eq!(held["id"], *id, "{held}");
    let why = held["last_reply"].as_str().unwrap_or_default();
    for part in ["may be forged", "forbidden", &relay.place_of("[[screen]]")] {
        assert!(why.contains(part), "{why}");
    }
    let quarantined = relay
        .command(&["quarantine", "delete", &id, "--yes"])
        .expect_code(0);
    assert_eq!(quarantined.out.trim(), "delete: 1 recipients");

    let id = taken(
        anybody,
        &relay,
        "ann@client.test",
        &large("odd", "odd fruit", 20_000),
    );
    let held = &relay.wait_until_held(1)[0];
    assert_eq!(
        (&held["id"], &held["state"]),
        (&id.clone().into(), &"held".into())
    );
    relay
        .command(&["quarantine", "release", &id])
        .expect_code(0);
    assert_eq!(server.wait_for("odd").to, ["bob@hosted.test"]);

    let id = taken(
        anybody,
        &relay,
        "ann@client.test",
        &large("rotten", "rotten fruit", 20_000),
    );
    relay.wait_for_log(&[&id, "thrown away"]);
    relay.wait_until_empty();

    // What nobody changes keeps its name, and every octet.
    let text = large("plain", "fruit", 20_000);
    let id = taken(anybody, &relay, "ann@client.test", &text);
    let plain = server.wait_for("plain");
    assert!(
        plain.text().ends_with(&text),
        "{} octets",
        plain.text().len()
    );
    assert!(plain.text().contains(&id), "it is called so in Received");

    // What is changed is another message, which tracking links.
    let id = taken(
        anybody,
        &relay,
        "ann@client.test",
        &large("marked", "marked fruit", 20_000),
    );
    let marked = server.wait_where("a marked one", |one| one.subject() == "[FRUIT] marked");
    assert!(!marked.text().contains(&id), "it has a name of its own");
    relay.wait_until_empty();
    let traced = until("the rows", seconds(10), || {
        let traced = relay.command(&["trace", &id]).text();
        let name = marked.header("Received").unwrap_or_default();
        let name = name.split(" id ").nth(1).unwrap_or_default();
        let name = name.split([' ', ';']).next().unwrap_or_default().to_owned();
        traced.contains(&name).then_some(traced)
    });
    assert!(traced.contains("screened after its 250"), "{traced}");
    assert!(
        server
            .received()
            .iter()
            .all(|one| !one.text().contains("rotten fruit"))
    );
    let bodies = std::fs::read_dir(relay.data_dir().join("spool/bodies")).expect("the bodies");
    assert_eq!(bodies.count(), 0);

    let file = relay.folder().join("large.eml");
    std::fs::write(&file, large("checked", "forbidden fruit", 20_000)).expect("a file");
    let file = file.display().to_string();
    let check = [
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--mail",
        "ann@client.test",
    ];
    let to = ["--rcpt", "bob@hosted.test", "--message", &file];
    let told = relay.command(&[&check[..], &to].concat()).text();
    for part in [
        "after the 250",
        &relay.place_of("after_above"),
        "REFUSE",
        "answer        250",
    ] {
        assert!(told.contains(part), "{told}");
    }
    relay.stop();
}

#[test]
fn a_stranger_is_worth_what_came_of_its_mail_and_not_that_it_was_taken() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let spf = format!("client TXT \"v=spf1 ip4:{} -all\"\n", network.stranger());
    let names = NameServer::start(network.name_server(), &spf);
    let hosted = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{}",
        server.route(),
        names.config(),
    );
    let asks = "[[screen]]\nname = \"bad name\"\nwhen.reputation_below = -90\nthen = \"hold\"\n";
    let mut relay = Relay::start(network, &format!("{hosted}{RULES}{asks}"));
    let from = relay.network.stranger();
    let score = |kind: &str| {
        let listed = relay.command(&["--json", "greylist", "list", kind]);
        let rows: Vec<Value> = serde_json::from_str(&listed.expect_code(0).out).expect("JSON");
        rows.first()
            .map_or(0, |row| row["score"].as_i64().expect("a score"))
    };
    let text = large("odd", "odd fruit", 8_000);
    taken(from, &relay, "ann@client.test", &text);
    relay.wait_until_held(1);
    assert_eq!((score("client"), score("sender-domain")), (0, 0));
    let text = large("fine", "fruit", 8_000);
    taken(from, &relay, "ann@client.test", &text);
    server.wait_for("fine");
    assert_eq!((score("client"), score("sender-domain")), (1, 1));
    let text = large("bad", "forbidden fruit", 8_000);
    let id = taken(from, &relay, "ann@client.test", &text);
    relay.wait_for_log(&[&id, "refused, its sender is told"]);
    assert_eq!((score("client"), score("sender-domain")), (-2, -2));
    relay.stop();
}

/// rspamd as far as it is asked here: it finds nothing, once it answers at all.
struct Looker {
    address: SocketAddr,
    answers: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Looker {
    fn start(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("the port");
        let looker = Self {
            address,
            answers: Arc::default(),
            asked: Arc::default(),
        };
        let (answers, asked) = (Arc::clone(&looker.answers), Arc::clone(&looker.asked));
        thread::spawn(move || {
            let mut waiting = Vec::new();
            for stream in listener.incoming().flatten() {
                asked.fetch_add(1, Ordering::SeqCst);
                if answers.load(Ordering::SeqCst) {
                    answer(stream);
                } else {
                    waiting.push(stream);
                }
            }
        });
        looker
    }

    fn section(address: SocketAddr) -> String {
        format!(
            "[scanner.looker]\nkind = \"rspamd\"\naddress = \"{address}\"\ntimeout = \"300s\"\n"
        )
    }
}

fn answer(mut stream: TcpStream) {
    let (mut heard, mut piece) = (Vec::new(), [0; 65536]);
    loop {
        let text = String::from_utf8_lossy(&heard).to_lowercase();
        let head = text.find("\r\n\r\n").map(|end| end + 4);
        let length = text.split("content-length: ").nth(1);
        let length = length.and_then(|rest| rest.split("\r\n").next()?.parse::<usize>().ok());
        if head.is_some_and(|head| heard.len() >= head + length.unwrap_or(0)) {
            break;
        }
        match stream.read(&mut piece) {
            Ok(0) | Err(_) => return,
            Ok(octets) => heard.extend_from_slice(&piece[..octets]),
        }
    }
    let body =
        "{\"is_skipped\":false,\"score\":0.5,\"required_score\":15.0,\"action\":\"no action\"}";
    let _gone = write!(
        stream,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn unscreened(relay: &Relay) -> Vec<Value> {
    let all = relay.queue().into_iter();
    all.filter(|row| row["state"] == "unscreened").collect()
}

#[test]
fn what_was_taken_is_looked_at_after_a_kill_and_goes_out_no_sooner() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let looker = Looker::start(network.free_port(network.host(7)));
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let section = Looker::section(looker.address);
    let late = "[screening]\nafter_above = \"100kB\"\n";
    let mut relay = Relay::start(network, &format!("{hosted}{section}{late}"));
    let from = relay.network.stranger();
    let ids = ["file", "row"].map(|id| {
        let lines = if id == "file" { 20_000 } else { 8_000 };
        taken(from, &relay, "ann@client.test", &large(id, "fruit", lines))
    });
    until_true("the scanner to be asked", seconds(30), || {
        looker.asked.load(Ordering::SeqCst) >= 2
    });
    for life in 0..3 {
        let rows = unscreened(&relay);
        assert_eq!(rows.len(), 2, "life {life}: {rows:?}");
        assert_eq!(rows[0]["last_reply"], "being screened", "{rows:?}");
        assert_eq!(rows[0]["id"], *ids[0], "{rows:?}");
        // What was begun when the relay was killed is looked at alone.
        let tries = [&rows[0]["tries"], &rows[1]["tries"]];
        assert_eq!(tries, [[1, 1], [2, 1], [0, 2]][life], "{rows:?}");
        let status = relay.status().expect("it runs");
        assert_eq!(status["queue"]["unscreened"], 2, "{status}");
        // Nobody lets it out unseen.
        let released = relay
            .command(&["queue", "release", "state:held"])
            .expect_code(0);
        assert!(released.out.contains("0 recipients"), "{}", released.out);
        assert_eq!(server.count(), 0);
        let asked = looker.asked.load(Ordering::SeqCst);
        if life == 2 {
            looker.answers.store(true, Ordering::SeqCst);
        }
        // Once in order: then it has not been begun in vain.
        if life == 1 {
            relay.stop();
        } else {
            relay.kill();
        }
        relay.run();
        until_true("the scanner to be asked again", seconds(30), || {
            looker.asked.load(Ordering::SeqCst) > asked
        });
    }
    for id in ["file", "row"] {
        let received = server.wait_for(id);
        let said = received.header("X-Gatepost-Scan").unwrap_or_default();
        assert!(said.starts_with("looker clean"), "{said}");
    }
    relay.wait_until_empty();
    assert_eq!(server.count(), 2);
    relay.stop();
}

#[test]
fn while_a_scanner_is_down_what_was_taken_waits_for_it_and_is_held_at_last() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let address = network.free_port(network.host(7));
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let section = Looker::section(address);
    let config = |give_up: &str| {
        format!("{hosted}{section}[screening]\nafter_above = \"100kB\"\ngive_up = \"{give_up}\"\n")
    };
    let mut relay = Relay::start(network, &config("1d"));
    let from = relay.network.stranger();
    let id = taken(
        from,
        &relay,
        "ann@client.test",
        &large("late", "fruit", 20_000),
    );
    relay.wait_for_log(&[&id, "cannot be screened now, it is tried again", "looker"]);
    let row = &unscreened(&relay)[0];
    let why = row["last_reply"].as_str().unwrap_or_default();
    assert!(why.starts_with("being screened: 451 4.3.0"), "{why}");
    assert!(why.contains(&relay.place_of("[scanner.looker]")), "{why}");
    // What a rule made of it is told once, when that is what becomes of it.
    assert!(!relay.log().contains("\"message\":\"screened\""));
    let looker = Looker::start(address);
    looker.answers.store(true, Ordering::SeqCst);
    server.wait_for("late");
    relay.wait_until_empty();

    relay.stop();
    drop(looker);
    let nobody = relay.network.free_port(relay.network.host(8));
    relay.write_config(&config("1s").replace(&address.to_string(), &nobody.to_string()));
    relay.run();
    let id = taken(
        from,
        &relay,
        "ann@client.test",
        &large("lost", "fruit", 20_000),
    );
    let held = until("it to be held", seconds(60), || {
        relay.queue().into_iter().find(|row| row["state"] == "held")
    });
    assert_eq!(held["id"], *id, "{held}");
    let why = held["last_reply"].as_str().unwrap_or_default();
    assert!(
        why.starts_with("it could not be screened: 451 4.3.0"),
        "{why}"
    );
    relay
        .command(&["quarantine", "release", &id])
        .expect_code(0);
    server.wait_for("lost");
    relay.stop();
}
