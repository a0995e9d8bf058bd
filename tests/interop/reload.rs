//! A reload takes effect whole or not at all; what is under way is finished, and nothing goes on by
//! the old rules.

use crate::client::{Dialogue, Reply, message};
use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

fn domain(name: &str, server: &RecordingServer) -> String {
    format!("[domain.\"{name}\"]\nroute = \"{}\"\n", server.route())
}

fn asked_for(relay: &Relay, recipient: &str) -> Reply {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.say(&format!("RCPT TO:<{recipient}>"))
}

#[test]
fn a_reload_changes_the_rules_and_no_session_goes_on_by_the_old_ones() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let always = domain("always.test", &server);
    let relay = Relay::start(network, &format!("{always}{}", domain("old.test", &server)));
    assert_eq!(asked_for(&relay, "bob@new.test").code, 550);
    let mut idle = Dialogue::ready(network.stranger(), relay.address());
    let mut busy = Dialogue::ready(network.stranger(), relay.address());
    busy.ask("MAIL FROM:<ann@client.test>", 250);
    busy.ask("RCPT TO:<bob@always.test>", 250);
    busy.ask("DATA", 354);

    relay.write_config(&format!("{always}{}", domain("new.test", &server)));
    relay.command(&["reload"]).expect_code(0);
    assert_eq!(asked_for(&relay, "bob@new.test").code, 250);
    assert_eq!(asked_for(&relay, "bob@old.test").code, 550);
    let farewell = idle.reply().expect("a word before the connection closes");
    assert_eq!(farewell.code, 421, "{}", farewell.text());
    busy.send(message("across-the-reload").as_bytes());
    busy.send(b".\r\n");
    let reply = busy.reply().expect("the message under way is taken");
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("across-the-reload");
}

#[test]
fn a_listener_that_is_dropped_lets_its_sessions_finish() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let second = format!("[listener.second]\nbind = \"{}:0\"\n", network.relay());
    let hosted = domain("hosted.test", &server);
    let relay = Relay::start(network, &format!("{second}{hosted}"));
    let status = relay.status().expect("a status");
    let address = crate::relay::address_of(&status, "second").expect("the second listener");
    let mut session = Dialogue::ready(network.stranger(), address);
    session.ask("MAIL FROM:<ann@client.test>", 250);
    session.ask("RCPT TO:<bob@hosted.test>", 250);
    session.ask("DATA", 354);

    relay.write_config(&hosted);
    relay.command(&["reload"]).expect_code(0);
    until_true("the second listener is closed", seconds(20), || {
        Dialogue::try_connect(network.stranger(), address).is_err()
    });
    session.send(message("over-a-closed-door").as_bytes());
    session.send(b".\r\n");
    let reply = session.reply().expect("an answer");
    assert_eq!(reply.code, 250, "{}", reply.text());
    server.wait_for("over-a-closed-door");
}

#[test]
fn a_listener_may_be_given_another_name() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let hosted = domain("hosted.test", &server);
    let bind = network.free_port(network.relay());
    let named = |name: &str| format!("[listener.{name}]\nbind = \"{bind}\"\n{hosted}");
    let relay = Relay::start(network, &named("before"));
    relay.write_config(&named("after"));
    relay.command(&["reload"]).expect_code(0);
    let status = relay.status().expect("a status");
    assert_eq!(crate::relay::address_of(&status, "after"), Some(bind));
    assert_eq!(crate::relay::address_of(&status, "before"), None);
    crate::client::submit(
        network.stranger(),
        bind,
        "ann@client.test",
        &["bob@hosted.test"],
        &message("renamed"),
    );
}

#[test]
fn a_hangup_signal_reloads_too() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &domain("old.test", &server));
    relay.write_config(&domain("new.test", &server));
    program::signal("HUP", relay.pid());
    // Asked before, a session that the reload ends would hear 421.
    until_true("the reload in the log", seconds(20), || {
        relay.log().contains("the configuration was reloaded")
    });
    assert_eq!(asked_for(&relay, "bob@new.test").code, 250);
}

#[test]
fn a_bad_file_leaves_the_running_configuration_as_it_is() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &domain("old.test", &server));
    let pid = relay.pid();
    // The file has one good change and one mistake: neither may take effect.
    relay.write_config(&format!(
        "{}[queue]\nretri = [\"1s\"]\n",
        domain("new.test", &server)
    ));
    let ran = relay.command(&["reload"]);
    assert_ne!(ran.code, 0);
    assert!(
        ran.text().contains("did you mean `retry`?"),
        "{}",
        ran.text()
    );
    program::signal("HUP", pid);
    until_true("the mistake in the log", seconds(20), || {
        relay.log().contains("retri")
    });
    assert_eq!(asked_for(&relay, "bob@old.test").code, 250);
    assert_eq!(asked_for(&relay, "bob@new.test").code, 550);
}

/// Whoever broke the file needs the relay's state now more than ever.
#[test]
fn a_bad_file_does_not_lock_the_operator_out() {
    let network = Network::new();
    let relay = Relay::start(network, "");
    relay.write_config("[queue]\nretri = [\"1s\"]\n");
    relay.command(&["status"]).expect_code(0);
    relay.command(&["queue", "list"]).expect_code(0);
}

#[test]
fn a_reload_cannot_open_the_relay() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::start(network, &domain("old.test", &server));
    relay.write_config(&format!(
        "[listener.world]\nbind = \"0.0.0.0:0\"\n{}[domain.\"*\"]\nroute = \"mx\"\n",
        domain("old.test", &server)
    ));
    assert_ne!(relay.command(&["reload"]).code, 0);
    let reply = asked_for(&relay, "victim@elsewhere.test");
    assert_eq!(
        reply.text(),
        "550 5.7.1 Unable to relay for victim@elsewhere.test"
    );
}

#[test]
fn queued_mail_follows_a_new_route() {
    let network = Network::new();
    let nobody = network.mail_server();
    let quick = "[queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n";
    let old = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n{quick}",
        crate::server::route_to(nobody)
    );
    let relay = Relay::start(network, &old);
    crate::client::submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("rerouted"),
    );
    until_true("a failed attempt", seconds(30), || {
        relay
            .queue()
            .iter()
            .any(|row| row["tries"].as_u64() >= Some(1))
    });
    let server = RecordingServer::start(network.free_port(network.host(30)));
    relay.write_config(&format!("{}{quick}", domain("hosted.test", &server)));
    relay.command(&["reload"]).expect_code(0);
    server.wait_for("rerouted");
}
