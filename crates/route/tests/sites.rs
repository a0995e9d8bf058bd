//! Which site a recipient's host belongs to.

use std::path::PathBuf;
use std::sync::Arc;

use mail::{Domain, Host, Mailbox, Place};
use route::{DomainPattern, HostSpec, NextHop, Routes, SenderPattern, Site, SiteOptions, Via};

fn host(text: &str) -> Host {
    Host::parse(text).unwrap()
}

fn smart(text: &str) -> Via {
    Via::SmartHosts(vec![HostSpec::new(host(text), true)])
}

fn line(n: u32) -> Place {
    Place::line(&Arc::from("gatepost.toml"), n, 1)
}

fn name(routes: &Routes, text: &str) -> String {
    routes.site(&host(text)).name.to_string()
}

fn pattern(text: &str) -> DomainPattern {
    DomainPattern::parse(text).unwrap()
}

#[test]
fn the_most_specific_entry_wins_whatever_the_order() {
    let entries = [
        ("a.b.example", "[192.0.2.1]"),
        ("*.b.example", "[192.0.2.2]"),
        ("*.example", "[192.0.2.3]"),
        ("*", "[192.0.2.4]"),
    ];
    for backwards in [false, true] {
        let mut builder = Routes::builder();
        let mut entries = entries;
        if backwards {
            entries.reverse();
        }
        for (text, next) in entries {
            builder.add_domain(pattern(text), smart(next), Place::Default);
        }
        let routes = builder.build().unwrap();
        let cases = [
            ("a.b.example", "[192.0.2.1]:25"),
            ("c.b.example", "[192.0.2.2]:25"),
            ("d.c.b.example", "[192.0.2.2]:25"),
            ("x.a.b.example", "[192.0.2.2]:25"),
            ("b.example", "[192.0.2.3]:25"),
            ("xb.example", "[192.0.2.3]:25"),
            ("example", "[192.0.2.4]:25"),
            ("other.test", "[192.0.2.4]:25"),
        ];
        for (text, site) in cases {
            assert_eq!(name(&routes, text), site, "{text}");
        }
    }
}

#[test]
fn a_star_does_not_match_the_bare_name() {
    let mut builder = Routes::builder();
    builder.add_domain(
        pattern("*.example.com"),
        smart("[192.0.2.1]"),
        Place::Default,
    );
    let routes = builder.build().unwrap();
    assert_eq!(name(&routes, "example.com"), "mx:example.com");
    assert_eq!(name(&routes, "a.example.com"), "[192.0.2.1]:25");
}

#[test]
fn equal_smart_hosts_are_one_site() {
    let mut builder = Routes::builder();
    builder.add_domain(pattern("a.example"), smart("[192.0.2.1]"), line(3));
    builder.add_domain(pattern("b.example"), smart("[192.0.2.1]"), line(5));
    builder.add_domain(pattern("c.example"), Via::Named("isp".into()), line(7));
    builder.add_domain(pattern("d.example"), Via::Named("isp".into()), line(8));
    let spread = SiteOptions {
        spread: true,
        connections_max: Some(3),
        ..SiteOptions::default()
    };
    builder.add_route("isp", vec![], spread.clone(), line(9));
    let routes = builder.build().unwrap();
    assert_eq!(name(&routes, "a.example"), name(&routes, "b.example"));
    assert_eq!(name(&routes, "c.example"), "route:isp");
    assert_eq!(name(&routes, "c.example"), name(&routes, "d.example"));
    assert_eq!(routes.options("route:isp"), Some(&spread));
    assert_eq!(routes.options("[192.0.2.1]:25"), None);
    assert_eq!(routes.site(&host("b.example")).place, line(5));
}

#[test]
fn the_name_of_a_smart_host_tells_brackets_and_port() {
    let spec = |text: &str, exact, port| HostSpec {
        port,
        ..HostSpec::new(host(text), exact)
    };
    let mut builder = Routes::builder();
    builder.port(2525).outbound(
        Via::SmartHosts(vec![
            spec("mx.isp.example", false, None),
            spec("mx.isp.example", true, Some(26)),
            spec("[IPv6:2001:db8::1]", true, None),
        ]),
        line(2),
    );
    let routes = builder.build().unwrap();
    let expected = "mx.isp.example:2525,[mx.isp.example]:26,[IPv6:2001:db8::1]:2525";
    assert_eq!(name(&routes, "anything.example"), expected);
    // With a smart host for everything, address literals take it too.
    assert_eq!(name(&routes, "[198.51.100.7]"), expected);
}

