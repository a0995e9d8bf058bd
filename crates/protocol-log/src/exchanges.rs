//! Rows of an incoming connection: a command with its reply.
//!
//! A command lasts until it has a reply that is no intermediate one (3yz): what comes in between,
//! content and the answers to challenges, belongs to it. A refusal for which nobody asked (421 in
//! place of the greeting, at a time limit, at a stop) has a row without a verb, with its text. A
//! session that ends without QUIT has a row for it all the same, with the octets of the last one, as
//! IIS wrote.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::{Client, Timestamp};
use smtp::{Said, Spoken};

use crate::{Direction, Row};

/// The status of QUIT in IIS's logs.
const QUIT_STATUS: u16 = 240;

/// What is said of a session in each of its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VirtualServer {
    /// Its number, beginning with 1.
    pub site: u32,
    /// Our name.
    pub computer: Arc<str>,
}

/// Makes rows of what is said on one incoming connection.
#[derive(Debug)]
pub struct Exchanges {
    server: VirtualServer,
    peer: SocketAddr,
    local: SocketAddr,
    began: Timestamp,
    hello: Arc<str>,
    pending: Option<Pending>,
    /// Octets sent and received in the last row.
    last: (u64, u64),
    quit: bool,
}

/// A command without its reply.
#[derive(Debug)]
struct Pending {
    at: Timestamp,
    verb: Box<str>,
    argument: Box<str>,
    received: u64,
    sent: u64,
}

impl Exchanges {
    /// Of a client that has connected at this moment.
    pub fn new(server: VirtualServer, client: &Client, began: Timestamp) -> Self {
        Self {
            server,
            peer: client.peer,
            local: client.local,
            began,
            hello: "".into(),
            pending: None,
            last: (0, 0),
            quit: false,
        }
    }

    /// Takes what was said, and gives the row that is complete with it.
    pub fn add(&mut self, at: Timestamp, said: &Said) -> Option<Row> {
        match (said, &mut self.pending) {
            (Said::Command(spoken), Some(pending)) => pending.received += spoken.octets,
            (Said::Command(spoken), None) => self.pending = Some(Pending::new(at, spoken)),
            (Said::Content { octets, message_id }, Some(pending)) => {
                pending.received += octets;
                // As IIS has it; BDAT says something itself.
                if pending.argument.is_empty() && !message_id.is_empty() {
                    pending.argument = format!(" <{message_id}>").into();
                }
            }
            (Said::Reply(reply), Some(pending)) => {
                pending.sent += reply.octets;
                let status = code(&reply.text);
                if !(300..400).contains(&status) {
                    let pending = self.pending.take()?;
                    return Some(self.complete(at, pending, status));
                }
            }
            // In place of the greeting, or that we end the session: no command has it for an answer.
            (Said::Reply(reply), None) if code(&reply.text) >= 400 => {
                return Some(self.unasked(at, reply));
            }
            (Said::Reply(_) | Said::Content { .. }, None) | (Said::Remark(_), _) => {}
        }
        None
    }

    /// The session is over: its last row, unless that was written when the client said QUIT.
    pub fn end(&mut self, at: Timestamp) -> Option<Row> {
        if self.quit {
            return None;
        }
        self.quit = true;
        let (sent, received) = self.last;
        Some(self.row(at, "QUIT".into(), QUIT_STATUS, (sent, received), 0))
    }

    fn unasked(&mut self, at: Timestamp, reply: &Spoken) -> Row {
        self.last = (reply.octets, 0);
        let (_, text) = split(&reply.text);
        Row {
            argument: text.into(),
            lasted: 0,
            ..self.row(at, "".into(), code(&reply.text), self.last, 0)
        }
    }

    fn complete(&mut self, at: Timestamp, pending: Pending, status: u16) -> Row {
        let Pending { verb, argument, .. } = &pending;
        let taken = millis(pending.at, at);
        let is = |name: &str| verb.eq_ignore_ascii_case(name);
        if (is("HELO") || is("EHLO")) && status / 100 == 2 {
            self.hello = argument.trim().into();
        }
        self.last = (pending.sent, pending.received);
        if is("QUIT") {
            self.quit = true;
            return self.row(at, pending.verb, QUIT_STATUS, self.last, taken);
        }
        let row = self.row(at, pending.verb, status, self.last, taken);
        Row {
            argument: pending.argument,
            lasted: 0,
            ..row
        }
    }

