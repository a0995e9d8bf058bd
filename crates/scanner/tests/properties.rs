//! Whatever a scanner sends, and however it is cut: nothing panics, nothing is gathered without
//! bound, the pieces do not matter, and what is kept can be shown and stays a field.

use std::time::Duration;

use proptest::prelude::*;
use scanner::clamd::{self, Clamd};
use scanner::hook::{self, Hook};
use scanner::icap::{AskOptions, Icap, Service};
use scanner::policy::{Policy, Request};
use scanner::rspamd::{self, Rspamd};
use scanner::spamd::{self, Spamd};
use scanner::{Answer, Edit, Exchange, Fault, Finding, Method, Subject, Wants};

/// More than any answer may have.
const ENDLESS: usize = 4 * 1024 * 1024;
const PIECE: usize = 16 * 1024;

/// Answers that some exchange understands.
const ICAP: &[&str] = &[
    "ICAP/1.0 204 x\r\n\r\n",
    "ICAP/1.0 100 Continue\r\n\r\n",
    "ICAP/1.0 200 OK\r\nX-Infection-Found: Type=0; Threat=x;\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n1\r\na\r\n0\r\n\r\n",
    "ICAP/1.0 200 OK\r\nX-Violations-Found: 1\r\n\ta\r\n\tb\r\n\t0\r\n\t0\r\nMethods: RESPMOD\r\nEncapsulated: null-body=0\r\n\r\n",
];
const HTTP: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n{\"action\":\"no action\"}",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\n{\"verdict\":\"clean\"}\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n{\"action\":\"add header\",\"milter\":{\"add_rcpt\":\"a@b.example\",\"add_headers\":{\"A\":\"b\"},\"remove_headers\":{\"C\":0}}}",
    "HTTP/1.1 200 OK\r\n\r\n{\"verdict\":\"spam\",\"names\":[\"a\"],\"changes\":[{\"set\":\"A\",\"value\":\"b\"}]}",
];
const LINES: &[&str] = &[
    "SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6 / 5\r\n\r\nX-Spam-Status: a\n\tb tests=A,B\n",
    "SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n",
    "SPAMD/1.0 76 Bad header line\r\n",
    "SPAMD/1.5 0 PONG\r\n",
    "action=prepend A: b\n\n",
    "1: stream: OK\0",
    "1: stream: A FOUND\0",
    "ClamAV 1.4.6/1/Thu Jan  1 00:00:00 1970\0",
    "PONG\0",
];

/// All exchanges, each with answers that it understands.
fn exchanges() -> Vec<(Exchange, &'static [&'static str])> {
    let subject = Subject::default();
    let service = |method, preview| Service {
        host: "h".to_owned(),
        path: "p".to_owned(),
        method,
        preview,
    };
    let settings = rspamd::Settings::default();
    let hook = Hook::new(
        &hook::Settings::default(),
        &subject,
        &hook::Details::default(),
        Duration::ZERO,
    );
    let mut all: Vec<(Exchange, &[&str])> = vec![
        (Clamd::new(clamd::Command::Scan(1)).into(), LINES),
        (Clamd::new(clamd::Command::Ping).into(), LINES),
        (Clamd::new(clamd::Command::Version).into(), LINES),
        (
            Rspamd::new(rspamd::Command::Check, &settings, &subject).into(),
            HTTP,
        ),
        (
            Rspamd::new(rspamd::Command::LearnSpam, &settings, &subject).into(),
            HTTP,
        ),
        (hook.into(), HTTP),
        (Policy::new(&Request::default(), &subject).into(), LINES),
        (
            Icap::new(&service(Method::Response, None), &subject).into(),
            ICAP,
        ),
        (
            Icap::new(&service(Method::Request, Some(0)), &subject).into(),
            ICAP,
        ),
        (
            AskOptions::new(&service(Method::Response, None)).into(),
            ICAP,
        ),
    ];
    for command in [
        spamd::Command::Check,
        spamd::Command::Symbols,
        spamd::Command::Headers,
        spamd::Command::Report,
        spamd::Command::LearnSpam,
        spamd::Command::Ping,
    ] {
        all.push((Spamd::new(command, None, &subject).into(), LINES));
    }
    all
}

/// Writes all that there is to be written, with an empty content.
fn begun(mut exchange: Exchange) -> Exchange {
    let mut out = Vec::new();
    while let Wants::Content(_) = exchange.write(&mut out) {
        exchange.end(&mut out).expect("nothing is what was told");
    }
    exchange
}

fn of(number: usize) -> Exchange {
    let (exchange, _) = exchanges().swap_remove(number);
    begun(exchange)
}

