//! From a site to addresses: RFC 5321 section 5.1 as a table, with what a hostile DNS may say.

mod zone;

use std::collections::{BTreeMap, BTreeSet};

use mail::{Domain, Host, Place};
use proptest::prelude::*;
use route::{
    ADDRESSES_PER_HOST_MAX, Answer, Answers, HOPS_MAX, HostSpec, IpFamily, MX_HOSTS_MAX, Plan,
    Question, Routes, RoutesBuilder, SiteOptions, TlsDemand, Via, resolve,
};
use zone::Zone;

/// Resolves to the end; the number of rounds of questions comes along.
fn walk(routes: &Routes, host: &str, zone: &Zone, seed: u64) -> (Plan, usize) {
    let (plan, rounds) = zone::walk(routes, host, None, zone, seed);
    (plan, rounds.len())
}

/// Hops as `ip:port` words, or `deferred 451 4.4.3`, `failed 550 5.1.2`.
fn shown(plan: &Plan) -> String {
    zone::shown(plan, |hop| hop.address.to_string())
}

fn ours(builder: &mut RoutesBuilder) -> Routes {
    builder
        .own_name(Domain::parse("relay.example").unwrap())
        .own_listener("0.0.0.0:25".parse().unwrap())
        .own_address("203.0.113.5".parse().unwrap())
        .build()
        .unwrap()
}

fn case(routes: &Routes, zone: &[&str], expected: &str) {
    let zone = Zone::new(zone);
    for seed in 0..4 {
        assert_eq!(
            shown(&walk(routes, "x.test", &zone, seed).0),
            expected,
            "{:?}",
            zone.0
        );
    }
}

#[test]
fn only_who_is_not_found_by_mx_is_left_to_the_smart_host() {
    let host = HostSpec::new(Host::parse("[192.0.2.99]").unwrap(), true);
    let mut builder = Routes::builder();
    builder
        .outbound(Via::SmartHosts(vec![host]), Place::Default)
        .direct_first(Place::Default);
    let routes = ours(&mut builder);
    let cases: &[(&[&str], &str)] = &[
        (&["x.test A 192.0.2.1"], "192.0.2.1:25"),
        (&["x.test NX"], "otherwise 550 5.1.2"),
        (&["x.test MX 10 a.test"], "otherwise 550 5.1.2"),
        (&["x.test MXFAIL"], "otherwise 451 4.4.3"),
        (&["x.test MX 0 ."], "failed 556 5.1.10"),
        (&["x.test A 10.0.0.1"], "failed 550 5.4.6"),
        (&["x.test MX 10 relay.example"], "failed 554 5.4.6"),
    ];
    for (zone, expected) in cases {
        case(&routes, zone, expected);
    }
}

#[test]
fn mx_records_lead_to_addresses() {
    let routes = ours(&mut Routes::builder());
    let cases: &[(&[&str], &str)] = &[
        // preference order, both families by turns
        (
            &[
                "x.test MX 20 b.test",
                "x.test MX 10 a.test",
                "a.test A 192.0.2.1",
                "b.test A 192.0.2.2",
            ],
            "192.0.2.1:25 192.0.2.2:25",
        ),
        (
            &[
                "x.test MX 10 a.test",
                "a.test A 192.0.2.1 192.0.2.2 2001:db8::1",
            ],
            "192.0.2.1:25 [2001:db8::1]:25 192.0.2.2:25",
        ),
        // no MX: the domain's own address
        (&["x.test A 192.0.2.9"], "192.0.2.9:25"),
        // the same address behind two names is tried once
        (
            &[
                "x.test MX 1 a.test",
                "x.test MX 2 b.test",
                "a.test A 192.0.2.1",
                "b.test A 192.0.2.1",
            ],
            "192.0.2.1:25",
        ),
        // an exchange that is an address in disguise is passed over
        (
            &[
                "x.test MX 1 192.0.2.77",
                "x.test MX 2 b.test",
                "b.test A 192.0.2.2",
            ],
            "192.0.2.2:25",
        ),
        // a root exchange beside others is not a null MX
        (
            &["x.test MX 0 .", "x.test MX 2 b.test", "b.test A 192.0.2.2"],
            "192.0.2.2:25",
        ),
        // what cannot be told is passed over as long as something is known
        (
            &[
                "x.test MX 1 a.test",
                "x.test MX 2 b.test",
                "a.test AFAIL",
                "b.test A 192.0.2.2",
            ],
            "192.0.2.2:25",
        ),
    ];
    for (zone, expected) in cases {
        case(&routes, zone, expected);
    }
}

