//! Others who pass messages on: chains that dkimpy and Mail::DKIM made, whole and damaged, come to
//! what both of them say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use dkim::{Answer, Chain, PrivateKey, PublishedKey, Sought, Step, Verifier};
use mail::{Domain, Timestamp};
use tempfile::TempDir;

const MESSAGE: &str = "Message-ID: <1@b.example>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
                       From: Ann <ann@b.example>\r\nTo: list@one.example\r\nSubject: x\r\n\ty\r\n\r\n\
                       Hello  \r\n\r\nworld\r\n\r\n";
const SEALERS: [&str; 3] = ["one.example", "two.example", "three.example"];

/// Behind every signer's clock.
const NOW: Timestamp = Timestamp::from_millis(4_000_000_000_000);

/// A way to damage a chain of three; and whether it holds all the same, or why not.
type Damage = (&'static str, fn(&str) -> String, &'static str);

const DAMAGES: [Damage; 18] = [
    ("whole", str::to_owned, "good"),
    ("field-on-top", |m| format!("X: y\r\n{m}"), "good"),
    (
        "body",
        |m| format!("{m}Footer\r\n"),
        "message signature 3: body changed",
    ),
    (
        "subject",
        |m| m.replacen("Subject: x", "Subject: z", 1),
        "message signature 3: header changed",
    ),
    (
        "middle-seal",
        |m| changed(m, "ARC-Seal", 2, |field| flipped(field, "b=")),
        "seal 3: header changed",
    ),
    (
        "first-seal",
        |m| changed(m, "ARC-Seal", 1, |field| flipped(field, "b=")),
        "seal 3: header changed",
    ),
    (
        "last-seal",
        |m| changed(m, "ARC-Seal", 3, |field| flipped(field, "b=")),
        "seal 3: header changed",
    ),
    (
        "first-results",
        |m| {
            changed(m, "ARC-Authentication-Results", 1, |f| {
                f.replace("dmarc=fail", "dmarc=pass")
            })
        },
        "seal 3: header changed",
    ),
    (
        "middle-message",
        |m| changed(m, "ARC-Message-Signature", 2, |field| flipped(field, "bh=")),
        "seal 3: header changed",
    ),
    (
        "first-status",
        |m| changed(m, "ARC-Seal", 1, |f| f.replace("cv=none", "cv=pass")),
        "cv= of seal 1 cannot be",
    ),
    (
        "middle-status",
        |m| changed(m, "ARC-Seal", 2, |f| f.replace("cv=pass", "cv=none")),
        "cv= of seal 2 cannot be",
    ),
    (
        "last-status",
        |m| changed(m, "ARC-Seal", 3, |f| f.replace("cv=pass", "cv=fail")),
        "broken before it was sealed last",
    ),
    (
        "no-middle-seal",
        |m| changed(m, "ARC-Seal", 2, |_| String::new()),
        "an instance lacks a field",
    ),
    (
        "no-first-results",
        |m| changed(m, "ARC-Authentication-Results", 1, |_| String::new()),
        "an instance lacks a field",
    ),
    (
        "no-last-message",
        |m| changed(m, "ARC-Message-Signature", 3, |_| String::new()),
        "an instance lacks a field",
    ),
    ("no-second-set", without_second, "an instance lacks a field"),
    (
        "two-seals",
        |m| changed(m, "ARC-Seal", 1, |field| field.repeat(2)),
        "an instance has two fields of one name",
    ),
    (
        "two-results",
        |m| changed(m, "ARC-Authentication-Results", 2, |field| field.repeat(2)),
        "an instance has two fields of one name",
    ),
];

fn without_second(message: &str) -> String {
    let names = [
        "ARC-Seal",
        "ARC-Message-Signature",
        "ARC-Authentication-Results",
    ];
    names.iter().fold(message.to_owned(), |message, name| {
        changed(&message, name, 2, |_| String::new())
    })
}

/// The message with the field of that name and instance made another one.
fn changed(message: &str, name: &str, instance: u32, make: impl Fn(&str) -> String) -> String {
    let (header, body) = message.split_once("\r\n\r\n").expect("a body");
    let mut fields: Vec<String> = Vec::new();
    for line in format!("{header}\r\n").split_inclusive("\r\n") {
        match fields.last_mut() {
            Some(field) if line.starts_with([' ', '\t']) => field.push_str(line),
            _ => fields.push(line.to_owned()),
        }
    }
    let is_it = |field: &&mut String| {
        let number = field.split(['=', ';']).collect::<Vec<_>>();
        let at = number.iter().position(|word| word.trim().ends_with("i"));
        let is_numbered = at.is_some_and(|at| number[at + 1].trim() == instance.to_string());
        field.starts_with(&format!("{name}: ")) && is_numbered
    };
    let field = fields.iter_mut().find(is_it).expect("the field");
    let new = make(field);
    assert_ne!(new, *field, "{name} {instance}");
    *field = new;
    format!("{}\r\n{body}", fields.concat())
}

/// The field with another letter behind the start of a tag.
fn flipped(field: &str, tag: &str) -> String {
    let at = field.find(&format!(" {tag}")).expect("the tag") + tag.len() + 4;
    let other = if &field[at..=at] == "A" { "B" } else { "A" };
    format!("{}{other}{}", &field[..at], &field[at + 1..])
}

