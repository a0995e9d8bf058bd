use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};

/// A pretend mail server: takes everything and keeps it, after greylisting if told to. Can be taken
/// down and brought up again.
pub struct Server {
    address: SocketAddr,
    mailbox: Arc<Mailbox>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// What a server has taken, and whom it has told to come back later.
#[derive(Default)]
struct Mailbox {
    contents: Mutex<Vec<String>>,
    arrived: Notify,
    /// Recipients that have been told to come back later.
    greylisted: Mutex<Vec<String>>,
    greylists: bool,
}

impl Server {
    /// Starts one on `address` (port 0 takes a free one).
    pub async fn start(address: SocketAddr, greylists: bool) -> std::io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let mailbox = Arc::new(Mailbox {
            greylists,
            ..Mailbox::default()
        });
        let task = Mutex::new(Some(tokio::spawn(serve(listener, Arc::clone(&mailbox)))));
        Ok(Self {
            address,
            mailbox,
            task,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes its door and every connection.
    pub async fn take_down(&self) {
        let task = self
            .task
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        if let Some(task) = task {
            task.abort();
            // Aborted just now: its end is all that is waited for.
            let _aborted = task.await;
        }
    }

    /// Opens its door again, at the same address.
    pub async fn bring_up(&self) -> std::io::Result<()> {
        let listener = TcpListener::bind(self.address).await?;
        let task = tokio::spawn(serve(listener, Arc::clone(&self.mailbox)));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        Ok(())
    }

    /// How many messages that hold `mark` have arrived.
    pub fn count(&self, mark: &str) -> usize {
        let contents = self
            .mailbox
            .contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        contents
            .iter()
            .filter(|content| content.contains(mark))
            .count()
    }

    /// Waits until `wanted` messages that hold `mark` have arrived, at most `limit`. Gives how many
    /// there are.
    pub async fn wait_for(&self, mark: &str, wanted: usize, limit: Duration) -> usize {
        let enough = async {
            loop {
                let arrived = self.mailbox.arrived.notified();
                if self.count(mark) >= wanted {
                    return;
                }
                arrived.await;
            }
        };
        let _too_late = tokio::time::timeout(limit, enough).await;
        self.count(mark)
    }
}

async fn serve(listener: TcpListener, mailbox: Arc<Mailbox>) {
    let mut sessions = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let mailbox = Arc::clone(&mailbox);
        sessions.spawn(async move {
            // A client that hangs up has had what it came for.
            let _hung_up = session(stream, &mailbox).await;
        });
    }
}

async fn session(stream: TcpStream, mailbox: &Mailbox) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 pretend.example ESMTP\r\n").await?;
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_ascii_uppercase();
        let reply = match command.split([' ', ':']).next().unwrap_or_default() {
            "EHLO" => "250-pretend.example\r\n250 PIPELINING",
            "RCPT" if mailbox.turns_away(&command) => "451 4.7.1 Greylisted, come back later",
            "HELO" | "MAIL" | "RCPT" | "RSET" => "250 2.0.0 Ok",
            "DATA" => {
                stream.write_all(b"354 Go ahead\r\n").await?;
                mailbox.keep(content(&mut stream).await?);
                "250 2.0.0 Ok, it is here"
            }
            "QUIT" => {
                stream.write_all(b"221 2.0.0 Bye\r\n").await?;
                return Ok(());
            }
            _ => "500 5.5.1 What?",
        };
        stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
    }
}

async fn content(stream: &mut BufReader<TcpStream>) -> std::io::Result<String> {
    let mut content = Vec::new();
    loop {
        let start = content.len();
        if stream.read_until(b'\n', &mut content).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if &content[start..] == b".\r\n" {
            content.truncate(start);
            return Ok(String::from_utf8_lossy(&content).into_owned());
        }
    }
}

impl Mailbox {
    fn keep(&self, content: String) {
        self.contents
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(content);
        self.arrived.notify_waiters();
    }

    /// Greylisting: the first time for each recipient.
    fn turns_away(&self, rcpt: &str) -> bool {
        let mut seen = self
            .greylisted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if !self.greylists || seen.iter().any(|known| known == rcpt) {
            return false;
        }
        seen.push(rcpt.to_owned());
        true
    }
}
