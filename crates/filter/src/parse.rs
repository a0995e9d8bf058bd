//! Text to conditions. Words are parted by blanks, except inside double quotes, which stay part of
//! the word: a quoted local part can be written as it stands in an address.

use std::ops::Range;

use mail::{Timestamp, TrackedResult};

use crate::{Code, Condition, Filter, FilterError, Glob, Network, State, Tracked};

/// A filter comes from a command line or a URL: nothing useful is longer.
const FILTER_BYTES_MAX: usize = 8192;
/// Each condition is asked of every recipient looked at.
const CONDITIONS_MAX: usize = 32;

/// The words before the colon, as they are printed in messages.
pub const KEYS: [&str; 17] = [
    "id",
    "to",
    "from",
    "state",
    "age",
    "arrived",
    "size",
    "code",
    "client",
    "user",
    "listener",
    "hello",
    "route",
    "host",
    "reply",
    "message-id",
    "subject",
];
/// So many of them can be asked of the queue.
const QUEUE_KEYS: usize = 10;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    /// What waits.
    Queue,
    /// What became of messages.
    Tracking,
}

impl Of {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Queue => &KEYS[..QUEUE_KEYS],
            Self::Tracking => &KEYS,
        }
    }
}

impl Filter {
    /// Reads a filter. `now` turns ages into moments. Empty text is everything.
    ///
    /// # Errors
    /// The first thing in `text` that is no condition.
    pub fn parse(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        filter(text, now, Of::Queue)
    }

    /// The same for the tracking store, which knows more: `state:` names a [`TrackedResult`] there,
    /// and `age:` and `arrived:` are about the moment of what happened.
    ///
    /// # Errors
    /// The first thing in `text` that is no condition.
    pub fn parse_tracked(text: &str, now: Timestamp) -> Result<Self, FilterError> {
        filter(text, now, Of::Tracking)
    }
}

fn filter(text: &str, now: Timestamp, of: Of) -> Result<Filter, FilterError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(FilterError::new(
            0,
            format!("a filter has at most {FILTER_BYTES_MAX} octets"),
        ));
    }
    let mut conditions = Vec::new();
    for range in words(text)? {
        if conditions.len() == CONDITIONS_MAX {
            let what = format!("a filter has at most {CONDITIONS_MAX} conditions");
            return Err(FilterError::new(characters(text, range.start), what));
        }
        let word = &text[range.clone()];
        conditions.push(condition(word, now, of).map_err(|(offset, error)| {
            let position = characters(text, range.start + offset);
            FilterError { position, ..error }
        })?);
    }
    Ok(Filter { conditions })
}

fn characters(text: &str, bytes: usize) -> usize {
    text[..bytes].chars().count()
}

/// Finds the words of a filter: from where to where each stands in the text.
fn words(text: &str) -> Result<Vec<Range<usize>>, FilterError> {
    let mut words = Vec::new();
    let (mut start, mut quote) = (None, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c.is_whitespace() && quote.is_none() {
            words.extend(start.take().map(|start| start..at));
            continue;
        }
        start.get_or_insert(at);
        match c {
            '"' => quote = if quote.is_none() { Some(at) } else { None },
            '\\' if quote.is_some() => drop(chars.next()),
            _ => (),
        }
    }
    if let Some(at) = quote {
        return Err(FilterError::new(
            characters(text, at),
            "this quote is not closed",
        ));
    }
    words.extend(start.map(|start| start..text.len()));
    Ok(words)
}

/// An error with the octets of the word that stand before it.
type Placed = (usize, FilterError);

fn error(offset: usize, what: impl Into<Box<str>>) -> Placed {
    (offset, FilterError::new(0, what))
}

