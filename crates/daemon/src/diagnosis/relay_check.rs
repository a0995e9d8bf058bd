//! The decision of the running code, step by step: who may send, to whom, by which line; and what
//! screening says of a message.

mod content;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use config::{Config, Listener};
use delivery::Submitted;
use dkim::Signers;
use engine::Setup;
use greylisting::Reputation;
use lookups::{Caller, Inquiries};
use mail::{Certificate, Client, Domain, Mailbox, ReversePath, TlsFacts};
use relay_audit::{Explanation, Step, StepResult, explain};
use relay_policy::{
    Admitted, Answer, Approach, CertificatePattern, Demand, Facts, Greylisted, Question, Reason,
    Rights, Rules, addressee, is_permitted, listed, may_write_as,
};
use route::NextHop;
use sign_in::Account;

use super::Fault;
use crate::clock;

/// Who asks for what.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The way in.
    pub through: Through,
    /// The client's address; `None`: an account of this machine.
    pub client: Option<IpAddr>,
    /// What it calls itself in HELO or EHLO.
    pub hello: String,
    /// MAIL FROM.
    pub mail: ReversePath,
    /// RCPT TO.
    pub rcpt: Mailbox,
    /// Who signed in.
    pub user: Option<String>,
    /// Whether the connection is encrypted; it is where somebody signs in or shows a certificate.
    pub tls: bool,
    /// A certificate that the client shows.
    pub certificate: Option<CertificatePattern>,
    /// A message, as on the wire, for which it is asked what screening says.
    pub message: Option<Vec<u8>>,
}

/// A way in.
#[derive(Debug, Clone)]
pub enum Through {
    /// The listener of this name; `None`: the first.
    Listener(Option<String>),
    /// `pickup` or `submit`.
    Local(String),
}

/// What is remembered of clients and senders, and who signs: whoever runs a relay knows, and others
/// ask or read.
pub trait Memory {
    /// What would become of this at greylisting; `None`: nobody knows, and it was never here.
    fn greylisted(&self, approach: &Approach) -> impl Future<Output = Option<Greylisted>> + Send;

    /// What these are worth by what they did here.
    fn reputation(
        &self,
        client: IpAddr,
        domain: Option<&Domain>,
    ) -> impl Future<Output = Reputation> + Send;

    /// Who signs mail.
    ///
    /// # Errors
    /// The keys cannot be read.
    fn signers(&self) -> Result<Arc<Signers>, String>;
}

/// What would become of it, and by which lines.
///
/// # Errors
/// There can be no such client, or nobody can tell who the user is.
pub async fn check(
    inquiries: &Inquiries,
    memory: &(impl Memory + Sync),
    asked: &Asked,
) -> Result<Explanation, Fault> {
    let (setup, config, mail) = (inquiries.setup(), inquiries.config(), &asked.mail);
    let rules = match &asked.through {
        Through::Local(way) => local_rules(config, way)?,
        Through::Listener(name) => rules(setup, name.as_deref())?,
    };
    let rcpt = meant(config, &rules, &asked.rcpt);
    let mut facts = Facts {
        now: Some(clock::now()),
        ..Facts::default()
    };
    let (client, account) = client(inquiries, &rules, asked, &mut facts).await?;
    let mut advised = Vec::new();
    let mut explanation = explain(&rules, &client, mail, &rcpt, &facts);
    while let Some(question) = explanation.question.take() {
        let known = match &question {
            Question::Greylist(approach) => {
                let greylisted = memory.greylisted(approach).await;
                greylisted.map(Answer::Greylist)
            }
            Question::Consult(consultation) => {
                let advice = inquiries.consult(consultation, caller(asked)).await;
                advised = advice.findings;
                Some(Answer::Consulted(advice.consulted))
            }
            _ => None,
        };
        facts.answer(match known {
            Some(known) => known,
            None => inquiries.find_out(&rules, question).await,
        });
        explanation = explain(&rules, &client, mail, &rcpt, &facts);
    }
    let limits = limits(config, &rules, &client, account.as_ref());
    explanation.steps.insert(1, limits);
    let is_stranger = !is_permitted(&rules, &client, &facts);
    let sent_as = sent_as(config, &client, is_stranger, mail, &explanation);
    let routed = routed(config, mail, &explanation);
    explanation.steps.extend(routed.into_iter().chain(sent_as));
    let on_demand = on_demand(config, &explanation);
    explanation.steps.extend(on_demand);
    let message = asked.message.as_deref();
    if !is_stranger && !explanation.admitted.is_empty() {
        let sender = (&client, facts.rights.as_ref(), mail);
        let signers = memory.signers().map_err(Fault::Configuration)?;
        explanation
            .steps
            .extend(signed(&signers, &rules, sender, message));
    }
    if let Some(message) = message {
        let sender = content::Sender {
            client: &client,
            hello: &asked.hello,
            mail,
            listed: &listed(&rules, &client, &facts),
            is_stranger,
            advised: &advised,
        };
        content::screen(inquiries, memory, &sender, message, &mut explanation).await;
    }
    Ok(explanation)
}

