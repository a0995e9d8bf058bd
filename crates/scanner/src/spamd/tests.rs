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
        Err("failed: 76 Bad header line: (Content-Length contains non-numeric bytes)".to_owned())
    );
}

#[test]
fn symbols_have_no_line_end() {
    let answer = "SPAMD/1.1 0 EX_OK\r\nContent-length: 9\r\nSpam: True ; 6 / 5\r\n\r\nAB_C,D,\x1bE";
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
        _ => None,
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

#[test]
fn what_it_learned_is_told_by_a_field() {
    let subject = Subject {
        size: 5,
        ..Subject::default()
    };
    let mut out = Vec::new();
    Spamd::new(Command::LearnHam, None, &subject).write(&mut out);
    assert_eq!(
        out,
        b"TELL SPAMC/1.5\r\nMessage-class: ham\r\nSet: local\r\nContent-length: 5\r\n\r\n"
    );
    for (answer, is_new) in [
        ("SPAMD/1.1 0 EX_OK\r\nDidSet: local\r\n\r\n\r\n", true),
        ("SPAMD/1.1 0 EX_OK\r\ndidset: remote, local\r\n\r\n", true),
        ("SPAMD/1.1 0 EX_OK\r\nDidSet: remote\r\n\r\n", false),
        ("SPAMD/1.1 0 EX_OK\r\n\r\n\r\n", false),
    ] {
        let mut spamd = Spamd::new(Command::LearnSpam, None, &Subject::default());
        let mut learned = Ok(None);
        for octet in answer.as_bytes() {
            learned = spamd.read(&[*octet]);
            if learned != Ok(None) {
                break;
            }
        }
        let now = learned == Ok(Some(Answer::Learned(Learned::Now)));
        assert_eq!(now, is_new, "{answer:?}: {learned:?}");
        assert!(matches!(learned, Ok(Some(Answer::Learned(_)))));
    }
    let mut forbidden = Spamd::new(Command::LearnSpam, None, &Subject::default());
    let refusal = b"SPAMD/1.0 69 Service Unavailable: TELL commands are not enabled\r\n";
    assert!(matches!(forbidden.read(refusal), Err(Fault::Failed(_))));
}
