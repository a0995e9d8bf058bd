//! A route with hours of its own.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::client::{message, submit};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;

/// A day of the week, in UTC, that is neither today nor tomorrow, however long this takes.
fn another_day() -> &'static str {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let days = since.expect("a clock").as_secs() / 86_400;
    // The first of January 1970 was a Thursday.
    ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][(days as usize + 3) % 7]
}

#[test]
fn outside_the_hours_of_its_route_mail_waits_and_says_until_when() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let config = |hours: &str| {
        format!(
            "[domain.\"hosted.test\"]\nroute = \"night\"\n[queue]\ntime_zone = \"UTC\"\n\
             [route.night]\nhosts = \"{}\"\n{hours}",
            server.route()
        )
    };
    let day = another_day();
    let large = format!("large = {{ over = \"1MB\", hours = \"{day}\" }}\n");
    relay.write_config(&config(&format!("hours = \"{day} 08:00-24:00\"\n")));
    relay.run();
    let send = |subject: &str| {
        let to = ["bob@hosted.test"];
        submit(
            network.stranger(),
            relay.address(),
            "ann@client.test",
            &to,
            &message(subject),
        );
    };
    send("first");
    send("second");
    let id = relay.queue()[0]["id"].as_str().expect("an id").to_owned();
    for command in [&["queue", "shape"][..], &["queue", "show", &id]] {
        let said = relay.command(command).expect_code(0).out;
        assert!(said.contains("outside its hours"), "{said}");
        assert!(said.contains("T08:00:00"), "{said}");
    }
    let shown = relay.command(&["route", "show", "bob@hosted.test"]);
    assert!(
        shown.out.contains(&relay.place_of("hours = ")),
        "{}",
        shown.text()
    );
    assert_eq!((server.connections(), relay.queued()), (0, 2));
    relay.write_config(&config(&large));
    relay.command(&["reload"]).expect_code(0);
    server.wait_for("first");
    server.wait_for("second");
    // A large one waits by itself, before and after others.
    let body = "0123456789abcdef0123456789abcdef0123456789abcdef\r\n".repeat(30_000);
    let text = format!("Subject: large\r\n\r\n{body}");
    let to = ["bob@hosted.test"];
    submit(
        network.stranger(),
        relay.address(),
        "ann@client.test",
        &to,
        &text,
    );
    send("third");
    server.wait_for("third");
    let id = relay.queue()[0]["id"].as_str().expect("an id").to_owned();
    for command in [&["queue", "shape"][..], &["queue", "show", &id]] {
        let said = relay.command(command).expect_code(0).out;
        assert!(said.contains("outside the"), "{said}");
    }
    relay.write_config(&config(""));
    relay.command(&["reload"]).expect_code(0);
    server.wait_for("large");
    relay.wait_until_empty();
}
