//! What became of messages, in the shapes of the lines that Postfix hands to syslog, with the time
//! stamps of RFC 3164: for readers of such logs that know nothing else.

use std::fmt::{self, Write as _};
use std::net::IpAddr;

use mail::{EnhancedStatus, QueueId, Timestamp, escaped};

use crate::Settings;

/// Something that a `maillog` tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MailLine {
    /// A message was taken: three lines.
    Accepted {
        /// Its queue id.
        id: QueueId,
        /// Who brought it.
        client: IpAddr,
        /// The client's host name; empty where nobody knows it.
        name: Box<str>,
        /// Its Message-ID, without brackets.
        message_id: Box<str>,
        /// Its sender; empty for a notice.
        from: Box<str>,
        /// Its octets.
        size: u64,
        /// For so many.
        recipients: usize,
    },
    /// A recipient was refused or postponed.
    Refused {
        /// Who named it.
        client: IpAddr,
        /// The sender; empty for a notice.
        from: Box<str>,
        /// The recipient.
        to: Box<str>,
        /// The code of the reply, its status and its text.
        reply: Box<str>,
    },
    /// A message has a recipient who was given up for its age.
    Expired {
        /// Its queue id.
        id: QueueId,
        /// Its sender; empty for a notice.
        from: Box<str>,
        /// Whether the sender is told.
        told: bool,
    },
    /// The sender of a message is told of it by another message: two lines.
    Notice {
        /// What it is about.
        about: QueueId,
        /// Its own queue id.
        id: QueueId,
        /// Its octets.
        size: u64,
    },
    /// What came of an attempt for one recipient.
    Tried {
        /// The queue id of the message.
        id: QueueId,
        /// The recipient.
        to: Box<str>,
        /// The host, as `name[address]:port`; empty where none was reached.
        relay: Box<str>,
        /// Since the message came, in milliseconds.
        delay: u64,
        /// What the reply said.
        dsn: EnhancedStatus,
        /// `sent`, `deferred` or `bounced`.
        status: &'static str,
        /// The reply.
        reply: Box<str>,
    },
}

/// Appends what this says, each line with its end: of the process `pid` on `computer`.
pub fn maillog(
    settings: &Settings,
    computer: &str,
    pid: u32,
    at: Timestamp,
    line: &MailLine,
    out: &mut String,
) {
    let moment = at.rfc3164(settings.zone.as_ref());
    let program = &settings.program;
    line.tell(&mut |service, text| {
        // Writing to memory cannot fail.
        let _ = writeln!(
            out,
            "{moment} {computer} {program}/{service}[{pid}]: {text}"
        );
    });
}

impl MailLine {
    /// All in it that may hold an address.
    pub fn texts(&mut self) -> Vec<&mut Box<str>> {
        match self {
            Self::Accepted { from, .. } | Self::Expired { from, .. } => vec![from],
            Self::Notice { .. } => Vec::new(),
            Self::Refused {
                from, to, reply, ..
            } => vec![from, to, reply],
            Self::Tried { to, reply, .. } => vec![to, reply],
        }
    }

