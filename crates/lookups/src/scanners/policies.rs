//! Policy services: asked about a recipient before there is a message, one after the other, as each
//! may remember what it is asked; or about a message, as other scanners are.

use std::sync::Arc;
use std::time::Duration;

use ::scanner::policy::{Request, State};
use ::scanner::{Answer, Content, Edit, InMemory, PolicyAction, Subject, TlsFacts};
use config::Scanner as Settings;
use mail::{Domain, Reply, ReversePath};
use relay_policy::{Consultation, Consulted, Fact};
use screening::{Class, Finding};
use tokio::time::{Instant, timeout};

use super::{Found, Heard, One, Question, Scanners};

#[cfg(test)]
mod tests;

/// How long all of them together may take for one recipient. RFC 5321 section 4.5.3.2.3 has clients wait
/// five minutes for the answer.
const CONSULTED_MAX: Duration = Duration::from_secs(120);

/// How long they may take for all recipients of one message. A client that names hundreds at once and
/// leaves is noticed by nobody meanwhile.
const MESSAGE_MAX: Duration = Duration::from_secs(600);

/// What policy services are told of a client beside [`Consultation`].
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The name to which its address points, whether or not that leads back.
    pub reverse_name: Option<Domain>,
    /// What it called itself.
    pub hello: String,
    /// Whether it did so by EHLO.
    pub is_extended: bool,
    /// The name of its message, another one for each.
    pub id: String,
    /// How many octets it says that the message has.
    pub size: Option<u64>,
    /// How long services have taken for recipients of the same message before.
    pub taken: Duration,
}

/// What policy services say of a recipient.
#[derive(Debug, Clone, PartialEq)]
pub struct Advice {
    /// Whether one of them stands against it.
    pub consulted: Consulted,
    /// Fields that are to stand on top of the message, whether or not this recipient is taken: a service
    /// names one for the first recipient alone.
    pub fields: Vec<Edit>,
    /// What each of them said, where the recipient is taken.
    pub findings: Vec<(Arc<str>, Finding)>,
}

impl Scanners {
    /// Asks policy services about a recipient, in the order of the question, up to one that stands
    /// against it.
    pub async fn consult(&self, asked: &Consultation, caller: &Caller) -> Advice {
        let (request, subject) = (request(asked, caller), subject(asked, caller));
        let nothing: Arc<dyn Content> = Arc::new(InMemory(Vec::new()));
        let left = MESSAGE_MAX.saturating_sub(caller.taken);
        let deadline = Instant::now() + CONSULTED_MAX.min(left);
        let mut round = Round::default();
        for name in &asked.services {
            let Some(one) = self.by_name.get(name) else {
                continue;
            };
            let question = Question::Policy(&request, &subject);
            let left = deadline.saturating_duration_since(Instant::now());
            let within = one.settings.timeout.min(left);
            let action = if within.is_zero() {
                // Which is no fault of this one.
                Err("no time was left to ask it".to_owned())
            } else {
                match one.ask_within(within, question, &nothing).await {
                    Ok(Heard::Answer(Answer::Action(action))) => Ok(action),
                    Ok(_) => Err("it is no policy service".to_owned()),
                    Err(why) => Err(why),
                }
            };
            if let Some(against) = round.hear(&one.settings, action) {
                return round.ended(Some(against));
            }
        }
        let postponed = round.postponed.take();
        round.ended(postponed)
    }
}

/// What is said of one recipient so far.
#[derive(Default)]
struct Round {
    fields: Vec<Edit>,
    findings: Vec<(Arc<str>, Finding)>,
    /// By the first that wants it so unless another one refuses it.
    postponed: Option<Consulted>,
    /// What one of them wants refusals of later ones to be.
    softened: Option<Reply>,
}

impl Round {
    /// What stands against the recipient for certain, by the word of this one.
    fn hear(&mut self, of: &Settings, said: Result<PolicyAction, String>) -> Option<Consulted> {
        let name = &of.name;
        let failed = |why: &str| against(name, cannot_tell(), why);
        let action = match said {
            Ok(action) if leads_elsewhere(&action) => Err(ELSEWHERE.to_owned()),
            said => said,
        };
        let action = match action {
            Ok(action) => action,
            Err(why) if of.postpones_on_failure => return Some(failed(&why)),
            Err(why) => {
                self.findings.push((Arc::clone(name), Finding::error(why)));
                return None;
            }
        };
        let reply = action.reply(State::Recipient);
        if let (Some(reply), true) = (&reply, of.obey) {
            let words = reply.to_string();
            if matches!(action, PolicyAction::PostponeIfPermitted(_)) {
                let postponed = against(name, reply.clone(), &words);
                self.postponed.get_or_insert(postponed);
                return None;
            }
            let softer = self.softened.clone().filter(|_| reply.is_permanent());
            return Some(against(name, softer.unwrap_or(reply.clone()), &words));
        }
        if let (PolicyAction::PostponeIfRefused(why), true) = (&action, of.obey) {
            self.softened = PolicyAction::Postpone(why.clone()).reply(State::Recipient);
        }
        let Found { finding, edits, .. } = heard(name, action, reply);
        self.fields.extend(edits);
        let finding = Finding {
            reply: None,
            ..finding
        };
        self.findings.push((Arc::clone(name), finding));
        None
    }

