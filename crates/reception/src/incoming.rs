//! A message on its way in: what of it is where, and why it cannot be accepted, if it cannot.

use mail::Reply;
use message::{BlindCopies, HeaderScan};
use smtp::{Chunk, ContentCheck, ContentFault, DataDecoder};

use crate::transaction::Transaction;
use crate::{Limits, StoreTrouble};

/// A block of data in the sense of RFC 5321 section 4.5.3.2.5: so many octets renew the client's
/// time limit. With three minutes a block this is also the least rate at which a message may
/// arrive.
pub(crate) const BLOCK_OCTETS: usize = 4096;

#[derive(Debug)]
pub(crate) struct Incoming {
    pub transaction: Transaction,
    pub source: Source,
    pub state: State,
    /// What of the content is in memory and not refused.
    pub content: Vec<u8>,
    /// How much of it may be.
    pub inline: usize,
    pub scan: HeaderScan,
    /// Takes out who gets the message without others knowing, where that is done.
    blind_copies: Option<BlindCopies>,
    /// Octets of content so far, kept, spilled, taken out or passed over.
    pub octets: u64,
    /// Those of them that were not taken out.
    pub left: u64,
    /// Octets on the wire so far: with stuffed dots.
    pub wire: u64,
    /// Octets of content that were told to those who record the session.
    pub told: u64,
    /// Octets since the time limit was last renewed; none before anything has come of the message,
    /// or of the chunk.
    block: Option<usize>,
}

/// How the content comes.
#[derive(Debug)]
pub(crate) enum Source {
    /// Behind DATA: one piece, with dots stuffed.
    Data(DataDecoder),
    /// Behind BDAT: in chunks of a known size.
    Chunks(Chunks),
}

/// What has come in chunks.
#[derive(Debug)]
pub(crate) struct Chunks {
    check: ContentCheck,
    /// The chunk that is being read; none between two of them.
    current: Option<Chunk>,
    /// Octets of content when a chunk last completed a block.
    forward: u64,
    /// Chunks since then.
    small: u32,
}

/// What becomes of the content.
#[derive(Debug)]
pub(crate) enum State {
    /// All of it is in memory so far.
    Gathering,
    /// What came first is on disk, the rest in memory.
    Spilled,
    /// The message cannot be accepted: its content is passed over, up to the end where the client
    /// can hear so.
    Refused(Refusal),
}

/// Why a message is refused for its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// So many Received fields tell that the message goes round.
    Loop(u32),
    /// A line of content is too long.
    LongLine,
    /// The header is too long.
    LongHeader,
    /// The message is too big, or a chunk was announced that makes it so.
    TooBig,
    /// What was to be written to disk could not be.
    NotStored(StoreTrouble),
    /// It holds a bare CR or LF or a NUL: the connection is closed behind it.
    Garbled(ContentFault),
}

impl Refusal {
    /// The gravest reason is told, not the first that was found: how the octets were cut on their
    /// way must not show.
    fn gravity(self) -> u8 {
        match self {
            Self::Loop(_) => 0,
            Self::LongLine => 1,
            Self::LongHeader => 2,
            Self::TooBig => 3,
            Self::NotStored(_) => 4,
            Self::Garbled(_) => 5,
        }
    }

    /// What the client hears.
    pub(crate) fn reply(self, limits: &Limits) -> Reply {
        match self {
            // RFC 5321 section 6.3: counting the Received fields tells a loop.
            Self::Loop(hops) => Reply::new(554, 4, 6, format!("Mail loop: {hops} Received fields")),
            Self::LongLine => {
                let most = limits.content_line;
                Reply::new(554, 6, 0, format!("A line exceeds {most} octets"))
            }
            Self::LongHeader => {
                let most = limits.header_size;
                Reply::new(552, 3, 4, format!("Header exceeds {most} octets"))
            }
            Self::TooBig => too_big(limits),
            Self::NotStored(trouble) => trouble.reply(),
            // Content that the next server might read differently is taken from nobody.
            Self::Garbled(fault) => Reply::new(550, 6, 0, format!("Refused: {fault}")),
        }
    }
}

