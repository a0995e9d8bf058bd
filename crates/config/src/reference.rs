//! The reference of all options, as the documents show it.

use crate::explain::{bracketed, written};
use crate::table::{Row, rows};

/// Every option, section by section, in Markdown.
pub fn reference() -> String {
    let mut text = String::new();
    let mut section = None;
    for row in rows() {
        let of_row = row.definition.facts().section;
        if section.replace(of_row) != Some(of_row) {
            text.push_str(&heading(of_row));
        }
        text.push_str(&line(row));
    }
    text
}

fn heading(section: &str) -> String {
    let title = if section.is_empty() {
        "At the top of the file".to_owned()
    } else {
        format!("`{}`", bracketed(section))
    };
    format!("\n### {title}\n\n| option | takes | default | meaning |\n|---|---|---|---|\n")
}

fn line(row: &Row) -> String {
    let facts = row.definition.facts();
    let default = match facts.default {
        "" => String::new(),
        default => format!("`{default}`"),
    };
    let meaning = facts.meaning_in_full();
    let cells = [row.definition.expected(), default, meaning].map(|cell| in_a_cell(&cell));
    format!("| `{}` | {} |\n", written(facts.name), cells.join(" | "))
}

/// Text that neither ends a cell of a table nor is taken for markup.
fn in_a_cell(text: &str) -> String {
    let mut cell = String::new();
    for (number, part) in text.split('`').enumerate() {
        let code = number % 2 == 1;
        let part = part.replace('|', "\\|");
        if code {
            cell.push_str(&format!("`{part}`"));
        } else {
            cell.push_str(
                &part
                    .replace('<', "&lt;")
                    .replace('*', "\\*")
                    .replace('[', "\\["),
            );
        }
    }
    cell
}
