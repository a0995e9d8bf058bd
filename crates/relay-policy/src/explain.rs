use std::fmt;

use mail::{Client, Host, Mailbox, Place, Reply, ReversePath};

use crate::{
    AcceptFrom, Connect, Decision, Demand, DomainKind, DomainRule, Facts, Listener, Mode, Question,
    Reason, Rules, Why, decide, may_connect,
};

/// The steps of a decision, in order, with the line behind each: what `relay check` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// What the client would hear at RCPT (or in place of the greeting); `None` while a question is open.
    pub answer: Option<Reply>,
    /// What has to be found out first; put the answer into the facts and explain again.
    pub question: Option<Question>,
    /// What would have to be otherwise for a refused recipient to be taken.
    pub accepted_if: Option<String>,
}

/// One step of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `connection`, `tls`, `sign-in`, `sender`, `recipient`, `relay`
    pub name: &'static str,
    /// How it went.
    pub verdict: Verdict,
    /// In words.
    pub text: String,
    /// The line that decided; `None` when no line can be named.
    pub place: Option<Place>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It lets the recipient through.
    Pass,
    /// It had no say.
    Moot,
    /// It refuses for good.
    Refuse,
    /// It refuses for now.
    Postpone,
    /// It needs a fact.
    Ask,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Moot => "-",
            Self::Refuse => "REFUSE",
            Self::Postpone => "LATER",
            Self::Ask => "?",
        })
    }
}

impl Explanation {
    /// Whether the recipient would be taken.
    pub fn is_accepted(&self) -> bool {
        self.answer.as_ref().is_some_and(Reply::is_positive)
    }

    fn ended(mut self, answer: Option<Reply>, question: Option<Question>) -> Self {
        self.answer = answer;
        self.question = question;
        self
    }
}

/// Explains what [`decide`] and [`may_connect`] would answer, by asking them.
pub fn explain(
    rules: &Rules,
    client: &Client,
    reverse_path: &ReversePath,
    recipient: &Mailbox,
    facts: &Facts,
) -> Explanation {
    let connect = may_connect(rules, client, facts);
    let mut told = Explanation {
        steps: vec![connection_step(rules, &connect)],
        answer: None,
        question: None,
        accepted_if: None,
    };
    match connect {
        Connect::Yes(_) => {}
        Connect::Refuse { reply, .. } => {
            told.accepted_if = Some(format!(
                "the client were {}",
                listed_as(rules.connect.mode, "connect")
            ));
            return told.ended(Some(reply), None);
        }
        Connect::Postpone { reply, .. } => return told.ended(Some(reply), None),
        Connect::Ask(question) => return told.ended(None, Some(question)),
    }
    told.steps.push(tls_step(&rules.listener, client));
    told.steps.push(sign_in_step(&rules.listener, client));
    let rule = recipient
        .host()
        .domain()
        .and_then(|domain| rules.domains.find(domain));
    let decision = decide(rules, client, reverse_path, recipient, facts);
    told.steps
        .extend(decision_steps(rule, recipient, &decision));
    match decision {
        Decision::Carry { .. } => told.ended(Some(Reply::new(250, 1, 5, "Ok")), None),
        Decision::Refuse { reply, why } => {
            told.accepted_if = Some(advice(rules, rule, recipient, &why));
            told.ended(Some(reply), None)
        }
        Decision::Postpone { reply, .. } => told.ended(Some(reply), None),
        Decision::Ask(question) => told.ended(None, Some(question)),
    }
}

