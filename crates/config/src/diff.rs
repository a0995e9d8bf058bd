//! The difference between two texts, as `diff -u` shows it and `patch` takes it, but for secrets.

use std::fmt::Write as _;

use crate::source::without_secrets;

/// Lines that are shown around each change.
const CONTEXT_LINES: usize = 3;
/// With more pairs of lines to compare, all between the first and the last change counts as changed.
const PAIRS_MAX: usize = 4_000_000;

/// One line of both texts, or of one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line<'a> {
    Same(&'a str),
    Gone(&'a str),
    New(&'a str),
}

/// The unified difference from one text to another, both called `name` in it; empty where they are
/// the same. Bounded in time: where it would take long, it is longer than it could be.
pub fn diff(name: &str, before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let lines = lines(before, after);
    let mut text = format!("--- {0}\n+++ {0}\n", mail::escaped(name));
    let (mut old, mut new, mut at) = (1, 1, 0);
    for hunk in hunks(&lines) {
        for line in lines.get(at..hunk.start).unwrap_or_default() {
            step(line, &mut old, &mut new);
        }
        let within = lines.get(hunk.clone()).unwrap_or_default();
        let (first_old, first_new) = (old, new);
        let mut body = String::new();
        for line in within {
            step(line, &mut old, &mut new);
            write_line(&mut body, line);
        }
        let ranges = (range(first_old, old), range(first_new, new));
        // Writing to a String cannot fail.
        let _ = write!(text, "@@ -{} +{} @@\n{body}", ranges.0, ranges.1);
        at = hunk.end;
    }
    text
}

fn step(line: &Line<'_>, old: &mut usize, new: &mut usize) {
    *old += usize::from(!matches!(line, Line::New(_)));
    *new += usize::from(!matches!(line, Line::Gone(_)));
}

/// `3,7`; of no lines, behind which one they would stand.
fn range(first: usize, end: usize) -> String {
    match end - first {
        0 => format!("{},0", first - 1),
        count => format!("{first},{count}"),
    }
}

fn write_line(body: &mut String, line: &Line<'_>) {
    let (sign, text) = match line {
        Line::Same(text) => (' ', text),
        Line::Gone(text) => ('-', text),
        Line::New(text) => ('+', text),
    };
    body.push(sign);
    // A file that somebody has yet to mend may hold a secret itself.
    body.push_str(&without_secrets(text));
    if !text.ends_with('\n') {
        body.push_str("\n\\ No newline at end of file\n");
    }
}

/// The lines that are shown together.
fn hunks(lines: &[Line<'_>]) -> Vec<std::ops::Range<usize>> {
    let mut hunks: Vec<std::ops::Range<usize>> = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        if matches!(line, Line::Same(_)) {
            continue;
        }
        let from = at.saturating_sub(CONTEXT_LINES);
        let end = (at + CONTEXT_LINES + 1).min(lines.len());
        match hunks.last_mut() {
            Some(last) if from <= last.end => last.end = end,
            Some(_) | None => hunks.push(from..end),
        }
    }
    hunks
}

fn lines<'a>(before: &'a str, after: &'a str) -> Vec<Line<'a>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (
        before.split_inclusive('\n').collect(),
        after.split_inclusive('\n').collect(),
    );
    let same = |pairs: &mut dyn Iterator<Item = (&&'a str, &&'a str)>| {
        pairs.take_while(|(a, b)| a == b).count()
    };
    let head = same(&mut old.iter().zip(&new));
    let (old_rest, new_rest) = (
        old.get(head..).unwrap_or_default(),
        new.get(head..).unwrap_or_default(),
    );
    let tail = same(&mut old_rest.iter().rev().zip(new_rest.iter().rev()));
    let middle = |rest: &'_ [&'a str]| -> Vec<&'a str> {
        rest.iter().take(rest.len() - tail).copied().collect()
    };
    let mut lines: Vec<Line<'a>> = old.iter().take(head).map(|line| Line::Same(line)).collect();
    lines.extend(middle_lines(&middle(old_rest), &middle(new_rest)));
    let end = old.len() - tail;
    lines.extend(old.iter().skip(end).map(|line| Line::Same(line)));
    lines
}

/// By the longest common sequence of lines.
fn middle_lines<'a>(old: &[&'a str], new: &[&'a str]) -> Vec<Line<'a>> {
    if old.len().saturating_mul(new.len()) > PAIRS_MAX {
        let gone = old.iter().map(|line| Line::Gone(line));
        return gone.chain(new.iter().map(|line| Line::New(line))).collect();
    }
    // How long the longest one is from here on: of the first `i` and `j` lines left out.
    let width = new.len() + 1;
    let mut longest = vec![0_u32; (old.len() + 1) * width];
    let at = |i: usize, j: usize| i * width + j;
    for (i, a) in old.iter().enumerate().rev() {
        for (j, b) in new.iter().enumerate().rev() {
            longest[at(i, j)] = if a == b {
                longest[at(i + 1, j + 1)] + 1
            } else {
                longest[at(i + 1, j)].max(longest[at(i, j + 1)])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    loop {
        match (old.get(i), new.get(j)) {
            (Some(a), Some(b)) if a == b => {
                lines.push(Line::Same(a));
                (i, j) = (i + 1, j + 1);
            }
            (Some(a), b) if b.is_none() || longest[at(i + 1, j)] >= longest[at(i, j + 1)] => {
                lines.push(Line::Gone(a));
                i += 1;
            }
            (_, Some(b)) => {
                lines.push(Line::New(b));
                j += 1;
            }
            (_, None) => return lines,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_shown_with_what_is_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n";
        let after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10";
        let expected = "--- f\n+++ f\n@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n 9\n+10\n\\ No newline at end of file\n";
        assert_eq!(diff("f", before, after), expected);
        assert_eq!(diff("f", before, before), "");
        assert_eq!(diff("f", "", "a\n"), "--- f\n+++ f\n@@ -0,0 +1,1 @@\n+a\n");
        assert_eq!(diff("f", "a\n", ""), "--- f\n+++ f\n@@ -1,1 +0,0 @@\n-a\n");
    }

    #[test]
    fn no_secret_is_shown() {
        let after = "[route.out.auth]\nsecret = \"hunter2\"\nold = \"file:/etc/secret\"\n[a]\nsecret = \"file:/etc/b\"\n";
        let shown = diff("f", "", after);
        assert!(
            shown.contains("+secret = ") && !shown.contains("hunter2"),
            "{shown}"
        );
        assert!(shown.contains("+secret = \"file:/etc/b\"\n"), "{shown}");
    }

    #[test]
    fn what_would_take_long_is_all_new() {
        let many = |word: &str| {
            (0..3_000)
                .map(|n| format!("{word}{n}\n"))
                .collect::<String>()
        };
        let shown = diff("f", &many("a"), &many("b"));
        assert_eq!(shown.lines().count(), 3 + 6_000);
    }
}
