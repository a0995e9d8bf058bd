/// An answer to a question, in three ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<T> {
    /// It is so.
    Yes(T),
    /// It certainly is not so.
    No,
    /// It could not be found out (time-out, server failure): neither yes nor no, so the client is
    /// postponed.
    CannotTell,
}
