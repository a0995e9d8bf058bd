//! Syslog servers as Debian has them, rsyslog and syslog-ng, each with every way in: a socket, UDP,
//! TCP with both framings, TLS with certificates on both sides. They exclude each other as packages,
//! so syslog-ng is only unpacked, below the target folder.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::authority::Authority;
use crate::network::Network;
use crate::program::{self, limited, path_of};
use crate::wait::{seconds, until};

/// Where scripts/test unpacks it.
const SYSLOG_NG: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/peers/syslog-ng/usr"
);

/// Octets of a message over UDP, so few that one of them is cut.
pub const UDP_BYTES: usize = 480;

/// A server with one file, in which a line is `way|program|pid|host|facility|severity|text`.
pub struct SyslogServer {
    folder: TempDir,
    child: Option<Child>,
    authority: Authority,
    udp: SocketAddr,
    tcp: SocketAddr,
    lf: SocketAddr,
    tls: SocketAddr,
}

impl SyslogServer {
    pub fn rsyslog(network: &Network) -> SyslogServer {
        SyslogServer::start(network, |server| {
            let config = server.replaced(RSYSLOG);
            let file = server.write("rsyslog.conf", &config);
            let mut command = limited(&path_of("rsyslogd"));
            command.arg("-n").arg("-f").arg(file);
            command.arg("-i").arg(server.path("pid"));
            command
        })
    }

    pub fn syslog_ng(network: &Network) -> SyslogServer {
        SyslogServer::start(network, |server| {
            let config = server.replaced(SYSLOG_NG_CONFIG);
            let file = server.write("syslog-ng.conf", &config);
            let program = Path::new(SYSLOG_NG).join("sbin/syslog-ng");
            assert!(program.exists(), "scripts/test unpacks syslog-ng");
            let libraries = Path::new(SYSLOG_NG).join("lib/syslog-ng");
            let mut command = limited(&program);
            command.env("LD_LIBRARY_PATH", &libraries);
            command.args(["--foreground", "--no-caps"]);
            for (option, value) in [
                ("cfgfile", file),
                ("persist-file", server.path("persist")),
                ("pidfile", server.path("pid")),
                ("control", server.path("control")),
                ("module-path", libraries.join("3.38")),
            ] {
                command.arg(format!("--{option}={}", value.display()));
            }
            command
        })
    }

    fn start(network: &Network, command: impl Fn(&SyslogServer) -> Command) -> SyslogServer {
        let port = || network.free_port(network.host(20));
        let mut server = SyslogServer {
            folder: TempDir::new().expect("a temporary folder"),
            child: None,
            authority: Authority::new(),
            udp: port(),
            tcp: port(),
            lf: port(),
            tls: port(),
        };
        let said = fs::File::create(server.path("said")).expect("a file");
        let mut command = command(&server);
        command.stdin(Stdio::null());
        command.stdout(said.try_clone().expect("a handle"));
        command.stderr(said);
        server.child = Some(command.spawn().expect("a syslog server"));
        until("a syslog server", seconds(20), || {
            let tcp = [server.tcp, server.lf, server.tls];
            let all = tcp
                .iter()
                .all(|at| std::net::TcpStream::connect(at).is_ok());
            (all && server.path("log").exists()).then_some(())
        });
        server
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        fs::write(self.path(name), text).expect("a file for a syslog server");
        self.path(name)
    }

    /// A configuration with what stands for paths and ports replaced.
    fn replaced(&self, config: &str) -> String {
        let pair = self.authority.issue_for("logs.test", self.tls.ip());
        let path = |path: &Path| path.display().to_string();
        let mut text = config.to_owned();
        for (word, value) in [
            ("FOLDER", path(self.folder.path())),
            ("HOST", self.udp.ip().to_string()),
            ("UDP", self.udp.port().to_string()),
            ("TCP", self.tcp.port().to_string()),
            ("LF", self.lf.port().to_string()),
            ("TLS", self.tls.port().to_string()),
            ("AUTHORITY", path(&self.authority.certificate())),
            ("CERTIFICATE", path(&pair.certificate)),
            ("KEY", path(&pair.key)),
        ] {
            text = text.replace(&format!("%{word}%"), &value);
        }
        text
    }

    /// Sections for every way to it, called `local`, `udp`, `tcp`, `lf`, `tls`.
    pub fn sections(&self) -> String {
        let client = self.authority.issue("relay.test");
        format!(
            "[syslog.local]\nto = {:?}\n\
             [syslog.udp]\nto = \"udp://{}\"\nmax_bytes = {UDP_BYTES}\nfacility = \"local3\"\n\
             [syslog.tcp]\nto = \"tcp://{}\"\n\
             [syslog.lf]\nto = \"tcp://{}\"\nframing = \"lf\"\n\
             [syslog.tls]\nto = \"tls://{}\"\nca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            self.path("log"),
            self.udp,
            self.tcp,
            self.lf,
            self.tls,
            self.authority.certificate(),
            client.certificate,
            client.key,
        )
    }

