//! The configuration file, judged by `config check` as an administrator would run it.

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use crate::authority::Authority;
use crate::client::Dialogue;
use crate::directory::Directory;
use crate::network::Network;
use crate::program::{Ran, need_root, run};
use crate::relay::Relay;

/// The quick start, word for word: the README has to show it, and it has to be right.
const QUICK_START: &str = r#"hostname = "relay.example.com"

[listener.internet]                # a virtual server: mail from the Internet, no sign-in
bind = "0.0.0.0:25"

[listener.submission]              # a virtual server: your people; port 587 implies sign-in and TLS
bind = "0.0.0.0:587"

[domain."example.com"]             # remote domain: accepted from anyone ...
route = "[192.168.1.254]"          # ... and handed to this smart host

[relay]                            # who may send to every other domain
allow = ["192.168.1.254"]          # "only the list below"

[tls]                              # leave out: a self-signed pair is made, with a warning
certificate = "/etc/gatepost/relay.crt"
key = "/etc/gatepost/relay.key"
"#;

fn check(text: &str) -> (Ran, Relay) {
    let relay = Relay::prepare(Network::new(), "");
    relay.write_whole_config(text);
    let ran = relay.command(&["config", "check", "--without-files"]);
    (ran, relay)
}

/// `config check` with the files that the configuration names.
fn check_whole(relay: &Relay) -> Ran {
    relay.command(&["config", "check"])
}

/// A program that is to take this one's place is asked so before anything ends.
#[test]
fn a_spool_that_a_later_version_has_opened_is_told_beforehand() {
    let mut relay = Relay::start(Network::new(), "");
    check_whole(&relay).expect_code(0);
    assert!(relay.stop().success());
    let spool = relay.data_dir().join("spool/spool.db");
    let file = fs::OpenOptions::new().write(true).open(spool);
    let later = 0x7fff_u32.to_be_bytes();
    // The version that a program has given its file (https://sqlite.org/fileformat.html).
    file.and_then(|file| file.write_all_at(&later, 60))
        .expect("another version");
    let ran = check_whole(&relay).expect_code(78);
    let why = "cannot be opened: the spool has version 32767, this program knows ";
    assert!(ran.err.contains(why), "{}", ran.err);
}

#[test]
fn the_check_finds_the_files_that_a_start_could_not_use() {
    let mut relay = Relay::prepare(Network::new(), "");
    let folder = relay.folder().to_owned();
    let write = |name: &str, text: &str, mode: &str| {
        let path = folder.join(name).display().to_string();
        fs::create_dir_all(folder.join("data")).expect("a folder");
        fs::write(&path, text).expect("a file");
        run("chmod", &[mode, &path]).expect_code(0);
        path
    };
    let secret = write("two-lines", "open\nsesame\n", "600");
    let readable = write("readable", "secret\n", "644");
    write("data/users.toml", "[user.ann]\nmay_rely = true\n", "600");
    let route = |name: &str, secret: &str| {
        format!(
            "[route.{name}]\nhosts = \"[127.0.0.1]:1\"\ntls = \"verify\"\n\
             [route.{name}.auth]\nuser = \"us\"\nsecret = \"file:{secret}\"\n"
        )
    };
    let more = format!(
        "[tls]\ncertificate = \"/nowhere/relay.crt\"\nkey = \"/nowhere/relay.key\"\n{}{}",
        route("one", &secret),
        route("two", &readable),
    );
    relay.write_config(&more);
    let ran = check_whole(&relay).expect_code(78);
    for words in [
        "/nowhere/relay.",
        &format!("{secret}: a secret is one line"),
        &format!("{readable}: every user of this machine may read"),
        "a user has no key `may_rely`",
    ] {
        assert!(ran.err.contains(words), "{words:?} is missing: {}", ran.err);
    }
    assert!(!ran.text().contains("sesame"), "{}", ran.text());
    let json = relay
        .command(&["config", "check", "--json"])
        .expect_code(78);
    let json: serde_json::Value = serde_json::from_str(&json.out).expect("JSON");
    assert!(
        json["errors"].as_array().is_some_and(|all| all.len() >= 4),
        "{json}"
    );
    relay
        .command(&["config", "check", "--without-files"])
        .expect_code(0);
    // A start says the same, and the same code.
    let started = relay.command(&["run"]).expect_code(78);
    assert!(started.err.contains("/nowhere/relay."), "{}", started.err);
    // What can be made at a start is made there, and not by looking.
    fs::write(folder.join("data/users.toml"), "").expect("a file");
    relay.write_config("");
    check_whole(&relay).expect_code(0);
    for made in ["data/tls", "data/sign-in.seed"] {
        assert!(!folder.join(made).exists(), "{made}");
    }
    relay.run();
    for made in ["data/tls", "data/sign-in.seed"] {
        assert!(folder.join(made).exists(), "{made}");
    }
}

