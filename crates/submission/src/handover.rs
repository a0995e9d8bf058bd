use std::fmt::Write as _;

use mail::{Mailbox, Reply};
use smtp::{ReplyReader, ServerReply};

use crate::Submission;

/// One message on its way to a session of the relay: an SMTP client for a server that is known, one
/// step after the other, and all recipients or none.
///
/// [`Handover::next_step`] says what is to be done, [`Handover::receive`] and [`Handover::on_closed`] take
/// what came of it.
#[derive(Debug)]
pub struct Handover {
    hello: Box<str>,
    submission: Submission,
    replies: ReplyReader,
    stage: Stage,
    output: Vec<u8>,
}

/// Whose answer is awaited.
#[derive(Debug)]
enum Stage {
    Greeting,
    Hello,
    Mail,
    /// Of the recipient of this number.
    Rcpt(usize),
    Data,
    /// The content may be sent.
    Content,
    /// The content was sent.
    Dot,
    Ended(Ended),
}

/// What is to be done.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Send this.
    Send(Vec<u8>),
    /// Send the content, as [`crate::Content`] makes it.
    Content,
    /// Receive something.
    Receive,
    /// Nothing more.
    Ended(Ended),
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// The relay has it.
    Taken(Reply),
    /// It will never be taken. Nobody gets it.
    Refused {
        /// Whom the refusal is about, if it is about one recipient.
        recipient: Option<Mailbox>,
        /// What the relay said.
        reply: Reply,
    },
    /// Not now.
    Postponed(Reply),
}

impl Handover {
    /// Begins; `hello` is what the program calls itself.
    pub fn new(hello: &str, submission: Submission) -> Self {
        Self {
            hello: hello.into(),
            submission,
            replies: ReplyReader::new(),
            stage: Stage::Greeting,
            output: Vec::new(),
        }
    }

    /// What is handed over.
    pub fn submission(&self) -> &Submission {
        &self.submission
    }

    /// What is to be done now.
    pub fn next_step(&mut self) -> Next {
        if !self.output.is_empty() {
            return Next::Send(std::mem::take(&mut self.output));
        }
        match &self.stage {
            Stage::Content => {
                self.stage = Stage::Dot;
                Next::Content
            }
            Stage::Ended(ended) => Next::Ended(ended.clone()),
            Stage::Greeting
            | Stage::Hello
            | Stage::Mail
            | Stage::Rcpt(_)
            | Stage::Data
            | Stage::Dot => Next::Receive,
        }
    }

    /// Octets came from the relay.
    pub fn receive(&mut self, mut octets: &[u8]) {
        while !matches!(self.stage, Stage::Ended(_)) {
            match self.replies.read(&mut octets) {
                Ok(Some(reply)) => self.on_reply(reply),
                Ok(None) => return,
                Err(fault) => return self.fail(fault.to_string()),
            }
        }
    }

    /// The connection ended, or a limit of time.
    pub fn on_closed(&mut self) {
        if !matches!(self.stage, Stage::Ended(_)) {
            self.fail("the connection to the relay ended early".to_owned());
        }
    }

    fn fail(&mut self, why: String) {
        self.output.clear();
        self.stage = Stage::Ended(Ended::Postponed(Reply::new(451, 4, 2, why)));
    }

    fn on_reply(&mut self, reply: ServerReply) {
        let reply = reply.into_reply();
        let welcome = match self.stage {
            Stage::Data => reply.code() == 354,
            Stage::Greeting
            | Stage::Hello
            | Stage::Mail
            | Stage::Rcpt(_)
            | Stage::Content
            | Stage::Dot
            | Stage::Ended(_) => reply.is_positive(),
        };
        if !welcome {
            return self.end(reply);
        }
        self.stage = match self.stage {
            Stage::Greeting => {
                self.say(format_args!("EHLO {}", self.hello.clone()));
                Stage::Hello
            }
            Stage::Hello => {
                let sender = self.submission.sender.as_str().to_owned();
                let parameters = self.submission.parameters.clone();
                self.say(format_args!("MAIL FROM:<{sender}>{parameters}"));
                Stage::Mail
            }
            Stage::Mail => self.address(0),
            Stage::Rcpt(number) => self.address(number + 1),
            Stage::Data => Stage::Content,
            Stage::Content | Stage::Dot | Stage::Ended(_) => return self.end(reply),
        };
    }

    /// The next recipient, or DATA behind the last.
    fn address(&mut self, number: usize) -> Stage {
        match self.submission.recipients.get(number).cloned() {
            Some((mailbox, parameters)) => {
                self.say(format_args!("RCPT TO:<{mailbox}>{parameters}"));
                Stage::Rcpt(number)
            }
            None => {
                self.say(format_args!("DATA"));
                Stage::Data
            }
        }
    }

