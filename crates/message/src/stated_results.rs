use crate::authentication_results::{behind_comments, server, unquoted};

/// What a relay says that its checks came to, as an `Authentication-Results` field has it (RFC 8601
/// section 2.2). Whether to believe it is for others to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedResults {
    /// Who says so (authserv-id), in lower case.
    pub id: String,
    /// What each check came to.
    pub results: Vec<StatedResult>,
}

/// What one check came to. Words other than values are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatedResult {
    /// The check, such as `dmarc`.
    pub method: String,
    /// What it came to, such as `pass`.
    pub result: String,
    /// Of what it was made, such as `header.from` with a domain.
    pub properties: Vec<(String, String)>,
}

/// Results of one field that are read; a stranger may write any number.
const RESULTS_MAX: usize = 32;
/// Properties of one result.
const PROPERTIES_MAX: usize = 16;

impl StatedResults {
    /// Reads the value of a field; `None` where nobody says anything in it. What follows no grammar
    /// is left out.
    pub fn read(value: &[u8]) -> Option<Self> {
        let (id, mut rest) = server(value)?;
        let mut results = Vec::new();
        while results.len() < RESULTS_MAX
            && let Some(behind) = behind_semicolon(rest)
        {
            let (result, after) = statement(behind);
            results.extend(result);
            rest = after;
        }
        Some(Self {
            id: String::from_utf8_lossy(&id).to_ascii_lowercase(),
            results,
        })
    }
}

impl StatedResult {
    /// The value of a property.
    pub fn property(&self, name: &str) -> Option<&str> {
        let found = self.properties.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// The instance of an `ARC-Authentication-Results` field, and what stands behind it (RFC 8617
/// section 4.1.1); `None` where it has none.
pub fn sealed_results(value: &[u8]) -> Option<(usize, &[u8])> {
    let rest = behind_comments(value)?.strip_prefix(b"i")?;
    let rest = behind_comments(rest)?.strip_prefix(b"=")?;
    let rest = behind_comments(rest)?;
    let end = rest.iter().position(|octet| !octet.is_ascii_digit())?;
    let (digits, rest) = rest.split_at(end);
    let instance = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some((instance, behind_comments(rest)?.strip_prefix(b";")?))
}

/// What stands behind the next semicolon that is not within a comment or a quoted string.
fn behind_semicolon(value: &[u8]) -> Option<&[u8]> {
    let mut rest = behind_comments(value)?;
    loop {
        rest = match rest.split_first()? {
            (b';', behind) => return Some(behind),
            (b'"', quoted) => unquoted(quoted)?.1,
            (_, behind) => behind,
        };
        rest = behind_comments(rest)?;
    }
}

/// The statement at the beginning of a text, and what was not read of it.
fn statement(text: &[u8]) -> (Option<StatedResult>, &[u8]) {
    let Some((method, result, mut rest)) = assignment(text) else {
        return (None, text);
    };
    let method = method.split('/').next().unwrap_or_default().to_owned();
    let mut properties = Vec::new();
    while properties.len() < PROPERTIES_MAX
        && let Some((name, value, behind)) = assignment(rest)
    {
        properties.push((name, value));
        rest = behind;
    }
    let stated = StatedResult {
        method,
        result: result.to_ascii_lowercase(),
        properties,
    };
    (Some(stated), rest)
}

/// `name=value` at the beginning of a text, and what follows.
fn assignment(text: &[u8]) -> Option<(String, String, &[u8])> {
    let text = behind_comments(text)?;
    let ends = |octet: &u8| octet.is_ascii_whitespace() || b"=;(\"".contains(octet);
    let (name, rest) = text.split_at(text.iter().position(ends)?);
    let rest = behind_comments(rest)?.strip_prefix(b"=")?;
    let mut rest = behind_comments(rest)?;
    let mut value = Vec::new();
    // A value may have several parts, such as a quoted name before an `@`.
    while let Some((first, behind)) = rest.split_first() {
        match first {
            b'"' => {
                let (text, behind) = unquoted(behind)?;
                value.extend(text);
                rest = behind;
            }
            b';' | b'(' => break,
            octet if octet.is_ascii_whitespace() => break,
            octet => {
                value.push(*octet);
                rest = behind;
            }
        }
    }
    let name = String::from_utf8_lossy(name).to_ascii_lowercase();
    let value = String::from_utf8_lossy(&value).into_owned();
    (!name.is_empty()).then_some((name, value, rest))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All of it on a line.
    fn told(value: &str) -> Option<String> {
        let stated = StatedResults::read(value.as_bytes())?;
        let mut line = stated.id;
        for result in stated.results {
            line += &format!(" | {} {}", result.method, result.result);
            for (name, value) in result.properties {
                line += &format!(" {name}:{value}");
            }
        }
        Some(line)
    }

    #[test]
    fn results_are_read_as_others_write_them() {
        let table = [
            (
                " MX.google.com;\r\n dkim=pass header.i=@a.test header.b=Ab/+;\r\n spf=pass \
                 (google.com: domain of x=y@a.test (and) more; no) smtp.mailfrom=x=y@a.test;\r\n \
                 dmarc=PASS (p=NONE) header.from=a.test",
                "mx.google.com | dkim pass header.i:@a.test header.b:Ab/+ \
                 | spf pass smtp.mailfrom:x=y@a.test | dmarc pass header.from:a.test",
            ),
            (
                "mx.test 1; dmarc/1 = pass action=none header.from = \"a.test\"; x",
                "mx.test | dmarc pass action:none header.from:a.test",
            ),
            ("\"mx.test\"; none", "mx.test"),
            (
                "mx.test; =x; a; spf=fail reason=\"a;b\" smtp.mailfrom=\"a b\"@c.test",
                "mx.test | spf fail reason:a;b smtp.mailfrom:a b@c.test",
            ),
            (
                "mx.test; dmarc=pass (not closed; spf=pass",
                "mx.test | dmarc pass",
            ),
            ("mx.test", "mx.test"),
        ];
        for (value, expected) in table {
            assert_eq!(told(value).as_deref(), Some(expected), "{value}");
        }
        assert_eq!(told(""), None);
        assert_eq!(told("; dmarc=pass"), None);
    }

    #[test]
    fn sealed_results_have_an_instance() {
        let table = [
            (" i=1; mx.test; none", Some((1, " mx.test; none"))),
            ("(x)\r\n i = 50 (y);a", Some((50, "a"))),
            ("i=1 mx.test", None),
            ("i=; a", None),
            ("i=-1; a", None),
            ("mx.test; i=1;", None),
            ("i=99999999999999999999999; a", None),
        ];
        for (value, expected) in table {
            let expected = expected.map(|(instance, rest)| (instance, rest.as_bytes()));
            assert_eq!(sealed_results(value.as_bytes()), expected, "{value}");
        }
    }

    proptest! {
        #[test]
        fn no_input_panics(value in "((i|mx|dmarc|=|;|\"|\\(|\\)|\\\\|/| |\r\n )[a-z0-9]{0,2}){0,20}") {
            StatedResults::read(value.as_bytes());
            sealed_results(value.as_bytes());
        }
    }

    #[test]
    fn many_results_cost_no_more_than_their_text() {
        let long = format!("a; {}", "x=(y) \";\" ;".repeat(100_000));
        let stated = StatedResults::read(long.as_bytes()).expect("results");
        assert_eq!(stated.results.len(), RESULTS_MAX);
    }
}
