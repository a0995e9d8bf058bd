//! Whoever looks up a reply or a line of the log finds it: `docs/troubleshooting.md` has each refusal
//! and each delay that stands in the sources, and each warning and error.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Crates that say nothing to clients, senders and the log of a relay: the simulation, the proof,
/// which plays both sides, and the program, which has the servers of the demo.
const SILENT: [&str; 3] = ["simulation", "relay-audit", "gatepost"];
/// What makes a reply: how it is called, in front of what, and where its text stands.
const MAKERS: [(&str, &str, usize); 5] = [
    ("Reply", "new", 3),        // (code, subject, detail, text)
    ("Decision", "refused", 0), // (text, why): 550 5.7.1
    ("relay-policy: Self", "refused", 0),
    ("self", "out_of_order", 1),  // (verb, text): 503 5.5.1
    ("self", "address_reply", 0), // (text): 501
];
/// Nobody hears these: a relay test without an answer.
const UNHEARD: [&str; 1] = ["No decision"];

/// Replies of the page that are put together from several texts, or are somebody else's words.
const COMPOSED: [&str; 4] = [
    "CLIENT is blocked by ZONE",
    "Recipient address rejected: Access denied",
    "Recipient address rejected: Access denied, try again later",
    "WORDS",
];

/// One text of the sources, cut where something is put in.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Said {
    /// `550 5.7.1`; empty where it is made up elsewhere.
    code: String,
    pieces: Vec<String>,
}

impl Said {
    fn new(code: &str, text: &str) -> Option<Self> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            pieces.push(before.to_owned());
            rest = behind.split_once('}').map_or("", |(_, behind)| behind);
        }
        pieces.push(rest.to_owned());
        let says_something = pieces.iter().any(|piece| !piece.trim().is_empty());
        says_something.then(|| Self {
            code: code.to_owned(),
            pieces,
        })
    }

    /// Whether `span` is this, with something in each gap.
    fn is_told_by(&self, span: &str) -> bool {
        let Some(text) = span.strip_prefix(&self.code) else {
            return false;
        };
        let [whole] = &self.pieces[..] else {
            let mut rest = text;
            return self.pieces.iter().all(|piece| {
                let at = rest.find(piece.as_str());
                rest = at.map_or("", |at| &rest[at + piece.len()..]);
                at.is_some()
            });
        };
        match self.code.is_empty() {
            // Behind a code that is made up elsewhere.
            true => text == whole || text.ends_with(&format!(" {whole}")),
            false => text.trim_start() == whole,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    let page = root().join("docs/troubleshooting.md");
    fs::read_to_string(page).expect("the page of troubles")
}

/// What stands in backticks in a text, outside fenced blocks.
fn told(page: &str) -> Vec<String> {
    let mut is_inside = false;
    let mut spans = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            is_inside = !is_inside;
        } else if !is_inside {
            spans.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    spans
}

/// The sources of all crates that say something, as tokens, by their paths.
fn sources() -> Vec<(PathBuf, TokenStream)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("the folder of crates") {
        let folder = entry.expect("a readable folder").path();
        let name = folder
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !SILENT.contains(&name.as_str()) {
            read(&folder.join("src"), &mut found);
        }
    }
    found
}

fn read(folder: &Path, found: &mut Vec<(PathBuf, TokenStream)>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            read(&path, found);
        } else if path.file_name().is_some_and(|name| name != "tests.rs") {
            let text = fs::read_to_string(&path).expect("a source");
            found.push((path, text.parse().expect("Rust")));
        }
    }
}

/// Calls `see` for each group in `stream` that follows tokens, with these, and with what the names in
/// sight were last bound to. What is compiled for tests alone is passed over.
fn walk(
    stream: TokenStream,
    bound: &mut BTreeMap<String, TokenStream>,
    see: &mut impl FnMut(&[TokenTree], &Group, &BTreeMap<String, TokenStream>),
) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        if is_for_tests(&tokens[at..]) {
            at += 2;
            while at < tokens.len() && !is_end_of_item(&tokens[at]) {
                at += 1;
            }
        } else if let Some(name) = binding(&tokens[at..]) {
            let value = tokens[at + 3..]
                .iter()
                .take_while(|token| !is_punct(token, ';'));
            bound.insert(name, value.cloned().collect());
        } else if let TokenTree::Group(group) = &tokens[at] {
            see(&tokens[..at], group, bound);
            walk(group.stream(), bound, see);
        }
        at += 1;
    }
}

fn is_punct(token: &TokenTree, c: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == c)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_end_of_item(token: &TokenTree) -> bool {
    is_punct(token, ';')
        || matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace)
}

