//! What a row costs to write, in CPU time and on disk, and how long questions take.
//!
//! `cargo bench -p tracking --bench rows -- [ROWS] [FOLDER] [KEEP]`; a million rows unless told
//! otherwise. With a file to keep the store is written there, its last row is of this moment, and
//! nothing is asked: that is for whoever wants a store that a relay goes on with.
#![allow(
    clippy::disallowed_methods,
    reason = "a benchmark measures how long things take"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use filter::Filter;
use mail::{QueueId, Timestamp, TrackedResult};
use tracking::{Question, Reader, Row, Stage, Store};

/// The first row's moment, unless the store is kept.
const USUAL_START: Timestamp = Timestamp::from_millis(1_775_001_600_000);
/// All rows lie within a month.
const SPAN: Duration = Duration::from_secs(30 * 86_400);
/// Rows that are written together.
const BATCH: u64 = 500;
/// What a page of the console asks for.
const PAGE_ROWS: usize = 50;
/// As the control socket asks.
const LOOKS: usize = 2_000_000;

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|one| !one.starts_with("--"));
    let rows = arguments
        .next()
        .map_or(1_000_000, |text| text.parse().expect("a number of rows"));
    let folder = arguments
        .next()
        .map_or_else(std::env::temp_dir, PathBuf::from);
    if let Some(kept) = arguments.next() {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.expect("a clock").as_millis() as u64;
        let _first = START.set(Timestamp::from_millis(now) - SPAN);
        return write(Path::new(&kept), rows);
    }
    let path = folder.join(format!("gatepost-tracking-{}.db", std::process::id()));
    write(&path, rows);
    ask(&path, rows);
    for ending in ["", "-wal", "-shm"] {
        let _gone = fs::remove_file(format!("{}{ending}", path.display()));
    }
}

fn write(path: &Path, rows: u64) {
    let mut store = Store::open(path).expect("a new store");
    let (cpu, began) = (cpu_time(), Instant::now());
    let mut making = Duration::ZERO;
    for first in (0..rows).step_by(BATCH as usize) {
        let start = Instant::now();
        let batch: Vec<Row> = (first..rows.min(first + BATCH))
            .map(|n| row(n, rows))
            .collect();
        making += start.elapsed();
        store.append(&batch).expect("rows are written");
    }
    let cpu = cpu_time().saturating_sub(cpu).saturating_sub(making);
    let took = began.elapsed().saturating_sub(making);
    let octets = store.octets().expect("the size of the file");
    println!(
        "{rows} rows: {:.1} us of CPU time a row, {:.0} rows/s, {:.0} octets a row on disk, {:.2} GB",
        cpu.as_secs_f64() * 1e6 / rows as f64,
        rows as f64 / took.as_secs_f64(),
        octets as f64 / rows as f64,
        octets as f64 / 1e9,
    );
}

fn ask(path: &Path, rows: u64) {
    let reader = Reader::open(path).expect("the store");
    let (middle, end) = (moment(rows / 2, rows), moment(rows, rows));
    let id = row(rows / 3 / 2 * 2, rows).id.expect("an id");
    let questions = [
        "".to_owned(),
        format!("id:{id}"),
        "to:user77@domain1234.example".to_owned(),
        "to:*@domain42.example".to_owned(),
        "from:sender500@*".to_owned(),
        "from:<>".to_owned(),
        "client:10.1.2.3".to_owned(),
        "client:10.1.0.0/16 state:refused".to_owned(),
        "state:failed".to_owned(),
        "to:*@domain7.example state:failed".to_owned(),
        format!("arrived:<{middle} state:deferred"),
        format!("reply:quota arrived:>{}", end - Duration::from_secs(86_400)),
    ];
    for text in questions {
        let filter = Filter::parse_tracked(&text, end).expect("a filter");
        let mut times = Vec::new();
        let mut found = 0;
        for _ in 0..5 {
            let question = Question {
                filter: &filter,
                before: None,
                limit: PAGE_ROWS,
                last_only: true,
                looks: LOOKS,
            };
            let start = Instant::now();
            found = reader.page(&question).expect("a page").rows.len();
            times.push(start.elapsed());
        }
        let first = times[0];
        times.sort();
        println!(
            "{:8.1} ms first, {:8.1} ms median of 5  {found:2} rows  {text}",
            ms(first),
            ms(times[2])
        );
    }
}

