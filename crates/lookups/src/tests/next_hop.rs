use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use config::Config;
use mail::Mailbox;
use relay_policy::{Fact, RecipientSource};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::recipients;
use crate::recipients::RecipientLookup;

/// The configuration of a relay for `example.com`, whose mail goes this way.
pub(super) fn config(route: &str) -> Config {
    config_with(route, "")
}

/// The same, with more lines for the domain.
fn config_with(route: &str, more: &str) -> Config {
    let text = format!(
        "hostname = \"relay.example\"\n[domain.\"example.com\"]\nroute = \"{}\"\n{more}\n",
        if route.is_empty() {
            "[127.0.0.1]"
        } else {
            route
        }
    );
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let environment = config::Environment {
        hostname: None,
        addresses: Vec::new(),
    };
    let loaded = config::load(file.path(), &config::Disk, &environment);
    loaded.unwrap().config
}

type Lines = Arc<Mutex<Vec<String>>>;

/// A server that knows `ann`, and hangs up after so many commands; what it was told.
async fn server(commands_max: usize) -> (SocketAddr, Lines) {
    server_offering("SIZE", commands_max).await
}

/// The same, with an extension.
async fn server_offering(offer: &'static str, commands_max: usize) -> (SocketAddr, Lines) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let lines = Lines::default();
    let shared = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(talk(stream, offer, Arc::clone(&shared), commands_max));
        }
    });
    (address, lines)
}

async fn talk(stream: TcpStream, offer: &str, seen: Lines, commands_max: usize) {
    let mut stream = BufReader::new(stream);
    if stream.write_all(b"220 mx.example\r\n").await.is_err() {
        return;
    }
    for _ in 0..commands_max {
        let mut line = String::new();
        if stream.read_line(&mut line).await.unwrap_or(0) == 0 {
            return;
        }
        let hello = format!("250-mx.example\r\n250 {offer}");
        let reply = match line.trim_end() {
            line if line.starts_with("EHLO") => &*hello,
            "STARTTLS" => "220 ready",
            // Whoever waits for the answer waits for long.
            "QUIT" => {
                seen.lock().unwrap().push("QUIT".to_owned());
                continue;
            }
            "RCPT TO:<ann@example.com>" => "250 2.1.5 ok",
            "RCPT TO:<policy@example.com>" => "550 5.7.1 not you",
            line if line.starts_with("RCPT") => "550 5.1.1 unknown",
            _ => "250 ok",
        };
        seen.lock().unwrap().push(line.trim_end().to_owned());
        if stream
            .write_all(format!("{reply}\r\n").as_bytes())
            .await
            .is_err()
            || line.starts_with("STARTTLS")
        {
            return;
        }
    }
}

async fn lookup() -> RecipientLookup {
    let verify = config::Verify {
        positive: Duration::from_secs(60),
        negative: Duration::from_secs(60),
        timeout: Duration::from_secs(10),
    };
    recipients(BTreeMap::new(), verify, config("")).await
}

async fn ask(lookup: &RecipientLookup, config: &Config, recipient: &str) -> Fact<()> {
    let recipient = Mailbox::parse(recipient).unwrap();
    lookup
        .recipient(config, &RecipientSource::NextHop, &recipient)
        .await
}

fn count(lines: &Lines, start: &str) -> usize {
    let lines = lines.lock().unwrap();
    lines.iter().filter(|line| line.starts_with(start)).count()
}

#[tokio::test]
async fn the_next_hop_is_asked_on_one_connection_and_remembered() {
    let (address, lines) = server(usize::MAX).await;
    let config = config(&format!("[127.0.0.1]:{}", address.port()));
    let lookup = lookup().await;
    for _ in 0..2 {
        assert_eq!(
            ask(&lookup, &config, "ann@example.com").await,
            Fact::Yes(())
        );
        assert_eq!(ask(&lookup, &config, "bob@example.com").await, Fact::No);
        assert_eq!(
            ask(&lookup, &config, "policy@example.com").await,
            Fact::CannotTell
        );
    }
    assert_eq!(
        ask(&lookup, &config, "\u{e4}nn@example.com").await,
        Fact::CannotTell
    );
    let counts = ["EHLO relay.example", "MAIL FROM:<>", "RCPT", "RSET", "DATA"];
    assert_eq!(counts.map(|start| count(&lines, start)), [1, 3, 3, 3, 0]);
}

#[tokio::test]
async fn a_connection_that_was_closed_is_replaced() {
    // EHLO, MAIL, RCPT, RSET, and the server hangs up.
    let (address, lines) = server(4).await;
    let config = config(&format!("[127.0.0.1]:{}", address.port()));
    let lookup = lookup().await;
    assert_eq!(
        ask(&lookup, &config, "ann@example.com").await,
        Fact::Yes(())
    );
    assert_eq!(ask(&lookup, &config, "bob@example.com").await, Fact::No);
    assert_eq!(count(&lines, "EHLO"), 2);
}

#[tokio::test]
async fn the_answer_does_not_wait_for_the_one_to_quit() {
    let (address, lines) = server_offering("LIMITS MAILMAX=1", usize::MAX).await;
    let config = config(&format!("[127.0.0.1]:{}", address.port()));
    let lookup = lookup().await;
    for (recipient, known) in [("ann", Fact::Yes(())), ("bob", Fact::No)] {
        let recipient = format!("{recipient}@example.com");
        assert_eq!(ask(&lookup, &config, &recipient).await, known);
    }
    assert_eq!(["EHLO", "RSET"].map(|start| count(&lines, start)), [2, 0]);
}

#[tokio::test]
async fn a_next_hop_that_is_down_cannot_tell() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = config(&format!("[127.0.0.1]:{port}"));
    let lookup = lookup().await;
    assert_eq!(
        ask(&lookup, &config, "ann@example.com").await,
        Fact::CannotTell
    );
}

/// It offers STARTTLS, and hangs up where the handshake begins.
#[tokio::test]
async fn who_gives_no_encryption_is_asked_in_clear_only_where_none_is_demanded() {
    for (demand, known, asked) in [
        ("opportunistic", Fact::Yes(()), 1),
        ("require", Fact::CannotTell, 0),
    ] {
        let (address, lines) = server_offering("STARTTLS", usize::MAX).await;
        let route = format!("[127.0.0.1]:{}", address.port());
        let config = config_with(&route, &format!("tls = \"{demand}\""));
        let lookup = lookup().await;
        assert_eq!(ask(&lookup, &config, "ann@example.com").await, known);
        let counts = ["STARTTLS", "RCPT"].map(|start| count(&lines, start));
        assert_eq!(counts, [1, asked], "{demand}");
    }
}

/// As mail would: a password never goes out in clear.
#[tokio::test]
async fn a_route_that_signs_in_is_never_asked_in_clear() {
    let (address, lines) = server(usize::MAX).await;
    let route = format!(
        "[route.cloud]\nhosts = \"[127.0.0.1]:{}\"\ntls = \"opportunistic\"\n\
         auth.user = \"us\"\nauth.secret = \"env:US\"",
        address.port()
    );
    let config = config_with("cloud", &route);
    let lookup = lookup().await;
    assert_eq!(
        ask(&lookup, &config, "ann@example.com").await,
        Fact::CannotTell
    );
    assert_eq!(["EHLO", "MAIL"].map(|start| count(&lines, start)), [1, 0]);
}
