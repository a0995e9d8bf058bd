//! A filter behind the queue: what went there comes back, once, and goes on.

use std::net::{IpAddr, SocketAddr};

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, Received, RecordingServer};

/// The relay, its filter (which keeps what it gets), the server of its domain, and the way back.
struct Filtered {
    relay: Relay,
    filter: RecordingServer,
    server: RecordingServer,
    way_back: SocketAddr,
}

impl Filtered {
    fn start() -> Self {
        Self::start_with(Conduct::default(), "")
    }

    /// With a server of such conduct, and `more` in the configuration.
    fn start_with(conduct: Conduct, more: &str) -> Self {
        let network = Network::new();
        let dsn = Conduct {
            extensions: &["PIPELINING", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN"],
            ..Conduct::default()
        };
        let filter = RecordingServer::start_with(network.free_port(network.host(20)), dsn);
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let way_back = network.free_port(network.relay());
        let mut relay = Relay::prepare(network, "");
        relay.write_config(&format!(
            "[domain.\"hosted.test\"]\nroute = \"{route}\"\n[outbound]\nroute = \"{route}\"\n\
             [queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n\
             [after_queue]\nroute = \"filter\"\nreturn_listener = \"back\"\n\
             from = [\"{from}\"]\n\
             [route.filter]\nhosts = \"{filter}\"\nprotocol = \"smtp\"\n\
             [listener.back]\nbind = \"{way_back}\"\n{more}",
            route = server.route(),
            filter = filter.route(),
            from = network.host(20),
        ));
        relay.run();
        Self {
            relay,
            filter,
            server,
            way_back,
        }
    }

    fn filter_address(&self) -> IpAddr {
        self.relay.network.host(20)
    }

    /// Gives back what the filter has, as it is.
    fn give_back(&self, received: &Received, origin: &str) {
        let mut dialogue = Dialogue::ready(self.filter_address(), self.way_back);
        dialogue.ask(&format!("XFORWARD {origin}"), 250);
        dialogue.ask(&format!("MAIL FROM:<{}>", received.from), 250);
        for (to, about) in received.to.iter().zip(&received.about) {
            dialogue.ask(&format!("RCPT TO:<{to}> {about}"), 250);
        }
        dialogue.ask("DATA", 354);
        dialogue.send(&received.data);
        let reply = dialogue.say(".");
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
}

#[test]
fn what_comes_back_goes_on_once_and_both_parts_are_one_story() {
    let all = Filtered::start();
    let (relay, network) = (&all.relay, all.relay.network);
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("in"),
    );
    let there = all.filter.wait_for("in");
    assert_eq!(there.to, ["bob@hosted.test"]);
    relay.wait_until_empty();
    assert_eq!(all.server.count(), 0, "it went past the filter");
    let first = there.header("Received").expect("a field of ours");
    let id = first
        .split(" id ")
        .nth(1)
        .and_then(|rest| rest.split(';').next());
    let id = id
        .expect("the queue id")
        .split(' ')
        .next()
        .unwrap_or_default();
    let stranger = network.stranger();
    all.give_back(
        &there,
        &format!("ADDR={stranger} HELO=client.test IDENT={id} SOURCE=REMOTE"),
    );
    let arrived = all.server.wait_for("in");
    let by_us = arrived.headers("Received");
    assert_eq!(
        by_us
            .iter()
            .filter(|field| field.contains("by relay.test"))
            .count(),
        2
    );
    relay.wait_until_empty();
    assert_eq!((all.filter.count(), all.server.count()), (1, 1));
    let place = relay.place_of("route = \"filter\"");
    relay.wait_for_log(&[
        "message accepted",
        "filtered-of-strangers",
        "came back from the filter filter",
        &place,
        &stranger.to_string(),
        id,
    ]);
    let told = relay.command(&["trace", id]).expect_code(0);
    assert!(told.text().contains("route:filter"), "{}", told.text());
}

#[test]
fn only_the_filter_gets_to_the_way_back_and_it_sends_to_anybody() {
    let all = Filtered::start();
    let network = all.relay.network;
    for other in [network.stranger(), network.permitted()] {
        let mut dialogue = Dialogue::connect(other, all.way_back);
        dialogue.expect(554);
    }
    // A bounce that the filter makes itself.
    let mut dialogue = Dialogue::ready(all.filter_address(), all.way_back);
    let reply = dialogue.submit("", &["ann@client.test"], &message("own"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert_eq!(all.server.wait_for("own").to, ["ann@client.test"]);
    // What says at another listener where it came from is heard by nobody.
    let mut dialogue = Dialogue::ready(network.permitted(), all.relay.address());
    dialogue.ask("XFORWARD ADDR=192.0.2.1 SOURCE=LOCAL", 502);
    all.relay.wait_until_empty();
    assert_eq!(all.filter.count(), 0);
}

#[test]
fn what_waits_for_the_filter_goes_on_without_it_once_it_is_taken_out() {
    let mut all = Filtered::start();
    let network = all.relay.network;
    let nowhere = network.free_port(network.host(21));
    let text = std::fs::read_to_string(all.relay.config()).expect("the configuration");
    let down = text.replace(
        &all.filter.address.port().to_string(),
        &nowhere.port().to_string(),
    );
    all.relay.write_whole_config(&down);
    all.relay.stop();
    all.relay.run();
    submit(
        network.permitted(),
        all.relay.address(),
        "ann@client.test",
        &["bob@hosted.test"],
        &message("waits"),
    );
    let heard = all.relay.wait_for_deferral("bob@hosted.test");
    assert!(heard.contains("refused"), "{heard}");
    let (before, after) = down.split_once("[after_queue]").expect("the section");
    let (_, after) = after.split_once("[listener.back]").expect("the way back");
    let (_, after) = after
        .split_once('\n')
        .expect("its line")
        .1
        .split_once('\n')
        .unwrap_or(("", ""));
    all.relay.write_whole_config(&format!("{before}{after}"));
    all.relay.stop();
    all.relay.run();
    assert_eq!(all.server.wait_for("waits").to, ["bob@hosted.test"]);
    all.relay.wait_until_empty();
}

/// What the filter passes on of DSN tells for whom mail was that a rule sent elsewhere.
#[test]
fn senders_do_not_learn_by_a_filter_to_whom_rules_send_mail_and_copies_that_fail_are_kept() {
    let conduct = Conduct {
        at_recipient: |path| match path {
            "secret@hosted.test" => Some("550 5.1.1 secret is not known here"),
            "journal@hosted.test" => Some("550 5.1.1 journal is not known here"),
            _ => None,
        },
        ..Conduct::default()
    };
    let all = Filtered::start_with(
        conduct,
        "[[screen]]\nwhen.to = \"old@hosted.test\"\nredirect_to = \"secret@hosted.test\"\n\
         [[screen]]\nwhen.to = \"bob@hosted.test\"\ncopy_to = \"journal@hosted.test\"\n",
    );
    let (relay, stranger) = (&all.relay, all.relay.network.stranger());
    let to = ["old@hosted.test", "bob@hosted.test"];
    submit(
        stranger,
        relay.address(),
        "ann@client.test",
        &to,
        &message("sent-on"),
    );
    relay.wait_until_empty();
    for there in all.filter.received() {
        all.give_back(&there, &format!("ADDR={stranger} SOURCE=REMOTE"));
    }
    let notice = all.server.wait_where("a notice", |one| one.from.is_empty());
    assert_eq!(notice.to, ["ann@client.test"]);
    let text = notice.text();
    assert!(
        !text.contains("secret") && !text.contains("journal"),
        "{text}"
    );
    let line = |field: &str| text.lines().any(|line| line.trim() == field);
    assert!(line("Final-Recipient: rfc822; old@hosted.test"), "{text}");
    let held = relay.wait_until_held(1);
    assert_eq!(held[0]["to"], "journal@hosted.test");
}
