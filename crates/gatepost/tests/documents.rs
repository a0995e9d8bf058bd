//! What the documents say is so: configurations load, commands and options exist, links lead
//! somewhere, named files and items are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A map that is longer is no longer read.
const ARCHITECTURE_LINES_MAX: usize = 150;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// One document, by its path below the root.
struct Document {
    path: String,
    text: String,
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    text: String,
}

/// The documents of the project as a whole.
fn documents() -> Vec<Document> {
    let top = [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ];
    let mut paths: Vec<String> = top.map(str::to_owned).into();
    for entry in fs::read_dir(root().join("docs")).expect("the folder of documents") {
        let name = entry
            .expect("a readable folder")
            .file_name()
            .to_string_lossy()
            .into_owned();
        if name.ends_with(".md") {
            paths.push(format!("docs/{name}"));
        }
    }
    paths
        .into_iter()
        .map(|path| Document {
            text: read(&path),
            path,
        })
        .collect()
}

impl Document {
    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks: Vec<Block<'_>> = Vec::new();
        let mut inside = false;
        for line in self.text.lines() {
            match (line.strip_prefix("```"), inside) {
                (Some(language), false) => {
                    blocks.push(Block {
                        language,
                        text: String::new(),
                    });
                    inside = true;
                }
                (Some(_), true) => inside = false,
                (None, true) => {
                    if let Some(block) = blocks.last_mut() {
                        block.text += line;
                        block.text.push('\n');
                    }
                }
                (None, false) => {}
            }
        }
        assert!(!inside, "{}: a fenced block without end", self.path);
        blocks
    }

    /// What stands outside fenced blocks.
    fn prose(&self) -> String {
        let mut prose = String::new();
        for (number, part) in self.text.split("\n```").enumerate() {
            if number % 2 == 0 {
                let part = if number == 0 {
                    part
                } else {
                    part.split_once('\n').map_or("", |(_, rest)| rest)
                };
                prose += part;
                prose.push('\n');
            }
        }
        prose
    }

    /// What stands in backticks outside fenced blocks.
    fn code_spans(&self) -> Vec<String> {
        self.prose()
            .split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    }
}

fn gatepost(arguments: &[String]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_gatepost"))
        .args(arguments)
        .output();
    output.expect("the program starts")
}

fn shown(output: &Output) -> String {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    format!(
        "{:?}\n{}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    )
}

/// Runs `config check` on `text`, whose files are on no machine of ours.
fn config_check(text: &str) -> Output {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("gatepost.toml");
    fs::write(&file, text).expect("a file in it");
    gatepost(&[
        "--config".into(),
        file.display().to_string(),
        "config".into(),
        "check".into(),
        "--without-files".into(),
    ])
}

#[test]
fn every_configuration_shown_can_be_used() {
    let mut checked = 0;
    for document in documents() {
        for block in document
            .blocks()
            .iter()
            .filter(|block| block.language == "toml")
        {
            let output = config_check(&block.text);
            assert!(
                output.status.success(),
                "{}: {}\n{}",
                document.path,
                shown(&output),
                block.text
            );
            checked += 1;
        }
    }
    assert!(checked >= 5, "configurations were found");
    assert!(
        !config_check("[relay]\nalow = []\n").status.success(),
        "a wrong one is told from a right one"
    );
}

/// Adds the keys of all values in `value`, with those of the tables around them before them. Lists
/// of tables are no steps on the way.
fn keys_of(value: &toml::Value, path: &[&str], keys: &mut BTreeSet<Vec<String>>) {
    match value {
        toml::Value::Table(table) => {
            for (name, value) in table {
                let path = [path, &[name.as_str()]].concat();
                keys.insert(path.iter().map(|&step| step.to_owned()).collect());
                keys_of(value, &path, keys);
            }
        }
        toml::Value::Array(values) => {
            for value in values {
                keys_of(value, path, keys);
            }
        }
        _ => {}
    }
}

/// What is shown can be used, by [`every_configuration_shown_can_be_used`].
#[test]
fn every_option_is_shown_in_use() {
    let mut shown = BTreeSet::new();
    for document in documents() {
        for block in document.blocks() {
            if block.language == "toml" {
                let table: toml::Table = block.text.parse().expect("the other test says where");
                keys_of(&toml::Value::Table(table), &[], &mut shown);
            }
        }
    }
    let is_shown = |key: &str| {
        let steps: Vec<&str> = key.split('.').collect();
        shown.iter().any(|path| {
            path.len() == steps.len() && path.iter().zip(&steps).all(|(a, b)| *b == "*" || a == b)
        })
    };
    let missing: Vec<String> = config::options()
        .filter(|facts| facts.in_force)
        .map(|facts| facts.key().replace("[]", ""))
        .filter(|key| !is_shown(key))
        .collect();
    assert!(missing.is_empty(), "no example in docs/ of {missing:#?}");
    assert!(
        !is_shown("relay.alow"),
        "one that does not exist is not found"
    );
}

#[test]
fn readme_and_configuration_show_the_same_quick_start() {
    let first = |path: &str| {
        let document = Document {
            path: path.to_owned(),
            text: read(path),
        };
        let blocks = document.blocks();
        blocks
            .into_iter()
            .find(|block| block.language == "toml")
            .map(|block| block.text)
    };
    assert!(first("README.md").is_some_and(|text| text.contains("[listener.internet]")));
    assert_eq!(first("README.md"), first("docs/configuration.md"));
}

/// The words of a command line up to a pipe, a redirection or a comment; quotes are taken off.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut quote = None;
    let mut open = false;
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                if !open {
                    words.push(String::new());
                    open = true;
                }
            }
            (None, '|' | '>' | '<' | '&' | ';' | '#') => break,
            (None, _) if c.is_whitespace() => open = false,
            (Some(_) | None, _) => {
                if !open {
                    words.push(String::new());
                    open = true;
                }
                if let Some(word) = words.last_mut() {
                    word.push(c);
                }
            }
        }
    }
    words
}

