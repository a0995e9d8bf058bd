//! What attempts ended with: dispositions, the health of sites, settlements.

use std::collections::HashMap;
use std::sync::Arc;

use mail::{Failure, Outcome, QueueId, Reply, ReversePath, Scope, Timestamp};

use super::pacing::too_fast;
use super::{Queue, Turn};
use crate::agents::Ended;
use crate::claims::{Key, Stage};
use crate::gathering::is_news;
use crate::ready::Probe;
use crate::schedule::{self, Attempt, NextTry};
use crate::site::Health;
use crate::{Action, AgentId, Decided, Disposition, Job, JobReport, Judged, Reach};

/// What an attempt tells about its site.
enum SiteFeedback {
    /// A server answered for the message, whatever it said; or there is none to be down.
    Alive,
    /// No server would take anything.
    Trouble(Failure),
    /// MAIL was put off, in words that may mean the connection.
    PutOff,
    /// It was let in; then the connection failed.
    LostWithin,
    /// Nothing: our own fault.
    None,
}

/// What follows for the message.
enum Consequence {
    /// Its outcomes count; says when those are tried again who have to be.
    Counts(NextTry),
    /// There were only too many connections of ours, or it may not go now where it goes when the
    /// site is of no use: it is as if it had not been out.
    TurnedAway,
}

impl Queue {
    pub(super) fn on_job_ended(&mut self, agent: AgentId, report: JobReport, turn: &mut Turn<'_>) {
        let Some(ended) = self.agents.take_job(agent, turn.now) else {
            return;
        };
        let site = Arc::clone(&ended.ready.job.site.name);
        let reusable = report.reusable;
        let turned_away = self.conclude(agent, ended, report, turn);
        let goes_on = !turned_away && reusable && self.may_go_on(agent);
        if !goes_on || self.gives_way(agent) {
            self.dismiss(agent, turn);
        } else if let Some(state) = self.sites.get_mut(&site) {
            state.idle.push(agent);
        }
        self.dispatch(&site, turn);
    }

    /// An agent that went with its job tried and failed, for a reason of our own: the message keeps
    /// its schedule, so one that brings agents down does not do it without end.
    pub(super) fn on_agent_gone(&mut self, agent: AgentId, turn: &mut Turn<'_>) {
        let ended = self.agents.take_job(agent, turn.now);
        let Some(gone) = self.agents.remove(agent) else {
            return;
        };
        if let Some(state) = self.sites.get_mut(&gone.site) {
            state.agents = state.agents.saturating_sub(1);
            state.idle.retain(|id| *id != agent);
        }
        if let Some(ended) = ended {
            self.conclude(agent, ended, JobReport::lost(), turn);
        }
        self.on_caller_gone(&gone.site, turn);
        self.dispatch(&gone.site, turn);
        self.tidy_site(&gone.site);
    }

