//! A disk that is slow, where what is kept of past mail is written: the log, a protocol log and the
//! tracking store. strace holds each call by which their threads write for seconds, as a disk would
//! that is worn or shared, or for longer than a test lasts, as one that hangs; the spool's disk, and
//! everybody else, is as fast as ever.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::program::{path_of, run, signal};
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

const MESSAGES: usize = 130;
const RECIPIENTS: usize = 100;
/// More rows than wait: two for each recipient. The protocol log has three.
const ROWS: usize = 2 * MESSAGES * RECIPIENTS;
/// How long a slow disk takes for one call.
const SLOW_CALL: &str = "5s";
/// And one that hangs until it is fast again: what is lost is what has no room to wait, and does not
/// depend on who is faster.
const HANGING_CALL: &str = "600s";
/// By which the threads write.
const CALLS: &str = "write,pwrite64,pwritev,fsync,fdatasync,ftruncate";
/// Threads that write what is kept of past mail, as the kernel cuts their names.
const SLOW: [&str; 3] = ["tracking", "log.slow", "tracing-appende"];

/// Ends with the test, which makes the disk fast again.
struct SlowDisk {
    strace: Child,
}

impl SlowDisk {
    fn begin(relay: &Relay, call: &str) -> Self {
        let mut command = Command::new(path_of("strace"));
        let inject = format!("inject={CALLS}:delay_enter={call}");
        command.args(["-e", &format!("trace={CALLS}"), "-e", &inject]);
        command.stderr(Stdio::null());
        let threads = threads(relay);
        for (_, thread) in threads.iter().filter(|(name, _)| SLOW.contains(&&**name)) {
            command.args(["-p", thread]);
        }
        let found = threads.iter().map(|(name, _)| &**name);
        let found: Vec<&str> = found.filter(|name| SLOW.contains(name)).collect();
        assert_eq!(found.len(), SLOW.len(), "{threads:?}");
        let strace = command.spawn().expect("strace runs");
        let disk = Self { strace };
        until_true("the threads to be traced", seconds(20), || {
            let traced = |(name, thread): &(String, String)| {
                !SLOW.contains(&&**name) || is_traced(relay.pid(), thread)
            };
            threads.iter().all(traced)
        });
        disk
    }
}

impl Drop for SlowDisk {
    fn drop(&mut self) {
        signal("TERM", self.strace.id());
        let _ended = self.strace.wait();
    }
}

/// The threads of the relay: their names and numbers.
fn threads(relay: &Relay) -> Vec<(String, String)> {
    let tasks = fs::read_dir(format!("/proc/{}/task", relay.pid())).expect("its threads");
    let of = |path: PathBuf| {
        let name = fs::read_to_string(path.join("comm")).ok()?;
        let number = path.file_name()?.to_str()?.to_owned();
        Some((name.trim().to_owned(), number))
    };
    tasks.filter_map(|task| of(task.ok()?.path())).collect()
}

fn is_traced(pid: u32, thread: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/task/{thread}/status"));
    let tracer = status.expect("its status");
    let tracer = tracer
        .lines()
        .find_map(|line| line.strip_prefix("TracerPid:"));
    tracer.is_some_and(|tracer| tracer.trim() != "0")
}

/// Rows in the file of a protocol log.
fn rows_of(relay: &Relay, log: &str) -> u64 {
    let folder = relay.data_dir().join("log").join(log);
    let files = fs::read_dir(folder).expect("its folder");
    let text = |path: &Path| fs::read_to_string(path).expect("a file");
    let all = files.map(|file| text(&file.expect("an entry").path()));
    let rows = all.map(|text| text.lines().filter(|line| !line.starts_with('#')).count() as u64);
    rows.sum()
}

fn lost(relay: &Relay, record: &str) -> u64 {
    let page = relay.command(&["status", "--metrics"]).expect_code(0).out;
    let name = format!("gatepost_records_lost_total{{record=\"{record}\"}} ");
    let mut values = page.lines().filter_map(|line| line.strip_prefix(&name));
    let value = values.next().and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("{name} is not in\n{page}"))
}

