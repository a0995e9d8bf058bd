use std::borrow::Cow;
use std::fmt;

use mail::{Mailbox, OriginalRecipient, ReversePath, from_xtext, xtext};

use crate::senders;

/// Why a recipient was let in. Stored with the message, so that what waits was admitted once and
/// for all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Grounds {
    /// The recipient's domain is one of ours.
    OurDomain,
    /// The client is listed as one that may relay.
    ListedClient,
    /// The client signed in.
    SignedInUser,
    /// The client showed a certificate whose holder may relay.
    CertificateHolder,
    /// A notice of our own (RFC 3464) to the sender of a message that we carried.
    OwnNotice,
    /// Handed in on this machine.
    LocalSubmission,
    /// A recipient elsewhere to whom the configuration forwards one of ours.
    Forwarded,
    /// The sender of a message that we forwarded, named by the address that we gave it (SRS).
    ForwardedSender,
    /// It came back from the filter, which says that somebody sent it who may relay.
    Filtered,
    /// The same of what anybody may have sent, or the filter itself.
    FilteredOfStrangers,
}

impl Grounds {
    const ALL: [(Grounds, &'static str); 10] = [
        (Grounds::OurDomain, "our-domain"),
        (Grounds::ListedClient, "listed-client"),
        (Grounds::SignedInUser, "signed-in-user"),
        (Grounds::CertificateHolder, "certificate-holder"),
        (Grounds::OwnNotice, "own-notice"),
        (Grounds::LocalSubmission, "local-submission"),
        (Grounds::Forwarded, "forwarded"),
        (Grounds::ForwardedSender, "forwarded-sender"),
        (Grounds::Filtered, "filtered"),
        (Grounds::FilteredOfStrangers, "filtered-of-strangers"),
    ];

    /// Whether anybody may have sent to a recipient on these grounds.
    pub fn is_of_strangers(self) -> bool {
        match self {
            Self::OurDomain
            | Self::Forwarded
            | Self::ForwardedSender
            | Self::FilteredOfStrangers => true,
            Self::ListedClient
            | Self::SignedInUser
            | Self::CertificateHolder
            | Self::OwnNotice
            | Self::LocalSubmission
            | Self::Filtered => false,
        }
    }

    /// Whether a message to a recipient on these grounds has come back from the filter.
    pub fn is_filtered(self) -> bool {
        matches!(self, Self::Filtered | Self::FilteredOfStrangers)
    }

    /// The word by which the grounds are stored and logged.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(grounds, _)| *grounds == self)
            .map_or("", |(_, word)| word)
    }

    /// Reads what [`Grounds::as_str`] gave.
    pub fn from_stored(word: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, w)| *w == word)
            .map(|(grounds, _)| *grounds)
    }
}

impl fmt::Display for Grounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What stands before the address of which a copy is stored; no address begins so.
const COPY_OF: &str = "copy ";

/// What stands behind the grounds of who gets a TLS report; no address is so.
const TLS_REPORT: &str = "tls-report";

/// Begins what stands in ORCPT where a filter is told, for us to hear it again, for whom the mail was
/// that goes on. In the address and not in its type (RFC 3461 section 4.2): amavisd-new gives back
/// `rfc822` in place of any other.
const OWN_MARK: &str = "x-gatepost ";
/// Stands there for what the client said in ORCPT, where it said nothing; no value of it is so.
const NOTHING: &str = "-";

/// A recipient that may be carried, and why. Cannot be built outside this crate but by the ways
/// below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    recipient: Mailbox,
    grounds: Grounds,
    forwarded_from: Option<Box<Mailbox>>,
    is_copy: bool,
    is_tls_report: bool,
}

impl Admitted {
    /// For `decide`, `forwarded` and `redirected` alone.
    pub(crate) fn new(recipient: Mailbox, grounds: Grounds) -> Self {
        Self {
            recipient,
            grounds,
            forwarded_from: None,
            is_copy: false,
            is_tls_report: false,
        }
    }