    fn end(&mut self, reply: Reply) {
        let recipient = match self.stage {
            Stage::Rcpt(number) => self.submission.recipients.get(number),
            Stage::Greeting
            | Stage::Hello
            | Stage::Mail
            | Stage::Data
            | Stage::Content
            | Stage::Dot
            | Stage::Ended(_) => None,
        };
        let recipient = recipient.map(|(mailbox, _)| mailbox.clone());
        // RFC 5321 section 4.5.3.1.10 has 452 for more recipients than one message may have; they
        // will not grow fewer.
        let status = reply.status();
        let too_many = status.subject == 5 && status.detail == 3;
        let ended = match self.stage {
            Stage::Dot if reply.is_positive() => Ended::Taken(reply),
            _ if reply.is_permanent() || too_many => Ended::Refused { recipient, reply },
            _ => Ended::Postponed(reply),
        };
        self.say(format_args!("QUIT"));
        self.stage = Stage::Ended(ended);
    }

    fn say(&mut self, command: std::fmt::Arguments<'_>) {
        let mut line = String::new();
        // Writing to a String cannot fail.
        let _ = write!(line, "{command}\r\n");
        self.output.extend_from_slice(line.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use mail::{MailParameters, RcptParameters, ReversePath};

    use super::*;

    fn submission() -> Submission {
        let to = ["bob@b.test", "carl@b.test"];
        Submission {
            sender: ReversePath::parse("ann@a.test").unwrap(),
            parameters: MailParameters {
                smtputf8: true,
                ..MailParameters::default()
            },
            recipients: to
                .map(|to| (Mailbox::parse(to).unwrap(), RcptParameters::default()))
                .into(),
            head: Vec::new(),
            taken: 0,
        }
    }

    /// All that is sent to a server with these replies, and how it ends.
    fn played(replies: &[&str]) -> (Vec<String>, Option<Ended>) {
        let mut handover = Handover::new("here.test", submission());
        let mut sent = Vec::new();
        let mut replies = replies.iter();
        loop {
            match handover.next_step() {
                Next::Send(octets) => sent.push(String::from_utf8(octets).unwrap()),
                Next::Content => sent.push("content".to_owned()),
                Next::Ended(ended) => return (sent, Some(ended)),
                Next::Receive => match replies.next() {
                    Some(reply) => handover.receive(format!("{reply}\r\n").as_bytes()),
                    None => handover.on_closed(),
                },
            }
        }
    }

    #[test]
    fn a_message_is_handed_over_step_by_step() {
        let (sent, ended) = played(&[
            "220 relay.test ESMTP",
            "250-relay.test\r\n250 SMTPUTF8",
            "250 2.1.0 ok",
            "250 2.1.5 ok",
            "250 2.1.5 ok",
            "354 go on",
            "250 2.0.0 queued",
        ]);
        let expected = [
            "EHLO here.test\r\n",
            "MAIL FROM:<ann@a.test> SMTPUTF8\r\n",
            "RCPT TO:<bob@b.test>\r\n",
            "RCPT TO:<carl@b.test>\r\n",
            "DATA\r\n",
            "content",
            "QUIT\r\n",
        ];
        assert_eq!(sent, expected);
        assert!(matches!(ended, Some(Ended::Taken(reply)) if reply.text() == "queued"));
    }

    #[test]
    fn it_goes_to_all_recipients_or_to_none() {
        let hello = ["220 x", "250 x", "250 2.1.0 ok", "250 2.1.5 ok"];
        let ended = |last: &[&str]| played(&[&hello, last].concat());
        let (sent, refused) = ended(&["550 5.1.1 nobody"]);
        assert_eq!(sent.last().unwrap(), "QUIT\r\n");
        let Some(Ended::Refused { recipient, reply }) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!(recipient.unwrap().as_str(), "carl@b.test");
        assert_eq!(reply.code(), 550);
        assert!(matches!(
            ended(&["452 4.5.3 many"]).1,
            Some(Ended::Refused { .. })
        ));
        for postponed in [
            &["452 4.3.1 no room"][..],
            &["250 ok", "354 go", "451 4.3.0 disk"],
            &["250 ok", "354 go"],
            &["250 ok", "354 go", "nonsense"],
            &["421 4.3.2 stopping"],
        ] {
            let (_, ended) = ended(postponed);
            assert!(matches!(ended, Some(Ended::Postponed(_))), "{postponed:?}");
        }
        assert!(matches!(
            played(&["554 5.7.1 no"]).1,
            Some(Ended::Refused {
                recipient: None,
                ..
            })
        ));
    }
}
