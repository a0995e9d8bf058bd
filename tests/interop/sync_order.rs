//! No 250 before the disk. The relay runs under strace while several clients send; then the trace
//! is read: between the moment a message's last octet was received and the moment its 250 is
//! written there has to be a whole sync of a file in the data folder, begun after the one and ended
//! before the other.
//!
//! strace stamps a call's entry before the kernel carries it out and its exit before the program
//! goes on, so the stamps of different threads are in a true order.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::client::{Dialogue, message};
use crate::load::Load;
use crate::network::Network;
use crate::program::path_of;
use crate::relay::Relay;
use crate::server::route_to;

const CALLS: &str = "trace=fsync,fdatasync,read,readv,recvfrom,recvmsg,write,writev,pwrite64,pwritev,\
     sendto,sendmsg,rename,renameat,renameat2,unlink,unlinkat";
const CONNECTIONS: usize = 6;
const MESSAGES_PER_CONNECTION: usize = 20;

#[test]
fn no_250_to_a_message_precedes_its_sync() {
    let (mut relay, traces) = traced_relay();
    let acknowledged = Mutex::new(BTreeSet::new());
    let load = Load {
        from: relay.network.permitted(),
        to: relay.address(),
        recipient: "bob@hosted.test",
        name: "traced",
        connections: CONNECTIONS,
        messages_per_connection: MESSAGES_PER_CONNECTION,
        acknowledged: &acknowledged,
    };
    load.run();
    assert!(relay.stop().success(), "a graceful stop");
    let sent = acknowledged
        .into_inner()
        .expect("no panic holds the books")
        .len();
    assert_eq!(sent, CONNECTIONS * MESSAGES_PER_CONNECTION);

    let trace = Trace::read(&traces, &relay.data_dir());
    assert_eq!(
        trace.acknowledgements.len(),
        sent,
        "the trace shows every 250 to a message"
    );
    assert_eq!(trace.unsynced(), Vec::<&Acknowledgement>::new());
}

/// A message too large for the database is in a file that it shares with others. That file is
/// synced, and only then the database that points to it.
#[test]
fn a_message_in_a_segment_is_on_the_disk_before_what_points_to_it() {
    is_on_the_disk_before_what_points_to_it("segments", 5_000);
}

/// So it is with one that has a file of its own.
#[test]
fn a_large_message_is_on_the_disk_before_what_points_to_it() {
    is_on_the_disk_before_what_points_to_it("bodies", 20_000);
}

fn is_on_the_disk_before_what_points_to_it(kept_in: &str, lines: usize) {
    let (mut relay, traces) = traced_relay();
    let mut dialogue = Dialogue::ready(relay.network.permitted(), relay.address());
    let large = format!(
        "{}{}",
        message("large"),
        "0123456789abcdef\r\n".repeat(lines)
    );
    let reply = dialogue.submit("ann@client.test", &["bob@hosted.test"], &large);
    assert_eq!(reply.code, 250, "{}", reply.text());
    assert!(relay.stop().success(), "a graceful stop");

    let trace = Trace::read(&traces, &relay.data_dir());
    assert_eq!(trace.acknowledgements.len(), 1, "the trace shows the 250");
    let Acknowledgement {
        received, replied, ..
    } = &trace.acknowledgements[0];
    let before_reply = |sync: &&Sync| sync.end <= *replied;
    let (database, others): (Vec<&Sync>, Vec<&Sync>) = trace
        .syncs
        .iter()
        .filter(before_reply)
        .partition(|sync| sync.file.contains(".db"));
    let row = database.iter().rev().find(|sync| sync.begin >= *received);
    let row = row.expect("a sync of the database between the message and its 250");
    let body = others
        .iter()
        .find(|sync| sync.octets_before >= large.len() && sync.end <= row.begin);
    let body = body.unwrap_or_else(|| panic!("no synced file has the whole message: {others:?}"));
    let folder = Path::new(&body.file)
        .parent()
        .expect("the folder of a file");
    assert!(folder.ends_with(kept_in), "{}", body.file);
    // Without this the file may be without a name after a power cut.
    let named = others.iter().any(|sync| Path::new(&sync.file) == folder);
    assert!(
        named,
        "the folder of {} is not synced: {others:?}",
        body.file
    );
}

