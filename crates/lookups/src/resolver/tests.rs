use super::pretend::{Data, Pretend};
use super::*;

fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

async fn zone() -> Pretend {
    Pretend::serve(&[
        ("signed.example", Data::Mx(10, "mx.signed.example")),
        ("signed.example", Data::Txt("hello")),
        ("mx.signed.example", Data::A([192, 0, 2, 1])),
        (
            "mx.signed.example",
            Data::Aaaa("2001:db8::1".parse().unwrap()),
        ),
        (
            "_25._tcp.mx.signed.example",
            Data::Tlsa(3, 1, 1, vec![7; 32]),
        ),
        ("alias.signed.example", Data::Cname("mx.signed.example")),
        ("out.signed.example", Data::Cname("plain.example")),
        ("plain.example", Data::A([192, 0, 2, 2])),
        ("_25._tcp.plain.example", Data::Tlsa(3, 1, 1, vec![7; 32])),
        ("_25._tcp.broken.signed.example", Data::Fail),
        ("broken.signed.example", Data::Fail),
    ])
    .await
}

#[tokio::test]
async fn what_dnssec_vouches_for_is_told_apart() {
    let server = zone().await;
    let resolver = server.resolver();
    assert!(resolver.is_trusted());
    let mx = resolver.mx(&domain("signed.example")).await;
    assert_eq!(
        (mx.found, mx.secure),
        (
            Lookup::Found(vec![(10, Some(domain("mx.signed.example")))]),
            true
        )
    );
    assert_eq!(
        resolver.texts("signed.example").await.found,
        Lookup::Found(vec!["hello".into()])
    );
    // host, found, secure, where its aliases end
    let cases = [
        ("mx.signed.example", 2, true, None),
        ("alias.signed.example", 2, true, Some("mx.signed.example")),
        ("out.signed.example", 1, false, Some("plain.example")),
        ("plain.example", 1, false, None),
    ];
    for (host, count, secure, canonical) in cases {
        let looked = resolver.addresses(&domain(host)).await;
        let Lookup::Found(found) = looked.found else {
            panic!("{host}: {:?}", looked.found);
        };
        let seen = (found.len(), looked.secure, looked.canonical);
        assert_eq!(seen, (count, secure, canonical.map(domain)), "{host}");
    }
    let missing = resolver.addresses(&domain("none.signed.example")).await;
    assert_eq!((missing.found, missing.secure), (Lookup::NoSuchName, true));
    let broken = resolver.addresses(&domain("broken.signed.example")).await;
    assert!(matches!(broken.found, Lookup::Failed(_)) && !broken.secure);
}

#[tokio::test]
async fn tlsa_answers_have_four_kinds() {
    let server = zone().await;
    let resolver = server.resolver();
    let tlsa = async |host: &str| resolver.tlsa(&domain(host), 25).await;
    let Tlsa::Secure(records) = tlsa("mx.signed.example").await else {
        panic!("not secure");
    };
    assert_eq!(
        (records[0].usage, records[0].selector, records[0].matching),
        (3, 1, 1)
    );
    assert_eq!(&*records[0].data, [7; 32]);
    assert_eq!(tlsa("plain.example").await, Tlsa::Insecure);
    assert_eq!(tlsa("unknown.example").await, Tlsa::Insecure);
    assert_eq!(tlsa("none.signed.example").await, Tlsa::Denied);
    assert!(matches!(
        tlsa("broken.signed.example").await,
        Tlsa::Failed(_)
    ));
}

#[tokio::test]
async fn a_resolver_that_is_not_on_loopback_is_not_believed() {
    let server = zone().await;
    let elsewhere = "192.0.2.53:53".parse().unwrap();
    let resolver = Resolver::new(&[server.address, elsewhere], Duration::from_secs(5));
    assert!(!resolver.is_trusted());
    assert!(!resolver.mx(&domain("signed.example")).await.secure);
    assert_eq!(
        resolver.tlsa(&domain("mx.signed.example"), 25).await,
        Tlsa::Insecure
    );
    assert!(!resolver.validates().await);
    assert!(!Resolver::new(&[], Duration::from_secs(5)).is_trusted());
}

#[tokio::test]
async fn a_validating_resolver_is_known_by_a_secure_answer() {
    let server = zone().await;
    let resolver = server.resolver();
    assert!(!resolver.validates().await);
    assert!(resolver.mx(&domain("signed.example")).await.secure);
    assert!(resolver.validates().await);
}

