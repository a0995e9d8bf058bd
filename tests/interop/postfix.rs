//! A whole Postfix with configuration, queue and data folders of its own on a loopback port. The
//! machine's own instance, if there is one, is neither read nor started. Postfix's master process
//! needs root.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::program::{Ran, feed, need_root, run};
use crate::wait::{seconds, until, until_true};

const START_SECONDS_MAX: u64 = 30;

pub struct Postfix {
    pub address: SocketAddr,
    folder: TempDir,
}

impl Postfix {
    /// Starts an instance that listens at `address`; `settings` are lines of main.cf.
    pub fn start(address: SocketAddr, settings: &str) -> Postfix {
        Postfix::start_with(address, settings, "")
    }

    /// The same with more services: whole lines of master.cf.
    pub fn start_with(address: SocketAddr, settings: &str, services: &str) -> Postfix {
        need_root("Postfix's master process does");
        let folder = TempDir::new().expect("a temporary folder");
        let postfix = Postfix { address, folder };
        postfix.write_files(settings, services);
        postfix.launch()
    }

    fn launch(self) -> Postfix {
        self.control("start").expect_code(0);
        until_true("Postfix to listen", seconds(START_SECONDS_MAX), || {
            std::net::TcpStream::connect(self.address).is_ok()
        });
        self
    }

    /// The folder of main.cf.
    pub fn configuration(&self) -> PathBuf {
        self.path("etc")
    }

    /// The same with files of its own beside main.cf.
    pub fn start_among(address: SocketAddr, settings: &str, files: &[(&str, &str)]) -> Postfix {
        need_root("Postfix's master process does");
        let folder = TempDir::new().expect("a temporary folder");
        let postfix = Postfix { address, folder };
        postfix.write_files(settings, "");
        for (name, content) in files {
            let path = postfix.path("etc").join(name);
            fs::write(&path, content).expect("a file beside main.cf");
            let hashed = format!("hash:{}", text(&path));
            run("postmap", &["-c", &text(&postfix.path("etc")), &hashed]);
        }
        postfix.launch()
    }

    fn write_files(&self, settings: &str, services: &str) {
        // Postfix's unprivileged processes pass through this folder.
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755))
            .expect("a folder others may enter");
        for name in ["etc", "queue", "data", "mail"] {
            fs::create_dir(self.path(name)).expect("a folder");
        }
        run("chown", &["postfix", &text(&self.path("data"))]).expect_code(0);
        run("chown", &["nobody", &text(&self.path("mail"))]).expect_code(0);
        fs::write(self.path("etc/main.cf"), self.main_cf(settings)).expect("main.cf");
        let master_cf = self.master_cf() + services;
        fs::write(self.path("etc/master.cf"), master_cf).expect("master.cf");
    }

    fn main_cf(&self, settings: &str) -> String {
        let folder = text(self.folder.path());
        let common = format!(
            "compatibility_level = 3.6\nqueue_directory = {folder}/queue\ndata_directory = {folder}/data\n\
             maillog_file = {folder}/log\nmaillog_file_prefixes = {folder}\n\
             myhostname = postfix.test\nmyorigin = postfix.test\nmydestination =\n\
             inet_protocols = ipv4\nmynetworks = 127.0.0.0/8\nalias_maps =\nalias_database =\n\
             smtp_dns_support_level = disabled\nsmtp_host_lookup = native\nsmtpd_peername_lookup = no\n\
             local_transport = error:no local mail here\nsmtpd_tls_security_level = none\nsmtp_tls_security_level = none\n\
             minimal_backoff_time = 1s\nmaximal_backoff_time = 2s\nqueue_run_delay = 1s\n"
        );
        // Each process warns of a setting that is written twice, and the one that takes the warnings may
        // then wait for itself.
        let name = |line: &str| line.split('=').next().map(|name| name.trim().to_owned());
        let again = |line: &&str| settings.lines().any(|other| name(other) == name(line));
        let common: Vec<&str> = common.lines().filter(|line| !again(line)).collect();
        format!("{}\n{settings}\n", common.join("\n"))
    }

    fn master_cf(&self) -> String {
        let (host, port) = (self.address.ip(), self.address.port());
        format!(
            "{host}:{port} inet n - n - - smtpd\n\
             pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\n\
             tlsmgr unix - - n 1000? 1 tlsmgr\nrewrite unix - - n - - trivial-rewrite\nbounce unix - - n - 0 bounce\ndefer unix - - n - 0 bounce\n\
             trace unix - - n - 0 bounce\nflush unix n - n 1000? 0 flush\nproxymap unix - - n - - proxymap\n\
             smtp unix - - n - - smtp\nshowq unix n - n - - showq\nerror unix - - n - - error\nretry unix - - n - - error\n\
             discard unix - - n - - discard\nvirtual unix - n n - - virtual\nanvil unix - - n - 1 anvil\n\
             scache unix - - n - 1 scache\npostlog unix-dgram n - n - 1 postlogd\n"
        )
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn control(&self, verb: &str) -> Ran {
        run("postfix", &["-c", &text(&self.path("etc")), verb])
    }

    /// Hands a message to this instance the way a program on its machine does.
    pub fn sendmail(&self, from: &str, to: &str, message: &str) {
        let config = text(&self.path("etc"));
        // sendmail wants the line ends of this system.
        let message = message.replace("\r\n", "\n");
        feed(
            "sendmail",
            &["-C", &config, "-i", "-f", from, to],
            message.as_bytes(),
        )
        .expect_code(0);
    }

    /// The main.cf lines with which this instance takes mail for the users of `domain` into
    /// maildirs.
    pub fn mailboxes(domain: &str, users: &[&str]) -> String {
        let boxes: Vec<String> = users
            .iter()
            .map(|user| format!("{{ {user}@{domain} = {user}/ }}"))
            .collect();
        format!(
            "virtual_mailbox_domains = {domain}\nvirtual_mailbox_base = $queue_directory/../mail\n\
             virtual_mailbox_maps = inline:{{ {} }}\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534",
            boxes.join(", ")
        )
    }

    /// The main.cf lines with which this instance takes mail for anybody at `domains` into the one
    /// maildir `all`.
    pub fn one_mailbox(domains: &[&str]) -> String {
        format!(
            "virtual_mailbox_domains = {}\nvirtual_mailbox_base = $queue_directory/../mail\n\
             virtual_mailbox_maps = static:all/\nvirtual_uid_maps = static:65534\nvirtual_gid_maps = static:65534\n",
            domains.join(", ")
        )
    }

    /// Waits for a message in the maildir `all` that has these words.
    pub fn wait_for(&self, words: &str) -> String {
        until(words, seconds(START_SECONDS_MAX), || {
            let mut messages = self.mailbox("all").into_iter();
            messages.find(|message| message.contains(words))
        })
    }

    /// The messages that lie in a user's maildir.
    pub fn mailbox(&self, user: &str) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.path("mail").join(user).join("new")) else {
            return Vec::new();
        };
        let files = entries.map(|entry| entry.expect("an entry of a maildir").path());
        files
            .map(|file| fs::read_to_string(file).expect("a message"))
            .collect()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

impl Drop for Postfix {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "--- Postfix's log ---\n{}--- end of the log ---",
                self.log()
            );
        }
        // `abort` ends all processes of this instance at once, found by the pid file in its own
        // queue folder.
        let ran = self.control("abort");
        if ran.code != 0 {
            eprintln!(
                "Postfix in {} did not stop: {}",
                self.folder.path().display(),
                ran.text()
            );
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}
