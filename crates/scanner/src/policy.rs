use std::fmt::Write as _;
use std::net::SocketAddr;

use mail::{Certificate, Client};

use crate::http::Unsent;
use crate::policy_action::PolicyAction;
pub use crate::policy_state::State;
use crate::protocol::Protocol;
use crate::{Answer, Fault, Subject, Wants};

/// Octets of an answer.
const ANSWER_MAX: usize = 8 * 1024;
/// Characters of a value that is told.
const VALUE_MAX: usize = 1024;

/// What a policy service is asked, beside what is known of the message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Where.
    pub state: State,
    /// Another one for each message, the same for all its recipients: by it a service knows that it
    /// has added its field already.
    pub instance: String,
    /// The recipient that this is about, without brackets; at a later state only if it is the only
    /// one.
    pub recipient: Option<String>,
    /// Whether the client said EHLO.
    pub is_extended: bool,
    /// What reverse DNS calls the client, whether or not that name leads back to it.
    pub reverse_name: Option<String>,
    /// From which port the client connects.
    pub client_port: Option<u16>,
    /// Where it connected to.
    pub server: Option<SocketAddr>,
    /// How it signed in.
    pub mechanism: Option<String>,
    /// The key length of the cipher in bits.
    pub key_bits: Option<u32>,
    /// The subject, issuer and fingerprint of the client's certificate, and that of its key, if there is
    /// one.
    pub certificate: Option<[String; 4]>,
    /// What the configuration lets a service know to tell uses apart.
    pub context: String,
}

impl Request {
    /// What is known of a client.
    pub fn about(client: &Client, state: State) -> Self {
        let tls = client.tls.as_ref();
        let certificate = tls.and_then(|tls| tls.certificate.as_deref());
        Self {
            state,
            client_port: Some(client.peer.port()),
            server: Some(client.local),
            mechanism: Some(client.mechanism.to_string()).filter(|name| !name.is_empty()),
            key_bits: tls.and_then(|tls| key_bits(&tls.cipher)),
            certificate: certificate.map(described),
            ..Self::default()
        }
    }
}

/// The name, whoever vouches for it, and fingerprints as Postfix writes them. Who issued it is not
/// known here.
fn described(certificate: &Certificate) -> [String; 4] {
    let print = |octets: &[u8; 32]| {
        let octets: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        octets.join(":")
    };
    let name = certificate.names.first().map(ToString::to_string);
    let key = certificate.key_sha256.as_ref().map(print);
    [
        name.unwrap_or_default(),
        String::new(),
        print(&certificate.sha256),
        key.unwrap_or_default(),
    ]
}

/// The length of the key of a cipher suite, by its registered name.
fn key_bits(cipher: &str) -> Option<u32> {
    let is = |part: &str| cipher.contains(part);
    if is("AES_256") || is("AES256") || is("CHACHA20") {
        Some(256)
    } else {
        (is("AES_128") || is("AES128")).then_some(128)
    }
}

/// One question to a policy service, by Postfix's protocol for `check_policy_service`.
#[derive(Debug)]
pub struct Policy {
    unsent: Unsent,
    came: Vec<u8>,
    looked: usize,
    has_surplus: bool,
}

impl Policy {
    /// One about this.
    pub fn new(request: &Request, subject: &Subject) -> Self {
        Self {
            unsent: Unsent::new(attributes(request, subject).into_bytes()),
            came: Vec::new(),
            looked: 0,
            has_surplus: false,
        }
    }
}

impl Protocol for Policy {
    fn told(&self) -> Option<u64> {
        None
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.unsent.write(out);
        Wants::Answer
    }

    fn end(&mut self, _: &mut Vec<u8>) {}

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        self.came.extend_from_slice(octets);
        let end = end(&self.came, self.looked);
        self.looked = self.came.len();
        if end.unwrap_or(self.looked) > ANSWER_MAX {
            return Err(Fault::TooLong("an answer", ANSWER_MAX));
        }
        let Some(end) = end else {
            return Ok(None);
        };
        self.has_surplus = end < self.came.len();
        let answer = self.came.get(..end).unwrap_or_default();
        let mut lines = answer.split(|&c| c == b'\n');
        let action = lines.find_map(|line| line.strip_prefix(b"action="));
        let action = action.ok_or_else(|| Fault::malformed("an answer with an action", answer))?;
        PolicyAction::read(action).map(|action| Some(Answer::Action(action)))
    }

    /// A service keeps its connections.
    fn is_reusable(&self) -> bool {
        !self.has_surplus
    }
}

/// Behind the blank line that ends an answer, looked for from an octet on before which there is none.
fn end(octets: &[u8], from: usize) -> Option<usize> {
    let from = from.saturating_sub(2);
    let rest = octets.get(from..).unwrap_or_default();
    let is_blank = |at: &usize| {
        let before = rest.get(..*at).unwrap_or_default();
        before.ends_with(b"\n") || before.ends_with(b"\n\r")
    };
    memchr::memchr_iter(b'\n', rest)
        .find(is_blank)
        .map(|at| from + at + 1)
}

