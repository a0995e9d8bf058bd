use std::sync::Arc;

use authentication::{Authentication, Claims, Results, Summary};
use contents::edit::add_footer;
use contents::{Limits, look_into, parts};
use lookups::Inquiries;
use mail::{Client, Domain, Mailbox, ReversePath};
use relay_audit::{Explanation, Step, StepResult};
use relay_policy::Admitted;
use scanner::Subject;
use scanner::policy::{Request, State};
use screening::{
    Addressee, Change, Direction, End, Examination, Facts, Finding, Reputation, Scan, Screens,
    Test, Verdict,
};

use super::Memory;
use crate::clock;

/// What the rules of screening say of the message, for everybody who gets it: a step for
/// each rule, whether it matched or not, and the answer where it becomes another one.
pub(super) async fn screen(
    inquiries: &Inquiries,
    memory: &(impl Memory + Sync),
    sender: &Sender<'_>,
    message: &[u8],
    explanation: &mut Explanation,
) {
    let late = late(inquiries, sender, message, explanation);
    let is_late = late.is_some();
    explanation.steps.extend(late);
    let results = checked(inquiries, sender, message).await;
    explanation.steps.extend(results.lines().map(|text| Step {
        name: "sender is",
        result: StepResult::Moot,
        text,
        place: None,
    }));
    let scans = scanned(inquiries, sender, results.summary(), message, explanation).await;
    let screens = &inquiries.config().screening.screens;
    let reputation = reputation(memory, sender, screens, results.summary()).await;
    explanation.steps.extend(reputation.map(worth));
    let answer = explanation.answer.clone();
    let found = Found {
        results: &results,
        reputation,
        scans: &scans,
    };
    // Packed content takes its time.
    tokio::task::block_in_place(|| examine(screens, sender, &found, message, explanation));
    if is_late {
        // Its client hears nothing of that.
        explanation.answer = answer;
    }
}

/// Says so where the message is taken before anybody looks at it.
fn late(
    inquiries: &Inquiries,
    sender: &Sender<'_>,
    message: &[u8],
    explanation: &Explanation,
) -> Option<Step> {
    let config = inquiries.config();
    let terms = &config.screening;
    let admitted = explanation.admitted.iter();
    let sites = admitted.map(|(one, _)| queue::way_of(&config.routes, sender.mail, one).name);
    let place = terms.late.applies(message.len() as u64, sites)?;
    terms.asks().then(|| Step {
        name: "screening",
        result: StepResult::Moot,
        text:
            "after the 250: it is held as being screened until then; refused, it bounces where its \
               sender is known, and is held otherwise"
                .to_owned(),
        place: Some(place.clone()),
    })
}

/// What was found out about a message.
struct Found<'a> {
    results: &'a Results,
    reputation: Option<Reputation>,
    scans: &'a [Scan],
}

/// Asks the rules.
fn examine(
    screens: &Screens,
    sender: &Sender<'_>,
    found: &Found<'_>,
    message: &[u8],
    explanation: &mut Explanation,
) {
    let contents = look_into(message, screens.wanted(), screens.limits());
    let facts = Facts {
        client: sender.client,
        direction: Direction::of(sender.is_stranger),
        sender: sender.mail,
        size: message.len() as u64,
        contents: &contents,
        listed: sender.listed,
        authentication: found.results.summary(),
        reputation: found.reputation,
        scans: found.scans,
    };
    let examination = Examination::new(screens, facts);
    let mut verdicts = Vec::new();
    let several = explanation.admitted.len() > 1;
    for (admitted, _) in &explanation.admitted {
        let to = addressee(admitted);
        let about = if several {
            format!(" for {}", to.mailbox)
        } else {
            String::new()
        };
        let tests = examination.tests(&to).into_iter();
        let steps = tests.map(|(screen, test)| step(screen, &test, &about));
        explanation.steps.extend(steps);
        let verdict = examination.verdict(&to);
        explanation.steps.push(end(&verdict, to.mailbox));
        explanation.steps.extend(copies(&verdict, to.mailbox));
        let without = unadded(&verdict, message, screens.limits());
        explanation.steps.extend(without);
        verdicts.push(verdict.end);
    }
    if let [End::Refuse(reply), ..] = &verdicts[..]
        && verdicts.iter().all(|end| matches!(end, End::Refuse(_)))
    {
        explanation.answer = Some(reply.clone());
    }
}

