use mail::Domain;

use crate::walk::{Stop, Walk};
use crate::{Answer, Answers, Question, Record};

/// Addresses of one domain that reports go to. RFC 9990 section 3.5 leaves the limit to us.
const ADDRESSES_MAX: usize = 5;

/// Where reports about a domain go, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destinations {
    /// These have to be known first.
    Ask(Vec<Question>),
    /// To these mail addresses, each once.
    Known(Vec<Box<str>>),
}

/// Where aggregate reports go about mail whose record stands at `domain` and names these `uris`
/// (RFC 9990 section 4).
///
/// An address at another organization counts only when that says in DNS that it wants reports about
/// the domain, and may name another one at the same host then. Where DNS does not tell, nothing goes
/// there. Only mail addresses are taken.
pub fn destinations(domain: &Domain, uris: &[Box<str>], answers: &Answers) -> Destinations {
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    let addresses = uris.iter().filter_map(|uri| mail_address(uri));
    for (address, host) in addresses.take(ADDRESSES_MAX) {
        match allowed(domain, &address, &host, answers) {
            Ok(Some(address)) if !known.contains(&address) => known.push(address),
            Err(Stop::Ask(questions)) => unknown.extend(questions),
            Ok(_) | Err(Stop::Failed(..)) => {}
        }
    }
    if unknown.is_empty() {
        return Destinations::Known(known);
    }
    unknown.sort_unstable();
    unknown.dedup();
    Destinations::Ask(unknown)
}

/// The address to which reports go in place of this one; `None` where nobody wants them there.
fn allowed(
    domain: &Domain,
    named: &str,
    host: &Domain,
    answers: &Answers,
) -> Result<Option<Box<str>>, Stop> {
    let organization = |of| Walk::from(of, answers).map(|walk| walk.organization());
    if host == domain || organization(domain)? == organization(host)? {
        return Ok(Some(named.into()));
    }
    let Ok(name) = Domain::parse(&format!("{domain}._report._dmarc.{host}")) else {
        // Too long for a name.
        return Ok(None);
    };
    let question = Question::Texts(name);
    let texts = match answers.get(&question) {
        None => return Err(Stop::Ask(vec![question])),
        Some(Answer::Texts(texts)) => texts,
        Some(Answer::NoData | Answer::NoSuchName | Answer::Failed(_)) => return Ok(None),
    };
    let records: Vec<Record> = texts
        .iter()
        .filter_map(|text| Record::parse(text))
        .collect();
    let mut others = records.iter().flat_map(|record| &record.reports_to);
    Ok(match others.next() {
        _ if records.is_empty() => None,
        None => Some(named.into()),
        // "The overriding URI MUST use the same destination host."
        Some(other) => mail_address(other)
            .filter(|(_, other)| other == host)
            .map(|(address, _)| address),
    })
}

/// The address in a `mailto` URI (RFC 6068 section 2), and its host; `None` for every other URI.
pub fn mail_address(uri: &str) -> Option<(Box<str>, Domain)> {
    let (scheme, rest) = uri.split_once(':')?;
    let to = rest.split('?').next()?;
    let address = decoded(to)?;
    let (local, host) = address.rsplit_once('@')?;
    let host = Domain::parse(host).ok()?;
    let is_mail = scheme.eq_ignore_ascii_case("mailto") && !local.is_empty();
    is_mail.then(|| (format!("{local}@{host}").into(), host))
}

/// Without percent-encoding (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut pieces = text.split('%');
    let mut octets = pieces.next()?.as_bytes().to_vec();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2)?;
        octets.push(u8::from_str_radix(digits, 16).ok()?);
        octets.extend_from_slice(rest.as_bytes());
    }
    String::from_utf8(octets).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What DNS has, and nothing else.
    const ZONE: [(&str, &str); 9] = [
        ("_dmarc.a.test", "v=DMARC1; p=none"),
        ("_dmarc.mail.a.test", "v=DMARC1; p=none; psd=n"),
        ("a.test._report._dmarc.yes.test", "v=DMARC1"),
        ("a.test._report._dmarc.no.test", "no record"),
        (
            "a.test._report._dmarc.same.test",
            "v=DMARC1; rua=mailto:other@same.test",
        ),
        (
            "a.test._report._dmarc.away.test",
            "v=DMARC1; rua=mailto:other@victim.test",
        ),
        (
            "a.test._report._dmarc.web.test",
            "v=DMARC1; rua=https://web.test/",
        ),
        ("a.test._report._dmarc.fails.test", ""),
        ("_dmarc.broken.test", ""),
    ];

    fn told(domain: &str, uris: &[&str]) -> Vec<Box<str>> {
        let name = |text: &str| Domain::parse(text).unwrap();
        let uris: Vec<Box<str>> = uris.iter().map(|uri| (*uri).into()).collect();
        let mut answers = Answers::new();
        loop {
            match destinations(&name(domain), &uris, &answers) {
                Destinations::Known(addresses) => return addresses,
                Destinations::Ask(questions) => {
                    for question in questions {
                        let Question::Texts(asked) = &question else {
                            panic!("{question:?}");
                        };
                        let found = ZONE.iter().find(|(name, _)| *name == asked.as_str());
                        let answer = match found {
                            Some((_, "")) => Answer::Failed("no answer".into()),
                            Some((_, text)) => Answer::Texts(vec![(*text).into()]),
                            None => Answer::NoSuchName,
                        };
                        assert!(answers.get(&question).is_none(), "{question:?} asked twice");
                        answers.insert(question, answer);
                    }
                }
            }
        }
    }

    #[test]
    fn reports_go_to_who_wants_them() {
        for (uri, expected) in [
            ("mailto:x@a.test", Some("x@a.test")),
            ("MAILTO:x@A.Test?subject=y", Some("x@a.test")),
            ("mailto:x%2by@a.test", Some("x+y@a.test")),
            // Of the same organization.
            ("mailto:x@sub.a.test", Some("x@sub.a.test")),
            // It says that an organization begins there.
            ("mailto:x@mail.a.test", None),
            ("mailto:x@yes.test", Some("x@yes.test")),
            ("mailto:x@no.test", None),
            ("mailto:x@nothing.test", None),
            ("mailto:x@same.test", Some("other@same.test")),
            ("mailto:x@away.test", None),
            ("mailto:x@web.test", None),
            ("mailto:x@fails.test", None),
            ("mailto:x@broken.test", None),
            ("mailto:@a.test", None),
            ("mailto:x%2@a.test", None),
            ("mailto:x%ff@a.test", None),
            ("mailto:x@[192.0.2.1]", None),
            ("https://a.test/x@a.test", None),
        ] {
            let expected: Vec<Box<str>> = expected.into_iter().map(Into::into).collect();
            assert_eq!(told("a.test", &[uri]), expected, "{uri}");
        }
        // The domain of the record may be below that of the organization.
        assert_eq!(told("x.a.test", &["mailto:x@a.test"]), ["x@a.test".into()]);
        assert_eq!(told("mail.a.test", &["mailto:x@a.test"]), []);
        let several = [
            "mailto:x@a.test",
            "mailto:x@no.test",
            "mailto:x@a.test",
            "mailto:y@a.test",
        ];
        assert_eq!(
            told("a.test", &several),
            ["x@a.test".into(), "y@a.test".into()]
        );
        let many: Vec<String> = (0..20).map(|n| format!("mailto:x{n}@a.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(told("a.test", &many).len(), ADDRESSES_MAX);
    }
}
