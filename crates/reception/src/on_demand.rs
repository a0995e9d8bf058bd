//! ETRN (RFC 1985) and ATRN (RFC 2645): a server asks for the mail that is kept until it does.
//!
//! It brings out what was admitted before. Nothing here names a recipient, opens an envelope or
//! stores anything, so it cannot make a relay of us.

use mail::{Domain, Reply};
use relay_policy::{AskedBy, NamedDomain, Question, Request, could_ask, gate, request};
use smtp::{EtrnNode, Verb};

use crate::phase::{AskedFor, AskingFor, Phase, Waiting};
use crate::transaction::Hello;
use crate::{End, Event, Session, SessionFact};

impl Session {
    /// Whether mail of any domain waits until somebody asks.
    pub(crate) fn has_mail_on_demand(&self) -> bool {
        self.settings.rules.domains.on_demand().next().is_some()
    }

    /// Whether the command is offered: some programs ask only then, and to others it would only be
    /// a riddle.
    pub(crate) fn offers(&self, by: AskedBy) -> bool {
        let (rules, may_sign_in) = (&self.settings.rules, self.offers_sign_in());
        could_ask(rules, &self.client, &self.facts, by, may_sign_in)
    }

    pub(crate) fn on_etrn(&mut self, node: EtrnNode) {
        if !self.may_request(Verb::Etrn) {
            return;
        }
        let (domain, with_subdomains) = match node {
            EtrnNode::Domain(domain) => (domain, false),
            EtrnNode::WithSubdomains(domain) => (domain, true),
            // No queue of ours has a name for others.
            EtrnNode::Queue(_) => return self.complain(Some(Verb::Etrn), refused(AskedBy::Etrn)),
        };
        let domains = vec![NamedDomain {
            domain,
            with_subdomains,
        }];
        self.on_request(AskedBy::Etrn, domains);
    }

    /// `more_follows`: octets behind the command have arrived already, which whoever brings the mail
    /// would take for the greeting of the server.
    pub(crate) fn on_atrn(&mut self, domains: Vec<Domain>, more_follows: bool) {
        if !self.may_request(Verb::Atrn) {
            return;
        }
        if self.client.user.is_none() {
            // RFC 2645 section 5.2.1: "The ATRN command MUST be rejected if the session has not been
            // authenticated. Response code 530 is used for this."
            let reply = Reply::new(530, 7, 0, "Authentication required");
            return self.complain(Some(Verb::Atrn), reply);
        }
        if more_follows {
            let reply = Reply::new(503, 5, 1, "Wait for the reply before you send on");
            return self.complain(Some(Verb::Atrn), reply);
        }
        let named = |domain| NamedDomain {
            domain,
            with_subdomains: false,
        };
        self.on_request(AskedBy::Atrn, domains.into_iter().map(named).collect());
    }

    /// Whether mail may be asked for in this phase, whoever asks; the client is told if not.
    fn may_request(&mut self, verb: Verb) -> bool {
        if !self.has_mail_on_demand() {
            self.not_offered(verb);
            return false;
        }
        let refusal = self.refuse_outside_ready().or_else(|| {
            let (reply, _) = gate(&self.settings.rules.listener, &self.client)?;
            Some(reply)
        });
        match refusal {
            Some(reply) => {
                self.complain(Some(verb), reply);
                false
            }
            None => self.may_idle(),
        }
    }

    fn on_request(&mut self, by: AskedBy, domains: Vec<NamedDomain>) {
        match self.take_phase() {
            Phase::Ready(hello) => self.request(hello, AskedFor { by, domains }, None),
            other => self.out_of_place(other, "a request for mail"),
        }
    }

    /// Puts the request to the relay policy. Comes back here when a fact that was `asked` for has
    /// been found.
    pub(crate) fn request(&mut self, hello: Hello, asked_for: AskedFor, asked: Option<&Question>) {
        let AskedFor { by, domains } = asked_for.clone();
        let cannot_tell = || Reply::new(451, 7, 0, "Cannot be told now, try again later");
        let (rules, client) = (&self.settings.rules, &self.client);
        match request(rules, client, &self.facts, by, domains) {
            Request::Granted(requested) => {
                self.log(SessionFact::AskedForMail(verb(by), requested.clone()));
                let (waiting, event) = match by {
                    AskedBy::Etrn => (Waiting::Start(hello), Event::Start(requested)),
                    AskedBy::Atrn => (Waiting::TurnAround(hello), Event::TurnAround(requested)),
                };
                self.phase = Phase::Waiting(waiting);
                self.events.push_back(event);
            }
            Request::Ask(question) if asked != Some(&question) => {
                self.events.push_back(Event::Ask(question.clone()));
                self.phase = Phase::Waiting(Waiting::Right(Box::new(AskingFor {
                    hello,
                    asked_for,
                    question,
                })));
            }
            // The answer did not fit the question; asking for ever would hold the client for ever.
            Request::Ask(_) | Request::CannotTell => self.refuse_request(hello, by, cannot_tell()),
            Request::Refused => self.refuse_request(hello, by, refused(by)),
        }
    }

    fn refuse_request(&mut self, hello: Hello, by: AskedBy, reply: Reply) {
        self.phase = Phase::Ready(hello);
        self.complain(Some(verb(by)), reply);
    }

    /// The answer to [`Event::Start`]: whether any of that mail waited.
    pub fn on_started(&mut self, waits: bool) {
        match self.take_phase() {
            Phase::Waiting(Waiting::Start(hello)) => self.phase = Phase::Ready(hello),
            other => return self.out_of_place(other, "mail was started"),
        }
        self.renew_time_limit();
        self.say(&if waits {
            Reply::new(252, 0, 0, "Pending messages started")
        } else {
            Reply::new(250, 0, 0, "Queuing started, nothing waits now")
        });
        self.after_step();
    }
}

impl Session {
    /// The answer to [`Event::TurnAround`]: whether any of that mail waits, which now follows.
    pub fn on_turned_around(&mut self, waits: bool) {
        let hello = match self.take_phase() {
            Phase::Waiting(Waiting::TurnAround(hello)) => hello,
            other => return self.out_of_place(other, "the connection was turned around"),
        };
        self.renew_time_limit();
        self.phase = Phase::Ready(hello);
        if waits {
            self.say(&Reply::new(250, 0, 0, "OK now reversing the connection"));
            return self.close(End::TurnedAround);
        }
        // RFC 2645 section 8: "453 You have no mail"
        self.say(&Reply::new(453, 0, 0, "You have no mail"));
        self.after_step();
    }
}

fn verb(by: AskedBy) -> Verb {
    match by {
        AskedBy::Etrn => Verb::Etrn,
        AskedBy::Atrn => Verb::Atrn,
    }
}

/// One answer for a client that may not and for a domain that there is not, so that nobody learns
/// which. RFC 1985 section 5.3 has 458 as well, which fetchmail takes for a fault of ours.
fn refused(by: AskedBy) -> Reply {
    match by {
        AskedBy::Etrn => Reply::new(459, 7, 1, "Node not allowed"),
        // RFC 2645 section 8: "450 ATRN request refused"
        AskedBy::Atrn => Reply::new(450, 7, 1, "ATRN request refused"),
    }
}
