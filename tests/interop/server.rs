//! A mail server that writes down what it is given, for the place behind the relay where a test
//! wants to see every octet. It is strict: lines end in CRLF, the message ends at CRLF.CRLF and
//! nowhere else, so what it recorded is what any server would have got. It can be told to refuse
//! recipients, messages or the whole connection, and a test takes it down by dropping it and up by
//! starting another at the same address.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::wait::{seconds, until};

const ARRIVAL_SECONDS_MAX: u64 = 30;

/// What the server does other than say yes. A function gives the reply to use instead of 250.
pub struct Conduct {
    pub greeting: &'static str,
    /// What EHLO lists; empty: EHLO is not known and HELO is.
    pub extensions: &'static [&'static str],
    /// A 421 ends the connection.
    pub at_recipient: fn(&str) -> Option<&'static str>,
    /// Whether it hangs up on this line of content.
    pub at_line: fn(&[u8]) -> bool,
    pub at_end: fn(&Received) -> Option<&'static str>,
    /// How long it takes over a message.
    pub pause: Duration,
    /// Connections served at one time; where the others hear so, and what.
    pub connections_max: usize,
    pub too_many: (Stage, &'static str),
    /// Messages served on one connection; what the next one hears.
    pub messages_max: usize,
    pub enough: &'static str,
}

/// Where a server turns a connection away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Greeting,
    Hello,
    Mail,
}

impl Default for Conduct {
    fn default() -> Conduct {
        Conduct {
            greeting: "220 server.test ESMTP",
            extensions: &[
                "PIPELINING",
                "8BITMIME",
                "SMTPUTF8",
                "SIZE 50000000",
                "ENHANCEDSTATUSCODES",
            ],
            at_recipient: |_| None,
            at_line: |_| false,
            at_end: |_| None,
            pause: Duration::ZERO,
            connections_max: usize::MAX,
            too_many: (Stage::Greeting, "421 4.7.0 too many connections"),
            messages_max: usize::MAX,
            enough: "451 4.7.0 too many messages in this session",
        }
    }
}

/// One message as it came over the wire.
#[derive(Clone, Debug, Default)]
pub struct Received {
    /// Reverse path without its angle brackets.
    pub from: String,
    /// What followed the reverse path.
    pub parameters: String,
    pub to: Vec<String>,
    /// What followed each recipient.
    pub about: Vec<String>,
    /// The message without dot-stuffing and without its end.
    pub data: Vec<u8>,
    /// The message as it was sent, with both.
    pub wire: Vec<u8>,
}

impl Received {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.data).into_owned()
    }

    /// The value of the first header field of that name, unfolded.
    pub fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// The values of all header fields of that name, from the top, unfolded.
    pub fn headers(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let unfolded = head.replace("\r\n ", " ").replace("\r\n\t", " ");
        let fields = unfolded
            .split("\r\n")
            .filter_map(|line| line.split_once(':'));
        fields
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
            .collect()
    }

    pub fn subject(&self) -> String {
        self.header("Subject").unwrap_or_default()
    }
}

pub struct RecordingServer {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<thread::JoinHandle<()>>,
}

struct Shared {
    conduct: Conduct,
    received: Mutex<Vec<Received>>,
    /// A second handle of every connection in use, to cut it from outside.
    open: Mutex<HashMap<usize, TcpStream>>,
    connections: AtomicUsize,
    /// Connections that are being served.
    served: AtomicUsize,
    refusals: AtomicUsize,
    closing: AtomicBool,
}

impl RecordingServer {
    pub fn start(address: SocketAddr) -> RecordingServer {
        RecordingServer::start_with(address, Conduct::default())
    }

    pub fn start_with(address: SocketAddr, conduct: Conduct) -> RecordingServer {
        let listener = TcpListener::bind(address)
            .unwrap_or_else(|why| panic!("no server at {address}: {why}"));
        let address = listener
            .local_addr()
            .expect("the address of a bound socket");
        let shared = Arc::new(Shared {
            conduct,
            received: Mutex::default(),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            served: AtomicUsize::new(0),
            refusals: AtomicUsize::new(0),
            closing: AtomicBool::new(false),
        });
        let of_acceptor = Arc::clone(&shared);
        let acceptor = Some(thread::spawn(move || accept(&listener, &of_acceptor)));
        RecordingServer {
            address,
            shared,
            acceptor,
        }
    }

    /// The form in which the configuration names this server.
    pub fn route(&self) -> String {
        route_to(self.address)
    }

    pub fn received(&self) -> Vec<Received> {
        self.shared
            .received
            .lock()
            .expect("no panic holds the records")
            .clone()
    }

