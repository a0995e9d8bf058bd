//! The manifests keep the rules of the house: a crate uses only crates of smaller layers, every
//! third-party dependency says why it is there, and every crate takes the workspace's lints.
//! `ARCHITECTURE.md` names the same crates with the same layers. Within a crate no module leads back
//! to itself, and only the crates that are the world read clocks, open sockets or throw dice.

#[path = "layers/modules.rs"]
mod modules;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// One crate's `Cargo.toml`.
struct Manifest {
    text: String,
    table: toml::Table,
}

impl Manifest {
    fn layer(&self) -> Option<i64> {
        let house = self.table.get("package")?.get("metadata")?.get("house")?;
        house.get("layer")?.as_integer()
    }

    fn dependencies(&self, section: &str) -> Vec<String> {
        let dependencies = self.table.get(section).and_then(toml::Value::as_table);
        dependencies
            .map(|table| table.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn takes_the_lints(&self) -> bool {
        let lints = self
            .table
            .get("lints")
            .and_then(|lints| lints.get("workspace"));
        lints.and_then(toml::Value::as_bool) == Some(true)
    }
}

/// Every crate of the workspace, by the name of its folder.
fn manifests() -> BTreeMap<String, Manifest> {
    let mut manifests = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates")).expect("the folder of crates") {
        let folder = entry.expect("a readable folder").path();
        let name = folder
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text =
            fs::read_to_string(folder.join("Cargo.toml")).expect("a manifest in every folder");
        let table = text.parse().expect("a manifest is TOML");
        manifests.insert(name, Manifest { text, table });
    }
    assert!(
        manifests.len() > 10,
        "the crates were found: {:?}",
        manifests.keys()
    );
    manifests
}

#[test]
fn a_crate_uses_only_smaller_layers() {
    let manifests = manifests();
    let layer = |name: &str| manifests.get(name).and_then(Manifest::layer);
    let mut wrong = Vec::new();
    let mut looked_at = 0;
    for (name, manifest) in &manifests {
        let Some(own) = manifest.layer() else {
            wrong.push(format!("{name} has no [package.metadata.house] layer"));
            continue;
        };
        for used in manifest.dependencies("dependencies") {
            let Some(of_used) = layer(&used) else {
                continue;
            };
            looked_at += 1;
            if of_used >= own {
                wrong.push(format!(
                    "{name} (layer {own}) uses {used} (layer {of_used})"
                ));
            }
        }
    }
    assert!(looked_at > 20, "dependencies between crates were found");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_module_leads_back_to_itself() {
    let mut wrong = BTreeMap::new();
    for name in manifests().into_keys() {
        let sources = root().join("crates").join(&name).join("src");
        let library = sources.join("lib.rs");
        let main = sources.join("main.rs");
        let uses = modules::of_crate(if library.exists() { &library } else { &main });
        let circles = modules::in_circles(&uses);
        if !circles.is_empty() {
            wrong.insert(name, circles);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The crates that are the world: clocks, sockets and randomness are theirs.
const WORLD: [&str; 3] = ["daemon", "tls", "lookups"];

/// Files elsewhere that reach into the world themselves, and why.
const REACHES_OUT: [&str; 4] = [
    // A client of its own, which tries a server from outside.
    "gatepost/src/relay_prove/live.rs",
    // A load, and a next hop for it.
    "gatepost/src/bench/mod.rs",
    // The demo's peers.
    "gatepost/src/demo/mod.rs",
    // Salts and nonces: whoever could choose one could undo what it is for.
    "sign-in/src/random.rs",
];

/// What `clippy.toml` forbids holds everywhere else: nobody else lifts it.
#[test]
fn only_the_world_has_clocks_sockets_and_randomness() {
    let text = fs::read_to_string(root().join("clippy.toml")).expect("clippy.toml");
    for forbidden in [
        "std::time::Instant::now",
        "std::time::SystemTime::now",
        "std::thread::sleep",
        "std::net::TcpStream",
        "std::net::UdpSocket",
        "tokio::net::TcpStream",
        "tokio::time::sleep",
        "rand::random",
    ] {
        assert!(text.contains(&format!("\"{forbidden}\"")), "{forbidden}");
    }
    let mut lifting = BTreeSet::new();
    for name in manifests().into_keys() {
        if !WORLD.contains(&&*name) {
            files_that_lift(&root().join("crates").join(name).join("src"), &mut lifting);
        }
    }
    assert_eq!(lifting, REACHES_OUT.map(str::to_owned).into());
}

/// The sources in a folder that lift what is forbidden, named from the folder of crates on.
fn files_that_lift(folder: &Path, lifting: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            files_that_lift(&path, lifting);
        } else if fs::read_to_string(&path).is_ok_and(|text| text.contains("clippy::disallowed_")) {
            let name = path
                .strip_prefix(root().join("crates"))
                .expect("a source of ours");
            lifting.insert(name.to_string_lossy().into_owned());
        }
    }
}

#[test]
fn a_folder_a_crate_and_a_noun_share_one_name() {
    for (folder, manifest) in manifests() {
        let name = manifest
            .table
            .get("package")
            .and_then(|package| package.get("name"));
        assert_eq!(name.and_then(toml::Value::as_str), Some(&*folder));
    }
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    for (name, manifest) in manifests() {
        assert!(
            manifest.takes_the_lints(),
            "{name}: [lints] workspace = true"
        );
    }
}

#[test]
fn every_foreign_dependency_says_why_it_is_there() {
    let manifests = manifests();
    let mut wrong = Vec::new();
    for (name, manifest) in &manifests {
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let foreign: Vec<String> = manifest
                .dependencies(section)
                .into_iter()
                .filter(|dependency| !manifests.contains_key(dependency))
                .collect();
            let lines: Vec<&str> = section_of(&manifest.text, section);
            let without = foreign
                .iter()
                .filter(|dependency| !has_reason(&lines, dependency, &foreign));
            wrong.extend(without.map(|dependency| format!("{name}: {dependency} in [{section}]")));
        }
    }
    assert!(wrong.is_empty(), "no reason in a comment above: {wrong:#?}");
}

/// The lines between a section's heading and the next one.
fn section_of<'a>(manifest: &'a str, section: &str) -> Vec<&'a str> {
    let heading = format!("[{section}]");
    let mut lines = manifest
        .lines()
        .map(str::trim)
        .skip_while(|line| *line != heading);
    lines.next();
    lines.take_while(|line| !line.starts_with('[')).collect()
}

