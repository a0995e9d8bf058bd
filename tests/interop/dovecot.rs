//! Dovecot's authentication service, and nothing else of it: who signs in at Postfix is asked for
//! here. It takes PLAIN, LOGIN and SCRAM-SHA-256.

use std::fs;
use std::os::unix::fs::PermissionsExt;
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
    /// One user who has this password.
    pub fn start(user: &str, password: &str) -> Dovecot {
        need_root("Dovecot's master process does");
        let folder = TempDir::new().expect("a temporary folder");
        // Postfix's processes pass through it.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))
            .expect("a folder others may enter");
        let path = folder.path().display().to_string();
        fs::write(
            folder.path().join("users"),
            format!("{user}:{{PLAIN}}{password}\n"),
        )
        .expect("the users");
        fs::write(folder.path().join("dovecot.conf"), config_text(&path)).expect("dovecot.conf");
        let mut command = Command::new(path_of("dovecot"));
        command
            .arg("-F")
            .arg("-c")
            .arg(folder.path().join("dovecot.conf"));
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .expect("dovecot starts");
        let dovecot = Dovecot { folder, child };
        until_true("Dovecot's socket", seconds(START_SECONDS_MAX), || {
            std::os::unix::net::UnixStream::connect(dovecot.folder.path().join("auth")).is_ok()
        });
        dovecot
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

fn config_text(folder: &str) -> String {
    format!(
        "base_dir = {folder}/run\nstate_dir = {folder}/state\nlog_path = {folder}/log\nprotocols =\nssl = no\n\
         auth_mechanisms = plain login scram-sha-256\nauth_failure_delay = 0\n\
         passdb {{\n driver = passwd-file\n args = {folder}/users\n}}\n\
         userdb {{\n driver = static\n args = uid=nobody gid=nogroup home=/nonexistent\n}}\n\
         service auth {{\n unix_listener {folder}/auth {{\n  mode = 0666\n }}\n}}\n"
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
