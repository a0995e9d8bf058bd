use mail::{Mailbox, Place, ReversePath};

use crate::{SendOnlyTo, SenderPattern, senders};

/// What one user may do, once signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rights {
    /// Whether the user may send to domains that are not ours (where `relay.signed_in` lets users
    /// at all).
    pub may_relay: bool,
    /// The senders that the user may name in MAIL; none: see [`SenderMatch`].
    pub senders: Box<[SenderPattern]>,
    /// To whom alone the user may send; each of them counts, none: to everybody.
    pub only_to: Box<[SendOnlyTo]>,
    /// Where the user is written down.
    pub place: Place,
}

/// Whether a user may send only under its own name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum SenderMatch {
    /// Every user may send as any sender.
    Off,
    /// Users with a list of senders only as one of those; others as anybody.
    #[default]
    Listed,
    /// Users with a list of senders only as one of those; others only as themselves (the user's
    /// name is the address).
    Own,
}

impl Rights {
    /// What is allowed by both. Of two lists of senders those stay that both allow; lists of
    /// recipients stand side by side.
    pub fn narrowed_by(&self, other: &Self) -> Self {
        let narrower = (self.may_relay && !other.may_relay) || !other.senders.is_empty();
        Self {
            may_relay: self.may_relay && other.may_relay,
            senders: common(&self.senders, &other.senders),
            only_to: [&*self.only_to, &*other.only_to].concat().into(),
            place: if narrower { other } else { self }.place.clone(),
        }
    }

    /// The line that forbids `user` to send as `sender`, if one does, where `matching` was written
    /// for the listener. The null sender is
    /// everybody's: without it a user's mail program could not send notices about what it received
    /// (RFC 5321 section 6.1).
    pub(crate) fn forbidden_sender<'a>(
        rights: Option<&'a Self>,
        matching: (SenderMatch, &'a Place),
        user: &str,
        sender: &ReversePath,
    ) -> Option<&'a Place> {
        let ReversePath::Mailbox(mailbox) = sender else {
            return None;
        };
        let listed = rights.filter(|rights| !rights.senders.is_empty());
        let (sender_match, written) = matching;
        match (sender_match, listed) {
            (SenderMatch::Off, _) | (SenderMatch::Listed, None) => None,
            (SenderMatch::Listed | SenderMatch::Own, Some(rights)) => {
                let allowed = rights.senders.iter().any(|one| one.matches(sender));
                (!allowed).then_some(&rights.place)
            }
            (SenderMatch::Own, None) => (!is_own(user, mailbox)).then_some(written),
        }
    }
}

/// The senders that both lists allow; an empty list allows all.
fn common(one: &[SenderPattern], other: &[SenderPattern]) -> Box<[SenderPattern]> {
    if one.is_empty() || other.is_empty() {
        return [one, other].concat().into();
    }
    let covered = |pattern: &SenderPattern, by: &[SenderPattern]| match pattern {
        SenderPattern::Mailbox(mailbox) => {
            let sender = ReversePath::Mailbox(mailbox.clone());
            by.iter().any(|one| one.matches(&sender))
        }
        SenderPattern::Null | SenderPattern::Domain(_) => by.contains(pattern),
    };
    let mut both: Vec<SenderPattern> = Vec::new();
    for (list, by) in [(one, other), (other, one)] {
        for pattern in list {
            if covered(pattern, by) && !both.contains(pattern) {
                both.push(pattern.clone());
            }
        }
    }
    if both.is_empty() {
        // The null sender is everybody's; a list of nothing would allow all.
        both.push(SenderPattern::Null);
    }
    both.into()
}

/// Whether the user's name is this address.
fn is_own(user: &str, mailbox: &Mailbox) -> bool {
    Mailbox::parse(user).is_ok_and(|own| senders::is_same(&own, mailbox))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rights(may_relay: bool, senders: &[&str], line: u32) -> Rights {
        let senders = senders.iter().map(|text| SenderPattern::parse(text));
        Rights {
            may_relay,
            senders: senders.collect::<Result<_, _>>().unwrap(),
            only_to: Box::default(),
            place: Place::line(&"users.toml".into(), line, 1),
        }
    }

    #[test]
    fn narrowed_rights_are_those_of_both() {
        let all = rights(true, &[], 1);
        let cases = [
            (&all, rights(true, &[], 2), rights(true, &[], 1)),
            (&all, rights(false, &[], 2), rights(false, &[], 2)),
            (
                &all,
                rights(true, &["a.test"], 2),
                rights(true, &["a.test"], 2),
            ),
            (
                &rights(false, &["a.test"], 1),
                rights(true, &[], 2),
                rights(false, &["a.test"], 1),
            ),
            (
                &rights(true, &["a.test", "x@b.test"], 1),
                rights(true, &["y@a.test", "b.test", "c.test"], 2),
                rights(true, &["x@b.test", "y@a.test"], 2),
            ),
            (
                &rights(true, &["a.test"], 1),
                rights(true, &["b.test"], 2),
                rights(true, &["<>"], 2),
            ),
        ];
        for (one, other, expected) in cases {
            assert_eq!(one.narrowed_by(&other), expected);
        }
    }
}
