use crate::HeaderScan;
use crate::raw_field::RawField;

/// Whether a program sent this message to whom it may concern: a list, an answering machine, a
/// bulk mailing (RFC 3834 sections 2 and 5; RFC 2369 and RFC 2919 for lists).
///
/// `start` is the content as received, or enough of it to hold the header. Notices that only inform
/// are not for such senders; lists live on those of failure.
pub fn is_automatic(start: &[u8]) -> bool {
    let header = &start[..HeaderScan::header_len(start)];
    RawField::all(header).any(|field| marks_automatic(field.name, field.value))
}

fn marks_automatic(name: &[u8], value: &[u8]) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
    let mut words = value
        .split(|octet| b",;( \t\r\n".contains(octet))
        .filter(|word| !word.is_empty());
    let one_of = |word: &[u8], known: &[&str]| {
        known
            .iter()
            .any(|known| word.eq_ignore_ascii_case(known.as_bytes()))
    };
    if is("Auto-Submitted") {
        words.next().is_some_and(|word| !one_of(word, &["no"]))
    } else if is("Precedence") {
        words
            .next()
            .is_some_and(|word| one_of(word, &["bulk", "list", "junk"]))
    } else if is("X-Auto-Response-Suppress") {
        // What Exchange writes: DR are reports of delivery.
        words.any(|word| one_of(word, &["DR", "All"]))
    } else {
        name.get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"List-"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_and_lists_are_known_by_their_header() {
        for header in [
            "Auto-Submitted: auto-generated\r\n",
            "auto-submitted:auto-replied; owner=x\r\n",
            "Auto-Submitted:\r\n\tauto-notified\r\n",
            "Precedence: bulk\r\n",
            "PRECEDENCE: List\r\n",
            "List-Id: Friends <friends.a.example>\r\n",
            "List-Unsubscribe: <mailto:leave@a.example>\r\n",
            "X-Auto-Response-Suppress: OOF, DR\r\n",
            "X-Auto-Response-Suppress: All\r\n",
            "Precedence: junk\r\n",
        ] {
            let first = format!("{header}Subject: x\r\n\r\nbody\r\n");
            let last = format!("Subject: x\r\n y\r\n{header}\r\nbody\r\n");
            assert!(is_automatic(first.as_bytes()), "{first}");
            assert!(is_automatic(last.as_bytes()), "{last}");
        }
    }

    #[test]
    fn what_people_write_is_not_taken_for_it() {
        for content in [
            "",
            "\r\n",
            "Subject: x\r\n\r\nPrecedence: bulk\r\n",
            "Auto-Submitted: no\r\n\r\n",
            "Auto-Submitted: No (a person)\r\n\r\n",
            "Auto-Submitted:\r\n\r\n",
            "Precedence: first-class\r\n\r\n",
            "Subject: the\r\n Precedence: bulk\r\n\r\n",
            "X-Auto-Response-Suppress: OOF, AutoReply\r\n\r\n",
            "List: of things\r\n\r\n",
        ] {
            assert!(!is_automatic(content.as_bytes()), "{content}");
        }
    }
}
