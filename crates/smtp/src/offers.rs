use crate::ServerReply;

/// What a server offers: its reply to EHLO, read once (RFC 5321 section 4.1.1.1). After HELO it
/// offers nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offers {
    /// `PIPELINING` (RFC 2920)
    pub pipelining: bool,
    /// `SIZE` (RFC 1870): offered, and its limit in octets when it names one.
    pub size: Option<Option<u64>>,
    /// `8BITMIME` (RFC 6152)
    pub eight_bit_mime: bool,
    /// `SMTPUTF8` (RFC 6531)
    pub smtputf8: bool,
    /// `CHUNKING` (RFC 3030)
    pub chunking: bool,
    /// `DSN` (RFC 3461)
    pub dsn: bool,
    /// `STARTTLS` (RFC 3207)
    pub starttls: bool,
    /// `AUTH`'s mechanisms, in upper case (RFC 4954).
    pub auth: Vec<Box<str>>,
    /// `LIMITS RCPTMAX=`: recipients in one transaction (RFC 9422).
    pub recipients_max: Option<u32>,
    /// `LIMITS MAILMAX=`: transactions on one connection (RFC 9422).
    pub messages_max: Option<u32>,
}

impl Offers {
    /// Reads a positive reply to EHLO. The first line is a greeting; unknown keywords are passed
    /// over.
    pub fn from_ehlo(reply: &ServerReply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines().skip(1) {
            let mut words = line.split_ascii_whitespace();
            if let Some(keyword) = words.next() {
                offers.keyword(&keyword.to_ascii_uppercase(), words);
            }
        }
        offers
    }

    fn keyword<'a>(&mut self, keyword: &str, mut words: impl Iterator<Item = &'a str>) {
        match keyword {
            "PIPELINING" => self.pipelining = true,
            "SIZE" => self.size = Some(words.next().and_then(size_limit)),
            "8BITMIME" => self.eight_bit_mime = true,
            "SMTPUTF8" => self.smtputf8 = true,
            "CHUNKING" => self.chunking = true,
            "DSN" => self.dsn = true,
            "STARTTLS" => self.starttls = true,
            "AUTH" => self.mechanisms(words),
            "LIMITS" => words.for_each(|word| self.limit(word)),
            // Some servers have it so, for programs of the time before RFC 2554, beside the other
            // form or alone.
            _ => {
                if let Some(first) = keyword.strip_prefix("AUTH=") {
                    self.mechanisms(std::iter::once(first));
                    self.mechanisms(words);
                }
            }
        }
    }

    /// Adds mechanisms, each once.
    fn mechanisms<'a>(&mut self, words: impl Iterator<Item = &'a str>) {
        for word in words.filter(|word| !word.is_empty()) {
            let name = word.to_ascii_uppercase().into();
            if !self.auth.contains(&name) {
                self.auth.push(name);
            }
        }
    }

    fn limit(&mut self, word: &str) {
        let Some((name, value)) = word.split_once('=') else {
            return;
        };
        // A limit of nothing would make the server useless: it is taken for a mistake.
        let value = value.parse().ok().filter(|n| *n > 0);
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" => self.recipients_max = value,
            "MAILMAX" => self.messages_max = value,
            _ => {}
        }
    }
}

/// RFC 1870 section 4: "A value of 0 (zero) indicates that no fixed maximum message size is in
/// force."
fn size_limit(digits: &str) -> Option<u64> {
    digits.parse().ok().filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ReplyReader;

    fn offers(text: &str) -> Offers {
        let reply = ReplyReader::new()
            .read(&mut text.as_bytes())
            .unwrap()
            .unwrap();
        Offers::from_ehlo(&reply)
    }

    #[test]
    fn keywords_are_read_in_any_case() {
        let all = offers(
            "250-mx.example\r\n250-PIPELINING\r\n250-size 1000\r\n250-8BITMIME\r\n250-SmtpUtf8\r\n250-CHUNKING\r\n250-DSN\r\n\
             250-STARTTLS\r\n250-ENHANCEDSTATUSCODES\r\n250-AUTH plain LOGIN\r\n250-X-NEW thing\r\n250 LIMITS RCPTMAX=5 MAILMAX=7 X=1 Y\r\n",
        );
        let expected = Offers {
            pipelining: true,
            size: Some(Some(1000)),
            eight_bit_mime: true,
            smtputf8: true,
            chunking: true,
            dsn: true,
            starttls: true,
            auth: vec!["PLAIN".into(), "LOGIN".into()],
            recipients_max: Some(5),
            messages_max: Some(7),
        };
        assert_eq!(all, expected);
    }

    #[test]
    fn mechanisms_behind_an_equals_sign_are_offered_too() {
        for (lines, expected) in [
            ("250 AUTH=LOGIN plain", "LOGIN PLAIN"),
            ("250 auth=Login", "LOGIN"),
            ("250-AUTH LOGIN\r\n250 AUTH=LOGIN PLAIN", "LOGIN PLAIN"),
            ("250-AUTH=PLAIN\r\n250 AUTH PLAIN LOGIN", "PLAIN LOGIN"),
            ("250 AUTH= PLAIN", "PLAIN"),
            ("250 AUTH", ""),
            ("250 AUTHX=PLAIN", ""),
        ] {
            let auth = offers(&format!("250-mx\r\n{lines}\r\n")).auth;
            assert_eq!(auth.join(" "), expected, "{lines}");
        }
    }

    #[test]
    fn the_greeting_line_offers_nothing() {
        assert_eq!(offers("250 PIPELINING\r\n"), Offers::default());
    }

    #[test]
    fn a_size_may_be_without_limit() {
        for (line, size) in [
            ("SIZE", Some(None)),
            ("SIZE 0", Some(None)),
            ("SIZE 99999999999999999999999", Some(None)),
            ("SIZE 1", Some(Some(1))),
            ("SIZEX", None),
        ] {
            assert_eq!(
                offers(&format!("250-mx\r\n250 {line}\r\n")).size,
                size,
                "{line}"
            );
        }
    }

    #[test]
    fn a_limit_of_nothing_is_a_mistake() {
        assert_eq!(
            offers("250-mx\r\n250 LIMITS RCPTMAX=0\r\n").recipients_max,
            None
        );
    }
}
