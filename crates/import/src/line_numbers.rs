//! On which line of a text something stands.

/// Where the lines of a text begin.
pub(crate) struct LineNumbers(Vec<usize>);

impl LineNumbers {
    pub fn of(text: &str) -> Self {
        let starts = text.match_indices('\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(starts).collect())
    }

    /// The line, from 1, of an octet.
    pub fn at(&self, offset: usize) -> usize {
        self.0.partition_point(|&start| start <= offset)
    }
}
