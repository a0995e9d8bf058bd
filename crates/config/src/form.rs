//! How values are written. A form reads one type of value, says in words what it takes, and
//! describes itself for the schema; the rows of the table of options are made of forms.

use std::ops::Range;

use serde_json::{Value, json};
use toml::Spanned;
use toml::de::{DeArray, DeValue};

use crate::source::Span;
use crate::suggest::nearest;

/// Where the text that is read begins: a value is read from its file and, later, from its own text.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Origin {
    pub file: usize,
    pub offset: usize,
}

impl Origin {
    /// Of a text that stands in no file, as defaults do.
    pub const NOWHERE: Self = Self {
        file: usize::MAX,
        offset: 0,
    };

    /// Where a part of that text is.
    pub fn span(self, range: &Range<usize>) -> Span {
        Span {
            file: self.file,
            range: self.offset + range.start..self.offset + range.end,
        }
    }
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    pub span: Span,
    /// What it should have been.
    pub expected: String,
    /// What it is, or how to write it.
    pub label: String,
}

/// An element of a list, with where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item<T> {
    pub value: T,
    pub span: Span,
}

/// How values of type `T` are written.
pub(crate) trait Form<T>: Sync {
    /// In words: "a duration".
    fn expected(&self) -> String;

    /// Reads a value; every element of a list that is wrong is a problem of its own.
    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<T, Vec<Problem>>;

    /// As a JSON schema says it.
    fn schema(&self) -> Value;

    /// What is wrong with `value`; `label` stands behind the caret.
    fn problem(&self, value: &Spanned<DeValue<'_>>, origin: Origin, label: String) -> Vec<Problem> {
        vec![Problem {
            span: origin.span(&value.span()),
            expected: self.expected(),
            label,
        }]
    }
}

/// Text that a function reads; its error says how to write it.
pub(crate) struct Text<T> {
    expected: &'static str,
    parse: fn(&str) -> Result<T, String>,
    /// What is said to who wrote a number without quotes.
    number_help: Option<&'static str>,
    pattern: Option<&'static str>,
}

impl<T> Text<T> {
    pub const fn new(expected: &'static str, parse: fn(&str) -> Result<T, String>) -> Self {
        Self {
            expected,
            parse,
            number_help: None,
            pattern: None,
        }
    }

    /// Says `help` to who wrote a number, and gives the schema a regular expression.
    pub const fn with_unit(self, help: &'static str, pattern: &'static str) -> Self {
        Self {
            number_help: Some(help),
            pattern: Some(pattern),
            ..self
        }
    }
}

