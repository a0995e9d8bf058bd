use std::io;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tls::{Acceptor, ServerCertificates, Stream};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{interval, sleep, timeout};

use super::latencies::{Latencies, Percentiles};
use super::source::is_of;
use super::wire::Wire;
use super::{HANDSHAKE_MAX, SENT_FIELD};
use crate::bench_arguments::Sink;
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};
use crate::output;
use crate::output::say;

/// A connection on which nothing comes for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Connections at the same time; others wait for theirs.
const SESSIONS_MAX: usize = 10_000;
/// So much of a message is looked at for the time when it was sent.
const HEADER_OCTETS_MAX: usize = 8 * 1024;
/// Between two looks at what has changed.
const PROGRESS: Duration = Duration::from_millis(20);

/// What has come so far.
#[derive(Debug, Default)]
struct Counts {
    connections: AtomicU64,
    encrypted: AtomicU64,
    messages: AtomicU64,
    octets: AtomicU64,
    recipients: AtomicU64,
    refused: AtomicU64,
    deferred: AtomicU64,
    latencies: Mutex<Latencies>,
}

/// The same, printed.
#[derive(Debug, Serialize)]
struct Report {
    connections: u64,
    encrypted: u64,
    messages: u64,
    octets: u64,
    refused: u64,
    deferred: u64,
    on_their_way_ms: Option<Percentiles>,
}

/// A message that has come.
struct Come {
    octets: u64,
    /// How long it was on its way, where it says when it was sent.
    took: Option<Duration>,
}

/// What all connections share.
struct Door {
    plan: Sink,
    acceptor: Option<Acceptor>,
    counts: Counts,
    /// As many messages have come as were asked for.
    full: Notify,
}

/// `gatepost bench sink`
pub async fn run(cli: &Cli, plan: &Sink) -> Outcome {
    plan.reach.check(plan.listen.ip())?;
    if plan.refuse + plan.defer > 100 {
        let why = "--refuse and --defer are more than all recipients together";
        return Err(Failure::Usage(why.to_owned()));
    }
    let listener = TcpListener::bind(plan.listen).await;
    let listener = listener.map_err(|e| Failure::Temporary(format!("{}: {e}", plan.listen)))?;
    let address = listener
        .local_addr()
        .map_err(|e| Failure::Temporary(e.to_string()))?;
    eprintln!("listening on {address}");
    let door = Arc::new(Door {
        plan: plan.clone(),
        acceptor: plan.starttls.then(acceptor).transpose()?,
        counts: Counts::default(),
        full: Notify::new(),
    });
    let watch = |kind| signal(kind).map_err(|e| Failure::Temporary(e.to_string()));
    let (mut interrupt, mut terminate) = (
        watch(SignalKind::interrupt())?,
        watch(SignalKind::terminate())?,
    );
    tokio::select! {
        () = Arc::clone(&door).serve(listener) => (),
        () = door.tell(), if plan.progress => (),
        () = door.full.notified() => (),
        _ = interrupt.recv() => (),
        _ = terminate.recv() => (),
    }
    print(cli, &door.counts.report())
}

/// With a certificate that nobody has signed, as a relay makes it at its first start.
fn acceptor() -> Result<Acceptor, Failure> {
    let failed = |why: String| Failure::Temporary(why);
    let folder = tempfile::tempdir().map_err(|e| failed(e.to_string()))?;
    let settings = config::Tls::default();
    let made = ServerCertificates::load(
        &settings,
        folder.path(),
        "bench.invalid",
        daemon::now(),
        &std::sync::Arc::default(),
    );
    let made = made.map_err(|problems| failed(format!("{problems:?}")))?;
    Acceptor::new(&made, &settings).map_err(|problem| failed(problem.message))
}