/// The answer to a message that is announced as too big, or turns out to be.
pub(crate) fn too_big(limits: &Limits) -> Reply {
    let most = limits.message_size;
    let text = format!("Message exceeds the limit of {most} octets");
    Reply::new(552, 3, 4, text)
}

/// What a piece of input brought.
pub(crate) struct Piece {
    /// How much of the input belonged to the content.
    pub used: usize,
    pub fault: Option<ContentFault>,
    pub reached: Reached,
}

/// How far a piece of input came.
pub(crate) enum Reached {
    /// More must come.
    Middle,
    EndOfChunk,
    EndOfMessage,
}

impl Incoming {
    pub(crate) fn new(transaction: Transaction, source: Source, content_inline: usize) -> Self {
        // The announced size spares the buffer its growth; it is not believed beyond what is kept
        // in memory anyway.
        let announced = transaction.envelope.announced_size.unwrap_or(0);
        let capacity = usize::try_from(announced).map_or(content_inline, |n| n.min(content_inline));
        Self {
            transaction,
            source,
            state: State::Gathering,
            content: Vec::with_capacity(capacity),
            inline: content_inline,
            scan: HeaderScan::new(),
            blind_copies: None,
            octets: 0,
            left: 0,
            wire: 0,
            told: 0,
            block: None,
        }
    }

    /// The same, without the fields that name recipients whom others must not know.
    pub(crate) fn without_blind_copies(self) -> Self {
        Self {
            blind_copies: Some(BlindCopies::default()),
            ..self
        }
    }

    /// Whether a command is read next, and no content.
    pub(crate) fn is_between_chunks(&self) -> bool {
        match &self.source {
            Source::Data(_) => false,
            Source::Chunks(chunks) => chunks.current.is_none(),
        }
    }