    fn ended(self, against: Option<Consulted>) -> Advice {
        let is_taken = against.is_none();
        Advice {
            consulted: against.unwrap_or(Consulted::Passes),
            fields: self.fields,
            findings: self.findings.into_iter().filter(|_| is_taken).collect(),
        }
    }
}

/// Of the time of a service, looking for its client's names takes this part at most: whoever has the names'
/// servers hang keeps nobody from asking it.
const NAMES_SHARE: u32 = 2;

impl One {
    /// Asks a policy service about a message, and before that DNS for the names of its client, where
    /// nobody did.
    pub(super) async fn ask_policy(
        &self,
        subject: &Subject,
        request: &Request,
        content: &Arc<dyn Content>,
    ) -> Result<Heard, String> {
        let (begun, within) = (Instant::now(), self.settings.timeout);
        let (mut subject, mut request) = (subject.clone(), request.clone());
        let resolver = self.places.resolver();
        if let (Some(address), None) = (subject.client, &subject.client_name) {
            let named = async {
                let confirmed = resolver.confirmed_name(address).await.ok().flatten();
                (confirmed, resolver.reverse_name(address).await)
            };
            let named = timeout(within / NAMES_SHARE, named).await;
            let (confirmed, reverse) = named.unwrap_or_default();
            subject.client_name = confirmed.map(|name| name.to_string());
            request.reverse_name = reverse.map(|name| name.to_string());
        }
        let known = subject.client_name.clone();
        request.reverse_name = request.reverse_name.or(known);
        let left = within.saturating_sub(begun.elapsed());
        let question = Question::Policy(&request, &subject);
        self.ask_within(left, question, content).await
    }
}

const ELSEWHERE: &str = "it wants somebody else to get the message, which is not done";

/// Where mail goes is said by the configuration alone.
fn leads_elsewhere(action: &PolicyAction) -> bool {
    matches!(action, PolicyAction::Redirect(_) | PolicyAction::Bcc(_))
}

/// What a service says of a message that is there, in the words of rules.
pub(super) fn found(service: &Arc<str>, action: PolicyAction) -> Found {
    if leads_elsewhere(&action) {
        return Finding::error(ELSEWHERE).into();
    }
    let reply = action.reply(State::EndOfMessage);
    heard(service, action, reply)
}

/// The same of what stands against nobody by itself, where a service asks for this reply.
fn heard(service: &Arc<str>, action: PolicyAction, reply: Option<Reply>) -> Found {
    let mut edits = Vec::new();
    let (class, what) = match action {
        PolicyAction::Hold(why) => (Class::Quarantine, why),
        PolicyAction::Discard(why) => (Class::Discard, why),
        PolicyAction::PostponeIfRefused(_) => (Class::Clean, String::new()),
        PolicyAction::Prepend(field) => {
            edits.push(field);
            (Class::Clean, String::new())
        }
        PolicyAction::Log(said) => {
            tracing::info!(scanner = &**service, said, "the policy service has a word");
            (Class::Clean, String::new())
        }
        _ => match &reply {
            Some(reply) if reply.is_permanent() => (Class::Reject, reply.to_string()),
            Some(reply) => (Class::Postpone, reply.to_string()),
            None => (Class::Clean, String::new()),
        },
    };
    let finding = Finding {
        classes: vec![class],
        what,
        reply,
        ..Finding::default()
    };
    Found {
        finding,
        edits,
        took: None,
    }
}

fn against(service: &Arc<str>, reply: Reply, why: &str) -> Consulted {
    Consulted::Against {
        service: Arc::clone(service),
        reply,
        why: why.into(),
    }
}

/// RFC 3463 section 3.4: 4.3.0 is trouble of our own system.
fn cannot_tell() -> Reply {
    let text = "The recipient cannot be checked now, try again later";
    Reply::new(451, 3, 0, text)
}

fn request(asked: &Consultation, caller: &Caller) -> Request {
    Request {
        instance: caller.id.clone(),
        recipient: Some(asked.recipient.to_string()),
        is_extended: caller.is_extended,
        reverse_name: caller.reverse_name.as_ref().map(ToString::to_string),
        ..Request::about(&asked.client, State::Recipient)
    }
}

fn subject(asked: &Consultation, caller: &Caller) -> Subject {
    let client = &asked.client;
    Subject {
        queue_id: caller.id.clone(),
        client: Some(client.address()),
        client_name: match &asked.name {
            Fact::Yes(name) => Some(name.to_string()),
            Fact::No | Fact::CannotTell => None,
        },
        hello: Some(caller.hello.clone()),
        user: client.user.as_deref().map(str::to_owned),
        sender: match &asked.sender {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(sender) => sender.to_string(),
        },
        recipients: Vec::new(),
        tls: client.tls.as_ref().map(|tls| TlsFacts {
            version: tls.version.to_owned(),
            cipher: tls.cipher.to_string(),
        }),
        size: caller.size.unwrap_or_default(),
        ..Subject::default()
    }
}
