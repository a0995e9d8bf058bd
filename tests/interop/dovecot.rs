//! Dovecot as an authentication service, by which Postfix asks who signs in, or as an LMTP server
//! with mailboxes; nothing else of it.

use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::program::{need_root, path_of, signal};
use crate::wait::{seconds, until_true};

const START_SECONDS_MAX: u64 = 20;

pub struct Dovecot {
    folder: TempDir,
    child: Child,
}

impl Dovecot {
    /// One user who has this password, and may sign in by PLAIN, LOGIN and SCRAM-SHA-256.
    pub fn start(user: &str, password: &str) -> Dovecot {
        let users = format!("{user}:{{PLAIN}}{password}\n");
        let dovecot = Dovecot::run(&users, auth_config);
        until_true("Dovecot's socket", seconds(START_SECONDS_MAX), || {
            UnixStream::connect(dovecot.folder.path().join("auth")).is_ok()
        });
        dovecot
    }

    /// LMTP at `address` for these users; for each its address, and what its mailbox holds in
    /// octets.
    pub fn lmtp(address: SocketAddr, users: &[(&str, u64)]) -> Dovecot {
        let dovecot = Dovecot::run(&lmtp_users(users), |folder| {
            let (ip, port) = (address.ip(), address.port());
            let listener = format!("inet_listener lmtp {{\n  address = {ip}\n  port = {port}\n }}");
            lmtp_config(folder, &listener)
        });
        until_true("Dovecot's LMTP", seconds(START_SECONDS_MAX), || {
            TcpStream::connect(address).is_ok()
        });
        dovecot
    }

    /// The same at a socket in the file system, whose path is the other part of the answer.
    pub fn lmtp_socket(users: &[(&str, u64)]) -> (Dovecot, String) {
        let dovecot = Dovecot::run(&lmtp_users(users), |folder| {
            let listener = format!("unix_listener {folder}/lmtp {{\n  mode = 0666\n }}");
            lmtp_config(folder, &listener)
        });
        let socket = dovecot.folder.path().join("lmtp");
        until_true("Dovecot's LMTP", seconds(START_SECONDS_MAX), || {
            UnixStream::connect(&socket).is_ok()
        });
        (dovecot, socket.display().to_string())
    }

    /// The messages in the mailbox of a user.
    pub fn mailbox(&self, user: &str) -> Vec<String> {
        let folder = self.folder.path().join("mail").join(user).join("new");
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        files
            .filter_map(|file| fs::read_to_string(file.path()).ok())
            .collect()
    }

    /// Connections to LMTP so far.
    pub fn connections(&self) -> usize {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.matches(": Connect from ").count()
    }

    fn run(users: &str, config: impl FnOnce(&str) -> String) -> Dovecot {
        need_root("Dovecot's master process does");
        let folder = TempDir::new().expect("a temporary folder");
        // Postfix's processes pass through it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("a folder others may enter");
        let path = folder.path().display().to_string();
        fs::write(folder.path().join("users"), users).expect("the users");
        fs::create_dir(folder.path().join("mail")).expect("the mailboxes");
        // Of nobody, whose the mailboxes are.
        fs::set_permissions(
            folder.path().join("mail"),
            fs::Permissions::from_mode(0o777),
        )
        .expect("a folder others may write to");
        fs::write(folder.path().join("dovecot.conf"), config(&path)).expect("dovecot.conf");
        let mut command = Command::new(path_of("dovecot"));
        command
            .arg("-F")
            .arg("-c")
            .arg(folder.path().join("dovecot.conf"));
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("dovecot starts");
        Dovecot { folder, child }
    }

    /// The lines of main.cf with which Postfix asks it, and takes mail from nobody who has not
    /// signed in under TLS.
    pub fn for_postfix(&self) -> String {
        format!(
            "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}/auth\n\
             smtpd_tls_auth_only = yes\nsmtpd_sasl_authenticated_header = yes\n\
             smtpd_client_restrictions = permit_sasl_authenticated, reject\n",
            self.folder.path().display()
        )
    }
}

fn auth_config(folder: &str) -> String {
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nprotocols =\nssl = no\n\
         auth_mechanisms = plain login scram-sha-256\nauth_failure_delay = 0\n\
         passdb {{\n driver = passwd-file\n args = {folder}/users\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
         service auth {{\n unix_listener {folder}/auth {{\n  mode = 0666\n }}\n}}\n"
    )
}

fn lmtp_users(users: &[(&str, u64)]) -> String {
    let user = |(user, quota): &(&str, u64)| {
        format!("{user}:{{PLAIN}}x::::::userdb_quota_rule=*:bytes={quota}\n")
    };
    users.iter().map(user).collect()
}

fn lmtp_config(folder: &str, listener: &str) -> String {
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nprotocols = lmtp\nssl = no\n\
         hostname = dovecot.test\nmail_location = maildir:{folder}/mail/%u\nmail_plugins = quota\nfirst_valid_uid = 1\n\
         passdb {{\n driver = passwd-file\n args = {folder}/users\n}}\n\
         userdb {{\n driver = passwd-file\n args = {folder}/users\n override_fields = uid=nobody gid=nogroup home={folder}/mail/%u\n}}\n\
         plugin {{\n quota = maildir:User\n}}\n\
         service lmtp {{\n {listener}\n}}\n"
    )
}

impl Drop for Dovecot {
    fn drop(&mut self) {
        // Its processes end with the master, which ends by itself when asked.
        signal("TERM", self.child.id());
        let _reaped = self.child.wait();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            eprintln!("--- Dovecot's log ---\n{log}--- end of the log ---");
        }
    }
}