fn ms(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}

static START: OnceLock<Timestamp> = OnceLock::new();

fn moment(n: u64, rows: u64) -> Timestamp {
    *START.get_or_init(|| USUAL_START) + SPAN.mul_f64(n as f64 / rows as f64)
}

/// The same row for the same number, whatever else is asked: two for each message that is let in,
/// when it comes and when it goes; and refusals.
fn row(n: u64, rows: u64) -> Row {
    let at = moment(n, rows);
    let mut dice = Dice(n / 2);
    let is_refusal = n % 10 >= 8;
    let id = QueueId::new(moment(n / 2 * 2, rows), u128::from(dice.next()) << 16);
    let (sender, domain, user) = (dice.below(20_000), dice.below(5_000), dice.below(100));
    let client = format!(
        "10.{}.{}.{}",
        dice.below(4),
        dice.below(250),
        dice.below(250)
    );
    let common = Row {
        id: Some(id),
        number: Some(0),
        session: Some(n / 2),
        client: client.into(),
        sender: Some(match sender % 20 {
            0 => "".into(),
            _ => format!("sender{sender}@client{}.example", sender % 977).into(),
        }),
        recipient: format!("user{user}@domain{domain}.example").into(),
        size: dice.below(60_000),
        place: format!("gatepost.toml:{}", 10 + domain % 30).into(),
        ..Row::new(at, TrackedResult::Received, Stage::Data)
    };
    if is_refusal {
        return Row {
            result: TrackedResult::Refused,
            stage: Stage::Rcpt,
            listener: "internet".into(),
            hello: format!("mail{}.client.example", sender % 977).into(),
            reply: format!("550 5.7.1 Unable to relay for {}", common.recipient).into(),
            note: "matches none of 3 entries in relay.allow".into(),
            ..common
        };
    }
    if n.is_multiple_of(2) {
        return received(common, sender, dice.next());
    }
    let (result, reply) = match n % 200 {
        1 => (
            TrackedResult::Failed,
            "550 5.1.1 <user> Recipient address rejected: User unknown in virtual mailbox table",
        ),
        3 | 5 => (
            TrackedResult::Deferred,
            "450 4.2.1 <user> The user you are trying to contact is over quota",
        ),
        _ => (
            TrackedResult::Delivered,
            "250 2.0.0 Ok: queued as 4TzXyZ0abcz9rsT",
        ),
    };
    Row {
        result,
        stage: Stage::Delivery,
        route: format!("domain{domain}.example").into(),
        host: format!("mx1.domain{domain}.example [192.0.2.{}]:25", domain % 250).into(),
        tls: "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519".into(),
        reply: reply.into(),
        queued: Some(Duration::from_millis(dice.below(9_000))),
        took: Some(Duration::from_millis(dice.below(900))),
        replied: Some(Duration::from_millis(dice.below(90))),
        tries: 1,
        ..common
    }
}

fn received(common: Row, sender: u64, number: u64) -> Row {
    Row {
        listener: "internet".into(),
        hello: format!("mail{}.client.example", sender % 977).into(),
        tls: "TLSv1.3 TLS_AES_256_GCM_SHA384 X25519".into(),
        message_id: format!("{number:016x}@client{}.example", sender % 977).into(),
        reply: "250 2.0.0 Ok".into(),
        note: "our-domain".into(),
        ..common
    }
}

/// Numbers that look like chance (SplitMix64).
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// User and system time of this process so far: `utime` and `stime` of proc(5), in ticks of 10 ms.
fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("proc");
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2);
    let ticks: u64 = ticks.filter_map(|text| text.parse::<u64>().ok()).sum();
    Duration::from_millis(10 * ticks)
}
