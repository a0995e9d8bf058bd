#!/usr/bin/env bash
# csv 1.4.0 (crate) on tables with the line ends that RFC 4180 asks for.
#
# Guess: the line of a record, as `Record::position` tells it, is that on which the record begins, whatever the line ends.
# Seen: with CRLF every record but the first is told a line early: a record ends at the CR, and the LF is not counted before the next one
# has its position. With LF the lines are right. A record behind a blank line is told at that line.
# Messages such as "line 2 of the export" then send people to the row above.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "lines"
version = "0.0.0"
edition = "2024"

[dependencies]
csv = "=1.4.0"
TOML
cat >"$work/src/main.rs" <<'RUST'
fn main() {
    for (name, text) in [
        ("LF", "a,1\nb,2\nc,3\n"),
        ("CRLF", "a,1\r\nb,2\r\nc,3\r\n"),
        ("LF, a blank line", "a,1\n\nb,2\nc,3\n"),
    ] {
        let mut table = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let rows = table.records().map(|row| {
            let row = row.unwrap();
            let line = row.position().unwrap().line();
            format!("{} {line}", &row[0])
        });
        println!("{name}: {}", rows.collect::<Vec<_>>().join(", "));
    }
}
RUST
(cd "$work" && cargo run --quiet) >"$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
LF: a 1, b 2, c 3
CRLF: a 1, b 1, c 2
LF, a blank line: a 1, b 2, c 4
SEEN
