//! The relay under test: the built binary with a configuration and a data folder of its own,
//! started, asked, stopped and killed from outside as an administrator would. Nothing of its inside
//! is linked into these tests. When a test fails, the relay's log is printed with it.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::LazyLock;

use serde_json::Value;
use tempfile::TempDir;

use crate::dns;
use crate::network::Network;
use crate::program::{self, Ran};
use crate::wait::{seconds, until, until_true};

const START_SECONDS_MAX: u64 = 30;
/// A graceful stop waits for sessions and deliveries; the tests leave none that need longer.
const STOP_SECONDS_MAX: u64 = 30;

/// The program under test: the one that was built with these tests, or another that GATEPOST_BINARY
/// names, such as the one that is packaged.
pub fn binary() -> &'static str {
    static NAMED: LazyLock<Option<String>> =
        LazyLock::new(|| std::env::var("GATEPOST_BINARY").ok());
    NAMED.as_deref().unwrap_or(env!("CARGO_BIN_EXE_gatepost"))
}

pub struct Relay {
    pub network: Network,
    folder: TempDir,
    child: Option<Child>,
    /// The command in front of the binary, such as a tracer.
    wrapper: Vec<String>,
    address: Option<SocketAddr>,
}

impl Relay {
    /// Starts a relay with one listener for strangers, `internet`, and one permitted client; `more`
    /// is added to its configuration.
    pub fn start(network: Network, more: &str) -> Relay {
        let mut relay = Relay::prepare(network, more);
        relay.run();
        relay
    }

    /// The same without starting it.
    pub fn prepare(network: Network, more: &str) -> Relay {
        let folder = TempDir::new().expect("a temporary folder");
        let relay = Relay {
            network,
            folder,
            child: None,
            wrapper: Vec::new(),
            address: None,
        };
        relay.write_config(more);
        relay
    }

    pub fn wrap(&mut self, command: &[&str]) {
        self.wrapper = command.iter().map(|&word| word.to_owned()).collect();
    }

    /// The tests' common settings, then `more`.
    pub fn write_config(&self, more: &str) {
        // No test may ask a resolver of this machine. One that brings none gets one that never
        // answers.
        let no_resolver = dns::config_for(self.network.name_server());
        let resolver = if more.contains("[dns]") {
            ""
        } else {
            &no_resolver
        };
        let common = format!(
            "hostname = \"relay.test\"\n{account}\
             data_dir = {data:?}\n\
             [listener.internet]\nbind = \"{relay}:0\"\n\
             [relay]\nallow = [\"{permitted}\"]\n\
             [spool]\nmin_free = \"0MB\"\n\
             [log]\nformat = \"json\"\n",
            account = account(),
            data = self.data_dir(),
            relay = self.network.relay(),
            permitted = self.network.permitted(),
        );
        let console = without_console(more);
        self.write_whole_config(&format!("{console}{common}{resolver}{more}"));
    }

    /// What every relay of the tests needs, with `top` before it and `more` behind it: listeners
    /// and the rest.
    pub fn write_bare_config(&self, top: &str, more: &str) {
        let resolver = format!("dns.servers = [\"{}\"]\n", self.network.name_server());
        let resolver = if more.contains("[dns]") {
            ""
        } else {
            &resolver
        };
        self.write_whole_config(&format!(
            "{top}hostname = \"relay.test\"\n{account}data_dir = {data:?}\n\
             {resolver}spool.min_free = \"0MB\"\n{console}{more}",
            account = account(),
            console = without_console(more),
            data = self.data_dir(),
        ));
    }