#[test]
fn no_way_now_or_none_at_all() {
    let routes = ours(&mut Routes::builder());
    let cases: &[(&[&str], &str)] = &[
        (&["x.test MX 0 ."], "failed 556 5.1.10"),
        (&["x.test NX"], "failed 550 5.1.2"),
        (&[], "failed 550 5.1.2"),
        (&["x.test MX 1 a.test"], "failed 550 5.1.2"),
        (&["x.test MX 1 a.test", "a.test NX"], "failed 550 5.1.2"),
        (&["x.test MX 1 192.0.2.77"], "failed 550 5.1.2"),
        (
            &["x.test MXFAIL", "x.test A 192.0.2.1"],
            "deferred 451 4.4.3",
        ),
        (&["x.test AFAIL"], "deferred 451 4.4.3"),
        (
            &["x.test MX 1 a.test", "x.test MX 2 b.test", "a.test AFAIL"],
            "deferred 451 4.4.3",
        ),
        // MX records exist: the domain's own address must not be used
        (
            &["x.test MX 1 a.test", "x.test A 192.0.2.1"],
            "failed 550 5.1.2",
        ),
    ];
    for (zone, expected) in cases {
        case(&routes, zone, expected);
    }
}

#[test]
fn ourselves_and_what_stands_behind_us_are_left_out() {
    let routes = ours(&mut Routes::builder());
    let cases: &[(&[&str], &str)] = &[
        // by name: equal and worse preferences go too
        (
            &[
                "x.test MX 10 a.test",
                "x.test MX 20 relay.example",
                "x.test MX 20 b.test",
                "x.test MX 30 c.test",
                "a.test A 192.0.2.1",
                "b.test A 192.0.2.2",
                "c.test A 192.0.2.3",
            ],
            "192.0.2.1:25",
        ),
        // The second host is ourselves by its address, whatever its name is.
        (
            &[
                "x.test MX 10 a.test",
                "x.test MX 20 b.test",
                "x.test MX 30 c.test",
                "a.test A 192.0.2.1",
                "b.test A 203.0.113.5",
                "c.test A 192.0.2.3",
            ],
            "192.0.2.1:25",
        ),
        (
            &[
                "x.test MX 10 relay.example",
                "x.test MX 20 b.test",
                "b.test A 192.0.2.2",
            ],
            "failed 554 5.4.6",
        ),
        (
            &["x.test MX 10 a.test", "a.test A 203.0.113.5 192.0.2.4"],
            "failed 554 5.4.6",
        ),
        (&["x.test A 203.0.113.5"], "failed 554 5.4.6"),
        // a better host that DNS cannot tell about now: wait, do not bounce
        (
            &[
                "x.test MX 10 a.test",
                "x.test MX 20 relay.example",
                "a.test AFAIL",
            ],
            "deferred 451 4.4.3",
        ),
    ];
    for (zone, expected) in cases {
        case(&routes, zone, expected);
    }
    let zone = Zone(vec![]);
    assert_eq!(
        shown(&walk(&routes, "relay.example", &zone, 1).0),
        "failed 554 5.4.6"
    );
    assert_eq!(
        shown(&walk(&routes, "[203.0.113.5]", &zone, 1).0),
        "failed 554 5.4.6"
    );
    assert_eq!(
        shown(&walk(&routes, "[203.0.113.6]", &zone, 1).0),
        "203.0.113.6:25"
    );
}

