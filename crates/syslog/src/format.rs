use std::fmt::Write as _;

use mail::{Timestamp, Zone, escaped};

use crate::{Facility, Severity};

/// How messages for one server look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Format {
    /// The form of the header.
    pub form: Form,
    /// How one message is told from the next.
    pub framing: Framing,
    /// What kind of program speaks.
    pub facility: Facility,
    /// Octets of a message at most, without what frames it. What is longer is cut, and marked so: a
    /// server would cut it anywhere, or take what is left for further messages.
    pub max_bytes: usize,
    /// Our name.
    pub host: Box<str>,
    /// The zone of time stamps in the forms of RFC 3164, which do not say it.
    pub zone: Zone,
}

/// The form of a message's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// RFC 3164 section 4.1, or what became of it.
    Bsd,
    /// The same without our name, as sockets of this machine take it.
    Local,
    /// RFC 5424.
    Ietf,
}

/// How one message is told from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Each is a datagram.
    Datagram,
    /// Its octets are counted before it: RFC 6587 section 3.4.1, RFC 5425 section 4.3.
    OctetCounting,
    /// An LF ends it: RFC 6587 section 3.4.2.
    Lf,
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// When.
    pub at: Timestamp,
    /// How much it weighs.
    pub severity: Severity,
    /// The program that says it.
    pub app: &'a str,
    /// What it says; line ends in it are escaped.
    pub text: &'a str,
    /// Whether it may have arrived before.
    pub again: bool,
}

/// Behind what was cut.
const CUT: &str = " [...]";
/// Before what may have arrived before.
const AGAIN: &str = "[sent again] ";
/// RFC 5424 section 6.
const APP_LEN_MAX: usize = 48;
const HOST_LEN_MAX: usize = 255;

impl Format {
    /// One message of the process `pid`, framed. It has neither a byte-order mark, which some
    /// servers show, nor structured data.
    pub fn frame(&self, message: &Message<'_>, pid: u32) -> Vec<u8> {
        let mut line = self.header(message, pid);
        if message.again {
            line.push_str(AGAIN);
        }
        let header_len = line.len();
        // Writing to memory cannot fail.
        let _ = write!(line, "{}", escaped(message.text.trim_end()));
        if line.len() > self.max_bytes {
            let room = self.max_bytes.saturating_sub(CUT.len());
            line.truncate(line.floor_char_boundary(room.max(header_len)));
            line.push_str(CUT);
        }
        match self.framing {
            Framing::Datagram => line.into_bytes(),
            Framing::OctetCounting => format!("{} {line}", line.len()).into_bytes(),
            Framing::Lf => {
                line.push('\n');
                line.into_bytes()
            }
        }
    }

    fn header(&self, message: &Message<'_>, pid: u32) -> String {
        let priority = self.facility.code() * 8 + message.severity.code();
        let at = message.at;
        let app = word(message.app, APP_LEN_MAX);
        let host = word(&self.host, HOST_LEN_MAX);
        match self.form {
            Form::Ietf => format!("<{priority}>1 {at} {host} {app} {pid} - - "),
            Form::Bsd | Form::Local => {
                let at = at.rfc3164(Some(&self.zone));
                let host = if self.form == Form::Bsd {
                    format!("{host} ")
                } else {
                    String::new()
                };
                format!("<{priority}>{at} {host}{app}[{pid}]: ")
            }
        }
    }
}

/// A field of a header: printable ASCII without a blank, or the sign for none.
fn word(text: &str, len_max: usize) -> String {
    let printable = text.chars().filter(char::is_ascii_graphic);
    let word: String = printable.take(len_max).collect();
    if word.is_empty() {
        "-".to_owned()
    } else {
        word
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format(form: Form, framing: Framing) -> Format {
        Format {
            form,
            framing,
            facility: Facility::MAIL,
            max_bytes: 480,
            host: "relay.example".into(),
            zone: Zone::posix("CET-1").unwrap(),
        }
    }

    fn message(text: &str) -> Message<'_> {
        Message {
            // Friday, 3 November 2006, 09:00:00.250 UTC.
            at: Timestamp::from_millis(1_162_544_400_250),
            severity: Severity::Informational,
            app: "gatepost",
            text,
            again: false,
        }
    }

    fn framed(form: Form, framing: Framing, message: &Message<'_>) -> String {
        String::from_utf8(format(form, framing).frame(message, 7)).unwrap()
    }

    #[test]
    fn forms_and_framings() {
        let hello = message("hello\n");
        assert_eq!(
            framed(Form::Ietf, Framing::OctetCounting, &hello),
            "65 <22>1 2006-11-03T09:00:00.250Z relay.example gatepost 7 - - hello"
        );
        assert_eq!(
            framed(Form::Local, Framing::Datagram, &hello),
            "<22>Nov  3 10:00:00 gatepost[7]: hello"
        );
        let again = Message {
            severity: Severity::Error,
            again: true,
            ..hello
        };
        assert_eq!(
            framed(Form::Bsd, Framing::Lf, &again),
            "<19>Nov  3 10:00:00 relay.example gatepost[7]: [sent again] hello\n"
        );
    }

    #[test]
    fn a_header_is_of_words() {
        let mut format = format(Form::Ietf, Framing::Datagram);
        format.host = "".into();
        let odd = Message {
            app: "a b\n\u{fc}",
            ..message("x\ny\0")
        };
        let line = String::from_utf8(format.frame(&odd, 7)).unwrap();
        assert!(line.ends_with("Z - ab 7 - - x\\x0ay\\x00"), "{line}");
    }

    proptest! {
        #[test]
        fn none_is_too_long_or_more_than_a_line(text in "\\PC{0,200}[\\x00-\u{2ff}]{0,200}", bytes in 200_usize..700) {
            for form in [Form::Bsd, Form::Local, Form::Ietf] {
                let format = Format { max_bytes: bytes, ..format(form, Framing::Lf) };
                let framed = String::from_utf8(format.frame(&message(&text), 7)).unwrap();
                let line = framed.strip_suffix('\n').unwrap();
                prop_assert!(line.len() <= bytes);
                prop_assert!(!line.contains(char::is_control));
                let whole = escaped(text.trim_end()).to_string();
                prop_assert!(line.ends_with(CUT) || line.ends_with(&whole));
            }
        }
    }
}
