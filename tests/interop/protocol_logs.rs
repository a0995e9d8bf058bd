//! Protocol logs as the programs around a relay read them: lnav and lars the W3C form, GoAccess the
//! NCSA form, AWStats and pflogsumm the maillog form; and what becomes of them when fields change,
//! the relay starts anew or the disk is of no use.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::client::{Dialogue, message, submit};
use crate::network::Network;
use crate::program::{self, Ran};
use crate::relay::Relay;
use crate::server::{RecordingServer, route_to};
use crate::wait::{seconds, until, until_true};

/// Where scripts/test puts what it takes from PyPI.
const LARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/lars");

/// The lines of the one file in the folder of a log, once the last one holds `words`.
fn lines(relay: &Relay, log: &str, words: &str) -> Vec<String> {
    let what = format!("{words} in [log.{log}]");
    until(&what, seconds(20), || {
        let text = fs::read_to_string(only_file(&folder(relay, log))?).ok()?;
        text.contains(words)
            .then(|| text.lines().map(str::to_owned).collect())
    })
}

fn folder(relay: &Relay, log: &str) -> PathBuf {
    relay.data_dir().join("log").join(log)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn only_file(folder: &Path) -> Option<PathBuf> {
    match &files(folder)[..] {
        [] => None,
        [only] => Some(only.clone()),
        more => panic!("{more:?}"),
    }
}

/// A relay with these logs, from which a stranger was refused and through which one message went.
fn used_relay(logs: &str) -> (Relay, RecordingServer) {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let relay = Relay::start(network, &format!("{domain}{logs}"));
    let mut stranger = Dialogue::open(network.stranger(), relay.address());
    stranger.ask("HELO stranger.test", 250);
    stranger.ask("MAIL FROM:<ann@client.test>", 250);
    stranger.ask("RCPT TO:<bob@elsewhere.test>", 550);
    stranger.ask("QUIT", 221);
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@hosted.test>", 250);
    client.ask("DATA", 354);
    client.send(message("logged").as_bytes());
    client.ask(".", 250);
    drop(client);
    server.wait_for("logged");
    (relay, server)
}

#[test]
fn readers_of_w3c_and_ncsa_logs_take_ours() {
    let all = "[log.w3c]\nfields = \"all\"\n[log.ncsa]\nformat = \"ncsa\"\noutbound = false\n";
    let (mut relay, _server) = used_relay(all);
    // The client that just dropped has its QUIT all the same.
    lines(&relay, "w3c", "QUIT - client.test 240");
    assert!(relay.stop().success());
    let rows = lines(
        &relay,
        "w3c",
        "OutboundConnectionCommand SMTPSVC1 relay.test",
    );
    assert!(rows[0].starts_with("#Software: Gatepost"), "{rows:?}");
    let refused = rows.iter().find(|row| row.contains(" 550 ")).unwrap();
    let wanted = "RCPT - +TO:<bob@elsewhere.test> 550 0 ";
    assert!(
        refused.contains(wanted) && refused.ends_with(" SMTP - - - -"),
        "{refused}"
    );
    let has = |wanted: &str| rows.iter().any(|row| row.contains(wanted));
    assert!(
        has("OutboundConnectionResponse SMTPSVC1 relay.test - "),
        "{rows:#?}"
    );
    assert!(has(" MAIL - FROM:<ann@client.test>"), "{rows:#?}");

    let w3c = only_file(&folder(&relay, "w3c")).unwrap();
    lnav_knows_columns_and_errors(&w3c);
    lars_reads_every_row(
        &w3c,
        rows.iter().filter(|row| !row.starts_with('#')).count(),
    );
    goaccess_counts(&only_file(&folder(&relay, "ncsa")).unwrap());
}

fn lnav_knows_columns_and_errors(file: &Path) {
    let query =
        ";SELECT cs_method, cs_uri_query, sc_status, log_level FROM w3c_log WHERE sc_status = 550";
    let file = file.to_str().unwrap();
    let command = ["-n", "-N", "-c", query, "-c", ":write-json-to -", file];
    let ran = program::run("lnav", &command).expect_code(0);
    let rows: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.text()));
    assert_eq!(rows[0]["cs_method"], "RCPT", "{rows}");
    assert_eq!(
        rows[0]["cs_uri_query"], "+TO:<bob@elsewhere.test>",
        "{rows}"
    );
    assert_eq!(rows[0]["log_level"], "error", "{rows}");
    assert_eq!(rows.as_array().map(Vec::len), Some(1), "{rows}");
}

fn python(script: &str, argument: &Path) -> Ran {
    let mut command = Command::new(program::path_of("python3"));
    command
        .env("PYTHONPATH", LARS)
        .args(["-W", "ignore", "-c", script])
        .arg(argument);
    program::finish(command, b"")
}

fn lars_reads_every_row(file: &Path, count: usize) {
    let script = "import sys\nfrom lars import iis\n\
                  rows = list(iis.IISSource(open(sys.argv[1])))\n\
                  print(len(rows), sum(row.cs_method == 'RCPT' and row.sc_status == 550 for row in rows))";
    let ran = python(script, file).expect_code(0);
    assert_eq!(ran.out.trim(), format!("{count} 1"), "{}", ran.text());
}

