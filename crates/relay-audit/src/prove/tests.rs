use std::collections::{BTreeSet, VecDeque};

use mail::{Domain, Reply};
use relay_policy::Rewriting;
use srs::Scheme;

use super::*;

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

fn cast() -> Cast {
    Cast {
        relay: Domain::parse("us.test").unwrap(),
        address: [192, 0, 2, 25].into(),
        sender: mailbox("a@x.test"),
        recipient: mailbox("u@x.test"),
        hosted: Some(mailbox("postmaster@ours.test")),
        srs: None,
    }
}

/// The catalogue of patterns, row by row: senders, recipients, as whom.
#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_known_pattern_is_in_the_battery() {
    let long = format!("<{}@x.test>", "a".repeat(2000));
    let plain = &["<u@x.test>"][..];
    let rows: [(&[&str], &[&str], &[Login]); 6] = [
        (
            &[
                "<a@x.test>",
                "<a>",
                "<>",
                "<a@us.test>",
                "<a@[192.0.2.25]>",
                "<a@localhost>",
                "<x.test!a>",
                "<postmaster@ours.test>",
            ],
            plain,
            &[Login::None],
        ),
        (
            &["<spam@[192.0.2.25]>", "<spam@us.test>"],
            &[
                "<u%x.test@us.test>",
                "<u%x.test@[192.0.2.25]>",
                "<u%x.test@ours.test>",
                "<\"u@x.test\">",
                "<\"u%x.test\">",
                "<\"u@x.test\"@us.test>",
                "<\"u@x.test\"@[192.0.2.25]>",
                "<\"u@x.test\"@ours.test>",
                "<u@x.test@us.test>",
                "<u@x.test@[192.0.2.25]>",
                "<u@x.test@ours.test>",
                "<u%x.test>",
                "<u%x.test%us.test>",
            ],
            &[Login::None],
        ),
        (
            &["<spam@[192.0.2.25]>", "<>"],
            &[
                "<@us.test:u@x.test>",
                "<@[192.0.2.25]:u@x.test>",
                "<@ours.test:u@x.test>",
                "<x.test!u>",
                "<x.test!u@us.test>",
                "<x.test!u@[192.0.2.25]>",
                "<x.test!u@ours.test>",
                "u@x.test",
            ],
            &[Login::None],
        ),
        (
            &["<postmaster@ours.test>"],
            &[
                "<u@x.test>",
                "<IMCEASMTP-u+40x.test@ours.test>",
                "<u@x.test.>",
                "<u@X.TEST>",
                "<u@x\u{ff0e}test>",
                &long,
            ],
            &[Login::None, Login::Wrong, Login::Powerless],
        ),
        (
            &["<postmaster@ours.test> AUTH=postmaster@ours.test"],
            plain,
            &[Login::None],
        ),
        (&["<a@x.test>"], &["<postmaster@ours.test>"], &[Login::None]),
    ];
    let battery = cast().battery();
    for (mails, rcpts, logins) in rows {
        for (mail, rcpt, login) in product(mails, rcpts, logins) {
            let is = |p: &&Probe| p.mail == mail && p.rcpt == rcpt && p.login == login;
            let found = battery.iter().filter(is).count();
            assert_eq!(found, 1, "{mail} {rcpt} {login:?}");
        }
    }
    let controls = battery.iter().filter(|p| p.meaning == Meaning::Control);
    assert_eq!(controls.count(), 1);
}

fn product<'a>(
    mails: &'a [&str],
    rcpts: &'a [&str],
    logins: &'a [Login],
) -> impl Iterator<Item = (&'a str, &'a str, Login)> {
    mails.iter().flat_map(move |mail| {
        let rcpts = rcpts.iter();
        rcpts.flat_map(move |rcpt| logins.iter().map(move |login| (*mail, *rcpt, *login)))
    })
}

#[test]
fn probes_can_be_told_apart_by_name_and_sender() {
    let battery = cast().battery();
    let names: BTreeSet<_> = battery.iter().map(|p| (&p.name, &p.mail)).collect();
    assert_eq!(names.len(), battery.len());
}

/// What the probes of SRS addresses find at a relay that makes them by this secret.
fn of_srs(secret: Option<&str>) -> Vec<Finding> {
    let mut rules = Rules::closed("in");
    rules.rewriting = Some(Arc::new(Rewriting {
        domain: Domain::parse("srs.test").unwrap(),
        scheme: Scheme::new(secret, 366),
        place: mail::Place::Default,
    }));
    let settings = Settings::new(Domain::parse("us.test").unwrap(), Arc::new(rules));
    let [proof] = <[Proof; 1]>::try_from(prove([&Arc::new(settings)], &Parts::default())).unwrap();
    let of_srs = proof.findings.into_iter();
    of_srs
        .filter(|finding| finding.probe.name.contains("SRS"))
        .collect()
}