    /// An attempt is over: what it says about the site, then about each recipient. True when it was
    /// none, because the agent was only turned away.
    fn conclude(
        &mut self,
        agent: AgentId,
        mut ended: Ended,
        report: JobReport,
        turn: &mut Turn<'_>,
    ) -> bool {
        self.release(&ended.ready.kinds);
        self.rests.release(&ended.ready.job.site, agent);
        self.pace_ended(&ended, &report, turn.now);
        let next_try = match self.apply_feedback(agent, &mut ended, &report, turn) {
            Consequence::Counts(next_try) => next_try,
            Consequence::TurnedAway => {
                ended.ready.job.excused += 1;
                self.put_back(ended.ready, turn);
                return true;
            }
        };
        let JobReport {
            results,
            mut dsn_passed,
            ..
        } = report;
        dsn_passed.sort_unstable();
        let attempt = Attempt {
            began: ended.began,
            now: turn.now,
        };
        let Job {
            message,
            content,
            recipients,
            site,
            ..
        } = ended.ready.job;
        self.active_recipients -= recipients.len();
        let mut results: HashMap<u32, Outcome> = results.into_iter().collect();
        let mut decided = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let outcome = results.remove(&recipient.number).unwrap_or_else(lost);
            let disposition = schedule::judge(
                &self.settings,
                attempt,
                &message,
                &recipient,
                outcome,
                next_try,
            );
            decided.push(Judged {
                recipient,
                disposition,
                site: Arc::clone(&site.name),
                tried: true,
            });
        }
        let untold = self.untold(&decided, &dsn_passed, turn);
        // Only what a refusal returns stays in memory until that is written; whatever else wants it
        // reads it anew.
        let is_refused = |judged: &Judged| matches!(judged.disposition, Disposition::GiveUp(_));
        self.settle(
            Decided {
                message,
                content: content.filter(|_| decided.iter().any(is_refused)),
                dsn_passed,
                untold,
                recipients: decided,
            },
            turn,
        );
        false
    }

    /// Recipients of whose delivery the sender wants to hear from us, and does not: anybody may ask
    /// for that, so it has a limit.
    fn untold(&mut self, decided: &[Judged], dsn_passed: &[u32], turn: &Turn<'_>) -> Vec<u32> {
        let Some((count, per)) = self.settings.success_notices else {
            return Vec::new();
        };
        let tells = |judged: &&Judged| {
            let recipient = &judged.recipient;
            let wanted = recipient
                .parameters
                .notify
                .is_some_and(|notify| notify.success);
            let stranger = recipient.admitted.grounds().is_of_strangers();
            let delivered = matches!(judged.disposition, Disposition::Delivered(_));
            wanted && stranger && delivered && dsn_passed.binary_search(&recipient.number).is_err()
        };
        let told: Vec<u32> = decided
            .iter()
            .filter(tells)
            .map(|judged| judged.recipient.number)
            .collect();
        // One notice tells of all of them.
        if told.is_empty() || self.success.take(count, per, turn.now) {
            return Vec::new();
        }
        told
    }

    /// Takes in what an attempt says about its site.
    fn apply_feedback(
        &mut self,
        agent: AgentId,
        ended: &mut Ended,
        report: &JobReport,
        turn: &mut Turn<'_>,
    ) -> Consequence {
        if ended.outdated {
            return Consequence::Counts(NextTry::BySchedule);
        }
        let site = Arc::clone(&ended.ready.job.site.name);
        let probe = ended.ready.probe;
        let feedback = site_feedback(&report.results, report.reach);
        // What was delivered, or refused for good, is not put back as if it had not been out.
        let is_open = |(_, outcome): &(u32, Outcome)| matches!(outcome, Outcome::Deferred(_));
        let others = match &feedback {
            SiteFeedback::Trouble(_) | SiteFeedback::PutOff
                if report.results.iter().all(is_open) =>
            {
                self.others_served(agent, ended, turn.now)
            }
            _ => None,
        };
        // While others are served, a connection that is refused says nothing of how fast they go,
        // nor does a word of connections at MAIL.
        let is_refused = matches!(feedback, SiteFeedback::Trouble(_));
        let one_too_many =
            |why: &&Failure| others.is_some() && (is_refused || why.is_about_connections());
        let why = too_fast(&report.results).filter(|why| !one_too_many(why));
        let slowed = why.is_some_and(|why| self.slow_down(ended, why, turn));
        if let Some(others) = others {
            self.lower_limit(&site, others.let_in + others.connecting, turn);
            // What waits for a pace waits in the spool, which knows of no excuse: without end, if
            // this did not count.
            let is_excused = !slowed && Self::excuse_turned_away(&mut ended.ready);
            return if is_excused {
                Consequence::TurnedAway
            } else {
                Consequence::Counts(NextTry::BySchedule)
            };
        }
        match feedback {
            SiteFeedback::Alive | SiteFeedback::PutOff => self.on_alive(&site, turn),
            SiteFeedback::Trouble(failure) => {
                self.on_trouble(&site, failure, ended.began, probe, turn);
                // It would have gone on, were it not shut there.
                let is_shut = ended.ready.job.shut.is_some();
                return match is_shut && Self::excuse_turned_away(&mut ended.ready) {
                    true => Consequence::TurnedAway,
                    false => Consequence::Counts(self.next_try(&site, probe)),
                };
            }
            SiteFeedback::LostWithin => {
                self.on_lost_within(&site, turn);
                self.on_no_feedback(&site, probe, turn);
            }
            SiteFeedback::None => self.on_no_feedback(&site, probe, turn),
        }
        Consequence::Counts(NextTry::BySchedule)
    }

    fn next_try(&self, site: &str, probe: Probe) -> NextTry {
        match self.sites.get(site).map(|state| state.health) {
            Some(Health::Suspended { until, .. }) => match probe {
                Probe::Yes => NextTry::WithSite(until),
                Probe::No => NextTry::ByScheduleAfter(until),
            },
            Some(Health::Up | Health::Probing { .. }) | None => NextTry::BySchedule,
        }
    }

    fn on_alive(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        self.failing.remove(name);
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.last_alive = Some(turn.now);
        state.lost_within = 0;
        match state.health {
            Health::Up => return,
            Health::Suspended { until, .. } => {
                self.probe_times.remove(&(until, Arc::clone(name)));
            }
            Health::Probing { .. } => {}
        }
        state.health = Health::Up;
        state.trouble = None;
        self.lift_limit(name);
        self.request_loads(name, turn);
    }

    fn on_trouble(
        &mut self,
        name: &Arc<str>,
        failure: Failure,
        since: Timestamp,
        probe: Probe,
        turn: &mut Turn<'_>,
    ) {
        if self.calls.contains_key(name) {
            // It was one connection, of one who fetches mail; there is nothing to be left alone.
            return;
        }
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        let why = failure.reply.to_string();
        state.trouble = Some(failure);
        state.tried = state.tried.max(Some(since));
        let failures = match (state.health, probe) {
            // Others got through while this attempt failed: the message is to blame, not the site,
            // and must not stop it for all.
            (Health::Up, _) if state.last_alive.is_some_and(|alive| alive > since) => return,
            (Health::Up, _) => 0,
            (Health::Probing { failures, .. }, Probe::Yes) => failures + 1,
            // A late word from before.
            (Health::Probing { .. }, Probe::No) | (Health::Suspended { .. }, _) => return,
        };
        self.note_failing(name, why, turn.now);
        let until = turn.now + schedule::suspension_pause(&self.settings, failures);
        let asked_since = self.hosts.end_asking(name, since);
        self.suspend(name, until, failures, turn);
        if asked_since {
            // Whoever asked while this attempt was under way is there by now.
            self.rouse(name, turn);
        }
    }

    /// Leaves a site alone. What it has ready goes back to the spool, which still has it as due:
    /// nothing is written.
    fn suspend(&mut self, name: &Arc<str>, until: Timestamp, failures: usize, turn: &mut Turn<'_>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.health = Health::Suspended { until, failures };
        let idle = std::mem::take(&mut state.idle);
        let waiting: Vec<Arc<str>> = state.wants.iter().cloned().collect();
        self.probe_times.insert((until, Arc::clone(name)));
        self.drop_ready(name, turn);
        for agent in idle {
            self.dismiss(agent, turn);
        }
        for host in waiting {
            self.on_alarm(&host, turn);
        }
        self.serve_awaiting_load(turn);
    }

    pub(super) fn drop_ready(&mut self, name: &str, turn: &mut Turn<'_>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        state.fresh = 0;
        for ready in std::mem::take(&mut state.ready) {
            self.remove_ready(&ready);
            self.give_back(&ready.job, turn);
        }
    }

    /// What nobody tried is in memory no more; the spool still has it as it was.
    pub(super) fn give_back(&mut self, job: &Job, turn: &mut Turn<'_>) {
        for recipient in &job.recipients {
            let key = (job.message.id, recipient.number);
            self.claims.drop_untried(key);
            self.unclaim(key, &recipient.filed_under());
        }
        self.leave_in_spool(&job.message, &job.recipients, turn);
    }

    fn unclaim(&mut self, key: Key, host: &str) {
        if let Some(state) = self.hosts.get_mut(host) {
            state.unclaim(key);
        }
    }

    /// The attempt tells nothing: another message tries the site.
    fn on_no_feedback(&mut self, name: &Arc<str>, probe: Probe, turn: &mut Turn<'_>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        if let (Health::Probing { out, .. }, Probe::Yes) = (&mut state.health, probe) {
            *out = false;
            self.request_loads(name, turn);
        }
    }

    /// A site was left alone long enough: one message tries it.
    pub(super) fn on_probe_time(&mut self, name: &Arc<str>, turn: &mut Turn<'_>) {
        let Some(state) = self.sites.get_mut(name) else {
            return;
        };
        if let Health::Suspended { failures, .. } = state.health {
            state.health = Health::Probing {
                failures,
                out: false,
            };
            self.request_loads(name, turn);
            self.tidy_site(name);
        }
    }

    /// What was decided is written down: at once, or, when its sender has to hear bad news,
    /// together with what follows within a moment.
    pub(super) fn settle(&mut self, mut decided: Decided, turn: &mut Turn<'_>) {
        let id = decided.message.id;
        for number in decided.numbers() {
            self.claims.set((id, number), Stage::Settling);
        }
        self.gathering.touch(id);
        let gather = decided.message.reverse_path != ReversePath::Null && !self.gathering.is_full();
        if gather {
            let of_all = std::mem::take(&mut decided.recipients);
            let (news, rest) = of_all.into_iter().partition(is_news);
            self.gather(
                Decided {
                    recipients: news,
                    ..decided.clone()
                },
                turn,
            );
            decided.recipients = rest;
        }
        self.write_down(decided, turn);
    }

    fn gather(&mut self, news: Decided, turn: &mut Turn<'_>) {
        if !news.recipients.is_empty() {
            self.gathering.add(turn.now, news);
        }
    }

    /// Writes down what has waited long enough, or waits for nobody any more.
    pub(super) fn tell_gathered(&mut self, turn: &mut Turn<'_>) {
        while let Some(id) = self.gathering.next_touched() {
            if !self.claims.is_in_hand(id) {
                self.tell(id, turn);
            }
        }
        while let Some(id) = self.gathering.next_due(turn.now) {
            self.tell(id, turn);
        }
    }

    fn tell(&mut self, id: QueueId, turn: &mut Turn<'_>) {
        if let Some(news) = self.gathering.take(id) {
            self.write_down(news, turn);
        }
    }

    fn write_down(&mut self, decided: Decided, turn: &mut Turn<'_>) {
        if decided.recipients.is_empty() {
            return;
        }
        let decided = Arc::new(decided);
        self.settling.begin(Arc::clone(&decided));
        turn.actions.push(Action::Settle(decided));
    }

    pub(super) fn on_settled(
        &mut self,
        id: QueueId,
        numbers: &[u32],
        ok: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(&first) = numbers.first() else {
            return;
        };
        if !ok {
            self.settling.fail(turn.now, id, first);
            return;
        }
        let Some(decided) = self.settling.finish(id, first) else {
            return;
        };
        for judged in &decided.recipients {
            let Judged {
                recipient,
                disposition,
                ..
            } = judged;
            let host = recipient.filed_under();
            self.claims.settled((id, recipient.number));
            self.unclaim((id, recipient.number), &host);
            match disposition {
                Disposition::TryAgain {
                    due, delay_notice, ..
                } => {
                    let mut later = recipient.clone();
                    later.delay_told |= delay_notice;
                    let milestone = schedule::milestone(&self.settings, &decided.message, &later);
                    self.note_waiting(&decided.message, recipient, (*due, milestone), turn);
                }
                Disposition::Delivered(_)
                | Disposition::GiveUp(_)
                | Disposition::Badmail(_)
                | Disposition::Dropped(_) => self.hosts.tidy(&host),
            }
        }
        // What waited for the disk to keep up, or to work again.
        self.serve_waiting_sites(turn);
    }
}

/// What the outcomes say of the site. A deferral behind which no server stands says nothing of the
/// site: the message could not be read, or the like.
fn site_feedback(results: &[(u32, Outcome)], reach: Reach) -> SiteFeedback {
    if reach == Reach::AfterMail {
        return SiteFeedback::LostWithin;
    }
    let mut feedback = SiteFeedback::None;
    for (_, outcome) in results {
        match outcome {
            Outcome::Deferred(failure) if failure.scope >= Scope::Host => {
                return SiteFeedback::Trouble(failure.clone());
            }
            Outcome::Deferred(Failure { host: None, .. }) => {}
            Outcome::Deferred(_) if reach == Reach::BeforeMail => feedback = SiteFeedback::PutOff,
            Outcome::Delivered(_) | Outcome::Deferred(_) | Outcome::Failed(_) => {
                feedback = SiteFeedback::Alive
            }
        }
    }
    feedback
}

/// For recipients that an attempt left out.
fn lost() -> Outcome {
    let reply = Reply::new(451, 3, 0, "the attempt ended without an outcome");
    Outcome::Deferred(Failure {
        scope: Scope::Message,
        reply,
        host: None,
    })
}
