use std::borrow::Cow;
use std::fmt;

/// What one side of an SMTP session answered: code, enhanced status, text (RFC 5321 section 4.2,
/// RFC 3463).
///
/// From this one value come the line on the wire, the log line, the notice and the explanation. The
/// class of the enhanced status is always that of the code. The text holds no control character, so
/// a reply is one line wherever it is told; a peer's reply of several lines is joined by spaces when
/// it is read. Only where it is to go on to a client in its lines does it know where they begin
/// ([`Reply::from_lines`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    code: u16,
    /// Subject and detail of the enhanced status; the class is the code's.
    detail: Option<(u16, u16)>,
    text: Cow<'static, str>,
    /// Where its lines but the first begin in the text, each behind a blank.
    line_starts: Box<[u16]>,
    /// These are the words of a peer, not ours.
    from_peer: bool,
}

/// Longer text from a peer is cut: nothing useful is that long, and it is stored and logged.
const TEXT_BYTES_MAX: usize = 1000;
const _: () = assert!(TEXT_BYTES_MAX < u16::MAX as usize);

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
            line_starts: Box::default(),
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
            line_starts: Box::default(),
            from_peer: false,
        }
    }

    /// A peer's reply: any control character in `text` becomes a space, and overlong text is cut.
    /// `None` when `code` is no reply code (RFC 5321 section 4.2: 2yz to 5yz).
    pub fn from_peer(code: u16, detail: Option<(u16, u16)>, text: &str) -> Option<Self> {
        (200..600).contains(&code).then(|| Self {
            code,
            detail,
            text: one_line(Cow::Owned(cut(text, TEXT_BYTES_MAX).to_owned())),
            line_starts: Box::default(),
            from_peer: true,
        })
    }

    /// The same of a reply in several lines, which a client is to get in these lines; empty ones are
    /// left out, and what is too long in all is cut.
    pub fn from_lines<'a>(
        code: u16,
        detail: Option<(u16, u16)>,
        lines: impl IntoIterator<Item = &'a str>,
    ) -> Option<Self> {
        let (mut text, mut line_starts) = (String::new(), Vec::new());
        for line in lines {
            let begun = text.len() + usize::from(!text.is_empty());
            let line = one_line(Cow::Borrowed(line));
            let line = cut(line.trim(), TEXT_BYTES_MAX.saturating_sub(begun));
            if line.is_empty() {
                continue;
            }
            if !text.is_empty() {
                text.push(' ');
                line_starts.push(begun as u16);
            }
            text += line;
        }
        let reply = Self::from_peer(code, detail, &text)?;
        let line_starts = line_starts.into();
        Some(Self {
            line_starts,
            ..reply
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

    /// The text in the lines in which it goes to a client; one where it has no more.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        let starts = || self.line_starts.iter().map(|start| usize::from(*start));
        // A blank stands before each line but the first.
        let ends = starts().map(|start| start - 1).chain([self.text.len()]);
        let starts = [0].into_iter().chain(starts());
        starts
            .zip(ends)
            .map(|(start, end)| self.text.get(start..end).unwrap_or_default())
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

    /// The enhanced status as it stands behind the code: 3yz has none (RFC 2034 section 4).
    pub fn shown_status(&self) -> Option<EnhancedStatus> {
        let is_shown = self.has_status() && (self.code < 300 || self.code >= 400);
        is_shown.then(|| self.status())
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
        if let Some(status) = self.shown_status() {
            write!(f, " {status}")?;
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

fn one_line(text: Cow<'_, str>) -> Cow<'_, str> {
    if !text.contains(char::is_control) {
        return text;
    }
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    Cow::Owned(text.chars().map(plain).collect())
}

fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
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

    #[test]
    fn lines_are_one_text_and_can_be_told_apart() {
        let lines = |lines: &[&str]| {
            let reply = Reply::from_lines(550, Some((7, 1)), lines.iter().copied()).unwrap();
            let shown = reply.lines().map(str::to_owned).collect::<Vec<_>>();
            (reply.to_string(), shown)
        };
        let (text, shown) = lines(&["one", "", " two\r\n250 x ", "dr\u{85}ei", "vier"]);
        assert_eq!(text, "550 5.7.1 one two  250 x dr ei vier");
        assert_eq!(shown, ["one", "two  250 x", "dr ei", "vier"]);
        assert_eq!(lines(&[]), ("550 5.7.1".to_owned(), vec![String::new()]));
        let (text, shown) = lines(&["ü"; 2000]);
        assert_eq!(text.len(), "550 5.7.1 ".len() + 998);
        assert_eq!(shown.len(), 333);
        assert!(shown.iter().all(|line| line == "ü"));
        assert_eq!(
            Reply::new(550, 7, 1, "a b").lines().collect::<Vec<_>>(),
            ["a b"]
        );
    }
}
