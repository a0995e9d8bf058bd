//! What is to be written to a server, and what was said on the connection, for those who record it.

use std::collections::VecDeque;
use std::io::Write as _;

use smtp::{Doubt, Said, ServerReply};

/// The octets to be written, with the record beside them. Where nobody records, that costs nothing.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    octets: Vec<u8>,
    /// `None` where nobody records.
    said: Option<VecDeque<Said>>,
}

impl Wire {
    /// From here on, keeps what is said.
    pub(crate) fn record(&mut self) {
        self.said.get_or_insert_default();
    }

    /// The next of what was said.
    pub(crate) fn next_said(&mut self) -> Option<Said> {
        self.said.as_mut()?.pop_front()
    }

    /// What waits to be written. Whoever writes it takes it out.
    pub(crate) fn octets(&mut self) -> &mut Vec<u8> {
        &mut self.octets
    }

    /// Octets that wait to be written.
    pub(crate) fn len(&self) -> usize {
        self.octets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }

    /// What waits is not written any more.
    pub(crate) fn clear(&mut self) {
        self.octets.clear();
    }

    /// A command, without its line end.
    pub(crate) fn command(&mut self, text: std::fmt::Arguments<'_>) {
        let from = self.octets.len();
        // Writing to memory cannot fail.
        let _ = self.octets.write_fmt(text);
        if let Some(said) = &mut self.said {
            said.push_back(Said::command(&self.octets[from..], Doubt::SignIn));
        }
        self.octets.extend_from_slice(b"\r\n");
    }

    /// The answer to a challenge, without its line end.
    pub(crate) fn secret(&mut self, response: &[u8]) {
        self.note(|| Said::secret(response.len() + 2));
        self.octets.extend_from_slice(response);
        self.octets.extend_from_slice(b"\r\n");
    }

    /// What the server said.
    pub(crate) fn heard(&mut self, reply: &ServerReply) {
        self.note(|| Said::reply_of(reply));
    }

    /// What happened to the connection.
    pub(crate) fn note(&mut self, said: impl FnOnce() -> Said) {
        if let Some(all) = &mut self.said {
            all.push_back(said());
        }
    }
}
