//! A whole Postfix before the relay and one behind it, each with folders of its own: the neighbours
//! that this relay will most often have.

use std::fs;
use std::process::{Child, Command, Stdio};

use crate::client::{message, submit};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::program::{is_root, path_of, run};
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until_true};

#[test]
fn postfix_before_us_sends_to_the_world() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(
        network,
        &format!("[outbound]\nroute = \"{}\"\n", server.route()),
    );
    // Postfix is the organisation's mail server here, the one client that may send anywhere.
    let settings = format!(
        "relayhost = {}\nsmtp_bind_address = {}",
        route_to(relay.address()),
        network.permitted()
    );
    let postfix = Postfix::start(network.free_port(network.permitted()), &settings);
    postfix.sendmail(
        "ann@postfix.test",
        "bob@elsewhere.test",
        &message("from-postfix"),
    );
    let received = server.wait_for("from-postfix");
    assert_eq!(received.from, "ann@postfix.test");
    assert_eq!(received.to, ["bob@elsewhere.test"]);
    let trace = received.headers("Received");
    assert!(trace[0].contains("by relay.test"), "{trace:?}");
    assert!(trace[1].contains("by postfix.test"), "{trace:?}");
}

#[test]
fn postfix_that_is_not_listed_is_refused_and_tells_its_user() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &config);
    let settings = format!(
        "relayhost = {}\nsmtp_bind_address = {}",
        route_to(relay.address()),
        network.stranger()
    );
    let postfix = Postfix::start(network.free_port(network.stranger()), &settings);
    // Postfix's own notice about the refusal comes back through us to the sender, whose domain we
    // host.
    postfix.sendmail(
        "ann@hosted.test",
        "bob@elsewhere.test",
        &message("not-listed"),
    );
    let notice = server.wait_where("Postfix's notice", |received| received.from.is_empty());
    assert_eq!(notice.to, ["ann@hosted.test"]);
    let unfolded = notice
        .text()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert!(
        unfolded.contains("550 5.7.1 Unable to relay for bob@elsewhere.test"),
        "{unfolded}"
    );
}

#[test]
fn postfix_behind_us_fills_its_mailboxes() {
    let network = Network::new();
    let postfix = Postfix::start(
        network.mail_server(),
        &Postfix::mailboxes("hosted.test", &["bob", "eve"]),
    );
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(postfix.address)
    );
    let relay = Relay::start(network, &config);
    let text = message("to-postfix").replace("End of", "..End of\r\n.End of");
    let stuffed = text.replace("\r\n.", "\r\n..");
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test", "eve@hosted.test"],
        &stuffed,
    );
    for user in ["bob", "eve"] {
        until_true("the message in the mailbox", seconds(30), || {
            postfix.mailbox(user).len() == 1
        });
        let stored = &postfix.mailbox(user)[0];
        let body = text
            .split_once("\r\n\r\n")
            .expect("a body")
            .1
            .replace("\r\n", "\n");
        assert!(
            stored.ends_with(&body),
            "the body is as it was sent: {stored}"
        );
        assert!(stored.contains("by relay.test"), "{stored}");
    }
    relay.wait_until_empty();
}

#[test]
fn a_user_whom_postfix_does_not_know_comes_back_as_a_notice() {
    let network = Network::new();
    let postfix = Postfix::start(
        network.mail_server(),
        &Postfix::mailboxes("hosted.test", &["ann"]),
    );
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(postfix.address)
    );
    let relay = Relay::start(network, &config);
    submit(
        network.stranger(),
        relay.address(),
        "ann@hosted.test",
        &["nobody@hosted.test"],
        &message("unknown-user"),
    );
    until_true("the notice in the mailbox", seconds(30), || {
        postfix.mailbox("ann").len() == 1
    });
    let notice = &postfix.mailbox("ann")[0];
    assert!(notice.contains("Status: 5.1.1"), "{notice}");
    assert!(notice.contains("nobody@hosted.test"), "{notice}");
}

#[test]
fn two_hundred_messages_go_from_postfix_through_us_to_postfix() {
    let network = Network::new();
    let behind = Postfix::start(
        network.mail_server(),
        &Postfix::mailboxes("hosted.test", &["bob"]),
    );
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(behind.address)
    );
    let relay = Relay::start(network, &config);
    let before = Postfix::start(
        network.free_port(network.permitted()),
        &format!(
            "relayhost = {}\nsmtp_bind_address = {}",
            route_to(relay.address()),
            network.permitted()
        ),
    );
    let to = format!("inet:{}", before.address);
    run(
        "smtp-source",
        &[
            "-s",
            "10",
            "-m",
            "200",
            "-l",
            "2048",
            "-f",
            "ann@client.test",
            "-t",
            "bob@hosted.test",
            &to,
        ],
    )
    .expect_code(0);
    until_true("200 messages in the mailbox", seconds(90), || {
        behind.mailbox("bob").len() >= 200
    });
    relay.wait_until_empty();
    assert_eq!(behind.mailbox("bob").len(), 200, "and not one twice");
}

#[test]
fn smtp_sink_behind_us_takes_what_smtp_source_sends() {
    let network = Network::new();
    let sink = DumpingSink::start(network);
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(sink.address)
    );
    let relay = Relay::start(network, &config);
    let to = format!("inet:{}", relay.address());
    run(
        "smtp-source",
        &[
            "-d",
            "-s",
            "20",
            "-m",
            "400",
            "-l",
            "4096",
            "-f",
            "ann@client.test",
            "-t",
            "bob@hosted.test",
            &to,
        ],
    )
    .expect_code(0);
    until_true("400 messages in the sink", seconds(60), || {
        sink.count() >= 400
    });
    relay.wait_until_empty();
    assert_eq!(sink.count(), 400);
}

/// smtp-sink that writes every message to a file.
struct DumpingSink {
    address: std::net::SocketAddr,
    folder: tempfile::TempDir,
    child: Child,
}

impl DumpingSink {
    fn start(network: Network) -> DumpingSink {
        let folder = tempfile::TempDir::new().expect("a temporary folder");
        let address = network.mail_server();
        let mut command = Command::new(path_of("smtp-sink"));
        let account: &[&str] = if is_root() { &["-u", "root"] } else { &[] };
        let files = format!("{}/%Y%m%d%H%M%S.", folder.path().display());
        command
            .args(account)
            .args(["-d", &files, &address.to_string(), "100"])
            .stdout(Stdio::null());
        let child = command.spawn().expect("smtp-sink starts");
        until_true("smtp-sink to listen", seconds(10), || {
            std::net::TcpListener::bind(address).is_err()
        });
        DumpingSink {
            address,
            folder,
            child,
        }
    }

    fn count(&self) -> usize {
        fs::read_dir(self.folder.path())
            .expect("the sink's folder")
            .count()
    }
}

impl Drop for DumpingSink {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
