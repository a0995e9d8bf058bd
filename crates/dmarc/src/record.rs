use std::fmt;

/// What a domain asks for of mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Policy {
    /// Nothing.
    None,
    /// To look at it with suspicion.
    Quarantine,
    /// To refuse it.
    Reject,
}

/// How alike two domains have to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Mode {
    /// Of the same organization.
    #[default]
    Relaxed,
    /// The same.
    Strict,
}

/// Whether names below a domain belong to others (a public suffix domain).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Psd {
    /// They do.
    Yes,
    /// They do not, and the organization begins here.
    No,
    /// The record does not say.
    #[default]
    Unsaid,
}

/// A DMARC policy record (RFC 9989 section 4.7).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// `p`: for the domain itself, and for what is below it if nothing else is said.
    pub p: Option<Policy>,
    /// `sp`: for names below it.
    pub sp: Option<Policy>,
    /// `np`: for names below it that do not exist.
    pub np: Option<Policy>,
    /// `aspf`: how alike the sender's domain has to be.
    pub aspf: Mode,
    /// `adkim`: how alike a signature's domain has to be.
    pub adkim: Mode,
    /// `psd`
    pub psd: Psd,
    /// `t=y`: the domain tries its policy out.
    pub is_test: bool,
    /// `rua`: where aggregate reports go, URIs as they are written, without sizes.
    pub reports_to: Vec<Box<str>>,
    /// A tag that holds a policy holds something else.
    pub has_wrong_policy: bool,
}

impl Policy {
    /// As it stands in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
        }
    }

    /// Reads it as it stands in records, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::None, Self::Quarantine, Self::Reject];
        all.into_iter()
            .find(|policy| text.eq_ignore_ascii_case(policy.as_str()))
    }

    /// RFC 9989 has `t=y` take enforcement down by one level, as `pct=0` did.
    pub(crate) fn one_less(self) -> Self {
        match self {
            Self::Reject => Self::Quarantine,
            Self::Quarantine | Self::None => Self::None,
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Record {
    /// Reads a TXT record; `None` if it is no DMARC record: the version has to come first, in capitals.
    ///
    /// What has a wrong value counts as left out, and of a tag that is there twice the first counts.
    pub fn parse(text: &str) -> Option<Self> {
        let mut tags = text.split(';').map(|tag| {
            let (name, value) = tag.split_once('=').unwrap_or((tag, ""));
            (
                name.trim_matches(BLANKS).to_ascii_lowercase(),
                value.trim_matches(BLANKS),
            )
        });
        let (first, version) = tags.next()?;
        if first != "v" || version != "DMARC1" {
            return None;
        }
        let tags: Vec<(String, &str)> = tags.collect();
        let value = |name: &str| {
            tags.iter()
                .find(|(n, _)| n == name)
                .map(|(_, value)| *value)
        };
        let is =
            |name: &str, letter: &str| value(name).is_some_and(|v| v.eq_ignore_ascii_case(letter));
        let policy = |name| value(name).map(Policy::parse);
        let mode = |name| {
            if is(name, "s") {
                Mode::Strict
            } else {
                Mode::Relaxed
            }
        };
        let policies = [policy("p"), policy("sp"), policy("np")];
        let [p, sp, np] = policies.map(Option::flatten);
        Some(Self {
            p,
            sp,
            np,
            aspf: mode("aspf"),
            adkim: mode("adkim"),
            psd: match () {
                () if is("psd", "y") => Psd::Yes,
                () if is("psd", "n") => Psd::No,
                () => Psd::Unsaid,
            },
            is_test: is("t", "y"),
            reports_to: uris(value("rua").unwrap_or_default()),
            has_wrong_policy: policies.contains(&Some(None)),
        })
    }
}

const BLANKS: [char; 2] = [' ', '\t'];

/// The URIs of a list. RFC 9989 has the size behind a `!`, which older records know, ignored.
fn uris(list: &str) -> Vec<Box<str>> {
    let uri = |text: &str| {
        let text = text.trim_matches(BLANKS);
        let uri = text.split_once('!').map_or(text, |(uri, _)| uri);
        let (scheme, rest) = uri.split_once(':')?;
        let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let is_plain = rest.bytes().all(|b| b.is_ascii_graphic());
        (is_scheme && is_plain && !rest.is_empty()).then(|| uri.into())
    };
    list.split(',').filter_map(uri).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_the_rfc_has_them() {
        let record = Record::parse(
            "v=DMARC1; p=Reject;sp = quarantine ; NP=none; aspf=s; adkim=x; psd=n; t=y; pct=1; \
             rua=mailto:a@b.test!10m , https://x.test/y,nonsense;",
        );
        let expected = Record {
            p: Some(Policy::Reject),
            sp: Some(Policy::Quarantine),
            np: Some(Policy::None),
            aspf: Mode::Strict,
            adkim: Mode::Relaxed,
            psd: Psd::No,
            is_test: true,
            reports_to: vec!["mailto:a@b.test".into(), "https://x.test/y".into()],
            has_wrong_policy: false,
        };
        assert_eq!(record, Some(expected));
        for (text, p, is_wrong) in [
            ("v=DMARC1", None, false),
            (" v = DMARC1 ;p=none;;p=reject", Some(Policy::None), false),
            ("v=DMARC1;p=", None, true),
            ("v=DMARC1;p=reject;sp=rejec", Some(Policy::Reject), true),
            ("v=DMARC1;p", None, true),
        ] {
            let record = Record::parse(text).expect(text);
            assert_eq!((record.p, record.has_wrong_policy), (p, is_wrong), "{text}");
        }
        for text in [
            "",
            "v=DMARC10;p=none",
            "v=dmarc1;p=none",
            "p=none;v=DMARC1",
            "v=DMARC1 p=none",
        ] {
            assert_eq!(Record::parse(text), None, "{text}");
        }
    }
}
