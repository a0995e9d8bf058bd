//! What each command does: the order of RFC 5321 section 4.1.4.

use mail::{Mailbox, Reply, ReversePath, Timestamp};
use relay_policy::{AskedBy, Envelope, gate, is_listed};
use smtp::{
    BareLf, Chunk, Command, ContentCheck, DataDecoder, Extension, HelloName, Mail, Verb,
    write_ehlo_reply,
};

use crate::incoming::{self, Chunks, Incoming, Source};
use crate::phase::{Opening, PassingOver, Phase, Waiting};
use crate::session::FollowUps;
use crate::transaction::{Hello, Transaction};
use crate::{AcceptedRecipient, End, Event, RefusedMessage, Session, SessionFact};

/// Octets of our answer to EHLO, in round figures.
const EHLO_REPLY_LEN: usize = 256;

/// The answer where an address needs SMTPUTF8 and the client did not ask for it (RFC 6531 section
/// 3.5).
pub(crate) fn needs_smtputf8() -> Reply {
    Reply::new(553, 6, 7, "Address needs SMTPUTF8")
}

impl Session {
    /// `more_follows`: octets behind the command have arrived already.
    pub(crate) fn on_command(&mut self, command: Command, more_follows: bool, now: Timestamp) {
        if self.needs_tls(command.verb()) {
            return self.refuse_without_tls(command);
        }
        match command {
            Command::Rcpt(rcpt) => {
                self.facts.now = Some(now);
                self.on_rcpt(rcpt);
            }
            Command::Mail(mail) => self.on_mail(mail),
            Command::Data => self.on_data(),
            Command::Bdat { size, last } => self.on_bdat(Chunk::new(size, last), now),
            Command::Ehlo(name) => self.on_hello(name, true),
            Command::Helo(name) => self.on_hello(name, false),
            Command::Rset => self.on_rset(),
            Command::Noop => self.idle(Reply::new(250, 0, 0, "Ok")),
            Command::Help => self.idle(Reply::new(214, 0, 0, "See RFC 5321")),
            // RFC 5321 section 7.3: a site may answer 252 so that nobody learns who exists.
            Command::Vrfy => self.idle(Reply::new(
                252,
                0,
                0,
                "Cannot verify, but will take a message and attempt delivery",
            )),
            Command::Quit => self.on_quit(),
            Command::StartTls => self.on_starttls(more_follows),
            Command::Auth(auth) => self.on_auth(auth),
            Command::Etrn(node) => self.on_etrn(node),
            Command::Atrn(domains) => self.on_atrn(domains, more_follows),
            Command::Xforward(argument) => self.on_xforward(&argument),
            Command::NotImplemented(verb) => self.not_offered(verb),
            Command::Foreign => self.on_foreign(),
            Command::Unknown => {
                self.complain(
                    Some(Verb::Unknown),
                    Reply::new(500, 5, 2, "Command not recognized"),
                );
            }
        }
    }

    /// Whether a command has to wait for TLS. RFC 3207 section 4: a server that requires TLS
    /// answers 530 "to every command other than NOOP, EHLO, STARTTLS, or QUIT"; those that reveal
    /// and change nothing are answered too.
    fn needs_tls(&self, verb: Verb) -> bool {
        if self.client.tls.is_some() || !self.settings.rules.listener.tls.required {
            return false;
        }
        match verb {
            Verb::Mail | Verb::Rcpt | Verb::Data | Verb::Bdat | Verb::Vrfy | Verb::Auth => true,
            Verb::Ehlo
            | Verb::Helo
            | Verb::Rset
            | Verb::Noop
            | Verb::Help
            | Verb::Quit
            | Verb::StartTls => false,
            Verb::Etrn | Verb::Atrn => self.has_mail_on_demand(),
            // Refused in any case.
            Verb::Expn | Verb::Turn | Verb::Send | Verb::Xforward | Verb::Xclient => false,
            Verb::Foreign | Verb::Unknown => false,
        }
    }

    fn refuse_without_tls(&mut self, command: Command) {
        let Some((reply, _)) = gate(&self.settings.rules.listener, &self.client) else {
            return;
        };
        if let Command::Bdat { size, last } = command {
            self.refuse_chunk(Chunk::new(size, last), reply);
        } else {
            self.complain(Some(command.verb()), reply);
        }
    }

    pub(crate) fn not_offered(&mut self, verb: Verb) {
        self.complain(Some(verb), Reply::new(502, 5, 1, "Command not offered"));
    }

    pub(crate) fn out_of_order(&mut self, verb: Verb, text: &'static str) {
        self.complain(Some(verb), Reply::new(503, 5, 1, text));
    }

    fn on_quit(&mut self) {
        self.say(&Reply::new(221, 0, 0, "Bye"));
        self.close(End::Quit);
    }

    pub(crate) fn on_foreign(&mut self) {
        self.end_with(
            Reply::new(421, 5, 1, "This is an SMTP server"),
            End::Foreign,
        );
    }

    /// Answers a command that brings no message forward. A client may send some of them, not spend
    /// the day with them.
    pub(crate) fn idle(&mut self, reply: Reply) {
        if self.may_idle() {
            self.say(&reply);
        }
    }

