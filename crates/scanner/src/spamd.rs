use crate::fault::{shown, text};
use crate::field::{field_name, field_value};
use crate::http::{Head, RequestHead, Unsent};
use crate::protocol::Protocol;
use crate::{
    Answer, Class, Edit, Fault, Finding, PIECE_MAX, Position, Subject, Wants, Which, Wish,
};

/// Octets of the lines before what was asked for.
const HEAD_MAX: usize = 8 * 1024;
/// Octets of what was asked for.
const BODY_MAX: usize = 256 * 1024;
/// Tests that are kept.
const SYMBOLS_MAX: usize = 200;
/// Characters of the name of one.
const SYMBOL_MAX: usize = 128;
/// Fields of its own that are added.
const FIELDS_MAX: usize = 32;

/// What spamd is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Whether it is spam, by which score.
    Check,
    /// And which tests matched.
    Symbols,
    /// And which fields it would add.
    Headers,
    /// And which tests matched with what score.
    Report,
    /// Whether it is there.
    Ping,
}

/// One question to SpamAssassin's daemon, by the SPAMC protocol 1.5. It closes the connection after
/// its answer.
#[derive(Debug)]
pub struct Spamd {
    command: Command,
    unsent: Unsent,
    has_content: bool,
    told: Option<u64>,
    came: Vec<u8>,
    /// How far the end of the head was looked for.
    looked: usize,
    head: Option<AnswerHead>,
}

/// What stands before what was asked for.
#[derive(Debug)]
struct AnswerHead {
    is_spam: bool,
    score: f64,
    threshold: f64,
    length: Option<usize>,
}

impl Spamd {
    /// One that asks this about the message, by the settings of a user of spamd's, if one is named.
    pub fn new(command: Command, user: Option<&str>, subject: &Subject) -> Self {
        let has_content = command != Command::Ping;
        Self {
            command,
            unsent: Unsent::new(request(command, user, subject.size)),
            has_content,
            told: has_content.then_some(subject.size),
            came: Vec::new(),
            looked: 0,
            head: None,
        }
    }
}

impl Protocol for Spamd {
    fn told(&self) -> Option<u64> {
        self.told
    }

    fn write(&mut self, out: &mut Vec<u8>) -> Wants {
        self.unsent.write(out);
        if self.has_content {
            Wants::Content(PIECE_MAX)
        } else {
            Wants::Answer
        }
    }

    fn end(&mut self, _: &mut Vec<u8>) {
        self.has_content = false;
    }

    fn read(&mut self, octets: &[u8]) -> Result<Option<Answer>, Fault> {
        self.came.extend_from_slice(octets);
        if self.head.is_none() {
            match self.first_line()? {
                None => return Ok(None),
                Some(()) if self.command == Command::Ping => return Ok(Some(Answer::Alive)),
                Some(()) => {}
            }
            let end = Head::end(&self.came, self.looked)?;
            self.looked = self.came.len();
            if end.unwrap_or(self.looked) > HEAD_MAX {
                return Err(Fault::TooLong("the head of an answer", HEAD_MAX));
            }
            let Some(end) = end else {
                return Ok(None);
            };
            let body = self.came.split_off(end);
            let head = std::mem::replace(&mut self.came, body);
            self.head = Some(AnswerHead::read(&head)?);
        }
        self.finding(false).map(|found| found.map(Answer::Finding))
    }

    fn closed(&mut self) -> Result<Answer, Fault> {
        // An answer to CHECK need not have a blank line.
        if self.head.is_none() && self.first_line()?.is_some() {
            let head = std::mem::take(&mut self.came);
            self.head = Some(AnswerHead::read(&head)?);
        }
        let found = self.finding(true)?;
        found.map(Answer::Finding).ok_or(Fault::Closed)
    }
}

