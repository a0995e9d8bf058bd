//! What is made of the tables of commands and options, read by the programs that it is for: manual
//! pages by groff and mandoc, completions by shells, the schema by a validator.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

fn run(program: &str, arguments: &[&str]) -> Output {
    let output = Command::new(program).args(arguments).output();
    output.unwrap_or_else(|why| panic!("{program}: {why}; scripts/test installs what is needed"))
}

/// What it said, when it ended well and had nothing to complain of.
fn without_complaint(program: &str, arguments: &[&str]) -> String {
    let output = run(program, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        output.status.success() && complaint.is_empty(),
        "{program} {arguments:?}: {:?} {complaint}",
        output.status
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn gatepost(arguments: &[&str]) -> String {
    without_complaint(env!("CARGO_BIN_EXE_gatepost"), arguments)
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn manual_pages_are_set_without_a_warning() {
    let folder = TempDir::new().expect("a temporary folder");
    gatepost(&["man", &path(folder.path())]);
    let mut pages = 0;
    for section in ["man1", "man5"] {
        for page in fs::read_dir(folder.path().join(section)).expect("the pages") {
            let page = path(&page.expect("a readable folder").path());
            without_complaint("groff", &["-man", "-Tutf8", "-ww", &page]);
            let judged = run("mandoc", &["-T", "lint", "-W", "error", &page]);
            assert!(judged.status.success(), "{page}: {judged:?}");
            pages += 1;
        }
    }
    assert!(pages > 60, "{pages} pages");
    let read = |name: &str| without_complaint("man", &["-M", &path(folder.path()), name]);
    assert!(read("gatepost-queue-hold").contains("Keep, and do not try"));
    let options = read("gatepost.toml");
    for word in [
        "[relay]",
        "[[screen]]",
        "hostname",
        "Takes a duration; default",
    ] {
        assert!(options.contains(word), "{word} in {options}");
    }
    let wrong = folder.path().join("wrong.1");
    fs::write(&wrong, ".TH a 1\n.SH A\n.nonsense\n").expect("a page");
    let complaint = run("groff", &["-man", "-Tutf8", "-ww", &path(&wrong)]).stderr;
    assert!(
        !complaint.is_empty(),
        "a wrong page is told from a right one"
    );
}

/// The script for a shell, in a file of this name.
fn completions(folder: &TempDir, shell: &str, name: &str) -> String {
    let file = folder.path().join(name);
    fs::write(&file, gatepost(&["completions", shell])).expect("a script");
    path(&file)
}

fn has_words(shown: &str, words: &[&str]) {
    for word in words {
        let found = shown.split_whitespace().any(|shown| shown == *word);
        assert!(found, "{word} in {shown}");
    }
}

#[test]
fn bash_completes() {
    let folder = TempDir::new().expect("a temporary folder");
    let script = completions(&folder, "bash", "gatepost");
    let complete = |words: &str, last: &str| {
        let text = format!(
            "source {script}; COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); \
             $(complete -p gatepost | sed 's/.*-F \\([^ ]*\\).*/\\1/') gatepost {last} gatepost; \
             echo \"${{COMPREPLY[@]}}\""
        );
        without_complaint("bash", &["--norc", "-c", &text])
    };
    has_words(&complete("gatepost qu", "qu"), &["queue", "quarantine"]);
    has_words(&complete("gatepost queue re", "re"), &["release", "retry"]);
    has_words(
        &complete("gatepost completions ''", "''"),
        &["bash", "fish"],
    );
}

#[test]
fn fish_completes() {
    let folder = TempDir::new().expect("a temporary folder");
    let script = completions(&folder, "fish", "gatepost.fish");
    let complete = |line: &str| {
        let text = format!("source {script}; complete -C '{line}'");
        without_complaint("fish", &["--no-config", "-c", &text])
    };
    has_words(&complete("gatepost qu"), &["queue", "quarantine"]);
    has_words(&complete("gatepost queue re"), &["release", "retry"]);
}

/// zsh completes where somebody types: on a terminal of its own, which is looked at after TAB.
#[test]
fn zsh_completes() {
    let folder = TempDir::new().expect("a temporary folder");
    completions(&folder, "zsh", "_gatepost");
    let text = format!(
        "zmodload zsh/zpty\n\
         zpty inner zsh -f -i\n\
         zpty -w inner 'PS1=; fpath=({folder} $fpath); autoload -U compinit; compinit -u -D'\n\
         zpty -w inner \"print rea''dy\"\n\
         zpty -r inner shown '*ready*'\n\
         zpty -w -n inner $'gatepost queue rel\\t --no-w\\t'\n\
         zpty -r inner shown '*release*--no-wait*' && print completed\n\
         zpty -d inner\n",
        folder = path(folder.path()),
    );
    let shown = without_complaint("timeout", &["60", "zsh", "-f", "-c", &text]);
    assert!(shown.contains("completed"), "{shown}");
}

/// Reads documents from standard input, one JSON list of TOML texts, and prints for each whether the
/// schema takes it, and why not.
const VALIDATOR: &str = "
import json, sys, tomllib, jsonschema
schema = json.load(open(sys.argv[1]))
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
told = []
for text in json.load(open(sys.argv[2])):
    errors = [error.json_path + ': ' + error.message for error in validator.iter_errors(tomllib.loads(text))]
    told.append(errors)
print(json.dumps(told))
";

/// What a validator has against each of these configurations.
fn judged(texts: &[String]) -> Vec<Vec<String>> {
    let folder = TempDir::new().expect("a temporary folder");
    let file = |name: &str, text: String| {
        let file = folder.path().join(name);
        fs::write(&file, text).expect("a file");
        path(&file)
    };
    let schema = file("schema.json", gatepost(&["config", "schema"]));
    let texts = file("texts.json", serde_json::json!(texts).to_string());
    let told = without_complaint("/usr/bin/python3", &["-c", VALIDATOR, &schema, &texts]);
    serde_json::from_str(&told).expect("a list of lists")
}

/// Every configuration that a document shows, with the document's name.
fn shown_configurations() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let documents = fs::read_dir(root.join("docs")).expect("the documents");
    let documents = documents.map(|document| document.expect("a readable folder").path());
    let mut shown = Vec::new();
    for document in documents.chain([root.join("README.md")]) {
        let Ok(text) = fs::read_to_string(&document) else {
            continue;
        };
        let blocks = text.split("```toml\n").skip(1);
        shown.extend(blocks.map(|block| {
            let block = block.split("```").next().unwrap_or_default();
            (path(&document), block.to_owned())
        }));
    }
    shown
}

#[test]
fn the_schema_takes_every_configuration_that_is_shown() {
    let shown = shown_configurations();
    assert!(shown.len() >= 20, "{} configurations", shown.len());
    let texts: Vec<String> = shown.iter().map(|(_, text)| text.clone()).collect();
    for ((document, text), errors) in shown.iter().zip(judged(&texts)) {
        assert!(errors.is_empty(), "{document}: {errors:?}\n{text}");
    }
}

#[test]
fn the_schema_refuses_what_an_editor_should_mark() {
    let wrong = [
        ("relay.alow = [\"192.0.2.1\"]", "alow"),
        ("relya.allow = []", "relya"),
        ("relay.allow = \"192.0.2.1\"", "$.relay.allow"),
        ("hostname = 25", "$.hostname"),
        ("limits.message_size = 25", "$.limits.message_size"),
        ("limits.message_size = \"much\"", "$.limits.message_size"),
        ("stop_timeout = \"8 apples\"", "$.stop_timeout"),
        (
            "listener.a = { bind = \"0.0.0.0:25\", kind = \"smtp\" }",
            "$.listener.a.kind",
        ),
        ("limits.recipients = 0.5", "$.limits.recipients"),
        ("screen = { then = \"refuse\" }", "$.screen"),
    ];
    let texts: Vec<String> = wrong.iter().map(|(text, _)| (*text).to_owned()).collect();
    for ((text, named), errors) in wrong.iter().zip(judged(&texts)) {
        let found = errors.iter().any(|error| error.contains(named));
        assert!(found, "{text}: {errors:?}");
    }
}
