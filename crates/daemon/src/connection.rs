//! One incoming connection: owns the socket, the timer and the ways to the disk and to whoever
//! answers questions, and does what [`engine::Incoming`] says, in its order.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use admission::{Reaction, Standing};
use engine::{
    Acceptance, Action, BodyWrite, BodyWritten, Incoming, Judgement, Pending, Screened,
    ScreenedFact, Screening, SignInStep, Storing,
};
use lookups::Caller;
use mail::{Place, QueueId, ReversePath};
use reception::{Session, SessionFact, StoreTrouble};
use relay_policy::{Answer, Approach, Consultation, Question};
use spool::{Receipt, SpoolError};
use tokio::sync::oneshot;
use tokio::time::{Instant, Sleep, sleep};
use tracking::Row;

use crate::client_socket::ClientSocket;
use crate::disk::Urgency;
use crate::ending::Ending;
use crate::inbox::{self, Hired, Input};
use crate::journal::{Journal, caller};
use crate::outbound;
use crate::protocol_logs::SessionRows;
use crate::screening::{Turns, beside, looked_at};
use crate::services::Services;
use crate::sessions::{Registered, SessionId};
use crate::strangers;
use crate::transcripts::SessionDialogue;

/// Serves a session until it is over. The future holds the connection alone: an async function would
/// keep room for all that it is made of beside it.
pub(crate) fn serve(
    services: Arc<Services>,
    terms: Terms,
    mut session: Session,
    ending: Ending,
) -> impl Future<Output = ()> {
    let journal = &services.journal;
    let rows = journal.protocol_logs.of_session(session.client());
    let (rows, dialogue) = (rows.map(Box::new), journal.dialogue_begins().map(Box::new));
    if rows.is_some() || dialogue.is_some() {
        session.record();
    }
    let (client, number) = (session.client(), session.number());
    let screening = Arc::clone(&services.active().setup.config.screening);
    let (way, peer) = (Arc::clone(&client.listener), client.to_string());
    let (since, all) = (services.clock.moment().wall, &services.sessions);
    let entry = all.enter(SessionId::In(number), way, since, peer.into());
    let incoming = Incoming::new(session, terms.standing)
        .with_memory(services.memory.clone())
        .screened_by(screening);
    let mut connection = Connection {
        entry,
        services,
        socket: terms.socket,
        is_proxy: terms.is_proxy,
        id: terms.id,
        incoming,
        ending,
        hired: None,
        rows,
        dialogue,
        told: None,
        known: None,
        consulting: Duration::ZERO,
    };
    let began = Instant::now();
    async move {
        connection.run().await;
        let (client, lasted) = (connection.incoming.client(), began.elapsed());
        let (journal, number) = (&connection.services.journal, connection.incoming.number());
        journal.session_over(client, number, lasted);
        if let Some(dialogue) = connection.dialogue.take() {
            journal.dialogue_over(client, number, *dialogue);
        }
    }
}

/// How a connection comes, and what it may ask for.
pub(crate) struct Terms {
    pub(crate) socket: ClientSocket,
    /// To which limits it is held.
    pub(crate) standing: Standing,
    /// It comes from a proxy of ours on its own account.
    pub(crate) is_proxy: bool,
    /// The name of its first message, where that was given before it came.
    pub(crate) id: Option<QueueId>,
}

struct Connection {
    entry: Registered,
    services: Arc<Services>,
    socket: ClientSocket,
    is_proxy: bool,
    id: Option<QueueId>,
    incoming: Incoming,
    ending: Ending,
    /// Who brings the mail that the client takes on this connection.
    hired: Option<Box<Hired>>,
    /// Its rows in protocol logs.
    rows: Option<Box<SessionRows>>,
    /// What is said in it, where somebody may want to know.
    dialogue: Option<Box<SessionDialogue>>,
    /// What rules of screening made of the message that is being stored.
    told: Option<Box<Told>>,
    /// Of whom that message is, where that is a stranger of whom something was found out.
    known: Option<Box<strangers::Known>>,
    /// How long policy services have taken for recipients of the message that is begun.
    consulting: Duration,
}

/// What rules of screening made of a message.
struct Told {
    id: QueueId,
    from: ReversePath,
    facts: Vec<ScreenedFact>,
}

impl Told {
    fn tell(self, journal: &Journal, incoming: &Incoming) {
        journal.screened(&caller(incoming), self.id, &self.from, &self.facts);
    }
}

