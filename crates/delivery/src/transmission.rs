mod per_recipient;

use std::collections::{HashMap, VecDeque};

use mail::{Delivery, Failure, Notify, Outcome, Reply, ReversePath, Scope};
use relay_policy::Grounds;
use route::Hop;
use smtp::{Offers, Said, Stuffer};

use self::per_recipient::{Addresses, repeats, was_unanswered};
use crate::commands::{write_mail, write_rcpt};
use crate::fitness::{self, Plan};
use crate::wire::Wire;
use crate::{Settings, Stage, Transaction, trouble};

/// Transactions of one message on one connection, when the server takes only some recipients at a
/// time.
pub const ROUNDS_MAX: usize = 100;

/// The code by which a recipient's parameters are refused, beside its name (RFC 5321 section
/// 4.2.3).
const NOT_ALLOWED: u16 = 553;

/// One message on its way over an open connection: MAIL, RCPT for each recipient, the content;
/// again for the recipients that the server did not take in one transaction.
#[derive(Debug)]
pub(crate) struct Transmission {
    transaction: Transaction,
    plan: Plan,
    /// What became of each recipient of the transaction, in its order.
    outcomes: Vec<Option<Outcome>>,
    /// Recipients that share the outcome of another one; both by position.
    repeats: HashMap<usize, usize>,
    /// Those whose turn comes in a further transaction.
    later: VecDeque<Later>,
    /// Positions in this transaction, in the order of their RCPT.
    round: Vec<usize>,
    /// What those in this transaction have in common.
    company: Company,
    path: Path,
    /// Those of them that the server accepted.
    accepted: VecDeque<usize>,
    rounds: usize,
    /// Octets that were to be sent when the round, or RSET before it, was written.
    drawn: usize,
    /// MAIL of this round was refused: what follows it is refused for that.
    mail_refused: bool,
    heard: Heard,
    /// A recipient was accepted though MAIL was not.
    out_of_step: bool,
    awaiting: Awaiting,
}

/// How far the server has gone along with the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Heard {
    /// It has said nothing of it.
    Nothing,
    /// It has answered, and has not taken MAIL.
    Answer,
    /// It has put MAIL off for a reason that need not be the message.
    PutOff,
    /// It has taken MAIL in some round: it knows the message.
    Begun,
}

/// A recipient whose turn comes in a further transaction.
#[derive(Debug)]
struct Later {
    /// Its position in the recipients of the transaction.
    at: usize,
    company: Company,
    /// What the server said of it, if anything.
    reply: Option<Reply>,
}

/// With whom a recipient may share a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    /// With all who want nothing special.
    Any,
    /// With those alone of whom no notice is wanted either. There are servers that take the NOTIFY
    /// of one recipient for that of the next, and refuse NEVER beside another (OpenSMTPD 6.8).
    Never,
    /// With nobody: it was refused in company, or had no answer there.
    None,
}

/// Which reverse path goes out with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Path {
    /// That of the message.
    Original,
    /// The one under which it is forwarded.
    Forwarded,
    Null,
}

/// Which reply comes next.
#[derive(Debug)]
enum Awaiting {
    /// To so many XFORWARD.
    Origin(usize),
    Mail,
    /// To the RCPT at this stage of the round.
    Recipient(usize),
    Data,
    /// None: content is being sent.
    Content(Sending),
    /// To the final dot, or to the last chunk.
    End,
    /// To the same, for a further recipient; so many were answered for.
    NextEnd(usize),
    /// To the dot of a message that had no recipients.
    LoneDot,
    /// To RSET between two rounds.
    Reset,
}

/// Content on its way.
#[derive(Debug)]
struct Sending {
    /// None with BDAT: octets go out as they are.
    stuffer: Option<Stuffer>,
    /// Octets of content fed.
    fed: u64,
}

impl Sending {
    fn write(&mut self, piece: &[u8], output: &mut Wire) {
        match &mut self.stuffer {
            Some(stuffer) => stuffer.push(piece, output.octets()),
            None => output.octets().extend_from_slice(piece),
        }
    }
}

