//! A row as one line of JSON.

use std::fmt::Write as _;
use std::net::IpAddr;

use mail::is_dangerous;
use serde::Serialize;

use crate::{Direction, Row};

/// The names are what programs go by: they stay.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    direction: &'static str,
    peer: IpAddr,
    port: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<IpAddr>,
    site: u32,
    host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    hello: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    verb: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    argument: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    sent: u64,
    received: u64,
    ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_ms: Option<u64>,
}

/// Appends the row with its line end.
pub(crate) fn write(row: &Row, out: &mut String) {
    let direction = match row.direction {
        Direction::Incoming => "in",
        Direction::Command => "out-command",
        Direction::Response => "out-reply",
    };
    let line = Line {
        time: row.at.to_string(),
        direction,
        peer: row.peer.ip(),
        port: row.peer.port(),
        local: row.local,
        site: row.site,
        host: &row.computer,
        hello: &row.hello,
        verb: &row.verb,
        argument: row.argument.trim_start(),
        status: Some(row.status).filter(|status| *status > 0),
        sent: row.sent,
        received: row.received,
        ms: row.taken,
        session_ms: Some(row.lasted).filter(|lasted| *lasted > 0),
    };
    // Writing to memory cannot fail, and a string is a key nowhere.
    if let Ok(line) = serde_json::to_string(&line) {
        push_escaped(&line, out);
        out.push('\n');
    }
}

/// JSON escapes the first 32 characters alone; a terminal is driven by others too. They stand in
/// strings, and none of them is beyond the basic plane.
fn push_escaped(json: &str, out: &mut String) {
    for c in json.chars() {
        if is_dangerous(c) {
            let _writing_to_memory_cannot_fail = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_drives_a_terminal_is_escaped() {
        let said = "\u{1b}[2J\u{7f}\u{9b}2J\u{202e}\u{e4}\"\\";
        let json = serde_json::to_string(said).unwrap();
        let mut line = String::new();
        push_escaped(&json, &mut line);
        let escaped = r#""\u001b[2J\u007f\u009b2J\u202eä\"\\""#;
        assert_eq!(line, escaped);
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), said);
    }
}
