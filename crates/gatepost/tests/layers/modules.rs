//! How the modules of one crate use each other, read from its sources.
//!
//! A file at the top and what stands below it (`a.rs`, `a/b.rs`) are one module. What it uses are
//! the paths that begin with `crate`, or lead to the root by `super`, in `use` and elsewhere; a
//! name that the root re-exports is a use of the module that it comes from. Code for tests alone is
//! passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// Which module uses which others.
pub type Uses = BTreeMap<String, BTreeSet<String>>;

/// The uses within the crate whose root is this file.
pub fn of_crate(root: &Path) -> Uses {
    let source = Source::read(root);
    let names = source.re_exported();
    let modules: BTreeMap<String, PathBuf> = source.modules(&root.with_file_name("")).collect();
    let mut uses = Uses::new();
    for (name, file) in &modules {
        let mut used = BTreeSet::new();
        collect(file, 1, &mut used);
        let of_names: Vec<_> = used
            .iter()
            .filter_map(|used| names.get(used))
            .cloned()
            .collect();
        used.extend(of_names);
        used.retain(|used| used != name && modules.contains_key(used));
        uses.insert(name.clone(), used);
    }
    uses
}

/// The modules that lead back to themselves.
pub fn in_circles(uses: &Uses) -> BTreeSet<String> {
    let leads_back = |name: &&String| {
        let mut seen = BTreeSet::new();
        let mut next: Vec<&String> = uses[*name].iter().collect();
        while let Some(module) = next.pop() {
            if seen.insert(module) {
                next.extend(&uses[module]);
            }
        }
        seen.contains(*name)
    };
    uses.keys().filter(leads_back).cloned().collect()
}

/// What a file, which stands `depth` modules below the root, and the files below it use of the
/// root.
fn collect(file: &Path, depth: usize, used: &mut BTreeSet<String>) {
    let source = Source::read(file);
    used.extend(source.used(depth));
    let below = match file.file_stem() {
        Some(stem) if stem != "mod" => file.with_file_name(stem),
        _ => file.with_file_name(""),
    };
    for (_, file) in source.modules(&below) {
        collect(&file, depth + 1, used);
    }
}

/// The words of a source file but those for tests: identifiers, signs, brackets, everything.
struct Source(Vec<String>);

impl Source {
    fn read(file: &Path) -> Self {
        let text = fs::read_to_string(file);
        Self::parse(&text.unwrap_or_else(|why| panic!("{}: {why}", file.display())))
    }

    fn parse(text: &str) -> Self {
        let mut words = Vec::new();
        flatten(text.parse().expect("sources that compile"), &mut words);
        let mut source = Self(words);
        let for_tests = ["#", "[", "cfg", "(", "test", ")", "]"];
        while let Some(at) = (0..source.0.len()).find(|at| source.stands(*at, &for_tests)) {
            let item = at + for_tests.len();
            source.0.drain(at..source.end_of_item(item));
        }
        source
    }

    fn stands(&self, at: usize, words: &[&str]) -> bool {
        self.0.get(at..at + words.len()).is_some_and(|w| w == words)
    }

    fn opens(&self, at: usize) -> bool {
        matches!(&*self.0[at], "(" | "[" | "{")
    }

    fn closes(&self, at: usize) -> bool {
        matches!(&*self.0[at], ")" | "]" | "}")
    }

    /// Behind the item that begins here: behind its `;` or its body.
    fn end_of_item(&self, start: usize) -> usize {
        let mut depth = 0;
        for at in start..self.0.len() {
            depth += i32::from(self.opens(at)) - i32::from(self.closes(at));
            let is_last = self.stands(at, &["}"]) || self.stands(at, &[";"]);
            if depth == 0 && is_last {
                return at + 1;
            }
        }
        self.0.len()
    }

