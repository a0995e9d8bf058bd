//! Answers come from the command line; what it does not say is asked on standard error, and read from
//! standard input.

use std::io::{self, BufRead, Read as _, Write as _};

use super::draft::{Draft, MX, NOBODY, Question, SELF_SIGNED, USERS};
use crate::cli::InitArguments;
use crate::exit::Failure;

/// No answer is longer.
const ANSWER_BYTES_MAX: u64 = 4 << 10;
/// Who is wrong so often needs something else than the same question.
const TRIES_MAX: usize = 5;

const ALL: [Question; 7] = [
    Question::Hostname,
    Question::Domains,
    Question::MailServer,
    Question::Senders,
    Question::Certificate,
    Question::Key,
    Question::Outbound,
];

/// `draft` with all answers.
///
/// # Errors
/// One is missing, or cannot be used.
pub(super) fn answered(arguments: &InitArguments, mut draft: Draft) -> Result<Draft, Failure> {
    // Whoever says what cannot be guessed wants no questions.
    let asks = !(arguments.hostname.is_some()
        && !arguments.domain.is_empty()
        && arguments.mail_server.is_some());
    let mut input = io::stdin().lock();
    for question in ALL {
        if !draft.wants(question) {
            continue;
        }
        let default = draft.default_of(question);
        let said = given(arguments, question).or_else(|| default.clone().filter(|_| !asks));
        match said {
            Some(answer) => draft
                .answer(question, &answer)
                .map_err(|why| Failure::Usage(format!("{}: {why}", flag(question))))?,
            None => ask(&mut input, &mut draft, question, default.as_deref())?,
        }
    }
    Ok(draft)
}

fn given(arguments: &InitArguments, question: Question) -> Option<String> {
    let list = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
    match question {
        Question::Hostname => arguments.hostname.clone(),
        Question::Domains => list(&arguments.domain),
        Question::MailServer => arguments.mail_server.clone(),
        Question::Senders => list(&arguments.allow),
        Question::Certificate => arguments.certificate.clone(),
        Question::Key => arguments.key.clone(),
        Question::Outbound => arguments.outbound.clone(),
    }
}

/// By which flag it is answered.
fn flag(question: Question) -> &'static str {
    match question {
        Question::Hostname => "--hostname",
        Question::Domains => "--domain",
        Question::MailServer => "--mail-server",
        Question::Senders => "--allow",
        Question::Certificate => "--certificate",
        Question::Key => "--key",
        Question::Outbound => "--outbound",
    }
}

fn words(question: Question) -> String {
    match question {
        Question::Hostname => "The name of this relay, as other servers shall see it".to_owned(),
        Question::Domains => "Domains whose mail comes in here".to_owned(),
        Question::MailServer => "The mail server that gets it: HOST or HOST:PORT".to_owned(),
        Question::Senders => format!(
            "Who may send to every other domain: addresses, blocks, `{USERS}` (people who sign in), `{NOBODY}`"
        ),
        Question::Certificate => format!("A file with the certificate (PEM), or `{SELF_SIGNED}`"),
        Question::Key => "The file with its key (PEM)".to_owned(),
        Question::Outbound => format!(
            "Where mail for every other domain goes: `{MX}` (where DNS says), or a smart host, HOST:PORT"
        ),
    }
}

/// Asks until there is an answer that can be used.
fn ask(
    input: &mut impl BufRead,
    draft: &mut Draft,
    question: Question,
    default: Option<&str>,
) -> Result<(), Failure> {
    for _ in 0..TRIES_MAX {
        let shown = default.map_or(String::new(), |default| format!(" [{default}]"));
        eprint!("{}{shown}: ", words(question));
        let _unseen = io::stderr().flush();
        let line = read_line(input)?;
        let answer = match line.as_deref().map(str::trim) {
            Some("") => default,
            Some(answer) => Some(answer),
            None => Some(default.ok_or_else(|| {
                Failure::Usage(format!(
                    "there is no answer to read: give {}",
                    flag(question)
                ))
            })?),
        };
        let Some(answer) = answer else {
            continue;
        };
        match draft.answer(question, answer) {
            Ok(()) => return Ok(()),
            Err(why) => eprintln!("{}", why.trim_end()),
        }
    }
    Err(Failure::Usage(format!(
        "no answer that can be used: see `gatepost init --help`, {}",
        flag(question)
    )))
}

/// A line; `None` at the end of the input.
fn read_line(input: &mut impl BufRead) -> Result<Option<String>, Failure> {
    let mut line = Vec::new();
    let read = input.take(ANSWER_BYTES_MAX).read_until(b'\n', &mut line);
    let octets = read.map_err(|why| Failure::Temporary(why.to_string()))?;
    let text = String::from_utf8(line);
    let text = text.map_err(|_| Failure::Usage("an answer is no UTF-8".to_owned()))?;
    Ok((octets > 0).then_some(text))
}
