//! Reports as files: plain, packed, several in one archive, and in messages.

use std::io::{Cursor, Write as _};

use contents::Why;
use flate2::Compression;
use flate2::write::GzEncoder;
use reports::{Flaw, Found, Report, Unread, read};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const XML: &str = "<feedback><report_metadata><org_name>o</org_name></report_metadata>\
                   <record><row><source_ip>192.0.2.1</source_ip><count>1</count></row></record></feedback>";
const JSON: &str = "{\"organization-name\": \"o\", \"policies\": [{}]}";

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut writer = GzEncoder::new(Vec::new(), Compression::default());
    writer.write_all(octets).unwrap();
    writer.finish().unwrap()
}

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, octets) in files {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(octets).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A message with a text and something attached.
fn message(content_type: &str, octets: &[u8]) -> Vec<u8> {
    let hex: Vec<String> = octets
        .iter()
        .map(|octet| format!("={octet:02X}=\r\n"))
        .collect();
    format!(
        "From: dmarc@o.test\r\nSubject: Report Domain: d.test\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n{{a report}}\r\n--b\r\n\
         Content-Type: {content_type}\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{}\r\n--b--\r\n",
        hex.concat()
    )
    .into_bytes()
}

/// The kinds of the reports in a file, and what could not be read.
fn found(octets: &[u8]) -> (String, Vec<(String, Flaw)>) {
    let Found { reports, unread } = read(octets, "file.xml.gz");
    let kind = |report: &Report| match report {
        Report::Dmarc(report) => {
            assert_eq!(
                (&*report.reporter.organization, report.records.len()),
                ("o", 1)
            );
            'D'
        }
        Report::Tls(report) => {
            assert_eq!(report.reporter.organization, "o");
            'T'
        }
    };
    let unread = unread.into_iter().map(|Unread { place, why }| (place, why));
    (reports.iter().map(kind).collect(), unread.collect())
}

#[test]
fn reports_are_found_however_they_are_packed() {
    let (xml, json) = (XML.as_bytes(), JSON.as_bytes());
    let both = zip(&[("a.xml", xml), ("b/c.json", json), ("readme", b"hello")]);
    let mut with_tail = gzip(xml);
    with_tail.extend_from_slice(b"\r\n");
    let mut forwarded = b"Content-Type: message/rfc822\r\n\r\n".to_vec();
    forwarded.extend(message("application/gzip", &gzip(xml)));
    for (octets, kinds) in [
        (xml.to_vec(), "D"),
        (json.to_vec(), "T"),
        ([b"\xef\xbb\xbf \r\n", xml].concat(), "D"),
        (gzip(xml), "D"),
        (gzip(json), "T"),
        (with_tail, "D"),
        (both.clone(), "DT"),
        (zip(&[("a.xml.gz", &gzip(xml)), ("b.zip", &both)]), "DDT"),
        (message("application/gzip; name=a.xml.gz", &gzip(xml)), "D"),
        (message("application/tlsrpt+gzip", &gzip(json)), "T"),
        (message("application/tlsrpt+json", json), "T"),
        (message("application/octet-stream", &both), "DT"),
        (message("text/xml", xml), "D"),
        (message("text/plain; name=a.xml", xml), "D"),
        (message("message/rfc822", &message("text/xml", xml)), "D"),
        (zip(&[("a.eml", &message("text/xml", xml))]), "D"),
        (forwarded, "D"),
        (
            [b"From x Sat Jan 31\n".as_slice(), &message("text/xml", xml)].concat(),
            "D",
        ),
    ] {
        assert_eq!(found(&octets), (kinds.to_owned(), Vec::new()));
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let one = |octets: &[u8]| {
        let (reports, unread) = found(octets);
        assert_eq!((reports.as_str(), unread.len()), ("", 1), "{unread:?}");
        unread.into_iter().next().unwrap()
    };
    let none = (String::new(), Flaw::NoReport);
    assert_eq!(one(b""), none);
    assert_eq!(one(b"hello"), none);
    assert_eq!(one(&message("text/calendar", b"BEGIN:VCALENDAR")), none);
    assert_eq!(one(&zip(&[("a", b"hello")])), none);
    assert_eq!(one(b"<a/>"), (String::new(), Flaw::Root("a".to_owned())));
    assert_eq!(
        one(&message("text/xml; name=\"a.xml\"", b"<a/>")),
        ("a.xml".to_owned(), Flaw::Root("a".to_owned()))
    );
    let packed = gzip(XML.as_bytes());
    let (place, why) = one(&packed[..packed.len() - 30]);
    assert_eq!(place, "file.xml");
    assert!(matches!(why, Flaw::Packed(Why::Broken(_))), "{why}");
    assert!(matches!(one(b"PK\x03\x04 what").1, Flaw::Packed(_)));
}

#[test]
fn what_is_packed_deep_or_grows_too_large_is_left() {
    let mut nested = XML.as_bytes().to_vec();
    for _ in 0..4 {
        nested = gzip(&nested);
    }
    assert_eq!(found(&nested).0, "D");
    assert_eq!(found(&gzip(&nested)).1[0].1, Flaw::TooDeep);

    let large = vec![b' '; 65 << 20];
    assert_eq!(found(&large).1, [(String::new(), Flaw::TooLarge)]);
    let (reports, unread) = found(&gzip(&large));
    assert_eq!(reports, "");
    assert!(
        unread
            .iter()
            .any(|(_, why)| *why == Flaw::Packed(Why::TooLarge)),
        "{unread:?}"
    );
    // The room is that of the whole file, whatever it is packed in.
    let half = vec![b' '; 40 << 20];
    let two = zip(&[
        ("a.gz", &gzip(&half)),
        ("b.gz", &gzip(&half)),
        ("c.xml", XML.as_bytes()),
    ]);
    let (_, unread) = found(&two);
    assert!(
        unread
            .iter()
            .any(|(_, why)| *why == Flaw::Packed(Why::TooLarge)),
        "{unread:?}"
    );
    assert!(unread.len() < 4, "{unread:?}");
}