/// `#[cfg(test)]`
fn is_for_tests(tokens: &[TokenTree]) -> bool {
    match tokens {
        [hash, TokenTree::Group(attribute), ..] if is_punct(hash, '#') => {
            let text = attribute.stream().to_string().replace(' ', "");
            text == "cfg(test)"
        }
        _ => false,
    }
}

/// The name in `let NAME = ...`.
fn binding(tokens: &[TokenTree]) -> Option<String> {
    match tokens {
        [word, TokenTree::Ident(name), equals, ..]
            if is_ident(word, "let") && is_punct(equals, '=') =>
        {
            Some(name.to_string())
        }
        _ => None,
    }
}

/// What is between the commas of a list.
fn arguments(list: &Group) -> Vec<Vec<TokenTree>> {
    let tokens: Vec<TokenTree> = list.stream().into_iter().collect();
    let parts = tokens.split(|token| is_punct(token, ','));
    parts.map(<[TokenTree]>::to_vec).collect()
}

/// All texts in quotes, however deep.
fn literals(stream: TokenStream, found: &mut Vec<String>) {
    for token in stream {
        match token {
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) => found.extend(quoted(&literal.to_string())),
            TokenTree::Ident(_) | TokenTree::Punct(_) => {}
        }
    }
}

/// The text of a literal in quotes.
fn quoted(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    let mut text = String::new();
    let mut chars = inner.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some('\n')) => while chars.next_if(|c| c.is_whitespace()).is_some() {},
            ('\\', _) => text.extend(chars.next()),
            _ => text.push(c),
        }
    }
    Some(text)
}

/// The texts of an argument: its own, or what a name in it was bound to.
fn texts(argument: &[TokenTree], bound: &BTreeMap<String, TokenStream>) -> Vec<String> {
    let mut found = Vec::new();
    literals(argument.iter().cloned().collect(), &mut found);
    if let ([TokenTree::Ident(name)], true) = (argument, found.is_empty())
        && let Some(value) = bound.get(&name.to_string())
    {
        literals(value.clone(), &mut found);
    }
    found
}

/// `550 5.7.1` of the first three arguments; `None` where it is no refusal and no delay, and empty
/// where it is made up elsewhere.
fn code(arguments: &[Vec<TokenTree>]) -> Option<String> {
    let number = |at: usize| match arguments.get(at).map(Vec::as_slice) {
        Some([TokenTree::Literal(literal)]) => literal.to_string().parse::<u16>().ok(),
        _ => None,
    };
    match (number(0), number(1), number(2)) {
        (Some(code), ..) if code < 400 => None,
        (Some(code), Some(subject), Some(detail)) => {
            let class = code / 100;
            Some(format!("{code} {class}.{subject}.{detail}"))
        }
        _ => Some(String::new()),
    }
}

/// What the tokens in front of a list call, if that makes a reply: its name, and where its text
/// stands.
fn maker(path: &Path, before: &[TokenTree]) -> Option<(&'static str, usize)> {
    let before: Vec<String> = before
        .iter()
        .rev()
        .take(4)
        .map(ToString::to_string)
        .collect();
    let called: Vec<&str> = before.iter().map(String::as_str).collect();
    let (name, of) = match called[..] {
        [name, ":", ":", of] | [name, ".", of, ..] => (name, of),
        _ => return None,
    };
    let maker = MAKERS.iter().find(|(owner, maker, _)| {
        let (folder, owner) = owner.split_once(": ").unwrap_or(("", owner));
        let folder = root().join("crates").join(folder);
        *maker == name && owner == of && path.starts_with(folder)
    });
    maker.map(|(_, name, place)| (*name, *place))
}

/// Every refusal and delay in the sources, with where it stands.
fn replies() -> Vec<(PathBuf, Said)> {
    let mut found = Vec::new();
    for (path, stream) in sources() {
        walk(stream, &mut BTreeMap::new(), &mut |before, list, bound| {
            let Some((maker, place)) = maker(&path, before) else {
                return;
            };
            let arguments = arguments(list);
            let code = match maker {
                "new" => code(&arguments),
                _ => Some(String::new()),
            };
            let Some((code, argument)) = code.zip(arguments.get(place)) else {
                return;
            };
            let texts = texts(argument, bound);
            let heard = texts
                .iter()
                .filter(|text| !UNHEARD.contains(&text.as_str()));
            let said = heard.filter_map(|text| Said::new(&code, text));
            found.extend(said.map(|said| (path.clone(), said)));
        });
    }
    found
}

