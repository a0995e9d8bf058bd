//! Programs that others wrote, run as they come from Debian's packages. One that is missing fails
//! the test with the name of the script that installs it, because a test that is skipped in silence
//! proves nothing.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is looked through after `PATH`: not every account has the administrator's folders in it.
const FOLDERS_OF_ADMINISTRATORS: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// No outside program of these tests has reason to run longer; one that hangs is ended and fails
/// its test. The longest, testssl.sh, takes half a minute alone and two on a crowded machine.
const LIMIT_SECONDS: &str = "360";

/// What a finished program left behind.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Both streams, for a message or for a search that does not care which.
    pub fn text(&self) -> String {
        format!("{}{}", self.out, self.err)
    }

    /// Panics unless the program ended with `code`, showing what it said.
    pub fn expect_code(self, code: i32) -> Ran {
        assert_eq!(
            self.code,
            code,
            "exit code; the program said:\n{}",
            self.text()
        );
        self
    }
}

/// Where `name` is installed.
pub fn path_of(name: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut folders = path
        .split(':')
        .chain(FOLDERS_OF_ADMINISTRATORS)
        .map(Path::new);
    let found = folders.find_map(|folder| Some(folder.join(name)).filter(|file| file.is_file()));
    found.unwrap_or_else(|| {
        panic!("`{name}` is not installed; scripts/test installs what the tests need")
    })
}

pub fn run(name: &str, arguments: &[&str]) -> Ran {
    feed(name, arguments, b"")
}

/// Runs a program with `input` as its standard input.
pub fn feed(name: &str, arguments: &[&str], input: &[u8]) -> Ran {
    let mut command = limited(&path_of(name));
    command.args(arguments);
    finish(command, input)
}

/// A command that `timeout` ends when it hangs.
pub fn limited(program: &Path) -> Command {
    let mut command = Command::new(path_of("timeout"));
    command.arg(LIMIT_SECONDS).arg(program);
    command
}

pub fn finish(mut command: Command, input: &[u8]) -> Ran {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command
        .spawn()
        .unwrap_or_else(|why| panic!("{command:?} does not start: {why}"));
    // A program may end without reading its input; what it says then is judged by the test.
    let _unread = child.stdin.take().expect("a pipe").write_all(input);
    let output = child.wait_with_output().expect("the output of a child");
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Sends a signal to a process that the test started itself.
pub fn signal(name: &str, pid: u32) {
    run("kill", &["-s", name, &pid.to_string()]).expect_code(0);
}

pub fn is_root() -> bool {
    std::fs::metadata("/proc/self").expect("/proc").uid() == 0
}

pub fn need_root(why: &str) {
    assert!(is_root(), "this test runs as root only: {why}");
}
