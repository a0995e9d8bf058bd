//! Asks the rules what a test of `relay.tests` wants to know, in the order in which a session
//! would.

use std::net::SocketAddr;
use std::sync::Arc;

use mail::{Client, Place, Reply, TlsFacts};
use relay_policy::{
    Answer, CertificatePattern, Connect, Consulted, Decision, Fact, Facts, Familiar, Greylisted,
    Question, Reason, Rights, Rules, decide, may_connect,
};

use super::RelayTest;
use crate::config::{Config, Listener};
use crate::settings::Settings;
use crate::source::Span;
use crate::suggest::nearest;

/// A decision asks three kinds of questions, each once.
const QUESTIONS_MAX: usize = 8;

/// What the rules answer: `None` for yes.
struct Said {
    reply: Option<Reply>,
    why: Option<Reason>,
}

/// Asks the rules; each answer that is not as expected is an error at the test. Rules with mistakes
/// are not asked.
pub(super) fn run(settings: &mut Settings, config: &Config, tests: &[(RelayTest, Span)]) {
    if settings.has_error() {
        return;
    }
    for (test, span) in tests {
        match situation(test, config) {
            Ok((rules, client)) => {
                let said = ask(test, &rules, &client);
                if !test.expected.is_met(said.reply.as_ref()) {
                    report(settings, test, span, &said);
                }
            }
            Err(why) => {
                let message = format!("relay test \"{}\" cannot be", mail::escaped(&test.name));
                settings.error(span, message, &why);
            }
        }
    }
}

fn report(settings: &mut Settings, test: &RelayTest, span: &Span, said: &Said) {
    let answer = match &said.reply {
        None => "the rules accept it".to_owned(),
        Some(reply) => format!("the rules say {reply}"),
    };
    let place = said.why.as_ref().map_or(&Place::Default, |why| &why.place);
    let why = said
        .why
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let name = mail::escaped(&test.name);
    let message = format!(
        "relay test \"{name}\" expects {}, {answer} ({place})",
        test.expected
    );
    settings.error(span, message, &why);
}

/// The rules that the client meets, and the client; or why there is no such thing.
fn situation(test: &RelayTest, config: &Config) -> Result<(Arc<Rules>, Client), String> {
    let listener = listener(test, config)?;
    let rules = listener.map_or(&config.rules, |listener| &listener.rules);
    let implicit = listener.is_some_and(|listener| listener.implicit_tls);
    let needs_tls = test.user.is_some() || test.certificate.is_some();
    let tls = test.tls.unwrap_or(implicit || needs_tls);
    let name = mail::escaped(&rules.listener.name).to_string();
    if needs_tls && !tls {
        return Err("users and certificates are known only under TLS".into());
    }
    if tls && listener.is_some() && !rules.listener.tls.offered {
        return Err(format!("listener {name} offers no TLS"));
    }
    if test.user.is_some() && listener.is_some() && !rules.listener.sign_in.offered {
        return Err(format!("nobody signs in at listener {name}"));
    }
    let local = rules.listener.binds.first().copied();
    let mut client = Client::new(
        SocketAddr::new(test.client, 0),
        local.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 25))),
        Arc::clone(&rules.listener.name),
    );
    if tls && rules.listener.tls.offered && !rules.listener.offers_tls(&client) {
        return Err(format!(
            "listener {name} withholds STARTTLS from this client"
        ));
    }
    client.tls = tls.then(|| encryption(test.certificate.as_ref()));
    client.user.clone_from(&test.user);
    Ok((Arc::clone(rules), client))
}

fn listener<'a>(test: &RelayTest, config: &'a Config) -> Result<Option<&'a Listener>, String> {
    let Some(name) = &test.listener else {
        return Ok(config.listeners.first());
    };
    let found = config
        .listeners
        .iter()
        .find(|listener| listener.name == *name);
    found.map(Some).ok_or_else(|| {
        let known = config.listeners.iter().map(|listener| &*listener.name);
        match nearest(name, known) {
            Some(word) => format!("there is no such listener: did you mean `{word}`?"),
            None => format!("there is no [listener.{}]", mail::escaped(name)),
        }
    })
}

/// A certificate that is exactly what the test names: this fingerprint or key, or this name under
/// an authority that is trusted.
fn encryption(shown: Option<&CertificatePattern>) -> TlsFacts {
    let certificate = shown.map(CertificatePattern::example);
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: certificate.map(Arc::new),
    }
}

/// The way of a session: may it connect, what does the listener demand, may it relay.
fn ask(test: &RelayTest, rules: &Rules, client: &Client) -> Said {
    let mut facts = Facts::default();
    if test.user.is_some() {
        facts.rights = Some(Arc::new(Rights {
            may_relay: test.may_relay,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        }));
    }
    if let Some(refused) = connection(test, rules, client, &mut facts) {
        return refused;
    }
    if let Some(refused) = demand(rules, client) {
        return refused;
    }
    for _ in 0..QUESTIONS_MAX {
        let (reply, why) = match decide(rules, client, &test.mail, &test.rcpt, &facts) {
            Decision::Carry { why, .. } => (None, why),
            Decision::Refuse { reply, why } | Decision::Postpone { reply, why } => {
                (Some(reply), why)
            }
            Decision::Ask(question) => {
                facts.answer(answer(test, question));
                continue;
            }
        };
        return Said {
            reply,
            why: Some(why),
        };
    }
    undecided()
}

fn connection(test: &RelayTest, rules: &Rules, client: &Client, facts: &mut Facts) -> Option<Said> {
    for _ in 0..QUESTIONS_MAX {
        match may_connect(rules, client, facts) {
            Connect::Yes(_) => return None,
            Connect::Refuse { reply, why } | Connect::Postpone { reply, why } => {
                return Some(Said {
                    reply: Some(reply),
                    why: Some(why),
                });
            }
            Connect::Ask(question) => facts.answer(answer(test, question)),
        }
    }
    Some(undecided())
}

/// What the session answers at MAIL when the listener demands more than the client gave.
fn demand(rules: &Rules, client: &Client) -> Option<Said> {
    let (reply, why) = relay_policy::gate(&rules.listener, client)?;
    Some(Said {
        reply: Some(reply),
        why: Some(why),
    })
}

/// The same question again and again: the answer did not fit.
fn undecided() -> Said {
    Said {
        reply: Some(Reply::new(451, 3, 0, "No decision")),
        why: None,
    }
}

/// The client's name is as the test says, no DNS list knows it, it was here before, and whom somebody
/// else would have to be asked about exists.
fn answer(test: &RelayTest, question: Question) -> Answer {
    match question {
        Question::ConfirmedName(_) => Answer::ConfirmedName(match &test.client_name {
            Some(name) => Fact::Yes(name.clone()),
            None => Fact::No,
        }),
        Question::Listings(_) => Answer::Listings(Arc::new([])),
        Question::Recipient { mailbox, .. } => Answer::Recipient(mailbox, Fact::Yes(())),
        Question::Consult(_) => Answer::Consulted(Consulted::Passes),
        Question::Greylist(_) => Answer::Greylist(Greylisted::Passes(Familiar::Triplet)),
    }
}
