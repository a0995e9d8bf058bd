use std::process::ExitCode;

use daemon::api::{ConsoleLink, ConsoleLinkWanted};

use crate::cli::{Cli, ConsoleVerb};
use crate::exit::Outcome;
use crate::output::say;
use crate::{machine, output, status};

/// `gatepost console ...`
pub fn command(cli: &Cli, verb: &ConsoleVerb) -> Outcome {
    match verb {
        ConsoleVerb::Login => login(cli),
    }
}

/// `gatepost console login`
fn login(cli: &Cli) -> Outcome {
    let wanted = ConsoleLinkWanted {
        by: machine::caller(),
    };
    let link: ConsoleLink = status::remote(cli).post("/v1/console/links", &wanted)?;
    if cli.json {
        return output::json(&link);
    }
    say!("{}", mail::escaped(&link.url));
    say!("It signs in once, as admin, until {}.", link.expires);
    Ok(ExitCode::SUCCESS)
}
