use std::fmt::Write;

use mail::{Domain, Mailbox, QueueId, Timestamp};

use crate::own_mail::{push_base64, with_addresses};
use crate::raw_field::RawField;
use crate::{HeaderScan, Notice};

/// Everything that goes into a message with a report about a domain.
#[derive(Debug, Clone, Copy)]
pub struct ReportMail<'a> {
    /// Its own name in the spool.
    pub id: QueueId,
    /// Our name.
    pub hostname: &'a Domain,
    /// As whom it is sent.
    pub from: &'a Mailbox,
    /// Who asked for it.
    pub to: &'a Mailbox,
    /// When it is written.
    pub now: Timestamp,
    /// The domain that the report is about.
    pub domain: &'a str,
    /// The name of the report: letters and digits.
    pub report_id: &'a str,
    /// The name of its file.
    pub file: &'a str,
    /// The report, in gzip.
    pub report: &'a [u8],
}

/// Writes a message with an aggregate DMARC report (RFC 9990 section 3.5.2). Names are those of domains
/// and of our own making, so that there is nothing to be escaped.
pub fn report_mail(mail: &ReportMail<'_>) -> Notice {
    let ReportMail {
        id,
        hostname,
        from,
        to,
        now,
        domain,
        report_id,
        file,
        report,
    } = mail;
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: <{from}>\r\n\
         To: <{to}>\r\n\
         Subject: Report Domain: {domain}\r\n \
         Submitter: {hostname}\r\n \
         Report-ID: <{report_id}>\r\n\
         Date: {date}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_{id}\"\r\n\
         \r\n\
         --=_{id}\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n\
         This is an aggregate DMARC report about mail that came in the name of\r\n\
         {domain}, by {hostname}.\r\n\
         \r\n\
         --=_{id}\r\n\
         Content-Type: application/gzip\r\n\
         Content-Disposition: attachment;\r\n filename=\"{file}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         \r\n",
        date = now.rfc5322(),
    );
    push_base64(report, &mut text);
    let _ = write!(text, "--=_{id}--\r\n");
    with_addresses(text, from, to)
}

/// Whether a message is a report about mail itself, as its header has it: an aggregate DMARC report by
/// its subject (RFC 9990 section 3.5.2, RFC 7489 section 7.2.1.1; some put a word in front of it), a
/// TLS report by a field of its own (RFC 8460 section 5.3).
///
/// `start` is the content as received, or enough of it to hold the header.
pub fn is_report(start: &[u8]) -> bool {
    let header = &start[..HeaderScan::header_len(start)];
    RawField::all(header).any(|field| {
        field.is("TLS-Report-Domain") || field.is("Subject") && names_a_report(field.value)
    })
}

fn names_a_report(subject: &[u8]) -> bool {
    let subject = String::from_utf8_lossy(subject).to_ascii_lowercase();
    let behind = subject.split_once("report domain:");
    behind.is_some_and(|(_, rest)| rest.contains("submitter:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_known_by_their_header() {
        for (header, expected) in [
            (
                "Subject: Report Domain: a.test\r\n Submitter: b.test\r\n Report-ID: <1>\r\n",
                true,
            ),
            (
                "SUBJECT: [Preview] Report domain: a.test Submitter: b.test\r\n",
                true,
            ),
            ("Subject: x\r\nTLS-Report-Domain: a.test\r\n", true),
            ("Subject: Report Domain: a.test\r\n", false),
            (
                "Subject: Submitter: b.test Report Domain: a.test\r\n",
                false,
            ),
            (
                "Comments: Report Domain: a.test Submitter: b.test\r\n",
                false,
            ),
            ("Subject: x\r\n\r\nTLS-Report-Domain: a.test\r\n", false),
            ("", false),
        ] {
            assert_eq!(
                is_report(format!("{header}\r\nx").as_bytes()),
                expected,
                "{header}"
            );
        }
    }

    #[test]
    fn lines_are_short_and_end_as_they_should() {
        let hostname = Domain::parse("relay.test").unwrap();
        let mailbox = |text| Mailbox::parse(text).unwrap();
        let long = format!("{0}.{0}.{0}.test", "a".repeat(60));
        let written = report_mail(&ReportMail {
            id: QueueId::new(Timestamp::default(), 7),
            hostname: &hostname,
            from: &mailbox("dmarc@relay.test"),
            to: &mailbox("rua@a.test"),
            now: Timestamp::default(),
            domain: &long,
            report_id: "r1",
            file: &format!("relay.test!{long}!1!2!r1.xml.gz"),
            report: &[0xff; 1000],
        });
        let text = String::from_utf8(written.content).unwrap();
        assert!(text.lines().all(|line| line.len() < 300), "{text}");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
        let subject = format!(
            "Subject: Report Domain: {long}\r\n Submitter: relay.test\r\n Report-ID: <r1>\r\n"
        );
        assert!(text.contains(&subject), "{text}");
        assert!(text.ends_with("--\r\n"), "{text}");
    }
}
