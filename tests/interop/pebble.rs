//! An authority that gives certificates by ACME: Pebble, with its name server, and before it what adds
//! renewal information, profiles, refused nonces and outages (`python/acme_server.py`).

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::network::Network;
use crate::peer_certificates::{PeerAuthority, text};
use crate::program::{path_of, run};
use crate::script::Script;
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 20;

/// The last octets of addresses in the network of a test.
const PEBBLE: u8 = 30;
const NAMES: u8 = 31;
const FRONT: u8 = 32;

/// How Pebble shall be.
pub struct Manner {
    /// Of validity.
    pub seconds: u64,
    /// Percent of authorisations that count again.
    pub reuse: u8,
    /// The one account outside to which others are bound, and its key (base64url); `None`: whoever
    /// comes gets one.
    pub binding: Option<[&'static str; 2]>,
}

impl Default for Manner {
    fn default() -> Manner {
        Manner {
            seconds: 90 * 24 * 60 * 60,
            reuse: 0,
            binding: None,
        }
    }
}

pub struct Pebble {
    folder: TempDir,
    authority: PeerAuthority,
    front: Script,
    proofs: SocketAddr,
    management: SocketAddr,
    manner: Manner,
    ports: [SocketAddr; 2],
    names: Child,
    pebble: Child,
}

impl Pebble {
    /// All names lead to the relay of `network`.
    pub fn start(network: &Network, manner: Manner) -> Pebble {
        let folder = TempDir::new().expect("a temporary folder");
        let authority = PeerAuthority::named("authority of Pebble's own HTTPS");
        let ports = [PEBBLE, NAMES].map(|host| network.free_port(network.host(host)));
        let management = network.free_port(network.host(NAMES));
        let names = start_names(ports[1], management, network.relay());
        let front = network.free_port(network.host(FRONT));
        let proofs = network.free_port(network.relay());
        let addresses = [front.ip(), ports[0].ip()].map(|ip| ip.to_string());
        let own = authority.certificate(&addresses.each_ref().map(String::as_str));
        let keys = manner.binding.map(|[id, key]| json!({ id: key }));
        let settings = json!({ "pebble": {
            "externalAccountBindingRequired": keys.is_some(),
            "externalAccountMACKeys": keys.unwrap_or_else(|| json!({})),
            "listenAddress": ports[0].to_string(),
            "managementListenAddress": "",
            "certificate": own.chain,
            "privateKey": own.key,
            "httpPort": proofs.port(),
            "tlsPort": proofs.port(),
            "certificateValidityPeriod": manner.seconds,
        }});
        fs::write(folder.path().join("pebble.json"), settings.to_string()).expect("the settings");
        let state = folder.path().join("state");
        fs::write(&state, "{}").expect("the state");
        let pebble = start_pebble(folder.path(), &manner, ports);
        let settings = json!({ "behind": ports[0].to_string(), "state": state });
        let front = Script::acme(front, &own, settings);
        Pebble {
            folder,
            authority,
            front,
            proofs,
            management,
            manner,
            ports,
            names,
            pebble,
        }
    }

    /// The `[tls.acme]` section that orders here, with `more` in it.
    pub fn settings(&self, more: &str) -> String {
        format!(
            "[tls.acme]\ndirectory = \"https://{}/dir\"\nca = {:?}\nbind = \"{}\"\n{more}\n",
            self.front.address,
            self.authority.file(),
            self.proofs,
        )
    }

    /// The same without a port of the relay's own, for dns-01.
    pub fn settings_by_dns(&self, more: &str) -> String {
        let bind = format!("bind = \"{}\"\n", self.proofs);
        self.settings(more).replace(&bind, "")
    }

    /// Where proofs are looked for.
    pub fn proofs(&self) -> SocketAddr {
        self.proofs
    }

    /// How what stands before Pebble does from now on; see acme_server.py.
    pub fn is_now(&self, state: Value) {
        let (path, new) = (
            self.folder.path().join("state"),
            self.folder.path().join("new"),
        );
        fs::write(&new, state.to_string()).expect("the state");
        fs::rename(new, path).expect("the state in its place");
    }

    /// All begins anew: accounts, orders and its own keys are gone.
    pub fn restart(&mut self) {
        end(&mut self.pebble);
        self.pebble = start_pebble(self.folder.path(), &self.manner, self.ports);
    }

    /// The name leads to `address` from now on.
    pub fn leads_to(&self, name: &str, address: IpAddr) {
        self.manage(
            "add-a",
            &json!({ "host": format!("{name}."), "addresses": [address] }),
        );
    }

    /// A program that writes and removes TXT records.
    pub fn hook(&self) -> String {
        let path = self.folder.path().join("hook");
        let curl = text(&path_of("curl"));
        let program = format!(
            "#!/bin/sh\nset -e\ncase \"$1\" in\n\
             add) {curl} -sSf -d '{{\"host\":\"'\"$2\"'.\",\"value\":\"'\"$3\"'\"}}' http://{at}/set-txt ;;\n\
             remove) {curl} -sSf -d '{{\"host\":\"'\"$2\"'.\"}}' http://{at}/clear-txt ;;\nesac\n\
             echo \"$1 $2\" >> {log}\n",
            at = self.management,
            log = text(&self.folder.path().join("hook.log")),
        );
        fs::write(&path, program).expect("the hook");
        run("chmod", &["755", &text(&path)]).expect_code(0);
        text(&path)
    }

    /// What the hook was called for.
    pub fn hook_calls(&self) -> Vec<String> {
        let log = fs::read_to_string(self.folder.path().join("hook.log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// What came here that has `key`.
    pub fn entries(&self, key: &str) -> Vec<Value> {
        self.front.entries(key)
    }

    fn manage(&self, verb: &str, what: &Value) {
        let url = format!("http://{}/{verb}", self.management);
        run("curl", &["-sSf", "-d", &what.to_string(), &url]).expect_code(0);
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        end(&mut self.pebble);
        end(&mut self.names);
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("pebble.log"));
            eprintln!("--- Pebble ---\n{}", log.unwrap_or_default());
        }
    }
}

fn end(child: &mut Child) {
    let _ended = child.kill();
    let _reaped = child.wait();
}

fn start_names(dns: SocketAddr, management: SocketAddr, default: IpAddr) -> Child {
    let child = Command::new(path_of("pebble-challtestsrv"))
        .args([
            "-dns01",
            &dns.to_string(),
            "-management",
            &management.to_string(),
        ])
        .args(["-defaultIPv4", &default.to_string(), "-defaultIPv6", ""])
        .args(["-http01", "", "-https01", "", "-tlsalpn01", ""])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    until_true("Pebble's name server", seconds(START_SECONDS_MAX), || {
        TcpStream::connect(management).is_ok() && TcpStream::connect(dns).is_ok()
    });
    child.expect("Pebble's name server starts")
}

fn start_pebble(folder: &Path, manner: &Manner, [own, dns]: [SocketAddr; 2]) -> Child {
    let log = fs::File::create(folder.join("pebble.log")).expect("a log");
    let child = Command::new(path_of("pebble"))
        .args(["-config", &text(&folder.join("pebble.json"))])
        .args(["-dnsserver", &dns.to_string()])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_WFE_NONCEREJECT", "0")
        .env("PEBBLE_AUTHZREUSE", manner.reuse.to_string())
        .stdout(log.try_clone().expect("a second handle"))
        .stderr(log)
        .spawn();
    until_true("Pebble", seconds(START_SECONDS_MAX), || {
        TcpStream::connect(own).is_ok()
    });
    child.expect("Pebble starts")
}
