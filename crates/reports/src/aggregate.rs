mod xml_reader;
mod xml_writer;

use std::fmt;
use std::net::IpAddr;

use dmarc::{Mode, Policy};

use crate::{Flaw, Period, Reporter};

/// Records of one report that are read.
const RECORDS_MAX: usize = 100_000;

/// Results of one kind, and overrides, that are kept of a record. RFC 9990 section 3.1.3 has a report
/// hold no more signatures than that.
const RESULTS_MAX: usize = 100;

/// An aggregate DMARC report (RFC 9990 section 3.1): what came of the mail of one domain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Aggregate {
    /// Who made it.
    pub reporter: Reporter,
    /// What else the reporter says of where it can be asked.
    pub extra_contact: Option<String>,
    /// The program that made it.
    pub generator: Option<String>,
    /// What is wrong with the domain's record.
    pub errors: Vec<String>,
    /// What time it is about.
    pub period: Period,
    /// The policy of the domain, as it was found.
    pub published: Published,
    /// What came, counted.
    pub records: Vec<Record>,
    /// How many records have no count or no address, and are left out.
    pub unread: u64,
}

/// A policy as it was found in DNS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Published {
    /// The domain that has it.
    pub domain: String,
    /// For the domain itself.
    pub p: Option<Policy>,
    /// For names below it.
    pub sp: Option<Policy>,
    /// For names below it that do not exist.
    pub np: Option<Policy>,
    /// How alike a signature's domain has to be.
    pub adkim: Option<Mode>,
    /// How alike the sender's domain has to be.
    pub aspf: Option<Mode>,
    /// Whether the domain tries its policy out.
    pub is_test: Option<bool>,
}

/// Messages that are alike in all of this.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Record {
    /// Where they came from.
    pub source: IpAddr,
    /// How many they are.
    pub count: u64,
    /// What DMARC says of them.
    pub evaluated: Evaluated,
    /// The domains that they name.
    pub identifiers: Identifiers,
    /// What DKIM says, of each signature.
    pub dkim: Vec<Checked>,
    /// What SPF says; reports of the older form may say it of two domains.
    pub spf: Vec<Checked>,
}

/// What DMARC says of messages, and what was done with them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evaluated {
    /// What was done.
    pub disposition: Disposition,
    /// Whether a signature vouches for the author's domain.
    pub dkim: Option<bool>,
    /// Whether the sender's address does.
    pub spf: Option<bool>,
    /// Why something else was done than the domain asks for.
    pub overrides: Vec<Override>,
}

/// What was done with messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Disposition {
    /// Nothing, as the domain asks for nothing or somebody decided otherwise.
    None,
    /// Nothing, as they pass.
    Pass,
    /// They were looked at with suspicion.
    Quarantine,
    /// They were refused.
    Reject,
    /// The report does not say.
    #[default]
    Unsaid,
}

/// Why something else was done than a domain asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Override {
    /// The word for it: `local_policy`, `mailing_list`, `trusted_forwarder`, `policy_test_mode`,
    /// `other`, and some that older reports have.
    pub kind: String,
    /// More about it.
    pub comment: Option<String>,
}

/// The domains that messages name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Identifiers {
    /// That of their author.
    pub header_from: String,
    /// That of their sender, empty for the null sender.
    pub envelope_from: Option<String>,
    /// That of their recipient.
    pub envelope_to: Option<String>,
}

/// What one check said, whatever DMARC makes of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Checked {
    /// The domain that was checked.
    pub domain: String,
    /// Which key, of DKIM.
    pub selector: Option<String>,
    /// Whose domain it is, of SPF: `mfrom` or `helo`.
    pub scope: Option<String>,
    /// The result, in the words of RFC 8601 section 2.7, and in those of older reports.
    pub result: String,
    /// More about it.
    pub human_result: Option<String>,
}

impl Aggregate {
    /// Reads one in XML, of RFC 9990 or RFC 7489, and as programs write them that know neither well.
    ///
    /// What is missing or cannot be read is left out; the error is for what is no such report at all,
    /// or not a whole one.
    pub fn read(xml: &[u8]) -> Result<Self, Flaw> {
        xml_reader::read(xml)
    }

    /// Writes it as RFC 9990 has it. Of several errors the first is written, there may be but one.
    pub fn to_xml(&self) -> String {
        xml_writer::write(self)
    }
}

impl Disposition {
    /// As it stands in reports; empty where they do not say.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Pass => "pass",
            Self::Quarantine => "quarantine",
            Self::Reject => "reject",
            Self::Unsaid => "",
        }
    }

    fn parse(text: &str) -> Self {
        let all = [Self::None, Self::Pass, Self::Quarantine, Self::Reject];
        let mut all = all.into_iter();
        all.find(|own| text.eq_ignore_ascii_case(own.as_str()))
            .unwrap_or_default()
    }
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
