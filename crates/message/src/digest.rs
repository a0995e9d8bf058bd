use std::fmt::Write;
use std::time::Duration;

use mail::{Domain, Mailbox, QueueId, Timestamp};

use crate::Notice;
use crate::own_mail::{push_base64, with_addresses};

/// Characters of a text of others that are shown.
const TEXT_MAX: usize = 200;
/// Before the page where one is released or deleted, in plain text.
const LINK: &str = "Release";

/// Everything that goes into a message that tells what is in quarantine.
#[derive(Debug, Clone, Copy)]
pub struct DigestFacts<'a> {
    /// Its own name in the spool.
    pub id: QueueId,
    /// Our name.
    pub hostname: &'a Domain,
    /// From whom it comes.
    pub from: &'a Mailbox,
    /// Who is to read it.
    pub to: &'a Mailbox,
    /// Whether that is the postmaster, who reads of all; others read of their own mail.
    pub is_of_all: bool,
    /// When it is written.
    pub now: Timestamp,
    /// From when on it tells.
    pub since: Timestamp,
    /// What is held.
    pub held: &'a [Held],
    /// How many more there are.
    pub more: u64,
}

/// One recipient for whom a message is held. Others wrote what is in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// The queue id of the message.
    pub id: QueueId,
    /// MAIL FROM, nothing for `<>`.
    pub sender: String,
    /// For whom it is.
    pub recipient: String,
    /// Its subject, decoded.
    pub subject: String,
    /// The rule that holds it, if one does.
    pub rule: Option<String>,
    /// What it goes by.
    pub reason: String,
    /// For how long it has been held.
    pub age: Duration,
    /// The page of ours on which it can be released and deleted, if there is one.
    pub link: Option<String>,
}

impl Held {
    /// The same with no more of each text than is shown.
    pub fn bounded(self) -> Self {
        let Self {
            sender,
            recipient,
            subject,
            rule,
            reason,
            ..
        } = self;
        Self {
            sender: shown(&sender),
            recipient: shown(&recipient),
            subject: shown(&subject),
            rule: rule.as_deref().map(shown),
            reason: shown(&reason),
            ..self
        }
    }
}

/// Writes a message that tells what is held, as text and as HTML (RFC 2046 section 5.1.4), to be sent
/// from `<>`. What others wrote is text without control characters, in which a reader finds no link but ours.
pub fn digest(facts: &DigestFacts<'_>) -> Notice {
    let DigestFacts {
        id,
        hostname,
        from,
        to,
        now,
        held,
        more,
        ..
    } = facts;
    let count = held.len() as u64 + more;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: Gatepost <{from}>\r\n\
         To: <{to}>\r\n\
         Subject: In quarantine: {count} {}\r\n\
         Date: {}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/alternative; boundary=\"=_{id}\"\r\n",
        messages(count),
        now.rfc5322(),
    );
    for (kind, part) in [("plain", plain(facts)), ("html", html(facts))] {
        let _ = write!(
            text,
            "\r\n--=_{id}\r\n\
             Content-Type: text/{kind}; charset=utf-8\r\n\
             Content-Transfer-Encoding: base64\r\n\r\n"
        );
        push_base64(part.as_bytes(), &mut text);
    }
    let _ = write!(text, "--=_{id}--\r\n");
    with_addresses(text, from, to)
}

fn messages(count: u64) -> &'static str {
    if count == 1 { "message" } else { "messages" }
}

fn head(facts: &DigestFacts<'_>) -> String {
    let (hostname, since) = (facts.hostname, facts.since.rfc5322());
    let whose = if facts.is_of_all {
        "Mail"
    } else {
        "Mail to you"
    };
    format!("{whose} that the mail gateway {hostname} has held since {since}:")
}

fn foot(facts: &DigestFacts<'_>) -> &'static str {
    if facts.is_of_all {
        "`gatepost quarantine show ID` shows a message, `gatepost quarantine release ID` lets it go on."
    } else {
        "If you expected one of them that you cannot release here, tell your postmaster its id."
    }
}

fn and_more(facts: &DigestFacts<'_>) -> Option<String> {
    (facts.more > 0).then(|| format!("and {} more", facts.more))
}

fn plain(facts: &DigestFacts<'_>) -> String {
    let mut text = format!("{}\r\n\r\n", head(facts));
    for one in facts.held {
        for (name, value) in cells(facts, one) {
            let _ = write!(text, "{name:<9}{value}\r\n");
        }
        if let Some(link) = &one.link {
            let _ = write!(text, "{LINK:<9}{link}\r\n");
        }
        text.push_str("\r\n");
    }
    if let Some(more) = and_more(facts) {
        let _ = write!(text, "{more}\r\n\r\n");
    }
    text + foot(facts) + "\r\n"
}

fn html(facts: &DigestFacts<'_>) -> String {
    let mut text = format!(
        "<!DOCTYPE html>\r\n<html><body>\r\n<p>{}</p>\r\n",
        in_html(&head(facts))
    );
    for one in facts.held {
        text.push_str("<table>\r\n");
        for (name, value) in cells(facts, one) {
            let value = in_html(&value);
            let _ = write!(text, "<tr><td>{name}</td><td>{value}</td></tr>\r\n");
        }
        if let Some(link) = one.link.as_deref().map(in_html) {
            let link = format!("<a href=\"{link}\">Release or delete it</a>");
            let _ = write!(text, "<tr><td></td><td>{link}</td></tr>\r\n");
        }
        text.push_str("</table>\r\n<hr>\r\n");
    }
    if let Some(more) = and_more(facts) {
        let _ = write!(text, "<p>{more}</p>\r\n");
    }
    let foot = in_html(foot(facts));
    let _ = write!(text, "<p>{foot}</p>\r\n</body></html>\r\n");
    text
}

/// What is told of one.
fn cells(facts: &DigestFacts<'_>, one: &Held) -> Vec<(&'static str, String)> {
    let held_by = match &one.rule {
        Some(rule) => format!("{}: {}", shown(rule), shown(&one.reason)),
        None => shown(&one.reason),
    };
    let mut cells = vec![
        ("From", format!("<{}>", shown(&one.sender))),
        ("To", shown(&one.recipient)),
        ("Subject", shown(&one.subject)),
        ("Held by", held_by),
        ("Age", age(one.age)),
        ("Id", one.id.to_string()),
    ];
    if !facts.is_of_all {
        cells.remove(1);
    }
    cells
}

/// In the largest unit that there is one of.
fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let unit = units.into_iter().find(|(span, _)| seconds >= *span);
    let (span, unit) = unit.unwrap_or((1, "s"));
    format!("{} {unit}", seconds / span)
}

