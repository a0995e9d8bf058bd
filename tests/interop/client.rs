//! A client of the tests' own, for what mail programs are too polite to send: any bytes, in any
//! order, from a chosen address, and every reply to look at.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};

use socket2::{Domain, Socket, Type};

use crate::wait::seconds;

const REPLY_SECONDS_MAX: u64 = 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    /// The lines without their codes.
    pub lines: Vec<String>,
}

impl Reply {
    /// The code and the text as one line, the way a log would show it.
    pub fn text(&self) -> String {
        format!("{} {}", self.code, self.lines.join(" "))
    }

    pub fn is_refusal(&self) -> bool {
        (500..600).contains(&self.code)
    }
}

/// What a dialogue goes over: a socket, or a program that encrypts.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// One connection to the relay.
pub struct Dialogue {
    reader: BufReader<Box<dyn Wire>>,
}

impl Dialogue {
    /// Connects from `from` and reads the greeting, which has to be a 220.
    pub fn open(from: IpAddr, to: SocketAddr) -> Dialogue {
        let mut dialogue = Dialogue::connect(from, to);
        dialogue.expect(220);
        dialogue
    }

    /// Connects and says EHLO.
    pub fn ready(from: IpAddr, to: SocketAddr) -> Dialogue {
        let mut dialogue = Dialogue::open(from, to);
        dialogue.ask("EHLO client.test", 250);
        dialogue
    }

    /// Connects as a proxy that says it speaks for `client`, and reads nothing yet.
    pub fn proxied(proxy: IpAddr, to: SocketAddr, client: IpAddr) -> Dialogue {
        let mut dialogue = Dialogue::connect(proxy, to);
        dialogue.send(proxy_header(client).as_bytes());
        dialogue
    }

    /// Connects and reads nothing yet.
    pub fn connect(from: IpAddr, to: SocketAddr) -> Dialogue {
        Dialogue::try_connect(from, to)
            .unwrap_or_else(|why| panic!("{from} cannot connect to {to}: {why}"))
    }

    pub fn try_connect(from: IpAddr, to: SocketAddr) -> std::io::Result<Dialogue> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
        socket.bind(&SocketAddr::new(from, 0).into())?;
        socket.connect(&to.into())?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(seconds(REPLY_SECONDS_MAX)))?;
        Ok(Dialogue::over(stream))
    }

    /// A dialogue over something else than a plain connection.
    pub fn over(wire: impl Wire + 'static) -> Dialogue {
        Dialogue {
            reader: BufReader::new(Box::new(wire)),
        }
    }

    /// Sends one command and gives its reply. Panics when the relay hangs up instead.
    pub fn say(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
            .unwrap_or_else(|| panic!("the relay hung up at {line:?}"))
    }

    /// Sends one command that has to be answered with `code`.
    pub fn ask(&mut self, line: &str, code: u16) -> Reply {
        let reply = self.say(line);
        assert_eq!(reply.code, code, "{line:?} was answered {:?}", reply.text());
        reply
    }

    pub fn expect(&mut self, code: u16) -> Reply {
        let reply = self
            .reply()
            .unwrap_or_else(|| panic!("the relay hung up where {code} was due"));
        assert_eq!(reply.code, code, "{}", reply.text());
        reply
    }

    /// Sends bytes as they are. A peer that has hung up meanwhile shows in the reply.
    pub fn send(&mut self, bytes: &[u8]) {
        let _hung_up = self.reader.get_mut().write_all(bytes);
    }

    /// The next reply; `None` when the relay closed the connection.
    pub fn reply(&mut self) -> Option<Reply> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            let code = line.get(..3).and_then(|digits| digits.parse().ok());
            let code = code.unwrap_or_else(|| panic!("not a reply: {line:?}"));
            lines.push(line.get(4..).unwrap_or_default().to_owned());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Some(Reply { code, lines });
            }
        }
    }

    /// All replies until the relay closes the connection.
    pub fn replies_until_closed(&mut self) -> Vec<Reply> {
        std::iter::from_fn(|| self.reply()).collect()
    }

    /// Whatever comes until the relay closes the connection, replies or not.
    pub fn octets_until_closed(&mut self) -> Vec<u8> {
        let mut octets = Vec::new();
        // A relay that closes while we still send may reset the connection.
        let _reset = self.reader.read_to_end(&mut octets);
        octets
    }

    /// The next line; `None` when the relay closed the connection.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        match self.reader.read_until(b'\n', &mut line) {
            // The connection ended, perhaps in the middle of a line.
            Ok(_) if !line.ends_with(b"\n") => None,
            Ok(_) => {
                let text = String::from_utf8(line).expect("replies are UTF-8");
                assert!(
                    text.ends_with("\r\n"),
                    "a reply line without CRLF: {text:?}"
                );
                Some(text.trim_end().to_owned())
            }
            // A relay that closes while we still send may reset the connection.
            Err(why)
                if matches!(
                    why.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                None
            }
            Err(why) => panic!("no reply within {REPLY_SECONDS_MAX} s: {why}"),
        }
    }

    /// Hands over one message and gives the reply to its end. `message` has CRLF lines and needs no
    /// dot-stuffing.
    pub fn submit(&mut self, from: &str, to: &[&str], message: &str) -> Reply {
        self.ask(&format!("MAIL FROM:<{from}>"), 250);
        for recipient in to {
            self.ask(&format!("RCPT TO:<{recipient}>"), 250);
        }
        self.ask("DATA", 354);
        self.send(message.as_bytes());
        self.say(".")
    }
}

/// A PROXY header of version 1.
pub fn proxy_header(client: IpAddr) -> String {
    match client {
        IpAddr::V4(_) => format!("PROXY TCP4 {client} 192.0.2.1 40000 25\r\n"),
        IpAddr::V6(_) => format!("PROXY TCP6 {client} 2001:db8::1 40000 25\r\n"),
    }
}

/// One message over a connection of its own; it has to be accepted.
pub fn submit(
    from_address: IpAddr,
    to_address: SocketAddr,
    from: &str,
    to: &[&str],
    message: &str,
) {
    let mut dialogue = Dialogue::ready(from_address, to_address);
    let reply = dialogue.submit(from, to, message);
    assert_eq!(reply.code, 250, "{}", reply.text());
    dialogue.ask("QUIT", 221);
}

/// A plain message that carries `id` in its subject and its body.
pub fn message(id: &str) -> String {
    format!(
        "From: Ann <ann@client.test>\r\nTo: undisclosed-recipients:;\r\nSubject: {id}\r\n\
         Date: Mon, 06 Jul 2026 10:00:00 +0000\r\nMessage-ID: <{id}@client.test>\r\n\r\n\
         This is {id}.\r\nEnd of {id}.\r\n"
    )
}
