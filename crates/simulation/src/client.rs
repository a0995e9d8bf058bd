//! A client: wants its letters sent, and tries until each recipient was taken or refused for good.
//! Careless in bad weather.

use std::collections::{BTreeSet, VecDeque};

use crate::call::{Ask, Call, Manner};
use crate::event::Event;
use crate::geography::Class;
use crate::letter::Letter;
use crate::link::{End, LinkId};
use crate::stage::Stage;

/// One client over all its connections.
pub(crate) struct Client {
    pub(crate) index: usize,
    pub(crate) class: Class,
    /// Numbers of its letters that are not done.
    letters: VecDeque<usize>,
    /// Recipients that have had their answer, as addresses.
    settled: BTreeSet<String>,
    call: Option<Call>,
    tries: u64,
}

/// Tries after which a client would be mad to go on: the relay never gets it right.
const TRIES_MAX: u64 = 2_000;

impl Client {
    pub(crate) fn new(index: usize, class: Class, letters: VecDeque<usize>) -> Self {
        Self {
            index,
            class,
            letters,
            settled: BTreeSet::new(),
            call: None,
            tries: 0,
        }
    }

    pub(crate) fn has_work(&self) -> bool {
        !self.letters.is_empty()
    }

    /// It calls, on this connection.
    pub(crate) fn on_connected(&mut self, link: LinkId, stage: &mut Stage) {
        self.tries += 1;
        if self.tries > TRIES_MAX {
            stage
                .ledger
                .violate(format!("client {} tried {TRIES_MAX} times", self.index));
        }
        self.call = Some(Call {
            link,
            input: Vec::new(),
            manner: Manner::new(stage),
            chunking: false,
            unfinished: false,
            letter: None,
            todo: VecDeque::new(),
            sent: VecDeque::from([Ask::Greeting]),
            accepted: Vec::new(),
            step: 0,
        });
        self.renew_time_limit(stage);
    }

    /// No relay answers.
    pub(crate) fn on_refused(&mut self, stage: &mut Stage) {
        self.come_again(stage);
    }

    pub(crate) fn on_octets(&mut self, link: LinkId, octets: &[u8], stage: &mut Stage) {
        let Some(call) = self.call.as_mut().filter(|call| call.link == link) else {
            return;
        };
        call.input.extend_from_slice(octets);
        while let Some(call) = &mut self.call {
            let Some((code, text)) = call.take_reply() else {
                break;
            };
            call.step += 1;
            self.on_reply(code, &text, stage);
        }
        self.renew_time_limit(stage);
    }

    pub(crate) fn on_end(&mut self, link: LinkId, stage: &mut Stage) {
        if self.call.as_ref().is_some_and(|call| call.link == link) {
            self.hang_up(stage);
        }
    }

    /// Enough waited, if nothing has moved since.
    pub(crate) fn on_tired(&mut self, link: LinkId, step: u32, stage: &mut Stage) {
        if self
            .call
            .as_ref()
            .is_some_and(|call| call.link == link && call.step == step)
        {
            stage.totals.count("clients timed out");
            self.hang_up(stage);
        }
    }

    fn renew_time_limit(&self, stage: &mut Stage) {
        if let Some(call) = &self.call {
            let event = Event::ClientTires {
                client: self.index,
                link: call.link,
                step: call.step,
            };
            stage
                .clock
                .after_millis(call.manner.time_limit_millis, event);
        }
    }

    fn hang_up(&mut self, stage: &mut Stage) {
        if let Some(call) = self.call.take() {
            stage.close(call.link, End::Theirs);
        }
        self.come_again(stage);
    }

    fn come_again(&mut self, stage: &mut Stage) {
        if self.has_work() {
            let pause = stage.random.between(1_000, 20 * 60_000);
            stage
                .clock
                .after_millis(pause, Event::ClientComes(self.index));
        }
    }

    fn on_reply(&mut self, code: u16, text: &str, stage: &mut Stage) {
        let Some(call) = &mut self.call else { return };
        if code == 421 {
            return self.hang_up(stage);
        }
        let Some(ask) = call.sent.pop_front() else {
            return stage
                .ledger
                .violate(format!("the relay says {code} and nobody asked"));
        };
        match ask {
            Ask::Greeting if code == 220 => call.todo.push_back(Ask::Hello),
            Ask::Hello if code == 250 => {
                call.chunking = text.contains("CHUNKING");
                call.manner.pipelines &= text.contains("PIPELINING");
                self.next_letter(stage);
            }
            Ask::Greeting | Ask::Hello => return self.hang_up(stage),
            Ask::Rcpt(at) => self.on_rcpt(at, code, stage),
            Ask::Data if code == 354 => call.todo.push_front(Ask::Content),
            Ask::Mail if code / 100 != 2 => call.todo.clear(),
            Ask::Mail | Ask::Data | Ask::Idle(_) => {}
            Ask::Content => self.on_answer(code, text, stage),
            Ask::Chunk { last: true, .. } => self.on_answer(code, text, stage),
            Ask::Chunk { .. } if code / 100 != 2 => call.todo.clear(),
            Ask::Chunk { .. } => {}
            Ask::Quit => return self.hang_up(stage),
        }
        self.go_on(stage);
    }

