//! An LDAP server of the tests' own, on loopback: binds and searches only.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What a search must hold to find the entry, which is its mail address, the entry's name, its
/// password.
pub(super) type Person = (&'static str, &'static str, &'static str);

#[derive(Default)]
pub(super) struct Seen {
    pub connections: usize,
    pub binds: Vec<(String, String)>,
    pub searches: usize,
}

pub(super) struct PretendDirectory {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Seen>>,
}

impl PretendDirectory {
    /// `answers_max`: operations after which a connection is closed.
    pub(super) async fn serve(people: &'static [Person], answers_max: usize) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                shared.lock().unwrap().connections += 1;
                tokio::spawn(talk(stream, people, answers_max, Arc::clone(&shared)));
            }
        });
        Self { address, seen }
    }
}

async fn talk(
    mut stream: TcpStream,
    people: &'static [Person],
    answers_max: usize,
    seen: Arc<Mutex<Seen>>,
) {
    let mut input = Vec::new();
    for _ in 0..answers_max {
        let message = loop {
            if let Some(message) = take(&mut input) {
                break message;
            }
            match stream.read_buf(&mut input).await {
                Ok(1..) => {}
                Ok(0) | Err(_) => return,
            }
        };
        let Some(answer) = answer(&message, people, &mut seen.lock().unwrap()) else {
            return;
        };
        if stream.write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn answer(message: &[u8], people: &[Person], seen: &mut Seen) -> Option<Vec<u8>> {
    let (_, number, rest) = element(message)?;
    let (kind, body, _) = element(rest)?;
    let reply = |kind: u8, content: &[u8]| {
        let id = tlv(2, number);
        tlv(0x30, &[id, tlv(kind, content)].concat())
    };
    let result = |code: u8| [tlv(10, &[code]), tlv(4, b""), tlv(4, b"")].concat();
    match kind {
        // Bind: version, name, password.
        0x60 => {
            let (_, _, rest) = element(body)?;
            let (_, name, rest) = element(rest)?;
            let (_, password, _) = element(rest)?;
            let text = |octets: &[u8]| String::from_utf8(octets.to_vec()).unwrap();
            let (name, password) = (text(name), text(password));
            let known = people
                .iter()
                .any(|(_, dn, p)| *dn == name && *p == password);
            seen.binds.push((name, password));
            Some(reply(0x61, &result(if known { 0 } else { 49 })))
        }
        0x63 => {
            seen.searches += 1;
            let holds = |needle: &str| body.windows(needle.len()).any(|w| w == needle.as_bytes());
            let mut answer = Vec::new();
            for (needle, dn, _) in people.iter().filter(|(needle, ..)| holds(needle)) {
                let mail = [tlv(4, b"mail"), tlv(0x31, &tlv(4, needle.as_bytes()))].concat();
                let entry = [tlv(4, dn.as_bytes()), tlv(0x30, &tlv(0x30, &mail))].concat();
                answer.extend(reply(0x64, &entry));
            }
            // RFC 4511 section 4.1.9: the result code 51 is `busy`.
            let code = if holds("busy") { 51 } else { 0 };
            answer.extend(reply(0x65, &result(code)));
            Some(answer)
        }
        _ => None,
    }
}

fn take(input: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (_, content, rest) = element(input)?;
    let (content, rest) = (content.to_vec(), rest.to_vec());
    *input = rest;
    Some(content)
}

/// Tag, content, and what follows (X.690 section 8.1).
fn element(octets: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, first, rest @ ..] = octets else {
        return None;
    };
    let (length, rest) = match first {
        0..0x80 => (usize::from(*first), rest),
        _ => {
            let (length, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (length.iter().fold(0, |n, b| n << 8 | usize::from(*b)), rest)
        }
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((*tag, content, rest))
}

fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).unwrap().to_be_bytes();
    [&[tag, 0x82][..], &length, content].concat()
}
