//! Random policies get the same result from pyspf, which `scripts/test` fetches.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use spf::{Answer, Answers, DnsName, Facts, Question, Step, check};

const PYSPF: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/pyspf");
const DRIVER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pyspf.py");
const CHECKS: usize = 3000;

/// Terms for policies. Hosts of MX records have addresses of both families here: for one without,
/// pyspf counts a look-up in vain, and we do not.
const TERMS: [&str; 41] = [
    "a",
    "mx",
    "ptr",
    "a:h1.test",
    "a:h2.test",
    "a:h0.test/24",
    "a:h3.test//64",
    "a:h4.test/24//64",
    "mx:p1.test",
    "mx:p2.test/24",
    "ptr:h1.test",
    "ptr:test",
    "exists:%{ir}.x.test",
    "exists:%{l1r-}.%{d}",
    "exists:%{l}.x.test",
    "exists:%{h}",
    "a:%{o2}",
    "a:%{d1r}.test",
    "include:p1.test",
    "include:p2.test",
    "include:p3.test",
    "include:p4.test",
    "-include:p5.test",
    "?include:none.test",
    "ip4:192.0.2.1",
    "~ip4:192.0.2.0/28",
    "-ip4:192.0.2.128/25",
    "ip6:2001:db8::1",
    "?ip6:2001:db8::/64",
    "a:fail.test",
    "a:none.test",
    "a:none.h1.test",
    "-all",
    "~all",
    "?all",
    "all",
    "redirect=p3.test",
    "redirect=p5.test",
    "exp=e.test",
    "all/8",
    "ip4:192.0.2.256",
];
const POLICIES: [&str; 5] = ["p1.test", "p2.test", "p3.test", "p4.test", "p5.test"];
const HOSTS: [&str; 5] = ["h0.test", "h1.test", "h2.test", "h3.test", "h4.test"];
const CLIENTS: [&str; 5] = [
    "192.0.2.1",
    "192.0.2.77",
    "192.0.2.200",
    "2001:db8::1",
    "2001:db8:0:1::9",
];
const LOCAL_PARTS: [&str; 4] = ["h1", "a-b.c", "x", "h2-h1"];

/// Numbers that look random, the same ones each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// Name, type and data of each record.
type Zone = Vec<(String, &'static str, String)>;

fn zone(dice: &mut Dice) -> Zone {
    let mut zone = Zone::new();
    for policy in POLICIES {
        let mut text = String::from("v=spf1");
        for _ in 0..1 + dice.below(6) {
            let term = dice.pick(&TERMS);
            // pyspf finds fault with such a term even where nobody comes to it.
            if !term.ends_with(&format!("include:{policy}")) {
                write!(text, " {term}").expect("a String takes all");
            }
        }
        zone.push((policy.to_owned(), "TXT", text));
        zone.push((policy.to_owned(), "MX", dice.pick(&HOSTS).to_owned()));
    }
    for (n, host) in HOSTS.into_iter().enumerate() {
        zone.push((
            host.to_owned(),
            "A",
            format!("192.0.2.{}", 1 + dice.below(2) * 70 + n),
        ));
        zone.push((
            host.to_owned(),
            "AAAA",
            format!("2001:db8::{:x}", 1 + dice.below(9)),
        ));
    }
    zone.push((
        "1.2.0.192.in-addr.arpa".to_owned(),
        "PTR",
        dice.pick(&HOSTS).to_owned(),
    ));
    zone.push(("1.2.0.192.x.test".to_owned(), "A", "127.0.0.2".to_owned()));
    zone.push(("e.test".to_owned(), "TXT", "%{s} from %{i}".to_owned()));
    zone.push(("fail.test".to_owned(), "FAIL", String::new()));
    zone
}

fn answer(question: &Question, zone: &Zone) -> Answer {
    let (name, kind) = match question {
        Question::Texts(name) => (name.to_string(), "TXT"),
        Question::V4(name) => (name.to_string(), "A"),
        Question::V6(name) => (name.to_string(), "AAAA"),
        Question::Mx(name) => (name.to_string(), "MX"),
        Question::Names(std::net::IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            (format!("{d}.{c}.{b}.{a}.in-addr.arpa"), "PTR")
        }
        Question::Names(std::net::IpAddr::V6(_)) => return Answer::Nothing,
    };
    if name == "fail.test" {
        return Answer::Failed("time-out".into());
    }
    let data = || {
        zone.iter()
            .filter(|(n, k, _)| *n == name && *k == kind)
            .map(|(.., data)| data)
    };
    match kind {
        _ if data().next().is_none() => Answer::Nothing,
        "TXT" => Answer::Texts(data().map(|text| text.as_str().into()).collect()),
        "MX" | "PTR" => Answer::Hosts(data().filter_map(|name| DnsName::parse(name)).collect()),
        _ => Answer::Addresses(data().filter_map(|address| address.parse().ok()).collect()),
    }
}

fn result(client: &str, sender: &str, zone: &Zone) -> String {
    let facts = Facts {
        client: client.parse().expect("an address"),
        helo: "h1.test",
        sender,
        receiver: "mx.test",
        now: 0,
    };
    let mut answers = Answers::new();
    loop {
        match check(&facts, &answers) {
            Step::Done(outcome) => {
                let explanation = outcome.explanation.unwrap_or_default();
                return format!("{} {explanation}", outcome.result);
            }
            Step::Ask(questions) => questions.into_iter().for_each(|question| {
                let answer = answer(&question, zone);
                answers.insert(question, answer);
            }),
        }
    }
}

/// What pyspf says, a line for each check.
fn asked_of_pyspf(input: &str) -> String {
    let mut python = Command::new("/usr/bin/python3")
        .args([DRIVER, PYSPF])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python");
    let mut pipe = python.stdin.take().expect("its input");
    // It reads all before it writes.
    pipe.write_all(input.as_bytes()).expect("it reads");
    drop(pipe);
    let output = python.wait_with_output().expect("it ends");
    assert!(output.status.success());
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn pyspf_says_the_same() {
    let mut dice = Dice(7208);
    let mut input = String::new();
    let mut ours = Vec::new();
    for _ in 0..CHECKS / 4 {
        let zone = zone(&mut dice);
        input.push_str("zone\n");
        for (name, kind, data) in &zone {
            writeln!(input, "record\t{name}\t{kind}\t{data}").expect("a String takes all");
        }
        for _ in 0..4 {
            let client = dice.pick(&CLIENTS);
            let sender = format!("{}@{}", dice.pick(&LOCAL_PARTS), dice.pick(&POLICIES));
            writeln!(input, "check\t{client}\t{sender}").expect("a String takes all");
            ours.push((result(client, &sender, &zone), client, sender, zone.clone()));
        }
    }
    for result in [
        "pass",
        "fail",
        "softfail",
        "neutral",
        "temperror",
        "permerror",
    ] {
        let count = ours
            .iter()
            .filter(|(ours, ..)| ours.starts_with(result))
            .count();
        assert!(count > 50, "{count} of {result}");
    }
    let theirs = asked_of_pyspf(&input);
    assert_eq!(theirs.lines().count(), ours.len());
    for (theirs, (ours, client, sender, zone)) in theirs.lines().zip(ours) {
        assert_eq!(
            theirs.trim_end(),
            ours.trim_end(),
            "{client} {sender} {zone:?}"
        );
    }
}