#[test]
fn addresses_that_stand_for_senders_are_for_bounces_alone() {
    let found = of_srs(Some("a secret of sixteen"));
    let names: BTreeSet<_> = found.iter().map(|finding| &finding.probe.name).collect();
    assert_eq!((found.len(), names.len()), (9, 9));
    for Finding {
        probe, judgement, ..
    } in &found
    {
        assert_eq!(*judgement, Judgement::Closed, "{probe:?}");
    }
    let controls = found
        .iter()
        .filter(|one| one.probe.meaning == Meaning::Control);
    assert_eq!(controls.count(), 1, "a good one is taken");
    // Whoever does not know the secret tries what strangers try.
    let found = of_srs(None);
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|one| one.judgement == Judgement::Closed));
}

#[test]
fn an_answer_means_what_the_probe_asked() {
    use Judgement::{Closed, Unknown};
    use Meaning::{Control, Open, Suspect};
    for (meaning, code, expected) in [
        (Open, 250, Judgement::Open),
        (Open, 251, Judgement::Open),
        (Open, 550, Closed),
        (Open, 451, Unknown),
        (Open, 354, Unknown),
        // what another server accepts may be a name of its own
        (Suspect, 250, Unknown),
        (Suspect, 550, Closed),
        (Suspect, 450, Unknown),
        (Control, 250, Closed),
        (Control, 550, Unknown),
        (Control, 451, Unknown),
    ] {
        assert_eq!(
            told(meaning, code).judgement,
            expected,
            "{meaning:?} {code}"
        );
    }
}

fn told(meaning: Meaning, code: u16) -> Finding {
    let mut server = Scripted::default();
    server.rcpt.push_back(code);
    let probe = Probe {
        meaning,
        ..Probe::plain("probe", &cast())
    };
    play(&mut server, &probe)
}

#[test]
fn all_findings_together_say_one_thing() {
    use Meaning::{Control, Open, Suspect};
    let unplayed = || {
        let probe = Probe::plain("probe", &cast()).by(Login::Wrong);
        play(&mut Scripted::default(), &probe)
    };
    let (seen, refused) = (told(Control, 250), told(Open, 550));
    for (findings, expected) in [
        (vec![seen.clone(), refused.clone()], Judgement::Closed),
        (
            vec![told(Control, 550), seen.clone(), refused.clone()],
            Judgement::Closed,
        ),
        (
            vec![seen.clone(), refused.clone(), unplayed()],
            Judgement::Closed,
        ),
        // one open door is enough, whatever else is in doubt
        (
            vec![refused.clone(), told(Open, 451), told(Open, 250)],
            Judgement::Open,
        ),
        (vec![seen.clone(), told(Suspect, 250)], Judgement::Unknown),
        (vec![seen, told(Open, 451)], Judgement::Unknown),
        // blind: it refuses everybody, or nothing was tried
        (vec![refused.clone()], Judgement::Unknown),
        (vec![told(Control, 550), refused], Judgement::Unknown),
        (vec![], Judgement::Unknown),
    ] {
        let told: Vec<_> = findings
            .iter()
            .map(|f| (f.probe.meaning, f.judgement))
            .collect();
        assert_eq!(judgement(&findings), expected, "{told:?}");
    }
}

#[test]
fn who_hangs_up_after_a_while_is_asked_again() {
    let mut server = Scripted::default();
    let probe = Probe::plain("probe", &cast());
    server.rcpt.extend([550, 421, 550]);
    let first = play(&mut server, &probe);
    let second = play(&mut server, &probe);
    assert_eq!([first.judgement, second.judgement], [Judgement::Closed; 2]);
    assert_eq!(server.sessions, 2);
    // and who hangs up at once has not answered
    server.rcpt.extend([421, 421]);
    assert_eq!(play(&mut server, &probe).judgement, Judgement::Unknown);
}

#[test]
fn no_sign_in_outlives_its_probe() {
    let mut server = Scripted {
        signs_in: true,
        ..Scripted::default()
    };
    let plain = Probe::plain("probe", &cast());
    for login in [Login::Entitled, Login::None, Login::Powerless, Login::None] {
        server.rcpt.push_back(250);
        play(&mut server, &plain.clone().by(login));
        assert_eq!(server.signed_in, None, "{login:?}");
    }
    assert_eq!(server.sessions, 4);
}

/// Answers RCPT as it is told, everything else with yes.
#[derive(Default)]
struct Scripted {
    rcpt: VecDeque<u16>,
    is_open: bool,
    sessions: u32,
    signs_in: bool,
    signed_in: Option<Login>,
}

impl Peer for Scripted {
    fn begin(&mut self) -> Result<Reply, Lost> {
        self.sessions += 1;
        self.is_open = true;
        self.signed_in = None;
        Ok(Reply::plain(250, "hello"))
    }

    fn command(&mut self, line: &str) -> Result<Reply, Lost> {
        if !self.is_open {
            return Err(Lost("closed".to_owned()));
        }
        let code = match line.split_once(' ').map_or(line, |(verb, _)| verb) {
            "RCPT" => self.rcpt.pop_front().unwrap(),
            "QUIT" => 221,
            _ => 250,
        };
        if matches!(code, 221 | 421) {
            self.is_open = false;
            self.signed_in = None;
        }
        Ok(Reply::plain(code, "so"))
    }

    fn sign_in(&mut self, login: Login) -> Result<Option<Reply>, Lost> {
        self.signed_in = self.signs_in.then_some(login);
        Ok(self.signed_in.map(|_| Reply::plain(235, "welcome")))
    }
}
