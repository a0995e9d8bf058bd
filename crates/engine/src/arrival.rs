//! A connection from its acceptance to its greeting: whether it may come in, and in which manner.
//!
//! The order: a slot, the rules of connecting, the rates, the handshake where TLS comes first,
//! silence before the greeting. Whoever fails hears why in place of the greeting; under TLS after
//! the handshake, and without a slot not at all, as handshakes without a slot would be handshakes
//! without number.
//!
//! [`Arrival::next_step`] says what is to be done, the `on_` functions take what came of it, until it
//! says [`ArrivalStep::Serve`] or [`ArrivalStep::Leave`].

use std::sync::Arc;
use std::time::Duration;

use admission::{Limits, Standing, TurnAway};
use mail::{Client, Reply, TlsFacts};
use reception::{Session, Settings};
use relay_policy::{Answer, Connect, Facts, Question, Reason, may_connect};

use crate::{standing, standing_encrypted};

/// One connection on its way to the greeting.
pub struct Arrival {
    settings: Arc<Settings>,
    client: Client,
    number: u64,
    standing: Standing,
    implicit_tls: bool,
    /// A proxy of ours on its own account, to see how we are: no rule about connections is about
    /// it.
    is_proxy: bool,
    stage: Stage,
    turned_away: Option<TurnedAway>,
}

/// How far it has come.
enum Stage {
    Slot,
    Rules(Box<Facts>),
    Rates,
    /// Somebody is turned away, which is to be written down.
    Told,
    Handshake,
    Silence,
    Ready,
    Gone,
}

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum ArrivalStep {
    /// Take a slot for this standing: [`Arrival::on_slot`].
    TakeSlot,
    /// Find this out: [`Arrival::on_fact`].
    Ask(Question),
    /// Count a connection of this standing: [`Arrival::on_counted`].
    Count,
    /// Write down that the client is turned away, and why.
    Log(TurnedAway),
    /// Shake hands: [`Arrival::on_encrypted`], or drop everything when that fails.
    Encrypt,
    /// Wait for so long, and see whether the client says something: [`Arrival::on_listened`].
    Listen(Duration),
    /// Everything is known: [`Arrival::into_session`].
    Serve,
    /// Close without a word.
    Leave,
}

/// Why a client hears something else than the greeting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnedAway {
    /// It got no slot. Where TLS comes first it hears nothing.
    Busy(Option<Reply>, TurnAway),
    /// A rule about connections says so.
    ByRule(Reply, Reason),
    /// It comes too often, or has guessed too much.
    TooOften(Reply, TurnAway),
    /// It spoke before it was greeted.
    Early,
}

impl Arrival {
    /// A client that has connected, with the settings of the listener, to which it may have to
    /// speak TLS first.
    pub fn new(
        settings: Arc<Settings>,
        implicit_tls: bool,
        client: Client,
        number: u64,
        limits: &Arc<Limits>,
    ) -> Self {
        Self {
            standing: standing(&settings.rules, &client, limits),
            settings,
            client,
            number,
            implicit_tls,
            is_proxy: false,
            stage: Stage::Slot,
            turned_away: None,
        }
    }

    /// It is a proxy of ours on its own account.
    pub fn of_proxy(self) -> Self {
        Self {
            standing: Standing::permitted(),
            is_proxy: true,
            ..self
        }
    }

    /// Who it is for the limits.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// Who it is.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// How long the handshake may take.
    pub fn handshake_limit(&self) -> Duration {
        self.settings.limits.timeouts.handshake
    }

    /// What is to be done now. Asked again before the answer to what it said, it says the same.
    pub fn next_step(&mut self) -> ArrivalStep {
        match &self.stage {
            Stage::Slot => ArrivalStep::TakeSlot,
            Stage::Rules(facts) => match may_connect(&self.settings.rules, &self.client, facts) {
                Connect::Ask(question) => ArrivalStep::Ask(question),
                Connect::Yes(_) => {
                    self.stage = Stage::Rates;
                    ArrivalStep::Count
                }
                Connect::Refuse { reply, why } | Connect::Postpone { reply, why } => {
                    self.turn_away(TurnedAway::ByRule(reply, why));
                    self.next_step()
                }
            },
            Stage::Rates => ArrivalStep::Count,
            Stage::Told => self.tell(),
            Stage::Handshake => ArrivalStep::Encrypt,
            Stage::Silence => self.listen(),
            Stage::Ready => ArrivalStep::Serve,
            Stage::Gone => ArrivalStep::Leave,
        }
    }

