use crate::fault::{shown, text};
use crate::field::{field_name, field_value};
use crate::http::{Head, RequestHead, Unsent};
use crate::protocol::Protocol;
use crate::{
    Answer, Class, Edit, Fault, Finding, Learned, PIECE_MAX, Position, Subject, Wants, Which, Wish,
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
    /// That it is spam (TELL, which spamd has to allow).
    LearnSpam,
    /// That it is none (TELL).
    LearnHam,
    /// Whether it is there.
    Ping,
}

impl Command {
    /// Whether it is told what the message is, and not asked.
    fn teaches(self) -> bool {
        matches!(self, Self::LearnSpam | Self::LearnHam)
    }
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
            if self.command.teaches() {
                return Ok(Some(Answer::Learned(learned(&head))));
            }
            self.head = Some(AnswerHead::read(&head)?);
        }
        self.finding(false).map(|found| found.map(Answer::Finding))
    }

    fn closed(&mut self) -> Result<Answer, Fault> {
        // An answer to CHECK need not have a blank line.
        if self.head.is_none() && self.first_line()?.is_some() {
            let head = std::mem::take(&mut self.came);
            if self.command.teaches() {
                return Ok(Answer::Learned(learned(&head)));
            }
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
            (Command::Check | Command::Ping | Command::LearnSpam | Command::LearnHam, _) => &[],
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
            Command::Check | Command::Ping | Command::LearnSpam | Command::LearnHam => {}
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
        Command::LearnSpam | Command::LearnHam => "TELL",
        Command::Ping => return b"PING SPAMC/1.5\r\n\r\n".to_vec(),
    };
    let mut head = RequestHead::of_line(format_args!("{word} SPAMC/1.5"));
    let class = match command {
        Command::LearnSpam => Some("spam"),
        Command::LearnHam => Some("ham"),
        _ => None,
    };
    if let Some(class) = class {
        head.field("Message-class", class);
        // To those beyond this site nothing is reported.
        head.field("Set", "local");
    }
    head.field("Content-length", size);
    if let Some(user) = user {
        head.field("User", user);
    }
    head.end()
}

/// What it learned, which it says in a field; it does not say why it learned nothing.
fn learned(head: &[u8]) -> Learned {
    let lines = head.split(|&c| c == b'\n').skip(1);
    let mut set = lines.filter_map(|line| {
        let (name, value) = str::from_utf8(line).ok()?.split_once(':')?;
        name.eq_ignore_ascii_case("DidSet").then_some(value)
    });
    let is_now = set.any(|value| value.split(',').any(|place| place.trim() == "local"));
    match is_now {
        true => Learned::Now,
        false => Learned::NotNeeded("nothing in it is new to spamd".to_owned()),
    }
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
mod tests;
