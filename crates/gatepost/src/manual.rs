//! What follows from the tables of commands and options: manual pages, and scripts by which shells
//! complete.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use clap::CommandFactory as _;

use crate::cli::{Cli, Shell};
use crate::exit::{Failure, Outcome};

/// `gatepost completions SHELL`
pub fn completions(shell: Shell) -> Outcome {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Fish => clap_complete::Shell::Fish,
        Shell::Zsh => clap_complete::Shell::Zsh,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "gatepost", &mut script);
    // Who reads no further has what it wanted.
    let _closed = std::io::stdout().write_all(&script);
    Ok(ExitCode::SUCCESS)
}

/// `gatepost man DIRECTORY`
pub fn pages(directory: &Path) -> Outcome {
    let mut commands = Cli::command();
    // Gives every command its name in full.
    commands.build();
    let (first, fifth) = (directory.join("man1"), directory.join("man5"));
    let written = fs::create_dir_all(&first)
        .and_then(|()| commands_below(commands, &first))
        .and_then(|()| fs::create_dir_all(&fifth))
        .and_then(|()| {
            let page = config::manual(env!("CARGO_PKG_VERSION"));
            fs::write(fifth.join("gatepost.toml.5"), page)
        });
    written.map_err(|why| Failure::No(format!("{}: {why}", directory.display())))?;
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of each of these commands. Their depth is that of our own table.
fn commands_below(first: clap::Command, directory: &Path) -> io::Result<()> {
    let mut waiting = vec![first];
    while let Some(command) = waiting.pop() {
        waiting.extend(command.get_subcommands().cloned());
        clap_mangen::Man::new(command)
            .date("\"\"")
            .source(concat!("gatepost ", env!("CARGO_PKG_VERSION")))
            .manual("Gatepost")
            .generate_to(directory)?;
    }
    Ok(())
}
