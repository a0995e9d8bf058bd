use std::sync::Arc;

use mail::Place;

use crate::SenderPattern;

/// A policy service, and about which recipients it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyService {
    /// Its name in the configuration: `[scanner.NAME]`.
    pub name: Arc<str>,
    /// Of users who signed in and clients that may relay, and not of all others.
    pub of_submitters: bool,
    /// By which listeners they come; none: by any.
    pub listeners: Box<[Arc<str>]>,
    /// The recipients; none: all.
    pub to: Box<[SenderPattern]>,
    /// Where it was configured.
    pub place: Place,
}
