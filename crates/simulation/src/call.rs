//! What a client says on one connection, and how it hears the answers.

use std::collections::VecDeque;

use crate::letter::Letter;
use crate::link::LinkId;
use crate::stage::Stage;

/// A client's part of one connection: what it has to say, and what it has heard.
pub(crate) struct Call {
    pub(crate) link: LinkId,
    pub(crate) input: Vec<u8>,
    pub(crate) manner: Manner,
    pub(crate) chunking: bool,
    /// The last transaction has not come to its end: the next one needs RSET first.
    pub(crate) unfinished: bool,
    pub(crate) letter: Option<usize>,
    /// To be sent, in this order.
    pub(crate) todo: VecDeque<Ask>,
    /// Sent, and not answered.
    pub(crate) sent: VecDeque<Ask>,
    pub(crate) accepted: Vec<String>,
    /// Counts what was sent and heard: tells whether the client still makes progress.
    pub(crate) step: u32,
}

/// How it behaves on one connection.
pub(crate) struct Manner {
    pub(crate) pipelines: bool,
    pub(crate) likes_chunks: bool,
    pub(crate) helo: bool,
    /// It falls silent after so many commands.
    pub(crate) stalls_after: Option<u32>,
    /// It goes away without a word after so many.
    pub(crate) leaves_after: Option<u32>,
    pub(crate) time_limit_millis: u64,
}

/// Something that a client says, and that has an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    Greeting,
    Hello,
    Mail,
    Rcpt(usize),
    Data,
    /// The content, after 354.
    Content,
    /// A chunk; the last one has the answer that counts.
    Chunk {
        from: usize,
        to: usize,
        last: bool,
    },
    /// NOOP, RSET, VRFY.
    Idle(&'static str),
    Quit,
}

impl Manner {
    pub(crate) fn new(stage: &mut Stage) -> Self {
        let stalls_after = stage.mishap(6).then(|| stage.random.between(1, 20) as u32);
        let leaves_after = stage.mishap(8).then(|| stage.random.between(1, 20) as u32);
        let impatient = stage.mishap(10);
        Self {
            pipelines: stage.random.chance(60),
            likes_chunks: stage.random.chance(40),
            helo: stage.random.chance(10),
            stalls_after,
            leaves_after,
            time_limit_millis: if impatient { 3_000 } else { 30 * 60_000 },
        }
    }
}

impl Call {
    /// The next whole reply: its code, and all its text.
    pub(crate) fn take_reply(&mut self) -> Option<(u16, String)> {
        let mut at = 0;
        loop {
            let length = self.input[at..].windows(2).position(|two| two == b"\r\n")?;
            let line = at..at + length;
            at += length + 2;
            if self.input[line.clone()].get(3) != Some(&b'-') {
                let text: Vec<u8> = self.input.drain(..at).collect();
                let text = String::from_utf8_lossy(&text).into_owned();
                let code = text
                    .get(..3)
                    .and_then(|code| code.parse().ok())
                    .unwrap_or(0);
                return Some((code, text));
            }
        }
    }

    pub(crate) fn words(&self, ask: &Ask, client: usize, letters: &[Letter]) -> Vec<u8> {
        let letter = self.letter.and_then(|number| letters.get(number));
        match (ask, letter) {
            (Ask::Hello, _) if self.manner.helo => format!("HELO c{client}.example\r\n").into(),
            (Ask::Hello, _) => format!("EHLO c{client}.example\r\n").into(),
            (Ask::Mail, Some(letter)) => mail(letter, !self.manner.helo).into(),
            (Ask::Rcpt(at), Some(letter)) => rcpt(letter, *at, !self.manner.helo).into(),
            (Ask::Data, _) => b"DATA\r\n".to_vec(),
            (Ask::Content, Some(letter)) if letter.smuggles => {
                [&letter.content[..], b".\r\n"].concat()
            }
            (Ask::Content, Some(letter)) => stuffed(&letter.content),
            (Ask::Chunk { from, to, last }, Some(letter)) => {
                let end = if *last { " LAST" } else { "" };
                let mut octets = format!("BDAT {}{end}\r\n", to - from).into_bytes();
                octets.extend_from_slice(&letter.content[*from..*to]);
                octets
            }
            (Ask::Idle(verb), _) => format!("{verb}\r\n").into(),
            (Ask::Quit, _) => b"QUIT\r\n".to_vec(),
            (Ask::Greeting, _) | (_, None) => Vec::new(),
        }
    }
}

fn mail(letter: &Letter, extended: bool) -> String {
    let mut line = format!(
        "MAIL FROM:<{}>",
        letter.sender.as_deref().unwrap_or_default()
    );
    if extended {
        line.push_str(&format!(" SIZE={}", letter.content.len()));
        if letter.eight_bit {
            line.push_str(" BODY=8BITMIME");
        }
        match letter.number % 4 {
            0 => line.push_str(" RET=FULL"),
            1 => line.push_str(&format!(" RET=HDRS ENVID=e{}", letter.number)),
            _ => {}
        }
    }
    line + "\r\n"
}

fn rcpt(letter: &Letter, at: usize, extended: bool) -> String {
    let addressee = &letter.addressees[at];
    let mut line = format!("RCPT TO:<{}>", addressee.address);
    if let Some(notify) = addressee.notify.filter(|_| extended) {
        line.push_str(&format!(
            " NOTIFY={notify} ORCPT=rfc822;{}",
            addressee.address
        ));
    }
    line + "\r\n"
}

/// Dots doubled at the start of lines, and the end: as RFC 5321 section 4.5.2 has it, written anew
/// here.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let mut octets = Vec::with_capacity(content.len() + 16);
    for line in content.split_inclusive(|octet| *octet == b'\n') {
        if line.first() == Some(&b'.') {
            octets.push(b'.');
        }
        octets.extend_from_slice(line);
    }
    octets.extend_from_slice(b".\r\n");
    octets
}
