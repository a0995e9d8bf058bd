//! A DNS in few words, and the walk through it.

use mail::{Domain, Host, Outcome, Scope};
use route::{
    Answer, Answers, Plan, Question, Routes, Site, StsMode, StsPolicy, TlsDemand, TlsaRecord,
    resolve,
};

/// A zone in few words: `x MX 10 a.x`, `a.x A 192.0.2.1 2001:db8::1`, `a.x TLSA 3 1 1`, `x STS
/// enforce a.x *.x`, `y NX`, and a failure as `MXFAIL`, `AFAIL`, `TLSAFAIL`, `STSFAIL`; what is not
/// in it has no data. A `+` before the name: DNSSEC vouches for it; `+x NOMX`: for the absence.
pub struct Zone(pub Vec<String>);

impl Zone {
    pub fn new(lines: &[&str]) -> Self {
        Self(lines.iter().map(|line| (*line).to_owned()).collect())
    }

    fn answer(&self, question: &Question) -> Answer {
        let (name, kind) = match question {
            Question::Mx(name) => (name, "MX"),
            Question::Addresses(name) => (name, "A"),
            Question::Tlsa { host, port } => {
                assert_eq!(*port, 25);
                (host, "TLSA")
            }
            Question::MtaSts(name) => (name, "STS"),
        };
        let mut found = Answer::NoData { secure: false };
        for line in &self.0 {
            let signed = line.starts_with('+');
            let words: Vec<&str> = line.trim_start_matches('+').split(' ').collect();
            if words[0] != name.as_str() {
                continue;
            }
            match &words[1..] {
                ["NX"] => return Answer::NoSuchName,
                ["NOMX"] if kind == "MX" => found = Answer::NoData { secure: signed },
                [t] if t.strip_suffix("FAIL") == Some(kind) => {
                    return Answer::Failed("SERVFAIL".into());
                }
                [t, values @ ..] if *t == kind => {
                    add(&mut found, name, kind, values, signed);
                }
                _ => {}
            }
        }
        found
    }
}

fn add(answer: &mut Answer, owner: &Domain, kind: &str, values: &[&str], signed: bool) {
    match (kind, &mut *answer) {
        ("MX", Answer::Mx { records, secure }) => {
            records.push(mx(values));
            *secure &= signed;
        }
        ("MX", _) => {
            *answer = Answer::Mx {
                records: vec![mx(values)],
                secure: signed,
            };
        }
        ("TLSA", Answer::Tlsa { records, .. }) => records.push(tlsa(values)),
        ("TLSA", _) => {
            *answer = Answer::Tlsa {
                base: values
                    .get(3)
                    .map_or_else(|| owner.clone(), |base| Domain::parse(base).unwrap()),
                records: vec![tlsa(values)],
            };
        }
        ("STS", _) => *answer = Answer::MtaSts(Ok(policy(values).into())),
        _ => {
            *answer = Answer::Addresses {
                list: values.iter().map(|v| v.parse().unwrap()).collect(),
                secure: signed,
            };
        }
    }
}

fn mx(values: &[&str]) -> (u16, Option<Domain>) {
    (values[0].parse().unwrap(), Domain::parse(values[1]).ok())
}

fn tlsa(values: &[&str]) -> TlsaRecord {
    let matching = values[2].parse().unwrap();
    TlsaRecord {
        usage: values[0].parse().unwrap(),
        selector: values[1].parse().unwrap(),
        matching,
        data: vec![1; if matching == 2 { 64 } else { 32 }].into(),
    }
}

fn policy(values: &[&str]) -> StsPolicy {
    StsPolicy {
        mode: match values[0] {
            "enforce" => StsMode::Enforce,
            "testing" => StsMode::Testing,
            _ => StsMode::None,
        },
        mx: values[1..].iter().map(|v| (*v).into()).collect(),
        max_age: std::time::Duration::ZERO,
    }
}

/// Resolves to the end; the questions of each round come along.
pub fn walk(
    routes: &Routes,
    host: &str,
    of_domain: Option<TlsDemand>,
    zone: &Zone,
    seed: u64,
) -> (Plan, Vec<Vec<Question>>) {
    let site = routes.site(&Host::parse(host).unwrap());
    walk_to(routes, &site, of_domain, zone, seed)
}

/// The same to a site.
pub fn walk_to(
    routes: &Routes,
    site: &Site,
    of_domain: Option<TlsDemand>,
    zone: &Zone,
    mut seed: u64,
) -> (Plan, Vec<Vec<Question>>) {
    let demand = routes.demand(&site.name, [of_domain]);
    let mut answers = Answers::new();
    let mut rounds = Vec::new();
    loop {
        let mut random = || {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            seed >> 33
        };
        match resolve(site, routes, demand, &answers, &mut random) {
            Plan::Ask(questions) => {
                assert!(!questions.is_empty() && rounds.len() < 3, "{questions:?}");
                for question in &questions {
                    answers.insert(question.clone(), zone.answer(question));
                }
                rounds.push(questions);
            }
            plan => return (plan, rounds),
        }
    }
}

/// `deferred 451 4.4.3`, `failed 550 5.1.2`, or hops, each as `show` has it.
pub fn shown(plan: &Plan, show: impl Fn(&route::Hop) -> String) -> String {
    let stop =
        |word: &str, reply: &mail::Reply| format!("{word} {} {}", reply.code(), reply.status());
    match plan {
        Plan::Hops(hops) => hops.iter().map(show).collect::<Vec<_>>().join(" "),
        Plan::Directory(path) => path.display().to_string(),
        Plan::Stop(Outcome::Deferred(f)) => {
            assert_eq!(f.scope, Scope::Site);
            stop("deferred", &f.reply)
        }
        Plan::Stop(outcome) => stop("failed", outcome.reply()),
        Plan::Otherwise(outcome) => stop("otherwise", outcome.reply()),
        Plan::Ask(_) => "ask".to_owned(),
    }
}
