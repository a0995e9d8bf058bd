//! Others who sign and verify: dkimpy, Mail::DKIM, OpenDKIM and mailauth. What is signed here they verify, what
//! they sign is verified here, and the messages that dkimpy is tested with come to what it says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use dkim::{
    Answer, KeyRecord, PrivateKey, PublishedKey, Signer, Sought, Step, VerifiedSignature, Verifier,
};
use mail::{Domain, Timestamp};
use tempfile::TempDir;

const DOMAIN: &str = "a.example";
const PYTHON: &str = "/usr/bin/python3";
/// Where Debian keeps the messages that dkimpy is tested with.
const CORPUS: &str = "/usr/lib/python3/dist-packages/dkim/tests/data";
/// Before every clock of a verifier, and behind that of every signer.
const SIGNED_AT: Timestamp = Timestamp::from_millis(1_000_000_000_000);
const VERIFIED_AT: Timestamp = Timestamp::from_millis(4_000_000_000_000);

/// Name, header and body.
const MESSAGES: [(&str, &str, &str); 16] = [
    (
        "plain",
        "From: a@a.example\r\nTo: b\r\nSubject: x\r\n",
        "Hello\r\n",
    ),
    (
        "folded",
        "Received: x\r\n\ty\r\nFrom:\r\n a@a.example\r\nTo: b,\r\n   c \t ,\r\n\td\r\nSubject:  x  \r\n \r\n",
        "Hello\r\n",
    ),
    (
        "no-space",
        "from:a@a.example\r\nSUBJECT:x\r\nX:\r\nTo:\t\tb\t\r\n",
        "Hello\r\n",
    ),
    (
        "eight-bit",
        "From: \u{fc} <a@a.example>\r\nSubject: gr\u{fc}n\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n",
        "gr\u{fc}n\r\n\u{20ac}\r\n",
    ),
    ("empty", "From: a@a.example\r\n", ""),
    ("line-ends-alone", "From: a@a.example\r\n", "\r\n\r\n\r\n"),
    ("no-line-end", "From: a@a.example\r\nTo: b\r\n", "Hello"),
    (
        "many-line-ends",
        "From: a@a.example\r\nTo: b\r\n",
        "Hello\r\n\r\n\r\n",
    ),
    (
        "leading-line-ends",
        "From: a@a.example\r\nTo: b\r\n",
        "\r\n\r\n\r\nHello\r\n",
    ),
    (
        "white-space",
        "From: a@a.example\r\nTo: b\r\n",
        " Hello \t \tworld  \r\n \t \r\n\tx\t\r\n.\r\n..\r\n \r\n",
    ),
    (
        "twice",
        "Subject: 1\r\nFrom: a@a.example\r\nTo: b\r\nSubject: 2\r\nTo: c\r\nX: y\r\nX: z\r\n",
        "Hello\r\n",
    ),
    (
        "list",
        "List-Id: <x.a.example>\r\nFrom: a@a.example\r\nReply-To: c\r\nCc: d\r\nIn-Reply-To: <e>\r\nReferences: <f>\r\n <g>\r\nList-Unsubscribe: <mailto:h>\r\nMessage-ID: <i>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n",
        "Hello\r\n",
    ),
    (
        "others",
        "DKIM-Signature: v=1; a=rsa-sha256; d=b.example; s=none; h=from; bh=AAAA; b=AAAA\r\nFrom: a@a.example\r\n",
        "Hello\r\n",
    ),
    (
        "mime",
        "From: a@a.example\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"x\"\r\n",
        "--x\r\n\r\na\r\n--x--\r\n",
    ),
    (
        "looks-like-header",
        "From: a@a.example\r\n",
        "From: b\r\n\r\nSubject: x\r\n",
    ),
    ("long", "", ""),
];

/// A table of messages, as octets: name, header, body.
fn messages() -> impl Iterator<Item = (&'static str, String, String)> {
    MESSAGES.into_iter().map(|(name, header, body)| match name {
        "long" => {
            let header = format!("From: a@a.example\r\nSubject: {}\r\n", "x ".repeat(490));
            (
                name,
                header,
                format!("{}\r\n", "y  ".repeat(332)).repeat(100),
            )
        }
        _ => (name, header.to_owned(), body.to_owned()),
    })
}

