//! What would become of mail that is not sent, as JSON.

use ::delivery::Stage;
use lookups::Trial;
use mail::{Mailbox, Reply};
use route::{Hop, Plan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::diagnosis::delivery::{
    self, Lookup, Progress, Step, Tried, Verdict, advice, cell, failure,
};
use crate::diagnosis::dns::Finding;
use crate::diagnosis::route::{Fact, Way};

/// For mail of whom: `GET /v1/route/ADDRESS`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RouteQuery {
    /// MAIL FROM [the null sender].
    #[serde(default)]
    pub from: String,
}

/// Where mail for an address goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteShown {
    /// The address.
    pub address: String,
    /// For each of those to whom it is forwarded, or for itself.
    pub ways: Vec<RouteWay>,
}

/// Where mail for one recipient goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteWay {
    /// The recipient.
    pub recipient: String,
    /// The site to which it goes.
    pub site: String,
    /// The configuration line that says so.
    pub place: String,
    /// Who is tried, in order.
    pub hosts: Vec<RouteHost>,
    /// What becomes of it where nobody is tried.
    pub answer: Option<String>,
    /// All that holds for it.
    pub facts: Vec<RouteFact>,
}

/// A host that is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteHost {
    /// Its name.
    pub name: String,
    /// Its address; the path of a socket in the file system.
    pub address: String,
    /// The port; `null` for a socket in the file system.
    pub port: Option<u16>,
}

impl From<&Hop> for RouteHost {
    fn from(hop: &Hop) -> Self {
        Self {
            name: hop.name.to_string(),
            address: hop.address.host(),
            port: hop.address.port(),
        }
    }
}

/// Something that holds for mail to a recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteFact {
    /// What it is about.
    pub name: String,
    /// What is so.
    pub text: String,
    /// The configuration line that says so.
    pub place: Option<String>,
}

impl RouteShown {
    /// The ways of mail for `address`.
    pub fn of(address: &Mailbox, ways: &[Way]) -> Self {
        Self {
            address: address.as_str().to_owned(),
            ways: ways.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Way> for RouteWay {
    fn from(way: &Way) -> Self {
        let hops = way.plans.iter().flat_map(|plan| match plan {
            Plan::Hops(hops) => hops.as_slice(),
            Plan::Ask(_) | Plan::Directory(_) | Plan::Stop(_) | Plan::Otherwise(_) => &[],
        });
        let fact = |fact: &Fact| RouteFact {
            name: fact.name.to_owned(),
            text: fact.text.clone(),
            place: fact.place.as_ref().map(ToString::to_string),
        };
        Self {
            recipient: way.recipient.as_str().to_owned(),
            site: way.site.name.to_string(),
            place: way.site.place.to_string(),
            hosts: hops.map(Into::into).collect(),
            answer: way.plans.iter().find_map(|plan| match plan {
                Plan::Stop(outcome) => Some(outcome.reply().to_string()),
                Plan::Ask(_) | Plan::Hops(_) | Plan::Directory(_) | Plan::Otherwise(_) => None,
            }),
            facts: way.facts.iter().map(fact).collect(),
        }
    }
}

/// For whom the mail would be: `POST /v1/test/delivery`, `POST /v1/test/delivery/follow`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryQuestion {
    /// The recipient.
    pub address: String,
    /// MAIL FROM [the null sender].
    #[serde(default)]
    pub from: String,
}

/// What would become of mail for an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryTested {
    /// The address.
    pub address: String,
    /// Each of those to whom it is forwarded, or itself.
    pub recipients: Vec<DeliveryWay>,
}

/// What would become of mail for one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryWay {
    /// The recipient.
    pub recipient: String,
    /// `taken`, `refused` or `waits`
    pub verdict: String,
    /// By whom, or why.
    pub text: String,
    /// Its site, and those where its mail goes otherwise.
    pub sites: Vec<DeliverySite>,
}

/// A site, and its hosts as they were tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliverySite {
    /// Its name.
    pub site: String,
    /// The configuration line that says so.
    pub place: String,
    /// What DNS said.
    pub lookups: Vec<DeliveryLookup>,
    /// Why nobody was tried.
    pub no_way: Option<String>,
    /// Who was tried, in order.
    pub hosts: Vec<DeliveryHost>,
}

/// One thing that was looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryLookup {
    /// `MX far.example`
    pub what: String,
    /// What was found, or why nothing was.
    pub found: String,
    /// Whether no host is missing for it.
    pub ok: bool,
}

/// A host, stage by stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryHost {
    /// Its name.
    pub name: String,
    /// Its address; the path of a socket in the file system.
    pub address: String,
    /// The port; `null` for a socket in the file system.
    pub port: Option<u16>,
    /// What came of each stage.
    pub stages: DeliveryStages,
    /// The stage at which it failed.
    pub failed_at: Option<String>,
    /// What was said there.
    pub reason: Option<String>,
    /// What an administrator can do.
    pub advice: Option<String>,
    /// What the server answered before MAIL.
    pub replies: Vec<String>,
}

/// The stages, in order. Of each `ok` or a word that says more; `FAIL`; `-` where nothing was wanted;
/// nothing where it did not come to that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryStages {
    /// The connection comes about.
    pub connect: String,
    /// The server greets.
    pub banner: String,
    /// It takes our name.
    #[serde(rename = "EHLO")]
    pub ehlo: String,
    /// The connection is encrypted; by which version.
    #[serde(rename = "STARTTLS")]
    pub starttls: String,
    /// The certificate is as demanded.
    pub certificate: String,
    /// It takes our sign-in.
    #[serde(rename = "sign-in")]
    pub sign_in: String,
    /// It takes the sender.
    #[serde(rename = "MAIL")]
    pub mail: String,
    /// It takes the recipient.
    #[serde(rename = "RCPT")]
    pub rcpt: String,
}