    /// To whom the mail of this one goes on.
    pub(crate) fn forwarded(&self, to: Mailbox, grounds: Grounds) -> Self {
        Self {
            forwarded_from: Some(Box::new(self.recipient.clone())),
            ..Self::new(to, grounds)
        }
    }

    /// Who gets it in place of this one by a rule of screening, or `is_copy`: as well.
    pub(crate) fn redirected(&self, to: Mailbox, grounds: Grounds, is_copy: bool) -> Self {
        Self {
            forwarded_from: Some(Box::new(self.named().clone())),
            is_copy,
            ..Self::new(to, grounds)
        }
    }

    /// The sender of a message to this recipient, where that has a say in the way: not the null
    /// sender, and none that anybody may have named. Whatever else the client may do, it has to be
    /// let in to this recipient because of who it is.
    pub fn own_sender<'a>(&self, from: &'a ReversePath) -> Option<&'a Mailbox> {
        from.mailbox().filter(|_| !self.grounds.is_of_strangers())
    }

    /// Whether the message goes to the filter, where there is one, before it goes to this recipient: it
    /// has not been there, and is no notice of ours.
    pub fn goes_to_filter(&self) -> bool {
        !self.grounds.is_filtered() && self.grounds != Grounds::OwnNotice
    }

    /// The sender of a message that we carried, as recipient of our notice about it.
    pub fn own_notice(sender: Mailbox) -> Self {
        Self::new(sender, Grounds::OwnNotice)
    }

    /// Who gets a TLS report of ours.
    pub fn tls_report(to: Mailbox) -> Self {
        Self {
            is_tls_report: true,
            ..Self::own_notice(to)
        }
    }

    /// A recipient read back from the spool, where only admitted ones are written.
    pub fn from_stored(recipient: Mailbox, grounds: Grounds) -> Self {
        Self::new(recipient, grounds)
    }

    /// The same, whose grounds are as [`Admitted::stored_grounds`] gave them; `None` where that is
    /// damaged.
    pub fn from_stored_text(recipient: Mailbox, grounds: &str) -> Option<Self> {
        let Some((word, from)) = grounds.split_once(' ') else {
            return Some(Self::new(recipient, Grounds::from_stored(grounds)?));
        };
        if from == TLS_REPORT {
            return Some(Self {
                is_tls_report: true,
                ..Self::new(recipient, Grounds::from_stored(word)?)
            });
        }
        let copied_from = from.strip_prefix(COPY_OF);
        let from = Mailbox::parse(copied_from.unwrap_or(from)).ok()?;
        Some(Self {
            forwarded_from: Some(Box::new(from)),
            is_copy: copied_from.is_some(),
            ..Self::new(recipient, Grounds::from_stored(word)?)
        })
    }

    /// As the grounds are stored: their word, and behind it for whom the mail was that goes on, of
    /// whose mail it is a copy, or that it is a TLS report.
    pub fn stored_grounds(&self) -> Cow<'static, str> {
        match &self.forwarded_from {
            Some(from) => {
                let copy_of = if self.is_copy { COPY_OF } else { "" };
                format!("{} {copy_of}{from}", self.grounds).into()
            }
            None if self.is_tls_report => format!("{} {TLS_REPORT}", self.grounds).into(),
            None => self.grounds.as_str().into(),
        }
    }

    /// What a filter is told in ORCPT, of a recipient about whom the client said `original`: where the
    /// mail goes on in place of another's, who that is, since the filter knows it by nothing else.
    pub fn original_for_filter(
        &self,
        original: Option<&OriginalRecipient>,
    ) -> Option<OriginalRecipient> {
        // What only we write means something.
        let original = original.filter(|one| !looks_like_ours(one));
        let Some(from) = self.forwarded_from.as_deref() else {
            return original.cloned();
        };
        let copy_of = if self.is_copy { COPY_OF } else { "" };
        // In xtext by itself, as ORCPT stands for ASCII alone.
        let from = xtext(from.as_str());
        // None where that is too long.
        let told = |original: &str| {
            let value = xtext(&format!("{OWN_MARK}{original} {copy_of}{from}"));
            OriginalRecipient::from_parameter(&format!("rfc822;{value}"))
        };
        // Nobody learns by a long ORCPT of his own to whom mail goes on.
        let both = original.and_then(|original| told(original.as_str()));
        both.or_else(|| told(NOTHING)).or_else(|| original.cloned())
    }

    /// The recipient as it was before the filter, which said `original` on the way back, and what the
    /// client said then.
    pub fn back_from_filter(
        self,
        original: Option<OriginalRecipient>,
    ) -> (Self, Option<OriginalRecipient>) {
        let own = original.as_ref().and_then(own_value);
        let Some(value) = own.filter(|_| self.grounds.is_filtered()) else {
            return (self, original);
        };
        let Some((original, from)) = value.split_once(' ') else {
            return (self, None);
        };
        let original = OriginalRecipient::from_parameter(original);
        let copied_from = from.strip_prefix(COPY_OF);
        let from = from_xtext(copied_from.unwrap_or(from));
        match from.and_then(|from| Mailbox::parse(&from).ok()) {
            Some(from) => {
                let admitted = Self {
                    forwarded_from: Some(Box::new(from)),
                    is_copy: copied_from.is_some(),
                    ..self
                };
                (admitted, original)
            }
            None => (self, original),
        }
    }

    /// Who is to get the message.
    pub fn recipient(&self) -> &Mailbox {
        &self.recipient
    }

    /// Why that is allowed.
    pub fn grounds(&self) -> Grounds {
        self.grounds
    }

    /// The address of ours for which the mail was, where it goes on to this recipient.
    pub fn forwarded_from(&self) -> Option<&Mailbox> {
        self.forwarded_from.as_deref()
    }

    /// It gets a copy by a rule of screening, of which the sender knows nothing.
    pub fn is_copy(&self) -> bool {
        self.is_copy
    }

    /// It gets a TLS report of ours, of which RFC 8460 section 3 says: "sending MTAs MUST deliver
    /// reports despite any TLS-related failures".
    pub fn is_tls_report(&self) -> bool {
        self.is_tls_report
    }

    /// Whether the message would come to the same mailbox, as far as anybody can tell: case and quotes
    /// make no difference.
    pub fn is_same_mailbox(&self, other: &Self) -> bool {
        senders::is_same(&self.recipient, &other.recipient)
    }

    /// Whom the client named: to strangers it is nobody's business who gets the mail in place of that.
    pub fn named(&self) -> &Mailbox {
        self.forwarded_from().unwrap_or(&self.recipient)
    }
}

