//! The programs that look at messages, each run in a folder of its own until it is dropped.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::network::Network;
use crate::program::{path_of, run};
use crate::wait::{seconds, until_true};

/// What the signature of clamd is about.
pub const FOUND: &str = "harmless text that the tests of Gatepost have looked for";

/// The text that filters of spam take for spam, in two halves, so that no file of ours holds it.
pub const GTUBE: [&str; 2] = [
    "XJS*C4JDBQADN1.NSBN3*2IDNEN*",
    "GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X",
];

/// The password of rspamd's controller.
pub const PASSWORD: &str = "secret";

/// A rule of rspamd's that gives every message a point.
const ONE: &str = "rspamd_config:register_symbol{ name = 'ONE', score = 1.0, callback = function() return true end }";

/// Addresses of the network that are theirs.
const SCANNER: u8 = 30;

pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A scanner with all processes that it starts.
pub struct Program {
    folder: TempDir,
    program: &'static str,
    arguments: Vec<String>,
    pub address: Address,
    /// Where it learns.
    pub teacher: Option<SocketAddr>,
    process: Option<Child>,
    /// One that it needs.
    beside: Option<Box<Program>>,
}

impl Program {
    pub fn clamd() -> Self {
        let mut clamd = Self::new("clamd");
        let (socket, signatures) = (clamd.path("clamd.sock"), clamd.path("signatures"));
        fs::create_dir(&signatures).expect("a folder");
        let hex = FOUND.bytes().fold(String::new(), |mut hex, octet| {
            let _ = write!(hex, "{octet:02x}");
            hex
        });
        clamd.write(
            "signatures/local.ndb",
            &format!("Gatepost.Test:0:*:{hex}\n"),
        );
        let settings = format!(
            "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nAlertEncrypted yes\n",
            socket.display(),
            signatures.display(),
        );
        clamd.write("clamd.conf", &settings);
        clamd.arguments = vec!["--config-file".to_owned(), clamd.named("clamd.conf")];
        clamd.address = Address::Unix(socket);
        clamd
    }

    /// With its controller, whose password is [`PASSWORD`].
    pub fn rspamd(network: &Network) -> Self {
        let mut rspamd = Self::new("rspamd");
        let [normal, controller, fuzzy] =
            [0, 1, 2].map(|one| network.free_port(network.host(SCANNER + one)));
        let settings = include_str!("../../../crates/scanner/tests/scanners/rspamd.conf")
            .replace("@path@", &rspamd.named(""))
            .replace("@normal@", &normal.to_string())
            .replace("@controller@", &controller.to_string())
            .replace("@fuzzy@", &fuzzy.to_string());
        rspamd.write("rspamd.conf", &settings);
        rspamd.write("rules.lua", ONE);
        // The whole list takes seconds to be read.
        rspamd.write("tld", "com\nexample\n");
        rspamd.arguments = ["--no-fork", "--insecure", "--user=nobody", "--config"]
            .map(str::to_owned)
            .to_vec();
        rspamd.arguments.push(rspamd.named("rspamd.conf"));
        rspamd.address = Address::Tcp(normal);
        rspamd.teacher = Some(controller);
        rspamd
    }

    /// It may be taught.
    pub fn spamd(network: &Network) -> Self {
        let mut spamd = Self::new("spamd");
        let address = network.free_port(network.host(SCANNER));
        let home = spamd.named("");
        spamd.arguments = [
            "--local",
            "--nouser-config",
            "--max-children=2",
            "--syslog=stderr",
            "--username=nobody",
            "--allow-tell",
            &format!("--helper-home-dir={home}"),
            &format!("--cf=bayes_path {home}/bayes"),
            &format!("--listen={address}"),
        ]
        .map(str::to_owned)
        .to_vec();
        spamd.address = Address::Tcp(address);
        spamd.teacher = Some(address);
        spamd
    }

    /// With its module for ClamAV, and a clamd that runs from now on.
    pub fn c_icap(network: &Network) -> Self {
        let mut icap = Self::new("c-icap");
        let mut clamd = Self::clamd();
        clamd.start();
        let address = network.free_port(network.host(SCANNER));
        let modules = format!("/usr/lib/{}-linux-gnu/c_icap", std::env::consts::ARCH);
        let settings = include_str!("../../../crates/scanner/tests/scanners/c-icap.conf")
            .replace("@path@", &icap.named(""))
            .replace("@address@", &address.to_string())
            .replace("@modules@", &modules)
            .replace("@clamd@", &clamd.named("clamd.sock"));
        icap.write("c-icap.conf", &settings);
        icap.arguments = ["-N", "-D", "-d", "1", "-f"].map(str::to_owned).to_vec();
        icap.arguments.push(icap.named("c-icap.conf"));
        icap.address = Address::Tcp(address);
        icap.beside = Some(Box::new(clamd));
        icap
    }

    /// It has newcomers come again after a second.
    pub fn postgrey(network: &Network) -> Self {
        let mut postgrey = Self::new("postgrey");
        let address = network.free_port(network.host(SCANNER));
        postgrey.arguments = [
            "--user=nobody",
            "--group=nogroup",
            "--delay=1",
            "--greylist-text=Come again",
            &format!("--inet={address}"),
            &format!("--dbdir={}", postgrey.named("")),
        ]
        .map(str::to_owned)
        .to_vec();
        postgrey.address = Address::Tcp(address);
        postgrey
    }

    fn new(program: &'static str) -> Self {
        let folder = TempDir::new().expect("a folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("rights");
        Self {
            folder,
            program,
            arguments: Vec::new(),
            address: Address::Unix(PathBuf::new()),
            teacher: None,
            process: None,
            beside: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }

    fn named(&self, name: &str) -> String {
        let path = self.path(name).display().to_string();
        path.trim_end_matches('/').to_owned()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file");
    }

    /// Its section of the configuration, called `looker`, but for the end.
    pub fn section(&self) -> String {
        let (kind, more) = match self.program {
            "c-icap" => ("icap", "service = \"/avscan\"\n"),
            "postgrey" => ("policy", ""),
            kind => (kind, ""),
        };
        let address = match &self.address {
            Address::Unix(path) => path.display().to_string(),
            Address::Tcp(address) => address.to_string(),
        };
        format!("[scanner.looker]\nkind = \"{kind}\"\naddress = \"{address}\"\n{more}")
    }

    /// Runs it; gives back when it listens.
    pub fn start(&mut self) {
        let output = fs::File::create(self.path("output")).expect("a file");
        let process = Command::new(path_of(self.program))
            .args(&self.arguments)
            // With all that it starts, so that it can be ended as a whole.
            .process_group(0)
            .env("HOME", self.folder.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file"))
            .stderr(output)
            .spawn()
            .expect("scripts/test scanners installs it");
        self.process = Some(process);
        let listens = |address: &SocketAddr| TcpStream::connect(address).is_ok();
        until_true("the scanner to listen", seconds(60), || {
            let first = match &self.address {
                Address::Unix(path) => UnixStream::connect(path).is_ok(),
                Address::Tcp(address) => listens(address),
            };
            first && self.teacher.as_ref().is_none_or(listens)
        });
    }

    /// Sends a signal to all of it.
    pub fn signal(&self, name: &str) {
        let process = self.process.as_ref().expect("it runs");
        let group = format!("-{}", process.id());
        run("kill", &["-s", name, "--", &group]).expect_code(0);
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if self.process.is_some() {
            self.signal("KILL");
        }
        if let Some(mut process) = self.process.take() {
            let _ended = process.wait();
        }
        if let Address::Unix(path) = &self.address {
            let _gone = fs::remove_file(path);
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}
