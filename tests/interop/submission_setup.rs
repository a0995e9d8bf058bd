//! A relay for people who sign in: one listener for STARTTLS and one for TLS from the start, as on
//! ports 587 and 465, with a certificate of the tests' authority, and behind it one server for
//! hosted and foreign domains alike.

use std::net::{IpAddr, SocketAddr};

use crate::authority::Authority;
use crate::client::Dialogue;
use crate::encrypted::Encrypted;
use crate::network::Network;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};

/// Who may sign in at each of these relays.
pub const USER: &str = "ann@hosted.test";
pub const PASSWORD: &str = "correct horse battery";

pub struct SubmissionSetup {
    pub relay: Relay,
    pub server: RecordingServer,
    pub authority: Authority,
}

impl SubmissionSetup {
    pub fn open(more: &str) -> SubmissionSetup {
        let mut setup = SubmissionSetup::prepare(more);
        setup.relay.run();
        setup
    }

    /// The same with more settings of each listener.
    pub fn open_with(of_listeners: &str) -> SubmissionSetup {
        let mut setup = SubmissionSetup::prepare_with(of_listeners, "");
        setup.relay.run();
        setup
    }

    /// The same without starting the relay.
    pub fn prepare(more: &str) -> SubmissionSetup {
        SubmissionSetup::prepare_with("", more)
    }

    fn prepare_with(of_listeners: &str, more: &str) -> SubmissionSetup {
        SubmissionSetup::prepare_all(Conduct::default(), of_listeners, more)
    }

    /// The same before a server of this conduct.
    pub fn prepare_before(conduct: Conduct, more: &str) -> SubmissionSetup {
        SubmissionSetup::prepare_all(conduct, "", more)
    }

    fn prepare_all(conduct: Conduct, of_listeners: &str, more: &str) -> SubmissionSetup {
        let network = Network::new();
        let server = RecordingServer::start_with(network.mail_server(), conduct);
        let authority = Authority::new();
        // Some programs are told the address, some the name.
        let pair = authority.issue_for("relay.test", network.relay());
        let settings = settings(network, &server, &pair.settings(), of_listeners);
        let more = format!("{settings}{more}");
        let relay = Relay::prepare(network, &more);
        let setup = SubmissionSetup {
            relay,
            server,
            authority,
        };
        setup.add_user(USER, PASSWORD, &[]);
        setup
    }

    /// `gatepost user add`.
    pub fn add_user(&self, name: &str, password: &str, options: &[&str]) {
        let mut words = vec!["user", "add", name];
        words.extend(options);
        let input = format!("{password}\n");
        self.relay
            .command_with(&words, input.as_bytes())
            .expect_code(0);
    }

    /// Where users begin in clear.
    pub fn submission(&self) -> SocketAddr {
        self.relay.listener("submission")
    }

    /// Where users begin encrypted.
    pub fn submissions(&self) -> SocketAddr {
        self.relay.listener("submissions")
    }

    pub fn stranger(&self) -> IpAddr {
        self.relay.network.stranger()
    }

    /// The authority's certificate, as programs take it.
    pub fn trust(&self) -> String {
        self.authority.certificate().display().to_string()
    }

    /// A stranger's encrypted session, greeted.
    pub fn encrypted(&self) -> Dialogue {
        Encrypted::from_the_start(self.stranger(), self.submissions()).ready()
    }

    /// The session of a user who has signed in.
    pub fn signed_in(&self, user: &str, password: &str) -> Dialogue {
        let mut dialogue = self.encrypted();
        dialogue.ask(&plain(user, password), 235);
        dialogue
    }
}

fn settings(
    network: Network,
    server: &RecordingServer,
    certificate: &str,
    of_listeners: &str,
) -> String {
    let (relay, route) = (network.relay(), server.route());
    format!(
        "[listener.submission]\nkind = \"submission\"\nbind = \"{relay}:0\"\n{of_listeners}\
         [listener.submissions]\nkind = \"submissions\"\nbind = \"{relay}:0\"\n{of_listeners}\
         [tls]\n{certificate}\
         [domain.\"hosted.test\"]\nroute = \"{route}\"\n\
         [outbound]\nroute = \"{route}\"\n"
    )
}

/// The command that signs in by PLAIN.
pub fn plain(user: &str, password: &str) -> String {
    let response = format!("\0{user}\0{password}");
    format!("AUTH PLAIN {}", base64(response.as_bytes()))
}

/// RFC 4648 section 4.
pub fn base64(octets: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for group in octets.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| {
            bits << 8 | u32::from(*group.get(at).unwrap_or(&0))
        });
        for at in 0..4 {
            let digit = ALPHABET[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > group.len() { '=' } else { digit.into() });
        }
    }
    text
}

#[test]
fn base64_is_that_of_the_standard() {
    // RFC 4648 section 10.
    let cases = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foobar", "Zm9vYmFy"),
    ];
    for (octets, text) in cases {
        assert_eq!(base64(octets.as_bytes()), text);
    }
    assert_eq!(base64(&[0xfb, 0xff]), "+/8=");
}
