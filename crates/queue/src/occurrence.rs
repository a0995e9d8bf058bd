use std::sync::Arc;

use spool::Pause;

/// What became of a site, or of the whole queue, by itself: for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occurrence {
    /// The site said that mail comes too fast, and gets it at half the pace.
    Slowed {
        /// The site's name.
        site: Arc<str>,
        /// The pace from now on, and the words of the site.
        pace: String,
    },
    /// The site has taken more for a while, or has not said so for long: it is slowed down no more.
    PaceBack(Arc<str>),
    /// The time is over for which an operator paused it.
    PauseOver(Pause),
}
