//! Mail of some senders leaves by a route of its own.

use crate::client::{message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

#[test]
fn mail_leaves_by_its_senders_route_and_what_waits_by_that_of_the_next_reload() {
    let network = Network::new();
    let world = RecordingServer::start(network.mail_server());
    let brand = RecordingServer::start(network.free_port(network.host(20)));
    let mut relay = Relay::prepare(network, "");
    let config = |route: &str| {
        format!(
            "[outbound]\nroute = \"{0}\"\n[domain.\"hosted.test\"]\nroute = \"{0}\"\n\
             [route.brand]\nhosts = \"{1}\"\n\
             [[sender_route]]\nsenders = [\"brand.test\"]\nroute = \"{route}\"\n",
            world.route(),
            brand.route(),
        )
    };
    relay.write_config(&config("brand"));
    relay.run();
    let send = |client, from: &str, to: &str, subject: &str| {
        submit(client, relay.address(), from, &[to], &message(subject));
    };
    let (permitted, stranger) = (network.permitted(), network.stranger());
    send(permitted, "ann@client.test", "bob@elsewhere.test", "people");
    send(permitted, "news@brand.test", "bob@elsewhere.test", "brand");
    world.wait_for("people");
    assert_eq!(brand.wait_for("brand").from, "news@brand.test");
    // No sender leads mail for a domain of ours elsewhere, forged or not.
    send(stranger, "news@brand.test", "bob@hosted.test", "forged");
    send(permitted, "news@brand.test", "bob@hosted.test", "inward");
    world.wait_for("forged");
    world.wait_for("inward");
    let (place, client) = (relay.place_of("senders = "), permitted.to_string());
    let (to, from) = ("bob@elsewhere.test", "news@brand.test");
    for command in [
        &["route", "show", to, "--from", from][..],
        &[
            "relay", "check", "--client", &client, "--mail", from, "--rcpt", to,
        ],
        &["test", "delivery", to, "--from", from],
    ] {
        let said = relay.command(command).expect_code(0).out;
        assert!(said.contains("route:brand"), "{said}");
        assert!(said.contains(&place), "{said}");
    }
    let by_recipient = relay.command(&["route", "show", to]).expect_code(0).out;
    assert!(
        by_recipient.contains("ask with --from SENDER"),
        "{by_recipient}"
    );
    // What waits for a route that an operator has paused leaves by the other one.
    relay
        .command(&["queue", "pause", "route:brand"])
        .expect_code(0);
    send(permitted, "news@brand.test", "bob@elsewhere.test", "waits");
    send(permitted, "ann@client.test", "bob@elsewhere.test", "goes");
    world.wait_for("goes");
    assert_eq!(relay.queue()[0]["site"], "route:brand");
    relay.write_config(&config(&world.route()));
    relay.command(&["reload"]).expect_code(0);
    world.wait_for("waits");
    relay.wait_until_empty();
    assert_eq!((brand.count(), world.count()), (1, 5));
}
