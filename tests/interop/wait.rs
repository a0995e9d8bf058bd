//! Waiting for something that happens elsewhere: a message arriving, a process coming up. Nothing
//! here sleeps for luck. A question is asked again and again until it has an answer, and a wait
//! that outlives its limit fails the test with the words of what it waited for.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(20);

/// Asks `question` until it answers and gives that answer. Panics with `what` when `limit` has
/// passed.
pub fn until<T>(what: &str, limit: Duration, mut question: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(answer) = question() {
            return answer;
        }
        assert!(
            begin.elapsed() < limit,
            "gave up after {limit:?} waiting for {what}"
        );
        thread::sleep(PAUSE);
    }
}

/// The same for a condition.
pub fn until_true(what: &str, limit: Duration, mut condition: impl FnMut() -> bool) {
    until(what, limit, || condition().then_some(()));
}

/// Does the same with all of `cases` at one time: what answers late on purpose shall not add up.
pub fn side_by_side<T: Sync>(cases: &[T], test: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| test(case));
        }
    });
}

pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}
