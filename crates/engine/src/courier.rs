use std::path::PathBuf;
use std::sync::Arc;

use delivery::{Again, Attempt, Conversation, EightBit, Ended, Transaction};
use mail::{Failure, Outcome, Reply, Scope};
use message::EightBitUse;
use queue::{CourierId, Job};
use route::{Answer, Answers, Hop, Plan, Question, Routes, Site, resolve};

use crate::Manners;

/// One courier: finds the way to a site, holds one connection there, and carries one message after the other over it.
///
/// Joins routing, the walk over hosts and the conversation with each. Without I/O: ask [`Courier::next_step`], do it, say how it went.
pub struct Courier {
    id: CourierId,
    site: Site,
    routes: Arc<Routes>,
    manners: Manners,
    stage: Stage,
    /// A host was passed over, and nobody was told yet.
    passed_over: Option<(Hop, Failure)>,
    load: Option<Load>,
    random: u64,
}

/// The message under way.
struct Load {
    job: Job,
    /// Recipients without an outcome yet, ascending; when empty, the job is done.
    open: Vec<u32>,
    results: Vec<(u32, Outcome)>,
    dsn_passed: Vec<u32>,
    unknown: bool,
    /// Connections that broke before anything was answered; a host that always does that counts as down.
    fresh_starts: u32,
}

/// Reconnections to a host that drops kept connections, for one message.
const FRESH_STARTS_MAX: u32 = 2;

enum Stage {
    Asking {
        answers: Answers,
        asked: Option<Vec<Question>>,
    },
    Connecting {
        attempt: Attempt,
        hop: Hop,
        helo: bool,
        told: bool,
    },
    Talking {
        attempt: Attempt,
        hop: Hop,
        conversation: Box<Conversation>,
        /// The host was of no use; it hears QUIT, and then the next one has its turn.
        failed: bool,
    },
    Filing {
        directory: PathBuf,
    },
    /// The report is to be taken, then the courier goes or stays as it says.
    Done {
        open: Option<(Attempt, Hop, Box<Conversation>)>,
        reusable: bool,
    },
    Gone,
}

/// What the driver is to do next.
#[derive(Debug)]
pub enum Step {
    /// Find these out, and give each answer to [`Courier::on_answers`].
    Ask(Vec<Question>),
    /// Connect there; then [`Courier::on_connected`] or [`Courier::on_connect_failed`].
    Connect(Hop),
    /// The conversation is to be fed from the start of the content: open it.
    Content,
    /// Serve the connection: write `output`, read, feed content, keep time, until the conversation has events.
    Talk,
    /// Put the message into this directory as a file; then [`Courier::on_filed`].
    File(PathBuf),
    /// For the log: this host failed, and the site's next one is tried. What the last one said is in the report.
    HostFailed {
        /// Which.
        hop: Hop,
        /// Why.
        failure: Failure,
    },
    /// A job is done: report it to the queue.
    Report(Report),
    /// The courier has no connection and no job: it is to be forgotten.
    Leave,
}

/// What became of one job.
#[derive(Debug)]
pub struct Report {
    /// Who reports.
    pub courier: CourierId,
    /// What it was.
    pub job: Option<Job>,
    /// By recipient number.
    pub results: Vec<(u32, Outcome)>,
    /// Another job for the same site may follow.
    pub reusable: bool,
    /// Numbers, ascending, of the recipients that a host took which sends notices of success itself (RFC 3461). Two hosts may share a
    /// job, and differ in this.
    pub dsn_passed: Vec<u32>,
    /// The answer to the final dot was lost: a duplicate is possible.
    pub unknown: bool,
}

impl Courier {
    /// A courier with its first job. `random` orders hosts of equal preference.
    pub fn new(
        id: CourierId,
        job: Job,
        routes: Arc<Routes>,
        manners: Manners,
        random: u64,
    ) -> Self {
        let site = job.site.clone();
        let mut courier = Self {
            id,
            site,
            routes,
            manners,
            stage: Stage::Gone,
            passed_over: None,
            load: None,
            random,
        };
        courier.take_load(job);
        courier.stage = courier.fresh_start();
        courier
    }

