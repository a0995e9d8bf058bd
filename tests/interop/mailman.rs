//! Mailman with one list, as far as it takes mail: by LMTP, into a queue of its own.

use std::fs::{self, File};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program;
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 60;

pub struct Mailman {
    folder: TempDir,
    child: Child,
}

impl Mailman {
    /// Listens at `address`, and has this list alone.
    pub fn start(address: SocketAddr, list: &str) -> Mailman {
        let folder = TempDir::new().expect("a temporary folder");
        let config = folder.path().join("mailman.cfg");
        let text = format!(
            "[mailman]\nlayout: here\nsite_owner: owner@box.test\n[paths.here]\nvar_dir: {}\n\
             [mta]\nincoming: mailman.mta.null.NullMTA\nlmtp_host: {}\nlmtp_port: {}\n",
            folder.path().display(),
            address.ip(),
            address.port()
        );
        fs::write(&config, text).expect("mailman.cfg");
        let config = config.display().to_string();
        let mailman = programs().join("mailman").display().to_string();
        let create = ["-C", &config, "--run-as-root", "create", "-d", list];
        program::run(&mailman, &create).expect_code(0);
        let log = File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(programs().join("runner"))
            .args(["-C", &config, "--runner=lmtp"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let mut mailman = Mailman {
            folder,
            child: child.expect("Mailman starts"),
        };
        until_true("Mailman's LMTP", seconds(START_SECONDS_MAX), || {
            let ended = mailman.child.try_wait().expect("the state of a child");
            assert!(ended.is_none(), "Mailman ended: {ended:?}");
            TcpStream::connect(address).is_ok()
        });
        mailman
    }

    /// How many messages it has taken.
    pub fn taken(&self) -> usize {
        let queue = fs::read_dir(self.folder.path().join("queue/in"));
        queue.into_iter().flatten().count()
    }
}

impl Drop for Mailman {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- Mailman's errors ---\n{log}--- end of the errors ---");
        }
    }
}

/// Where `scripts/test browser` puts it.
fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/peers/mailman/bin")
}