    /// Whether anything has come of the message, or of the chunk.
    pub(crate) fn has_begun(&self) -> bool {
        self.block.is_some()
    }

    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.state, State::Refused(_))
    }

    /// Whether something is on disk that must go when the message is not coming after all.
    pub(crate) fn is_spilled(&self) -> bool {
        matches!(self.state, State::Spilled)
    }

    fn is_garbled(&self) -> bool {
        matches!(self.state, State::Refused(Refusal::Garbled(_)))
    }

    /// Takes what belongs to the content, and counts it.
    pub(crate) fn push(&mut self, input: &[u8]) -> Piece {
        let before = self.content.len();
        let is_garbled = self.is_garbled();
        let piece = match &mut self.source {
            Source::Data(decoder) => read_data(decoder, input, &mut self.content),
            Source::Chunks(chunks) => chunks.read(input, is_garbled, &mut self.content),
        };
        self.wire += piece.used as u64;
        self.octets += (self.content.len() - before) as u64;
        self.scan.push(&self.content[before..]);
        if let Some(copies) = &mut self.blind_copies {
            copies.take_out(&mut self.content, before);
        }
        self.left += (self.content.len() - before) as u64;
        if self.is_refused() {
            self.content.clear();
        }
        piece
    }

    /// Whether so many octets more are the first ones, or complete a block.
    pub(crate) fn completes_block(&mut self, octets: usize) -> bool {
        let block = self.block.map_or(BLOCK_OCTETS, |block| block + octets);
        let is_complete = block >= BLOCK_OCTETS;
        self.block = Some(if is_complete { 0 } else { block });
        is_complete
    }

    /// The limit that the content has exceeded so far, if any.
    pub(crate) fn exceeded(&self, limits: &Limits) -> Option<Refusal> {
        if self.octets > limits.message_size {
            Some(Refusal::TooBig)
        } else if self.scan.octets_of_fields() > limits.header_size {
            Some(Refusal::LongHeader)
        } else if self.is_overlong() {
            Some(Refusal::LongLine)
        } else {
            None
        }
    }

    fn is_overlong(&self) -> bool {
        match &self.source {
            Source::Data(decoder) => decoder.is_overlong(),
            Source::Chunks(chunks) => chunks.check.is_overlong(),
        }
    }

    /// Keeps nothing of what came, and passes over what comes from here on. Gives the reason that
    /// counts.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Refusal {
        let graver = match self.state {
            State::Refused(known) if known.gravity() >= refusal.gravity() => known,
            State::Gathering | State::Spilled | State::Refused(_) => refusal,
        };
        self.content.clear();
        self.state = State::Refused(graver);
        graver
    }

    /// What is in memory, for the disk.
    pub(crate) fn spill(&mut self) -> Vec<u8> {
        self.state = State::Spilled;
        std::mem::take(&mut self.content)
    }

    /// The message has come to its end: nothing of it is held back any more.
    pub(crate) fn end(&mut self) {
        let before = self.content.len();
        if let Some(copies) = &mut self.blind_copies {
            copies.finish(&mut self.content);
        }
        self.left += (self.content.len() - before) as u64;
    }

    /// A further chunk begins: its first octets may be waited for like those of a message.
    pub(crate) fn begin_chunk(&mut self, chunk: Chunk) {
        self.block = None;
        if let Source::Chunks(chunks) = &mut self.source {
            chunks.current = Some(chunk);
        }
    }

    /// The chunk has come to its end. Whether it was the last one, and what is wrong with the
    /// message if it was.
    pub(crate) fn end_chunk(&mut self) -> (bool, Option<ContentFault>) {
        match &mut self.source {
            Source::Data(_) => (true, None),
            Source::Chunks(chunks) => {
                let is_last = chunks.current.take().is_some_and(|chunk| chunk.is_last());
                let fault = chunks.check.finish().err().filter(|_| is_last);
                (is_last, fault)
            }
        }
    }

    /// How many chunks it took to bring a block of content since one last did; none while the block
    /// is not whole.
    pub(crate) fn chunks_of_block(&mut self) -> Option<u32> {
        match &mut self.source {
            Source::Data(_) => None,
            Source::Chunks(chunks) => chunks.bring_forward(self.octets),
        }
    }
}

fn read_data(decoder: &mut DataDecoder, input: &[u8], content: &mut Vec<u8>) -> Piece {
    let (used, progress) = decoder.decode(input, content);
    let (fault, reached) = match progress {
        smtp::Progress::More => (None, Reached::Middle),
        smtp::Progress::End => (None, Reached::EndOfMessage),
        smtp::Progress::Fault(fault) => (Some(fault), Reached::EndOfMessage),
    };
    Piece {
        used,
        fault,
        reached,
    }
}

impl Chunks {
    pub(crate) fn new(check: ContentCheck) -> Self {
        Self {
            check,
            current: None,
            forward: 0,
            small: 0,
        }
    }

    /// Takes what belongs to the chunk. Behind a fault it is only counted, as it is.
    fn read(&mut self, input: &[u8], is_garbled: bool, content: &mut Vec<u8>) -> Piece {
        let piece = self
            .current
            .as_mut()
            .map_or(&[][..], |chunk| chunk.take(input));
        let before = content.len();
        let fault = if is_garbled {
            None
        } else {
            self.check.pass(piece, content).err()
        };
        if is_garbled || fault.is_some() {
            content.truncate(before);
            content.extend_from_slice(piece);
        }
        Piece {
            used: piece.len(),
            fault,
            reached: self.reached(),
        }
    }

    fn reached(&self) -> Reached {
        match self.current {
            Some(chunk) if chunk.left() > 0 => Reached::Middle,
            Some(_) | None => Reached::EndOfChunk,
        }
    }

    fn bring_forward(&mut self, octets: u64) -> Option<u32> {
        if octets - self.forward < BLOCK_OCTETS as u64 {
            self.small += 1;
            return None;
        }
        self.forward = octets;
        Some(std::mem::take(&mut self.small))
    }
}
