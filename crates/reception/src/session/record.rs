//! Tells what is said in a session to those who record it. Where nobody does it costs nothing.

use mail::{Reply, TlsFacts};
use smtp::{Doubt, LineFault, Said, write_reply};

use crate::incoming::Incoming;
use crate::phase::Phase;
use crate::{Event, Session};

impl Session {
    /// From here on, tells all that is said; the greeting too, while it waits in the output.
    pub fn record(&mut self) {
        self.records = true;
        // Before the end of the session, which may have come with its first reply.
        if !self.output.is_empty() {
            let said = Said::reply(&self.output);
            self.events.push_front(Event::Said(said));
        }
        if let Some(tls) = &self.client.tls {
            self.events.push_front(Event::Said(encrypted(tls)));
        }
    }

    pub(crate) fn stop_recording(&mut self) {
        self.records = false;
    }

    pub(crate) fn note_said(&mut self, said: impl FnOnce() -> Said) {
        if self.records {
            self.events.push_back(Event::Said(said()));
        }
    }

    pub(super) fn is_recorded(&self) -> bool {
        self.records
    }

    /// A line that was read. What answers a challenge is not shown, nor what is no line at all.
    pub(super) fn note_line(&mut self, line: Result<&[u8], &LineFault>) {
        if !self.records {
            return;
        }
        let said = match line {
            Ok(line) if matches!(self.phase, Phase::SigningIn(_)) => Said::secret(line.len() + 2),
            Ok(line) => {
                let said = Said::command(line, self.doubt);
                let verb = line.get(..4).unwrap_or_default();
                if verb.eq_ignore_ascii_case(b"AUTH") {
                    self.doubt = self.doubt.max(Doubt::SignIn);
                }
                said
            }
            Err(_) => Said::secret(0),
        };
        self.events.push_back(Event::Said(said));
    }

    /// What has come of a message since this was called last.
    pub(crate) fn note_content(&mut self, incoming: &mut Incoming) {
        let octets = incoming.octets - incoming.told;
        incoming.told = incoming.octets;
        self.note_said(|| Said::Content {
            octets,
            message_id: incoming.scan.message_id(),
        });
    }

    pub(crate) fn note_encrypted(&mut self, tls: &TlsFacts) {
        self.note_said(|| encrypted(tls));
    }
}

/// Writes the reply, and gives what is to be told of it.
pub(super) fn write_and_note(reply: &Reply, outlet: &mut Vec<u8>, records: bool) -> Option<Event> {
    let from = outlet.len();
    write_reply(reply, outlet);
    records.then(|| Event::Said(Said::reply(&outlet[from..])))
}

fn encrypted(tls: &TlsFacts) -> Said {
    Said::remark(format_args!("{} {}", tls.version, tls.cipher))
}
