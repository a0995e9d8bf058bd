//! SpamAssassin's daemon, with its rules as Debian has them and without the network.

use std::process::Command;

use scanner::spamd::{Command as Ask, Spamd};
use scanner::{Answer, Class, Edit, Fault, Finding, Learned};

use crate::connection::Address;
use crate::message::{plain, spam, subject};
use crate::server::{Server, folder, free_address};

fn spamd(more: &[&str]) -> Server {
    let folder = folder();
    let address = free_address();
    let home = folder.path().display().to_string();
    let mut command = Command::new("/usr/sbin/spamd");
    command
        .args([
            "--local",
            "--nouser-config",
            "--max-children=2",
            "--syslog=stderr",
        ])
        .args(["--username=nobody", &format!("--helper-home-dir={home}")])
        .arg(format!("--listen={address}"))
        // What it learned is in a place where that account may write.
        .arg(format!("--cf=bayes_path {home}/bayes"))
        .args(more)
        .env("HOME", &home);
    Server::start(command, Address::Tcp(address), folder)
}

fn ask(server: &Server, command: Ask, message: &str) -> Finding {
    let spamd = Spamd::new(command, None, &subject(message.len()));
    server.open().scan(spamd, message.as_bytes())
}

#[test]
fn spamd_answers_each_command_in_its_own_way() {
    let server = spamd(&[]);
    let asked = [Ask::Check, Ask::Symbols, Ask::Headers, Ask::Report];
    for command in asked {
        let found = ask(&server, command, &spam());
        assert_eq!(found.class, Class::Spam, "{command:?}: {found:?}");
        assert!(found.score.is_some_and(|score| score >= 999.0), "{found:?}");
        assert_eq!(found.threshold, Some(5.0));
        let gtube = found.symbols.iter().find(|(name, _)| name == "GTUBE");
        match command {
            Ask::Check => assert!(found.symbols.is_empty()),
            Ask::Report => assert_eq!(gtube.map(|(_, score)| *score), Some(1000.0)),
            _ => assert!(gtube.is_some(), "{command:?}: {found:?}"),
        }
        let found = ask(&server, command, &plain());
        assert_eq!(found.class, Class::Clean, "{command:?}: {found:?}");
    }
    let headers = ask(&server, Ask::Headers, &spam());
    let names: Vec<&str> = headers
        .edits
        .iter()
        .map(|edit| match edit {
            Edit::Add { name, .. } | Edit::Remove { name, .. } | Edit::Set { name, .. } => &**name,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(names.contains(&"X-Spam-Status"), "{headers:?}");
    assert!(names.contains(&"X-Spam-Flag"), "{headers:?}");
    assert!(
        names.iter().all(|name| name.starts_with("X-Spam-")),
        "{headers:?}"
    );
}

#[test]
fn spamd_is_there_and_an_error_of_it_is_told() {
    let server = spamd(&[]);
    let ping = Spamd::new(Ask::Ping, None, &subject(0));
    assert!(matches!(
        server.open().ask(ping, &[]),
        Ok((Answer::Alive, false))
    ));
    // More than it is told.
    let mut connection = server.open();
    connection.write(b"CHECK SPAMC/1.5\r\nContent-length: x\r\n\r\n");
    let mut refused = Spamd::new(Ask::Check, None, &subject(0)).into();
    match crate::connection::read(&mut refused, &connection) {
        Err(Fault::Failed(said)) => assert!(said.starts_with("76 Bad header line"), "{said}"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn spamd_learns_where_it_is_allowed_to() {
    let text: String = (0..200).map(|n| format!("word{n} thing{n} ")).collect();
    let message = plain().replace("minutes", &text);
    let tell = |server: &Server, command| {
        let spamd = Spamd::new(command, None, &subject(message.len()));
        let told = server.open().ask(spamd, &[message.as_bytes()]);
        told.map(|(answer, _)| answer)
    };
    match tell(&spamd(&[]), Ask::LearnSpam) {
        Err(Fault::Failed(why)) => assert!(why.contains("--allow-tell"), "{why}"),
        other => panic!("{other:?}"),
    }
    let server = spamd(&["--allow-tell"]);
    let learned = |now| match now {
        Ok(Answer::Learned(learned)) => learned == Learned::Now,
        other => panic!("{other:?}"),
    };
    assert!(learned(tell(&server, Ask::LearnSpam)));
    assert!(!learned(tell(&server, Ask::LearnSpam)), "it knows it");
    assert!(learned(tell(&server, Ask::LearnHam)), "it was wrong");
}
