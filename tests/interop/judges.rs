//! The same envelopes before other judges: an Exim and a Postfix that were set up for the same
//! policy, each in its own words (tests/envelopes/exim.conf, postfix.cf). A row that is shared with
//! a judge has to be accepted by both or refused by both; at which command, and in which words, is
//! theirs. This guards the table, and with it the relay, against a misunderstanding that its
//! authors share with themselves alone.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::client::{Dialogue, Reply};
use crate::envelope_table::{Judge, LISTENERS, Row, table};
use crate::exim::Exim;
use crate::network::Network;
use crate::postfix::Postfix;

const EXIM_CONFIG: &str = include_str!("../envelopes/exim.conf");
const POSTFIX_CONFIG: &str = include_str!("../envelopes/postfix.cf");

const THREADS: usize = 4;

/// The rows of one client at one listener, which are asked on one connection.
type Visit<'a> = ((&'a str, &'a str), Vec<&'a Row>);

#[test]
fn exim_decides_the_same() {
    let exims: BTreeMap<&str, Exim> = LISTENERS
        .iter()
        .map(|&(listener, _)| (listener, Exim::prepare(&exim_config(listener))))
        .collect();
    expect_the_same(Judge::Exim, |listener, client, rows| {
        let replies = exims[listener].session(client, &dialogue(rows));
        decisions(rows, &replies)
    });
}

fn exim_config(listener: &str) -> String {
    format!(
        "LISTENER_{} = yes\n{EXIM_CONFIG}",
        word(listener).to_uppercase()
    )
}

/// A listener's name as both judges can write it.
fn word(listener: &str) -> String {
    listener.replace('-', "_")
}

#[test]
fn postfix_decides_the_same() {
    let network = Network::new();
    let proxy = network.permitted();
    let ports: BTreeMap<&str, SocketAddr> = LISTENERS
        .iter()
        .map(|&(listener, _)| (listener, network.free_port(network.mail_server().ip())))
        .collect();
    let services: String = ports
        .iter()
        .map(|(&listener, &at)| smtpd(listener, at))
        .collect();
    let _postfix = Postfix::start_with(network.mail_server(), POSTFIX_CONFIG, &services);
    expect_the_same(Judge::Postfix, |listener, client, rows| {
        let mut dialogue = Dialogue::open(proxy, ports[listener]);
        dialogue.ask("EHLO proxy.test", 250);
        // Postfix greets again, and refuses only at RCPT.
        let mut replies = vec![dialogue.ask(&xclient(client), 220)];
        let lines = self::dialogue(rows);
        replies.extend(lines.iter().map(|line| dialogue.say(line)));
        decisions(rows, &replies)
    });
}

/// Lines of master.cf for one of the listeners.
fn smtpd(listener: &str, at: SocketAddr) -> String {
    let lists: String = ["connect", "allow", "deny", "senders"]
        .iter()
        .map(|list| format!(" -o {list}=${list}_{}", word(listener)))
        .collect();
    format!("{}:{} inet n - n - - smtpd{lists}\n", at.ip(), at.port())
}

fn xclient(client: &str) -> String {
    let family = if client.contains(':') { "IPV6:" } else { "" };
    format!("XCLIENT ADDR={family}{client}")
}

fn dialogue(rows: &[&Row]) -> Vec<String> {
    let hello = "EHLO client.test".to_owned();
    let asked = rows.iter().flat_map(|row| {
        let [mail, rcpt] = row.commands();
        [mail, rcpt, "RSET".to_owned()]
    });
    [hello]
        .into_iter()
        .chain(asked)
        .chain(["QUIT".to_owned()])
        .collect()
}

/// Whether each row was accepted, from the replies to [`dialogue`] behind a greeting.
fn decisions(rows: &[&Row], replies: &[Reply]) -> Vec<bool> {
    let positive = |reply: &Reply| (200..300).contains(&reply.code);
    if !positive(&replies[0]) {
        return vec![false; rows.len()];
    }
    assert_eq!(
        replies.len(),
        rows.len() * 3 + 3,
        "a reply to the greeting, EHLO, each command of the rows, and QUIT: {replies:?}"
    );
    let of_rows = replies[2..].chunks_exact(3);
    of_rows
        .map(|replies| replies[..2].iter().all(positive))
        .collect()
}

/// Asks `judge` all rows that are shared with it, and fails with all on which it differs.
fn expect_the_same(judge: Judge, ask: impl Fn(&str, &str, &[&Row]) -> Vec<bool> + Sync) {
    let rows = table();
    let mut visits: BTreeMap<(&str, &str), Vec<&Row>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.is_shared_with(judge)) {
        visits
            .entry((row.listener, row.client))
            .or_default()
            .push(row);
    }
    let visits: Vec<Visit> = visits.into_iter().collect();
    let differences = Mutex::new(Vec::new());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while let Some(((listener, client), rows)) =
                    visits.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let found = differing(rows, &ask(listener, client, rows));
                    differences
                        .lock()
                        .expect("no thread panics with it")
                        .extend(found);
                }
            });
        }
    });
    let differences = differences
        .into_inner()
        .expect("no thread panicked with it");
    assert!(
        differences.is_empty(),
        "{judge:?} decides {} rows otherwise:\n{}",
        differences.len(),
        differences.join("\n")
    );
}

fn differing(rows: &[&Row], accepted: &[bool]) -> Vec<String> {
    let pairs = rows.iter().zip(accepted);
    pairs
        .filter(|&(row, &accepted)| row.is_accepted() != accepted)
        .map(|(row, _)| row.text())
        .collect()
}
