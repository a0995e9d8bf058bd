//! Two thousand worlds. `GATEPOST_SEED=123 cargo test --workspace --test seeds -- --nocapture`
//! runs a single one and prints every step.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use simulation::{Plan, Run, Sabotage, Totals, run};

const SEEDS: u64 = 2_000;

fn number_in(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Panics of the relay's own code count as failures of the seed, too. A failure says how to replay
/// it.
fn attempt(seed: u64, trace: bool, sabotage: Option<Sabotage>) -> Result<Run, String> {
    let plan = Plan {
        seed,
        trace,
        sabotage,
    };
    let caught = catch_unwind(AssertUnwindSafe(|| run(&plan)));
    let result = caught.unwrap_or_else(|fault| {
        let text = fault.downcast_ref::<String>().cloned();
        let text = text.or_else(|| fault.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    });
    let command = "cargo test --workspace --test seeds -- --nocapture";
    result.map_err(|why| format!("{why}\n  replay: GATEPOST_SEED={seed} {command}"))
}

fn run_all(seeds: u64) -> (Totals, Vec<String>) {
    let threads = thread::available_parallelism().map_or(2, |n| n.get().min(8));
    let run_some = |first: u64| {
        let own = (first..seeds).step_by(threads);
        own.map(|seed| attempt(seed, false, None))
            .collect::<Vec<_>>()
    };
    let results = thread::scope(|scope| {
        let workers = (0..threads as u64).map(|first| scope.spawn(move || run_some(first)));
        let workers: Vec<_> = workers.collect();
        let results = workers.into_iter().map(|worker| worker.join().unwrap());
        results.flatten().collect::<Vec<_>>()
    });
    let (mut totals, mut failures) = (Totals::default(), Vec::new());
    for result in results {
        match result {
            Ok(run) => totals.merge(&run.totals),
            Err(why) => failures.push(why),
        }
    }
    (totals, failures)
}

/// What all runs together must have met, or they prove little.
const MUST_HAPPEN: &[&str] = &[
    "DNS questions without an answer",
    "answers to the final dot that were lost",
    "bounces for age",
    "bounces",
    "clients left without a word",
    "clients timed out",
    "clients turned away for their rate",
    "clients without a slot",
    "commits of several changes",
    "commits of unknown outcome",
    "commits rejected",
    "connections cut",
    "connections that failed",
    "connections used again",
    "contents read back from the spool",
    "contents that could not be read",
    "agents timed out",
    "answers of scanners",
    "answers of scanners that nobody waits for",
    "crashes",
    "crashes within operations",
    "delay notices",
    "delivered and bounced, for want of an answer",
    "disk healed",
    "disk nearly full, or no longer",
    "duplicates",
    "ended bounced",
    "ended deleted",
    "ended delivered",
    "ended dropped",
    "ended held as badmail",
    "ended held, as a copy",
    "ended without a notice, as wanted",
    "facts asked for",
    "files postponed",
    "files refused",
    "files sent twice",
    "files taken",
    "files whose message was stored before",
    "handshakes that failed",
    "jobs for agents that were leaving",
    "jobs by the route of their sender",
    "jobs over an encrypted connection",
    "jobs within the hours of large messages",
    "jobs within the hours of their route",
    "fetchers gone before their mail came",
    "mail fetched on a connection of its own",
    "messages postponed for their rate",
    "messages postponed",
    "messages postponed for some",
    "messages promised",
    "messages refused",
    "messages refused for what a scanner found",
    "messages refused after their 250",
    "messages screened after their 250",
    "messages taken before they were screened",
    "ended held, refused after its 250",
    "messages that became several",
    "messages thrown away",
    "messages within a rate",
    "notices stored",
    "pages that could not be read",
    "parts of operations nobody was told of",
    "parts of operations that delete",
    "pieces spilled to disk",
    "recipients filed anew",
    "recipients refused",
    "recipients that rules named",
    "reloads",
    "requests for mail that waits",
    "requests for the mail of others refused",
    "requests without a sign-in refused",
    "requests for mail where none waits",
    "scanners without an answer",
    "servers closed between two messages",
    "servers deferred",
    "servers died after the final dot",
    "servers greylisted",
    "servers had trouble within the content",
    "servers hung up",
    "servers hung",
    "servers refused",
    "servers said 421",
    "servers took some recipients at a time",
    "sessions broken while scanners were asked",
    "sessions killed while scanners were asked",
    "sessions timed out",
    "settlements that must be written again",
    "sign-ins refused",
    "success notices",
    "verbs of the operator",
];

#[test]
fn every_250_ends_as_exactly_one_of_delivered_bounced_dropped_held() {
    if let Some(seed) = number_in("GATEPOST_SEED") {
        let run = attempt(seed, true, None).unwrap_or_else(|why| panic!("{why}"));
        return println!("{}", run.totals);
    }
    let seeds = number_in("GATEPOST_SEEDS").unwrap_or(SEEDS);
    let (totals, failures) = run_all(seeds);
    println!("{totals}");
    let (count, first) = (failures.len(), &failures[..failures.len().min(20)]);
    assert!(
        count == 0,
        "{count} of {seeds} seeds failed\n{}",
        first.join("\n")
    );
    for what in MUST_HAPPEN {
        assert!(
            totals.of(what) > 0,
            "in {seeds} runs it never happened: {what}"
        );
    }
}

#[test]
fn one_seed_is_one_run() {
    for seed in 0..100 {
        let again = attempt(seed, false, None);
        assert_eq!(attempt(seed, false, None), again, "seed {seed}");
    }
}

/// Runs in which a way to break the relay must be noticed; most are in the first few, but some need
/// a rare turn of events.
const SABOTAGE_SEEDS_MAX: u64 = 2_000;

/// A check that cannot fail is worth nothing: each way to break the relay is noticed, by the check
/// that is meant for it.
#[test]
fn what_is_broken_on_purpose_is_noticed() {
    let cases = [
        (Sabotage::DropMessages, "the spool never had it"),
        (Sabotage::ForgetSettlements, "though it was delivered"),
        (Sabotage::DropNotices, "lost"),
        (Sabotage::SpoilContent, "is not what was sent"),
        (Sabotage::MixUpOutcomes, "though it was delivered"),
        (Sabotage::ReleaseEarly, "though it was delivered"),
        (Sabotage::ForgetLateJobs, "the queue is not quiet"),
        (Sabotage::JobsTwice, "two agents have"),
        (Sabotage::AnnounceAnyway, "which nobody stored"),
        (Sabotage::OvertakeReports, "though it was delivered"),
        (Sabotage::OpenRelay, "an open relay"),
        (Sabotage::IgnoreLimits, "connections to"),
        (Sabotage::IgnoreRates, "in a time to"),
        (Sabotage::IgnoreHours, "while that is closed"),
        (Sabotage::IgnoreLargeHours, "is too large for"),
        (Sabotage::SendUnasked, "for which nobody has asked"),
        (Sabotage::PromiseEarly, "the spool never had it"),
        (Sabotage::PromiseUnknown, "the spool never had it"),
        (Sabotage::SecondId, "which nobody stored"),
        (Sabotage::StoreFirst, "for others than were accepted"),
        (Sabotage::StoreSilently, "still waits when all is quiet"),
        (
            Sabotage::TrustSilentScanners,
            "which some scanner has not seen",
        ),
        (Sabotage::SwapAnswers, "an open relay"),
        (Sabotage::SendUnscreened, "which nobody has screened"),
        (Sabotage::ForgetUnscreened, "still to be screened"),
        (Sabotage::PassUnwritten, "which nobody has screened"),
        (Sabotage::ForgetFileIds, "is stored as"),
        (Sabotage::RemoveFilesEarly, "was lost"),
        (Sabotage::AnnounceUnstored, "which nobody stored"),
        (Sabotage::SendWithheld, "which is withheld"),
        (Sabotage::IgnoreFilters, "whom it is not for"),
        (Sabotage::BounceForDelete, "left it as it must not be"),
        (Sabotage::BounceDeleted, "although it was deleted"),
        (Sabotage::AbandonOperations, "never ended"),
        (Sabotage::Miscount, "it was done to"),
    ];
    for (sabotage, expected) in cases {
        let runs = (0..SABOTAGE_SEEDS_MAX).map(|seed| attempt(seed, false, Some(sabotage)));
        let mut seen = Vec::new();
        let mut broken = runs
            .filter_map(Result::err)
            .inspect(|why| seen.push(why.clone()));
        let noticed = broken.any(|why| why.contains(expected));
        seen.truncate(5);
        let seen = seen.join("\n");
        assert!(noticed, "{sabotage:?} went by unnoticed, but for {seen}");
    }
}
