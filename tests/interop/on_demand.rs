//! Mail that waits until its server asks for it: fetchmail asks by ETRN.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{Ran, run};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::submission_setup::{PASSWORD, SubmissionSetup};
use crate::wait::{seconds, until_true};

/// Asks for the mail of these domains, as a host behind a line that is up now and then.
fn fetchmail(relay: &Relay, domains: &[&str]) -> Ran {
    let (host, port) = (relay.address().ip(), relay.address().port());
    let file = relay.folder().join("fetchmailrc");
    let fetched = domains.join(" ");
    let text = format!("poll {host} protocol etrn service {port} fetchdomains {fetched}\n");
    fs::write(&file, text).expect("a file for fetchmail");
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(&file, private).expect("its mode");
    let pid = relay.folder().join("fetchmail.pid");
    let words = [
        "--nodetach",
        "-v",
        "--fetchmailrc",
        file.to_str().expect("text"),
        "--pidfile",
        pid.to_str().expect("text"),
    ];
    run("fetchmail", &words)
}

#[test]
fn fetchmail_asks_and_gets_what_waits() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    // fetchmail has no word for the address from which it comes.
    let domain = |name: &str, client: &str| {
        format!(
            "[domain.\"{name}\"]\nroute = \"{}\"\n\
             on_demand = {{ clients = [\"{client}\"], expire = \"9d\" }}\n",
            server.route()
        )
    };
    let own = "127.0.0.1";
    let other = network.host(99).to_string();
    let config = format!(
        "{}{}",
        domain("office.test", own),
        domain("other.test", &other)
    );
    let mut relay = Relay::start(network, &config);

    let idle = fetchmail(&relay, &["office.test"]).expect_code(0);
    assert!(idle.text().contains("250"), "{}", idle.text());

    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    let to = ["bob@office.test", "eve@other.test"];
    for id in ["one", "two"] {
        dialogue.submit("ann@client.test", &to, &message(id));
    }
    dialogue.ask("ETRN office.test", 459);
    let rows = relay.queue();
    assert_eq!(rows.len(), 4, "{rows:?}");
    let waits = rows[0]["waits_for"].as_str().expect("why it waits");
    let place = relay.place_of("on_demand = ");
    assert_eq!(
        waits,
        format!("until its server asks for it by ETRN or ATRN ({place})")
    );
    let shape = relay.command(&["queue", "shape"]).expect_code(0).out;
    assert!(shape.contains("on-demand:office.test"), "{shape}");
    let shown = relay.command(&["route", "show", "bob@office.test"]).out;
    assert!(
        shown.contains("waits until somebody asks by ETRN"),
        "{shown}"
    );
    assert!(shown.contains("\"9d\""), "{shown}");
    let said = relay.command(&[
        "relay",
        "check",
        "--client",
        "192.0.2.1",
        "--rcpt",
        "bob@office.test",
    ]);
    assert!(
        said.out.contains("waits until somebody asks"),
        "{}",
        said.text()
    );
    // It waits over a restart as well.
    relay.kill();
    relay.run();
    assert_eq!((server.count(), relay.queue().len()), (0, 4));

    fetchmail(&relay, &["office.test"]).expect_code(0);
    until_true("both messages to arrive", seconds(30), || {
        server.count() == 2
    });
    until_true("the rest to wait", seconds(30), || relay.queue().len() == 2);
    let to = server.received().into_iter().flat_map(|message| message.to);
    assert!(to.into_iter().all(|to| to == "bob@office.test"));
    // fetchmail calls it a failed login, and leaves out the domains behind it.
    let refused = fetchmail(&relay, &["other.test", "office.test"]).expect_code(3);
    assert!(refused.text().contains("459"), "{}", refused.text());
    relay.wait_for_log(&["mail was asked for", "office.test"]);
}

/// What a server that fetches its mail hears of one message, for whose recipients it has this answer.
fn take_message(dialogue: &mut Dialogue, answer: fn(&str) -> &'static str) -> String {
    let mut heard = Vec::new();
    loop {
        let command = dialogue.line().expect("a command");
        let reply = match &command[..4] {
            "MAIL" => "250 sender",
            "RCPT" => answer(&command),
            _ => "354 go on",
        };
        dialogue.send(format!("{reply}\r\n").as_bytes());
        heard.push(command);
        if reply.starts_with("354") {
            break;
        }
    }
    while heard.last().is_some_and(|line| line != ".") {
        heard.push(dialogue.line().expect("a line of content"));
    }
    dialogue.send(b"250 taken\r\n");
    heard.join("\n")
}

