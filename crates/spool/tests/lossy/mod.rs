//! A file system below SQLite that really loses what a failed sync covered, mounted for as long as
//! a test runs.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

mod disk;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use fuser::{
    BackgroundSession, BsdFileFlags, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow,
    WriteFlags,
};
use rustix::fs::FallocateFlags;

pub use disk::{Chance, Cut, Failing, Fault, Target};
use disk::{Data, Disk, Names, Node};

/// Names and sizes change through the kernel alone, so it may remember them.
const REMEMBERED: Duration = Duration::from_secs(3600);
/// How long anybody waits who waits for another one at most.
pub const WAIT_MAX: Duration = Duration::from_secs(20);

/// What takes until a test lets it be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Syncs of content.
    Syncs,
    /// Holes made in files.
    Holes,
}

/// What is held at present, and how much of it waits.
#[derive(Default)]
struct Holding {
    state: Mutex<(Option<Held>, u32)>,
    changed: Condvar,
}

impl Holding {
    /// Does this work, now or when it is let.
    fn perform(self: &Arc<Self>, held: Held, work: impl FnOnce() + Send + 'static) {
        let mut state = locked(&self.state);
        if state.0 != Some(held) {
            drop(state);
            return work();
        }
        state.1 += 1;
        self.changed.notify_all();
        let of_thread = Arc::clone(self);
        thread::spawn(move || {
            of_thread.wait_while(|(now, _)| *now == Some(held));
            work();
        });
    }