impl Spamd {
    /// The first line, in which an error stands, without a blank line behind it.
    fn first_line(&self) -> Result<Option<()>, Fault> {
        let Some(end) = memchr::memchr(b'\n', &self.came) else {
            return match self.came.len() {
                ..=HEAD_MAX => Ok(None),
                _ => Err(Fault::TooLong("the head of an answer", HEAD_MAX)),
            };
        };
        let line = self.came[..end].trim_ascii_end();
        let mut words = line.splitn(3, |&c| c == b' ');
        let protocol = words.next().unwrap_or_default();
        let code = words.next().unwrap_or_default();
        let said = words.next().unwrap_or_default();
        let is_ours = protocol.starts_with(b"SPAMD/") && code.iter().all(u8::is_ascii_digit);
        match code {
            b"0" if is_ours && (self.command == Command::Ping) == (said == b"PONG") => Ok(Some(())),
            b"" | b"0" => Err(Fault::malformed("an answer of spamd", line)),
            _ if is_ours => Err(Fault::Failed(format!("{} {}", shown(code), shown(said)))),
            _ => Err(Fault::malformed("an answer of spamd", line)),
        }
    }

    /// The finding once all came.
    fn finding(&self, is_closed: bool) -> Result<Option<Finding>, Fault> {
        let Some(head) = &self.head else {
            return Ok(None);
        };
        if self.came.len() > BODY_MAX {
            return Err(Fault::TooLong("an answer", BODY_MAX));
        }
        let body = match (self.command, head.length) {
            (Command::Check | Command::Ping, _) => &[],
            (_, Some(length)) => match self.came.get(..length) {
                Some(body) => body,
                None => return Ok(None),
            },
            (_, None) if is_closed => &*self.came,
            (_, None) => return Ok(None),
        };
        let (class, wish) = match head.is_spam {
            true => (Class::Spam, Wish::Mark),
            false => (Class::Clean, Wish::None),
        };
        let mut finding = Finding {
            wish,
            score: Some(head.score),
            threshold: Some(head.threshold),
            ..Finding::of(class)
        };
        match self.command {
            Command::Check | Command::Ping => {}
            Command::Symbols => finding.symbols = names(body),
            Command::Report => finding.symbols = reported(body),
            Command::Headers => fields(body, &mut finding)?,
        }
        Ok(Some(finding))
    }
}

fn request(command: Command, user: Option<&str>, size: u64) -> Vec<u8> {
    let word = match command {
        Command::Check => "CHECK",
        Command::Symbols => "SYMBOLS",
        Command::Headers => "HEADERS",
        Command::Report => "REPORT",
        Command::Ping => return b"PING SPAMC/1.5\r\n\r\n".to_vec(),
    };
    let mut head = RequestHead::of_line(format_args!("{word} SPAMC/1.5"));
    head.field("Content-length", size);
    if let Some(user) = user {
        head.field("User", user);
    }
    head.end()
}

impl AnswerHead {
    fn read(octets: &[u8]) -> Result<Self, Fault> {
        let malformed = || Fault::malformed("an answer of spamd", octets);
        let mut spam = None;
        let mut length = None;
        for line in octets.split(|&c| c == b'\n').skip(1) {
            let line = str::from_utf8(line.trim_ascii()).map_err(|_| malformed())?;
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("Spam") {
                spam = Some(verdict(value).ok_or_else(malformed)?);
            } else if name.eq_ignore_ascii_case("Content-length") {
                length = Some(value.parse().map_err(|_| malformed())?);
            }
        }
        if length.is_some_and(|length| length > BODY_MAX) {
            return Err(Fault::TooLong("an answer", BODY_MAX));
        }
        let (is_spam, score, threshold) = spam.ok_or_else(malformed)?;
        Ok(Self {
            is_spam,
            score,
            threshold,
            length,
        })
    }
}

