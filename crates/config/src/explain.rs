use crate::document::names_in;
use crate::options::{Force, OPTIONS, OptionSpec};

/// What an option is for: its kind, default and help. The key is written as in the file
/// (`listener.internet.bind`, `relay.allow`), with any name where one goes; a section (`queue`,
/// `listener.internet`) lists its options. `None` for an unknown key.
pub fn explain(key: &str) -> Option<String> {
    let key = key.trim().trim_matches(['[', ']']);
    let option = OPTIONS.iter().find(|spec| matches(spec.key, key));
    option.map(explain_option).or_else(|| explain_section(key))
}

/// Whether `key` is `pattern` with a name in place of the star.
fn matches(pattern: &str, key: &str) -> bool {
    let pattern = pattern.replace("[]", "");
    match pattern.split_once(".*") {
        None => pattern == key,
        Some((head, tail)) => {
            let middle = key
                .strip_prefix(head)
                .and_then(|rest| rest.strip_prefix('.'));
            middle
                .and_then(|rest| rest.strip_suffix(tail))
                .is_some_and(|name| !name.is_empty())
        }
    }
}

fn explain_option(spec: &OptionSpec) -> String {
    let key = spec.key.replace('*', "NAME").replace("[]", "");
    let default = if spec.default.is_empty() {
        "none"
    } else {
        spec.default
    };
    let mut text = format!(
        "{key}\n  {}\n  takes    {}\n  default  {default}",
        spec.help,
        spec.kind.expected()
    );
    if spec.force == Force::Later {
        text.push_str("\n  This version reads it and does not use it yet.");
    }
    text
}

fn explain_section(key: &str) -> Option<String> {
    let mut sections: Vec<&str> = Vec::new();
    for spec in OPTIONS {
        let mut section = spec.section();
        while !section.is_empty() {
            if !sections.contains(&section) {
                sections.push(section);
            }
            section = section.rsplit_once('.').map_or("", |(parent, _)| parent);
        }
    }
    let pattern = sections.iter().find(|section| matches(section, key))?;
    let pattern = if names_in(pattern).is_empty() {
        format!("{pattern}.*")
    } else {
        (*pattern).to_owned()
    };
    let mut text = format!("[{}]", pattern.replace('*', "NAME").replace("[]", ""));
    let prefix = format!("{pattern}.");
    for (name, spec) in OPTIONS
        .iter()
        .filter_map(|s| Some((s.key.strip_prefix(prefix.as_str())?, s)))
    {
        text.push_str(&format!("\n  {:<24} {}", name.replace("[]", ""), spec.help));
    }
    Some(text)
}
