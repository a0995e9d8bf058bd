//! The thread that sends the records of one log to a syslog server.
//!
//! What waits while a server cannot be reached waits for it, as far as there is room; attempts come
//! at growing pauses. No server says that it has taken a record: what was sent within a second
//! before a connection broke is sent once more, marked so, and counted as lost if that breaks too.

mod connection;

use std::collections::VecDeque;
use std::io;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use config::Syslog;
use mail::Timestamp;
use nix::errno::Errno;
use syslog::{Message, Severity};

pub(crate) use self::connection::Connection;
use crate::outlet::State;

/// How long a connection has to last for what was sent on it to count as taken.
const UNSURE: Duration = Duration::from_secs(1);
/// Records that may be sent once more.
const UNSURE_MAX: usize = 16_384;
/// Pauses between attempts.
const PAUSE_MIN: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// What is said to a server.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) at: Timestamp,
    pub(crate) severity: Severity,
    pub(crate) app: Arc<str>,
    pub(crate) text: String,
}

pub(crate) struct SyslogSender {
    syslog: Arc<Syslog>,
    connection: Option<Connection>,
    /// What is to be sent, in order; whether it has been already.
    pending: VecDeque<(Record, bool)>,
    /// What was sent on this connection within the last second, and when.
    unsure: VecDeque<(Instant, Record, bool)>,
    pause: Duration,
    /// How much was lost when the trouble began.
    lost_before: u64,
}

impl SyslogSender {
    pub(crate) fn new(syslog: Arc<Syslog>) -> Self {
        Self {
            syslog,
            connection: None,
            pending: VecDeque::new(),
            unsure: VecDeque::new(),
            pause: PAUSE_MIN,
            lost_before: 0,
        }
    }

    /// Until nobody has anything more to say; `records` makes an entry what is sent.
    pub(crate) fn run<T, R: IntoIterator<Item = Record>>(
        mut self,
        entries: &Receiver<T>,
        state: &State,
        records: impl Fn(T) -> R,
    ) {
        while let Some(entry) = self.next(entries, state) {
            let records = records(entry).into_iter();
            self.pending.extend(records.map(|record| (record, false)));
            if !self.deliver(state) {
                state.lose(self.pending.len() + entries.try_iter().count());
                return;
            }
        }
        state.lose(self.pending.len());
        if let Some(connection) = self.connection {
            connection.close();
        }
    }

    fn next<T>(&mut self, entries: &Receiver<T>, state: &State) -> Option<T> {
        while !self.unsure.is_empty() {
            match entries.recv_timeout(UNSURE) {
                Ok(entry) => return Some(entry),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => match self.look() {
                    Ok(()) => self.settle(state),
                    Err(error) => {
                        self.broken(&error, state);
                        // While nothing more comes there is no hurry, nor an end.
                        if !state.rest(self.pause) {
                            self.deliver(state);
                        }
                    }
                },
            }
        }
        entries.recv().ok()
    }

