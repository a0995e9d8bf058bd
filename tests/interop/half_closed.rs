//! Clients that say all they have to say, QUIT too, and end their sending side before the first
//! reply to it: Exim does so. They are still there, and hear the answers however long those take.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::client::message;
use crate::exim::{Exim, sending_from};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::seconds;

/// DNS takes three seconds to say nothing, and the third refusal is held back for two.
fn slow_relay(network: Network, server: &RecordingServer) -> Relay {
    let more = format!(
        "[listener.slow]\nbind = \"{relay}:0\"\ndnsbl = [{{ zone = \"list.test\" }}]\n\
         [dns]\nservers = [\"{resolver}\"]\ntimeout = \"3s\"\n[limits]\ntarpit = \"2s\"\n\
         [domain.\"hosted.test\"]\nrecipients = [\"bob@hosted.test\"]\nroute = \"{route}\"\n",
        relay = network.relay(),
        resolver = network.name_server(),
        route = server.route(),
    );
    Relay::start(network, &more)
}

const RECIPIENTS: [&str; 4] = [
    "a@hosted.test",
    "b@hosted.test",
    "c@hosted.test",
    "bob@hosted.test",
];

#[test]
fn a_client_that_has_ended_its_sending_side_hears_every_reply() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = slow_relay(network, &server);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let from = SocketAddr::new(network.stranger(), 0);
    socket.bind(&from.into()).expect("an address");
    socket
        .connect(&relay.listener("slow").into())
        .expect("a connection");
    let mut client = TcpStream::from(socket);
    client.set_read_timeout(Some(seconds(60))).expect("a limit");
    let mut greeting = [0; 512];
    let read = client.read(&mut greeting).expect("a greeting");
    assert!(greeting[..read].starts_with(b"220 "));
    client.write_all(b"EHLO client.test\r\n").expect("EHLO");
    let read = client.read(&mut greeting).expect("its answer");
    assert!(greeting[..read].starts_with(b"250"));
    let content = message("half-closed");
    let recipients = RECIPIENTS.map(|to| format!("RCPT TO:<{to}>\r\n")).concat();
    let all = format!(
        "MAIL FROM:<ann@client.test>\r\n{recipients}BDAT {} LAST\r\n{content}QUIT\r\n",
        content.len()
    );
    client.write_all(all.as_bytes()).expect("everything");
    client.shutdown(Shutdown::Write).expect("half a close");
    let mut replies = String::new();
    client
        .read_to_string(&mut replies)
        .expect("replies to the end");
    let codes: Vec<&str> = replies.lines().filter_map(|line| line.get(..4)).collect();
    assert_eq!(
        codes,
        ["250 ", "550 ", "550 ", "550 ", "250 ", "250 ", "221 "],
        "{replies}"
    );
    server.wait_for("half-closed");
}

#[test]
fn exim_hands_over_a_message_whatever_time_the_answers_take() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = slow_relay(network, &server);
    let exim = Exim::prepare(&sending_from(network.stranger(), relay.listener("slow")));
    let text = message("by-exim").replace('\r', "");
    let log = exim.send("ann@client.test", &RECIPIENTS.map(str::to_owned), &text);
    assert!(log.contains("=> bob@hosted.test"), "{log}");
    assert!(log.contains(" K "), "it used BDAT: {log}");
    assert_eq!(log.matches("550 5.1.1").count(), 3, "{log}");
    assert_eq!(server.wait_for("by-exim").to, ["bob@hosted.test"]);
}