/// Reads `True ; 6.5 / 5.0`, which is `Yes` for some commands and versions.
fn verdict(value: &str) -> Option<(bool, f64, f64)> {
    let (word, scores) = value.split_once(';')?;
    let is_spam = match word.trim() {
        word if word.eq_ignore_ascii_case("true") || word.eq_ignore_ascii_case("yes") => true,
        word if word.eq_ignore_ascii_case("false") || word.eq_ignore_ascii_case("no") => false,
        _ => return None,
    };
    let (score, threshold) = scores.split_once('/')?;
    Some((is_spam, number(score.trim())?, number(threshold.trim())?))
}

/// A number as people write it, of which `-0.0` is none below 0.
fn number(text: &str) -> Option<f64> {
    let number: f64 = text.parse().ok()?;
    number.is_finite().then_some(number + 0.0)
}

/// Names with commas between them; their scores are not told.
fn names(body: &[u8]) -> Vec<(String, f64)> {
    body.split(|&c| c == b',')
        .map(|name| text(name, SYMBOL_MAX))
        .filter(|name| !name.is_empty())
        .take(SYMBOLS_MAX)
        .map(|name| (name, 0.0))
        .collect()
}

/// The rows of the table in a report: a score, the name of a test, and what it is about.
fn reported(body: &[u8]) -> Vec<(String, f64)> {
    // The table stands below a line of dashes; before it there are parts of the message.
    let lines = body.split(|&c| c == b'\n');
    let table = lines.skip_while(|line| !line.trim_ascii().starts_with(b"----"));
    let row = |line: &[u8]| {
        let line = str::from_utf8(line).ok()?;
        let mut words = line.split_ascii_whitespace();
        let score = number(words.next()?)?;
        let name = words.next().filter(|name| is_test(name))?;
        Some((text(name.as_bytes(), SYMBOL_MAX), score))
    };
    table.filter_map(row).take(SYMBOLS_MAX).collect()
}

fn is_test(name: &str) -> bool {
    let is_part = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    name.bytes().all(is_part)
}

/// The fields of SpamAssassin's own in a header, as changes, and the tests that they name. The rest
/// is the message's, or that of a report in which it would be packed.
fn fields(header: &[u8], finding: &mut Finding) -> Result<(), Fault> {
    let mut own = Vec::new();
    let header = String::from_utf8_lossy(header);
    let mut lines = header.lines().peekable();
    while let Some(line) = lines.next() {
        if line.is_empty() {
            break;
        }
        let mut field = line.to_owned();
        while let Some(more) = lines.next_if(|next| next.starts_with([' ', '\t'])) {
            field.push('\n');
            field.push_str(more);
        }
        let Some((name, value)) = field.split_once(':') else {
            continue;
        };
        let is_its_own = name
            .get(.."X-Spam-".len())
            .is_some_and(|start| start.eq_ignore_ascii_case("X-Spam-"));
        if !is_its_own {
            continue;
        }
        if name.eq_ignore_ascii_case("X-Spam-Status") {
            finding.symbols = tests_in(value);
        }
        own.push((field_name(name)?, field_value(value.trim_start())?));
        if own.len() > FIELDS_MAX {
            return Err(Fault::TooLong("header fields", FIELDS_MAX));
        }
    }
    let removed = own.iter().map(|(name, _)| Edit::Remove {
        name: name.clone(),
        which: Which::All,
    });
    finding.edits.extend(removed);
    let own = (0..).zip(own);
    finding
        .edits
        .extend(own.map(|(place, (name, value))| Edit::Add {
            name,
            value,
            place: Position::Top(place),
        }));
    Ok(())
}

