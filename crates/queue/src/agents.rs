use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use mail::Timestamp;
use route::HopAddress;

use crate::ready::Ready;
use crate::{AgentId, Job, SiteHost};

/// How long an agent without a job keeps its connection.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(2);

/// What the queue manager knows of one agent.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) site: Arc<str>,
    /// The configuration names its site.
    pub(crate) named: bool,
    pub(crate) state: AgentState,
    /// Messages so far, the present one included.
    pub(crate) messages: u32,
    /// A server has taken MAIL from it.
    let_in: bool,
    /// Which one did so last.
    server: Option<HopAddress>,
    /// It was told that others wait for its connection.
    hurried: bool,
    /// Its connection leads where the configuration led before a reload: nothing more is given to
    /// it.
    pub(crate) outdated: bool,
}

/// What an agent does.
#[derive(Debug)]
pub(crate) enum AgentState {
    /// It has a job, since then.
    Busy(Box<Ready>, Timestamp),
    /// It waits for a job, and is dismissed at that moment.
    Idle(Timestamp),
    /// It was dismissed, and has not reported yet that it is gone.
    Leaving,
}

/// A job that an agent gave back.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) ready: Ready,
    pub(crate) began: Timestamp,
    /// It was done by the configuration before a reload: it tells nothing about the site as it is
    /// now.
    pub(crate) outdated: bool,
}

/// The other agents of a site, when one was turned away.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Others {
    /// A server has let them in.
    pub(crate) let_in: usize,
    /// No server has let them in yet.
    pub(crate) connecting: usize,
    /// Of those, the ones that have not waited for long: they may be let in yet.
    pub(crate) recent: usize,
}

/// All agents that have been hired and are not gone.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    all: HashMap<AgentId, Agent>,
    /// Those that wait, by when they give up waiting.
    idle: BTreeSet<(Timestamp, AgentId)>,
    leaving: usize,
    /// Those at sites that the configuration does not name.
    unnamed: usize,
    last: AgentId,
}

impl Agents {
    pub(crate) fn hire(
        &mut self,
        site: Arc<str>,
        named: bool,
        ready: Ready,
        now: Timestamp,
    ) -> AgentId {
        self.last += 1;
        self.unnamed += usize::from(!named);
        let agent = Agent {
            site,
            named,
            state: AgentState::Busy(Box::new(ready), now),
            messages: 1,
            let_in: false,
            server: None,
            hurried: false,
            outdated: false,
        };
        self.all.insert(self.last, agent);
        self.last
    }

    /// One that comes with its connection, and waits for its first job until then.
    pub(crate) fn welcome(&mut self, site: Arc<str>, until: Timestamp) -> AgentId {
        self.last += 1;
        let agent = Agent {
            site,
            named: true,
            state: AgentState::Idle(until),
            messages: 0,
            let_in: false,
            server: None,
            hurried: false,
            outdated: false,
        };
        self.all.insert(self.last, agent);
        self.idle.insert((until, self.last));
        self.last
    }

    /// The next job for one that waits.
    pub(crate) fn give(&mut self, id: AgentId, ready: Ready, now: Timestamp) {
        if let Some(agent) = self.all.get_mut(&id) {
            if let AgentState::Idle(until) = agent.state {
                self.idle.remove(&(until, id));
            }
            agent.state = AgentState::Busy(Box::new(ready), now);
            agent.messages = agent.messages.saturating_add(1);
        }
    }

    /// The server at this address has taken MAIL from it.
    pub(crate) fn mark_let_in(&mut self, id: AgentId, server: HopAddress) -> Option<&Agent> {
        let agent = self.all.get_mut(&id)?;
        agent.let_in = true;
        agent.server = Some(server);
        Some(agent)
    }

    /// Whether the host took MAIL of another agent than `id`, which is still connected to it.
    pub(crate) fn is_served(&self, id: AgentId, host: &SiteHost) -> bool {
        let here =
            |agent: &Agent| agent.server.as_ref() == Some(&host.address) && agent.site == host.site;
        let stays = |agent: &Agent| !agent.outdated && !matches!(agent.state, AgentState::Leaving);
        let mut others = self.all.iter().filter(|(other, _)| **other != id);
        others.any(|(_, agent)| here(agent) && stays(agent))
    }

    /// Those with a job, what it is, and since when they have it.
    pub(crate) fn busy(&self) -> impl Iterator<Item = (AgentId, &Job, Timestamp)> {
        self.all
            .iter()
            .filter_map(|(id, agent)| match &agent.state {
                AgentState::Busy(ready, since) => Some((*id, &ready.job, *since)),
                AgentState::Idle(_) | AgentState::Leaving => None,
            })
    }

