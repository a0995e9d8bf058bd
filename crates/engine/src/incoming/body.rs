use mail::QueueId;
use reception::Accepted;
use spool::{BodyWriter, Content, Spool, SpoolError};

/// A piece of a large body, on its way to the disk.
pub struct BodyWrite {
    pub(super) body: Option<Box<dyn BodyWriter>>,
    pub(super) id: QueueId,
    pub(super) piece: Vec<u8>,
    /// The message, when this piece is its last.
    pub(super) whole: Option<Box<Accepted>>,
    /// It is looked at before it is synced.
    pub(super) is_screened: bool,
}

/// What came of a [`BodyWrite`].
pub enum BodyWritten {
    /// More will follow.
    Open(Box<dyn BodyWriter>),
    /// That was all of this message, and its data is synced.
    Whole(Content, Box<Accepted>),
    /// That was all of this message, to be looked at before it is synced.
    Unscreened(Box<dyn BodyWriter>, Box<Accepted>),
}

impl BodyWrite {
    /// Writes; opens the body before its first piece, and syncs it after its last. Blocks.
    ///
    /// # Errors
    /// What the spool says. The body is gone then, with all that was written of it.
    pub fn run(self, spool: &dyn Spool) -> Result<BodyWritten, SpoolError> {
        let mut body = match self.body {
            Some(body) => body,
            None => spool.open_body(self.id)?,
        };
        body.write(&self.piece)?;
        Ok(match self.whole {
            None => BodyWritten::Open(body),
            Some(accepted) if self.is_screened => BodyWritten::Unscreened(body, accepted),
            Some(accepted) => BodyWritten::Whole(body.finish()?, accepted),
        })
    }
}
