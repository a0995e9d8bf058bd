use super::*;

const OK: &str = "ICAP/1.0 200 OK\r\nISTag: x\r\n";
const UNCHANGED: &str = "ICAP/1.0 204 Unmodified\r\nISTag: x\r\n\r\n";
const CONTENT: &[u8] = b"0123456789";

fn subject() -> Subject {
    Subject {
        queue_id: "01abc".to_owned(),
        client: Some("192.0.2.7".parse().expect("an address")),
        server: "mx.example".to_owned(),
        size: CONTENT.len() as u64,
        ..Subject::default()
    }
}

fn service(method: Method, preview: Option<u64>) -> Service {
    Service {
        host: "icap.example:1344".to_owned(),
        path: "/avscan".to_owned(),
        method,
        preview,
    }
}

/// Gives the content until something else is wanted; what was put out.
fn send(icap: &mut Icap) -> String {
    let (mut out, mut rest) = (Vec::new(), CONTENT);
    while let Wants::Content(most) = icap.write(&mut out) {
        let (piece, more) = rest.split_at(rest.len().min(most).min(4));
        rest = more;
        match piece {
            [] => icap.end(&mut out),
            piece => icap.content(piece, &mut out),
        }
    }
    String::from_utf8(out).expect("text")
}

/// What an answer says once all that is wanted was sent, read whole and octet by octet.
fn answer(method: Method, preview: Option<u64>, answer: &str) -> Result<(Finding, bool), Fault> {
    let mut whole = Icap::new(&service(method, preview), &subject());
    send(&mut whole);
    let at_once = whole.read(answer.as_bytes());
    let mut bits = Icap::new(&service(method, preview), &subject());
    send(&mut bits);
    let mut last = Ok(None);
    for octet in answer.as_bytes() {
        last = bits.read(std::slice::from_ref(octet));
        if !matches!(last, Ok(None)) {
            break;
        }
    }
    assert_eq!(last, at_once, "{answer}");
    match at_once? {
        Some(Answer::Finding(finding)) => Ok((finding, whole.is_reusable())),
        Some(other) => panic!("{other:?}"),
        None => whole.closed().map(|_| unreachable!("it is not over")),
    }
}

/// An answer by 200 with these fields, and this head and content of HTTP.
fn modified(fields: &str, http: &str, content: &str) -> String {
    let kind = if http.starts_with("HTTP") {
        "res"
    } else {
        "req"
    };
    let length = http.len();
    format!(
        "{OK}{fields}Encapsulated: {kind}-hdr=0, {kind}-body={length}\r\n\r\n{http}{:x}\r\n{content}\r\n0\r\n\r\n",
        content.len()
    )
}

const SAME: &str = "HTTP/1.1 200 OK\r\nContent-Type: message/rfc822\r\nVia: x\r\n\r\n";
const PAGE: &str = "HTTP/1.0 403 Forbidden\r\nContent-Type: text/html\r\n\r\n";

#[test]
fn a_message_is_shown_as_an_answer_or_as_an_upload() {
    let mut icap = Icap::new(&service(Method::Response, None), &subject());
    let asked = "GET http://mx.example/01abc.eml HTTP/1.1\r\nHost: mx.example\r\n\r\n";
    let entity = "Content-Type: message/rfc822\r\nContent-Length: 10\r\n\r\n";
    let http = format!("{asked}HTTP/1.1 200 OK\r\n{entity}");
    let expected = format!(
        "RESPMOD icap://icap.example:1344/avscan ICAP/1.0\r\nHost: icap.example:1344\r\n\
         User-Agent: Gatepost\r\nAllow: 204\r\nX-Client-IP: 192.0.2.7\r\n\
         Encapsulated: req-hdr=0, res-hdr={}, res-body={}\r\n\r\n{http}\
         4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n",
        asked.len(),
        http.len()
    );
    assert_eq!(send(&mut icap), expected);

    let mut icap = Icap::new(&service(Method::Request, None), &subject());
    let sent = send(&mut icap);
    let http = format!("POST http://mx.example/01abc.eml HTTP/1.1\r\nHost: mx.example\r\n{entity}");
    assert!(sent.starts_with("REQMOD icap://"), "{sent}");
    let list = format!(
        "Encapsulated: req-hdr=0, req-body={}\r\n\r\n{http}4\r\n",
        http.len()
    );
    assert!(sent.contains(&list), "{sent}");
}