/// All attributes that Postfix sends, in its order.
fn attributes(request: &Request, subject: &Subject) -> String {
    let mut all = String::new();
    let mut attribute = |name: &str, value: &dyn std::fmt::Display| {
        let value = value.to_string();
        // As Postfix does it: nothing in a value ends its line.
        let clean = |c: char| if c.is_control() { '?' } else { c };
        let value: String = value.chars().take(VALUE_MAX).map(clean).collect();
        let _ = writeln!(all, "{name}={value}");
    };
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    let name = |value: &Option<String>| value.clone().unwrap_or_else(|| "unknown".to_owned());
    let recipients = match request.state {
        State::Recipient => 0,
        State::Data | State::EndOfMessage => subject.recipients.len(),
    };
    let client = subject.client.map(|client| client.to_string());
    let tls = subject.tls.as_ref();
    let [certificate, issuer, fingerprint, key] = request.certificate.clone().unwrap_or_default();
    let number = |number: Option<u32>| number.map_or_else(String::new, |number| number.to_string());
    attribute("request", &"smtpd_access_policy");
    attribute("protocol_state", &request.state.word());
    attribute(
        "protocol_name",
        &if request.is_extended { "ESMTP" } else { "SMTP" },
    );
    attribute("client_address", &text(&client));
    attribute("client_name", &name(&subject.client_name));
    attribute("client_port", &number(request.client_port.map(u32::from)));
    attribute("reverse_client_name", &name(&request.reverse_name));
    let server = request.server.map(|server| server.ip().to_string());
    attribute("server_address", &text(&server));
    attribute(
        "server_port",
        &number(request.server.map(|server| server.port().into())),
    );
    attribute("helo_name", &text(&subject.hello));
    attribute("sender", &subject.sender);
    attribute("recipient", &text(&request.recipient));
    attribute("recipient_count", &recipients);
    attribute("queue_id", &subject.queue_id);
    attribute("instance", &request.instance);
    attribute("size", &subject.size);
    attribute("etrn_domain", &"");
    attribute("stress", &"");
    attribute("sasl_method", &text(&request.mechanism));
    attribute("sasl_username", &text(&subject.user));
    attribute("sasl_sender", &"");
    attribute("ccert_subject", &certificate);
    attribute("ccert_issuer", &issuer);
    attribute("ccert_fingerprint", &fingerprint);
    attribute("ccert_pubkey_fingerprint", &key);
    attribute("encryption_protocol", &tls.map_or("", |tls| &tls.version));
    attribute("encryption_cipher", &tls.map_or("", |tls| &tls.cipher));
    attribute("encryption_keysize", &number(request.key_bits));
    attribute("policy_context", &request.context);
    all.push('\n');
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(answer: &str) -> Result<Option<Answer>, Fault> {
        let mut whole = Policy::new(&Request::default(), &Subject::default());
        let at_once = whole.read(answer.as_bytes());
        let mut bits = Policy::new(&Request::default(), &Subject::default());
        let mut last = Ok(None);
        for octet in answer.as_bytes() {
            last = bits.read(std::slice::from_ref(octet));
            if !matches!(last, Ok(None)) {
                break;
            }
        }
        assert_eq!(last, at_once, "{answer:?}");
        at_once
    }

    #[test]
    fn all_that_postfix_tells_is_told() {
        let subject = Subject {
            hello: Some("a\r\nrecipient=x@y".to_owned()),
            sender: "ann@client.example".to_owned(),
            recipients: vec!["bob@example.com".to_owned()],
            size: 7,
            ..Subject::default()
        };
        let request = Request {
            instance: "i1".to_owned(),
            recipient: Some("bob@example.com".to_owned()),
            is_extended: true,
            server: Some("192.0.2.1:25".parse().unwrap()),
            ..Request::default()
        };
        let all = attributes(&request, &subject);
        for line in [
            "request=smtpd_access_policy",
            "protocol_state=RCPT",
            "protocol_name=ESMTP",
            "client_address=",
            "client_name=unknown",
            "reverse_client_name=unknown",
            "server_address=192.0.2.1",
            "server_port=25",
            "helo_name=a??recipient=x@y",
            "sender=ann@client.example",
            "recipient=bob@example.com",
            "recipient_count=0",
            "instance=i1",
            "size=7",
        ] {
            assert_eq!(
                all.lines().filter(|one| *one == line).count(),
                1,
                "{line}\n{all}"
            );
        }
        assert!(all.ends_with("\n\n"));
        assert_eq!(
            all.lines()
                .filter(|line| line.starts_with("recipient="))
                .count(),
            1
        );
        let later = Request {
            state: State::EndOfMessage,
            ..request
        };
        assert!(attributes(&later, &subject).contains("recipient_count=1\n"));
    }

    #[test]
    fn an_answer_ends_by_a_blank_line() {
        let dunno = Ok(Some(Answer::Action(PolicyAction::Dunno)));
        assert_eq!(ask("action=dunno \n\n"), dunno);
        assert_eq!(ask("foo=bar\r\naction=DUNNO\r\n\r\n"), dunno);
        assert_eq!(ask("action=dunno\n"), Ok(None));
        assert_eq!(ask(""), Ok(None));
        let mut more = Policy::new(&Request::default(), &Subject::default());
        assert_eq!(more.read(b"action=dunno\n\naction=ok\n\n"), dunno);
        assert!(!more.is_reusable());
    }

    #[test]
    fn hostile_answers_are_faults() {
        assert!(ask("\n\n").is_err(), "no action");
        assert!(ask("action\n\n").is_err());
        let long = ask(&"x".repeat(ANSWER_MAX + 1)).expect_err("too long");
        assert_eq!(long.to_string(), "sent more than 8192 octets as an answer");
        assert!(ask(&"a=b\n".repeat(ANSWER_MAX)).is_err());
    }
}
