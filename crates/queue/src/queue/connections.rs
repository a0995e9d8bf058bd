//! How many connections each site may have at present, and who gives up a connection that others
//! need.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use mail::{Failure, Timestamp};

use super::{Queue, Turn};
use crate::agents::{AgentState, Ended, Others};
use crate::claims::Stage;
use crate::ready::Ready;
use crate::site::Health;
use crate::slots::unreserved;
use crate::{Action, AgentId, SiteHost, schedule};

/// How long a site that turned connections away may have no more than it had then; and again, for
/// each step back to the configured number.
const LIMIT_RAISE_PAUSE: Duration = Duration::from_secs(30);
/// So long an agent that no server has let in may be let in yet, and speaks for its site.
const CONNECTING_MAX: Duration = Duration::from_secs(30);
/// How often a message is turned away without this being held against it: if it is always the same
/// one, the message is meant.
const TURNED_AWAY_MAX: u32 = 5;
/// So many messages in a row that are taken in and then lost with their connection halve the
/// connections to the site: one message alone tells nothing of it.
const LOST_WITHIN_MAX: u32 = 20;
/// Messages that go over the only connection of a site while another site has none. Fewer, and
/// connecting would be most of the work.
const TURN_MESSAGES: u32 = 10;
/// How often those who hold on to connections are looked at while others wait.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

impl Queue {
    /// A server took MAIL from an agent: the site works.
    pub(super) fn on_begun(&mut self, id: AgentId, host: &SiteHost, turn: &mut Turn<'_>) {
        let Some(agent) = self.agents.mark_let_in(id, host.address.clone()) else {
            return;
        };
        if agent.outdated {
            return;
        }
        self.rests.on_served(host);
        if let AgentState::Busy(ready, _) = &agent.state {
            self.rests.release(&ready.job.site, id);
        }
        if let Some(state) = self.sites.get_mut(&agent.site) {
            state.last_begun = Some(turn.now);
        }
    }

    /// A host let an agent not in; others of its site may. Nothing is said by it where the host
    /// serves another agent: it has enough connections.
    pub(super) fn on_host_down(
        &mut self,
        id: AgentId,
        host: SiteHost,
        failure: Failure,
        turn: &mut Turn<'_>,
    ) {
        let known = self.agents.get(id).filter(|agent| !agent.outdated);
        if known.is_none() || self.agents.is_served(id, &host) {
            return;
        }
        let pause = |failures| schedule::suspension_pause(&self.settings, failures);
        self.rests.on_failed(host, failure, id, pause, turn.now);
    }

    /// An agent was turned away while others of its site were let in, or may be yet: then the site
    /// takes no more connections than those, and the message is not to blame. `None`: the site is
    /// as good as down.
    pub(super) fn others_served(
        &self,
        agent: AgentId,
        ended: &Ended,
        now: Timestamp,
    ) -> Option<Others> {
        let site = &*ended.ready.job.site.name;
        let state = self.sites.get(site)?;
        let young = Timestamp::from_millis(now.as_millis().saturating_sub(millis(CONNECTING_MAX)));
        let others = self.agents.others(agent, site, young);
        let works = state.last_begun.is_some_and(|at| at > ended.began)
            || others.let_in > 0
            || others.recent > 0;
        (state.health == Health::Up && works).then_some(others)
    }

    /// Whether one more refusal need not be the message's fault; counts it.
    pub(super) fn excuse_turned_away(ready: &mut Ready) -> bool {
        ready.turned_away += 1;
        ready.turned_away <= TURNED_AWAY_MAX
    }

    /// When it is turned away next, this counts as a try, and the spool says what follows.
    pub(super) fn excuse_no_more(ready: &mut Ready) {
        ready.turned_away = TURNED_AWAY_MAX;
    }

    /// The site may have no more connections than these for now.
    pub(super) fn lower_limit(&mut self, name: &Arc<str>, limit: usize, turn: &mut Turn<'_>) {
        let configured = self.configured_max(name);
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.present_limit = Some(limit.clamp(1, configured));
        let at = turn.now + LIMIT_RAISE_PAUSE;
        if let Some(old) = state.limit_raise_at.replace(at) {
            self.limit_raises.remove(&(old, Arc::clone(name)));
        }
        self.limit_raises.insert((at, Arc::clone(name)));
    }

    /// It was down: whom it turned away then says nothing of how many it takes now. A server that
    /// ends refuses one connection after the other, as one does that has enough of them.
    pub(super) fn lift_limit(&mut self, name: &Arc<str>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.present_limit = None;
        if let Some(at) = state.limit_raise_at.take() {
            self.limit_raises.remove(&(at, Arc::clone(name)));
        }
    }

    /// It turned nobody away for a while: it may have half as many more.
    pub(super) fn raise_limit(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        let configured = self.configured_max(name);
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.limit_raise_at = None;
        let Some(limit) = state.present_limit.take() else {
            return;
        };
        let raised = limit + (limit / 2).max(1);
        if raised < configured {
            self.lower_limit(name, raised, turn);
        }
        self.dispatch(name, turn);
        self.tidy_site(name);
    }

