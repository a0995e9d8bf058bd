//! `gatepost dkim`: keys that openssl reads, and records that a real name server holds.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use serde_json::Value;
use tempfile::TempDir;

use crate::dns::{self, NameServer};
use crate::network::Network;
use crate::program::{is_root, run};
use crate::relay::Relay;

/// Makes a key; gives its file, and its record as a line of a zone file.
fn made(relay: &Relay, folder: &TempDir, more: &[&str]) -> (PathBuf, String) {
    let out = folder.path().join("keys").display().to_string();
    let arguments = [&["dkim", "keygen", "good.test", "--out", &out], more].concat();
    let said = relay.command(&arguments).expect_code(0).out;
    let (file, record) = said
        .trim_end()
        .split_once('\n')
        .expect("a file and a record");
    (PathBuf::from(file), record.to_owned())
}

#[test]
fn keys_are_made_and_found_where_they_are_published() {
    let (network, folder) = (Network::new(), TempDir::new().expect("a temporary folder"));
    let names = network.name_server();
    let config = dns::config_for(names) + "timeout = \"1s\"\n";
    let relay = Relay::prepare(network, &config);
    if is_root() {
        let text = fs::read_to_string(relay.config()).expect("the configuration");
        let text = text.replace("user = \"root\"", "user = \"nobody\"");
        fs::write(relay.config(), text).expect("the configuration");
    }
    let (rsa, rsa_record) = made(&relay, &folder, &[]);
    let (ed25519, ed25519_record) = made(&relay, &folder, &["--ed25519"]);
    let (other, _) = made(&relay, &folder, &["--selector", "other"]);
    assert_eq!(rsa, folder.path().join("keys/rsa.good.test.key"));
    let told = fs::metadata(&rsa).expect("the key's file");
    assert_eq!(told.permissions().mode() & 0o777, 0o600);
    let of_folder = fs::metadata(folder.path().join("keys")).expect("their folder");
    assert_eq!(told.uid(), of_folder.uid());
    assert_ne!(told.uid(), 0, "the relay has to read it");
    for (file, kind) in [(&rsa, "2048 bit"), (&ed25519, "ED25519")] {
        let file = file.display().to_string();
        let said = run("openssl", &["pkey", "-noout", "-text", "-in", &file]);
        let said = said.expect_code(0).out;
        assert!(said.contains(kind), "{said}");
    }
    let out = folder.path().join("keys").display().to_string();
    let again = relay.command(&["dkim", "keygen", "good.test", "--out", &out]);
    assert!(again.expect_code(1).err.contains("File exists"));

    let check = |selector: &str, file: &PathBuf, code: i32| -> String {
        let file = file.display().to_string();
        let arguments = ["dkim", "check", "good.test", "--selector", selector];
        let arguments = [&arguments[..], &["--key", &file, "--json"]].concat();
        let said = relay.command(&arguments).expect_code(code).out;
        let said: Value = serde_json::from_str(&said).expect("JSON");
        assert_eq!(said["published"], code == 0);
        said["found"].as_str().expect("a text").to_owned()
    };
    assert!(check("rsa", &rsa, 75).starts_with("DNS did not answer: "));
    let at = |name: &str| rsa_record.replacen("rsa._", &format!("{name}._"), 1);
    let trial = at("trial").replacen("v=DKIM1;", "v=DKIM1;\" \" t=y;\" \"", 1);
    let second = "twice._domainkey.good TXT \"v=DKIM1; p=\"";
    let zone = [&*rsa_record, &ed25519_record, &trial, &at("twice"), second].join("\n");
    let _server = NameServer::start(names, &zone);
    assert_eq!(check("rsa", &rsa, 0), "published");
    assert_eq!(check("ed25519", &ed25519, 0), "published");
    assert!(check("trial", &rsa, 0).starts_with("published as a trial"));
    assert_eq!(check("rsa", &other, 1), "another key is published");
    assert_eq!(check("none", &rsa, 1), "no key");
    assert_eq!(check("twice", &rsa, 1), "several keys at one name");
    let missing = ["dkim", "check", "good.test", "--selector", "rsa", "--key"];
    let missing = [&missing[..], &["/nowhere/key"]].concat();
    assert!(
        relay
            .command(&missing)
            .expect_code(1)
            .err
            .contains("/nowhere/key")
    );
    let none = rsa.with_extension("none").display().to_string();
    fs::write(&none, "x").expect("a file");
    let none = [
        "dkim",
        "check",
        "good.test",
        "--selector",
        "rsa",
        "--key",
        &none,
    ];
    let said = relay.command(&none).expect_code(1).err;
    assert!(said.contains("no private key in PEM"), "{said}");
}

#[test]
fn a_key_follows_another_one_step_by_step() {
    let (network, folder) = (Network::new(), TempDir::new().expect("a temporary folder"));
    let names = network.name_server();
    let config = dns::config_for(names) + "timeout = \"1s\"\n";
    let relay = Relay::prepare(network, &config);
    let before = fs::read_to_string(relay.config()).expect("the configuration");
    let (old, old_record) = made(&relay, &folder, &[]);
    let new = old.with_file_name("rsa-2.good.test.key");
    let signs = |selector: &str, key: &PathBuf| {
        let key = key.display();
        let section = format!("[dkim.\"good.test\"]\nselector = \"{selector}\"\nkey = \"{key}\"\n");
        fs::write(relay.config(), before.clone() + &section).expect("the configuration");
    };
    let rotate = |code: i32| {
        let said = relay.command(&["dkim", "rotate", "good.test", "--json"]);
        let said: Value = serde_json::from_str(&said.expect_code(code).out).expect("JSON");
        said[0].clone()
    };
    let none = relay.command(&["dkim", "rotate", "good.test"]);
    assert!(none.expect_code(1).err.contains("gatepost dkim keygen"));
    signs("rsa", &old);
    assert_eq!(rotate(75)["step"], "unknown");
    let server = NameServer::start(names, &old_record);
    let begun = rotate(0);
    assert_eq!(begun["step"], "publish", "{begun}");
    assert_eq!(begun["name"], "rsa-2._domainkey.good.test");
    let made = fs::read(&new).expect("the new key");
    let text = begun["text"].as_str().expect("a text").to_owned();
    let strings = [&text[..200], &text[200..]].map(|part| format!("\"{part}\""));
    let new_record = format!("rsa-2._domainkey.good TXT {}", strings.join(" "));
    assert_eq!(rotate(0)["text"], text, "nothing is made twice");
    drop(server);
    let server = NameServer::start(names, &format!("{old_record}\n{new_record}"));
    let switch = rotate(0);
    assert_eq!(switch["step"], "switch", "{switch}");
    let next = switch["next"].as_str().expect("a text");
    assert!(next.contains(&new.display().to_string()), "{next}");
    signs("rsa-2", &new);
    let retire = rotate(0);
    assert_eq!(retire["step"], "retire", "{retire}");
    drop(server);
    let _server = NameServer::start(names, &new_record);
    let done = rotate(0);
    assert_eq!(done["step"], "done", "{done}");
    assert!(
        done["next"]
            .as_str()
            .is_some_and(|next| next.contains("rsa.good.test.key"))
    );
    assert_eq!(fs::read(&new).expect("the new key"), made);
    fs::remove_file(&old).expect("the old key");
    assert_eq!(rotate(0)["name"], "rsa-3._domainkey.good.test");
}