/// What follows from a reply.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Wait for the next reply.
    Wait,
    /// Feed the content.
    Content,
    /// The message is through; `reset` when the server still holds a transaction.
    Done { reset: bool },
    /// The message is through, but the conversation is out of step.
    Unusable,
    /// Trouble with the host.
    Broken {
        /// What to say of the open recipients.
        reply: Reply,
        /// The whole message was sent, and nobody knows whether it was taken.
        unknown: bool,
    },
}

impl Transmission {
    /// Writes the first commands; or gives the outcomes at once when nothing can be sent.
    pub(crate) fn begin(
        transaction: Transaction,
        offers: &Offers,
        settings: &Settings,
        hop: &Hop,
        output: &mut Wire,
    ) -> Result<Self, Vec<(u32, Outcome)>> {
        let plan = match fitness::plan(&transaction, offers, settings) {
            Ok(plan) => plan,
            Err(reply) => return Err(all_failed(&transaction, &reply, hop)),
        };
        let outcomes: Vec<Option<Outcome>> = (transaction.recipients.iter())
            .map(|recipient| fitness::refused_recipient(recipient, offers))
            .map(|refused| refused.and_then(|r| trouble::refusal(&r, Scope::Host, hop)))
            .collect();
        let repeats = repeats(&transaction, &plan);
        let open =
            (0..outcomes.len()).filter(|at| outcomes[*at].is_none() && !repeats.contains_key(at));
        let later = open.map(|at| Later {
            at,
            company: company(&transaction, at, &plan),
            reply: None,
        });
        let mut transmission = Self {
            later: later.collect(),
            repeats,
            outcomes,
            transaction,
            plan,
            round: Vec::new(),
            company: Company::Any,
            path: Path::Original,
            accepted: VecDeque::new(),
            rounds: 0,
            drawn: 0,
            mail_refused: false,
            heard: Heard::Nothing,
            out_of_step: false,
            awaiting: Awaiting::Mail,
        };
        if transmission.later.is_empty() {
            return Err(transmission.into_outcomes(None));
        }
        transmission.begin_round(output);
        Ok(transmission)
    }

    /// Takes the next reply.
    pub(crate) fn on_reply(&mut self, reply: Reply, hop: &Hop, output: &mut Wire) -> Step {
        // RFC 5321 section 3.8: 421 says that the server closes the connection, whatever was asked.
        if reply.code() == 421 {
            let at_end = matches!(self.awaiting, Awaiting::End | Awaiting::NextEnd(_));
            return Step::Broken {
                reply,
                // It may have taken the message for others than the one that this is said of.
                unknown: at_end && self.plan.per_recipient && self.accepted.len() > 1,
            };
        }
        if self.heard == Heard::Nothing {
            self.heard = Heard::Answer;
        }
        // LMTP: one reply more than recipients is no answer to what has not been sent yet.
        let is_asked = !matches!(
            self.awaiting,
            Awaiting::Origin(_) | Awaiting::Mail | Awaiting::Reset
        );
        if !is_asked && self.rounds > 1 && output.len() == self.drawn {
            return nonsense(&reply, Stage::Idle);
        }
        match self.awaiting {
            Awaiting::Origin(left) => self.on_origin(left, output),
            Awaiting::Mail => self.on_mail(&reply, hop, output),
            Awaiting::Recipient(stage) => self.on_recipient(stage, reply, hop, output),
            Awaiting::Data => self.on_data(&reply, hop, output),
            Awaiting::Content(_) => self.on_early_reply(&reply, hop, output),
            Awaiting::End | Awaiting::NextEnd(_) => self.on_end(reply, hop, output),
            Awaiting::LoneDot => self.next_round(false, output),
            Awaiting::Reset => self.on_reset(&reply, output),
        }
    }

    /// Whether content is to be fed.
    pub(crate) fn wants_content(&self) -> bool {
        matches!(self.awaiting, Awaiting::Content(_))
    }

    /// The next piece of content. An error when there is more than the message's size says.
    pub(crate) fn content(&mut self, piece: &[u8], output: &mut Wire) -> Result<(), Failure> {
        let size = self.transaction.content_size();
        let Awaiting::Content(sending) = &mut self.awaiting else {
            return Ok(());
        };
        sending.fed += piece.len() as u64;
        if sending.fed > size {
            return Err(trouble::unreadable("there is more of it than was stored"));
        }
        sending.write(piece, output);
        self.end_of_chunk(output);
        Ok(())
    }

