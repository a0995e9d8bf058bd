use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail::{Place, Reply, Timestamp, TlsFacts};
use reception::{Admission, Event, Session, Settings, SignIn, SignedIn, StoreTrouble};
use relay_policy::{
    Answer, Connect, Consulted, Fact, Facts, Familiar, Greylisted, NamePattern, Question,
    RecipientPattern, Rights, Rules, SendOnlyTo, may_connect,
};
use smtp::ReplyReader;

use super::battery::Login;
use super::cast::{NOW, hosted};
use super::dialogue::{Lost, Peer};
use super::strangers::Caller;

/// Our own session code, driven from within: what it asks is answered as for somebody of whom no
/// list says anything.
pub(super) struct Inside {
    settings: Arc<Settings>,
    caller: Caller,
    /// None until the client has greeted.
    session: Option<Session>,
    /// Whom the next sign-in is to be.
    login: Login,
}

impl Inside {
    pub(super) fn new(settings: Arc<Settings>, caller: Caller) -> Self {
        Self {
            settings,
            caller,
            session: None,
            login: Login::None,
        }
    }

    /// Answers what the session asks; gives the first reply of what it has said.
    fn reply(&self, session: &mut Session) -> Result<Reply, Lost> {
        while let Some(event) = session.next_event() {
            self.answer(session, event);
        }
        let said = std::mem::take(session.output());
        let mut rest = said.as_slice();
        match ReplyReader::new().read(&mut rest) {
            Ok(Some(reply)) => Ok(reply.into_reply()),
            Ok(None) => Err(Lost("the session said nothing".to_owned())),
            Err(fault) => Err(Lost(fault.to_string())),
        }
    }

    fn answer(&self, session: &mut Session, event: Event) {
        match event {
            Event::Log(_) | Event::Said(_) | Event::Abandoned => {}
            Event::Begin => session.begin_message(Admission::Open {
                id: mail::QueueId::new(Timestamp::from_millis(0), 0),
                recipients: None,
                bounces: None,
            }),
            Event::Ask(question) => session.on_fact(self.fact(question)),
            Event::Pause(_) => session.on_paused(),
            Event::StartTls => session.on_encrypted(tls()),
            Event::SignIn(SignIn::Cancelled) => {}
            Event::SignIn(SignIn::Start { .. } | SignIn::Response(_)) => {
                session.on_sign_in(signed_in(self.login, &self.settings.rules));
            }
            Event::Start(_) => session.on_started(false),
            Event::TurnAround(_) => session.on_turned_around(false),
            // No probe sends content.
            Event::Spill => session.content_taken(Err(StoreTrouble::Failed)),
            Event::Message(_) => session.on_stored(Err(StoreTrouble::Failed)),
        }
    }

    /// The reply with which connection control turns the caller away.
    fn turned_away(&self) -> Option<Reply> {
        let mut facts = Facts::default();
        loop {
            match may_connect(&self.settings.rules, &self.caller.client, &facts) {
                Connect::Yes(_) => return None,
                Connect::Refuse { reply, .. } | Connect::Postpone { reply, .. } => {
                    return Some(reply);
                }
                Connect::Ask(question) => facts.answer(self.fact(question)),
            }
        }
    }

    /// No DNS list names the caller, whoever is asked about exists, and all were here before, so that
    /// no refusal hides another.
    fn fact(&self, question: Question) -> Answer {
        match question {
            Question::ConfirmedName(_) => {
                Answer::ConfirmedName(self.caller.name.clone().map_or(Fact::No, Fact::Yes))
            }
            Question::Listings(_) => Answer::Listings(Arc::default()),
            Question::Recipient { mailbox, .. } => Answer::Recipient(mailbox, Fact::Yes(())),
            Question::Consult(_) => Answer::Consulted(Consulted::Passes),
            Question::Greylist(_) => Answer::Greylist(Greylisted::Passes(Familiar::Triplet)),
        }
    }
}

impl Peer for Inside {
    fn begin(&mut self) -> Result<Reply, Lost> {
        let mut client = self.caller.client.clone();
        let listener = &self.settings.rules.listener;
        // Anybody can encrypt; nothing of what follows may hang on that.
        if client.tls.is_none() && (listener.tls.required || listener.sign_in.offered) {
            client.tls = Some(tls());
        }
        self.session = None;
        let settings = Arc::clone(&self.settings);
        let mut session = match self.turned_away() {
            None => Session::new(settings, client, 0),
            Some(reply) => Session::turned_away(settings, client, 0, reply),
        };
        let greeting = self.reply(&mut session)?;
        if greeting.code() != 220 {
            return Ok(greeting);
        }
        self.session = Some(session);
        self.command("EHLO prove.invalid")
    }

    fn command(&mut self, line: &str) -> Result<Reply, Lost> {
        let session = self.session.take().filter(|session| !session.is_closed());
        let Some(mut session) = session else {
            return Err(Lost("there is no session".to_owned()));
        };
        let line = format!("{line}\r\n");
        let used = session.receive(line.as_bytes(), NOW);
        if used < line.len() {
            return Err(Lost("the session took a part of a line".to_owned()));
        }
        let reply = self.reply(&mut session);
        self.session = Some(session);
        reply
    }

    fn sign_in(&mut self, login: Login) -> Result<Option<Reply>, Lost> {
        let offered = self.settings.rules.listener.sign_in.offered;
        let mechanism = self.settings.mechanisms.first().filter(|_| offered);
        let Some(mechanism) = mechanism else {
            return Ok(None);
        };
        self.login = login;
        // What it says is of no matter: who that is has been decided.
        let response = BASE64.encode("\0prove\0password");
        let command = format!("AUTH {mechanism} {response}");
        self.command(&command).map(Some)
    }
}

/// What the sources of users say of a sign-in.
fn signed_in(login: Login, rules: &Rules) -> SignedIn {
    let (may_relay, is_bound) = match login {
        Login::None | Login::Wrong => {
            return SignedIn::No(Reply::new(535, 7, 8, "Authentication failed").into());
        }
        Login::Powerless => (false, false),
        Login::Bound => (true, true),
        Login::Entitled => (true, false),
    };
    let only_to = is_bound.then(|| SendOnlyTo {
        recipients: hosted(rules)
            .map(|domain| RecipientPattern::Domain(NamePattern::Exact(domain)))
            .into_iter()
            .collect(),
        place: Place::Default,
    });
    let rights = Rights {
        may_relay,
        senders: Box::default(),
        only_to: only_to.into_iter().collect(),
        place: Place::Default,
    };
    SignedIn::Yes {
        user: "prove".into(),
        rights: Arc::new(rights),
    }
}

fn tls() -> TlsFacts {
    TlsFacts {
        version: "TLSv1.3",
        cipher: "TLS_AES_256_GCM_SHA384".into(),
        group: "X25519",
        handshake: mail::Handshake::Full,
        certificate: None,
    }
}