/// A file that is picked up bears the queue id of its message, on the disk, before the message is
/// there; and is removed after that. So a crash at any moment neither loses nor repeats it.
#[test]
fn a_picked_up_file_is_named_before_its_message_is_stored_and_goes_after_it() {
    let network = Network::new();
    let relay = Relay::prepare(network, "");
    let directory = relay.folder().join("pickup");
    let config = config(network);
    let pickup = format!("{config}[pickup]\ndirectory = {directory:?}\n");
    relay.write_config(&pickup);
    let (mut relay, traces) = traced(relay);
    let letter = "X-Sender: ann@client.test\nX-Receiver: bob@hosted.test\nSubject: storedtoken\n\n";
    fs::write(directory.join(".one"), letter).expect("a file");
    fs::rename(directory.join(".one"), directory.join("one.eml")).expect("its name");
    relay.wait_for_log(&["picked up", "one.eml"]);
    assert!(relay.stop().success(), "a graceful stop");

    let (calls, data_dir) = (calls(&traces), relay.data_dir());
    let find = |what: &str, is_it: &dyn Fn(&Call) -> bool| {
        let found = calls.iter().find(|call| call.result >= 0 && is_it(call));
        found.unwrap_or_else(|| panic!("{what} is not in the trace"))
    };
    let taken = directory.join("taken").display().to_string();
    let renamed = find("the move", &|call| {
        call.name.starts_with("rename") && call.text.contains(&taken)
    });
    let named = [taken.as_str(), &directory.display().to_string()].map(|folder| {
        find("a sync of both folders", &|call| {
            call.is_sync() && call.target == folder && call.begin >= renamed.end
        })
    });
    let stored = find("the message", &|call| {
        call.writes() && call.text.contains("storedtoken") && in_folder(call, &data_dir)
    });
    for sync in named {
        assert!(sync.end <= stored.begin, "{} is late", sync.target);
    }
    let synced = find("the sync of the message", &|call| {
        call.is_sync() && call.target == stored.target && call.begin >= stored.end
    });
    let removed = find("the removal", &|call| {
        call.name.starts_with("unlink") && call.text.contains(&taken)
    });
    assert!(synced.end <= removed.begin);
}

fn in_folder(call: &Call, folder: &Path) -> bool {
    Path::new(&call.target).starts_with(folder)
}

/// A relay under strace, and the folder of its traces.
fn traced_relay() -> (Relay, PathBuf) {
    let network = Network::new();
    traced(Relay::prepare(network, &config(network)))
}

fn traced(mut relay: Relay) -> (Relay, PathBuf) {
    let traces = relay.folder().join("traces");
    fs::create_dir(&traces).expect("a folder");
    let prefix = traces.join("t").display().to_string();
    let strace = path_of("strace").display().to_string();
    let precise = [
        "--absolute-timestamps=format:unix,precision:ns",
        "--syscall-times=ns",
    ];
    // One file per thread, so no call is split over two lines; strings long enough for what one
    // call may move.
    let whole = ["-ff", "-yy", "-s", "1000000", "-e", CALLS, "-o", &prefix];
    relay.wrap(&[&[strace.as_str()], &precise[..], &whole[..]].concat());
    relay.run();
    (relay, traces)
}

/// The server of the domain is down, so nothing but receiving is in the trace.
fn config(network: Network) -> String {
    format!(
        "[domain.\"hosted.test\"]\nroute = \"{}\"\n",
        route_to(network.mail_server())
    )
}

/// From the last octet of a message to its 250, in seconds of the machine's clock.
#[derive(Debug, PartialEq)]
struct Acknowledgement {
    connection: String,
    received: f64,
    replied: f64,
}

/// A sync of a file in the data folder that succeeded.
#[derive(Debug)]
struct Sync {
    file: String,
    begin: f64,
    end: f64,
    /// How much had been written to that file by then.
    octets_before: usize,
}

struct Trace {
    syncs: Vec<Sync>,
    acknowledgements: Vec<Acknowledgement>,
}