    /// The end of the content. An error when there was less than the message's size says: then no
    /// final dot may follow.
    pub(crate) fn content_end(&mut self, output: &mut Wire) -> Result<(), Failure> {
        let size = self.transaction.content_size();
        let Awaiting::Content(sending) = &mut self.awaiting else {
            return Ok(());
        };
        if sending.fed != size {
            return Err(trouble::unreadable("there is less of it than was stored"));
        }
        if let Some(stuffer) = &mut sending.stuffer {
            stuffer.finish(output.octets());
        }
        self.end_content(output);
        Ok(())
    }

    fn end_content(&mut self, output: &mut Wire) {
        output.note(|| Said::content(self.transaction.message.size));
        self.awaiting = Awaiting::End;
    }

    /// Where the exchange stands, for the text of a failure.
    ///
    /// `all_written`: nothing waits in the output. Until then the server cannot have seen the end
    /// of the message.
    pub(crate) fn stage(&self, all_written: bool) -> Stage {
        match self.awaiting {
            Awaiting::Origin(_) => Stage::Xforward,
            Awaiting::Mail => Stage::Mail,
            Awaiting::Recipient(_) => Stage::Recipient,
            Awaiting::Data => Stage::Data,
            Awaiting::Content(_) => Stage::Content,
            Awaiting::End if all_written => Stage::End,
            Awaiting::NextEnd(_) if all_written => Stage::NextEnd,
            Awaiting::End | Awaiting::NextEnd(_) => Stage::Content,
            Awaiting::LoneDot | Awaiting::Reset => Stage::Reset,
        }
    }

    /// Whether the server has answered anything.
    pub(crate) fn is_answered(&self) -> bool {
        self.heard != Heard::Nothing
    }

    /// Whether the server took MAIL: from then on it knows the message.
    pub(crate) fn has_begun(&self) -> bool {
        self.heard == Heard::Begun
    }

    /// Whether MAIL was put off in a way that may speak of the connection rather than of the
    /// message.
    pub(crate) fn is_put_off(&self) -> bool {
        self.heard == Heard::PutOff
    }

    /// Whether the server was told the sender's wishes for notices.
    pub(crate) fn dsn_passed(&self) -> bool {
        self.plan.dsn
    }

    /// The outcome of each recipient; `failure` for those that have none.
    pub(crate) fn into_outcomes(self, failure: Option<&Failure>) -> Vec<(u32, Outcome)> {
        let deferred = || failure.map(|f| Outcome::Deferred(f.clone()));
        let recipients = self.transaction.recipients.iter().enumerate();
        recipients
            .filter_map(|(at, recipient)| {
                let decided = self.repeats.get(&at).unwrap_or(&at);
                let outcome = self.outcomes[*decided].clone().or_else(deferred)?;
                Some((recipient.number, outcome))
            })
            .collect()
    }

    fn begin_round(&mut self, output: &mut Wire) {
        self.rounds += 1;
        self.draw_round();
        self.accepted.clear();
        self.mail_refused = false;
        for command in &self.plan.origin {
            output.command(format_args!("{command}"));
        }
        self.awaiting = match self.plan.origin.len() {
            0 => Awaiting::Mail,
            commands => Awaiting::Origin(commands),
        };
        if self.plan.origin.is_empty() || self.plan.pipelining {
            self.write_envelope(output);
        }
        self.drawn = output.len();
    }

    /// MAIL; and where commands go out in one write, those that follow it.
    fn write_envelope(&self, output: &mut Wire) {
        let message = &self.transaction.message;
        let path = match (self.path, &self.transaction.forwarded_from) {
            (Path::Null, _) => &ReversePath::Null,
            (Path::Forwarded, Some(path)) => path,
            (Path::Original | Path::Forwarded, _) => &self.transaction.reverse_path,
        };
        write_mail(output, message, path, &self.plan);
        if self.plan.pipelining {
            for at in &self.round {
                write_rcpt(output, &self.transaction.recipients[*at], &self.plan);
            }
            if self.is_data_pipelined() {
                output.command(format_args!("DATA"));
            }
        }
    }

