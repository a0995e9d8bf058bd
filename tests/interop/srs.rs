//! Two who rewrite senders as everybody did before: postsrsd and Mail::SRS. They share a secret and a
//! domain with the relay, so that each can say what it makes of the others' addresses.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::network::Network;
use crate::program::{is_root, path_of, run};
use crate::wait::{seconds, until_true};

pub const DOMAIN: &str = "srs.test";
/// The first line signs.
const SECRETS: [&str; 2] = ["a secret that signs today", "a secret that signed before"];
const START_SECONDS_MAX: u64 = 10;

/// postsrsd: two tables that Postfix asks over TCP, one for each direction.
pub struct PostSrsd {
    forward: SocketAddr,
    reverse: SocketAddr,
    child: Child,
    folder: TempDir,
}

impl PostSrsd {
    pub fn start(network: Network) -> PostSrsd {
        let folder = TempDir::new().expect("a temporary folder");
        let host = network.host(30);
        let (forward, reverse) = (network.free_port(host), network.free_port(host));
        let secrets = folder.path().join("secrets");
        fs::write(&secrets, SECRETS.join("\n") + "\n").expect("a file of secrets");
        let mut command = Command::new(path_of("postsrsd"));
        command
            .arg("-4")
            .arg(format!("-s{}", secrets.display()))
            .arg(format!("-d{DOMAIN}"))
            .arg(format!("-l{host}"))
            .arg(format!("-f{}", forward.port()))
            .arg(format!("-r{}", reverse.port()));
        if is_root() {
            command.arg("-unobody");
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("postsrsd starts");
        let mut server = PostSrsd {
            forward,
            reverse,
            child,
            folder,
        };
        until_true("postsrsd to answer", seconds(START_SECONDS_MAX), || {
            let ended = server.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "postsrsd ended: {ended:?}");
            [forward, reverse]
                .map(TcpStream::connect)
                .iter()
                .all(Result::is_ok)
        });
        server
    }

    /// `[srs]` for a relay with the same secrets, from a copy of its file.
    pub fn config(&self, folder: &Path) -> String {
        let copy: PathBuf = folder.join("srs.secret");
        fs::copy(self.folder.path().join("secrets"), &copy).expect("a copy");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o600)).expect("a secret");
        format!(
            "[srs]\ndomain = \"{DOMAIN}\"\nsecret = \"file:{}\"\n",
            copy.display()
        )
    }

    /// What it makes of a sender.
    pub fn rewritten(&self, sender: &str) -> String {
        ask(self.forward, sender).expect("an address")
    }

    /// Whom it finds in an address.
    pub fn turned_back(&self, address: &str) -> Result<String, String> {
        ask(self.reverse, address)
    }
}

impl Drop for PostSrsd {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}

/// One question in Postfix's protocol for tables (tcp_table(5)).
fn ask(table: SocketAddr, key: &str) -> Result<String, String> {
    let mut socket = TcpStream::connect(table).expect("a connection to postsrsd");
    socket
        .set_read_timeout(Some(seconds(10)))
        .expect("a time limit");
    writeln!(socket, "get {key}").expect("a question");
    let mut line = String::new();
    BufReader::new(socket)
        .read_line(&mut line)
        .expect("an answer");
    let (code, text) = line.trim_end().split_once(' ').expect("a code and a text");
    match code {
        "200" => Ok(text.to_owned()),
        _ => Err(text.to_owned()),
    }
}

/// Mail::SRS: runs `text` with `$srs` ready and `$_` the argument; what it prints.
fn perl(text: &str, argument: &str) -> String {
    let [now, before] = SECRETS;
    let program = format!(
        "$srs = Mail::SRS->new(Secret => ['{now}', '{before}'], MaxAge => 21); $_ = shift; print({text})"
    );
    let ran = run("perl", &["-MMail::SRS", "-e", &program, argument]);
    ran.expect_code(0).out
}

/// What Mail::SRS made of a sender when the old secret signed.
pub fn rewritten_before(sender: &str) -> String {
    let before = SECRETS[1];
    perl(
        &format!("Mail::SRS->new(Secret => '{before}')->forward($_, 'x@{DOMAIN}')"),
        sender,
    )
}

/// What Mail::SRS makes of a sender.
pub fn rewritten(sender: &str) -> String {
    perl(&format!("$srs->forward($_, 'x@{DOMAIN}')"), sender)
}

/// The same as it was, or will be, so many days from now.
pub fn rewritten_on(days: i64, local: &str, host: &str) -> String {
    let stamp = format!("$stamp = $srs->timestamp_create(time + 86400 * {days})");
    let hash = format!("$srs->hash_create($stamp, '{host}', $_)");
    let made = format!("join '=', 'SRS0', do {{ {stamp}; {hash} }}, $stamp, '{host}', $_");
    format!("{}@{DOMAIN}", perl(&made, local))
}

/// Whom Mail::SRS finds in an address; nobody where it refuses it.
pub fn turned_back(address: &str) -> String {
    perl("eval { $srs->reverse($_) } // ''", address)
}
