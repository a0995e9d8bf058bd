//! ClamAV's daemon with a database of one signature, which is about a harmless text of ours.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use scanner::clamd::{Clamd, Command as Ask};
use scanner::{Answer, Class};

use crate::connection::{Address, Connection};
use crate::server::{Server, folder, free_address};

/// What the signature is about.
pub const FOUND: &str = "harmless text that the tests of Gatepost have looked for";
const STREAM_MAX: usize = 1024 * 1024;

/// One that listens at the address.
pub fn clamd(address: impl FnOnce(&Path) -> Address) -> Server {
    let folder = folder();
    let address = address(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::create_dir(path("signatures")).expect("a folder");
    let hex = FOUND.bytes().fold(String::new(), |mut hex, octet| {
        let _ = write!(hex, "{octet:02x}");
        hex
    });
    let signature = format!("Gatepost.Test:0:*:{hex}\n");
    fs::write(path("signatures/local.ndb"), signature).expect("a signature");
    let listen = match &address {
        Address::Unix(socket) => format!("LocalSocket {}", socket.display()),
        Address::Tcp(tcp) => format!("TCPAddr {}\nTCPSocket {}", tcp.ip(), tcp.port()),
    };
    let settings = format!(
        "Foreground yes\n{listen}\nDatabaseDirectory {}\nStreamMaxLength {STREAM_MAX}\n\
         AlertEncrypted yes\nAlertExceedsMax yes\nMaxFileSize 100K\n",
        path("signatures"),
    );
    fs::write(path("clamd.conf"), settings).expect("a configuration");
    let mut command = Command::new("/usr/sbin/clamd");
    command.arg("--config-file").arg(path("clamd.conf"));
    Server::start(command, address, folder)
}

pub fn on_a_socket() -> Server {
    clamd(|folder| Address::Unix(folder.join("clamd.sock")))
}

/// An archive of one file that 7-Zip packs with a password.
fn encrypted(folder: &Path, name: &str) -> Vec<u8> {
    let file = folder.join("a.txt");
    fs::write(&file, "nothing\n".repeat(100)).expect("a file");
    let archive = folder.join(name);
    let packed = Command::new("7zz")
        .args(["a", "-psecret"])
        .args([&archive, &file])
        .stdout(Stdio::null())
        .status();
    assert!(packed.expect("7-Zip").success());
    fs::read(archive).expect("an archive")
}

#[test]
fn clamd_says_what_it_found() {
    let server = on_a_socket();
    let scan = |content: &[u8]| server.open().scan(Clamd::new(Ask::Scan(1)), content);

    assert_eq!(
        scan(b"Subject: nothing\r\n\r\nat all\r\n").class,
        Class::Clean
    );
    let found = scan(format!("Subject: x\r\n\r\n{FOUND}\r\n").as_bytes());
    assert_eq!(found.class, Class::Infected);
    assert_eq!(found.names, ["Gatepost.Test.UNOFFICIAL"]);
    for (name, kind) in [("a.zip", "Zip"), ("a.7z", "7Zip")] {
        let found = scan(&encrypted(&server.path(""), name));
        assert_eq!(found.class, Class::Encrypted, "{name}");
        assert_eq!(found.names, [format!("Heuristics.Encrypted.{kind}")]);
    }
    let large = scan(&vec![b'a'; 200 * 1024]);
    assert_eq!(large.class, Class::Limit, "{large:?}");
    assert!(
        large.names[0].starts_with("Heuristics.Limits."),
        "{large:?}"
    );
}

#[test]
fn content_beyond_the_stream_limit_is_a_limit_even_where_writing_fails() {
    let server = clamd(|_| Address::Tcp(free_address()));
    let scan = |len: usize| {
        server
            .open()
            .scan(Clamd::new(Ask::Scan(1)), &vec![b'a'; len])
    };
    // Exactly the limit is fine, but for another limit that is set.
    assert!(scan(STREAM_MAX).names[0].starts_with("Heuristics.Limits."));
    // Far more than the sockets hold, so that our side is cut off in the middle.
    for len in [STREAM_MAX + 1, 64 * STREAM_MAX] {
        let found = scan(len);
        assert_eq!(found.class, Class::Limit, "{len}");
        assert_eq!(found.names, ["INSTREAM size limit exceeded."]);
    }
}

#[test]
fn clamd_tells_that_it_is_there_and_what_it_is() {
    let server = on_a_socket();
    let ask = |what| {
        server
            .open()
            .ask(Clamd::new(what), &[])
            .expect("an answer")
            .0
    };
    assert_eq!(ask(Ask::Ping), Answer::Alive);
    match ask(Ask::Version) {
        Answer::Version(version) => {
            assert!(version.engine.starts_with("ClamAV "), "{version:?}");
            // It has no official signatures.
            assert_eq!((version.signatures, version.made_on), (None, None));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn contents_follow_one_another_on_a_connection() {
    let server = on_a_socket();
    let mut connection = server.open();
    let scan = |connection: &mut Connection, number, content: &[u8]| {
        let asked = connection.ask(Clamd::new(Ask::Scan(number)), &[content]);
        match asked.expect("an answer") {
            (Answer::Finding(found), is_reusable) => (found.class, is_reusable),
            other => panic!("{other:?}"),
        }
    };
    let new = "another harmless text of the same tests";
    for number in 1..=20 {
        let content = match number % 2 {
            0 => new.as_bytes(),
            _ => FOUND.as_bytes(),
        };
        let expected = [Class::Clean, Class::Infected][number as usize % 2];
        assert_eq!(scan(&mut connection, number, content), (expected, true));
    }
    // What signatures it gets meanwhile it looks by.
    let hex: String = new.bytes().map(|octet| format!("{octet:02x}")).collect();
    let file = server.path("signatures/more.ndb");
    std::fs::write(file, format!("Gatepost.More:0:*:{hex}\n")).expect("a signature");
    let mut other = server.open();
    other.write(b"zRELOAD\0");
    assert_eq!(other.next().as_deref(), Some(b"RELOADING\0".as_slice()));
    let mut numbers = 21..;
    let found = numbers.by_ref().take(1000).find(|number| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        scan(&mut connection, *number, new.as_bytes()).0 == Class::Infected
    });
    let number = found.expect("the new signature") + 1;
    // One above its limit is the last.
    let large = vec![b'a'; STREAM_MAX + 1];
    assert_eq!(scan(&mut connection, number, &large), (Class::Limit, false));
}