const INNER: &[&str] = &[
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1",
    "fec0::1",
    "fd00::1",
    "ff02::1",
    "::ffff:10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::c000:201",
    "2002:a00:1::1",
    "::10.0.0.1",
];
const OUTER: &[&str] = &[
    "172.32.0.1",
    "172.15.0.1",
    "100.128.0.1",
    "192.0.2.1",
    "11.0.0.1",
    "2001:db8::1",
    "64:ff9b::c000:201",
    "2002:c000:201::1",
    "::ffff:192.0.2.1",
];

#[test]
fn a_stranger_cannot_send_us_inside() {
    let routes = Routes::builder().build().unwrap();
    for inner in INNER {
        case(
            &routes,
            &["x.test MX 1 a.test", &format!("a.test A {inner}")],
            "failed 550 5.4.6",
        );
        case(&routes, &[&format!("x.test A {inner}")], "failed 550 5.4.6");
        let address: std::net::IpAddr = inner.parse().unwrap();
        let literal = Host::Literal(address.to_canonical()).to_string();
        assert_eq!(
            shown(&walk(&routes, &literal, &Zone(vec![]), 1).0),
            "failed 550 5.4.6",
            "{inner}"
        );
    }
    for outer in OUTER {
        let address: std::net::IpAddr = outer.parse().unwrap();
        let hop = std::net::SocketAddr::new(address.to_canonical(), 25).to_string();
        case(
            &routes,
            &["x.test MX 1 a.test", &format!("a.test A {outer}")],
            &hop,
        );
    }
    // one good address among bad ones is used alone
    case(
        &routes,
        &["x.test A 10.0.0.1 192.0.2.1 ::1"],
        "192.0.2.1:25",
    );
}

#[test]
fn private_mx_lets_named_blocks_through_and_no_others() {
    let routes = ours(Routes::builder().private_mx([
        "10.1.0.0/16".parse().unwrap(),
        "127.0.0.0/8".parse().unwrap(),
    ]));
    case(&routes, &["x.test A 10.1.2.3"], "10.1.2.3:25");
    case(&routes, &["x.test A 10.2.2.3"], "failed 550 5.4.6");
    // a listener of ours stays a loop
    case(&routes, &["x.test A 127.0.0.1"], "failed 554 5.4.6");
    let nowhere = Routes::builder()
        .private_mx(["0.0.0.0/0".parse().unwrap()])
        .build()
        .unwrap();
    case(&nowhere, &["x.test A 0.0.0.0"], "failed 550 5.4.6");
}

#[test]
fn whatever_else_a_stranger_names_leads_neither_inside_nor_to_this_machine() {
    let routes = |listed: &str| {
        let listener = "192.0.2.10:25".parse().unwrap();
        let mut builder = Routes::builder();
        builder
            .own_listener(listener)
            .own_address("192.0.2.11".parse().unwrap())
            .private_mx((!listed.is_empty()).then(|| listed.parse().unwrap()));
        builder.build().unwrap()
    };
    let strict = routes("");
    let named = |routes: &Routes, text: &str| routes.lets_strangers_name(text.parse().unwrap());
    for outer in OUTER {
        assert!(named(&strict, outer), "{outer}");
    }
    let own = ["192.0.2.10", "::ffff:192.0.2.10", "192.0.2.11"];
    for inner in INNER.iter().chain(&own) {
        assert!(!named(&strict, inner), "{inner}");
    }
    // What is meant is written down.
    assert!(named(&routes("127.0.0.0/8"), "127.0.0.1"));
    assert!(named(&routes("192.0.2.11/32"), "192.0.2.11"));
    assert!(!named(&routes("127.0.0.0/8"), "10.0.0.1"));
    assert!(!named(&routes("0.0.0.0/0"), "0.0.0.0"));
}

