//! The model: what the spool means, with nothing in the way. Changes are applied to maps; a crash
//! forgets what no commit named.

mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use filter::Filter;
use mail::{QueueId, Timestamp};

use crate::interface::nameless;
use crate::model::state::State;
use crate::{
    Body, BodyWriter, Change, Commit, Content, Counts, DuePage, Found, Health, LargeBody,
    Operation, Page, Pause, SharedBody, Spool, SpoolError, UnscreenedPage, Waiting, Wanted,
};

/// The spool in memory, for tests and simulation: the same answers as [`crate::Local`], no disk, no
/// threads, no chance. Faults happen when they are asked for.
#[derive(Default)]
pub struct Model {
    state: Arc<Mutex<State>>,
}

/// How the next commit goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Nothing of it is applied; every change is answered `Rejected` with this error.
    Rejected(SpoolError),
    /// Every change is answered `Unknown`. Readers see what really happened only after
    /// [`Model::crash`] or a heal.
    Unknown {
        /// Whether the changes turn out to be on stable storage.
        applied: bool,
    },
}

impl Model {
    /// An empty spool, accepting.
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The process dies and starts again: commits stay, bodies that no commit named are gone, the
    /// store is healthy, planned faults are forgotten. Writers that were open can still be called;
    /// what they finish counts for nothing.
    pub fn crash(&self) {
        let mut state = self.state();
        state.surface();
        state.life += 1;
        state.writing.clear();
        let State {
            bodies, messages, ..
        } = &mut *state;
        bodies.retain(|id, _| messages.contains_key(id));
        (state.failed, state.fault_next, state.heals_to_fail) = (None, None, 0);
    }

    /// The next commit goes wrong, and the store is `Failed` until it is healed.
    pub fn fail_next_commit(&self, fault: Fault) {
        self.state().fault_next = Some(fault);
    }

    /// The next `times` calls of `heal` do not heal a `Failed` store.
    pub fn fail_heals(&self, times: u32) {
        self.state().heals_to_fail = times;
    }

    /// From now on the disk is (or is no longer) below the floor. New mail is rejected with
    /// [`SpoolError::Full`] meanwhile.
    pub fn set_low_space(&self, low: bool) {
        self.state().low_space = low;
    }

    /// From now on a part of an operation changes so many recipients at most.
    pub fn set_part_max(&self, recipients: usize) {
        self.state().part_max = Some(recipients);
    }

    /// How many commits changed something durable so far.
    pub fn commits(&self) -> u64 {
        self.state().commits
    }

    /// Every recipient of every message, in order of id: what a test compares with what was
    /// promised.
    pub fn everything(&self) -> Vec<Waiting> {
        self.state().find(
            &Filter::everything(),
            Page {
                after: None,
                limit: usize::MAX,
            },
        )
    }
}

impl Spool for Model {
    fn open_body(&self, id: QueueId) -> Result<Box<dyn BodyWriter>, SpoolError> {
        let mut state = self.state();
        if state.low_space {
            return Err(SpoolError::Full);
        }
        if state.bodies.contains_key(&id) || !state.writing.insert(id) {
            return Err(SpoolError::Io(
                format!("the body file of {id} exists").into(),
            ));
        }
        let life = state.life;
        let state = Arc::clone(&self.state);
        Ok(Box::new(Writing {
            state,
            id,
            life,
            content: Vec::new(),
            is_named: true,
        }))
    }

    fn commit(&self, changes: Vec<Change>) -> Vec<Commit> {
        self.state().commit(changes)
    }

    fn due(&self, host: &str, wanted: &Wanted) -> Result<DuePage, SpoolError> {
        Ok(self.state().due(host, wanted))
    }

    fn domains(&self) -> Result<Vec<(String, Timestamp)>, SpoolError> {
        Ok(self.state().domains())
    }

    fn abandon(&self, id: QueueId) {
        self.state().drop_body(id);
    }

    fn body(&self, id: QueueId) -> Result<Option<Body>, SpoolError> {
        Ok(self.state().body(id))
    }

    fn shared_body(&self, id: QueueId) -> Result<Option<Arc<dyn SharedBody>>, SpoolError> {
        let state = self.state();
        let is_large = |content: &Content| matches!(content, Content::Large(_));
        let large = state.messages.get(&id).filter(|one| is_large(&one.content));
        let content = large.and_then(|_| state.bodies.get(&id));
        Ok(content.map(|content| Arc::new(Copied(content.to_vec())) as Arc<dyn SharedBody>))
    }

    fn unscreened(&self, before: Timestamp, limit: usize) -> Result<UnscreenedPage, SpoolError> {
        Ok(self.state().unscreened(before, limit))
    }

    fn find_within(&self, filter: &Filter, page: Page, looks: usize) -> Result<Found, SpoolError> {
        Ok(self.state().find_within(filter, page, looks))
    }

    fn bouncing(&self, page: Page) -> Result<Vec<Waiting>, SpoolError> {
        Ok(self.state().bouncing(page))
    }

    fn count_within(&self, filter: &Filter, looks: usize) -> Result<Counts, SpoolError> {
        Ok(self.state().count_within(filter, looks))
    }

    fn pauses(&self) -> Result<Vec<Pause>, SpoolError> {
        Ok(self.state().pauses.values().cloned().collect())
    }

    fn operations(&self) -> Result<Vec<Operation>, SpoolError> {
        let state = self.state();
        let all = state.operations.iter();
        Ok(all.map(|one| one.operation.clone()).collect())
    }

    fn health(&self) -> Health {
        self.state().health()
    }

    fn heal(&self) -> Health {
        let mut state = self.state();
        if state.failed.is_some() {
            if state.heals_to_fail > 0 {
                state.heals_to_fail -= 1;
            } else {
                state.failed = None;
                state.surface();
            }
        }
        state.health()
    }
}

/// A large body being written.
struct Writing {
    state: Arc<Mutex<State>>,
    id: QueueId,
    life: u64,
    content: Vec<u8>,
    is_named: bool,
}

impl BodyWriter for Writing {
    fn write(&mut self, bytes: &[u8]) -> Result<(), SpoolError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.low_space {
            return Err(SpoolError::Full);
        }
        drop(state);
        self.content.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError> {
        Ok(read_at(&self.content, at, to))
    }

    fn share(&mut self) -> Result<Arc<dyn SharedBody>, SpoolError> {
        Ok(Arc::new(Copied(self.content.clone())))
    }

    fn give_up_name(&mut self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut self.is_named) && state.life == self.life {
            state.writing.remove(&self.id);
        }
    }

    fn finish(mut self: Box<Self>) -> Result<Content, SpoolError> {
        if !self.is_named {
            return Err(nameless());
        }
        let content: Bytes = std::mem::take(&mut self.content).into();
        let size = content.len() as u64;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.life == self.life {
            state.bodies.insert(self.id, content);
        }
        Ok(Content::Large(LargeBody {
            size,
            name: self.id.to_string().into(),
        }))
    }
}

fn read_at(content: &[u8], at: u64, to: &mut [u8]) -> usize {
    let at = usize::try_from(at).unwrap_or(usize::MAX);
    let rest = content.get(at..).unwrap_or_default();
    let octets = rest.len().min(to.len());
    to[..octets].copy_from_slice(&rest[..octets]);
    octets
}

/// What had been written of a body.
struct Copied(Vec<u8>);

impl SharedBody for Copied {
    fn read_at(&self, at: u64, to: &mut [u8]) -> Result<usize, SpoolError> {
        Ok(read_at(&self.0, at, to))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.give_up_name();
    }
}
