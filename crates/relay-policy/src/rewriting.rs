use std::time::Duration;

use mail::{Domain, Mailbox, Place, ReversePath, Timestamp};
use srs::{Day, Fault, Scheme, Sender};

use crate::{DomainKind, DomainTable};

/// RFC 5321 section 4.5.3.1.1: octets of a local part. Servers that know no more would refuse the
/// message for its sender.
const LOCAL_PART_MAX: usize = 64;

/// `[srs]`: at which domain the senders of forwarded messages are rewritten, and by which secrets.
#[derive(Debug, Clone)]
pub struct Rewriting {
    /// The domain. Bounces come back to it, so its MX is this relay.
    pub domain: Domain,
    /// How addresses there are made.
    pub scheme: Scheme,
    /// Where it was written.
    pub place: Place,
}

/// As whom a message is forwarded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rewritten {
    /// As it came.
    Not,
    /// From this address, which stands for the sender.
    To(Mailbox),
    /// From the null sender: an address that stands for this sender would be too long. There is
    /// nobody then whom the next hop could tell of its troubles; nor is there anybody whom it could
    /// take for a forger.
    TooLong,
}

impl Rewritten {
    /// The reverse path that goes out; `None`: the one that came.
    pub fn into_path(self) -> Option<ReversePath> {
        match self {
            Self::Not => None,
            Self::To(mailbox) => Some(ReversePath::Mailbox(mailbox)),
            Self::TooLong => Some(ReversePath::Null),
        }
    }
}

impl Rewriting {
    /// The same by another scheme: the configuration knows the domain, and not the secrets.
    pub fn by(&self, scheme: Scheme) -> Self {
        Self {
            scheme,
            domain: self.domain.clone(),
            place: self.place.clone(),
        }
    }

    /// As whom a message from `sender` is forwarded `now` (on the system's clock). A sender at one
    /// of `ours` stays, as whoever publishes SPF for that names this relay; but a stranger may have
    /// written anybody there, and would pass for them elsewhere.
    pub fn rewrite(
        &self,
        sender: &ReversePath,
        from_stranger: bool,
        ours: &DomainTable,
        now: Timestamp,
    ) -> Rewritten {
        let ReversePath::Mailbox(mailbox) = sender else {
            return Rewritten::Not;
        };
        // At an address literal there is no SPF.
        let Some(domain) = mailbox.host().domain() else {
            return Rewritten::Not;
        };
        let hosted = ours.find(domain);
        let is_ours =
            self.is_at(mailbox) || hosted.is_some_and(|rule| rule.kind != DomainKind::Blocked);
        if self.is_for(mailbox) || is_ours && !from_stranger {
            return Rewritten::Not;
        }
        let host = written_host(mailbox);
        let local = mailbox.unquoted_local();
        let Some(local) = self.scheme.rewrite(&local, host, day_of(now)) else {
            return Rewritten::Not;
        };
        match Mailbox::from_parts(&local, self.domain.as_str()) {
            Ok(address) if address.local().len() <= LOCAL_PART_MAX => Rewritten::To(address),
            Ok(_) | Err(_) => Rewritten::TooLong,
        }
    }

    /// Whether `recipient` is an address that stands for a sender, or looks like one.
    pub fn is_for(&self, recipient: &Mailbox) -> bool {
        self.is_at(recipient) && srs::is_rewritten(&recipient.unquoted_local())
    }

    /// Whether it is at the domain where senders are rewritten.
    pub(crate) fn is_at(&self, mailbox: &Mailbox) -> bool {
        mailbox.host().domain() == Some(&self.domain)
    }

    /// The sender for whom `recipient` stands. What passed us twice, with another forwarder between,
    /// stands for an address of our own: that is turned back as well.
    pub(crate) fn turn_back(&self, recipient: &Mailbox, now: Timestamp) -> Result<Mailbox, Fault> {
        let sender = self.turn_back_once(recipient, now)?;
        if !self.is_for(&sender) {
            return Ok(sender);
        }
        // An address of the kind in which another stands is never within another.
        let sender = self.turn_back_once(&sender, now)?;
        (!self.is_for(&sender)).then_some(sender).ok_or(Fault::Form)
    }

    fn turn_back_once(&self, recipient: &Mailbox, now: Timestamp) -> Result<Mailbox, Fault> {
        let local = recipient.unquoted_local();
        let Sender { local, host } = self.scheme.turn_back(&local, day_of(now))?;
        let mailbox = Mailbox::from_parts(&local, &host).map_err(|_| Fault::Form)?;
        Mailbox::parse_recipient(mailbox.as_str()).map_err(|_| Fault::Form)
    }
}

