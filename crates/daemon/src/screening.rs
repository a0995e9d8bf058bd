//! Looks at a message, and has others look at it: what is done of it where others wait, and what
//! beside; before its 250 (`connection.rs`) or after it (`late.rs`).

use std::sync::Arc;
use std::time::Duration;

use engine::{ForMilters, Judgement, Screened, Screening, Storing};
use lookups::{Chain, Found};
use reception::StoreTrouble;
use relay_policy::{Facts, Rules};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::services::Services;
use crate::strangers;

/// Among whom a message waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turns {
    /// Those whose client waits for what rules say.
    Screening,
    /// Those that are signed and nothing else.
    Signing,
    /// Those for which no client waits.
    Late,
    /// It has to wait for nobody.
    None,
}

/// What came of a message that was looked at.
pub(crate) struct LookedAt {
    pub(crate) judgement: Judgement,
    /// What domains are told of it.
    pub(crate) sighting: Option<reports::Sighting>,
    pub(crate) known: Option<Box<strangers::Known>>,
}

/// Looks at a message. Nothing is counted here of what happens only where its client waits for the
/// end.
pub(crate) async fn looked_at(
    services: Arc<Services>,
    rules: Arc<Rules>,
    screening: Box<Screening>,
    turns: Turns,
) -> LookedAt {
    let mut looked = LookedAt {
        judgement: Screened::Failed(StoreTrouble::Failed).into(),
        sighting: None,
        known: None,
    };
    match judged(&services, screening, turns, &mut looked).await {
        Ok(judgement) => looked.judgement = judgement,
        Err(trouble) => looked.judgement.screened = Screened::Failed(trouble),
    }
    if let Screened::Store(messages) = &mut looked.judgement.screened {
        check_targets(&services, &rules, messages).await;
    }
    looked
}

/// Has rules judge it, once all is known that they ask for.
async fn judged(
    services: &Arc<Services>,
    mut screening: Box<Screening>,
    turns: Turns,
    looked: &mut LookedAt,
) -> Result<Judgement, StoreTrouble> {
    let is_quick = screening.is_quick();
    // Without a sender to be checked there is nothing to be read yet.
    let begins_quick = is_quick || !screening.is_checked();
    let signers = Arc::clone(services.active().setup.signers());
    let ends_quick = is_quick && (!screening.signs() || signers.are_quick());
    let now = services.clock.moment().wall;
    let read = move || screening.read(now).map(|()| screening);
    let read = beside(services, turns, begins_quick, read).await;
    let mut screening = read.unwrap_or(Err(StoreTrouble::Failed))?;
    find_out_about_sender(services, &mut screening).await;
    let seen = screening.seen(&services.active().setup.reports_from);
    looked.known = strangers::Known::of(services, &mut screening);
    if screening.is_scanned() {
        screening = scanned(services, screening, turns, is_quick).await?;
    }
    let of_work = Arc::clone(services);
    let run = move || screening.run(&signers, &*of_work.spool, &mut || of_work.new_id());
    let judgement = beside(services, turns, ends_quick, run).await;
    let judgement = judgement.ok_or(StoreTrouble::Failed)?;
    let done = judgement.screened.done();
    looked.sighting = seen.zip(done).map(|(seen, done)| seen.after(done));
    Ok(judgement)
}

/// Asks DNS about a message until it has no more questions. What has no answer by the deadline
/// cannot be told (RFC 7208 section 4.6.4: at least 20 seconds in all).
async fn find_out_about_sender(services: &Services, screening: &mut Screening) {
    if let Some(question) = screening.listings_question() {
        let rules = Arc::clone(screening.rules());
        let answer = services.active().find_out(&rules, question).await;
        screening.on_listings(answer);
    }
    let mut stage = None;
    let mut deadline = Instant::now();
    while let Some((of, questions)) = screening.questions() {
        if stage.replace(of) != Some(of) {
            deadline = Instant::now() + SENDERS_CHECKED_MAX;
        }
        let active = services.active();
        for (question, answer) in active.about_sender(questions, deadline).await {
            screening.on_answer(&question, &answer);
        }
    }
}

/// Finds out whether those exist to whom rules send these messages.
async fn check_targets(services: &Services, rules: &Rules, messages: &mut [Storing]) {
    let active = services.active();
    for message in messages {
        let mut facts = Facts::default();
        // One question each at most.
        for _ in 0..=message.recipients() {
            let Some(question) = message.check_targets(rules, &facts) else {
                break;
            };
            facts.answer(active.find_out(rules, question).await);
        }
    }
}

