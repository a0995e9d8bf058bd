//! Scanners that are slow, old or hostile, played by stand-ins: what they do costs their own messages, in
//! their time, and nothing else.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use crate::client::{Dialogue, message};
use crate::network::Network;
use crate::relay::Relay;
use crate::server::RecordingServer;
use crate::wait::{seconds, until, until_true};

/// The host number of a stand-in in its network.
const STAND_IN: u8 = 40;

fn listening(network: &Network, serve: impl Fn(TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((network.host(STAND_IN), 0)).expect("a port");
    let address = listener.local_addr().expect("its address");
    let serve = Arc::new(serve);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let serve = Arc::clone(&serve);
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn relay(network: Network, sections: &str) -> (Relay, RecordingServer) {
    let server = RecordingServer::start(network.mail_server());
    let mut relay = Relay::prepare(network, "");
    let route = server.route();
    relay.write_config(&format!(
        "[limits]\nrate_per_client = {{ connections = \"off\" }}\n\
         [domain.\"hosted.test\"]\nroute = \"{route}\"\n[domain.\"free.test\"]\nroute = \"{route}\"\n{sections}"
    ));
    relay.run();
    (relay, server)
}

fn sent(relay: &Relay, to: &str, id: &str) -> String {
    let mut client = Dialogue::ready(relay.network.stranger(), relay.address());
    let reply = client.submit("ann@client.test", &[to], &message(id));
    reply.text().to_owned()
}

/// A clamd, which says that all is well once its gate is open.
struct Clamd {
    address: SocketAddr,
    gate: Arc<(Mutex<bool>, Condvar)>,
    /// How many wait for it, and how many did at most.
    waiting: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl Clamd {
    fn start(network: &Network) -> Self {
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        let (waiting, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let of_all = (Arc::clone(&gate), Arc::clone(&waiting), Arc::clone(&most));
        let address = listening(network, move |mut stream| {
            let (gate, waiting, most) = &of_all;
            let mut number = 0;
            while let Some(command) = command(&mut stream) {
                match &*command {
                    "zVERSION" => {
                        let version = b"ClamAV 1.4.6/27500/Thu Jan  8 08:27:41 2026\0";
                        let _gone = stream.write_all(version);
                        continue;
                    }
                    "zPING" => {
                        let _gone = stream.write_all(b"PONG\0");
                        continue;
                    }
                    "zINSTREAM" => number += 1,
                    _ => continue,
                }
                let mut size = [0; 4];
                while stream.read_exact(&mut size).is_ok() && size != [0; 4] {
                    let mut piece = vec![0; u32::from_be_bytes(size) as usize];
                    let _gone = stream.read_exact(&mut piece);
                }
                most.fetch_max(waiting.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let open = gate.0.lock().expect("the gate");
                drop(gate.1.wait_while(open, |open| !*open).expect("the gate"));
                waiting.fetch_sub(1, Ordering::SeqCst);
                let _gone = write!(stream, "{number}: stream: OK\0");
            }
        });
        Self {
            address,
            gate,
            waiting,
            most,
        }
    }

    fn open(&self) {
        *self.gate.0.lock().expect("the gate") = true;
        self.gate.1.notify_all();
    }
}

/// The next command of clamd's protocol, which a NUL ends.
fn command(stream: &mut TcpStream) -> Option<String> {
    let (mut text, mut octet) = (String::new(), [0]);
    loop {
        stream.read_exact(&mut octet).ok()?;
        match octet {
            [0] => return Some(text),
            [octet] => text.push(char::from(octet)),
        }
    }
}

#[test]
fn a_slow_scanner_holds_no_more_than_its_share_and_old_signatures_are_told_of() {
    let network = Network::new();
    let clamd = Clamd::start(&network);
    let (relay, server) = relay(
        network,
        &format!(
            "[scanner.slow]\nkind = \"clamd\"\naddress = \"{}\"\nto = \"hosted.test\"\nparallel = 2\n",
            clamd.address
        ),
    );
    thread::scope(|scope| {
        let ids = ["one", "two", "three", "four"];
        let asked = ids.map(|id| scope.spawn(|| sent(&relay, "bob@hosted.test", id)));
        until_true("two messages at the scanner", seconds(30), || {
            clamd.waiting.load(Ordering::SeqCst) == 2
        });
        // Those who have nothing to do with it are served.
        for number in 0..5 {
            let reply = sent(&relay, "bob@free.test", &format!("beside-{number}"));
            assert!(reply.starts_with("250 "), "{reply}");
        }
        clamd.open();
        for reply in asked {
            let reply = reply.join().expect("a reply");
            assert!(reply.starts_with("250 "), "{reply}");
        }
        ids.iter().for_each(|id| drop(server.wait_for(id)));
    });
    assert_eq!(clamd.most.load(Ordering::SeqCst), 2);
    let told = until("the version", seconds(30), || {
        let status = relay.command(&["status"]).text();
        status.contains("days old").then_some(status)
    });
    let attention = "attention the signatures of the scanner slow at";
    assert!(told.contains(attention), "{told}");
    let metrics = relay.command(&["status", "--metrics"]).text();
    let age = metrics.lines().find_map(|line| {
        line.strip_prefix("gatepost_scanner_signatures_age_seconds{scanner=\"slow\"} ")
    });
    let days = age.expect(&metrics).parse::<f64>().expect("a number") / 86_400.0;
    assert!(days > 7.0, "{days}");
}

/// What a hostile scanner answers, whatever it is asked.
#[derive(Clone, Copy, Debug)]
enum Answer {
    Zeros,
    Lines,
    Noise,
    Headers,
    HugeLength,
    Close,
    Silence,
}

const ANSWERS: [Answer; 7] = [
    Answer::Zeros,
    Answer::Lines,
    Answer::Noise,
    Answer::Headers,
    Answer::HugeLength,
    Answer::Close,
    Answer::Silence,
];

/// So much of what has no end goes out at most, if nobody hangs up before.
const ENDLESS: usize = 64 << 20;

fn answer(mut stream: TcpStream, answer: Answer, is_over: &AtomicBool) {
    let _heard = stream.read(&mut [0; 4096]);
    let piece = match answer {
        Answer::Zeros => vec![0; 65_536],
        Answer::Lines => b"OK\r\n".repeat(16_384),
        Answer::Noise => (0..65_536_u32)
            .map(|at| (at.wrapping_mul(2_654_435_761) >> 24).to_le_bytes()[0])
            .collect(),
        Answer::Headers => {
            let _gone = stream.write_all(b"HTTP/1.1 200 OK\r\n");
            b"X-Field: and so on\r\n".repeat(4096)
        }
        Answer::HugeLength => {
            // As milters, as HTTP and ICAP, and as spamd count.
            let lengths: [&[u8]; 3] = [
                b"\xff\xff\xff\xff",
                b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
                b"SPAMD/1.5 0 EX_OK\r\nContent-length: 99999999999\r\n\r\n",
            ];
            for length in lengths {
                let _gone = stream.write_all(length);
            }
            Vec::new()
        }
        Answer::Close => return,
        Answer::Silence => Vec::new(),
    };
    let mut left = ENDLESS / piece.len().max(1);
    while !piece.is_empty() && left > 0 && stream.write_all(&piece).is_ok() {
        left -= 1;
    }
    until_true("the end", seconds(120), || is_over.load(Ordering::SeqCst));
}

/// Whatever a scanner of this kind answers costs its own messages, and no others.
fn hostile(kind: &str) {
    let network = Network::new();
    let is_over = Arc::new(AtomicBool::new(false));
    let names = ANSWERS.map(|one| format!("{one:?}").to_lowercase());
    let service = match kind {
        "icap" | "hook" => "service = \"/scan\"\n",
        _ => "",
    };
    let sections = ANSWERS.iter().zip(&names).map(|(&one, name)| {
        let is_over = Arc::clone(&is_over);
        let address = listening(&network, move |stream| answer(stream, one, &is_over));
        format!(
            "[scanner.{name}]\nkind = \"{kind}\"\naddress = \"{address}\"\n{service}\
             to = \"{name}@hosted.test\"\ntimeout = \"4s\"\n"
        )
    });
    let sections: String = sections.collect();
    let (relay, server) = relay(network, &sections);
    thread::scope(|scope| {
        let relay = &relay;
        let asked = names.each_ref().map(|name| {
            let to = format!("{name}@hosted.test");
            scope.spawn(move || sent(relay, &to, name))
        });
        for number in 0..5 {
            let reply = sent(relay, "bob@free.test", &format!("beside-{number}"));
            assert!(reply.starts_with("250 "), "{reply}");
        }
        for (reply, name) in asked.into_iter().zip(&names) {
            let reply = reply.join().expect("a reply");
            assert!(reply.starts_with("451 4.3.0 "), "{name}: {reply}");
        }
    });
    is_over.store(true, Ordering::SeqCst);
    (0..5).for_each(|number| drop(server.wait_for(&format!("beside-{number}"))));
    assert_eq!(server.count(), 5);
    assert!(!relay.log().contains("panic"));
}

macro_rules! whatever_it_answers_costs_its_own_messages_alone {
    ($($kind:ident)+) => {$(
        #[test]
        fn $kind() {
            hostile(stringify!($kind));
        }
    )+};
}

whatever_it_answers_costs_its_own_messages_alone! { clamd rspamd spamd icap milter hook }