fn connection_step(rules: &Rules, connect: &Connect) -> Step {
    let listener = &rules.listener;
    let binds: Vec<String> = listener.binds.iter().map(ToString::to_string).collect();
    let head = format!("listener {} {}", listener.name, binds.join(" "));
    let (verdict, text, place) = match connect {
        Connect::Yes(Reason {
            why: Why::Unlisted { entries: 0, .. },
            ..
        }) => (
            Verdict::Pass,
            "any address may connect".to_owned(),
            &listener.place,
        ),
        Connect::Yes(why) => (Verdict::Pass, why.to_string(), &why.place),
        Connect::Refuse { why, .. } => (Verdict::Refuse, why.to_string(), &why.place),
        Connect::Postpone { why, .. } => (Verdict::Postpone, why.to_string(), &why.place),
        Connect::Ask(question) => (Verdict::Ask, open_question(*question), &listener.place),
    };
    Step {
        name: "connection",
        verdict,
        text: format!("{head}, {text}"),
        place: Some(place.clone()),
    }
}

fn open_question(question: Question) -> String {
    match question {
        Question::ConfirmedName(address) => format!("needs the confirmed name of {address}"),
    }
}

fn tls_step(listener: &Listener, client: &Client) -> Step {
    let (verdict, text) = match &client.tls {
        Some(tls) => (Verdict::Pass, format!("{} is in use", tls.version)),
        None => (Verdict::Moot, demand_text(&listener.tls)),
    };
    Step {
        name: "tls",
        verdict,
        text,
        place: Some(listener.tls.place.clone()),
    }
}