    /// Counts a command that brings no message forward; `false` when there were too many, and the
    /// session has ended.
    pub(crate) fn may_idle(&mut self) -> bool {
        let ends = self.is_idle_too_long();
        if ends {
            self.end_idle();
        }
        !ends
    }

    /// Counts a command that brings no message forward, and says whether there were too many.
    pub(crate) fn is_idle_too_long(&mut self) -> bool {
        self.counts.idle_commands += 1;
        self.counts.idle_commands > self.settings.limits.idle_commands
    }

    pub(crate) fn end_idle(&mut self) {
        let text = format!("{} Too many commands without mail", self.settings.hostname);
        self.end_with(Reply::new(421, 7, 0, text), End::TooManyErrors);
    }

    fn on_hello(&mut self, name: HelloName, extended: bool) {
        if !self.may_idle() {
            return;
        }
        // RFC 5321 section 4.1.4: "If it is issued after the session begins and the EHLO command is
        // acceptable to the SMTP server, the SMTP server MUST clear all buffers and reset the state
        // exactly as if a RSET command had been issued."
        self.drop_transaction();
        self.follow_ups = FollowUps::default();
        self.phase = Phase::Ready(Hello {
            name: name.text,
            extended,
        });
        if extended {
            self.write_offers();
        } else {
            self.say(&Reply::plain(250, self.settings.hostname.to_string()));
        }
    }

    fn write_offers(&mut self) {
        let limits = &self.settings.limits;
        let limits = Extension::Limits {
            rcpt_max: self.recipients_max(),
            mail_max: limits.messages,
        };
        let mut offers = vec![
            Extension::Pipelining,
            Extension::Size(self.settings.limits.message_size),
            Extension::EightBitMime,
            Extension::SmtpUtf8,
            Extension::Chunking,
            Extension::EnhancedStatusCodes,
            Extension::Dsn,
            limits,
        ];
        // RFC 3207 section 4.2: "A server MUST NOT return the STARTTLS extension in response to an
        // EHLO command received after a TLS handshake has completed."
        if self.client.tls.is_none() && self.settings.rules.listener.offers_tls(&self.client) {
            offers.insert(1, Extension::StartTls);
        }
        if self.offers_sign_in() {
            offers.insert(
                1,
                Extension::Auth(self.mechanisms().collect::<Vec<_>>().join(" ").into()),
            );
        }
        if self.offers_prdr {
            offers.push(Extension::Prdr);
        }
        if self.is_way_back() {
            offers.push(Extension::Xforward);
        }
        if self.offers(AskedBy::Etrn) {
            offers.push(Extension::Etrn);
        }
        if self.offers(AskedBy::Atrn) {
            offers.push(Extension::Atrn);
        }
        let mut reply = Vec::with_capacity(EHLO_REPLY_LEN);
        write_ehlo_reply(self.settings.hostname.as_str(), &offers, &mut reply);
        self.say_raw(&reply);
    }

    fn on_rset(&mut self) {
        self.drop_transaction();
        self.follow_ups = FollowUps::default();
        self.idle(Reply::new(250, 0, 0, "Ok"));
    }

    /// Back to where no message was begun.
    fn drop_transaction(&mut self) {
        self.take_origin();
        let phase = self.take_phase();
        if phase.incoming().is_some_and(Incoming::is_spilled) {
            self.events.push_back(Event::Abandoned);
        }
        self.phase = phase.into_hello().map_or(Phase::Greeted, Phase::Ready);
    }

    fn on_mail(&mut self, mail: Mail) {
        if matches!(self.phase, Phase::Greeted) {
            return self.out_of_order(Verb::Mail, "Send EHLO first");
        }
        if !matches!(self.phase, Phase::Ready(_)) {
            return self.out_of_order(Verb::Mail, "A message is begun already");
        }
        if let Some((reply, _)) = gate(&self.settings.rules.listener, &self.client) {
            return self.refuse_message(None, mail.reverse_path, reply, 0, Vec::new());
        }
        if self.is_exhausted() {
            let text = format!(
                "{} Enough for one session, connect again",
                self.settings.hostname
            );
            return self.end_with(Reply::new(421, 7, 0, text), End::Exhausted);
        }
        if let Some(reply) = self.refuse_mail(&mail) {
            return self.refuse_message(None, mail.reverse_path, reply, 0, Vec::new());
        }
        match self.take_phase() {
            Phase::Ready(hello) => {
                let opening = Opening {
                    hello,
                    prdr: mail.prdr,
                    envelope: envelope(mail),
                };
                self.phase = Phase::Waiting(Waiting::Begin(Box::new(opening)));
                self.events.push_back(Event::Begin);
            }
            other => self.out_of_place(other, "MAIL"),
        }
    }

    fn is_exhausted(&self) -> bool {
        let limits = &self.settings.limits;
        self.counts.messages >= limits.messages
            || limits
                .session_size
                .is_some_and(|most| self.counts.octets >= most)
    }

