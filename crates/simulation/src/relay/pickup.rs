//! Files of the pickup directory: each is moved to its queue id, handed to a session of its own, and
//! removed when its message is stored, as the daemon does it.

use std::sync::Arc;

use admission::Standing;
use engine::Incoming;
use mail::{Client, Domain, QueueId};
use spool::Spool;
use submission::{Content, Ended, Handover, Next, Origin, Submission};

use super::Relay;
use super::session::Session;
use crate::Sabotage;
use crate::world::{Owner, RelayEvent, SocketId, World, peer};

/// The account whose files they are.
const ACCOUNT: u32 = 33;
/// Within so many milliseconds the removal of files is on stable storage.
const SYNC_MILLIS: u64 = 5_000;

/// A file on its way to a session.
pub(super) struct Passage {
    number: usize,
    id: QueueId,
    handover: Handover,
}

impl Relay {
    /// All files that are there, new or left by the life before.
    pub(super) fn look_into_folder(world: &mut World) {
        for number in world.folder.numbers() {
            world.within(1_000, RelayEvent::PickUp(number));
        }
    }

    /// A file has its turn.
    pub(super) fn pick_up(&mut self, number: usize, world: &mut World) {
        let new = world.new_id();
        let Some(id) = world.folder.take(number, new) else {
            return;
        };
        if world.is_broken_by(Sabotage::RemoveFilesEarly) {
            world.folder.remove(number);
            world.folder.sync();
        }
        match world.spool.body(id) {
            Ok(Some(_)) => {
                world.count("files whose message was stored before");
                self.on_taken(number, id, world);
            }
            Ok(None) => {
                world.checker.on_offered(id);
                self.offer(number, id, world);
            }
            Err(_) => try_again(number, world),
        }
    }

    fn offer(&mut self, number: usize, id: QueueId, world: &mut World) {
        let config = &self.setup.config;
        let Some(pickup) = &config.local.pickup else {
            return;
        };
        let text = file(&world.checker.submissions[number]);
        let submission = read(&text, &config.hostname);
        let settings = Arc::clone(&pickup.session);
        let client = Client::of_this_machine(ACCOUNT, Arc::clone(&settings.rules.listener.name));
        let socket = world.connect(Owner::Session, Owner::Pickup);
        world.note(format_args!("file {number} is {id}: session {socket}"));
        let session = reception::Session::new(settings, client, socket as u64);
        let incoming = Incoming::new(session, Standing::permitted())
            .screened_by(Arc::clone(&config.screening));
        let session = Session::of_file(incoming, Arc::clone(&self.setup), socket, id);
        self.sessions.insert(socket, session);
        let handover = Handover::new("localhost", submission);
        let passage = Passage {
            number,
            id,
            handover,
        };
        self.passages.insert(peer(socket), passage);
        self.serve(socket, world, |_| ());
    }

    /// The session answers, or has ended.
    pub(crate) fn on_reply_to_file(&mut self, socket: SocketId, octets: &[u8], world: &mut World) {
        let Some(passage) = self.passages.get_mut(&socket) else {
            return;
        };
        match octets {
            [] => passage.handover.on_closed(),
            octets => passage.handover.receive(octets),
        }
        let (number, id) = (passage.number, passage.id);
        let ended = loop {
            match passage.handover.next_step() {
                Next::Send(octets) => world.write(socket, &octets),
                Next::Content => {
                    let text = file(&world.checker.submissions[number]);
                    world.write(socket, &content(passage.handover.submission(), &text));
                }
                Next::Receive => return,
                Next::Ended(ended) => break ended,
            }
        };
        world.close(socket);
        self.passages.remove(&socket);
        match ended {
            Ended::Taken(_) => self.on_taken(number, id, world),
            Ended::Refused { reply, .. } => {
                world.checker.on_bad_file(number, &reply);
                remove(number, world);
            }
            Ended::Postponed(_) => {
                world.count("files postponed");
                if world.is_broken_by(Sabotage::ForgetFileIds) {
                    world.folder.forget_id(number);
                }
                try_again(number, world);
            }
        }
    }

    fn on_taken(&self, number: usize, id: QueueId, world: &mut World) {
        world.count("files taken");
        let message = Arc::clone(&world.checker.submissions[number]);
        let all: Vec<usize> = (0..message.recipients.len()).collect();
        world.checker.on_promise(&message, Some(id), &all);
        remove(number, world);
    }
}

fn remove(number: usize, world: &mut World) {
    world.folder.remove(number);
    world.within(SYNC_MILLIS, RelayEvent::FolderSynced);
}

fn try_again(number: usize, world: &mut World) {
    let pause = world.random.between(1_000, 20 * 60_000);
    world.after(pause, RelayEvent::PickUp(number));
}

/// The file that a program writes for this message, in the form of IIS.
fn file(message: &crate::submission::Submission) -> Vec<u8> {
    let sender = message.sender.as_deref().unwrap_or_default();
    let mut text = format!("X-Sender: <{sender}>\r\n").into_bytes();
    for recipient in &message.recipients {
        text.extend_from_slice(format!("X-Receiver: {}\r\n", recipient.address).as_bytes());
    }
    [text, message.content.clone()].concat()
}

fn read(text: &[u8], hostname: &Domain) -> Submission {
    let submission = Submission::read(text, Origin::File(hostname));
    submission.unwrap_or_else(|why| panic!("the simulation's own file is wrong: {why}"))
}

/// What goes behind DATA.
fn content(submission: &Submission, text: &[u8]) -> Vec<u8> {
    let (mut content, mut octets) = (Content::new(), Vec::new());
    content.push(&submission.head, &mut octets);
    content.push(&text[submission.taken..], &mut octets);
    content.finish(&mut octets);
    octets
}
