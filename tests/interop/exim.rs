//! Exim's testing session (`exim -bh`): a dialogue as if a client of any address held it, with
//! nothing sent, stored or listened to; and Exim as a client, with a queue of its own. Exim cannot
//! be installed beside Postfix, so scripts/test unpacks its package below the target folder,
//! together with the library that shows it the account it insists on without making that account on
//! the machine.

use std::fs::{self, Permissions};
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::client::Reply;
use crate::program::{finish, limited, need_root};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/exim");

/// The account that Debian's Exim looks up before anything else, under the number of `nobody`.
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:65534:65534::/nonexistent:/bin/false\n";
const NOBODY: u32 = 65534;
const GROUP: &str = "root:x:0:\nDebian-exim:x:65534:\n";

/// An Exim with a configuration of its own.
pub struct Exim {
    folder: TempDir,
}

impl Exim {
    /// `config` may say `FOLDER` for a folder that Exim may write to.
    pub fn prepare(config: &str) -> Exim {
        let folder = TempDir::new().expect("a temporary folder");
        let exim = Exim { folder };
        // Exim gives up root before it reads.
        fs::set_permissions(exim.folder.path(), Permissions::from_mode(0o755))
            .expect("a folder others may enter");
        let folder = exim.folder.path().display().to_string();
        exim.write("exim.conf", &config.replace("FOLDER", &folder));
        exim.write("passwd", PASSWD);
        exim.write("group", GROUP);
        exim
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).expect("a file for Exim");
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Tries once to send a message, and gives what is in the log of it.
    pub fn send(&self, from: &str, to: &[String], text: &str) -> String {
        let mut queue = self.queueing();
        queue.args(["-f", from]).args(to);
        finish(queue, text.as_bytes()).expect_code(0);
        self.deliver()
    }

    /// Serves one connection, and then tries once to send on the message that came over it.
    pub fn serve_one(&self, listener: &TcpListener) -> String {
        let (connection, _) = listener.accept().expect("a connection for Exim");
        let mut serve = self.queueing();
        let input = connection.try_clone().expect("a second handle");
        serve.arg("-bs").stdin(OwnedFd::from(input));
        serve.stdout(OwnedFd::from(connection));
        let ended = serve.status().expect("Exim starts");
        assert!(ended.success(), "{ended}");
        self.deliver()
    }

    /// Exim that takes a message into its queue and leaves it there: it would start itself again
    /// for the delivery, without the library.
    fn queueing(&self) -> Command {
        need_root("Exim's deliveries do");
        let spool = self.path("spool");
        fs::create_dir(&spool).expect("a folder for Exim's queue");
        chown(&spool, Some(NOBODY), Some(NOBODY)).expect("a folder that Exim may write to");
        let mut queue = self.command();
        queue.arg("-odq");
        queue
    }

    /// Tries once to send the message in the queue, and gives what is in the log.
    fn deliver(&self) -> String {
        let mut list = self.command();
        list.arg("-bpr");
        let listed = finish(list, b"").expect_code(0).out;
        let id = listed
            .split_whitespace()
            .nth(2)
            .expect("a message in the queue");
        let mut deliver = self.command();
        deliver.args(["-M", id]);
        finish(deliver, b"");
        fs::read_to_string(self.path("spool/mainlog")).expect("Exim's log")
    }

    fn command(&self) -> Command {
        let mut command = limited(&unpacked("usr/sbin/exim4"));
        command
            .arg("-C")
            .arg(self.path("exim.conf"))
            .env("LD_PRELOAD", unpacked("usr/lib/libnss_wrapper.so"))
            .env("NSS_WRAPPER_PASSWD", self.path("passwd"))
            .env("NSS_WRAPPER_GROUP", self.path("group"));
        command
    }

    /// All replies, the greeting first, to the lines of a client at `client`.
    pub fn session(&self, client: &str, lines: &[String]) -> Vec<Reply> {
        let mut command = self.command();
        command.args(["-bh", client]);
        let input: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let ran = finish(command, input.as_bytes());
        let replies = replies(&ran.out);
        assert!(!replies.is_empty(), "Exim did not greet: {}", ran.text());
        replies
    }
}

/// A neighbour's settings: it takes everything, and all goes to the relay, from an address of its
/// own.
pub fn sending_from(from: IpAddr, relay: SocketAddr) -> String {
    let (host, port) = (relay.ip(), relay.port());
    format!(
        "keep_environment =\nprimary_hostname = exim.test\nspool_directory = FOLDER/spool\nlog_file_path = FOLDER/spool/%slog\nhost_lookup =\ndsn_advertise_hosts = *\nacl_smtp_rcpt = all\n\
         begin acl\nall:\n  accept\n\
         begin routers\nrelay:\n  driver = manualroute\n  domains = *\n  transport = smtp\n  route_list = * {host}::{port} byname\n  self = send\n\
         begin transports\nsmtp:\n  driver = smtp\n  user = Debian-exim\n  interface = {from}\n  allow_localhost\n  hosts_avoid_tls = *\n\
         begin retry\n* * F,1h,1m\n"
    )
}

fn unpacked(name: &str) -> PathBuf {
    let path = Path::new(PEERS).join(name);
    assert!(
        path.is_file(),
        "{} is missing; scripts/test unpacks what the tests need",
        path.display()
    );
    path
}

/// Exim's own remarks stand between the replies.
fn replies(out: &str) -> Vec<Reply> {
    let mut replies = Vec::new();
    let mut lines = Vec::new();
    for line in out.lines() {
        let Some(code) = line.get(..3).and_then(|digits| digits.parse().ok()) else {
            continue;
        };
        lines.push(line.get(4..).unwrap_or_default().trim_end().to_owned());
        if line.as_bytes().get(3) != Some(&b'-') {
            replies.push(Reply {
                code,
                lines: std::mem::take(&mut lines),
            });
        }
    }
    replies
}
