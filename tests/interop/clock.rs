//! The system's clock is set while the relay runs, by libfaketime: forward and back. What others
//! read follows it; what waits in the queue neither expires nor stands still.

use crate::client::{message, submit};
use crate::faketime::{Clocks, SetClock};
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, side_by_side, until_true};

/// As `date` prints it, so many days from now.
fn day(offset: &str, form: &str) -> String {
    let when = format!("{offset} days");
    let ran = run("date", &["-u", "-d", &when, form]).expect_code(0);
    ran.out.trim().to_owned()
}

fn tries(relay: &Relay) -> u64 {
    let queue = relay.queue();
    assert_eq!(queue.len(), 1, "neither delivered nor given up: {queue:?}");
    queue[0]["tries"].as_u64().expect("a number")
}

fn wait_for_another_try(relay: &Relay) {
    let before = tries(relay);
    until_true("another attempt", seconds(20), || tries(relay) > before);
}

#[test]
fn a_step_of_the_clock_shows_in_stamps_and_neither_expires_nor_holds_up_mail() {
    side_by_side(&["+10", "-10"], |&offset| {
        let network = Network::new();
        let later = network.mail_server();
        let server = RecordingServer::start(network.free_port(network.host(20)));
        let more = format!(
            "[domain.\"waiting.test\"]\nroute = \"{}\"\n\
             [domain.\"hosted.test\"]\nroute = \"{}\"\n\
             [queue]\nretry = [\"1s\"]\nprobe = \"1s\"\nexpire = \"1h\"\ndelay_notice = \"30m\"\n",
            route_to(later),
            server.route(),
        );
        let mut relay = Relay::prepare(network, &more);
        let clock = SetClock::of(&mut relay, Clocks::System);
        relay.run();
        let send = |relay: &Relay, domain: &str, subject: &str| {
            let to = format!("bob@{domain}");
            let text = message(subject);
            submit(
                network.stranger(),
                relay.address(),
                "ann@hosted.test",
                &[&to],
                &text,
            );
        };
        send(&relay, "waiting.test", "waits");
        wait_for_another_try(&relay);

        clock.set(&format!("{offset}d"));
        relay.wait_for_log(&["the system clock was set"]);
        wait_for_another_try(&relay);
        send(&relay, "hosted.test", "stamped");
        let trace = server
            .wait_for("stamped")
            .header("Received")
            .expect("a trace");
        let (today, listed) = (day(offset, "+%-d %b %Y"), day(offset, "+%Y-%m-%d"));
        // The test may run over midnight.
        let is_today = trace.contains(&today) || trace.contains(&day(offset, "+%-d %b %Y"));
        assert!(is_today, "{today}: {trace}");
        let due = relay.queue()[0]["due"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let is_listed = due.starts_with(&listed) || due.starts_with(&day(offset, "+%Y-%m-%d"));
        assert!(is_listed, "{listed}: {due}");
        for (filter, found) in [("age:>1h", 0), ("age:<1h", 1)] {
            let ran = relay
                .command(&["queue", "list", "--json", filter])
                .expect_code(0);
            assert_eq!(
                ran.out.matches("waiting.test\"").count(),
                found,
                "{filter}: {}",
                ran.out
            );
        }

        // What the spool keeps holds after a restart too, and when the clock is set once more while
        // nobody looks.
        assert!(relay.stop().success(), "a graceful stop");
        relay.run();
        wait_for_another_try(&relay);
        assert!(relay.stop().success(), "a graceful stop");
        clock.set("-20d");
        relay.run();
        wait_for_another_try(&relay);
        let waiting = RecordingServer::start(later);
        waiting.wait_for("waits");
        relay.wait_until_empty();
        assert_eq!(server.count(), 1, "no notice: {:?}", server.subjects());
    });
}
