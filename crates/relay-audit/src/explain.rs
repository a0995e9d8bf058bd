use mail::{Certificate, Client, Mailbox, Place, ReversePath, TlsFacts};
use relay_policy::{
    AcceptFrom, Connect, Consulted, Decision, Demand, DomainKind, DomainRule, Exempt, Facts,
    Greylist, Question, Reason, Recipients, Rules, Screened, SenderMatch, Stage, Trace, Why,
    forwarded, gate, greylist, is_bound, is_postmaster, may_connect, rule_for, screened, trace,
};

use crate::advice;
use crate::explanation::{Explanation, Step, StepResult};

/// What is explained.
struct Case<'a> {
    rules: &'a Rules,
    client: &'a Client,
    reverse_path: &'a ReversePath,
    recipient: &'a Mailbox,
    facts: &'a Facts,
}

/// Explains what [`may_connect`], [`gate`] and [`relay_policy::decide`] would answer, by asking them.
pub fn explain(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Explanation {
    let case = Case {
        rules,
        client,
        reverse_path,
        recipient,
        facts,
    };
    let connect = may_connect(rules, client, facts);
    let told = Explanation {
        steps: vec![connection_step(&case, &connect)],
        answer: None,
        question: None,
        admitted: Vec::new(),
        accepted_if: None,
    };
    match connect {
        Connect::Yes(_) => explain_gate(&case, told),
        Connect::Refuse { reply, .. } => told.refused(reply, advice::to_connect(rules)),
        Connect::Postpone { reply, .. } => told.ended(Some(reply), None),
        Connect::Ask(question) => told.ended(None, Some(question)),
    }
}

fn explain_gate(case: &Case, mut told: Explanation) -> Explanation {
    let gate = gate(&case.rules.listener, case.client);
    let why = gate.as_ref().map(|(_, reason)| &reason.why);
    told.steps.push(tls_step(case, why));
    if why != Some(&Why::TlsRequired) {
        told.steps.push(sign_in_step(case, why));
    }
    match gate {
        Some((reply, why)) => told.refused(reply, advice::at_gate(case.rules, &why)),
        None => explain_recipient(case, told),
    }
}

fn explain_recipient(case: &Case, mut told: Explanation) -> Explanation {
    let traced = trace(
        case.rules,
        case.client,
        case.reverse_path,
        case.recipient,
        case.facts,
    );
    if traced.stage == Stage::WayBack {
        told.steps
            .extend(said_by(&traced, Stage::WayBack).map(|said| said.step("way back")));
        return decided(
            case,
            rule_for(case.rules, case.recipient),
            told,
            traced.decision,
        );
    }
    told.steps.extend(sender_step(case, &traced));
    told.steps.extend(only_to_step(case, &traced));
    let case = &match &traced.turned_back {
        Some((recipient, _)) => Case { recipient, ..*case },
        None => Case { ..*case },
    };
    let rule = rule_for(case.rules, case.recipient);
    let turned_back = traced.turned_back.as_ref();
    let srs = said_by(&traced, Stage::TurnBack).or(turned_back.map(|(_, why)| Said::pass(why)));
    let is_elsewhere = srs.is_some() && rule.is_none();
    told.steps.extend(srs.map(|said| said.step("srs")));
    if is_elsewhere {
        told.steps.extend(dns_lists_step(case, rule, &traced));
    } else if !matches!(traced.stage, Stage::Sender | Stage::OnlyTo) {
        told.steps.push(recipient_step(case, rule, &traced));
        told.steps.extend(dns_lists_step(case, rule, &traced));
        told.steps.push(relay_step(&traced));
        told.steps.extend(greylist_step(case, &traced));
    }
    told.steps.extend(policy_step(case, &traced));
    decided(case, rule, told, traced.decision.clone())
}

/// With what it came to.
fn decided(
    case: &Case,
    rule: Option<&DomainRule>,
    told: Explanation,
    decision: Decision,
) -> Explanation {
    match decision {
        Decision::Carry { admitted, why } => {
            let all = forwarded(case.rules, case.client, case.facts, admitted, why);
            told.admitted(all)
        }
        Decision::Refuse { reply, why } => {
            let advice = advice::at_rcpt(case.rules, case.client, rule, case.recipient, &why);
            told.refused(reply, advice)
        }
        Decision::Postpone { reply, .. } => told.ended(Some(reply), None),
        Decision::Ask(question) => told.ended(None, Some(question)),
    }
}

fn connection_step(case: &Case, connect: &Connect) -> Step {
    let listener = &case.rules.listener;
    if let Some(uid) = case.client.uid {
        return Step {
            name: "connection",
            result: StepResult::Pass,
            text: format!("by way of {}, as uid {uid} of this machine", listener.name),
            place: Some(listener.place.clone()),
        };
    }
    let binds: Vec<String> = listener.binds.iter().map(ToString::to_string).collect();
    let head = format!("listener {} {}", listener.name, binds.join(" "));
    let (result, text, place) = match connect {
        Connect::Yes(Reason {
            why: Why::Unlisted { entries: 0, .. },
            ..
        }) => (
            StepResult::Pass,
            "any address may connect".to_owned(),
            &listener.place,
        ),
        Connect::Yes(why) => (StepResult::Pass, why.to_string(), &why.place),
        Connect::Refuse { why, .. } => (StepResult::Refuse, why.to_string(), &why.place),
        Connect::Postpone { why, .. } => (StepResult::Postpone, why.to_string(), &why.place),
        Connect::Ask(question) => (StepResult::Ask, open_question(question), &listener.place),
    };
    Step {
        name: "connection",
        result,
        text: format!("{head}, {text}"),
        place: Some(place.clone()),
    }
}

fn open_question(question: &Question) -> String {
    match question {
        Question::Listings(address) => format!("needs to know which DNS lists name {address}"),
        Question::Recipient { mailbox, .. } => format!("needs to know whether {mailbox} exists"),
        Question::ConfirmedName(address) => format!("needs the confirmed name of {address}"),
        Question::Greylist(_) => "needs to know whether they were here before".to_owned(),
        Question::Consult(consultation) => {
            let services = consultation.services.join(", ");
            format!("needs to know what {services} says of it")
        }
    }
}

fn tls_step(case: &Case, gate: Option<&Why>) -> Step {
    let listener = &case.rules.listener;
    let demand = &listener.tls;
    if case.client.tls.is_none() && demand.offered && !listener.offers_tls(case.client) {
        let text = "withheld from this client by starttls_except".to_owned();
        return Step {
            name: "tls",
            result: StepResult::Moot,
            text,
            place: Some(listener.starttls_except.place().clone()),
        };
    }
    let (result, text) = match &case.client.tls {
        Some(tls) => (StepResult::Pass, tls_text(tls)),
        None if gate == Some(&Why::TlsRequired) => (StepResult::Refuse, demand_text(demand)),
        None => (StepResult::Moot, demand_text(demand)),
    };
    Step {
        name: "tls",
        result,
        text,
        place: Some(demand.place.clone()),
    }
}

fn tls_text(tls: &TlsFacts) -> String {
    match &tls.certificate {
        Some(certificate) => format!("{} is in use, {}", tls.version, shown(certificate)),
        None => format!("{} is in use", tls.version),
    }
}

/// So many names of a certificate are shown, and so many octets of its fingerprint.
const NAMES_SHOWN_MAX: usize = 3;
const FINGERPRINT_OCTETS_SHOWN: usize = 4;

fn shown(certificate: &Certificate) -> String {
    let names: Vec<&str> = certificate.names.iter().map(|name| &**name).collect();
    let more = if names.len() > NAMES_SHOWN_MAX {
        " and more"
    } else {
        ""
    };
    let names = match names.get(..NAMES_SHOWN_MAX).unwrap_or(&names) {
        [] => "without a name".to_owned(),
        names => format!("of {}{more}", names.join(", ")),
    };
    let print = beginning(&certificate.sha256);
    let key = certificate.key_sha256.as_ref().map(beginning);
    let key = key.map_or_else(String::new, |key| format!("spki:sha256:{key}.., "));
    let trust = certificate.trust;
    format!("certificate {names} (sha256:{print}.., {key}{trust})")
}

fn beginning(sha256: &[u8; 32]) -> String {
    mail::hex(&sha256[..FINGERPRINT_OCTETS_SHOWN])
}

fn sign_in_step(case: &Case, gate: Option<&Why>) -> Step {
    let demand = &case.rules.listener.sign_in;
    let (result, text) = match &case.client.user {
        Some(user) => {
            let text = format!("signed in as {}", mail::escaped(user));
            (StepResult::Pass, text)
        }
        None if gate == Some(&Why::SignInRequired) => (StepResult::Refuse, demand_text(demand)),
        None => (StepResult::Moot, demand_text(demand)),
    };
    Step {
        name: "sign-in",
        result,
        text,
        place: Some(demand.place.clone()),
    }
}

fn demand_text(demand: &Demand) -> String {
    match (demand.offered, demand.required) {
        (_, true) => "required here",
        (true, false) => "offered, not required here",
        (false, false) => "not offered on this listener",
    }
    .to_owned()
}

/// What a stage said.
struct Said {
    result: StepResult,
    text: String,
    place: Option<Place>,
}

impl Said {
    fn moot(text: &str) -> Self {
        Self {
            result: StepResult::Moot,
            text: text.to_owned(),
            place: None,
        }
    }

    fn pass(why: &Reason) -> Self {
        Self::with(StepResult::Pass, why)
    }

    fn with(result: StepResult, why: &Reason) -> Self {
        Self {
            result,
            text: why.to_string(),
            place: Some(why.place.clone()),
        }
    }

    fn of(decision: &Decision) -> Self {
        match decision {
            Decision::Carry { why, .. } => Self::pass(why),
            Decision::Refuse { why, .. } => Self::with(StepResult::Refuse, why),
            Decision::Postpone { why, .. } => Self::with(StepResult::Postpone, why),
            Decision::Ask(question) => Self {
                result: StepResult::Ask,
                text: open_question(question),
                place: None,
            },
        }
    }

    fn step(self, name: &'static str) -> Step {
        Step {
            name,
            result: self.result,
            text: self.text,
            place: self.place,
        }
    }
}

/// What this stage said, if it was asked and had an answer.
fn said_by(traced: &Trace, stage: Stage) -> Option<Said> {
    if traced.stage == stage {
        return Some(Said::of(&traced.decision));
    }
    match &traced.passed {
        Some((passed, why)) if *passed == stage => Some(Said::pass(why)),
        Some(_) | None => None,
    }
}

fn is_carried(traced: &Trace) -> bool {
    matches!(traced.decision, Decision::Carry { .. })
}

/// Nothing where no rule speaks of senders.
fn sender_step(case: &Case, traced: &Trace) -> Option<Step> {
    if let Some(said) = said_by(traced, Stage::Sender) {
        return Some(said.step("sender"));
    }
    let matched = match (&case.client.user, case.rules.sender_match) {
        (None, _) | (Some(_), SenderMatch::Off) => None,
        (Some(user), SenderMatch::Listed | SenderMatch::Own) => Some(user),
    };
    let sender = case.reverse_path;
    let (text, place) = match matched {
        Some(user) => {
            let text = format!("user {} may send as {sender}", mail::escaped(user));
            (text, Some(case.rules.sender_match_place.clone()))
        }
        None if case.rules.senders.is_empty() => return None,
        None => (format!("{sender} is not in senders.blocked"), None),
    };
    Some(Step {
        name: "sender",
        result: StepResult::Pass,
        text,
        place,
    })
}

/// Nothing where nothing says to whom alone the client may send.
fn only_to_step(case: &Case, traced: &Trace) -> Option<Step> {
    if let Some(said) = said_by(traced, Stage::OnlyTo) {
        return Some(said.step("only to"));
    }
    let is_passed = traced.stage != Stage::Sender && is_bound(case.rules, case.client, case.facts);
    is_passed.then(|| Step {
        name: "only to",
        result: StepResult::Pass,
        text: format!(
            "{} is one of those to whom this client may send",
            case.recipient
        ),
        place: None,
    })
}

fn recipient_step(case: &Case, rule: Option<&DomainRule>, traced: &Trace) -> Step {
    let Some(rule) = rule else {
        let host = advice::bare_host(case.recipient);
        let text = format!("{host} is not a local, remote or blocked domain");
        return Said::moot(&text).step("recipient");
    };
    let kind = format!("{} is a {} domain", rule.name, rule.kind.as_str());
    if traced.stage == Stage::Recipient {
        let said = Said::of(&traced.decision);
        let text = format!("{kind}, {}", said.text);
        return Said { text, ..said }.step("recipient");
    }
    let known = if is_carried(traced) {
        existence_text(case.rules, &rule.recipients, case.recipient)
    } else {
        ""
    };
    match said_by(traced, Stage::Domain) {
        Some(said) => {
            let text = own_text(rule, &said, kind) + known;
            Said { text, ..said }.step("recipient")
        }
        None => {
            let text = format!("{kind}, {}{known}", left_text(rule));
            let place = Some(rule.place.clone());
            let said = Said::moot(&text);
            Said { place, ..said }.step("recipient")
        }
    }
}

/// What a domain's own rule said.
fn own_text(rule: &DomainRule, said: &Said, kind: String) -> String {
    match (rule.kind, &rule.accept_from) {
        (DomainKind::Blocked, _) => kind,
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Anyone) => {
            format!("{kind}, accepted from anyone")
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Relay | AcceptFrom::List(_)) => {
            format!("{kind}, {}", said.text)
        }
    }
}