/// What comes of an answer in these pieces, with the end of the connection behind it.
fn read<'a>(number: usize, pieces: impl Iterator<Item = &'a [u8]>) -> Result<Answer, Fault> {
    let mut exchange = of(number);
    for piece in pieces {
        if let Some(answer) = exchange.read(piece)? {
            return Ok(answer);
        }
    }
    exchange.closed()
}

fn is_shown(text: &str) -> bool {
    !text.chars().any(mail::is_dangerous)
}

fn is_clean(finding: &Finding) -> bool {
    let texts = [&finding.action, &finding.reply, &finding.engine];
    let numbers = [finding.score, finding.threshold];
    finding.names.iter().all(|name| is_shown(name))
        && finding
            .symbols
            .iter()
            .all(|(name, score)| is_shown(name) && score.is_finite())
        && texts.into_iter().flatten().all(|text| is_shown(text))
        && numbers.into_iter().flatten().all(f64::is_finite)
        && finding.edits.iter().all(is_field)
}

/// Whether what an edit writes is one field, whatever stands around it.
fn is_field(edit: &Edit) -> bool {
    let (name, value) = match edit {
        Edit::Add { name, value, .. } | Edit::Set { name, value } => (name, &**value),
        Edit::Remove { name, .. } => (name, ""),
        Edit::Sender(address) | Edit::AddRecipient(address) | Edit::RemoveRecipient(address) => {
            return is_shown(address);
        }
    };
    let mut lines = value.split("\r\n");
    let first = lines.next().unwrap_or_default();
    let is_line = |line: &str| !line.contains(['\r', '\n', '\0']);
    name.bytes().all(|c| c.is_ascii_graphic() && c != b':')
        && is_line(first)
        && lines
            .all(|line| line.starts_with([' ', '\t']) && is_line(line) && !line.trim().is_empty())
}

/// Octets that come close to an answer: a good one, some of whose octets are others.
fn near(number: usize) -> impl Strategy<Value = Vec<u8>> {
    let (_, answers) = exchanges().swap_remove(number);
    let change = (any::<prop::sample::Index>(), any::<u8>());
    let changes = prop::collection::vec(change, 0..4);
    let tail = prop::collection::vec(any::<u8>(), 0..40);
    (prop::sample::select(answers), changes, tail).prop_map(|(answer, changes, tail)| {
        let mut octets = answer.as_bytes().to_vec();
        for (at, octet) in changes {
            let at = at.index(octets.len());
            octets[at] = octet;
        }
        octets.extend(tail);
        octets
    })
}

fn numbered() -> impl Strategy<Value = (usize, Vec<u8>)> {
    (0..exchanges().len()).prop_flat_map(|number| {
        let any = prop::collection::vec(any::<u8>(), 0..400);
        (Just(number), prop_oneof![3 => near(number), 1 => any])
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn answers_are_read_alike_in_whatever_pieces((number, octets) in numbered(), piece in 1_usize..50) {
        let whole = read(number, std::iter::once(&*octets));
        let pieces = read(number, octets.chunks(piece));
        match (&whole, &pieces) {
            // How much of it is shown depends on how much had come.
            (Err(_), Err(_)) => {}
            // What stands behind an answer can be wrong only where it came along.
            (Err(_), Ok(_)) => {}
            _ => prop_assert_eq!(&whole, &pieces),
        }
        match whole {
            Ok(Answer::Finding(finding)) => prop_assert!(is_clean(&finding), "{finding:?}"),
            Err(fault) => prop_assert!(is_shown(&fault.to_string()), "{fault}"),
            Ok(_) => {}
        }
    }
}

#[test]
fn an_endless_answer_is_a_fault() {
    let starts: [&[u8]; 6] = [
        b"",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=19\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6 / 5\r\n\r\n",
        b"SPAMD/1.1 0 EX_OK\r\n",
    ];
    let endless: [&[u8]; 6] = [b"a", b"\r\n", b"a: b\r\n", b"1\r\na\r\n", b"\n\n\t", b"0"];
    let mut tried = 0;
    for number in 0..exchanges().len() {
        for start in starts {
            for more in endless {
                let mut exchange = of(number);
                let piece: Vec<u8> = more.iter().copied().cycle().take(PIECE).collect();
                let mut ended = exchange.read(start).transpose();
                let mut came = 0;
                while ended.is_none() && came < ENDLESS {
                    ended = exchange.read(&piece).transpose();
                    came += piece.len();
                }
                assert!(ended.is_some(), "{number}: {start:?} {more:?}");
                tried += 1;
            }
        }
    }
    assert_eq!(tried, exchanges().len() * starts.len() * endless.len());
}
