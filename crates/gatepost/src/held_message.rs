//! A message that is held, as text.

use std::process::ExitCode;

use daemon::Remote;
use daemon::api::HeldMessage;

use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output;
use crate::output::say;

/// Shows what is in one of those that lie `in_what`: `quarantine` or `badmail`.
pub fn show(cli: &Cli, remote: &Remote, in_what: &str, id: &str) -> Outcome {
    let path = format!("/v1/{in_what}/{}", output::percent_encoded(id));
    let shown: HeldMessage = remote.get(&path)?;
    if cli.json {
        return output::json(&shown);
    }
    let without_rule = match in_what {
        "badmail" => "held as   badmail",
        _ => "held by   no rule",
    };
    for line in lines(&shown, without_rule) {
        say!("{}", mail::escaped(&line).to_string().trim_end());
    }
    Ok(ExitCode::SUCCESS)
}

/// All of a message, line by line.
fn lines(shown: &HeldMessage, without_rule: &str) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(first) = shown.recipients.first() {
        lines.push(format!("id        {}", first.id));
        lines.push(format!("from      <{}>", first.from));
        lines.push(format!("arrived   {}", first.arrived));
        lines.push(format!("size      {} octets", first.size));
    }
    for row in &shown.recipients {
        let rule = row.rule.as_deref();
        let held = rule.map_or(without_rule.to_owned(), |rule| format!("held by   {rule}"));
        lines.push(format!("to        {}", row.to));
        lines.push(format!("{held}: {}", row.reason));
    }
    lines.push(String::new());
    let fields = shown.fields.iter();
    lines.extend(fields.map(|field| format!("{}: {}", field.name, field.value)));
    lines.push(String::new());
    for part in &shown.parts {
        let names: Vec<String> = part.names.iter().map(|name| format!("{name:?}")).collect();
        let names = match names.is_empty() {
            true => "without a name".to_owned(),
            false => names.join(" or "),
        };
        let encrypted = if part.is_encrypted { ", encrypted" } else { "" };
        let (place, kind, size, declared) = (&part.place, &part.kind, part.size, &part.declared);
        let said = if declared.is_empty() {
            "nothing"
        } else {
            declared
        };
        lines.push(format!(
            "part {place}: {names}, {kind}{encrypted}, {size} octets, said to be {said}"
        ));
    }
    for unread in &shown.unread {
        let place = match unread.place.is_empty() {
            true => "message",
            false => &unread.place,
        };
        lines.push(format!("not looked into: {place}: {}", unread.why));
    }
    for text in &shown.texts {
        let html = if text.is_html { " (from HTML)" } else { "" };
        lines.push(String::new());
        lines.push(format!("text {}{html}", text.place));
        lines.extend(text.lines.iter().map(|line| format!("| {line}")));
    }
    if shown.is_cut {
        lines.push(String::new());
        lines.push("there is more than is shown".to_owned());
    }
    lines
}
