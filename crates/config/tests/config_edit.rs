//! Editing the text of a file changes what is asked for and nothing else.

use config::{Change, Edit, edit};
use proptest::prelude::*;

fn changed(text: &str, key: &str, change: Change) -> String {
    let one = Edit {
        key: key.to_owned(),
        change,
    };
    edit(text, &[one]).unwrap_or_else(|why| panic!("{key}: {why}"))
}

fn set(text: &str, key: &str, value: &str) -> String {
    changed(text, key, Change::Set(value.to_owned()))
}

fn append(text: &str, key: &str, value: &str) -> String {
    changed(text, key, Change::Append(value.to_owned()))
}

fn take(text: &str, key: &str, value: &str) -> String {
    changed(text, key, Change::Take(value.to_owned()))
}

fn remove(text: &str, key: &str) -> String {
    changed(text, key, Change::Remove)
}

fn moved(text: &str, key: &str, to: usize) -> String {
    changed(text, key, Change::Move(to.to_string()))
}

const FILE: &str = r##"# The relay of example.com. Ask ann before you change it.

hostname = "relay.example.com" # our name

# The Internet.
[listener.internet]
bind = "0.0.0.0:25"   # everybody
connect = { mode = "all-except", except = ["192.0.2.1"] }

[domain."example.com"]
route = "[192.168.1.254]"

# Who may send to others.
[relay]
allow = [
  "192.168.1.254", # Exchange
  # The printers, until they are replaced:
  "192.168.1.16/28", # third floor
  "192.168.2.1",
  # Add here.
]

[[screen]]
name = "no exe"
when = { attachment = "*.exe" }
then = "refuse"

# Eve is curious.
[[screen]]
name = "eve"
when.to = "eve@example.com"
then = "hold"

# The end.
"##;

#[test]
fn a_value_is_replaced_and_its_comment_stays() {
    let text = set(FILE, "hostname", "'mx.example.com'");
    let expected = FILE.replace("\"relay.example.com\"", "'mx.example.com'");
    assert_eq!(text, expected);
    let text = set(FILE, "domain.\"example.com\".route", "\"[192.168.1.9]\"");
    assert_eq!(
        text,
        FILE.replace("route = \"[192.168.1.254]\"", "route = \"[192.168.1.9]\"")
    );
    let text = set(FILE, "listener.internet.connect.mode", "\"only-list\"");
    assert_eq!(
        text,
        FILE.replace("mode = \"all-except\"", "mode = \"only-list\"")
    );
}

#[test]
fn what_is_new_stands_at_the_end_of_its_section() {
    let text = set(FILE, "listener.internet.banner", "\"hello\"");
    let line = "except = [\"192.0.2.1\"] }\n";
    assert_eq!(
        text,
        FILE.replace(line, &format!("{line}banner = \"hello\"\n"))
    );
    let text = set(FILE, "domain.\"example.com\".tls", "\"require\"");
    let line = "route = \"[192.168.1.254]\"\n";
    assert_eq!(
        text,
        FILE.replace(line, &format!("{line}tls = \"require\"\n"))
    );
    let text = append(FILE, "listener.internet.connect.allow", "\"192.0.2.9\"");
    let inner = "except = [\"192.0.2.1\"] }";
    let wanted = "except = [\"192.0.2.1\"], allow = [\"192.0.2.9\"] }";
    assert_eq!(text, FILE.replace(inner, wanted));
    assert_eq!(set("", "relay.allow", "[]"), "[relay]\nallow = []\n");
    assert_eq!(set("  a = 1\n", "b", "2"), "  a = 1\n  b = 2\n");
    assert_eq!(
        set("relay.mode = \"x\"\n", "relay.deny", "[]"),
        "relay.mode = \"x\"\nrelay.deny = []\n"
    );
}

#[test]
fn values_of_a_list_keep_their_comments() {
    let text = append(FILE, "relay.allow", "\"10.0.0.1\"");
    let end = "  \"192.168.2.1\",\n";
    assert_eq!(text, FILE.replace(end, &format!("{end}  \"10.0.0.1\",\n")));
    let text = take(FILE, "relay.allow", "'192.168.1.16/28'");
    let gone = "  # The printers, until they are replaced:\n  \"192.168.1.16/28\", # third floor\n";
    assert_eq!(text, FILE.replace(gone, ""));
    let text = take(FILE, "relay.allow", "\"192.168.2.1\"");
    assert_eq!(text, FILE.replace(end, ""));
    assert_eq!(
        append("a = [\n  1 # one\n]\n", "a", "2"),
        "a = [\n  1, # one\n  2\n]\n"
    );
    assert_eq!(append("a = [ 1 ]\n", "a", "2"), "a = [ 1, 2 ]\n");
    assert_eq!(
        append("a = \"x\" # y\n", "a", "'z'"),
        "a = [\"x\", 'z'] # y\n"
    );
    assert_eq!(append("", "relay.allow", "'z'"), "[relay]\nallow = ['z']\n");
}