    /// Gives each line, without what stands before its text, and the service of Postfix that says
    /// it.
    pub fn tell(&self, write: &mut dyn FnMut(&str, fmt::Arguments<'_>)) {
        match self {
            Self::Accepted {
                id,
                client,
                name,
                message_id,
                from,
                size,
                recipients,
            } => {
                let from = escaped(from);
                let name = if name.is_empty() { "unknown" } else { name };
                write("smtpd", format_args!("{id}: client={name}[{client}]"));
                let message_id = escaped(message_id);
                write("cleanup", format_args!("{id}: message-id=<{message_id}>"));
                write(
                    "qmgr",
                    format_args!(
                        "{id}: from=<{from}>, size={size}, nrcpt={recipients} (queue active)"
                    ),
                );
            }
            Self::Refused {
                client,
                from,
                to,
                reply,
            } => {
                let (from, to, reply) = (escaped(from), escaped(to), escaped(reply));
                write(
                    "smtpd",
                    format_args!(
                        "NOQUEUE: reject: RCPT from unknown[{client}]: {reply}; \
                         from=<{from}> to=<{to}> proto=ESMTP"
                    ),
                );
            }
            Self::Expired { .. } | Self::Notice { .. } => self.tell_of_end(write),
            Self::Tried {
                id,
                to,
                relay,
                delay,
                dsn,
                status,
                reply,
            } => {
                let relay = if relay.is_empty() { "none" } else { relay };
                let (to, reply) = (escaped(to), escaped(reply));
                let (seconds, rest) = (delay / 1000, delay % 1000 / 10);
                write(
                    "smtp",
                    format_args!(
                        "{id}: to=<{to}>, relay={relay}, delay={seconds}.{rest:02}, dsn={dsn}, \
                         status={status} ({reply})"
                    ),
                );
            }
        }
    }

    /// That a message is given up, and that its sender is told.
    fn tell_of_end(&self, write: &mut dyn FnMut(&str, fmt::Arguments<'_>)) {
        match self {
            Self::Expired { id, from, told } => {
                let from = escaped(from);
                let returned = if *told { ", returned to sender" } else { "" };
                write(
                    "qmgr",
                    format_args!("{id}: from=<{from}>, status=expired{returned}"),
                );
            }
            Self::Notice { about, id, size } => {
                write(
                    "bounce",
                    format_args!("{about}: sender non-delivery notification: {id}"),
                );
                write(
                    "qmgr",
                    format_args!("{id}: from=<>, size={size}, nrcpt=1 (queue active)"),
                );
            }
            Self::Accepted { .. } | Self::Refused { .. } | Self::Tried { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::tests::settings;

    #[test]
    fn lines_have_the_shapes_of_postfix() {
        let id = QueueId::new(Timestamp::from_millis(1), 1);
        // Friday, 3 November 2006, 10:00:00 UTC.
        let at = Timestamp::from_millis(1_162_548_000_000);
        let lines = [
            MailLine::Accepted {
                id,
                client: IpAddr::from([192, 0, 2, 7]),
                name: "".into(),
                message_id: "1@b.example".into(),
                from: "a@b.example".into(),
                size: 1234,
                recipients: 2,
            },
            MailLine::Refused {
                client: IpAddr::from([192, 0, 2, 7]),
                from: "".into(),
                to: "x\n@y".into(),
                reply: "550 5.7.1 No".into(),
            },
            MailLine::Tried {
                id,
                to: "c@d.example".into(),
                relay: "".into(),
                delay: 12_345,
                dsn: EnhancedStatus {
                    class: 4,
                    subject: 4,
                    detail: 1,
                },
                status: "deferred",
                reply: "451 4.4.1 No answer".into(),
            },
            MailLine::Expired {
                id,
                from: "a@b.example".into(),
                told: true,
            },
            MailLine::Notice {
                about: id,
                id,
                size: 99,
            },
        ];
        let mut out = String::new();
        for line in &lines {
            maillog(&settings(), "relay", 7, at, line, &mut out);
        }
        let out = out.replace(&id.to_string(), "ID");
        let expected = "\
Nov  3 10:00:00 relay gatepost/smtpd[7]: ID: client=unknown[192.0.2.7]
Nov  3 10:00:00 relay gatepost/cleanup[7]: ID: message-id=<1@b.example>
Nov  3 10:00:00 relay gatepost/qmgr[7]: ID: from=<a@b.example>, size=1234, nrcpt=2 (queue active)
Nov  3 10:00:00 relay gatepost/smtpd[7]: NOQUEUE: reject: RCPT from unknown[192.0.2.7]: 550 5.7.1 No; from=<> to=<x\\x0a@y> proto=ESMTP
Nov  3 10:00:00 relay gatepost/smtp[7]: ID: to=<c@d.example>, relay=none, delay=12.34, dsn=4.4.1, status=deferred (451 4.4.1 No answer)
Nov  3 10:00:00 relay gatepost/qmgr[7]: ID: from=<a@b.example>, status=expired, returned to sender
Nov  3 10:00:00 relay gatepost/bounce[7]: ID: sender non-delivery notification: ID
Nov  3 10:00:00 relay gatepost/qmgr[7]: ID: from=<>, size=99, nrcpt=1 (queue active)
";
        assert_eq!(out, expected);
    }
}