    pub fn count(&self) -> usize {
        self.shared
            .received
            .lock()
            .expect("no panic holds the records")
            .len()
    }

    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::SeqCst)
    }

    /// Connections turned away because there were too many.
    pub fn refusals(&self) -> usize {
        self.shared.refusals.load(Ordering::SeqCst)
    }

    /// The subjects seen so far. A set, because a message may rightly arrive twice after a crash.
    pub fn subjects(&self) -> BTreeSet<String> {
        self.shared
            .received
            .lock()
            .expect("no panic holds the records")
            .iter()
            .map(Received::subject)
            .collect()
    }

    /// Waits for a message with that subject.
    pub fn wait_for(&self, subject: &str) -> Received {
        self.wait_where(subject, |received| received.subject() == subject)
    }

    pub fn wait_where(&self, what: &str, wanted: impl Fn(&Received) -> bool) -> Received {
        until(
            &format!("the message {what:?} at {}", self.address),
            seconds(ARRIVAL_SECONDS_MAX),
            || {
                self.shared
                    .received
                    .lock()
                    .expect("no panic holds the records")
                    .iter()
                    .find(|one| wanted(one))
                    .cloned()
            },
        )
    }
}

/// `[127.0.0.1]:2525`, the way a smart host is written.
pub fn route_to(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(v4) => format!("[{}]:{}", v4.ip(), v4.port()),
        SocketAddr::V6(v6) => format!("[IPv6:{}]:{}", v6.ip(), v6.port()),
    }
}

impl Drop for RecordingServer {
    /// The server goes down at once, in the middle of whatever its connections are doing.
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // The acceptor sleeps in accept; one more connection wakes it.
        let _woken = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ended = acceptor.join();
        }
        for (_, stream) in self
            .shared
            .open
            .lock()
            .expect("no panic holds the connections")
            .drain()
        {
            let _closed = stream.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for stream in listener.incoming() {
        if shared.closing.load(Ordering::SeqCst) {
            return;
        }
        let Ok(stream) = stream else { continue };
        let number = shared.connections.fetch_add(1, Ordering::SeqCst);
        if let Ok(copy) = stream.try_clone() {
            shared
                .open
                .lock()
                .expect("no panic holds the connections")
                .insert(number, copy);
        }
        let shared = Arc::clone(shared);
        thread::spawn(move || serve(number, stream, &shared));
    }
}

fn serve(number: usize, stream: TcpStream, shared: &Arc<Shared>) {
    let before = shared.served.fetch_add(1, Ordering::SeqCst);
    let surplus = before >= shared.conduct.connections_max;
    // A connection that breaks is part of many tests; what arrived before is on record.
    let _broken = Session::new(stream, Arc::clone(shared), surplus).and_then(Session::serve);
    shared.served.fetch_sub(1, Ordering::SeqCst);
    // The second handle would keep the connection open after the session is gone.
    if let Some(stream) = shared
        .open
        .lock()
        .expect("no panic holds the connections")
        .remove(&number)
    {
        let _closed = stream.shutdown(Shutdown::Both);
    }
}

/// One connection of the relay to this server.
struct Session {
    reader: BufReader<TcpStream>,
    writer: BufWriter<TcpStream>,
    shared: Arc<Shared>,
    /// It is one connection too many.
    surplus: bool,
    messages: usize,
    /// MAIL was not taken.
    refused: bool,
    current: Received,
}

impl Session {
    fn new(stream: TcpStream, shared: Arc<Shared>, surplus: bool) -> io::Result<Session> {
        stream.set_nodelay(true)?;
        let writer = BufWriter::new(stream.try_clone()?);
        Ok(Session {
            reader: BufReader::new(stream),
            writer,
            shared,
            surplus,
            messages: 0,
            refused: false,
            current: Received::default(),
        })
    }

