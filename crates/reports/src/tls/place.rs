use dmarc::mail_address;

/// Places of one domain that reports go to.
const PLACES_MAX: usize = 5;

/// Where TLS reports about a domain go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsPlace {
    /// By mail, to this address.
    Mail(Box<str>),
    /// By POST, to this `https` URL.
    Web(Box<str>),
}

/// Where TLS reports about a domain go, by the texts at `_smtp._tls.DOMAIN` (RFC 8460 section 3):
/// nowhere unless exactly one of them is a record. What cannot be read of it is passed over.
pub fn tls_places(texts: &[Box<str>]) -> Vec<TlsPlace> {
    let mut records = texts.iter().filter_map(|text| fields(text));
    let (Some(fields), None) = (records.next(), records.next()) else {
        return Vec::new();
    };
    let mut named = fields.split(';').filter_map(|field| field.split_once('='));
    let uris = named.find(|(name, _)| name.trim() == "rua");
    let uris = uris.map_or("", |(_, uris)| uris);
    let mut places = Vec::new();
    for place in uris.split(',').filter_map(|uri| place(uri.trim())) {
        if places.len() < PLACES_MAX && !places.contains(&place) {
            places.push(place);
        }
    }
    places
}

/// What stands behind the version of a record.
fn fields(text: &str) -> Option<&str> {
    let (version, fields) = text.split_once(';')?;
    let (name, version) = version.split_once('=')?;
    (name.trim() == "v" && version.trim() == "TLSRPTv1").then_some(fields)
}

fn place(uri: &str) -> Option<TlsPlace> {
    if let Some((address, _)) = mail_address(uri) {
        return Some(TlsPlace::Mail(address));
    }
    let (scheme, _) = uri.split_once("://")?;
    let is_web = scheme.eq_ignore_ascii_case("https");
    is_web.then(|| TlsPlace::Web(format!("https{}", &uri[scheme.len()..]).into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> Vec<String> {
        let texts: Vec<Box<str>> = texts.iter().map(|text| (*text).into()).collect();
        let places = tls_places(&texts).into_iter();
        places
            .map(|place| match place {
                TlsPlace::Mail(address) => format!("mail {address}"),
                TlsPlace::Web(url) => format!("web {url}"),
            })
            .collect()
    }

    #[test]
    fn the_record_says_where_reports_go() {
        for (text, expected) in [
            ("v=TLSRPTv1;rua=mailto:r@a.test", &["mail r@a.test"][..]),
            (
                "v=TLSRPTv1; rua=mailto:r@a.test,https://a.test/v1?x=%2c",
                &["mail r@a.test", "web https://a.test/v1?x=%2c"],
            ),
            (
                "v = TLSRPTv1 ; x=1; rua = HTTPS://a.test/ , mailto:%72@A.test , mailto:r@a.test;",
                &["web https://a.test/", "mail r@a.test"],
            ),
            ("v=TLSRPTv1; rua=http://a.test/,ftp://a.test/,r@a.test", &[]),
            ("v=TLSRPTv1; rua=", &[]),
            ("v=TLSRPTv1; ruf=mailto:r@a.test", &[]),
            ("v=TLSRPTv1", &[]),
            ("v=TLSRPTv2; rua=mailto:r@a.test", &[]),
            ("v=tlsrptv1; rua=mailto:r@a.test", &[]),
            ("rua=mailto:r@a.test; v=TLSRPTv1", &[]),
            ("", &[]),
        ] {
            assert_eq!(told(&[text]), expected, "{text}");
        }
        let many: Vec<String> = (0..20).map(|n| format!("mailto:r{n}@a.test")).collect();
        let many = format!("v=TLSRPTv1; rua={}", many.join(","));
        assert_eq!(told(&[&many]).len(), PLACES_MAX);
    }

    #[test]
    fn of_two_records_none_counts() {
        let record = "v=TLSRPTv1; rua=mailto:r@a.test";
        assert_eq!(told(&["v=spf1 -all", record]), ["mail r@a.test"]);
        assert_eq!(told(&[record, "v=TLSRPTv1; rua=mailto:x@a.test"]).len(), 0);
        assert_eq!(told(&[]).len(), 0);
    }
}