/// Who sends the message.
pub(super) struct Sender<'a> {
    pub client: &'a Client,
    /// HELO or EHLO.
    pub hello: &'a str,
    /// MAIL FROM.
    pub mail: &'a ReversePath,
    /// The DNS lists that name the client.
    pub listed: &'a [Domain],
    /// Anybody could be it.
    pub is_stranger: bool,
    /// What policy services said of the recipient.
    pub advised: &'a [(Arc<str>, Finding)],
}

/// What the checks of the sender come to, which are made of mail that anybody may send.
async fn checked(inquiries: &Inquiries, sender: &Sender<'_>, message: &[u8]) -> Results {
    let terms = &inquiries.config().screening;
    if !sender.is_stranger || sender.client.uid.is_some() {
        return Results::default();
    }
    let claims = Claims {
        client: sender.client.address(),
        hello: sender.hello.into(),
        sender: sender.mail.clone(),
        receiver: terms.id.clone(),
        now: clock::now(),
    };
    // What is in memory can be read.
    let authentication = Authentication::new(terms.checks, claims, message);
    let authentication = authentication.map(|begun| begun.trusting(&terms.arc_trusted));
    match authentication {
        Ok(begun) => inquiries.authenticate(begun).await,
        Err(_) => Results::default(),
    }
}

/// What client and sender are worth to the running relay, where a rule asks for it.
async fn reputation(
    memory: &(impl Memory + Sync),
    sender: &Sender<'_>,
    screens: &Screens,
    came_to: Summary,
) -> Option<Reputation> {
    let is_asked = screens.asks_reputation() && sender.is_stranger && sender.client.uid.is_none();
    let (client, domain) = (sender.client.address(), sender.mail.domain());
    let worth = match is_asked {
        true => Some(memory.reputation(client, domain).await),
        false => None,
    };
    engine::reputation(worth, came_to)
}

fn worth(of: Reputation) -> Step {
    let domain = of.domain.map_or_else(
        || "the sender's domain nothing, as SPF does not pass".to_owned(),
        |score| format!("the sender's domain {score}"),
    );
    Step {
        name: "reputation",
        result: StepResult::Moot,
        text: format!("the client is worth {}, {domain}", of.client),
        place: None,
    }
}