fn condition(word: &str, now: Timestamp, of: Of) -> Result<Condition, Placed> {
    let Some((key, value)) = word.split_once(':') else {
        return bare(word, of);
    };
    let at = key.len() + 1;
    if value.is_empty() {
        return Err(error(at, format!("`{key}:` needs a value")));
    }
    match key.to_ascii_lowercase().as_str() {
        "id" => value
            .parse()
            .map(Condition::Id)
            .map_err(|why| error(at, why.to_string())),
        "to" => Ok(Condition::To(address(value))),
        "from" => Ok(Condition::From(address(value))),
        "state" => state(value, of).map_err(|e| (at, e)),
        "age" => age(value, now).map_err(|e| (at, e)),
        "arrived" => arrived(value).map_err(|e| (at, e)),
        "size" => size(value).map_err(|e| (at, e)),
        "code" => code(value).map_err(|e| (at, e)),
        "client" => client(value).map_err(|e| (at, e)),
        "user" => Ok(Condition::User(Glob::new(value))),
        key => tracked(key, value, of).ok_or_else(|| (0, unknown_key(key, of))),
    }
}

/// What only the tracking store can answer; none when there is no such key, or the queue is asked.
fn tracked(key: &str, value: &str, of: Of) -> Option<Condition> {
    let glob = || Glob::new(value);
    let asked = match key {
        _ if of == Of::Queue => return None,
        "listener" => Tracked::Listener(glob()),
        "hello" => Tracked::Hello(glob()),
        "route" => Tracked::Route(glob()),
        "host" => Tracked::Host(glob()),
        "reply" => Tracked::Reply(value.into()),
        "message-id" => Tracked::MessageId(address(value)),
        "subject" => Tracked::Subject(value.into()),
        _ => return None,
    };
    Some(Condition::Tracked(asked))
}

/// A word without a colon is a queue id, or somebody forgot the key.
fn bare(word: &str, of: Of) -> Result<Condition, Placed> {
    if let Ok(id) = word.parse() {
        return Ok(Condition::Id(id));
    }
    let what = format!("`{word}` is no queue id and no condition like key:value");
    let meant = if word.contains('@') {
        Some(format!("to:{word}"))
    } else if Network::parse(word).is_some() {
        Some(format!("client:{word}"))
    } else if state(word, of).is_ok() {
        Some(format!("state:{word}"))
    } else {
        nearest(word, of.keys()).map(|key| format!("{key}:..."))
    };
    Err((0, FilterError::new(0, what).suggesting(meant)))
}

fn unknown_key(key: &str, of: Of) -> FilterError {
    let keys = of.keys();
    if keys.len() < KEYS.len() && KEYS.contains(&key) {
        return FilterError::new(
            0,
            format!("`{key}:` is known of what is tracked, not of the queue"),
        );
    }
    let what = format!("unknown key `{key}`; there are {}", keys.join(", "));
    FilterError::new(0, what).suggesting(nearest(key, keys))
}

/// An address pattern, with or without the angle brackets in which the protocol shows it; `<>` is
/// the null sender.
fn address(value: &str) -> Glob {
    Glob::new(
        value
            .strip_prefix('<')
            .and_then(|v| v.strip_suffix('>'))
            .unwrap_or(value),
    )
}

const STATES: [(&str, State); 7] = [
    ("waiting", State::Waiting),
    ("deferred", State::Deferred),
    ("held", State::Held),
    ("badmail", State::Badmail),
    ("quarantined", State::Quarantined),
    ("bouncing", State::Bouncing),
    ("unscreened", State::Unscreened),
];

fn state(value: &str, of: Of) -> Result<Condition, FilterError> {
    match of {
        Of::Queue => state_in_queue(value),
        Of::Tracking => result(value),
    }
}

fn result(value: &str) -> Result<Condition, FilterError> {
    let asked = |result| Condition::Tracked(Tracked::Result(result));
    value.parse().map(asked).map_err(|()| {
        let words = TrackedResult::ALL.map(TrackedResult::as_str);
        let what = format!("`{value}` is no state; there are {}", words.join(", "));
        FilterError::new(0, what).suggesting(nearest(value, &words))
    })
}

