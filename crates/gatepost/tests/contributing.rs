//! `CONTRIBUTING.md` tells the truth: its lists of places name every file of the product that their
//! example touches and no other, none has more than five, and the steps of `scripts/test` are those
//! that it has.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

const PLACES_MAX: usize = 5;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A list of places, with the words by which the code shows its example.
struct List {
    title: String,
    places: Vec<String>,
    words: Vec<String>,
}

fn lists(text: &str) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    for section in text.split("\n### ").skip(1) {
        let section = section.split("\n## ").next().unwrap_or(section);
        let mut list = List {
            title: section.lines().next().unwrap_or_default().to_owned(),
            places: Vec::new(),
            words: Vec::new(),
        };
        for line in section.lines() {
            let words = line
                .strip_prefix("<!-- in the code: ")
                .and_then(|rest| rest.strip_suffix(" -->"));
            if let Some(words) = words {
                list.words = words.split(" | ").map(str::to_owned).collect();
            }
            let item = line.split_once(". `").filter(|(number, _)| {
                number.chars().all(|digit| digit.is_ascii_digit()) && !number.is_empty()
            });
            if let Some((path, _)) = item.and_then(|(_, rest)| rest.split_once('`')) {
                list.places.push(path.to_owned());
            }
        }
        lists.push(list);
    }
    lists
}

/// The files of Rust below a folder, as paths below the root.
fn sources(folder: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let below = path.strip_prefix(root()).expect("a path below the root");
            found.push(below.to_string_lossy().into_owned());
        }
    }
}

/// The sources of the product: without tests, and without the simulation, which is one.
fn product() -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root().join("crates")).expect("the folder of crates") {
        let folder = entry.expect("a readable folder").path();
        if !folder.ends_with("simulation") {
            sources(&folder.join("src"), &mut found);
        }
    }
    found.retain(|path| !path.ends_with("tests.rs") && !path.contains("/tests/"));
    assert!(found.len() > 100, "the sources were found");
    found
}

/// What a file says, without comments and without the tests at its end.
fn code(path: &str) -> String {
    let text = read(path);
    let text = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or("");
    let lines = text
        .lines()
        .map(|line| line.split("//").next().unwrap_or(""));
    lines.collect::<Vec<_>>().join("\n")
}

/// Whether the text has the word as a whole one.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

/// Whether a file belongs to a place: it is the place, or a part of the module that is.
fn is_part_of(file: &str, place: &str) -> bool {
    let rest = file.strip_prefix(place);
    rest.is_some_and(|rest| rest.is_empty() || rest == ".rs" || rest.starts_with('/'))
}

#[test]
fn each_list_of_places_is_whole_and_short() {
    let lists = lists(&read("CONTRIBUTING.md"));
    assert!(lists.len() >= 5, "the lists were found");
    let product = product();
    let mut wrong = Vec::new();
    for List {
        title,
        places,
        words,
    } in &lists
    {
        assert!(!words.is_empty(), "{title}: no words of its example");
        if places.len() > PLACES_MAX {
            wrong.push(format!("{title}: {} places", places.len()));
        }
        let touched: BTreeSet<&String> = product
            .iter()
            .filter(|path| words.iter().any(|word| has_word(&code(path), word)))
            .collect();
        for file in &touched {
            if !places.iter().any(|place| is_part_of(file, place)) {
                wrong.push(format!("{title}: {file} is not in the list"));
            }
        }
        for place in places {
            if !touched.iter().any(|file| is_part_of(file, place)) {
                wrong.push(format!("{title}: {place} has nothing of the example"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_steps_that_are_named_are_those_of_the_script() {
    let script = read("scripts/test");
    let steps = script
        .lines()
        .find_map(|line| line.strip_prefix("steps=(")?.strip_suffix(')'))
        .expect("the list of steps");
    let named: Vec<String> = steps.split(' ').map(|step| format!("`{step}`")).collect();
    let text = read("CONTRIBUTING.md").replace('\n', " ");
    assert!(text.contains(&named.join(", ")), "{named:?}");
}

#[test]
fn words_are_found_as_a_whole() {
    assert!(has_word("a.ret = 1", "ret") && has_word("Self::Delayed =>", "Self::Delayed"));
    assert!(!has_word("return", "ret") && !has_word("interpret_it", "ret"));
    assert!(is_part_of("crates/a/src/b/c.rs", "crates/a/src/b"));
    assert!(is_part_of("crates/a/src/b.rs", "crates/a/src/b"));
    assert!(!is_part_of("crates/a/src/bc.rs", "crates/a/src/b"));
}
