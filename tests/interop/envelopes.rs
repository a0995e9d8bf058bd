//! The table of envelopes, each row asked of `gatepost relay check`, and said to the running relay.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Dialogue;
use crate::dns;
use crate::envelope_table::{LISTENERS, Row, table};
use crate::network::Network;
use crate::program::{Ran, finish};
use crate::relay::{self, Relay, binary};

const THREADS: usize = 4;

#[test]
fn every_envelope_is_answered_as_the_table_says() {
    let folder = TempDir::new().expect("a temporary folder");
    for (listener, config) in LISTENERS {
        fs::write(config_of(folder.path(), listener), config).expect("a configuration");
    }
    let rows = table();
    let asked: Vec<&Row> = rows.iter().filter(|row| can_be_asked(row)).collect();
    assert!(asked.len() >= 200, "only {} rows were asked", asked.len());
    let wrong = wrong_answers(&asked, folder.path());
    assert!(
        wrong.is_empty(),
        "{} rows were answered otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn config_of(folder: &Path, listener: &str) -> PathBuf {
    folder.join(format!("{listener}.toml"))
}

/// `relay check` takes addresses: an address outside of brackets and `<postmaster>` can be said on
/// the wire only.
fn can_be_asked(row: &Row) -> bool {
    let recipient = row.rcpt.address();
    row.mail.address().is_some() && recipient.is_some_and(|address| address != "postmaster")
}

fn wrong_answers(rows: &[&Row], folder: &Path) -> Vec<String> {
    let share = rows.len().div_ceil(THREADS);
    thread::scope(|scope| {
        let threads: Vec<_> = rows
            .chunks(share)
            .map(|chunk| {
                scope.spawn(|| {
                    chunk
                        .iter()
                        .filter_map(|row| wrong_answer(row, folder))
                        .collect()
                })
            })
            .collect();
        let joined = threads
            .into_iter()
            .map(|thread| thread.join().expect("a thread of questions"));
        joined.flat_map(|wrong: Vec<String>| wrong).collect()
    })
}

/// How `row` was answered, if not as the table says.
fn wrong_answer(row: &Row, folder: &Path) -> Option<String> {
    let ran = ask(row, folder);
    let answer = serde_json::from_str(&ran.out)
        .ok()
        .and_then(|told: Value| told["answer"].as_str().map(str::to_owned));
    let right = match (ran.code, &answer) {
        (0, Some(answer)) => row.is_accepted() && answer.starts_with(row.answer),
        (1, Some(answer)) => !row.is_accepted() && answer.starts_with(row.answer),
        // What is no address at all is a mistake in the command, as it is one on the wire.
        (2, None) => row.answer.starts_with("501"),
        _ => false,
    };
    let told = answer.unwrap_or_else(|| ran.err.clone());
    (!right).then(|| format!("{}\n    exit code {}: {told}", row.text(), ran.code))
}

fn ask(row: &Row, folder: &Path) -> Ran {
    let mut command = Command::new(binary());
    command
        .arg("--config")
        .arg(config_of(folder, row.listener))
        .args(["relay", "check", "--json"])
        .arg(format!("--listener={}", row.listener))
        .arg(format!("--client={}", row.client))
        .arg(format!("--mail={}", row.mail.address().unwrap_or_default()))
        .arg(format!("--rcpt={}", row.rcpt.address().unwrap_or_default()));
    finish(command, b"")
}

/// The replies are what is judged here, so no session ends or waits because of many refusals.
const NO_LIMITS: &str = "[limits]\nerrors = 10000\nidle_commands = 10000\nmessages = 10000\nunknown_recipients = 10000\n\
    tarpit = \"0s\"\nrate_per_client = { connections = \"off\" }\nrate_per_network = { connections = \"off\" }\n";

/// Each client's connection comes through a proxy, which the listeners of the policies believe.
#[test]
fn every_envelope_is_answered_so_on_the_wire() {
    let rows = table();
    let mut relays: BTreeMap<&str, Relay> = BTreeMap::new();
    for (listener, config) in LISTENERS {
        relays
            .entry(config)
            .or_insert_with(|| running(listener, config));
    }
    let mut visits: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        visits
            .entry((row.listener, row.client))
            .or_default()
            .push(row);
    }
    let mut wrong = Vec::new();
    for ((listener, client), rows) in visits {
        let (_, config) = LISTENERS
            .iter()
            .find(|(name, _)| *name == listener)
            .expect("a policy");
        wrong.extend(wrong_on_the_wire(&relays[config], listener, client, &rows));
    }
    assert!(
        wrong.is_empty(),
        "{} rows were answered otherwise:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn running(listener: &str, config: &str) -> Relay {
    let mut relay = Relay::prepare(Network::new(), "");
    let text = format!(
        "{}data_dir = {:?}\n{config}\n[spool]\nmin_free = \"0MB\"\n[log]\nformat = \"json\"\n{}{NO_LIMITS}",
        relay::account(),
        relay.data_dir(),
        dns::config_for(relay.network.name_server()),
    );
    relay.write_whole_config(&text);
    relay.run_with(listener);
    relay
}

/// How the rows of one client were answered, if not as the table says.
fn wrong_on_the_wire(relay: &Relay, listener: &str, client: &str, rows: &[&Row]) -> Vec<String> {
    let client: IpAddr = client.parse().expect("an address");
    let mut dialogue =
        Dialogue::proxied(relay.network.permitted(), relay.listener(listener), client);
    let greeting = dialogue.reply().expect("a greeting or a refusal");
    let refused = greeting.is_refusal().then(|| greeting.text());
    if refused.is_none() {
        dialogue.ask("EHLO client.test", 250);
    }
    let mut answer_to = |row: &Row| match &refused {
        Some(refusal) => refusal.clone(),
        None => said(&mut dialogue, row),
    };
    let answered = rows.iter().map(|row| (row, answer_to(row)));
    answered
        .filter(|(row, answer)| !answer.starts_with(row.answer))
        .map(|(row, answer)| format!("{}\n    {answer}", row.text()))
        .collect()
}

fn said(dialogue: &mut Dialogue, row: &Row) -> String {
    let [mail, rcpt] = row.commands();
    let mut reply = dialogue.say(&mail);
    if reply.code == 250 {
        reply = dialogue.say(&rcpt);
    }
    dialogue.ask("RSET", 250);
    reply.text()
}