impl Trace {
    fn read(folder: &Path, data_dir: &Path) -> Trace {
        Trace::from_calls(calls(folder), &data_dir.display().to_string())
    }

    fn from_calls(mut calls: Vec<Call>, data_dir: &str) -> Trace {
        calls.sort_by(|one, other| one.begin.total_cmp(&other.begin));
        let syncs = syncs(&calls, data_dir);
        let acknowledgements = acknowledgements(&calls);
        Trace {
            syncs,
            acknowledgements,
        }
    }

    /// The 250s for which no sync lies between the message and the reply.
    fn unsynced(&self) -> Vec<&Acknowledgement> {
        let synced = |one: &Acknowledgement| {
            self.syncs
                .iter()
                .any(|sync| sync.begin >= one.received && sync.end <= one.replied)
        };
        self.acknowledgements
            .iter()
            .filter(|one| !synced(one))
            .collect()
    }
}

/// All calls of all threads, in the order in which they began.
fn calls(folder: &Path) -> Vec<Call> {
    let files = fs::read_dir(folder)
        .expect("the traces")
        .map(|entry| entry.expect("a trace").path());
    let texts: Vec<String> = files
        .map(|file| fs::read_to_string(file).expect("a trace"))
        .collect();
    let lines = texts.iter().flat_map(|text| text.lines());
    let mut calls: Vec<Call> = lines.filter_map(Call::parse).collect();
    calls.sort_by(|one, other| one.begin.total_cmp(&other.begin));
    calls
}

/// The syncs in the data folder, each with what was written to its file before it began.
fn syncs(calls: &[Call], data_dir: &str) -> Vec<Sync> {
    let mut written: HashMap<&str, usize> = HashMap::new();
    let mut found = Vec::new();
    for call in calls
        .iter()
        .filter(|call| call.target.starts_with(data_dir))
    {
        if call.writes() {
            *written.entry(&call.target).or_default() += usize::try_from(call.result).unwrap_or(0);
        } else if call.is_sync() {
            let octets_before = written.get(call.target.as_str()).copied().unwrap_or(0);
            let (file, begin, end) = (call.target.clone(), call.begin, call.end);
            found.push(Sync {
                file,
                begin,
                end,
                octets_before,
            });
        }
    }
    found
}

/// Follows every connection: after a 354, what ends in a lone dot is a whole message, and the next
/// reply answers it.
fn acknowledgements(calls: &[Call]) -> Vec<Acknowledgement> {
    enum Stage {
        Commands,
        Text,
        Answering { received: f64 },
    }
    let mut connections: HashMap<&str, Stage> = HashMap::new();
    let mut found = Vec::new();
    for call in calls
        .iter()
        .filter(|call| call.target.starts_with("TCP:") || call.target.starts_with("TCPv6:"))
    {
        let stage = connections.entry(&call.target).or_insert(Stage::Commands);
        match stage {
            Stage::Commands if call.sends() && call.text.contains("354 ") => *stage = Stage::Text,
            Stage::Text if call.receives() && call.text.ends_with("\\r\\n.\\r\\n") => {
                *stage = Stage::Answering { received: call.end };
            }
            Stage::Answering { received } if call.sends() => {
                assert!(call.text.starts_with("250"), "{}", call.text);
                found.push(Acknowledgement {
                    connection: call.target.clone(),
                    received: *received,
                    replied: call.begin,
                });
                *stage = Stage::Commands;
            }
            Stage::Commands | Stage::Text | Stage::Answering { .. } => {}
        }
    }
    found
}

/// One system call of the trace.
struct Call {
    name: String,
    /// What the file descriptor stands for: a path, or `TCP:[here->there]`.
    target: String,
    /// All strings among the arguments, as strace escapes them.
    text: String,
    result: i64,
    begin: f64,
    end: f64,
}