/// Whether a comment stands above the dependency, or above the unbroken run of foreign ones that it
/// belongs to.
fn has_reason(lines: &[&str], dependency: &str, foreign: &[String]) -> bool {
    let declares = |line: &str, name: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
    };
    let Some(at) = lines.iter().position(|line| declares(line, dependency)) else {
        return false;
    };
    let above = lines[..at].iter().rev();
    let mut above = above.skip_while(|line| foreign.iter().any(|name| declares(line, name)));
    above
        .next()
        .is_some_and(|line| line.starts_with('#') && line.len() > "# why".len())
}

#[test]
fn the_architecture_names_every_crate_with_its_layer() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (name, manifest) in manifests() {
        let row = format!(
            "| {} | `crates/{name}` |",
            manifest.layer().unwrap_or_default()
        );
        assert!(
            text.contains(&row),
            "ARCHITECTURE.md has no row that begins {row}"
        );
    }
}

#[test]
fn the_judge_of_reasons_tells_good_from_bad() {
    let lines = section_of(
        "[dependencies]\nmail.workspace = true\n# Reads it.\na = \"1\"\nb = \"1\"\n\nc = \"1\"\n[x]\nd = \"1\"",
        "dependencies",
    );
    let foreign = ["a", "b", "c", "d"].map(str::to_owned);
    let reasoned = foreign
        .each_ref()
        .map(|name| has_reason(&lines, name, &foreign));
    assert_eq!(reasoned, [true, true, false, false]);
}