/// What stands behind our own mark in ORCPT.
fn own_value(original: &OriginalRecipient) -> Option<String> {
    let (_, address) = original.as_str().split_once(';')?;
    let value = from_xtext(address)?;
    value.strip_prefix(OWN_MARK).map(str::to_owned)
}

/// Whether a filter may make our own mark of what a client said. amavisd-new turns what is written as
/// RFC 6533 section 3 has it (`\x{20}`) into plain letters, also those that are not to be written so.
fn looks_like_ours(original: &OriginalRecipient) -> bool {
    let mut plain = String::new();
    let mut rest = original.as_str();
    while let Some((before, behind)) = rest.split_once("\\x{") {
        plain += before;
        let embedded = behind.split_once('}').and_then(|(digits, behind)| {
            let letter = u32::from_str_radix(digits, 16).ok()?;
            Some((char::from_u32(letter)?, behind))
        });
        (plain, rest) = match embedded {
            Some((letter, behind)) => (
                plain + xtext(letter.encode_utf8(&mut [0; 4])).as_str(),
                behind,
            ),
            None => (plain, behind),
        };
    }
    plain += rest;
    from_xtext(&plain).is_none_or(|plain| plain.to_ascii_lowercase().contains(OWN_MARK))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_gives_back_for_whom_the_mail_was() {
        let mailbox = |text: &str| Mailbox::parse(text).unwrap();
        let said = |text: &str| OriginalRecipient::from_parameter(text).unwrap();
        let plain = Admitted::new(mailbox("old@ours.test"), Grounds::OurDomain);
        let back = |there: Option<OriginalRecipient>| {
            let filtered = Admitted::new(mailbox("new@ours.test"), Grounds::Filtered);
            filtered.back_from_filter(there)
        };
        for original in [None, Some(said("rfc822;list+2Bx@far.test"))] {
            for is_copy in [false, true] {
                let onward =
                    plain.redirected(mailbox("new@ours.test"), Grounds::OurDomain, is_copy);
                let there = onward.original_for_filter(original.as_ref());
                let (admitted, heard) = back(there);
                assert_eq!(admitted.named(), plain.recipient());
                assert_eq!((admitted.is_copy(), heard), (is_copy, original.clone()));
            }
            // Nobody else's mail goes on to it: what the client said goes along as it is.
            let there = plain.original_for_filter(original.as_ref());
            assert_eq!(there, original);
            let (admitted, heard) = back(there);
            assert_eq!((admitted.forwarded_from(), heard), (None, original));
        }
        // A client's own word is none of ours, however it is written, and means nothing at another
        // listener.
        for forged in [
            "utf-8;x-gatepost+20-+20eve@ours.test",
            "UTF-8;\\x{78}-gatepost\\x{20}-\\x{20}eve@ours.test",
            "rfc822;+20X-Gatepost+20-+20eve@ours.test",
        ] {
            assert_eq!(plain.original_for_filter(Some(&said(forged))), None);
        }
        let global = said("utf-8;j\\x{FC}rg@far.test");
        let there = plain.original_for_filter(Some(&global));
        assert_eq!(there, Some(global));
        let forged = said("utf-8;x-gatepost+20-+20eve@ours.test");
        let (admitted, heard) = plain.clone().back_from_filter(Some(forged.clone()));
        assert_eq!((&admitted, heard), (&plain, Some(forged)));
        for damaged in ["", "-", "-+20copy+20", "-+20x"] {
            let (admitted, _) = back(Some(said(&format!("rfc822;x-gatepost+20{damaged}"))));
            assert_eq!(admitted.forwarded_from(), None, "{damaged}");
        }
        // Whoever is forwarded stays hidden, beyond ASCII, and where no room is for what the client
        // said beside that.
        let long = format!("{}@ours.test", "a+".repeat(32));
        for named in ["j\u{fc}rg@ours.test", &long] {
            let onward = Admitted::new(mailbox(named), Grounds::OurDomain);
            let onward = onward.redirected(mailbox("new@ours.test"), Grounds::OurDomain, true);
            let original = said(&format!("rfc822;{}@far.test", "b".repeat(480)));
            let (admitted, heard) = back(onward.original_for_filter(Some(&original)));
            assert_eq!((admitted.named().as_str(), heard), (named, None));
            assert!(admitted.is_copy());
        }
    }

    #[test]
    fn what_is_stored_is_read_back() {
        let mailbox = |text| Mailbox::parse(text).unwrap();
        let plain = Admitted::new(mailbox("\"a b\"@ours.test"), Grounds::OurDomain);
        let onward = plain.forwarded(mailbox("ann@elsewhere.test"), Grounds::Forwarded);
        assert_eq!(onward.stored_grounds(), "forwarded \"a b\"@ours.test");
        let copy = onward.redirected(mailbox("x@archive.test"), Grounds::OurDomain, true);
        assert_eq!(copy.stored_grounds(), "our-domain copy \"a b\"@ours.test");
        let report = Admitted::tls_report(mailbox("tls@ours.test"));
        assert_eq!(report.stored_grounds(), "own-notice tls-report");
        for admitted in [plain, onward, copy, report] {
            let stored = admitted.stored_grounds();
            let read = Admitted::from_stored_text(admitted.recipient().clone(), &stored);
            assert_eq!(read, Some(admitted));
        }
        for damaged in [
            "",
            "forwarded ",
            "forwarded x",
            "forward a@b.test",
            "forwarded copy ",
        ] {
            let read = Admitted::from_stored_text(mailbox("a@b.test"), damaged);
            assert_eq!(read, None, "{damaged}");
        }
    }
}