impl Call {
    /// `1700000000.123456789 fdatasync(5</a/path>) = 0 <0.000123456>`; `None` for anything else,
    /// such as signals.
    fn parse(line: &str) -> Option<Call> {
        let (begin, rest) = line.split_once(' ')?;
        let (name, rest) = rest.split_once('(')?;
        let (arguments, rest) = rest.rsplit_once(" = ")?;
        let (result, duration) = rest.rsplit_once(" <")?;
        let begin: f64 = begin.parse().ok()?;
        let duration: f64 = duration.strip_suffix('>')?.parse().ok()?;
        let result = result.split(' ').next()?.parse().ok()?;
        let text = strings(arguments);
        Some(Call {
            name: name.to_owned(),
            target: target(arguments),
            text,
            result,
            begin,
            end: begin + duration,
        })
    }

    fn is_sync(&self) -> bool {
        matches!(self.name.as_str(), "fsync" | "fdatasync") && self.result == 0
    }

    fn writes(&self) -> bool {
        self.sends()
            || matches!(self.name.as_str(), "pwrite64" | "pwritev" | "pwritev2") && self.result > 0
    }

    fn sends(&self) -> bool {
        matches!(
            self.name.as_str(),
            "write" | "writev" | "sendto" | "sendmsg"
        ) && self.result > 0
    }

    fn receives(&self) -> bool {
        matches!(
            self.name.as_str(),
            "read" | "readv" | "recvfrom" | "recvmsg"
        ) && self.result > 0
    }
}

/// `5</a/path>, ...` and `7<TCP:[127.0.0.1:25->127.0.0.2:4000]>, ...`
fn target(arguments: &str) -> String {
    let Some((_, rest)) = arguments.split_once('<') else {
        return String::new();
    };
    let end = if rest.starts_with("TCP") {
        rest.find("]>")
    } else {
        rest.find('>')
    };
    rest[..end.unwrap_or(rest.len())].to_owned()
}

fn strings(arguments: &str) -> String {
    let mut text = String::new();
    let mut inside = false;
    let mut escaped = false;
    for character in arguments.chars() {
        match character {
            '"' if !escaped => inside = !inside,
            _ if inside => text.push(character),
            _ => {}
        }
        escaped = inside && character == '\\' && !escaped;
    }
    text
}

const GOOD_TRACE: [&str; 5] = [
    r#"100.000000000 sendto(9<TCP:[127.0.0.1:25->127.0.0.2:4000]>, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n354 go on\r\n", 40, MSG_NOSIGNAL, NULL, 0) = 40 <0.000010000>"#,
    r#"100.100000000 recvfrom(9<TCP:[127.0.0.1:25->127.0.0.2:4000]>, "Subject: a\r\n\r\nb\r\n.\r\n", 8192, 0, NULL, NULL) = 20 <0.000010000>"#,
    r#"100.200000000 pwrite64(5</data/spool-wal>, "\0\"", 4096, 0) = 4096 <0.000010000>"#,
    r#"100.300000000 fdatasync(5</data/spool-wal>) = 0 <0.050000000>"#,
    r#"100.400000000 sendto(9<TCP:[127.0.0.1:25->127.0.0.2:4000]>, "250 2.0.0 queued\r\n", 18, MSG_NOSIGNAL, NULL, 0) = 18 <0.000010000>"#,
];

fn judged(lines: &[String]) -> (usize, usize) {
    let trace = Trace::from_calls(
        lines.iter().filter_map(|line| Call::parse(line)).collect(),
        "/data",
    );
    (trace.acknowledgements.len(), trace.unsynced().len())
}

#[test]
fn the_judge_of_traces_tells_good_from_bad() {
    let good: Vec<String> = GOOD_TRACE.map(str::to_owned).to_vec();
    assert_eq!(judged(&good), (1, 0));
    let change = |from: &str, to: &str| {
        good.iter()
            .map(|line| line.replace(from, to))
            .collect::<Vec<_>>()
    };
    assert_eq!(
        judged(&change("100.300", "100.000")),
        (1, 1),
        "a sync before the message came does not count"
    );
    assert_eq!(
        judged(&change("100.300", "100.380")),
        (1, 1),
        "nor one that ends after the reply"
    );
    assert_eq!(
        judged(&change(") = 0 ", ") = -1 EIO ")),
        (1, 1),
        "nor one that failed"
    );
    assert_eq!(
        judged(&change("/data", "/elsewhere")),
        (1, 1),
        "nor one of another file"
    );
}
