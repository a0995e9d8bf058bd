//! The pickup directory: programs put files there, and their messages arrive, once.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::network::Network;
use crate::program;
use crate::relay::Relay;
use crate::server::{Conduct, RecordingServer};
use crate::wait::{seconds, until, until_true};

const PICKED_UP_SECONDS_MAX: u64 = 30;
/// A thousand files go within a fraction of a second once the last of them is there. A pause for each,
/// or for each few that are handed over side by side, would take longer than this.
const THOUSAND_TAKEN_SECONDS_MAX: u64 = 10;
/// Files that the relay hands over at one time.
const SIDE_BY_SIDE: usize = 32;

/// A relay that picks up, and the server to which all its mail goes.
fn office(top: &str) -> (Relay, RecordingServer, PathBuf) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let relay = Relay::prepare(network, "");
    let directory = relay.folder().join("pickup");
    write_config(&relay, &server, top, "");
    (relay, server, directory)
}

fn write_config(relay: &Relay, server: &RecordingServer, top: &str, more: &str) {
    write_config_for(relay, server, &relay.folder().join("pickup"), top, more);
}

fn write_config_for(
    relay: &Relay,
    server: &RecordingServer,
    directory: &Path,
    top: &str,
    more: &str,
) {
    relay.write_bare_config(
        top,
        &format!(
            "[listener.internet]\nbind = \"{}:0\"\n[pickup]\ndirectory = {directory:?}\n\
             [log]\nformat = \"json\"\n\
             [outbound]\nroute = \"{}\"\n{more}",
            relay.network.relay(),
            server.route(),
        ),
    );
}

/// Puts a file there as careful programs do: under another name first.
fn put(directory: &Path, name: &str, text: &str) {
    let written = directory.join(format!(".{name}"));
    fs::write(&written, text).expect("a file");
    fs::rename(written, directory.join(name)).expect("its name");
}

fn letter(subject: &str) -> String {
    format!(
        "X-Sender: ann@client.test\nX-Receiver: bob@far.test\nFrom: Ann <ann@client.test>\n\
         To: Bob <bob@far.test>\nSubject: {subject}\n\nhello\n"
    )
}

