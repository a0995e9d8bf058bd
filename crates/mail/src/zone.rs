use jiff::tz::TimeZone;

/// A time zone, with the moments at which it sets its clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// Reads what the system knows of a zone: a file of its database (TZif, RFC 9636).
    ///
    /// # Errors
    /// The octets are no such file.
    pub fn read(name: &str, octets: &[u8]) -> Result<Self, jiff::Error> {
        TimeZone::tzif(name, octets).map(Self)
    }

    /// Reads a zone as POSIX writes it in `TZ`: `CET-1CEST,M3.5.0,M10.5.0/3`.
    ///
    /// # Errors
    /// The text is no such zone.
    pub fn posix(text: &str) -> Result<Self, jiff::Error> {
        TimeZone::posix(text).map(Self)
    }

    /// As the library for the calendar has it.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}
