use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use rusqlite::Connection;

/// Texts of which there are few (listeners, kinds of encryption, lines of the configuration): rows
/// hold their numbers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    numbers: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
}

/// More than so many are no longer few: whatever they are, they are not remembered. A configuration may
/// well have a line for each of ten thousand domains.
pub(crate) const WORDS_MAX: usize = 32_768;
/// Rows that are looked at in one step.
const SWEEP_ROWS: i64 = 4096;

/// Looks through all rows for the texts that are in use, a few rows at a time.
#[derive(Debug, Default)]
pub(crate) struct Sweep {
    /// The row that is looked at next.
    next: i64,
    used: HashSet<i64>,
}

impl Sweep {
    /// One step; `end` is the number of the row that will be written next. Whether it was the last one,
    /// after which the texts that no row uses are forgotten.
    pub(crate) fn step(
        &mut self,
        connection: &Connection,
        end: i64,
        words: &mut Words,
    ) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached(
            "SELECT n, listener, tls, place FROM row WHERE n >= ?1 ORDER BY n LIMIT ?2",
        )?;
        let mut rows = statement.query((self.next, SWEEP_ROWS))?;
        let mut is_last = true;
        while let Some(row) = rows.next()? {
            for column in 1..=3 {
                self.used.extend(row.get::<_, Option<i64>>(column)?);
            }
            self.next = row.get::<_, i64>(0)? + 1;
            is_last = self.next >= end;
        }
        if is_last {
            words.keep(connection, &self.used)?;
        }
        Ok(is_last)
    }
}

impl Words {
    pub(crate) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let mut words = Self::default();
        let mut statement = connection.prepare_cached("SELECT number, text FROM word")?;
        let mut rows = statement.query(())?;
        while let Some(row) = rows.next()? {
            words.know(row.get(0)?, row.get_ref(1)?.as_str().unwrap_or_default());
        }
        Ok(words)
    }

    /// Whether so many are known that those are to be forgotten which no row uses any more.
    pub(crate) fn are_many(&self) -> bool {
        self.numbers.len() >= WORDS_MAX / 4 * 3
    }

    /// Forgets all that are not in use.
    fn keep(&mut self, connection: &Connection, used: &HashSet<i64>) -> rusqlite::Result<()> {
        let transaction = connection.unchecked_transaction()?;
        let mut delete = transaction.prepare_cached("DELETE FROM word WHERE number = ?1")?;
        for number in self.texts.keys().filter(|number| !used.contains(number)) {
            delete.execute((number,))?;
        }
        drop(delete);
        transaction.commit()?;
        self.texts.retain(|number, _| used.contains(number));
        self.numbers.retain(|_, number| used.contains(number));
        Ok(())
    }

    fn know(&mut self, number: i64, text: &str) {
        let text: Arc<str> = text.into();
        self.texts.insert(number, Arc::clone(&text));
        self.numbers.insert(text, number);
    }

    /// The number of a text, which is stored if it is new; none for none, and when there are too
    /// many.
    pub(crate) fn number(
        &mut self,
        connection: &Connection,
        text: &str,
    ) -> rusqlite::Result<Option<i64>> {
        if text.is_empty() {
            return Ok(None);
        }
        if let Some(number) = self.numbers.get(text) {
            return Ok(Some(*number));
        }
        if self.numbers.len() >= WORDS_MAX {
            return Ok(None);
        }
        let mut statement = connection.prepare_cached("INSERT INTO word (text) VALUES (?1)")?;
        let number = statement.insert((text,))?;
        self.know(number, text);
        Ok(Some(number))
    }

    /// The text with this number, if it is known.
    pub(crate) fn text(&self, number: Option<i64>) -> Arc<str> {
        let text = number.and_then(|number| self.texts.get(&number));
        text.map(Arc::clone).unwrap_or_default()
    }
}
