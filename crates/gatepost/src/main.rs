//! Gatepost: an SMTP relay between the Internet and an organisation's mail server.
//!
//! This crate is the command line: it reads arguments, calls the same code that the running relay
//! uses, prints, and chooses the exit code.

mod account;
mod acme;
mod bench;
mod bench_arguments;
mod cert_commands;
mod cli;
mod config_commands;
mod config_diff;
mod console;
mod console_login;
mod demo;
mod dkim_commands;
mod doctor;
mod exit;
mod greylist;
mod guardian;
mod held_message;
mod import_commands;
mod init;
mod log_test_syslog;
mod log_trace;
mod machine;
mod manual;
mod output;
mod quarantine;
mod queue_commands;
mod read_reports;
mod relay_check;
mod relay_prove;
mod route_show;
mod run;
mod sendmail;
mod session_commands;
mod status;
mod test_delivery;
mod test_dns;
mod trace;
mod track;
mod upgrade;
mod user_commands;

use std::process::ExitCode;

use clap::Parser as _;

use crate::cli::{Cli, Command, ControlVerb, LogVerb, RelayVerb, RouteVerb, ScannerVerb, TestVerb};

/// `gatepost test ...`
fn tried(cli: &Cli, verb: &TestVerb) -> exit::Outcome {
    match verb {
        TestVerb::Delivery(arguments) => test_delivery::deliver(cli, arguments),
        TestVerb::Dns { address } => test_dns::look(cli, address),
    }
}

fn main() -> ExitCode {
    if let Some(arguments) = sendmail::called_as() {
        return sendmail::command(None, arguments);
    }
    let cli = Cli::parse();
    let Some(command) = &cli.command else {
        return output::next_steps();
    };
    let result = match command {
        Command::Run => run::run(&cli),
        Command::Demo { once } => demo::run(&cli, *once),
        Command::Bench { verb } => bench::command(&cli, verb),
        Command::Init(arguments) => init::command(&cli, arguments),
        Command::Doctor(arguments) => doctor::command(&cli, arguments),
        Command::Reload => status::reload(&cli),
        Command::Upgrade => upgrade::upgrade(&cli),
        Command::Status { metrics, ready } => status::command(&cli, *metrics, *ready),
        Command::Version => output::version(&cli),
        Command::Config { verb } => config_commands::command(&cli, verb),
        Command::Import { source } => import_commands::command(&cli, source),
        Command::Relay {
            verb: RelayVerb::Check(arguments),
        } => relay_check::check(&cli, arguments),
        Command::Relay {
            verb: RelayVerb::Prove(arguments),
        } => relay_prove::command(&cli, arguments),
        Command::Route {
            verb: RouteVerb::Show { address, from },
        } => route_show::show(&cli, address, from),
        Command::Test { verb } => tried(&cli, verb),
        Command::User { verb } => user_commands::command(&cli, verb),
        Command::Cert { verb } => cert_commands::command(&cli, verb),
        Command::Dkim { verb } => dkim_commands::command(&cli, verb),
        Command::Control {
            verb: ControlVerb::Openapi,
        } => output::json(&daemon::openapi()),
        Command::Scanner {
            verb: ScannerVerb::Openapi,
        } => output::text(scanner::hook::openapi()),
        Command::Acme { verb } => acme::run(&cli, verb),
        Command::Guardian { verb } => guardian::run(&cli, verb),
        Command::Greylist { verb } => greylist::run(&cli, verb),
        Command::Console { verb } => console_login::command(&cli, verb),
        Command::Session { verb } => session_commands::run(&cli, verb),
        Command::Track(arguments) => track::track(&cli, arguments),
        Command::Trace { id, transcript } => trace::trace(&cli, id, *transcript),
        Command::Log {
            verb: LogVerb::Trace(arguments),
        } => log_trace::trace(&cli, arguments),
        Command::Log {
            verb: LogVerb::TestSyslog,
        } => log_test_syslog::test(&cli),
        Command::Tail { selection } => track::follow(&cli, &selection.text()),
        Command::Queue { verb } => queue_commands::run(&cli, verb),
        Command::Reports { files } => read_reports::command(&cli, files),
        Command::Quarantine { verb } => quarantine::run(&cli, verb),
        Command::Completions { shell } => manual::completions(*shell),
        Command::Man { directory } => manual::pages(directory),
        Command::Sendmail { arguments } => {
            return sendmail::command(Some(&cli.config), arguments.clone());
        }
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