struct Scene {
    folder: TempDir,
    record: String,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let key = folder.path().join("key.pem");
        // Old programs want the form of PKCS #1.
        let size = ["genrsa", "-traditional", "-out"];
        run(Command::new("openssl").args(size).arg(&key).arg("2048"));
        let text = fs::read(&key).expect("the key's file");
        let private = PrivateKey::from_pem(&text).expect("a key of openssl");
        let name = |text| Domain::parse(text).expect("a name");
        let record = PublishedKey::of(&name("one.example"), &name("k"), &private);
        let record = record.expect("a record").text;
        let lines = SEALERS.map(|domain| format!("k._domainkey.{domain} {record}\n"));
        fs::write(folder.path().join("keys"), lines.concat()).expect("the keys' file");
        fs::create_dir(folder.path().join("all")).expect("a folder");
        Self { folder, record }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The message with another set on top, by a sealer who found this of the chain before it.
    fn sealed(&self, peer: Peer, sealer: &str, message: &str, status: &str) -> String {
        let results =
            format!("Authentication-Results: {sealer};\r\n arc={status};\r\n dmarc=fail\r\n");
        fs::write(self.path("in"), results + message).expect("a message's file");
        run(peer
            .command()
            .arg("seal")
            .arg(self.path("key.pem"))
            .arg(sealer)
            .arg(self.path("in")))
    }

    /// A chain of all sealers; each does something to the body, or none does.
    fn chain(&self, peers: [Peer; 3], footer: &str) -> String {
        let mut message = MESSAGE.to_owned();
        for ((sealer, peer), at) in SEALERS.iter().zip(peers).zip(0..) {
            let status = if at == 0 { "none" } else { "pass" };
            if at == 1 {
                message.push_str(footer);
            }
            message = self.sealed(peer, sealer, &message, status);
        }
        message
    }

    /// What a peer says of each message, by its name.
    fn judged(&self, peer: Peer) -> Vec<(String, String)> {
        let mut command = peer.command();
        command.arg("verify").arg(self.path("keys"));
        let said = run(command.arg(self.path("all")));
        let lines = said
            .lines()
            .map(|line| line.split_once(' ').expect("a result"));
        lines
            .map(|(name, result)| (name.into(), result.into()))
            .collect()
    }

    fn verify(&self, message: &str) -> Chain {
        let (header, body) = message.split_once("\r\n\r\n").expect("a body");
        let mut verifier = Verifier::new(format!("{header}\r\n").as_bytes(), Sought::CHAIN);
        verifier.push(body.as_bytes());
        let mut verification = verifier.finish(NOW);
        loop {
            match verification.step() {
                Step::Done(verified) => return verified.chain.expect("a chain was sought"),
                Step::Ask(name) => {
                    let texts = vec![self.record.as_str().into()];
                    verification.on_answer(name, Answer::Texts(texts));
                }
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Peer {
    Dkimpy,
    MailDkim,
}

impl Peer {
    fn command(self) -> Command {
        let (program, script) = match self {
            Self::Dkimpy => ("/usr/bin/python3", "arc_dkimpy.py"),
            Self::MailDkim => ("perl", "arc_mail_dkim.pl"),
        };
        let mut command = Command::new(program);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers");
        command.arg(folder.join(script));
        command
    }
}

fn run(command: &mut Command) -> String {
    let output = command.output();
    let output = output.unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn all_agree_on_chains_that_hold_and_on_damaged_ones() {
    use Peer::{Dkimpy, MailDkim};
    let scene = Scene::new();
    let mut expected = vec![("none-none".to_owned(), "none")];
    let mut write = |name: &str, message: &str, why: &'static str, oldest: Option<usize>| {
        let path = scene.path("all").join(format!("{name}.eml"));
        fs::write(path, message).expect("a message's file");
        let chain = scene.verify(message);
        assert_eq!(chain.reason.to_string(), why, "{name}: {message}");
        assert_eq!(chain.oldest_pass, oldest, "{name}: {message}");
        expected.push((name.to_owned(), chain.result().as_str()));
    };
    fs::write(scene.path("all/none-none.eml"), MESSAGE).expect("a message's file");
    for (peers, of) in [
        ([Dkimpy; 3], "dkimpy"),
        ([MailDkim; 3], "perl"),
        ([Dkimpy, MailDkim, Dkimpy], "both"),
    ] {
        let chain = scene.chain(peers, "");
        for (name, damage, why) in DAMAGES {
            let oldest = (why == "good").then_some(0);
            write(&format!("{of}-{name}"), &damage(&chain), why, oldest);
        }
        let with_footer = scene.chain(peers, "Footer\r\n");
        write(&format!("{of}-footer"), &with_footer, "good", Some(2));
    }
    expected.sort();
    for peer in [Dkimpy, MailDkim] {
        let mut judged = scene.judged(peer);
        judged.sort();
        let judged: Vec<(&str, &str)> = judged.iter().map(|(a, b)| (&**a, &**b)).collect();
        let expected: Vec<(&str, &str)> = expected.iter().map(|(a, b)| (&**a, *b)).collect();
        assert_eq!(judged, expected);
    }
}