#[test]
fn a_server_that_signs_in_fetches_its_mail_on_the_same_connection() {
    let on_demand = "[domain.\"branch.test\"]\non_demand = { users = [\"BRANCH\"] }\n\
                     [domain.\"other.test\"]\non_demand = { users = [\"other\"] }\n";
    let mut setup = SubmissionSetup::prepare(on_demand);
    let network = setup.relay.network;
    setup.add_user("branch", PASSWORD, &[]);
    setup.relay.run();
    let called = |setup: &SubmissionSetup| {
        let mut dialogue = setup.signed_in("branch", PASSWORD);
        let offers = dialogue.ask("EHLO mail.branch.test", 250);
        assert!(offers.text().contains("ATRN"), "{}", offers.text());
        dialogue
    };
    let mut dialogue = called(&setup);
    dialogue.ask("ATRN other.test", 450);
    dialogue.ask("ATRN branch.test", 453);

    let mut stranger = Dialogue::ready(network.stranger(), setup.relay.address());
    let to = [
        "bob@branch.test",
        "no@branch.test",
        "later@branch.test",
        "eve@other.test",
    ];
    for id in ["one", "two"] {
        stranger.submit("ann@hosted.test", &to, &message(id));
    }
    stranger.ask("ATRN branch.test", 530);

    dialogue.ask("ATRN", 250);
    dialogue.send(b"220 mail.branch.test\r\n");
    assert_eq!(dialogue.line().as_deref(), Some("EHLO relay.test"));
    let listed = setup.relay.command(&["session", "list"]).expect_code(0).out;
    assert!(listed.contains("atrn:branch"), "{listed}");
    dialogue.send(b"250 mail.branch.test\r\n");
    let first = take_message(&mut dialogue, |command| match command {
        "RCPT TO:<no@branch.test>" => "550 5.1.1 no such user",
        "RCPT TO:<later@branch.test>" => "451 4.2.1 not now",
        _ => "250 yes",
    });
    assert!(first.contains("RCPT TO:<no@branch.test>"), "{first}");
    assert!(!first.contains("other.test"), "{first}");
    assert!(first.contains("Subject: "), "{first}");
    // The second is cut off in the middle.
    assert!(dialogue.line().expect("MAIL").starts_with("MAIL FROM:"));
    drop(dialogue);
    setup.server.wait_where("the bounce", |received| {
        received.from.is_empty() && received.text().contains("550 5.1.1 no such user")
    });
    setup
        .relay
        .wait_for_log(&["atrn:branch", "bob@branch.test"]);

    // The rest waits, and comes with the next call; then QUIT, and nothing is left but the others'.
    let waiting = |setup: &SubmissionSetup| {
        let rows = setup.relay.queue();
        let to = rows.iter().filter_map(|row| row["to"].as_str());
        let mut to: Vec<_> = to.map(str::to_owned).collect();
        to.sort();
        to
    };
    let rest = ["bob@branch.test", "eve@other.test", "eve@other.test"];
    let rest = [&rest[..], &["later@branch.test"; 2], &["no@branch.test"]].concat();
    until_true("the rest to wait", seconds(30), || {
        waiting(&setup) == rest
            && setup
                .relay
                .queue()
                .iter()
                .all(|row| row["state"] == "waiting")
    });
    let mut dialogue = called(&setup);
    dialogue.ask("ATRN branch.test", 250);
    dialogue.send(b"220 mail.branch.test\r\n");
    dialogue.line().expect("EHLO");
    dialogue.send(b"250 mail.branch.test\r\n");
    for _ in 0..2 {
        take_message(&mut dialogue, |_| "250 yes");
    }
    assert_eq!(dialogue.line().as_deref(), Some("QUIT"));
    dialogue.send(b"221 bye\r\n");
    until_true("the others' mail alone to wait", seconds(30), || {
        waiting(&setup) == ["eve@other.test"; 2]
    });
}
