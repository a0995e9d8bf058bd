//! The log in the journal of systemd: a journald of a test's own, in a file system of its own, with
//! the relay beside it.

use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::program::{self, finish, path_of};
use crate::relay::Relay;
use crate::server::route_to;
use crate::wait::{seconds, until, until_true};

const JOURNALD: &str = "/lib/systemd/systemd-journald";
/// The name of its namespace, of which no other journal knows.
const NAMESPACE: &str = "gatepost";
/// What of the machine's own it hides from itself and the relay: its sockets and its files.
const SETUP: &str = "set -e
for hidden in /run/systemd /run/log /var/log; do
  mkdir -p $hidden
  mount -t tmpfs none $hidden
done
mkdir /run/systemd/journal.gatepost /run/systemd/journal
mount --bind /run/systemd/journal.gatepost /run/systemd/journal
exec \"$@\"";

struct Journal {
    child: Child,
}

impl Journal {
    fn start() -> Journal {
        program::need_root("only root has file systems of its own");
        let mut command = Command::new(path_of("unshare"));
        command.args(["--mount", "sh", "-c", SETUP, "sh", JOURNALD, NAMESPACE]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let journal = Journal {
            child: command.spawn().expect("a journal"),
        };
        until_true("the journal", seconds(20), || {
            let socket = "/run/systemd/journal/socket";
            let mut look = Command::new(path_of("nsenter"));
            look.args(journal.beside()).args(["test", "-S", socket]);
            finish(look, b"").code == 0
        });
        journal
    }

    /// Arguments of nsenter, for who is to be where it is.
    fn beside(&self) -> [String; 1] {
        [format!("--mount=/proc/{}/ns/mnt", self.child.id())]
    }

    /// Entries of a program with this field.
    fn entries(&self, field: &str) -> Vec<Value> {
        let mut command = Command::new(path_of("nsenter"));
        let namespace = format!("--namespace={NAMESPACE}");
        let options = [
            "journalctl",
            &namespace,
            "--output=json",
            "--no-pager",
            field,
        ];
        command.args(self.beside()).args(options);
        let ran = finish(command, b"");
        let lines = ran.out.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("an entry"))
            .collect()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        program::signal("TERM", self.child.id());
        let _ended = self.child.wait();
    }
}

#[test]
fn the_journal_has_a_field_for_each_field_of_the_log() {
    let journal = Journal::start();
    let network = Network::new();
    let mut relay = Relay::prepare(network, "");
    relay.write_bare_config(
        "",
        &format!(
            "[listener.internet]\nbind = \"{}:0\"\n[log]\njournald = true\n\
             [log.mail]\nformat = \"maillog\"\nprogram = \"postfix\"\njournald = true\n\
             [domain.\"hosted.test\"]\nroute = \"{}\"\n",
            network.relay(),
            route_to(network.mail_server())
        ),
    );
    let [beside] = journal.beside();
    relay.wrap(&["nsenter", &beside]);
    relay.run();
    let mut stranger = Dialogue::open(network.stranger(), relay.address());
    stranger.ask("EHLO stranger.test", 250);
    stranger.ask("MAIL FROM:<ann@client.test>", 250);
    stranger.ask("RCPT TO:<bob@elsewhere.test>", 550);
    stranger.ask("QUIT", 221);
    submit(
        network.permitted(),
        relay.address(),
        "ann@client.test",
        &["carl@hosted.test", "\"dan d\"@hosted.test"],
        &message("for two"),
    );
    let accepted = until(
        "the entry of a message, found by either",
        seconds(20),
        || {
            let mut found = journal
                .entries("GATEPOST_TO=\"dan d\"@hosted.test")
                .into_iter();
            found.find(|entry| entry["GATEPOST_EVENT"] == "message accepted")
        },
    );
    assert_eq!(
        accepted["GATEPOST_TO"],
        json!(["carl@hosted.test", "\"dan d\"@hosted.test"]),
        "{accepted}"
    );
    let refused = until("an entry", seconds(20), || {
        journal.entries("GATEPOST_EVENT=recipient refused").pop()
    });
    let pid = relay.pid().to_string();
    for (name, value) in [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "gatepost"),
        ("GATEPOST_TO", "bob@elsewhere.test"),
        ("GATEPOST_FROM", "ann@client.test"),
        ("GATEPOST_SESSION", "1"),
        ("GATEPOST_CLIENT", &network.stranger().to_string()),
        ("_TRANSPORT", "journal"),
        ("_PID", &pid),
    ] {
        assert_eq!(refused[name], value, "{name} of {refused}");
    }
    let line = refused["MESSAGE"].as_str().expect("a line");
    let beginning = "recipient refused session=1 id=";
    assert!(
        line.starts_with(beginning) && line.contains("to=\"bob@elsewhere.test\""),
        "{line}"
    );
    let line = until("a line of the maillog", seconds(20), || {
        journal.entries("GATEPOST_LOG=mail").into_iter().next()
    });
    assert_eq!(line["SYSLOG_IDENTIFIER"], "postfix/smtpd");
    let text = line["MESSAGE"].as_str().expect("a line");
    assert!(text.starts_with("NOQUEUE: reject: RCPT"), "{text}");
    assert!(relay.stop().success());
    until_true("its last entry", seconds(10), || {
        !journal.entries("GATEPOST_EVENT=stopped").is_empty()
    });
    assert_eq!(relay.log(), "", "the journal has it once");
}