fn files(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = files
        .map(|file| file.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// The bad files with the reasons for them.
fn set_aside(directory: &Path) -> Vec<String> {
    let folder = directory.join("badmail");
    let names = files(&folder).into_iter();
    let read = |name: String| {
        let file = name.strip_suffix(".reason")?;
        fs::symlink_metadata(folder.join(file)).ok()?;
        let why = fs::read_to_string(folder.join(&name)).expect("a reason");
        Some(format!("{}: {}", &file[27..], why.trim_end()))
    };
    names.filter_map(read).collect()
}

#[test]
fn files_of_every_form_become_messages() {
    let (mut relay, server, directory) = office("relay.pickup = true\n");
    relay.run();
    put(&directory, "iis.eml", &letter("iis").replace('\n', "\r\n"));
    put(
        &directory,
        "header.EML",
        "To: bob@far.test\nBcc: secret@far.test\nFrom: ann@client.test\nSubject: header\n\n.\ndot\n",
    );
    put(
        &directory,
        "bare.eml",
        "X-Sender: <ann@client.test> RET=HDRS\r\nX-Receiver: <bob@far.test> NOTIFY=NEVER\r\n\
         Subject: bare\r\n\r\ngr\u{fc}\u{df}e\r\n",
    );
    // Written in place, and so waited for.
    let mut slow = fs::File::create(directory.join("slow.eml")).expect("a file");
    let slow_letter = letter("slow");
    let (first, second) = slow_letter.split_at(60);
    slow.write_all(first.as_bytes()).expect("the first half");
    let iis = server.wait_for("iis");
    slow.write_all(second.as_bytes()).expect("the second half");
    drop(slow);
    let text = iis.text();
    assert!(
        !text.contains("X-Sender") && !text.contains("X-Receiver"),
        "{text}"
    );
    let received = iis.header("Received").expect("Received");
    assert!(received.contains("of this machine)"), "{received}");
    assert!(
        text.contains("Message-ID: ") && text.contains("Date: "),
        "{text}"
    );
    let header = server.wait_for("header");
    assert!(!header.text().contains("secret"), "{}", header.text());
    assert!(
        header.text().ends_with("\r\n.\r\ndot\r\n"),
        "{}",
        header.text()
    );
    let bare = server.wait_for("bare").text();
    assert!(bare.contains("From: <ann@client.test>"), "{bare}");
    let slow = server.wait_for("slow");
    assert!(slow.text().ends_with("\r\nhello\r\n"), "{}", slow.text());
    relay.wait_until_empty();
    until_true("the files to go", seconds(PICKED_UP_SECONDS_MAX), || {
        files(&directory) == ["badmail", "taken"] && files(&directory.join("taken")).is_empty()
    });
    assert!(set_aside(&directory).is_empty());
    let line = relay.wait_for_log(&["message accepted", "far.test", "local-submission"]);
    assert!(line.contains("gatepost.toml:1"), "{line}");
    relay.wait_for_log(&["picked up", "iis.eml"]);
}

#[test]
fn bad_files_are_set_aside_with_the_reason() {
    let (mut relay, server, directory) = office("relay.pickup = true\n");
    write_config(
        &relay,
        &server,
        "relay.pickup = true\nlimits.message_size = \"10kB\"\nlimits.header_size = \"5kB\"\n",
        "[senders]\nblocked = [\"eve@client.test\"]\n",
    );
    relay.run();
    let hops = "Received: from x by y; now\n".repeat(40);
    for (name, text) in [
        (
            "nobody.eml",
            "From: ann@client.test\nSubject: x\n\nhi\n".to_owned(),
        ),
        (
            "wrong.eml",
            letter("x").replace("bob@far.test", "bob smith"),
        ),
        ("large.eml", letter("x") + &"large\n".repeat(2_000)),
        (
            "header.eml",
            letter("x").replace(
                "Subject:",
                &format!(
                    "Bcc: {}carl@far.test\nSubject:",
                    "\n carl@far.test,".repeat(9_000)
                ),
            ),
        ),
        (
            "loop.eml",
            letter("x").replace("From:", &format!("{hops}From:")),
        ),
        (
            "blocked.eml",
            letter("x").replace("ann@client", "eve@client"),
        ),
    ] {
        put(&directory, name, &text);
    }
    // What a link leads to is nobody's mail.
    let secret = relay.folder().join("secret");
    fs::write(&secret, letter("secret")).expect("a file");
    std::os::unix::fs::symlink(&secret, directory.join("link.eml")).expect("a link");
    fs::hard_link(&secret, directory.join("hard.eml")).expect("a link");
    fs::create_dir(directory.join("folder.eml")).expect("a folder");
    program::run(
        "mkfifo",
        &[directory.join("pipe.eml").to_str().expect("a path")],
    )
    .expect_code(0);
    let expected = [
        "blocked.eml: bob@far.test: 550 5.7.1 Mail from <eve@client.test> is not accepted here",
        "hard.eml: this is no file of its own: a link, a folder or a device",
        "header.eml: the header exceeds 5000 octets",
        "large.eml: 552 5.3.4 Message exceeds the limit of 10000 octets",
        "link.eml: this is no file of its own: a link, a folder or a device",
        "loop.eml: 554 5.4.6 Mail loop: 40 Received fields",
        "nobody.eml: no recipients are named",
        "pipe.eml: this is no file of its own: a link, a folder or a device",
        "wrong.eml: `bob smith` is no address: the local part is malformed",
    ];
    let found = until("all of them", seconds(PICKED_UP_SECONDS_MAX), || {
        let mut found = set_aside(&directory);
        found.sort();
        (found.len() >= expected.len()).then_some(found)
    });
    assert_eq!(found, expected);
    relay.wait_for_log(&["moved to badmail", "large.eml", "552 5.3.4"]);
    assert_eq!(files(&directory), ["badmail", "folder.eml", "taken"]);
    assert_eq!(server.count(), 0);
    // Of many the log tells how many there were.
    for n in 0..MANY {
        put(&directory, &format!("many{n}.eml"), "Subject: x\n\nhi\n");
    }
    let all = expected.len() + MANY;
    until_true("all of them", seconds(PICKED_UP_SECONDS_MAX), || {
        set_aside(&directory).len() == all
    });
    relay.stop();
    let log = relay.log();
    let named = log.matches("pickup refused: moved to badmail").count();
    let counts = log
        .lines()
        .filter(|line| line.contains("pickup refused more files"));
    let counts: Vec<usize> = counts.map(count_in).collect();
    assert_eq!(named + counts.iter().sum::<usize>(), all, "{counts:?}");
    assert!(named < MANY / 2, "{named}");
}

/// More than the log names in a minute.
const MANY: usize = 200;

fn count_in(line: &str) -> usize {
    let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
    line["count"].as_u64().expect("a count") as usize
}

/// Without `relay.pickup` a file is worth what a stranger's message is.
#[test]
fn the_rule_decides_where_files_may_go() {
    let (mut relay, server, directory) = office("");
    let hosted = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    write_config(&relay, &server, "", &hosted);
    relay.run();
    put(
        &directory,
        "ours.eml",
        &letter("ours").replace("far.test", "hosted.test"),
    );
    put(&directory, "away.eml", &letter("away"));
    server.wait_for("ours");
    let found = until("the other", seconds(PICKED_UP_SECONDS_MAX), || {
        let found = set_aside(&directory);
        (!found.is_empty()).then_some(found)
    });
    assert_eq!(
        found,
        ["away.eml: bob@far.test: 550 5.7.1 Unable to relay for bob@far.test"]
    );
    let check = [
        "relay",
        "check",
        "--local",
        "pickup",
        "--rcpt",
        "bob@far.test",
    ];
    let refused = relay.command(&check).expect_code(1).out;
    assert!(
        refused.contains("relay.pickup lets nobody relay"),
        "{refused}"
    );
    assert!(refused.contains("relay.pickup were true"), "{refused}");
    // By a reload, and for some senders.
    write_config(
        &relay,
        &server,
        "relay.pickup = true\npickup.senders = [\"client.test\"]\n",
        "",
    );
    relay.command(&["reload"]).expect_code(1);
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let text = text.replace("pickup.senders = [\"client.test\"]\n", "");
    let text = text.replace("[pickup]\n", "[pickup]\nsenders = [\"client.test\"]\n");
    relay.write_whole_config(&text);
    relay.command(&["reload"]).expect_code(0);
    let allowed = relay.command(&check).expect_code(1).out;
    assert!(allowed.contains("may not send as this sender"), "{allowed}");
    let mut check = check.to_vec();
    check.extend(["--mail", "ann@client.test"]);
    let allowed = relay.command(&check).expect_code(0).out;
    assert!(allowed.contains("gatepost.toml:1"), "{allowed}");
    put(&directory, "now.eml", &letter("now"));
    server.wait_for("now");
    let posture = relay.command(&["status"]).expect_code(0).out;
    assert!(
        posture.contains("this machine as some senders on pickup"),
        "{posture}"
    );
}

#[test]
fn a_thousand_files_are_taken_without_a_stall_and_each_once_across_a_kill() {
    const FILES: usize = 1_000;
    let (mut relay, server, directory) = office("relay.pickup = true\n");
    relay.run();
    let write = |series: &str| {
        for n in 0..FILES {
            let name = format!("{series}{n}");
            put(&directory, &format!("{name}.eml"), &letter(&name));
        }
    };
    let all_gone = || files(&directory).len() == 2 && files(&directory.join("taken")).is_empty();
    let begun = Instant::now();
    write("a");
    let written = begun.elapsed();
    until_true(
        "the files to go",
        seconds(THOUSAND_TAKEN_SECONDS_MAX),
        all_gone,
    );
    println!(
        "{FILES} files, written in {written:?}, stored after {:?}",
        begun.elapsed()
    );
    until_true("all of them", seconds(60), || server.count() == FILES);
    write("b");
    until_true("some to be taken", seconds(60), || {
        !files(&directory.join("taken")).is_empty()
    });
    relay.kill();
    // Beside the two folders.
    let left = files(&directory).len() - 2 + files(&directory.join("taken")).len();
    println!("{left} left at the kill");
    assert!(left > 0, "the kill came in the middle of it");
    relay.run();
    until_true("all of them", seconds(60), || {
        server.subjects().len() == 2 * FILES
    });
    relay.wait_until_empty();
    until_true("the files to go", seconds(60), all_gone);
    // A message whose outcome was not written down at the kill arrives twice, as every message may.
    // Of files it can only be those that were being handed over.
    let log = relay.log();
    let accepted = log
        .lines()
        .filter(|line| line.contains("\"message accepted\""));
    let accepted = accepted.count();
    println!("{} accepted, {} arrived", accepted, server.count());
    assert!(accepted <= 2 * FILES + SIDE_BY_SIDE, "{accepted}");
}

/// The file of a message that is stored is removed at the next start, and not sent again; one whose
/// message is not stored is handed in.
#[test]
fn after_a_crash_the_spool_tells_which_files_were_taken() {
    let network = Network::new();
    let server = RecordingServer::start_with(
        network.mail_server(),
        Conduct {
            greeting: "421 not now",
            ..Conduct::default()
        },
    );
    let mut relay = Relay::prepare(network, "");
    let directory = relay.folder().join("pickup");
    write_config(&relay, &server, "relay.pickup = true\n", "");
    relay.run();
    put(&directory, "stored.eml", &letter("stored"));
    let line = relay.wait_for_log(&["picked up", "stored.eml"]);
    let line: serde_json::Value = serde_json::from_str(&line).expect("a line");
    let id = line["id"].as_str().expect("an id").to_owned();
    relay.kill();
    // As if the kill had come before the removal, and before the other was handed in.
    let taken = directory.join("taken");
    fs::write(taken.join(format!("{id}.stored.eml")), letter("stored")).expect("a file");
    let last = if id.ends_with('z') { 'y' } else { 'z' };
    let other = format!("{}{last}", &id[..25]);
    fs::write(taken.join(format!("{other}.other.eml")), letter("other")).expect("a file");
    relay.run();
    relay.wait_for_log(&["picked up", "other.eml", &other]);
    until_true("the files to go", seconds(PICKED_UP_SECONDS_MAX), || {
        files(&taken).is_empty()
    });
    assert_eq!(relay.queued(), 2);
}

/// Without the sticky bit whoever may write there could put a folder in place of ours.
#[test]
fn a_directory_in_which_others_may_rename_is_not_used() {
    let (mut relay, server, directory) = office("relay.pickup = true\n");
    fs::create_dir_all(&directory).expect("a folder");
    let mode = |mode| fs::set_permissions(&directory, fs::Permissions::from_mode(mode));
    mode(0o2770).expect("a mode");
    relay.spawn();
    assert_eq!(relay.wait_for_end().code(), Some(75));
    assert!(
        relay.log().contains("set the sticky bit"),
        "{}",
        relay.log()
    );
    mode(0o3770).expect("a mode");
    relay.run();
    put(&directory, "a.eml", &letter("sticky"));
    server.wait_for("sticky");
}

#[test]
fn a_missing_directory_is_made_with_those_above_it() {
    let (mut relay, server, directory) = office("relay.pickup = true\n");
    let deeper = directory.join("in/here");
    write_config_for(&relay, &server, &deeper, "relay.pickup = true\n", "");
    relay.run();
    let mode = |path: &Path| fs::metadata(path).expect("a folder").mode() & 0o7777;
    assert_eq!(mode(&deeper), 0o1770);
    assert_eq!(mode(&directory) & 0o022, 0);
    put(&deeper, "a.eml", &letter("deeper"));
    server.wait_for("deeper");
}

/// What was shared as `mailroot` keeps its name, capital letters and all.
#[test]
fn the_path_of_iis_is_served_under_its_own_name() {
    let (mut relay, server, _) = office("relay.pickup = true\n");
    let directory = relay.folder().join("inetpub/mailroot/Pickup");
    write_config_for(&relay, &server, &directory, "relay.pickup = true\n", "");
    relay.run();
    assert_eq!(files(&relay.folder().join("inetpub/mailroot")), ["Pickup"]);
    put(&directory, "Order.EML", &letter("order"));
    server.wait_for("order");
    relay.wait_until_empty();
    until_true("the file to go", seconds(PICKED_UP_SECONDS_MAX), || {
        files(&directory) == ["badmail", "taken"] && files(&directory.join("taken")).is_empty()
    });
}

/// In a directory to which everybody may write, nobody else gets at what was taken.
#[test]
fn a_folder_of_somebody_else_is_not_used() {
    let (mut relay, _server, directory) = office("relay.pickup = true\n");
    let taken = directory.join("taken");
    fs::create_dir_all(&taken).expect("a folder");
    fs::set_permissions(&taken, fs::Permissions::from_mode(0o777)).expect("a mode");
    relay.spawn();
    let end = relay.wait_for_end();
    assert_eq!(end.code(), Some(75));
    assert!(
        relay.log().contains("belongs to somebody else"),
        "{}",
        relay.log()
    );
}