    /// Whether there was a slot.
    pub fn on_slot(&mut self, taken: Result<(), TurnAway>) {
        match taken {
            Err(full) => {
                let heard = !self.implicit_tls;
                let reply = heard.then(|| full.reply(&self.settings.hostname));
                self.turn_away(TurnedAway::Busy(reply, full));
            }
            Ok(()) if self.is_proxy => self.come_in(),
            Ok(()) => self.stage = Stage::Rules(Box::default()),
        }
    }

    /// What was found out.
    pub fn on_fact(&mut self, answer: Answer) {
        if let Stage::Rules(facts) = &mut self.stage {
            facts.answer(answer);
        }
    }

    /// Whether it came too often.
    pub fn on_counted(&mut self, counted: Result<(), TurnAway>) {
        match counted {
            Ok(()) => self.come_in(),
            Err(why) => {
                let reply = why.reply(&self.settings.hostname);
                self.turn_away(TurnedAway::TooOften(reply, why));
            }
        }
    }

    /// Hands were shaken.
    pub fn on_encrypted(&mut self, facts: TlsFacts) {
        self.client.tls = Some(facts);
        let before = std::mem::replace(&mut self.standing, Standing::permitted());
        self.standing = standing_encrypted(before, &self.settings.rules, &self.client);
        // Under TLS it has just spoken, so nobody listens for it to be silent.
        self.stage = Stage::Ready;
    }

    /// Whether the client kept silent.
    pub fn on_listened(&mut self, silent: bool) {
        if !silent {
            self.turned_away = Some(TurnedAway::Early);
        }
        self.stage = Stage::Ready;
    }

    /// The session that begins, greeted or turned away, and who is held to which limits in it.
    pub fn into_session(self) -> (Session, Standing) {
        let (settings, client, number) = (self.settings, self.client, self.number);
        let session = match self.turned_away {
            None => Session::new(settings, client, number),
            Some(TurnedAway::Busy(..)) => Session::busy(settings, client, number),
            Some(TurnedAway::Early) => Session::early_talker(settings, client, number),
            Some(TurnedAway::ByRule(reply, _) | TurnedAway::TooOften(reply, _)) => {
                Session::turned_away(settings, client, number, reply)
            }
        };
        (session, self.standing)
    }

    fn turn_away(&mut self, why: TurnedAway) {
        self.turned_away = Some(why);
        self.stage = Stage::Told;
    }

    fn tell(&mut self) -> ArrivalStep {
        match &self.turned_away {
            Some(TurnedAway::Busy(None, _)) => self.stage = Stage::Gone,
            Some(_) | None => self.come_in(),
        }
        self.turned_away
            .clone()
            .map_or(ArrivalStep::Leave, ArrivalStep::Log)
    }

    fn come_in(&mut self) {
        self.stage = if self.implicit_tls {
            Stage::Handshake
        } else {
            Stage::Silence
        };
    }