#[test]
fn root_is_told_of_a_missing_account_and_reads_as_the_one_there_is() {
    need_root("another account is tried");
    let relay = Relay::prepare(Network::new(), "");
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let as_account = |user: &str, group: &str| {
        let own = "user = \"root\"\ngroup = \"root\"\n";
        let other = format!("user = \"{user}\"\ngroup = \"{group}\"\n");
        assert!(text.contains(own));
        relay.write_whole_config(&text.replace(own, &other));
    };
    as_account("gatepost-of-nobody", "gatepost-of-nobody");
    let command = "useradd --system --user-group --shell /usr/sbin/nologin gatepost-of-nobody";
    let checked = check_whole(&relay).expect_code(0);
    assert!(checked.err.contains(command), "{}", checked.err);
    let started = relay.command(&["run"]).expect_code(75);
    assert!(started.err.contains(command), "{}", started.err);

    let folder = relay.folder().display().to_string();
    let data = relay.data_dir();
    fs::create_dir_all(&data).expect("a folder");
    fs::write(data.join("users.toml"), "").expect("a file");
    run("chmod", &["755", &folder]).expect_code(0);
    run(
        "chmod",
        &["600", &data.join("users.toml").display().to_string()],
    )
    .expect_code(0);
    as_account("nobody", "nogroup");
    let unread = check_whole(&relay).expect_code(78);
    assert!(
        unread.err.contains("users.toml: Permission denied"),
        "{}",
        unread.err
    );
    run(
        "chown",
        &["nobody", &data.join("users.toml").display().to_string()],
    )
    .expect_code(0);
    check_whole(&relay).expect_code(0);
}

/// Editors and shells put a byte-order mark before a secret, and line ends behind it.
#[test]
fn a_secret_may_begin_with_a_byte_order_mark() {
    let (network, authority) = (Network::new(), Authority::new());
    let directory = Directory::start(network, &authority);
    let marked = Relay::prepare(network, "");
    let file = marked.folder().join("secret");
    let secret = fs::read_to_string(directory.secret()).expect("the secret");
    fs::write(&file, format!("\u{feff}{secret}\r\n")).expect("a file");
    run("chmod", &["600", &file.display().to_string()]).expect_code(0);
    let settings = directory.settings();
    let settings = settings.replace(
        &directory.secret().display().to_string(),
        &file.display().to_string(),
    );
    let mut relay = marked;
    relay.write_config(&format!(
        "{settings}[domain.\"hosted.test\"]\nroute = \"[127.0.0.1]:1\"\nrecipients = \"ldap:staff\"\n"
    ));
    relay.run();
    let mut dialogue = Dialogue::ready(relay.network.stranger(), relay.address());
    dialogue.ask("MAIL FROM:<ann@client.test>", 250);
    dialogue.ask("RCPT TO:<clara@hosted.test>", 250);
}

#[test]
fn the_quick_start_is_right() {
    check(QUICK_START).0.expect_code(0);
}

#[test]
fn an_empty_file_is_a_closed_relay() {
    let (ran, relay) = check("");
    ran.expect_code(0);
    let ran = relay.command(&[
        "relay",
        "check",
        "--client",
        "203.0.113.9",
        "--rcpt",
        "victim@elsewhere.example",
    ]);
    assert_eq!(ran.code, 1, "{}", ran.text());
}

