//! Somebody has ann's password, and sends in her name.

use serde_json::Value;

use crate::client::{Dialogue, Reply, message};
use crate::server::{Conduct, Received};
use crate::submission_setup::{PASSWORD, SubmissionSetup, USER};
use crate::wait::{seconds, until_true};

const CONFIG: &str = "\n[guardian]\nover_limit = \"hold\"\n\
                      [guardian.per_user]\nnew_recipients = \"3/24h\"\n";

/// Has ann send one message to these.
fn send(setup: &SubmissionSetup, subject: &str, to: &[&str]) {
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    let reply = dialogue.submit(USER, to, &message(subject));
    assert_eq!(reply.code, 250, "{}", reply.text());
}

fn is_warning(received: &Received) -> bool {
    received.subject() == format!("Too much is sent by user {USER}")
}

fn held(setup: &SubmissionSetup) -> String {
    let count = ["queue", "count", "state:held"];
    setup.relay.command(&count).expect_code(0).out
}

/// The row of ann: what is too much, and her recipients of a day.
fn row(setup: &SubmissionSetup) -> (String, u64) {
    let shown = setup
        .relay
        .command(&["--json", "guardian", "list"])
        .expect_code(0);
    let rows: Value = serde_json::from_str(&shown.out).expect("JSON");
    let row = &rows[0];
    assert_eq!((&row["kind"], &row["name"]), (&"user".into(), &USER.into()));
    let why = row["why"].as_str().unwrap_or_default().to_owned();
    (why, row["day"]["recipients"].as_u64().expect("a count"))
}