#[test]
fn of_a_preview_the_rest_follows_only_when_it_is_wanted() {
    let chunks = |sent: &str| {
        let at = sent
            .rfind("Content-Length: 10\r\n\r\n")
            .expect("the last head");
        sent[at + "Content-Length: 10\r\n\r\n".len()..].to_owned()
    };
    for (preview, first, rest) in [
        (
            0,
            "0\r\n\r\n",
            "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n",
        ),
        (
            5,
            "4\r\n0123\r\n1\r\n4\r\n0\r\n\r\n",
            "4\r\n0123\r\n4\r\n4567\r\n2\r\n89\r\n0\r\n\r\n",
        ),
    ] {
        let mut icap = Icap::new(&service(Method::Response, Some(preview)), &subject());
        let sent = send(&mut icap);
        assert!(sent.contains(&format!("Preview: {preview}\r\n")), "{sent}");
        assert_eq!(chunks(&sent), first);
        assert_eq!(icap.read(b"ICAP/1.0 100 Continue\r\n\r\n"), Ok(None));
        // The helper begins anew, the exchange does not care.
        assert_eq!(send(&mut icap), rest);
        assert!(matches!(
            icap.read(UNCHANGED.as_bytes()),
            Ok(Some(Answer::Finding(_)))
        ));
        assert!(icap.is_reusable());
    }
    for preview in [10, 4096, u64::MAX] {
        let mut icap = Icap::new(&service(Method::Response, Some(preview)), &subject());
        let sent = send(&mut icap);
        assert!(sent.ends_with("2\r\n89\r\n0; ieof\r\n\r\n"), "{sent}");
    }
}

#[test]
fn nothing_found_is_204_or_the_same_content() {
    for preview in [None, Some(0), Some(5), Some(100)] {
        let found = answer(Method::Response, preview, UNCHANGED);
        assert_eq!(found, Ok((Finding::of(Class::Clean), true)), "{preview:?}");
    }
    for preview in [None, Some(100)] {
        let same = modified("", SAME, "0123456789");
        let found = answer(Method::Response, preview, &same);
        assert_eq!(found, Ok((Finding::of(Class::Clean), true)), "{preview:?}");
        let passed_on = modified(
            "",
            "POST http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "0123456789",
        );
        let found = answer(Method::Request, preview, &passed_on);
        assert_eq!(found, Ok((Finding::of(Class::Clean), true)), "{preview:?}");
    }
}

#[test]
fn a_hit_is_told_by_fields_or_by_another_answer() {
    let rejected = |http: &str, content: &str| {
        answer(Method::Response, None, &modified("", http, content)).map(|(found, _)| found.class)
    };
    assert_eq!(rejected(PAGE, "<html>"), Ok(Class::Rejected));
    assert_eq!(rejected(SAME, "012345678X"), Ok(Class::Rejected));
    assert_eq!(rejected(SAME, "012345678"), Ok(Class::Rejected));
    let null = format!(
        "{OK}Encapsulated: res-hdr=0, null-body={}\r\n\r\n{SAME}",
        SAME.len()
    );
    let found = answer(Method::Response, None, &null).expect("a finding").0;
    assert_eq!(found.class, Class::Rejected, "the content is gone");
    let page = modified("", PAGE, "<html>");
    let found = answer(Method::Request, None, &page).expect("a finding").0;
    assert_eq!(found.class, Class::Rejected);
    assert_eq!(found.action.as_deref(), Some("HTTP 403 Forbidden"));

    for (fields, class, names) in [
        (
            "X-Infection-Found: Type=0; Resolution=2; Threat=Eicar-Test;\r\n",
            Class::Infected,
            vec!["Eicar-Test"],
        ),
        (
            "X-Infection-Found: Type=1; Threat=No macros;\r\n",
            Class::Rejected,
            vec!["No macros"],
        ),
        (
            "X-Infection-Found: Type=2; Threat=Too deep;\r\n",
            Class::Limit,
            vec!["Too deep"],
        ),
        (
            "X-Violations-Found: 2\r\n\ta b.zip\r\n\tOne\r\n\t0\r\n\t0\r\n\t-\r\n\tTwo x\r\n\t0\r\n\t0\r\n",
            Class::Infected,
            vec!["One", "Two x"],
        ),
        (
            "X-Violations-Found: 0\r\nX-Virus-ID: Some\r\n",
            Class::Infected,
            vec!["Some"],
        ),
    ] {
        for http in [PAGE, SAME] {
            let (found, is_reusable) = answer(
                Method::Response,
                None,
                &modified(fields, http, "0123456789"),
            )
            .expect(fields);
            assert_eq!(
                (found.class, &found.names),
                (
                    class,
                    &names.iter().map(|name| (*name).to_owned()).collect()
                )
            );
            assert!(!is_reusable, "a page follows");
        }
    }
    let none = "X-Violations-Found: 0\r\nX-Virus-ID: none\r\n";
    let found = answer(Method::Response, None, &modified(none, SAME, "0123456789"));
    assert_eq!(found.expect("a finding").0.class, Class::Clean);
}

