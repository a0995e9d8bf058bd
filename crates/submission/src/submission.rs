use std::fmt;

use mail::{AddressError, Domain, Host, MailParameters, Mailbox, RcptParameters, ReversePath};
use smtp::{Command, RcptPath};

use crate::Arguments;
use crate::header::{Field, Header};

/// What a program hands in: who sends it, who is to get it, and its header as it is to go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// To whom notices about it go.
    pub sender: ReversePath,
    /// What is said of the message beside its sender.
    pub parameters: MailParameters,
    /// Who is to get it, each once, at least one.
    pub recipients: Vec<(Mailbox, RcptParameters)>,
    /// What goes before the rest of the message; its lines end as they were written.
    pub head: Vec<u8>,
    /// Octets at the beginning of the message in place of which `head` stands.
    pub taken: usize,
}

/// Who wrote the message down, and where the envelope is to be found.
#[derive(Debug, Clone, Copy)]
pub enum Origin<'a> {
    /// A file in the pickup directory, at a relay of this name.
    File(&'a Domain),
    /// A call of `sendmail` by this user.
    Program(&'a Arguments, &'a Mailbox),
}

/// Why a message cannot be handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotSubmitted {
    /// Nobody is to get it.
    NoRecipients,
    /// Nobody sends it.
    NoSender,
    /// What stands where an address is expected.
    Address(String, AddressError),
    /// What stands in a line X-Sender or X-Receiver.
    Envelope(String),
}

/// By these IIS knows the envelope of a file. They count as the first fields of a message alone:
/// further down they belong to whoever wrote the message.
const X_SENDER: &str = "X-Sender";
const X_RECEIVER: &str = "X-Receiver";

fn is_envelope_line(field: &Field<'_>) -> bool {
    field.is(X_SENDER) || field.is(X_RECEIVER)
}

impl Submission {
    /// Reads the beginning of a message, which must hold the header whole.
    ///
    /// A file names sender and recipients in the lines X-Sender and X-Receiver, which are taken
    /// off; where it has none, in the fields From (or Sender), To, Cc and Bcc. A call of `sendmail`
    /// names them by its arguments. Bcc is always taken out.
    ///
    /// # Errors
    /// When nobody sends it, nobody is to get it, or an address is none.
    pub fn read(start: &[u8], origin: Origin<'_>) -> Result<Self, NotSubmitted> {
        let header = Header::of(start);
        let lines = header.fields().iter();
        let leading = lines.take_while(|field| is_envelope_line(field)).count();
        let (leading, fields) = header.fields().split_at(leading);
        let mut submission = match origin {
            Origin::File(hostname) => Self::of_file(leading, fields, hostname)?,
            Origin::Program(arguments, user) => Self::of_program(fields, arguments, user)?,
        };
        if submission.recipients.is_empty() {
            return Err(NotSubmitted::NoRecipients);
        }
        let mut recipients = submission.recipients.iter().map(|(mailbox, _)| mailbox);
        let sender = submission.sender.mailbox();
        submission.parameters.smtputf8 |=
            recipients.any(Mailbox::needs_smtputf8) || sender.is_some_and(Mailbox::needs_smtputf8);
        submission.keep(fields, &start[header.len()..]);
        submission.taken = header.len();
        Ok(submission)
    }

    fn from(sender: ReversePath) -> Self {
        Self {
            sender,
            parameters: MailParameters::default(),
            recipients: Vec::new(),
            head: Vec::new(),
            taken: 0,
        }
    }

