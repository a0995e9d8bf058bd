//! Whether a set of rules makes an open relay.
//!
//! *Open* means: on a listener that strangers can reach (not bound to loopback only; a connect rule
//! that keeps strangers out is taken into account by what it lets in), the clients permitted to
//! relay, less those denied, hold more public addresses than [`crate::PUBLIC_ADDRESSES_MAX`]
//! however the list is split, or a host name at or above a public suffix; or a domain that is taken
//! from strangers is `*` or a public suffix. Every hole comes with an example that
//! [`relay_policy::decide`] itself carries.

use std::fmt;
use std::sync::Arc;

use relay_policy::Rules;

use crate::bonds::Bonds;
use crate::holes::{Hole, holes};
use crate::passage::Passage;
use crate::permission::Permission;
use crate::suspicions::{Suspicion, suspicions};

/// What a set of rules amounts to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Posture {
    /// The ways in which it is an open relay; none: it is closed.
    pub holes: Vec<Hole>,
    /// Who may send to domains that are not ours, and by which line.
    pub may_relay: Vec<Permission>,
    /// Who may send to some recipients only, and by which line.
    pub bound: Vec<Bonds>,
    /// By which lines mail of strangers leaves for other domains all the same.
    pub passages: Vec<Passage>,
    /// What is not open but looks wrong.
    pub suspicions: Vec<Suspicion>,
}

impl Posture {
    /// No stranger can relay.
    pub fn is_closed(&self) -> bool {
        self.holes.is_empty()
    }
}

/// `closed: ...` or `open: ...`, and who may relay, in one line.
impl fmt::Display for Posture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_closed() { "closed" } else { "open" })?;
        let holes = self.holes.iter().map(ToString::to_string);
        let told: Vec<String> = if self.may_relay.iter().all(Permission::is_none) {
            holes.chain(["nobody may relay".to_owned()]).collect()
        } else {
            let permissions = self.may_relay.iter().map(ToString::to_string);
            holes.chain(permissions).collect()
        };
        let bound = self.bound.iter().map(ToString::to_string);
        let passages = self.passages.iter().map(ToString::to_string);
        let told: Vec<String> = told.into_iter().chain(bound).chain(passages).collect();
        write!(f, ": {}", told.join("; "))
    }
}

/// Says whether these listeners make an open relay, each hole with a proof. What several listeners
/// share is told once.
pub fn posture<'a>(listeners: impl IntoIterator<Item = &'a Rules>) -> Posture {
    let mut posture = Posture::default();
    for rules in listeners {
        Permission::add(&mut posture.may_relay, rules);
        for passage in Passage::of(rules) {
            if !posture.passages.contains(&passage) {
                posture.passages.push(passage);
            }
        }
        for bonds in Bonds::of(rules) {
            if !posture.bound.contains(&bonds) {
                posture.bound.push(bonds);
            }
        }
        if rules.listener.is_loopback_only() {
            continue;
        }
        // To whom some may not send closes nothing: the example might be one of them by chance.
        let rules = &Rules {
            bound_clients: Arc::default(),
            ..rules.clone()
        };
        let told = |hole: &Hole, holes: &[Hole]| {
            holes
                .iter()
                .any(|h| h.kind == hole.kind && h.place == hole.place)
        };
        for hole in holes(rules) {
            if !told(&hole, &posture.holes) {
                posture.holes.push(hole);
            }
        }
        for suspicion in suspicions(rules) {
            if !posture.suspicions.contains(&suspicion) {
                posture.suspicions.push(suspicion);
            }
        }
    }
    posture
}
