//! A map that forgets: bounded, whatever comes.

use std::collections::HashMap;
use std::hash::Hash;

/// Remembers at most a number of things; the ones not touched for longest are forgotten, half of
/// them at a time. That costs no search for the oldest, also when somebody fills the map on
/// purpose.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            half: (limit / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }

    /// The value to change, made when it is not there.
    pub(crate) fn touch(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        let known = self.old.remove(&key);
        if !self.young.contains_key(&key) && self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        let value = self.young.entry(key).or_default();
        if let Some(known) = known {
            *value = known;
        }
        value
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_untouched_are_forgotten_and_the_limit_holds() {
        let mut recent = Recent::new(10);
        for key in 0..1000 {
            *recent.touch(key) = key;
            *recent.touch(-1) -= 1;
            assert!(recent.len() <= 10);
            assert_eq!(recent.get(&key), Some(&key));
        }
        assert_eq!(recent.get(&-1), Some(&-1000), "touched at every turn");
        assert_eq!(recent.get(&0), None);
        assert_eq!(recent.remove(&-1), Some(-1000));
        assert_eq!(recent.get(&-1), None);
    }
}
