//! The content of the message under way: looked into before it goes out, and fed to the
//! conversation.

use std::io::{self, Read as _};
use std::sync::Arc;

use bytes::Bytes;
use dkim::{BodyHash, HashedBody, Signer};
use mail::{Failure, Outcome, QueueId, Reply, Scope};
use message::{EightBitUse, HeaderScan};
use queue::Job;
use spool::{Body, Message, Spool};

use super::outward::Bounds;
use super::{Agent, Step};
use crate::setup::Reads;

/// Octets of content handed to the conversation at once, and read from the spool at once.
const PIECE_BYTES: usize = 64 << 10;

/// Content on its way into the conversation.
pub(super) enum Feed {
    Nothing,
    /// What is left of it, in memory.
    Memory(Bytes),
    /// To be read from the spool.
    Stored {
        /// Nothing was read yet.
        from_start: bool,
        /// So many octets of what comes next are not sent.
        skip: usize,
    },
}

/// What was found in a stored content before it goes out.
pub(super) struct Seen {
    /// Whose.
    pub id: QueueId,
    /// Where it is 8-bit, if that was looked for and found.
    pub used: Option<EightBitUse>,
    /// Its start with the whole header, where that is to be rewritten.
    pub start: Option<Bytes>,
    /// Its body, where it is to be signed.
    pub body: Option<HashedBody>,
}

/// A part of a stored content.
#[derive(Debug)]
pub enum Piece {
    /// All of it, in memory.
    Whole(Bytes),
    /// The next octets; none at the end.
    Next(Vec<u8>),
}

/// A stored content that is being read: what a driver keeps between two [`Step::Read`].
#[derive(Default)]
pub struct StoredContent(Option<Box<dyn io::Read + Send>>);

impl StoredContent {
    /// Reads the next piece of the content of message `id`, from its start where that is wanted.
    /// May block.
    ///
    /// # Errors
    /// Why it cannot be read.
    pub fn read(
        &mut self,
        spool: &dyn Spool,
        id: QueueId,
        from_start: bool,
    ) -> Result<Piece, String> {
        if from_start {
            match spool.body(id).map_err(|error| error.to_string())? {
                None => return Err("the message is no longer in the spool".to_owned()),
                Some(Body::Memory(content)) => return Ok(Piece::Whole(content)),
                Some(Body::Stream(stream)) => self.0 = Some(stream),
            }
        }
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        if let Some(stream) = &mut self.0 {
            let mut stream = stream.take(PIECE_BYTES as u64);
            let read = stream.read_to_end(&mut piece);
            read.map_err(|error| error.to_string())?;
        }
        if piece.len() < PIECE_BYTES {
            // At its end: an open file keeps its room on the disk.
            self.0 = None;
        }
        Ok(Piece::Next(piece))
    }
}

/// A look into a stored message, of which nothing is in memory.
///
/// The client declared SMTPUTF8, and whether a server must offer that depends on the header: until
/// its end is seen, what the client declared is taken for true. Or it is to be sent as somebody
/// else, and perhaps signed for that one.
pub(super) struct Look {
    message: Arc<Message>,
    start: Vec<u8>,
    reads: Reads,
    /// The body, from where it begins; it is not kept.
    body: Option<BodyHash>,
}

impl Look {
    /// The look that is to be taken before `job` begins, if any.
    pub(super) fn into(job: &Job, reads: Reads) -> Option<Self> {
        let is_read = reads > Reads::Nothing || job.message.parameters.smtputf8;
        let unknown = job.content.is_none() && is_read;
        unknown.then(|| Self {
            message: Arc::clone(&job.message),
            start: Vec::new(),
            reads,
            body: None,
        })
    }

    pub(super) fn step(&self) -> Step {
        Step::Read {
            id: self.message.id,
            from_start: self.start.is_empty(),
        }
    }

    /// Takes the next piece; behind the last one there are no more.
    fn push(&mut self, piece: &[u8], all: bool) {
        if let Some(body) = &mut self.body {
            return body.push(piece);
        }
        self.start.extend_from_slice(piece);
        if self.reads < Reads::All {
            return;
        }
        let bounds = Bounds::of(&self.message.head, &self.start);
        if all || bounds.is_final {
            let mut body = Signer::body_hash();
            body.push(&self.start[bounds.body..]);
            self.body = Some(body);
        }
    }

    /// What was found; `None` when the header goes on behind what was read, and that was not `all`.
    fn seen(&mut self, all: bool) -> Option<Seen> {
        if self.reads == Reads::All && !all {
            return None;
        }
        let Message {
            head, parameters, ..
        } = &*self.message;
        let mut scan = HeaderScan::new();
        scan.push(head);
        scan.push(&self.start);
        let is_whole = all || scan.has_ended();
        let used = EightBitUse::of_start(head, &self.start).filter(|_| parameters.smtputf8);
        let is_rewritten = self.reads > Reads::Nothing;
        let start = (is_rewritten && is_whole).then(|| Bytes::copy_from_slice(&self.start));
        (is_whole || used.is_some() && !is_rewritten).then(|| Seen {
            id: self.message.id,
            used,
            start,
            body: self.body.take().map(BodyHash::finish),
        })
    }
}

