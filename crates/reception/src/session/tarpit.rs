//! The tarpit: holds back the refusals that a stranger waits for, as [`admission::Refusals`] says.

use admission::Refusals;
use mail::Reply;
use relay_policy::is_permitted;

use crate::{Event, Session};

/// Replies that wait for the end of a pause.
#[derive(Debug, Default)]
pub(crate) struct Tarpit {
    refusals: Refusals,
    held: Vec<u8>,
    /// [`Event::Pause`] was sent and not answered.
    pausing: bool,
}

impl Tarpit {
    pub(crate) fn is_pausing(&self) -> bool {
        self.pausing
    }
}

impl Session {
    /// Whether nothing speaks for this client: it may not relay, as far as is known, and has not
    /// signed in.
    pub(crate) fn is_stranger(&self) -> bool {
        self.client.user.is_none() && !is_permitted(&self.settings.rules, &self.client, &self.facts)
    }

    /// Where a reply is to be written: into the output, or behind what waits already.
    pub(crate) fn outlet(&mut self, reply: &Reply) -> &mut Vec<u8> {
        if self.has_to_wait(reply) {
            &mut self.tarpit.held
        } else {
            self.outlet_at_once()
        }
    }

    /// The same for a reply that need not wait: behind what waits already, as replies keep their
    /// order.
    pub(crate) fn outlet_at_once(&mut self) -> &mut Vec<u8> {
        if self.tarpit.held.is_empty() {
            self.output()
        } else {
            &mut self.tarpit.held
        }
    }

    fn has_to_wait(&mut self, reply: &Reply) -> bool {
        if !reply.is_permanent() || self.settings.tarpit.is_zero() {
            return false;
        }
        self.tarpit.refusals.another_waits() && self.is_stranger()
    }

    /// Asks for a pause when a reply waits for one. Whether the session is in a pause now.
    pub(crate) fn pause(&mut self) -> bool {
        if !self.tarpit.held.is_empty() && !self.tarpit.pausing {
            self.tarpit.pausing = true;
            self.renew_time_limit();
            self.events.push_back(Event::Pause(self.settings.tarpit));
        }
        self.tarpit.pausing
    }

    /// Lets out what waits.
    pub(crate) fn release(&mut self) {
        self.tarpit.pausing = false;
        let held = std::mem::take(&mut self.tarpit.held);
        self.output().extend_from_slice(&held);
    }

    /// The wait of [`Event::Pause`] is over.
    pub fn on_paused(&mut self) {
        if self.tarpit.pausing {
            self.renew_time_limit();
            self.release();
            self.after_step();
        }
    }
}
