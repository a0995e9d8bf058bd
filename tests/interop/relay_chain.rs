//! A chain of relays: the Internet talks to the front alone, which hands all mail to a filter host; that
//! screens it and hands it to the mail server, a Postfix, whose own mail goes out on the way back. The
//! filter goes down and comes up again.

use std::net::SocketAddr;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::postfix::Postfix;
use crate::relay::{Relay, account};
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until_true};

struct Chain {
    network: Network,
    front: Relay,
    filter: Relay,
    postfix: Postfix,
    /// The rest of the Internet.
    far: RecordingServer,
}

/// A relay that listens at `bind` and lets one client relay.
fn relay(network: Network, name: &str, bind: SocketAddr, allow: &str, more: &str) -> Relay {
    let mut relay = Relay::prepare(network, "");
    let text = format!(
        "hostname = \"{name}.test\"\n{account}data_dir = {data:?}\n\
         [listener.internet]\nbind = \"{bind}\"\n[relay]\nallow = [\"{allow}\"]\n\
         [spool]\nmin_free = \"0MB\"\n[log]\nformat = \"json\"\n[console]\nbind = \"off\"\n\
         [dns]\nservers = [\"{dns}\"]\n[queue]\nretry = [\"1s\"]\nprobe = \"1s\"\n{more}",
        account = account(),
        data = relay.data_dir(),
        dns = network.name_server(),
    );
    relay.write_whole_config(&text);
    relay.run();
    relay
}

impl Chain {
    fn start() -> Self {
        let network = Network::new();
        let (of_front, of_filter) = (network.relay(), network.host(20));
        let front_at = network.free_port(of_front);
        let filter_at = network.free_port(of_filter);
        let far = RecordingServer::start(network.free_port(network.host(30)));
        let mail_server = network.mail_server();
        let settings = format!(
            "{}\nrelayhost = [{}]:{}\nsmtp_bind_address = {}\n",
            Postfix::mailboxes("hosted.test", &["bob"]),
            of_filter,
            filter_at.port(),
            mail_server.ip(),
        );
        let postfix = Postfix::start(mail_server, &settings);
        let front = format!(
            "[domain.\"hosted.test\"]\nroute = \"filter\"\n[outbound]\nroute = \"{far}\"\n\
             [route.filter]\nhosts = \"{filter}\"\nsource_ip = \"{of_front}\"\n",
            far = far.route(),
            filter = route_to(filter_at),
        );
        let filter = format!(
            "[domain.\"hosted.test\"]\nroute = \"{postfix}\"\naccept_from = [\"{of_front}\"]\n\
             [outbound]\nroute = \"front\"\n\
             [route.front]\nhosts = \"{front}\"\nsource_ip = \"{of_filter}\"\n\
             [[screen]]\nwhen = {{ direction = \"in\", words = [\"lottery\"] }}\nthen = \"refuse\"\n\
             [[screen]]\nwhen = {{ direction = \"in\" }}\ntag = \"[looked at]\"\n\
             [[screen]]\nwhen = {{ direction = \"out\" }}\nfooter = \"Sent by Hosted\"\n",
            postfix = route_to(mail_server),
            front = route_to(front_at),
        );
        Self {
            network,
            front: relay(network, "front", front_at, &of_filter.to_string(), &front),
            filter: relay(
                network,
                "filter",
                filter_at,
                &mail_server.ip().to_string(),
                &filter,
            ),
            postfix,
            far,
        }
    }

    fn send(&self, id: &str) {
        let to = ["bob@hosted.test"];
        let (from, front) = (self.network.stranger(), self.front.address());
        submit(from, front, "ann@client.test", &to, &message(id));
    }

    fn arrived(&self, words: &str) -> usize {
        let messages = self.postfix.mailbox("bob").into_iter();
        messages.filter(|message| message.contains(words)).count()
    }

    fn wait_for_arrival(&self, words: &str, count: usize) {
        until_true(words, seconds(60), || self.arrived(words) >= count);
        assert_eq!(self.arrived(words), count, "{words}");
    }
}

#[test]
fn mail_goes_through_a_front_and_a_filter_to_the_mail_server_and_back_out() {
    let chain = Chain::start();
    chain.send("inward");
    chain.wait_for_arrival("Subject: [looked at] inward", 1);
    let messages = chain.postfix.mailbox("bob");
    let way = |name: &str| messages[0].find(&format!("by {name}.test"));
    let (postfix, filter, front) = (way("postfix"), way("filter"), way("front"));
    assert!(postfix < filter && filter < front, "{}", messages[0]);

    // Nobody sends to anybody else by the front, and nobody but the front brings mail to the filter.
    let stranger = chain.network.stranger();
    for (at, to) in [
        (&chain.front, "x@far.test"),
        (&chain.filter, "x@far.test"),
        (&chain.filter, "bob@hosted.test"),
    ] {
        let mut dialogue = Dialogue::ready(stranger, at.address());
        dialogue.ask("MAIL FROM:<ann@client.test>", 250);
        let reply = dialogue.say(&format!("RCPT TO:<{to}>"));
        assert_eq!(reply.code / 100, 5, "{to}: {}", reply.text());
    }

    let text = message("outward").replace("client.test", "hosted.test");
    chain
        .postfix
        .sendmail("bob@hosted.test", "x@far.test", &text);
    let out = chain.far.wait_for("outward").text();
    assert!(out.contains("Sent by Hosted"), "{out}");
    let way = |name: &str| out.find(&format!("by {name}.test"));
    assert!(
        way("front") < way("filter") && way("filter").is_some(),
        "{out}"
    );

    // What the filter refuses comes back to its sender by the front, which had taken it.
    let text = message("prize").replace("This is", "Your lottery:");
    let to = ["bob@hosted.test"];
    submit(
        stranger,
        chain.front.address(),
        "ann@client.test",
        &to,
        &text,
    );
    let bounce = chain
        .far
        .wait_where("a bounce", |received| received.to == ["ann@client.test"]);
    assert!(
        bounce.from.is_empty()
            && bounce
                .text()
                .contains("550 5.7.1 Message refused by policy"),
        "{}",
        bounce.text()
    );
    assert_eq!(chain.arrived("lottery"), 0);
}

#[test]
fn mail_waits_at_the_front_while_the_filter_is_down_and_each_comes_once() {
    let mut chain = Chain::start();
    chain.send("before");
    chain.wait_for_arrival("Subject: [looked at] before", 1);
    chain.front.wait_until_empty();
    chain.filter.wait_until_empty();
    chain.filter.kill();
    for number in 0..10 {
        chain.send(&format!("meanwhile-{number}"));
    }
    until_true("an attempt", seconds(30), || {
        let queue = chain.front.queue();
        queue.iter().any(|row| row["tries"].as_u64() >= Some(1))
    });
    assert_eq!((chain.front.queued(), chain.arrived("Subject: ")), (10, 1));
    let text = message("outward").replace("client.test", "hosted.test");
    chain
        .postfix
        .sendmail("bob@hosted.test", "x@far.test", &text);
    chain.filter.run();
    chain.wait_for_arrival("Subject: [looked at] meanwhile-", 10);
    chain.far.wait_for("outward");
    chain.front.wait_until_empty();
    chain.wait_for_arrival("Subject: ", 11);
}
