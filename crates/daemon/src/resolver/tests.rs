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
