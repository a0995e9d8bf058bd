use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::connection::{Address, Connection};

const START_MAX: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// A scanner that runs in a folder of its own until this is dropped.
pub struct Server {
    process: Child,
    pub address: Address,
    folder: TempDir,
}

/// A folder that the account of a scanner may enter.
pub fn folder() -> TempDir {
    let folder = TempDir::new().expect("a temporary folder");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("permissions");
    folder
}

/// An address of its own for each caller, so that no two scanners get one port.
pub fn free_address() -> SocketAddr {
    static TAKEN: AtomicU8 = AtomicU8::new(1);
    // Two runs of the tests at the same time shall not meet either.
    let run = (std::process::id() % 250) as u8 + 1;
    let host = Ipv4Addr::new(127, 250, run, TAKEN.fetch_add(1, Ordering::Relaxed));
    let listener = TcpListener::bind((host, 0)).expect("a free port");
    listener.local_addr().expect("its address")
}

/// Waits for another address of a scanner that runs.
pub fn wait_for(address: &Address) {
    let begin = Instant::now();
    while Connection::try_open(address).is_none() {
        assert!(
            begin.elapsed() < START_MAX,
            "{address:?} is not listened at"
        );
        std::thread::sleep(PAUSE);
    }
}

impl Server {
    /// Runs a command in the foreground, which listens at the address in the end. What it says goes
    /// to a file, which is shown when it does not.
    pub fn start(mut command: Command, address: Address, folder: TempDir) -> Self {
        let output = folder.path().join("output");
        let file = fs::File::create(&output).expect("a file");
        let process = command
            // With all that it starts, so that it can be ended as a whole.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("a file"))
            .stderr(file)
            .spawn()
            .expect("the scanner is installed: scripts/test scanners");
        let mut server = Self {
            process,
            address,
            folder,
        };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let begin = Instant::now();
        while Connection::try_open(&self.address).is_none() {
            let ended = self.process.try_wait().expect("a state");
            if ended.is_some() || begin.elapsed() > START_MAX {
                let said = fs::read(self.path("output")).unwrap_or_default();
                panic!("did not start: {}", String::from_utf8_lossy(&said));
            }
            std::thread::sleep(PAUSE);
        }
    }

    pub fn open(&self) -> Connection {
        Connection::try_open(&self.address).expect("it listens")
    }

    pub fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let group = format!("-{}", self.process.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).status();
        let _ = self.process.wait();
    }
}
