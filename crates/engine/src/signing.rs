//! Signs what those send who may: by the key of the domain that the message shows as its author's.

use std::io::{self, Read};
use std::sync::Arc;

use dkim::{DomainSigner, Signer, Signers};
use mail::{Client, Mailbox, Timestamp};
use message::{HeaderScan, RawField, listed_mailboxes};
use reception::Accepted;
use relay_policy::{Rights, Rules, may_write_as};

/// Octets of a message that are read at one time.
const PIECE_BYTES: usize = 64 << 10;

/// How a message is signed that somebody handed in.
pub(crate) struct Signing<'a> {
    pub signers: &'a Signers,
    /// By which it was taken.
    pub rules: Arc<Rules>,
    pub client: Client,
    /// What the user may do who had signed in.
    pub rights: Option<Arc<Rights>>,
    /// The authors as whom the sender may write, where that was asked when the message came.
    pub authors: Option<Vec<Mailbox>>,
    pub now: Timestamp,
}

impl Signing<'_> {
    /// Signs the message with this content, where it has a signer. Strangers may write what they
    /// like, so theirs is not signed.
    ///
    /// # Errors
    /// The content cannot be read.
    pub fn sign(&self, accepted: &mut Accepted, content: impl Read) -> io::Result<()> {
        if accepted.from_stranger || self.signers.is_empty() {
            return Ok(());
        }
        let may_write_as = |author: &Mailbox| match &self.authors {
            Some(authors) => authors.contains(author),
            None => may_write_as(&self.rules, &self.client, self.rights.as_ref(), author),
        };
        let message = accepted.head.chain(content);
        let fields = signatures(self.signers, &may_write_as, message, self.now)?;
        accepted.size += fields.len() as u64;
        accepted.head.splice(..0, fields.into_bytes());
        Ok(())
    }
}

/// Who signs this message, if anybody does, whose sender may write as the authors whom `may_write_as`
/// lets through.
pub fn signer<'a>(
    signers: &'a Signers,
    message: &[u8],
    may_write_as: &dyn Fn(&Mailbox) -> bool,
) -> Option<&'a DomainSigner> {
    let mut scan = HeaderScan::new();
    scan.push(message);
    let header_len = usize::try_from(scan.octets()).unwrap_or(usize::MAX);
    let header = &message[..header_len.min(message.len())];
    signer_by_header(signers, header, may_write_as)
}

/// The same for a message with this header.
///
/// All authors must be at one domain: a signature stands for one, and a reader is shown them all. As
/// each of them the sender must be allowed to write, by `may_write_as`.
pub(crate) fn signer_by_header<'a>(
    signers: &'a Signers,
    header: &[u8],
    may_write_as: &dyn Fn(&Mailbox) -> bool,
) -> Option<&'a DomainSigner> {
    let fields = RawField::all(header).filter(|field| field.is("From"));
    let authors = fields.flat_map(|field| listed_mailboxes(field.value));
    let authors: Option<Vec<Mailbox>> = authors.map(|listed| listed.mailbox()).collect();
    let authors = authors?;
    let domain = authors.first()?.host().domain()?;
    let is_one = authors
        .iter()
        .all(|one| one.host().domain() == Some(domain));
    let signer = signers.of(domain).filter(|_| is_one)?;
    authors.iter().all(may_write_as).then_some(signer)
}

/// The fields that sign this message, read from its first octet to its last, to be put on top of it;
/// empty where nobody signs it. The header is kept in memory, the body is not.
///
/// # Errors
/// It cannot be read.
pub(crate) fn signatures(
    signers: &Signers,
    may_write_as: &dyn Fn(&Mailbox) -> bool,
    mut message: impl Read,
    now: Timestamp,
) -> io::Result<String> {
    let mut piece = vec![0; PIECE_BYTES];
    let (start, header_len) = start(&mut message, &mut piece)?;
    let (header, rest) = start.split_at(header_len);
    let signer = signer_by_header(signers, header, may_write_as);
    // What is no field in the middle of a header ends it for some readers and not for others: they
    // would not agree on what was signed.
    let body = rest
        .strip_prefix(b"\r\n")
        .or(rest.is_empty().then_some(rest));
    let Some((DomainSigner { signer, .. }, body)) = signer.zip(body) else {
        return Ok(String::new());
    };
    let mut hash = Signer::body_hash();
    hash.push(body);
    loop {
        match message.read(&mut piece)? {
            0 => break,
            octets => hash.push(&piece[..octets]),
        }
    }
    // There is a From. A message whose signature could not be computed is one without it, as most are.
    Ok(signer.sign(header, &hash.finish(), now).unwrap_or_default())
}

