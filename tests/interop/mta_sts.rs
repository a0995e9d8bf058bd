//! MTA-STS (RFC 8461): a domain says over HTTPS which hosts take its mail, and that their
//! certificates must be good. Policy host and MX hosts are on loopback addresses of the tests' own,
//! all with certificates of one authority.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::client::{message, submit};
use crate::dns::NameServer;
use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, PeerCertificate, text};
use crate::program::need_root;
use crate::relay::Relay;
use crate::script::Script;

pub const POLICY_HOST: u8 = 30;
const RIGHT_NAME: u8 = 20;
const WRONG_NAME: u8 = 21;

/// MX hosts: the one at `.20` shows a certificate for mx.right.test, the one at `.21` one for
/// another name.
pub struct Setup {
    pub network: Network,
    authority: PeerAuthority,
    folder: TempDir,
    pub policy_host: Option<Script>,
    pub right: Script,
    wrong: Script,
    dns: NameServer,
    port: u16,
}

/// A domain: its mode, the hosts that its policy names, and its MX records.
struct Domain {
    name: &'static str,
    policy: &'static str,
    mx: &'static str,
}

const fn domain(name: &'static str, policy: &'static str, mx: &'static str) -> Domain {
    Domain { name, policy, mx }
}

const DOMAINS: [Domain; 8] = [
    domain(
        "good",
        "mode: enforce\r\nmx: *.right.test",
        "MX 10 mx.right",
    ),
    domain(
        "badname",
        "mode: enforce\r\nmx: mx.wrong.test",
        "MX 10 mx.wrong",
    ),
    // The first host is not in the policy, the second is.
    domain(
        "skip",
        "mode: enforce\r\nmx: mx.right.test",
        "MX 10 mx.wrong\nskip MX 20 mx.right",
    ),
    domain(
        "hijacked",
        "mode: enforce\r\nmx: mx.right.test",
        "MX 10 mx.wrong",
    ),
    domain(
        "testing",
        "mode: testing\r\nmx: mx.right.test",
        "MX 10 mx.wrong",
    ),
    domain("nopolicy", "", "MX 10 mx.wrong"),
    // Nothing gets there.
    domain(
        "reader",
        "mode: enforce\r\nmx: mx.else.test",
        "MX 10 mx.right",
    ),
    domain("invalid", "mode: please", "MX 10 mx.right"),
];

impl Setup {
    fn new() -> Setup {
        Setup::with(&|_| String::new())
    }

    /// The same, with further records; the policy host is at [`POLICY_HOST`].
    pub fn with(more: &dyn Fn(Network) -> String) -> Setup {
        need_root("the policy host listens on port 443");
        let network = Network::new();
        let authority = PeerAuthority::new();
        let folder = TempDir::new().expect("a temporary folder");
        let port = network.free_port(network.host(RIGHT_NAME)).port();
        let mail = |last: u8, certificate: &PeerCertificate| {
            let address = SocketAddr::new(network.host(last), port);
            Script::smtp_with(address, certificate, json!({ "starttls": "offer" }))
        };
        let right = mail(RIGHT_NAME, &authority.certificate(&["mx.right.test"]));
        let wrong = mail(WRONG_NAME, &authority.certificate(&["mx.other.test"]));
        let dns = NameServer::start(network.name_server(), &(records(network) + &more(network)));
        let mut setup = Setup {
            network,
            authority,
            folder,
            policy_host: None,
            right,
            wrong,
            dns,
            port,
        };
        setup.write_pages(&DOMAINS);
        setup.open_policy_host();
        setup
    }

    fn pages(&self) -> PathBuf {
        self.folder.path().join("pages")
    }

    fn write_pages(&self, domains: &[Domain]) {
        let pages: Map<String, Value> = domains
            .iter()
            .filter(|domain| !domain.policy.is_empty())
            .map(|domain| {
                let text = format!("version: STSv1\r\n{}\r\nmax_age: 86400\r\n", domain.policy);
                (format!("mta-sts.{}.test", domain.name), json!(text))
            })
            .collect();
        fs::write(self.pages(), Value::Object(pages).to_string()).expect("the policies");
    }

    pub fn open_policy_host(&mut self) {
        let names = DOMAINS.iter();
        let names = names.map(|domain| format!("mta-sts.{}.test", domain.name));
        let names: Vec<String> = names.chain(["reports.good.test".to_owned()]).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let address = SocketAddr::new(self.network.host(POLICY_HOST), 443);
        let certificate = self.authority.certificate(&names);
        let host = Script::web(address, &certificate, json!({ "pages": self.pages() }));
        self.policy_host = Some(host);
    }

