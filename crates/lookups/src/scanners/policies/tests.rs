use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use config::{Scanner, ScannerAddress, ScannerKind};
use mail::{Certificate, Client, Mailbox, Place};
use screening::When;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio::sync::Notify;

use super::*;
use crate::resolver::Resolver;
use crate::resolver::pretend::Pretend;

/// How a service of ours behaves.
#[derive(Clone)]
enum Behaviour {
    /// Answers each question with this.
    Answers(&'static str),
    /// Answers the first of a connection with this, and then closes it.
    AnswersOnce(&'static str),
    /// Answers an octet at a time, and is done.
    Trickles(&'static str),
    /// Reads and never answers.
    Silent,
    /// Closes when it was asked.
    Closes,
    /// Answers with the beginning of an answer, and closes.
    ClosesWithin,
    /// Never ends its answer.
    Endless(&'static str),
}

/// Where it is, what it was asked last, and over how many connections.
struct Service {
    address: ScannerAddress,
    connections: Arc<AtomicUsize>,
}

async fn service(behaviour: Behaviour) -> Service {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(socket, behaviour.clone()));
        }
    });
    Service {
        address: ScannerAddress::Tcp("127.0.0.1".into(), port),
        connections,
    }
}

async fn serve(mut socket: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    let mut asked = Vec::new();
    loop {
        while !asked.ends_with(b"\n\n") {
            asked.push(socket.read_u8().await?);
        }
        let whole = String::from_utf8_lossy(&asked);
        assert!(
            whole.starts_with("request=smtpd_access_policy\n"),
            "{whole}"
        );
        asked.clear();
        match behaviour {
            Behaviour::Answers(answer) => socket.write_all(answer.as_bytes()).await?,
            Behaviour::AnswersOnce(answer) => {
                socket.write_all(answer.as_bytes()).await?;
                return socket.shutdown().await;
            }
            Behaviour::Trickles(answer) => {
                for octet in answer.bytes() {
                    socket.write_u8(octet).await?;
                    socket.flush().await?;
                    tokio::task::yield_now().await;
                }
            }
            Behaviour::Silent => std::future::pending().await,
            Behaviour::Closes => return Ok(()),
            Behaviour::ClosesWithin => {
                socket.write_all(b"action=rej").await?;
                return socket.shutdown().await;
            }
            Behaviour::Endless(piece) => loop {
                socket.write_all(piece.as_bytes()).await?;
            },
        }
    }
}

fn settings(name: &str, services: &[&Service]) -> Scanner {
    Scanner {
        name: name.into(),
        kind: ScannerKind::Policy,
        addresses: services.iter().map(|one| one.address.clone()).collect(),
        service: "".into(),
        secret: None,
        settings_id: None,
        learning: None,
        timeout: Duration::from_secs(30),
        max_size: None,
        parallel: 4,
        asked_at_end: false,
        obey: true,
        postpones_on_failure: true,
        may_add: config::MayAdd::default(),
        when: When::default(),
        place: Place::Default,
    }
}

async fn scanners(all: &[(&str, &[&Service])], change: impl Fn(&mut Scanner)) -> Scanners {
    let settings = all.iter().map(|(name, services)| {
        let mut settings = settings(name, services);
        change(&mut settings);
        Arc::new(settings)
    });
    let resolver = Pretend::serve(&[]).await.resolver();
    Scanners::new(&settings.collect::<Vec<_>>(), &resolver).unwrap()
}

async fn consult(scanners: &Scanners, services: &[&str]) -> Advice {
    consult_after(scanners, services, Duration::ZERO).await
}

/// The same, where recipients of the message before have taken this long.
async fn consult_after(scanners: &Scanners, services: &[&str], taken: Duration) -> Advice {
    let peer = "203.0.113.9:4711".parse().unwrap();
    let asked = Consultation {
        services: services.iter().map(|name| (*name).into()).collect(),
        client: Client::new(peer, "192.0.2.25:25".parse().unwrap(), "internet".into()),
        name: Fact::No,
        sender: ReversePath::Null,
        recipient: Mailbox::parse("bob@hosted.test").unwrap(),
    };
    let caller = Caller {
        taken,
        ..Caller::default()
    };
    scanners.consult(&asked, &caller).await
}

/// What becomes of the recipient, and what is told of it.
fn shown(advice: &Advice) -> String {
    let end = match &advice.consulted {
        Consulted::Passes => "passes".to_owned(),
        Consulted::Against {
            service,
            reply,
            why,
        } => format!("{service}: {reply} [{why}]"),
    };
    let findings = advice.findings.iter();
    let findings = findings.map(|(name, finding)| format!("; {name} {finding}"));
    format!("{end}{}", findings.collect::<String>())
}

