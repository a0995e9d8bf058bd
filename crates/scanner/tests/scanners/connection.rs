use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use scanner::{Answer, Exchange, Fault, Finding, Wants};

const ANSWER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub enum Address {
    Unix(PathBuf),
    Tcp(SocketAddr),
}

/// A connection to a scanner: what comes is read by a thread of its own, so that neither side waits
/// for the other to read.
pub struct Connection {
    writer: Box<dyn Write + Send>,
    close: Box<dyn Fn()>,
    came: Receiver<Vec<u8>>,
}

impl Connection {
    pub fn try_open(address: &Address) -> Option<Self> {
        match address {
            Address::Unix(path) => {
                let socket = UnixStream::connect(path).ok()?;
                let (reader, closer) = (socket.try_clone().ok()?, socket.try_clone().ok()?);
                let close = move || drop(closer.shutdown(Shutdown::Both));
                Some(Self::of(socket, reader, Box::new(close)))
            }
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).ok()?;
                let (reader, closer) = (socket.try_clone().ok()?, socket.try_clone().ok()?);
                let close = move || drop(closer.shutdown(Shutdown::Both));
                Some(Self::of(socket, reader, Box::new(close)))
            }
        }
    }

    fn of(
        writer: impl Write + Send + 'static,
        mut reader: impl Read + Send + 'static,
        close: Box<dyn Fn()>,
    ) -> Self {
        let (sender, came) = channel();
        thread::spawn(move || {
            let mut piece = vec![0; 16 * 1024];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                if sender.send(piece[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self {
            writer: Box::new(writer),
            close,
            came,
        }
    }

    /// Writes; whether it could be. What the scanner said has to be read in both cases.
    pub fn write(&mut self, octets: &[u8]) -> bool {
        self.writer.write_all(octets).is_ok()
    }

    /// What came next; nothing when it was closed.
    pub fn next(&self) -> Option<Vec<u8>> {
        match self.came.recv_timeout(ANSWER_MAX) {
            Ok(piece) => Some(piece),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no answer within {ANSWER_MAX:?}"),
        }
    }

    /// What came by now.
    pub fn came(&self) -> Option<Vec<u8>> {
        self.came.try_recv().ok()
    }

    /// One exchange from beginning to end, by a content in one or several parts.
    pub fn ask(
        &mut self,
        exchange: impl Into<Exchange>,
        content: &[&[u8]],
    ) -> Result<(Answer, bool), Fault> {
        let mut exchange = exchange.into();
        let mut rest: Vec<&[u8]> = content.iter().rev().copied().collect();
        let mut writes = true;
        loop {
            let mut out = Vec::new();
            let wants = exchange.write(&mut out);
            match wants {
                Wants::Content(most) if writes => match rest.pop() {
                    Some(part) => {
                        let (piece, more) = part.split_at(part.len().min(most));
                        exchange.content(piece, &mut out)?;
                        if !more.is_empty() {
                            rest.push(more);
                        }
                    }
                    None => exchange.end(&mut out)?,
                },
                Wants::Content(_) | Wants::Answer => {}
            }
            writes = writes && self.write(&out);
            let came = match wants {
                Wants::Content(_) if writes => match self.came() {
                    Some(came) => came,
                    None => continue,
                },
                Wants::Content(_) | Wants::Answer => match self.next() {
                    Some(came) => came,
                    None => return exchange.closed().map(|answer| (answer, false)),
                },
            };
            if let Some(answer) = exchange.read(&came)? {
                let is_reusable = exchange.is_reusable();
                return Ok((answer, is_reusable));
            }
        }
    }

    /// The same where the answer is about a message.
    pub fn scan(&mut self, exchange: impl Into<Exchange>, content: &[u8]) -> Finding {
        match self.ask(exchange, &[content]) {
            Ok((Answer::Finding(finding), _)) => finding,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        (self.close)();
    }
}

/// What comes as an answer to what was written by hand.
pub fn read(exchange: &mut Exchange, connection: &Connection) -> Result<Answer, Fault> {
    while let Some(came) = connection.next() {
        if let Some(answer) = exchange.read(&came)? {
            return Ok(answer);
        }
    }
    exchange.closed()
}
