//! What the spool lies on, and whether a sync means that something is on stable storage.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::stat::{major, minor};
use nix::sys::statfs::{
    FsType, NFS_SUPER_MAGIC, OVERLAYFS_SUPER_MAGIC, SMB_SUPER_MAGIC, TMPFS_MAGIC, statfs,
};

use super::super::dns::Mark;
use super::Examined;

/// So many writes are synced, each alone, as the spool does.
const SYNCS: usize = 16;
/// What is written each time.
const BLOCK: [u8; 4096] = [0; 4096];
/// No device puts a block on stable storage in less.
const TOO_FAST: Duration = Duration::from_micros(15);
/// Each message waits for one sync at least.
const SLOW: Duration = Duration::from_millis(50);
/// File systems of other machines (statfs(2)) that nix has no name for.
const CIFS: FsType = FsType(0xff53_4d42);
const SMB2: FsType = FsType(0xfe53_4d42);
const FUSE: FsType = FsType(0x6573_5546);
const V9FS: FsType = FsType(0x0102_1997);

/// Looks at where `data_dir` is, or will be.
pub(super) fn look(data_dir: &Path) -> Vec<Examined> {
    let there = data_dir.ancestors().find(|path| path.exists());
    let Some(there) = there else {
        return Vec::new();
    };
    let mut examined = vec![kind(data_dir, there)];
    if there == data_dir {
        examined.push(syncs(data_dir));
    } else {
        let text = "not there yet: the first start makes it";
        examined.push(Examined::new(Mark::Note, data_dir.display(), "sync", text));
    }
    examined
}

fn kind(data_dir: &Path, there: &Path) -> Examined {
    let examined = |mark, text: &str| Examined::new(mark, data_dir.display(), "disk", text);
    let found = match statfs(there) {
        Ok(found) => found.filesystem_type(),
        Err(error) => return examined(Mark::CannotTell, error.desc()),
    };
    let local = "move data_dir to a local disk (ext4, xfs)";
    match found {
        TMPFS_MAGIC => examined(Mark::Fail, "a file system in memory: a restart of the machine loses all mail")
            .cure(local),
        NFS_SUPER_MAGIC | SMB_SUPER_MAGIC | CIFS | SMB2 | V9FS => {
            examined(Mark::Fail, "a file system of another machine, whose locks and syncs do not hold what the spool needs")
                .cure(local)
        }
        FUSE => examined(Mark::Warning, "a file system of a program (FUSE), which may not sync").cure(local),
        OVERLAYFS_SUPER_MAGIC => {
            examined(Mark::Warning, "a layer of a container: it is gone when the container is")
                .cure("put a volume at data_dir")
        }
        _ => match rotates(there) {
            Some(true) => examined(Mark::Ok, "a local disk, for all that the kernel knows one that rotates"),
            Some(false) => examined(Mark::Ok, "a local disk that does not rotate"),
            None => examined(Mark::Ok, "a local file system"),
        },
    }
}

/// Whether the device below rotates, as the kernel has it; for a partition its disk is asked.
fn rotates(there: &Path) -> Option<bool> {
    let device = fs::metadata(there).ok()?.dev();
    let device = format!("/sys/dev/block/{}:{}", major(device), minor(device));
    let told = ["queue/rotational", "../queue/rotational"]
        .iter()
        .find_map(|file| fs::read_to_string(Path::new(&device).join(file)).ok())?;
    Some(told.trim() == "1")
}

fn syncs(data_dir: &Path) -> Examined {
    let examined = |mark, text: String| Examined::new(mark, data_dir.display(), "sync", text);
    let took = match timed(data_dir) {
        Ok(took) => took,
        Err(error) => {
            let text = format!("cannot be written to: {error}");
            return examined(Mark::CannotTell, text).cure("ask as root, or as the relay's account");
        }
    };
    let text = format!("takes {} us", took.as_micros());
    if took < TOO_FAST {
        let text = format!("{text}: nothing is on stable storage so soon");
        examined(Mark::Warning, text).cure(
            "if this is a virtual machine, have its disk pass syncs on (cache=none or writethrough, not unsafe); \
             if a controller keeps writes, let it have a battery",
        )
    } else if took > SLOW {
        let text = format!("{text}, for which every message waits");
        examined(Mark::Warning, text)
            .cure("move data_dir to a faster disk, or away from who else writes there")
    } else {
        examined(Mark::Ok, text)
    }
}

/// The time that half of the syncs took at most.
fn timed(data_dir: &Path) -> io::Result<Duration> {
    let path = data_dir.join(format!(".doctor-{}", std::process::id()));
    let mut file = File::create_new(&path)?;
    // Its name is not needed, and nothing stays whatever comes.
    fs::remove_file(&path)?;
    let mut took = Vec::with_capacity(SYNCS);
    for _ in 0..SYNCS {
        file.write_all(&BLOCK)?;
        let begin = Instant::now();
        file.sync_data()?;
        took.push(begin.elapsed());
    }
    took.sort_unstable();
    Ok(took.get(SYNCS / 2).copied().unwrap_or_default())
}