    /// A message was taken in and then lost with its connection. Many in a row say that the site
    /// has trouble, but it lets us in.
    pub(super) fn on_lost_within(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        let limit = self.connections_max(name);
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.lost_within += 1;
        if state.lost_within >= LOST_WITHIN_MAX {
            state.lost_within = 0;
            self.lower_limit(name, limit / 2, turn);
        }
    }

    /// A message that was turned away is ready again as if it had not been out; where its site was
    /// given up meanwhile, the spool has it.
    pub(super) fn put_back(&mut self, ready: Ready, turn: &mut Turn<'_>) {
        self.active_recipients -= ready.job.recipients.len();
        let name = Arc::clone(&ready.job.site.name);
        let rests = self.rests_until(&name).is_some();
        let state = self.sites.get(&name);
        if rests || state.is_none_or(|state| state.health != Health::Up) {
            return self.give_back(&ready.job, turn);
        }
        self.add_ready(&ready);
        if let Some(state) = self.sites.get_mut(&name) {
            state.push_front(ready);
        }
    }

    /// Counts a job as ready in memory.
    pub(super) fn add_ready(&mut self, ready: &Ready) {
        let id = ready.job.message.id;
        for recipient in &ready.job.recipients {
            self.claims.set((id, recipient.number), Stage::Ready);
        }
        self.content_bytes += ready.job.content.as_ref().map_or(0, Bytes::len);
        self.ready += 1;
        self.ready_slots.take(&ready.kinds);
    }

    /// Counts a job as ready no more.
    pub(super) fn remove_ready(&mut self, ready: &Ready) {
        self.content_bytes -= ready.job.content.as_ref().map_or(0, Bytes::len);
        self.ready -= 1;
        self.ready_slots.give_back(&ready.kinds);
    }

    /// How many connections there may be at one time, to all sites together; at least one.
    pub(super) fn slots(&self) -> usize {
        self.settings.connections_max.max(1) as usize
    }

    /// Whether there is a connection for one more agent.
    pub(super) fn has_slot(&self, named: bool) -> bool {
        let all = self.slots();
        let unnamed = self.agents.unnamed_len();
        self.agents.len() < all && (named || unnamed < self.in_common(all))
    }

    /// What sites may have of `all` that the configuration does not name.
    pub(super) fn in_common(&self, all: usize) -> usize {
        if self.routes.name_any() {
            unreserved(&self.settings, all)
        } else {
            all
        }
    }

    /// Whether others wait for the connection of an agent with this job.
    fn is_wanted(&self, named: bool, ready: &Ready) -> bool {
        let waits = |count: usize| count > 0;
        let sites = [
            &self.awaiting_connection.named,
            &self.awaiting_connection.others,
        ];
        let blocked = ready.kinds.iter().any(|kind| {
            let full =
                self.active_slots
                    .full(std::slice::from_ref(kind), &self.settings, self.slots());
            full.is_some() && sites.iter().any(|sites| sites.is_blocked(kind))
        });
        let of_all = !self.has_slot(true) && sites.iter().any(|sites| waits(sites.waiting()));
        let of_others =
            !named && !self.has_slot(false) && waits(self.awaiting_connection.others.waiting());
        blocked || of_all || of_others
    }

    /// Whether an agent that has done its job makes room for another site. Else a site with much mail
    /// would keep its connections, message after message, while others have none: it gives up one
    /// when it has two more than whoever is next, so that two of a size do not take turns for
    /// nothing.
    pub(super) fn gives_way(&self, agent: AgentId) -> bool {
        let Some(agent) = self.agents.get(agent) else {
            return false;
        };
        if self.calls.contains_key(&agent.site) {
            // It is theirs.
            return false;
        }
        let sites = &self.awaiting_connection;
        let (next, waiting) = match sites.named.first() {
            Some(next) if !self.has_slot(true) => (Some(next), sites.named.waiting()),
            _ if agent.named || self.has_slot(false) => (None, 0),
            _ => (sites.others.first(), sites.others.waiting()),
        };
        let Some(next) = next.filter(|_| self.agents.leaving_len() < waiting) else {
            return false;
        };
        let (ours, theirs) = (self.agents_at(&agent.site), self.agents_at(next));
        ours >= theirs + 2 || theirs == 0 && agent.messages >= TURN_MESSAGES
    }

    /// Somebody waits for a connection: those who hold on to one are looked at soon.
    pub(super) fn plan_look(&mut self, turn: &Turn<'_>) {
        let waits =
            self.awaiting_connection.named.len() + self.awaiting_connection.others.len() > 0;
        if !waits {
            self.next_look = None;
        } else if self.next_look.is_none() {
            self.next_look = Some(turn.now + LOOK_PAUSE);
        }
    }

    /// Connections that no server has let in for long are given up for those who wait.
    pub(super) fn look_at_silent(&mut self, turn: &mut Turn<'_>) {
        self.next_look = None;
        self.plan_look(turn);
        let waiting = self.awaiting_connection.named.len() + self.awaiting_connection.others.len();
        let max = millis(self.settings.silence_max);
        let since = Timestamp::from_millis(turn.now.as_millis().saturating_sub(max));
        let wanted = |named, ready: &Ready| self.is_wanted(named, ready);
        let silent = self.agents.silent(since, wanted);
        for agent in silent.into_iter().take(waiting) {
            self.agents.hurry(agent);
            turn.actions.push(Action::Hurry { agent });
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}