    /// Whatever the server says of it: a message is not held up because nobody wants to know where it
    /// came from.
    fn on_origin(&mut self, left: usize, output: &mut Wire) -> Step {
        if left > 1 {
            self.awaiting = Awaiting::Origin(left - 1);
            return Step::Wait;
        }
        self.awaiting = Awaiting::Mail;
        if !self.plan.pipelining {
            self.write_envelope(output);
        }
        Step::Wait
    }

    /// The next one, and as many of those after it as may and can go along.
    fn draw_round(&mut self) {
        self.round.clear();
        let Some(first) = self.later.front() else {
            return;
        };
        self.company = first.company;
        self.path = path(&self.transaction, first.at, &self.plan);
        let max = match self.company {
            Company::Any | Company::Never => self.plan.recipients_max,
            Company::None => 1,
        };
        let (round, transaction, plan) = (&mut self.round, &self.transaction, &self.plan);
        let common = (self.company, self.path);
        let mut addresses = Addresses::default();
        self.later.retain(|later| {
            let own = (later.company, path(transaction, later.at, plan));
            let fits = own == common && round.len() < max;
            let goes = fits && addresses.add(transaction, later.at, plan);
            if goes {
                round.push(later.at);
            }
            !goes
        });
    }

    /// RFC 2920 section 3.1 lets DATA be the last command of a group. BDAT waits, because its
    /// content would go with it.
    fn is_data_pipelined(&self) -> bool {
        self.plan.pipelining && !self.plan.chunking
    }

    fn on_mail(&mut self, reply: &Reply, hop: &Hop, output: &mut Wire) -> Step {
        if reply.is_positive() {
            self.heard = Heard::Begun;
            return self.ask_recipient(0, output);
        }
        let scope = if is_too_large(reply) {
            Scope::Host
        } else {
            Scope::Message
        };
        let Some(outcome) = trouble::refusal(reply, scope, hop) else {
            return nonsense(reply, Stage::Mail);
        };
        self.mail_refused = true;
        // In a later round the server has taken the message once, whatever it says now.
        if !self.has_begun() && trouble::may_mean_the_connection(reply) {
            self.heard = Heard::PutOff;
        }
        self.refuse_path(&outcome);
        if !self.plan.pipelining {
            return self.next_round(false, output);
        }
        // The commands behind it are on their way: their replies must be taken.
        self.awaiting = Awaiting::Recipient(0);
        Step::Wait
    }

    /// Nobody goes with this reverse path. Those who have another one still have their turn, unless
    /// it may be the connection that is put off.
    fn refuse_path(&mut self, outcome: &Outcome) {
        let (put_off, refused) = (self.is_put_off(), self.path);
        let (outcomes, transaction, plan) = (&mut self.outcomes, &self.transaction, &self.plan);
        let mut refuse = |at: usize| outcomes[at] = Some(outcome.clone());
        self.round.iter().copied().for_each(&mut refuse);
        self.later.retain(|later| {
            let spared = !put_off && path(transaction, later.at, plan) != refused;
            if !spared {
                refuse(later.at);
            }
            spared
        });
    }

    fn ask_recipient(&mut self, stage: usize, output: &mut Wire) -> Step {
        let Some(at) = self.round.get(stage) else {
            return self.ask_data(output);
        };
        if !self.plan.pipelining {
            write_rcpt(output, &self.transaction.recipients[*at], &self.plan);
        }
        self.awaiting = Awaiting::Recipient(stage);
        Step::Wait
    }

    fn on_recipient(&mut self, stage: usize, reply: Reply, hop: &Hop, output: &mut Wire) -> Step {
        let at = self.round[stage];
        if self.mail_refused {
            // Its outcome is that of MAIL.
            self.out_of_step |= reply.is_positive();
        } else if reply.is_positive() {
            self.accepted.push_back(at);
        } else if is_too_many(&reply) && !self.accepted.is_empty() {
            self.try_later(at, self.company, reply);
        } else if self.is_worth_another_try(at, &reply) {
            self.try_later(at, Company::None, reply);
        } else if let Some(outcome) = trouble::refusal(&reply, Scope::Recipient, hop) {
            self.outcomes[at] = Some(outcome);
        } else {
            return nonsense(&reply, Stage::Recipient);
        }
        self.ask_recipient(stage + 1, output)
    }