impl Agent {
    /// What [`Step::Read`] gave, or why it cannot be read: then the message is tried again later,
    /// and the place where it was to go is not to blame.
    pub fn on_read(&mut self, read: Result<Piece, String>) {
        if let Some(look) = self.look.take() {
            return self.on_looked(look, read);
        }
        match read {
            Ok(Piece::Whole(content)) => self.feed = Feed::Memory(content.slice(self.skipped()..)),
            Ok(Piece::Next(piece)) => self.on_piece(&piece),
            Err(why) => {
                self.feed = Feed::Nothing;
                if let Some(conversation) = self.conversation() {
                    conversation.content_failed(&why);
                }
                self.tell_unreadable(why);
            }
        }
    }

    fn on_piece(&mut self, piece: &[u8]) {
        let ended = piece.is_empty();
        let skip = match self.feed {
            Feed::Stored { skip, .. } => skip.min(piece.len()),
            Feed::Nothing | Feed::Memory(_) => 0,
        };
        self.feed = match (ended, &self.feed) {
            (false, Feed::Stored { skip: all, .. }) => Feed::Stored {
                from_start: false,
                skip: all - skip,
            },
            (false, _) => Feed::Stored {
                from_start: false,
                skip: 0,
            },
            (true, _) => Feed::Nothing,
        };
        match self.conversation() {
            Some(conversation) if ended => conversation.content_end(),
            Some(conversation) if skip < piece.len() => conversation.content(&piece[skip..]),
            Some(_) | None => {}
        }
    }

    /// So many octets at the start of the content are not sent.
    fn skipped(&self) -> usize {
        self.load.as_ref().map_or(0, |load| load.skip)
    }

    /// What cannot be read shows when it is sent.
    fn on_looked(&mut self, mut look: Look, read: Result<Piece, String>) {
        let (piece, all) = match read {
            Ok(Piece::Whole(content)) => (content, true),
            Ok(Piece::Next(piece)) => {
                let all = piece.is_empty();
                (piece.into(), all)
            }
            // Its envelope would be rewritten, and its header not.
            Err(why) if look.reads > Reads::Nothing => {
                self.tell_unreadable(why);
                return self.end(Outcome::Deferred(Failure {
                    scope: Scope::Message,
                    reply: Reply::new(451, 3, 0, "The message could not be read"),
                    host: None,
                }));
            }
            Err(_) => return self.begin_load(),
        };
        look.push(&piece, all);
        self.seen = look.seen(all);
        // A header that is to be rewritten was within the limit that held when it came.
        let is_rewritten = look.reads > Reads::Nothing;
        let too_long = !is_rewritten && look.start.len() as u64 > self.delivery.header_size;
        if self.seen.is_none() && !too_long {
            self.look = Some(look);
            return;
        }
        self.begin_load();
    }

    /// For the log.
    pub(super) fn tell_unreadable(&mut self, why: String) {
        if let Some(job) = self.job() {
            let id = job.message.id;
            self.told.push_back(Step::Unreadable { id, why });
        }
    }

    /// The content of the job, from its start.
    pub(super) fn content_from_start(&self) -> Feed {
        match self.job() {
            None => Feed::Nothing,
            Some(job) => match &job.content {
                Some(content) => Feed::Memory(content.slice(self.skipped()..)),
                None => Feed::Stored {
                    from_start: true,
                    skip: self.skipped(),
                },
            },
        }
    }

    /// Feeds the conversation while it wants content; gives the step that has to come before.
    ///
    /// What is still to be written goes along with a piece: a write of its own for the head, or for
    /// the final dot, can make the server wait for the rest until its acknowledgement, which it
    /// delays, has come to us.
    pub(super) fn feed_content(&mut self) -> Option<Step> {
        loop {
            let id = self.job().map(|job| job.message.id);
            let conversation = self.conversation()?;
            if !conversation.wants_content() || conversation.output().len() >= PIECE_BYTES {
                return None;
            }
            match std::mem::replace(&mut self.feed, Feed::Nothing) {
                Feed::Nothing => return None,
                Feed::Memory(mut content) => {
                    let piece = content.split_to(content.len().min(PIECE_BYTES));
                    let conversation = self.conversation()?;
                    conversation.content(&piece);
                    if content.is_empty() {
                        conversation.content_end();
                    } else {
                        self.feed = Feed::Memory(content);
                    }
                }
                Feed::Stored { from_start, skip } => {
                    self.feed = Feed::Stored { from_start, skip };
                    return Some(Step::Read {
                        id: id?,
                        from_start,
                    });
                }
            }
        }
    }
}
