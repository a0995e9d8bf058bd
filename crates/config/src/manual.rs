//! The table of options as a manual page, gatepost.toml(5), in the language of man(7).

use crate::explain::{bracketed, written};
use crate::table::{Row, rows};

/// The page; `version` of Gatepost stands at its foot.
pub fn manual(version: &str) -> String {
    let mut page = format!(
        ".TH gatepost.toml 5 \"\" \"gatepost {version}\" \"Gatepost\"\n\
         .SH NAME\ngatepost.toml \\- configuration of the SMTP relay gatepost\n\
         .SH DESCRIPTION\n\
         The file is TOML. An option that it does not name has its default; an unknown one is an error. \
         Durations and sizes carry their units, as 30s, 2h or 25MB.\n\
         .PP\n\
         .BR gatepost\\-config\\-check (1)\n\
         says whether a file can be used,\n\
         .BR gatepost\\-config\\-explain (1)\n\
         what one option means,\n\
         .BR gatepost\\-init (1)\n\
         writes a first one.\n\
         .SH OPTIONS\n"
    );
    let mut section = None;
    for row in rows() {
        let of_row = row.definition.facts().section;
        if section.replace(of_row) != Some(of_row) {
            page.push_str(&format!(".SS {}\n", heading(of_row)));
        }
        page.push_str(&entry(row));
    }
    page.push_str(
        ".SH FILES\n.TP\n.I /etc/gatepost/gatepost.toml\nwhere it is when nobody says otherwise\n\
         .SH SEE ALSO\n.BR gatepost (1)\n",
    );
    page
}

fn heading(section: &str) -> String {
    if section.is_empty() {
        return "At the top of the file".to_owned();
    }
    text(&bracketed(section))
}

fn entry(row: &Row) -> String {
    let facts = row.definition.facts();
    let meaning = facts.meaning_in_full().replace('`', "");
    let mut takes = format!("Takes {}", row.definition.expected());
    if !facts.default.is_empty() {
        takes.push_str(&format!("; default {}", facts.default));
    }
    format!(
        ".TP\n.B {}\n{}\n.br\n{}.\n",
        text(&written(facts.name)),
        text(&meaning),
        text(&takes)
    )
}

/// Text that is set as it stands: no character of it is taken for a request.
fn text(plain: &str) -> String {
    let mut set = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '\\' => set.push_str("\\e"),
            '-' => set.push_str("\\-"),
            // Typographic ones in their place would not be what is typed.
            '\'' => set.push_str("\\(aq"),
            '`' => set.push_str("\\(ga"),
            '^' => set.push_str("\\(ha"),
            '~' => set.push_str("\\(ti"),
            '"' => set.push_str("\\(dq"),
            '\n' => set.push(' '),
            _ => set.push(c),
        }
    }
    if set.starts_with('.') {
        set.insert_str(0, "\\&");
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::options;

    #[test]
    fn every_option_has_an_entry() {
        let page = manual("1");
        for facts in options() {
            let entry = format!(
                "\n.B {}\n{}",
                text(&written(facts.name)),
                text(&facts.meaning.replace('`', ""))
            );
            assert!(page.contains(&entry), "{}", facts.key());
        }
    }

    #[test]
    fn no_text_is_taken_for_a_request() {
        assert_eq!(text(".TH '\\n'"), "\\&.TH \\(aq\\en\\(aq");
        assert_eq!(text("a\n.SH b"), "a .SH b");
    }
}
