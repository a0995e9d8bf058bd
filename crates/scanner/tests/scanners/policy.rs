//! postgrey, and the SPF policy service that Postfix's users have.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use scanner::policy::{Policy, Request};
use scanner::{Answer, Exchange, PolicyAction, Subject};

use crate::connection::Address;
use crate::message::subject;
use crate::server::{Server, folder, free_address};

fn about(recipient: &str, instance: &str) -> Request {
    Request {
        recipient: Some(recipient.to_owned()),
        instance: instance.to_owned(),
        is_extended: true,
        ..Request::default()
    }
}

#[test]
fn postgrey_postpones_whom_it_does_not_know() {
    let folder = folder();
    let address = free_address();
    let mut command = Command::new("/usr/sbin/postgrey");
    command
        .args([
            "--user=nobody",
            "--group=nogroup",
            "--delay=3600",
            "--greylist-text=Come again",
        ])
        .arg(format!("--inet={address}"))
        .arg(format!("--dbdir={}", folder.path().display()));
    let server = Server::start(command, Address::Tcp(address), folder);
    let mut connection = server.open();
    // Several on one connection.
    for recipient in ["bob@example.com", "carol@example.com", "bob@example.com"] {
        let policy = Policy::new(&about(recipient, "1"), &subject(0));
        match connection.ask(policy, &[]) {
            Ok((Answer::Action(PolicyAction::PostponeIfPermitted(text)), true)) => {
                assert!(text.contains("Come again"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn policyd_spf_adds_its_field_once_for_an_instance() {
    let mut process = Command::new("/usr/bin/policyd-spf")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the service is installed: scripts/test scanners");
    let mut write = process.stdin.take().expect("a pipe");
    let mut read = process.stdout.take().expect("a pipe");
    // It asks DNS about nobody who connects from here.
    let here = Subject {
        client: Some("127.0.0.1".parse().expect("an address")),
        ..subject(0)
    };
    let mut ask = |recipient: &str, instance: &str| {
        let mut exchange = Exchange::from(Policy::new(&about(recipient, instance), &here));
        let mut out = Vec::new();
        exchange.write(&mut out);
        write.write_all(&out).expect("a question");
        let mut piece = [0; 1024];
        loop {
            let count = read.read(&mut piece).expect("an answer");
            assert_ne!(count, 0, "it ended");
            match exchange.read(&piece[..count]) {
                Ok(Some(Answer::Action(action))) => return action,
                Ok(None) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    let first = ask("bob@example.com", "1");
    assert!(matches!(first, PolicyAction::Prepend(_)), "{first:?}");
    assert_eq!(ask("carol@example.com", "1"), PolicyAction::Dunno);
    let another = ask("bob@example.com", "2");
    assert!(matches!(another, PolicyAction::Prepend(_)), "{another:?}");
    drop(write);
    process.wait().expect("it ends");
}
