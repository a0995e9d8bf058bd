//! Milters: asked one after the other, as each is shown what those before it have changed.

use std::sync::Arc;

use ::scanner::Content;
use mail::Reply;
use milter::{Answer, BODY_PIECE_MAX, Conversation, Edited, End, Facts, Kept, Verdict, Wants};
use screening::{Class, Finding};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::conversation::{Socket, piece_of};

/// Octets that are read at one time.
const READ_AT_ONCE: usize = 16 << 10;

/// A message, as a milter is asked about it.
pub(super) struct Asked<'a> {
    pub facts: &'a Facts,
    pub message: &'a Edited<'a>,
    pub body_max: usize,
}

/// Asks on a connection, and says what it ended with.
pub(super) async fn hold(
    socket: &mut (dyn Socket + '_),
    asked: &Asked<'_>,
    content: &Arc<dyn Content>,
    kept: Option<Kept>,
) -> End {
    let mut conversation = Conversation::new(asked.facts, asked.message, asked.body_max, kept);
    let mut buffer = vec![0; READ_AT_ONCE];
    let mut body = Body {
        message: asked.message,
        content,
        at: 0,
    };
    loop {
        match conversation.wants() {
            Wants::Nothing => break,
            Wants::Write => {
                let written = socket.write_all(conversation.output()).await;
                conversation.output().clear();
                if written.is_err() {
                    conversation.on_closed();
                }
            }
            Wants::Read => {
                if conversation.awaits_several() {
                    // libmilter writes each answer by itself.
                    socket.acknowledge_at_once();
                }
                match socket.read(&mut buffer).await {
                    Ok(octets) if octets > 0 => conversation.receive(&buffer[..octets]),
                    Ok(_) | Err(_) => conversation.on_closed(),
                }
            }
            Wants::Body => body.give(&mut conversation).await,
        }
    }
    let end = conversation.end(true);
    // Whoever does not hear it sees the end of the connection.
    let _heard = socket.write_all(&end.output).await;
    end
}

/// The body, as far as it was given.
struct Body<'a> {
    message: &'a Edited<'a>,
    content: &'a Arc<dyn Content>,
    at: usize,
}

impl Body<'_> {
    async fn give(&mut self, conversation: &mut Conversation<'_>) {
        if let Some(new) = self.message.new_body() {
            let rest = new.get(self.at..).unwrap_or_default();
            self.at += conversation.body(rest);
            return;
        }
        let from = (self.message.body_start() + self.at) as u64;
        match piece_of(self.content, from, Vec::new(), BODY_PIECE_MAX).await {
            Ok(piece) => self.at += conversation.body(&piece),
            // What cannot be read must not look like its end.
            Err(_) => conversation.on_closed(),
        }
    }
}

/// A milter's answer in the words of rules.
pub(super) fn finding(answer: &Answer) -> Finding {
    let (class, reply): (_, Option<Reply>) = match &answer.verdict {
        Verdict::Accept => (None, None),
        Verdict::Refuse(reply) if reply.code() < 500 => {
            (Some(Class::Postpone), Some(reply.clone()))
        }
        Verdict::Refuse(reply) => (Some(Class::Reject), Some(reply.clone())),
        Verdict::Discard => (Some(Class::Discard), None),
    };
    let quarantine = answer.quarantine.as_deref();
    let classes = class
        .into_iter()
        .chain(quarantine.map(|_| Class::Quarantine));
    let mut classes: Vec<Class> = classes.collect();
    if classes.is_empty() {
        classes.push(Class::Clean);
    }
    let what = quarantine.map(str::to_owned);
    let what = what.or_else(|| reply.as_ref().map(ToString::to_string));
    Finding {
        classes,
        score: None,
        what: what.unwrap_or_default(),
        reply,
    }
}
