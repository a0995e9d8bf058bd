//! What stands on the right side of an access table.

/// What an access table says of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Action {
    Permit,
    Reject,
    /// With 4yz, so that it comes again; here it hears 5yz.
    RejectForNow,
    /// Nothing is said.
    Dunno,
    /// `permit_auth_destination`
    PermitHosted,
    /// `reject_unauth_destination`
    RejectForeign,
    /// Hosted recipients are permitted, all others refused.
    HostedOnly,
    /// Something that is done elsewhere here, or nowhere; the list goes on.
    Other,
    /// Restrictions, or something else that may refuse.
    Unknown,
}

impl Action {
    pub fn parse(value: &str) -> Self {
        let separates = |c: char| c == ',' || c.is_whitespace();
        let mut words = value.split(separates).filter(|word| !word.is_empty());
        let mut word = || words.next().unwrap_or("").to_ascii_uppercase();
        let (word, next) = (word(), word());
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        match &*word {
            "OK" | "PERMIT" => Self::Permit,
            "REJECT" => Self::Reject,
            "DEFER" | "DEFER_IF_PERMIT" => Self::RejectForNow,
            "DUNNO" | "DEFER_IF_REJECT" | "INFO" | "WARN" => Self::Dunno,
            // The right side may be a list of restrictions itself.
            "PERMIT_AUTH_DESTINATION" => match &*next {
                "" => Self::PermitHosted,
                "REJECT" | "DEFER" => Self::HostedOnly,
                _ => Self::Unknown,
            },
            "REJECT_UNAUTH_DESTINATION" | "DEFER_UNAUTH_DESTINATION" => match &*next {
                "PERMIT" => Self::HostedOnly,
                _ => Self::RejectForeign,
            },
            code if code.len() == 3 && digits(code) && code.starts_with('5') => Self::Reject,
            code if code.len() == 3 && digits(code) && code.starts_with('4') => Self::RejectForNow,
            number if digits(number) => Self::Permit,
            "BCC" | "DELAY" | "FILTER" | "HOLD" | "PREPEND" | "REDIRECT" => Self::Other,
            _ => Self::Unknown,
        }
    }

    pub fn rejects(&self) -> bool {
        matches!(self, Self::Reject | Self::RejectForNow)
    }

    /// Whether recipients elsewhere are refused, or may be.
    pub fn rejects_foreign(&self) -> bool {
        matches!(self, Self::RejectForeign | Self::HostedOnly | Self::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_known_by_their_word() {
        for (value, action) in [
            ("OK", Action::Permit),
            ("permit", Action::Permit),
            ("1234567", Action::Permit),
            ("reject no thanks", Action::Reject),
            ("554 5.7.1 no", Action::Reject),
            ("450 later", Action::RejectForNow),
            ("DEFER_IF_PERMIT x", Action::RejectForNow),
            ("dunno", Action::Dunno),
            ("permit_auth_destination", Action::PermitHosted),
            ("permit_auth_destination, reject", Action::HostedOnly),
            ("permit_auth_destination reject", Action::HostedOnly),
            ("reject_unauth_destination, permit", Action::HostedOnly),
            ("permit_auth_destination my_class", Action::Unknown),
            ("permit_mynetworks, reject", Action::Unknown),
            ("DISCARD", Action::Unknown),
            ("FILTER smtp:x", Action::Other),
            ("", Action::Unknown),
        ] {
            assert_eq!(Action::parse(value), action, "{value}");
        }
    }
}
