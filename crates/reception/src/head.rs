//! The head: what we put before the content of a message.

use mail::Timestamp;
use message::{
    Protocol, ReceivedFacts, TraceParent, date_field, from_field, message_id_field, received_field,
};
use relay_policy::{is_completed, is_permitted};

use crate::Session;
use crate::incoming::Incoming;
use crate::transaction::Transaction;

impl Session {
    /// `Received`, the fields that a submitter of ours left out, and what has to stand between them
    /// and the content.
    pub(crate) fn head(
        &self,
        incoming: &Incoming,
        trace_parent: Option<TraceParent>,
        now: Timestamp,
    ) -> String {
        let Transaction {
            hello,
            id,
            envelope,
            ..
        } = &incoming.transaction;
        let recipient = match envelope.recipients.as_slice() {
            // Bounces return this field: it tells nobody who gets the mail in place of whom.
            [only] => Some(only.admitted.named()),
            _ => None,
        };
        let mut head = received_field(&ReceivedFacts {
            helo: &hello.name,
            client_address: self.client.address(),
            uid: self.client.uid,
            client_name: self.client_name(),
            tls: self.client.tls.as_ref(),
            by: &self.settings.hostname,
            protocol: self.protocol(&incoming.transaction),
            id: *id,
            recipient,
            now,
        });
        if self.settings.trace_context {
            let of_id = TraceParent::of(*id);
            let of_message = trace_parent.map_or(of_id, |parent| parent.of_message(*id));
            head.push_str(&of_message.field());
        }
        // RFC 6409 section 8: a submission server completes what its own users left out. A
        // stranger's message is left as it is, and so is what comes back from a filter.
        if self.is_submission() {
            self.complete(&mut head, incoming, now);
        }
        head.push_str(incoming.scan.separator());
        head
    }

    /// Whether the message comes from one of our own users or clients, and for the first time: then it
    /// is made as it has to be before others read it.
    pub(crate) fn is_submission(&self) -> bool {
        !self.is_way_back() && is_permitted(&self.settings.rules, &self.client, &self.facts)
    }

    /// The trace that the message belongs to, where that is asked for and its sender is believed.
    pub(crate) fn trace_parent(&self, incoming: &Incoming) -> Option<TraceParent> {
        let is_taken = self.settings.trace_context && !self.is_from_stranger();
        incoming.scan.trace_parent().filter(|_| is_taken)
    }

    /// Adds the fields that a submitter left out.
    fn complete(&self, head: &mut String, incoming: &Incoming, now: Timestamp) {
        let (scan, hostname) = (&incoming.scan, &self.settings.hostname);
        let Transaction { id, envelope, .. } = &incoming.transaction;
        if !scan.has_date() {
            head.push_str(&date_field(now));
        }
        if !scan.has_message_id() {
            head.push_str(&message_id_field(*id, hostname));
        }
        // A device that knows no header is on the list, or a script on this machine. A user's
        // program, which knows one, is not spoken for.
        if !scan.has_from() && is_completed(&self.settings.rules, &self.client, &self.facts) {
            head.push_str(&from_field(&envelope.reverse_path, hostname));
        }
    }

    fn protocol(&self, transaction: &Transaction) -> Protocol {
        Protocol {
            extended: transaction.hello.extended,
            smtputf8: transaction.envelope.parameters.smtputf8,
            tls: self.client.tls.is_some(),
            signed_in: self.client.user.is_some(),
        }
    }
}