    fn try_later(&mut self, at: usize, company: Company, reply: Reply) {
        self.later.push_back(Later {
            at,
            company,
            reply: Some(reply),
        });
    }

    /// Whether the recipient may have been refused for what others in the transaction want.
    fn is_worth_another_try(&self, at: usize, reply: &Reply) -> bool {
        let told = self.plan.dsn && self.transaction.recipients[at].parameters.notify.is_some();
        reply.code() == NOT_ALLOWED && told && self.round.len() > 1
    }

    /// All recipients are answered.
    fn ask_data(&mut self, output: &mut Wire) -> Step {
        if self.is_data_pipelined() {
            self.awaiting = Awaiting::Data;
            return Step::Wait;
        }
        if self.accepted.is_empty() {
            return self.next_round(self.is_reset_needed(), output);
        }
        if self.plan.chunking {
            let size = self.transaction.message.size;
            output.command(format_args!("BDAT {size} LAST"));
            return self.send_head(None, output);
        }
        output.command(format_args!("DATA"));
        self.awaiting = Awaiting::Data;
        Step::Wait
    }

    fn on_data(&mut self, reply: &Reply, hop: &Hop, output: &mut Wire) -> Step {
        let no_answer = self.plan.per_recipient && self.accepted.is_empty();
        if reply.code() == 354 && (self.out_of_step || no_answer) {
            // A lone dot would be an empty message for those whom this server thinks it has
            // accepted. Where each of them has a reply, nobody knows how many would come.
            return Step::Unusable;
        }
        if reply.code() == 354 && self.accepted.is_empty() {
            // RFC 2920 section 3.1: "the client cannot assume that the DATA command will be
            // rejected just because none of the RCPT TO commands worked. [...] if the DATA command
            // was accepted the client SMTP should send a single dot." A message for nobody,
            // whatever the server then says.
            output.octets().extend_from_slice(b".\r\n");
            output.note(|| Said::content(0));
            self.awaiting = Awaiting::LoneDot;
            return Step::Wait;
        }
        if reply.code() == 354 {
            return self.send_head(Some(Stuffer::new()), output);
        }
        let Some(outcome) = trouble::refusal(reply, Scope::Message, hop) else {
            return nonsense(reply, Stage::Data);
        };
        self.settle_accepted(&outcome);
        self.next_round(self.is_reset_needed(), output)
    }

    fn send_head(&mut self, stuffer: Option<Stuffer>, output: &mut Wire) -> Step {
        let mut sending = Sending { stuffer, fed: 0 };
        sending.write(&self.transaction.message.head, output);
        self.awaiting = Awaiting::Content(sending);
        self.end_of_chunk(output);
        Step::Content
    }

    /// With BDAT the server counts: it may answer as soon as it has the last octet, before anybody
    /// says that this was the end.
    fn end_of_chunk(&mut self, output: &mut Wire) {
        let size = self.transaction.content_size();
        if let Awaiting::Content(Sending { stuffer: None, fed }) = self.awaiting
            && fed == size
        {
            self.end_content(output);
        }
    }

    /// A reply while content is being sent: a refusal is final, but what is on its way would be
    /// read as commands. A success is none: the server has not seen the end.
    fn on_early_reply(&mut self, reply: &Reply, hop: &Hop, output: &mut Wire) -> Step {
        let Some(outcome) = trouble::refusal(reply, self.content_scope(), hop) else {
            return nonsense(reply, Stage::Content);
        };
        output.clear();
        if self.plan.per_recipient {
            self.refuse_next(outcome);
        } else {
            self.settle_accepted(&outcome);
        }
        self.defer_later(hop);
        Step::Unusable
    }

    fn on_end(&mut self, reply: Reply, hop: &Hop, output: &mut Wire) -> Step {
        if !output.is_empty() {
            return self.on_early_reply(&reply, hop, output);
        }
        let outcome = if reply.is_positive() {
            Outcome::Delivered(Delivery {
                reply,
                host: Some(hop.to_string().into()),
            })
        } else if let Some(outcome) = trouble::refusal(&reply, self.content_scope(), hop) {
            outcome
        } else {
            return nonsense(&reply, Stage::End);
        };
        if self.plan.per_recipient {
            return self.settle_next(outcome, output);
        }
        self.settle_accepted(&outcome);
        // RFC 5321 section 4.1.1.4: the end of data ends the transaction, whatever the reply.
        self.next_round(false, output)
    }