    pub fn relay(&self, more: &str) -> Relay {
        let block = match self.network.host(0) {
            IpAddr::V4(address) => format!("\"{address}/24\""),
            IpAddr::V6(_) => unreachable!("the tests' networks are IPv4"),
        };
        self.relay_led_to(&block, more)
    }

    /// A relay that strangers may lead to `blocks`, and to no other address on loopback.
    fn relay_led_to(&self, blocks: &str, more: &str) -> Relay {
        let config = format!(
            "{}[outbound]\nport = {}\nprivate_mx = [{blocks}]\nca = \"{}\"\n{more}",
            self.dns.config(),
            self.port,
            text(&self.authority.file()),
        );
        Relay::start(self.network, &config)
    }
}

fn records(network: Network) -> String {
    let mut zone = format!(
        "mx.right A {}\nmx.wrong A {}\n",
        network.host(RIGHT_NAME),
        network.host(WRONG_NAME)
    );
    for Domain { name, policy, mx } in &DOMAINS {
        zone += &format!(
            "{name} {mx}\nmta-sts.{name} A {}\n",
            network.host(POLICY_HOST)
        );
        if !policy.is_empty() {
            zone += &format!("_mta-sts.{name} TXT \"v=STSv1; id=1;\"\n");
        }
    }
    zone
}

pub fn send(relay: &Relay, domain: &str, id: &str) {
    submit(
        relay.network.permitted(),
        relay.address(),
        "ann@client.test",
        &[&format!("bob@{domain}.test")],
        &message(id),
    );
}

#[test]
fn a_policy_binds_mx_hosts_and_their_certificates() {
    let setup = Setup::new();
    let relay = setup.relay("");
    for Domain { name, .. } in &DOMAINS {
        send(&relay, name, name);
    }
    for name in ["good", "skip", "invalid"] {
        let entry = setup.right.wait_for(&format!("Subject: {name}"));
        assert!(entry["tls"].is_string(), "{entry}");
    }
    // What is only tested is delivered, and told.
    for name in ["testing", "nopolicy"] {
        setup.wrong.wait_for(&format!("Subject: {name}"));
    }
    relay.wait_for_log(&["bob@testing.test", "mta-sts-testing-failed"]);
    relay.wait_for_log(&["bob@good.test", "\"mta-sts\""]);
    let heard = relay.wait_for_deferral("bob@badname.test");
    assert!(
        heard.contains("4.7.") && heard.contains("mx.other.test"),
        "{heard}"
    );
    let heard = relay.wait_for_deferral("bob@hijacked.test");
    assert!(
        heard.contains("4.7.") && heard.contains("MTA-STS"),
        "{heard}"
    );
    assert_eq!(
        setup.wrong.entries("message").len(),
        2,
        "and nothing else arrived there"
    );
    assert_eq!(setup.right.entries("message").len(), 3);
}

#[test]
fn a_policy_outlives_its_host() {
    let mut setup = Setup::new();
    let relay = setup.relay("");
    send(&relay, "good", "before");
    setup.right.wait_for("Subject: before");
    let host = setup.policy_host.take().expect("a policy host");
    assert_eq!(host.entries("get").len(), 1);
    drop(host);
    send(&relay, "good", "after");
    let entry = setup.right.wait_for("Subject: after");
    assert!(entry["tls"].is_string(), "{entry}");
    // A domain whose policy was never seen is delivered as though it had none (RFC 8461 section
    // 5.1).
    send(&relay, "hijacked", "unknown");
    setup.wrong.wait_for("Subject: unknown");
}

#[test]
fn policies_can_be_left_unasked() {
    let setup = Setup::new();
    let relay = setup.relay("mta_sts = false\n");
    send(&relay, "hijacked", "unasked");
    setup.wrong.wait_for("Subject: unasked");
    let host = setup.policy_host.as_ref().expect("a policy host");
    assert_eq!(host.entries("get").len(), 0, "nobody was asked");
}

#[test]
fn a_policy_host_inside_our_network_is_not_connected_to() {
    let setup = Setup::new();
    let mail_hosts = [RIGHT_NAME, WRONG_NAME].map(|last| setup.network.host(last));
    let blocks = mail_hosts.map(|host| format!("\"{host}\"")).join(", ");
    let relay = setup.relay_led_to(&blocks, "");
    // A policy that cannot be had is none (RFC 8461 section 5.1).
    send(&relay, "hijacked", "no policy");
    setup.wrong.wait_for("Subject: no policy");
    relay.wait_for_log(&["hijacked.test", "which is private or our own"]);
    let host = setup.policy_host.as_ref().expect("a policy host");
    assert_eq!(host.entries("get").len(), 0, "nobody was asked");
}