fn state_in_queue(value: &str) -> Result<Condition, FilterError> {
    let found = STATES
        .iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(value));
    found
        .map(|(_, state)| Condition::State(*state))
        .ok_or_else(|| {
            let words = STATES.map(|(word, _)| word);
            let what = format!("`{value}` is no state; there are {}", words.join(", "));
            FilterError::new(0, what).suggesting(nearest(value, &words))
        })
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Deferred => "deferred",
            Self::Held => "held",
            Self::Badmail => "badmail",
            Self::Quarantined => "quarantined",
            Self::Bouncing => "bouncing",
            Self::Unscreened => "unscreened",
        }
    }
}

/// On which side of a bound.
enum Side {
    Over,
    Under,
}

fn compared<'a>(value: &'a str, example: &str) -> Result<(Side, &'a str), FilterError> {
    let split = |mark| value.strip_prefix(mark).filter(|rest| !rest.is_empty());
    match (split('>'), split('<')) {
        (Some(rest), _) => Ok((Side::Over, rest)),
        (_, Some(rest)) => Ok((Side::Under, rest)),
        (None, None) => {
            Err(FilterError::new(0, "say > or <, and then how much").suggesting(Some(example)))
        }
    }
}

/// Older than an age means accepted before the moment that lies so far back.
fn age(value: &str, now: Timestamp) -> Result<Condition, FilterError> {
    let (side, text) = compared(value, "age:>1h")?;
    let span = mail::quantity::duration(text).ok_or_else(|| {
        FilterError::new(
            0,
            format!("`{text}` is no time span: a number and ms, s, m, h, d or w"),
        )
    })?;
    Ok(match side {
        Side::Over => Condition::ArrivedBefore(now - span),
        Side::Under => Condition::ArrivedAfter(now - span),
    })
}

fn arrived(value: &str) -> Result<Condition, FilterError> {
    let (side, text) = compared(value, "arrived:<2026-01-31T12:00:00Z")?;
    let at = text.parse().map_err(|_| {
        let what = format!("`{text}` is no moment like 2026-01-31T12:00:00Z (in UTC)");
        FilterError::new(0, what)
    })?;
    Ok(match side {
        Side::Over => Condition::ArrivedAfter(at),
        Side::Under => Condition::ArrivedBefore(at),
    })
}

/// `25MB`, or a bare number of octets.
fn octets(text: &str) -> Option<u64> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        text.parse().ok()
    } else {
        mail::quantity::size(text)
    }
}

fn size(value: &str) -> Result<Condition, FilterError> {
    let (side, text) = compared(value, "size:>1MB")?;
    let octets = octets(text).ok_or_else(|| {
        let what = format!("`{text}` is no size: a number and B, kB, MB, GB, KiB, MiB or GiB");
        FilterError::new(0, what)
    })?;
    Ok(match side {
        Side::Over => Condition::LargerThan(octets),
        Side::Under => Condition::SmallerThan(octets),
    })
}

fn code(value: &str) -> Result<Condition, FilterError> {
    if value
        .bytes()
        .all(|b| b.is_ascii_digit() || b == b'.' || b == b'*')
    {
        return Ok(Condition::Code(Code(Glob::new(value))));
    }
    Err(FilterError::new(
        0,
        format!("`{value}` is no code like 450, 4.7.1 or 4.7.*"),
    ))
}

fn client(value: &str) -> Result<Condition, FilterError> {
    Network::parse(value).map(Condition::Client).ok_or_else(|| {
        let what = format!("`{value}` is no address, block like 10.0.0.0/8, or `local`");
        FilterError::new(0, what)
    })
}

/// The word that differs in the fewest letters, when it is near enough to have been meant.
fn nearest<'a>(word: &str, words: &[&'a str]) -> Option<&'a str> {
    let word: Vec<char> = word
        .chars()
        .take(16)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    let best = words
        .iter()
        .map(|known| (distance(&word, known), *known))
        .min()?;
    (best.0 <= 2 && best.0 < best.1.len()).then_some(best.1)
}

/// Letters to add, drop or change (Levenshtein).
fn distance(word: &[char], known: &str) -> usize {
    let mut row: Vec<usize> = (0..=word.len()).collect();
    for (i, k) in known.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, w) in word.iter().enumerate() {
            let changed = diagonal + usize::from(*w != k);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[word.len()]
}

#[cfg(test)]
mod tests;