/// Rows in the store's file, whatever the relay says of them.
fn tracked(relay: &Relay) -> u64 {
    let file = relay.data_dir().join("tracking/tracking.db");
    let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1])\n\
                  print(c.execute('SELECT count(*) FROM row').fetchone()[0])";
    let ran = run("python3", &["-c", script, &file.display().to_string()]).expect_code(0);
    ran.out.trim().parse().expect("a number")
}

#[test]
fn a_slow_disk_of_logs_and_rows_holds_up_no_mail_and_what_is_lost_is_counted() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let more = format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n[log.slow]\n[log.fast]\n",
        server.route()
    );
    let mut relay = Relay::start(network, &more);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    let recipients: Vec<String> = (0..RECIPIENTS)
        .map(|number| format!("b{number}@hosted.test"))
        .collect();
    let recipients: Vec<&str> = recipients.iter().map(String::as_str).collect();
    let mut send = |name: &str| {
        let reply = client.submit("ann@client.test", &recipients, &message(name));
        assert_eq!(reply.code, 250, "{}", reply.text());
        server.wait_for(name);
    };
    send("before");
    relay.wait_until_empty();
    until_true("the rows of before", seconds(20), || {
        tracked(&relay) == 2 * RECIPIENTS as u64
    });

    let disk = SlowDisk::begin(&relay, HANGING_CALL);
    for number in 0..MESSAGES {
        send(&format!("m{number}"));
    }
    // One after the other: had one waited for the disk, it would not be there.
    relay.wait_until_empty();
    assert_eq!(server.count(), 1 + MESSAGES);
    // Who asks is answered all the same, and hears of it.
    let status = relay.status().expect("it runs");
    assert!(status["tracking"]["lost"].as_u64() > Some(0), "{status}");
    assert!(lost(&relay, "protocol-log") > 0);
    let said = relay.command(&["status"]).expect_code(0).out;
    for said_of in ["tracking rows are lost", "rows of protocol logs are lost"] {
        assert!(said.contains(said_of), "{said}");
    }
    assert!(rows_of(&relay, "slow") < rows_of(&relay, "fast"));

    drop(disk);
    let all = (ROWS + 2 * RECIPIENTS) as u64;
    let lost_rows = until("every row to be written or counted", seconds(60), || {
        let lost = lost(&relay, "tracking");
        (tracked(&relay) + lost == all).then_some(lost)
    });
    until_true("every row of the log too", seconds(60), || {
        rows_of(&relay, "slow") + lost(&relay, "protocol-log") == rows_of(&relay, "fast")
    });
    send("after");
    until_true("rows to be written again", seconds(60), || {
        let ran = relay.command(&["--json", "track", "to:b0@hosted.test", "age:<1h"]);
        let rows: Vec<Value> = serde_json::from_str(&ran.expect_code(0).out).expect("JSON");
        rows.first().is_some_and(|row| row["result"] == "delivered")
            && tracked(&relay) + lost_rows == all + 2 * RECIPIENTS as u64
    });
    assert!(relay.stop().success());
}

/// A stop does not wait for a slow disk either, and what is not written then is made good from the
/// spool.
#[test]
fn a_stop_does_not_wait_for_a_slow_disk_and_the_next_start_makes_its_rows_good() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let route = server.route();
    let more = format!("[domain.\"hosted.test\"]\nroute = \"{route}\"\n[log.slow]\n");
    let mut relay = Relay::start(network, &more);
    relay.command(&["queue", "pause"]).expect_code(0);
    let disk = SlowDisk::begin(&relay, SLOW_CALL);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    for number in 0..20 {
        let name = format!("m{number}");
        let reply = client.submit("ann@client.test", &["bob@hosted.test"], &message(&name));
        assert_eq!(reply.code, 250, "{}", reply.text());
    }
    assert!(relay.stop().success());
    drop(disk);
    relay.run();
    let tracked = until("the rows of what waits", seconds(20), || {
        let ran = relay.command(&[
            "--json",
            "track",
            "state:received",
            "--events",
            "--limit",
            "0",
        ]);
        let rows: Vec<Value> = serde_json::from_str(&ran.expect_code(0).out).expect("JSON");
        (rows.len() >= 20).then_some(rows)
    });
    assert_eq!(tracked.len(), 20);
    relay.command(&["queue", "resume"]).expect_code(0);
    relay.wait_until_empty();
    assert_eq!(server.count(), 20);
}
