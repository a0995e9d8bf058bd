//! Large scanners as milters: rspamd's proxy and ClamAV's own. A step of `scripts/test` of its own
//! installs them. They run in name spaces of their own, which only root may make.
#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

#[path = "milters/driver.rs"]
mod driver;
#[allow(dead_code, reason = "nobody here asks DNS")]
#[path = "milters/world.rs"]
mod world;

use std::fmt::Write as _;
use std::fs;

use driver::{Line, edited, facts, outcome};
use milter::Verdict;
use world::{SOCKET, World, until};

const STRANGER: &str = "203.0.113.9:40000";
const SENDER: &str = "ann@home.example";
const LETTER: &str =
    "From: ann@home.example\r\nTo: bob@mail.example\r\nSubject: hello\r\n\r\nBody.\r\n";

/// One rule that tells what rspamd was told, and one that marks.
const RULES: &str = r#"
rspamd_config:register_symbol{ name = 'TEST_FACTS', score = 1.0, callback = function(task)
  local facts = { task:get_from('smtp')[1].addr, tostring(task:get_from_ip()), task:get_helo(),
    tostring(task:get_queue_id()), tostring(task:get_user()), tostring(#task:get_recipients('smtp')) }
  task:set_milter_reply({
    add_headers = { ['X-Facts'] = { value = table.concat(facts, ' '), order = 1 }, ['X-End'] = 'e' },
    remove_headers = { ['X-Old'] = 0 },
  })
  return true
end }
rspamd_config:register_symbol{ name = 'TEST_MARK', score = 7.0, callback = function(task)
  return task:get_subject() == 'mark me'
end }
"#;

fn rspamd() -> World {
    let world = World::new();
    let path = world.path("").display().to_string();
    let settings = format!(
        r#"
options {{
  pidfile = "{path}/pid"; control_socket = "{path}/control mode=0600"; tempdir = "{path}";
  history_file = "{path}/history"; cache_file = "{path}/cache"; hs_cache_dir = "{path}/";
  url_tld = "{path}/tld"; filters = "";
  dns {{ nameserver = ["127.0.0.1"]; timeout = 0.1s; retransmits = 1; }}
}}
logging {{ type = "console"; level = "info"; }}
actions {{ reject = 15; add_header = 6; }}
worker "rspamd_proxy" {{
  bind_socket = "{path}/{SOCKET} mode=0600"; milter = yes; count = 1; timeout = 60s;
  upstream "local" {{ default = yes; self_scan = yes; }}
}}
lua = "{path}/rules.lua";
"#
    );
    world.write("rspamd.conf", &settings);
    world.write("rules.lua", RULES);
    // The whole list takes seconds to be read.
    world.write("tld", "com\nexample\n");
    let config = world.path("rspamd.conf").display().to_string();
    world.start(
        "rspamd",
        &[
            "rspamd",
            "--no-fork",
            "--insecure",
            "--user=root",
            "--config",
            &config,
        ],
    );
    world
}

#[test]
fn rspamd_changes_marks_and_refuses() {
    let world = rspamd();
    let mut line = Line::new(&world);
    let mut ask = |message: &str| {
        let mut edited = edited(message, SENDER, &["bob@mail.example", "eve@mail.example"]);
        let answer = line.ask(&facts(STRANGER, "home.example"), &mut edited, message);
        let answer = answer.unwrap_or_else(|fault| panic!("{fault}: {}", world.logs()));
        (answer.verdict, outcome(&edited, message))
    };
    let told = format!(
        "X-Facts: {SENDER} 203.0.113.9 home.example {} nil 2",
        facts(STRANGER, "").id
    );
    let (start, end) = LETTER.split_once("\r\n\r\n").expect("a body");
    let expected = format!("Received: ours\r\n{told}\r\n{start}\r\nX-End: e\r\n\r\n{end}");
    let old = format!("X-Old: 1\r\nX-Old: 2\r\n{LETTER}");
    for message in [LETTER, &old] {
        assert_eq!(ask(message), (Verdict::Accept, expected.clone()));
    }
    // It takes the field out, and then changes the one that is not there.
    let marked = LETTER.replace("hello", "mark me");
    let expected = expected
        .replace("hello", "mark me")
        .replace("X-End: e\r\n", "X-End: e\r\nX-Spam: Yes\r\n");
    for message in [&*marked, &format!("X-Spam: no\r\n{marked}")] {
        assert_eq!(ask(message), (Verdict::Accept, expected.clone()));
    }
    let gtube = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X";
    let (verdict, _) = ask(&LETTER.replace("Body.", gtube));
    let Verdict::Refuse(reply) = verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(reply.to_string(), "554 5.7.1 Gtube pattern");
}

/// What the signature is about.
const FOUND: &str = "harmless text that the tests of Gatepost have looked for";

#[test]
fn clamav_milter_holds_what_it_finds() {
    let world = World::new();
    let path = |name: &str| world.path(name).display().to_string();
    fs::create_dir(path("signatures")).expect("a folder");
    let hex = FOUND.bytes().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    world.write(
        "signatures/local.ndb",
        &format!("Gatepost.Test:0:*:{hex}\n"),
    );
    let settings = format!(
        "Foreground yes\nLocalSocket {}\nDatabaseDirectory {}\nUser root\n",
        path("clamd"),
        path("signatures"),
    );
    world.write("clamd.conf", &settings);
    world.start("clamd", &["clamd", "--config-file", &path("clamd.conf")]);
    until("clamd", || world.path("clamd").exists().then_some(()));
    let settings = format!(
        "Foreground yes\nMilterSocket unix:{}\nClamdSocket unix:{}\nOnInfected Quarantine\nUser root\n",
        path(SOCKET),
        path("clamd"),
    );
    world.write("milter.conf", &settings);
    world.start(
        "clamav",
        &["clamav-milter", "--config-file", &path("milter.conf")],
    );
    let mut line = Line::new(&world);
    let infected = LETTER.replace("Body.", FOUND);
    let held = "quarantined by clamav-milter";
    for (message, quarantine) in [(LETTER, None), (&infected, Some(held))] {
        let mut edited = edited(message, SENDER, &["bob@mail.example"]);
        let answer = line.ask(&facts(STRANGER, "home.example"), &mut edited, message);
        let answer = answer.unwrap_or_else(|fault| panic!("{fault}: {}", world.logs()));
        assert_eq!(answer.verdict, Verdict::Accept);
        assert_eq!(answer.quarantine.as_deref(), quarantine, "{}", world.logs());
    }
}
