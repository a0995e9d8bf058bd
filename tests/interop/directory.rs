//! A directory: Debian's slapd with a schema, a database and people of its own, in clear, by
//! STARTTLS and by TLS from the start. Mail attributes are those of Active Directory beside those
//! of everybody.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::authority::{Authority, Pair};
use crate::network::Network;
use crate::program::{path_of, run};
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 20;

pub const BASE: &str = "dc=hosted,dc=test";
/// The password of the relay's own entry.
const SECRET: &str = "secret of the relay";
pub const PASSWORD_OF_CLARA: &str = "kept in the directory";
/// All that Clara may be called when she signs in: the address, the principal name, the short name,
/// in any case, with blanks around.
pub const NAMES_OF_CLARA: [&str; 5] = [
    "clara@hosted.test",
    "clara@corp.hosted.test",
    "clara",
    "CLARA@Hosted.test",
    " Clara ",
];

const PEOPLE: &str = "\
dn: dc=hosted,dc=test
objectClass: dcObject
objectClass: organization
o: Hosted
dc: hosted

dn: cn=relay,dc=hosted,dc=test
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: relay
userPassword: secret of the relay

dn: uid=clara,dc=hosted,dc=test
objectClass: inetOrgPerson
objectClass: mailUser
uid: clara
cn: Clara
sn: Clara
mail: clara@hosted.test
userPrincipalName: clara@corp.hosted.test
proxyAddresses: SMTP:clara@hosted.test
proxyAddresses: smtp:info@hosted.test
userPassword: kept in the directory

dn: uid=bob,dc=hosted,dc=test
objectClass: inetOrgPerson
uid: bob
cn: Bob
sn: Bob
mail: bob@hosted.test
";

const SCHEMA: &str = "\
attributetype ( 1.3.6.1.4.1.55555.1 NAME 'proxyAddresses' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.55555.2 NAME 'userPrincipalName' EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 SINGLE-VALUE )
objectclass ( 1.3.6.1.4.1.55555.3 NAME 'mailUser' SUP top AUXILIARY MAY ( proxyAddresses $ userPrincipalName ) )
";

/// Of mail attributes with the objectclass that brings them, which only some directories know.
const ONLY_WITH_OUR_SCHEMA: [&str; 3] = [
    "objectClass: mailUser",
    "proxyAddresses:",
    "userPrincipalName:",
];

/// A directory as somebody has set it up.
pub struct Setup {
    /// Attributes beside those of everybody.
    schema: String,
    people: String,
    /// For the whole server.
    settings: &'static str,
}

impl Setup {
    /// With the attributes of Active Directory, each with a rule to compare it.
    pub fn of_windows() -> Setup {
        Setup {
            schema: SCHEMA.to_owned(),
            people: PEOPLE.to_owned(),
            settings: "",
        }
    }

    /// With what every OpenLDAP has.
    pub fn of_everybody() -> Setup {
        let foreign = |line: &&str| {
            !ONLY_WITH_OUR_SCHEMA
                .iter()
                .any(|start| line.starts_with(start))
        };
        Setup {
            schema: String::new(),
            people: PEOPLE
                .lines()
                .filter(foreign)
                .map(|line| format!("{line}\n"))
                .collect(),
            settings: "",
        }
    }

    /// With the schema of Active Directory as slapd brings it: it has proxyAddresses, and no rule
    /// to compare it.
    pub fn of_slapd() -> Setup {
        Setup {
            schema: "include /etc/ldap/schema/nis.schema\ninclude /etc/ldap/schema/msuser.schema\n"
                .to_owned(),
            ..Setup::of_everybody()
        }
    }

    pub fn with_settings(self, settings: &'static str) -> Setup {
        Setup { settings, ..self }
    }

    pub fn with_people(mut self, more: &str) -> Setup {
        self.people.push_str(more);
        self
    }
}

pub struct Directory {
    clear: SocketAddr,
    encrypted: SocketAddr,
    folder: TempDir,
    server: Option<Child>,
}

impl Directory {
    pub fn start(network: Network, authority: &Authority) -> Directory {
        Directory::start_as(Setup::of_windows(), network, authority)
    }

    pub fn start_as(setup: Setup, network: Network, authority: &Authority) -> Directory {
        let host = network.host(89);
        let mut directory = Directory {
            clear: network.free_port(host),
            encrypted: network.free_port(host),
            folder: TempDir::new().expect("a temporary folder"),
            server: None,
        };
        // Its certificate is for the address, by which the relay is told to find it.
        directory.write_files(
            &setup,
            authority,
            &authority.issue_for("directory.test", host),
        );
        directory.run();
        directory
    }

