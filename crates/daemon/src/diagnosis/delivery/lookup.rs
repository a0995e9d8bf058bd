//! What DNS said on the way to a site, in words for people.

use route::{Answer, Answers, Question, StsMode, StsPolicy};

/// One thing that was looked up.
pub struct Lookup {
    /// `MX far.example`
    pub what: String,
    /// What was found, or why nothing was.
    pub found: String,
    /// Whether a host is missing for it.
    pub failed: bool,
}

/// All that was looked up: MX records, then addresses, then what they demand of encryption.
pub(super) fn lookups(answers: &Answers) -> Vec<Lookup> {
    let mut asked: Vec<_> = answers.iter().collect();
    asked.sort_by_key(|(question, _)| name(question));
    let lookup = |(question, answer): &(&Question, &Answer)| Lookup {
        what: name(question).1,
        found: found(answer),
        failed: is_failed(question, answer),
    };
    asked.iter().map(lookup).collect()
}

/// Its rank among all, and its name.
fn name(question: &Question) -> (u8, String) {
    match question {
        Question::Mx(domain) => (0, format!("MX {domain}")),
        Question::Addresses(host) => (1, format!("addresses {host}")),
        Question::Tlsa { host, port } => (2, format!("TLSA _{port}._tcp.{host}")),
        Question::MtaSts(domain) => (3, format!("MTA-STS {domain}")),
    }
}

fn found(answer: &Answer) -> String {
    match answer {
        Answer::Mx { records, .. } => {
            let record = |(preference, host): &(u16, Option<mail::Domain>)| match host {
                Some(host) => format!("{preference} {host}"),
                None => format!("{preference} . (no mail is taken)"),
            };
            let mut records = records.clone();
            records.sort_by_key(|(preference, _)| *preference);
            let records: Vec<String> = records.iter().map(record).collect();
            records.join(", ")
        }
        Answer::Addresses { list, .. } => {
            let list: Vec<String> = list.iter().map(ToString::to_string).collect();
            list.join(", ")
        }
        Answer::Tlsa { records, .. } => format!("records: {}", records.len()),
        Answer::MtaSts(Ok(policy)) => policy_words(policy),
        Answer::MtaSts(Err(flaw)) => flaw.why.to_string(),
        Answer::NoData { .. } => "none".to_owned(),
        Answer::NoSuchName => "no such name".to_owned(),
        Answer::Failed(why) => why.to_string(),
    }
}

fn policy_words(policy: &StsPolicy) -> String {
    let mode = match policy.mode {
        StsMode::Enforce => "enforced",
        StsMode::Testing => "on trial",
        StsMode::None => "withdrawn",
    };
    format!("{mode}, for {}", policy.mx.join(", "))
}

/// No MX record means the domain itself, and without a policy nothing is demanded.
fn is_failed(question: &Question, answer: &Answer) -> bool {
    let optional = !matches!(question, Question::Addresses(_));
    match answer {
        Answer::Mx { .. } | Answer::Addresses { .. } | Answer::Tlsa { .. } | Answer::MtaSts(_) => {
            false
        }
        Answer::NoData { .. } => !optional,
        Answer::NoSuchName => matches!(question, Question::Mx(_) | Question::Addresses(_)),
        Answer::Failed(_) => true,
    }
}