async fn answer_of(services: &[(&str, &'static str)], change: impl Fn(&mut Scanner)) -> Advice {
    let mut started = Vec::new();
    for (name, answer) in services {
        started.push((*name, service(Behaviour::Answers(answer)).await));
    }
    let places: Vec<[&Service; 1]> = started.iter().map(|(_, one)| [one]).collect();
    let all = started.iter().zip(&places);
    let all: Vec<(&str, &[&Service])> = all.map(|((name, _), at)| (*name, &at[..])).collect();
    let names: Vec<&str> = services.iter().map(|(name, _)| *name).collect();
    consult(&scanners(&all, change).await, &names).await
}

#[tokio::test]
async fn an_answer_says_what_becomes_of_the_recipient() {
    for (answer, expected) in [
        ("action=DUNNO\n\n", "passes; a clean"),
        ("action=ok\r\n\r\n", "passes; a clean"),
        ("action=\n\n", "passes; a clean"),
        ("action=Hold  it \n\n", "passes; a quarantine (it)"),
        ("action=discard\n\n", "passes; a discard"),
        ("action=warn look\n\n", "passes; a clean"),
        (
            "action=REJECT No\x1b[2J\n\n",
            "a: 554 5.7.1 No\\x1b[2J [554 5.7.1 No\\x1b[2J]",
        ),
        ("action=451 4.3.0 x\n\n", "a: 451 4.3.0 x [451 4.3.0 x]"),
        (
            "action=defer_if_permit Come again\n\n",
            "a: 450 4.7.1 Come again [450 4.7.1 Come again]",
        ),
    ] {
        let advice = answer_of(&[("a", answer)], |_| {}).await;
        assert_eq!(shown(&advice), expected, "{answer}");
    }
}

#[tokio::test]
async fn fields_are_kept_even_if_a_later_service_refuses() {
    let prepend = "action=prepend Received-SPF: Pass \n\n";
    let both = [("spf", prepend), ("grey", "action=defer_if_permit x\n\n")];
    let advice = answer_of(&both, |_| {}).await;
    assert_eq!(shown(&advice), "grey: 450 4.7.1 x [450 4.7.1 x]");
    let [Edit::Add { name, value, .. }] = &advice.fields[..] else {
        panic!("{advice:?}");
    };
    assert_eq!((name.as_str(), value.as_str()), ("Received-SPF", "Pass"));
}

#[tokio::test]
async fn what_depends_on_others_waits_for_them() {
    for (first, second, expected) in [
        (
            "action=defer_if_permit a\n\n",
            "action=reject b\n\n",
            "two: 554 5.7.1 b [554 5.7.1 b]",
        ),
        (
            "action=defer_if_permit a\n\n",
            "action=ok\n\n",
            "one: 450 4.7.1 a [450 4.7.1 a]",
        ),
        (
            "action=defer_if_reject a\n\n",
            "action=reject b\n\n",
            "two: 450 4.7.1 a [554 5.7.1 b]",
        ),
        (
            "action=defer_if_reject a\n\n",
            "action=dunno\n\n",
            "passes; one clean; two clean",
        ),
        // Nobody who says yes has the others passed over.
        (
            "action=ok\n\n",
            "action=reject b\n\n",
            "two: 554 5.7.1 b [554 5.7.1 b]",
        ),
    ] {
        let advice = answer_of(&[("one", first), ("two", second)], |_| {}).await;
        assert_eq!(shown(&advice), expected, "{first}{second}");
    }
}

#[tokio::test]
async fn where_it_is_not_obeyed_its_word_is_for_rules() {
    for (answer, expected) in [
        ("action=reject b\n\n", "passes; a reject (554 5.7.1 b)"),
        ("action=450 b\n\n", "passes; a postpone (450 4.7.1 b)"),
        (
            "action=defer_if_permit b\n\n",
            "passes; a postpone (450 4.7.1 b)",
        ),
    ] {
        let advice = answer_of(&[("a", answer)], |settings| settings.obey = false).await;
        assert_eq!(shown(&advice), expected);
    }
}

/// Where mail goes is said by the configuration.
#[tokio::test]
async fn nobody_else_gets_a_message_by_its_word() {
    for answer in [
        "action=redirect x@elsewhere.test\n\n",
        "action=bcc x@elsewhere.test\n\n",
        "action=filter smtp:[192.0.2.1]\n\n",
    ] {
        let advice = answer_of(&[("a", answer)], |_| {}).await;
        let told = shown(&advice);
        assert!(
            told.starts_with("a: 451 4.3.0 The recipient cannot be checked now, try again later ["),
            "{told}"
        );
        let accepts = |settings: &mut Scanner| settings.postpones_on_failure = false;
        let advice = answer_of(&[("a", answer)], accepts).await;
        assert!(shown(&advice).starts_with("passes; a error ("), "{answer}");
    }
}

#[tokio::test]
async fn whatever_a_service_does_there_is_an_answer_in_time() {
    for (behaviour, why) in [
        (Behaviour::Silent, "no answer within 200ms"),
        (
            Behaviour::ClosesWithin,
            "closed the connection before its answer was whole",
        ),
        (
            Behaviour::Closes,
            "closed the connection before its answer was whole",
        ),
        (
            Behaviour::Endless("action=ok\n"),
            "sent more than 8192 octets as an answer",
        ),
        (
            Behaviour::Endless("x"),
            "sent more than 8192 octets as an answer",
        ),
        (
            Behaviour::Answers("HTTP/1.1 400 Bad Request\n\n"),
            "sent \"HTTP/1.1 400 Bad Request\", which is not an answer with an action",
        ),
        (
            Behaviour::Answers("action=perhaps\n\n"),
            "sent \"perhaps\", which is not an action",
        ),
    ] {
        let bad = service(behaviour).await;
        let scanners = scanners(&[("a", &[&bad])], |settings| {
            settings.timeout = Duration::from_millis(200);
        })
        .await;
        let told = shown(&consult(&scanners, &["a"]).await);
        let reply = "a: 451 4.3.0 The recipient cannot be checked now, try again later";
        assert_eq!(told, format!("{reply} [{why}]"));
        assert_eq!(scanners.states().await[0].busy, 0);
    }
}

/// Asks about a message of a client whose names nobody tells.
#[tokio::test]
async fn name_servers_that_hang_keep_nobody_from_asking() {
    let service = service(Behaviour::Answers("action=reject no\n\n")).await;
    let silent = tokio::net::UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let long = Duration::from_secs(60);
    let resolver = Arc::new(Resolver::new(&[silent.local_addr().unwrap()], long));
    let mut settings = settings("a", &[&service]);
    (settings.asked_at_end, settings.timeout) = (true, Duration::from_secs(4));
    let scanners = Scanners::new(&[Arc::new(settings)], &resolver).unwrap();
    let peer = "203.0.113.9:4711".parse().unwrap();
    let client = Client::new(peer, "192.0.2.25:25".parse().unwrap(), "internet".into());
    let subject = Subject {
        client: Some(peer.ip()),
        ..Subject::default()
    };
    let request = Request::about(&client, State::EndOfMessage);
    let content: Arc<dyn Content> = Arc::new(InMemory(Vec::new()));
    let found = scanners.ask("a", &(subject, request), &content).await;
    assert_eq!(
        found.finding.classes,
        [Class::Reject],
        "{:?}",
        found.finding
    );
}

#[tokio::test]
async fn connections_are_kept_and_renewed_and_the_next_address_is_asked() {
    let dead = service(Behaviour::Closes).await;
    let good = service(Behaviour::Answers("action=dunno\n\n")).await;
    let once = service(Behaviour::AnswersOnce("action=dunno\n\n")).await;
    let slow = service(Behaviour::Trickles("action=dunno\n\n")).await;
    let all = scanners(
        &[
            ("kept", &[&dead, &good]),
            ("once", &[&once]),
            ("slow", &[&slow]),
        ],
        |_| {},
    )
    .await;
    for _ in 0..3 {
        let told = shown(&consult(&all, &["kept", "once", "slow"]).await);
        assert_eq!(told, "passes; kept clean; once clean; slow clean");
    }
    let count = |one: &Service| one.connections.load(Ordering::SeqCst);
    assert_eq!(
        (count(&dead), count(&good), count(&once), count(&slow)),
        (1, 1, 3, 1)
    );
    let states = all.states().await;
    assert!(states[0].places[0].trouble.is_some());
    assert!(states[0].places[1].trouble.is_none());
}

/// A question with more than one answer leaves the connection out of step: it is not used again.
#[tokio::test]
async fn an_answer_too_many_is_nobodys_answer() {
    let twice = service(Behaviour::Answers("action=dunno\n\naction=reject\n\n")).await;
    let all = scanners(&[("a", &[&twice])], |_| {}).await;
    for _ in 0..3 {
        assert_eq!(shown(&consult(&all, &["a"]).await), "passes; a clean");
    }
}

#[test]
fn all_that_is_known_is_told() {
    let peer = "203.0.113.9:4711".parse().unwrap();
    let certificate = Certificate {
        sha256: [0xab; 32],
        key_sha256: None,
        names: ["mx.out.test".into()].into(),
        trust: mail::Trust::Ok,
    };
    let client = Client {
        user: Some("ann".into()),
        mechanism: "PLAIN".into(),
        tls: Some(mail::TlsFacts {
            version: "TLSv1.3",
            cipher: "TLS13_AES_128_GCM_SHA256".into(),
            group: "X25519",
            handshake: mail::Handshake::Full,
            certificate: Some(Arc::new(certificate)),
        }),
        ..Client::new(peer, "[2001:db8::1]:25".parse().unwrap(), "internet".into())
    };
    let asked = Consultation {
        services: Box::default(),
        client,
        name: Fact::No,
        sender: ReversePath::parse("ann@out.test").unwrap(),
        recipient: Mailbox::parse("bob@hosted.test").unwrap(),
    };
    let caller = Caller {
        taken: Duration::ZERO,
        reverse_name: Domain::parse("unproven.out.test").ok(),
        hello: "mx.out.test".to_owned(),
        is_extended: true,
        id: "4x7".to_owned(),
        size: Some(1234),
    };
    let mut exchange = ::scanner::Exchange::from(::scanner::policy::Policy::new(
        &request(&asked, &caller),
        &subject(&asked, &caller),
    ));
    let mut told = Vec::new();
    exchange.write(&mut told);
    let told = String::from_utf8(told).unwrap();
    let print = vec!["AB"; 32].join(":");
    let expected = format!(
        "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\n\
         client_address=203.0.113.9\nclient_name=unknown\nclient_port=4711\n\
         reverse_client_name=unproven.out.test\nserver_address=2001:db8::1\nserver_port=25\n\
         helo_name=mx.out.test\nsender=ann@out.test\nrecipient=bob@hosted.test\n\
         recipient_count=0\nqueue_id=4x7\ninstance=4x7\nsize=1234\netrn_domain=\nstress=\n\
         sasl_method=PLAIN\nsasl_username=ann\nsasl_sender=\nccert_subject=mx.out.test\n\
         ccert_issuer=\nccert_fingerprint={print}\nccert_pubkey_fingerprint=\n\
         encryption_protocol=TLSv1.3\nencryption_cipher=TLS13_AES_128_GCM_SHA256\n\
         encryption_keysize=128\npolicy_context=\n\n"
    );
    assert_eq!(told, expected);
}

/// One answers twice: the second answer is not that to the next question.
#[tokio::test]
async fn what_came_unasked_on_a_kept_connection_answers_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy");
    let listener = UnixListener::bind(&path).unwrap();
    let (unasked, written) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (go, gone) = (Arc::clone(&unasked), Arc::clone(&written));
    let served = tokio::spawn(async move {
        let (mut first, _) = listener.accept().await.unwrap();
        answer(&mut first, b"action=dunno\n\n").await;
        go.notified().await;
        first.write_all(b"action=reject late\n\n").await.unwrap();
        gone.notify_one();
        let (mut second, _) = listener.accept().await.unwrap();
        answer(&mut second, b"action=defer new\n\n").await;
    });
    let service = Service {
        address: ScannerAddress::Unix(path),
        connections: Arc::default(),
    };
    let scanners = scanners(&[("a", &[&service])], |_| {}).await;
    assert_eq!(shown(&consult(&scanners, &["a"]).await), "passes; a clean");
    unasked.notify_one();
    written.notified().await;
    let next = shown(&consult(&scanners, &["a"]).await);
    assert_eq!(next, "a: 450 4.7.1 new [450 4.7.1 new]");
    served.await.unwrap();
}

async fn answer(socket: &mut (impl AsyncRead + AsyncWrite + Unpin), answer: &[u8]) {
    let mut asked = Vec::new();
    while !asked.ends_with(b"\n\n") {
        asked.push(socket.read_u8().await.unwrap());
    }
    socket.write_all(answer).await.unwrap();
}

/// Somebody who names many recipients at once and leaves keeps a slot no longer than that.
#[tokio::test]
async fn all_recipients_of_a_message_have_a_time_together() {
    let silent = service(Behaviour::Silent).await;
    let scanners = scanners(&[("a", &[&silent])], |_| {}).await;
    let reply = "a: 451 4.3.0 The recipient cannot be checked now, try again later";
    let nearly = MESSAGE_MAX - Duration::from_millis(100);
    let told = shown(&consult_after(&scanners, &["a"], nearly).await);
    assert!(told.starts_with(reply), "{told}");
    // Which is what it has for one recipient.
    assert!(!told.contains("within 30s"), "{told}");
    for _ in 0..5 {
        let told = shown(&consult_after(&scanners, &["a"], MESSAGE_MAX).await);
        assert_eq!(told, format!("{reply} [no time was left to ask it]"));
    }
    // It is down for nobody else.
    assert_eq!(scanners.states().await[0].places[0].trouble, None);
}