/// What policy services are told of the client. Each check is about a message of its own.
fn caller(asked: &Asked) -> Caller {
    Caller {
        hello: asked.hello.clone(),
        is_extended: true,
        id: format!("check-{}", clock::now().as_millis()),
        ..Caller::default()
    }
}

/// A message as it is on the wire. Files and forms end their lines in LF as often as in CRLF; on the
/// wire there is CRLF alone.
pub fn on_the_wire(octets: &[u8]) -> Vec<u8> {
    let mut message = Vec::with_capacity(octets.len());
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(bare) => {
                message.extend_from_slice(bare.strip_suffix(b"\r").unwrap_or(bare));
                message.extend_from_slice(b"\r\n");
            }
            None => message.extend_from_slice(line),
        }
    }
    message
}

/// Who is meant by `rcpt`, as at the listener of these rules.
pub(crate) fn meant(config: &Config, rules: &Rules, rcpt: &Mailbox) -> Mailbox {
    let mut listeners = config.listeners.iter();
    let listener = listeners.find(|listener| listener.name == rules.listener.name);
    let mut names = vec![config.hostname.clone()];
    names.extend(listener.map(|listener| listener.hostname.clone()));
    addressee(rules, &names, config.postmaster.as_ref(), rcpt).clone()
}

/// The client as it is described; what its user may do goes into `facts`.
async fn client(
    inquiries: &Inquiries,
    rules: &Rules,
    asked: &Asked,
    facts: &mut Facts,
) -> Result<(Client, Option<Account>), Fault> {
    let Some(address) = asked.client else {
        let uid = nix::unistd::getuid().as_raw();
        let way = Arc::clone(&rules.listener.name);
        return Ok((Client::of_this_machine(uid, way), None));
    };
    let local = rules.listener.binds.first().copied();
    let local = local.unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 25)));
    let peer = SocketAddr::new(address, 0);
    let mut client = Client::new(peer, local, Arc::clone(&rules.listener.name));
    let certificate = asked.certificate.as_ref();
    let certificate: Option<Arc<Certificate>> =
        certificate.map(|pattern| Arc::new(pattern.example()));
    possible(
        "user",
        asked.user.is_some(),
        "nobody signs in",
        &rules.listener.sign_in,
    )?;
    // Nobody signs in or shows a certificate in clear.
    let encrypted = asked.tls || asked.user.is_some() || certificate.is_some();
    possible("tls", encrypted, "there is no TLS", &rules.listener.tls)?;
    let listener = &rules.listener;
    if encrypted && !listener.offers_tls(&client) {
        let place = listener.starttls_except.place();
        let why = format!("STARTTLS is withheld from this client ({place})");
        return Err(Fault::asked("tls", why));
    }
    if encrypted {
        client.tls = Some(TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_256_GCM_SHA384".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate,
        });
    }
    let Some(user) = &asked.user else {
        return Ok((client, None));
    };
    let account = inquiries.user(user).await.map_err(Fault::CannotTell)?;
    let nobody = || {
        Fault::No(format!(
            "there is no user {user}: the sign-in would be refused with 535 5.7.8"
        ))
    };
    let account = account.ok_or_else(nobody)?;
    facts.rights = Some(Arc::clone(&account.rights));
    client.user = Some(Arc::clone(&account.name));
    Ok((client, Some(account)))
}

/// What a listener does not offer cannot have happened there.
fn possible(what: &str, wanted: bool, otherwise: &str, demand: &Demand) -> Result<(), Fault> {
    if wanted && !demand.offered {
        let place = &demand.place;
        let why = format!("{otherwise} at this listener ({place})");
        return Err(Fault::asked(what, why));
    }
    Ok(())
}

/// How often and how much; counted while the relay runs, so it is told and not decided here.
fn limits(config: &Config, rules: &Rules, client: &Client, account: Option<&Account>) -> Step {
    let mut listeners = config.listeners.iter();
    let text = match listeners.find(|listener| listener.name == rules.listener.name) {
        Some(Listener { slots, .. }) => {
            let (limits, guardian) = (&config.limits.admission, &config.limits.guardian);
            engine::explain_limits(rules, client, account, slots, limits, guardian).join(", ")
        }
        None if client.uid.is_some() => {
            let of_guardian = engine::explain_guardian(client, true, &config.limits.guardian);
            let none = "none on this machine".to_owned();
            std::iter::once(none)
                .chain(of_guardian)
                .collect::<Vec<_>>()
                .join(", ")
        }
        None => "no listener".to_owned(),
    };
    Step {
        name: "limits",
        result: StepResult::Moot,
        text,
        place: None,
    }
}