/// The tests that `X-Spam-Status` names: `Yes, score=6 required=5 tests=A,B autolearn=no`, where the
/// list may be folded behind a comma.
fn tests_in(status: &str) -> Vec<(String, f64)> {
    let behind = status.split_once("tests=").map_or("", |(_, behind)| behind);
    let mut list = String::new();
    for word in behind.split_whitespace() {
        list.push_str(word);
        if !word.ends_with(',') {
            break;
        }
    }
    let tests = names(list.as_bytes()).into_iter();
    tests.filter(|(name, _)| name != "none").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What an answer says, whole and octet by octet, with the end of the connection behind it.
    fn ask(command: Command, answer: &str) -> Result<Finding, String> {
        let subject = Subject::default();
        let mut whole = Spamd::new(command, None, &subject);
        let at_once = finding(&mut whole, &[answer.as_bytes()]);
        let mut bits = Spamd::new(command, None, &subject);
        let octets: Vec<&[u8]> = answer.as_bytes().chunks(1).collect();
        assert_eq!(finding(&mut bits, &octets), at_once, "{answer:?}");
        at_once
    }

    fn finding(spamd: &mut Spamd, pieces: &[&[u8]]) -> Result<Finding, String> {
        let mut answer = None;
        for piece in pieces {
            answer = spamd.read(piece).map_err(|fault| fault.to_string())?;
            if answer.is_some() {
                break;
            }
        }
        let answer = match answer {
            Some(answer) => answer,
            None => spamd.closed().map_err(|fault| fault.to_string())?,
        };
        match answer {
            Answer::Finding(finding) => Ok(finding),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_request_tells_the_length_and_the_user() {
        let subject = Subject {
            size: 5,
            ..Subject::default()
        };
        let mut out = Vec::new();
        let wants = Spamd::new(Command::Symbols, Some("ann"), &subject).write(&mut out);
        assert_eq!(wants, Wants::Content(PIECE_MAX));
        assert_eq!(
            out,
            b"SYMBOLS SPAMC/1.5\r\nContent-length: 5\r\nUser: ann\r\n\r\n"
        );
    }

    #[test]
    fn spam_is_true_or_yes() {
        for (word, class) in [
            ("True", Class::Spam),
            ("Yes", Class::Spam),
            ("False", Class::Clean),
            ("No", Class::Clean),
        ] {
            let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: {word} ; 6.5 / 5.0\r\n\r\n");
            let found = ask(Command::Check, &answer).unwrap();
            assert_eq!(found.class, class, "{word}");
            assert_eq!((found.score, found.threshold), (Some(6.5), Some(5.0)));
        }
    }

    #[test]
    fn an_answer_to_check_ends_by_a_blank_line_or_with_the_connection() {
        for end in ["\r\n\r\n", "\r\n", "\n", ""] {
            let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: False ; -0.0 / 5.0{end}");
            let found = ask(Command::Check, &answer).unwrap();
            assert!(found.score.is_some_and(f64::is_sign_positive), "{end:?}");
        }
    }

    #[test]
    fn errors_have_no_blank_line() {
        let error = "SPAMD/1.0 76 Bad header line: (Content-Length contains non-numeric bytes)\r\n";
        assert_eq!(
            ask(Command::Check, error),
            Err(
                "failed: 76 Bad header line: (Content-Length contains non-numeric bytes)"
                    .to_owned()
            )
        );
    }

    #[test]
    fn symbols_have_no_line_end() {
        let answer =
            "SPAMD/1.1 0 EX_OK\r\nContent-length: 9\r\nSpam: True ; 6 / 5\r\n\r\nAB_C,D,\x1bE";
        let expected = ["AB_C", "D", "\\x1bE"].map(|name| (name.to_owned(), 0.0));
        assert_eq!(ask(Command::Symbols, answer).unwrap().symbols, expected);
        let without = answer.replace("Content-length: 9\r\n", "");
        assert_eq!(ask(Command::Symbols, &without).unwrap().symbols, expected);
        let short = answer.replace(": 9", ": 10");
        assert!(ask(Command::Symbols, &short).is_err());
    }

    #[test]
    fn a_report_is_read_by_its_table() {
        let body = "Content preview: 1 NOT_A_TEST\n\nContent analysis details:   (6.5 points, 5.0 required)\n\n\
                    \x20pts rule name              description\n---- ---------------------- ------\n\
                    \x206.6 SOME_TEST             BODY: what it is\n                            and more\n\
                    -0.1 OTHER                  5 words\n-0.0 NONE\n";
        let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6.5 / 5\r\n\r\n{body}");
        let expected = [("SOME_TEST", 6.6), ("OTHER", -0.1), ("NONE", 0.0)];
        let expected = expected.map(|(name, score)| (name.to_owned(), score));
        assert_eq!(ask(Command::Report, &answer).unwrap().symbols, expected);
    }

    #[test]
    fn of_a_header_only_its_own_fields_are_taken() {
        let body = "Received: x\nX-Spam-Checker-Version: SpamAssassin 4\n\ton x\nx-spam-status: Yes, score=6 \
                    required=5 tests=A_B,\n\tC autolearn=no\nSubject: x\nContent-Type: multipart/mixed\n\n\
                    X-Spam-Fake: x\n";
        let answer = format!("SPAMD/1.1 0 EX_OK\r\nSpam: True ; 6 / 5\r\n\r\n{body}");
        let found = ask(Command::Headers, &answer).unwrap();
        let names = [("A_B".to_owned(), 0.0), ("C".to_owned(), 0.0)];
        assert_eq!(found.symbols, names);
        let added = |edit: &Edit| match edit {
            Edit::Add { name, value, .. } => Some(format!("{name}: {value}")),
            Edit::Remove { .. } | Edit::Set { .. } => None,
        };
        let added: Vec<String> = found.edits.iter().filter_map(added).collect();
        assert_eq!(
            added,
            [
                "X-Spam-Checker-Version: SpamAssassin 4\r\n\ton x",
                "x-spam-status: Yes, score=6 required=5 tests=A_B,\r\n\tC autolearn=no",
            ]
        );
        assert_eq!(found.edits.len(), 4);
    }

    #[test]
    fn hostile_answers_are_faults() {
        let spam = "Spam: True ; 6 / 5\r\n";
        let fields = "X-Spam-A: x\n".repeat(FIELDS_MAX + 1);
        for (answer, said) in [
            ("x".repeat(HEAD_MAX + 1), "sent more than"),
            (
                format!("SPAMD/1.1 0 EX_OK\r\n{}", "a: b\r\n".repeat(HEAD_MAX)),
                "sent more than",
            ),
            (
                format!(
                    "SPAMD/1.1 0 EX_OK\r\n{spam}\r\n{}",
                    "x".repeat(BODY_MAX + 1)
                ),
                "sent more than",
            ),
            (
                format!("SPAMD/1.1 0 EX_OK\r\n{spam}Content-length: 999999999\r\n\r\n"),
                "sent more than",
            ),
            (
                format!("SPAMD/1.1 0 EX_OK\r\n{spam}\r\n{fields}"),
                "sent more than",
            ),
            ("SPAMD/1.1 0 EX_OK\r\n\r\n".to_owned(), "is not an answer"),
            (
                "SPAMD/1.1 0 EX_OK\r\nSpam: True ; NaN / 5\r\n\r\n".to_owned(),
                "is not an answer",
            ),
            (
                "SPAMD/1.1 0 EX_OK\r\nSpam: Maybe ; 1 / 5\r\n\r\n".to_owned(),
                "is not an answer",
            ),
            ("SPAMD/1.5 0 PONG\r\n".to_owned(), "is not an answer"),
            ("HTTP/1.1 200 OK\r\n\r\n".to_owned(), "is not an answer"),
            ("\r\n".to_owned(), "is not an answer"),
            (String::new(), "closed the connection"),
        ] {
            let fault = ask(Command::Headers, &answer).expect_err(&answer);
            assert!(fault.contains(said), "{fault}");
        }
    }

    #[test]
    fn ping_is_answered_by_one_line() {
        let mut spamd = Spamd::new(Command::Ping, None, &Subject::default());
        let mut out = Vec::new();
        assert_eq!(spamd.write(&mut out), Wants::Answer);
        assert_eq!(spamd.read(b"SPAMD/1.5 0 PO"), Ok(None));
        assert_eq!(spamd.read(b"NG\r\n"), Ok(Some(Answer::Alive)));
    }
}
