//! What comes after 354 or BDAT: the message itself, its limits, and its end.

use mail::{Reply, Timestamp};
use message::{Protocol, ReceivedFacts, date_field, from_field, message_id_field, received_field};
use relay_policy::{Fact, is_listed, is_permitted};
use smtp::{Chunk, ContentCheck, DataDecoder, Progress};

use crate::phase::{Committing, Incoming, Phase, Transaction};
use crate::{Accepted, AcceptedRecipient, End, Event, Session, StoreTrouble};

/// A block of data in the sense of RFC 5321 section 4.5.3.2.5: so many octets renew the client's
/// time limit. With three minutes a block this is also the least rate at which a message may
/// arrive.
const BLOCK_OCTETS: usize = 4096;

impl Session {
    /// Content that is too large for memory, to be appended to the body on disk. Empty unless
    /// [`Event::Spill`] asked.
    pub fn take_content(&mut self) -> Vec<u8> {
        match self.phase.incoming_mut() {
            Some(incoming) if incoming.spilling => {
                incoming.spilled += incoming.content.len() as u64;
                std::mem::take(&mut incoming.content)
            }
            Some(_) | None => Vec::new(),
        }
    }

    /// What was taken is written, or cannot be. The message is then passed over to its end and
    /// refused.
    pub fn content_taken(&mut self, written: Result<(), StoreTrouble>) {
        self.renew_time_limit();
        if let Some(incoming) = self.phase.incoming_mut() {
            incoming.spilling = false;
            incoming.trouble = written.err();
            incoming.refused |= written.is_err();
        }
    }

    /// Takes one piece of content. Gives the octets used up.
    pub(crate) fn read_content(&mut self, input: &[u8], now: Timestamp) -> usize {
        match self.take_phase() {
            Phase::Receiving(incoming, decoder) => self.read_data(incoming, decoder, input, now),
            Phase::Chunk(incoming, check, chunk) => {
                self.read_chunk(incoming, check, chunk, input, now)
            }
            phase @ Phase::PassingOver(_) => {
                self.phase = phase;
                self.pass_over(input)
            }
            phase @ (Phase::Greeted
            | Phase::Ready(_)
            | Phase::Beginning(_)
            | Phase::Addressing(_)
            | Phase::Deciding(_, _, _)
            | Phase::Chunking(_, _)
            | Phase::Committing(_)
            | Phase::Encrypting(_)
            | Phase::Proving(_)
            | Phase::Challenged(_)
            | Phase::Closed) => {
                self.phase = phase;
                0
            }
        }
    }

    fn read_data(
        &mut self,
        mut incoming: Box<Incoming>,
        mut decoder: DataDecoder,
        input: &[u8],
        now: Timestamp,
    ) -> usize {
        let piece = &input[..self.room(&incoming).min(input.len())];
        let before = incoming.content.len();
        let (used, progress) = decoder.decode(piece, &mut incoming.content);
        incoming.overlong = decoder.is_overlong();
        self.took(&mut incoming, before, used);
        match progress {
            Progress::More => {
                self.phase = Phase::Receiving(incoming, decoder);
                self.after_piece();
            }
            Progress::End => self.finish(incoming, now),
            Progress::Fault(fault) => {
                incoming.fault = Some(fault);
                self.finish(incoming, now);
            }
        }
        used
    }

    pub(crate) fn begin_chunk(
        &mut self,
        mut incoming: Box<Incoming>,
        check: ContentCheck,
        chunk: Chunk,
        now: Timestamp,
    ) {
        incoming.begun = false;
        let whole = incoming.octets.saturating_add(chunk.left());
        incoming.too_big = whole > self.settings.limits.message_size;
        incoming.refused |= incoming.too_big;
        if chunk.left() == 0 {
            return self.end_chunk(incoming, check, chunk, now);
        }
        self.phase = Phase::Chunk(incoming, check, chunk);
        self.after_piece();
    }

    fn read_chunk(
        &mut self,
        mut incoming: Box<Incoming>,
        mut check: ContentCheck,
        mut chunk: Chunk,
        input: &[u8],
        now: Timestamp,
    ) -> usize {
        let piece = chunk.take(&input[..self.room(&incoming).min(input.len())]);
        let before = incoming.content.len();
        if incoming.fault.is_none() {
            incoming.fault = check.pass(piece, &mut incoming.content).err();
            incoming.refused |= incoming.fault.is_some();
        }
        if incoming.fault.is_some() {
            // Passed over as it is, and counted.
            incoming.content.truncate(before);
            incoming.content.extend_from_slice(piece);
        }
        incoming.overlong = check.is_overlong();
        self.took(&mut incoming, before, piece.len());
        if chunk.left() == 0 {
            self.end_chunk(incoming, check, chunk, now);
        } else {
            self.phase = Phase::Chunk(incoming, check, chunk);
            self.after_piece();
        }
        piece.len()
    }