/// The arguments of every `gatepost ...` that a document tells to type, in blocks and in its text.
fn commands(document: &Document) -> BTreeSet<Vec<String>> {
    let shell = |block: &&Block<'_>| matches!(block.language, "console" | "sh");
    let blocks = document.blocks();
    let lines = blocks
        .iter()
        .filter(shell)
        .flat_map(|block| block.text.lines().map(str::to_owned));
    let mut commands = BTreeSet::new();
    for line in lines.chain(document.code_spans()) {
        let words = words(line.trim_start_matches("$ ").trim_start_matches("# "));
        let words = without_sudo(&words);
        let is_program = |word: &String| word == "gatepost" || word.ends_with("/gatepost");
        if !words.first().is_some_and(is_program) {
            continue;
        }
        if words.len() > 1 {
            commands.insert(words[1..].to_vec());
        }
    }
    commands
}

/// What `sudo`, or `sudo -u NAME`, is to run.
fn without_sudo(words: &[String]) -> &[String] {
    match words {
        [sudo, user, _, rest @ ..] if sudo == "sudo" && user == "-u" => rest,
        [sudo, rest @ ..] if sudo == "sudo" => rest,
        all => all,
    }
}

#[test]
fn every_command_shown_exists() {
    let mut tried = 0;
    for document in documents() {
        for mut command in commands(&document) {
            // `explain` needs nothing but the key, so it is asked in earnest.
            let earnest =
                command.contains(&"explain".to_owned()) && !command.contains(&"KEY".to_owned());
            if !earnest {
                command.push("--help".into());
            }
            let output = gatepost(&command);
            assert!(
                output.status.success(),
                "{}: {command:?}\n{}",
                document.path,
                shown(&output)
            );
            tried += 1;
        }
    }
    assert!(tried >= 10, "commands were found");
    let wrong = gatepost(&["queue".into(), "shout".into(), "--help".into()]);
    assert!(
        !wrong.status.success(),
        "a wrong one is told from a right one"
    );
}

#[test]
fn relative_links_lead_somewhere() {
    let mut followed = 0;
    for document in documents() {
        let folder = root()
            .join(&document.path)
            .parent()
            .map(Path::to_path_buf)
            .unwrap_or_default();
        for link in document
            .prose()
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                root().join(&document.path)
            } else {
                folder.join(path)
            };
            assert!(target.exists(), "{}: no {path}", document.path);
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap_or_default();
                assert!(
                    anchors(&text).contains(anchor),
                    "{}: no #{anchor} in {path}",
                    document.path
                );
            }
            followed += 1;
        }
    }
    assert!(followed >= 5, "links were found");
}

#[test]
fn every_page_is_in_the_book() {
    let contents = read("docs/SUMMARY.md");
    let links = contents.lines().filter_map(|line| line.split_once("]("));
    let listed: Vec<&str> = links.map(|(_, rest)| rest.trim_end_matches(')')).collect();
    let once: BTreeSet<&str> = listed.iter().copied().collect();
    assert_eq!(listed.len(), once.len(), "a page twice in {listed:?}");
    let documents = documents();
    let pages: BTreeSet<&str> = documents
        .iter()
        .filter_map(|document| document.path.strip_prefix("docs/"))
        .filter(|name| *name != "SUMMARY.md")
        .collect();
    assert_eq!(once, pages);
}

/// The names under which headings can be linked to.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let name = |heading: &str| {
        let heading = heading
            .trim_start_matches('#')
            .trim()
            .to_lowercase()
            .replace(' ', "-");
        heading
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_".contains(*c))
            .collect()
    };
    headings.map(name).collect()
}