#[test]
fn a_mistake_is_shown_where_it_is_with_the_right_name() {
    let text = QUICK_START.replace("allow =", "alow =");
    let (ran, _) = check(&text);
    let ran = ran.expect_code(78);
    let said = ran.text();
    for words in [
        "unknown key `alow`",
        "gatepost.toml:13:1",
        "^^^^",
        "did you mean `allow`?",
    ] {
        assert!(said.contains(words), "{words:?} is missing: {said}");
    }
}

#[test]
fn all_mistakes_are_shown_at_once() {
    let text = QUICK_START
        .replace("allow =", "alow =")
        .replace("bind = \"0.0.0.0:25\"", "bind = 25")
        .replace("hostname", "hostnme");
    let (ran, _) = check(&text);
    let said = ran.expect_code(78).text();
    assert!(said.matches("error:").count() >= 3, "{said}");
}

#[test]
fn an_open_relay_does_not_start() {
    let open = [
        QUICK_START.replace(
            "allow = [\"192.168.1.254\"]",
            "mode = \"all-except\"\nexcept = [\"198.51.100.7\"]",
        ),
        QUICK_START.replace("\"192.168.1.254\"]  ", "\"0.0.0.0/0\"]  "),
        QUICK_START.replace("\"192.168.1.254\"]  ", "\"0.0.0.0/1\", \"128.0.0.0/1\"]  "),
        QUICK_START.replace("domain.\"example.com\"", "domain.\"*\""),
        QUICK_START.replace("domain.\"example.com\"", "domain.\"*.com\""),
    ];
    for text in open {
        assert_ne!(text, QUICK_START);
        let (ran, relay) = check(&text);
        let said = ran.expect_code(78).text();
        assert!(said.contains("open relay"), "{said}");
        relay.command(&["run"]).expect_code(78);
    }
}

#[test]
fn the_readme_shows_the_quick_start_and_the_two_commands() {
    let readme = readme();
    for command in ["cargo run --release -- demo", "scripts/test"] {
        assert!(readme.contains(command), "the README names `{command}`");
    }
    assert!(
        blocks(&readme, "toml").any(|block| block == QUICK_START),
        "the README shows the quick start as it is"
    );
    for block in blocks(&readme, "toml") {
        check(&block).0.expect_code(0);
    }
}

/// A command that is shown and does not exist is worse than none.
#[test]
fn the_commands_that_the_readme_shows_exist() {
    let readme = readme();
    let commands: Vec<Vec<&str>> = readme.lines().filter_map(verbs).collect();
    assert!(!commands.is_empty(), "the README shows commands");
    let relay = Relay::prepare(Network::new(), "");
    for verbs in commands {
        let ran = relay.command(&[&verbs[..], &["--help"]].concat());
        assert_eq!(ran.code, 0, "gatepost {}: {}", verbs.join(" "), ran.text());
    }
}

fn readme() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    std::fs::read_to_string(path).expect("a README")
}