    fn end_chunk(
        &mut self,
        mut incoming: Box<Incoming>,
        check: ContentCheck,
        chunk: Chunk,
        now: Timestamp,
    ) {
        self.renew_time_limit();
        if chunk.is_last() && incoming.fault.is_none() {
            incoming.fault = check.finish().err();
        }
        if chunk.is_last() || incoming.refused {
            return self.finish(incoming, now);
        }
        let brought_a_block = self.brought_a_block(&mut incoming);
        let text = format!("{} octets received", incoming.octets);
        self.phase = Phase::Chunking(incoming, check);
        if brought_a_block || self.may_idle() {
            self.say(&Reply::new(250, 0, 0, text));
            self.after_piece();
        }
    }

    /// Whether a block has come since a chunk last brought one. A chunk that does not bring one is
    /// a command that brings no message forward, until the block is whole: else chunks of nothing
    /// would keep a session for ever.
    fn brought_a_block(&mut self, incoming: &mut Incoming) -> bool {
        let whole = incoming.octets - incoming.forward >= BLOCK_OCTETS as u64;
        if whole {
            incoming.forward = incoming.octets;
            let small = std::mem::take(&mut incoming.small_chunks);
            self.counts.idle_commands = self.counts.idle_commands.saturating_sub(small);
        } else {
            incoming.small_chunks += 1;
        }
        whole
    }

    /// Counts off a refused chunk.
    pub(crate) fn pass_over(&mut self, input: &[u8]) -> usize {
        let mut passing = match self.take_phase() {
            Phase::PassingOver(passing) => passing,
            other => {
                self.phase = other;
                return 0;
            }
        };
        let used = passing.chunk.take(input).len();
        passing.block += used;
        if passing.block >= BLOCK_OCTETS {
            passing.block = 0;
            self.renew_time_limit();
        }
        if passing.chunk.left() > 0 {
            self.phase = Phase::PassingOver(passing);
            return used;
        }
        self.renew_time_limit();
        self.phase = passing.then;
        self.complain(Some(smtp::Verb::Bdat), passing.reply);
        used
    }

    /// How many octets may be looked at before the content must be spilled or given up.
    fn room(&self, incoming: &Incoming) -> usize {
        let inline = self.settings.limits.content_inline;
        let memory = (inline + 1).saturating_sub(incoming.content.len()).max(1);
        let wire = self.wire_max().saturating_sub(incoming.wire);
        usize::try_from(wire).map_or(memory, |wire| wire.min(memory))
    }

    /// How many octets of one message are read at most. Stuffed dots make a message longer by a
    /// third at the worst.
    fn wire_max(&self) -> u64 {
        let limits = &self.settings.limits;
        let stuffed = limits.message_size.saturating_add(limits.message_size / 3);
        // Some more for the end of data behind a message of exactly the limit.
        stuffed.saturating_add(limits.passed_over).saturating_add(8)
    }

    /// Looks at what has just been appended to the content, and holds it against the limits.
    fn took(&mut self, incoming: &mut Incoming, before: usize, used: usize) {
        self.counts.octets += used as u64;
        incoming.wire += used as u64;
        incoming.octets += (incoming.content.len() - before) as u64;
        incoming.block += used;
        if incoming.block >= BLOCK_OCTETS || !incoming.begun {
            incoming.begun = true;
            incoming.block = 0;
            self.renew_time_limit();
        }
        incoming.scan.push(&incoming.content[before..]);
        let limits = &self.settings.limits;
        incoming.refused |= incoming.overlong
            || incoming.octets > limits.message_size
            || incoming.scan.octets() > limits.header_size;
        if incoming.refused {
            incoming.content.clear();
        }
    }

    /// After a piece that did not end the message: too much to read on? too much for memory?
    fn after_piece(&mut self) {
        let (wire_max, inline) = (self.wire_max(), self.settings.limits.content_inline);
        let Some(incoming) = self.phase.incoming_mut() else {
            return;
        };
        if incoming.content.len() > inline {
            incoming.spilling = true;
            self.events.push_back(Event::Spill);
        } else if incoming.wire >= wire_max {
            self.give_up();
        }
    }

    /// Answers and closes, because the message has no end.
    fn give_up(&mut self) {
        if let Phase::Receiving(incoming, _) | Phase::Chunk(incoming, _, _) = self.take_phase() {
            let reply = self.verdict(&incoming).unwrap_or_else(|| self.too_big());
            self.refuse_incoming(*incoming, reply);
        }
        self.close(End::Garbled);
    }

