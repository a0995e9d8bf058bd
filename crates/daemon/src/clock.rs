//! The clock: wall time that never runs backwards while the process lives.

use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use mail::Timestamp;

/// Wall time at the first call, and the monotonic clock since: a step of the system's clock cannot fire or stop a timer.
///
/// A step is followed at the next start; until then times in `Received` and in the log keep the old offset.
pub fn now() -> Timestamp {
    static START: OnceLock<(Instant, u64)> = OnceLock::new();
    let (started, wall) = START.get_or_init(|| {
        let since_epoch = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        (
            Instant::now(),
            u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX),
        )
    });
    Timestamp::from_millis(*wall) + started.elapsed()
}
