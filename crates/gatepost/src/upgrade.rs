use std::process::ExitCode;
use std::time::Duration;

use daemon::Remote;
use daemon::api::{Status, Upgrading};
use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;
use crate::status::remote;

/// So long the new program may take to answer: `stop_timeout` and the start are in it.
const ANSWERS_WITHIN: Duration = Duration::from_secs(90);

/// What has become of it.
#[derive(Serialize)]
struct Upgraded {
    program: String,
    from: String,
    to: String,
    pid: u32,
}

/// `gatepost upgrade`
pub fn upgrade(cli: &Cli) -> Outcome {
    let before: Status = remote(cli).get("/v1/status")?;
    let Upgrading { program } = remote(cli).post("/v1/upgrade", &serde_json::json!({}))?;
    // The new one may have its control socket in another place.
    let is_new = |status: &Status| status.started != before.started;
    let after = Remote::wait_for(|| remote(cli), "/v1/status", ANSWERS_WITHIN, is_new);
    let late = "the new program does not answer yet: the log says why";
    let after = after.ok_or_else(|| Failure::Temporary(late.to_owned()))?;
    let upgraded = Upgraded {
        program,
        from: before.version,
        to: after.version,
        pid: after.pid,
    };
    if cli.json {
        return output::json(&upgraded);
    }
    let Upgraded {
        program,
        from,
        to,
        pid,
    } = upgraded;
    say!("gatepost {from} became gatepost {to} of {program}  process {pid}");
    Ok(ExitCode::SUCCESS)
}