#[test]
fn without_a_route_the_domain_or_the_literal_is_the_site() {
    let mut builder = Routes::builder();
    builder.add_domain(
        pattern("here.example"),
        Via::Directory("/var/mail/in".into()),
        line(4),
    );
    builder.add_domain(pattern("other.example"), Via::Mx, line(6));
    let routes = builder.build().unwrap();
    let mx = |d| NextHop::Mx(Domain::parse(d).unwrap());
    let cases = [
        ("x.example", "mx:x.example", mx("x.example"), Place::Default),
        (
            "other.example",
            "mx:other.example",
            mx("other.example"),
            line(6),
        ),
        (
            "here.example",
            "local:here.example",
            NextHop::Directory(PathBuf::from("/var/mail/in")),
            line(4),
        ),
        // Not the name of the smart host at that address: what an administrator may name, a
        // stranger's recipient may not.
        (
            "[192.0.2.1]",
            "mx:[192.0.2.1]",
            NextHop::Literal("192.0.2.1".parse().unwrap()),
            Place::Default,
        ),
    ];
    for (text, name, next_hop, place) in cases {
        let site = Site {
            name: name.into(),
            next_hop: Arc::new(next_hop),
            place,
            otherwise: None,
            despite_policies: false,
        };
        assert_eq!(routes.site(&host(text)), site);
    }
}

#[test]
fn direct_first_has_the_smart_host_behind_each_mx_site_that_is_not_hosted() {
    let mut builder = Routes::builder();
    builder.add_domain(pattern("hosted.example"), Via::Mx, line(4));
    builder
        .outbound(smart("[192.0.2.1]"), line(6))
        .direct_first(line(7));
    let routes = builder.build().unwrap();
    for (text, expected) in [
        ("x.example", Some("[192.0.2.1]:25")),
        ("[198.51.100.7]", Some("[192.0.2.1]:25")),
        ("hosted.example", None),
    ] {
        let site = routes.site(&host(text));
        assert_eq!(&*site.name, format!("mx:{text}"));
        let otherwise = site.otherwise.as_ref().map(|site| &*site.name);
        assert_eq!(otherwise, expected, "{text}");
    }
    assert_eq!(routes.site(&host("x.example")).place, line(7));
    // Without a smart host there is nothing behind.
    let mut builder = Routes::builder();
    builder.direct_first(line(7));
    let site = builder.build().unwrap().site(&host("x.example"));
    assert_eq!(site.otherwise, None);
}

fn senders(entries: &[(&str, Via, u32)]) -> Routes {
    let mut builder = Routes::builder();
    builder.add_domain(pattern("ours.example"), smart("[192.0.2.9]"), line(1));
    builder.outbound(smart("[192.0.2.8]"), line(2));
    for (text, via, at) in entries {
        let pattern = match text.contains('@') {
            true => SenderPattern::Mailbox(Mailbox::parse(text).unwrap()),
            false => SenderPattern::Domain(pattern(text)),
        };
        builder.add_sender(pattern, via.clone(), line(*at));
    }
    builder.build().unwrap()
}

#[test]
fn of_routes_by_sender_the_most_specific_counts_but_to_domains_of_ours() {
    let routes = senders(&[
        ("*", smart("[192.0.2.1]"), 11),
        ("*.brand.example", smart("[192.0.2.2]"), 12),
        ("brand.example", smart("[192.0.2.3]"), 13),
        ("Scan@Brand.example", Via::Mx, 14),
        ("x@[192.0.2.77]", smart("[192.0.2.5]"), 15),
    ]);
    let site = |sender: &str, to: &str| {
        let sender = Mailbox::parse(sender).unwrap();
        routes.site_from(Some(&sender), &host(to))
    };
    for (sender, to, name, at) in [
        ("ann@other.example", "x.test", "[192.0.2.1]:25", 11),
        ("ann@[192.0.2.66]", "x.test", "[192.0.2.1]:25", 11),
        ("ann@a.b.brand.example", "x.test", "[192.0.2.2]:25", 12),
        ("ann@brand.example", "[198.51.100.7]", "[192.0.2.3]:25", 13),
        ("\"sCAN\"@brand.EXAMPLE", "x.test", "mx:x.test", 14),
        (
            "scan@brand.example",
            "[198.51.100.7]",
            "mx:[198.51.100.7]",
            14,
        ),
        ("X@[192.0.2.77]", "x.test", "[192.0.2.5]:25", 15),
        // No sender leads the mail of our own domains elsewhere.
        ("scan@brand.example", "ours.example", "[192.0.2.9]:25", 1),
        ("ann@ours.example", "ours.example", "[192.0.2.9]:25", 1),
    ] {
        let found = site(sender, to);
        assert_eq!(
            (&*found.name, found.place.clone()),
            (name, line(at)),
            "{sender} to {to}"
        );
        // Under that name it is found again.
        let by_name = routes.site_filed(&found.filed_name(&host(to)));
        let filed = routes.site_by_sender(Some(&Mailbox::parse(sender).unwrap()), &host(to));
        assert_eq!(filed.is_some(), at > 10);
        assert!(
            filed.is_none_or(|filed| filed == by_name),
            "{sender} to {to}"
        );
    }
    assert_eq!(
        &*routes.site_from(None, &host("x.test")).name,
        "[192.0.2.8]:25"
    );
    assert_eq!(
        routes.site_filed("ours.example"),
        routes.site(&host("ours.example"))
    );
    // What is filed under names that mean nothing any more has nowhere to go from there.
    for name in [
        "route:gone x.test",
        "[192.0.2.7]:25 x.test",
        "mx:a.test b.test",
        "[192.0.2.1]:25",
        "a b",
    ] {
        let site = routes.site_filed(name);
        assert_eq!(*site.next_hop, NextHop::SmartHosts(Vec::new()), "{name}");
    }
}

