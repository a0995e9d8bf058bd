use std::fmt::Write;

use mail::{BodyKind, Domain, MailParameters, Mailbox, QueueId, Timestamp};

use crate::Notice;

/// Octets of a line of text, without its end.
const LINE_OCTETS: usize = 72;

/// Everything that goes into a warning.
#[derive(Debug, Clone, Copy)]
pub struct WarningFacts<'a> {
    /// Its own name in the spool.
    pub id: QueueId,
    /// Our name.
    pub hostname: &'a Domain,
    /// The domain of the postmaster from whom it comes.
    pub sender_domain: &'a Domain,
    /// When it is written.
    pub now: Timestamp,
    /// The postmaster who is to read it.
    pub to: &'a Mailbox,
    /// What it is about. What is not printable ASCII is shown as escapes, here and in the text.
    pub subject: &'a str,
    /// Its paragraphs.
    pub text: &'a [String],
}

/// Writes a plain message to the postmaster (RFC 5322), to be sent from `<>`.
pub fn warning(facts: &WarningFacts<'_>) -> Notice {
    let WarningFacts {
        id,
        hostname,
        sender_domain,
        now,
        to,
        subject,
        text: paragraphs,
    } = facts;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: Gatepost <postmaster@{sender_domain}>\r\n\
         To: <{to}>\r\n\
         Subject: {}\r\n\
         Date: {}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n",
        // RFC 5322 section 2.1.1: a line MUST NOT have more than 998 characters.
        printable(subject).chars().take(200).collect::<String>(),
        now.rfc5322(),
    );
    for paragraph in *paragraphs {
        text.push_str("\r\n");
        push_folded(&mut text, &printable(paragraph));
    }
    let smtputf8 = to.needs_smtputf8();
    Notice {
        content: text.into_bytes(),
        parameters: MailParameters {
            // An address in UTF-8 in the header.
            body: if smtputf8 {
                BodyKind::EightBit
            } else {
                BodyKind::SevenBit
            },
            smtputf8,
            ..MailParameters::default()
        },
    }
}

/// No CR, LF or octet above 127 is left.
fn printable(text: &str) -> String {
    text.escape_default()
        .to_string()
        .replace("\\'", "'")
        .replace("\\\"", "\"")
}

/// Words in lines; one that is longer than a line is broken.
fn push_folded(to: &mut String, paragraph: &str) {
    let mut used = 0;
    let words = paragraph.split(' ').flat_map(pieces);
    for word in words {
        if used > 0 && used + 1 + word.len() > LINE_OCTETS {
            to.push_str("\r\n");
            used = 0;
        } else if used > 0 {
            to.push(' ');
            used += 1;
        }
        to.push_str(word);
        used += word.len();
    }
    to.push_str("\r\n");
}

/// Pieces that fit on a line, of a word of ASCII.
fn pieces(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at_checked(LINE_OCTETS).unwrap_or((rest, ""));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(subject: &str, text: &str) -> String {
        let hostname = Domain::parse("relay.test").unwrap();
        let notice = warning(&WarningFacts {
            id: QueueId::new(Timestamp::default(), 7),
            hostname: &hostname,
            sender_domain: &hostname,
            now: Timestamp::default(),
            to: &Mailbox::parse("postmaster@here.test").unwrap(),
            subject,
            text: &[text.to_owned()],
        });
        String::from_utf8(notice.content).unwrap()
    }

    #[test]
    fn what_others_wrote_is_no_field_and_no_line_of_its_own() {
        let evil = "user x\r\nBcc: all@there.test\r\n\r\n.\r\n\u{1b}[0mé";
        let text = written(evil, evil);
        assert!(text.is_ascii());
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert!(!text.replace("\r\n", "").contains(['\r', '\n', '\u{1b}']));
        assert!(
            !lines
                .iter()
                .any(|line| line.starts_with("Bcc") || *line == ".")
        );
        let subject =
            "Subject: user x\\r\\nBcc: all@there.test\\r\\n\\r\\n.\\r\\n\\u{1b}[0m\\u{e9}";
        assert!(lines.contains(&subject), "{text}");
    }

    #[test]
    fn lines_are_short() {
        let long = format!("short {} {}", "words ".repeat(30), "x".repeat(500));
        let text = written(&long, &long);
        for line in text.split("\r\n").skip_while(|line| !line.is_empty()) {
            assert!(line.len() <= LINE_OCTETS, "{line}");
        }
        assert!(text.lines().all(|line| line.len() < 300), "{text}");
        assert!(text.ends_with("\r\n"));
    }
}