    /// The modules that this file declares, with their files below `directory`.
    fn modules(&self, directory: &Path) -> impl Iterator<Item = (String, PathBuf)> {
        let declared = (0..self.0.len())
            .filter(|at| self.stands(*at, &["mod"]) && self.stands(at + 2, &[";"]));
        declared.map(|at| {
            let name = self.0[at + 1].clone();
            let file = directory.join(format!("{name}.rs"));
            let nested = directory.join(&name).join("mod.rs");
            let file = if file.exists() { file } else { nested };
            (name, file)
        })
    }

    /// The names of the root that are used here, `depth` modules below it.
    fn used(&self, depth: usize) -> BTreeSet<String> {
        let up = ["super", ":", ":"].repeat(depth);
        let mut used = BTreeSet::new();
        for at in 0..self.0.len() {
            let begins = at < 2 || !self.stands(at - 2, &[":", ":"]);
            let name = if begins && self.stands(at, &["crate", ":", ":"]) {
                at + 3
            } else if begins && self.stands(at, &up) {
                at + up.len()
            } else {
                continue;
            };
            used.extend(self.branches(name).map(|at| self.0[at].clone()));
        }
        used
    }

    /// Where the names stand at which a path goes on: one, or in braces several.
    fn branches(&self, at: usize) -> impl Iterator<Item = usize> {
        let mut depth = 0;
        let mut places = vec![at];
        if self.stands(at, &["{"]) {
            places.clear();
            for at in at..self.0.len() {
                depth += i32::from(self.opens(at)) - i32::from(self.closes(at));
                if depth == 0 {
                    break;
                }
                if depth == 1 && (self.stands(at, &["{"]) || self.stands(at, &[","])) {
                    places.push(at + 1);
                }
            }
        }
        places.into_iter()
    }

    /// Which module a name comes from that stands in a `use` of the root.
    fn re_exported(&self) -> BTreeMap<String, String> {
        let mut names = BTreeMap::new();
        let uses = (0..self.0.len()).filter(|at| self.stands(*at, &["use"]));
        for at in uses {
            let end = self.end_of_item(at) - 1;
            let module = &self.0[at + 1];
            for name in &self.0[at + 2..end] {
                names.insert(name.clone(), module.clone());
            }
        }
        names
    }
}

fn flatten(tokens: TokenStream, words: &mut Vec<String>) {
    for token in tokens {
        let TokenTree::Group(group) = token else {
            words.push(token.to_string());
            continue;
        };
        let (open, close) = match group.delimiter() {
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::Brace | Delimiter::None => ("{", "}"),
        };
        words.push(open.to_owned());
        flatten(group.stream(), words);
        words.push(close.to_owned());
    }
}

#[test]
fn uses_are_found_however_they_are_written() {
    let text = "mod below; use crate::{a::X, b::{c, d}, E}; use super::super::f::G;\n\
                fn g(h: crate::h::H) { matches!(x, crate::i::J | Self::K); super::l::m(); }\n\
                // use crate::n;\n#[cfg(test)]\nmod tests { use crate::o::P; }\n\
                #[cfg(test)] use crate::q; fn r() { let s = \"crate::t\"; u::crate_v(); crate::w!() }";
    let source = Source::parse(text);
    let expected = ["E", "a", "b", "f", "h", "i", "w"].map(str::to_owned);
    assert_eq!(source.used(2), expected.into());
    let declared: Vec<String> = source
        .modules(Path::new(""))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(declared, ["below"]);
}

#[test]
fn names_of_the_root_are_those_of_their_modules() {
    let root = Source::parse("mod a; mod b; pub use a::{A, c::D as E}; pub use b::B;");
    let names = root.re_exported();
    let of = |name: &str| names.get(name).map(String::as_str);
    assert_eq!(
        [of("A"), of("E"), of("B"), of("F")],
        [Some("a"), Some("a"), Some("b"), None]
    );
}

#[test]
fn circles_are_told_from_chains() {
    let uses = [
        ("a", &["b"][..]),
        ("b", &["c", "d"]),
        ("c", &["b"]),
        ("d", &[]),
    ];
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let uses: Uses = uses.map(|(name, used)| (name.to_owned(), set(used))).into();
    assert_eq!(in_circles(&uses), set(&["b", "c"]));
}
