//! What the relay says of its control socket is so.

use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::dns::NameServer;
use crate::network::Network;
use crate::program::run;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer, route_to};
use crate::wait::{seconds, until_true};

/// Every route is tried, so that one which is added is tried there as well.
#[test]
fn each_answer_is_as_the_description_says() {
    let network = Network::new();
    let address = network.mail_server();
    // It never says anything, so that something waits.
    let _server = TcpListener::bind(address).expect("an address");
    let nobody = network.free_port(network.relay());
    let console = network.free_port(network.relay());
    let served = RecordingServer::start(network.free_port(network.host(77)));
    let refusing = Conduct {
        at_recipient: |_| Some("550 5.1.1 nobody here"),
        ..Conduct::default()
    };
    let refusing = RecordingServer::start_with(network.free_port(network.host(78)), refusing);
    let zone = format!("relay A {}\nhosted MX 10 relay", network.relay());
    let names = NameServer::start(network.name_server(), &zone);
    let folder = tempfile::tempdir().expect("a folder");
    let submit = folder.path().join("submit.sock");
    let config = format!(
        "[console]\nbind = \"{console}\"\n\
         [submit]\nsocket = {submit:?}\n\
         [log.w3c]\nformat = \"w3c\"\n\
         [queue]\nndr.strangers = \"badmail\"\n\
         [domain.\"refused.test\"]\nroute = \"{}\"\nrecipients = [\"bob@refused.test\"]\n\
         [domain.\"served.test\"]\nroute = \"{}\"\n\
         [domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [[screen]]\nname = \"eve's\"\nwhen.to = \"eve@hosted.test\"\nthen = \"hold\"\n\
         [quarantine]\ndigest = \"recipients\"\n\
         [scanner.spam]\nkind = \"spamd\"\naddress = \"{nobody}\"\nlearn_address = \"{nobody}\"\n\
         to = \"nobody@hosted.test\"\n{}",
        refusing.route(),
        served.route(),
        route_to(address),
        names.config()
    );
    let mut relay = Relay::prepare(network, &config);
    let viewer = [
        "user",
        "add",
        "viewer",
        "--no-relay",
        "--console-role",
        "viewer",
    ];
    relay.command_with(&viewer, b"secret\n").expect_code(0);
    relay.run();
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    for to in ["bob@hosted.test", "eve@hosted.test", "bob@refused.test"] {
        let reply = client.submit("ann@client.test", &[to], &message("kept"));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<dan@elsewhere.test>", 550);
    relay.wait_for_log(&["held as badmail", "bob@refused.test"]);
    until_true("one site with mail", seconds(30), || {
        let shape = relay.command(&["--json", "queue", "shape"]).expect_code(0);
        let shape: Value = serde_json::from_str(&shape.out).expect("JSON");
        shape.as_array().map(Vec::len) == Some(1)
    });
    let socket = relay.data_dir().join("control.sock");
    let program =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/python/control_socket.py");
    let arguments = [&program, &socket].map(|path| path.to_str().expect("a path"));
    // The one for which Debian has the modules.
    run("/usr/bin/python3", &arguments).expect_code(0);
    let printed = relay.command(&["control", "openapi"]).expect_code(0);
    let printed: Value = serde_json::from_str(&printed.out).expect("JSON");
    assert_eq!(printed["openapi"], "3.1.0");
}
