//! What a connection must give: the checklists of DANE (RFC 7672) and MTA-STS (RFC 8461), and the
//! configuration's own word, as tables.

mod zone;

use mail::{Domain, Host, Place};
use route::{
    DemandedBy, DomainPattern, Hop, HostSpec, Question, Routes, RoutesBuilder, Security,
    SiteOptions, TlsDemand, Via,
};
use zone::{Zone, walk, walk_to};

/// A hop as `a.test:verified(a.test)`.
fn described(hop: &Hop) -> String {
    let security = match &hop.security {
        Security::None => "none".to_owned(),
        Security::Opportunistic => "may".to_owned(),
        Security::Required => "must".to_owned(),
        Security::Verified { names } => format!("verified({})", names.join(",")),
        Security::Dane { base, records } => format!("dane({base},{})", records.len()),
    };
    let by = match hop.demanded_by {
        DemandedBy::Configuration => "",
        DemandedBy::Dane => "/dane",
        DemandedBy::MtaSts => "/sts",
        DemandedBy::MtaStsTesting { listed: true } => "/testing",
        DemandedBy::MtaStsTesting { listed: false } => "/testing-unlisted",
    };
    let implicit = if hop.implicit_tls { "/implicit" } else { "" };
    format!("{}:{security}{by}{implicit}", hop.name)
}

fn way(routes: &Routes, host: &str, of_domain: Option<TlsDemand>, zone: &[&str]) -> String {
    let (plan, _) = walk(routes, host, of_domain, &Zone::new(zone), 1);
    zone::shown(&plan, described)
}

fn careful() -> Routes {
    Routes::builder().dane(true).mta_sts(true).build().unwrap()
}

const SIGNED: [&str; 2] = ["+x.test MX 10 a.test", "+a.test A 192.0.2.1"];

/// What DNS says beside [`SIGNED`], and the way that follows.
fn signed_case(more: &[&str], expected: &str) {
    let zone: Vec<&str> = SIGNED.iter().chain(more).copied().collect();
    assert_eq!(way(&careful(), "x.test", None, &zone), expected, "{zone:?}");
}

#[test]
fn records_of_a_signed_way_are_held_to() {
    signed_case(&["+a.test TLSA 3 1 1"], "a.test:dane(a.test,1)/dane");
    signed_case(&["+a.test TLSA 2 0 2"], "a.test:dane(a.test,1)/dane");
    // of several, those that work for SMTP
    signed_case(
        &[
            "+a.test TLSA 3 1 1",
            "+a.test TLSA 0 0 1",
            "+a.test TLSA 2 1 1",
        ],
        "a.test:dane(a.test,2)/dane",
    );
    // none of them works: encrypted, and not verified
    signed_case(
        &["+a.test TLSA 1 0 1", "+a.test TLSA 3 9 1"],
        "a.test:must/dane",
    );
    // the host is an alias: the name at its end is the base
    signed_case(&["+a.test TLSA 3 1 1 b.test"], "a.test:dane(b.test,1)/dane");
    // a validated or an insecure denial is none
    signed_case(&[], "a.test:may");
    // SERVFAIL, time-out, bogus: not this host, and not without TLS either
    signed_case(&["a.test TLSAFAIL"], "deferred 451 4.4.3");
}

#[test]
fn a_host_whose_records_cannot_be_told_is_left_out_alone() {
    let zone = [
        "+x.test MX 10 a.test",
        "+x.test MX 20 b.test",
        "+x.test MX 30 c.test",
        "+a.test A 192.0.2.1",
        "+b.test A 192.0.2.2",
        "c.test A 192.0.2.3",
        "a.test TLSAFAIL",
        "+b.test TLSA 3 1 1",
        "+c.test TLSA 3 1 1",
    ];
    // c is reached over an unsigned address: its records are not asked for
    assert_eq!(
        way(&careful(), "x.test", None, &zone),
        "b.test:dane(b.test,1)/dane c.test:may"
    );
}

#[test]
fn records_count_only_where_everything_before_is_signed() {
    for (zone, expected) in [
        // the MX records are not
        (
            vec![
                "x.test MX 10 a.test",
                "+a.test A 192.0.2.1",
                "+a.test TLSA 3 1 1",
            ],
            "a.test:may",
        ),
        // the addresses are not
        (
            vec![
                "+x.test MX 10 a.test",
                "a.test A 192.0.2.1",
                "a.test TLSAFAIL",
            ],
            "a.test:may",
        ),
        // no MX records, which is validated, or not
        (
            vec!["+x.test NOMX", "+x.test A 192.0.2.1", "+x.test TLSA 3 1 1"],
            "x.test:dane(x.test,1)/dane",
        ),
        (
            vec!["x.test NOMX", "+x.test A 192.0.2.1", "+x.test TLSA 3 1 1"],
            "x.test:may",
        ),
    ] {
        assert_eq!(way(&careful(), "x.test", None, &zone), expected, "{zone:?}");
    }
}