#[tokio::test]
async fn the_end_of_a_secure_alias_is_the_tlsa_base_domain() {
    let record = || Data::Tlsa(3, 1, 1, vec![7; 32]);
    let server = Pretend::serve(&[
        ("mx.signed.example", Data::A([192, 0, 2, 1])),
        ("_25._tcp.mx.signed.example", record()),
        ("alias.signed.example", Data::Cname("mx.signed.example")),
        ("_25._tcp.alias.signed.example", record()),
        ("bare.signed.example", Data::A([192, 0, 2, 2])),
        ("own.signed.example", Data::Cname("bare.signed.example")),
        ("_25._tcp.own.signed.example", record()),
        ("plain.example", Data::A([192, 0, 2, 3])),
        ("out.signed.example", Data::Cname("plain.example")),
        ("_25._tcp.out.signed.example", record()),
        ("bad.signed.example", Data::A([192, 0, 2, 4])),
        ("_25._tcp.bad.signed.example", Data::Fail),
        ("to-bad.signed.example", Data::Cname("bad.signed.example")),
        ("_25._tcp.to-bad.signed.example", record()),
    ])
    .await;
    let resolver = server.resolver();
    // The host, and the base domain; none where the records cannot be had.
    for (host, base) in [
        ("mx.signed.example", Some("mx.signed.example")),
        ("alias.signed.example", Some("mx.signed.example")),
        ("own.signed.example", Some("own.signed.example")),
        // Nobody vouches for where it leads.
        ("out.signed.example", Some("out.signed.example")),
        ("to-bad.signed.example", None),
    ] {
        let question = Question::Tlsa {
            host: domain(host),
            port: 25,
        };
        let found = match resolver.answer(&question).await {
            Answer::Tlsa { base, .. } => Some(base),
            Answer::Failed(_) => None,
            other => panic!("{host}: {other:?}"),
        };
        assert_eq!(found, base.map(domain), "{host}");
    }
}

#[tokio::test]
async fn tlsa_records_of_any_length_and_kind_are_records_and_no_error() {
    let shapes = [
        vec![],
        vec![3],
        vec![3, 1],
        vec![3, 1, 1],
        vec![3, 1, 1, 7],
        vec![9, 9, 9, 7],
    ];
    for octets in shapes {
        let server = Pretend::serve(&[
            ("_25._tcp.mx.signed.example", Data::RawTlsa(octets.clone())),
            (
                "_25._tcp.mx.signed.example",
                Data::Tlsa(3, 1, 1, vec![7; 32]),
            ),
        ])
        .await;
        let (resolver, host) = (server.resolver(), domain("mx.signed.example"));
        let Tlsa::Secure(records) = resolver.tlsa(&host, 25).await else {
            panic!("{octets:?}: not secure");
        };
        let usable = records.iter().map(route::TlsaRecord::is_usable);
        assert_eq!(usable.collect::<Vec<_>>(), [false, true], "{octets:?}");
    }
}

#[tokio::test]
async fn what_was_not_found_is_asked_anew_when_that_is_wanted() {
    let server = Pretend::serve(&[("a.example", Data::Fail)]).await;
    let resolver = server.resolver();
    let name = domain("a.example");
    let failed = resolver.addresses(&name).await.found;
    assert!(matches!(failed, Lookup::Failed(_)), "{failed:?}");
    server.set(&[("a.example", Data::A([192, 0, 2, 1]))]);
    assert_eq!(resolver.addresses(&name).await.found, failed);
    resolver.forget();
    let found = Lookup::Found(vec!["192.0.2.1".parse().unwrap()]);
    assert_eq!(resolver.addresses(&name).await.found, found);
}

#[tokio::test]
async fn answers_are_forgotten_when_their_time_is_over_though_nobody_asks_again() {
    let server = zone().await;
    let resolver = server.resolver();
    // For a few seconds.
    resolver.texts("broken.signed.example").await;
    resolver.forget_expired().await;
    assert!(resolver.cache.entry_count() > 0);
    let late = Instant::now() + Duration::from_secs(60);
    while resolver.cache.entry_count() > 0 {
        assert!(Instant::now() < late, "kept for a minute");
        tokio::time::sleep(Duration::from_millis(100)).await;
        resolver.forget_expired().await;
    }
}