    /// A row of QUIT: the client's name and how long the session lasted.
    fn row(
        &self,
        at: Timestamp,
        verb: Box<str>,
        status: u16,
        (sent, received): (u64, u64),
        taken: u64,
    ) -> Row {
        Row {
            at,
            direction: Direction::Incoming,
            peer: self.peer,
            local: Some(self.local.ip()),
            hello: Arc::clone(&self.hello),
            site: self.server.site,
            computer: Arc::clone(&self.server.computer),
            verb,
            argument: (*self.hello).into(),
            status,
            lasted: millis(self.began, at),
            sent,
            received,
            taken,
        }
    }
}

impl Pending {
    fn new(at: Timestamp, spoken: &Spoken) -> Self {
        let (verb, argument) = split(&spoken.text);
        Self {
            at,
            verb: verb.into(),
            argument: argument.into(),
            received: without_end(spoken),
            sent: 0,
        }
    }
}

/// The verb, and the rest with its leading blank.
pub(crate) fn split(line: &str) -> (&str, &str) {
    line.split_at(line.find(' ').unwrap_or(line.len()))
}

/// Octets of a command without its line end, as IIS counts them.
pub(crate) fn without_end(spoken: &Spoken) -> u64 {
    spoken.octets.saturating_sub(2)
}

pub(crate) fn millis(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX)
}

fn code(reply: &str) -> u16 {
    let digits = reply.get(..3).and_then(|code| code.parse().ok());
    digits.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use smtp::Doubt;

    use super::*;

    fn rows(said: &[(u64, Said)]) -> Vec<String> {
        let client = Client::new(
            ([203, 0, 113, 9], 4000).into(),
            ([192, 0, 2, 1], 25).into(),
            "internet".into(),
        );
        let server = VirtualServer {
            site: 1,
            computer: "RELAY".into(),
        };
        let mut exchanges = Exchanges::new(server, &client, Timestamp::from_millis(0));
        let mut rows = Vec::new();
        for (at, said) in said {
            rows.extend(exchanges.add(Timestamp::from_millis(*at), said));
        }
        rows.extend(exchanges.end(Timestamp::from_millis(9000)));
        let shown = |row: &Row| {
            let Row {
                verb,
                argument,
                status,
                lasted,
                sent,
                received,
                taken,
                ..
            } = row;
            let name = row.name();
            format!("{name} {verb}{argument} {status} {lasted} {sent} {received} {taken}")
        };
        rows.iter().map(shown).collect()
    }

    fn command(line: &str) -> Said {
        Said::command(line.as_bytes(), Doubt::Nothing)
    }

    fn reply(line: &str) -> Said {
        Said::reply(format!("{line}\r\n").as_bytes())
    }

    #[test]
    fn each_command_is_a_row_and_data_is_one_with_its_content() {
        let said = [
            (0, reply("220 relay.example")),
            (10, command("EHLO client.example")),
            (12, reply("250 relay.example")),
            (20, command("DATA")),
            (21, reply("354 go on")),
            (
                30,
                Said::Content {
                    octets: 1000,
                    message_id: "1@client.example".into(),
                },
            ),
            (45, reply("250 2.0.0 Ok")),
            (50, command("QUIT")),
            (50, reply("221 2.0.0 Bye")),
        ];
        let expected = [
            "client.example EHLO client.example 250 0 19 19 2",
            "client.example DATA <1@client.example> 250 0 25 1004 25",
            "client.example QUITclient.example 240 50 15 4 0",
        ];
        assert_eq!(rows(&said), expected);
    }

    #[test]
    fn who_just_drops_has_a_row_for_quit_with_the_octets_of_the_last() {
        let said = [
            (10, command("NOOP")),
            (12, reply("250 2.0.0 Ok")),
            (5000, reply("421 4.4.2 Timeout")),
        ];
        assert_eq!(
            rows(&said),
            [
                "- NOOP 250 0 14 4 2",
                "-  4.4.2 Timeout 421 0 19 0 0",
                "- QUIT 240 9000 19 0 0"
            ]
        );
        assert_eq!(rows(&[]), ["- QUIT 240 9000 0 0 0"]);
    }

    #[test]
    fn who_is_turned_away_has_a_row_that_says_how() {
        let said = [(3, reply("421 4.7.1 Too many connections from you"))];
        assert_eq!(
            rows(&said),
            [
                "-  4.7.1 Too many connections from you 421 0 41 0 0",
                "- QUIT 240 9000 41 0 0"
            ]
        );
    }

    #[test]
    fn an_exchange_that_signs_in_is_one_row() {
        let said = [
            (10, command("AUTH LOGIN")),
            (12, reply("334 VXNlcm5hbWU6")),
            (20, Said::secret(10)),
            (22, reply("334 UGFzc3dvcmQ6")),
            (30, Said::secret(14)),
            (80, reply("235 2.7.0 Signed in")),
        ];
        assert_eq!(rows(&said)[0], "- AUTH LOGIN 235 0 57 34 70");
    }
}