#[test]
fn a_policy_is_held_to() {
    // enforced: listed hosts, with a certificate for their own name
    signed_case(
        &["x.test STS enforce a.test"],
        "a.test:verified(a.test)/sts",
    );
    signed_case(
        &["x.test STS enforce *.test"],
        "a.test:verified(a.test)/sts",
    );
    // no host is listed: the mail waits
    signed_case(&["x.test STS enforce b.test"], "deferred 451 4.7.5");
    // tried out: everything goes on, and it is told
    signed_case(&["x.test STS testing a.test"], "a.test:may/testing");
    signed_case(
        &["x.test STS testing b.test"],
        "a.test:may/testing-unlisted",
    );
    // withdrawn, absent, out of reach
    signed_case(&["x.test STS none b.test"], "a.test:may");
    signed_case(&["x.test STSFAIL"], "a.test:may");
}

#[test]
fn records_stand_above_a_policy() {
    signed_case(
        &["x.test STS enforce b.test", "+a.test TLSA 3 1 1"],
        "a.test:dane(a.test,1)/dane",
    );
    signed_case(
        &["x.test STS enforce a.test", "a.test TLSAFAIL"],
        "deferred 451 4.4.3",
    );
    // records of no use verify nothing: the policy does
    signed_case(
        &["x.test STS enforce a.test", "+a.test TLSA 1 1 1"],
        "a.test:verified(a.test)/sts",
    );
}

#[test]
fn a_host_outside_the_policy_is_left_out_alone() {
    let zone = [
        "x.test MX 10 a.test",
        "x.test MX 20 b.test",
        "a.test A 192.0.2.1",
        "b.test A 192.0.2.2",
        "x.test STS enforce b.test",
    ];
    assert_eq!(
        way(&careful(), "x.test", None, &zone),
        "b.test:verified(b.test)/sts"
    );
}

#[test]
fn the_configuration_has_its_own_word() {
    use TlsDemand::{Off, Opportunistic, Require, Verify};
    let zone = ["x.test MX 10 a.test", "a.test A 192.0.2.1"];
    for (outbound, domain, expected) in [
        (Off, None, "a.test:none"),
        (Opportunistic, None, "a.test:may"),
        (Require, None, "a.test:must"),
        (Verify, None, "a.test:verified(a.test)"),
        // a domain's word stands above `outbound.tls`
        (Require, Some(Off), "a.test:none"),
        (Off, Some(Verify), "a.test:verified(a.test)"),
        (Opportunistic, Some(Require), "a.test:must"),
    ] {
        let routes = Routes::builder().tls(outbound).build().unwrap();
        assert_eq!(
            way(&routes, "x.test", domain, &zone),
            expected,
            "{outbound:?} {domain:?}"
        );
    }
    // a certificate can be for an address
    let routes = Routes::builder().tls(Verify).build().unwrap();
    assert_eq!(
        way(&routes, "[192.0.2.1]", None, &[]),
        "[192.0.2.1]:verified(192.0.2.1)"
    );
    let routes = Routes::builder().tls(Require).build().unwrap();
    assert_eq!(way(&routes, "[192.0.2.1]", None, &[]), "[192.0.2.1]:must");
}

#[test]
fn records_and_policies_stand_above_all_but_off() {
    use TlsDemand::{Off, Require, Verify};
    let zone = [&SIGNED[..], &["+a.test TLSA 3 1 1"]].concat();
    let policy = [&SIGNED[..], &["x.test STS enforce a.test"]].concat();
    let tried_out = [&SIGNED[..], &["x.test STS testing b.test"]].concat();
    let unusable = [&SIGNED[..], &["+a.test TLSA 1 1 1"]].concat();
    for (demand, zone, expected) in [
        (Off, &zone, "a.test:none"),
        (Off, &policy, "a.test:none"),
        (Verify, &zone, "a.test:dane(a.test,1)/dane"),
        (Require, &policy, "a.test:verified(a.test)/sts"),
        (
            Verify,
            &tried_out,
            "a.test:verified(a.test)/testing-unlisted",
        ),
        (Verify, &unusable, "a.test:verified(a.test)"),
    ] {
        let mut routes = Routes::builder();
        let routes = routes.dane(true).mta_sts(true).tls(demand).build().unwrap();
        assert_eq!(
            way(&routes, "x.test", None, zone),
            expected,
            "{demand:?} {zone:?}"
        );
    }
}

