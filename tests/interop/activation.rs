//! Started with sockets that are open already, as systemd does it; `systemd-socket-activate` is its
//! own stand-in for that.

use std::net::TcpStream;
use std::time::Instant;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until_true};

/// The shell keeps the sockets and starts the relay with them twice, as systemd does at a restart.
const TWICE: &str = r#"for start in 1 2; do sh -c 'LISTEN_PID=$$ exec "$@"' sh "$@"; done"#;

#[test]
fn a_restart_of_one_whose_sockets_systemd_holds_turns_no_client_away() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let network = relay.network;
    let (door, other) = (
        network.free_port(network.relay()),
        network.free_port(network.permitted()),
    );
    let more = format!("[listener.internet]\nbind = \"{door}\"\n");
    let inner = network.free_port(network.relay());
    let hosted = format!(
        "[listener.inner]\nbind = \"{inner}\"\n[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        server.route()
    );
    relay.write_bare_config("", &format!("{more}{hosted}"));
    let (here, elsewhere) = (door.to_string(), other.to_string());
    let systemd = ["systemd-socket-activate", "--listen", &elsewhere];
    relay.wrap(&[&systemd[..], &["--listen", &here, "sh", "-c", TWICE, "sh"]].concat());
    relay.spawn();

    let begin = Instant::now();
    while TcpStream::connect(door).is_err() {
        assert!(begin.elapsed() < seconds(30), "nobody listens at {door}");
        std::thread::yield_now();
    }
    let send = |subject: &str| {
        let mut client = Dialogue::ready(network.stranger(), door);
        client.ask("MAIL FROM:<ann@client.test>", 250);
        client.ask("RCPT TO:<bob@hosted.test>", 250);
        client.ask("DATA", 354);
        client.send(message(subject).as_bytes());
        client.ask(".", 250);
    };
    send("before");
    server.wait_for("before");
    let nobody = relay.wait_for_log(&["systemd listens there, and no listener has this address"]);
    assert!(nobody.contains(&elsewhere), "{nobody}");

    // systemd listens there as before: a listener that was taken away finds its socket again, and so
    // does another program.
    relay.write_bare_config("", &hosted);
    relay.command(&["reload"]).expect_code(0);
    relay.write_bare_config("", &format!("{more}{hosted}"));
    relay.command(&["reload"]).expect_code(0);
    send("after-reload");
    relay.command(&["upgrade"]).expect_code(0);
    send("after-upgrade");

    let first = relay.pid();
    program::signal("TERM", first);
    until_true("another process", seconds(30), || {
        TcpStream::connect(door).expect("somebody listens all the time");
        relay.status().is_some_and(|status| status["pid"] != first)
    });
    send("after");
    server.wait_for("after");
    program::signal("TERM", relay.pid());
    assert!(relay.wait_for_end().success(), "a graceful stop");
}
