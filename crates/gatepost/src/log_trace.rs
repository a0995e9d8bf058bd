//! `gatepost log trace`

use std::process::ExitCode;

use daemon::api::{TraceChange, TraceRow};

use crate::cli::{Cli, LogTrace};
use crate::exit::Outcome;
use crate::output::say;
use crate::{output, status};

/// `gatepost log trace`
pub fn trace(cli: &Cli, arguments: &LogTrace) -> Outcome {
    let remote = status::remote(cli);
    let LogTrace {
        client,
        user,
        site,
        address,
        lasting,
    } = arguments;
    let asks = [client, user, site, address]
        .into_iter()
        .any(Option::is_some);
    let traces: Vec<TraceRow> = if asks {
        let change = TraceChange {
            client: client.clone(),
            user: user.clone(),
            site: site.clone(),
            address: address.clone(),
            lasting: lasting.clone(),
        };
        remote.post("/v1/log/traces", &change)?
    } else {
        remote.get("/v1/log/traces")?
    };
    if cli.json {
        return output::json(&traces);
    }
    for TraceRow { kind, whom, until } in &traces {
        say!("{kind} {} until {until}", mail::escaped(whom));
    }
    if traces.is_empty() {
        say!("nobody's dialogues are kept beside what log.transcript says");
    }
    Ok(ExitCode::SUCCESS)
}
