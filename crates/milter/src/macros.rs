//! Macros: facts by the names that Sendmail gave them.

use mail::{Mailbox, TlsFacts};

use crate::Facts;
use crate::envelope::Envelope;
use crate::negotiation::Negotiated;
use crate::packet::{DATA_MAX, packet};
use crate::step::{MacroStage, Step};

/// What is told at a stage of which a milter does not ask for others: what Sendmail and Postfix tell
/// there, and what milters miss otherwise. Some of it is known to the caller at most. `j` comes first
/// of all, as pyspf-milter cannot do without.
fn defaults(stage: MacroStage) -> &'static [&'static str] {
    match stage {
        MacroStage::Connect => &[
            "j",
            "_",
            "v",
            "{daemon_name}",
            "{daemon_addr}",
            "{daemon_port}",
            "{if_name}",
            "{if_addr}",
            "{client_addr}",
            "{client_name}",
            "{client_port}",
            "{client_ptr}",
        ],
        MacroStage::Helo => &[
            "{tls_version}",
            "{cipher}",
            "{cipher_bits}",
            "{cert_subject}",
            "{cert_issuer}",
        ],
        MacroStage::Mail => &[
            "i",
            "j",
            "_",
            "v",
            "{auth_type}",
            "{auth_authen}",
            "{auth_author}",
            "{auth_ssf}",
            "{mail_addr}",
            "{mail_host}",
            "{mail_mailer}",
        ],
        MacroStage::Rcpt => &["i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"],
        MacroStage::Data | MacroStage::EndOfHeader | MacroStage::EndOfMessage => &["i"],
    }
}

/// Values over this size are cut.
const VALUE_LEN_MAX: usize = 1000;

/// How mail goes on, in the words of Sendmail. Where it goes is decided later.
const MAILER: &str = "smtp";

/// The facts that macros tell.
#[derive(Clone, Copy)]
pub(crate) struct Macros<'a> {
    pub facts: &'a Facts,
    pub envelope: &'a Envelope,
    /// The recipient that is asked about now.
    pub recipient: Option<&'a Mailbox>,
}

impl Macros<'_> {
    /// Writes the macros that go before a step, if there are any.
    pub(crate) fn write(&self, out: &mut Vec<u8>, step: Step, negotiated: &Negotiated) {
        let Some(stage) = step.macros() else {
            return;
        };
        let mut data = vec![step.command()];
        let mut put = |name: &str| {
            let value = self.value(name).filter(|value| !value.is_empty());
            let value = value.map(|value| plain(&value)).unwrap_or_default();
            let is_room = data.len() + name.len() + value.len() + 2 <= DATA_MAX;
            if !value.is_empty() && is_room {
                data.extend_from_slice(name.as_bytes());
                data.push(0);
                data.extend_from_slice(value.as_bytes());
                data.push(0);
            }
        };
        match negotiated.macros(stage) {
            Some(asked) => asked.iter().for_each(|name| put(name)),
            None => defaults(stage).iter().for_each(|name| put(name)),
        }
        if data.len() > 1 {
            packet(out, b'D', &[&data]);
        }
    }

    fn value(&self, name: &str) -> Option<String> {
        let facts = self.facts;
        if let Some(value) = facts.macros.get(name) {
            return Some(value.to_string());
        }
        let (client, tls) = (&facts.client, facts.client.tls.as_ref());
        let user = || client.user.as_ref().map(ToString::to_string);
        let sender = self.envelope.sender.mailbox();
        let host = |mailbox: &Mailbox| mailbox.host().to_string();
        match name.trim_start_matches('{').trim_end_matches('}') {
            "j" | "daemon_name" | "if_name" => Some(facts.host.to_string()),
            "v" => Some(facts.software.to_string()),
            "i" => Some(facts.id.to_string()),
            "_" => Some(self.client()),
            "daemon_addr" | "if_addr" => Some(client.local.ip().to_string()),
            "daemon_port" => Some(client.local.port().to_string()),
            "client_addr" => Some(client.address().to_string()),
            "client_name" => Some(facts.client_name()),
            "client_port" => Some(client.peer.port().to_string()),
            "tls_version" => tls.map(|tls| tls.version.to_owned()),
            "cipher" => tls.map(|tls| tls.cipher.to_string()),
            "cert_subject" => tls.and_then(name_in_certificate),
            // opendkim takes a user for one by the mechanism alone.
            "auth_type" => user()
                .and(facts.mechanism.as_ref())
                .map(ToString::to_string),
            "auth_authen" | "auth_author" => user(),
            "mail_addr" => sender.map(ToString::to_string),
            "mail_host" => sender.map(host),
            "mail_mailer" => Some(MAILER.to_owned()),
            "rcpt_addr" => self.recipient.map(ToString::to_string),
            "rcpt_host" => self.recipient.map(host),
            "rcpt_mailer" => self.recipient.map(|_| MAILER.to_owned()),
            _ => None,
        }
    }

    /// `mail.example [192.0.2.7]`, as Postfix has it: milters put it into a Received field of theirs.
    fn client(&self) -> String {
        let name = self.facts.client_name();
        let name = match name.starts_with('[') {
            true => "unknown",
            false => &name,
        };
        format!("{name} [{}]", self.facts.client.address())
    }
}

/// The first name of a certificate that somebody vouches for.
fn name_in_certificate(tls: &TlsFacts) -> Option<String> {
    let certificate = tls.certificate.as_ref()?;
    let names = certificate.is_trusted().then_some(&certificate.names)?;
    names.first().map(ToString::to_string)
}

/// A value that ends where it is told to.
fn plain(value: &str) -> String {
    let plain = value.chars().filter(|letter| !letter.is_control());
    let mut length = 0;
    plain
        .take_while(|letter| {
            length += letter.len_utf8();
            length <= VALUE_LEN_MAX
        })
        .collect()
}
