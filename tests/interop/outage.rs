//! The mail server is down, comes back, says "later": nothing is lost, nothing is sent twice.

use crate::client::{Dialogue, message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

const QUICK_RETRY: &str = "[queue]\nretry = [\"1s\"]\nexpire = \"1h\"\nprobe = \"1s\"\n";

fn relay_for(network: Network, route: &str) -> Relay {
    Relay::start(
        network,
        &format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n{QUICK_RETRY}"),
    )
}

#[test]
fn mail_waits_for_a_server_that_is_down() {
    let network = Network::new();
    let address = network.mail_server();
    let relay = relay_for(network, &route_to(address));
    let mut dialogue = Dialogue::ready(network.stranger(), relay.address());
    for number in 0..20 {
        let reply = dialogue.submit(
            "ann@client.test",
            &["bob@hosted.test"],
            &message(&format!("waiting-{number}")),
        );
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    until_true("a first attempt", seconds(30), || {
        relay
            .queue()
            .iter()
            .any(|row| row["tries"].as_u64() >= Some(1))
    });
    assert_eq!(relay.queued(), 20);

    let server = RecordingServer::start(address);
    until_true("20 messages to arrive", seconds(60), || {
        server.subjects().len() == 20
    });
    relay.wait_until_empty();
    assert_eq!(server.count(), 20, "and not one twice");
}

#[test]
fn mail_survives_a_server_that_goes_down_in_between() {
    let network = Network::new();
    let address = network.mail_server();
    let first = RecordingServer::start(address);
    let relay = relay_for(network, &first.route());
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("before"),
    );
    first.wait_for("before");
    drop(first);
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("during"),
    );
    until_true("a failed attempt", seconds(30), || {
        relay
            .queue()
            .iter()
            .any(|row| row["tries"].as_u64() >= Some(1))
    });
    let second = RecordingServer::start(address);
    second.wait_for("during");
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("after"),
    );
    second.wait_for("after");
    assert_eq!(second.count(), 2);
}

#[test]
fn a_server_that_says_later_is_asked_later() {
    let network = Network::new();
    let address = network.mail_server();
    let conduct = Conduct {
        at_recipient: |_| Some("451 4.7.1 greylisted"),
        ..Conduct::default()
    };
    let greylisting = RecordingServer::start_with(address, conduct);
    let relay = relay_for(network, &greylisting.route());
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("greylisted"),
    );
    until_true("the reply in the queue", seconds(30), || {
        relay.queue().iter().any(|row| {
            row["last_reply"]
                .as_str()
                .is_some_and(|reply| reply.contains("greylisted"))
        })
    });
    let row = &relay.queue()[0];
    assert_eq!(
        (row["from"].as_str(), row["to"].as_str()),
        (Some("ann@client.test"), Some("bob@hosted.test"))
    );
    drop(greylisting);
    let server = RecordingServer::start(address);
    server.wait_for("greylisted");
    relay.wait_until_empty();
    assert_eq!(server.count(), 1);
}

#[test]
fn only_the_recipients_that_were_put_off_are_tried_again() {
    let network = Network::new();
    let address = network.mail_server();
    let put_off = |path: &str| {
        path.starts_with("later")
            .then_some("452 4.2.2 mailbox full")
    };
    let first = RecordingServer::start_with(
        address,
        Conduct {
            at_recipient: put_off,
            ..Conduct::default()
        },
    );
    let relay = relay_for(network, &first.route());
    let recipients = ["now@hosted.test", "later@hosted.test"];
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &recipients,
        &message("partly"),
    );
    assert_eq!(first.wait_for("partly").to, ["now@hosted.test"]);
    until_true("one recipient left", seconds(30), || {
        relay.queue().len() == 1
    });
    drop(first);
    let second = RecordingServer::start(address);
    assert_eq!(second.wait_for("partly").to, ["later@hosted.test"]);
    relay.wait_until_empty();
}

