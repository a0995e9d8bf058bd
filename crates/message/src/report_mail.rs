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
    /// What it is about.
    pub kind: ReportKind,
    /// The domain that the report is about.
    pub domain: &'a str,
    /// The domain that sends it.
    pub submitter: &'a str,
    /// The name of the report: letters and digits.
    pub report_id: &'a str,
    /// The name of its file.
    pub file: &'a str,
    /// The report, in gzip.
    pub report: &'a [u8],
}

/// What a report is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReportKind {
    /// What came of DMARC (RFC 9990).
    Dmarc,
    /// What came of TLS (RFC 8460).
    Tls,
}

/// Writes a message with a report (RFC 9990 section 3.5.2, RFC 8460 section 5.3). Names are those of domains
/// and of our own making, so that there is nothing to be escaped.
pub fn report_mail(mail: &ReportMail<'_>) -> Notice {
    let ReportMail {
        id,
        hostname,
        from,
        to,
        now,
        kind,
        domain,
        submitter,
        report_id,
        file,
        report,
    } = mail;
    let (fields, media_type, part, about) = match kind {
        ReportKind::Dmarc => (
            String::new(),
            "multipart/mixed",
            "application/gzip",
            "an aggregate DMARC report about mail that came in the name of",
        ),
        ReportKind::Tls => (
            format!("TLS-Report-Domain: {domain}\r\nTLS-Report-Submitter: {submitter}\r\n"),
            "multipart/report; report-type=\"tlsrpt\"",
            "application/tlsrpt+gzip",
            "an aggregate TLS report about connections to the mail servers of",
        ),
    };
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "From: <{from}>\r\n\
         To: <{to}>\r\n\
         Subject: Report Domain: {domain}\r\n \
         Submitter: {submitter}\r\n \
         Report-ID: <{id_right}>\r\n\
         {fields}\
         Date: {date}\r\n\
         Message-ID: <{id}@{hostname}>\r\n\
         Auto-Submitted: auto-generated\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: {media_type};\r\n boundary=\"=_{id}\"\r\n\
         \r\n\
         --=_{id}\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n\
         This is {about}\r\n\
         {domain}, by {hostname}.\r\n\
         \r\n\
         --=_{id}\r\n\
         Content-Type: {part}\r\n\
         Content-Disposition: attachment;\r\n filename=\"{file}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\
         \r\n",
        date = now.rfc5322(),
        // RFC 8460 has a Message-ID there, RFC 9990 a name of the report.
        id_right = match kind {
            ReportKind::Dmarc => (*report_id).to_owned(),
            ReportKind::Tls => format!("{report_id}@{hostname}"),
        },
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

    fn written(kind: ReportKind, domain: &str) -> String {
        let hostname = Domain::parse("relay.test").unwrap();
        let mailbox = |text| Mailbox::parse(text).unwrap();
        let written = report_mail(&ReportMail {
            id: QueueId::new(Timestamp::default(), 7),
            hostname: &hostname,
            from: &mailbox("reports@own.test"),
            to: &mailbox("rua@a.test"),
            now: Timestamp::default(),
            kind,
            domain,
            submitter: "own.test",
            report_id: "r1",
            file: &format!("own.test!{domain}!1!2!r1.xml.gz"),
            report: &[0xff; 1000],
        });
        String::from_utf8(written.content).unwrap()
    }

    #[test]
    fn lines_are_short_and_end_as_they_should() {
        let long = format!("{0}.{0}.{0}.test", "a".repeat(60));
        for kind in [ReportKind::Dmarc, ReportKind::Tls] {
            let text = written(kind, &long);
            assert!(text.lines().all(|line| line.len() < 300), "{text}");
            assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "{text}");
            assert!(text.ends_with("--\r\n"), "{text}");
            assert!(is_report(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn each_kind_has_its_form() {
        let subject = "Subject: Report Domain: a.test\r\n Submitter: own.test\r\n Report-ID: ";
        for (kind, expected) in [
            (
                ReportKind::Dmarc,
                [
                    "<r1>\r\nDate: ",
                    "Content-Type: multipart/mixed;\r\n boundary=",
                    "Content-Type: application/gzip\r\n",
                ],
            ),
            (
                ReportKind::Tls,
                [
                    "<r1@relay.test>\r\nTLS-Report-Domain: a.test\r\nTLS-Report-Submitter: own.test\r\nDate: ",
                    "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n boundary=",
                    "Content-Type: application/tlsrpt+gzip\r\n",
                ],
            ),
        ] {
            let text = written(kind, "a.test");
            let [id, whole, part] = expected;
            for expected in [&format!("{subject}{id}"), whole, part] {
                assert!(text.contains(expected), "{expected}: {text}");
            }
        }
    }
}