fn smart(hosts: &[(&str, bool, Option<u16>)], tls: Option<TlsDemand>) -> Routes {
    smart_with(hosts, tls, SiteOptions::default())
}

fn smart_with(
    hosts: &[(&str, bool, Option<u16>)],
    tls: Option<TlsDemand>,
    options: SiteOptions,
) -> Routes {
    let specs = hosts.iter().map(|(text, exact, port)| HostSpec {
        port: *port,
        ..HostSpec::new(Host::parse(text).unwrap(), *exact)
    });
    let options = SiteOptions { tls, ..options };
    let mut routes: RoutesBuilder = Routes::builder();
    routes.dane(true).mta_sts(true);
    routes.add_route("isp", specs.collect(), options, Place::Default);
    routes.add_domain(DomainPattern::Any, Via::Named("isp".into()), Place::Default);
    routes.build().unwrap()
}

#[test]
fn smart_hosts_follow_the_configuration_alone() {
    use TlsDemand::{Off, Opportunistic, Require, Verify};
    let direct = [
        "+s.test A 192.0.2.1",
        "+s.test TLSA 3 1 1",
        "x.test STS enforce b.test",
    ];
    for (demand, expected) in [
        (None, "s.test:may"),
        (Some(Off), "s.test:none"),
        (Some(Opportunistic), "s.test:may"),
        (Some(Require), "s.test:must"),
        (Some(Verify), "s.test:verified(s.test)"),
    ] {
        for exact in [true, false] {
            let routes = smart(&[("s.test", exact, None)], demand);
            assert_eq!(way(&routes, "x.test", None, &direct), expected);
        }
    }
    // a domain makes its route stricter, never laxer
    let routes = smart(&[("s.test", true, None)], Some(Require));
    assert_eq!(way(&routes, "x.test", Some(Off), &direct), "s.test:must");
    assert_eq!(
        way(&routes, "x.test", Some(Verify), &direct),
        "s.test:verified(s.test)"
    );
}

#[test]
fn an_mx_record_cannot_choose_the_name_that_is_verified() {
    let routes = smart(&[("s.test", false, None)], Some(TlsDemand::Verify));
    let a = "a.test A 192.0.2.1";
    assert_eq!(
        way(&routes, "x.test", None, &["s.test MX 1 a.test", a]),
        "a.test:verified(s.test,*.s.test)"
    );
    assert_eq!(
        way(&routes, "x.test", None, &["+s.test MX 1 a.test", a]),
        "a.test:verified(s.test,*.s.test,a.test)"
    );
}

#[test]
fn a_smart_host_by_address_is_verified_by_it_or_by_the_name_of_its_route() {
    let hosts = [
        ("[192.0.2.7]", true, None),
        ("[IPv6:2001:db8::7]", true, None),
    ];
    let routes = smart(&hosts, Some(TlsDemand::Verify));
    assert_eq!(
        way(&routes, "x.test", None, &[]),
        "[192.0.2.7]:verified(192.0.2.7) [IPv6:2001:db8::7]:verified(2001:db8::7)"
    );
    let hosts = [("[192.0.2.7]", true, None), ("s.test", true, None)];
    let options = SiteOptions {
        tls_name: Some(Domain::parse("mail.test").unwrap()),
        ..SiteOptions::default()
    };
    let zone = ["s.test A 192.0.2.1"];
    let routes = smart_with(&hosts, Some(TlsDemand::Verify), options.clone());
    assert_eq!(
        way(&routes, "x.test", None, &zone),
        "[192.0.2.7]:verified(mail.test) s.test:verified(mail.test)"
    );
    // What is said of one host alone goes before.
    let own = HostSpec {
        tls_name: Some(Domain::parse("own.test").unwrap()),
        ..HostSpec::new(Host::parse("s.test").unwrap(), true)
    };
    let other = HostSpec::new(Host::parse("[192.0.2.7]").unwrap(), true);
    let of_route = SiteOptions {
        tls: Some(TlsDemand::Verify),
        ..options.clone()
    };
    let mut builder = Routes::builder();
    builder.add_route("isp", vec![other, own], of_route, Place::Default);
    builder.outbound(Via::Named("isp".into()), Place::Default);
    assert_eq!(
        way(&builder.build().unwrap(), "x.test", None, &zone),
        "[192.0.2.7]:verified(mail.test) s.test:verified(own.test)"
    );
    // It demands nothing by itself.
    let routes = smart_with(&hosts, None, options);
    let unverified = "[192.0.2.7]:may s.test:may";
    assert_eq!(way(&routes, "x.test", None, &zone), unverified);
}