/// Keys, and messages with their signatures and without, as files for others.
struct Scene {
    folder: TempDir,
    keys: Vec<(Domain, String)>,
    signer: Signer,
}

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        for name in ["ours", "unsigned", "theirs"] {
            fs::create_dir(path(name)).expect("a folder");
        }
        let (rsa, ed25519) = (path("ours/rsa.pem"), path("ours/ed25519.pem"));
        // In the form of PKCS #1, which old programs want; the other is in that of PKCS #8.
        let size = ["genrsa", "-traditional", "-out"];
        run(Command::new("openssl").args(size).arg(&rsa).arg("2048"));
        let kind = ["genpkey", "-algorithm", "ed25519", "-out"];
        run(Command::new("openssl").args(kind).arg(&ed25519));
        let read = |path: &Path| {
            let text = fs::read(path).expect("a key's file");
            Arc::new(PrivateKey::from_pem(&text).expect("a key of openssl"))
        };
        let (rsa, ed25519) = (read(&rsa), read(&ed25519));
        let record = |selector: &str, key: &PrivateKey| {
            let record = PublishedKey::of(&name(DOMAIN), &name(selector), key);
            let record = record.expect("a record");
            (record.name, record.text)
        };
        let keys = vec![record("rsa", &rsa), record("ed", &ed25519)];
        let lines = keys.iter().map(|(name, text)| format!("{name} {text}\n"));
        fs::write(path("ours/keys"), lines.collect::<String>()).expect("the keys' file");
        let signer = Signer::new(name(DOMAIN), name("rsa"), rsa).and(name("ed"), ed25519);
        let scene = Self {
            folder,
            keys,
            signer,
        };
        scene.write_messages();
        scene
    }

    fn write_messages(&self) {
        for (name, header, body) in messages() {
            let mut hash = Signer::body_hash();
            hash.push(body.as_bytes());
            let fields = self
                .signer
                .sign(header.as_bytes(), &hash.finish(), SIGNED_AT);
            let fields = fields.expect("signatures");
            let message = format!("{header}\r\n{body}");
            let write = |folder: &str, text: String| {
                let path = self.path(folder).join(format!("{name}.eml"));
                fs::write(path, text).expect("a message's file");
            };
            write("ours", fields + &message);
            write("unsigned", message);
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Has a script verify ours, which has to say of each what is expected, and sign theirs.
    fn play(&self, program: &str, script: &str, expected: &str) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/peers")
            .join(script);
        let mut command = Command::new(program);
        command.arg(script);
        for folder in ["ours", "unsigned", "theirs"] {
            command.arg(self.path(folder));
        }
        let said = run(&mut command);
        for (name, ..) in messages() {
            let theirs = if name == "others" { OTHERS } else { "" };
            let line = format!("{name} {expected}{theirs}");
            let found = said
                .lines()
                .find(|line| line.split(' ').next() == Some(name));
            assert_eq!(found, Some(&*line), "{said}");
        }
    }

    /// Has OpenDKIM verify ours. It prints the field that it would add to each.
    fn opendkim(&self) {
        let (path, keys) = (self.path("opendkim.conf"), self.path("ours/keys"));
        let text = format!("Mode v\nSyslog no\nTestDNSData file:{}\n", keys.display());
        fs::write(&path, text).expect("a configuration");
        // Of a file without a line end at its end, it reads nothing.
        let names = messages().filter(|(name, ..)| *name != "no-line-end");
        let names: Vec<&str> = names.map(|(name, ..)| name).collect();
        let file = |name: &&str| self.path("ours").join(format!("{name}.eml"));
        let files: Vec<String> = names
            .iter()
            .map(|name| file(name).display().to_string())
            .collect();
        let mut command = Command::new("/usr/sbin/opendkim");
        command
            .arg("-vv")
            .arg("-x")
            .arg(path)
            .arg("-t")
            .arg(files.join(","));
        let said = run(&mut command);
        let fields: Vec<&str> = said.split("### INSHEADER").skip(1).collect();
        assert_eq!(fields.len(), names.len(), "{said}");
        for (name, field) in names.into_iter().zip(fields) {
            let results = field.split("dkim=").skip(1);
            let results = results.map(|result| result.split(' ').next().unwrap_or_default());
            let results: Vec<&str> = results.collect();
            let theirs = if name == "others" {
                &["temperror"][..]
            } else {
                &[]
            };
            assert_eq!(
                results,
                [&["pass", "pass"], theirs].concat(),
                "{name}: {field}"
            );
        }
    }

    /// All that they signed is good.
    fn verify_theirs(&self, count: usize) {
        let files = fs::read_dir(self.path("theirs")).expect("the folder of theirs");
        let files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        assert_eq!(files.len(), count);
        for path in files {
            let message = fs::read(&path).expect("a message");
            let verified = verify(&message, &|name| {
                let key = self.keys.iter().find(|(known, _)| known == name);
                key.map(|(_, text)| text.clone())
            });
            let first = &verified[0];
            let said = String::from_utf8_lossy(&message);
            assert_eq!(told(first), "pass: good", "{}: {said}", path.display());
        }
    }
}