/// Why a domain's own rule left the answer to the relay rules.
fn left_text(rule: &DomainRule) -> &'static str {
    match rule.accept_from {
        AcceptFrom::Relay => "accepted from clients that may relay",
        AcceptFrom::Anyone | AcceptFrom::List(_) => {
            "but the local part holds a route to another host"
        }
    }
}

/// How a carried recipient is known to exist.
fn existence_text(rules: &Rules, recipients: &Recipients, recipient: &Mailbox) -> &'static str {
    let is_postmaster = is_postmaster(recipient);
    let is_forwarded = rules.forwards.names(recipient);
    match recipients {
        Recipients::Any => "",
        Recipients::List(_) | Recipients::Ask { .. } if is_postmaster => ", as every postmaster",
        Recipients::List(_) | Recipients::Ask { .. } if is_forwarded => ", and is forwarded",
        Recipients::List(_) => ", and the recipient is listed",
        Recipients::Ask { .. } => ", and the recipient exists",
    }
}

/// Nothing where there are no lists.
fn dns_lists_step(case: &Case, rule: Option<&DomainRule>, traced: &Trace) -> Option<Step> {
    let lists = &case.rules.dns_lists;
    let first = lists.lists.first()?;
    if let Some(said) = said_by(traced, Stage::DnsLists) {
        let place = said.place.or_else(|| Some(first.place.clone()));
        return Some(Said { place, ..said }.step("dns lists"));
    }
    let is_ours = rule.is_some() || traced.turned_back.is_some();
    let is_asked = is_ours && (is_carried(traced) || traced.passed.is_some());
    let said = if is_ours && is_postmaster(case.recipient) {
        Said::moot("not asked about mail for postmaster")
    } else {
        match screened(case.rules, case.client, case.facts) {
            Screened::Exempt(why) => Said::moot(why),
            Screened::Clear { weight } if is_asked => Said {
                result: StepResult::Pass,
                text: format!("weight {weight}, refused from {} on", lists.threshold),
                place: Some(first.place.clone()),
            },
            Screened::Clear { .. }
            | Screened::Barred { .. }
            | Screened::CannotTell(_)
            | Screened::Ask(_) => Said::moot("not asked, as they make no difference"),
        }
    };
    Some(said.step("dns lists"))
}

