//! Sites to which nothing goes because an operator said so.

use std::sync::Arc;

use mail::Timestamp;
use spool::Pause;

use super::{Queue, Turn};
use crate::ready::Probe;
use crate::site::Health;
use crate::{Action, Occurrence};

impl Queue {
    /// All pauses there are now. What agents have in hand ends as it began.
    pub(super) fn on_paused(&mut self, pauses: Vec<Pause>, turn: &mut Turn<'_>) {
        self.change_pauses(turn, |queue, now| queue.pauses.replace(pauses, now));
    }

    /// Pauses that are over end.
    pub(super) fn end_pauses(&mut self, turn: &mut Turn<'_>) {
        let mut over = Vec::new();
        self.change_pauses(turn, |queue, now| over = queue.pauses.end_over(now));
        let over = over.into_iter().map(Occurrence::PauseOver);
        turn.actions.extend(over.map(Action::Log));
    }

    fn change_pauses(&mut self, turn: &mut Turn<'_>, change: impl FnOnce(&mut Self, Timestamp)) {
        let names: Vec<Arc<str>> = self.sites.keys().cloned().collect();
        let before: Vec<bool> = names.iter().map(|name| self.is_paused(name)).collect();
        change(self, turn.now);
        for (name, was_paused) in names.iter().zip(before) {
            match (was_paused, self.is_paused(name)) {
                (false, true) => self.set_aside(name, true, turn),
                (true, false) => {
                    self.watch_anew(name, turn.now);
                    self.on_rested(name, turn);
                }
                (false, false) | (true, true) => {}
            }
        }
    }

    /// Whether an operator lets nothing go to a site.
    pub(super) fn is_paused(&self, site: &str) -> bool {
        self.pauses.of(site).is_some()
    }

    /// Nothing goes to the site for a while; `far`: for so long that its idle connections are of no
    /// use. What it has ready goes back to the spool, which still has it as due: nothing is
    /// written.
    pub(super) fn set_aside(&mut self, name: &Arc<str>, far: bool, turn: &mut Turn<'_>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        let probe_waits = state.ready.iter().any(|ready| ready.probe == Probe::Yes);
        if let (Health::Probing { out, .. }, true) = (&mut state.health, probe_waits) {
            *out = false;
        }
        let idle = if far {
            std::mem::take(&mut state.idle)
        } else {
            Vec::new()
        };
        for agent in idle {
            self.dismiss(agent, turn);
        }
        self.drop_ready(name, turn);
        let wants = self.sites.get(name).map(|state| state.wants.iter());
        for host in wants.into_iter().flatten().cloned().collect::<Vec<_>>() {
            self.look_later(&host, turn.now);
            self.on_alarm(&host, turn);
        }
    }
}