    fn refuse_mail(&self, mail: &Mail) -> Option<Reply> {
        let is_utf8 = mail
            .reverse_path
            .mailbox()
            .is_some_and(Mailbox::needs_smtputf8);
        if is_utf8 && !mail.parameters.smtputf8 {
            return Some(needs_smtputf8());
        }
        // RFC 1870 section 6.1: a message announced as larger than we take is refused before it is
        // sent.
        let too_big = mail
            .size
            .is_some_and(|size| size > self.settings.limits.message_size);
        too_big.then(|| incoming::too_big(&self.settings.limits))
    }

    pub(crate) fn refuse_message(
        &mut self,
        id: Option<mail::QueueId>,
        reverse_path: ReversePath,
        reply: Reply,
        octets: u64,
        recipients: Vec<AcceptedRecipient>,
    ) {
        let refused = RefusedMessage {
            id,
            reverse_path,
            reply,
            octets,
            recipients,
            by: None,
        };
        self.say_refused(refused);
    }

    pub(crate) fn say_refused(&mut self, refused: RefusedMessage) {
        self.take_origin();
        self.say(&refused.reply);
        self.count_refusal(&refused.reply);
        self.follow_ups = FollowUps::of_refused_message();
        self.log(SessionFact::RefusedMessage(Box::new(refused)));
    }

    fn on_data(&mut self) {
        match self.take_phase() {
            Phase::Addressing(transaction) if !transaction.envelope.recipients.is_empty() => {
                let limits = &self.settings.limits;
                let decoder = DataDecoder::new(limits.content_line, self.bare_lf());
                let incoming = self.incoming(*transaction, Source::Data(decoder));
                self.phase = Phase::Receiving(incoming);
                self.say(&Reply::plain(354, "End data with <CR><LF>.<CR><LF>"));
            }
            other => {
                let reply = out_of_order_content(&other);
                self.phase = other;
                self.complain(Some(Verb::Data), reply);
            }
        }
    }

    fn on_bdat(&mut self, chunk: Chunk, now: Timestamp) {
        match self.take_phase() {
            Phase::Addressing(transaction) if !transaction.envelope.recipients.is_empty() => {
                let limits = &self.settings.limits;
                let check = ContentCheck::new(limits.content_line, self.bare_lf());
                let incoming = self.incoming(*transaction, Source::Chunks(Chunks::new(check)));
                self.begin_chunk(incoming, chunk, now);
            }
            Phase::Receiving(incoming) => self.begin_chunk(incoming, chunk, now),
            other => {
                let reply = out_of_order_content(&other);
                self.phase = other;
                self.refuse_chunk(chunk, reply);
            }
        }
    }

    fn incoming(&self, transaction: Transaction, source: Source) -> Box<Incoming> {
        let inline = self.settings.limits.content_inline;
        let incoming = Incoming::new(transaction, source, inline);
        // A program of this machine is no stranger, even where it may write to domains of ours alone.
        if self.is_submission() || self.client.uid.is_some() {
            return Box::new(incoming.without_blind_copies());
        }
        Box::new(incoming)
    }

    /// What becomes of an LF without CR: where the listener mends it, it does so for clients on the
    /// list of those who may relay, and for nobody else.
    fn bare_lf(&self) -> BareLf {
        if is_listed(&self.settings.rules, &self.client, &self.facts) {
            self.settings.bare_lf
        } else {
            BareLf::Refuse
        }
    }

    /// RFC 3030 section 2: the octets of a chunk follow its command whatever is answered, so they
    /// are counted off.
    fn refuse_chunk(&mut self, chunk: Chunk, reply: Reply) {
        if chunk.left() > self.settings.limits.passed_over {
            self.complain(Some(Verb::Bdat), reply);
            return self.close(End::Garbled);
        }
        let passing = Box::new(PassingOver {
            chunk,
            reply,
            block: 0,
        });
        self.pass_over(passing, &[]);
    }
}

/// Why no content may come in this phase.
fn out_of_order_content(phase: &Phase) -> Reply {
    match phase {
        // RFC 5321 section 3.3: "If there was no MAIL, or no RCPT, command, or all such commands
        // were rejected, the server MAY return a 'command out of sequence' (503) or 'no valid
        // recipients' (554) reply in response to the DATA command."
        Phase::Addressing(transaction) if transaction.refused => {
            Reply::new(554, 5, 1, "No valid recipients")
        }
        Phase::Addressing(_) => Reply::new(503, 5, 1, "Send RCPT first"),
        // RFC 3030 section 2: "DATA and BDAT commands cannot be used in the same transaction."
        Phase::Receiving(_) => Reply::new(503, 5, 1, "DATA cannot follow BDAT"),
        Phase::Greeted
        | Phase::Ready(_)
        | Phase::SigningIn(_)
        | Phase::Waiting(_)
        | Phase::Closed => Reply::new(503, 5, 1, "Send MAIL first"),
    }
}

fn envelope(mail: Mail) -> Envelope {
    Envelope {
        reverse_path: mail.reverse_path,
        recipients: Vec::new(),
        parameters: mail.parameters,
        announced_size: mail.size,
    }
}
