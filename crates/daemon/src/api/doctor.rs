//! What keeps a relay from its work, as JSON.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnosis::doctor::{BLOCK_LISTS, Examined, PROBE, TIME_SERVER};

/// Whom to ask beside the name servers of the configuration: `POST /v1/doctor`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DoctorQuestion {
    /// Addresses from which mail goes out, where this machine does not know them.
    pub addresses: Vec<String>,
    /// A domain whose mail servers are tried, without a word of mail, where mail goes by MX; `off` for
    /// none.
    pub probe: String,
    /// Who tells the time (NTP), host or host:port; `off` for nobody.
    pub time_server: String,
    /// DNS lists of addresses that servers take no mail from; `off` for none.
    pub block_lists: Vec<String>,
}

impl Default for DoctorQuestion {
    fn default() -> Self {
        Self {
            addresses: Vec::new(),
            probe: PROBE.to_owned(),
            time_server: TIME_SERVER.to_owned(),
            block_lists: BLOCK_LISTS.map(str::to_owned).to_vec(),
        }
    }
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorFound {
    /// One after the other.
    pub findings: Vec<DoctorFinding>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DoctorFinding {
    /// `ok`, `note`, `warning`, `FAIL` or `unknown`
    pub result: String,
    /// The address, name, file or server that it is about.
    pub subject: String,
    /// What was looked at.
    pub what: String,
    /// What was found.
    pub text: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl DoctorFound {
    /// What was found.
    pub fn of(examined: &[Examined]) -> Self {
        let finding = |Examined { finding, cure }: &Examined| DoctorFinding {
            result: finding.mark.as_str().to_owned(),
            subject: finding.subject.clone(),
            what: finding.what.to_owned(),
            text: finding.text.clone(),
            cure: cure.clone(),
        };
        Self {
            findings: examined.iter().map(finding).collect(),
        }
    }
}