/// What they say of the signature that was there before.
const OTHERS: &str = " fail";

fn name(text: &str) -> Domain {
    Domain::parse(text).expect("a name")
}

fn run(command: &mut Command) -> String {
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {stderr}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn told(verified: &VerifiedSignature) -> String {
    format!("{}: {}", verified.result(), verified.reason)
}

fn verify(message: &[u8], key: &dyn Fn(&Domain) -> Option<String>) -> Vec<VerifiedSignature> {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    let (header, body) = message.split_at(end.map_or(message.len(), |end| end + 2));
    let mut verifier = Verifier::new(header, Sought::SIGNATURES);
    verifier.push(body.strip_prefix(b"\r\n").unwrap_or(body));
    let mut verification = verifier.finish(VERIFIED_AT);
    loop {
        match verification.step() {
            Step::Done(verified) => return verified.signatures,
            Step::Ask(name) => {
                let text = key(&name).map(String::into_boxed_str);
                verification.on_answer(name, Answer::Texts(text.into_iter().collect()));
            }
        }
    }
}

#[test]
fn dkimpy_agrees() {
    let scene = Scene::new();
    scene.play(PYTHON, "dkimpy.py", "pass pass");
    scene.verify_theirs(MESSAGES.len() * 16);
}

#[test]
fn mail_dkim_agrees_on_rsa() {
    let scene = Scene::new();
    // It does not know Ed25519.
    scene.play("perl", "mail_dkim.pl", "pass fail");
    scene.verify_theirs(MESSAGES.len() * 4);
}

#[test]
#[ignore = "needs node: scripts/test browser"]
fn mailauth_agrees() {
    let scene = Scene::new();
    scene.play("node", "mailauth.cjs", "pass pass");
    scene.verify_theirs(MESSAGES.len() * 8);
}

#[test]
fn opendkim_agrees() {
    Scene::new().opendkim();
}

/// The keys that dkimpy's tests pretend to find; a name of a file stands for what is in it.
const CORPUS_KEYS: [(&str, &str); 4] = [
    ("test._domainkey.football.example.com", "test.txt"),
    ("sed._domainkey.test.ex", "eximtest.dns"),
    (
        "brisbane._domainkey.football.example.com",
        "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
    ),
    (
        "20120113._domainkey.gmail.com",
        "k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA1Kd87/UeJjenpabgbFwh+eBCsSTrqmwIYYvywlbh\
         bqoo2DymndFkbjOVIPIldNs/m40KF+yzMn1skyoxcTUGCQs8g3FgD2Ap3ZB5DekAo5wMmk4wimDO+U8QzI3SD07y2+07\
         wlNWwIt8svnxgdxGkVbbhzY8i+RQ9DpSVpPbF7ykQxtKXkv/ahW3KjViiAH+ghvvIhkx4xYSIc9oSwVmAl5OctMEeWUw\
         g8Istjqz8BZeTWbf41fbNhte7Y+YqZOwq1Sd0DbvYAD9NOZK9vlfuac0598HY+vtSBczUiKERHv1yRbcaQtZFh5wtiRr\
         N04BLUTD21MycBX5jYchHjPY/wIDAQAB",
    ),
];

/// A file of dkimpy's tests, with line ends as mail has them.
fn corpus(file: &str) -> Option<Vec<u8>> {
    let text = fs::read(Path::new(CORPUS).join(file)).ok()?;
    let lines = text.split_inclusive(|b| *b == b'\n');
    let lines = lines.map(|line| match line.strip_suffix(b"\n") {
        Some(line) => [line.strip_suffix(b"\r").unwrap_or(line), b"\r\n"].concat(),
        None => line.to_vec(),
    });
    Some(lines.collect::<Vec<_>>().concat())
}

fn corpus_key(name: &Domain) -> Option<String> {
    let (_, text) = CORPUS_KEYS
        .iter()
        .find(|(known, _)| *known == name.as_str())?;
    let file = corpus(text).and_then(|text| String::from_utf8(text).ok());
    Some(file.unwrap_or_else(|| (*text).to_owned()))
}

#[test]
fn the_messages_of_dkimpy_come_to_what_it_says() {
    let table: [(&str, &[&str]); 7] = [
        ("ed25519test2.msg", &["pass: good"]),
        // The example of RFC 8463.
        ("rfc6376.signed.msg", &["pass: good", "pass: good"]),
        ("rfc6376.signed.rsa.msg", &["pass: good"]),
        // Blanks and line ends everywhere.
        ("test2.message", &["pass: good"]),
        ("message.mbox", &["permerror: no key"]),
        ("test.message.baddomain", &["permerror: d= names no domain"]),
        ("test.message", &[]),
    ];
    for (file, expected) in table {
        let message = corpus(file).expect(file);
        let told_of = |message: &[u8]| -> Vec<String> {
            verify(message, &corpus_key).iter().map(told).collect()
        };
        assert_eq!(told_of(&message), expected, "{file}");
        let longer = told_of(&[&*message, b"x"].concat());
        let changed = expected
            .iter()
            .map(|told| told.replace("pass: good", "fail: body changed"));
        assert_eq!(longer, changed.collect::<Vec<_>>(), "{file}");
        let text = String::from_utf8_lossy(&message).replacen("From: ", "From: y", 1);
        let told = told_of(text.as_bytes());
        let changed = expected
            .iter()
            .map(|told| told.replace("pass: good", "fail: header changed"));
        assert_eq!(told, changed.collect::<Vec<_>>(), "{file}");
    }
}

#[test]
fn the_keys_of_dkimpy_are_read() {
    let table = [
        ("test.txt", "RSA of 1024 bits"),
        ("1024_testkey_wo_markers.pub.txt", "RSA of 1024 bits"),
        // `RSAPublicKey`, where all others have `SubjectPublicKeyInfo`.
        ("1024_testkey_wo_markers.pub.rsa.txt", "RSA of 1024 bits"),
        ("2048_testkey_wo_markers.pub.txt", "RSA of 2048 bits"),
        ("2048_testkey_wo_markers.pub.rsa.txt", "RSA of 2048 bits"),
        ("2048_testkey_PKCS8.key.pub.txt", "RSA of 2048 bits"),
        ("ed25519test.dns", "Ed25519"),
        ("eximtest.dns", "Ed25519"),
        ("badversion.txt", "no key"),
        ("badk.txt", "k= is unknown"),
        ("test_tlsrpt.txt", "key is not for mail"),
    ];
    for (file, expected) in table {
        let text = corpus(file).expect(file);
        let text = String::from_utf8(text).expect("text");
        let told = match KeyRecord::find(&[text.into()]) {
            Ok(record) => format!("{:?}", record.key),
            Err(reason) => reason.to_string(),
        };
        assert_eq!(told, expected, "{file}");
    }
    for file in ["2048_testkey.key", "2048_testkey_PKCS8.key"] {
        let text = corpus(file).expect(file);
        assert!(PrivateKey::from_pem(&text).is_ok(), "{file}");
    }
}
