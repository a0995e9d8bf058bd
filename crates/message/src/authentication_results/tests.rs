use proptest::prelude::*;

use super::*;

fn id() -> Domain {
    Domain::parse("mx.example.org").unwrap()
}

#[test]
fn what_checks_came_to_is_said_in_a_field() {
    let statements = [
        Statement::spf_of_sender("pass", "a.test")
            .because("ip4:192.0.2.0/24 of b.test, by include:b.test of a.test"),
        Statement::dkim("pass", "a.test", "s1", "rsa-sha256", "dGhpcyBp"),
        Statement::dkim("none", "", "", "", ""),
        Statement::dmarc("fail", "c.test", "reject").because("p=reject at _dmarc.c.test"),
        Statement::arc("none", None),
    ];
    let field = authentication_results_field(&id(), &statements);
    let expected = "Authentication-Results: mx.example.org;\r\n\
        \tspf=pass (ip4:192.0.2.0/24 of b.test, by include:b.test of a.test)\r\n\
        \tsmtp.mailfrom=a.test;\r\n\
        \tdkim=pass header.d=a.test header.s=s1 header.a=rsa-sha256 header.b=dGhpcyBp;\r\n\
        \tdkim=none;\r\n\
        \tdmarc=fail (p=reject at _dmarc.c.test) header.from=c.test policy.dmarc=reject;\r\n\
        \tarc=none\r\n";
    assert_eq!(field, expected);
    let none = authentication_results_field(&id(), &[]);
    assert_eq!(none, "Authentication-Results: mx.example.org; none\r\n");
}

#[test]
fn the_words_of_strangers_stay_where_they_are() {
    let long = "x".repeat(9000);
    let statements = [
        Statement::spf_of_helo("none", "a b\r\nX: \"\\y; spf=pass")
            .because("a) ; dkim=pass (\\\r\n\u{e9}"),
        Statement::spf_of_sender("permerror", &*long).because(&*long),
    ];
    let field = authentication_results_field(&id(), &statements);
    let start = "Authentication-Results: mx.example.org;\r\n\
        \tspf=none (a\\) ; dkim=pass \\(\\\\???) smtp.helo=\"a b??X: \\\"\\\\y; spf=pass\";\r\n\
        \tspf=permerror\r\n";
    assert!(field.starts_with(start), "{field}");
    assert!(field.len() < 900, "{field}");
}

#[test]
fn only_what_says_that_it_is_ours_goes() {
    for (value, is_ours) in [
        ("mx.example.org; spf=pass", true),
        ("mx.example.org", true),
        ("MX.Example.ORG; none", true),
        ("mx.example.org.; none", true),
        ("mx.example.org 1; none", true),
        ("mx.example.org(x)1 (y) ; none", true),
        ("(c (d \\) e)) mx.example.org; none", true),
        ("\r\n\tmx.example.org;\r\n\tspf=pass", true),
        ("\"mx.example.org\"; none", true),
        ("\"mx\\.example.\r\n org\"; none", false),
        ("\"mx\\.example.org\" 1; none", true),
        ("mx.example.org.evil.test; none", false),
        ("evil.test; none", false),
        (
            "evil.test (mx.example.org); spf=pass smtp.helo=mx.example.org",
            false,
        ),
        ("sub.mx.example.org; none", false),
        ("example.org; none", false),
        ("", false),
        // No reader knows how to read these; some will find our name.
        ("<mx.example.org>; spf=pass", true),
        ("(mx.example.org; spf=pass", true),
        ("\"mx.example.org; spf=pass", true),
        ("spf=pass; mx.example.org", true),
        ("mx.example.org/1; spf=pass", true),
        ("mx.\r\n example.org; spf=pass", true),
        ("spf=pass smtp.mailfrom=a.test", false),
    ] {
        let field = format!("authentication-RESULTS : {value}\r\n");
        let header = format!("A: b\r\n{field}ARC-Authentication-Results: i=1; mx.example.org\r\n");
        let kept = without_results_that_claim(&id(), header.as_bytes());
        let expected = if is_ours {
            header.replace(&field, "")
        } else {
            header.clone()
        };
        assert_eq!(String::from_utf8_lossy(&kept), expected, "{value}");
    }
    let own = Domain::parse("b\u{fc}cher.example").unwrap();
    for value in [
        "b\u{fc}cher.example",
        "B\u{dc}CHER.example",
        "xn--bcher-kva.example",
    ] {
        let header = format!("Authentication-Results: {value}; none\n");
        assert!(
            without_results_that_claim(&own, header.as_bytes()).is_empty(),
            "{value}"
        );
    }
}

proptest! {
    #[test]
    fn a_field_of_ours_is_a_field_and_is_found(
        texts in prop::collection::vec(("\\PC{0,300}|[()\"\\\\ \r\n]{0,9}", "\\PC{0,300}"), 0..5),
    ) {
        let statements: Vec<_> = texts
            .iter()
            .map(|(value, comment)| Statement::spf_of_helo("pass", &**value).because(&**comment))
            .collect();
        let field = authentication_results_field(&id(), &statements);
        prop_assert_eq!(RawField::all(field.as_bytes()).count(), 1);
        prop_assert!(field.ends_with("\r\n"));
        for line in field.split_terminator("\r\n") {
            prop_assert!(line.len() < 998 && !line.trim().is_empty(), "{}", line);
            prop_assert!(line.bytes().all(|b| matches!(b, b'\t' | b' '..=b'~')), "{}", line);
        }
        prop_assert!(without_results_that_claim(&id(), field.as_bytes()).is_empty());
        let other = Domain::parse("mx.example.net").unwrap();
        prop_assert_eq!(&*without_results_that_claim(&other, field.as_bytes()), field.as_bytes());
    }

    #[test]
    fn all_other_octets_stay(
        fields in prop::collection::vec(
            "(Authentication-Results:|A:)( |\"|\\(|\\)|\\\\|;|mx.example.org|\r\n |\t|1|x){0,8}\r\n",
            0..8,
        ),
    ) {
        let header = fields.concat();
        let claims = results_that_claim(&id(), header.as_bytes());
        let mut kept = header.clone();
        for claim in claims.iter().rev() {
            prop_assert!(header[claim.clone()].starts_with("Authentication-Results:"));
            prop_assert!(header[claim.clone()].contains("mx"));
            kept.replace_range(claim.clone(), "");
        }
        prop_assert_eq!(&*without_results_that_claim(&id(), header.as_bytes()), kept.as_bytes());
        prop_assert!(results_that_claim(&id(), kept.as_bytes()).is_empty());
    }
}
