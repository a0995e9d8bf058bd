use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};

/// `println!` for a command's answer: ends quietly when nobody reads any more (`gatepost queue list
/// | head`).
macro_rules! say {
    ($($text:tt)*) => { $crate::output::write_line(format_args!($($text)*)) };
}
pub(crate) use say;

/// One line of a command's answer on standard output; see [`say!`].
pub fn write_line(line: fmt::Arguments<'_>) {
    if writeln!(std::io::stdout(), "{line}").is_err() {
        // What a shell reports for a program that ended by SIGPIPE.
        std::process::exit(141);
    }
}

/// Printed when no command is given: Gatepost never opens a port unasked.
pub fn next_steps() -> ExitCode {
    eprintln!("Gatepost relays mail. Next steps:");
    eprintln!("  gatepost demo                           see it work, on loopback only");
    eprintln!("  gatepost init                           write a first configuration");
    eprintln!("  gatepost config check --config FILE     is this configuration sound?");
    eprintln!("  gatepost run --config FILE              run it");
    eprintln!("  gatepost --help                         everything else");
    ExitCode::from(2)
}

/// `gatepost version`
pub fn version(cli: &Cli) -> Outcome {
    let version = env!("CARGO_PKG_VERSION");
    if cli.json {
        return json(&serde_json::json!({ "version": version }));
    }
    say!("gatepost {version}");
    Ok(ExitCode::SUCCESS)
}

/// Prints `value` as JSON.
pub fn json(value: &impl Serialize) -> Outcome {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Failure::Temporary(e.to_string()))?;
    say!("{text}");
    Ok(ExitCode::SUCCESS)
}

/// Prints a text as it stands.
pub fn text(text: &str) -> Outcome {
    say!("{}", text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// Prints rows under a heading, each column as wide as its widest cell; control characters are
/// escaped.
pub fn table(heading: &[&str], rows: &[Vec<String>]) {
    let cell = |text: &str| mail::escaped(text).to_string();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|text| cell(text)).collect())
        .collect();
    let widths: Vec<usize> = (0..heading.len())
        .map(|column| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|text| text.chars().count())
                .fold(heading[column].len(), usize::max)
        })
        .collect();
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(text, width)| format!("{text:width$}"))
            .collect();
        say!("{}", padded.join("  ").trim_end());
    };
    line(&heading.iter().map(ToString::to_string).collect::<Vec<_>>());
    for row in &rows {
        line(row);
    }
}

/// The rows of the first messages, `page` after page, and whether there are more; `id` is the name of
/// a row's message.
pub fn pages<R>(
    limit: usize,
    page: impl Fn(Option<&R>, usize) -> Result<Vec<R>, Failure>,
    id: impl Fn(&R) -> &str,
) -> Result<(Vec<R>, bool), Failure> {
    let (mut rows, mut messages): (Vec<R>, usize) = (Vec::new(), 0);
    loop {
        // One more, which tells that there are more.
        let wanted = limit.saturating_add(1) - messages;
        let page = page(rows.last(), wanted)?;
        if page.is_empty() {
            return Ok((rows, false));
        }
        for row in page {
            if rows.last().map(&id) != Some(id(&row)) {
                messages += 1;
            }
            if messages > limit {
                return Ok((rows, true));
            }
            rows.push(row);
        }
    }
}

/// For a part of a URL (RFC 3986 section 2.1).
pub fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("%{byte:02X}");
        }
    }
    encoded
}
