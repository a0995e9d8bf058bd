//! What all sessions share of [`admission`]: who has which slot, and how fast they go, each behind
//! a lock, and by the clock of this process.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use admission::{Allowance, Rates, SlotLimits, Slots, Standing, Subject, TurnAway};
use mail::Client;

/// The counters of all sessions.
pub(crate) struct Pace {
    started: Instant,
    rates: Mutex<Rates>,
    slots: Arc<Mutex<Slots>>,
}

/// One session's slot; given back when dropped.
pub(crate) struct Slot {
    slots: Arc<Mutex<Slots>>,
    slot: Option<admission::Slot>,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            rates: Mutex::default(),
            slots: Arc::default(),
        }
    }
}

impl Pace {
    /// [`Slots::take`]
    pub(crate) fn enter(
        &self,
        client: &Client,
        standing: &Standing,
        limits: &SlotLimits,
    ) -> Result<Slot, TurnAway> {
        let mut slots = locked(&self.slots);
        let slot = slots.take(&client.listener, Subject::of(client), standing, limits)?;
        Ok(Slot {
            slots: Arc::clone(&self.slots),
            slot: Some(slot),
        })
    }

    /// Sessions at this moment.
    pub(crate) fn sessions(&self) -> u32 {
        locked(&self.slots).count()
    }

    /// [`Rates::connect`]
    pub(crate) fn connect(&self, standing: &Standing) -> Result<(), TurnAway> {
        self.with(|rates, now| rates.connect(standing, now))
    }

    /// [`Rates::begin`]
    pub(crate) fn begin(&self, standing: &Standing) -> Result<Allowance, TurnAway> {
        self.with(|rates, now| rates.begin(standing, now))
    }

    /// [`Rates::carried`]
    pub(crate) fn carried(&self, standing: &Standing, recipients: u32, bounces: u32) {
        self.with(|rates, now| rates.carried(standing, recipients, bounces, now));
    }

    /// [`Rates::guessed`]
    pub(crate) fn guessed(&self, standing: &Standing) {
        self.with(|rates, now| rates.guessed(standing, now));
    }

    fn with<T>(&self, act: impl FnOnce(&mut Rates, Duration) -> T) -> T {
        act(&mut locked(&self.rates), self.started.elapsed())
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(slot) = self.slot.take() {
            locked(&self.slots).give_back(slot);
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
