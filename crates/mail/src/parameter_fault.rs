/// What is wrong with a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParameterFault {
    /// Nobody knows this parameter.
    Unknown,
    /// It is given twice.
    Repeated,
    /// Its value is malformed, missing, or too much.
    BadValue,
    /// The standard has this value, and we do not offer it.
    NotOffered,
}
