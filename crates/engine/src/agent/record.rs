//! Keeps what is said on the connections of an agent, for those who record it.

use smtp::Said;

use super::{Agent, Stage, Step};

impl Agent {
    /// From here on, tells what is said ([`Step::Said`]), and gives it along with each report.
    pub fn record(&mut self) {
        self.records = true;
        if let Stage::Talking { conversation, .. } = &mut self.stage {
            conversation.record();
        }
    }

    /// Something that happened to the connection.
    pub(super) fn remark(&mut self, text: std::fmt::Arguments<'_>) {
        if self.records {
            self.remarks.push(Said::remark(text));
        }
    }

    /// A job begins on a connection that was there before it.
    pub(super) fn remark_on_bond(&mut self) {
        if self.records && matches!(self.stage, Stage::Talking { .. }) {
            let remark = Said::remark(format_args!("connected to {} before", self.peer()));
            self.remarks.push(remark);
        }
    }

    /// Tells what was said since this was called last.
    pub(super) fn tell_said(&mut self) {
        if !self.records {
            return;
        }
        for remark in std::mem::take(&mut self.remarks) {
            self.keep(remark);
        }
        while let Stage::Talking { conversation, .. } = &mut self.stage
            && let Some(said) = conversation.next_said()
        {
            let peer = conversation.hop().address.on_network();
            self.told.push_back(Step::Said {
                peer,
                said: said.clone(),
            });
            self.keep(said);
        }
    }

    fn keep(&mut self, said: Said) {
        if let Some(load) = &mut self.load {
            load.dialogue.add(self.wall, said);
        }
    }
}