/// What the scanners say that are asked about such a message, a step for each.
async fn scanned(
    inquiries: &Inquiries,
    sender: &Sender<'_>,
    came_to: Summary,
    message: &[u8],
    explanation: &mut Explanation,
) -> Vec<Scan> {
    let Sender {
        client,
        mail,
        hello,
        ..
    } = *sender;
    let admitted = || explanation.admitted.iter().map(|(admitted, _)| admitted);
    let mailboxes = || admitted().flat_map(|one| [one.recipient(), one.named()]);
    let direction = Direction::of(sender.is_stranger);
    let scanners = inquiries.config().screening.scanners.iter();
    let meant = scanners.filter(|one| one.is_asked(direction, &client.listener, mailboxes()));
    let meant: Vec<_> = meant.collect();
    let subject = Subject {
        queue_id: "check".to_owned(),
        client: client.uid.is_none().then(|| client.address()),
        hello: Some(hello.to_owned()),
        user: client.user.as_deref().map(str::to_owned),
        sender: match mail {
            ReversePath::Null => String::new(),
            ReversePath::Mailbox(mailbox) => mailbox.to_string(),
        },
        recipients: admitted().map(|one| one.recipient().to_string()).collect(),
        server: inquiries.config().hostname.to_string(),
        facts: engine::facts_for_hooks(sender.is_stranger, came_to),
        size: message.len() as u64,
        ..Subject::default()
    };
    let request = Request {
        instance: subject.queue_id.clone(),
        recipient: Some(&subject.recipients)
            .filter(|all| all.len() == 1)
            .and_then(|all| all.first().cloned()),
        is_extended: true,
        ..Request::about(client, State::EndOfMessage)
    };
    let asked = (subject, request);
    let mut scans = Vec::new();
    for scanner in meant {
        let scan = inquiries.scan(scanner, &asked, message).await;
        let finding = scan.finding.as_ref().map(ToString::to_string);
        explanation.steps.push(Step {
            name: "scanner",
            result: StepResult::Moot,
            text: format!("{}: {}", scan.scanner, finding.unwrap_or_default()),
            place: Some(scanner.place.clone()),
        });
        scans.push(scan);
    }
    let advised = sender.advised.iter().cloned();
    scans.extend(advised.map(|(scanner, finding)| Scan {
        scanner,
        finding: Some(finding),
    }));
    scans
}

fn addressee(admitted: &Admitted) -> Addressee<'_> {
    Addressee {
        mailbox: admitted.recipient(),
        named: admitted.named(),
    }
}

fn step(screen: &screening::Screen, test: &Test, about: &str) -> Step {
    let name = &screen.name;
    let text = match test {
        Test::Matches(why) => {
            let does: Vec<String> = screen.then.iter().map(ToString::to_string).collect();
            let would = if screen.dry_run { "would " } else { "" };
            format!("{name}{about}: {why}: {would}{}", does.join(", "))
        }
        Test::Misses(condition) => format!("{name}{about}: no, by its `{condition}`"),
        Test::Awaits(scanner) => format!("{name}{about}: depends on the scanner {scanner}"),
        Test::NotAsked => format!("{name}{about}: not asked, a rule before it accepts"),
    };
    Step {
        name: "screen",
        result: StepResult::Moot,
        text,
        place: Some(screen.place.clone()),
    }
}

/// What all of them come to.
fn end(verdict: &Verdict, to: &Mailbox) -> Step {
    let (result, text) = match &verdict.end {
        End::Pass => (StepResult::Pass, format!("{to}: passes")),
        End::Refuse(_) => (StepResult::Refuse, format!("{to}: refused")),
        End::Discard => (StepResult::Pass, format!("{to}: taken and thrown away")),
        End::Hold => (StepResult::Pass, format!("{to}: taken and held")),
        End::Redirect(other) => (StepResult::Pass, format!("{to}: goes to {other}")),
    };
    Step {
        name: "content",
        result,
        text,
        place: verdict.by.as_ref().map(|by| by.place.clone()),
    }
}

/// Who gets a copy.
fn copies(verdict: &Verdict, to: &Mailbox) -> impl Iterator<Item = Step> {
    let copies = verdict.copies.iter();
    copies.map(move |(copy_to, by)| Step {
        name: "content",
        result: StepResult::Moot,
        text: format!("{to}: a copy goes to {copy_to}"),
        place: Some(by.place.clone()),
    })
}

/// Why the message goes on without a footer.
fn unadded(verdict: &Verdict, message: &[u8], limits: &Limits) -> Option<Step> {
    let mut changes = verdict.changes.iter();
    let footer = changes.find_map(|change| match change {
        Change::Footer { footer, rule } => Some((footer, rule)),
        Change::Strip { .. } | Change::TagSubject(_) | Change::AddField { .. } => None,
    });
    let (footer, rule) = footer?;
    let why = add_footer(&message, &parts(&message, limits), footer).err()?;
    Some(Step {
        name: "content",
        result: StepResult::Moot,
        text: format!("{rule}: no footer: {why}"),
        place: None,
    })
}
