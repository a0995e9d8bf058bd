use mail::Domain;

use crate::listed_mailboxes;
use crate::raw_field::RawField;

/// The domains of all addresses in all `From` fields of a header, in their order, as DMARC asks for
/// them (RFC 9989 section 5.3.1).
///
/// What stands before the `@` need follow no grammar: a reader is shown the domain all the same. Blanks
/// within a domain are old syntax (RFC 5322 section 4.4) and no part of it.
pub fn author_domains(header: &[u8]) -> Vec<Domain> {
    RawField::all(header)
        .filter(|field| field.is("From"))
        .flat_map(|field| listed_mailboxes(field.value))
        .filter_map(|listed| {
            let (_, host) = listed.address.rsplit_once('@')?;
            let host: String = host.split_whitespace().collect();
            Domain::parse(host.strip_suffix('.').unwrap_or(&host)).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn domains_are_found_however_addresses_are_written() {
        for (header, expected) in [
            (
                "From: Ann <ann@A.test>\r\nTo: x@x.test\r\n",
                &["a.test"][..],
            ),
            (
                "FROM : ann@a.test, b@b.test\r\nfrom: c@c.test\r\n",
                &["a.test", "b.test", "c.test"],
            ),
            ("From: \"ann@b.test\" <ann@a.test>\r\n", &["a.test"]),
            ("From: ann@a.test (x@b.test)\r\n", &["a.test"]),
            ("From: <c e o@a.test>\r\n", &["a.test"]),
            ("From: <ann@x@a.test.>\r\n", &["a.test"]),
            ("From: Ann\r\n <ann@a.\r\n test >\r\n", &["a.test"]),
            ("From: ann@[192.0.2.1], root, <>\r\n", &[]),
            ("From: ann@b\u{fc}cher.test\r\n", &["xn--bcher-kva.test"]),
            ("Resent-From: ann@a.test\r\nX: From: a@a.test\r\n", &[]),
        ] {
            let found = author_domains(header.as_bytes());
            let found: Vec<&str> = found.iter().map(Domain::as_str).collect();
            assert_eq!(found, expected, "{header}");
        }
    }
}
