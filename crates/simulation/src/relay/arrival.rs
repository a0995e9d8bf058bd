//! Leads each client to its greeting, and counts how fast it goes, as the daemon does.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use admission::{Rates, Slot, Slots, Standing, TurnAway};
use engine::{Arrival, ArrivalStep, Setup, TurnedAway};
use mail::Client;
use reception::Session;
use relay_policy::{Fact, Question};

use crate::geography;
use crate::relay::spoilt;
use crate::stage::Stage;

/// What this life of the relay remembers of its clients.
#[derive(Default)]
pub(super) struct Pace {
    slots: Slots,
    rates: Rates,
}

/// A client that has been led to its greeting, or to what it hears in its place.
pub(super) struct Arrived {
    pub(super) session: Session,
    pub(super) standing: Standing,
    pub(super) slot: Option<Slot>,
}

impl Pace {
    /// A client connects from this address; none when nobody listens.
    pub(super) fn arrive(
        &mut self,
        setup: &Setup,
        number: u64,
        address: IpAddr,
        stage: &mut Stage,
    ) -> Option<Arrived> {
        let listener = setup.config.listeners.first()?;
        let settings = Arc::clone(setup.sessions.get(&listener.name)?);
        let local = *listener.binds.first()?;
        let peer = SocketAddr::new(address, 40_000);
        let client = Client::new(peer, local, Arc::clone(&listener.name));
        let limits = &setup.config.limits.admission;
        let mut arrival = Arrival::new(settings, listener.implicit_tls, client, number, limits);
        let mut slot = None;
        loop {
            match arrival.next_step() {
                ArrivalStep::TakeSlot => {
                    let standing = arrival.standing();
                    let taken = self
                        .slots
                        .take(&listener.name, address, standing, &listener.slots);
                    arrival.on_slot(taken.map(|taken| slot = Some(taken)));
                }
                ArrivalStep::Ask(question) => arrival.on_fact(found_out(question, stage)),
                ArrivalStep::Count => {
                    let now = stage.clock.elapsed();
                    let counted = self.rates.connect(arrival.standing(), now);
                    arrival.on_counted(counted);
                }
                ArrivalStep::Log(why) => log(number, &why, stage),
                // Nobody in this world speaks before it is greeted.
                ArrivalStep::Listen(_) => arrival.on_listened(true),
                ArrivalStep::Serve => {
                    let (session, standing) = arrival.into_session();
                    return Some(Arrived {
                        session,
                        standing,
                        slot,
                    });
                }
                // The relay of this world has no certificate.
                ArrivalStep::Encrypt | ArrivalStep::Leave => return None,
            }
        }
    }

    /// A message begins.
    pub(super) fn begin(
        &mut self,
        standing: &Standing,
        stage: &mut Stage,
    ) -> Result<Option<u32>, TurnAway> {
        let begun = self.rates.begin(standing, stage.clock.elapsed());
        if begun.is_err() {
            stage.totals.count("messages postponed for their rate");
        }
        begun
    }

    /// A message is stored.
    pub(super) fn carried(&mut self, standing: &Standing, recipients: u32, stage: &Stage) {
        let now = stage.clock.elapsed();
        self.rates.carried(standing, recipients, now);
    }

    /// A session has ended.
    pub(super) fn leave(&mut self, slot: Option<Slot>) {
        if let Some(slot) = slot {
            self.slots.give_back(slot);
        }
    }

    /// Slots that are taken.
    pub(super) fn slots_taken(&self) -> u32 {
        self.slots.count()
    }
}

fn log(session: u64, why: &TurnedAway, stage: &mut Stage) {
    stage.note(format_args!("session {session}: {why:?}"));
    stage.totals.count(match why {
        TurnedAway::Busy(_) => "clients without a slot",
        TurnedAway::TooOften(..) => "clients turned away for their rate",
        TurnedAway::ByRule(..) | TurnedAway::Early => "clients turned away by rule",
    });
}

/// What is found out about a client.
pub(super) fn found_out(question: Question, stage: &mut Stage) -> relay_policy::Answer {
    stage.totals.count("facts asked for");
    let unknown = stage.mishap(20);
    match question {
        Question::ConfirmedName(_) if unknown => {
            relay_policy::Answer::ConfirmedName(Fact::CannotTell)
        }
        Question::ConfirmedName(address) => {
            let address = spoilt::asked_about(address, stage);
            relay_policy::Answer::ConfirmedName(geography::confirmed_name(address))
        }
        Question::Listings(_) => relay_policy::Answer::Listings(Arc::default()),
        Question::Recipient { mailbox, .. } => {
            relay_policy::Answer::Recipient(mailbox, Fact::CannotTell)
        }
    }
}
