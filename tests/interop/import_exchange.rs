//! `gatepost import exchange`: the example export becomes a configuration, the relay starts with it, decides as
//! the connectors of Exchange would, and hands mail to the mail server and to the smart host.

use std::fs;
use std::net::{IpAddr, SocketAddr};

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::Ran;
use crate::relay::{self, Relay};
use crate::server::{RecordingServer, route_to};

const CONNECTORS: &str = include_str!("../exports/exchange/receive-connectors.txt");
const PERMISSIONS: &str = include_str!("../exports/exchange/permissions.txt");
const SENDING: &str = include_str!("../exports/exchange/send-connectors.xml");
const DOMAINS: &str = include_str!("../exports/exchange/accepted-domains.json");
const ORGANISATION: &str = include_str!("../exports/exchange/transport-config.txt");
const RECIPIENTS: &str = include_str!("../exports/exchange/recipients.ldf");

const FILES: [&str; 6] = [
    "receive.txt",
    "permissions.txt",
    "send.xml",
    "domains.json",
    "config.txt",
    "recipients.ldf",
];

/// Clients, and whether their connector lets them send anywhere.
const CLIENTS: [(&str, bool); 15] = [
    ("203.0.113.9", false),
    ("2001:db8::9", false),
    ("10.0.7.39", false),
    ("10.0.7.40", true),
    ("10.0.8.0", true),
    ("10.0.8.127", true),
    // The connector for the printers of the branch has the narrower range.
    ("10.0.8.128", false),
    ("10.0.8.255", false),
    ("10.0.9.0", false),
    ("10.0.9.20", true),
    ("10.0.9.21", false),
    ("10.0.10.127", true),
    ("10.0.10.128", false),
    ("10.0.20.7", true),
    // One of a connector that is not enabled.
    ("10.1.2.3", false),
];

/// Recipients, and whether anybody may write to them.
const TO: [(&str, Option<bool>); 15] = [
    ("ann@example.com", Some(true)),
    ("Bob@Example.com", Some(true)),
    ("postmaster@example.com", Some(true)),
    ("nobody@example.com", Some(false)),
    // A group for people inside.
    ("everybody@example.com", Some(false)),
    ("anybody@shared.example", Some(true)),
    ("anybody@partner.example", Some(true)),
    ("anybody@deep.sub.partner.example", Some(true)),
    ("anybody@branch.example", Some(true)),
    ("anybody@sub.branch.example", None),
    ("anybody@archive.example", None),
    ("anybody@old.example", None),
    ("anybody@elsewhere.test", None),
    ("anybody%elsewhere.test@shared.example", None),
    ("anybody@[192.0.2.99]", None),
];

struct Site {
    relay: Relay,
    inner: RecordingServer,
    far: RecordingServer,
}

fn write_export(relay: &Relay, far: SocketAddr) {
    let wide: Vec<u8> = RECIPIENTS
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    // The smart host of this network, which knows neither TLS nor the user.
    let sending = SENDING
        .replace("[192.0.2.200]", &format!("[{}]", far.ip()))
        .replace("          <S>smtp.provider.example</S>\n", "")
        .replace(
            "<I32 N=\"Port\">587</I32>",
            &format!("<I32 N=\"Port\">{}</I32>", far.port()),
        )
        .replace(
            "<S N=\"TlsAuthLevel\">DomainValidation</S>",
            "<Nil N=\"TlsAuthLevel\" />",
        )
        .replace(
            "<S N=\"TlsDomain\">smtp.provider.example</S>",
            "<Nil N=\"TlsDomain\" />",
        )
        .replace("BasicAuthRequireTLS", "None")
        .replacen(
            "<B N=\"RequireTLS\">true</B>",
            "<B N=\"RequireTLS\">false</B>",
            1,
        );
    let contents: [Vec<u8>; 6] = [
        CONNECTORS.replace('\n', "\r\n").into(),
        PERMISSIONS.into(),
        sending.into(),
        DOMAINS.into(),
        ORGANISATION.into(),
        // As `ldifde -u` writes it.
        [&[0xff, 0xfe][..], &wide].concat(),
    ];
    for (name, octets) in FILES.iter().zip(contents) {
        fs::write(relay.folder().join(name), octets).expect("a file of the export");
    }
}

