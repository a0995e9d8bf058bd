use crate::ParameterFault;

/// What the client declared about the content (RFC 6152, RFC 1870's `BODY` parameter).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum BodyKind {
    /// `BODY=7BIT`, or nothing said.
    #[default]
    SevenBit,
    /// `BODY=8BITMIME`: octets above 127 may occur.
    EightBit,
}

impl BodyKind {
    /// Reads the value of `BODY`.
    pub(crate) fn from_parameter(value: &str) -> Result<Self, ParameterFault> {
        let is = |name: &str| value.eq_ignore_ascii_case(name);
        if is("7BIT") {
            Ok(Self::SevenBit)
        } else if is("8BITMIME") {
            Ok(Self::EightBit)
        } else if is("BINARYMIME") {
            Err(ParameterFault::NotOffered)
        } else {
            Err(ParameterFault::BadValue)
        }
    }
}
