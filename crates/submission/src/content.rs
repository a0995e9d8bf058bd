//! Content as programs write it, made into what goes behind DATA.

use memchr::memchr2;
use smtp::Stuffer;

/// Makes every line end CRLF, each by itself, as programs mix both ways of ending a line, and
/// doubles dots. A CR that ends no line becomes a blank: elsewhere it might be read as a line end,
/// and what stands behind it as a field.
#[derive(Debug, Default)]
pub struct Content {
    /// A CR came, and nothing behind it yet.
    cr: bool,
    stuffer: Stuffer,
    lines: Vec<u8>,
}

impl Content {
    /// At the start of a message.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next piece, cut anywhere, and appends what is to be sent to `out`.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        self.lines.clear();
        let mut rest = piece;
        if self.cr && !rest.is_empty() {
            self.cr = false;
            self.lines.push(if rest[0] == b'\n' { b'\r' } else { b' ' });
            if rest[0] == b'\n' {
                self.lines.push(b'\n');
                rest = &rest[1..];
            }
        }
        while let Some(at) = memchr2(b'\r', b'\n', rest) {
            self.lines.extend_from_slice(&rest[..at]);
            let end = &rest[at..];
            rest = match end {
                [b'\r', b'\n', rest @ ..] | [b'\n', rest @ ..] => {
                    self.lines.extend_from_slice(b"\r\n");
                    rest
                }
                [b'\r'] => {
                    self.cr = true;
                    &[]
                }
                _ => {
                    self.lines.push(b' ');
                    &end[1..]
                }
            };
        }
        self.lines.extend_from_slice(rest);
        self.stuffer.push(&self.lines, out);
    }

    /// Ends the message. A last line without an end gets one.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.cr) {
            self.stuffer.push(b"\r\n", out);
        }
        self.stuffer.finish(out);
    }
}

/// Whether a line, with its end, is a lone dot, by which programs end a message that they write to
/// `sendmail` without `-i`.
pub fn is_lone_dot(line: &[u8]) -> bool {
    matches!(line, b"." | b".\n" | b".\r\n")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sent(pieces: &[&[u8]]) -> String {
        let (mut content, mut out) = (Content::new(), Vec::new());
        for piece in pieces {
            content.push(piece, &mut out);
        }
        content.finish(&mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[test]
    fn each_line_end_is_judged_by_itself() {
        for (input, expected) in [
            ("a\nb\r\nc", "a\r\nb\r\nc\r\n.\r\n"),
            ("a: b\r\n\r\nx\ny\r\n", "a: b\r\n\r\nx\r\ny\r\n.\r\n"),
            ("50%\r100%\n", "50% 100%\r\n.\r\n"),
            ("a\r\r\nb", "a \r\nb\r\n.\r\n"),
            ("a\r", "a\r\n.\r\n"),
            ("a\n.\n.b\r\n..\n", "a\r\n..\r\n..b\r\n...\r\n.\r\n"),
            ("", ".\r\n"),
        ] {
            assert_eq!(sent(&[input.as_bytes()]), expected, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn cuts_change_nothing_and_no_line_end_is_half(input in "[ab.\r\n]{0,40}", at in 0usize..40) {
            let whole = sent(&[input.as_bytes()]);
            let at = at.min(input.len());
            prop_assert_eq!(&sent(&[&input.as_bytes()[..at], &input.as_bytes()[at..]]), &whole);
            let rest = whole.replace("\r\n", "");
            prop_assert!(!rest.contains(['\r', '\n']));
            prop_assert_eq!(whole.match_indices("\r\n.\r\n").count() + usize::from(whole.starts_with(".\r\n")), 1);
        }
    }
}
