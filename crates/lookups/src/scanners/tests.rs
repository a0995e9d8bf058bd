use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ::scanner::{Content, Subject};
use config::{Scanner, ScannerAddress, ScannerKind};
use mail::Place;
use screening::{Class, When};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::{Found, Request, Scanners};
use crate::resolver::pretend::Pretend;

struct Text(Vec<u8>);

impl Content for Text {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn is_in_memory(&self) -> bool {
        false
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[usize::try_from(at).unwrap()..];
        let octets = rest.len().min(to.len());
        to[..octets].copy_from_slice(&rest[..octets]);
        Ok(octets)
    }
}

/// How a pretended clamd behaves once it is connected to.
#[derive(Clone, Copy)]
enum Behaviour {
    /// Reads all of the stream, answers with this.
    Answers(&'static str),
    /// Answers with this when it has seen the first chunk.
    AnswersEarly(&'static str),
    /// Finds nothing in so many contents of a connection, and closes it.
    Answered(u32),
    /// Reads and never answers.
    Hangs,
    /// Closes at once.
    Closes,
}

/// A clamd of ours: where it is, and how often it was connected to.
async fn clamd(behaviour: Behaviour) -> (ScannerAddress, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(serve(socket, behaviour));
        }
    });
    (ScannerAddress::Tcp("127.0.0.1".into(), port), connections)
}

async fn serve(mut socket: TcpStream, behaviour: Behaviour) -> io::Result<()> {
    if let Behaviour::Closes = behaviour {
        return Ok(());
    }
    let mut begin = [0; 11];
    socket.read_exact(&mut begin).await?;
    assert_eq!(&begin, b"zIDSESSION\0");
    let mut command = [0; 10];
    socket.read_exact(&mut command).await?;
    assert_eq!(&command, b"zINSTREAM\0");
    let (mut content, mut number) = (Vec::new(), 1);
    loop {
        let octets = socket.read_u32().await?;
        let mut chunk = vec![0; octets as usize];
        socket.read_exact(&mut chunk).await?;
        content.extend_from_slice(&chunk);
        match behaviour {
            Behaviour::AnswersEarly(answer) => {
                socket.write_all(answer.as_bytes()).await?;
                return socket.shutdown().await;
            }
            Behaviour::Answers(answer) if octets == 0 => {
                assert!(content.starts_with(b"Subject: x"));
                socket.write_all(answer.as_bytes()).await?;
                return socket.shutdown().await;
            }
            Behaviour::Answered(most) if octets == 0 => {
                let answer = format!("{number}: stream: OK\0");
                socket.write_all(answer.as_bytes()).await?;
                if number == most {
                    return socket.shutdown().await;
                }
                number += 1;
                socket.read_exact(&mut command).await?;
            }
            Behaviour::Hangs if octets == 0 => std::future::pending().await,
            _ => {}
        }
    }
}

async fn scanners(addresses: &[&ScannerAddress], change: impl FnOnce(&mut Scanner)) -> Scanners {
    let mut settings = Scanner {
        name: "clam".into(),
        kind: ScannerKind::Clamd,
        addresses: addresses.iter().map(|one| (*one).clone()).collect(),
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
    };
    change(&mut settings);
    let resolver = Pretend::serve(&[]).await.resolver();
    Scanners::new(&[Arc::new(settings)], &resolver).unwrap()
}

async fn ask(scanners: &Scanners, octets: usize) -> Found {
    let mut text = b"Subject: x\r\n\r\n".to_vec();
    text.resize(text.len() + octets, b'x');
    let subject = Subject {
        size: text.len() as u64,
        ..Subject::default()
    };
    let content: Arc<dyn Content> = Arc::new(Text(text));
    scanners
        .ask("clam", &(subject, Request::default()), &content)
        .await
}

#[tokio::test]
async fn a_scanner_is_given_all_and_its_word_is_heard() {
    let (address, _) = clamd(Behaviour::Answers("1: stream: Test.Signature FOUND\0")).await;
    let scanners = scanners(&[&address], |_| {}).await;
    for octets in [0, 10, 64 << 10, 1 << 20] {
        let found = ask(&scanners, octets).await.finding;
        assert_eq!(found.to_string(), "infected (Test.Signature)");
    }
    let (address, _) = clamd(Behaviour::Answers("1: stream: OK\0")).await;
    let scanners = self::scanners(&[&address], |_| {}).await;
    assert!(ask(&scanners, 10).await.finding.is_clean());
    assert_eq!(scanners.states().await[0].busy, 0);
}

