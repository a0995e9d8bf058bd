//! Whatever is built into the program may be given to others: each library has a licence that
//! `deny.toml` allows, and comes from the registry.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// The licences that `deny.toml` allows.
fn allowed() -> BTreeSet<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deny.toml");
    let table: toml::Table = fs::read_to_string(file)
        .expect("deny.toml")
        .parse()
        .expect("TOML");
    let list = table["licenses"]["allow"].as_array().expect("a list");
    let words = list.iter().map(|word| word.as_str().expect("a text"));
    words.map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met by these licences. Every part between `AND` has to offer
/// one; where there are no brackets, that is stricter than the expression.
fn is_met(expression: &str, allowed: &BTreeSet<String>) -> bool {
    expression.split(" AND ").all(|part| {
        let part = part.trim_matches(['(', ')', ' ']).replace('/', " OR ");
        part.split(" OR ").any(|one| allowed.contains(one.trim()))
    })
}

#[test]
fn every_library_has_a_licence_that_we_can_meet() {
    let told = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked", "--offline"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let errors = String::from_utf8_lossy(&told.stderr);
    assert!(told.status.success(), "{errors}");
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let packages = told["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "{} packages", packages.len());
    let allowed = allowed();
    for package in packages {
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(
            is_met(licence, &allowed),
            "{} {}: deny.toml does not allow \"{licence}\"",
            package["name"],
            package["version"]
        );
        let source = package["source"].as_str();
        assert!(
            source.is_none_or(|source| source.starts_with("registry+")),
            "{}: {source:?}",
            package["name"]
        );
    }
}

#[test]
fn an_expression_is_met_when_each_of_its_parts_is() {
    let allowed = ["MIT", "ISC"].map(str::to_owned).into();
    for met in ["MIT", "GPL-3.0/MIT", "(MIT OR GPL-3.0) AND ISC"] {
        assert!(is_met(met, &allowed), "{met}");
    }
    for unmet in [
        "",
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "(GPL-3.0 OR LGPL-2.1) AND ISC",
    ] {
        assert!(!is_met(unmet, &allowed), "{unmet}");
    }
}
