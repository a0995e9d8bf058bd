//! Microsoft IIS's own form: fields parted by a comma and a blank, a comma at the end.

use std::fmt::Write as _;

use crate::Row;
use crate::calendar::civil;
use crate::row::{Word, or_hyphen};

/// Appends the row with its line end.
pub(crate) fn write(row: &Row, out: &mut String) {
    let moment = civil(row.at, None);
    let (date, time) = (moment.strftime("%m/%d/%y"), moment.strftime("%-H:%M:%S"));
    let local = row.local.map(|local| local.to_string());
    let _ = write!(
        out,
        "{}, {}, {date}, {time}, SMTPSVC{}, {}, {}, {}, {}, {}, {}, {}, {}, -, {},",
        row.peer.ip(),
        word(row.name()),
        row.site,
        word(&row.computer),
        local.as_deref().unwrap_or("-"),
        row.taken,
        row.received,
        row.sent,
        row.status,
        row.lasted,
        word(&row.verb),
        word(&row.argument),
    );
    out.push('\n');
}

fn word(text: &str) -> Word<'_> {
    Word {
        text: or_hyphen(text),
        breaks: &[','],
    }
}