#[test]
fn the_family_is_chosen_by_the_configuration() {
    let zone = ["x.test A 192.0.2.1 2001:db8::1"];
    case(
        &ours(Routes::builder().ip(IpFamily::V4)),
        &zone,
        "192.0.2.1:25",
    );
    case(
        &ours(Routes::builder().ip(IpFamily::V6)),
        &zone,
        "[2001:db8::1]:25",
    );
    case(
        &ours(Routes::builder().ip(IpFamily::V6)),
        &["x.test A 192.0.2.1"],
        "failed 550 5.4.4",
    );
    case(
        &ours(Routes::builder().port(2525)),
        &["x.test A 192.0.2.1"],
        "192.0.2.1:2525",
    );
}

fn smart(hosts: &[(&str, bool, Option<u16>)]) -> Routes {
    let specs = hosts.iter().map(|(text, exact, port)| HostSpec {
        port: *port,
        ..HostSpec::new(Host::parse(text).unwrap(), *exact)
    });
    ours(Routes::builder().outbound(Via::SmartHosts(specs.collect()), Place::Default))
}

#[test]
fn smart_hosts_go_where_the_administrator_says() {
    // addresses: no question, inner ones too
    case(
        &smart(&[
            ("[10.0.0.5]", true, Some(2525)),
            ("[127.0.0.1]", true, Some(10025)),
        ]),
        &[],
        "10.0.0.5:2525 127.0.0.1:10025",
    );
    // brackets: the address alone
    let zone = [
        "s.test MX 1 a.test",
        "s.test A 10.0.0.1",
        "a.test A 192.0.2.1",
    ];
    case(&smart(&[("s.test", true, None)]), &zone, "10.0.0.1:25");
    // a plain name: MX, then address; inner addresses too, by whichever way
    case(
        &smart(&[("s.test", false, Some(26))]),
        &zone,
        "192.0.2.1:26",
    );
    case(
        &smart(&[("s.test", false, None)]),
        &["s.test A 192.168.0.9"],
        "192.168.0.9:25",
    );
    // one without a way is passed over
    case(
        &smart(&[("gone.test", true, None), ("[192.0.2.8]", true, None)]),
        &["gone.test NX"],
        "192.0.2.8:25",
    );
    case(
        &smart(&[("s.test", true, None), ("t.test", false, None)]),
        &["s.test AFAIL", "t.test A 192.0.2.3"],
        "192.0.2.3:25",
    );
}

#[test]
fn a_broken_route_waits_for_its_administrator() {
    case(
        &smart(&[("gone.test", true, None)]),
        &["gone.test NX"],
        "deferred 451 4.3.5",
    );
    case(
        &smart(&[("gone.test", false, None)]),
        &["gone.test NX"],
        "deferred 451 4.3.5",
    );
    case(&smart(&[("s.test", true, None)]), &[], "deferred 451 4.3.5");
    case(
        &smart(&[("s.test", false, None)]),
        &["s.test MX 0 ."],
        "deferred 451 4.3.5",
    );
    case(
        &smart(&[("s.test", false, None)]),
        &["s.test MXFAIL"],
        "deferred 451 4.4.3",
    );
    // back to a listener of ours; another port of the same machine is no loop
    case(
        &smart(&[("[127.0.0.1]", true, None)]),
        &[],
        "deferred 451 4.4.6",
    );
    case(
        &smart(&[("[203.0.113.5]", true, None)]),
        &[],
        "deferred 451 4.4.6",
    );
    case(
        &smart(&[("s.test", true, None)]),
        &["s.test A 203.0.113.5"],
        "deferred 451 4.4.6",
    );
    case(
        &smart(&[("s.test", true, Some(26))]),
        &["s.test A 203.0.113.5"],
        "203.0.113.5:26",
    );
    case(&smart(&[]), &[], "deferred 451 4.3.5");
}

