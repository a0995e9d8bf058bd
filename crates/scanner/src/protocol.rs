use std::fmt::Debug;

use crate::{Answer, Fault, Wants};

/// How one question is put and its answer read, for [`Exchange`](crate::Exchange).
pub(crate) trait Protocol: Debug + Send {
    /// Octets that the scanner is told the content has; none where it is not told.
    fn told(&self) -> Option<u64>;

    /// Puts out what has to be written, and says what is wanted then.
    fn write(&mut self, out: &mut Vec<u8>) -> Wants;

    /// Puts out a piece of the content.
    fn content(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(piece);
    }

    /// Puts out what ends the content.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Takes what came.
    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault>;

    /// Nothing more comes.
    fn closed(&mut self) -> Result<Answer, Fault> {
        Err(Fault::Closed)
    }

    /// Whether another question may follow.
    fn is_reusable(&self) -> bool {
        false
    }
}
