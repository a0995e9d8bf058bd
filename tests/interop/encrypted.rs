//! Encrypted connections to the relay, by `openssl s_client`: a TLS that is not the relay's own.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::authority::Pair;
use crate::client::Dialogue;
use crate::program::{Ran, finish, limited, path_of};

/// How a connection is to be encrypted.
#[derive(Clone)]
pub struct Encrypted {
    from: IpAddr,
    to: SocketAddr,
    options: Vec<String>,
}

impl Encrypted {
    /// Begins in clear and asks for TLS, as on ports 25 and 587.
    pub fn after_starttls(from: IpAddr, to: SocketAddr) -> Encrypted {
        Encrypted::from_the_start(from, to).with(&["-starttls", "smtp"])
    }

    pub fn from_the_start(from: IpAddr, to: SocketAddr) -> Encrypted {
        Encrypted {
            from,
            to,
            options: Vec::new(),
        }
    }

    /// More options of `openssl s_client`.
    pub fn with(mut self, options: &[&str]) -> Encrypted {
        let options = options.iter().map(|&option| option.to_owned());
        self.options.extend(options);
        self
    }

    /// Shows a client certificate when the relay asks for one.
    pub fn showing(self, pair: &Pair) -> Encrypted {
        let path = |path: &std::path::Path| path.display().to_string();
        self.with(&["-cert", &path(&pair.certificate), "-key", &path(&pair.key)])
    }

    /// Connects and says EHLO; after STARTTLS the relay does not greet again.
    pub fn ready(&self) -> Dialogue {
        let mut dialogue = self.open();
        dialogue.ask("EHLO client.test", 250);
        dialogue
    }

    /// Connects, and reads the greeting where one is due under TLS.
    pub fn open(&self) -> Dialogue {
        let mut dialogue = Dialogue::over(Program::start(self.command(&["-quiet"])));
        if !self.options.iter().any(|option| option == "-starttls") {
            dialogue.expect(220);
        }
        dialogue
    }

    /// Shakes hands and leaves; what openssl tells of it.
    pub fn handshake(&self) -> Ran {
        finish(self.command(&["-showcerts"]), b"")
    }

    /// Shakes hands and says this; what openssl tells of it.
    pub fn saying(&self, words: &[u8]) -> Ran {
        finish(self.command(&[]), words)
    }

    /// The certificate that the relay shows, PEM.
    pub fn certificate(&self) -> String {
        let told = self.handshake().out;
        let (begin, end) = ("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----");
        let from = told.find(begin).expect("a certificate");
        let size = told[from..].find(end).expect("its end") + end.len();
        format!("{}\n", &told[from..from + size])
    }

    fn command(&self, more: &[&str]) -> Command {
        let mut command = limited(&path_of("openssl"));
        command.args(["s_client", "-bind", &format!("{}:0", self.from)]);
        command.args(["-connect", &self.to.to_string()]);
        command.args(&self.options).args(more);
        command
    }
}

/// A program as a connection: its input is what we send, its output what we receive.
struct Program {
    child: Child,
    input: ChildStdin,
    output: ChildStdout,
}

impl Program {
    fn start(mut command: Command) -> Program {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("openssl starts");
        let input = child.stdin.take().expect("a pipe");
        let output = child.stdout.take().expect("a pipe");
        Program {
            child,
            input,
            output,
        }
    }
}

impl Read for Program {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.read(buffer)
    }
}

impl Write for Program {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.input.write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.flush()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // `timeout` stands in front, and passes this signal on to the program itself; SIGKILL would
        // leave that running.
        crate::program::run("kill", &["-s", "TERM", &self.child.id().to_string()]);
        let _reaped = self.child.wait();
    }
}
