use std::time::Duration;

use crate::Timeouts;

/// Where a conversation stands: what the server owes us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Its greeting.
    Greeting,
    /// Its answer to EHLO.
    Ehlo,
    /// Its answer to HELO.
    Helo,
    /// Its answer to LHLO.
    Lhlo,
    /// Its answer to STARTTLS.
    StartTls,
    /// Its part of the handshake.
    Handshake,
    /// Its answers to AUTH.
    SignIn,
    /// Nothing: the next message may begin.
    Idle,
    /// Its answer to XFORWARD.
    Xforward,
    /// Its answer to MAIL.
    Mail,
    /// Its answer to RCPT.
    Recipient,
    /// Its answer to DATA.
    Data,
    /// Nothing yet: content is on its way.
    Content,
    /// Its answer to the final dot, or to the last chunk.
    End,
    /// The same of LMTP, for a further recipient.
    NextEnd,
    /// Its answer to RSET.
    Reset,
    /// Its answer to QUIT.
    Quit,
}

impl Stage {
    /// How long the server may take.
    pub(crate) fn time_limit(self, timeouts: &Timeouts) -> Duration {
        match self {
            Self::Greeting => timeouts.greeting,
            Self::Ehlo
            | Self::Helo
            | Self::Lhlo
            | Self::StartTls
            | Self::SignIn
            | Self::Xforward
            | Self::Mail
            | Self::Recipient
            | Self::Reset => timeouts.command,
            Self::Handshake => timeouts.handshake,
            Self::Idle => timeouts.idle,
            Self::Data => timeouts.data_start,
            Self::Content => timeouts.data_block,
            // Whoever gives up here has the message delivered twice.
            Self::End => timeouts.data_end,
            Self::NextEnd => timeouts.next_end,
            Self::Quit => timeouts.quit,
        }
    }

    /// Behind "Connection lost".
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Greeting => "before the greeting",
            Self::Ehlo => "after EHLO",
            Self::Helo => "after HELO",
            Self::Lhlo => "after LHLO",
            Self::StartTls => "after STARTTLS",
            Self::Handshake => "in the TLS handshake",
            Self::SignIn => "after AUTH",
            Self::Idle => "between two messages",
            Self::Xforward => "after XFORWARD",
            Self::Mail => "after MAIL",
            Self::Recipient => "after RCPT",
            Self::Data => "after DATA",
            Self::Content => "while the message was being sent",
            Self::End | Self::NextEnd => {
                "after the end of the message: whether it was taken is unknown"
            }
            Self::Reset => "after RSET",
            Self::Quit => "after QUIT",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who gives up while a message is being taken has it delivered twice.
    #[test]
    fn shorter_replies_leave_a_message_its_time() {
        let (usual, short) = (Timeouts::default(), Duration::from_secs(2));
        let shortened = Timeouts::default().with_replies_within(short);
        assert_eq!(Stage::End.time_limit(&shortened), usual.data_end);
        for stage in [
            Stage::Greeting,
            Stage::Ehlo,
            Stage::Mail,
            Stage::Data,
            Stage::NextEnd,
        ] {
            assert_eq!(stage.time_limit(&shortened), short, "{}", stage.words());
        }
    }
}
