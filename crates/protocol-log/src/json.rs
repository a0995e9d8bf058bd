//! A row as one line of JSON.

use serde_json::json;

use crate::{Direction, Row};

/// Appends the row with its line end.
pub(crate) fn write(row: &Row, out: &mut String) {
    let direction = match row.direction {
        Direction::Incoming => "in",
        Direction::Command => "out-command",
        Direction::Response => "out-reply",
    };
    let mut line = json!({
        "time": row.at.to_string(),
        "direction": direction,
        "peer": row.peer.ip().to_string(),
        "port": row.peer.port(),
        "site": row.site,
        "host": &*row.computer,
        "sent": row.sent,
        "received": row.received,
        "ms": row.taken,
    });
    let optional = [
        ("local", row.local.map(|local| local.to_string().into())),
        ("hello", text(&row.hello)),
        ("verb", text(&row.verb)),
        ("argument", text(row.argument.trim_start())),
        ("status", (row.status > 0).then(|| row.status.into())),
        ("session_ms", (row.lasted > 0).then(|| row.lasted.into())),
    ];
    for (name, value) in optional {
        if let (Some(value), Some(line)) = (value, line.as_object_mut()) {
            line.insert(name.to_owned(), value);
        }
    }
    out.push_str(&line.to_string());
    out.push('\n');
}

fn text(text: &str) -> Option<serde_json::Value> {
    (!text.is_empty()).then(|| text.into())
}
