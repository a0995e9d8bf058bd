//! `gatepost config diff`: what a file does otherwise than another one, and than the running relay.

use std::fs;

use crate::network::Network;
use crate::relay::Relay;

const MORE: &str = "[listener.submission]\nbind = \"127.0.0.1:0\"\nkind = \"submission\"\n\
    [domain.\"hosted.test\"]\nroute = \"192.0.2.1\"\n[domain.\"*.inner.test\"]\naccept_from = [\"10.1.0.0/24\"]\n";

#[test]
fn what_another_file_decided_is_shown() {
    let network = Network::new();
    let relay = Relay::prepare(network, MORE);
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let other = relay.folder().join("old.toml");
    let diff = |code: i32| {
        relay
            .command(&["config", "diff", &other.display().to_string()])
            .expect_code(code)
            .out
    };
    fs::write(&other, &text).expect("a file");
    assert!(diff(0).contains("says the same"));
    // Another comment decides nothing.
    fs::write(&other, format!("# old\n{text}")).expect("a file");
    let shown = diff(1);
    assert!(
        shown.contains("-# old")
            && shown.starts_with(&format!("--- {}\n", other.display()))
            && shown.contains("nothing is decided otherwise, of "),
        "{shown}"
    );
    let permitted = network.permitted();
    let before = text
        .replace(
            &format!("allow = [\"{permitted}\"]"),
            "allow = [\"192.0.2.0/28\"]\nsigned_in = false",
        )
        .replace(
            "[domain.\"hosted.test\"]\n",
            "[domain.\"hosted.test\"]\ntype = \"blocked\"\n",
        )
        .replace("route = \"192.0.2.1\"\n", "")
        .replace("10.1.0.0/24", "10.1.0.0/25")
        .replace("[listener.submission]", "[listener.users]")
        + "[listener.gone]\nbind = \"127.0.0.1:19\"\n";
    fs::write(&other, before).expect("a file");
    let shown = diff(1);
    for expected in [
        format!("may relay now: {permitted} (internet"),
        "may relay now: users who signed in (submission)".to_owned(),
        "may relay no more: 192.0.2.0/28 (internet".to_owned(),
        "listener gone: gone".to_owned(),
        "someone@hosted.test".to_owned(),
        "    now     accepted  ".to_owned(),
        "10.1.0.128 and 1 more, in clear -> someone@any.inner.test".to_owned(),
        "submission: 203.0.113.9 and".to_owned(),
    ] {
        assert!(shown.contains(&expected), "{expected}\n{shown}");
    }
    // Where a server would be asked, nobody is.
    fs::write(
        &other,
        text.replace(
            "route = \"192.0.2.1\"\n",
            "route = \"192.0.2.1\"\nrecipients = \"verify\"\n",
        ),
    )
    .expect("a file");
    assert!(diff(1).contains("somebody is asked first"));
    fs::write(&other, "hostname = 7\n").expect("a file");
    let broken = relay
        .command(&["config", "diff", &other.display().to_string()])
        .expect_code(1);
    assert!(
        broken.out.contains("-hostname = 7") && broken.err.contains("old.toml:1"),
        "{}",
        broken.text()
    );
    relay
        .command(&["config", "diff", "/nowhere.toml"])
        .expect_code(78);
}

#[test]
fn what_a_reload_would_decide_is_shown() {
    let relay = Relay::start(
        Network::new(),
        "[domain.\"hosted.test\"]\nroute = \"192.0.2.1\"\n",
    );
    relay.command(&["config", "diff"]).expect_code(0);
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    relay.write_whole_config(&text.replace("[relay]\n", "[relay]\ndeny = [\"0.0.0.0/0\"]\n"));
    let permitted = relay.network.permitted();
    let shown = relay.command(&["config", "diff"]).expect_code(1).out;
    assert!(
        shown.contains(&format!("may relay no more: {permitted} (internet")),
        "{shown}"
    );
    let shown = relay
        .command(&["config", "diff", "--json"])
        .expect_code(1)
        .out;
    let value: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(value["effect"]["lost"][0]["who"], permitted.to_string());
    let decided = value["effect"]["decisions"].as_array().expect("a list");
    let one = decided
        .iter()
        .find(|one| one["client"] == permitted.to_string())
        .expect("the client");
    assert_eq!(
        (&one["recipient"], &one["before"]["answer"]),
        (&"someone@elsewhere.example".into(), &"accepted".into())
    );
}

