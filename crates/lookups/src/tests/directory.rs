use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use mail::{Mailbox, Place};
use relay_policy::{Fact, RecipientSource};
use sign_in::Tried;

use super::pretend_directory::{Person, PretendDirectory};
use super::recipients;
use crate::directory::Directory;
use crate::resolver::pretend::Pretend as Dns;

const PEOPLE: &[Person] = &[
    ("ann@example.com", "uid=ann,dc=example", "right"),
    ("two@example.com", "uid=two,dc=example", "right"),
    ("two@example.com", "uid=second,dc=example", "right"),
    ("empty@example.com", "", "right"),
    ("-", "cn=service", "service"),
];

async fn directory(server: &PretendDirectory) -> Directory {
    let dns = Dns::serve(&[]).await;
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "service\n").unwrap();
    let settings = config::Directory {
        name: "main".into(),
        url: format!("ldap://{}", server.address),
        start_tls: false,
        ca: None,
        bind: Some("cn=service".to_owned()),
        secret: Some(config::Secret::File(secret.path().to_owned())),
        base: "dc=example".to_owned(),
        filter: "(|(mail=%s)(proxyAddresses=smtp:%s))".to_owned(),
        user_filter: "(mail=%s)".to_owned(),
        filters_written: config::FiltersWritten::default(),
        user_name: "mail".to_owned(),
        timeout: Duration::from_secs(10),
        place: Place::Default,
    };
    Directory::new(&settings, dns.resolver()).unwrap()
}

fn mailbox(text: &str) -> Mailbox {
    Mailbox::parse(text).unwrap()
}

#[tokio::test]
async fn recipients_are_looked_up_on_one_kept_connection() {
    let server = PretendDirectory::serve(PEOPLE, usize::MAX).await;
    let directory = directory(&server).await;
    for (recipient, expected) in [
        ("ann@example.com", Ok(true)),
        ("two@example.com", Ok(true)),
        ("bob@example.com", Ok(false)),
        (
            "busy@example.com",
            Err("ldap.main: the directory answered code 51".to_owned()),
        ),
        ("ann@example.com", Ok(true)),
    ] {
        let found = directory.has_recipient(&mailbox(recipient)).await;
        assert_eq!(found, expected, "{recipient}");
    }
    let seen = server.seen.lock().unwrap();
    // Trouble costs the connection, nothing else does: the kept one, one more try, and a new one
    // after that. The first time that nobody was found, the schema is asked for.
    assert_eq!((seen.connections, seen.searches), (3, 7));
    assert!(
        seen.binds
            .iter()
            .all(|(name, password)| name == "cn=service" && password == "service")
    );
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    // One bind and one search each.
    let server = PretendDirectory::serve(PEOPLE, 2).await;
    let directory = directory(&server).await;
    for _ in 0..3 {
        assert_eq!(
            directory.has_recipient(&mailbox("ann@example.com")).await,
            Ok(true)
        );
    }
    assert_eq!(server.seen.lock().unwrap().connections, 3);
}

#[tokio::test]
async fn passwords_are_tried_by_a_bind_of_their_own() {
    let server = PretendDirectory::serve(PEOPLE, usize::MAX).await;
    let directory = directory(&server).await;
    let user = directory
        .verify("Ann@example.com".to_lowercase().as_str(), "right")
        .await;
    let Ok(Tried::Right(user)) = user else {
        panic!("{user:?}")
    };
    assert_eq!(
        (&*user.name, user.dn.as_str()),
        ("ann@example.com", "uid=ann,dc=example")
    );
    let names = ["ann@example.com", "uid=ann,dc=example"].map(str::to_owned);
    assert_eq!(user.names.as_deref(), Some(&names[..]));
    let wrong = || Tried::Wrong("ann@example.com".into());
    for (name, password, expected) in [
        ("ann@example.com", "wrong", wrong()),
        ("ann@example.com", "service", wrong()),
        ("bob@example.com", "right", Tried::Unknown),
        // Two entries, one without a name.
        ("two@example.com", "right", Tried::Unknown),
        ("empty@example.com", "right", Tried::Unknown),
        ("", "right", Tried::Unknown),
    ] {
        let user = directory.verify(name, password).await;
        assert_eq!(user, Ok(expected), "{name} {password}");
    }
    assert!(directory.verify("busy", "right").await.is_err());
    let binds = server.seen.lock().unwrap().binds.len();
    let without = directory.verify("ann@example.com", "").await;
    assert_eq!(without, Ok(Tried::Unknown));
    assert_eq!(server.seen.lock().unwrap().binds.len(), binds);
}

#[tokio::test]
async fn answers_about_recipients_are_kept() {
    let server = PretendDirectory::serve(PEOPLE, usize::MAX).await;
    let directories = BTreeMap::from([("main".into(), Arc::new(directory(&server).await))]);
    let config = super::next_hop::config("");
    let lookup = recipients(
        directories,
        config::Verify::default(),
        super::next_hop::config(""),
    )
    .await;
    let ask = async |name: &str, recipient: &str| {
        let source = RecipientSource::Ldap(name.into());
        lookup
            .recipient(&config, &source, &mailbox(recipient))
            .await
    };
    let (one, two) = tokio::join!(
        ask("main", "ann@example.com"),
        ask("main", "Ann@Example.COM")
    );
    assert_eq!((one, two), (Fact::Yes(()), Fact::Yes(())));
    assert_eq!(ask("main", "bob@example.com").await, Fact::No);
    assert_eq!(ask("main", "bob@example.com").await, Fact::No);
    // A letter that only looks like another makes another recipient, and no answer for that one.
    assert_eq!(ask("main", "mi\u{212a}e@example.com").await, Fact::No);
    assert_eq!(ask("main", "mike@example.com").await, Fact::No);
    assert_eq!(ask("main", "busy@example.com").await, Fact::CannotTell);
    assert_eq!(ask("gone", "ann@example.com").await, Fact::CannotTell);
    assert_eq!(server.seen.lock().unwrap().searches, 7);
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_trouble_not_a_no() {
    let server = PretendDirectory::serve(PEOPLE, 0).await;
    let directory = directory(&server).await;
    assert!(
        directory
            .has_recipient(&mailbox("ann@example.com"))
            .await
            .is_err()
    );
    assert!(directory.verify("ann@example.com", "right").await.is_err());
}
