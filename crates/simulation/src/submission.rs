use crate::domains::{BLOCKED, Class, FOREIGN, HOPELESS, HOSTED, SENDERS};
use crate::random::Random;
use crate::rules::{self, Fate};

/// A message that a client wants sent: one sender, some recipients, one content. Every address
/// carries its number, so that whatever turns up anywhere can be traced to it.
#[derive(Debug)]
pub(crate) struct Submission {
    pub(crate) number: usize,
    /// As an address; none for the null sender.
    pub(crate) sender: Option<String>,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) content: Vec<u8>,
    /// The content tries to smuggle a second message past us: it must be refused.
    pub(crate) smuggles: bool,
    pub(crate) eight_bit: bool,
    /// It comes as a file in the pickup directory.
    pub(crate) is_file: bool,
}

/// One of its recipients.
#[derive(Debug)]
pub(crate) struct Recipient {
    pub(crate) address: String,
    /// Whether the relay may take it from this client.
    pub(crate) allowed: bool,
    /// The `NOTIFY` parameter, if it is given.
    pub(crate) notify: Option<&'static str>,
}

impl Recipient {
    fn new(submission: usize, n: usize, class: Class, random: &mut Random) -> Self {
        let (domain, allowed) = match random.below(100) {
            0..50 => (*random.pick(&HOSTED), true),
            50..85 => (*random.pick(&FOREIGN), class.may_relay()),
            85..95 => (*random.pick(&HOPELESS), class.may_relay()),
            _ => (BLOCKED, false),
        };
        // Local parts beginning with x are unknown to their servers.
        let kind = if random.chance(8) { 'x' } else { 'r' };
        let notify = random.chance(30).then(|| *random.pick(&NOTIFY));
        let address = format!("{kind}{submission}-{n}@{domain}");
        Self {
            allowed,
            // Those whose mail goes to one mailbox would get it there once for each wish.
            notify: notify.filter(|_| Fate::of(submission, &address) != Fate::Moved),
            address,
        }
    }

    /// The command that names it, with parameters or without.
    pub(crate) fn rcpt(&self, extended: bool) -> String {
        let address = &self.address;
        match self.notify.filter(|_| extended) {
            Some(notify) => {
                format!("RCPT TO:<{address}> NOTIFY={notify} ORCPT=rfc822;{address}\r\n")
            }
            None => format!("RCPT TO:<{address}>\r\n"),
        }
    }

    /// Whether the sender is to hear of failure.
    pub(crate) fn wants_failures(&self) -> bool {
        self.notify.is_none_or(|notify| notify.contains("FAILURE"))
    }
}

const NOTIFY: [&str; 5] = [
    "NEVER",
    "FAILURE",
    "SUCCESS",
    "SUCCESS,FAILURE",
    "FAILURE,DELAY",
];

impl Submission {
    pub(crate) fn new(number: usize, class: Class, random: &mut Random) -> Self {
        let sender = match random.below(10) {
            0 => None,
            // Its notices find nobody.
            1 => Some(format!("s{number}@gone.example")),
            _ => Some(format!("s{number}@{SENDERS}")),
        };
        let count = *random.pick(&[1, 1, 1, 2, 3, 6]);
        let recipients = (0..count).map(|n| Recipient::new(number, n, class, random));
        let recipients = recipients.collect();
        let (smuggles, eight_bit) = (random.chance(3), random.chance(15));
        Self {
            number,
            sender,
            recipients,
            content: content(number, smuggles, eight_bit, random),
            smuggles,
            eight_bit,
            is_file: false,
        }
    }

    /// One in a file, whose envelope has no parameters; with line ends of all kinds it is another
    /// message when it is handed over.
    pub(crate) fn of_file(number: usize, random: &mut Random) -> Self {
        let mut message = Self::new(number, Class::Listed, random);
        if message.smuggles {
            message.content = content(number, false, message.eight_bit, random);
        }
        for recipient in &mut message.recipients {
            recipient.notify = None;
        }
        Self {
            smuggles: false,
            is_file: true,
            ..message
        }
    }

    /// The command that begins it, with parameters or without.
    pub(crate) fn mail(&self, extended: bool, prdr: bool) -> String {
        let (number, size) = (self.number, self.content.len());
        let sender = self.sender.as_deref().unwrap_or_default();
        if !extended {
            return format!("MAIL FROM:<{sender}>\r\n");
        }
        let body = if self.eight_bit { " BODY=8BITMIME" } else { "" };
        let ret = match number % 4 {
            0 => " RET=FULL".to_owned(),
            1 => format!(" RET=HDRS ENVID=e{number}"),
            _ => String::new(),
        };
        let prdr = if prdr { " PRDR" } else { "" };
        format!("MAIL FROM:<{sender}> SIZE={size}{body}{ret}{prdr}\r\n")
    }

    /// Which scanner finds malware in it; programs of this machine send none.
    pub(crate) fn found_by(&self) -> Option<&'static str> {
        rules::finds(self.number).filter(|_| !self.is_file)
    }

    pub(crate) fn recipient(&self, address: &str) -> Option<&Recipient> {
        let mut recipients = self.recipients.iter();
        recipients.find(|recipient| recipient.address == address)
    }
}

/// The number of the submission that an address belongs to, and whether it is the sender's.
pub(crate) fn owner(address: &str) -> Option<(usize, bool)> {
    let is_sender = address.starts_with('s');
    let digits = address.get(1..)?.split(['-', '@']).next()?;
    Some((digits.parse().ok()?, is_sender))
}

/// Whether its server knows nobody of this name.
pub(crate) fn is_unknown(address: &str) -> bool {
    address.starts_with('x')
}

const WORDS: [&str; 7] = ["", "words", "QUIT", "DATA", ".", "..", ".hidden"];

fn content(number: usize, smuggles: bool, eight_bit: bool, random: &mut Random) -> Vec<u8> {
    let mut text = format!("From: s{number}@senders.example\r\nSubject: number {number}\r\n");
    if random.chance(50) {
        text.push_str("Date: Thu, 1 Jan 2026 00:00:00 +0000\r\n");
    }
    text.push_str("\r\n");
    // The only dots of a smuggler are those that must not end the message.
    let words = if smuggles { &WORDS[..4] } else { &WORDS };
    let is_large = random.chance(3);
    let (low, high) = if is_large { (1000, 3000) } else { (0, 20) };
    for _ in 0..random.size(low, high) {
        text.push_str(random.pick::<&str>(words));
        text.extend(std::iter::repeat_n('x', random.size(0, 60)));
        text.push_str("\r\n");
    }
    if eight_bit {
        text.push_str("Grüße\r\n");
    }
    if smuggles {
        text.push_str(random.pick::<&str>(&["\n.\r\n", "\r\n.\n", "\r.\r\n", "\n.\n"]));
        text.push_str("MAIL FROM:<evil@evil.example>\r\nRCPT TO:<r0-0@foreign1.example>\r\n");
    }
    text.into_bytes()
}
