use std::cell::RefCell;
use std::rc::Rc;

use crate::octets::{Octets, Shared};

/// Where octets go that were unpacked, have to be looked into, and are too many for memory: a file
/// that nobody else sees.
pub trait Scratch: Octets {
    /// Puts octets behind those that are there. What cannot be written is missing, as what cannot be
    /// read is ([`Octets`]).
    fn append(&mut self, octets: &[u8]);

    /// Forgets all of them.
    fn clear(&mut self);
}

/// All in memory, however much that is.
impl Scratch for Vec<u8> {
    fn append(&mut self, octets: &[u8]) {
        self.extend_from_slice(octets);
    }

    fn clear(&mut self) {
        *self = Self::new();
    }
}

/// So many octets that were unpacked are in memory, and the others elsewhere.
const MEMORY_MAX: usize = 1 << 20;

/// Octets that were unpacked, one thing behind the other.
#[derive(Clone)]
pub(crate) struct Kept<'a>(Rc<RefCell<Store<'a>>>);

struct Store<'a> {
    memory: Vec<u8>,
    scratch: &'a mut dyn Scratch,
}

impl<'a> Kept<'a> {
    pub(crate) fn new(scratch: &'a mut dyn Scratch) -> Self {
        let memory = Vec::new();
        Self(Rc::new(RefCell::new(Store { memory, scratch })))
    }

    /// Puts octets behind the others.
    pub(crate) fn append(&self, octets: &[u8]) {
        let mut store = self.0.borrow_mut();
        let is_in_memory = store.scratch.size() == 0;
        if is_in_memory && store.memory.len() + octets.len() <= MEMORY_MAX {
            store.memory.extend_from_slice(octets);
        } else {
            store.scratch.append(octets);
        }
    }

    /// Nobody needs any of them any more.
    pub(crate) fn clear(&self) {
        let mut store = self.0.borrow_mut();
        store.memory = Vec::new();
        store.scratch.clear();
    }

    pub(crate) fn shared(&self) -> Shared<'a> {
        Rc::new(self.clone())
    }
}

impl Octets for Kept<'_> {
    fn size(&self) -> usize {
        let store = self.0.borrow();
        store.memory.len() + store.scratch.size()
    }

    fn read_at(&self, at: usize, to: &mut [u8]) -> usize {
        let store = self.0.borrow();
        match at.checked_sub(store.memory.len()) {
            None => store.memory.read_at(at, to),
            Some(at) => store.scratch.read_at(at, to),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_wherever_it_lies() {
        let mut scratch = Vec::new();
        let kept = Kept::new(&mut scratch);
        let octets: Vec<u8> = (0..MEMORY_MAX as u32 + 5000)
            .map(|at| (at / 7) as u8)
            .collect();
        for piece in octets.chunks(999) {
            kept.append(piece);
        }
        assert!(kept.0.borrow().scratch.size() >= 5000);
        let shared = kept.shared();
        assert!(shared.copy(0..usize::MAX) == octets);
        kept.clear();
        assert_eq!(shared.size(), 0);
    }
}
