/// RFC 5322 section 2.1.1: lines "SHOULD be no more than 78 characters".
const COLUMN_MAX: usize = 77;

/// A field on its way, folded so that its lines stay below 78 columns, but for words that cannot
/// be cut.
pub(crate) struct Folded {
    text: String,
    column: usize,
}

impl Folded {
    /// Begins with the name of a field.
    pub fn new(name: &str) -> Self {
        Self {
            text: format!("{name}:"),
            column: name.len() + 1,
        }
    }

    /// Adds a word behind a blank, or on a new line.
    pub fn word(&mut self, word: &str) {
        if self.column + 1 + word.len() > COLUMN_MAX {
            self.fold();
        } else {
            self.push(" ");
        }
        self.push(word);
    }

    /// Adds a part right behind what is there, or on a new line.
    pub fn part(&mut self, part: &str) {
        if self.column + part.len() > COLUMN_MAX {
            self.fold();
        }
        self.push(part);
    }

    /// Adds ASCII text that may be cut anywhere.
    pub fn solid(&mut self, mut text: &str) {
        while !text.is_empty() {
            if self.column >= COLUMN_MAX {
                self.fold();
            }
            let (first, rest) = text.split_at(text.len().min(COLUMN_MAX - self.column));
            self.push(first);
            text = rest;
        }
    }

    /// What is there.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The whole field.
    pub fn finish(mut self) -> String {
        self.text.push_str("\r\n");
        self.text
    }

    fn push(&mut self, text: &str) {
        self.text.push_str(text);
        self.column += text.len();
    }

    fn fold(&mut self) {
        self.text.push_str("\r\n\t");
        // As wide as readers show it at most.
        self.column = 8;
    }
}