/// Nothing where there is no greylisting, or something else stands against the recipient.
fn greylist_step(case: &Case, traced: &Trace) -> Option<Step> {
    let place = &case.rules.greylisting.as_ref()?.place;
    if let Some(said) = said_by(traced, Stage::Greylist) {
        let place = said.place.or_else(|| Some(place.clone()));
        return Some(Said { place, ..said }.step("greylisting"));
    }
    let Decision::Carry { why, .. } = &traced.decision else {
        return None;
    };
    let (sender, recipient) = (case.reverse_path, case.recipient);
    let said = match greylist(case.rules, case.client, sender, recipient, why, case.facts) {
        Greylist::Exempt(Exempt::As(why)) => Said::moot(why),
        Greylist::Exempt(Exempt::By(why)) => Said::pass(&why),
        Greylist::Passes(familiar) => Said {
            result: StepResult::Pass,
            text: familiar.to_string(),
            place: Some(place.clone()),
        },
        Greylist::Waits { why, .. } => Said::with(StepResult::Postpone, &why),
        Greylist::Ask(question) => Said::moot(&open_question(&question)),
    };
    Some(said.step("greylisting"))
}

/// Nothing where no policy service is asked.
fn policy_step(case: &Case, traced: &Trace) -> Option<Step> {
    if let Some(said) = said_by(traced, Stage::Policy) {
        return Some(said.step("policy"));
    }
    let consulted = case
        .facts
        .consulted
        .as_ref()
        .filter(|_| is_carried(traced))?;
    let has_passed = *consulted == Consulted::Passes;
    has_passed.then(|| Step {
        name: "policy",
        result: StepResult::Pass,
        text: "no policy service has anything against it".to_owned(),
        place: case.rules.policies.first().map(|one| one.place.clone()),
    })
}

fn relay_step(traced: &Trace) -> Step {
    let said = said_by(traced, Stage::Relay);
    let moot = || Said::moot("the domain's own rule decides");
    said.unwrap_or_else(moot).step("relay")
}
