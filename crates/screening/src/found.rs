use std::cell::OnceCell;

use contents::{Contents, folded};

/// The text of a message, folded for comparing once, however many rules ask for it.
pub(crate) struct Found<'a> {
    contents: &'a Contents,
    subject: OnceCell<String>,
    texts: OnceCell<Vec<String>>,
}

impl<'a> Found<'a> {
    pub(crate) fn new(contents: &'a Contents) -> Self {
        Self {
            contents,
            subject: OnceCell::new(),
            texts: OnceCell::new(),
        }
    }

    pub(crate) fn contents(&self) -> &'a Contents {
        self.contents
    }

    pub(crate) fn subject(&self) -> &str {
        self.subject.get_or_init(|| folded(&self.contents.subject))
    }

    /// Text and HTML parts, in their order.
    pub(crate) fn texts(&self) -> &[String] {
        let all = &self.contents.texts;
        self.texts
            .get_or_init(|| all.iter().map(|text| folded(&text.text)).collect())
    }
}
