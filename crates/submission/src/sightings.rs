use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::time::Duration;

/// So many files of one account are looked at in one go; those beyond have their turn when these are
/// gone.
pub const LOOK_MAX: usize = 10_000;

/// How long size and time of a file stand still before it is taken to be whole.
const STILL: Duration = Duration::from_secs(2);

/// What has to stand still of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whose file it is.
    pub uid: u32,
    /// Which file it is, whatever its name.
    pub inode: u64,
    /// Octets.
    pub size: u64,
    /// When it was written to last, in nanoseconds since 1970.
    pub modified: i128,
}

/// What was seen of the pickup directory so far: which files may still be written to, and which are
/// whole.
///
/// A file is whole when it was moved to its name, or when nothing about it changed for two seconds,
/// by a clock that nobody sets: how far the clock of a file server is off does not matter.
#[derive(Debug, Default)]
pub struct Sightings {
    files: HashMap<OsString, Sighting>,
    /// Since the last look.
    moved_in: HashSet<OsString>,
}

/// One file that is there.
#[derive(Debug, Clone, Copy)]
struct Sighting {
    seen: Seen,
    /// Since when it is as it was seen.
    since: Duration,
    moved_in: bool,
}

impl Sightings {
    /// Whether a file of this name is a message: `NAME.eml`, in any case. What begins with a dot is
    /// a file that somebody has not finished.
    pub fn is_message(name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        let ending = name.len().checked_sub(4).map(|at| &name[at..]);
        name.len() > 4
            && name[0] != b'.'
            && ending.is_some_and(|ending| ending.eq_ignore_ascii_case(b".eml"))
    }

    /// A file was moved to this name just now.
    pub fn on_moved_in(&mut self, name: &OsStr) {
        if Self::is_message(name) && self.moved_in.len() < LOOK_MAX {
            self.moved_in.insert(name.to_owned());
        }
    }

    /// Takes all that the directory holds at `now`, and gives those that are whole, with whose they
    /// are: the oldest first, and the accounts by turns. Those of them that are not taken away are
    /// given again.
    pub fn look(&mut self, there: Vec<(OsString, Seen)>, now: Duration) -> Vec<(OsString, u32)> {
        let mut before = std::mem::take(&mut self.files);
        let mut whole = Vec::new();
        for (name, seen) in there {
            let known = before.remove(&name).filter(|known| known.seen == seen);
            let mut sighting = known.unwrap_or(Sighting {
                seen,
                since: now,
                moved_in: false,
            });
            sighting.moved_in |= self.moved_in.contains(&name);
            if sighting.moved_in || now.saturating_sub(sighting.since) >= STILL {
                whole.push((name.clone(), seen));
            }
            self.files.insert(name, sighting);
        }
        self.moved_in.clear();
        by_turns(whole)
    }
}

fn by_turns(mut files: Vec<(OsString, Seen)>) -> Vec<(OsString, u32)> {
    files.sort_by_key(|(_, seen)| seen.modified);
    let mut turns = HashMap::new();
    let mut in_turn: Vec<(usize, OsString, u32)> = Vec::with_capacity(files.len());
    for (name, seen) in files {
        let turn = turns.entry(seen.uid).or_insert(0);
        *turn += 1;
        in_turn.push((*turn, name, seen.uid));
    }
    in_turn.sort_by_key(|(turn, ..)| *turn);
    let files = in_turn.into_iter();
    files.map(|(_, name, uid)| (name, uid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn there(files: &[(&str, u64)]) -> Vec<(OsString, Seen)> {
        let seen = |size| Seen {
            uid: 33,
            inode: 7,
            size,
            modified: i128::from(size),
        };
        let files = files.iter();
        files
            .map(|(name, size)| (OsString::from(name), seen(*size)))
            .collect()
    }

    fn look(sightings: &mut Sightings, files: &[(&str, u64)], millis: u64) -> Vec<OsString> {
        let found = sightings.look(there(files), Duration::from_millis(millis));
        found.into_iter().map(|(name, _)| name).collect()
    }

    #[test]
    fn a_file_is_whole_once_it_stood_still() {
        let mut sightings = Sightings::default();
        for (millis, files, whole) in [
            (0, &[("a.eml", 1)][..], &[][..]),
            (1_000, &[("a.eml", 2), ("b.eml", 1)], &[]),
            (2_900, &[("a.eml", 2), ("b.eml", 1)], &[]),
            (3_000, &[("a.eml", 3), ("b.eml", 1)], &["b.eml"]),
            (5_000, &[("a.eml", 3)], &["a.eml"]),
            // Not taken away, as there were too many.
            (5_100, &[("a.eml", 3)], &["a.eml"]),
            // Another file of that name.
            (5_200, &[("a.eml", 4)], &[]),
        ] {
            let found = look(&mut sightings, files, millis);
            assert_eq!(found, whole, "{millis}");
        }
    }

    #[test]
    fn a_file_that_was_moved_in_is_whole_at_once() {
        let mut sightings = Sightings::default();
        sightings.on_moved_in("a.eml".as_ref());
        sightings.on_moved_in("gone.eml".as_ref());
        let found = look(&mut sightings, &[("a.eml", 1), ("b.eml", 1)], 0);
        assert_eq!(found, ["a.eml"]);
        let found = look(&mut sightings, &[("a.eml", 1)], 0);
        assert_eq!(found, ["a.eml"]);
        let found = look(&mut sightings, &[("gone.eml", 1)], 0);
        assert!(found.is_empty());
    }

    /// Whoever puts thousands of files there waits for himself.
    #[test]
    fn accounts_have_turns_and_older_files_are_first() {
        let of = |uid, name: &str, modified| {
            let seen = Seen {
                uid,
                inode: 7,
                size: 1,
                modified,
            };
            (OsString::from(name), seen)
        };
        let files = [
            of(33, "third.eml", 3),
            of(33, "first.eml", 1),
            of(33, "second.eml", 2),
            of(8, "late.eml", 9),
        ];
        let turns = by_turns(files.to_vec());
        let names: Vec<_> = turns.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["first.eml", "late.eml", "second.eml", "third.eml"]);
        assert_eq!(turns[1].1, 8);
    }

    #[test]
    fn only_messages_are_looked_at() {
        for (name, expected) in [
            ("a.eml", true),
            ("A.EML", true),
            (".a.eml", false),
            (".eml", false),
            ("a.tmp", false),
            ("a.eml.part", false),
            ("é", false),
        ] {
            assert_eq!(Sightings::is_message(name.as_ref()), expected, "{name}");
        }
    }
}