#[test]
fn a_socket_of_this_machine_is_a_host_that_nobody_asks_dns_about_and_nothing_encrypts() {
    let hosts = vec![
        HostSpec::socket("/run/lmtp"),
        weighed("[192.0.2.1]", 1),
        HostSpec::socket("/run/lmtp"),
    ];
    let mut builder = Routes::builder();
    builder.ip(IpFamily::V6);
    builder.outbound(Via::SmartHosts(hosts), Place::Default);
    builder.tls(TlsDemand::Verify);
    let routes = builder.build().unwrap();
    let site = routes.site(&Host::parse("x.test").unwrap());
    assert_eq!(&*site.name, "/run/lmtp,[192.0.2.1]:25,/run/lmtp");
    let (plan, rounds) = walk(&routes, "x.test", &Zone(vec![]), 0);
    assert_eq!(rounds, 0);
    let Plan::Hops(hops) = plan else {
        panic!("{plan:?}")
    };
    let [hop] = &hops[..] else { panic!("{hops:?}") };
    assert_eq!(
        (hop.to_string(), &hop.security),
        ("/run/lmtp".to_owned(), &route::Security::None)
    );
}

#[test]
fn spread_starts_anywhere_and_failover_at_the_first() {
    let hosts: Vec<HostSpec> = (1..=4)
        .map(|n| HostSpec::new(Host::parse(&format!("[192.0.2.{n}]")).unwrap(), true))
        .collect();
    for spread in [false, true] {
        let mut builder = Routes::builder();
        builder.add_route(
            "pool",
            hosts.clone(),
            SiteOptions {
                spread,
                ..SiteOptions::default()
            },
            Place::Default,
        );
        let routes = builder
            .outbound(Via::Named("pool".into()), Place::Default)
            .build()
            .unwrap();
        let firsts: BTreeSet<String> = (0..64)
            .map(|seed| shown(&walk(&routes, "x.test", &Zone(vec![]), seed * 977).0))
            .map(|hops| hops.split(' ').next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(firsts.len(), if spread { 4 } else { 1 });
    }
}

/// Of a host given by its address, with this weight.
fn weighed(address: &str, weight: u32) -> HostSpec {
    HostSpec {
        weight,
        ..HostSpec::new(Host::parse(address).unwrap(), true)
    }
}

#[test]
fn a_host_comes_first_as_often_as_its_weight_says_and_last_by_what_is_left() {
    let hosts = vec![
        weighed("[192.0.2.1]", 1),
        weighed("[192.0.2.2]", 3),
        weighed("[192.0.2.3]", 6),
    ];
    let options = SiteOptions {
        spread: true,
        ..SiteOptions::default()
    };
    let mut builder = Routes::builder();
    builder.add_route("pool", hosts, options, Place::Default);
    builder.outbound(Via::Named("pool".into()), Place::Default);
    let routes = builder.build().unwrap();
    let mut firsts = BTreeMap::new();
    let mut orders = BTreeSet::new();
    const RUNS: u64 = 10_000;
    for seed in 0..RUNS {
        let hops = shown(&walk(&routes, "x.test", &Zone(vec![]), seed).0);
        let first = hops.split(' ').next().unwrap_or_default().to_owned();
        *firsts.entry(first).or_insert(0_u64) += 1;
        orders.insert(hops);
    }
    assert_eq!(orders.len(), 6);
    for (first, tenths) in [
        ("192.0.2.1:25", 1),
        ("192.0.2.2:25", 3),
        ("192.0.2.3:25", 6),
    ] {
        let expected = RUNS * tenths / 10;
        let off = firsts[first].abs_diff(expected);
        assert!(off < RUNS / 40, "{firsts:?}");
    }
}

#[test]
fn equal_preferences_share_the_load() {
    let routes = ours(&mut Routes::builder());
    let zone = [
        "x.test MX 5 a.test",
        "x.test MX 5 b.test",
        "x.test MX 9 c.test",
        "a.test A 192.0.2.1",
        "b.test A 192.0.2.2",
        "c.test A 192.0.2.3",
    ];
    let zone = Zone(zone.map(str::to_owned).to_vec());
    let orders: std::collections::BTreeSet<_> = (0..64)
        .map(|seed| shown(&walk(&routes, "x.test", &zone, seed * 977).0))
        .collect();
    let expected = [
        "192.0.2.1:25 192.0.2.2:25 192.0.2.3:25",
        "192.0.2.2:25 192.0.2.1:25 192.0.2.3:25",
    ];
    assert_eq!(orders, expected.map(str::to_owned).into());
}

#[test]
fn long_lists_are_cut() {
    let routes = ours(&mut Routes::builder());
    let mut zone: Vec<String> = (0..100).map(|n| format!("x.test MX 5 h{n}.test")).collect();
    zone.extend((0..100).map(|n| format!("h{n}.test A 192.0.2.{n} 198.51.100.{n} 2001:db8::{n} 2001:db8:1::{n} 203.0.113.{n} 2001:db8:2::{n}")));
    let (plan, rounds) = walk(&routes, "x.test", &Zone(zone), 3);
    let Plan::Hops(hops) = plan else {
        panic!("{plan:?}")
    };
    let names: std::collections::BTreeSet<_> = hops.iter().map(|h| &h.name).collect();
    assert!(hops.len() <= HOPS_MAX && names.len() <= MX_HOSTS_MAX);
    assert_eq!(hops.len() / names.len(), ADDRESSES_PER_HOST_MAX);
    assert_eq!(rounds, 2);
}

#[test]
fn an_answer_that_does_not_fit_is_no_answer() {
    let routes = Routes::builder().build().unwrap();
    let site = routes.site(&Host::parse("x.test").unwrap());
    let mut answers = Answers::new();
    answers.insert(
        Question::Mx(Domain::parse("x.test").unwrap()),
        Answer::Addresses {
            list: vec![],
            secure: true,
        },
    );
    let demand = TlsDemand::Opportunistic;
    assert_eq!(
        shown(&resolve(&site, &routes, demand, &answers, &mut || 0)),
        "deferred 451 4.4.3"
    );
}

proptest! {
    /// Whatever the DNS says: an end within two rounds, no inner address, no loop, no more than the
    /// limits.
    #[test]
    fn no_answer_leads_astray(
        records in prop::collection::vec((0u16..4, 0usize..6), 0..12),
        addresses in prop::collection::vec(prop::collection::vec(0usize..40, 0..6), 6),
        failing in 0usize..12,
        seed: u64,
    ) {
        let own = "203.0.113.5";
        let pool: Vec<&str> = INNER.iter().chain(OUTER).copied().chain([own]).collect();
        let mut zone: Vec<String> = records.iter().map(|(p, n)| format!("x.test MX {p} h{n}.test")).collect();
        for (n, list) in addresses.iter().enumerate() {
            let list: Vec<&str> = list.iter().map(|i| pool[i % pool.len()]).collect();
            if !list.is_empty() {
                zone.push(format!("h{n}.test A {}", list.join(" ")));
            }
        }
        zone.insert(0, format!("h{failing}.test AFAIL"));
        let routes = ours(&mut Routes::builder());
        let (plan, rounds) = walk(&routes, "x.test", &Zone(zone), seed);
        prop_assert!(rounds <= 2);
        if let Plan::Hops(hops) = plan {
            prop_assert!(!hops.is_empty() && hops.len() <= HOPS_MAX);
            for hop in hops {
                let outer = OUTER.iter().any(|o| o.parse::<std::net::IpAddr>().unwrap().to_canonical() == hop.address.on_network().ip());
                prop_assert!(outer, "{}", hop);
            }
        }
    }
}
