//! What a disk holds, and what its cache shows. They differ until a sync; what a failed sync
//! covered they never agree about again, unless it is written anew: readers go on seeing it, the
//! next sync says yes, and a cut shows that it was never there. That is what Linux does with pages
//! whose writing failed (each open file hears of it once).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};

/// What is lost or kept as one.
const PAGE: usize = 4096;
/// The number of the uppermost directory.
pub const ROOT: u64 = 1;

/// What a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    Log,
    Database,
    Body,
    Directory,
    /// What need not survive.
    Other,
}

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failing {
    /// The sync says no, and all that it covered is lost.
    Sync,
    /// The write says no and does nothing.
    Write,
}

/// One fault to come: after `passed` operations of this kind that go well.
#[derive(Debug, Clone)]
pub struct Fault {
    pub target: Target,
    pub failing: Failing,
    pub passed: u32,
}

#[derive(Debug)]
pub enum Node {
    File(Data),
    Directory(Names),
}

/// The octets of a file.
#[derive(Debug, Default)]
pub struct Data {
    pub seen: Vec<u8>,
    kept: Vec<u8>,
    /// Pages of `seen` that the next sync has to write.
    dirty: BTreeSet<usize>,
    /// Pages of `seen` that no sync will write.
    lost: BTreeSet<usize>,
}

/// The names in a directory.
#[derive(Debug, Default)]
pub struct Names {
    pub seen: BTreeMap<OsString, u64>,
    kept: BTreeMap<OsString, u64>,
    /// What the next sync has to write, each change whole.
    dirty: Vec<Vec<(OsString, Option<u64>)>>,
}

impl Data {
    fn touch(&mut self, from: usize, to: usize) {
        for page in from / PAGE..to.div_ceil(PAGE) {
            self.dirty.insert(page);
            self.lost.remove(&page);
        }
    }

    fn has_hole(&self) -> bool {
        let first = self.lost.first();
        first.is_some_and(|page| page * PAGE < self.seen.len())
    }

    fn lose(&mut self) {
        self.lost.append(&mut self.dirty);
    }

    pub fn write(&mut self, at: usize, octets: &[u8]) {
        let end = at + octets.len();
        if end > self.seen.len() {
            self.seen.resize(end, 0);
        }
        self.seen[at..end].copy_from_slice(octets);
        self.touch(at, end);
    }

    /// Makes a hole, within what there is.
    pub fn punch(&mut self, from: usize, to: usize) {
        let to = to.min(self.seen.len());
        if from < to {
            self.seen[from..to].fill(0);
            self.touch(from, to);
        }
    }

    pub fn resize(&mut self, octets: usize) {
        let before = self.seen.len();
        self.seen.resize(octets, 0);
        self.touch(before.min(octets), before.max(octets));
    }

    fn keep(&self, kept: &mut Vec<u8>, page: usize) {
        let from = page * PAGE;
        let to = (from + PAGE).min(self.seen.len());
        if from < to {
            kept.resize(kept.len().max(to), 0);
            kept[from..to].copy_from_slice(&self.seen[from..to]);
        }
    }

    fn sync(&mut self) {
        let mut kept = std::mem::take(&mut self.kept);
        for page in std::mem::take(&mut self.dirty) {
            self.keep(&mut kept, page);
        }
        kept.resize(self.seen.len(), 0);
        self.kept = kept;
    }

    /// What a cut leaves: of that which no sync has covered yet, some has been written by chance.
    fn left(&self, chance: &mut Chance) -> Vec<u8> {
        let mut kept = self.kept.clone();
        for page in &self.dirty {
            if chance.one_in(2) {
                self.keep(&mut kept, *page);
            }
        }
        kept
    }
}

impl Names {
    pub fn change(&mut self, changes: Vec<(OsString, Option<u64>)>) {
        apply(&mut self.seen, &changes);
        self.dirty.push(changes);
    }

    fn sync(&mut self) {
        for changes in std::mem::take(&mut self.dirty) {
            apply(&mut self.kept, &changes);
        }
    }

