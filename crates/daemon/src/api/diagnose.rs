//! What a relay says of its own decisions, as JSON.

use std::fmt::Display;

use mail::{Place, Reply};
use relay_audit::prove::{Finding, Judgement, Meaning, Proof};
use relay_audit::{Explanation, StepResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may relay by the configuration in force: `GET /v1/relay/posture`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Posture {
    /// No stranger can relay.
    pub is_closed: bool,
    /// All of it in one line.
    pub text: String,
    /// In which ways it is an open relay, each with an example of a client and a recipient.
    pub holes: Vec<PostureLine>,
    /// Who may send to domains that are not ours.
    pub may_relay: Vec<PostureLine>,
    /// Who may send to some recipients only.
    pub bound: Vec<PostureLine>,
    /// How mail of strangers leaves for other domains all the same.
    pub passages: Vec<PostureLine>,
    /// What is not open but looks wrong.
    pub suspicions: Vec<PostureLine>,
}

/// One thing of a posture.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PostureLine {
    /// Who, or what.
    pub text: String,
    /// The listeners through which, where it is about some.
    pub listeners: Vec<String>,
    /// The configuration line that says so.
    pub place: String,
}

impl PostureLine {
    fn of<'a>(
        told: &impl Display,
        listeners: impl IntoIterator<Item = &'a str>,
        place: &Place,
    ) -> Self {
        let (text, place) = (told.to_string(), place.to_string());
        let without_place = text.strip_suffix(&format!(" ({place})"));
        Self {
            text: without_place.unwrap_or(&text).to_owned(),
            listeners: listeners.into_iter().map(str::to_owned).collect(),
            place,
        }
    }
}

impl From<&relay_audit::Posture> for Posture {
    fn from(posture: &relay_audit::Posture) -> Self {
        let line = PostureLine::of;
        let holes = posture.holes.iter();
        let may_relay = posture.may_relay.iter().map(|one| {
            let listeners = one.listeners.iter().map(|name| &**name);
            PostureLine::of(&one.who, listeners, &one.place)
        });
        let bound = posture.bound.iter().map(|one| line(one, [], &one.place));
        let passages = posture.passages.iter();
        let passages = passages.map(|one| PostureLine::of(one, [], &one.place));
        let suspicions = posture.suspicions.iter();
        let suspicions = suspicions.map(|one| PostureLine::of(&one.text, [], &one.place));
        Self {
            is_closed: posture.is_closed(),
            text: posture.to_string(),
            holes: holes
                .map(|one| PostureLine::of(one, [&*one.listener], &one.place))
                .collect(),
            may_relay: may_relay.collect(),
            bound: bound.collect(),
            passages: passages.collect(),
            suspicions: suspicions.collect(),
        }
    }
}

/// With whom the battery is played: `POST /v1/relay/prove`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RelayProofParts {
    /// The sender that probes name [one at a domain that nobody has].
    #[serde(default)]
    pub sender: Option<String>,
    /// The recipient elsewhere [the same].
    #[serde(default)]
    pub recipient: Option<String>,
}

/// What the battery came to last: `GET /v1/relay/prove`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRelayProof {
    /// Nothing where none was played since the start.
    pub last: Option<RelayProved>,
}

/// What the battery came to, and when: `POST /v1/relay/prove`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayProved {
    /// When it was played, RFC 3339.
    pub at: String,
    /// Whether the configuration is still the one on which it was played.
    pub is_current: bool,
    /// What it came to.
    pub proof: RelayProof,
}

/// What the battery came to on all listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayProof {
    /// `closed`, `open`, or `unknown` where nobody can tell; the worst of all listeners
    pub verdict: String,
    /// Each of them.
    pub listeners: Vec<RelayProofOfListener>,
}

/// What the battery came to on one listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayProofOfListener {
    /// Its name.
    pub listener: String,
    /// From where the stranger came; nothing where whoever may connect may relay anyway.
    pub stranger: Option<String>,
    /// `closed`, `open` or `unknown`
    pub judgement: String,
    /// What was tried.
    pub probes: Vec<RelayProbe>,
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayProbe {
    /// What it is called.
    pub name: String,
    /// What stood behind `MAIL FROM:`.
    pub mail: String,
    /// What stood behind `RCPT TO:`.
    pub rcpt: String,
    /// Whether it had to be accepted.
    pub control: bool,
    /// `closed` where it went as it should, `open` or `unknown`
    pub judgement: String,
    /// What was answered, or why nothing was.
    pub answer: String,
}

impl RelayProof {
    /// The worst of all listeners: one that is open is enough, and one of which nobody can tell is not
    /// closed.
    pub fn judgement(proofs: &[Proof]) -> Judgement {
        let weight = |judgement: &Judgement| match judgement {
            Judgement::Closed => 0,
            Judgement::Unknown => 1,
            Judgement::Open => 2,
        };
        let all = proofs.iter().map(|proof| proof.judgement);
        all.max_by_key(weight).unwrap_or(Judgement::Closed)
    }