/// So much of the message that the empty line behind its header is among it, and the octets of the
/// header.
fn start(message: &mut impl Read, piece: &mut [u8]) -> io::Result<(Vec<u8>, usize)> {
    let (mut scan, mut start) = (HeaderScan::new(), Vec::new());
    loop {
        let octets = message.read(piece)?;
        scan.push(&piece[..octets]);
        start.extend_from_slice(&piece[..octets]);
        let header_len = usize::try_from(scan.octets()).unwrap_or(usize::MAX);
        let is_whole = scan.has_ended() && start.len() >= header_len.saturating_add(2);
        if octets == 0 || is_whole {
            let header_len = header_len.min(start.len());
            return Ok((start, header_len));
        }
    }
}

/// Without the signatures that we put on top: what was signed is not what goes out.
pub(crate) fn without_signatures(head: &[u8]) -> &[u8] {
    let fields = RawField::all(head);
    let signatures = fields.take_while(|field| field.is("DKIM-Signature"));
    let octets = signatures.map(|field| field.raw.len()).sum();
    &head[octets..]
}

#[cfg(test)]
mod tests {
    use dkim::{Algorithm, Answer, PrivateKey, PublishedKey, Sought, Step, Verifier};
    use mail::{Domain, Place};

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn name(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    /// Of `a.test`, with the text of its key's record.
    fn signers() -> (Signers, String) {
        let key = Arc::new(PrivateKey::generate(Algorithm::RsaSha256).unwrap());
        let record = PublishedKey::of(&name("a.test"), &name("k"), &key).unwrap();
        let signer = DomainSigner {
            signer: Signer::new(name("a.test"), name("k"), key),
            subdomains: false,
            place: Place::Default,
        };
        (Signers::new([signer]), record.text)
    }

    /// Gives one octet at a time.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            let octets = to.len().min(1);
            self.0.read(&mut to[..octets])
        }
    }

    fn verdict(message: &[u8], record: &str) -> String {
        let end = message.windows(4).position(|four| four == b"\r\n\r\n");
        let (header, body) = message.split_at(end.map_or(message.len(), |end| end + 2));
        let mut verifier = Verifier::new(header, Sought::SIGNATURES);
        verifier.push(body.strip_prefix(b"\r\n").unwrap_or(body));
        let mut verification = verifier.finish(NOW);
        loop {
            match verification.step() {
                Step::Ask(name) => {
                    verification.on_answer(name, Answer::Texts([record.into()].into()));
                }
                Step::Done(verified) => return verified.signatures[0].reason.to_string(),
            }
        }
    }

    #[test]
    fn a_message_is_signed_however_it_is_cut() {
        let (signers, record) = signers();
        for message in [
            "From: x@a.test\r\nSubject: y\r\n\r\nHello\r\n\r\nworld \r\n",
            "From: x@a.test\r\n\r\n",
            "From: x@a.test\r\n",
            "Received: y\r\n\tz\r\nFrom: X <x@A.test>, y@a.test\r\n\r\n\r\n\r\nno end",
        ] {
            let whole = signatures(&signers, &|_| true, message.as_bytes(), NOW).unwrap();
            let cut = signatures(&signers, &|_| true, Trickle(message.as_bytes()), NOW).unwrap();
            assert_eq!(whole, cut, "{message:?}");
            let signed = format!("{whole}{message}");
            assert_eq!(verdict(signed.as_bytes(), &record), "good", "{signed}");
        }
    }

    #[test]
    fn only_authors_of_one_domain_as_whom_the_sender_may_write_are_signed_for() {
        let (signers, _) = signers();
        let may_write_as = |author: &Mailbox| author.as_str() != "boss@a.test";
        for (message, expected) in [
            ("From: x@a.test\r\n\r\nHello\r\n", true),
            ("From: boss@a.test\r\n\r\nHello\r\n", false),
            ("From: x@a.test, boss@a.test\r\n\r\nHello\r\n", false),
            ("From: x@a.test, y@b.test\r\n\r\nHello\r\n", false),
            ("From: x@a.test\r\nFrom: y@b.test\r\n\r\nHello\r\n", false),
            ("From: x@a.test, y z@b.test\r\n\r\nHello\r\n", false),
            ("From: x@b.test\r\n\r\nFrom: x@a.test\r\n", false),
            ("From: x@y.a.test\r\n\r\nHello\r\n", false),
            ("From: x@[192.0.2.1]\r\n\r\nHello\r\n", false),
            ("From: nobody:;\r\n\r\nHello\r\n", false),
            ("Subject: y\r\n\r\nHello\r\n", false),
            // For some readers the header goes on behind that line.
            (
                "From: x@a.test\r\nno field\r\nTo: y\r\n\r\nHello\r\n",
                false,
            ),
            ("", false),
        ] {
            let made = signatures(&signers, &may_write_as, message.as_bytes(), NOW).unwrap();
            assert_eq!(!made.is_empty(), expected, "{message:?}: {made}");
        }
    }
}