#[test]
fn a_stolen_account_is_held_and_the_postmaster_told_once() {
    let mut setup = SubmissionSetup::open(CONFIG);
    send(&setup, "usual", &["a@there.test", "b@there.test"]);
    setup.server.wait_for("usual");
    let many: Vec<String> = (0..20).map(|n| format!("victim-{n}@there.test")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    send(&setup, "stolen", &many);
    send(&setup, "stolen again", &many);
    let warning = setup.server.wait_where("a warning", is_warning);
    let place = setup.relay.place_of("new_recipients");
    let why =
        |count| format!("{count} new recipients of user {USER} in 24 h, more than 3 ({place})");
    // Lines of the warning are short.
    let text = warning.text().replace("\r\n", " ").replace('\n', " ");
    assert!(text.contains(&why(22)), "{text}");
    assert!(text.contains("gatepost queue release"), "{text}");
    assert!(held(&setup).contains("40 are held"), "{}", held(&setup));
    assert_eq!(row(&setup), (why(42), 42));
    let status = setup.relay.status().expect("a status");
    let attention = status["attention"].to_string();
    assert!(attention.contains(&why(42)), "{attention}");
    setup
        .relay
        .wait_for_log(&["too much is sent", USER, &place]);
    let tracked = setup
        .relay
        .command(&["track", "to:victim-3@*"])
        .expect_code(0);
    assert!(tracked.out.contains("held"), "{}", tracked.out);
    let metrics = setup
        .relay
        .command(&["status", "--metrics"])
        .expect_code(0)
        .out;
    for line in [
        "gatepost_guardian_subjects_over{kind=\"user\"} 1",
        "gatepost_guardian_messages_total{result=\"held\"} 2",
    ] {
        assert!(metrics.contains(line), "{line}");
    }

    // A restart forgets none of it, and goes on with the same episode.
    assert!(setup.relay.stop().success());
    setup.relay.run();
    assert_eq!(row(&setup), (why(42), 42));
    send(&setup, "known", &["a@there.test"]);
    assert_eq!(row(&setup), (why(42), 43));
    setup.relay.command(&["queue", "release"]).expect_code(0);
    setup.server.wait_for("stolen");
    setup.server.wait_for("known");
    setup.relay.wait_until_empty();
    let received = setup.server.received();
    assert_eq!(received.iter().filter(|one| is_warning(one)).count(), 1);

    let config = std::fs::read_to_string(setup.relay.config()).expect("a configuration");
    setup
        .relay
        .write_whole_config(&config.replace("\"hold\"", "\"postpone\""));
    setup.relay.command(&["reload"]).expect_code(0);
    let mut dialogue = setup.signed_in(USER, PASSWORD);
    let reply = dialogue.ask(&format!("MAIL FROM:<{USER}>"), 451);
    assert_eq!(
        reply.text(),
        "451 4.7.1 Too many new recipients from you, try again later"
    );
    let clear = ["guardian", "clear", "user"];
    let cleared = setup
        .relay
        .command(&[&clear[..], &[USER]].concat())
        .expect_code(0);
    assert_eq!(cleared.out.trim(), format!("user {USER}: counted anew"));
    dialogue.ask(&format!("MAIL FROM:<{USER}>"), 250);
    let nobody = setup.relay.command(&[&clear[..], &["nobody"]].concat());
    assert!(
        nobody.err.contains("nothing is counted of user nobody"),
        "{}",
        nobody.err
    );
}

/// Whom a limit is about.
#[derive(Clone, Copy, Debug)]
enum Kind {
    User,
    Client,
    SenderDomain,
}

/// All that may be limited, each at a number that what the others are tried with does not reach.
const LIMITS: &str = "messages = \"3/24h\"\nrecipients = \"6/24h\"\nnew_recipients = \"4/24h\"\n\
                      failures = \"2/24h\"\n";

impl Kind {
    fn config(self, reaction: &str) -> String {
        let table = match self {
            Self::User => "per_user",
            Self::Client => "per_client",
            Self::SenderDomain => "per_sender_domain",
        };
        format!("[guardian]\nover_limit = \"{reaction}\"\n[guardian.{table}]\n{LIMITS}")
    }

    /// One of this kind: how it is called, and its sender.
    fn subject(self, setup: &SubmissionSetup, number: u8) -> (String, String) {
        match self {
            Self::User => {
                let user = format!("u{number}@hosted.test");
                (format!("user {user}"), user)
            }
            Self::Client => {
                let client = setup.relay.network.host(40 + number);
                (format!("client {client}"), "ann@hosted.test".to_owned())
            }
            Self::SenderDomain => {
                let domain = format!("d{number}.test");
                (format!("sender domain {domain}"), format!("ann@{domain}"))
            }
        }
    }

    fn connection(self, setup: &SubmissionSetup, number: u8) -> Dialogue {
        let network = setup.relay.network;
        match self {
            Self::User => setup.signed_in(&format!("u{number}@hosted.test"), PASSWORD),
            Self::Client => {
                Dialogue::ready(network.host(40 + number), setup.relay.listener("clients"))
            }
            Self::SenderDomain => Dialogue::ready(network.permitted(), setup.relay.address()),
        }
    }
}

/// A user, client or sender domain on its way over one limit.
struct Offender<'a> {
    setup: &'a SubmissionSetup,
    kind: Kind,
    number: u8,
    sender: String,
    offered: usize,
}

impl Offender<'_> {
    /// Offers a message to these; the first refusal, or what is said at its end.
    fn offers(&mut self, to: &[&str]) -> Reply {
        let mut dialogue = self.kind.connection(self.setup, self.number);
        let reply = dialogue.say(&format!("MAIL FROM:<{}>", self.sender));
        if reply.code >= 400 {
            return reply;
        }
        for name in to {
            dialogue.ask(&format!("RCPT TO:<{name}@there.test>"), 250);
        }
        dialogue.ask("DATA", 354);
        self.offered += 1;
        let subject = format!("{:?}-{}-{}", self.kind, self.number, self.offered);
        dialogue.send(message(&subject).as_bytes());
        dialogue.say(".")
    }

    fn is_let_through(&mut self, to: &[&str]) {
        let reply = self.offers(to);
        assert_eq!(reply.code, 250, "{}", reply.text());
    }

    /// Goes over the limit of this measure and no other; what is said then.
    fn goes_over(&mut self, measure: &str) -> Reply {
        match measure {
            "messages" => {
                for _ in 0..3 {
                    self.is_let_through(&["a"]);
                }
                self.offers(&["a"])
            }
            "recipients" => {
                self.is_let_through(&["a", "b", "c", "d"]);
                self.offers(&["a", "b", "c", "d"])
            }
            "new recipients" => self.offers(&["a", "b", "c", "d", "e"]),
            _ => {
                self.is_let_through(&["nobody-1", "nobody-2", "nobody-3"]);
                let sender = self.sender.clone();
                let failed = format!("to:nobody-3@there.test from:{sender} state:failed");
                until_true("the failures to count", seconds(20), || {
                    let asked = ["--json", "track", &failed];
                    self.setup.relay.command(&asked).out.contains("failed")
                });
                self.offers(&["a"])
            }
        }
    }
}

