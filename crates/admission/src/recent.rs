//! A map that forgets: bounded, whatever comes.

use std::collections::HashMap;
use std::hash::Hash;

/// Remembers at most a number of things; the ones not touched for longest are forgotten, half of
/// them at a time. That costs no search for the oldest, also when somebody fills the map on
/// purpose.
#[derive(Debug)]
pub struct Recent<K, V> {
    half: usize,
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq, V> Recent<K, V> {
    /// Empty, and with so many things at most.
    pub fn new(limit: usize) -> Self {
        Self {
            half: (limit / 2).max(1),
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    /// Has so many things at most from now on; what there is goes as others come.
    pub fn limit(&mut self, limit: usize) {
        self.half = (limit / 2).max(1);
    }

    /// The value, where it is remembered.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Forgets it.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.old.remove(key);
        self.young.remove(key).or(old)
    }

    /// The value to change, made when it is not there.
    pub fn touch(&mut self, key: K) -> &mut V
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

    /// All of them, those that were touched last at the end.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.old.iter().chain(&self.young)
    }

    /// Forgets all others.
    pub fn retain(&mut self, keeps: impl Fn(&K) -> bool) {
        self.young.retain(|key, _| keeps(key));
        self.old.retain(|key, _| keeps(key));
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
