//! Servers in Python that write down what they see: a mail server and a web server, both with TLS
//! from OpenSSL, so that the relay's own TLS meets another one. See the programs in `python/` for
//! what each can be told.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peer_certificates::PeerCertificate;
use crate::server::route_to;
use crate::wait::{seconds, until, until_true};

const START_SECONDS_MAX: u64 = 20;
const ARRIVAL_SECONDS_MAX: u64 = 30;

pub struct Script {
    pub address: SocketAddr,
    folder: TempDir,
    child: Child,
}

impl Script {
    /// A mail server at `address`; `settings` as smtp_server.py explains them.
    pub fn smtp(address: SocketAddr, settings: Value) -> Script {
        Script::start("smtp_server.py", address, None, settings)
    }

    /// The same with a certificate.
    pub fn smtp_with(
        address: SocketAddr,
        certificate: &PeerCertificate,
        settings: Value,
    ) -> Script {
        Script::start("smtp_server.py", address, Some(certificate), settings)
    }

    /// aiosmtpd as an LMTP server.
    pub fn lmtp(address: SocketAddr) -> Script {
        Script::start("lmtp_server.py", address, None, json!({}))
    }

    /// smtp-server, the LMTP server of nodemailer.
    pub fn nodemailer_lmtp(address: SocketAddr) -> Script {
        let program = folder_of_programs().join("../browser/lmtp_server.mjs");
        let settings = json!({"modules": nodemailer()});
        Script::start_by("node", &program, address, None, settings)
    }

    /// An HTTPS server; `settings` as web_server.py explains them.
    pub fn web(address: SocketAddr, certificate: &PeerCertificate, settings: Value) -> Script {
        Script::start("web_server.py", address, Some(certificate), settings)
    }

    /// What stands before Pebble; `settings` as acme_server.py explains them.
    pub fn acme(address: SocketAddr, certificate: &PeerCertificate, settings: Value) -> Script {
        Script::start("acme_server.py", address, Some(certificate), settings)
    }

    /// A receiver of spans over HTTP; `settings` as otlp_receiver.py explains them.
    pub fn otlp(address: SocketAddr, settings: Value) -> Script {
        Script::start("otlp_receiver.py", address, None, settings)
    }

    fn start(
        program: &str,
        address: SocketAddr,
        certificate: Option<&PeerCertificate>,
        settings: Value,
    ) -> Script {
        let program = folder_of_programs().join(program);
        // The one for which Debian has the modules.
        Script::start_by("/usr/bin/python3", &program, address, certificate, settings)
    }

    fn start_by(
        interpreter: &str,
        program: &Path,
        address: SocketAddr,
        certificate: Option<&PeerCertificate>,
        mut settings: Value,
    ) -> Script {
        let folder = TempDir::new().expect("a temporary folder");
        settings["address"] = json!(address.ip());
        settings["port"] = json!(address.port());
        settings["record"] = json!(folder.path().join("record"));
        if let Some(certificate) = certificate {
            settings["certificate"] = json!(certificate.chain);
            settings["key"] = json!(certificate.key);
        }
        let mut command = Command::new(interpreter);
        command.arg(program).arg(settings.to_string());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut script = Script {
            address,
            folder,
            child: child.expect("the interpreter starts"),
        };
        let name = program.display().to_string();
        until_true(&name, seconds(START_SECONDS_MAX), || {
            let ended = script.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "{name} ended: {ended:?}");
            TcpStream::connect(address).is_ok()
        });
        script
    }

    /// The form in which the configuration names this server.
    pub fn route(&self) -> String {
        route_to(self.address)
    }

    /// What was written down so far.
    pub fn record(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.folder.path().join("record")).unwrap_or_default();
        // The last line may be in the making.
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        whole
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of the record"))
            .collect()
    }

    /// The entries that have `key`.
    pub fn entries(&self, key: &str) -> Vec<Value> {
        let mut record = self.record();
        record.retain(|entry| !entry[key].is_null());
        record
    }

    /// Waits for a message with `words` in it.
    pub fn wait_for(&self, words: &str) -> Value {
        let what = format!("the message {words:?} at {}", self.address);
        until(&what, seconds(ARRIVAL_SECONDS_MAX), || {
            let mut messages = self.entries("message").into_iter();
            messages.find(|entry| entry["message"].as_str().is_some_and(|m| m.contains(words)))
        })
    }

    /// Whether a command that begins with `verb` has come.
    pub fn heard(&self, verb: &str) -> bool {
        let commands = self.entries("command");
        commands.iter().any(|entry| {
            entry["command"]
                .as_str()
                .is_some_and(|c| c.starts_with(verb))
        })
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- record of {} ---", self.address);
            self.record().iter().for_each(|entry| eprintln!("{entry}"));
        }
    }
}

/// Where `scripts/test browser` puts nodemailer and its servers.
pub fn nodemailer() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/nodemailer/node_modules")
}

fn folder_of_programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/interop/python")
}
