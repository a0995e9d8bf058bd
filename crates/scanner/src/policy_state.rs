/// Where in a session a policy service is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum State {
    /// For each recipient.
    #[default]
    Recipient,
    /// At DATA.
    Data,
    /// Once the message is there.
    EndOfMessage,
}

impl State {
    /// What was refused there, as Postfix calls it where a service has no words of its own.
    pub(crate) fn refused(self) -> &'static str {
        match self {
            Self::Recipient => "Recipient address rejected",
            Self::Data => "Data command rejected",
            Self::EndOfMessage => "End-of-data rejected",
        }
    }

    /// As it is told.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Recipient => "RCPT",
            Self::Data => "DATA",
            Self::EndOfMessage => "END-OF-MESSAGE",
        }
    }
}