    /// One that frames otherwise than the server expects.
    pub fn wrongly_framed(&self) -> String {
        format!(
            "[syslog.wrong]\nto = \"tcp://{}\"\nframing = \"lf\"\n",
            self.tcp
        )
    }

    fn lines(&self) -> Vec<String> {
        let octets = fs::read(self.path("messages")).unwrap_or_default();
        let text = String::from_utf8(octets).expect("UTF-8 alone");
        text.lines().map(str::to_owned).collect()
    }

    /// The fields of the first message that came this way and holds these words.
    pub fn wait_for(&self, way: &str, words: &str) -> Vec<String> {
        let found = || {
            let lines = self.lines().into_iter();
            let fields = lines.map(|line| {
                let fields = line.splitn(7, '|').map(str::to_owned);
                fields.collect::<Vec<_>>()
            });
            fields
                .filter(|fields| fields.len() == 7)
                .find(|fields| fields[0] == way && fields[6].contains(words))
        };
        until(&format!("{words} by {way}"), seconds(20), found)
    }
}

impl Drop for SyslogServer {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // `timeout` hands it on.
            program::signal("TERM", child.id());
            let _ended = child.wait();
        }
        if std::thread::panicking() {
            let said = fs::read_to_string(self.path("said")).unwrap_or_default();
            eprintln!(
                "the syslog server has:\n{:#?}\nand said:\n{said}",
                self.lines()
            );
        }
    }
}

const RSYSLOG: &str = r#"
global(workDirectory="%FOLDER%" net.enableDNS="off"
  defaultNetstreamDriverCAFile="%AUTHORITY%"
  defaultNetstreamDriverCertFile="%CERTIFICATE%"
  defaultNetstreamDriverKeyFile="%KEY%")
module(load="imuxsock" SysSock.Use="off")
module(load="imudp")
module(load="imptcp")
module(load="imtcp" StreamDriver.Name="gtls" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid")
input(type="imuxsock" Socket="%FOLDER%/log" ruleset="local")
input(type="imudp" address="%HOST%" port="%UDP%" ruleset="udp")
input(type="imptcp" address="%HOST%" port="%TCP%" ruleset="tcp")
input(type="imptcp" address="%HOST%" port="%LF%" ruleset="lf")
input(type="imtcp" address="%HOST%" port="%TLS%" ruleset="tls")
template(name="local" type="string" string="local|%app-name%|%procid%|%hostname%|%syslogfacility-text%|%syslogseverity-text%|%msg:::drop-last-lf%\n")
template(name="udp" type="string" string="udp|%app-name%|%procid%|%hostname%|%syslogfacility-text%|%syslogseverity-text%|%msg%\n")
template(name="tcp" type="string" string="tcp|%app-name%|%procid%|%hostname%|%syslogfacility-text%|%syslogseverity-text%|%msg%\n")
template(name="lf" type="string" string="lf|%app-name%|%procid%|%hostname%|%syslogfacility-text%|%syslogseverity-text%|%msg%\n")
template(name="tls" type="string" string="tls|%app-name%|%procid%|%hostname%|%syslogfacility-text%|%syslogseverity-text%|%msg%\n")
ruleset(name="local") { action(type="omfile" file="%FOLDER%/messages" template="local") }
ruleset(name="udp") { action(type="omfile" file="%FOLDER%/messages" template="udp") }
ruleset(name="tcp") { action(type="omfile" file="%FOLDER%/messages" template="tcp") }
ruleset(name="lf") { action(type="omfile" file="%FOLDER%/messages" template="lf") }
ruleset(name="tls") { action(type="omfile" file="%FOLDER%/messages" template="tls") }
"#;

const SYSLOG_NG_CONFIG: &str = r#"@version: 3.38
options { use-dns(no); dns-cache(no); keep-hostname(yes); };
source local { unix-dgram("%FOLDER%/log"); };
source udp { syslog(ip("%HOST%") port(%UDP%) transport("udp")); };
source tcp { syslog(ip("%HOST%") port(%TCP%) transport("tcp")); };
source lf { network(ip("%HOST%") port(%LF%) transport("tcp") flags(syslog-protocol)); };
source tls { syslog(ip("%HOST%") port(%TLS%) transport("tls") tls(
  ca-file("%AUTHORITY%") cert-file("%CERTIFICATE%") key-file("%KEY%") peer-verify(required-trusted))); };
destination file { file("%FOLDER%/messages"
  template("${SOURCE}|${PROGRAM}|${PID}|${HOST}|${FACILITY}|${LEVEL}|${MSG}\n")); };
log { source(local); source(udp); source(tcp); source(lf); source(tls); destination(file); };
"#;
