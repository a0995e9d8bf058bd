use std::process::ExitCode;

use config::Disk;
use daemon::Remote;
use daemon::api::{PauseRow, Reloaded, ScannerStatus, Status};

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output;
use crate::output::say;

/// The running relay of the configuration that the command line names.
pub fn remote(cli: &Cli) -> Remote {
    Remote::new(&config::control_socket(&cli.config, &Disk))
}

/// `gatepost status`, or only what it counts, or whether it is ready.
pub fn command(cli: &Cli, metrics: bool, ready: bool) -> Outcome {
    if metrics {
        text(cli, "/metrics")
    } else if ready {
        text(cli, "/ready")
    } else {
        status(cli)
    }
}

fn status(cli: &Cli) -> Outcome {
    let status: Status = remote(cli).get("/v1/status")?;
    if cli.json {
        return output::json(&status);
    }
    say!(
        "{}  gatepost {}  process {}  up {} s",
        status.hostname,
        status.version,
        status.pid,
        status.uptime_seconds
    );
    for listener in &status.listeners {
        say!(
            "listener {} {} ({})",
            listener.name,
            listener.address,
            listener.kind
        );
    }
    say!("relay {}", status.posture);
    let why = status.spool.why.as_deref().unwrap_or("mail is accepted");
    say!("spool {}: {why}", status.spool.state);
    let queue = &status.queue;
    say!(
        "queue {} messages: {} recipients waiting, {} of them active, {} held, {} of them in quarantine and {} yet to be screened, {} dropped since the start; {} connections, {} sites suspended",
        queue.messages,
        queue.waiting,
        queue.active,
        queue.held,
        queue.quarantined,
        queue.unscreened,
        queue.dropped,
        queue.connections,
        queue.suspended_sites
    );
    match &status.tracking {
        None => say!("tracking off"),
        Some(tracking) => {
            let trouble = tracking.trouble.as_deref().unwrap_or("rows are written");
            let trouble = mail::escaped(trouble);
            let (lost, made_again) = (tracking.lost, tracking.made_again);
            say!("tracking {trouble}, {lost} lost since the start, {made_again} made again");
        }
    }
    for scanner in &status.scanners {
        say!("{}", mail::escaped(&scanner_line(scanner)));
    }
    for pause in &status.pauses {
        say!("{}", mail::escaped(&pause_line(pause)));
    }
    say!("sessions {}", status.sessions);
    for alarm in &status.alarms {
        say!("alarm {}", mail::escaped(alarm));
    }
    for line in &status.attention {
        say!("attention {}", mail::escaped(line));
    }
    for warning in &status.warnings {
        say!("warning {}", mail::escaped(warning));
    }
    Ok(ExitCode::SUCCESS)
}

fn scanner_line(scanner: &ScannerStatus) -> String {
    let version = scanner.version.iter().map(|version| format!(" {version}"));
    let age = scanner.signatures_age_days.iter();
    let age = age.map(|days| format!(", signatures {days} days old"));
    format!(
        "scanner {} {}{}: {}; asked {} times, {} without an answer, {} messages with it now",
        scanner.name,
        scanner.address,
        version.chain(age).collect::<String>(),
        scanner.trouble.as_deref().unwrap_or("no trouble"),
        scanner.asked,
        scanner.failed,
        scanner.busy
    )
}

fn text(cli: &Cli, path: &str) -> Outcome {
    let page = remote(cli).text(path)?;
    say!("{}", page.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// A pause as one line.
pub fn pause_line(pause: &PauseRow) -> String {
    let what = pause.site.as_deref().unwrap_or("the whole queue");
    format!("{what} is {}", pause.words())
}

/// `gatepost reload`
pub fn reload(cli: &Cli) -> Outcome {
    let reloaded: Reloaded = remote(cli).post("/v1/reload", &serde_json::json!({}))?;
    if cli.json {
        return output::json(&reloaded);
    }
    for warning in &reloaded.warnings {
        eprintln!("{warning}");
    }
    say!("reloaded");
    Ok(ExitCode::SUCCESS)
}
