//! The last lines of the log, kept in memory, and those who follow it.

use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use mail::Timestamp;
use privacy::Veil;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::clock;

/// So many lines are kept.
const LINES_MAX: usize = 5_000;
/// With so many octets together.
const OCTETS_MAX: usize = 4 << 20;
/// Octets of a text or of a value; the rest is cut off.
const VALUE_OCTETS_MAX: usize = 2_000;
/// Octets of the text and the values of most lines.
const USUAL_OCTETS: usize = 256;
/// Lines that may wait for somebody who follows; further ones are lost to him.
const WAITING_MAX: usize = 1_024;

/// A line of the log.
#[derive(Debug, Clone)]
pub struct Line {
    /// Later ones have greater numbers.
    pub number: u64,
    pub at: Timestamp,
    pub level: Level,
    /// The text and the values, one behind the other: there is a line or two for each message.
    written: String,
    text: Range<usize>,
    fields: Vec<(&'static str, Range<usize>)>,
}

/// The last lines.
pub struct Recent {
    kept: Mutex<Kept>,
    follow: Sender<Arc<Line>>,
}

#[derive(Default)]
struct Kept {
    lines: VecDeque<Arc<Line>>,
    octets: usize,
    last: u64,
}

/// What somebody hears who follows.
pub enum Followed {
    Line(Arc<Line>),
    /// So many lines are lost to him: he was slower than the log.
    Lost(u64),
}

static RECENT: LazyLock<Recent> = LazyLock::new(Recent::new);

/// Those of this process.
pub fn recent() -> &'static Recent {
    &RECENT
}

impl Recent {
    fn new() -> Self {
        Self {
            kept: Mutex::default(),
            follow: Sender::new(WAITING_MAX),
        }
    }

    /// All that is kept, oldest first.
    pub fn lines(&self) -> Vec<Arc<Line>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.lines.iter().cloned().collect()
    }

    /// What is kept, and whatever comes behind it, for [`next`].
    pub fn follow(&self) -> (Vec<Arc<Line>>, Receiver<Arc<Line>>) {
        // Under the lock no line comes between.
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let lines = kept.lines.iter().cloned().collect();
        (lines, self.follow.subscribe())
    }

    fn add(&self, mut line: Line) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.last += 1;
        line.number = kept.last;
        kept.octets += line.octets();
        let line = Arc::new(line);
        kept.lines.push_back(Arc::clone(&line));
        while kept.lines.len() > LINES_MAX || kept.octets > OCTETS_MAX {
            let Some(gone) = kept.lines.pop_front() else {
                break;
            };
            kept.octets -= gone.octets();
        }
        let _nobody_follows = self.follow.send(line);
    }
}

/// The next thing that is heard; `None` when nothing will be.
pub async fn next(follower: &mut Receiver<Arc<Line>>) -> Option<Followed> {
    match follower.recv().await {
        Ok(line) => Some(Followed::Line(line)),
        Err(RecvError::Lagged(count)) => Some(Followed::Lost(count)),
        Err(RecvError::Closed) => None,
    }
}

impl Line {
    fn new(at: Timestamp, level: Level, fields: usize) -> Self {
        Self {
            number: 0,
            at,
            level,
            written: String::with_capacity(USUAL_OCTETS),
            text: 0..0,
            fields: Vec::with_capacity(fields),
        }
    }

    fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut line = Self::new(clock::now(), *metadata.level(), metadata.fields().len());
        event.record(&mut line);
        line
    }

    /// What it says.
    pub fn text(&self) -> &str {
        self.at_place(&self.text)
    }

    /// The names and values of its fields, in the order in which they stand.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let fields = self.fields.iter();
        fields.map(|(name, place)| (*name, self.at_place(place)))
    }

    fn at_place(&self, place: &Range<usize>) -> &str {
        self.written.get(place.clone()).unwrap_or_default()
    }

    fn octets(&self) -> usize {
        let fields = self.fields.capacity() * size_of::<(&str, Range<usize>)>();
        size_of::<Self>() + self.written.capacity() + fields
    }

    fn veiled(&self, veil: &Veil) -> Self {
        let mut veiled = Self::new(self.at, self.level, self.fields.len());
        veiled.set("message", |to| to.push_str(&veil.text(self.text())));
        for (name, value) in self.fields() {
            veiled.set(name, |to| to.push_str(&veil.field(name, value)));
        }
        veiled
    }

    /// One with these fields.
    #[cfg(test)]
    pub fn sample(number: u64, level: Level, text: &str, fields: &[(&'static str, &str)]) -> Self {
        let mut line = Self::new(Timestamp::default(), level, fields.len());
        line.number = number;
        for (name, value) in [("message", text)].iter().chain(fields) {
            line.set(name, |to| to.push_str(value));
        }
        line
    }

    fn set(&mut self, name: &'static str, write: impl FnOnce(&mut String)) {
        let start = self.written.len();
        write(&mut self.written);
        let end = self.written.floor_char_boundary(start + VALUE_OCTETS_MAX);
        self.written.truncate(end);
        if name == "message" {
            self.text = start..end;
        } else {
            self.fields.push((name, start..end));
        }
    }
}

impl Visit for Line {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), |to| to.push_str(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field.name(), |to| {
            // What cannot be written stands as far as it could be.
            let _written = write!(to, "{value:?}");
        });
    }
}

/// Keeps each line, with addresses behind the veil if there is one.
pub(super) struct ToMemory {
    pub(super) veil: Option<Arc<Veil>>,
}

impl<S: Subscriber> Layer<S> for ToMemory {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let line = Line::of(event);
        RECENT.add(match &self.veil {
            Some(veil) => line.veiled(veil),
            None => line,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: String) -> Line {
        Line::sample(0, Level::INFO, &text, &[])
    }

    #[test]
    fn so_many_lines_are_kept_and_the_oldest_go_first() {
        let recent = Recent::new();
        for number in 0..LINES_MAX + 3 {
            recent.add(line(number.to_string()));
        }
        let lines = recent.lines();
        assert_eq!(lines.len(), LINES_MAX);
        assert_eq!((lines[0].number, lines[0].text()), (4, "3"));
    }

    #[test]
    fn so_many_octets_are_kept() {
        let recent = Recent::new();
        for _ in 0..LINES_MAX {
            recent.add(line("\u{fc}".repeat(VALUE_OCTETS_MAX)));
        }
        let lines = recent.lines();
        assert!(lines.len() < LINES_MAX);
        assert!(lines.iter().map(|line| line.octets()).sum::<usize>() <= OCTETS_MAX);
        assert_eq!(lines[0].text().len(), VALUE_OCTETS_MAX);
    }

    #[tokio::test]
    async fn who_is_too_slow_hears_how_many_he_lost() {
        let recent = Recent::new();
        recent.add(line("before".to_owned()));
        let (before, mut follower) = recent.follow();
        assert_eq!(before.len(), 1);
        for number in 0..WAITING_MAX + 2 {
            recent.add(line(number.to_string()));
        }
        assert!(matches!(next(&mut follower).await, Some(Followed::Lost(2))));
        let Some(Followed::Line(heard)) = next(&mut follower).await else {
            panic!("a line");
        };
        assert_eq!((heard.number, heard.text()), (4, "2"));
    }
}