/// Looks at a message and has scanners look at it, side by side and in their time, until nothing
/// can depend any more on those that have not answered. Milters are one of these sides, one behind
/// the other.
async fn scanned(
    services: &Arc<Services>,
    mut screening: Box<Screening>,
    turns: Turns,
    is_quick: bool,
) -> Result<Box<Screening>, StoreTrouble> {
    let (of_work, active) = (Arc::clone(services), services.active());
    let (scanners, config) = (Arc::clone(active.scanners()), &active.setup.config);
    let (hostname, id) = (config.hostname.clone(), config.screening.id.clone());
    let body_max = usize::try_from(config.session.limits.message_size).unwrap_or(usize::MAX);
    drop(active);
    // All that reads or reckons is done where that may take its time.
    let look = move || {
        screening.look(&*of_work.spool, &mut || of_work.new_id())?;
        let names = screening.scanners();
        for (scanner, finding) in screening.heard() {
            of_work.journal.scanned(scanner, finding, None);
        }
        let milters = screening.for_milters(&id, SOFTWARE)?;
        let message = screening.message()?;
        Ok::<_, StoreTrouble>((screening, names, milters, message))
    };
    let looked = beside(services, turns, is_quick, look).await;
    let (mut screening, names, milters, message) = looked.unwrap_or(Err(StoreTrouble::Failed))?;
    let asked_of = Arc::new((screening.subject(&hostname), screening.request()));
    let mut asked = JoinSet::new();
    for scanner in names {
        let (scanners, asked_of) = (Arc::clone(&scanners), Arc::clone(&asked_of));
        let message = Arc::clone(&message);
        asked.spawn(async move {
            let found = scanners.ask(&scanner, &asked_of, &message).await;
            (vec![(scanner, found)], None)
        });
    }
    if let Some(ForMilters {
        names,
        facts,
        envelope,
        start,
        content,
    }) = milters
    {
        asked.spawn(async move {
            let message = start.edited(envelope);
            let chain = scanners.ask_milters(&names, &facts, message, &content, body_max);
            let Chain { findings, changes } = chain.await;
            (findings, Some(changes))
        });
    }
    let mut milted = None;
    while let Some(answer) = asked.join_next().await {
        // One that broke down has not been heard, and counts so in the rules.
        let Ok((found, changes)) = answer else {
            continue;
        };
        let is_bad = found.iter().any(|(_, one)| !one.finding.is_clean());
        for (scanner, found) in found {
            services
                .journal
                .scanned(&scanner, &found.finding, found.took);
            let Found { finding, edits, .. } = found;
            screening.on_scanned(&scanner, finding, edits);
        }
        milted = milted.or(changes);
        if is_bad && !asked.is_empty() && screening.is_refused() {
            break;
        }
    }
    let done = move || {
        if let Some(changes) = milted {
            screening.on_milters(changes);
        }
        screening.on_scanners_done().map(|()| screening)
    };
    let done = beside(services, turns, is_quick, done).await;
    done.unwrap_or(Err(StoreTrouble::Failed))
}

/// What milters are told we are.
const SOFTWARE: &str = concat!("Gatepost ", env!("CARGO_PKG_VERSION"));

/// Does `work`, here where it is quick, else in its turn on a thread that may block; `None` where it
/// panicked there, or its turn did not come.
pub(crate) async fn beside<T: Send + 'static>(
    services: &Services,
    turns: Turns,
    is_quick: bool,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    if is_quick {
        return Some(work());
    }
    let turns = match turns {
        Turns::Screening => Some(&services.screening),
        Turns::Signing => Some(&services.signing),
        Turns::Late => Some(&services.late),
        Turns::None => None,
    };
    let turn = match turns {
        Some(turns) => Some(
            timeout(TURN_WAIT_MAX, Arc::clone(turns).acquire_owned())
                .await
                .ok()?,
        ),
        None => None,
    };
    // The turn lasts as long as the work does, whoever still waits for it.
    let work = move || {
        let _turn = turn;
        work()
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// How long a message waits for its turn. RFC 5321 section 4.5.3.2.6 has clients wait ten minutes for
/// the answer; who waits longer gives up and sends again what we have taken.
const TURN_WAIT_MAX: Duration = Duration::from_secs(120);

/// How long DNS is asked about one message, for its sender and then for its author.
const SENDERS_CHECKED_MAX: Duration = Duration::from_secs(20);