#[test]
fn errors_and_hostile_answers_are_faults() {
    let said = |text: &str| match answer(Method::Response, None, text) {
        Err(fault) => fault.to_string(),
        Ok(found) => panic!("{found:?}"),
    };
    assert_eq!(
        said("ICAP/1.0 404 Not Found\r\n\r\n"),
        "failed: ICAP 404 Not Found"
    );
    assert_eq!(
        said("ICAP/1.0 100 Continue\r\n\r\n"),
        "failed: ICAP 100 Continue"
    );
    for list in [
        "",
        "Encapsulated: x\r\n",
        "Encapsulated: res-body=-1\r\n",
        "Encapsulated: opt-body=0\r\n",
    ] {
        assert!(
            said(&format!("{OK}{list}\r\n")).contains("is not a list"),
            "{list}"
        );
    }
    let far = format!("{OK}Encapsulated: res-hdr=0, res-body=99999999\r\n\r\n");
    assert!(said(&far).contains("sent more than"));
    let early = format!("{OK}Encapsulated: res-hdr=0, res-body=3\r\n\r\n{SAME}");
    assert!(said(&early).contains("is not the head"));
    let long = modified(
        "",
        SAME,
        &"x".repeat(CONTENT.len() + GROWTH_MAX as usize + 1),
    );
    assert!(said(&long).contains("sent more than"));
    let endless = format!("ICAP/1.0 200 OK\r\n{}", "X: y\r\n".repeat(20_000));
    assert!(said(&endless).contains("sent more than"));
    let short = modified("", SAME, "0123456789");
    assert_eq!(said(&short[..short.len() - 3]), Fault::Closed.to_string());
    // The service goes on before the rest of the content was sent.
    let mut icap = Icap::new(&service(Method::Response, Some(1)), &subject());
    send(&mut icap);
    assert!(
        icap.read(format!("ICAP/1.0 100 Go\r\n\r\n{UNCHANGED}").as_bytes())
            .is_err()
    );
}

#[test]
fn options_are_read() {
    let mut ask = AskOptions::new(&service(Method::Response, None));
    let mut out = Vec::new();
    assert_eq!(ask.write(&mut out), Wants::Answer);
    assert!(out.starts_with(b"OPTIONS icap://icap.example:1344/avscan ICAP/1.0\r\nHost: "));
    let said = "ICAP/1.0 200 OK\r\nMethods: RESPMOD, REQMOD\r\nService: a scanner\r\nISTag: \"T1\"\r\n\
                Max-Connections: 20\r\nOptions-TTL: 3600\r\nPreview: 1024\r\nAllow: 204\r\n\
                Encapsulated: null-body=0\r\n\r\n";
    let expected = IcapOptions {
        methods: vec![Method::Response, Method::Request],
        preview: Some(1024),
        allows_204: true,
        service: Some("a scanner".to_owned()),
        tag: Some("\"T1\"".to_owned()),
        ttl_seconds: Some(3600),
        connections_max: Some(20),
    };
    let mut last = Ok(None);
    for octet in said.as_bytes() {
        last = ask.read(std::slice::from_ref(octet));
    }
    assert_eq!(last, Ok(Some(Answer::Options(expected))));
    assert!(ask.is_reusable());
    for wrong in [
        "ICAP/1.0 404 No\r\n\r\n",
        "ICAP/1.0 200 OK\r\nMethods: FOO\r\n\r\n",
        "x\r\n\r\n",
    ] {
        let mut ask = AskOptions::new(&service(Method::Response, None));
        assert!(ask.read(wrong.as_bytes()).is_err(), "{wrong}");
    }
}