fn goaccess_counts(file: &Path) {
    let rows = fs::read_to_string(file).unwrap().lines().count();
    let format = "%h %^ %e [%d:%t %^] \"%r\" %s %b";
    let format = [
        "--log-format",
        format,
        "--date-format",
        "%d/%b/%Y",
        "--time-format",
        "%T",
    ];
    let other = [
        "--no-global-config",
        "--output",
        "json",
        file.to_str().unwrap(),
    ];
    let ran = program::run("goaccess", &[&format[..], &other].concat()).expect_code(0);
    let report: Value = serde_json::from_str(&ran.out).unwrap_or_else(|_| panic!("{}", ran.text()));
    assert_eq!(report["general"]["valid_requests"], rows, "{}", ran.text());
    assert_eq!(report["general"]["failed_requests"], 0);
}

#[test]
fn readers_of_postfix_logs_take_ours() {
    let nobody = route_to(Network::new().mail_server());
    let logs = format!(
        "[log.mail]\nformat = \"maillog\"\nrotation = \"none\"\n\
         [log.awstats]\nformat = \"maillog\"\nprogram = \"postfix\"\n\
         [domain.\"silent.test\"]\nroute = \"{nobody}\"\n\
         [queue]\nretry = [\"1s\"]\nexpire = \"4s\"\nprobe = \"1s\"\n"
    );
    let (mut relay, _server) = used_relay(&logs);
    lines(&relay, "mail", "status=sent");
    submit(
        relay.network.permitted(),
        relay.address(),
        "ann@client.test",
        &["dan@silent.test"],
        &message("too-late"),
    );
    let all = lines(&relay, "mail", "sender non-delivery notification");
    for words in [
        "/cleanup[",
        ": message-id=<too-late@client.test>",
        "from=<ann@client.test>, status=expired, returned to sender",
    ] {
        assert!(
            all.iter().any(|line| line.contains(words)),
            "{words}: {all:#?}"
        );
    }
    assert!(relay.stop().success());
    let file = only_file(&folder(&relay, "mail")).unwrap();
    assert!(file.ends_with("maillog1.log"), "{}", file.display());

    let arguments = ["--syslog-name=gatepost", file.to_str().unwrap()];
    let summary = program::run("pflogsumm", &arguments).expect_code(0).out;
    let counted = |words: &str| {
        let line = summary.lines().find(|line| line.contains(words));
        line.and_then(|line| line.split_whitespace().next())
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(counted("received"), "2", "{summary}");
    assert_ne!(counted("deferred"), "0", "{summary}");
    assert_eq!(counted("delivered"), "1", "{summary}");
    assert_eq!(counted("rejected"), "1", "{summary}");

    let file = only_file(&folder(&relay, "awstats")).unwrap();
    let converter = "/usr/share/doc/awstats/examples/maillogconvert.pl";
    let text = fs::read(&file).unwrap();
    let converted = program::feed("perl", &[converter, "standard"], &text).expect_code(0);
    let rows: Vec<&str> = converted.out.lines().collect();
    assert!(
        rows.iter()
            .any(|row| row.contains("ann@client.test bob@hosted.test")),
        "{}\n{}",
        converted.text(),
        String::from_utf8_lossy(&text)
    );
}

#[test]
fn other_fields_begin_another_file_and_a_restart_need_not_repeat_the_header() {
    let log = |more: &str| format!("[log.w3c]\nrotation = \"none\"\nrepeat_header = false\n{more}");
    let network = Network::new();
    let mut relay = Relay::start(network, &log(""));
    let visit = |relay: &Relay| drop(Dialogue::ready(network.stranger(), relay.address()));
    let header_lines = |lines: &[String]| lines.iter().filter(|line| line.starts_with('#')).count();
    visit(&relay);
    lines(&relay, "w3c", " QUIT - 240");
    relay.stop();
    relay.run();
    visit(&relay);
    let both = until("rows of both visits", seconds(20), || {
        let lines = lines(&relay, "w3c", " QUIT - 240");
        (lines.iter().filter(|line| line.contains("QUIT")).count() == 2).then_some(lines)
    });
    assert_eq!(header_lines(&both), 4, "{both:#?}");

    relay.write_config(&log("fields = [\"date\", \"time\", \"cs-method\"]\n"));
    relay.command(&["reload"]).expect_code(0);
    visit(&relay);
    let second = folder(&relay, "w3c").join("extend2.log");
    let rows = until("the second file", seconds(20), || {
        let text = fs::read_to_string(&second).ok()?;
        text.contains(" QUIT").then_some(text)
    });
    assert!(rows.contains("#Fields: date time cs-method\n"), "{rows}");
    assert_eq!(files(&folder(&relay, "w3c")).len(), 2);
}

#[test]
fn a_log_that_cannot_be_written_holds_up_no_mail() {
    let network = Network::new();
    let server = RecordingServer::start(network.mail_server());
    let domain = format!("[domain.\"hosted.test\"]\nroute = \"{}\"\n", server.route());
    let nowhere =
        "[log.w3c]\ndirectory = \"/dev/null/log\"\n[log.full]\nmin_free = \"9000000GB\"\n";
    let relay = Relay::start(network, &format!("{domain}{nowhere}"));
    let mut client = Dialogue::ready(network.permitted(), relay.address());
    client.ask("MAIL FROM:<ann@client.test>", 250);
    client.ask("RCPT TO:<bob@hosted.test>", 250);
    client.ask("DATA", 354);
    client.send(message("unlogged").as_bytes());
    client.ask(".", 250);
    server.wait_for("unlogged");
    relay.wait_for_log(&["the protocol log cannot be written", "/dev/null/log"]);
    relay.wait_for_log(&["no room", "\"full\""]);
    relay.wait_for_log(&["rows of protocol logs were lost"]);
    until_true("nothing is written", seconds(1), || {
        files(&folder(&relay, "full")).is_empty()
    });
}