#[test]
fn port_465_is_encrypted_from_the_start() {
    use TlsDemand::{Off, Opportunistic, Verify};
    let zone = ["s.test A 192.0.2.1"];
    for (demand, expected) in [
        (Off, "s.test:none"),
        (Opportunistic, "s.test:must/implicit"),
        (Verify, "s.test:verified(s.test)/implicit"),
    ] {
        let routes = smart(&[("s.test", true, Some(465))], Some(demand));
        assert_eq!(way(&routes, "x.test", None, &zone), expected);
    }
    let routes = smart(&[("[192.0.2.7]", true, Some(465))], None);
    assert_eq!(
        way(&routes, "x.test", None, &[]),
        "[192.0.2.7]:must/implicit"
    );
}

#[test]
fn the_strictest_of_a_messages_domains_counts() {
    use TlsDemand::{Off, Opportunistic, Require, Verify};
    let routes = smart(&[("s.test", true, None)], None);
    for (domains, expected) in [
        (vec![], Opportunistic),
        (vec![None], Opportunistic),
        (vec![Some(Off)], Off),
        (vec![Some(Off), None], Opportunistic),
        (vec![Some(Verify), Some(Off)], Verify),
        (vec![None, Some(Require)], Require),
    ] {
        assert_eq!(routes.demand("route:isp", domains), expected);
    }
}

/// Questions, as `mx(x.test)`, by rounds.
fn asked(routes: &Routes, of_domain: Option<TlsDemand>, zone: &[&str]) -> Vec<Vec<String>> {
    let show = |question: &Question| match question {
        Question::Mx(name) => format!("mx({name})"),
        Question::Addresses(name) => format!("a({name})"),
        Question::Tlsa { host, port } => format!("tlsa({host}:{port})"),
        Question::MtaSts(name) => format!("sts({name})"),
    };
    let (_, rounds) = walk(routes, "x.test", of_domain, &Zone::new(zone), 1);
    let round = |questions: &Vec<Question>| questions.iter().map(show).collect();
    rounds.iter().map(round).collect()
}

#[test]
fn tls_reports_go_where_no_policy_is_kept() {
    let routes = careful();
    let host = Host::parse("x.test").unwrap();
    let site = routes.site_of_tls_report(None, &host).expect("a site");
    assert_eq!(&*site.name, "tls-reports:x.test");
    let zone = [
        "+x.test MX 10 a.test",
        "+a.test A 192.0.2.1",
        "+a.test TLSA 3 1 1",
        "x.test STS enforce b.test",
    ];
    let (plan, rounds) = walk_to(&routes, &site, None, &Zone::new(&zone), 1);
    assert_eq!(zone::shown(&plan, described), "a.test:may");
    assert_eq!(rounds.len(), 2, "{rounds:?}");
    // What the configuration demands is no policy of the domain.
    let (plan, _) = walk_to(
        &routes,
        &site,
        Some(TlsDemand::Require),
        &Zone::new(&zone),
        1,
    );
    assert_eq!(zone::shown(&plan, described), "a.test:must");
    // Under its name it is found again, and no other mail is.
    assert_eq!(routes.site_filed(&site.filed_name(&host)), site);
    assert_ne!(routes.site(&host), site);
    let hosts = vec![HostSpec::new(Host::parse("[192.0.2.9]").unwrap(), true)];
    let mut smart = Routes::builder();
    smart.outbound(Via::SmartHosts(hosts), Place::Default);
    let smart = smart.build().unwrap();
    assert_eq!(smart.site_of_tls_report(None, &host), None);
    let filed = smart.site_filed(&site.filed_name(&host));
    assert_eq!(filed, smart.site(&host));
}

#[test]
fn nothing_is_asked_that_does_not_matter() {
    let zone = [
        "+x.test MX 10 a.test",
        "+x.test MX 20 b.test",
        "+a.test A 192.0.2.1",
        "b.test A 192.0.2.2",
    ];
    let plain = [vec!["mx(x.test)"], vec!["a(a.test)", "a(b.test)"]];
    let routes = Routes::builder().build().unwrap();
    assert_eq!(asked(&routes, None, &zone), plain);
    assert_eq!(asked(&careful(), Some(TlsDemand::Off), &zone), plain);
    assert_eq!(
        asked(&careful(), None, &zone),
        [
            vec!["mx(x.test)", "sts(x.test)"],
            vec!["a(a.test)", "a(b.test)"],
            vec!["tlsa(a.test:25)"]
        ]
    );
    // unsigned: no third round
    let unsigned: Vec<&str> = zone.iter().map(|l| l.trim_start_matches('+')).collect();
    assert_eq!(asked(&careful(), None, &unsigned).len(), 2);
}