    fn on_reset(&mut self, reply: &Reply, output: &mut Wire) -> Step {
        if !reply.is_positive() {
            return nonsense(reply, Stage::Reset);
        }
        self.begin_round(output);
        Step::Wait
    }

    /// Whether the server holds a transaction that did not come to its end.
    fn is_reset_needed(&self) -> bool {
        !self.mail_refused || self.out_of_step
    }

    fn next_round(&mut self, reset: bool, output: &mut Wire) -> Step {
        if self.later.is_empty() || self.rounds == ROUNDS_MAX {
            return Step::Done { reset };
        }
        if reset {
            output.command(format_args!("RSET"));
            self.drawn = output.len();
            self.awaiting = Awaiting::Reset;
        } else {
            self.begin_round(output);
        }
        Step::Wait
    }

    fn settle_accepted(&mut self, outcome: &Outcome) {
        for at in self.accepted.drain(..) {
            self.outcomes[at] = Some(outcome.clone());
        }
    }

    /// Those whose turn does not come on this connection are tried again later.
    pub(crate) fn defer_later(&mut self, hop: &Hop) {
        for Later { at, reply, .. } in self.later.drain(..) {
            let reply = reply.unwrap_or_else(too_many);
            // A 552 that means 452 is to be tried again, too.
            let failure = Failure {
                scope: Scope::Recipient,
                reply,
                host: Some(hop.to_string().into()),
            };
            self.outcomes[at] = Some(Outcome::Deferred(failure));
        }
    }
}

/// RFC 1870 section 6.1: the answer of a server to the size told in MAIL, as those give it that
/// offer SIZE without a number.
fn is_too_large(reply: &Reply) -> bool {
    let status = reply.status();
    reply.code() == 552 || reply.is_permanent() && (status.subject, status.detail) == (3, 4)
}

fn company(transaction: &Transaction, at: usize, plan: &Plan) -> Company {
    let recipient = &transaction.recipients[at];
    let never = recipient.parameters.notify == Some(Notify::NEVER);
    if plan.per_recipient && was_unanswered(recipient) {
        Company::None
    } else if never && (plan.dsn || plan.never_as_null) {
        Company::Never
    } else {
        Company::Any
    }
}

fn path(transaction: &Transaction, at: usize, plan: &Plan) -> Path {
    let recipient = &transaction.recipients[at];
    if plan.never_as_null && recipient.parameters.notify == Some(Notify::NEVER) {
        Path::Null
    } else if transaction.forwarded_from.is_some()
        && recipient.admitted.grounds() == Grounds::Forwarded
    {
        Path::Forwarded
    } else {
        Path::Original
    }
}

fn nonsense(reply: &Reply, stage: Stage) -> Step {
    let unknown = stage == Stage::End;
    Step::Broken {
        reply: trouble::nonsense(reply, stage.words()),
        unknown,
    }
}

/// Whether the server takes this recipient in another transaction.
///
/// RFC 5321 section 4.5.3.1.10: 452 is the code, and where a server says 552 "clients SHOULD treat
/// a 552 code in this case as a temporary, rather than permanent, failure". With an enhanced
/// status, only x.5.3 means this: 452 4.3.1 is a full disk, 552 5.2.2 a full mailbox.
fn is_too_many(reply: &Reply) -> bool {
    let status = reply.status();
    matches!(reply.code(), 452 | 552)
        && (!reply.has_status() || (status.subject, status.detail) == (5, 3))
}

fn too_many() -> Reply {
    Reply::new(452, 5, 3, "The server takes too few recipients at a time")
}

fn all_failed(transaction: &Transaction, reply: &Reply, hop: &Hop) -> Vec<(u32, Outcome)> {
    let outcome = trouble::refusal(reply, Scope::Host, hop);
    (transaction.recipients.iter())
        .filter_map(|recipient| Some((recipient.number, outcome.clone()?)))
        .collect()
}
