//! Real milters, each as a process that ends with its test, and a resolver for those that ask DNS.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The name of a milter's socket.
pub const SOCKET: &str = "socket";

/// Nothing takes longer on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct World {
    folder: TempDir,
    children: Mutex<Vec<Child>>,
}

impl World {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let world = Self {
            folder,
            children: Mutex::default(),
        };
        world.write("resolv.conf", "nameserver 127.0.0.1\n");
        world
    }

    /// One in which these records are all that DNS has: `name. TXT "text"`.
    pub fn with_records(records: &[&str]) -> Self {
        static WORLDS: AtomicU8 = AtomicU8::new(1);
        let world = Self::new();
        let [.., high, low] = std::process::id().to_be_bytes();
        let number = WORLDS.fetch_add(1, Ordering::Relaxed);
        let address = Ipv4Addr::new(127, 80 + number, high, low.max(1));
        let records: String = records
            .iter()
            .map(|record| format!(" local-data: '{record}'\n"))
            .collect();
        let config = world.write(
            "unbound.conf",
            &format!(
                "server:\n interface: {address}\n access-control: 127.0.0.0/8 allow\n do-ip6: no\n use-syslog: no\n\
                 \x20do-daemonize: no\n username: \"\"\n chroot: \"\"\n pidfile: \"\"\n module-config: \"iterator\"\n\
                 \x20local-zone: \".\" static\n{records}remote-control:\n control-enable: no\n"
            ),
        );
        world.write("resolv.conf", &format!("nameserver {address}\n"));
        let mut unbound = Command::new("unbound");
        unbound.args(["-d", "-c"]).arg(config);
        world.spawn("unbound", unbound);
        until("unbound", || {
            let socket = std::net::TcpStream::connect((address, 53));
            socket.ok().map(drop)
        });
        world
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file");
        path
    }

    /// Starts a program in name spaces of its own: with our resolver, and so that all that it starts
    /// ends with it.
    pub fn start(&self, name: &str, arguments: &[&str]) {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c"])
            .arg("mount --bind \"$0\" /etc/resolv.conf && exec \"$@\"")
            .arg(self.path("resolv.conf"))
            .args(arguments);
        self.spawn(name, command);
    }

    fn spawn(&self, name: &str, mut command: Command) {
        let log = fs::File::create(self.path(&format!("{name}.log"))).expect("a log");
        let again = log.try_clone().expect("the log");
        command.stdin(Stdio::null()).stdout(log).stderr(again);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
        let child = command.spawn();
        let child = child.unwrap_or_else(|error| panic!("{name}: {error}"));
        self.children.lock().expect("the children").push(child);
    }

    /// A connection to the milter, as soon as there is one. All of them have a socket of this name.
    pub fn connect(&self) -> UnixStream {
        let path = self.path(SOCKET);
        let stream = until("a milter", || {
            for child in self.children.lock().expect("the children").iter_mut() {
                let ended = child.try_wait().expect("a child of ours");
                assert!(ended.is_none(), "{ended:?}: {}", self.logs());
            }
            UnixStream::connect(&path).ok()
        });
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a time limit");
        stream
    }

    /// What they have written.
    pub fn logs(&self) -> String {
        let files = fs::read_dir(self.folder.path()).expect("the folder");
        let files = files.flatten().map(|file| file.path());
        let logs = files.filter(|file| file.extension().is_some_and(|end| end == "log"));
        let texts = logs.map(|log| {
            let text = fs::read(&log).unwrap_or_default();
            format!("{}:\n{}", log.display(), String::from_utf8_lossy(&text))
        });
        texts.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for child in self.children.get_mut().expect("the children") {
            // Who gives up root, as spamd does, outlives the one that made its name space. When the
            // first of a name space ends, all end.
            let first = format!("/proc/{0}/task/{0}/children", child.id());
            let first = fs::read_to_string(first).unwrap_or_default();
            for id in first.split_ascii_whitespace() {
                let _ = Command::new("kill").args(["-KILL", id]).status();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Asks until there is an answer.
pub fn until<T>(what: &str, mut question: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "gave up waiting for {what}");
        thread::sleep(Duration::from_millis(20));
    }
}
