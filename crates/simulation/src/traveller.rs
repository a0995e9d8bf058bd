//! One agent on its way, between its [`engine::Agent`] and the stage.

use std::collections::VecDeque;

use delivery::HandshakeFault;
use engine::Agent;
use mail::{Timestamp, TlsFacts};
use route::Hop;
use spool::{Body, Spool};

use crate::Sabotage;
use crate::event::Inner;
use crate::network::{End, LinkId};
use crate::road::Order;
use crate::stage::Stage;

/// One agent, and its end of the connection.
pub(crate) struct Traveller {
    pub(crate) agent: Agent,
    pub(crate) orders: VecDeque<Order>,
    pub(crate) link: Option<LinkId>,
    /// Arrived, and not yet given to the conversation.
    pub(crate) arrived: VecDeque<Vec<u8>>,
    /// The server has closed its end.
    pub(crate) ended: bool,
    pub(crate) waits: Option<Wait>,
    /// Content on its way into the conversation, and how much of it was fed.
    pub(crate) feed: Option<(Vec<u8>, usize)>,
    pub(crate) phase: Option<u32>,
    pub(crate) deadline: Timestamp,
}

/// What an agent waits for, before it can do the next step.
pub(crate) enum Wait {
    Dns,
    Connect(Hop),
    Content,
    /// Part of the output is being written; what arrives meanwhile is read.
    Sending,
}

/// Octets of content fed at once.
const PIECE_BYTES: usize = 64 << 10;

impl Traveller {
    pub(crate) fn new(agent: Agent) -> Self {
        Self {
            agent,
            orders: VecDeque::new(),
            link: None,
            arrived: VecDeque::new(),
            ended: false,
            waits: Some(Wait::Dns),
            feed: None,
            phase: None,
            deadline: Timestamp::default(),
        }
    }

    pub(crate) fn connect(&mut self, hop: Hop, stage: &mut Stage) {
        self.hang_up(stage);
        self.waits = Some(Wait::Connect(hop));
        let slow = stage.mishap(10);
        let pause = stage.random.between(0, if slow { 30_000 } else { 100 });
        stage.within(
            pause,
            Inner::Connect {
                agent: self.agent.id(),
            },
        );
    }