    fn of_file(
        leading: &[Field<'_>],
        fields: &[Field<'_>],
        hostname: &Domain,
    ) -> Result<Self, NotSubmitted> {
        let mut submission = match leading.iter().find(|line| line.is(X_SENDER)) {
            Some(line) => Self::from_line(&line.value(), hostname)?,
            None => Self::from(named_sender(fields, hostname)?),
        };
        let mut is_addressed = false;
        for line in leading.iter().filter(|line| line.is(X_RECEIVER)) {
            is_addressed = true;
            submission.add_line(&line.value(), hostname)?;
        }
        if !is_addressed {
            submission.add_fields(fields, hostname, &RcptParameters::default())?;
        }
        Ok(submission)
    }

    fn of_program(
        fields: &[Field<'_>],
        arguments: &Arguments,
        user: &Mailbox,
    ) -> Result<Self, NotSubmitted> {
        let hostname = match user.host() {
            Host::Domain(hostname) => hostname,
            Host::Literal(_) => return Err(NotSubmitted::NoSender),
        };
        let sender = match &arguments.sender {
            Some(sender) => path(addresses(sender).first().map_or("", |one| one), hostname)?,
            None => ReversePath::Mailbox(user.clone()),
        };
        let mut submission = Self {
            parameters: arguments.parameters.clone(),
            ..Self::from(sender)
        };
        for list in &arguments.recipients {
            submission.add(list, hostname, &arguments.of_recipients)?;
        }
        if arguments.reads_recipients {
            submission.add_fields(fields, hostname, &arguments.of_recipients)?;
        }
        if !fields.iter().any(|field| field.is("From")) {
            let from = submission.sender.mailbox().unwrap_or(user);
            submission.head = from_field(arguments.full_name.as_deref(), from);
        }
        Ok(submission)
    }

    /// Keeps the fields that travel on, and what has to stand between them and the rest. The first of
    /// them is no line of an envelope: in a file it would be read as one.
    fn keep(&mut self, fields: &[Field<'_>], rest: &[u8]) {
        for field in fields {
            if message::names_blind_copies(field.name())
                || self.head.is_empty() && is_envelope_line(field)
            {
                continue;
            }
            self.head.extend_from_slice(field.text());
            if !field.text().ends_with(b"\n") {
                self.head.extend_from_slice(b"\r\n");
            }
        }
        let begins_empty = rest.starts_with(b"\n") || rest.starts_with(b"\r\n");
        if !rest.is_empty() && !begins_empty {
            self.head.extend_from_slice(b"\r\n");
        }
    }

    /// `<ann@example.com> RET=HDRS`, as MAIL has it, or an address in any other form.
    fn from_line(value: &str, hostname: &Domain) -> Result<Self, NotSubmitted> {
        if !value.starts_with('<') {
            let address = addresses(value);
            return Ok(Self::from(path(
                address.first().map_or("", |one| one),
                hostname,
            )?));
        }
        match Command::parse(format!("MAIL FROM:{value}").as_bytes()) {
            Ok(Command::Mail(mail)) => Ok(Self {
                parameters: mail.parameters,
                ..Self::from(mail.reverse_path)
            }),
            Ok(_) | Err(_) => Err(NotSubmitted::Envelope(value.to_owned())),
        }
    }

    /// The same for RCPT.
    fn add_line(&mut self, value: &str, hostname: &Domain) -> Result<(), NotSubmitted> {
        if !value.starts_with('<') {
            return self.add(value, hostname, &RcptParameters::default());
        }
        match Command::parse(format!("RCPT TO:{value}").as_bytes()) {
            Ok(Command::Rcpt(rcpt)) => {
                let mailbox = match rcpt.path {
                    RcptPath::Mailbox(mailbox) => mailbox,
                    RcptPath::Postmaster => Mailbox::postmaster(hostname),
                };
                self.push(mailbox, rcpt.parameters);
                Ok(())
            }
            Ok(_) | Err(_) => Err(NotSubmitted::Envelope(value.to_owned())),
        }
    }

    /// To, Cc and Bcc; of a message that was sent once more those to whom it is sent now, and not
    /// those who have it (RFC 5322 section 3.6.6).
    fn add_fields(
        &mut self,
        fields: &[Field<'_>],
        hostname: &Domain,
        parameters: &RcptParameters,
    ) -> Result<(), NotSubmitted> {
        const FIRST: [&str; 3] = ["To", "Cc", "Bcc"];
        const AGAIN: [&str; 3] = ["Resent-To", "Resent-Cc", "Resent-Bcc"];
        let any_of = |names: [&str; 3], field: &Field<'_>| names.iter().any(|name| field.is(name));
        let is_again = fields.iter().any(|field| any_of(AGAIN, field));
        let names = if is_again { AGAIN } else { FIRST };
        for field in fields.iter().filter(|field| any_of(names, field)) {
            self.add(&field.value(), hostname, parameters)?;
        }
        Ok(())
    }

    fn add(
        &mut self,
        list: &str,
        hostname: &Domain,
        parameters: &RcptParameters,
    ) -> Result<(), NotSubmitted> {
        for address in addresses(list) {
            let whole = qualified(&address, hostname);
            let mailbox = Mailbox::parse_recipient(&whole)
                .map_err(|why| NotSubmitted::Address(address, why))?;
            self.push(mailbox, parameters.clone());
        }
        Ok(())
    }

    fn push(&mut self, mailbox: Mailbox, parameters: RcptParameters) {
        if !self.recipients.iter().any(|(known, _)| *known == mailbox) {
            self.recipients.push((mailbox, parameters));
        }
    }

    /// The lines with which a file in the pickup directory begins, so that it is read as this
    /// submission again.
    pub fn envelope_lines(&self) -> String {
        let sender = self.sender.as_str();
        let mut lines = format!("{X_SENDER}: <{sender}>{}\r\n", self.parameters);
        for (mailbox, parameters) in &self.recipients {
            lines.push_str(&format!("{X_RECEIVER}: <{mailbox}>{parameters}\r\n"));
        }
        lines
    }
}

/// Each address of a list as it stands there. What makes no sense comes out as it is, and is no
/// address then.
fn addresses(list: &str) -> Vec<String> {
    let listed = message::listed_mailboxes(list.as_bytes()).into_iter();
    let addresses = listed.map(|mailbox| mailbox.address);
    addresses.filter(|address| !address.is_empty()).collect()
}

/// RFC 5322 section 3.6.2: the one who sent it stands in Sender, where it is none of those who
/// wrote it.
fn named_sender(fields: &[Field<'_>], hostname: &Domain) -> Result<ReversePath, NotSubmitted> {
    for name in ["Sender", "From"] {
        let mut named = fields.iter().filter(|field| field.is(name));
        let address = named.find_map(|field| addresses(&field.value()).into_iter().next());
        if let Some(address) = address {
            return path(&address, hostname);
        }
    }
    Err(NotSubmitted::NoSender)
}

fn path(address: &str, hostname: &Domain) -> Result<ReversePath, NotSubmitted> {
    if address.is_empty() {
        return Ok(ReversePath::Null);
    }
    let mailbox = Mailbox::parse(&qualified(address, hostname));
    mailbox
        .map(ReversePath::Mailbox)
        .map_err(|why| NotSubmitted::Address(address.to_owned(), why))
}

/// The name of an account alone means the account at this relay.
fn qualified(address: &str, hostname: &Domain) -> String {
    if address.contains('@') {
        return address.to_owned();
    }
    format!("{address}@{hostname}")
}

/// Octets of a name in one encoded word, whose length RFC 2047 section 2 limits to 75.
const WORD_OCTETS_MAX: usize = 42;

fn from_field(full_name: Option<&str>, from: &Mailbox) -> Vec<u8> {
    let name: String = full_name
        .unwrap_or_default()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    let name = match name.trim() {
        "" => return format!("From: <{from}>\r\n").into_bytes(),
        name if name.is_ascii() => {
            format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""))
        }
        name => encoded_words(name),
    };
    format!("From: {name} <{from}>\r\n").into_bytes()
}

fn encoded_words(text: &str) -> String {
    let mut words = Vec::new();
    let mut word = String::new();
    for c in text.chars() {
        if word.len() + c.len_utf8() > WORD_OCTETS_MAX {
            words.push(std::mem::take(&mut word));
        }
        word.push(c);
    }
    words.push(word);
    let encoded = words
        .iter()
        .map(|word| format!("=?UTF-8?B?{}?=", smtp::to_base64(word.as_bytes())));
    encoded.collect::<Vec<_>>().join("\r\n ")
}

impl fmt::Display for NotSubmitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRecipients => f.write_str("no recipients are named"),
            Self::NoSender => f.write_str("no sender is named"),
            Self::Address(text, why) => write!(f, "`{}` is no address: {why}", mail::escaped(text)),
            Self::Envelope(text) => {
                let text = mail::escaped(text);
                write!(f, "`{text}` in X-Sender or X-Receiver makes no sense")
            }
        }
    }
}

impl std::error::Error for NotSubmitted {}