#[test]
fn an_operator_may_retry_now_and_delete() {
    let network = Network::new();
    let address = network.mail_server();
    let slow = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"1h\"]\nprobe = \"1h\"\n",
        route_to(address)
    );
    let relay = Relay::start(network, &slow);
    for subject in ["wanted", "unwanted"] {
        submit(
            network.stranger(),
            relay.address(),
            "ann@client.test",
            &[&format!("{subject}@hosted.test")],
            &message(subject),
        );
    }
    // The second message may rest on the first one's failure: the site is known to be down.
    until_true("a failed attempt", seconds(30), || {
        let rows = relay.queue();
        rows.len() == 2
            && rows.iter().all(|row| row["state"] == "waiting")
            && rows.iter().any(|row| row["tries"].as_u64() >= Some(1))
    });
    let rows = relay.queue();
    let id_of = |recipient: &str| {
        let row = rows
            .iter()
            .find(|row| row["to"] == recipient)
            .expect("a row for the recipient");
        row["id"].as_str().expect("an id").to_owned()
    };
    let shown = relay
        .command(&["queue", "show", &id_of("wanted@hosted.test")])
        .expect_code(0);
    assert!(shown.out.contains("wanted@hosted.test"), "{}", shown.out);
    let page = relay.command(&["queue", "list", "--limit", "1"]);
    let page = page.expect_code(0);
    assert!(page.out.contains("wanted@") && !page.out.contains("unwanted@"));
    assert!(page.err.contains("--limit 0 lists all"), "{}", page.err);
    let counted = |filter: &str| {
        relay
            .command(&["queue", "count", filter])
            .expect_code(0)
            .out
    };
    let both = "2 messages: 2 recipients wait, 0 are held";
    assert_eq!(counted("state:waiting").trim(), both);
    assert!(counted("to:un*").starts_with("1 messages"));
    relay
        .command(&["queue", "delete", &id_of("unwanted@hosted.test"), "--yes"])
        .expect_code(0);
    assert_eq!(relay.queued(), 1);

    let server = RecordingServer::start(address);
    relay
        .command(&["queue", "retry", &id_of("wanted@hosted.test")])
        .expect_code(0);
    server.wait_for("wanted");
    relay.wait_until_empty();
    assert_eq!(server.count(), 1);
}

#[test]
fn a_retry_by_an_operator_asks_dns_anew() {
    let network = Network::new();
    let resolver = network.name_server();
    let old = NameServer::start(
        resolver,
        &format!(
            "moved 300 MX 10 old.moved\nold.moved 300 A {}",
            network.host(66)
        ),
    );
    let address = network.mail_server();
    let server = RecordingServer::start(address);
    let relay = Relay::start(
        network,
        &format!(
            "{}[outbound]\nport = {}\nprivate_mx = [\"127.0.0.0/8\"]\nmta_sts = false\n\
             [queue]\nretry = [\"1h\"]\nprobe = \"1h\"\n",
            old.config(),
            address.port()
        ),
    );
    submit(
        network.permitted(),
        relay.address(),
        "ann@client.test",
        &["bob@moved.test"],
        &message("moved"),
    );
    let heard = relay.wait_for_deferral("bob@moved.test");
    assert!(heard.contains("old.moved.test"), "{heard}");
    drop(old);
    let _new = NameServer::start(
        resolver,
        &format!("moved MX 10 new.moved\nnew.moved A {}", address.ip()),
    );
    let id = relay.queue()[0]["id"].as_str().expect("an id").to_owned();
    relay.command(&["queue", "retry", &id]).expect_code(0);
    server.wait_for("moved");
}

/// A smart host that is gone for good: what waits for it follows the line that is written now.
#[test]
fn what_waits_goes_by_a_changed_route_after_the_next_reload() {
    let network = Network::new();
    let gone = network.mail_server();
    let server = RecordingServer::start(network.free_port(network.host(12)));
    let relay = relay_for(network, &route_to(gone));
    submit(
        relay.network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("another way"),
    );
    until_true("a first attempt", seconds(30), || {
        relay
            .queue()
            .iter()
            .any(|row| row["tries"].as_u64() >= Some(1))
    });
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{QUICK_RETRY}",
        server.route()
    ));
    relay.command(&["reload"]).expect_code(0);
    server.wait_for("another way");
    relay.wait_until_empty();
}