fn import(relay: &Relay, more: &[&str]) -> Ran {
    let files = FILES.map(|name| relay.folder().join(name).display().to_string());
    let mut arguments = vec!["import", "exchange"];
    arguments.extend(files.iter().map(String::as_str));
    arguments.extend(more);
    relay.command(&arguments)
}

impl Site {
    fn start() -> Self {
        let network = Network::new();
        let inner = RecordingServer::start(network.mail_server());
        let far_at = network.free_port(network.host(30));
        let far = RecordingServer::start(far_at);
        let mut relay = Relay::prepare(network, "");
        write_export(&relay, far_at);
        let output = relay.config().display().to_string();
        let inner_host = inner.route();
        let ran = import(
            &relay,
            &["--mail-server", &inner_host, "--output", &output, "--force"],
        )
        .expect_code(0);
        assert!(ran.err.contains("relay proof: closed"), "{}", ran.text());
        let prove = relay.command(&["relay", "prove"]).expect_code(0);
        assert!(!prove.text().contains("ACCEPTED"), "{}", prove.text());
        relay
            .command(&["config", "check", "--without-files"])
            .expect_code(0);
        let text = fs::read_to_string(relay.config()).expect("what was imported");
        relay.write_whole_config(&here(&relay, &text));
        relay.run_with("default-frontend-ex01");
        Self { relay, inner, far }
    }

    /// A client, by the word of the proxy.
    fn client(&self, address: &str) -> Dialogue {
        let client: IpAddr = address.parse().expect("an address");
        let mut dialogue =
            Dialogue::proxied(self.relay.network.permitted(), self.relay.address(), client);
        dialogue.expect(220);
        dialogue.ask("EHLO client.test", 250);
        dialogue
    }
}

/// The same at addresses of the test's network, behind a proxy, and for a client without manners.
fn here(relay: &Relay, text: &str) -> String {
    let bind = format!(
        "bind = \"{}:0\"\nproxy_protocol_from = [\"{}\"] #",
        relay.network.relay(),
        relay.network.permitted()
    );
    let text = text
        .replace("bind = ", &bind)
        .replace(
            "errors = 5 ",
            "errors = 10000\nidle_commands = 10000\nunknown_recipients = 10000 ",
        )
        .replace("tarpit = \"5s\"", "tarpit = \"0s\"");
    format!(
        "{}data_dir = {:?}\nconsole.bind = \"off\"\n{text}\n[spool]\nmin_free = \"0MB\"\n[log]\nformat = \"json\"\n{}",
        relay::account(),
        relay.data_dir(),
        crate::dns::config_for(relay.network.name_server()),
    )
}

