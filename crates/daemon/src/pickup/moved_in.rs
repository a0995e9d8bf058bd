use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use tokio::io::unix::AsyncFd;

/// Hears from the system which files are moved into a directory. On file systems of other machines
/// it hears nothing: then files there are found by looking.
pub(super) struct MovedIn(Option<AsyncFd<Watch>>);

struct Watch(Inotify);

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl MovedIn {
    /// Must be called within the runtime.
    pub(super) fn watch(directory: &Path) -> Self {
        let watch = || -> io::Result<AsyncFd<Watch>> {
            let inotify = Inotify::init(InitFlags::IN_NONBLOCK | InitFlags::IN_CLOEXEC)?;
            inotify.add_watch(directory, AddWatchFlags::IN_MOVED_TO)?;
            #[expect(
                deprecated,
                reason = "what replaces it is unsafe; a watch keeps its one descriptor while it lives"
            )]
            AsyncFd::new(Watch(inotify))
        };
        let watch = watch().inspect_err(|error| {
            tracing::warn!(%error, "pickup: the system does not tell what is moved in: it takes longer to see it");
        });
        Self(watch.ok())
    }

    /// The files that were moved in, at least one.
    pub(super) async fn next(&mut self) -> Vec<OsString> {
        loop {
            let Some(watch) = &mut self.0 else {
                return std::future::pending().await;
            };
            let Ok(mut ready) = watch.readable().await else {
                self.0 = None;
                continue;
            };
            match ready.get_inner().0.read_events() {
                Ok(events) => {
                    let names = events.into_iter().filter_map(|event| event.name);
                    let names: Vec<OsString> = names.collect();
                    if !names.is_empty() {
                        return names;
                    }
                }
                Err(Errno::EAGAIN) => ready.clear_ready(),
                Err(_) => self.0 = None,
            }
        }
    }
}
