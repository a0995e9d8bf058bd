use crate::fault::text;
use crate::http::{Reply, RequestHead, Unsent};
use crate::protocol::Protocol;
use crate::{Answer, Fault, Learned, PIECE_MAX, Secret, Subject, Wants};

use self::verdict::finding;

#[path = "rspamd/verdict.rs"]
mod verdict;

/// Octets of an answer: a few hundred symbols, and fields to add.
const ANSWER_MAX: usize = 1024 * 1024;
/// Characters of what it says about learning.
const WORDS_MAX: usize = 256;

/// What rspamd is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// What the message is (`/checkv2`; its normal worker).
    Check,
    /// That the message is spam (`/learnspam`; its controller).
    LearnSpam,
    /// That it is none (`/learnham`; its controller).
    LearnHam,
    /// That messages like it are to be known (`/fuzzyadd`; its controller).
    FuzzyAdd {
        /// On which list.
        flag: u32,
        /// How much that counts.
        weight: i32,
    },
    /// That they are not to be (`/fuzzydel`; its controller).
    FuzzyDelete {
        /// From which list.
        flag: u32,
    },
    /// Whether it is there (`/ping`).
    Ping,
}

impl Command {
    fn path(self) -> &'static str {
        match self {
            Self::Check => "/checkv2",
            Self::LearnSpam => "/learnspam",
            Self::LearnHam => "/learnham",
            Self::FuzzyAdd { .. } => "/fuzzyadd",
            Self::FuzzyDelete { .. } => "/fuzzydel",
            Self::Ping => "/ping",
        }
    }
}

/// How rspamd is to be asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// The host that stands in the request, by which nothing is chosen.
    pub host: String,
    /// For the controller, or where the normal worker asks for one.
    pub password: Option<Secret>,
    /// Which settings of rspamd's own are to be used.
    pub settings_id: Option<String>,
}

/// One question to rspamd by HTTP.
///
/// Of what it answers its action alone decides. That a message was skipped is said of those, too,
/// that are refused at once.
/// What it asks for in its block for milters is edits: changes of header fields, and those of sender
/// and recipients, which only rules of a site's own can ask for.
#[derive(Debug)]
pub struct Rspamd {
    command: Command,
    unsent: Unsent,
    has_content: bool,
    told: Option<u64>,
    reply: Reply,
}

impl Rspamd {
    /// One that asks this about the message.
    pub fn new(command: Command, settings: &Settings, subject: &Subject) -> Self {
        let has_content = command != Command::Ping;
        Self {
            command,
            unsent: Unsent::new(request(command, settings, subject)),
            has_content,
            told: has_content.then_some(subject.size),
            reply: Reply::new(ANSWER_MAX),
        }
    }
}

