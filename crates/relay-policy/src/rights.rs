use mail::{Mailbox, Place, ReversePath};

use crate::{Rules, SenderPattern, senders};

/// What one user may do, once signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Whether the user may send to domains that are not ours (where `relay.signed_in` lets users at all).
    pub may_relay: bool,
    /// The senders that the user may name in MAIL; none: see [`SenderMatch`].
    pub senders: Box<[SenderPattern]>,
    /// Where the user is written down.
    pub place: Place,
}

/// Whether a user may send only under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SenderMatch {
    /// Any sender.
    Off,
    /// Users with a list of senders only as one of those; others as anybody.
    #[default]
    Listed,
    /// Users with a list of senders only as one of those; others only as themselves (the user's name is the address).
    Own,
}

impl Rights {
    /// The line that forbids `user` to send as `sender`, if one does. The null sender is everybody's: without it a user's
    /// mail program could not send notices about what it received (RFC 5321 section 6.1).
    pub(crate) fn forbidden_sender<'a>(
        rights: Option<&'a Self>,
        rules: &'a Rules,
        user: &str,
        sender: &ReversePath,
    ) -> Option<&'a Place> {
        let ReversePath::Mailbox(mailbox) = sender else {
            return None;
        };
        let listed = rights.filter(|rights| !rights.senders.is_empty());
        match (rules.sender_match, listed) {
            (SenderMatch::Off, _) | (SenderMatch::Listed, None) => None,
            (SenderMatch::Listed | SenderMatch::Own, Some(rights)) => {
                let allowed = rights.senders.iter().any(|one| one.matches(sender));
                (!allowed).then_some(&rights.place)
            }
            (SenderMatch::Own, None) => {
                (!is_own(user, mailbox)).then_some(&rules.sender_match_place)
            }
        }
    }
}

/// Whether the user's name is this address.
fn is_own(user: &str, mailbox: &Mailbox) -> bool {
    Mailbox::parse(user).is_ok_and(|own| senders::is_same(&own, mailbox))
}
