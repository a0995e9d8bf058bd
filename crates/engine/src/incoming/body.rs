use std::sync::Arc;

use config::Screening as Terms;
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
    /// On which terms it is looked at before it is synced, where it is.
    pub(super) terms: Option<Arc<Terms>>,
}

/// What came of a [`BodyWrite`].
pub enum BodyWritten {
    /// More will follow.
    Open(Box<dyn BodyWriter>),
    /// That was all of this message, and its data is synced.
    Whole(Content, Box<Accepted>),
    /// That was all of this message, to be looked at before it is synced.
    Unscreened(Box<dyn BodyWriter>, Box<Accepted>, Arc<Terms>),
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
        Ok(match (self.whole, self.terms) {
            (None, _) => BodyWritten::Open(body),
            (Some(accepted), Some(terms)) => BodyWritten::Unscreened(body, accepted, terms),
            (Some(accepted), None) => BodyWritten::Whole(body.finish()?, accepted),
        })
    }
}