    /// The message has come to its end: refused, or handed over to be stored.
    fn finish(&mut self, incoming: Box<Incoming>, now: Timestamp) {
        self.renew_time_limit();
        let garbled = incoming.fault.is_some();
        match self.verdict(&incoming) {
            Some(reply) => self.refuse_incoming(*incoming, reply),
            None => self.hand_over(*incoming, now),
        }
        if garbled {
            self.close(End::Garbled);
        }
    }

    /// Why the message cannot be accepted, if it cannot. The gravest reason, not the first found:
    /// how the octets were cut on their way must not show.
    fn verdict(&self, incoming: &Incoming) -> Option<Reply> {
        let limits = &self.settings.limits;
        let hops = incoming.scan.received();
        if let Some(fault) = incoming.fault {
            // Content that the next server might read differently is taken from nobody.
            Some(Reply::new(550, 6, 0, format!("Refused: {fault}")))
        } else if let Some(trouble) = incoming.trouble {
            Some(trouble.reply())
        } else if incoming.too_big || incoming.octets > limits.message_size {
            Some(self.too_big())
        } else if incoming.scan.octets() > limits.header_size {
            let most = limits.header_size;
            Some(Reply::new(
                552,
                3,
                4,
                format!("Header exceeds {most} octets"),
            ))
        } else if incoming.overlong {
            let most = limits.content_line;
            Some(Reply::new(
                554,
                6,
                0,
                format!("A line exceeds {most} octets"),
            ))
        } else if hops >= limits.hops {
            // RFC 5321 section 6.3: counting the Received fields tells a loop.
            Some(Reply::new(
                554,
                4,
                6,
                format!("Mail loop: {hops} Received fields"),
            ))
        } else {
            None
        }
    }

    fn refuse_incoming(&mut self, incoming: Incoming, reply: Reply) {
        if incoming.spilled > 0 {
            self.events.push_back(Event::Abandoned);
        }
        let Transaction {
            hello,
            id,
            envelope,
            ..
        } = incoming.transaction;
        self.phase = Phase::Ready(hello);
        self.refuse_message(Some(id), envelope.reverse_path, reply, incoming.octets);
    }

    fn hand_over(&mut self, incoming: Incoming, now: Timestamp) {
        let head = self.head(&incoming, now);
        let size = head.len() as u64 + incoming.octets;
        let Incoming {
            transaction:
                Transaction {
                    hello,
                    id,
                    envelope,
                    ..
                },
            ..
        } = incoming;
        let committing = Committing {
            id,
            reverse_path: envelope.reverse_path.clone(),
            recipients: envelope
                .recipients
                .iter()
                .map(AcceptedRecipient::new)
                .collect(),
            size,
            hello,
        };
        let accepted = Accepted {
            id,
            envelope,
            head: head.into_bytes(),
            content: incoming.content,
            size,
            hello: committing.hello.name.clone(),
        };
        self.phase = Phase::Committing(Box::new(committing));
        self.events.push_back(Event::Message(Box::new(accepted)));
    }

    /// What we put before the content.
    fn head(&self, incoming: &Incoming, now: Timestamp) -> String {
        let Transaction {
            hello,
            id,
            envelope,
            ..
        } = &incoming.transaction;
        let client_name = match &self.facts.confirmed_name {
            Some(Fact::Yes(name)) => Some(name),
            Some(Fact::No | Fact::CannotTell) | None => None,
        };
        let recipient = match envelope.recipients.as_slice() {
            [only] => Some(only.admitted.recipient()),
            _ => None,
        };
        let mut head = received_field(&ReceivedFacts {
            helo: &hello.name,
            client_address: self.client.address(),
            client_name,
            tls: self.client.tls.as_ref(),
            by: &self.settings.hostname,
            protocol: self.protocol(&incoming.transaction),
            id: *id,
            recipient,
            now,
        });
        // RFC 6409 section 8: a submission server completes what its own users left out. A
        // stranger's message is left as it is.
        if is_permitted(&self.settings.rules, &self.client, &self.facts) {
            self.complete(&mut head, incoming, now);
        }
        head.push_str(incoming.scan.separator());
        head
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
        // A device that knows no header is on the list. A user's program, which knows one, is not
        // spoken for.
        if !scan.has_from() && is_listed(&self.settings.rules, &self.client, &self.facts) {
            head.push_str(&from_field(&envelope.reverse_path, hostname));
        }
    }

    fn protocol(&self, transaction: &Transaction) -> Protocol {
        Protocol {
            extended: transaction.hello.extended,
            smtputf8: transaction.envelope.smtputf8,
            tls: self.client.tls.is_some(),
            signed_in: self.client.user.is_some(),
        }
    }
}
