//! The answers so far, and the configuration that they come to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Config, Disk, Replaced};
use mail::{Certificate, Domain, Place};
use relay_policy::Entry;
use tls::{ServerCertificates, first_certificate};

use super::server::Server;
use super::text;

/// In place of clients: people who sign in.
pub(super) const USERS: &str = "users";
/// In place of clients: no one.
pub(super) const NOBODY: &str = "nobody";
/// In place of a certificate.
pub(super) const SELF_SIGNED: &str = "self-signed";
/// In place of a server: wherever DNS says.
pub(super) const MX: &str = "mx";

/// What there is to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Hostname,
    Domains,
    MailServer,
    Senders,
    Certificate,
    Key,
    Outbound,
}

/// The answers so far.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    path: PathBuf,
    pub(super) hostname: Option<Domain>,
    pub(super) domains: Vec<Domain>,
    pub(super) mail_server: Option<Server>,
    /// As entries of relay.allow.
    pub(super) clients: Vec<String>,
    /// Whether people sign in.
    pub(super) users: bool,
    pub(super) certificate: Option<PathBuf>,
    pub(super) key: Option<PathBuf>,
    /// A server to which all mail for others goes.
    pub(super) outbound: Option<Server>,
}

impl Draft {
    /// Nothing is answered; the configuration will be at `path`.
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            hostname: None,
            domains: Vec::new(),
            mail_server: None,
            clients: Vec::new(),
            users: false,
            certificate: None,
            key: None,
            outbound: None,
        }
    }

    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// Where the keys of domains are.
    pub fn key_directory(&self) -> PathBuf {
        self.path.with_file_name("dkim")
    }

    /// Whether the question is to be asked at all.
    pub fn wants(&self, question: Question) -> bool {
        question != Question::Key || self.certificate.is_some()
    }

    /// What is meant when nothing is answered.
    pub fn default_of(&self, question: Question) -> Option<String> {
        match question {
            Question::Hostname => {
                let name = daemon::environment().hostname?;
                name.as_str().contains('.').then(|| name.to_string())
            }
            Question::Domains | Question::MailServer | Question::Key => None,
            Question::Senders => {
                let address = self.mail_server.as_ref().and_then(|server| server.address);
                Some(address.map_or(NOBODY.to_owned(), |address| address.to_string()))
            }
            Question::Certificate => Some(SELF_SIGNED.to_owned()),
            Question::Outbound => Some(MX.to_owned()),
        }
    }

    /// Takes an answer, when the configuration with it can be used; otherwise nothing changes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn answer(&mut self, question: Question, answer: &str) -> Result<(), String> {
        let mut changed = self.clone();
        changed.read(question, answer.trim())?;
        let config = changed.configuration()?;
        if question == Question::Key {
            let now = daemon::now();
            ServerCertificates::load(&config.tls, &config.data_dir, "", now, &Arc::default())
                .map_err(|wrong| {
                    let lines: Vec<String> =
                        wrong.iter().map(|wrong| wrong.message.clone()).collect();
                    lines.join("\n")
                })?;
        }
        *self = changed;
        Ok(())
    }

    fn read(&mut self, question: Question, answer: &str) -> Result<(), String> {
        match question {
            Question::Hostname => self.hostname = Some(domain(answer)?),
            Question::Domains => {
                self.domains = words(answer).map(domain).collect::<Result<_, _>>()?;
                if self.domains.is_empty() {
                    return Err("name one domain at least".to_owned());
                }
            }
            Question::MailServer => self.mail_server = Some(Server::parse(answer)?),
            Question::Senders => (self.clients, self.users) = senders(answer)?,
            Question::Certificate if answer == SELF_SIGNED => self.certificate = None,
            Question::Certificate => {
                let path = absolute(answer);
                first_certificate(&path)?;
                self.certificate = Some(path);
            }
            Question::Key => self.key = Some(absolute(answer)),
            Question::Outbound if answer == MX => self.outbound = None,
            Question::Outbound => self.outbound = Some(Server::parse(answer)?),
        }
        Ok(())
    }

    /// The file.
    pub fn text(&self) -> String {
        text::of(self)
    }

    /// What the file means.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn configuration(&self) -> Result<Config, String> {
        let files = Replaced {
            files: &Disk,
            path: &self.path,
            text: &self.text(),
        };
        config::load(&self.path, &files, &daemon::environment())
            .map(|loaded| loaded.config)
            .map_err(|wrong| wrong.to_string())
    }

    /// The certificate by which the relay is known, where it is not self-signed.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn shown_certificate(&self) -> Result<Option<Certificate>, String> {
        self.certificate
            .as_deref()
            .map(first_certificate)
            .transpose()
    }
}