const MEASURES: [&str; 4] = ["messages", "recipients", "new recipients", "failures"];

/// Each measure, of each kind of subject, and for each the postmaster is told once.
fn each_limit_is_kept(kind: Kind, reaction: &str) {
    let clients = |setup: &SubmissionSetup| {
        let hosts = (0..4).map(|number| format!("\"{}\"", setup.relay.network.host(40 + number)));
        let hosts: Vec<String> = hosts.collect();
        format!(
            "[listener.clients]\nbind = \"{}:0\"\nrelay = {{ allow = [{}] }}\n",
            setup.relay.network.relay(),
            hosts.join(", ")
        )
    };
    let conduct = Conduct {
        at_recipient: |line| line.contains("nobody-").then_some("550 5.1.1 no such user"),
        ..Conduct::default()
    };
    let mut setup = SubmissionSetup::prepare_before(conduct, &kind.config(reaction));
    let config = std::fs::read_to_string(setup.relay.config()).expect("a configuration");
    let config = format!("{config}{}", clients(&setup));
    setup.relay.write_whole_config(&config);
    if matches!(kind, Kind::User) {
        for number in 0..4 {
            setup.add_user(&format!("u{number}@hosted.test"), PASSWORD, &[]);
        }
    }
    setup.relay.run();
    let mut names = Vec::new();
    for (number, measure) in (0..).zip(MEASURES) {
        let (name, sender) = kind.subject(&setup, number);
        let mut offender = Offender {
            setup: &setup,
            kind,
            number,
            sender,
            offered: 0,
        };
        let told = offender.goes_over(measure).text();
        // And goes on.
        let again = offender.offers(&["a"]).text();
        match reaction {
            "hold" => {
                assert!(told.starts_with("250"), "{kind:?} {measure}: {told}");
                assert!(again.starts_with("250"), "{kind:?} {measure}: {again}");
            }
            _ => {
                let wanted = format!("451 4.7.1 Too many {measure} from you, try again later");
                assert_eq!(told, wanted, "{kind:?} {measure}");
            }
        }
        let warned = format!("Too much is sent by {name}");
        let warning = setup
            .server
            .wait_where(&warned, |received| received.subject() == warned);
        let why = format!(" {measure} of {name} in 24 h, more than ");
        let text = warning.text().replace("\r\n", " ").replace('\n', " ");
        assert!(text.contains(&why), "{why}: {text}");
        names.push(warned);
    }
    let held = setup
        .relay
        .command(&["--json", "queue", "list", "state:held", "--limit", "0"])
        .expect_code(0);
    let held: Vec<Value> = serde_json::from_str(&held.out).expect("JSON");
    // What was too much, and whatever came after it.
    let expected = if reaction == "hold" {
        1 + 4 + 5 + 1 + MEASURES.len()
    } else {
        0
    };
    assert_eq!(held.len(), expected, "{kind:?}: {held:?}");
    setup.relay.command(&["queue", "release"]).expect_code(0);
    setup.relay.wait_until_empty();
    let received = setup.server.received();
    for warned in names {
        let count = received.iter().filter(|one| one.subject() == warned);
        assert_eq!(count.count(), 1, "{warned}");
    }
}

#[test]
fn each_limit_of_a_user_is_kept() {
    for reaction in ["hold", "postpone"] {
        each_limit_is_kept(Kind::User, reaction);
    }
}

#[test]
fn each_limit_of_a_client_is_kept() {
    for reaction in ["hold", "postpone"] {
        each_limit_is_kept(Kind::Client, reaction);
    }
}

#[test]
fn each_limit_of_a_sender_domain_is_kept() {
    for reaction in ["hold", "postpone"] {
        each_limit_is_kept(Kind::SenderDomain, reaction);
    }
}
