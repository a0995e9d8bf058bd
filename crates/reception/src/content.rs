//! What comes after 354 or BDAT: the message itself, its limits, and its end.

use mail::Timestamp;
use smtp::{Chunk, Verb};

use crate::incoming::{BLOCK_OCTETS, Incoming, Reached, Refusal, State};
use crate::phase::{Committing, PassingOver, Phase, Waiting};
use crate::transaction::Transaction;
use crate::{Accepted, AcceptedRecipient, End, Event, Session, StoreTrouble};

impl Session {
    /// Content that is too large for memory, to be appended to the body on disk. To be asked for at
    /// [`Event::Spill`], and empty at any other time.
    pub fn take_content(&mut self) -> Vec<u8> {
        let mut incoming = match self.take_phase() {
            Phase::Waiting(Waiting::Spill(incoming)) => incoming,
            other => {
                self.out_of_place(other, "content was taken");
                return Vec::new();
            }
        };
        let content = incoming.spill();
        // Whoever let it have more has it no longer.
        incoming.inline = self.settings.limits.content_inline;
        self.phase = Phase::Waiting(Waiting::Spill(incoming));
        content
    }

    /// The other answer to [`Event::Spill`], as long as nothing was taken: up to so many octets stay in
    /// memory. False, and nothing has happened, where the message is announced to be larger.
    pub fn keep_content(&mut self, octets: usize) -> bool {
        let mut incoming = match self.take_phase() {
            Phase::Waiting(Waiting::Spill(incoming)) => incoming,
            other => {
                self.out_of_place(other, "content was kept");
                return false;
            }
        };
        let announced = incoming.transaction.envelope.announced_size.unwrap_or(0);
        let fits = announced <= octets as u64 && incoming.content.len() <= octets;
        if fits {
            incoming.inline = octets;
            self.phase = Phase::Receiving(incoming);
        } else {
            self.phase = Phase::Waiting(Waiting::Spill(incoming));
        }
        fits
    }

    /// What was taken is written, or cannot be. The message is then passed over to its end and
    /// refused.
    pub fn content_taken(&mut self, written: Result<(), StoreTrouble>) {
        let mut incoming = match self.take_phase() {
            Phase::Waiting(Waiting::Spill(incoming)) => incoming,
            other => return self.out_of_place(other, "content was written"),
        };
        self.renew_time_limit();
        if let Err(trouble) = written {
            self.refuse_content(&mut incoming, Refusal::NotStored(trouble));
        }
        self.phase = Phase::Receiving(incoming);
    }

    /// Takes one piece of content. Gives the octets used up.
    pub(crate) fn read_content(
        &mut self,
        mut incoming: Box<Incoming>,
        input: &[u8],
        now: Timestamp,
    ) -> usize {
        let room = self.room(&incoming).min(input.len());
        let piece = incoming.push(&input[..room]);
        self.counts.octets += piece.used as u64;
        if incoming.completes_block(piece.used) {
            self.renew_time_limit();
        }
        let exceeded = incoming.exceeded(&self.settings.limits);
        for refusal in exceeded
            .into_iter()
            .chain(piece.fault.map(Refusal::Garbled))
        {
            self.refuse_content(&mut incoming, refusal);
        }
        match piece.reached {
            Reached::Middle => self.go_on(incoming),
            Reached::EndOfChunk => self.end_chunk(incoming, now),
            Reached::EndOfMessage => {
                self.note_content(&mut incoming);
                self.finish(incoming, now);
            }
        }
        piece.used
    }

    /// Notes why the message cannot be accepted. What is on disk of it can go.
    /// Gives the reason that counts, which may be an earlier one.
    fn refuse_content(&mut self, incoming: &mut Incoming, refusal: Refusal) -> Refusal {
        if incoming.is_spilled() {
            self.events.push_back(Event::Abandoned);
        }
        incoming.refuse(refusal)
    }

    pub(crate) fn begin_chunk(
        &mut self,
        mut incoming: Box<Incoming>,
        chunk: Chunk,
        now: Timestamp,
    ) {
        incoming.begin_chunk(chunk);
        let whole = incoming.octets.saturating_add(chunk.left());
        if whole > self.settings.limits.message_size {
            self.refuse_content(&mut incoming, Refusal::TooBig);
        }
        if chunk.left() == 0 {
            return self.end_chunk(incoming, now);
        }
        self.go_on(incoming);
    }

