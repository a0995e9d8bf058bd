/// What became of a message that a scanner should learn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Learned {
    /// It learned it.
    Now,
    /// It did not, and need not: it knew it, or cannot make anything of it; its words.
    NotNeeded(String),
}