/// The running relay does not know any more what included files and lists said, and that they say
/// something else now.
#[test]
fn what_changed_in_other_files_since_they_were_read_is_told() {
    let more = "include = [\"parts/*.toml\"]\n";
    let mut relay = Relay::prepare(Network::new(), "");
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let domain =
        "[domain.\"hosted.test\"]\nroute = \"192.0.2.1\"\nrecipients = \"file:list.txt\"\n";
    relay.write_whole_config(&format!("{more}{text}{domain}"));
    let parts = relay.folder().join("parts");
    fs::create_dir(&parts).expect("a folder");
    let put = |path: &str, text: &str| {
        fs::write(relay.folder().join(path), text).expect("a file");
    };
    let other = |name: &str| format!("[domain.\"{name}.test\"]\nroute = \"192.0.2.1\"\n");
    put("list.txt", "ann@hosted.test\n");
    put("parts/a.toml", &other("a"));
    put("parts/b.toml", &other("b"));
    relay.run();
    relay.command(&["config", "diff"]).expect_code(0);
    let put = |path: &str, text: &str| {
        fs::write(relay.folder().join(path), text).expect("a file");
    };
    put("list.txt", "bob@hosted.test\n");
    put("parts/a.toml", &other("aa"));
    put("parts/c.toml", &other("c"));
    fs::remove_file(parts.join("b.toml")).expect("a file less");
    let shown = relay.command(&["config", "diff"]).expect_code(1).out;
    for (what, path) in [
        ("not as it was read", "list.txt"),
        ("not as it was read", "parts/a.toml"),
        ("read anew", "parts/c.toml"),
        ("read no more", "parts/b.toml"),
    ] {
        let path = relay.folder().join(path);
        let line = format!("{what}: {}\n", path.display());
        assert!(shown.contains(&line), "{line}{shown}");
    }
    let told = relay
        .command(&["--json", "config", "diff"])
        .expect_code(1)
        .out;
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    assert_eq!(told["files"].as_array().map(Vec::len), Some(4), "{told}");
    relay.command(&["reload"]).expect_code(0);
    relay.command(&["config", "diff"]).expect_code(0);
}

/// What a file does not say itself: it includes others, and names lists.
#[test]
fn what_other_files_say_is_shown() {
    let relay = Relay::prepare(Network::new(), "");
    let text = "hostname = \"relay.test\"\ninclude = [\"more.toml\"]\n[listener.smtp]\nbind = \"127.0.0.1:0\"\n\
        [domain.\"hosted.test\"]\nroute = \"192.0.2.1\"\nrecipients = \"file:list.txt\"\n";
    let old = relay.folder().join("old");
    fs::create_dir(&old).expect("a folder");
    let allow = |clients: &str| format!("[relay]\nallow = [\"{clients}\"]\n");
    let before = old.join("gatepost.toml");
    for (path, text) in [
        (&before, text),
        (&relay.config().to_owned(), text),
        (&old.join("more.toml"), &allow("10.0.0.1")),
        (&old.join("list.txt"), "ann@hosted.test\n"),
    ] {
        fs::write(path, text).expect("a file");
    }
    let diff = |clients: &str, list: &str, code: i32| {
        fs::write(relay.folder().join("more.toml"), allow(clients)).expect("a file");
        fs::write(relay.folder().join("list.txt"), list).expect("a file");
        let ran = relay.command(&["config", "diff", &before.display().to_string()]);
        ran.expect_code(code).out
    };
    assert!(diff("10.0.0.1", "ann@hosted.test\n", 0).contains("says the same\n"));
    let shown = diff("10.0.0.0/24", "ann@hosted.test\n", 1);
    for expected in ["10.0.0.0 (smtp)", "10.0.0.2-10.0.0.255 (smtp)"] {
        assert!(
            shown.contains(&format!("may relay now: {expected}")),
            "{shown}"
        );
    }
    let shown = diff("10.0.0.1", "ann@hosted.test\nBob@hosted.test\n", 1);
    assert!(
        shown.contains("bob@hosted.test\n    before  550"),
        "{shown}"
    );
}

/// Clients that may send to some recipients only may send to all others once nobody says so any more.
#[test]
fn who_is_no_longer_bound_is_shown() {
    let relay = Relay::prepare(Network::new(), "");
    let text = fs::read_to_string(relay.config()).expect("the configuration");
    let permitted = relay.network.permitted();
    let other = relay.folder().join("old.toml");
    let bound =
        format!("{text}[[send_only_to]]\nclients = [\"{permitted}\"]\nrecipients = \"hosted\"\n");
    fs::write(&other, bound).expect("a file");
    let shown = relay
        .command(&["config", "diff", &other.display().to_string()])
        .expect_code(1)
        .out;
    assert!(
        shown.contains(&format!("may relay now: {permitted} (internet")),
        "{shown}"
    );
    assert!(
        shown.contains(&format!(
            "{permitted}, in clear -> someone@elsewhere.example\n    before  5"
        )),
        "{shown}"
    );
}