impl<T> Form<T> for Text<T> {
    fn expected(&self) -> String {
        self.expected.to_owned()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<T, Vec<Problem>> {
        let read = match (value.get_ref(), self.number_help) {
            (DeValue::String(text), _) => (self.parse)(text),
            (DeValue::Integer(_), Some(help)) => Err(help.to_owned()),
            (other, _) => Err(this_is(other)),
        };
        read.map_err(|label| self.problem(value, origin, label))
    }

    fn schema(&self) -> Value {
        match self.pattern {
            Some(pattern) => json!({"type": "string", "pattern": pattern}),
            None => json!({"type": "string"}),
        }
    }
}

/// One of these words; what looks like a number may go without quotes.
pub(crate) struct Words<T: 'static>(pub &'static [(&'static str, T)]);

impl<T: Copy + Sync> Form<T> for Words<T> {
    fn expected(&self) -> String {
        let quoted: Vec<String> = self
            .0
            .iter()
            .map(|(word, _)| format!("\"{word}\""))
            .collect();
        match quoted.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            Some((last, _)) => last.clone(),
            None => String::new(),
        }
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<T, Vec<Problem>> {
        let text = match value.get_ref() {
            DeValue::String(text) => &**text,
            DeValue::Integer(number) => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            other => return Err(self.problem(value, origin, this_is(other))),
        };
        let found = self.0.iter().find(|(word, _)| *word == text);
        found.map(|(_, meant)| *meant).ok_or_else(|| {
            let label = match nearest(text, self.0.iter().map(|(word, _)| *word)) {
                Some(word) => format!("did you mean \"{word}\"?"),
                None => String::new(),
            };
            self.problem(value, origin, label)
        })
    }

    fn schema(&self) -> Value {
        let words = self.0.iter().map(|(word, _)| json!(word));
        let numbers = self.0.iter().filter_map(|(word, _)| {
            serde_json::from_str(word)
                .ok()
                .filter(|value: &Value| value.is_number())
        });
        json!({"enum": words.chain(numbers).collect::<Vec<_>>()})
    }
}

/// `true` or `false`
pub(crate) struct Flag;

impl Form<bool> for Flag {
    fn expected(&self) -> String {
        "true or false".to_owned()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<bool, Vec<Problem>> {
        match value.get_ref() {
            DeValue::Boolean(flag) => Ok(*flag),
            other => Err(self.problem(value, origin, without_quotes(other))),
        }
    }

    fn schema(&self) -> Value {
        json!({"type": "boolean"})
    }
}

/// A whole number within bounds, both included.
pub(crate) struct Whole {
    pub min: i64,
    pub max: i64,
}

impl<N: TryFrom<i64>> Form<N> for Whole {
    fn expected(&self) -> String {
        format!("a whole number from {} to {}", self.min, self.max)
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<N, Vec<Problem>> {
        let problem = |label| Form::<N>::problem(self, value, origin, label);
        let DeValue::Integer(number) = value.get_ref() else {
            return Err(problem(without_quotes(value.get_ref())));
        };
        let digits = number.as_str().replace('_', "");
        let read = i64::from_str_radix(&digits, number.radix()).ok();
        read.filter(|read| (self.min..=self.max).contains(read))
            .and_then(|read| N::try_from(read).ok())
            .ok_or_else(|| problem(format!("{number} is out of range")))
    }

    fn schema(&self) -> Value {
        json!({"type": "integer", "minimum": self.min, "maximum": self.max})
    }
}

/// What need not be there.
pub(crate) struct Optional<F>(pub F);

impl<T, F: Form<T>> Form<Option<T>> for Optional<F> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Option<T>, Vec<Problem>> {
        self.0.read(value, origin).map(Some)
    }

    fn schema(&self) -> Value {
        self.0.schema()
    }
}

/// What the word `off` takes away.
pub(crate) struct OrOff<F>(pub F);

impl<T, F: Form<T>> Form<Option<T>> for OrOff<F> {
    fn expected(&self) -> String {
        format!("{} or \"off\"", self.0.expected())
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Option<T>, Vec<Problem>> {
        if value.get_ref().as_str() == Some("off") {
            return Ok(None);
        }
        let read = self.0.read(value, origin).map(Some);
        read.map_err(|problems| renamed(problems, &self.expected()))
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [self.0.schema(), {"const": "off"}]})
    }
}

/// The form of a list in brackets whose elements all have the form `F`.
pub(crate) struct List<F>(pub F);

impl<T, F: Form<T>> Form<Vec<Item<T>>> for List<F> {
    fn expected(&self) -> String {
        format!("a list, each {}", self.0.expected())
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Vec<Item<T>>, Vec<Problem>> {
        let label = match value.get_ref() {
            DeValue::Array(items) => return read_items(&self.0, items, origin),
            DeValue::String(_) => "write it in brackets: [\"...\"]".to_owned(),
            other => this_is(other),
        };
        Err(self.problem(value, origin, label))
    }

    fn schema(&self) -> Value {
        json!({"type": "array", "items": self.0.schema()})
    }
}

/// A list of one, without brackets: where another section takes a list.
pub(crate) struct One<F>(pub F);

impl<T, F: Form<T>> Form<Vec<Item<T>>> for One<F> {
    fn expected(&self) -> String {
        self.0.expected()
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Vec<Item<T>>, Vec<Problem>> {
        read_item(&self.0, value, origin).map(|item| vec![item])
    }

    fn schema(&self) -> Value {
        self.0.schema()
    }
}

/// One, or a list of it.
pub(crate) struct OneOrMany<F>(pub F);

impl<T, F: Form<T>> Form<Vec<Item<T>>> for OneOrMany<F> {
    fn expected(&self) -> String {
        format!("{}, or a list", self.0.expected())
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Vec<Item<T>>, Vec<Problem>> {
        match value.get_ref() {
            DeValue::Array(items) => read_items(&self.0, items, origin),
            _ => read_item(&self.0, value, origin).map(|item| vec![item]),
        }
    }

    fn schema(&self) -> Value {
        let one = self.0.schema();
        json!({"anyOf": [one, {"type": "array", "items": one}]})
    }
}

/// What [`WordOrList`] reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Either<A, B> {
    Word(A),
    List(Vec<Item<B>>),
}

impl<A: Default, B> Default for Either<A, B> {
    fn default() -> Self {
        Self::Word(A::default())
    }
}

/// A word, or a list of something else.
pub(crate) struct WordOrList<F, G> {
    pub word: F,
    pub each: G,
    pub expected: &'static str,
}

impl<A, B, F: Form<A>, G: Form<B>> Form<Either<A, B>> for WordOrList<F, G> {
    fn expected(&self) -> String {
        self.expected.to_owned()
    }

    fn read(
        &self,
        value: &Spanned<DeValue<'_>>,
        origin: Origin,
    ) -> Result<Either<A, B>, Vec<Problem>> {
        if let DeValue::Array(items) = value.get_ref() {
            return read_items(&self.each, items, origin).map(Either::List);
        }
        let read = self.word.read(value, origin).map(Either::Word);
        read.map_err(|problems| renamed(problems, self.expected))
    }

    fn schema(&self) -> Value {
        json!({"anyOf": [self.word.schema(), {"type": "array", "items": self.each.schema()}]})
    }
}

/// The same in other words.
pub(crate) struct Called<F>(pub &'static str, pub F);

impl<T, F: Form<T>> Form<T> for Called<F> {
    fn expected(&self) -> String {
        self.0.to_owned()
    }

    fn read(&self, value: &Spanned<DeValue<'_>>, origin: Origin) -> Result<T, Vec<Problem>> {
        let read = self.1.read(value, origin);
        read.map_err(|problems| renamed(problems, self.0))
    }

    fn schema(&self) -> Value {
        self.1.schema()
    }
}

/// Problems of a part, told of the whole.
fn renamed(mut problems: Vec<Problem>, expected: &str) -> Vec<Problem> {
    for problem in &mut problems {
        expected.clone_into(&mut problem.expected);
    }
    problems
}

fn read_item<T>(
    form: &impl Form<T>,
    value: &Spanned<DeValue<'_>>,
    origin: Origin,
) -> Result<Item<T>, Vec<Problem>> {
    Ok(Item {
        value: form.read(value, origin)?,
        span: origin.span(&value.span()),
    })
}

fn read_items<T>(
    form: &impl Form<T>,
    items: &DeArray<'_>,
    origin: Origin,
) -> Result<Vec<Item<T>>, Vec<Problem>> {
    let (mut read, mut problems) = (Vec::with_capacity(items.len()), Vec::new());
    for item in items.iter() {
        match read_item(form, item, origin) {
            Ok(item) => read.push(item),
            Err(more) => problems.extend(more),
        }
    }
    if problems.is_empty() {
        Ok(read)
    } else {
        Err(problems)
    }
}

fn without_quotes(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(_) => "write it without quotes".to_owned(),
        other => this_is(other),
    }
}

fn this_is(value: &DeValue<'_>) -> String {
    let kind = value.type_str();
    let article = if kind.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    };
    format!("this is {article} {kind}")
}