    fn write_files(&self, setup: &Setup, authority: &Authority, pair: &Pair) {
        fs::create_dir(self.path("database")).expect("a folder");
        fs::write(self.path("people.ldif"), &setup.people).expect("the people");
        fs::write(self.path("secret"), SECRET).expect("the secret");
        run("chmod", &["600", &text(&self.path("secret"))]).expect_code(0);
        let folder = text(self.folder.path());
        let config = format!(
            "include /etc/ldap/schema/core.schema\ninclude /etc/ldap/schema/cosine.schema\n\
             include /etc/ldap/schema/inetorgperson.schema\n{schema}{settings}\
             modulepath /usr/lib/ldap\nmoduleload back_mdb\n\
             TLSCACertificateFile {}\nTLSCertificateFile {}\nTLSCertificateKeyFile {}\n\
             database mdb\nsuffix {BASE}\ndirectory {folder}/database\nmaxsize 10485760\n\
             access to attrs=userPassword by anonymous auth by * none\n\
             access to * by dn.exact=\"cn=relay,{BASE}\" read by * none\n",
            text(&authority.certificate()),
            text(&pair.certificate),
            text(&pair.key),
            schema = setup.schema,
            settings = setup.settings,
        );
        fs::write(self.path("slapd.conf"), config).expect("slapd's configuration");
        let (config, people) = (
            text(&self.path("slapd.conf")),
            text(&self.path("people.ldif")),
        );
        run("slapadd", &["-f", &config, "-l", &people]).expect_code(0);
    }

    /// Starts the server, for the first time or again.
    pub fn run(&mut self) {
        let mut command = Command::new(path_of("slapd"));
        command.args(["-d", "0", "-f", &text(&self.path("slapd.conf"))]);
        command.args([
            "-h",
            &format!("ldap://{}/ ldaps://{}/", self.clear, self.encrypted),
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        self.server = Some(command.spawn().expect("slapd starts"));
        until_true("slapd to listen", seconds(START_SECONDS_MAX), || {
            let ended = self
                .server
                .as_mut()
                .expect("a server")
                .try_wait()
                .expect("the state of a child");
            assert!(
                ended.is_none(),
                "slapd ended instead of starting: {ended:?}"
            );
            [self.clear, self.encrypted]
                .iter()
                .all(|&at| std::net::TcpStream::connect(at).is_ok())
        });
    }

    pub fn stop(&mut self) {
        let mut server = self.server.take().expect("a running server");
        server.kill().expect("the server is killed");
        server.wait().expect("the end of a child");
    }

    /// The file with the password of the relay's own entry.
    pub fn secret(&self) -> PathBuf {
        self.path("secret")
    }

    /// Whether somebody has a connection to it in clear, as the system's list says.
    pub fn has_connections(&self) -> bool {
        let list = fs::read_to_string("/proc/net/tcp").expect("the connections");
        let port = format!(":{:04X}", self.clear.port());
        let mut rows = list
            .lines()
            .skip(1)
            .map(|row| row.split_whitespace().skip(1));
        // Local address, remote address, state; 01 is established.
        rows.any(|mut row| {
            let (local, _, state) = (row.next(), row.next(), row.next());
            local.is_some_and(|local| local.ends_with(&port)) && state == Some("01")
        })
    }

    /// The section `[ldap.staff]`, in clear.
    pub fn settings(&self) -> String {
        format!(
            "[ldap.staff]\nurl = \"ldap://{}\"\n{}",
            self.clear,
            self.how_to_ask()
        )
    }

    /// The same by STARTTLS.
    pub fn settings_with_start_tls(&self, authority: &Authority) -> String {
        format!(
            "{}start_tls = true\nca = {:?}\n",
            self.settings(),
            authority.certificate()
        )
    }

    /// The same by TLS from the start.
    pub fn settings_with_tls(&self, authority: &Authority) -> String {
        let (encrypted, ca) = (self.encrypted, authority.certificate());
        format!(
            "[ldap.staff]\nurl = \"ldaps://{encrypted}\"\nca = {ca:?}\n{}",
            self.how_to_ask()
        )
    }

    fn how_to_ask(&self) -> String {
        let secret = text(&self.path("secret"));
        format!(
            "bind = \"cn=relay,{BASE}\"\nsecret = \"file:{secret}\"\nbase = \"{BASE}\"\ntimeout = \"5s\"\n"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        if self.server.is_some() {
            self.stop();
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