    fn left(&self, chance: &mut Chance) -> BTreeMap<OsString, u64> {
        let mut kept = self.kept.clone();
        let written = chance.below(self.dirty.len() as u64 + 1) as usize;
        for changes in &self.dirty[..written] {
            apply(&mut kept, changes);
        }
        kept
    }
}

fn apply(names: &mut BTreeMap<OsString, u64>, changes: &[(OsString, Option<u64>)]) {
    for (name, node) in changes {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}

/// The disk, its cache, and the faults to come.
pub struct Disk {
    nodes: Vec<(Node, Target, u64)>,
    /// By open file or directory: which one, and how many of its losses have been told to it.
    open: HashMap<u64, (u64, u64)>,
    opened: u64,
    faults: Vec<Fault>,
    /// Faults that have happened.
    pub happened: Vec<(Target, Failing)>,
    cuts: Vec<Cut>,
    /// How often something was written to a database while its log had a hole. A cut right then
    /// leaves a mixture of both.
    pub mixtures: u32,
    /// So many reads of the database go well; none of those that follow.
    pub readable: Option<u32>,
}

/// A cut to come. The disk itself goes on.
pub struct Cut {
    /// Not before so many faults.
    pub faults: usize,
    /// Then after so many writes and syncs.
    pub operations: u64,
    /// Where to put what is left.
    pub place: PathBuf,
    pub chance: Chance,
}

impl Disk {
    pub fn new() -> Self {
        let root = (Node::Directory(Names::default()), Target::Directory, 0);
        Self {
            nodes: vec![root],
            open: HashMap::new(),
            opened: 0,
            faults: Vec::new(),
            happened: Vec::new(),
            cuts: Vec::new(),
            mixtures: 0,
            readable: None,
        }
    }

    pub fn plan(&mut self, fault: Fault) {
        self.faults.push(fault);
    }

    pub fn node(&mut self, number: u64) -> &mut Node {
        &mut self.nodes[number as usize - 1].0
    }

    pub fn names(&mut self, number: u64) -> &mut Names {
        match self.node(number) {
            Node::Directory(names) => names,
            Node::File(_) => panic!("{number} is no directory"),
        }
    }

    pub fn data(&mut self, number: u64) -> &mut Data {
        match self.node(number) {
            Node::File(data) => data,
            Node::Directory(_) => panic!("{number} is no file"),
        }
    }

    pub fn find(&mut self, directory: u64, name: &OsStr) -> Option<u64> {
        self.names(directory).seen.get(name).copied()
    }

    pub fn make(&mut self, directory: u64, name: &OsStr, node: Node) -> u64 {
        let text = name.to_string_lossy();
        let target = match (&node, &*text) {
            (Node::Directory(_), _) => Target::Directory,
            (_, "spool.db") => Target::Database,
            (_, name) if name.starts_with("spool.db-wal") => Target::Log,
            _ if directory == ROOT => Target::Other,
            _ => Target::Body,
        };
        self.nodes.push((node, target, 0));
        let number = self.nodes.len() as u64;
        let change = vec![(name.to_owned(), Some(number))];
        self.names(directory).change(change);
        number
    }

    /// Opens a file or directory; it hears of losses from now on.
    pub fn open(&mut self, number: u64) -> u64 {
        self.opened += 1;
        let losses = self.nodes[number as usize - 1].2;
        self.open.insert(self.opened, (number, losses));
        self.opened
    }

    pub fn close(&mut self, handle: u64) {
        self.open.remove(&handle);
    }

    pub fn plan_cut(&mut self, cut: Cut) {
        self.cuts.push(cut);
    }

    /// Does what is still to come of the cuts whose faults have happened.
    pub fn finish_cuts(&mut self) {
        while let Some(at) = self.next_cut(|_| true) {
            self.cut(at);
        }
    }

    fn next_cut(&self, is_due: impl Fn(&Cut) -> bool) -> Option<usize> {
        let mut cuts = self.cuts.iter();
        cuts.position(|cut| cut.faults <= self.happened.len() && is_due(cut))
    }

    fn cut(&mut self, at: usize) {
        let mut cut = self.cuts.remove(at);
        self.leave(ROOT, &cut.place, &mut cut.chance);
    }

    fn on_operation(&mut self) {
        while let Some(at) = self.next_cut(|cut| cut.operations == 0) {
            self.cut(at);
        }
        let happened = self.happened.len();
        let due = self.cuts.iter_mut().filter(|cut| cut.faults <= happened);
        due.for_each(|cut| cut.operations -= 1);
    }

    /// Whether a fault that was planned happens now.
    fn fails(&mut self, target: Target, failing: Failing) -> bool {
        self.on_operation();
        let concerned = |fault: &&mut Fault| (fault.target, fault.failing) == (target, failing);
        let Some(fault) = self.faults.iter_mut().find(concerned) else {
            return false;
        };
        if fault.passed > 0 {
            fault.passed -= 1;
            return false;
        }
        let mut found = false;
        self.faults.retain(|fault| {
            let this = !found && (fault.target, fault.failing) == (target, failing);
            found |= this;
            !this
        });
        self.happened.push((target, failing));
        true
    }

    /// Writes to a file; false when that fails.
    pub fn write(&mut self, number: u64, at: usize, octets: &[u8]) -> bool {
        let target = self.target(number);
        if self.fails(target, Failing::Write) {
            return false;
        }
        self.data(number).write(at, octets);
        self.mixtures += u32::from(target == Target::Database && self.has_holed_log());
        true
    }

    /// What stands in a file from there on; none when it cannot be read.
    pub fn read(&mut self, number: u64, at: usize, octets: usize) -> Option<&[u8]> {
        if self.target(number) == Target::Database
            && let Some(readable) = &mut self.readable
        {
            *readable = readable.checked_sub(1)?;
        }
        let seen = &self.data(number).seen;
        let from = at.min(seen.len());
        Some(&seen[from..(from + octets).min(seen.len())])
    }

    /// What a fault of this file or directory is about.
    pub fn target(&self, number: u64) -> Target {
        self.nodes[number as usize - 1].1
    }

    fn has_holed_log(&self) -> bool {
        let directories = self.nodes.iter().filter_map(|(node, _, _)| match node {
            Node::Directory(names) => names.seen.get(OsStr::new("spool.db-wal")),
            Node::File(_) => None,
        });
        let mut logs = directories.map(|number| &self.nodes[*number as usize - 1].0);
        logs.any(|node| matches!(node, Node::File(log) if log.has_hole()))
    }

    /// Syncs; false when that fails, or when it has to tell of an earlier loss.
    pub fn sync(&mut self, handle: u64) -> bool {
        let Some((number, told)) = self.open.get(&handle).copied() else {
            return false;
        };
        let target = self.target(number);
        let fails = self.fails(target, Failing::Sync);
        let (node, _, losses) = &mut self.nodes[number as usize - 1];
        match (node, fails) {
            (Node::File(data), true) => data.lose(),
            (Node::Directory(names), true) => names.dirty.clear(),
            (Node::File(data), false) => data.sync(),
            (Node::Directory(names), false) => names.sync(),
        }
        *losses += u64::from(fails);
        let losses = *losses;
        self.open.insert(handle, (number, losses));
        losses == told
    }

    fn leave(&self, number: u64, place: &Path, chance: &mut Chance) {
        match &self.nodes[number as usize - 1].0 {
            Node::File(data) => fs::write(place, data.left(chance)).unwrap(),
            Node::Directory(names) => {
                fs::create_dir(place).unwrap();
                for (name, number) in names.left(chance) {
                    self.leave(number, &place.join(name), chance);
                }
            }
        }
    }
}

/// Numbers that look like chance, from a seed (Steele, Lea and Flood's SplitMix64).
pub struct Chance(pub u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn one_in(&mut self, odds: u64) -> bool {
        self.below(odds) == 0
    }
}