    /// Whether a stranger hears us out before it talks.
    fn listen(&mut self) -> ArrivalStep {
        match self.standing.silence() {
            Some(delay) if self.turned_away.is_none() => ArrivalStep::Listen(delay),
            Some(_) | None => {
                self.stage = Stage::Ready;
                ArrivalStep::Serve
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use mail::{Domain, Place};
    use relay_policy::Fact;

    use super::*;

    const DELAY: Duration = Duration::from_secs(3);

    /// A client at the one listener of this configuration.
    fn arrival(text: &str, address: &str) -> Arrival {
        let environment = config::Environment {
            hostname: Domain::parse("relay.test").ok(),
            addresses: Vec::new(),
        };
        let text = format!(
            "[limits]\ngreeting_delay = \"3s\"\n[relay]\nallow = [\"192.0.2.1\"]\n\
             [listener.in]\nbind = \"0.0.0.0:25\"\n{text}\n"
        );
        let loaded = config::parse("gatepost.toml", &text, &environment);
        let config = loaded.unwrap_or_else(|why| panic!("{why}")).config;
        let limits = Arc::clone(&config.limits.admission);
        let implicit_tls = config.listeners[0].implicit_tls;
        let setup = crate::Setup::new(config);
        let settings = Arc::clone(&setup.sessions["in"]);
        let peer = format!("{address}:1").parse().unwrap();
        let client = Client::new(peer, settings.rules.listener.binds[0], "in".into());
        Arrival::new(settings, implicit_tls, client, 1, &limits)
    }

    /// What else is so.
    #[derive(Clone, Copy, PartialEq)]
    enum Trouble {
        None,
        NoSlot,
        TooOften,
        Speaks,
    }

    fn too_many<T>(excess: admission::Excess) -> Result<T, TurnAway> {
        let place = Place::Default;
        Err(TurnAway { excess, place })
    }

    /// The steps in short, and the first words of the session.
    fn play(mut arrival: Arrival, trouble: Trouble) -> String {
        let mut steps = Vec::new();
        loop {
            let step = arrival.next_step();
            assert!(steps.len() < 20, "it goes on for ever: {steps:?}");
            steps.push(match &step {
                ArrivalStep::TakeSlot => "slot",
                ArrivalStep::Ask(_) => "ask",
                ArrivalStep::Count => "count",
                ArrivalStep::Log(_) => "log",
                ArrivalStep::Encrypt => "encrypt",
                ArrivalStep::Listen(_) => "listen",
                ArrivalStep::Serve => "serve",
                ArrivalStep::Leave => "leave",
            });
            match step {
                ArrivalStep::TakeSlot if trouble == Trouble::NoSlot => {
                    arrival.on_slot(too_many(admission::Excess::Sessions));
                }
                ArrivalStep::TakeSlot => arrival.on_slot(Ok(())),
                ArrivalStep::Ask(_) => arrival.on_fact(Answer::ConfirmedName(Fact::No)),
                ArrivalStep::Count if trouble == Trouble::TooOften => {
                    arrival.on_counted(too_many(admission::Excess::Connections));
                }
                ArrivalStep::Count => arrival.on_counted(Ok(())),
                ArrivalStep::Log(_) => {}
                ArrivalStep::Encrypt => arrival.on_encrypted(TlsFacts {
                    version: "TLSv1.3",
                    cipher: "".into(),
                    group: "",
                    handshake: mail::Handshake::Full,
                    certificate: None,
                }),
                ArrivalStep::Listen(delay) => {
                    assert_eq!(delay, DELAY);
                    arrival.on_listened(trouble != Trouble::Speaks);
                }
                ArrivalStep::Leave => return steps.join(" "),
                ArrivalStep::Serve => break,
            }
        }
        let (mut session, _) = arrival.into_session();
        let words = String::from_utf8_lossy(session.output()).into_owned();
        format!("{}: {}", steps.join(" "), &words[..3])
    }

    #[test]
    fn each_client_is_led_to_its_greeting_or_told_why_not() {
        let (plain, encrypted) = ("", "kind = \"submissions\"");
        let named = "connect = { mode = \"only-list\", allow = [\"*.office.test\"] }";
        let (stranger, listed, local) = ("203.0.113.9", "192.0.2.1", "127.0.0.1");
        for (text, address, trouble, expected) in [
            (
                plain,
                stranger,
                Trouble::None,
                "slot count listen serve: 220",
            ),
            (
                plain,
                stranger,
                Trouble::Speaks,
                "slot count listen serve: 554",
            ),
            (plain, stranger, Trouble::NoSlot, "slot log serve: 421"),
            (
                plain,
                stranger,
                Trouble::TooOften,
                "slot count log serve: 421",
            ),
            // The rules about connecting are asked, and DNS for them.
            (named, stranger, Trouble::None, "slot ask log serve: 554"),
            // Whoever may relay, and this machine, may speak at once.
            (plain, listed, Trouble::Speaks, "slot count serve: 220"),
            (plain, local, Trouble::Speaks, "slot count serve: 220"),
            (
                encrypted,
                stranger,
                Trouble::Speaks,
                "slot count encrypt serve: 220",
            ),
            (
                encrypted,
                stranger,
                Trouble::TooOften,
                "slot count log encrypt serve: 421",
            ),
            (encrypted, stranger, Trouble::NoSlot, "slot log leave"),
        ] {
            assert_eq!(
                play(arrival(text, address), trouble),
                expected,
                "{text} {address}"
            );
        }
    }

    #[test]
    fn a_proxy_of_ours_is_asked_nothing() {
        let named = "connect = { mode = \"only-list\", allow = [\"*.office.test\"] }";
        let proxy = arrival(named, "203.0.113.9").of_proxy();
        assert!(proxy.standing().is_permitted());
        assert_eq!(play(proxy, Trouble::Speaks), "slot serve: 220");
    }
}
