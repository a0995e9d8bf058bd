use std::borrow::Cow;
use std::fmt;

/// What one side of an SMTP session answered: code, enhanced status, text (RFC 5321 section 4.2,
/// RFC 3463).
///
/// From this one value come the line on the wire, the log line, the notice and the explanation. The
/// class of the enhanced status is always that of the code. The text holds no control character, so
/// a reply is one line wherever it is written; a peer's reply of several lines is joined by spaces
/// when it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// Subject and detail of the enhanced status; the class is the code's.
    detail: Option<(u16, u16)>,
    text: Cow<'static, str>,
    /// These are the words of a peer, not ours.
    from_peer: bool,
}

/// Longer text from a peer is cut: nothing useful is that long, and it is stored and logged.
const TEXT_BYTES_MAX: usize = 1000;

impl Reply {
    /// A reply of our own with an enhanced status: `Reply::new(550, 7, 1, "...")` is `550 5.7.1
    /// ...`.
    ///
    /// # Panics
    /// When `code` is not 200..=599: that is a fault in Gatepost, not in its input.
    pub fn new(code: u16, subject: u16, detail: u16, text: impl Into<Cow<'static, str>>) -> Self {
        assert!((200..600).contains(&code), "{code} is no SMTP reply code");
        Self {
            code,
            detail: Some((subject, detail)),
            text: one_line(text.into()),
            from_peer: false,
        }
    }

    /// A reply without enhanced status, as 220, 221 on greeting, 250 to EHLO and 354 are (RFC 2034
    /// section 4).
    ///
    /// # Panics
    /// When `code` is not 200..=599.
    pub fn plain(code: u16, text: impl Into<Cow<'static, str>>) -> Self {
        assert!((200..600).contains(&code), "{code} is no SMTP reply code");
        Self {
            code,
            detail: None,
            text: one_line(text.into()),
            from_peer: false,
        }
    }

    /// A peer's reply: any control character in `text` becomes a space, and overlong text is cut.
    /// `None` when `code` is no reply code (RFC 5321 section 4.2: 2yz to 5yz).
    pub fn from_peer(code: u16, detail: Option<(u16, u16)>, text: &str) -> Option<Self> {
        (200..600).contains(&code).then(|| Self {
            code,
            detail,
            text: one_line(Cow::Owned(cut(text).to_owned())),
            from_peer: true,
        })
    }

    /// The three-digit reply code.
    pub fn code(&self) -> u16 {
        self.code
    }

    /// The text behind code and status.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a peer said this; otherwise the words are ours.
    pub fn is_from_peer(&self) -> bool {
        self.from_peer
    }

    /// Whether the code says that the command was carried out: 2yz.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: the same command may succeed later.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// Whether the code says that trying again is of no use: 5yz.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status; when the reply carried none, `x.0.0` of its class.
    pub fn status(&self) -> EnhancedStatus {
        let (subject, detail) = self.detail.unwrap_or((0, 0));
        EnhancedStatus {
            class: self.code / 100,
            subject,
            detail,
        }
    }

    /// Whether the reply carried an enhanced status of its own.
    pub fn has_status(&self) -> bool {
        self.detail.is_some()
    }
}

/// `550 5.7.1 text`, without a line end.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if self.has_status() && (self.code < 300 || self.code >= 400) {
            write!(f, " {}", self.status())?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text)?;
        }
        Ok(())
    }
}

/// An enhanced mail system status code (RFC 3463), shown as `5.7.1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnhancedStatus {
    /// 2 success, 4 persistent transient failure, 5 permanent failure.
    pub class: u16,
    /// What the trouble is about.
    pub subject: u16,
    /// The third number: which trouble of that subject it is.
    pub detail: u16,
}

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

fn one_line(text: Cow<'static, str>) -> Cow<'static, str> {
    if !text.contains(char::is_control) {
        return text;
    }
    Cow::Owned(
        text.chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect(),
    )
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_follows_the_code_and_no_line_break_survives() {
        let reply = Reply::new(550, 7, 1, "Unable to relay for a\r\n250 ok@b");
        assert_eq!(
            reply.to_string(),
            "550 5.7.1 Unable to relay for a  250 ok@b"
        );
        assert_eq!(
            Reply::new(450, 2, 0, "later").to_string(),
            "450 4.2.0 later"
        );
        assert_eq!(Reply::plain(354, "go on").to_string(), "354 go on");
        assert_eq!(Reply::from_peer(99, None, "x"), None);
        let long = Reply::from_peer(250, None, &"ü".repeat(5000)).map(|r| r.text().len());
        assert_eq!(long, Some(1000));
    }
}
