//! The last lines of the log, and those to come.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::Query;
use axum::http::StatusCode;
use tokio::sync::Semaphore;
use tracing::Level;

use super::events::{EventSender, Events, Gone};
use super::routes::Routes;
use super::{Answer, Trouble};
use crate::api::{LogEvent, LogField, LogLine, LogQuery};
use crate::log::{self, Followed, Line};

/// Unless more are asked for.
const LINES: usize = 200;
/// So many may follow at one time.
const FOLLOWERS_MAX: usize = 32;
/// How often a follower hears something though nothing happens.
const ALIVE_INTERVAL: Duration = Duration::from_secs(15);

static FOLLOWERS: Semaphore = Semaphore::const_new(FOLLOWERS_MAX);

pub(super) fn with(routes: Routes) -> Routes {
    routes
        .get(
            "/v1/log/tail",
            "The last lines of the log, oldest first",
            tail,
        )
        .get(
            "/v1/log/follow",
            "Lines of the log as they are written, each an event",
            follow,
        )
}

/// Which lines are wanted.
struct Wanted {
    level: Level,
    /// In lower case.
    word: String,
}

impl Wanted {
    fn of(query: &LogQuery) -> Result<Self, Trouble> {
        let level = match query.level.as_deref() {
            None | Some("debug") => Level::DEBUG,
            Some("info") => Level::INFO,
            Some("warn") => Level::WARN,
            Some("error") => Level::ERROR,
            Some(_) => {
                let why = "`level` is `error`, `warn`, `info` or `debug`";
                return Err(Trouble::bad(why));
            }
        };
        let word = query.word.as_deref().unwrap_or_default().to_lowercase();
        Ok(Self { level, word })
    }

    fn matches(&self, line: &Line) -> bool {
        let has_word = |text: &str| text.to_lowercase().contains(&self.word);
        let in_field = |(name, value): (&str, &str)| has_word(name) || has_word(value);
        // Greater levels weigh less.
        line.level <= self.level
            && (self.word.is_empty() || has_word(line.text()) || line.fields().any(in_field))
    }

    /// The last `count` of those that match.
    fn last(&self, lines: Vec<Arc<Line>>, count: usize) -> Vec<LogLine> {
        let matching = lines.iter().rev().filter(|line| self.matches(line));
        let mut last: Vec<LogLine> = matching.take(count).map(|line| shown(line)).collect();
        last.reverse();
        last
    }
}

fn shown(line: &Line) -> LogLine {
    let field = |(name, value): (&str, &str)| LogField {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    LogLine {
        number: line.number,
        at: line.at.to_string(),
        level: line.level.as_str().to_ascii_lowercase(),
        text: line.text().to_owned(),
        fields: line.fields().map(field).collect(),
    }
}

/// `GET /v1/log/tail`
async fn tail(Query(query): Query<LogQuery>) -> Answer<Vec<LogLine>> {
    let wanted = Wanted::of(&query)?;
    let lines = log::recent().lines();
    Ok(Json(wanted.last(lines, query.lines.unwrap_or(LINES))))
}

/// `GET /v1/log/follow`
async fn follow(Query(query): Query<LogQuery>) -> Result<Events<LogEvent>, Trouble> {
    let wanted = Wanted::of(&query)?;
    let Ok(place) = FOLLOWERS.try_acquire() else {
        let why = format!("{FOLLOWERS_MAX} follow the log already");
        return Err(Trouble(StatusCode::SERVICE_UNAVAILABLE, why));
    };
    let (sender, events) = Events::new();
    tokio::spawn(async move {
        let _gone = tell(sender, &wanted, query.lines.unwrap_or(0)).await;
        drop(place);
    });
    Ok(events)
}

/// Until nobody reads any more.
async fn tell(
    mut sender: EventSender<LogEvent>,
    wanted: &Wanted,
    count: usize,
) -> Result<(), Gone> {
    let (lines, mut follower) = log::recent().follow();
    // An answer begins with its first octet.
    sender.keep_alive().await?;
    for line in wanted.last(lines, count) {
        sender.send(&LogEvent::Line { line }).await?;
    }
    loop {
        let heard = tokio::time::timeout(ALIVE_INTERVAL, log::next(&mut follower)).await;
        match heard {
            Err(_) => sender.keep_alive().await?,
            Ok(None) => return Ok(()),
            Ok(Some(Followed::Lost(count))) => sender.send(&LogEvent::Lost { count }).await?,
            Ok(Some(Followed::Line(line))) if wanted.matches(&line) => {
                let line = shown(&line);
                sender.send(&LogEvent::Line { line }).await?;
            }
            Ok(Some(Followed::Line(_))) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_by_level_and_word() {
        let line = |number, level, text: &str, value: &str| {
            Arc::new(Line::sample(number, level, text, &[("client", value)]))
        };
        let lines = vec![
            line(1, Level::INFO, "recipient accepted", "192.0.2.1"),
            line(2, Level::WARN, "too many", "192.0.2.2"),
            line(3, Level::ERROR, "the disk", "192.0.2.1"),
        ];
        for (level, word, count, expected) in [
            (None, None, 9, &[1, 2, 3][..]),
            (None, None, 2, &[2, 3]),
            (Some("warn"), None, 9, &[2, 3]),
            (Some("error"), None, 9, &[3]),
            (None, Some("192.0.2.1"), 9, &[1, 3]),
            (None, Some("TOO MANY"), 9, &[2]),
            (None, Some("CLIENT"), 1, &[3]),
            (None, Some("nowhere"), 9, &[]),
        ] {
            let query = LogQuery {
                lines: None,
                level: level.map(str::to_owned),
                word: word.map(str::to_owned),
            };
            let wanted = Wanted::of(&query).unwrap_or_else(|_| panic!("{query:?}"));
            let last = wanted.last(lines.clone(), count);
            let numbers: Vec<u64> = last.iter().map(|line| line.number).collect();
            assert_eq!(numbers, expected, "{query:?}");
        }
    }
}