fn sign_in_step(listener: &Listener, client: &Client) -> Step {
    let (verdict, text) = match &client.user {
        Some(user) => (
            Verdict::Pass,
            format!("signed in as {}", mail::escaped(user)),
        ),
        None => (Verdict::Moot, demand_text(&listener.sign_in)),
    };
    Step {
        name: "sign-in",
        verdict,
        text,
        place: Some(listener.sign_in.place.clone()),
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

/// What the decision says about sender, recipient and relaying.
fn decision_steps(
    rule: Option<&DomainRule>,
    recipient: &Mailbox,
    decision: &Decision,
) -> Vec<Step> {
    let (verdict, why) = match decision {
        Decision::Carry { why, .. } => (Verdict::Pass, Some(why)),
        Decision::Refuse { why, .. } => (Verdict::Refuse, Some(why)),
        Decision::Postpone { why, .. } => (Verdict::Postpone, Some(why)),
        Decision::Ask(_) => (Verdict::Ask, None),
    };
    let text = match (decision, why) {
        (Decision::Ask(question), _) => open_question(*question),
        (_, Some(why)) => why.to_string(),
        (_, None) => String::new(),
    };
    let place = why.map(|why| why.place.clone());
    if matches!(
        why,
        Some(Reason {
            why: Why::BlockedSender,
            ..
        })
    ) {
        return vec![Step {
            name: "sender",
            verdict,
            text,
            place,
        }];
    }
    let Some(rule) = rule else {
        let foreign = format!(
            "{} is not a local, remote or blocked domain",
            bare_host(recipient)
        );
        let recipient = Step {
            name: "recipient",
            verdict: Verdict::Moot,
            text: foreign,
            place: None,
        };
        return vec![
            recipient,
            Step {
                name: "relay",
                verdict,
                text,
                place,
            },
        ];
    };
    hosted_steps(
        rule,
        Step {
            name: "relay",
            verdict,
            text,
            place,
        },
        why,
    )
}

/// A domain with a rule: either the rule answered alone, or it left the answer to the relay rules.
fn hosted_steps(rule: &DomainRule, decided: Step, why: Option<&Reason>) -> Vec<Step> {
    let kind = format!("{} is a {} domain", rule.name, rule.kind.as_str());
    let own = why.is_none_or(|r| match &r.why {
        Why::Domain { .. } => true,
        Why::Listed { list, .. } | Why::Unlisted { list, .. } | Why::NameUnknown { list, .. } => {
            *list == "accept_from"
        }
        Why::BlockedSender | Why::RoutedLocalPart | Why::SignedIn(_) => false,
    });
    if !own {
        let left = match rule.accept_from {
            AcceptFrom::Relay => "accepted from clients that may relay",
            AcceptFrom::Anyone | AcceptFrom::List(_) => {
                "but the local part holds a route to another host"
            }
        };
        let text = format!("{kind}, {left}");
        let place = Some(rule.place.clone());
        return vec![
            Step {
                name: "recipient",
                verdict: Verdict::Moot,
                text,
                place,
            },
            decided,
        ];
    }
    let text = match (rule.kind, &rule.accept_from) {
        (DomainKind::Blocked, _) => kind,
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Anyone) => {
            format!("{kind}, accepted from anyone")
        }
        (DomainKind::Remote | DomainKind::Local, AcceptFrom::Relay | AcceptFrom::List(_)) => {
            format!("{kind}, {}", decided.text)
        }
    };
    let recipient = Step {
        name: "recipient",
        text,
        ..decided
    };
    let moot = "the domain's own rule decides".to_owned();
    vec![
        recipient,
        Step {
            name: "relay",
            verdict: Verdict::Moot,
            text: moot,
            place: None,
        },
    ]
}

fn bare_host(recipient: &Mailbox) -> String {
    match recipient.host() {
        Host::Domain(domain) => domain.to_string(),
        literal @ Host::Literal(_) => literal.to_string(),
    }
}

fn listed_as(mode: Mode, rule: &str) -> String {
    match mode {
        Mode::OnlyList => format!("in {rule}.allow"),
        Mode::AllExcept => format!("not in {rule}.except"),
    }
}

/// What would have to be otherwise.
fn advice(rules: &Rules, rule: Option<&DomainRule>, recipient: &Mailbox, why: &Reason) -> String {
    let host = bare_host(recipient);
    match (&why.why, rule) {
        (Why::BlockedSender, _) => "the sender were not in senders.blocked".to_owned(),
        (Why::Domain { .. }, _) => format!("{host} were not a blocked domain"),
        (
            Why::Unlisted {
                list: "accept_from",
                ..
            },
            Some(rule),
        ) => {
            format!("the client were in accept_from of {}", rule.name)
        }
        (Why::RoutedLocalPart, _) => {
            format!(
                "the local part held no route to another host, or {}",
                relay_advice(rules)
            )
        }
        (
            Why::Listed {
                list: "relay.deny",
                entry,
            },
            _,
        ) => {
            format!(
                "{entry} were not in relay.deny{}",
                domain_advice(rule, recipient)
            )
        }
        (_, _) => format!("{}{}", relay_advice(rules), domain_advice(rule, recipient)),
    }
}

fn relay_advice(rules: &Rules) -> String {
    let mut advice = format!(
        "the client were {}",
        listed_as(rules.relay.access.mode, "relay")
    );
    if let Some(at) = rules
        .listener
        .sign_in_at
        .as_ref()
        .filter(|_| rules.relay.signed_in)
    {
        advice.push_str(&format!(", or signed in on {at}"));
    }
    advice
}

fn domain_advice(rule: Option<&DomainRule>, recipient: &Mailbox) -> String {
    match (rule, recipient.host()) {
        (Some(rule), _) => format!(", or {} were accepted from anyone", rule.name),
        (None, Host::Domain(domain)) => format!(", or {domain} were a remote domain"),
        (None, Host::Literal(_)) => String::new(),
    }
}

/// The widest text after which the places still stand in one column.
const TEXT_WIDTH_MAX: usize = 100;

/// A line for each step, then the answer. Ends without a line end.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.steps.iter().map(|step| step.text.chars().count());
        let width = widths.filter(|w| *w <= TEXT_WIDTH_MAX).max().unwrap_or(0);
        for (number, step) in (1..).zip(&self.steps) {
            let place = step
                .place
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let text = mail::escaped(&step.text).to_string();
            let line = format!(
                "  {number} {:<11} {:<7} {text:<width$}  {place}",
                step.name, step.verdict
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        match &self.answer {
            Some(answer) => write!(f, "  answer        {answer}")?,
            None => f.write_str("  answer        cannot tell yet")?,
        }
        if let Some(otherwise) = &self.accepted_if {
            write!(f, "\n  accepted if   {}", mail::escaped(otherwise))?;
        }
        Ok(())
    }
}
