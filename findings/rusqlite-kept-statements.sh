#!/usr/bin/env bash
# rusqlite 0.43.0 (crate) with the SQLite that it brings: Connection::prepare_cached and a question with a parameter and ORDER BY.
#
# Guess: a statement that was kept is compiled once, as the documentation of the cache promises; a SELECT with `=` and a parameter has one plan whatever the value.
# Seen: it is compiled anew each time that it is taken from the cache (SQLITE_STMTSTATUS_REPREPARE counts them), so the cache saves nothing. Two things meet: rusqlite
# clears the values when a statement goes back, and SQLite then takes a statement for outdated if its planner looked at a parameter, which ORDER BY makes it do.
# One that is prepared once and asked again without that is compiled anew twice. SQLITE_DBCONFIG_ENABLE_QPSG ends it.
# In a relay's queue this was a tenth of the processor time of a drain.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/src"
cat >"$work/Cargo.toml" <<'TOML'
[package]
name = "kept"
version = "0.0.0"
edition = "2024"

[dependencies]
rusqlite = { version = "=0.43.0", features = ["bundled"] }
TOML
cat >"$work/src/main.rs" <<'RUST'
use rusqlite::config::DbConfig;
use rusqlite::{Connection, StatementStatus};

fn main() {
    for order in ["", " ORDER BY n"] {
        for stable in [false, true] {
            let connection = Connection::open_in_memory().unwrap();
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, stable).unwrap();
            connection.execute_batch("CREATE TABLE t (id INTEGER, n INTEGER, PRIMARY KEY (id, n))").unwrap();
            let question = format!("SELECT n FROM t WHERE id = ?1{order}");
            for id in 0..10 {
                connection.prepare_cached(&question).unwrap().exists((id,)).unwrap();
            }
            let kept = connection.prepare_cached(&question).unwrap().get_status(StatementStatus::RePrepare);
            let mut one = connection.prepare(&question).unwrap();
            for id in 0..10 {
                one.exists((id,)).unwrap();
            }
            let reused = one.get_status(StatementStatus::RePrepare);
            println!("{question}; stable plans {stable}: kept {kept}, reused {reused} of 10");
        }
    }
}
RUST
cargo run -q --manifest-path "$work/Cargo.toml" >"$work/seen"

cat "$work/seen"
diff "$work/seen" - <<'SEEN'
SELECT n FROM t WHERE id = ?1; stable plans false: kept 0, reused 0 of 10
SELECT n FROM t WHERE id = ?1; stable plans true: kept 0, reused 0 of 10
SELECT n FROM t WHERE id = ?1 ORDER BY n; stable plans false: kept 10, reused 2 of 10
SELECT n FROM t WHERE id = ?1 ORDER BY n; stable plans true: kept 0, reused 0 of 10
SEEN
