//! The same of each program: what it finds is refused, held and marked as rules say, and what happens
//! to it in the middle of a message costs that message's scan and nothing else.

use std::thread;

use super::programs::{FOUND, GTUBE, Program};
use super::{Dialogue, Network, RecordingServer, Relay, message};
use crate::wait::{seconds, until, until_true};

/// Messages get no answer of a scanner that hangs for so long.
const TIMEOUT_SECONDS: u64 = 8;

/// A relay with this scanner, which is asked about all mail but that to free.test.
fn relay(network: Network, program: &Program, rules: &str) -> (Relay, RecordingServer) {
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let (route, section) = (server.route(), program.section());
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{route}\"\n[domain.\"free.test\"]\nroute = \"{route}\"\n\
         {rules}{section}to = \"hosted.test\"\ntimeout = \"{TIMEOUT_SECONDS}s\"\n",
    ));
    relay.run();
    (relay, server)
}

fn sent(relay: &Relay, to: &str, id: &str, text: &str) -> String {
    let content = format!("{}{text}\r\n", message(id));
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = client.submit("ann@client.test", &[to], &content);
    reply.text().to_owned()
}

/// What rules make of what it finds; `says` is its word for that.
fn refused_held_and_marked(network: Network, mut program: Program, says: &str, text: &str) {
    program.start();
    let rule = |name: &str, then: &str| {
        format!(
            "[[screen]]\nname = \"{name}\"\n\
             when = {{ scanner = \"looker: {says}\", to = \"{name}@hosted.test\" }}\n{then}\n"
        )
    };
    let rules = [
        rule("refused", "then = \"refuse\"\nmessage = \"No\""),
        rule("held", "then = \"hold\""),
        rule("marked", "then = \"accept\"\ntag = \"[SPAM]\""),
    ];
    let (relay, server) = relay(network, &program, &rules.concat());
    let bad = |to: &str| sent(&relay, &format!("{to}@hosted.test"), to, text);
    assert_eq!(bad("refused"), "550 5.7.1 No");
    assert!(bad("held").starts_with("250 "));
    let held = relay.command(&["quarantine", "list"]).expect_code(0).out;
    assert!(held.contains("held@hosted.test"), "{held}");
    assert!(bad("marked").starts_with("250 "));
    let marked = server.wait_for("[SPAM] marked");
    let told = marked.header("X-Gatepost-Scan").unwrap_or_default();
    assert!(told.starts_with(&format!("looker {says}")), "{told}");
    let good = sent(&relay, "bob@hosted.test", "good", "nothing");
    assert!(good.starts_with("250 "), "{good}");
    let told = server.wait_for("good").header("X-Gatepost-Scan");
    assert!(told.is_some_and(|told| told.starts_with("looker clean")));
}

/// It is killed, begun anew, stopped and slow, each time while it has a message.
fn harms_nothing_else(network: Network, mut program: Program) {
    program.start();
    let (relay, server) = relay(network, &program, "");
    let taken = |id: &str| sent(&relay, "bob@hosted.test", id, "nothing").starts_with("250 ");
    assert!(taken("well"));
    let during = |what: &mut dyn FnMut(), id: &str| {
        thread::scope(|scope| {
            let asked = scope.spawn(|| sent(&relay, "bob@hosted.test", id, "nothing"));
            until_true("the scanner to have the message", seconds(30), || {
                let status = relay.status().expect("it runs");
                status["scanners"][0]["busy"] == 1
            });
            let other = sent(&relay, "bob@free.test", &format!("beside-{id}"), "nothing");
            assert!(other.starts_with("250 "), "{other}");
            what();
            asked.join().expect("a reply")
        })
    };
    let is_postponed = |reply: &str| {
        assert!(reply.starts_with("451 4.3.0 "), "{reply}");
    };
    let answers_again = || {
        until("the scanner to be asked again", seconds(30), || {
            taken("again").then_some(())
        });
    };
    program.signal("STOP");
    is_postponed(&during(&mut || program.kill(), "killed"));
    assert!(!taken("dead"));
    program.start();
    answers_again();
    program.signal("STOP");
    let mut anew = || {
        program.kill();
        program.start();
    };
    is_postponed(&during(&mut anew, "begun-anew"));
    answers_again();
    program.signal("STOP");
    is_postponed(&during(&mut || {}, "hung"));
    program.signal("CONT");
    answers_again();
    program.signal("STOP");
    let slow = during(&mut || program.signal("CONT"), "slow");
    assert!(slow.starts_with("250 "), "{slow}");
    server.wait_for("slow");
    for id in ["killed", "begun-anew", "hung", "slow"] {
        server.wait_for(&format!("beside-{id}"));
    }
    assert!(!relay.log().contains("panic"));
}

macro_rules! of_each {
    ($($name:ident: $program:expr, $says:literal, $text:expr;)+) => {$(
        mod $name {
            use super::*;

            #[test]
            #[ignore = "needs it: scripts/test scanners"]
            fn what_it_finds_is_refused_held_and_marked() {
                let network = Network::new();
                let program = $program(&network);
                refused_held_and_marked(network, program, $says, &$text.concat());
            }

            #[test]
            #[ignore = "needs it: scripts/test scanners"]
            fn what_happens_to_it_harms_nothing_else() {
                let network = Network::new();
                let program = $program(&network);
                harms_nothing_else(network, program);
            }
        }
    )+};
}

of_each! {
    clamd: |_: &Network| Program::clamd(), "infected", [FOUND];
    rspamd: Program::rspamd, "spam", GTUBE;
    spamd: Program::spamd, "spam", GTUBE;
    c_icap: Program::c_icap, "infected", [FOUND];
}