/// Who writes a list anew, as a form does, means the values that are others.
#[test]
fn a_list_that_is_written_anew_keeps_the_comments_of_what_stays() {
    let all = "[\"192.168.1.254\", \"192.168.1.16/28\", \"192.168.2.1\", \"192.168.3.1\"]";
    assert_eq!(
        set(FILE, "relay.allow", all),
        append(FILE, "relay.allow", "\"192.168.3.1\"")
    );
    let fewer = "[\"192.168.1.254\", \"192.168.2.1\"]";
    assert_eq!(
        set(FILE, "relay.allow", fewer),
        take(FILE, "relay.allow", "\"192.168.1.16/28\"")
    );
    let between = "[\"192.168.0.1\", '192.168.1.254', \"192.168.1.15\", \"192.168.1.16/28\", \"192.168.2.1\"]";
    let now = set(FILE, "relay.allow", between);
    let wanted = "allow = [\n  \"192.168.0.1\",\n  \"192.168.1.254\", # Exchange\n  \"192.168.1.15\",\n  \
                  # The printers, until they are replaced:\n  \"192.168.1.16/28\", # third floor\n  \"192.168.2.1\",\n";
    assert!(now.contains(wanted), "{now}");
    for (old, new, wanted) in [
        ("[1, 3]", "[1, 2, 3]", "[1, 2, 3]"),
        ("[ 2 ]", "[1, 2]", "[ 1, 2 ]"),
        ("[\"a\", 'b'] # c", "['b', \"c\"]", "['b', \"c\"] # c"),
        ("[1, 2]", "[2, 1]", "[2, 1]"),
        ("[1, 2]", "[]", "[]"),
        ("[]", "[1, 2]", "[1, 2]"),
        ("\"a\"", "[\"a\"]", "[\"a\"]"),
    ] {
        let now = set(&format!("list = {old}\n"), "list", new);
        assert_eq!(now, format!("list = {wanted}\n"));
    }
}

#[test]
fn tables_of_a_list_are_named_by_name_or_number() {
    let text = set(FILE, "screen[\"eve\"].then", "\"refuse\"");
    assert_eq!(text, FILE.replace("\"hold\"", "\"refuse\""));
    assert_eq!(text, set(FILE, "screen[1].then", "\"refuse\""));
    let text = append(FILE, "screen", "{ name = \"bob\", then = \"hold\" }");
    let added = "then = \"hold\"\n\n[[screen]]\nname = \"bob\"\nthen = \"hold\"\n";
    assert_eq!(text, FILE.replace("then = \"hold\"\n", added));
    assert_eq!(remove(&text, "screen['bob']"), FILE);
    let gone = "\n# Eve is curious.\n[[screen]]\nname = \"eve\"\nwhen.to = \"eve@example.com\"\nthen = \"hold\"\n";
    assert_eq!(remove(FILE, "screen[1]"), FILE.replace(gone, ""));
}

/// Rules among other sections, with tables of their own, comments of all kinds, and one that stands
/// apart.
const RULES: &str = r##"# Of the whole file.

# First.
[[screen]]
name = "a" # one
then = "hold"
# The end of a.

# About all that follows.

  # Second,
  # in two lines.
  [[screen]]
  name = "b"
  [screen.when]
  to = "b@example.com"
[[screen]]
name = "c"

[relay] # in between
allow = [] # nobody


# Fourth.
[[screen]]
name = "d"
when = { from = "d@example.com" }
  [screen.more]
  x = 1
# The end.
"##;

#[test]
fn a_table_of_a_list_moves_with_its_comments() {
    let text = moved(FILE, "screen[\"eve\"]", 0);
    let (exe, eve) = (
        "[[screen]]\nname = \"no exe\"\nwhen = { attachment = \"*.exe\" }\nthen = \"refuse\"\n",
        "# Eve is curious.\n[[screen]]\nname = \"eve\"\nwhen.to = \"eve@example.com\"\nthen = \"hold\"\n",
    );
    let both = format!("{exe}\n{eve}");
    assert!(FILE.contains(&both));
    assert_eq!(text, FILE.replace(&both, &format!("{eve}\n{exe}")));
    assert_eq!(moved(FILE, "screen[1]", 1), FILE);
    let text = moved(RULES, "screen[1]", 3);
    let b = "  # Second,\n  # in two lines.\n  [[screen]]\n  name = \"b\"\n  [screen.when]\n  to = \"b@example.com\"\n";
    // What it follows is where the last one was, and blank lines stay there.
    let relay = "allow = [] # nobody\n\n\n";
    assert!(text.contains(&format!("{relay}{b}# The end.\n")), "{text}");
    let (gone, c) = (
        "# About all that follows.\n\n",
        "[[screen]]\nname = \"c\"\n",
    );
    assert!(text.contains(&format!("{gone}{c}# Fourth.\n")), "{text}");
    let crlf = FILE.replace('\n', "\r\n");
    let text = moved(FILE, "screen[0]", 1).replace('\n', "\r\n");
    assert_eq!(moved(&crlf, "screen[0]", 1), text);
}