/// The verbs of a line that calls the binary: what stands before the first option or operand.
fn verbs(line: &str) -> Option<Vec<&str>> {
    let line = line.trim().trim_start_matches("$ ");
    let called = ["gatepost ", "cargo run --release -- "]
        .iter()
        .find_map(|name| line.strip_prefix(name))?;
    let is_verb = |word: &&str| word.chars().all(|character| character.is_ascii_lowercase());
    let verbs: Vec<&str> = called.split_whitespace().take_while(is_verb).collect();
    (!verbs.is_empty()).then_some(verbs)
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> impl Iterator<Item = String> {
    let opening = format!("```{language}\n");
    let parts: Vec<String> = text
        .split(&opening)
        .skip(1)
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect();
    parts.into_iter()
}

#[test]
fn an_option_is_set_and_the_rest_of_the_file_stays() {
    let relay = Relay::prepare(
        Network::new(),
        "[domain.\"ours.test\"] # ours\nroute = \"[192.0.2.1]\" # there\n",
    );
    let text = || fs::read_to_string(relay.config()).expect("a file");
    let before = text();
    let permitted = format!("\"{}\"]", relay.network.permitted());
    let set = |arguments: &[&str]| relay.command(&[&["config", "set"], arguments].concat());
    let add = ["relay.allow", "192.0.2.2", "--append"];
    let shown = set(&[&add[..], &["--dry-run"]].concat()).expect_code(0);
    assert!(shown.out.contains(", \"192.0.2.2\"]"), "{}", shown.out);
    assert_eq!(text(), before);
    set(&add).expect_code(0);
    let with = permitted.replace(']', ", \"192.0.2.2\"]");
    assert_eq!(text(), before.replace(&permitted, &with));
    set(&["relay.allow", "192.0.2.2", "--take"]).expect_code(0);
    assert_eq!(text(), before);
    set(&["domain.'ours.test'.route", "[192.0.2.3]"]).expect_code(0);
    assert_eq!(text(), before.replace("192.0.2.1", "192.0.2.3"));
    set(&["domain.'ours.test'.route", "'[192.0.2.1]'"]).expect_code(0);
    // What could not be used is not written.
    set(&["relay.mode", "all-except"]).expect_code(78);
    let refused = set(&["relay.alow", "[]"]).expect_code(78);
    assert!(
        refused.err.contains("did you mean `allow`?"),
        "{}",
        refused.err
    );
    set(&["relay.deny", "--remove"]).expect_code(1);
    assert_eq!(text(), before.replace("\"[192.0.2.1]\"", "'[192.0.2.1]'"));
}

/// Whatever somebody put there: a reload, which reads the same, is not to wait for it.
#[test]
fn another_thing_in_the_place_of_a_file_holds_nothing_up() {
    let relay = Relay::prepare(Network::new(), "");
    let folder = relay.config().with_file_name("things");
    fs::create_dir(&folder).expect("a folder");
    let pipe = folder.join("pipe");
    run("mkfifo", &["-m", "600", &pipe.display().to_string()]).expect_code(0);
    let [endless, missing] = ["endless", "missing"].map(|name| folder.join(name));
    for (to, name) in [("/dev/zero", &endless), ("nothing", &missing)] {
        std::os::unix::fs::symlink(to, name).expect("a link");
    }
    let socket = folder.join("socket");
    let _listens = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    let settings = [
        "[tls]\ncertificate = \"F\"\nkey = \"F\"\n",
        "[tls]\nclient_ca = \"F\"\n",
        "[tls.acme]\ndirectory = \"https://127.0.0.1:1/\"\nca = \"F\"\n",
        "[tls.acme]\ndirectory = \"https://127.0.0.1:1/\"\nchallenge = \"dns-01\"\nhook = \"F\"\n",
        "[tls.acme]\ndirectory = \"https://127.0.0.1:1/\"\neab_key_id = \"k\"\neab_key = \"file:F\"\n",
        "[auth]\nusers_file = \"F\"\n",
        "[dkim.\"a.test\"]\nselector = \"s\"\nkey = \"F\"\n",
        "[domain.\"a.test\"]\nroute = \"[192.0.2.7]\"\nrecipients = [\"file:F\"]\n",
        "[[screen]]\nwhen.words = \"file:F\"\nthen = \"refuse\"\n",
        "[srs]\ndomain = \"srs.test\"\nsecret = \"file:F\"\n",
        "[route.a]\nhosts = \"192.0.2.7\"\ntls = \"verify\"\nca = \"F\"\n",
    ];
    for setting in settings {
        for thing in [&pipe, &endless, &missing, &socket, &folder] {
            // Nobody may sign in where there is no such file.
            if thing == &missing && setting.contains("users_file") {
                continue;
            }
            relay.write_config(&setting.replace('F', &thing.display().to_string()));
            let ran = relay.command(&["config", "check"]);
            let what = format!("{} in {setting}: {}", thing.display(), ran.text());
            // Without a certificate of its own by ACME a relay starts.
            let is_wrong = ran.code == 78 || ran.code == 0 && setting.contains("acme");
            assert!(is_wrong, "{}: {what}", ran.code);
            let name = thing.file_name().and_then(|name| name.to_str());
            assert!(ran.text().contains(name.expect("a name")), "{what}");
        }
    }
}
