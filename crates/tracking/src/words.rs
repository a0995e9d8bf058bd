use std::collections::HashMap;
use std::sync::Arc;

use rusqlite::Connection;

/// Texts of which there are few (listeners, kinds of encryption, lines of the configuration): rows
/// hold their numbers.
#[derive(Debug, Default)]
pub(crate) struct Words {
    numbers: HashMap<Arc<str>, i64>,
    texts: HashMap<i64, Arc<str>>,
}

/// More than so many are no longer few: whatever they are, they are not remembered.
const WORDS_MAX: usize = 10_000;

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

    /// The same, once those are forgotten that no row uses any more, should there be many.
    pub(crate) fn read_few(connection: &Connection) -> rusqlite::Result<Self> {
        let words = Self::read(connection)?;
        if words.numbers.len() < WORDS_MAX / 2 {
            return Ok(words);
        }
        connection.execute_batch(
            "DELETE FROM word WHERE number NOT IN (SELECT listener FROM row WHERE listener IS NOT NULL
             UNION SELECT tls FROM row WHERE tls IS NOT NULL
             UNION SELECT place FROM row WHERE place IS NOT NULL)",
        )?;
        Self::read(connection)
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
