//! Scanners beside the relay: each answers in its time, finds something, or has no answer; and the
//! session that waits for them is killed, or its connection breaks.

use std::collections::BTreeSet;
use std::sync::Arc;

use dkim::Signers;
use engine::{Screened, Screening};
use mail::{Domain, QueueId};
use reception::StoreTrouble;
use screening::{Class, Finding};

use super::Relay;
use super::session::Session;
use crate::Sabotage;
use crate::submission::owner;
use crate::world::{RelayEvent, SocketId, World};

/// Within so many milliseconds a scanner answers.
const ANSWER_MILLIS: u64 = 5_000;
/// After so many it has not.
const TIMEOUT_MILLIS: u64 = 30_000;

/// A message that scanners look at.
pub(super) struct Asked {
    pub(super) screening: Screening,
    /// Those who have not answered.
    pub(super) asked: BTreeSet<Arc<str>>,
}

/// A message at which scanners look while its client waits.
pub(super) struct Scanning {
    asked: Asked,
    id: QueueId,
}

impl Relay {
    /// A scanner has answered about this message, if anybody still waits for that.
    pub(super) fn on_scanned(
        &mut self,
        (socket, id): (SocketId, QueueId),
        scanner: &str,
        finding: Finding,
        world: &mut World,
    ) {
        if let Some(session) = self.sessions.get_mut(&socket) {
            session.on_scanned(id, scanner, finding, world);
            self.serve(socket, world, |_| ());
        }
    }

    /// An operator has enough of this session, if it still waits for scanners.
    pub(super) fn on_killed(&mut self, socket: SocketId, id: QueueId, world: &mut World) {
        let session = self.sessions.get_mut(&socket);
        if session.is_some_and(|session| session.gives_up(Some(id))) {
            world.count("sessions killed while scanners were asked");
            self.serve(socket, world, |session| session.incoming.on_given_up());
        }
    }
}

/// Has scanners look at a message, as `event` tells what each came to; who was asked.
pub(super) fn ask_scanners(
    screening: &mut Screening,
    hostname: &Domain,
    event: impl Fn(Arc<str>, Finding) -> RelayEvent,
    world: &mut World,
) -> Result<BTreeSet<Arc<str>>, StoreTrouble> {
    screening.read(world.now())?;
    if !screening.is_scanned() {
        return Ok(BTreeSet::new());
    }
    let World {
        spool,
        random,
        clock,
        ..
    } = world;
    screening.look(spool, &mut || random.queue_id(clock.now()))?;
    let id = screening.storing().id();
    let about = screening.subject(hostname);
    let number = about.recipients.first().and_then(|first| owner(first));
    let finds = number.and_then(|(number, _)| world.checker.submissions[number].found_by());
    world.checker.on_scanning(id);
    let asked = screening.scanners();
    for scanner in &asked {
        let is_silent = world.fails(15);
        let (within, finding) = match finds {
            _ if is_silent => (TIMEOUT_MILLIS, Finding::error("no answer")),
            Some(one) if *one == **scanner => (ANSWER_MILLIS, found(Class::Infected)),
            Some(_) | None => (ANSWER_MILLIS, found(Class::Clean)),
        };
        world.within(within, event(Arc::clone(scanner), finding));
    }
    Ok(asked.into_iter().collect())
}

/// One has answered about the message `id`; whether nobody has to be waited for any more.
pub(super) fn hear(
    message: &mut Asked,
    id: QueueId,
    scanner: &str,
    finding: Finding,
    world: &mut World,
) -> bool {
    let is_error = finding.classes.contains(&Class::Error);
    if is_error {
        world.count("scanners without an answer");
    } else {
        world.checker.on_scanned(id, scanner);
    }
    let is_bad = !finding.is_clean();
    let finding = match is_error && world.is_broken_by(Sabotage::TrustSilentScanners) {
        true => found(Class::Clean),
        false => finding,
    };
    message.asked.remove(scanner);
    message.screening.on_scanned(scanner, finding, Vec::new());
    message.asked.is_empty() || is_bad && message.screening.is_refused()
}

impl Session {
    /// Looks at a message. Nobody asks DNS about senders in this world.
    pub(super) fn screen(&mut self, mut screening: Screening, world: &mut World) {
        if let Some(by) = screening.is_late(self.setup.routes()).cloned() {
            let screened = screening.put_off(by);
            return self.incoming.on_screened(screened, Vec::new());
        }
        let (socket, id) = (self.socket, screening.storing().id());
        let event = |scanner, finding| RelayEvent::Scanned(socket, id, scanner, finding);
        let hostname = &self.setup.config.hostname;
        match ask_scanners(&mut screening, hostname, event, world) {
            Err(trouble) => self
                .incoming
                .on_screened(Screened::Failed(trouble), Vec::new()),
            Ok(asked) if asked.is_empty() => self.judge(screening, world),
            Ok(asked) => {
                if world.fails(5) {
                    world.within(ANSWER_MILLIS, RelayEvent::Killed(self.socket, id));
                }
                let asked = Asked { screening, asked };
                self.scanning = Some(Box::new(Scanning { asked, id }));
            }
        }
    }

    fn on_scanned(&mut self, id: QueueId, scanner: &str, finding: Finding, world: &mut World) {
        let Some(mut scanning) = self.scanning.take_if(|one| one.id == id) else {
            return world.count("answers of scanners that nobody waits for");
        };
        if !hear(&mut scanning.asked, id, scanner, finding, world) {
            self.scanning = Some(scanning);
            return;
        }
        let mut screening = scanning.asked.screening;
        match screening.on_scanners_done() {
            Ok(()) => self.judge(screening, world),
            Err(trouble) => self
                .incoming
                .on_screened(Screened::Failed(trouble), Vec::new()),
        }
    }

    /// Whether it was waiting for scanners, about this message or any, and waits no longer.
    pub(super) fn gives_up(&mut self, about: Option<QueueId>) -> bool {
        let is_meant = |one: &mut Box<Scanning>| about.is_none_or(|id| one.id == id);
        self.scanning.take_if(is_meant).is_some()
    }

    fn judge(&mut self, screening: Screening, world: &mut World) {
        let World {
            spool,
            random,
            clock,
            ..
        } = world;
        let judgement = screening.run(&Signers::default(), spool, &mut || {
            random.queue_id(clock.now())
        });
        self.incoming
            .on_screened(judgement.screened, judgement.each);
    }
}

fn found(class: Class) -> Finding {
    Finding {
        classes: vec![class],
        ..Finding::default()
    }
}
