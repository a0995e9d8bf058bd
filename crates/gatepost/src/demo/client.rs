use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use route::Security;
use tls::{Connector, How, Stream};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpSocket;

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// A client of the relay that says what it is told and keeps every reply.
pub struct Client {
    stream: BufReader<Stream>,
}

type Said = Result<String, String>;

impl Client {
    /// Connects from `from` to the relay and says EHLO.
    pub async fn connect(from: Ipv4Addr, relay: SocketAddr) -> Result<Self, String> {
        let connect = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::new(IpAddr::V4(from), 0))?;
            socket.connect(relay).await
        };
        let stream = connect.await.map_err(|e| e.to_string())?;
        let mut client = Self {
            stream: BufReader::new(Stream::Plain(stream)),
        };
        client.reply().await?;
        client.say("EHLO client.example").await?;
        Ok(client)
    }

    /// STARTTLS, the handshake, and EHLO again. The relay's certificate is its own work here, so
    /// nobody checks it.
    pub async fn encrypt(&mut self) -> Result<(), String> {
        let reply = self.say("STARTTLS").await?;
        let Some(socket) = self
            .stream
            .get_mut()
            .take_plain()
            .filter(|_| reply.starts_with("220"))
        else {
            return Err(format!("no TLS: {reply}"));
        };
        let connector = Connector::load([]).map_err(|problems| format!("{problems:?}"))?;
        let how = How {
            security: &Security::Required,
            host: "relay.hosted.example",
            ca: None,
            certificate: None,
        };
        let shaken = connector.connect(socket, &how, HANDSHAKE).await;
        let (stream, _, _) = shaken.map_err(|error| error.to_string())?;
        self.stream = BufReader::new(stream);
        self.say("EHLO client.example").await?;
        Ok(())
    }

    /// AUTH PLAIN; the reply.
    pub async fn sign_in(&mut self, user: &str, password: &str) -> Said {
        let response = BASE64.encode(format!("\0{user}\0{password}"));
        self.say(&format!("AUTH PLAIN {response}")).await
    }

    /// One command, and the last line of its reply.
    pub async fn say(&mut self, command: &str) -> Said {
        self.send(format!("{command}\r\n").as_bytes()).await?;
        self.reply().await
    }

    /// Octets, without waiting for a reply.
    pub async fn send(&mut self, octets: &[u8]) -> Result<(), String> {
        self.stream
            .get_mut()
            .write_all(octets)
            .await
            .map_err(|e| e.to_string())
    }

    /// The last line of the next reply.
    pub async fn reply(&mut self) -> Said {
        loop {
            let mut line = String::new();
            let read = self
                .stream
                .read_line(&mut line)
                .await
                .map_err(|e| e.to_string())?;
            if read == 0 {
                return Err("the relay closed the connection".to_owned());
            }
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(line.trim_end().to_owned());
            }
        }
    }

    /// A whole message; the first reply that is not positive ends it. Gives the last reply.
    pub async fn message(&mut self, from: &str, to: &str, content: &str) -> Said {
        for command in [
            format!("MAIL FROM:<{from}>"),
            format!("RCPT TO:<{to}>"),
            "DATA".to_owned(),
        ] {
            let reply = self.say(&command).await?;
            if !reply.starts_with(['2', '3']) {
                return Ok(reply);
            }
        }
        self.send(content.as_bytes()).await?;
        self.say("\r\n.").await
    }
}
