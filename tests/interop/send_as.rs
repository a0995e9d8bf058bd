//! Senders that others would not take go out as somebody whom they take.

use crate::client::{message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

#[test]
fn a_masquerade_hides_inner_senders_and_their_bounces_come_home() {
    let network = Network::new();
    let world = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[outbound]\nroute = \"{0}\"\nmasquerade_domain = \"contoso.test\"\n\
         [domain.\"hosted.test\"]\nroute = \"{0}\"\n",
        world.route()
    ));
    relay.run();
    let send = |client, from: &str, to: &str, subject: &str| {
        submit(client, relay.address(), from, &[to], &message(subject));
    };
    let (permitted, stranger) = (network.permitted(), network.stranger());
    send(permitted, "root@localhost", "bob@elsewhere.test", "inner");
    assert_eq!(world.wait_for("inner").from, "root@contoso.test");
    let place = relay.place_of("masquerade_domain");
    let sender = format!("\"sender\":\"root@contoso.test, by {place}\"");
    relay.wait_for_log(&["delivered", &sender]);
    send(permitted, "ann@hosted.test", "bob@elsewhere.test", "known");
    assert_eq!(world.wait_for("known").from, "ann@hosted.test");
    send(stranger, "root@localhost", "bob@hosted.test", "strange");
    assert_eq!(world.wait_for("strange").from, "root@localhost");
    let shown = relay.command(&["route", "show", "bob@elsewhere.test"]);
    assert!(shown.out.contains(&place), "{}", shown.text());
}
