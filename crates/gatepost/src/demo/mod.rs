//! `gatepost demo`: the real relay between a pretend mail server and a pretend Internet, on
//! loopback, told line by line.
//!
//! The relay is started by the same code as `gatepost run`; around it stand a name server for
//! `*.example`, a mail server that can be shut down, and Internet hosts that are good, greylisting
//! or dead. Time is compressed: retries take a second, expiry a few.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "the peers of the demo talk over sockets"
)]

mod client;
mod dns;
mod pretend;
mod scenarios;
mod stage;

use std::process::ExitCode;
use std::time::Duration;

use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;
use scenarios::SCENARIOS;
use stage::Stage;

/// The demo ends within a minute, whatever hangs.
const DEMO_SECONDS_MAX: u64 = 60;
/// Between two messages of the gentle load.
const LOAD_PAUSE: Duration = Duration::from_millis(500);

/// One line of the demo.
#[derive(Debug, Serialize)]
struct Line {
    scenario: &'static str,
    expected: &'static str,
    actual: String,
    ok: bool,
}

/// `gatepost demo`
pub fn run(cli: &Cli, once: bool) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Temporary(e.to_string()))?;
    runtime.block_on(async {
        let stage = Stage::set_up().await.map_err(Failure::Temporary)?;
        if !cli.json {
            introduce(&stage);
        }
        let limit = Duration::from_secs(DEMO_SECONDS_MAX);
        let played = tokio::time::timeout(limit, play(&stage, !cli.json)).await;
        let lines = played.map_err(|_| Failure::Temporary("the demo took too long".to_owned()))?;
        let failed = lines.iter().filter(|line| !line.ok).count();
        if cli.json {
            output::json(&lines)?;
        } else {
            say!("");
            say!(
                "{} of {} scenarios as expected",
                lines.len() - failed,
                lines.len()
            );
        }
        if !once && !cli.json {
            keep_going(&stage).await;
        }
        stage.take_down().await;
        Ok(if failed == 0 {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        })
    })
}

fn introduce(stage: &Stage) {
    say!("Gatepost demo: everything is on loopback, nothing leaves this machine.");
    say!(
        "Time is compressed: retries after 1 s instead of 1 min, expiry after 6 s instead of 2 days."
    );
    say!(
        "relay {}   mail server {}   the Internet 127.0.0.11-13   console http://{}",
        stage.relay,
        stage.exchange.address(),
        stage.console
    );
    say!("");
}

async fn play(stage: &Stage, aloud: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for scenario in SCENARIOS {
        let (ok, actual) = match (scenario.play)(stage).await {
            Ok(actual) => (true, actual),
            Err(actual) => (false, actual),
        };
        let line = Line {
            scenario: scenario.name,
            expected: scenario.expected,
            actual,
            ok,
        };
        if aloud {
            let verdict = if ok { "ok  " } else { "FAIL" };
            say!("{verdict} {:52} expected: {}", line.scenario, line.expected);
            say!("     {:52} actual:   {}", "", mail::escaped(&line.actual));
        }
        lines.push(line);
    }
    lines
}

/// A message every now and then, until interrupted, so that there is something to look at.
async fn keep_going(stage: &Stage) {
    say!("");
    say!("A gentle load goes on until Ctrl-C. Meanwhile, in a browser (this link signs in once):");
    match stage.link().await {
        Ok(link) => say!("  {link}"),
        Err(why) => say!("  no link: {why}"),
    }
    say!("or in another terminal:");
    say!(
        "  gatepost --config {} console login",
        stage.config_file().display()
    );
    say!(
        "  gatepost --config {} status",
        stage.config_file().display()
    );
    say!(
        "  gatepost --config {} queue list",
        stage.config_file().display()
    );
    let load = async {
        for number in 0u64.. {
            // The load is scenery: a message that fails changes nothing.
            let _scenery = stage.internet_to_hosted(&format!("load-{number}")).await;
            tokio::time::sleep(LOAD_PAUSE).await;
        }
    };
    tokio::select! {
        () = load => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
