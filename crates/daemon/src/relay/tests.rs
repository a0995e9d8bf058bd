use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use config::Environment;
use mail::Domain;
use serde_json::json;
use tempfile::TempDir;

use sign_in::Found;

use super::*;
use crate::control::Actor;
use crate::shared::Reading;
use crate::storage::open_spool;

/// A directory with a configuration, and the text that is read from it next time.
struct RelayFiles {
    directory: TempDir,
    text: Arc<Mutex<String>>,
}

impl RelayFiles {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().display();
        let text = format!("data_dir = \"{data}\"\n[auth]\nusers_file = \"{data}/users.toml\"\n");
        Self {
            directory,
            text: Arc::new(Mutex::new(text)),
        }
    }

    fn config(&self) -> Config {
        read(&self.text.lock().unwrap()).unwrap().config
    }

    fn users_file(&self) -> PathBuf {
        self.directory.path().join("users.toml")
    }

    /// As `gatepost user` does it: a new file in place of the old one.
    fn write_users(&self, text: &str) {
        let new = self.directory.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, self.users_file()).unwrap();
    }

    async fn relay(&self) -> Relay {
        self.relay_read_by(read).await
    }

    /// One whose configuration is made of its text by `read`.
    async fn relay_read_by(&self, read: impl Fn(&str) -> Reading + Send + Sync + 'static) -> Relay {
        let text = Arc::clone(&self.text);
        let load = move |_: &dyn config::Files| {
            let text = text.lock().unwrap().clone();
            read(&text)
        };
        let source = Source {
            file: None,
            load: Box::new(load),
        };
        let config = self.config();
        let spool = open_spool(&config).unwrap();
        Relay::start(config, spool, Vec::new(), None, Arc::default(), source)
            .await
            .unwrap()
    }
}

fn read(text: &str) -> Reading {
    let environment = Environment {
        hostname: Domain::parse("relay.test").ok(),
        addresses: Vec::new(),
    };
    config::parse("gatepost.toml", text, &environment)
}

const ANN: &str = "[user.\"ann@ours.test\"]\n";

/// The watch looks every second.
const LONG: std::time::Duration = std::time::Duration::from_secs(60);

#[tokio::test]
async fn a_file_that_is_made_written_replaced_or_removed_is_noticed() {
    let files = RelayFiles::new();
    let config = files.config();
    let users = files.users_file();
    let mut seen = Seen::of(&config).await;
    assert!(!seen.is_outdated_by(&Seen::of(&config).await));
    let changes: [&dyn Fn(); 4] = [
        &|| files.write_users("one"),
        &|| fs::write(&users, "longer").unwrap(),
        &|| files.write_users("LONGER"),
        &|| fs::remove_file(&users).unwrap(),
    ];
    for (number, change) in changes.iter().enumerate() {
        change();
        let now = Seen::of(&config).await;
        assert!(seen.is_outdated_by(&now), "change {number}");
        seen = now;
    }
}

#[tokio::test]
async fn what_a_reload_brought_is_not_read_again() {
    let files = RelayFiles::new();
    let seen = Seen::of(&files.config()).await;
    files.write_users("one");
    files.text.lock().unwrap().push_str("# a word\n");
    let now = Seen::of(&files.config()).await;
    assert!(!seen.is_outdated_by(&now));
}