impl Protocol for Rspamd {
    fn told(&self) -> Option<u64> {
        self.told
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.unsent.write(out);
        if self.has_content {
            Wants::Content(PIECE_MAX)
        } else {
            Wants::Answer
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) {
        self.has_content = false;
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        if !self.reply.read(octets)? {
            return Ok(None);
        }
        self.answer().map(Some)
    }

    fn closed(&mut self) -> Result<Answer, Fault> {
        if !self.reply.is_whole_when_closed() {
            return Err(Fault::Closed);
        }
        self.answer()
    }

    /// An answer that came before the content was over leaves the rest of it in the connection.
    fn is_reusable(&self) -> bool {
        !self.has_content && self.reply.is_reusable()
    }
}

impl Rspamd {
    fn answer(&self) -> Result<Answer, Fault> {
        let status = self.reply.head().map_or(0, |head| head.status);
        let body = self.reply.body();
        match self.command {
            Command::Ping if status == 200 => Ok(Answer::Alive),
            Command::Check if status == 200 => finding(body).map(Answer::Finding),
            Command::Check | Command::Ping => Err(refused(status, body)),
            Command::LearnSpam
            | Command::LearnHam
            | Command::FuzzyAdd { .. }
            | Command::FuzzyDelete { .. } => learned(status, body).map(Answer::Learned),
        }
    }
}

fn request(command: Command, settings: &Settings, subject: &Subject) -> Vec<u8> {
    let method = if command == Command::Ping {
        "GET"
    } else {
        "POST"
    };
    let mut head = RequestHead::new(method, command.path(), "HTTP/1.1", &settings.host);
    head.field("User-Agent", "Gatepost");
    // It closes the connection where it is not asked to keep it, and may all the same.
    head.field("Connection", "keep-alive");
    if let Some(password) = &settings.password {
        head.field("Password", password.reveal());
    }
    match command {
        Command::FuzzyAdd { flag, weight } => {
            head.field("Flag", flag);
            head.field("Weight", weight);
        }
        Command::FuzzyDelete { flag } => head.field("Flag", flag),
        Command::Check | Command::LearnSpam | Command::LearnHam | Command::Ping => {}
    }
    if command == Command::Check {
        facts(&mut head, settings, subject);
    }
    if command != Command::Ping {
        head.field("Content-Length", subject.size);
    }
    head.end()
}

/// What rspamd wants to know of a message beside its content.
fn facts(head: &mut RequestHead, settings: &Settings, subject: &Subject) {
    let mut optional = |name: &str, value: &Option<String>| {
        if let Some(value) = value {
            head.field(name, value);
        }
    };
    optional("Hostname", &subject.client_name);
    optional("Helo", &subject.hello);
    optional("User", &subject.user);
    optional("Settings-ID", &settings.settings_id);
    if let Some(client) = subject.client {
        head.field("Ip", client);
    }
    head.field("From", format_args!("<{}>", subject.sender));
    for recipient in &subject.recipients {
        head.field("Rcpt", format_args!("<{recipient}>"));
    }
    if let Some(tls) = &subject.tls {
        head.field("TLS-Version", &tls.version);
        head.field("TLS-Cipher", &tls.cipher);
    }
    head.field("Queue-Id", &subject.queue_id);
    // By this name it signs what it found in Authentication-Results.
    head.field("MTA-Name", &subject.server);
}

fn json(body: &[u8]) -> Result<serde_json::Value, Fault> {
    serde_json::from_slice(body).map_err(|_| Fault::malformed("JSON", body))
}

/// What it says of what went wrong.
fn words(body: &[u8]) -> String {
    let json = json(body).unwrap_or_default();
    let said = json.get("error").and_then(serde_json::Value::as_str);
    text(said.map_or(body, str::as_bytes), WORDS_MAX)
}

fn refused(status: u16, body: &[u8]) -> Fault {
    Fault::Failed(format!("HTTP {status}: {}", words(body)))
}

fn learned(status: u16, body: &[u8]) -> Result<Learned, Fault> {
    match status {
        // It answers an error by 200 as well.
        200 if json(body)?.get("success") == Some(&true.into()) => Ok(Learned::Now),
        // Nothing in it to learn from.
        204 => Ok(Learned::NotNeeded(words(body))),
        // Known: that is 208, and 404 in some versions, as is much else.
        _ => match words(body) {
            known if known.contains("already learned") => Ok(Learned::NotNeeded(known)),
            _ => Err(refused(status, body)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TlsFacts;

    #[test]
    fn rspamd_is_told_all_there_is_to_know() {
        let subject = Subject {
            queue_id: "01abc".to_owned(),
            client: Some("192.0.2.7".parse().unwrap()),
            client_name: Some("client.example".to_owned()),
            hello: Some("helo.example".to_owned()),
            user: Some("ann\r\nPassword: x".to_owned()),
            sender: String::new(),
            recipients: vec!["a@example.com".to_owned(), "b@example.com".to_owned()],
            tls: Some(TlsFacts {
                version: "TLSv1.3".to_owned(),
                cipher: "TLS_AES_128_GCM_SHA256".to_owned(),
            }),
            server: "mx.example".to_owned(),
            facts: vec![("spf", "pass")],
            size: 12,
        };
        let settings = Settings {
            host: "rspamd.example".to_owned(),
            password: Some(Secret::new("q1")),
            settings_id: Some("inbound".to_owned()),
        };
        let mut rspamd = Rspamd::new(Command::Check, &settings, &subject);
        assert!(!format!("{rspamd:?}{settings:?}").contains("q1"));
        let mut out = Vec::new();
        assert_eq!(rspamd.write(&mut out), Wants::Content(PIECE_MAX));
        let expected = "POST /checkv2 HTTP/1.1\r\nHost: rspamd.example\r\nUser-Agent: Gatepost\r\n\
                        Connection: keep-alive\r\nPassword: q1\r\nHostname: client.example\r\nHelo: helo.example\r\n\
                        Settings-ID: inbound\r\nIp: 192.0.2.7\r\nFrom: <>\r\nRcpt: <a@example.com>\r\n\
                        Rcpt: <b@example.com>\r\nTLS-Version: TLSv1.3\r\n\
                        TLS-Cipher: TLS_AES_128_GCM_SHA256\r\nQueue-Id: 01abc\r\n\
                        MTA-Name: mx.example\r\nContent-Length: 12\r\n\r\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }

    #[test]
    fn learning_is_told_apart_from_knowing_and_from_failing() {
        assert_eq!(learned(200, br#"{"success":true}"#), Ok(Learned::Now));
        let known = br#"{"error":"<x> has been already learned as ham, ignore it"}"#;
        for status in [208, 404] {
            assert!(matches!(learned(status, known), Ok(Learned::NotNeeded(_))));
        }
        assert!(learned(404, br#"{"error":"no classifier"}"#).is_err());
        assert_eq!(
            learned(403, br#"{"error":"Unauthorized"}"#),
            Err(Fault::Failed("HTTP 403: Unauthorized".to_owned()))
        );
        assert!(learned(200, b"{}").is_err());
        assert!(learned(500, b"\xff\x1b").is_err());
    }
}
