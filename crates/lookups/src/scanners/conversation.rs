//! One exchange over one connection.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ::scanner::{Answer, Content, Exchange, Fault, Wants};
use tls::plain;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};

/// Octets that are put together before they are written: one system call for most messages.
const WRITTEN_AT_ONCE: usize = 64 << 10;
/// Octets that are read at one time.
const READ_AT_ONCE: usize = 16 << 10;

/// Both directions of a connection.
pub(super) trait Socket: AsyncRead + AsyncWrite + AsFd + Unpin + Send {
    /// What comes next is acknowledged at once. A program that answers by several writes and does not
    /// ask for TCP_NODELAY has all but the first of them wait for that, forty milliseconds by default.
    fn acknowledge_at_once(&self);
}

impl Socket for TcpStream {
    fn acknowledge_at_once(&self) {
        let _slower_at_worst = self.set_quickack(true);
    }
}

impl Socket for UnixStream {
    fn acknowledge_at_once(&self) {}
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Trouble {
    /// For people.
    pub why: String,
    /// The connection ended before anything was heard on it.
    pub is_unheard: bool,
}

impl From<Fault> for Trouble {
    fn from(fault: Fault) -> Self {
        Self {
            why: fault.to_string(),
            is_unheard: false,
        }
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self {
            why: plain(&error),
            is_unheard: false,
        }
    }
}

/// Asks, and hears the answer. Without a time limit of its own.
pub(super) async fn hold(
    socket: &mut (dyn Socket + '_),
    exchange: &mut Exchange,
    content: &Arc<dyn Content>,
) -> Result<Answer, Trouble> {
    let mut hearing = Hearing {
        socket,
        exchange,
        heard: false,
        buffer: vec![0; READ_AT_ONCE],
    };
    let mut source = Source {
        content,
        at: 0,
        piece: Vec::new(),
    };
    let mut out = Vec::new();
    loop {
        let is_waiting = source.gather(hearing.exchange, &mut out).await?;
        if let Some(answer) = hearing.write(&out).await? {
            return Ok(answer);
        }
        out.clear();
        if is_waiting && let Some(answer) = hearing.read().await? {
            return Ok(answer);
        }
    }
}

/// The content, as far as it was given.
struct Source<'a> {
    content: &'a Arc<dyn Content>,
    at: u64,
    piece: Vec<u8>,
}

impl Source<'_> {
    /// Puts out what can be written now; whether an answer is waited for behind it.
    async fn gather(
        &mut self,
        exchange: &mut Exchange,
        out: &mut Vec<u8>,
    ) -> Result<bool, Trouble> {
        while out.len() < WRITTEN_AT_ONCE {
            match exchange.write(out) {
                Wants::Answer => return Ok(true),
                Wants::Content(most) => {
                    self.next(most).await?;
                    if self.piece.is_empty() {
                        exchange.end(out)?;
                    } else {
                        self.at += self.piece.len() as u64;
                        exchange.content(&self.piece, out)?;
                    }
                }
            }
        }
        Ok(false)
    }

    /// Reads the next piece.
    async fn next(&mut self, most: usize) -> Result<(), Trouble> {
        let piece = std::mem::take(&mut self.piece);
        self.piece = piece_of(self.content, self.at, piece, most).await?;
        Ok(())
    }
}

/// A piece of a content; what is on disk is read where that may take its time. `piece` is a buffer to
/// use again. It is asked for an octet more than there are, so that it is seen where there are more.
pub(super) async fn piece_of(
    content: &Arc<dyn Content>,
    at: u64,
    mut piece: Vec<u8>,
    most: usize,
) -> io::Result<Vec<u8>> {
    let content = Arc::clone(content);
    let left = content.size().saturating_sub(at);
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    piece.resize(most.min(left.saturating_add(1)), 0);
    let is_in_memory = content.is_in_memory();
    let read = move || {
        let read = content.read_at(at, &mut piece)?;
        piece.truncate(read);
        Ok(piece)
    };
    match is_in_memory {
        true => read(),
        false => tokio::task::spawn_blocking(read)
            .await
            .map_err(io::Error::other)?,
    }
}

struct Hearing<'a> {
    socket: &'a mut (dyn Socket + 'a),
    exchange: &'a mut Exchange,
    heard: bool,
    buffer: Vec<u8>,
}

impl Hearing<'_> {
    /// Writes all of it, unless an answer comes meanwhile; where it cannot be written the reason may
    /// be read.
    async fn write(&mut self, out: &[u8]) -> Result<Option<Answer>, Trouble> {
        let mut left = out;
        while !left.is_empty() {
            let (mut reader, mut writer) = tokio::io::split(&mut *self.socket);
            tokio::select! {
                biased;
                written = writer.write(left) => match written {
                    Ok(written) if written > 0 => left = &left[written..],
                    Ok(_) | Err(_) => return self.last_words().await.map(Some),
                },
                read = reader.read(&mut self.buffer) => {
                    if let Some(answer) = self.take(read)? {
                        return Ok(Some(answer));
                    }
                }
            }
        }
        Ok(None)
    }

    async fn last_words(&mut self) -> Result<Answer, Trouble> {
        loop {
            if let Some(answer) = self.read().await? {
                return Ok(answer);
            }
        }
    }

    async fn read(&mut self) -> Result<Option<Answer>, Trouble> {
        let read = self.socket.read(&mut self.buffer).await;
        self.take(read)
    }

    fn take(&mut self, read: io::Result<usize>) -> Result<Option<Answer>, Trouble> {
        let heard = |trouble: Trouble, heard: bool| Trouble {
            is_unheard: !heard,
            ..trouble
        };
        match read {
            Ok(0) => {
                let closed = self.exchange.closed().map(Some);
                closed.map_err(|fault| heard(fault.into(), self.heard))
            }
            Ok(octets) => {
                self.heard = true;
                Ok(self.exchange.read(&self.buffer[..octets])?)
            }
            Err(error) => Err(heard(error.into(), self.heard)),
        }
    }
}