    /// `closed`, `open` or `unknown`
    pub fn word(judgement: Judgement) -> &'static str {
        match judgement {
            Judgement::Closed => "closed",
            Judgement::Open => "open",
            Judgement::Unknown => "unknown",
        }
    }
}

impl From<&[Proof]> for RelayProof {
    fn from(proofs: &[Proof]) -> Self {
        Self {
            verdict: Self::word(Self::judgement(proofs)).to_owned(),
            listeners: proofs.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Proof> for RelayProofOfListener {
    fn from(proof: &Proof) -> Self {
        Self {
            listener: proof.listener.to_string(),
            stranger: proof.stranger.map(|address| address.to_string()),
            judgement: RelayProof::word(proof.judgement).to_owned(),
            probes: proof.findings.iter().map(Into::into).collect(),
        }
    }
}

impl From<&Finding> for RelayProbe {
    fn from(finding: &Finding) -> Self {
        Self {
            name: finding.probe.name.clone(),
            mail: finding.probe.mail.clone(),
            rcpt: finding.probe.rcpt.clone(),
            control: finding.probe.meaning == Meaning::Control,
            judgement: RelayProof::word(finding.judgement).to_owned(),
            answer: match &finding.answer {
                Ok(reply) => reply.to_string(),
                Err(lost) => lost.0.clone(),
            },
        }
    }
}

/// Who sends what to whom: `POST /v1/relay/check`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct RelayQuestion {
    /// The client's address; nothing where `local` is named.
    #[serde(default)]
    pub client: Option<String>,
    /// In place of a client: an account of this machine that hands the message in by `pickup` or
    /// `submit`.
    #[serde(default)]
    pub local: Option<String>,
    /// The listener to which the client connects [the first].
    #[serde(default)]
    pub listener: Option<String>,
    /// What it calls itself.
    #[serde(default)]
    pub helo: Option<String>,
    /// MAIL FROM; empty for the null sender.
    pub from: String,
    /// RCPT TO.
    pub rcpt: String,
    /// Who signed in.
    #[serde(default)]
    pub user: Option<String>,
    /// Whether the connection is encrypted; it is where somebody signs in.
    #[serde(default)]
    pub tls: bool,
    /// A fingerprint or a name of a certificate that the client shows, as in `relay.certificates`.
    #[serde(default)]
    pub certificate: Option<String>,
    /// A message, header and body, for which it is asked what screening says. It is not kept.
    #[serde(default)]
    pub message: Option<String>,
}

/// What would be answered, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayAnswer {
    /// What was looked at, in order.
    pub steps: Vec<RelayStep>,
    /// What the client would hear; nothing where nobody can tell.
    pub answer: Option<String>,
    /// Whether that is a yes.
    pub accepted: bool,
    /// Who gets it then.
    pub admitted: Vec<RelayAdmitted>,
    /// What would have to be otherwise for a refused recipient to be taken.
    pub accepted_if: Option<String>,
}

/// One step of a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayStep {
    /// What was looked at.
    pub step: String,
    /// `pass`, `REFUSE`, `POSTPONE`, `ask`, or `-` where it had no say
    pub result: String,
    /// What was found.
    pub text: String,
    /// The configuration line that decided.
    pub place: Option<String>,
}

/// Somebody who would get the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RelayAdmitted {
    /// The address.
    pub to: String,
    /// Why it is admitted: `our-domain`, `listed-client` ...
    pub grounds: String,
    /// The same in words.
    pub why: String,
    /// The configuration line that says so.
    pub place: String,
}

impl From<&Explanation> for RelayAnswer {
    fn from(explanation: &Explanation) -> Self {
        let steps = explanation.steps.iter().map(|step| RelayStep {
            step: step.name.to_owned(),
            result: result(step.result).to_owned(),
            text: step.text.clone(),
            place: step.place.as_ref().map(ToString::to_string),
        });
        let admitted = explanation.admitted.iter();
        let admitted = admitted.map(|(admitted, why)| RelayAdmitted {
            to: admitted.recipient().as_str().to_owned(),
            grounds: admitted.grounds().as_str().to_owned(),
            why: why.to_string(),
            place: why.place.to_string(),
        });
        let answer = explanation.answer.as_ref();
        Self {
            steps: steps.collect(),
            answer: answer.map(ToString::to_string),
            accepted: answer.is_some_and(Reply::is_positive),
            admitted: admitted.collect(),
            accepted_if: explanation.accepted_if.clone(),
        }
    }
}

fn result(result: StepResult) -> &'static str {
    match result {
        StepResult::Pass => "pass",
        StepResult::Moot => "-",
        StepResult::Refuse => "REFUSE",
        StepResult::Postpone => "POSTPONE",
        StepResult::Ask => "ask",
    }
}