#[test]
fn the_architecture_is_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!(lines < ARCHITECTURE_LINES_MAX, "{lines} lines");
}

/// Whether a span in backticks names a file or folder of this repository.
fn is_own_path(span: &str) -> bool {
    const FOLDERS: [&str; 8] = [
        "crates/",
        "docs/",
        "tests/",
        "bench/",
        "scripts/",
        "packaging/",
        "target/",
        ".ci/",
    ];
    let plain = span
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    plain && FOLDERS.iter().any(|folder| span.starts_with(folder))
}

#[test]
fn files_that_are_named_are_there() {
    let mut found = 0;
    for document in documents() {
        for span in document
            .code_spans()
            .iter()
            .filter(|span| is_own_path(span))
        {
            assert!(root().join(span).exists(), "{}: no `{span}`", document.path);
            found += 1;
        }
    }
    assert!(found >= 20, "paths were found");
}

/// The Rust sources of a crate, as one text.
fn sources(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            text += &sources(&path);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text += &fs::read_to_string(&path).unwrap_or_default();
        }
    }
    text
}

#[test]
fn items_that_are_named_are_there() {
    let mut found = 0;
    for document in documents() {
        for span in document.code_spans() {
            let Some((name, path)) = span.split_once("::") else {
                continue;
            };
            // `[::]` is an address.
            if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            let folder = root()
                .join("crates")
                .join(name.replace('_', "-"))
                .join("src");
            assert!(
                folder.is_dir(),
                "{}: `{span}` is in no crate",
                document.path
            );
            let text = sources(&folder);
            for item in path.split("::") {
                let kinds = ["struct", "enum", "trait", "fn", "const", "static", "type"];
                let declared = kinds.iter().any(|kind| declares(&text, kind, item));
                // A variant stands on a line of its own.
                let variant = || text.lines().any(|line| is_variant(line.trim(), item));
                assert!(
                    declared || variant(),
                    "{}: no {item} for `{span}`",
                    document.path
                );
            }
            found += 1;
        }
    }
    assert!(found >= 10, "items were found");
}

fn declares(text: &str, kind: &str, item: &str) -> bool {
    let declaration = format!("{kind} {item}");
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '_');
    text.match_indices(&declaration)
        .any(|(at, _)| ends(&text[at + declaration.len()..]))
}

fn is_variant(line: &str, item: &str) -> bool {
    line.strip_prefix(item)
        .is_some_and(|rest| matches!(rest.trim_end(), "," | " {") || rest.starts_with('('))
}

/// Whether a span in backticks of `docs/configuration.md` names an option or a section:
/// `relay.allow`, `[queue]`.
fn option_key(span: &str) -> Option<String> {
    if let Some(section) = span
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let named = section.starts_with(|c: char| c.is_ascii_lowercase()) && !section.contains(':');
        return named.then(|| section.trim_matches(['[', ']']).to_owned());
    }
    const ENDINGS: [&str; 6] = [".toml", ".md", ".sock", ".eml", ".example", ".arpa"];
    let plain = |c: char| c.is_ascii_lowercase() || c == '_';
    let parts: Vec<&str> = span.split('.').collect();
    let is_name = |part: &&str| *part == "NAME" || !part.is_empty() && part.chars().all(plain);
    let is_key = parts.len() > 1 && parts.iter().all(is_name);
    (is_key && !ENDINGS.iter().any(|ending| span.ends_with(ending))).then(|| span.to_owned())
}

#[test]
fn options_that_are_named_are_known() {
    let document = Document {
        path: "docs/configuration.md".into(),
        text: read("docs/configuration.md"),
    };
    let keys: BTreeSet<String> = document
        .code_spans()
        .iter()
        .filter_map(|span| option_key(span))
        .collect();
    assert!(keys.len() >= 20, "options were found: {keys:?}");
    for key in keys {
        let output = gatepost(&["config".into(), "explain".into(), key.clone()]);
        assert!(output.status.success(), "`{key}`: {}", shown(&output));
    }
    assert!(
        !gatepost(&["config", "explain", "relay.alow"].map(str::to_owned))
            .status
            .success()
    );
}

#[test]
fn options_that_are_said_to_do_nothing_do_nothing() {
    let text = read("docs/configuration.md");
    let table = text
        .split("\n## Not in force yet\n")
        .nth(1)
        .expect("that part of the document");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.filter_map(|row| row.split('|').nth(1));
    let keys: Vec<String> = cells
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .filter(|span| !span.starts_with(['[', '"']) && *span != "log.format")
        .map(str::to_owned)
        .collect();
    assert!(keys.len() >= 2, "options were found: {keys:?}");
    for key in keys {
        let output = gatepost(&["config".into(), "explain".into(), key.clone()]);
        assert!(
            shown(&output).contains("does not use it yet"),
            "`{key}`: {}",
            shown(&output)
        );
    }
}
