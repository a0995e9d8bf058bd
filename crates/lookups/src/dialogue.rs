//! The few commands by which a server is asked whether it takes a recipient.

use std::borrow::Cow;
use std::io;

use mail::{Mailbox, Reply};
use relay_policy::Fact;
use smtp::{Offers, ReplyReader, ServerReply};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::dial;

/// Octets read at once: replies are short.
const READ_BYTES: usize = 4 << 10;

/// A connection on which nothing is under way.
pub(super) struct Dialogue {
    stream: TcpStream,
    smtputf8: bool,
}

impl Dialogue {
    /// Waits for the greeting, and greets as `name`.
    pub(super) async fn open(stream: TcpStream, name: &str) -> Result<Self, String> {
        let mut dialogue = Self {
            stream,
            smtputf8: false,
        };
        expect(dialogue.reply().await?.reply(), "the greeting")?;
        let ehlo = dialogue.command(&format!("EHLO {name}")).await?;
        if ehlo.reply().is_positive() {
            dialogue.smtputf8 = Offers::from_ehlo(&ehlo).smtputf8;
        } else {
            let helo = dialogue.command(&format!("HELO {name}")).await?;
            expect(helo.reply(), "HELO")?;
        }
        Ok(dialogue)
    }

    /// Asks about one recipient. The connection comes back if it can be used again.
    ///
    /// # Errors
    /// The connection broke or the server does not speak SMTP; why.
    pub(super) async fn ask(
        mut self,
        recipient: &Mailbox,
    ) -> Result<(Fact<()>, Option<Self>), String> {
        let utf8 = self.smtputf8 && recipient.needs_smtputf8();
        let (address, mail) = match recipient.in_ascii() {
            _ if utf8 => (Cow::Borrowed(recipient.as_str()), " SMTPUTF8"),
            Some(ascii) => (ascii, ""),
            None => return Ok((Fact::CannotTell, Some(self))),
        };
        let mail = self.command(&format!("MAIL FROM:<>{mail}")).await?;
        if !mail.reply().is_positive() {
            tracing::debug!(reply = %mail.reply(), "MAIL FROM:<> was refused to a question for a recipient");
            return Ok((Fact::CannotTell, None));
        }
        let rcpt = self.command(&format!("RCPT TO:<{address}>")).await?;
        let fact = judged(rcpt.reply());
        let reset = self.command("RSET").await?;
        let reusable = reset.reply().is_positive() && rcpt.reply().code() != 421;
        Ok((fact, reusable.then_some(self)))
    }

    async fn command(&mut self, line: &str) -> Result<ServerReply, String> {
        let line = format!("{line}\r\n");
        let written = self.stream.write_all(line.as_bytes()).await;
        written.map_err(|error| dial::plain(&error))?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<ServerReply, String> {
        let mut reader = ReplyReader::new();
        loop {
            let mut buffer = [0; READ_BYTES];
            let count = match self.stream.read(&mut buffer).await {
                Ok(0) => return Err("it hung up".to_owned()),
                Ok(count) => count,
                Err(error) => return Err(dial::plain(&error)),
            };
            let mut input = &buffer[..count];
            let reply = reader.read(&mut input).map_err(|fault| fault.to_string())?;
            match reply {
                // One command, one reply: what else has come answers nothing.
                Some(_) if !input.is_empty() => return Err("it spoke out of turn".to_owned()),
                Some(reply) => return Ok(reply),
                None => {}
            }
        }
    }

    /// Whether the server has said or ended something meanwhile: then the connection is of no use.
    pub(super) fn is_stale(&self) -> bool {
        let mut octet = [0];
        match self.stream.try_read(&mut octet) {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        }
    }
}

fn expect(reply: &Reply, what: &str) -> Result<(), String> {
    if reply.is_positive() {
        return Ok(());
    }
    Err(format!("{what} was answered {reply}"))
}

/// What the answer to RCPT says about the recipient. Only a refusal of this very recipient is a no:
/// policy, full mailboxes and faults of the server say nothing about who exists.
fn judged(reply: &Reply) -> Fact<()> {
    if reply.is_positive() {
        return Fact::Yes(());
    }
    if !reply.is_permanent() {
        return Fact::CannotTell;
    }
    let status = reply.has_status().then(|| reply.status());
    match status.map(|status| (status.subject, status.detail)) {
        // Addressing status: bad mailbox, bad domain, moved.
        Some((1, _)) => Fact::No,
        // Policy; a mailbox that is full, and one for which the message is too long.
        Some((7, _) | (2, 2 | 3)) => Fact::CannotTell,
        // RFC 5321 section 4.2.3: mailbox unavailable, user not local, mailbox name not allowed.
        Some(_) | None if matches!(reply.code(), 550 | 551 | 553) => Fact::No,
        Some(_) | None => Fact::CannotTell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_of_the_recipient_is_a_no() {
        let cases = [
            ("250 2.1.5 ok", Fact::Yes(())),
            ("251 will forward", Fact::Yes(())),
            ("550 5.1.1 unknown", Fact::No),
            ("550 no such user", Fact::No),
            (
                "550 5.4.1 Recipient address rejected: Access denied",
                Fact::No,
            ),
            ("550 5.2.1 disabled", Fact::No),
            ("551 user not local", Fact::No),
            ("553 5.1.3 bad address", Fact::No),
            ("501 5.1.3 bad address", Fact::No),
            ("554 5.1.0 unknown", Fact::No),
            ("550 5.7.1 relaying denied", Fact::CannotTell),
            ("554 go away", Fact::CannotTell),
            ("552 5.2.2 full", Fact::CannotTell),
            ("552 full", Fact::CannotTell),
            (
                "530 5.7.0 Must issue a STARTTLS command first",
                Fact::CannotTell,
            ),
            ("503 bad sequence", Fact::CannotTell),
            ("450 4.2.0 greylisted", Fact::CannotTell),
            ("421 closing", Fact::CannotTell),
            ("354 what", Fact::CannotTell),
        ];
        for (text, expected) in cases {
            let mut input = format!("{text}\r\n").into_bytes();
            let mut input = &std::mem::take(&mut input)[..];
            let reply = ReplyReader::new().read(&mut input).unwrap().unwrap();
            assert_eq!(judged(reply.reply()), expected, "{text}");
        }
    }
}