    /// Its number.
    pub fn id(&self) -> CourierId {
        self.id
    }

    /// Where it goes.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// The job under way.
    pub fn job(&self) -> Option<&Job> {
        self.load.as_ref().map(|load| &load.job)
    }

    /// The connection's other end, while there is a connection.
    pub fn conversation(&mut self) -> Option<&mut Conversation> {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => Some(conversation),
            Stage::Asking { .. } | Stage::Connecting { .. } => None,
            Stage::Filing { .. } | Stage::Done { .. } | Stage::Gone => None,
        }
    }

    /// The next job for a courier whose last report said that it can take one.
    pub fn give(&mut self, job: Job) {
        self.take_load(job);
        match &mut self.stage {
            Stage::Talking { conversation, .. } => {
                if let Some(load) = &self.load {
                    conversation.start(load.transaction(&self.manners));
                }
            }
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = self.fresh_start(),
        }
    }

    /// No more jobs: say QUIT and go.
    pub fn dismiss(&mut self) {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => conversation.quit(),
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Filing { .. } => {}
            Stage::Done { .. } | Stage::Gone => self.stage = Stage::Gone,
        }
    }

    /// What is to be done now. The same step is given again until it was answered, but for `Ask`, `Connect`, `HostFailed` and `Report`,
    /// which are given once.
    pub fn next_step(&mut self) -> Option<Step> {
        loop {
            if let Some((hop, failure)) = self.passed_over.take() {
                return Some(Step::HostFailed { hop, failure });
            }
            match std::mem::replace(&mut self.stage, Stage::Gone) {
                Stage::Asking { answers, asked } => {
                    if asked.is_some() {
                        self.stage = Stage::Asking { answers, asked };
                        return None;
                    }
                    if let Some(step) = self.plan(answers) {
                        return Some(step);
                    }
                }
                Stage::Connecting {
                    attempt,
                    hop,
                    helo,
                    told,
                } => {
                    let step = (!told).then(|| Step::Connect(hop.clone()));
                    self.stage = Stage::Connecting {
                        attempt,
                        hop,
                        helo,
                        told: true,
                    };
                    return step;
                }
                talking @ Stage::Talking { .. } => {
                    self.stage = talking;
                    if let Some(step) = self.take_event() {
                        return Some(step);
                    }
                }
                Stage::Filing { directory } => {
                    self.stage = Stage::Filing {
                        directory: directory.clone(),
                    };
                    return Some(Step::File(directory));
                }
                Stage::Done { open, reusable } => {
                    return Some(Step::Report(self.report(open, reusable)));
                }
                Stage::Gone => return Some(Step::Leave),
            }
        }
    }

    /// The answers to [`Step::Ask`].
    pub fn on_answers(&mut self, found: Vec<(Question, Answer)>) {
        if let Stage::Asking { answers, asked } = &mut self.stage {
            for (question, answer) in found {
                answers.insert(question, answer);
            }
            *asked = None;
        }
    }

    /// A connection to the hop asked for is open.
    pub fn on_connected(&mut self) {
        let (attempt, hop, helo) = match std::mem::replace(&mut self.stage, Stage::Gone) {
            Stage::Connecting {
                attempt, hop, helo, ..
            } => (attempt, hop, helo),
            other => {
                self.stage = other;
                return;
            }
        };
        let settings = Arc::clone(&self.manners.settings);
        let mut conversation = Box::new(if helo {
            Conversation::with_helo(settings, hop.clone())
        } else {
            Conversation::new(settings, hop.clone())
        });
        if let Some(load) = &self.load {
            conversation.start(load.transaction(&self.manners));
        }
        self.stage = Stage::Talking {
            attempt,
            hop,
            conversation,
            failed: false,
        };
    }

    /// No connection to the hop asked for; why.
    pub fn on_connect_failed(&mut self, why: &str) {
        if let Stage::Connecting {
            mut attempt, hop, ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        {
            attempt.on_connect_failed(&hop, why);
            self.stage = self.next_host(attempt, Some(hop));
        }
    }

    /// The file of [`Step::File`] is on stable storage, or why not.
    pub fn on_filed(&mut self, result: Result<(), String>) {
        let outcome = match result {
            Ok(()) => Outcome::Delivered(Reply::new(250, 0, 0, "Filed")),
            Err(why) => Outcome::Deferred(Failure {
                scope: Scope::Site,
                reply: Reply::new(451, 3, 0, format!("Could not write the file: {why}")),
                host: None,
            }),
        };
        self.close_load(&outcome);
        self.stage = Stage::Done {
            open: None,
            reusable: false,
        };
    }

    /// The content of the job cannot be read, for a connection or for a file: it is tried again later, and the place where it was to go is
    /// not to blame.
    pub fn on_content_failed(&mut self, why: &str) {
        match &mut self.stage {
            Stage::Talking { conversation, .. } => conversation.content_failed(why),
            Stage::Filing { .. } => {
                self.close_load(&Outcome::Deferred(Failure {
                    scope: Scope::Message,
                    reply: Reply::new(451, 3, 0, format!("The message could not be read: {why}")),
                    host: None,
                }));
                self.stage = Stage::Done {
                    open: None,
                    reusable: false,
                };
            }
            Stage::Asking { .. } | Stage::Connecting { .. } | Stage::Done { .. } | Stage::Gone => {}
        }
    }

    fn take_load(&mut self, job: Job) {
        let numbers = job.recipients.iter().map(|recipient| recipient.number);
        let mut open: Vec<u32> = numbers.collect();
        open.sort_unstable();
        self.load = Some(Load {
            job,
            open,
            results: Vec::new(),
            dsn_passed: Vec::new(),
            unknown: false,
            fresh_starts: 0,
        });
    }

    fn fresh_start(&self) -> Stage {
        Stage::Asking {
            answers: Answers::default(),
            asked: None,
        }
    }

    /// Asks routing what to do with what is known; sets the stage that follows.
    fn plan(&mut self, answers: Answers) -> Option<Step> {
        let mut random = self.random;
        let plan = resolve(&self.site, &self.routes, &answers, &mut || {
            random = next_random(random);
            random
        });
        self.random = random;
        match plan {
            Plan::Ask(questions) => {
                self.stage = Stage::Asking {
                    answers,
                    asked: Some(questions.clone()),
                };
                return Some(Step::Ask(questions));
            }
            Plan::Hops(hops) => self.stage = self.next_host(Attempt::new(hops), None),
            Plan::Directory(directory) => self.stage = Stage::Filing { directory },
            Plan::Stop(outcome) => {
                self.close_load(&outcome);
                self.stage = Stage::Done {
                    open: None,
                    reusable: false,
                };
            }
        }
        None
    }

    fn next_host(&mut self, mut attempt: Attempt, failed: Option<Hop>) -> Stage {
        let why = attempt.last_failure().cloned();
        match attempt.next_hop() {
            Some(hop) => {
                self.passed_over = failed.zip(why);
                Stage::Connecting {
                    attempt,
                    hop,
                    helo: false,
                    told: false,
                }
            }
            None => {
                self.close_load(&Outcome::Deferred(attempt.give_up()));
                Stage::Done {
                    open: None,
                    reusable: false,
                }
            }
        }
    }

    /// Gives every recipient that is still open this outcome.
    fn close_load(&mut self, outcome: &Outcome) {
        if let Some(load) = &mut self.load {
            let open = std::mem::take(&mut load.open);
            load.results
                .extend(open.into_iter().map(|number| (number, outcome.clone())));
        }
    }

    /// Takes one event of the conversation; none of them leaves the talking to go on. `None`: the stage may have changed.
    fn take_event(&mut self) -> Option<Step> {
        let Stage::Talking { conversation, .. } = &mut self.stage else {
            return None;
        };
        match conversation.next_event() {
            None => Some(Step::Talk),
            Some(delivery::Event::Ready) => None,
            Some(delivery::Event::Content) => Some(Step::Content),
            Some(delivery::Event::Ended(ended)) => {
                self.on_ended(ended);
                None
            }
            Some(delivery::Event::Closed) => {
                self.on_closed();
                None
            }
        }
    }

    fn on_ended(&mut self, ended: Ended) {
        let Stage::Talking {
            mut attempt,
            hop,
            conversation,
            ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
        else {
            return;
        };
        let Some(load) = &mut self.load else { return };
        load.unknown |= ended.unknown;
        if let Some(again) = ended.again
            && load.fresh_starts < FRESH_STARTS_MAX
        {
            load.fresh_starts += 1;
            self.stage = match again {
                Again::WithHelo => Stage::Connecting {
                    attempt,
                    hop,
                    helo: true,
                    told: false,
                },
                Again::Fresh => self.fresh_start(),
            };
            return;
        }
        let host_failure = ended.host_failure().cloned();
        load.settle(ended.outcomes, host_failure.is_some(), ended.dsn_passed);
        match host_failure {
            Some(failure) => {
                attempt.on_host_failure(failure);
                self.stage = Stage::Talking {
                    attempt,
                    hop,
                    conversation,
                    failed: true,
                };
            }
            None => {
                // One that takes no more messages still says QUIT.
                let open = Some((attempt, hop, conversation));
                self.stage = Stage::Done {
                    open,
                    reusable: ended.reusable,
                };
            }
        }
    }

    /// The connection is to be closed. A job that is still in hand goes to the next host, or came too late for this connection.
    fn on_closed(&mut self) {
        if let Stage::Talking {
            attempt,
            hop,
            failed,
            ..
        } = std::mem::replace(&mut self.stage, Stage::Gone)
            && self.load.is_some()
        {
            self.stage = if failed {
                self.next_host(attempt, Some(hop))
            } else {
                self.fresh_start()
            };
        }
    }

    fn report(
        &mut self,
        open: Option<(Attempt, Hop, Box<Conversation>)>,
        reusable: bool,
    ) -> Report {
        if let Some((attempt, hop, conversation)) = open {
            self.stage = Stage::Talking {
                attempt,
                hop,
                conversation,
                failed: false,
            };
        }
        let courier = self.id;
        match self.load.take() {
            None => Report {
                courier,
                job: None,
                results: Vec::new(),
                reusable,
                dsn_passed: Vec::new(),
                unknown: false,
            },
            Some(Load {
                job,
                results,
                dsn_passed,
                unknown,
                ..
            }) => Report {
                courier,
                job: Some(job),
                results,
                reusable,
                dsn_passed,
                unknown,
            },
        }
    }
}

impl Load {
    /// The job as a transaction for its open recipients.
    fn transaction(&self, manners: &Manners) -> Transaction {
        let open = |number: u32| self.open.binary_search(&number).is_ok();
        let recipients = if self.open.len() == self.job.recipients.len() {
            self.job.recipients.clone()
        } else {
            self.job
                .recipients
                .iter()
                .filter(|r| open(r.number))
                .cloned()
                .collect()
        };
        let message = Arc::clone(&self.job.message);
        let eight_bit = self
            .job
            .content
            .as_ref()
            .map(|content| EightBitUse::of(&message.head, content));
        // Asked of each domain only when it matters.
        let eight_bit_policy = match eight_bit {
            Some(EightBitUse {
                anywhere: false, ..
            }) => EightBit::default(),
            Some(_) | None => manners.eight_bit(&recipients),
        };
        Transaction {
            message,
            recipients,
            eight_bit,
            eight_bit_policy,
        }
    }

    /// Keeps the outcomes that stand; recipients that failed for trouble of the host stay open for the next one.
    fn settle(
        &mut self,
        outcomes: Vec<(u32, Outcome)>,
        another_host_follows: bool,
        dsn_passed: bool,
    ) {
        let mut settled = Vec::with_capacity(outcomes.len());
        for (number, outcome) in outcomes {
            let host_trouble =
                matches!(&outcome, Outcome::Deferred(failure) if failure.scope == Scope::Host);
            if another_host_follows && host_trouble {
                continue;
            }
            if dsn_passed && matches!(outcome, Outcome::Delivered(_)) {
                self.dsn_passed.push(number);
            }
            settled.push(number);
            self.results.push((number, outcome));
        }
        settled.sort_unstable();
        self.dsn_passed.sort_unstable();
        self.open
            .retain(|open| settled.binary_search(open).is_err());
    }
}

/// A step of SplitMix64: enough to spread load over hosts of equal preference.
fn next_random(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests;