    /// Ends a connection too many at its stage.
    fn turn_away(&mut self, stage: Stage) -> io::Result<()> {
        let (at, reply) = self.shared.conduct.too_many;
        if !self.surplus || at != stage {
            return Ok(());
        }
        self.shared.refusals.fetch_add(1, Ordering::SeqCst);
        self.answer(reply)?;
        self.writer.flush()?;
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    fn serve(mut self) -> io::Result<()> {
        self.turn_away(Stage::Greeting)?;
        self.answer(self.shared.conduct.greeting)?;
        if !self.shared.conduct.greeting.starts_with("220") {
            return Ok(());
        }
        while let Some(line) = self.line()? {
            let verb = line
                .split([' ', ':'])
                .next()
                .unwrap_or_default()
                .to_ascii_uppercase();
            match verb.as_str() {
                "EHLO" => self.hello()?,
                "HELO" => self.answer("250 server.test")?,
                "MAIL" => self.mail(&line)?,
                "RCPT" => self.recipient(&line)?,
                "DATA" => self.data()?,
                "BDAT" => self.chunk(&line)?,
                "RSET" => self.reset()?,
                "NOOP" => self.answer("250 2.0.0 ok")?,
                "QUIT" => return self.answer("221 2.0.0 bye"),
                _ => self.answer("500 5.5.2 what?")?,
            }
        }
        Ok(())
    }

    /// Replies to pipelined commands leave together, once nothing more is waiting to be read.
    fn answer(&mut self, reply: &str) -> io::Result<()> {
        write!(self.writer, "{reply}\r\n")?;
        if self.reader.buffer().is_empty() {
            self.writer.flush()
        } else {
            Ok(())
        }
    }

    fn line(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.reader.read_until(b'\n', &mut line)? == 0 {
            return Ok(None);
        }
        Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()))
    }

    fn hello(&mut self) -> io::Result<()> {
        self.turn_away(Stage::Hello)?;
        let Some((last, before)) = self.shared.conduct.extensions.split_last() else {
            return self.answer("500 5.5.1 EHLO is not known");
        };
        let mut reply = String::from("250-server.test\r\n");
        for extension in before {
            reply += &format!("250-{extension}\r\n");
        }
        self.answer(&format!("{reply}250 {last}"))
    }

    fn mail(&mut self, line: &str) -> io::Result<()> {
        self.turn_away(Stage::Mail)?;
        self.messages += 1;
        self.refused = self.messages > self.shared.conduct.messages_max;
        if self.refused {
            return self.answer(self.shared.conduct.enough);
        }
        let (path, parameters) = path_in(line);
        self.current = Received {
            from: path,
            parameters,
            ..Received::default()
        };
        self.answer("250 2.1.0 ok")
    }

    fn recipient(&mut self, line: &str) -> io::Result<()> {
        let (path, parameters) = path_in(line);
        if self.refused {
            return self.answer("503 5.5.1 MAIL first");
        }
        if let Some(refusal) = (self.shared.conduct.at_recipient)(&path) {
            self.answer(refusal)?;
            if refusal.starts_with("421") {
                self.writer.flush()?;
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            return Ok(());
        }
        self.current.to.push(path);
        self.current.about.push(parameters);
        self.answer("250 2.1.5 ok")
    }

    fn data(&mut self) -> io::Result<()> {
        if self.current.to.is_empty() || self.refused {
            return self.answer("554 5.5.1 no valid recipients");
        }
        self.answer("354 go on")?;
        let mut wire = Vec::new();
        while wire != b".\r\n" && !wire.ends_with(b"\r\n.\r\n") {
            let start = wire.len();
            if self.reader.read_until(b'\n', &mut wire)? == 0 {
                return Ok(());
            }
            if (self.shared.conduct.at_line)(&wire[start..]) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        self.current.data = unstuffed(&wire);
        self.current.wire = wire;
        self.finish()
    }

    fn chunk(&mut self, line: &str) -> io::Result<()> {
        let size = line
            .split_whitespace()
            .nth(1)
            .and_then(|digits| digits.parse().ok())
            .unwrap_or(0);
        let mut octets = vec![0; size];
        self.reader.read_exact(&mut octets)?;
        self.current.data.extend_from_slice(&octets);
        if line.to_ascii_uppercase().ends_with(" LAST") {
            self.finish()
        } else {
            self.answer("250 2.0.0 chunk")
        }
    }

    fn finish(&mut self) -> io::Result<()> {
        thread::sleep(self.shared.conduct.pause);
        if let Some(refusal) = (self.shared.conduct.at_end)(&self.current) {
            return self.answer(refusal);
        }
        let received = std::mem::take(&mut self.current);
        self.shared
            .received
            .lock()
            .expect("no panic holds the records")
            .push(received);
        self.answer("250 2.0.0 taken")
    }

    fn reset(&mut self) -> io::Result<()> {
        self.current = Received::default();
        self.answer("250 2.0.0 ok")
    }
}

/// The address between the angle brackets, and what follows them.
fn path_in(line: &str) -> (String, String) {
    let after = line.split_once('<').map_or("", |(_, rest)| rest);
    let (path, parameters) = after.rsplit_once('>').unwrap_or((after, ""));
    (path.to_owned(), parameters.trim().to_owned())
}

/// RFC 5321 section 4.5.2: a line that begins with a dot loses it, and a dot alone is the end.
fn unstuffed(wire: &[u8]) -> Vec<u8> {
    let body = wire.strip_suffix(b".\r\n").unwrap_or(wire);
    let mut data = Vec::with_capacity(body.len());
    let mut at_line_start = true;
    for (index, &octet) in body.iter().enumerate() {
        if !(at_line_start && octet == b'.') {
            data.push(octet);
        }
        at_line_start = octet == b'\n' && index > 0 && body[index - 1] == b'\r';
    }
    data
}