impl Connection {
    async fn run(&mut self) {
        let mut timer = Box::pin(sleep(Duration::MAX));
        loop {
            self.entry.told().state = self.incoming.state();
            match self.incoming.next_action() {
                None => self.wait(timer.as_mut()).await,
                Some(Action::Log(fact)) => {
                    let journal = &self.services.journal;
                    journal.session(&self.incoming, self.is_proxy, &fact);
                    strangers::on_fact(&self.services, &self.incoming, &fact);
                    if let Some(dialogue) = &mut self.dialogue {
                        dialogue.on_fact(&fact);
                    }
                    if let SessionFact::SignedIn(signed_in) = &fact {
                        self.entry.told().user = Some(Arc::from(&*signed_in.user));
                    }
                }
                Some(Action::Said(said)) => {
                    if let Some(rows) = &mut self.rows {
                        rows.said(&said);
                    }
                    if let Some(dialogue) = &mut self.dialogue {
                        dialogue.said(said);
                    }
                }
                Some(Action::Guessed) => self.guessed(),
                Some(Action::Send(octets)) => {
                    self.entry.traffic.add_sent(octets.len());
                    if !self.socket.send(&octets, timer.as_mut()).await {
                        self.incoming.on_send_failed();
                    }
                }
                Some(Action::Timer(limit)) => timer.as_mut().reset(Instant::now() + limit),
                Some(Action::Begin) => self.begin(),
                // In boxes, as all that is rare and large: what a future may once wait in takes
                // room in it for as long as it lives.
                Some(Action::Ask(question)) => Box::pin(self.find_out(question)).await,
                Some(Action::Start(requested)) => {
                    let question = |answer| Input::Ask(requested, answer);
                    let waits = inbox::ask(&self.services.dispatch, question).await;
                    self.incoming.on_started(waits.unwrap_or_default());
                }
                Some(Action::TurnAround(requested)) => {
                    let client = self.incoming.client().clone();
                    let question = |answer| Input::Call(requested, client, answer);
                    let hired = inbox::ask(&self.services.dispatch, question).await;
                    self.hired = hired.flatten().map(Box::new);
                    self.incoming.on_turned_around(self.hired.is_some());
                }
                Some(Action::SignIn(step)) => Box::pin(self.sign_in(step)).await,
                Some(Action::StartTls(limit)) => Box::pin(self.encrypt(limit)).await,
                Some(Action::Write(write)) => self.write(write).await,
                Some(Action::Screen(screening)) => Box::pin(self.screen(screening)).await,
                Some(Action::Store(messages)) => self.store(messages).await,
                Some(Action::Close { .. }) if let Some(hired) = self.hired.take() => {
                    return self.turn_around(hired);
                }
                Some(Action::Close { lingers }) => {
                    return self.socket.close(lingers, &mut self.incoming).await;
                }
            }
        }
    }

    async fn wait(&mut self, timer: Pin<&mut Sleep>) {
        let reads = self.incoming.reads();
        tokio::select! {
            biased;
            news = self.ending.next() => news.tell(&mut self.incoming),
            () = self.entry.killed() => self.incoming.on_cut_off(),
            read = self.socket.read(&mut self.incoming), if reads => match read {
                Ok(octets @ 1..) => self.entry.traffic.add_received(octets),
                Ok(0) => self.incoming.on_end(),
                Err(error) => self.broken(&error),
            },
            () = timer => self.incoming.on_timer(),
        }
    }

    fn broken(&mut self, error: &io::Error) {
        if let Some(why) = tls::alert(error) {
            let (client, number) = (self.incoming.client(), self.incoming.number());
            self.services.journal.broken_off(client, number, &why);
        }
        self.incoming.on_end();
    }

    /// The client takes its mail: whoever brings it goes on with the connection.
    fn turn_around(&mut self, hired: Box<Hired>) {
        if self.incoming.is_heard() {
            let turned = Input::Turned(hired, self.socket.take());
            let _ended = self.services.dispatch.send(turned);
        }
    }

    fn begin(&mut self) {
        self.known = None;
        self.consulting = Duration::ZERO;
        let services = &self.services;
        let id = self.id.take().unwrap_or_else(|| services.new_id());
        let health = services.spool.health();
        let (coming, pace) = (services.disk.expect(), &services.pace);
        let may_begin = outbound::begin(services, &self.incoming, id);
        self.incoming.begin(id, &health, coming, |standing| {
            may_begin.and_then(|()| pace.begin(standing))
        });
    }