    /// Sends what is pending; `false` where that cannot be done, and nobody has anything more to
    /// say.
    fn deliver(&mut self, state: &State) -> bool {
        while let Some((record, again)) = self.pending.front() {
            let frame = self.frame(record, *again);
            match self.send(&frame) {
                Ok(()) => self.sent(state),
                Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
                    // No other attempt will do better.
                    self.pending.pop_front();
                    state.lose(1);
                    self.tell(&error, state);
                }
                Err(error) => {
                    self.broken(&error, state);
                    if state.rest(self.pause) {
                        return false;
                    }
                    self.pause = (2 * self.pause).min(PAUSE_MAX);
                }
            }
        }
        true
    }

    fn frame(&self, record: &Record, again: bool) -> Vec<u8> {
        let message = Message {
            at: record.at,
            severity: record.severity,
            app: &record.app,
            text: &record.text,
            again,
        };
        self.syslog.format.frame(&message, process::id())
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.look() {
            // A server may close a connection on which nothing is said.
            Err(_) if self.unsure.is_empty() => self.connection = None,
            looked => looked?,
        }
        let connection = match &mut self.connection {
            Some(connection) => connection,
            None => self.connection.insert(Connection::open(&self.syslog)?),
        };
        connection.send(frame)
    }

    fn look(&mut self) -> io::Result<()> {
        self.connection.as_mut().map_or(Ok(()), Connection::look)
    }

    /// The first of what is pending was sent.
    fn sent(&mut self, state: &State) {
        let Some((record, again)) = self.pending.pop_front() else {
            return;
        };
        if self.connection.as_ref().is_some_and(Connection::is_sure) {
            return self.settle(state);
        }
        let now = Instant::now();
        self.unsure.push_back((now, record, again));
        let is_sure = |(sent, ..): &(Instant, Record, bool)| now.duration_since(*sent) >= UNSURE;
        let first = self.unsure.front();
        if first.is_some_and(is_sure) || self.unsure.len() > UNSURE_MAX {
            let rest = self.unsure.iter().position(|sent| !is_sure(sent));
            self.unsure.drain(..rest.unwrap_or_default().max(1));
            self.works(state);
        }
    }

    /// All that was sent counts as taken.
    fn settle(&mut self, state: &State) {
        self.unsure.clear();
        self.works(state);
    }

    fn works(&mut self, state: &State) {
        self.pause = PAUSE_MIN;
        if state.set_trouble(None).is_some() {
            let (syslog, lost) = (&*self.syslog.name, state.lost() - self.lost_before);
            tracing::info!(syslog, lost, "the syslog server takes messages again");
        }
    }

    /// The connection is of no more use.
    fn broken(&mut self, error: &io::Error, state: &State) {
        self.connection = None;
        for (_, record, again) in self.unsure.drain(..).rev() {
            if again {
                state.lose(1);
            } else {
                self.pending.push_front((record, true));
            }
        }
        self.tell(error, state);
    }

    fn tell(&mut self, error: &io::Error, state: &State) {
        let syslog = &*self.syslog.name;
        let why = format!("{}: {error}", self.syslog.to);
        if state.set_trouble(Some(why)).is_none() {
            self.lost_before = state.lost();
            let to = self.syslog.to.to_string();
            tracing::warn!(syslog, to, %error, "the syslog server takes no messages");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::net::TcpListener;

    use syslog::{Destination, Facility, Form, Format, Framing};

    use super::*;

    fn server() -> (TcpListener, SyslogSender) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let syslog = Syslog {
            name: "test".into(),
            to: Destination::Tcp("127.0.0.1".into(), port),
            format: Format {
                form: Form::Ietf,
                framing: Framing::Lf,
                facility: Facility::MAIL,
                max_bytes: 480,
                host: "relay.example".into(),
                zone: mail::Zone::utc(),
            },
            ca: None,
            certificate: None,
        };
        (listener, SyslogSender::new(Arc::new(syslog)))
    }

    fn send(sender: &mut SyslogSender, text: &str, state: &State) {
        let record = Record {
            at: Timestamp::from_millis(0),
            severity: Severity::Informational,
            app: "gatepost".into(),
            text: text.to_owned(),
        };
        sender.pending.push_back((record, false));
        assert!(sender.deliver(state));
    }

    /// The texts that come on the next connection, which stays open.
    fn taken(listener: &TcpListener, lines: usize) -> (std::net::TcpStream, Vec<String>) {
        let (stream, _) = listener.accept().unwrap();
        let reader = BufReader::new(stream.try_clone().unwrap());
        let lines = reader.lines().take(lines).map(|line| {
            let line = line.unwrap();
            line.rsplit_once(" - - ").unwrap().1.to_owned()
        });
        (stream, lines.collect())
    }

    #[test]
    fn a_connection_that_was_quiet_may_end_without_trouble() {
        let ((listener, mut sender), state) = (server(), State::new(&Arc::default()));
        send(&mut sender, "first", &state);
        let (stream, texts) = taken(&listener, 1);
        assert_eq!(texts, ["first"]);
        sender.settle(&state);
        drop(stream);
        send(&mut sender, "second", &state);
        assert_eq!(taken(&listener, 1).1, ["second"]);
        assert_eq!((state.trouble(), state.lost()), (None, 0));
    }

    #[test]
    fn what_nobody_may_have_taken_is_sent_once_more_and_then_lost() {
        let ((listener, mut sender), state) = (server(), State::new(&Arc::default()));
        send(&mut sender, "first", &state);
        drop(taken(&listener, 1));
        send(&mut sender, "second", &state);
        assert_eq!(taken(&listener, 2).1, ["[sent again] first", "second"]);
        assert!(state.trouble().is_some());
        send(&mut sender, "third", &state);
        let (_stream, texts) = taken(&listener, 2);
        assert_eq!(texts, ["[sent again] second", "third"]);
        assert_eq!(state.lost(), 1);
        sender.settle(&state);
        assert_eq!(state.trouble(), None);
    }
}
