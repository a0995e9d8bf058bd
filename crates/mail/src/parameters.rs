use std::fmt;

use crate::ParameterFault::{BadValue, Unknown};
use crate::{BodyKind, EnvelopeId, Notify, OriginalRecipient, ParameterFault, Ret};

/// What MAIL says of a message beside its sender, as far as it travels with the message: from the
/// client's command through the envelope and the spool to our own MAIL.
///
/// Here is all that is known of a parameter on the wire: its keyword, how its value is read, and
/// how it is written. `SIZE` and `AUTH` are no part of it, since they end with the session.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// `BODY` (RFC 6152)
    pub body: BodyKind,
    /// `SMTPUTF8` (RFC 6531): addresses and header may go beyond ASCII.
    pub smtputf8: bool,
    /// `RET` (RFC 3461 section 4.3)
    pub ret: Option<Ret>,
    /// `ENVID` (RFC 3461 section 4.4)
    pub envid: Option<EnvelopeId>,
}

/// What RCPT says of a recipient beside its address. It travels as [`MailParameters`] do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// `NOTIFY` (RFC 3461 section 4.1); none when the client said nothing.
    pub notify: Option<Notify>,
    /// `ORCPT` (RFC 3461 section 4.2)
    pub original: Option<OriginalRecipient>,
}

impl MailParameters {
    /// The keywords that [`Self::set`] knows.
    pub const KEYWORDS: [&str; 4] = ["BODY", "SMTPUTF8", "RET", "ENVID"];
    /// The options of sendmail by which a program says them.
    pub const OPTIONS: [(char, &str); 3] = [('B', "BODY"), ('R', "RET"), ('V', "ENVID")];

    /// Takes the value that a client gave to one of [`Self::KEYWORDS`]; `None` where there was no
    /// equals sign.
    ///
    /// # Errors
    /// When the value is none of this parameter's, or the parameter is none of these.
    pub fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), ParameterFault> {
        match keyword {
            "BODY" => self.body = BodyKind::from_parameter(value.ok_or(BadValue)?)?,
            "SMTPUTF8" if value.is_some() => return Err(BadValue),
            "SMTPUTF8" => self.smtputf8 = true,
            "RET" => self.ret = Some(value.and_then(Ret::from_parameter).ok_or(BadValue)?),
            "ENVID" => {
                self.envid = Some(value.and_then(EnvelopeId::from_parameter).ok_or(BadValue)?);
            }
            _ => return Err(Unknown),
        }
        Ok(())
    }
}

/// As they stand behind the path of MAIL, each with a blank before it.
impl fmt::Display for MailParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.body {
            BodyKind::SevenBit => {}
            BodyKind::EightBit => f.write_str(" BODY=8BITMIME")?,
        }
        if self.smtputf8 {
            f.write_str(" SMTPUTF8")?;
        }
        match self.ret {
            None => {}
            Some(Ret::Full) => f.write_str(" RET=FULL")?,
            Some(Ret::Headers) => f.write_str(" RET=HDRS")?,
        }
        if let Some(envid) = &self.envid {
            write!(f, " ENVID={}", envid.as_str())?;
        }
        Ok(())
    }
}

impl RcptParameters {
    /// The keywords that [`Self::set`] knows.
    pub const KEYWORDS: [&str; 2] = ["NOTIFY", "ORCPT"];
    /// The options of sendmail by which a program says them, for all recipients.
    pub const OPTIONS: [(char, &str); 1] = [('N', "NOTIFY")];

    /// As [`MailParameters::set`].
    ///
    /// # Errors
    /// When the value is none of this parameter's, or the parameter is none of these.
    pub fn set(&mut self, keyword: &str, value: Option<&str>) -> Result<(), ParameterFault> {
        match keyword {
            "NOTIFY" => self.notify = Some(value.and_then(Notify::from_parameter).ok_or(BadValue)?),
            "ORCPT" => {
                let original = value.and_then(OriginalRecipient::from_parameter);
                self.original = Some(original.ok_or(BadValue)?);
            }
            _ => return Err(Unknown),
        }
        Ok(())
    }
}

/// As they stand behind the path of RCPT, each with a blank before it.
impl fmt::Display for RcptParameters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(notify) = self.notify {
            write!(f, " NOTIFY={notify}")?;
        }
        if let Some(original) = &self.original {
            write!(f, " ORCPT={}", original.as_str())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keyword in the list that `set` does not know would never be taken.
    #[test]
    fn every_keyword_is_known() {
        for keyword in MailParameters::KEYWORDS {
            let fault = MailParameters::default().set(keyword, Some("\0"));
            assert_eq!(fault, Err(BadValue), "{keyword}");
        }
        for keyword in RcptParameters::KEYWORDS {
            let fault = RcptParameters::default().set(keyword, None);
            assert_eq!(fault, Err(BadValue), "{keyword}");
        }
        assert_eq!(
            MailParameters::default().set("SIZE", Some("1")),
            Err(Unknown)
        );
        assert_eq!(RcptParameters::default().set("BODY", None), Err(Unknown));
    }
}
