//! A thread that takes what others put down for it, and for which nobody waits: where it is behind
//! by a named number of entries, further ones are lost and counted.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// How long a stop waits for a thread to write what it has.
const STOP_WAIT: Duration = Duration::from_secs(3);

/// The end at which entries are put down.
#[derive(Debug)]
pub(crate) struct Outlet<T> {
    entries: RwLock<Option<SyncSender<T>>>,
    state: Arc<State>,
    /// Ends with the thread.
    ended: Mutex<Receiver<()>>,
}

/// What both ends know.
#[derive(Debug)]
pub(crate) struct State {
    lost: Arc<AtomicU64>,
    /// What keeps the thread from its work at present.
    trouble: Mutex<Option<String>>,
    is_closing: Mutex<bool>,
    closing: Condvar,
}

impl<T: Send + 'static> Outlet<T> {
    /// Starts a thread of this name, which has `work` to do until no entries come any more, and lets
    /// so many entries wait. What is lost is counted in `lost`, which others may share.
    ///
    /// # Errors
    /// There are no more threads.
    pub(crate) fn start(
        name: String,
        entries_max: usize,
        lost: &Arc<AtomicU64>,
        work: impl FnOnce(&Receiver<T>, &State) + Send + 'static,
    ) -> io::Result<Self> {
        let (entries, waiting) = sync_channel(entries_max);
        let (ending, ended) = sync_channel(1);
        let state = Arc::new(State::new(lost));
        let of_thread = Arc::clone(&state);
        std::thread::Builder::new().name(name).spawn(move || {
            work(&waiting, &of_thread);
            drop(ending);
        })?;
        Ok(Self {
            entries: RwLock::new(Some(entries)),
            state,
            ended: ended.into(),
        })
    }
}

impl<T> Outlet<T> {
    /// Puts down an entry, or loses it.
    pub(crate) fn put(&self, entry: T) {
        let entries = self.entries.read().unwrap_or_else(PoisonError::into_inner);
        let taken = entries.as_ref().map(|entries| entries.try_send(entry));
        if !matches!(taken, Some(Ok(()))) {
            self.state.lose(1);
        }
    }

    /// What keeps it from its work at present.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.state.trouble()
    }

    /// Waits until all is written, but not for ever; blocks. What comes later is lost.
    pub(crate) fn finish(&self) {
        let _written_or_late = finish_all([self]);
    }

    fn close(&self) {
        let mut entries = self.entries.write().unwrap_or_else(PoisonError::into_inner);
        drop(entries.take());
        *guard(&self.state.is_closing) = true;
        self.state.closing.notify_all();
    }
}

/// The same for all of these at one time, however many they are; whether all is written.
pub(crate) fn finish_all<'a, T: 'a>(outlets: impl IntoIterator<Item = &'a Outlet<T>>) -> bool {
    let outlets: Vec<&Outlet<T>> = outlets.into_iter().collect();
    for outlet in &outlets {
        outlet.close();
    }
    let began = Instant::now();
    let late = outlets.iter().filter(|outlet| {
        let left = STOP_WAIT.saturating_sub(began.elapsed());
        guard(&outlet.ended).recv_timeout(left) == Err(RecvTimeoutError::Timeout)
    });
    late.count() == 0
}

/// The thread does what it has, and ends by itself.
impl<T> Drop for Outlet<T> {
    fn drop(&mut self) {
        self.close();
    }
}

impl State {
    pub(crate) fn new(lost: &Arc<AtomicU64>) -> Self {
        Self {
            lost: Arc::clone(lost),
            trouble: Mutex::default(),
            is_closing: Mutex::default(),
            closing: Condvar::new(),
        }
    }

    /// What keeps the thread from its work at present.
    pub(crate) fn trouble(&self) -> Option<String> {
        guard(&self.trouble).clone()
    }

    /// So many entries were not written.
    pub(crate) fn lose(&self, entries: usize) {
        self.lost.fetch_add(entries as u64, Ordering::Relaxed);
    }

    /// How many were not, in all.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Says what keeps the thread from its work, or that nothing does any more; gives what did.
    pub(crate) fn set_trouble(&self, trouble: Option<String>) -> Option<String> {
        std::mem::replace(&mut *guard(&self.trouble), trouble)
    }

    /// Rests for so long, or until no entries come any more; whether that is so.
    pub(crate) fn rest(&self, pause: Duration) -> bool {
        let is_closing = guard(&self.is_closing);
        let rested = self
            .closing
            .wait_timeout_while(is_closing, pause, |is_closing| !*is_closing);
        *rested.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(600);

    fn outlet(work: impl FnOnce(&Receiver<u32>, &State) + Send + 'static) -> Outlet<u32> {
        Outlet::start("test".to_owned(), 3, &Arc::default(), work).unwrap()
    }

    #[test]
    fn who_puts_down_never_waits_and_what_has_no_room_is_counted() {
        let lost = Arc::default();
        let (taken, takes) = sync_channel::<()>(1);
        let work = move |entries: &Receiver<u32>, state: &State| {
            let _first = entries.recv();
            drop(taken);
            // It stands still until no more entries come.
            assert!(state.rest(LONG));
            state.lose(entries.iter().count());
        };
        let outlet = Outlet::start("test".to_owned(), 3, &lost, work).unwrap();
        outlet.put(0);
        assert!(takes.recv().is_err(), "the first was taken");
        for entry in 1..=10 {
            outlet.put(entry);
        }
        assert_eq!(lost.load(Ordering::Relaxed), 7);
        outlet.finish();
        assert_eq!(lost.load(Ordering::Relaxed), 10);
        outlet.put(11);
        assert_eq!(lost.load(Ordering::Relaxed), 11);
    }

    /// Else a stop would wait for each of those that hang in turn.
    #[test]
    fn many_are_waited_for_at_one_time() {
        let (tell, told) = sync_channel::<()>(1);
        let first = outlet(move |_, _| assert!(told.recv().is_ok()));
        let last = outlet(move |entries, _| {
            assert!(entries.recv().is_err());
            tell.send(()).unwrap();
        });
        assert!(finish_all([&first, &last]));
    }
}
