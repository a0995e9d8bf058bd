//! postgrey, and the SPF policy service that Postfix's users have, asked about recipients.

use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};
use std::thread;

use super::programs::Program;
use super::{Dialogue, Network, RecordingServer, Relay, message};
use crate::dns::NameServer;
use crate::wait::{seconds, until_true};

/// policyd-spf talks on its standard input and output: one for each connection, as systemd or
/// Postfix's spawn(8) start it.
fn spf(network: &Network) -> SocketAddr {
    let listener = TcpListener::bind(SocketAddr::new(network.host(9), 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for socket in listener.incoming().flatten() {
            let socket = OwnedFd::from(socket);
            let input = socket.try_clone().expect("a socket");
            let started = Command::new("/usr/bin/policyd-spf")
                .stdin(Stdio::from(input))
                .stdout(Stdio::from(socket))
                .stderr(Stdio::null())
                .spawn();
            let mut process = started.expect("scripts/test scanners installs it");
            thread::spawn(move || process.wait());
        }
    });
    address
}

/// One service is asked before the other: what postgrey postpones has been looked at by the first.
#[test]
#[ignore = "needs postgrey and policyd-spf: scripts/test scanners"]
fn postgrey_and_policyd_spf_are_asked_about_strangers() {
    let network = Network::new();
    let mut postgrey = Program::postgrey(&network);
    postgrey.start();
    let spf = spf(&network);
    let names = NameServer::start(network.name_server(), "");
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [scanner.spf]\nkind = \"policy\"\naddress = \"{spf}\"\n{}{}",
        server.route(),
        postgrey.section(),
        names.config(),
    ));
    relay.run();
    let place = relay.place_of("[scanner.looker]");
    let both = ["bob@hosted.test", "carl@hosted.test"];
    let named = || {
        let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.say("RCPT TO:<bob@hosted.test>").text()
    };
    let first = named();
    assert!(first.starts_with("450 4.2.0 Come again"), "{first}");
    relay.wait_for_log(&["recipient refused", "policy service looker", &place]);
    until_true("the delay to be over", seconds(30), || {
        named().starts_with("250 ")
    });
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@hosted.test>", 250);
    until_true("the other one as well", seconds(30), || {
        client.say("RCPT TO:<carl@hosted.test>").code == 250
    });
    client.ask("DATA", 354);
    client.send(format!("{}.\r\n", message("greyed")).as_bytes());
    client.expect(250);
    let received = server.wait_for("greyed");
    let comments = received.headers("X-Comment");
    assert_eq!(comments.len(), 1, "{}", received.text());
    let scanned = received.header("X-Gatepost-Scan");
    assert_eq!(scanned.as_deref(), Some("spf clean; looker clean"));
    // Of submitters of ours nobody is asked.
    let mut client = Dialogue::ready(relay.network.permitted(), relay.address());
    let reply = client.submit("new@client.test", &both, &message("own"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    postgrey.kill();
    let down = named();
    assert!(down.starts_with("451 4.3.0 "), "{down}");
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("the scanner looker does not answer"),
        "{status}"
    );
}
