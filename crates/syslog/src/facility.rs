/// What kind of program speaks: a number of RFC 5424 section 6.2.1, by which servers sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facility(u8);

impl Facility {
    /// User-level messages.
    pub const USER: Self = Self(1);
    /// The mail system.
    pub const MAIL: Self = Self(2);
    /// System daemons.
    pub const DAEMON: Self = Self(3);
    /// Security and authorization.
    pub const AUTH: Self = Self(4);
    /// The same, for few to read.
    pub const AUTHPRIV: Self = Self(10);
    /// For local use, of eight the one with this number.
    pub const fn local(number: u8) -> Self {
        assert!(number < 8);
        Self(16 + number)
    }

    /// Its number.
    pub fn code(self) -> u8 {
        self.0
    }
}

impl Default for Facility {
    fn default() -> Self {
        Self::MAIL
    }
}