#[test]
fn only_other_routes_by_sender_have_what_waits_filed_anew() {
    let brand = |to: &str| senders(&[("brand.example", smart(to), 1)]);
    let none = || senders(&[]);
    assert!(none().files_as(&none()) && brand("a.test").files_as(&brand("a.test")));
    assert!(!brand("a.test").files_as(&brand("b.test")));
    assert!(!brand("a.test").files_as(&none()) && !none().files_as(&brand("a.test")));
}

#[test]
fn what_goes_by_mx_for_its_senders_sake_has_the_way_out_of_all_that_does() {
    let sender = Mailbox::parse("ann@brand.example").unwrap();
    for direct_first in [false, true] {
        let mut builder = Routes::builder();
        builder.outbound(smart("[192.0.2.1]"), line(6));
        if direct_first {
            builder.direct_first(line(7));
        }
        let brand = SenderPattern::Domain(pattern("brand.example"));
        builder.add_sender(brand, Via::Mx, line(8));
        let site = builder
            .build()
            .unwrap()
            .site_from(Some(&sender), &host("x.test"));
        assert_eq!((&*site.name, site.place), ("mx:x.test", line(8)));
        assert_eq!(site.otherwise.is_some(), direct_first);
    }
}

#[test]
fn a_route_that_nobody_wrote_is_an_error() {
    let mut builder = Routes::builder();
    builder.outbound(Via::Named("gone".into()), line(1));
    assert_eq!(builder.build().map(|_| ()), Err(Arc::from("gone")));
}

#[test]
fn patterns_print_as_they_are_read() {
    for text in ["example.com", "*.example.com", "*"] {
        assert_eq!(pattern(text).to_string(), text);
    }
    for text in ["", "*.", "a.*.b", "*example.com", "**"] {
        assert!(DomainPattern::parse(text).is_err(), "{text}");
    }
}

#[test]
fn mail_for_the_filter_waits_under_its_name_and_that_of_its_host() {
    let routes = |filter: Option<&str>| {
        let mut builder = Routes::builder();
        let hosts = vec![HostSpec::new(host("[127.0.0.1]"), true)];
        builder.add_route("scan", hosts, SiteOptions::default(), line(3));
        if let Some(name) = filter {
            builder.filter(name, line(8));
        }
        builder.build()
    };
    let filtered = routes(Some("scan")).unwrap();
    let site = filtered.filter().expect("a filter");
    assert_eq!((&*site.name, &site.place), ("route:scan", &line(8)));
    let filed = site.filed_name(&host("x.test"));
    assert_eq!(&*filed, "route:scan x.test");
    assert_eq!(filtered.site_filed(&filed), *site);
    assert!(filtered.files_elsewhere() && filtered.way_to_filter().is_none());
    // Without the filter, what waits for it belongs elsewhere.
    let plain = routes(None).unwrap();
    assert!(!plain.files_as(&filtered) && !filtered.files_as(&plain));
    assert_eq!(
        *plain.site_filed(&filed).next_hop,
        NextHop::SmartHosts(Vec::new())
    );
    assert!(routes(Some("unknown")).is_err());
}
