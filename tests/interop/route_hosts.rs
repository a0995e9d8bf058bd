//! A route with several hosts: one of them goes down, the other takes its mail, and it comes back.

use std::net::{Ipv6Addr, TcpListener};

use crate::client::{message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until, until_true};

fn send(network: Network, relay: &Relay, id: &str) {
    let to = &["bob@hosted.test"];
    let from = network.stranger();
    submit(from, relay.address(), "ann@client.test", to, &message(id));
}

#[test]
fn a_host_that_goes_down_rests_and_comes_back() {
    let network = Network::new();
    let first = RecordingServer::start(network.free_port(network.host(21)));
    let second = RecordingServer::start(network.free_port(network.host(22)));
    let address = first.address;
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"two\"\n\
         [route.two]\nhosts = [\"{}\", {{ host = \"{}\" }}]\nmessages_per_connection = 1\n\
         [queue]\nretry = [\"1s\"]\n",
        route_to(address),
        second.route()
    );
    let relay = Relay::start(network, &config);
    send(network, &relay, "both-up");
    first.wait_for("both-up");

    drop(first);
    send(network, &relay, "one-down");
    second.wait_for("one-down");
    let shape = relay.command(&["queue", "shape"]);
    let shape = shape.expect_code(0).out;
    let row = shape.lines().find(|line| line.contains("rests until"));
    let row = row.unwrap_or_else(|| panic!("{shape}"));
    assert!(row.contains(&route_to(address)), "{shape}");
    assert!(row.contains("Could not connect"), "{shape}");
    relay.wait_until_empty();

    let first = RecordingServer::start(address);
    let mut numbers = 0..;
    until("mail for the host that is back", seconds(30), || {
        let id = format!("again-{}", numbers.next()?);
        send(network, &relay, &id);
        relay.wait_until_empty();
        (first.count() > 0).then_some(())
    });
    send(network, &relay, "as-before");
    first.wait_for("as-before");
    until_true("no host to rest", seconds(30), || {
        let shape = relay.command(&["queue", "shape"]);
        !shape.expect_code(0).out.contains("rests until")
    });
}

/// Most mail goes to the host of which most is said to go there.
#[test]
fn load_is_spread_by_weight() {
    let network = Network::new();
    let light = RecordingServer::start(network.free_port(network.host(21)));
    let heavy = RecordingServer::start(network.free_port(network.host(22)));
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"two\"\n\
         [route.two]\nhosts = [\"{}\", {{ host = \"{}\", weight = 9 }}]\norder = \"spread\"\n\
         messages_per_connection = 1\n",
        light.route(),
        heavy.route()
    );
    let relay = Relay::start(network, &config);
    for number in 0..60 {
        send(network, &relay, &format!("spread-{number}"));
    }
    relay.wait_until_empty();
    assert_eq!(light.count() + heavy.count(), 60);
    // By chance less than 30 of 60 come to it once in 10^13 runs.
    assert!(heavy.count() > 30, "{} {}", light.count(), heavy.count());
}

#[test]
fn a_host_that_never_greets_has_the_time_of_its_route_and_no_more() {
    let network = Network::new();
    let silent = TcpListener::bind(network.free_port(network.host(21))).expect("a listener");
    let address = silent.local_addr().expect("its address");
    let second = RecordingServer::start(network.free_port(network.host(22)));
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = \"two\"\n\
         [route.two]\nhosts = [\"{}\", \"{}\"]\nreply_timeout = \"1s\"\n",
        route_to(address),
        second.route()
    );
    let relay = Relay::start(network, &config);
    send(network, &relay, "not-greeted");
    second.wait_for("not-greeted");
    relay.wait_until_empty();
    let shape = relay.command(&["queue", "shape", "--json"]);
    assert!(shape.expect_code(0).out.contains(&route_to(address)));
}

#[test]
fn what_is_refused_over_ipv6_for_the_address_goes_over_ipv4() {
    let network = Network::new();
    let conduct = Conduct {
        at_recipient: |_| {
            Some("550 5.7.25 Access denied, the sending IPv6 address has no PTR record")
        },
        ..Conduct::default()
    };
    let over_ipv6 = RecordingServer::start_with((Ipv6Addr::LOCALHOST, 0).into(), conduct);
    let over_ipv4 = RecordingServer::start(network.free_port(network.host(21)));
    let config = format!(
        "[domain.\"hosted.test\"]\nroute = [\"{}\", \"{}\"]\n",
        over_ipv6.route(),
        over_ipv4.route()
    );
    let relay = Relay::start(network, &config);
    send(network, &relay, "refused-over-ipv6");
    over_ipv4.wait_for("refused-over-ipv6");
    relay.wait_until_empty();
    assert_eq!((over_ipv6.count(), over_ipv4.count()), (0, 1));
    assert!(relay.log().contains("has no PTR record"));
}
