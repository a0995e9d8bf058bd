use std::io;

use tls::Stream;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// Of a command, a reply or a piece of content; what is longer comes in several pieces.
const LINE_MAX: u64 = 8 * 1024;
/// What is longer does not wait for what comes next.
const KEPT_MAX: usize = 64 * 1024;
/// Of a reply.
const REPLY_LINES_MAX: usize = 100;

/// One end of a connection: lines in, octets out, which wait until there is nothing left to read.
pub struct Wire {
    stream: BufReader<Stream>,
    out: Vec<u8>,
}

impl Wire {
    pub fn new(stream: Stream) -> Self {
        Self {
            stream: BufReader::new(stream),
            out: Vec::new(),
        }
    }

    /// The socket, for a handshake; what was read of it in clear is thrown away (RFC 3207 section
    /// 4.2).
    pub fn take_plain(mut self) -> io::Result<TcpStream> {
        let socket = self.stream.get_mut().take_plain();
        socket.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// To be sent with what comes next.
    pub fn put(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    /// Sends it behind what waits; what is large is not kept once for each connection.
    pub async fn send(&mut self, octets: &[u8]) -> io::Result<()> {
        if octets.len() <= KEPT_MAX {
            self.put(octets);
            return Ok(());
        }
        self.flush().await?;
        self.stream.get_mut().write_all(octets).await
    }

    pub async fn flush(&mut self) -> io::Result<()> {
        self.stream.get_mut().write_all(&self.out).await?;
        self.out.clear();
        self.stream.get_mut().flush().await
    }

    /// The next line with its end, or so much of it as is taken at once; empty at the end of the
    /// connection.
    pub async fn line(&mut self, line: &mut Vec<u8>) -> io::Result<()> {
        if self.stream.buffer().is_empty() {
            self.flush().await?;
        }
        line.clear();
        let mut limited = (&mut self.stream).take(LINE_MAX);
        limited.read_until(b'\n', line).await?;
        Ok(())
    }

    /// The code of the next reply.
    pub async fn reply(&mut self) -> io::Result<u16> {
        let mut line = Vec::new();
        for _ in 0..REPLY_LINES_MAX {
            self.line(&mut line).await?;
            let (code, rest) = line
                .split_at_checked(3)
                .ok_or(io::ErrorKind::UnexpectedEof)?;
            if rest.first() != Some(&b'-') {
                let code = std::str::from_utf8(code)
                    .ok()
                    .and_then(|code| code.parse().ok());
                return code.ok_or_else(|| io::ErrorKind::InvalidData.into());
            }
        }
        Err(io::ErrorKind::InvalidData.into())
    }

    /// A command, and the code of its reply.
    pub async fn say(&mut self, command: &str) -> io::Result<u16> {
        self.put(command.as_bytes());
        self.put(b"\r\n");
        self.flush().await?;
        self.reply().await
    }
}
