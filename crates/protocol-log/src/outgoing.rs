//! Rows of an outgoing connection: one for a command, one for a reply.

use std::net::SocketAddr;

use mail::Timestamp;
use smtp::Said;

use crate::exchanges::{millis, split, without_end};
use crate::{Direction, Row, VirtualServer};

/// Makes rows of what is said on the connections of one agent.
#[derive(Debug)]
pub struct Outgoing {
    server: VirtualServer,
    asked: Option<Timestamp>,
}

impl Outgoing {
    /// Nothing was said yet.
    pub fn new(server: VirtualServer) -> Self {
        Self {
            server,
            asked: None,
        }
    }

    /// The row for what was said on the connection to `peer`; content and remarks have none.
    pub fn row(&mut self, at: Timestamp, peer: SocketAddr, said: &Said) -> Option<Row> {
        let row = Row {
            at,
            direction: Direction::Command,
            peer,
            local: None,
            hello: "".into(),
            site: self.server.site,
            computer: self.server.computer.clone(),
            verb: "".into(),
            argument: "".into(),
            status: 0,
            lasted: 0,
            sent: 0,
            received: 0,
            taken: 0,
        };
        match said {
            Said::Command(spoken) => {
                self.asked = Some(at);
                let (verb, argument) = split(&spoken.text);
                Some(Row {
                    verb: verb.into(),
                    argument: argument.trim_start().into(),
                    sent: without_end(spoken),
                    ..row
                })
            }
            Said::Reply(spoken) => Some(Row {
                direction: Direction::Response,
                argument: (*spoken.text).into(),
                received: spoken.octets,
                taken: self.asked.map_or(0, |asked| millis(asked, at)),
                ..row
            }),
            Said::Content { .. } => {
                self.asked = Some(at);
                None
            }
            Said::Remark(_) => None,
        }
    }
}
