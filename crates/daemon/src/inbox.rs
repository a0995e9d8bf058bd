//! What the queue manager is told or asked, by whoever has something for it.

use mail::QueueId;
use queue::Event;
use tokio::sync::oneshot;

/// What the queue manager is told or asked.
pub(crate) enum Input {
    /// Something happened.
    Event(Event),
    /// Figures, please.
    Counts(oneshot::Sender<queue::Counts>),
    /// Which of these recipients does an agent have right now?
    Active(Vec<(QueueId, u32)>, oneshot::Sender<Vec<bool>>),
}