    fn on_rcpt(&mut self, at: usize, code: u16, stage: &mut Stage) {
        let Some(call) = &mut self.call else { return };
        let letter = call
            .letter
            .and_then(|number| stage.ledger.letters.get(number));
        let Some(addressee) = letter.and_then(|letter| letter.addressees.get(at)).cloned() else {
            return;
        };
        let address = addressee.address;
        if code / 100 == 2 {
            call.accepted.push(address.clone());
            if !addressee.allowed {
                stage
                    .ledger
                    .violate(format!("an open relay: {address} was taken"));
            }
        } else if code == 550 {
            stage.totals.count("recipients refused");
            if addressee.allowed {
                stage
                    .ledger
                    .violate(format!("{address} was refused: {code}"));
            }
            self.settled.insert(address);
        }
    }

    /// The answer to a whole message.
    fn on_answer(&mut self, code: u16, text: &str, stage: &mut Stage) {
        let Some(call) = &mut self.call else { return };
        let Some(letter) = call.letter else { return };
        if code / 100 == 2 {
            stage.totals.count("messages promised");
            let id = text
                .split_once("queued as ")
                .and_then(|(_, id)| id.get(..26)?.parse().ok());
            stage.ledger.on_promise(letter, id, &call.accepted);
            self.settled.extend(call.accepted.drain(..));
        } else if code / 100 == 5 && code != 503 && code != 554 {
            stage.totals.count("messages refused");
            let smuggles = stage
                .ledger
                .letters
                .get(letter)
                .is_some_and(|letter| letter.smuggles);
            if !smuggles {
                stage
                    .ledger
                    .violate(format!("letter {letter} was refused: {code} {text}"));
            }
            self.settled.extend(call.accepted.drain(..));
        } else {
            stage.totals.count("messages postponed");
        }
    }

    /// The next transaction, or QUIT.
    fn next_letter(&mut self, stage: &mut Stage) {
        let letters = &stage.ledger.letters;
        let settled = &self.settled;
        self.letters
            .retain(|number| !open(&letters[*number], settled).is_empty());
        let Some(call) = &mut self.call else { return };
        // The same letter twice on one connection would only meet the same trouble.
        let next = self
            .letters
            .iter()
            .copied()
            .find(|number| call.letter.is_none_or(|last| *number > last));
        call.letter = next;
        call.accepted.clear();
        match next {
            None => call.todo.push_back(Ask::Quit),
            Some(number) => {
                let letter = &letters[number];
                if stage.random.chance(15) {
                    let idle = *stage.random.pick(&["NOOP", "RSET", "VRFY ann"]);
                    call.todo.push_back(Ask::Idle(idle));
                }
                if call.unfinished {
                    call.todo.push_back(Ask::Idle("RSET"));
                }
                call.unfinished = true;
                call.todo.push_back(Ask::Mail);
                call.todo
                    .extend(open(letter, settled).into_iter().map(Ask::Rcpt));
                let chunks = call.chunking && call.manner.likes_chunks;
                if chunks {
                    call.todo.extend(cut_in_chunks(letter.content.len(), stage));
                } else {
                    call.todo.push_back(Ask::Data);
                }
            }
        }
    }

    /// Says what can be said now.
    fn go_on(&mut self, stage: &mut Stage) {
        loop {
            let Some(call) = &mut self.call else { return };
            if call.todo.is_empty() && call.sent.is_empty() {
                self.next_letter(stage);
                continue;
            }
            let barrier = |ask: &Ask| {
                matches!(
                    ask,
                    Ask::Data | Ask::Content | Ask::Hello | Ask::Quit | Ask::Greeting
                )
            };
            let waits = if call.manner.pipelines {
                call.sent.iter().any(barrier)
            } else {
                !call.sent.is_empty()
            };
            let Some(ask) = call.todo.front().filter(|_| !waits).cloned() else {
                return;
            };
            if call
                .manner
                .leaves_after
                .is_some_and(|after| call.step >= after)
            {
                stage.totals.count("clients left without a word");
                return self.hang_up(stage);
            }
            if call
                .manner
                .stalls_after
                .is_some_and(|after| call.step >= after)
            {
                return;
            }
            call.todo.pop_front();
            call.step += 1;
            let octets = call.words(&ask, self.index, &stage.ledger.letters);
            call.sent.push_back(ask);
            stage.write(call.link, End::Theirs, &octets);
        }
    }
}

/// Addressees without an answer, by place.
fn open(letter: &Letter, settled: &BTreeSet<String>) -> Vec<usize> {
    let open = letter
        .addressees
        .iter()
        .enumerate()
        .filter(|(_, a)| !settled.contains(&a.address));
    open.map(|(at, _)| at).collect()
}

fn cut_in_chunks(length: usize, stage: &mut Stage) -> Vec<Ask> {
    let mut chunks = Vec::new();
    let mut from = 0;
    while from < length && stage.random.chance(40) {
        let to = stage.random.size(from, length);
        chunks.push(Ask::Chunk {
            from,
            to,
            last: false,
        });
        from = to;
    }
    chunks.push(Ask::Chunk {
        from,
        to: length,
        last: true,
    });
    chunks
}