#[tokio::test(flavor = "multi_thread")]
async fn users_come_into_force_when_their_file_changes() {
    let files = RelayFiles::new();
    let relay = files.relay().await;
    let mut active = relay.services().active.subscribe();
    let users =
        |active: &Arc<ActiveConfiguration>| active.sign_in_settings().sources.find("ann@ours.test");
    assert_eq!(users(&active.borrow_and_update()), Ok(Found::Nobody));
    files.write_users(ANN);
    let changed = tokio::time::timeout(LONG, active.changed()).await;
    changed.expect("nobody noticed").unwrap();
    let found = users(&active.borrow_and_update()).unwrap();
    assert!(matches!(found, Found::User(_)), "{found:?}");
    drop(active);
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_wait_for_a_configuration_that_is_being_changed() {
    let files = RelayFiles::new();
    let relay = files.relay().await;
    let before = relay.services().active();
    files
        .text
        .lock()
        .unwrap()
        .push_str("[limits]\nrecipients = 700\n");
    let is_due = || relay.shared().reload_due.load(Ordering::Relaxed);
    assert!(!is_due());
    assert_eq!(relay.shared().reload_if_unchanged().await, Ok(false));
    assert!(is_due());
    assert!(Arc::ptr_eq(&before, &relay.services().active()));
    // and one with a fault in it brings nothing in force either
    files.text.lock().unwrap().push_str("nonsense = 1\n");
    assert!(relay.shared().reload_if_unchanged().await.is_err());
    assert!(Arc::ptr_eq(&before, &relay.services().active()));
    drop(before);
    relay.stop().await;
}

/// On one thread: whatever reads a file there holds up everybody.
#[tokio::test]
async fn a_slow_disk_holds_up_a_reload_alone_and_the_later_of_two_reads_what_is_there_then() {
    let files = RelayFiles::new();
    let (begin, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = std::sync::mpsc::channel();
    let released = Mutex::new(released);
    let slow = move |text: &str| {
        begin.send(()).unwrap();
        released.lock().unwrap().recv_timeout(LONG).unwrap();
        read(text)
    };
    let relay = files.relay_read_by(slow).await;
    let reload = |line: &str| {
        files.text.lock().unwrap().push_str(line);
        let shared = Arc::clone(relay.shared());
        tokio::spawn(async move { shared.reload().await })
    };
    let first = reload("# one\n");
    begun.recv().await.unwrap();
    assert!(get(&relay, "/v1/status").await.0.is_success());
    let second = reload("# two\n");
    assert!(get(&relay, "/v1/status").await.0.is_success());
    assert!(begun.try_recv().is_err(), "two are read at one time");
    release.send(()).unwrap();
    release.send(()).unwrap();
    for reloaded in [first, second] {
        assert_eq!(reloaded.await.unwrap(), Ok(Vec::new()));
    }
    let text = relay.services().active().setup.config.text.to_string();
    assert!(text.ends_with("# one\n# two\n"), "{text}");
    relay.stop().await;
}

type Answered = (axum::http::StatusCode, serde_json::Value);

/// What the API of `relay` answers to somebody who is signed in at the console.
async fn ask(relay: &Relay, request: axum::extract::Request) -> Answered {
    let api = relay.api();
    let response = api.call(Actor::at_console("ann"), request).await;
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 100_000).await;
    (status, serde_json::from_slice(&body.unwrap()).unwrap())
}

async fn get(relay: &Relay, path: &str) -> Answered {
    let request = axum::extract::Request::get(path).body(axum::body::Body::empty());
    ask(relay, request.unwrap()).await
}

async fn post(relay: &Relay, path: &str, body: serde_json::Value) -> Answered {
    let request = axum::extract::Request::post(path).header("content-type", "application/json");
    ask(relay, request.body(body.to_string().into()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_answers_in_the_process_as_on_the_socket() {
    let files = RelayFiles::new();
    let relay = files.relay().await;
    let (status, body) = get(&relay, "/v1/status").await;
    assert!(status.is_success());
    let socket = files.config().control.socket;
    let same = move || crate::Remote::new(&socket).get::<serde_json::Value>("/v1/status");
    let same = tokio::task::spawn_blocking(same).await.unwrap().unwrap();
    assert_eq!(body["pid"], same["pid"]);
    let (status, body) = get(&relay, "/v1/nowhere").await;
    assert_eq!(status, 404);
    assert!(body["error"].is_string(), "{body}");
    relay.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acts_are_in_the_audit_log_in_the_name_of_who_did_them() {
    let files = RelayFiles::new();
    let relay = files.relay().await;
    // What is said in the body is not believed of the console.
    let pause = json!({ "by": "somebody else", "reason": "a test" });
    let (_, paused) = post(&relay, "/v1/queue/pause", pause).await;
    assert_eq!(paused["by"], "ann");
    let hold = json!({ "by": "somebody else", "filter": "from:x@y.test" });
    let (_, begun) = post(&relay, "/v1/queue/hold", hold).await;
    assert_eq!(begun["by"], "ann");
    let (_, _) = get(
        &relay,
        &format!("/v1/queue/operations/{}?wait=60", begun["number"]),
    )
    .await;
    let (status, _) = post(&relay, "/v1/sessions/in-7/kill", json!(null)).await;
    assert_eq!(status, 404);
    let (_, rows) = get(&relay, "/v1/audit?limit=9").await;
    let told = |row: &serde_json::Value| {
        ["who", "way", "verb", "what", "reason", "count", "result"].map(|field| row[field].clone())
    };
    let told: Vec<_> = rows.as_array().unwrap().iter().rev().map(told).collect();
    let pause = json!([
        "ann",
        "console",
        "queue/pause",
        "the whole queue",
        "a test",
        null,
        "done"
    ]);
    let hold = json!([
        "ann",
        "console",
        "queue/hold",
        "from:<x@y.test>",
        null,
        null,
        "begun"
    ]);
    let held = json!([
        "ann",
        "relay",
        "queue/hold",
        "from:<x@y.test>",
        null,
        0,
        "done"
    ]);
    let kill = json!([
        "ann",
        "console",
        "sessions/in-7/kill",
        null,
        null,
        null,
        "refused"
    ]);
    assert_eq!(json!(told[0]), pause);
    // The operation may end before its begin is answered.
    for expected in [hold, held, kill] {
        assert!(told.iter().any(|row| json!(row) == expected), "{told:?}");
    }
    let file = fs::read_to_string(files.directory.path().join("audit.jsonl")).unwrap();
    assert_eq!(file.lines().count(), told.len());
    relay.stop().await;
}