/// What stands between blanks or commas.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split([' ', ',', '\t']).filter(|word| !word.is_empty())
}

fn domain(text: &str) -> Result<Domain, String> {
    let domain = Domain::parse(text).map_err(|why| format!("`{text}` is no domain: {why}"))?;
    let last = domain.as_str().rsplit('.').next().unwrap_or_default();
    if !domain.as_str().contains('.') || last.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!(
            "`{text}` is no name that others find: write it in full, as relay.example.com"
        ));
    }
    Ok(domain)
}

/// Entries of relay.allow, and whether people sign in.
fn senders(answer: &str) -> Result<(Vec<String>, bool), String> {
    let (mut clients, mut users) = (Vec::new(), false);
    for word in words(answer) {
        match word {
            USERS => users = true,
            NOBODY => {}
            client => {
                Entry::parse(client, Place::Default)
                    .map_err(|why| format!("`{client}` is no client: {why}; or `{USERS}`"))?;
                clients.push(client.to_owned());
            }
        }
    }
    Ok((clients, users))
}

fn absolute(path: &str) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft() -> Draft {
        Draft::new(Path::new("/nowhere/gatepost.toml"))
    }

    #[test]
    fn an_answer_that_cannot_be_used_changes_nothing() {
        let mut draft = draft();
        for (question, answer) in [
            (Question::Hostname, "relay"),
            (Question::Hostname, "192.0.2.1"),
            (Question::Hostname, ""),
            (Question::Domains, ""),
            (Question::Domains, "example.com not_a_domain!"),
            (Question::MailServer, "192.0.2.300"),
            (Question::Senders, "192.0.2.0/33"),
            (Question::Senders, "everybody.example"),
            (Question::Senders, "0.0.0.0/0"),
            (Question::Certificate, "/nowhere/relay.crt"),
            (Question::Key, "/nowhere/relay.key"),
            (Question::Outbound, "smtp.example.net:port"),
        ] {
            let before = draft.text();
            let why = draft.answer(question, answer).err();
            if question != Question::Key {
                assert!(
                    why.is_some_and(|why| !why.is_empty()),
                    "{question:?} {answer}"
                );
            }
            assert_eq!(draft.text(), before, "{question:?} {answer}");
        }
    }

    #[test]
    fn answers_come_to_a_configuration() {
        let mut draft = draft();
        for (question, answer) in [
            (Question::Hostname, "relay.example.com"),
            (Question::Domains, "example.com, example.org"),
            (Question::MailServer, "192.168.1.254:2525"),
            (Question::Senders, "192.168.1.0/24 users"),
            (Question::Certificate, "self-signed"),
            (Question::Outbound, "smtp.example.net:587"),
        ] {
            draft.answer(question, answer).unwrap();
        }
        let config = draft.configuration().unwrap();
        assert_eq!(config.hostname.as_str(), "relay.example.com");
        assert_eq!(config.listeners.len(), 2);
        assert_eq!(config.screening.dkim.len(), 2);
        let text = draft.text();
        for line in [
            "route = \"[192.168.1.254]:2525\"",
            "allow = [\"192.168.1.0/24\"]",
            "hosts = [\"[smtp.example.net]:587\"]",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn who_may_send_is_the_mail_server_unless_it_is_said() {
        let mut draft = draft();
        assert_eq!(draft.default_of(Question::Senders).as_deref(), Some(NOBODY));
        draft
            .answer(Question::MailServer, "[2001:db8::1]:26")
            .unwrap();
        let default = draft.default_of(Question::Senders);
        assert_eq!(default.as_deref(), Some("2001:db8::1"));
    }
}