impl Door {
    async fn serve(self: Arc<Self>, listener: TcpListener) {
        let places = Arc::new(Semaphore::new(SESSIONS_MAX));
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((socket, _)) = listener.accept().await else {
                // No file descriptor is left, for one: those that are open end first.
                sleep(PROGRESS).await;
                continue;
            };
            let door = Arc::clone(&self);
            tokio::spawn(async move {
                // How a connection ends is the client's affair.
                let _ended = door.session(socket).await;
                drop(place);
            });
        }
    }

    async fn session(&self, socket: TcpStream) -> io::Result<()> {
        self.counts.connections.fetch_add(1, Ordering::Relaxed);
        socket.set_nodelay(true)?;
        let mut wire = Wire::new(Stream::Plain(socket));
        wire.put(b"220 bench.invalid ESMTP\r\n");
        let (mut line, mut admitted, mut encrypted) = (Vec::new(), 0_u32, false);
        loop {
            timeout(IDLE_MAX, wire.line(&mut line)).await??;
            let verb = line.get(..4).unwrap_or_default().to_ascii_uppercase();
            let reply: &[u8] = match verb.as_slice() {
                b"" => return Ok(()),
                b"EHLO" if self.acceptor.is_some() && !encrypted => {
                    b"250-bench.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SIZE\r\n250 STARTTLS\r\n"
                }
                b"EHLO" => b"250-bench.invalid\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE\r\n",
                b"RCPT" => self.recipient(&mut admitted),
                b"DATA" if admitted == 0 => b"554 5.5.1 No recipient\r\n",
                b"DATA" => {
                    wire.put(b"354 Go on\r\n");
                    let come = self.content(&mut wire, &mut line).await?;
                    admitted = 0;
                    wire.put(b"250 2.0.0 Thrown away\r\n");
                    // Before it counts: with the last one all ends.
                    timeout(IDLE_MAX, wire.flush()).await??;
                    self.note(&come);
                    continue;
                }
                b"MAIL" | b"RSET" => {
                    admitted = 0;
                    b"250 2.0.0 OK\r\n"
                }
                b"HELO" | b"NOOP" => b"250 2.0.0 OK\r\n",
                b"STAR" if self.acceptor.is_some() && !encrypted => {
                    wire = self.encrypted(wire).await?;
                    encrypted = true;
                    continue;
                }
                b"QUIT" => {
                    wire.put(b"221 2.0.0 Bye\r\n");
                    return wire.flush().await;
                }
                _ => b"502 5.5.1 Not here\r\n",
            };
            wire.put(reply);
        }
    }

    fn recipient(&self, admitted: &mut u32) -> &'static [u8] {
        let number = self.counts.recipients.fetch_add(1, Ordering::Relaxed);
        if is_of(number, self.plan.refuse) {
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            b"550 5.1.1 Refused, as it was asked for\r\n"
        } else if is_of(number, self.plan.refuse.saturating_add(self.plan.defer)) {
            self.counts.deferred.fetch_add(1, Ordering::Relaxed);
            b"450 4.2.1 Has to wait, as it was asked for\r\n"
        } else {
            *admitted += 1;
            b"250 2.1.5 OK\r\n"
        }
    }

    async fn encrypted(&self, mut wire: Wire) -> io::Result<Wire> {
        wire.put(b"220 2.0.0 Go on\r\n");
        wire.flush().await?;
        let socket = wire.take_plain()?;
        let acceptor = self.acceptor.as_ref().ok_or(io::ErrorKind::Unsupported)?;
        let shaken = tls::accept(socket, acceptor, HANDSHAKE_MAX).await;
        let (stream, _) = shaken.map_err(|error| io::Error::other(error.to_string()))?;
        self.counts.encrypted.fetch_add(1, Ordering::Relaxed);
        Ok(Wire::new(stream))
    }

    /// Reads a message to its end.
    async fn content(&self, wire: &mut Wire, line: &mut Vec<u8>) -> io::Result<Come> {
        let (mut octets, mut whole, mut sent) = (0, true, None);
        loop {
            timeout(IDLE_MAX, wire.line(line)).await??;
            if line.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if whole && line.as_slice() == b".\r\n" {
                break;
            }
            if whole && octets < HEADER_OCTETS_MAX && sent.is_none() {
                sent = sent_at(line);
            }
            whole = line.ends_with(b"\n");
            octets += line.len();
        }
        let came = SystemTime::now();
        if self.plan.delay > 0 {
            sleep(Duration::from_millis(self.plan.delay.into())).await;
        }
        Ok(Come {
            octets: octets as u64,
            took: sent.and_then(|sent| came.duration_since(sent).ok()),
        })
    }

    fn note(&self, come: &Come) {
        self.counts.octets.fetch_add(come.octets, Ordering::Relaxed);
        if let Some(took) = come.took {
            self.counts.latencies().note(took);
        }
        let come = self.counts.messages.fetch_add(1, Ordering::Relaxed) + 1;
        if self.plan.messages.is_some_and(|enough| come >= enough) {
            self.full.notify_one();
        }
    }

    /// Says what has come whenever that has changed.
    async fn tell(&self) {
        let (mut looks, mut told) = (interval(PROGRESS), (0, 0, 0));
        loop {
            looks.tick().await;
            let counts = &self.counts;
            let now = (
                counts.messages.load(Ordering::Relaxed),
                counts.refused.load(Ordering::Relaxed),
                counts.deferred.load(Ordering::Relaxed),
            );
            if now != told {
                say!("messages={} refused={} deferred={}", now.0, now.1, now.2);
                told = now;
            }
        }
    }
}

/// When the message was sent, where this is the field that says so.
fn sent_at(line: &[u8]) -> Option<SystemTime> {
    let text = std::str::from_utf8(line).ok()?;
    let micros = text.strip_prefix(SENT_FIELD)?.trim_end().parse().ok()?;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

impl Counts {
    fn latencies(&self) -> std::sync::MutexGuard<'_, Latencies> {
        self.latencies
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn report(&self) -> Report {
        Report {
            connections: self.connections.load(Ordering::Relaxed),
            encrypted: self.encrypted.load(Ordering::Relaxed),
            messages: self.messages.load(Ordering::Relaxed),
            octets: self.octets.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            deferred: self.deferred.load(Ordering::Relaxed),
            on_their_way_ms: self.latencies().percentiles(),
        }
    }
}

fn print(cli: &Cli, report: &Report) -> Outcome {
    if cli.json {
        return output::json(report);
    }
    say!(
        "{} messages with {} octets on {} connections, {} of them encrypted",
        report.messages,
        report.octets,
        report.connections,
        report.encrypted
    );
    if report.refused + report.deferred > 0 {
        say!(
            "{} recipients refused, {} deferred",
            report.refused,
            report.deferred
        );
    }
    if let Some(way) = report.on_their_way_ms {
        say!(
            "on their way: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, longest {:.2}",
            way.p50,
            way.p90,
            way.p99,
            way.longest
        );
    }
    Ok(ExitCode::SUCCESS)
}
