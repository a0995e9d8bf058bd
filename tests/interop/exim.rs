//! Exim's testing session (`exim -bh`): a dialogue as if a client of any address held it, with nothing sent, stored or
//! listened to. Exim cannot be installed beside Postfix, so scripts/test unpacks its package below the target folder,
//! together with the library that shows it the account it insists on without making that account on the machine.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::client::Reply;
use crate::program::{finish, limited};

const PEERS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/exim");

/// The account that Debian's Exim looks up before anything else, under the number of `nobody`.
const PASSWD: &str =
    "root:x:0:0:root:/root:/bin/sh\nDebian-exim:x:65534:65534::/nonexistent:/bin/false\n";
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

    /// All replies, the greeting first, to the lines of a client at `client`.
    pub fn session(&self, client: &str, lines: &[String]) -> Vec<Reply> {
        let mut command = limited(&unpacked("usr/sbin/exim4"));
        command
            .arg("-C")
            .arg(self.path("exim.conf"))
            .args(["-bh", client])
            .env("LD_PRELOAD", unpacked("usr/lib/libnss_wrapper.so"))
            .env("NSS_WRAPPER_PASSWD", self.path("passwd"))
            .env("NSS_WRAPPER_GROUP", self.path("group"));
        let input: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let ran = finish(command, input.as_bytes());
        let replies = replies(&ran.out);
        assert!(!replies.is_empty(), "Exim did not greet: {}", ran.text());
        replies
    }
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
