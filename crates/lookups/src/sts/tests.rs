use std::sync::Mutex;

use super::*;
use route::{Routes, StsMode};

use crate::https::pretend::Pretend;
use crate::resolver::pretend::{Data, Pretend as Dns};

const POLICY: &str = "version: STSv1\nmode: enforce\nmx: mx.a.example\nmax_age: 86400\n";

type Reply = Arc<Mutex<(u16, &'static str, String)>>;

struct Scene {
    dns: Dns,
    server: Pretend,
    reply: Reply,
    sts: MtaSts,
    routes: Routes,
    domain: Domain,
}

async fn scene() -> Scene {
    let dns = Dns::serve(&records("v=STSv1; id=1")).await;
    let reply: Reply = Arc::new(Mutex::new((200, "text/plain", POLICY.to_owned())));
    let shared = Arc::clone(&reply);
    let server = Pretend::serve(&["mta-sts.a.example"], move |request| {
        assert!(request.starts_with("GET /.well-known/mta-sts.txt "));
        shared.lock().unwrap().clone()
    })
    .await;
    // Answers are kept by the resolver for a minute; a fresh one sees the change at once.
    let sts = MtaSts::at_port(
        dns.resolver(),
        server.client(dns.resolver()),
        server.address.port(),
    );
    Scene {
        dns,
        server,
        reply,
        sts,
        routes: routes(&["127.0.0.0/8"]),
        domain: Domain::parse("a.example").unwrap(),
    }
}

/// Where strangers may lead us beside public addresses.
fn routes(private: &[&str]) -> Routes {
    let blocks = private.iter().map(|block| block.parse().unwrap());
    Routes::builder().private_mx(blocks).build().unwrap()
}

fn records(text: &'static str) -> [(&'static str, Data); 2] {
    [
        ("_mta-sts.a.example", Data::Txt(text)),
        ("mta-sts.a.example", Data::A([127, 0, 0, 1])),
    ]
}

impl Scene {
    async fn mode(&self) -> Option<StsMode> {
        match self.sts.policy(&self.domain, &self.routes).await {
            Sts::None => None,
            Sts::Policy(policy) => Some(policy.mode),
            other @ (Sts::Flawed(_) | Sts::CannotTell(_)) => panic!("{other:?}"),
        }
    }

    async fn why(&self) -> Box<str> {
        match self.sts.policy(&self.domain, &self.routes).await {
            Sts::CannotTell(why) => why,
            known => panic!("{known:?}"),
        }
    }

    async fn flaw(&self) -> (StsFlawKind, Arc<str>) {
        match self.sts.policy(&self.domain, &self.routes).await {
            Sts::Flawed(flaw) => (flaw.kind, flaw.why),
            other => panic!("{other:?}"),
        }
    }

    fn changes(&mut self, records: &[(&str, Data)]) {
        self.dns.set(records);
        self.sts.resolver = self.dns.resolver();
    }

    fn replies(&self, status: u16, kind: &'static str, body: &str) {
        *self.reply.lock().unwrap() = (status, kind, body.to_owned());
    }
}

#[tokio::test]
async fn a_policy_is_fetched_once_and_again_when_its_id_changes() {
    let mut scene = scene().await;
    let asked = tokio::join!(scene.mode(), scene.mode(), scene.mode());
    assert_eq!(
        asked,
        (
            Some(StsMode::Enforce),
            Some(StsMode::Enforce),
            Some(StsMode::Enforce)
        )
    );
    assert_eq!(scene.server.requests().len(), 1);
    scene.replies(200, "text/plain", &POLICY.replace("enforce", "testing"));
    assert_eq!(scene.mode().await, Some(StsMode::Enforce));
    scene.changes(&records("v=STSv1; id=2"));
    assert_eq!(scene.mode().await, Some(StsMode::Testing));
    assert_eq!(scene.server.requests().len(), 2);
}

#[tokio::test]
async fn what_was_fetched_holds_when_dns_or_the_host_fails() {
    let mut scene = scene().await;
    assert_eq!(scene.mode().await, Some(StsMode::Enforce));
    scene.replies(500, "text/plain", "");
    scene.changes(&records("v=STSv1; id=2"));
    assert_eq!(scene.mode().await, Some(StsMode::Enforce));
    scene.changes(&[]);
    assert_eq!(scene.mode().await, Some(StsMode::Enforce));
    scene.changes(&[("_mta-sts.a.example", Data::Fail)]);
    assert_eq!(scene.mode().await, Some(StsMode::Enforce));
}

#[tokio::test]
async fn no_record_is_no_policy_and_asks_no_host() {
    let mut scene = scene().await;
    scene.changes(&[]);
    assert_eq!(scene.mode().await, None);
    scene.changes(&[("_mta-sts.a.example", Data::Fail)]);
    assert!(scene.why().await.contains("SERVFAIL"));
    assert!(scene.server.requests().is_empty());
}

#[tokio::test]
async fn what_the_host_must_not_answer() {
    let big = POLICY.to_owned() + &"x: y\n".repeat(20_000);
    let cases = [
        (404, "text/plain", POLICY, StsFlawKind::Fetch, "404"),
        (302, "text/plain", POLICY, StsFlawKind::Fetch, "302"),
        (200, "text/html", POLICY, StsFlawKind::Invalid, "text/plain"),
        (
            200,
            "text/plain",
            "nothing",
            StsFlawKind::Invalid,
            "invalid",
        ),
        (200, "text/plain", &big, StsFlawKind::Fetch, "limit"),
    ];
    for (status, kind, body, expected, part) in cases {
        let scene = scene().await;
        scene.replies(status, kind, body);
        let (kind, why) = scene.flaw().await;
        assert!(kind == expected && why.contains(part), "{kind:?} {why}");
        // It is not asked again for each message.
        scene.replies(200, "text/plain", POLICY);
        scene.flaw().await;
        assert_eq!(scene.server.requests().len(), 1);
    }
}

#[tokio::test]
async fn a_policy_host_inside_our_network_is_not_connected_to() {
    let mut scene = scene().await;
    scene.routes = routes(&["10.0.0.0/8"]);
    let (kind, why) = scene.flaw().await;
    assert_eq!(kind, StsFlawKind::Fetch);
    assert!(
        why.contains("127.0.0.1, which is private or our own"),
        "{why}"
    );
    assert!(scene.server.requests().is_empty());
}

#[tokio::test]
async fn a_policy_host_with_a_certificate_for_another_name_is_not_trusted() {
    let mut scene = scene().await;
    scene.domain = Domain::parse("b.example").unwrap();
    scene.changes(&[
        ("_mta-sts.b.example", Data::Txt("v=STSv1; id=1")),
        ("mta-sts.b.example", Data::A([127, 0, 0, 1])),
    ]);
    scene.sts.https = scene.server.client(scene.dns.resolver());
    let (kind, why) = scene.flaw().await;
    assert_eq!(kind, StsFlawKind::Untrusted, "{why}");
    assert!(scene.server.requests().is_empty());
}