fn day_of(now: Timestamp) -> Day {
    Day::of(Duration::from_millis(now.as_millis()))
}

/// As it was written, since that is what others sign; in A-labels where it was not ASCII.
fn written_host(mailbox: &Mailbox) -> &str {
    let written = &mailbox.as_str()[mailbox.local().len() + 1..];
    match mailbox.host().domain() {
        Some(domain) if !written.is_ascii() => domain.as_str(),
        Some(_) | None => written,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{DomainRule, NamePattern};

    fn rewriting() -> Rewriting {
        Rewriting {
            domain: Domain::parse("srs.example").unwrap(),
            scheme: Scheme::new(["tops3cret"], 21),
            place: Place::Default,
        }
    }

    fn ours() -> DomainTable {
        let mut table = DomainTable::default();
        let rule = |name| DomainRule::remote(NamePattern::parse(name).unwrap(), Place::Default);
        table.insert(rule("hosted.test"));
        table.insert(DomainRule {
            kind: DomainKind::Blocked,
            ..rule("blocked.test")
        });
        table
    }

    /// The day `JS`.
    fn today() -> Timestamp {
        Timestamp::from_millis(306 * 24 * 3600 * 1000)
    }

    #[test]
    fn senders_elsewhere_are_rewritten_and_found_again() {
        let (rewriting, ours) = (rewriting(), ours());
        for (sender, expected) in [
            (
                "ann@client.example",
                "SRS0=5mFG=JS=client.example=ann@srs.example",
            ),
            (
                "Ann@Client.Example",
                "SRS0=5mFG=JS=Client.Example=Ann@srs.example",
            ),
            (
                "\"ann\"@client.example",
                "SRS0=5mFG=JS=client.example=ann@srs.example",
            ),
            (
                "SRS0=abc@host.example",
                "SRS1=9Q4Z=host.example==abc@srs.example",
            ),
            (
                "bob@blocked.test",
                "SRS0=Nq2d=JS=blocked.test=bob@srs.example",
            ),
            ("\"a b\"@c.test", "\"SRS0=3FGP=JS=c.test=a b\"@srs.example"),
            (
                "ann@b\u{fc}cher.test",
                "SRS0=214Z=JS=xn--bcher-kva.test=ann@srs.example",
            ),
        ] {
            let path = ReversePath::parse(sender).unwrap();
            let Rewritten::To(address) = rewriting.rewrite(&path, false, &ours, today()) else {
                panic!("{sender} is not rewritten");
            };
            assert_eq!(address.as_str(), expected, "{sender}");
            assert!(rewriting.is_for(&address));
            let back = rewriting.turn_back(&address, today()).unwrap();
            let sender = path.mailbox().unwrap();
            assert_eq!(back.unquoted_local(), sender.unquoted_local());
            assert_eq!(back.host(), sender.host());
        }
    }

    #[test]
    fn nobody_else_is_rewritten() {
        let rewritten = |sender: &str, from_stranger| {
            let path = ReversePath::parse(sender).unwrap();
            rewriting().rewrite(&path, from_stranger, &ours(), today())
        };
        for sender in ["", "srs0=x@SRS.example", "ann@[192.0.2.1]"] {
            for from_stranger in [false, true] {
                let rewritten = rewritten(sender, from_stranger);
                assert_eq!(rewritten, Rewritten::Not, "{sender}");
            }
        }
        // Whoever is ours is rewritten where anybody may have written that.
        for sender in ["ann@hosted.test", "x@SRS.example"] {
            assert_eq!(rewritten(sender, false), Rewritten::Not, "{sender}");
            let by_stranger = rewritten(sender, true);
            assert!(matches!(by_stranger, Rewritten::To(_)), "{sender}");
        }
        let mut without = rewriting();
        without.scheme = Scheme::new([""; 0], 21);
        let path = ReversePath::parse("ann@client.example").unwrap();
        assert_eq!(
            without.rewrite(&path, true, &ours(), today()),
            Rewritten::Not
        );
    }

    #[test]
    fn an_address_of_more_than_64_octets_is_none() {
        let room = 64 - "SRS0=HHHH=JS=client.example=".len();
        for (octets, fits) in [(room, true), (room + 1, false)] {
            let path = ReversePath::parse(&format!("{}@client.example", "a".repeat(octets)));
            let rewritten = rewriting().rewrite(&path.unwrap(), true, &ours(), today());
            assert_eq!(matches!(rewritten, Rewritten::To(_)), fits);
            assert_eq!(rewritten.into_path() == Some(ReversePath::Null), !fits);
        }
    }
}
