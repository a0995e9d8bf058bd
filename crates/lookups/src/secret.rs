//! Reads the secrets that the configuration only names.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use config::{Secret, read_file};

/// No file of secrets is larger.
const SECRET_OCTETS_MAX: u64 = 1 << 20;

/// The rights of whoever is neither owner nor of the group.
const OTHERS: u32 = 0o007;

/// What the file or the variable holds, without the line end behind it and the byte-order mark that
/// some editors put before it.
///
/// # Errors
/// It cannot be read, there is nothing in it, or more than a line; never says what is.
pub fn read(secret: &Secret) -> Result<String, String> {
    let (name, text) = text_of(secret)?;
    the_line(&text)
        .map(str::to_owned)
        .map_err(|why| format!("{name}: {why}"))
}

/// The same where there may be several, a line each.
///
/// # Errors
/// It cannot be read, or there is nothing in it; never says what is.
pub(crate) fn read_lines(secret: &Secret) -> Result<Vec<String>, String> {
    let (name, text) = text_of(secret)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let lines = text.lines().filter(|line| !line.is_empty());
    let lines: Vec<String> = lines.map(str::to_owned).collect();
    if lines.is_empty() {
        return Err(format!("{name}: the secret is empty"));
    }
    Ok(lines)
}

/// The name of the file or variable, and what it holds.
fn text_of(secret: &Secret) -> Result<(String, String), String> {
    match secret {
        Secret::File(path) => {
            check_rights(path)?;
            let name = path.display().to_string();
            let octets = read_file(path, SECRET_OCTETS_MAX);
            let octets = octets.map_err(|error| format!("{name}: {error}"))?;
            match String::from_utf8(octets) {
                Ok(text) => Ok((name, text)),
                // Says nothing of what is in it.
                Err(_) => Err(format!("{name}: this is no UTF-8")),
            }
        }
        Secret::Variable(name) => {
            let text = std::env::var(name);
            let text = text.map_err(|_| format!("the variable {name} is not set, or no UTF-8"))?;
            Ok((format!("the variable {name}"), text))
        }
    }
}

/// The one line of a secret.
fn the_line(text: &str) -> Result<&str, &'static str> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        return Err("the secret is empty");
    }
    if line.contains(['\r', '\n']) {
        return Err("a secret is one line, and here are more");
    }
    Ok(line)
}

/// What everybody on the machine can read is no secret.
///
/// # Errors
/// Who may read it, and what to do.
pub fn check_rights(path: &Path) -> Result<(), String> {
    let about = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let rights = about.mode() & 0o777;
    if rights & OTHERS != 0 {
        return Err(format!(
            "{}: every user of this machine may read or change it (mode {rights:03o}): chmod 600 it, or 640",
            path.display()
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_whatever_an_editor_put_around_it() {
        let cases = [
            ("secret", Ok("secret")),
            ("secret\n", Ok("secret")),
            ("\u{feff}secret\r\n\r\n", Ok("secret")),
            (" two words ", Ok(" two words ")),
            ("se\u{feff}cret", Ok("se\u{feff}cret")),
            ("", Err("the secret is empty")),
            ("\u{feff}\r\n", Err("the secret is empty")),
            ("one\ntwo\n", Err("a secret is one line, and here are more")),
            ("\nsecret", Err("a secret is one line, and here are more")),
            ("one\rtwo", Err("a secret is one line, and here are more")),
        ];
        for (text, expected) in cases {
            assert_eq!(the_line(text), expected, "{text:?}");
        }
    }

    #[test]
    fn where_there_may_be_several_each_has_a_line() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let lines = || read_lines(&Secret::File(file.path().to_owned()));
        std::fs::write(file.path(), "\u{feff}one\r\n\ntwo").unwrap();
        assert_eq!(lines(), Ok(vec!["one".to_owned(), "two".to_owned()]));
        std::fs::write(file.path(), "\n").unwrap();
        let name = file.path().display();
        assert_eq!(lines(), Err(format!("{name}: the secret is empty")));
    }

    #[test]
    fn what_is_wrong_with_a_secret_names_the_file_and_not_the_secret() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "open\nsesame\n").unwrap();
        let why = read(&Secret::File(file.path().to_owned())).unwrap_err();
        let name = file.path().display();
        assert_eq!(
            why,
            format!("{name}: a secret is one line, and here are more")
        );
    }
}
