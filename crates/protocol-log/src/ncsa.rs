//! NCSA common, as the SMTP service of IIS wrote it:
//! `192.0.2.7 - client.example [11/Oct/2006:13:16:40 +0000] "MAIL -?+FROM:<a@b> SMTP" 250 46`

use std::fmt::Write as _;

use crate::Row;
use crate::calendar::civil;
use crate::row::{Word, or_hyphen};

/// Appends the row with its line end.
pub(crate) fn write(row: &Row, out: &mut String) {
    let moment = civil(row.at, None).strftime("%d/%b/%Y:%H:%M:%S +0000");
    let (peer, name, verb) = (row.peer.ip(), word(row.name()), word(&row.verb));
    let (status, octets) = (row.status, row.octets());
    let _ = if row.argument.is_empty() {
        write!(
            out,
            "{peer} - {name} [{moment}] \"{verb} - SMTP\" {status} {octets}"
        )
    } else {
        let argument = word(&row.argument);
        write!(
            out,
            "{peer} - {name} [{moment}] \"{verb} -?{argument} SMTP\" {status} {octets}"
        )
    };
    out.push('\n');
}

fn word(text: &str) -> Word<'_> {
    Word {
        text: or_hyphen(text),
        breaks: &['"'],
    }
}