    /// Whether it ends in time.
    fn wait_while(&self, condition: impl Fn(&(Option<Held>, u32)) -> bool) -> bool {
        let state = locked(&self.state);
        let waited = (self.changed).wait_timeout_while(state, WAIT_MAX, |state| condition(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// The mounted file system.
pub struct Lossy {
    disk: Arc<Mutex<Disk>>,
    holding: Arc<Holding>,
    place: PathBuf,
    mounted: Option<BackgroundSession>,
}

impl Lossy {
    /// Mounts an empty one. Only root may.
    pub fn mount(place: &Path) -> Self {
        std::fs::create_dir(place).unwrap();
        let disk = Arc::new(Mutex::new(Disk::new()));
        let holding = Arc::new(Holding::default());
        let served = Served {
            disk: Arc::clone(&disk),
            holding: Arc::clone(&holding),
        };
        let mounted = fuser::spawn_mount(served, place, &fuser::Config::default())
            .expect("root, and /dev/fuse");
        Self {
            disk,
            holding,
            place: place.to_owned(),
            mounted: Some(mounted),
        }
    }

    pub fn place(&self) -> &Path {
        &self.place
    }

    pub fn plan(&self, fault: Fault) {
        locked(&self.disk).plan(fault);
    }

    /// The faults that have happened.
    pub fn happened(&self) -> Vec<(Target, Failing)> {
        locked(&self.disk).happened.clone()
    }

    /// How often something was written to a database while its log had a hole.
    pub fn mixtures(&self) -> u32 {
        locked(&self.disk).mixtures
    }

    /// So many reads of the database go well, and then none; `None`: all do.
    pub fn readable(&self, reads: Option<u32>) {
        locked(&self.disk).readable = reads;
    }

    /// Has this take until [`Lossy::let_go`].
    pub fn hold(&self, held: Held) {
        *locked(&self.holding.state) = (Some(held), 0);
    }

    /// Waits until something is held; false when nothing comes.
    pub fn until_held(&self) -> bool {
        self.holding.wait_while(|(_, waiting)| *waiting == 0)
    }

    pub fn let_go(&self) {
        locked(&self.holding.state).0 = None;
        self.holding.changed.notify_all();
    }

    pub fn plan_cut(&self, cut: Cut) {
        locked(&self.disk).plan_cut(cut);
    }

    /// Does what is still to come of the cuts whose faults have happened.
    pub fn finish_cuts(&self) {
        locked(&self.disk).finish_cuts();
    }
}

impl Drop for Lossy {
    fn drop(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            let unmounted = mounted.umount_and_join();
            assert!(unmounted.is_ok() || std::thread::panicking());
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Served {
    disk: Arc<Mutex<Disk>>,
    holding: Arc<Holding>,
}

impl Served {
    fn disk(&self) -> MutexGuard<'_, Disk> {
        locked(&self.disk)
    }
}

fn facts(number: u64, node: &Node) -> FileAttr {
    let (kind, perm, octets) = match node {
        Node::File(data) => (FileType::RegularFile, 0o600, data.seen.len()),
        Node::Directory(_) => (FileType::Directory, 0o700, 0),
    };
    let long_ago = SystemTime::UNIX_EPOCH;
    FileAttr {
        ino: INodeNo(number),
        size: octets as u64,
        blocks: octets.div_ceil(512) as u64,
        atime: long_ago,
        mtime: long_ago,
        ctime: long_ago,
        crtime: long_ago,
        kind,
        perm,
        nlink: 1,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: 4096,
        flags: 0,
    }
}

fn done(reply: ReplyEmpty, well: bool) {
    if well {
        reply.ok();
    } else {
        reply.error(Errno::EIO);
    }
}

impl Filesystem for Served {
    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let mut disk = self.disk();
        match disk.find(parent.0, name) {
            Some(number) => reply.entry(
                &REMEMBERED,
                &facts(number, disk.node(number)),
                Generation(0),
            ),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        reply.attr(&REMEMBERED, &facts(number.0, self.disk().node(number.0)));
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _mode: Option<u32>,
        _uid: Option<u32>,
        _gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut disk = self.disk();
        if let Some(octets) = size {
            disk.data(number.0).resize(octets as usize);
        }
        reply.attr(&REMEMBERED, &facts(number.0, disk.node(number.0)));
    }

    fn mkdir(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let mut disk = self.disk();
        let number = disk.make(parent.0, name, Node::Directory(Names::default()));
        reply.entry(
            &REMEMBERED,
            &facts(number, disk.node(number)),
            Generation(0),
        );
    }

    fn create(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        _mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let mut disk = self.disk();
        let number = disk.make(parent.0, name, Node::File(Data::default()));
        let handle = disk.open(number);
        reply.created(
            &REMEMBERED,
            &facts(number, disk.node(number)),
            Generation(0),
            FileHandle(handle),
            FopenFlags::empty(),
        );
    }

    fn unlink(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let change = vec![(name.to_owned(), None)];
        self.disk().names(parent.0).change(change);
        reply.ok();
    }

    fn rename(
        &self,
        _: &Request,
        parent: INodeNo,
        name: &OsStr,
        new_parent: INodeNo,
        new_name: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        assert_eq!(parent, new_parent, "a spool renames within a directory");
        let mut disk = self.disk();
        let number = disk.find(parent.0, name);
        let change = vec![(name.to_owned(), None), (new_name.to_owned(), number)];
        disk.names(parent.0).change(change);
        reply.ok();
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let handle = self.disk().open(number.0);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let handle = self.disk().open(number.0);
        reply.opened(FileHandle(handle), FopenFlags::empty());
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        match self.disk().read(number.0, offset as usize, size as usize) {
            Some(octets) => reply.data(octets),
            None => reply.error(Errno::EIO),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        octets: &[u8],
        _cached: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        if self.disk().write(number.0, offset as usize, octets) {
            reply.written(octets.len() as u32);
        } else {
            reply.error(Errno::EIO);
        }
    }

    fn flush(
        &self,
        _: &Request,
        _number: INodeNo,
        _handle: FileHandle,
        _owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn release(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        self.disk().close(handle.0);
        reply.ok();
    }

    fn releasedir(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        self.disk().close(handle.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _: &Request,
        number: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        if self.disk().target(number.0) != Target::Body {
            return done(reply, self.disk().sync(handle.0));
        }
        let disk = Arc::clone(&self.disk);
        self.holding.perform(Held::Syncs, move || {
            done(reply, locked(&disk).sync(handle.0));
        });
    }

    fn fsyncdir(
        &self,
        _: &Request,
        _number: INodeNo,
        handle: FileHandle,
        _data_only: bool,
        reply: ReplyEmpty,
    ) {
        done(reply, self.disk().sync(handle.0));
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let flags = FallocateFlags::from_bits_retain(mode as u32);
        if !flags.contains(FallocateFlags::PUNCH_HOLE) {
            return reply.error(Errno::EOPNOTSUPP);
        }
        let disk = Arc::clone(&self.disk);
        self.holding.perform(Held::Holes, move || {
            let (from, to) = (offset as usize, (offset + length) as usize);
            locked(&disk).data(number.0).punch(from, to);
            reply.ok();
        });
    }

    fn readdir(
        &self,
        _: &Request,
        number: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let mut disk = self.disk();
        let names = disk.names(number.0).seen.clone();
        for (place, (name, number)) in names.iter().enumerate().skip(offset as usize) {
            let kind = facts(*number, disk.node(*number)).kind;
            if reply.add(INodeNo(*number), place as u64 + 1, kind, name) {
                break;
            }
        }
        reply.ok();
    }

    fn statfs(&self, _: &Request, _number: INodeNo, reply: ReplyStatfs) {
        let blocks = 1 << 24;
        reply.statfs(blocks, blocks, blocks, blocks, blocks, 4096, 255, 4096);
    }
}