#[test]
fn what_was_added_just_now_can_be_moved() {
    let edits = [
        Change::Append("{ name = \"bob\", then = \"hold\" }".to_owned()),
        Change::Move("0".to_owned()),
    ];
    let keys = ["screen", "screen[\"bob\"]"];
    let edits: Vec<Edit> = (keys.iter().zip(edits))
        .map(|(key, change)| Edit {
            key: (*key).to_owned(),
            change,
        })
        .collect();
    let text = edit(FILE, &edits).expect("two changes");
    let at = |name: &str| text.find(&format!("name = \"{name}\"")).expect(name);
    assert!(
        at("bob") < at("no exe") && at("no exe") < at("eve"),
        "{text}"
    );
    assert_eq!(
        remove(&text, "screen[\"bob\"]")
            .matches("[[screen]]")
            .count(),
        2
    );
}

/// Those right above what goes belong to it; those that a blank line parts from it are somebody's.
#[test]
fn comments_of_the_file_outlive_what_stands_below_them() {
    let text = remove(FILE, "hostname");
    assert_eq!(
        text,
        FILE.replace("hostname = \"relay.example.com\" # our name\n\n", "")
    );
    let text = remove("# Ask ann.\n\n# one\na = 1\n# two\nb = 2\n", "a");
    assert_eq!(text, "# Ask ann.\n\n# two\nb = 2\n");
    let text = remove("# Ask ann.\n\n# one\n[relay]\nallow = []\n", "relay");
    assert_eq!(text, "# Ask ann.\n\n");
}

#[test]
fn bytes_that_are_not_asked_for_stay_as_they_are() {
    let odd = "\u{feff}a   =  1\t# x\r\n\r\n[ b . \"c\" ]\r\nd = '''\r\nq'''";
    assert_eq!(set(odd, "a", "2"), odd.replace('1', "2"));
    assert_eq!(set(odd, "b.c.d", "3"), odd.replace("'''\r\nq'''", "3"));
}

#[test]
fn what_cannot_be_done_is_said_with_its_key() {
    let set = |value: &str| Change::Set(value.to_owned());
    let cases = [
        ("relay", set("1"), "`relay`: is a section in the file"),
        (
            "hostname.a",
            set("1"),
            "`hostname` is a value in the file, and no section",
        ),
        (
            "relay.mode",
            Change::Remove,
            "`relay.mode`: is not in the file",
        ),
        (
            "nothing.mode",
            Change::Remove,
            "there is no `nothing` in the file",
        ),
        (
            "relay.allow",
            Change::Append("\"192.168.2.1\"".into()),
            "is in the list already",
        ),
        (
            "relay.allow",
            Change::Take("\"10.0.0.1\"".into()),
            "is not in the list",
        ),
        ("hostname", Change::Take("\"a\"".into()), "is no list"),
        ("screen.then", set("1"), "is a list of tables: say which"),
        (
            "screen[7].then",
            set("1"),
            "there is no such table in `screen`; there are: no exe, eve",
        ),
        ("screen[\"bob\"]", Change::Remove, "there is no such table"),
        ("relay.allow", set("10.0.0.1"), "this value is not TOML"),
        ("relay.allow", set("[]\nmode = 1"), "this value is not TOML"),
        ("relay..allow", set("1"), "is written as"),
        ("", set("1"), "is written as"),
        ("a[b].c", set("1"), "is written as"),
        ("relay", Change::Move("0".into()), "is no table of a list"),
        (
            "relay[0]",
            Change::Move("0".into()),
            "`relay` is no list of tables",
        ),
        (
            "screen[0]",
            Change::Move("2".into()),
            "its place is a number from 0 to 1",
        ),
        (
            "screen[0]",
            Change::Move("up".into()),
            "its place is a number, from 0",
        ),
        ("a\"", set("1"), "is written as"),
    ];
    for (key, change, said) in cases {
        let one = Edit {
            key: key.to_owned(),
            change,
        };
        let why = edit(FILE, &[one]).expect_err(key).to_string();
        assert!(why.contains(said), "{key}: {why}");
    }
    let why = edit("a = ", &[]).expect_err("no TOML").to_string();
    assert!(why.contains("not TOML"), "{why}");
}

