//! How values are said: states with sign, word and colour; sizes, spans, moments.

use std::borrow::Borrow;
use std::fmt;

/// A state: its word, a sign, and the class of its colour. Never colour alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) sign: &'static str,
    pub(crate) word: String,
    pub(crate) class: &'static str,
}

/// The mark of what happened to a recipient, of a site, a session or an operation.
pub(crate) fn mark(word: &str) -> Mark {
    let (sign, class) = match word {
        "delivered" | "released" | "up" | "accepting" | "done" | "accepted" | "pass" | "ok" => {
            ("✓", "good")
        }
        "refused" | "failed" | "expired" | "bounced" | "bouncing" | "suspended" | "stopped"
        | "REFUSE" | "fail" | "error" => ("✕", "bad"),
        "deferred" | "postponed" | "paced" | "probing" | "POSTPONE" | "warn" => ("↻", "wait"),
        "held" | "unscreened" | "paused" | "closed" | "on demand" => ("‖", "wait"),
        "dropped" | "deleted" => ("⌫", "dim"),
        "received" | "active" | "applying" => ("→", "go"),
        _ => ("·", "dim"),
    };
    Mark {
        sign,
        word: word.to_owned(),
        class,
    }
}

/// The mark of what was found about the relay or its surroundings.
pub(crate) fn found(result: &str) -> Mark {
    let known = match result {
        "FAIL" => "fail",
        "warning" | "unknown" => "warn",
        result => result,
    };
    Mark {
        word: result.to_owned(),
        ..mark(known)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.word)
    }
}

/// Octets as people say them: `23 KB`, `1.4 MB`.
pub(crate) fn size(octets: impl Borrow<u64>) -> String {
    let octets = *octets.borrow();
    const UNITS: [&str; 4] = ["KB", "MB", "GB", "TB"];
    if octets < 1000 {
        return format!("{octets} B");
    }
    let (mut tenths, mut unit) = (octets / 100, 0);
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    match tenths {
        small if small < 100 => format!("{}.{} {}", small / 10, small % 10, UNITS[unit]),
        tenths => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// A number of seconds as people say it: `40 s`, `22 min`, `3 h 5 min`, `2 d 4 h`.
pub(crate) fn span(seconds: u64) -> String {
    let two = |large: u64, name: &str, small: u64, small_name: &str| match small {
        0 => format!("{large} {name}"),
        small => format!("{large} {name} {small} {small_name}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

/// Milliseconds as people say them: `850 ms`, `2.4 s`, `12 min`.
pub(crate) fn millis(millis: impl Borrow<u64>) -> String {
    let millis = *millis.borrow();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => span(millis / 1_000),
    }
}

/// A number with its thousands apart: `12,345`.
pub(crate) fn count(number: impl Borrow<u64>) -> String {
    let digits = number.borrow().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// So many of something: `1 recipient`, `2 recipients`.
pub(crate) fn many(number: impl Borrow<u64>, noun: &str) -> String {
    let number = *number.borrow();
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", count(number))
}

/// A moment of RFC 3339 as tables show it: `11-29 23:12:04`. All times are UTC.
pub(crate) fn moment(rfc3339: &str) -> String {
    let seconds = rfc3339.get(5..19);
    seconds.map_or_else(|| rfc3339.to_owned(), |text| text.replace('T', " "))
}

/// A line of the configuration as tables show it: without the folders of its file.
pub(crate) fn place(place: &str) -> &str {
    place.rsplit_once('/').map_or(place, |(_, file)| file)
}

/// The text without what stands beside it already.
pub(crate) fn without<'a>(text: &'a str, beginning: &str) -> &'a str {
    text.strip_prefix(beginning).unwrap_or(text)
}

/// The text as a part of a URL's query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(octet));
            }
            octet => encoded.push_str(&format!("%{octet:02X}")),
        }
    }
    encoded
}

/// The text as one argument of a shell's command line.
pub(crate) fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@%+=:,./-_".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A command line with what it is about as its last argument, where that is said.
pub(crate) fn command(command: &str, argument: &str) -> String {
    match argument {
        "" => format!("gatepost {command}"),
        argument => format!("gatepost {command} {}", quoted(argument)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_said_as_people_say_them() {
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1_000), "1.0 KB");
        assert_eq!(size(23_400), "23 KB");
        assert_eq!(size(999_999), "999 KB");
        assert_eq!(size(1_450_000), "1.4 MB");
        assert_eq!(size(u64::MAX), "18446744 TB");
        assert_eq!(span(40), "40 s");
        assert_eq!(span(1_325), "22 min");
        assert_eq!(span(11_100), "3 h 5 min");
        assert_eq!(span(172_800), "2 d");
        assert_eq!(millis(850), "850 ms");
        assert_eq!(millis(2_450), "2.4 s");
        assert_eq!(count(1), "1");
        assert_eq!(count(1_000), "1,000");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(many(1, "recipient"), "1 recipient");
        assert_eq!(many(0, "recipient"), "0 recipients");
        assert_eq!(moment("2026-01-02T03:04:05Z"), "01-02 03:04:05");
        assert_eq!(moment("soon"), "soon");
        assert_eq!(place("/etc/gatepost/gatepost.toml:12"), "gatepost.toml:12");
        assert_eq!(place("default"), "default");
    }

    #[test]
    fn what_goes_into_urls_and_command_lines_stays_one_piece() {
        assert_eq!(
            encoded("to:*@x.example a&b=c#d"),
            "to%3A%2A%40x.example%20a%26b%3Dc%23d"
        );
        assert_eq!(quoted("to:ann@x.example"), "to:ann@x.example");
        assert_eq!(quoted("to:*@x.example"), "'to:*@x.example'");
        assert_eq!(quoted("a'b"), r"'a'\''b'");
        assert_eq!(quoted(""), "''");
        assert_eq!(command("queue list", ""), "gatepost queue list");
        assert_eq!(command("queue list", "a b"), "gatepost queue list 'a b'");
    }
}