    /// Takes the job from a busy agent, which waits from now on.
    pub(crate) fn take_job(&mut self, id: AgentId, now: Timestamp) -> Option<Ended> {
        let agent = self.all.get_mut(&id)?;
        if !matches!(agent.state, AgentState::Busy(..)) {
            return None;
        }
        let until = now + IDLE_MAX;
        match std::mem::replace(&mut agent.state, AgentState::Idle(until)) {
            AgentState::Busy(ready, began) => {
                self.idle.insert((until, id));
                Some(Ended {
                    ready: *ready,
                    began,
                    outdated: agent.outdated,
                })
            }
            AgentState::Idle(_) | AgentState::Leaving => None,
        }
    }

    /// Marks one that has no job as leaving; false when it has one, or is leaving already.
    pub(crate) fn dismiss(&mut self, id: AgentId) -> bool {
        match self.all.get_mut(&id) {
            Some(agent) => match agent.state {
                AgentState::Idle(until) => {
                    self.idle.remove(&(until, id));
                    agent.state = AgentState::Leaving;
                    self.leaving += 1;
                    true
                }
                AgentState::Busy(..) | AgentState::Leaving => false,
            },
            None => false,
        }
    }

    pub(crate) fn remove(&mut self, id: AgentId) -> Option<Agent> {
        let agent = self.all.remove(&id)?;
        self.unnamed -= usize::from(!agent.named);
        match agent.state {
            AgentState::Idle(until) => {
                self.idle.remove(&(until, id));
            }
            AgentState::Leaving => self.leaving -= 1,
            AgentState::Busy(..) => {}
        }
        Some(agent)
    }

    pub(crate) fn get(&self, id: AgentId) -> Option<&Agent> {
        self.all.get(&id)
    }

    /// After a reload: no agent gets another job.
    pub(crate) fn outdate_all(&mut self) {
        self.all
            .values_mut()
            .for_each(|agent| agent.outdated = true);
    }

    /// The jobs under way.
    pub(crate) fn jobs(&mut self) -> impl Iterator<Item = &mut Ready> {
        let states = self.all.values_mut().map(|agent| &mut agent.state);
        states.filter_map(|state| match state {
            AgentState::Busy(ready, _) => Some(&mut **ready),
            AgentState::Idle(_) | AgentState::Leaving => None,
        })
    }

    /// The agents of `site` but for `id`; those not let in
    /// count as recent when they have their job since `young` or later.
    pub(crate) fn others(&self, id: AgentId, site: &str, young: Timestamp) -> Others {
        let mut others = Others::default();
        let of_site = |agent: &Agent| *agent.site == *site && !agent.outdated;
        for (_, agent) in self
            .all
            .iter()
            .filter(|(other, c)| **other != id && of_site(c))
        {
            match agent.state {
                AgentState::Leaving => {}
                AgentState::Idle(_) | AgentState::Busy(..) if agent.let_in => others.let_in += 1,
                AgentState::Idle(_) => {}
                AgentState::Busy(_, began) => {
                    others.connecting += 1;
                    others.recent += usize::from(began >= young);
                }
            }
        }
        others
    }

    /// Those with a job since `since` or longer whom no server has let in, and who were not told
    /// yet that others wait; in order.
    pub(crate) fn silent(
        &self,
        since: Timestamp,
        wanted: impl Fn(bool, &Ready) -> bool,
    ) -> Vec<AgentId> {
        let silent = |agent: &Agent| match &agent.state {
            AgentState::Busy(ready, began) => {
                let silent = !agent.let_in && !agent.hurried && *began <= since;
                silent && wanted(agent.named, ready)
            }
            AgentState::Idle(_) | AgentState::Leaving => false,
        };
        let silent = self.all.iter().filter(|(_, agent)| silent(agent));
        let mut ids: Vec<AgentId> = silent.map(|(id, _)| *id).collect();
        ids.sort_unstable();
        ids
    }

    /// It is told that others wait.
    pub(crate) fn hurry(&mut self, id: AgentId) {
        if let Some(agent) = self.all.get_mut(&id) {
            agent.hurried = true;
        }
    }

    /// The one that has waited longest, and until when.
    pub(crate) fn longest_idle(&self) -> Option<(Timestamp, AgentId)> {
        self.idle.first().copied()
    }

    /// The same among those at sites that the configuration does not name.
    pub(crate) fn longest_idle_unnamed(&self) -> Option<AgentId> {
        let mut ids = self.idle.iter().map(|(_, id)| *id);
        ids.find(|id| self.all.get(id).is_some_and(|agent| !agent.named))
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    pub(crate) fn unnamed_len(&self) -> usize {
        self.unnamed
    }

    pub(crate) fn idle_len(&self) -> usize {
        self.idle.len()
    }

    pub(crate) fn leaving_len(&self) -> usize {
        self.leaving
    }
}