    /// The handshake succeeds, or it does not.
    pub(crate) fn shake_hands(&mut self, stage: &mut Stage) {
        if stage.mishap(20) {
            stage.totals.count("handshakes that failed");
            let fault = HandshakeFault::Broken("handshake failure".into());
            return self.agent.on_handshake_failed(&fault);
        }
        let facts = TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            certificate: None,
        };
        self.agent.on_encrypted(facts, None);
    }

    pub(crate) fn hang_up(&mut self, stage: &mut Stage) {
        if let Some(link) = self.link.take() {
            self.write(usize::MAX, stage);
            stage.close(link, End::Ours);
        }
        self.arrived.clear();
        self.ended = false;
        self.phase = None;
        self.feed = None;
    }

    /// A job may have been given while the connection broke.
    pub(crate) fn take_last_order(&mut self) -> bool {
        while let Some(order) = self.orders.pop_front() {
            if let Order::Give(job) = order {
                self.agent.give(*job);
                return true;
            }
        }
        false
    }

    pub(crate) fn want_content(&mut self, stage: &mut Stage) {
        let in_memory = self.agent.job().is_some_and(|job| job.content.is_some());
        if in_memory {
            self.open_content(stage);
        } else {
            self.waits = Some(Wait::Content);
            let pause = stage.random.between(0, 20);
            stage.within(
                pause,
                Inner::Content {
                    agent: self.agent.id(),
                },
            );
        }
    }

    pub(crate) fn open_content(&mut self, stage: &mut Stage) {
        let Some(job) = self.agent.job() else {
            return;
        };
        let id = job.message.id;
        let content = match &job.content {
            Some(content) => Some(content.to_vec()),
            None => {
                stage.totals.count("contents read back from the spool");
                match stage.spool.body(id) {
                    Ok(Some(body)) if !stage.mishap(2) => Some(read_body(body)),
                    Ok(_) | Err(_) => None,
                }
            }
        };
        match content {
            Some(mut content) => {
                if stage.sabotage == Some(Sabotage::SpoilContent)
                    && let Some(octet) = content.last_mut()
                {
                    *octet ^= 1;
                }
                self.feed = Some((content, 0));
            }
            None => {
                stage.totals.count("contents that could not be read");
                if let Some(conversation) = self.agent.conversation() {
                    conversation.content_failed("unreadable today");
                }
            }
        }
    }

    /// One move on the connection. False when there is nothing to do but wait.
    pub(crate) fn talk(&mut self, stage: &mut Stage) -> bool {
        if self.feed() {
            return true;
        }
        let id = self.agent.id();
        let has_job = self.agent.job().is_some();
        let Some(conversation) = self.agent.conversation() else {
            return false;
        };
        let waiting = conversation.output().len();
        if waiting > 0 {
            let octets = if stage.random.chance(90) {
                waiting
            } else {
                stage.random.size(1, waiting)
            };
            if stage.random.chance(85) {
                self.write(octets, stage);
            } else {
                self.waits = Some(Wait::Sending);
                let pause = stage.random.between(0, 50);
                stage.within(pause, Inner::Sent { agent: id, octets });
            }
            return true;
        }
        if self.take_arrived() {
            return true;
        }
        if let Some(Order::Hurry) = self.orders.front() {
            self.orders.pop_front();
            stage.totals.count("agents hurried");
            self.agent.hurry();
            return true;
        }
        if self.ended {
            if let Some(conversation) = self.agent.conversation() {
                conversation.on_disconnected();
            }
            return true;
        }
        if !has_job && let Some(order) = self.orders.pop_front() {
            match order {
                Order::Give(job) => self.agent.give(*job),
                Order::Hurry => {}
                Order::Dismiss => self.agent.dismiss(),
            }
            return true;
        }
        self.keep_time(stage)
    }

    /// Whether time ran out; sets the timer otherwise.
    pub(crate) fn keep_time(&mut self, stage: &mut Stage) -> bool {
        let id = self.agent.id();
        let Some(conversation) = self.agent.conversation() else {
            return false;
        };
        let time_limit = conversation.time_limit();
        if self.phase != Some(time_limit.phase) {
            self.phase = Some(time_limit.phase);
            self.deadline = stage.now() + time_limit.limit;
            stage.within_at(self.deadline, Inner::AgentTimer { agent: id });
        } else if self.deadline <= stage.now() {
            stage.totals.count("agents timed out");
            conversation.on_timeout();
            return true;
        }
        false
    }

    pub(crate) fn take_arrived(&mut self) -> bool {
        let Some(octets) = self.arrived.pop_front() else {
            return false;
        };
        if let Some(conversation) = self.agent.conversation() {
            conversation.receive(&octets);
        }
        true
    }

    /// Hands over the next piece of content, if it is wanted.
    pub(crate) fn feed(&mut self) -> bool {
        let Some(conversation) = self.agent.conversation() else {
            return false;
        };
        if !conversation.wants_content() || !conversation.output().is_empty() {
            return false;
        }
        let Some((content, fed)) = &mut self.feed else {
            return false;
        };
        let end = (*fed + PIECE_BYTES).min(content.len());
        conversation.content(&content[*fed..end]);
        *fed = end;
        if end == content.len() {
            conversation.content_end();
            self.feed = None;
        }
        true
    }

    /// Writes so much of the output.
    pub(crate) fn write(&mut self, octets: usize, stage: &mut Stage) {
        let Some(link) = self.link else { return };
        let Some(conversation) = self.agent.conversation() else {
            return;
        };
        let output = conversation.output();
        let written: Vec<u8> = output.drain(..octets.min(output.len())).collect();
        stage.write(link, End::Ours, &written);
    }
}

/// Reads a stored body to its end.
fn read_body(body: Body) -> Vec<u8> {
    match body {
        Body::Memory(content) => content.to_vec(),
        Body::Stream(mut stream) => {
            let mut content = Vec::new();
            // The model's streams are memory.
            let _read = std::io::Read::read_to_end(&mut stream, &mut content);
            content
        }
    }
}
