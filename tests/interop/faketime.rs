//! A clock that a test sets while the relay runs, by libfaketime.

use std::fs;
use std::path::{Path, PathBuf};

use crate::relay::Relay;

/// Which clocks are set.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// The system's clock alone, as an administrator does it.
    System,
    /// All of them: time passes.
    All,
}

/// The clock of one relay, as it is before the relay starts.
pub struct SetClock {
    file: PathBuf,
}

impl SetClock {
    /// Has the relay started with it.
    pub fn of(relay: &mut Relay, clocks: Clocks) -> SetClock {
        let clock = SetClock {
            file: relay.folder().join("offset"),
        };
        clock.set("+0");
        let preload = format!("LD_PRELOAD={}", library().display());
        let file = format!("FAKETIME_TIMESTAMP_FILE={}", clock.file.display());
        let mut words = vec!["env", &*preload, &*file, "FAKETIME_NO_CACHE=1"];
        if clocks == Clocks::System {
            words.push("DONT_FAKE_MONOTONIC=1");
        }
        relay.wrap(&words);
        clock
    }

    /// So far from what it is without us, as `+10d`. The file is whole or not there at all: the relay
    /// reads it with every look at the clock.
    pub fn set(&self, offset: &str) {
        let new = self.file.with_extension("new");
        fs::write(&new, offset).expect("the offset");
        fs::rename(new, &self.file).expect("the offset in its place");
    }
}

/// Debian's package puts it below the folder of the machine's architecture.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("the folder of libraries");
    let libraries = folders.map(|folder| folder.expect("an entry").path());
    let mut libraries = libraries.map(|folder| folder.join("faketime/libfaketime.so.1"));
    libraries
        .find(|library| Path::is_file(library))
        .unwrap_or_else(|| {
            panic!("libfaketime is not installed; scripts/test installs what the tests need")
        })
}