    pub fn write_whole_config(&self, text: &str) {
        fs::write(self.config(), text).expect("the configuration is written");
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn config(&self) -> PathBuf {
        self.folder().join("gatepost.toml")
    }

    /// Where the line of the configuration with this beginning stands, as the log and `relay check`
    /// name it.
    pub fn place_of(&self, beginning: &str) -> String {
        let text = fs::read_to_string(self.config()).expect("the configuration");
        let line = text.lines().position(|line| line.starts_with(beginning));
        let line = 1 + line.unwrap_or_else(|| panic!("no line begins with {beginning}"));
        format!("{}:{line}", self.config().display())
    }

    pub fn data_dir(&self) -> PathBuf {
        self.folder().join("data")
    }

    pub fn log(&self) -> String {
        fs::read(self.log_file())
            .map(|octets| String::from_utf8_lossy(&octets).into_owned())
            .unwrap_or_default()
    }

    fn log_file(&self) -> PathBuf {
        self.folder().join("log")
    }

    /// Starts the process and waits until the listener `internet` is open.
    pub fn run(&mut self) {
        self.run_with("internet");
    }

    /// The same for a configuration whose first listener has another name.
    pub fn run_with(&mut self, listener: &str) {
        self.spawn();
        self.address = Some(until(
            "the relay to come up",
            seconds(START_SECONDS_MAX),
            || {
                self.assert_alive();
                self.status()
                    .and_then(|status| address_of(&status, listener))
            },
        ));
    }

    /// Starts the process and waits for nothing.
    pub fn spawn(&mut self) {
        assert!(self.child.is_none(), "the relay runs already");
        let mut words = self.wrapper.iter().map(String::as_str).chain([binary()]);
        let mut command = Command::new(words.next().expect("a program"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("a log file");
        command
            .args(words)
            .arg("--config")
            .arg(self.config())
            .arg("run");
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        self.child = Some(
            command
                .spawn()
                .unwrap_or_else(|why| panic!("{} does not start: {why}", binary())),
        );
    }

    fn assert_alive(&mut self) {
        let ended = self
            .child
            .as_mut()
            .expect("a started relay")
            .try_wait()
            .expect("the state of a child");
        assert!(
            ended.is_none(),
            "the relay ended instead of starting: {ended:?}"
        );
    }

    /// Where another listener is, after the port was chosen.
    pub fn listener(&self, name: &str) -> SocketAddr {
        let status = self.status().expect("a running relay");
        address_of(&status, name).unwrap_or_else(|| panic!("no open listener {name}"))
    }

    /// Where the first listener is, after the port was chosen.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("a started relay")
    }

    /// The relay's own number, which differs from the child's when a tracer stands between.
    pub fn pid(&self) -> u32 {
        let status = self.status().expect("a running relay");
        status["pid"]
            .as_u64()
            .and_then(|pid| u32::try_from(pid).ok())
            .expect("a pid in the status")
    }

    /// The child's number, which is the relay's own as long as nothing is wrapped around it.
    pub fn child(&self) -> u32 {
        self.child.as_ref().expect("a started relay").id()
    }

    /// SIGTERM, then the exit status.
    pub fn stop(&mut self) -> ExitStatus {
        program::signal("TERM", self.pid());
        self.wait_for_end()
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("a started relay");
        self.address = None;
        until("the relay to end", seconds(STOP_SECONDS_MAX), || {
            child.try_wait().expect("the state of a child")
        })
    }

    /// SIGKILL: what a power cut leaves of the process.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("a started relay");
        child.kill().expect("SIGKILL");
        child.wait().expect("the end of a child");
        self.address = None;
    }

    /// Runs the binary as a command with this relay's configuration.
    pub fn command(&self, arguments: &[&str]) -> Ran {
        self.command_with(arguments, b"")
    }

    /// The same with something on its standard input.
    pub fn command_with(&self, arguments: &[&str], input: &[u8]) -> Ran {
        let mut command = program::limited(Path::new(binary()));
        command.arg("--config").arg(self.config()).args(arguments);
        program::finish(command, input)
    }

    /// `status --json`; `None` while the relay cannot be reached.
    pub fn status(&self) -> Option<Value> {
        let ran = self.command(&["status", "--json"]);
        (ran.code == 0).then(|| json(&ran.out))
    }

    /// `queue list --json`, one row per recipient.
    pub fn queue(&self) -> Vec<Value> {
        let all = ["queue", "list", "--limit", "0", "--json"];
        let ran = self.command(&all).expect_code(0);
        json(&ran.out)
            .as_array()
            .expect("queue list --json is an array")
            .clone()
    }

    /// Waits until as many rows as that are in the queue and all of them are held, and gives them. What was
    /// delivered is in the queue for a moment after its server has it.
    pub fn wait_until_held(&self, rows: usize) -> Vec<Value> {
        let what = format!("{rows} in the queue, all of them held");
        until(&what, seconds(START_SECONDS_MAX), || {
            let queue = self.queue();
            let is_held = queue.iter().all(|row| row["state"] == "held");
            (queue.len() == rows && is_held).then_some(queue)
        })
    }

    /// How many messages are in the queue, whatever their state.
    pub fn queued(&self) -> u64 {
        let status = self.status().expect("a running relay");
        status["queue"]["messages"]
            .as_u64()
            .expect("a number of messages in the status")
    }

    /// Waits until an attempt for that recipient has failed for now, and gives what was heard. The
    /// message stays in the queue: it was not bounced.
    pub fn wait_for_deferral(&self, recipient: &str) -> String {
        let what = format!("a deferral of {recipient}");
        until(&what, seconds(START_SECONDS_MAX), || {
            let queue = self.queue();
            let row = queue.iter().find(|row| row["to"] == recipient);
            let row = row.unwrap_or_else(|| panic!("{recipient} is not in the queue any more"));
            let tried = row["tries"].as_u64() >= Some(1);
            tried.then(|| row["last_reply"].as_str().unwrap_or_default().to_owned())
        })
    }

    /// Waits for a line of the log that has all these words.
    pub fn wait_for_log(&self, words: &[&str]) -> String {
        until(
            &format!("{words:?} in the log"),
            seconds(START_SECONDS_MAX),
            || {
                let log = self.log();
                let mut lines = log.lines();
                let line = lines.find(|line| words.iter().all(|word| line.contains(word)));
                line.map(str::to_owned)
            },
        )
    }

    pub fn wait_until_empty(&self) {
        until_true(
            "the queue to become empty",
            seconds(START_SECONDS_MAX),
            || self.queued() == 0,
        );
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // A tracer that is killed lets the traced process go on, so that one is ended by its
            // own number.
            if !self.wrapper.is_empty()
                && let Some(pid) = self.status().and_then(|status| status["pid"].as_u64())
            {
                program::run("kill", &["-s", "KILL", &pid.to_string()]);
            }
            let _ended = child.kill();
            let _reaped = child.wait();
        }
        if std::thread::panicking() {
            eprintln!(
                "--- the relay's log ---\n{}--- end of the log ---",
                tail(&self.log())
            );
        }
    }
}

/// Relays of the tests run side by side, and the console's usual address is one.
fn without_console(more: &str) -> &'static str {
    if more.contains("console") {
        ""
    } else {
        "console.bind = \"off\"\n"
    }
}

/// Tests of a machine's root give up nothing; another account has nothing to give up.
pub fn account() -> &'static str {
    if program::is_root() {
        "user = \"root\"\ngroup = \"root\"\n"
    } else {
        ""
    }
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|why| panic!("not JSON ({why}): {text:?}"))
}

/// The address of an open listener in a status.
pub fn address_of(status: &Value, listener: &str) -> Option<SocketAddr> {
    let listeners = status["listeners"]
        .as_array()
        .expect("a list of listeners in the status");
    let found = listeners.iter().find(|one| one["name"] == listener)?;
    found["address"].as_str().and_then(|text| text.parse().ok())
}

/// The end of a long log; what went wrong is rarely at its beginning.
fn tail(log: &str) -> String {
    const LINES_SHOWN: usize = 80;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..]
        .iter()
        .map(|line| format!("{line}\n"))
        .collect()
}