/// A text of others on one line, not too long, without control characters; and without what mail
/// programs make links of, since a reader trusts what we write.
fn shown(text: &str) -> String {
    let end = text.char_indices().nth(TEXT_MAX).map(|(at, _)| at);
    let mut shown = mail::escaped(&text[..end.unwrap_or(text.len())]).to_string();
    shown = shown.replace("://", "[:]//");
    let mut from = 0;
    // Letters in ASCII alone become others, so places stay what they are.
    while let Some(at) = shown[from..].to_ascii_lowercase().find("www.") {
        let dot = from + at + "www".len();
        shown.replace_range(dot..=dot, "[.]");
        from = dot;
    }
    if end.is_some() {
        shown.push('…');
    }
    shown
}

fn in_html(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    fn held(evil: &str) -> Held {
        Held {
            id: QueueId::new(Timestamp::default(), 8),
            sender: evil.to_owned(),
            recipient: evil.to_owned(),
            subject: evil.to_owned(),
            rule: Some(evil.to_owned()),
            reason: evil.to_owned(),
            age: Duration::from_secs(7_300),
            link: None,
        }
    }

    /// Header, text and HTML.
    fn written(held: &[Held], more: u64, is_of_all: bool) -> [String; 3] {
        let hostname = Domain::parse("relay.test").unwrap();
        let mailbox = Mailbox::parse("postmaster@here.test").unwrap();
        let notice = digest(&DigestFacts {
            id: QueueId::new(Timestamp::default(), 7),
            hostname: &hostname,
            from: &mailbox,
            to: &mailbox,
            is_of_all,
            now: Timestamp::default(),
            since: Timestamp::default(),
            held,
            more,
        });
        let text = String::from_utf8(notice.content).unwrap();
        assert!(
            text.is_ascii() && text.lines().all(|line| line.len() <= 76),
            "{text}"
        );
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        let parts: Vec<&str> = text.split("base64\r\n\r\n").collect();
        let decoded = |part: &str| {
            let end = part.find("--").unwrap();
            let octets = STANDARD.decode(part[..end].replace("\r\n", "")).unwrap();
            String::from_utf8(octets).unwrap()
        };
        [parts[0].to_owned(), decoded(parts[1]), decoded(parts[2])]
    }

    #[test]
    fn what_others_wrote_is_neither_field_nor_line_nor_markup_nor_link() {
        let evil = "x\r\nBcc: a@b.test\r\n\u{1b}[0m<script>\"'&http://evil.test WWW.www.evil.test \u{202e}é";
        let [header, text, html] = written(&[held(evil)], 0, true);
        assert!(
            header.contains("\r\nSubject: In quarantine: 1 message\r\n"),
            "{header}"
        );
        for part in [&text, &html] {
            for bad in ["\nBcc", "\u{1b}", "http://", "\u{202e}", "WWW.", "www."] {
                assert!(!part.contains(bad), "{bad:?}: {part}");
            }
            assert!(part.contains('é') && part.contains("2 h"), "{part}");
        }
        assert!(text.contains("Subject  x\\x0d\\x0aBcc: a@b.test"), "{text}");
        assert!(
            !html.contains("<script") && html.contains("&lt;script&gt;&quot;&#39;&amp;"),
            "{html}"
        );
    }

    #[test]
    fn our_own_link_is_one_in_text_and_html() {
        let link = Some("https://held.test/a-_9".to_owned());
        let one = Held { link, ..held("x") };
        let [_, text, html] = written(&[one, held("y")], 0, false);
        assert_eq!(
            text.matches("Release  https://held.test/a-_9\r\n").count(),
            1
        );
        let anchor = "<a href=\"https://held.test/a-_9\">Release or delete it</a>";
        assert_eq!(html.matches(anchor).count(), 1, "{html}");
        assert_eq!(html.matches("https://").count(), 1, "{html}");
    }

    #[test]
    fn what_is_too_much_is_cut_and_counted() {
        let [header, text, html] = written(&[held(&"y".repeat(5_000)), held("z")], 40, false);
        assert!(
            header.contains("Subject: In quarantine: 42 messages\r\n"),
            "{header}"
        );
        for part in [&text, &html] {
            assert!(part.contains("and 40 more") && part.len() < 5_000, "{part}");
            assert!(part.contains('…') && !part.contains("To "), "{part}");
        }
        let bounded = held(&"é".repeat(5_000)).bounded();
        assert_eq!(bounded.subject.chars().count(), TEXT_MAX + 1);
    }
}