#[tokio::test]
async fn messages_follow_one_another_on_a_connection_while_it_lasts() {
    let (address, connections) = clamd(Behaviour::Answered(3)).await;
    let scanners = scanners(&[&address], |_| {}).await;
    for message in 0..9 {
        let found = ask(&scanners, 10).await.finding;
        assert!(found.is_clean(), "{message}: {found}");
    }
    assert_eq!(connections.load(Ordering::SeqCst), 3);
    assert_eq!(scanners.by_name["clam"].places.states()[0].failed, 0);
}

#[tokio::test]
async fn what_a_scanner_says_before_it_has_read_all_is_heard() {
    let answer = "1: INSTREAM size limit exceeded. ERROR\0";
    let (address, _) = clamd(Behaviour::AnswersEarly(answer)).await;
    let scanners = scanners(&[&address], |_| {}).await;
    let found = ask(&scanners, 16 << 20).await.finding;
    assert_eq!(found.classes, [Class::Limit], "{found}");
}

#[tokio::test]
async fn the_next_address_is_asked_where_one_fails_and_that_one_rests() {
    let (bad, asked) = clamd(Behaviour::Closes).await;
    let (good, _) = clamd(Behaviour::Answers("1: stream: OK\0")).await;
    let scanners = scanners(&[&bad, &good], |_| {}).await;
    for _ in 0..3 {
        assert!(ask(&scanners, 10).await.finding.is_clean());
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let states = scanners.states().await;
    let places = &states[0].places;
    assert!(places[0].trouble.is_some() && places[1].trouble.is_none());
    assert_eq!((places[0].failed, places[1].asked), (1, 3));
}

#[tokio::test]
async fn who_does_not_answer_in_time_has_not_been_heard() {
    let (hung, asked) = clamd(Behaviour::Hangs).await;
    let scanners = scanners(&[&hung], |settings| {
        settings.timeout = Duration::from_millis(100);
        settings.parallel = 1;
    })
    .await;
    // The second one has its turn only when the first has given up, and then it is too late.
    let one_waits = async {
        while scanners.by_name["clam"].waiting.load(Ordering::Relaxed) != 1 {
            tokio::task::yield_now().await;
        }
    };
    let (first, second, ()) = tokio::join!(ask(&scanners, 10), ask(&scanners, 10), one_waits);
    assert_eq!(scanners.by_name["clam"].waiting.load(Ordering::Relaxed), 0);
    assert!(
        first
            .took
            .is_some_and(|took| took >= Duration::from_millis(100))
    );
    assert_eq!(first.finding.to_string(), "error (no answer within 100ms)");
    assert_eq!(second.finding.classes, [Class::Error]);
    // One that stumbles over one message is asked about the next; over several in a row, it rests.
    for _ in 0..3 {
        ask(&scanners, 10).await;
    }
    let before = asked.load(Ordering::SeqCst);
    let found = ask(&scanners, 10).await.finding;
    let why = "error (not asked again yet after: no answer within 100ms)";
    assert_eq!(found.to_string(), why);
    assert_eq!(asked.load(Ordering::SeqCst), before);
}

/// Gives few octets at a time, as a message does whose parts lie in several places.
struct Trickle(&'static [u8]);

impl Content for Trickle {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }

    fn is_in_memory(&self) -> bool {
        true
    }

    fn read_at(&self, at: u64, to: &mut [u8]) -> io::Result<usize> {
        let rest = &self.0[usize::try_from(at).unwrap()..];
        let octets = rest.len().min(to.len()).min(7);
        to[..octets].copy_from_slice(&rest[..octets]);
        Ok(octets)
    }
}

#[tokio::test]
async fn a_hook_is_shown_the_whole_header() {
    let message =
        b"Received: here\r\nFrom: ann@out.test\r\nSubject: one\r\n two\r\n\r\nno: field\r\n";
    let content: Arc<dyn Content> = Arc::new(Trickle(message));
    let header = super::header_of(&content).await.unwrap();
    let shown: Vec<String> = header
        .into_iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let expected = ["Received=here", "From=ann@out.test", "Subject=one\r\n two"];
    assert_eq!(shown, expected);
}
