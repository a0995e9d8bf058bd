//! How fast mail goes out: by a rate of the configuration, and by what a server says is too much.

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until, until_true};

/// So many messages from a stranger for `hosted.test`.
fn send(relay: &Relay, count: usize) {
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    for number in 0..count {
        let text = message(&format!("paced-{number}"));
        let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &text);
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
}

/// The one site of the relay, once it is in this state.
fn site_in(relay: &Relay, state: &str) -> Value {
    until(state, seconds(30), || {
        let shape = relay.command(&["--json", "queue", "shape"]).expect_code(0);
        let sites: Vec<Value> = serde_json::from_str(&shape.out).expect("sites as JSON");
        sites.into_iter().find(|site| site["state"] == state)
    })
}

fn tries(relay: &Relay) -> u64 {
    let rows = relay.queue();
    rows.iter().filter_map(|row| row["tries"].as_u64()).sum()
}

#[test]
fn a_rate_holds_and_what_waits_for_it_says_so() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[outbound]\nrate = \"5/1h\"\n[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        server.route()
    );
    let relay = Relay::start(network, &config);
    send(&relay, 12);
    let site = site_in(&relay, "paced");
    assert_eq!(site["why"], "5 messages/1h");
    let text = relay.command(&["queue", "shape"]).expect_code(0).out;
    assert!(text.contains("paced, next at "), "{text}");
    until_true("connections to be given back", seconds(10), || {
        site_in(&relay, "paced")["connections"] == 0 && relay.queued() == 7
    });
    assert_eq!((server.count(), tries(&relay)), (5, 0));
    let rows = relay.queue();
    let id = rows[0]["id"].as_str().expect("an id");
    let shown = relay.command(&["queue", "show", id]).expect_code(0).out;
    assert!(shown.contains("waits     paced, next at "), "{shown}");
    // Another rate is in force at once.
    relay.write_config(&config.replace("5/1h", "8/1h"));
    relay.command(&["reload"]).expect_code(0);
    until_true("three more", seconds(30), || server.count() == 8);
    relay.write_config(&config.replace("5/1h", "100/1h"));
    relay.command(&["reload"]).expect_code(0);
    relay.wait_until_empty();
    assert_eq!(server.count(), 12);
}

#[test]
fn a_rate_of_a_day_holds_over_a_restart_an_upgrade_and_a_crash() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"isp\"\n[route.isp]\nhosts = \"{}\"\nrate = \"5/1d\"\n",
        server.route()
    );
    let mut relay = Relay::start(network, &config);
    send(&relay, 12);
    let holds = |relay: &Relay, taken: usize| {
        let site = site_in(relay, "paced");
        assert_eq!(site["why"], "5 messages/1d");
        assert_eq!((server.count(), relay.queued()), (taken, 12 - taken as u64));
    };
    holds(&relay, 5);
    assert!(relay.stop().success());
    relay.run();
    holds(&relay, 5);
    relay.command(&["upgrade"]).expect_code(0);
    holds(&relay, 5);
    // What was written before it is known after it.
    relay.kill();
    relay.run();
    holds(&relay, 5);
    // What cannot be read is counted anew, and mail goes on.
    assert!(relay.stop().success());
    let file = relay.data_dir().join("rates");
    std::fs::write(&file, "nonsense").expect("a file");
    relay.run();
    relay.wait_for_log(&["what went by rates is counted anew"]);
    until_true("five more", seconds(30), || server.count() == 10);
    holds(&relay, 10);
    let aside = std::fs::read_to_string(file.with_extension("damaged"));
    assert_eq!(aside.expect("it is set aside"), "nonsense");
    assert_eq!(tries(&relay), 0);
}

/// Postfix counts messages with its anvil, and says 450 4.7.1 to MAIL.
#[test]
fn postfix_with_too_much_mail_gets_it_more_slowly() {
    let network = Network::new();
    let address = network.mail_server();
    let settings = "smtpd_client_message_rate_limit = 10\nanvil_rate_time_unit = 20s\n\
                    smtpd_client_event_limit_exceptions =\nrelay_domains = hosted.test\n\
                    relay_transport = discard:";
    let _postfix = Postfix::start(address, settings);
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[queue]\nretry = [\"5s\"]\n",
        route_to(address)
    );
    let relay = Relay::start(network, &config);
    send(&relay, 12);
    let site = site_in(&relay, "paced");
    for words in [&site["why"], &site["slowed"]] {
        let words = words.as_str().unwrap_or_default();
        assert!(words.contains("450 4.7.1 Error: too much mail"), "{site}");
    }
    relay.wait_for_log(&["slowed down", "450 4.7.1 Error: too much mail"]);
    // What was refused is due soon, and goes when a minute's mail allows it.
    until_true("all mail to be taken", seconds(120), || relay.queued() == 0);
}
