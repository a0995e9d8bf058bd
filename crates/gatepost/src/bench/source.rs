use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use serde::Serialize;
use tls::{LoadClient, Stream};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep_until, timeout};

use super::latencies::{Latencies, Percentiles};
use super::wire::Wire;
use super::{HANDSHAKE_MAX, SENT_FIELD};
use crate::bench_arguments::Source;
use crate::cli::Cli;
use crate::exit::Outcome;
use crate::output;
use crate::output::say;

/// What takes longer, from connecting to the reply to the last dot, is given up.
const MESSAGE_SECONDS_MAX: u64 = 300;
/// Of a line of content, with its end.
const LINE: &[u8] =
    b"It is only a message of a load test, and nobody has to read any of its lines.\r\n";

/// What became of a load.
#[derive(Debug, Default, Serialize)]
struct Found {
    accepted: u64,
    /// A reply was none that was hoped for.
    refused: u64,
    /// The connection failed.
    broken: u64,
    handshakes: u64,
    resumed: u64,
    seconds: f64,
    /// Of the first that was not accepted.
    why: Option<String>,
    #[serde(skip)]
    latencies: Latencies,
    until_250_ms: Option<Percentiles>,
}

/// Why a message was not accepted.
enum Fault {
    Refused { at: &'static str, code: u16 },
    Broken(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

/// What all sessions share.
struct Load {
    plan: Source,
    body: Vec<u8>,
    tls: LoadClient,
    begun: Instant,
    sent: AtomicU64,
    connections: AtomicU64,
}

/// `gatepost bench source`
pub async fn run(cli: &Cli, plan: &Source) -> Outcome {
    plan.reach.check(plan.target.ip())?;
    let load = Arc::new(Load {
        plan: plan.clone(),
        body: body(plan.size as usize),
        tls: LoadClient::default(),
        begun: Instant::now(),
        sent: AtomicU64::new(0),
        connections: AtomicU64::new(0),
    });
    let mut sessions = JoinSet::new();
    for _ in 0..plan.sessions {
        let load = Arc::clone(&load);
        sessions.spawn(async move { load.session().await });
    }
    let mut found = Found::default();
    while let Some(ended) = sessions.join_next().await {
        if let Ok(one) = ended {
            found.add(one);
        }
    }
    found.seconds = load.begun.elapsed().as_secs_f64();
    found.until_250_ms = found.latencies.percentiles();
    print(cli, &found)?;
    Ok(ExitCode::from(u8::from(found.accepted < plan.messages)))
}

fn body(octets: usize) -> Vec<u8> {
    let mut body: Vec<u8> = LINE.iter().copied().cycle().take(octets).collect();
    // It ends with a line's end, and none of it looks like one elsewhere.
    if let Some(end) = octets.checked_sub(2) {
        body.truncate(end);
        if body.last() == Some(&b'\r') {
            body.pop();
            body.push(b'.');
        }
        body.extend_from_slice(b"\r\n");
    }
    body
}

impl Load {
    async fn session(&self) -> Found {
        let mut found = Found::default();
        let mut kept = None;
        while let Some(number) = self.next().await {
            let begun = Instant::now();
            let limit = Duration::from_secs(MESSAGE_SECONDS_MAX);
            let sent = timeout(limit, self.send(kept.take(), number, &mut found)).await;
            match sent.unwrap_or_else(|_| Err(Fault::Broken("it took too long".to_owned()))) {
                Ok(connection) => {
                    found.accepted += 1;
                    found.latencies.note(begun.elapsed());
                    kept = Some(connection);
                }
                Err(fault) => found.note(fault),
            }
            if !self.plan.keep {
                quit(kept.take()).await;
            }
        }
        quit(kept).await;
        found
    }

    /// The number of the next message, once it is its turn.
    async fn next(&self) -> Option<u64> {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        if number >= self.plan.messages {
            return None;
        }
        if let Some(rate) = self.plan.rate {
            let turn = Duration::from_secs(1).mul_f64(number as f64 / f64::from(rate));
            sleep_until((self.begun + turn).into()).await;
        }
        Some(number)
    }

    async fn send(
        &self,
        kept: Option<Wire>,
        number: u64,
        found: &mut Found,
    ) -> Result<Wire, Fault> {
        let mut wire = match kept {
            Some(wire) => wire,
            None => self.connect(found).await?,
        };
        let (from, to) = (&self.plan.from, &self.plan.to);
        hoped(wire.say(&format!("MAIL FROM:<{from}>")).await?, 2, "MAIL")?;
        hoped(wire.say(&format!("RCPT TO:<{to}>")).await?, 2, "RCPT")?;
        hoped(wire.say("DATA").await?, 3, "DATA")?;
        wire.put(self.header(number).as_bytes());
        wire.send(&self.body).await?;
        hoped(wire.say(".").await?, 2, "the last dot")?;
        Ok(wire)
    }

    fn header(&self, number: u64) -> String {
        let (from, to) = (&self.plan.from, &self.plan.to);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let micros = now.map_or(0, |since| since.as_micros());
        format!(
            "From: <{from}>\r\nTo: <{to}>\r\nSubject: message {number} of a load test\r\nMessage-ID: <{micros}.{number}@bench.invalid>\r\n{SENT_FIELD}{micros}\r\n\r\n"
        )
    }

    async fn connect(&self, found: &mut Found) -> Result<Wire, Fault> {
        let number = self.connections.fetch_add(1, Ordering::Relaxed);
        let socket = TcpStream::connect(self.plan.target).await?;
        socket.set_nodelay(true)?;
        let mut wire = Wire::new(Stream::Plain(socket));
        hoped(wire.reply().await?, 2, "the greeting")?;
        hoped(wire.say("EHLO client.test").await?, 2, "EHLO")?;
        if !self.plan.starttls {
            return Ok(wire);
        }
        hoped(wire.say("STARTTLS").await?, 2, "STARTTLS")?;
        let socket = wire.take_plain()?;
        let again = is_of(number, self.plan.resume);
        let shaken = self.tls.connect(socket, again, HANDSHAKE_MAX).await;
        let (stream, resumed) = shaken.map_err(|error| Fault::Broken(error.to_string()))?;
        found.handshakes += 1;
        found.resumed += u64::from(resumed);
        let mut wire = Wire::new(stream);
        hoped(wire.say("EHLO client.test").await?, 2, "EHLO")?;
        Ok(wire)
    }
}

/// Whether the thing of that number is among so many of a hundred, which lie well among each other.
pub(super) fn is_of(number: u64, percent: u8) -> bool {
    // 37 and 100 have no divisor in common.
    number % 100 * 37 % 100 < u64::from(percent)
}

fn hoped(code: u16, class: u16, at: &'static str) -> Result<(), Fault> {
    if code / 100 == class {
        Ok(())
    } else {
        Err(Fault::Refused { at, code })
    }
}

/// Says goodbye; whether it is heard makes no difference any more.
async fn quit(wire: Option<Wire>) {
    if let Some(mut wire) = wire {
        let _heard = timeout(HANDSHAKE_MAX, wire.say("QUIT")).await;
    }
}

impl Found {
    fn note(&mut self, fault: Fault) {
        let why = match fault {
            Fault::Refused { at, code } => {
                self.refused += 1;
                format!("{code} to {at}")
            }
            Fault::Broken(why) => {
                self.broken += 1;
                why
            }
        };
        self.why.get_or_insert(why);
    }

    fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.broken += other.broken;
        self.handshakes += other.handshakes;
        self.resumed += other.resumed;
        self.why = self.why.take().or(other.why);
        self.latencies.add(&other.latencies);
    }
}

fn print(cli: &Cli, found: &Found) -> Outcome {
    if cli.json {
        return output::json(found);
    }
    say!(
        "{} messages in {:.2} s: {:.0} a second",
        found.accepted,
        found.seconds,
        found.accepted as f64 / found.seconds.max(f64::EPSILON)
    );
    if let Some(until) = found.until_250_ms {
        say!(
            "until the 250: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, longest {:.2}",
            until.p50,
            until.p90,
            until.p99,
            until.longest
        );
    }
    if found.handshakes > 0 {
        say!(
            "{} handshakes, {} of them took an earlier session up",
            found.handshakes,
            found.resumed
        );
    }
    if let Some(why) = &found.why {
        say!(
            "{} refused, {} broken off; the first: {why}",
            found.refused,
            found.broken
        );
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_length_and_whole_lines() {
        for octets in [0, 2, 3, 77, 78, 79, 80, 81, 4096, 102_400] {
            let body = body(octets);
            assert_eq!(body.len(), octets);
            let text = String::from_utf8(body).unwrap();
            assert!(text.is_empty() || text.ends_with("\r\n"));
            assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
            assert!(!text.lines().any(|line| line.starts_with('.') && octets > 3));
        }
    }

    #[test]
    fn so_many_of_a_hundred_are_so_many() {
        for percent in [0, 1, 10, 50, 99, 100] {
            let chosen = (0..1000).filter(|number| is_of(*number, percent)).count();
            assert_eq!(chosen, usize::from(percent) * 10);
        }
    }
}