#[test]
fn an_export_of_exchange_becomes_a_relay() {
    let site = Site::start();
    let mut wrong = Vec::new();
    for (client, relays) in CLIENTS {
        let mut dialogue = site.client(client);
        for (recipient, anybody) in TO {
            dialogue.ask("MAIL FROM:<a@foreign.test>", 250);
            let reply = dialogue.say(&format!("RCPT TO:<{recipient}>"));
            if (reply.code == 250) != anybody.unwrap_or(relays) {
                wrong.push(format!("{client} {recipient}: {}", reply.text()));
            }
            dialogue.ask("RSET", 250);
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        CLIENTS.len() * TO.len(),
        wrong.join("\n")
    );
    mail_arrives(&site);
    what_is_too_large_is_refused(&site);
    who_submits_signs_in(&site);
}

fn mail_arrives(site: &Site) {
    let deliver = |client: &str, to: &str, id: &str| {
        let reply = site
            .client(client)
            .submit("a@foreign.test", &[to], &message(id));
        assert_eq!(reply.code, 250, "{}", reply.text());
    };
    deliver("203.0.113.9", "ann@example.com", "to-a-mailbox");
    deliver(
        "203.0.113.9",
        "anybody@shared.example",
        "to-a-shared-domain",
    );
    deliver("203.0.113.9", "anybody@branch.example", "to-a-branch");
    deliver("10.0.7.40", "anybody@elsewhere.test", "from-a-device");
    for subject in ["to-a-mailbox", "to-a-shared-domain"] {
        site.inner.wait_for(subject);
    }
    for subject in ["to-a-branch", "from-a-device"] {
        site.far.wait_for(subject);
    }
    assert_eq!((site.inner.count(), site.far.count()), (2, 2));
}

/// 10 MiB are the most that the connector for devices takes; others take more.
fn what_is_too_large_is_refused(site: &Site) {
    let line = format!("{}\r\n", "x".repeat(998));
    let large = |id: &str| message(id) + &line.repeat(10_600);
    let reply = site.client("10.0.7.40").submit(
        "a@foreign.test",
        &["ann@example.com"],
        &large("too-large"),
    );
    assert_eq!(reply.code, 550, "{}", reply.text());
    let reply =
        site.client("10.0.20.7")
            .submit("a@foreign.test", &["ann@example.com"], &large("large"));
    assert_eq!(reply.code, 250, "{}", reply.text());
    site.inner.wait_for("large");
}

fn who_submits_signs_in(site: &Site) {
    let at = site.relay.listener("client-frontend-ex01");
    let client: IpAddr = [10, 0, 7, 40].into();
    let mut dialogue = Dialogue::proxied(site.relay.network.permitted(), at, client);
    dialogue.expect(220);
    dialogue.ask("EHLO client.test", 250);
    dialogue.ask("MAIL FROM:<a@foreign.test>", 530);
}

#[test]
fn lists_are_written_beside_and_nothing_is_written_over() {
    let relay = Relay::prepare(Network::new(), "");
    write_export(&relay, relay.network.mail_server());
    import(&relay, &[]).expect_code(2);
    let ran = import(&relay, &["--json"]).expect_code(0);
    assert!(
        ran.out.contains("recipients-example.com.txt") && ran.out.contains("bob@example.com"),
        "{}",
        ran.text()
    );
    let folder = relay.folder().join("new");
    fs::create_dir(&folder).expect("a folder");
    let output = folder.join("gatepost.toml").display().to_string();
    let list = folder.join("recipients-example.com.txt");
    fs::write(&list, "mine").expect("a file");
    import(&relay, &["--output", &output]).expect_code(1);
    assert!(!folder.join("gatepost.toml").exists());
    assert_eq!(fs::read_to_string(&list).expect("it stays"), "mine");
    let ran = import(
        &relay,
        &[
            "--output",
            &output,
            "--force",
            "--mail-server",
            &route_to(relay.network.mail_server()),
        ],
    )
    .expect_code(0);
    assert!(ran.err.contains("permissions.txt:34"), "{}", ran.text());
    assert!(
        fs::read_to_string(&list)
            .expect("the list")
            .contains("ann@example.com")
    );
    for word in ["01000000d08c9ddf", "Password"] {
        assert!(!ran.text().contains(word), "{}", ran.text());
    }
    // What is no export, and what is a device without an end.
    let other = relay.folder().join("other.txt").display().to_string();
    fs::write(&other, "Name  Enabled\n----  -------\n").expect("a file");
    relay
        .command(&["import", "exchange", &other])
        .expect_code(78);
    relay
        .command(&["import", "exchange", "/dev/zero"])
        .expect_code(78);
    relay.command(&["import", "exchange"]).expect_code(2);
}

#[test]
fn each_file_is_one_of_its_own() {
    let relay = Relay::prepare(Network::new(), "");
    write_export(&relay, relay.network.mail_server());
    let at = |name: &str| relay.folder().join(name).display().to_string();
    let export = fs::read(at("receive.txt")).expect("the export");
    for (output, report) in [
        ("new.toml", "new.toml"),
        ("new.toml", "./../new.toml"),
        ("new.toml", "recipients-example.com.txt"),
        ("receive.txt", "table.txt"),
        ("new.toml", "send.xml"),
    ] {
        let report = match report.strip_prefix("./..") {
            Some(rest) => {
                let own = relay.folder().file_name().expect("its name");
                let own = own.to_string_lossy();
                format!("{}/../{own}{rest}", relay.folder().display())
            }
            None => at(report),
        };
        let both = ["--force", "--output", &at(output), "--report", &report];
        let ran = import(&relay, &both).expect_code(2);
        assert!(!relay.folder().join("new.toml").exists(), "{}", ran.text());
    }
    assert_eq!(fs::read(at("receive.txt")).expect("it stays"), export);
}