    /// Waits for what others find out, as long as the session lasts; `None`: it is over.
    async fn wait_for<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => return Some(done),
            () = self.entry.killed() => self.incoming.on_given_up(),
            () = self.ending.now() => self.incoming.on_given_up(),
            () = self.socket.broken() => self.incoming.on_broken(),
        }
        None
    }

    /// Answers what a decision asks.
    async fn find_out(&mut self, question: Question) {
        match question {
            Question::Greylist(approach) => self.recognize(&approach).await,
            Question::Consult(asked) => self.consult(&asked).await,
            question => {
                let (rules, active) = (Arc::clone(self.incoming.rules()), self.services.active());
                let work = active.find_out(&rules, question);
                if let Some(answer) = self.wait_for(work).await {
                    self.incoming.on_answer(answer);
                }
            }
        }
    }

    /// Answers whether these were here before.
    async fn recognize(&mut self, approach: &Approach) {
        let hello = self.incoming.hello().to_owned();
        let services = Arc::clone(&self.services);
        let work = strangers::find_out(&services, &hello, approach);
        let Some(greylisted) = self.wait_for(work).await else {
            return;
        };
        let journal = &self.services.journal;
        journal.greylisted(&self.incoming, approach, &greylisted);
        self.incoming.on_answer(Answer::Greylist(greylisted));
    }

    /// Answers what policy services have against a recipient.
    async fn consult(&mut self, asked: &Consultation) {
        let incoming = &self.incoming;
        let id = incoming.message().map(|id| id.to_string());
        let caller = Caller {
            hello: incoming.hello().to_owned(),
            is_extended: incoming.is_extended(),
            id: id.unwrap_or_default(),
            size: incoming.announced_size(),
            taken: self.consulting,
            ..Caller::default()
        };
        let begun = Instant::now();
        let active = self.services.active();
        let Some(advice) = self.wait_for(active.consult(asked, caller)).await else {
            return;
        };
        self.consulting += begun.elapsed();
        self.incoming
            .on_consulted(advice.consulted, advice.fields, advice.findings);
    }

    /// The client named a recipient that does not exist.
    fn guessed(&self) {
        self.services.pace.guessed(self.incoming.standing());
        if let (Some(sender), Some(id)) = (self.incoming.sender(), self.incoming.message()) {
            outbound::failed(&self.services, &sender, 1, id);
        }
    }

    async fn encrypt(&mut self, limit: Duration) {
        match self.socket.encrypt(limit).await {
            Ok(facts) => self.incoming.on_encrypted(facts),
            Err(error) => {
                let (client, number) = (self.incoming.client(), self.incoming.number());
                let journal = &self.services.journal;
                journal.handshake_failed(client, number, &error);
                self.incoming.on_handshake_failed();
            }
        }
    }

    async fn sign_in(&mut self, step: SignInStep) {
        if matches!(step, SignInStep::Begin { .. }) {
            self.ending.knows_users();
        }
        let active = self.services.active();
        let (client, exporter) = (self.incoming.client().address(), self.socket.exporter());
        let (sign_ins, settings) = (&self.services.sign_ins, active.sign_in_settings());
        let outcome = sign_ins.step(settings, client, exporter, step).await;
        let limits = &active.setup.config.limits.admission;
        self.incoming.on_sign_in(outcome, limits);
    }

    async fn write(&mut self, write: BodyWrite) {
        let spool = Arc::clone(&self.services.spool);
        let written = tokio::task::spawn_blocking(move || write.run(&*spool)).await;
        let ended = |_| Err(SpoolError::Io("the disk work did not finish".into()));
        let written: Result<BodyWritten, SpoolError> = written.unwrap_or_else(ended);
        if let Err(error) = &written {
            tracing::error!(%error, "a message body could not be written");
        }
        self.incoming.on_written(written);
    }

    async fn screen(&mut self, mut screening: Box<Screening>) {
        let (id, from) = (
            screening.storing().id(),
            screening.storing().reverse_path().clone(),
        );
        // Of what the client sent, once, whatever rules make of it.
        let judged = self.judge(screening.storing_mut());
        if judged.is_none() {
            return;
        }
        let active = self.services.active();
        let late = screening.is_late(active.setup.routes()).cloned();
        drop(active);
        if let Some(by) = late {
            return self.put_off(screening, by).await;
        }
        let (services, rules) = (
            Arc::clone(&self.services),
            Arc::clone(self.incoming.rules()),
        );
        let turns = match screening.is_examined() {
            true => Turns::Screening,
            false => Turns::Signing,
        };
        let work = looked_at(Arc::clone(&services), rules, screening, turns);
        let Some(looked) = self.wait_for(work).await else {
            return;
        };
        let Judgement {
            screened,
            each,
            facts,
            is_proven: _,
        } = looked.judgement;
        if let Some(sighting) = looked.sighting {
            services.sightings.add(sighting);
        }
        self.known = looked.known;
        if let Some(known) = &self.known {
            known.on_screened(&services, &screened);
        }
        let told = Told { id, from, facts };
        match &screened {
            // What rules did is told when it is done.
            Screened::Store(_) => self.told = Some(Box::new(told)),
            Screened::Refuse(..) | Screened::Discard => {
                told.tell(&services.journal, &self.incoming);
            }
            Screened::Failed(_) => {}
        }
        self.incoming.on_screened(screened, each);
    }

    /// Has a message stored that is looked at later.
    async fn put_off(&mut self, screening: Box<Screening>, by: Place) {
        let is_small = screening.is_small();
        let put_off = move || screening.put_off(by);
        let stored = beside(&self.services, Turns::None, is_small, put_off).await;
        let stored = stored.unwrap_or(Screened::Failed(StoreTrouble::Failed));
        self.incoming.on_screened(stored, Vec::new());
    }

    /// Has the guardian judge a message that is to go out. `None`: it is postponed.
    fn judge(&mut self, storing: &mut Storing) -> Option<()> {
        if storing.is_judged() {
            return Some(());
        }
        if let Some(over) = outbound::judge(&self.services, storing) {
            if over.reaction.value == Reaction::Postpone {
                self.incoming.on_postponed(&over.turn_away());
                return None;
            }
            storing.hold(&over.to_string());
        }
        Some(())
    }

    /// Has them stored, all or none.
    async fn store(&mut self, mut messages: Vec<Storing>) {
        for at in 0..messages.len() {
            if self.judge(&mut messages[at]).is_none() {
                let spool = &*self.services.spool;
                return messages.into_iter().for_each(|one| one.abandon(spool));
            }
        }
        let known = self.known.take();
        let known = known.or_else(|| strangers::Known::unchecked(&self.services, &messages));
        let known = known.filter(|_| !messages.iter().all(Storing::is_held));
        let answered = self.commit(messages).await;
        let stored = answered.unwrap_or(Err(StoreTrouble::Failed));
        if let Some(told) = self.told.take().filter(|_| stored.is_ok()) {
            told.tell(&self.services.journal, &self.incoming);
        }
        if let Some(known) = known.filter(|_| stored.is_ok()) {
            known.taken(&self.services);
        }
        self.incoming.on_stored(stored);
    }

    /// Has them committed; what the session is to hear comes by the channel.
    fn commit(&self, messages: Vec<Storing>) -> oneshot::Receiver<Result<Receipt, StoreTrouble>> {
        let services = &self.services;
        let recipients = messages.iter().map(Storing::recipients).sum();
        let bounces = messages.iter().map(Storing::bounces).sum();
        let standing = self.incoming.standing();
        services.pace.carried(standing, recipients, bounces);
        let active = services.active();
        let (change, pending) =
            Pending::new(messages, services.clock.line(), active.setup.routes());
        drop(active);
        // Here and not on the disk thread, for which others wait.
        let all = pending.acceptances().iter();
        let rows: Vec<Vec<Row>> = all
            .map(|one| services.journal.tracking.received(one))
            .collect();
        let teller = Arc::clone(services);
        let (answer, answered) = oneshot::channel();
        // On the disk thread, right after the sync.
        let on_commit = Box::new(move |commit| {
            let (stored, acceptances) = pending.on_commit(commit);
            for (acceptance, rows) in acceptances.into_iter().zip(rows) {
                tell(&teller, acceptance, rows);
            }
            let _session_gone = answer.send(stored);
        });
        services.disk.commit(change, Urgency::Now, on_commit);
        answered
    }
}

fn tell(services: &Services, acceptance: Acceptance, rows: Vec<Row>) {
    services.journal.accepted(&acceptance, rows);
    if acceptance.unscreened_by.is_some() {
        services.unscreened.notify_one();
    }
    // Fails only when the queue manager has ended: then the next start finds the message in the
    // spool.
    let announced = Input::queue(acceptance.into_event());
    let _ended = services.dispatch.send(announced);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arrival;

    fn size_of_future<A, B, C, D, F>(_: impl Fn(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    /// A relay may have thousands of idle connections: none keeps room for what it does only once.
    #[test]
    fn a_connection_that_waits_is_small() {
        let (greeting, serving) = (size_of_future(arrival::greet), size_of_future(serve));
        assert!(greeting <= 2 << 10, "{greeting} octets");
        assert!(serving <= 3 << 10, "{serving} octets");
    }
}