/// What is done of a test while it goes on: `POST /v1/test/delivery/follow`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum DeliveryEvent {
    /// The way to a site is known; its hosts are being tried.
    Site {
        /// For whom.
        recipient: String,
        /// The site, still without hosts.
        site: DeliverySite,
        /// Who is tried.
        hosts: Vec<RouteHost>,
    },
    /// A host was tried.
    Host {
        /// For whom.
        recipient: String,
        /// The name of its site.
        site: String,
        /// What came of it.
        host: Box<DeliveryHost>,
    },
    /// All of it: nothing follows.
    End {
        /// As it is answered otherwise.
        tested: DeliveryTested,
    },
    /// There will be nothing: nothing follows.
    Failed {
        /// Why.
        error: String,
    },
}

impl From<Progress<'_>> for DeliveryEvent {
    fn from(progress: Progress<'_>) -> Self {
        match progress {
            Progress::Site { recipient, tried } => Self::Site {
                recipient: recipient.as_str().to_owned(),
                site: tried.into(),
                hosts: match &tried.plan {
                    Plan::Hops(hops) => hops.iter().map(Into::into).collect(),
                    Plan::Ask(_) | Plan::Directory(_) | Plan::Stop(_) | Plan::Otherwise(_) => {
                        Vec::new()
                    }
                },
            },
            Progress::Host {
                recipient,
                site,
                trial,
            } => Self::Host {
                recipient: recipient.as_str().to_owned(),
                site: site.name.to_string(),
                host: Box::new(trial.into()),
            },
        }
    }
}

impl DeliveryTested {
    /// What came of a test for `address`.
    pub fn of(address: &Mailbox, ways: &[delivery::Way]) -> Self {
        Self {
            address: address.as_str().to_owned(),
            recipients: ways.iter().map(Into::into).collect(),
        }
    }
}

impl From<&delivery::Way> for DeliveryWay {
    fn from(way: &delivery::Way) -> Self {
        let (word, text) = match way.verdict() {
            Verdict::Taken(text) => ("taken", text),
            Verdict::Refused(text) => ("refused", text),
            Verdict::Waits(text) => ("waits", text),
        };
        Self {
            recipient: way.recipient.as_str().to_owned(),
            verdict: word.to_owned(),
            text,
            sites: way.sites.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Tried> for DeliverySite {
    fn from(tried: &Tried) -> Self {
        let lookup = |lookup: &Lookup| DeliveryLookup {
            what: lookup.what.clone(),
            found: lookup.found.clone(),
            ok: !lookup.failed,
        };
        Self {
            site: tried.site.name.to_string(),
            place: tried.site.place.to_string(),
            lookups: tried.lookups.iter().map(lookup).collect(),
            no_way: match &tried.plan {
                Plan::Stop(outcome) | Plan::Otherwise(outcome) => Some(outcome.reply().to_string()),
                Plan::Ask(_) | Plan::Hops(_) | Plan::Directory(_) => None,
            },
            hosts: tried.trials.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Trial> for DeliveryHost {
    fn from(trial: &Trial) -> Self {
        let failure = failure(trial);
        let advice = failure.as_ref().map(|(step, _)| advice(trial, *step));
        let (failed_at, reason) = failure.map(|(step, why)| (step.name(), why)).unzip();
        let said = |(_, reply): &(Stage, Reply)| reply.to_string();
        Self {
            name: trial.hop.name.to_string(),
            address: trial.hop.address.host(),
            port: trial.hop.address.port(),
            stages: DeliveryStages {
                connect: cell(trial, Step::Connect),
                banner: cell(trial, Step::Banner),
                ehlo: cell(trial, Step::Ehlo),
                starttls: cell(trial, Step::StartTls),
                certificate: cell(trial, Step::Certificate),
                sign_in: cell(trial, Step::SignIn),
                mail: cell(trial, Step::Mail),
                rcpt: cell(trial, Step::Rcpt),
            },
            failed_at: failed_at.map(str::to_owned),
            reason,
            advice: advice.map(str::to_owned),
            replies: trial.heard.iter().map(said).collect(),
        }
    }
}

/// What of DNS is looked at: `POST /v1/test/dns`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct DnsQuestion {
    /// This domain alone [this relay, and every domain of ours].
    #[serde(default)]
    pub domain: Option<String>,
    /// Addresses from which mail goes out [those that this machine knows of].
    #[serde(default)]
    pub addresses: Vec<String>,
}

/// What was found in DNS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsTested {
    /// One after the other.
    pub findings: Vec<DnsFinding>,
}

/// One thing that DNS was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DnsFinding {
    /// `ok`, `note`, `warning`, `FAIL` or `unknown`
    pub result: String,
    /// The domain, host or address that it is about.
    pub subject: String,
    /// What was looked for.
    pub what: String,
    /// What was found.
    pub text: String,
}

impl DnsTested {
    /// What was found.
    pub fn of(findings: &[Finding]) -> Self {
        let finding = |finding: &Finding| DnsFinding {
            result: finding.mark.as_str().to_owned(),
            subject: finding.subject.clone(),
            what: finding.what.to_owned(),
            text: finding.text.clone(),
        };
        Self {
            findings: findings.iter().map(finding).collect(),
        }
    }
}

/// To whom a test message goes: `POST /v1/test/send`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestMessage {
    /// The recipient.
    pub to: String,
}

/// Whether a test message could be sent: `GET /v1/test/send`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestDoor {
    /// Why not, if so.
    pub why_not: Option<String>,
}

/// A test message that was taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TestSent {
    /// Its queue id.
    pub id: String,
    /// What its session was answered.
    pub answer: String,
}
