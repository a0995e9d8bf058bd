//! The table of envelopes as data: tests/envelopes/envelopes.txt, whose first lines tell how it is
//! written, and the policies that it is asked against.

const TABLE: &str = include_str!("../envelopes/envelopes.txt");
const POLICY: &str = include_str!("../envelopes/policy.toml");
const POLICY_WITHOUT_NOTICES: &str = include_str!("../envelopes/no-notices.toml");

/// The listeners of the policies, and the configuration in which each is.
pub const LISTENERS: [(&str, &str); 5] = [
    ("internet", POLICY),
    ("outgoing", POLICY),
    ("partners", POLICY),
    ("office", POLICY),
    ("no-notices", POLICY_WITHOUT_NOTICES),
];

/// One envelope and what is to become of it.
pub struct Row {
    pub id: &'static str,
    pub listener: &'static str,
    pub client: &'static str,
    pub mail: Path,
    pub rcpt: Path,
    /// How the answer begins.
    pub answer: &'static str,
    /// Who else has to decide the same.
    judges: &'static str,
}

/// What stands behind `MAIL FROM:` or `RCPT TO:`.
pub enum Path {
    /// An address, or nothing, for angle brackets.
    Address(String),
    /// The whole argument, brackets and parameters.
    Argument(String),
    /// An address in no brackets.
    Bare(String),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    Exim,
    Postfix,
}

impl Row {
    fn read(line: &'static str) -> Row {
        let columns: Vec<&str> = line.split(" | ").map(str::trim).collect();
        let [id, listener, client, mail, rcpt, answer, judges] = columns[..] else {
            panic!("not seven columns: {line}");
        };
        assert!(
            LISTENERS.iter().any(|&(name, _)| name == listener),
            "no policy has this listener: {line}"
        );
        Row {
            id,
            listener,
            client,
            mail: Path::read(mail),
            rcpt: Path::read(rcpt),
            answer,
            judges,
        }
    }

    pub fn is_accepted(&self) -> bool {
        self.answer.starts_with("250")
    }

    /// Whether `judge` has to decide the same.
    pub fn is_shared_with(&self, judge: Judge) -> bool {
        match (self.judges_and_reason().0, judge) {
            ("both", _) | ("exim", Judge::Exim) | ("postfix", Judge::Postfix) => true,
            ("none", _) | ("postfix", Judge::Exim) | ("exim", Judge::Postfix) => false,
            (other, _) => panic!("row {}: who is the judge {other:?}?", self.id),
        }
    }

    /// `postfix: Exim needs no brackets` taken apart.
    fn judges_and_reason(&self) -> (&str, &str) {
        self.judges.split_once(": ").unwrap_or((self.judges, ""))
    }

    /// The commands MAIL and RCPT as they go over the wire, without line ends.
    pub fn commands(&self) -> [String; 2] {
        let (mail, rcpt) = (self.mail.argument(), self.rcpt.argument());
        let utf8 = if mail.is_ascii() && rcpt.is_ascii() {
            ""
        } else {
            " SMTPUTF8"
        };
        [format!("MAIL FROM:{mail}{utf8}"), format!("RCPT TO:{rcpt}")]
    }

    /// The row as the table tells it, for a message.
    pub fn text(&self) -> String {
        let [mail, rcpt] = self.commands();
        let Row {
            id,
            listener,
            client,
            answer,
            ..
        } = self;
        format!("{id}: {client} at `{listener}`, {mail}, {rcpt}: {answer}")
    }
}

impl Path {
    fn read(column: &str) -> Path {
        let text = repeated(column);
        if text.starts_with('<') {
            return Path::Argument(text);
        }
        match text.strip_prefix("bare ") {
            Some(address) => Path::Bare(address.to_owned()),
            None => Path::Address(text),
        }
    }

    pub fn argument(&self) -> String {
        match self {
            Path::Address(address) => format!("<{address}>"),
            Path::Argument(text) | Path::Bare(text) => text.clone(),
        }
    }

    /// What is in the brackets; `None` when there are none.
    pub fn address(&self) -> Option<&str> {
        match self {
            Path::Address(address) => Some(address),
            Path::Argument(text) => text.strip_prefix('<')?.split('>').next(),
            Path::Bare(_) => None,
        }
    }
}

/// Writes out `{u*65}`. Braces may stand in an address too, so whatever is not of that form stays
/// as it is.
fn repeated(text: &str) -> String {
    let Some((head, rest)) = text.split_once('{') else {
        return text.to_owned();
    };
    let form = rest.split_once('}').and_then(|(inner, tail)| {
        let (piece, times) = inner.rsplit_once('*')?;
        Some((piece.repeat(times.parse().ok()?), tail))
    });
    match form {
        Some((pieces, tail)) => format!("{head}{pieces}{}", repeated(tail)),
        None => text.to_owned(),
    }
}

/// All rows, in their order.
pub fn table() -> Vec<Row> {
    let lines = TABLE.lines().map(str::trim_end);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(Row::read)
        .collect()
}

#[test]
fn the_table_is_what_it_says() {
    let rows = table();
    assert!(rows.len() >= 200, "{} rows", rows.len());
    let mut ids: Vec<&str> = rows.iter().map(|row| row.id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows.len(), "a number is given twice");
    for judge in [Judge::Exim, Judge::Postfix] {
        let shared = rows.iter().filter(|row| row.is_shared_with(judge));
        let (taken, refused): (Vec<&Row>, Vec<&Row>) = shared.partition(|row| row.is_accepted());
        assert!(
            taken.len() + refused.len() >= 120,
            "{judge:?} is asked too little"
        );
        assert!(
            taken.len() >= 60 && refused.len() >= 60,
            "{judge:?} is asked one-sidedly"
        );
    }
}

#[test]
fn a_reason_stands_beside_every_judge_who_is_not_asked() {
    for row in table().iter().filter(|row| row.judges != "both") {
        let (_, reason) = row.judges_and_reason();
        assert!(!reason.is_empty(), "row {}: {:?}", row.id, row.judges);
    }
}

#[test]
fn repetitions_are_written_out() {
    let cases = [
        ("{u*3}@x.test", "uuu@x.test"),
        ("a@{ab.*2}test", "a@ab.ab.test"),
        ("{u*2}{v*2}", "uuvv"),
        ("#{|}~@x.test", "#{|}~@x.test"),
        ("{", "{"),
    ];
    for (text, written_out) in cases {
        assert_eq!(repeated(text), written_out);
    }
}