    fn end_chunk(&mut self, mut incoming: Box<Incoming>, now: Timestamp) {
        self.renew_time_limit();
        self.note_content(&mut incoming);
        let (is_last, fault) = incoming.end_chunk();
        if let Some(fault) = fault {
            self.refuse_content(&mut incoming, Refusal::Garbled(fault));
        }
        if is_last || incoming.is_refused() {
            return self.finish(incoming, now);
        }
        if self.counts_as_idle(&mut incoming) {
            self.phase = Phase::Receiving(incoming);
            return self.end_idle();
        }
        let text = format!("{} octets received", incoming.octets);
        self.say(&mail::Reply::new(250, 0, 0, text));
        self.go_on(incoming);
    }

    /// Whether a chunk was one command too many that brings no message forward. Every chunk is one
    /// that does not bring a block of content, until the block is whole: else chunks of nothing
    /// would keep a session for ever.
    fn counts_as_idle(&mut self, incoming: &mut Incoming) -> bool {
        match incoming.chunks_of_block() {
            Some(chunks) => {
                self.counts.idle_commands = self.counts.idle_commands.saturating_sub(chunks);
                false
            }
            None => self.is_idle_too_long(),
        }
    }

    /// Counts off a refused chunk.
    pub(crate) fn pass_over(&mut self, mut passing: Box<PassingOver>, input: &[u8]) -> usize {
        let used = passing.chunk.take(input).len();
        passing.block += used;
        if passing.block >= BLOCK_OCTETS {
            passing.block = 0;
            self.renew_time_limit();
        }
        if passing.chunk.left() > 0 {
            self.passing_over = Some(passing);
            return used;
        }
        self.renew_time_limit();
        self.complain(Some(Verb::Bdat), passing.reply);
        used
    }

    /// How many octets may be looked at before the content must be spilled or given up.
    fn room(&self, incoming: &Incoming) -> usize {
        let memory = (incoming.inline + 1)
            .saturating_sub(incoming.content.len())
            .max(1);
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

    /// After a piece that did not end the message: too much for memory? too much to read on?
    fn go_on(&mut self, incoming: Box<Incoming>) {
        if incoming.content.len() > incoming.inline {
            self.phase = Phase::Waiting(Waiting::Spill(incoming));
            self.events.push_back(Event::Spill);
        } else if incoming.wire >= self.wire_max() {
            self.give_up(*incoming);
        } else {
            self.phase = Phase::Receiving(incoming);
        }
    }

    /// Answers and closes, because the message has no end.
    fn give_up(&mut self, mut incoming: Incoming) {
        self.note_content(&mut incoming);
        let refusal = self.refuse_content(&mut incoming, Refusal::TooBig);
        self.refuse_incoming(incoming, refusal);
        self.close(End::Garbled);
    }

    /// The message has come to its end: refused, or handed over to be stored.
    fn finish(&mut self, mut incoming: Box<Incoming>, now: Timestamp) {
        self.renew_time_limit();
        let hops = incoming.scan.received();
        if hops >= self.settings.limits.hops {
            self.refuse_content(&mut incoming, Refusal::Loop(hops));
        }
        match incoming.state {
            State::Gathering | State::Spilled => self.hand_over(*incoming, now),
            State::Refused(refusal) => {
                self.refuse_incoming(*incoming, refusal);
                if matches!(refusal, Refusal::Garbled(_)) {
                    self.close(End::Garbled);
                }
            }
        }
    }

    fn refuse_incoming(&mut self, incoming: Incoming, refusal: Refusal) {
        let Transaction {
            hello,
            id,
            envelope,
            ..
        } = incoming.transaction;
        self.phase = Phase::Ready(hello);
        let reply = refusal.reply(&self.settings.limits);
        let named = envelope.recipients.iter();
        let recipients = named.map(AcceptedRecipient::new).collect();
        let (from, octets) = (envelope.reverse_path, incoming.octets);
        self.refuse_message(Some(id), from, reply, octets, recipients);
    }

    fn hand_over(&mut self, mut incoming: Incoming, now: Timestamp) {
        incoming.end();
        let trace_parent = self.trace_parent(&incoming);
        let head = self.head(&incoming, trace_parent, now);
        let size = head.len() as u64 + incoming.left;
        let Transaction {
            hello,
            id,
            envelope,
            each,
            ..
        } = incoming.transaction;
        let committing = Committing {
            id,
            named: each.clone(),
            refused: Vec::new(),
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
            message_id: match incoming.scan.has_message_id() {
                true => incoming.scan.message_id(),
                false => message::written_message_id(&head),
            },
            subject: incoming.scan.subject(),
            trace_parent,
            id,
            envelope,
            named: each,
            head: head.into_bytes(),
            content: incoming.content,
            size,
            hello: committing.hello.name.clone(),
            from_stranger: self.is_from_stranger(),
            user: self.client.user.clone(),
            origin: self.take_origin(),
        };
        self.phase = Phase::Waiting(Waiting::Receipt(Box::new(committing)));
        self.events.push_back(Event::Message(Box::new(accepted)));
    }
}
