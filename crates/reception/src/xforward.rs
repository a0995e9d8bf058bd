//! XFORWARD: on the way back from a filter, it says where the message came from that it gives back
//! (Postfix's XFORWARD_README). Nobody else is heard, and nobody gets a right by it.

use mail::Reply;
use smtp::{Origin, Source, SyntaxError, Verb};

use crate::Session;

impl Session {
    /// Whether the client is a filter that gives back what it had from us.
    pub(crate) fn is_way_back(&self) -> bool {
        self.settings.rules.is_way_back()
    }

    pub(crate) fn on_xforward(&mut self, argument: &str) {
        if !self.is_way_back() {
            return self.not_offered(Verb::Xforward);
        }
        if let Some(reply) = self.refuse_outside_ready() {
            return self.complain(Some(Verb::Xforward), reply);
        }
        let mut origin = self.origin.take().unwrap_or_default();
        let learned = origin.learn(argument);
        self.facts.came_of_ours = origin.source == Some(Source::Local);
        self.origin = Some(origin);
        match learned {
            Ok(()) => self.idle(Reply::new(250, 0, 0, "Ok")),
            Err(fault) => {
                let verb = Verb::Xforward;
                self.complain(Some(verb), SyntaxError { verb, fault }.reply());
            }
        }
    }

    /// What was said holds for one message. Gives it.
    pub(crate) fn take_origin(&mut self) -> Option<Box<Origin>> {
        self.facts.came_of_ours = false;
        self.origin.take()
    }

    /// Whether anybody may have sent the message, as far as that is known. On the way back from a filter
    /// that is so unless it says otherwise.
    pub(crate) fn is_from_stranger(&self) -> bool {
        if self.is_way_back() {
            !self.facts.came_of_ours
        } else {
            self.is_stranger()
        }
    }
}
