use mail::{AddressError, ParameterFault, Reply};

use crate::Verb;

/// A command that cannot be understood, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntaxError {
    /// The command, as far as it was read.
    pub verb: Verb,
    /// What is wrong with it.
    pub fault: SyntaxFault,
}

/// What is wrong with a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SyntaxFault {
    /// A control character stands in it.
    Control,
    /// Octets above 127 that are not UTF-8.
    NotUtf8,
    /// An argument where none may be.
    UnexpectedArgument,
    /// No argument, or not the one that belongs there; what is expected.
    Expected(&'static str),
    /// No path, or one without its closing bracket.
    NoBrackets,
    /// `<@relay:user@domain>` as a recipient.
    SourceRoute,
    /// `<>` as a recipient.
    NullRecipient,
    /// The path over [`crate::Rcpt::PATH_LEN_MAX`] octets.
    PathTooLong,
    /// An address that is none.
    Address(AddressError),
    /// What should be base64 and is not.
    NotBase64,
    /// A parameter of MAIL or RCPT; its name where it is one of ours.
    Parameter(&'static str, ParameterFault),
}

impl SyntaxError {
    /// The reply that tells the client what is wrong.
    pub fn reply(self) -> Reply {
        use SyntaxFault::*;
        match self.fault {
            Control => Reply::new(500, 5, 2, "Control character in command"),
            NotUtf8 => Reply::new(501, 5, 2, "Command is not UTF-8"),
            UnexpectedArgument => Reply::new(501, 5, 4, "No argument allowed"),
            Expected(what) => Reply::new(501, 5, 4, format!("Syntax: {what}")),
            NoBrackets => self.address_reply("Address must be in angle brackets".into()),
            SourceRoute => self.address_reply("Source routes are not accepted".into()),
            NullRecipient => self.address_reply("A recipient cannot be empty".into()),
            PathTooLong => self.address_reply("Path too long".into()),
            Address(why) => self.address_reply(format!("Bad address: {why}")),
            // RFC 4954 section 4: "If the server cannot BASE64 decode any client response, it MUST
            // reject the AUTH command with a 501 reply (and an enhanced status code of 5.5.2)."
            NotBase64 => Reply::new(501, 5, 2, "Not base64"),
            Parameter(name, fault) => parameter_reply(name, fault),
        }
    }

    /// RFC 3463 section 3.2: 5.1.7 is a bad sender's address, 5.1.3 a bad recipient's.
    fn address_reply(self, text: String) -> Reply {
        let detail = if self.verb == Verb::Mail { 7 } else { 3 };
        Reply::new(501, 1, detail, text)
    }
}

fn parameter_reply(name: &'static str, fault: ParameterFault) -> Reply {
    match fault {
        // RFC 5321 section 4.1.1.11: "If the server SMTP does not recognize or cannot implement one
        // or more of the parameters associated with a particular MAIL FROM or RCPT TO command, it
        // will return code 555."
        ParameterFault::Unknown => Reply::new(555, 5, 4, "Parameter not recognized"),
        ParameterFault::Repeated => Reply::new(501, 5, 4, format!("{name} given twice")),
        ParameterFault::BadValue => Reply::new(501, 5, 4, format!("Bad value of {name}")),
        ParameterFault::NotOffered => Reply::new(504, 5, 4, format!("Value of {name} not offered")),
    }
}
