/// What the client declared about the content (RFC 6152, RFC 1870's `BODY` parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum BodyKind {
    /// `BODY=7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`: octets above 127 may occur.
    EightBit,
}
