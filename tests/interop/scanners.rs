//! Scanners beside the relay: a real clamd, whose signatures are one about a harmless text of ours.
//! They are installed and run by `scripts/test scanners`.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{path_of, signal};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

/// What the signature is about.
const FOUND: &str = "harmless text that the tests of Gatepost have looked for";
/// The spool keeps larger content as a file.
const LARGE: usize = 200_000;

/// A clamd that runs in a folder of its own until this is dropped.
struct Clamd {
    folder: TempDir,
    process: Option<Child>,
}

impl Clamd {
    fn prepare() -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("rights");
        let clamd = Self {
            folder,
            process: None,
        };
        fs::create_dir(clamd.path("signatures")).expect("a folder");
        let hex = FOUND.bytes().fold(String::new(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        let signature = format!("Gatepost.Test:0:*:{hex}\n");
        fs::write(clamd.path("signatures/local.ndb"), signature).expect("a signature");
        let settings = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nAlertEncrypted yes\n",
            clamd.socket().display(),
            clamd.path("signatures").display(),
        );
        fs::write(clamd.path("clamd.conf"), settings).expect("a configuration");
        clamd
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn socket(&self) -> PathBuf {
        self.path("clamd.sock")
    }

    fn start(&mut self) {
        let mut command = Command::new(path_of("clamd"));
        command.arg("--config-file").arg(self.path("clamd.conf"));
        let output = fs::File::create(self.path("output")).expect("a file");
        command
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .stdout(output);
        self.process = Some(
            command
                .spawn()
                .expect("clamd: scripts/test scanners installs it"),
        );
        until_true("clamd to listen", seconds(60), || {
            UnixStream::connect(self.socket()).is_ok()
        });
    }

    fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            signal("KILL", process.id());
            let _ended = process.wait();
        }
        let _gone = fs::remove_file(self.socket());
    }
}

impl Drop for Clamd {
    fn drop(&mut self) {
        self.stop();
    }
}

fn relay(clamd: &Clamd, more: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    relay.write_config(&format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n\
         [scanner.clam]\nkind = \"clamd\"\naddress = \"{}\"\n{more}",
        server.route(),
        clamd.socket().display()
    ));
    relay.run();
    (relay, server)
}

fn stranger(relay: &Relay) -> Dialogue {
    Dialogue::ready(relay.network.stranger(), relay.address())
}

/// What comes of a message with this text.
fn sent(relay: &Relay, id: &str, text: &str) -> String {
    let content = format!("{}{text}\r\n", message(id));
    let mut client = stranger(relay);
    let reply = client.submit("ann@client.test", &["bob@hosted.test"], &content);
    reply.text().to_owned()
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn malware_is_refused_and_everybody_says_by_which_line() {
    let mut clamd = Clamd::prepare();
    clamd.start();
    let (relay, server) = relay(&clamd, "");
    let place = relay.place_of("[scanner.clam]");
    for (id, filling) in [("small", 0), ("large", LARGE)] {
        let filling = "nothing\r\n".repeat(filling / 9);
        let refused = sent(&relay, &format!("bad-{id}"), &format!("{filling}{FOUND}"));
        assert_eq!(refused, "550 5.7.1 This message contains malware");
        relay.wait_for_log(&["screened", "Gatepost.Test.UNOFFICIAL", &place]);
        let taken = sent(&relay, id, &filling);
        assert!(taken.starts_with("250 "), "{taken}");
        let received = server.wait_for(id);
        assert_eq!(
            received.header("X-Gatepost-Scan").as_deref(),
            Some("clam clean")
        );
    }
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("scanner clam ") && status.contains("ClamAV 1."),
        "{status}"
    );
    let file = relay.folder().join("bad.eml");
    fs::write(&file, format!("{}{FOUND}\r\n", message("checked"))).expect("a file");
    let file = file.display().to_string();
    let check = [
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--mail",
        "ann@client.test",
    ];
    let to = ["--rcpt", "bob@hosted.test", "--message", &file];
    let told = relay.command(&[&check[..], &to].concat()).text();
    for part in [
        "clam: infected (Gatepost.Test.UNOFFICIAL)",
        &place,
        "550 5.7.1",
    ] {
        assert!(told.contains(part), "{told}");
    }
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn rules_come_before_what_follows_from_a_scanner() {
    let mut clamd = Clamd::prepare();
    clamd.start();
    let rules = "[[screen]]\nname = \"kept\"\nwhen.scanner = \"clam: infected\"\nthen = \"hold\"\n";
    let (relay, server) = relay(&clamd, rules);
    let forged = format!(
        "X-Gatepost-Scan: clam clean\r\n{}{FOUND}\r\n",
        message("held")
    );
    let mut client = stranger(&relay);
    let taken = client.submit("ann@client.test", &["bob@hosted.test"], &forged);
    assert_eq!(taken.code, 250, "{}", taken.text());
    let held = &relay.queue()[0];
    let why = held["last_reply"].as_str().unwrap_or_default();
    assert!(why.contains("Gatepost.Test.UNOFFICIAL"), "{held}");
    let id = held["id"].as_str().expect("an id");
    relay.command(&["queue", "release", id]).expect_code(0);
    let received = server.wait_for("held");
    let told = received.text();
    let told: Vec<&str> = told
        .lines()
        .filter(|line| line.starts_with("X-Gatepost-Scan"))
        .collect();
    assert_eq!(
        told,
        ["X-Gatepost-Scan: clam infected (Gatepost.Test.UNOFFICIAL)"]
    );
}

#[test]
#[ignore = "needs clamd: scripts/test scanners"]
fn without_an_answer_mail_is_postponed_until_the_scanner_is_back() {
    let mut clamd = Clamd::prepare();
    let (relay, server) = relay(&clamd, "timeout = \"5s\"\n");
    let postponed = sent(&relay, "early", "nothing");
    assert_eq!(
        postponed,
        "451 4.3.0 This message cannot be looked at now, try again later"
    );
    let status = relay.command(&["status"]).text();
    assert!(
        status.contains("attention the scanner clam does not answer at"),
        "{status}"
    );
    clamd.start();
    until("the scanner to be asked again", seconds(30), || {
        sent(&relay, "again", "nothing")
            .starts_with("250 ")
            .then_some(())
    });
    server.wait_for("again");
    // One that hangs holds up its own messages, each for its time alone.
    let pid = clamd.process.as_ref().expect("it runs").id();
    signal("STOP", pid);
    assert!(sent(&relay, "hung", "nothing").starts_with("451 4.3.0"));
    signal("CONT", pid);
    until("the scanner to be asked again", seconds(30), || {
        sent(&relay, "after", "nothing")
            .starts_with("250 ")
            .then_some(())
    });
    clamd.stop();
}