/// Every line of the log at level warn or error, with where it stands.
fn lines() -> Vec<(PathBuf, Said)> {
    let mut found = Vec::new();
    for (path, stream) in sources() {
        walk(stream, &mut BTreeMap::new(), &mut |before, list, _| {
            let [.., TokenTree::Ident(level), bang] = before else {
                return;
            };
            if !is_punct(bang, '!') || !(level == "warn" || level == "error") {
                return;
            }
            let text = arguments(list)
                .into_iter()
                .rev()
                .find(|part| !part.is_empty());
            let text = text.map(|part| texts(&part, &BTreeMap::new()));
            let said = text
                .into_iter()
                .flatten()
                .filter_map(|text| Said::new("", &text));
            found.extend(said.map(|said| (path.clone(), said)));
        });
    }
    found
}

/// What the page lacks of `said`, a line for each.
fn missing(said: &[(PathBuf, Said)], told: &[String]) -> Vec<String> {
    let is_missing = |said: &Said| !told.iter().any(|span| said.is_told_by(span));
    let lacking = said.iter().filter(|(_, said)| is_missing(said));
    let mut lines: Vec<String> = lacking
        .map(|(path, said)| {
            let path = path.strip_prefix(root()).unwrap_or(path);
            format!(
                "{} {} ({})",
                said.code,
                said.pieces.join("..."),
                path.display()
            )
        })
        .collect();
    lines.sort();
    lines.dedup();
    lines
}

#[test]
fn every_reply_that_we_can_say_is_told() {
    let replies = replies();
    assert!(replies.len() > 100, "replies were found: {}", replies.len());
    let missing = missing(&replies, &told(&page()));
    assert!(
        missing.is_empty(),
        "not in docs/troubleshooting.md: {missing:#?}"
    );
}

#[test]
fn every_warning_and_error_is_told() {
    let lines = lines();
    assert!(lines.len() > 100, "lines were found: {}", lines.len());
    let missing = missing(&lines, &told(&page()));
    assert!(
        missing.is_empty(),
        "not in docs/troubleshooting.md: {missing:#?}"
    );
}

/// The text of a reply, behind its code and status; `None` of whatever is no reply.
fn text_of(reply: &str) -> Option<&str> {
    let mut parts = reply.splitn(3, ' ');
    let (code, status, text) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
    let is_reply = code.len() == 3 && is_number(code) && status.split('.').all(is_number);
    is_reply.then_some(text)
}

/// Every text in the sources that says something.
fn all_texts() -> Vec<Said> {
    let mut texts = Vec::new();
    for (_, stream) in sources() {
        literals(stream, &mut texts);
    }
    let says = |said: &Said| said.pieces.iter().any(|piece| piece.trim().len() > 5);
    let said = texts.iter().filter_map(|text| Said::new("", text));
    said.filter(says).collect()
}

#[test]
fn no_reply_is_told_that_nobody_says() {
    let (page, texts) = (page(), all_texts());
    let told = told(&page);
    let replies: Vec<&str> = told.iter().filter_map(|span| text_of(span)).collect();
    assert!(replies.len() > 100, "replies were found: {}", replies.len());
    let is_said = |reply: &str| texts.iter().any(|said| said.is_told_by(reply));
    let stale: Vec<&str> = replies
        .into_iter()
        .filter(|reply| !COMPOSED.contains(reply) && !is_said(reply))
        .collect();
    assert!(stale.is_empty(), "nobody says {stale:#?}");
}

#[test]
fn no_line_is_told_that_nobody_writes() {
    let page = page();
    let (_, page) = page.split_once("\n## Lines of the log").expect("its lines");
    let lines = lines();
    let cells = page.lines().filter_map(|line| line.strip_prefix("| "));
    let cells = cells.filter_map(|row| row.split(" | ").next());
    let told: Vec<String> = cells.flat_map(told).collect();
    assert!(told.len() > 100, "lines were found: {}", told.len());
    let is_written = |line: &str| lines.iter().any(|(_, said)| said.is_told_by(line));
    let stale: Vec<&String> = told.iter().filter(|line| !is_written(line)).collect();
    assert!(stale.is_empty(), "nobody writes {stale:#?}");
}

#[test]
fn one_that_is_not_told_is_found() {
    let told = ["550 5.7.1 Unable to relay for ADDRESS".to_owned()];
    for (code, text, is_told) in [
        ("550 5.7.1", "Unable to relay for {recipient}", true),
        ("", "Unable to relay for {recipient}", true),
        ("", "Unable to relay for ADDRESS", true),
        ("550 5.7.2", "Unable to relay for {recipient}", false),
        ("550 5.7.1", "Unable to carry for {recipient}", false),
        ("550 5.7.1", "Unable to relay", false),
    ] {
        let said = Said::new(code, text).expect("it says something");
        let missing = missing(&[(PathBuf::new(), said)], &told);
        assert_eq!(missing.is_empty(), is_told, "{code} {text}");
    }
}