/// Where what is accepted goes for its sender's sake, or to be filtered.
fn routed(config: &Config, mail: &ReversePath, explanation: &Explanation) -> Vec<Step> {
    let step = |(admitted, _): &(Admitted, Reason)| {
        let recipient = admitted.recipient();
        if let Some(filter) = config.routes.filter().filter(|_| admitted.goes_to_filter()) {
            return Some(Step {
                name: "route",
                result: StepResult::Moot,
                text: format!(
                    "{}, the filter, before it goes on to {recipient}",
                    filter.name
                ),
                place: Some(filter.place.clone()),
            });
        }
        let sender = admitted.own_sender(mail);
        let site = config.routes.site_by_sender(sender, recipient.host())?;
        Some(Step {
            name: "route",
            result: StepResult::Moot,
            text: format!("{}, for its sender, to {recipient}", site.name),
            place: Some(site.place),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

/// As whom what is accepted goes out, where that is not as it came. What becomes a file here stays as
/// it came.
fn sent_as(
    config: &Config,
    client: &Client,
    from_stranger: bool,
    mail: &ReversePath,
    explanation: &Explanation,
) -> Vec<Step> {
    let submitted = Submitted {
        sender: mail,
        client: &client.to_string(),
        user: client.user.as_deref(),
        from_stranger,
    };
    let step = |(admitted, _): &(Admitted, Reason)| {
        let sender = admitted.own_sender(mail);
        let host = admitted.recipient().host();
        let site = config.routes.site_from(sender, host);
        let goes_out = !matches!(*site.next_hop, NextHop::Directory(_));
        let sent_as = config.send_as.sent_as(&submitted, &site.name);
        let sent_as = sent_as.filter(|_| goes_out)?;
        Some(Step {
            name: "sent as",
            result: StepResult::Moot,
            text: format!("{}, to {}", sent_as.sender, admitted.recipient()),
            place: Some(sent_as.place),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

/// By which keys the message is signed, or one whose author is its sender where there is none.
fn signed(
    signers: &Signers,
    rules: &Rules,
    (client, rights, mail): (&Client, Option<&Arc<Rights>>, &ReversePath),
    message: Option<&[u8]>,
) -> Option<Step> {
    let pretended = format!("From: <{}>\r\n", mail.as_str());
    let may_write_as = |author: &Mailbox| may_write_as(rules, client, rights, author);
    let (message, about) = match message {
        Some(message) => (message, ""),
        None => (pretended.as_bytes(), ", where its author is its sender"),
    };
    let found = engine::signer(signers, message, &may_write_as);
    found.map(|found| {
        let domain = found.signer.domain();
        let keys = found.signer.selectors();
        let keys: Vec<String> = keys
            .map(|key| format!("{key}._domainkey.{domain}"))
            .collect();
        Step {
            name: "signed",
            result: StepResult::Moot,
            text: format!("by {}{about}", keys.join(" and ")),
            place: Some(found.place.clone()),
        }
    })
}

/// Who is accepted whose mail then waits until somebody asks for it.
fn on_demand(config: &Config, explanation: &Explanation) -> Vec<Step> {
    let step = |(admitted, _): &(Admitted, Reason)| {
        let recipient = admitted.recipient();
        let on_demand = config.queue.on_demand(recipient.host())?;
        Some(Step {
            name: "on demand",
            result: StepResult::Moot,
            text: format!("{recipient} waits until somebody asks by ETRN or ATRN"),
            place: Some(on_demand.place.clone()),
        })
    };
    explanation.admitted.iter().filter_map(step).collect()
}

fn rules(setup: &Setup, listener: Option<&str>) -> Result<Arc<Rules>, Fault> {
    let listeners = &setup.config.listeners;
    let found = match listener {
        None => listeners.first(),
        Some(name) => listeners.iter().find(|listener| &*listener.name == name),
    };
    let of_session = |listener: &Listener| setup.sessions.get(&listener.name);
    if let Some(session) = found.and_then(of_session) {
        return Ok(Arc::clone(&session.rules));
    }
    let Some(name) = listener else {
        return Ok(Arc::clone(&setup.config.rules));
    };
    let known: Vec<&str> = listeners.iter().map(|l| &*l.name).collect();
    let known = known.join(", ");
    Err(Fault::Unknown(format!(
        "there is no listener `{name}`; there are: {known}"
    )))
}

fn local_rules(config: &Config, way: &str) -> Result<Arc<Rules>, Fault> {
    let mut ways = config.local.sessions();
    let found = ways.find(|session| &*session.rules.listener.name == way);
    let found = found.map(|session| Arc::clone(&session.rules));
    found.ok_or_else(|| {
        let why = "neither `pickup` nor `submit`, or it is not configured";
        Fault::asked(format!("local {way}"), why)
    })
}