/// Keys of [`FILE`] with a value, and one that is not there.
fn keys() -> impl Strategy<Value = (&'static str, &'static str)> {
    prop::sample::select(vec![
        ("hostname", "\"relay.example.com\""),
        ("listener.internet.bind", "\"0.0.0.0:25\""),
        ("listener.internet.connect.mode", "\"all-except\""),
        ("domain.\"example.com\".route", "\"[192.168.1.254]\""),
        ("screen['no exe'].then", "\"refuse\""),
        ("screen[1].when.to", "\"eve@example.com\""),
    ])
}

fn new_keys() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "postmaster",
        "listener.internet.banner",
        "listener.internet.connect.allow",
        "domain.'example.com'.tls",
        "relay.deny",
        "screen[0].redirect_to",
        "screen[1].when.from",
    ])
}

fn lists() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["relay.allow", "listener.internet.connect.except"])
}

proptest! {
    #[test]
    fn a_change_and_its_reverse_give_the_same_text((key, old) in keys(), new in "[a-z0-9.]{0,9}") {
        let there = set(FILE, key, &format!("\"{new}\""));
        prop_assert_eq!(set(&there, key, old), FILE);
    }

    #[test]
    fn what_is_added_can_be_removed(key in new_keys(), new in "[a-z0-9.]{0,9}") {
        let there = set(FILE, key, &format!("\"{new}\""));
        prop_assert_ne!(&there, FILE);
        prop_assert_eq!(remove(&there, key), FILE);
    }

    #[test]
    fn what_is_in_a_list_can_be_taken_out(key in lists(), new in prop::collection::vec("[a-z]{1,9}", 1..4)) {
        let mut text = FILE.to_owned();
        let mut added = Vec::new();
        for new in new {
            if !added.contains(&new) {
                text = append(&text, key, &format!("\"{new}\""));
                added.push(new);
            }
        }
        for new in added.iter().rev() {
            text = take(&text, key, &format!("\"{new}\""));
        }
        prop_assert_eq!(text, FILE);
    }

    #[test]
    fn a_list_says_what_it_is_set_to(
        key in lists(),
        old in prop::collection::vec("[a-f]", 0..5),
        new in prop::collection::vec("[a-f]", 0..5),
    ) {
        let before = set(FILE, key, &format!("{old:?}"));
        let after = set(&before, key, &format!("{new:?}"));
        let written = config::written(&after, key).unwrap().unwrap();
        let read: toml_edit::Array = written.parse::<toml_edit::Value>().unwrap().as_array().unwrap().clone();
        let read: Vec<&str> = read.iter().filter_map(toml_edit::Value::as_str).collect();
        prop_assert_eq!(read, new);
    }

    #[test]
    fn tables_move_to_and_fro_and_nothing_else_changes(from in 0_usize..4, to in 0_usize..4) {
        let there = moved(RULES, &format!("screen[{from}]"), to);
        let lines = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        prop_assert_eq!(lines(&there), lines(RULES));
        let read = |text: &str| -> Vec<Vec<String>> {
            let document = text.parse::<toml_edit::DocumentMut>().expect("TOML");
            let screens = document["screen"].as_array_of_tables().expect("a list");
            let said = |(key, item): (&str, &toml_edit::Item)| format!("{key} {item}");
            screens.iter().map(|table| table.iter().map(said).collect()).collect()
        };
        let mut expected = read(RULES);
        let one = expected.remove(from);
        expected.insert(to, one);
        prop_assert_eq!(read(&there), expected);
        prop_assert_eq!(moved(&there, &format!("screen[{to}]"), from), RULES);
    }

    /// No text and no key makes it panic, and what comes out is TOML still.
    #[test]
    fn anything_may_be_asked(
        text in "(a|b|\\[|\\]|\"|'|=|\\.|\n|\r\n|#| |1|\\{|\\}|,){0,40}",
        key in "(a|b|\\[|\\]|\"|'|\\.|0| |\\\\){0,12}",
        value in "(a|\\[|\\]|\"|'|=|\n|#| |1|\\{|\\}|,){0,12}",
        kind in 0..5,
    ) {
        let change = match kind {
            0 => Change::Set(value),
            1 => Change::Remove,
            2 => Change::Append(value),
            3 => Change::Move(value),
            _ => Change::Take(value),
        };
        if let Ok(edited) = edit(&text, &[Edit { key, change }]) {
            prop_assert!(edit(&edited, &[]).is_ok(), "{edited:?}");
        }
    }
}
