//! What a line of the log costs whoever says it: the one of a message that was accepted, made into text and handed to the
//! thread that writes.
//!
//! `cargo bench -p daemon --bench log_line`

#![allow(clippy::disallowed_methods, reason = "it is the clock that is asked")]

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use config::{Environment, LogTarget};
use criterion::Criterion;
use mail::{QueueId, Timestamp};
use tracing::level_filters::LevelFilter;

/// Lines that are said at one time: far fewer than may wait.
const BURST: u64 = 5_000;
/// After a burst all of them are written, and the thread that does so waits.
const REST: Duration = Duration::from_millis(50);

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let text = "hostname = \"relay.test\"\n";
    let loaded = config::parse("gatepost.toml", text, &Environment::default());
    let mut log = loaded.expect("a configuration").config.log;
    log.target = LogTarget::File(PathBuf::from("/dev/null"));
    let _guard = daemon::start_log(LevelFilter::INFO, &log, None).expect("a log");
    let id = QueueId::new(Timestamp::from_millis(1_800_000_000_000), 1);
    criterion.bench_function("a line of the log", |bencher| {
        bencher.iter_custom(|lines| bursts(lines, || say(id)));
    });
    criterion.final_summary();
    assert_eq!(daemon::lost_lines(), 0, "lines that were lost cost less");
}

/// So many of them, with rests that do not count.
fn bursts(mut count: u64, say: impl Fn()) -> Duration {
    let mut took = Duration::ZERO;
    while count > 0 {
        let burst = count.min(BURST);
        let began = Instant::now();
        (0..burst).for_each(|_| say());
        took += began.elapsed();
        count -= burst;
        thread::sleep(REST);
    }
    took
}

/// As the journal says it.
fn say(id: QueueId) {
    tracing::info!(
        %id, session = 4711_u64, client = "client.test [192.0.2.1]:40000", hello = "client.test",
        from = "ann@client.test", to = "bob@hosted.test", recipients = 1_u64, grounds = "hosted",
        why = "the domain is ours", place = "/etc/gatepost/gatepost.toml:12", size = 4096_u64,
        "message accepted"
    );
}
