use mail::Place;
use relay_policy::{Rights, SenderPattern};

use super::*;
use crate::users::tests::{parse, two_users};

/// A directory with one person, Clara, by three names and with the password "pencil"; or one that
/// cannot be asked.
struct Directory {
    away: bool,
    names_are_known: bool,
}

const CLARA: [&str; 3] = ["clara@example.com", "clara@corp.example.com", "clara"];

impl Source for Directory {
    fn find(&self, name: &str) -> Result<Option<Person>, Unavailable> {
        if self.away {
            return Err(Unavailable::new("away"));
        }
        let names = CLARA.map(str::to_owned);
        Ok(CLARA.contains(&name).then(|| Person {
            account: account(CLARA[0]),
            names: self.names_are_known.then(|| names.into()),
        }))
    }

    fn verify(&self, name: &str, password: &str) -> Result<Tried<Person>, Unavailable> {
        Ok(match self.find(name)? {
            Some(person) if password == "pencil" => Tried::Right(person),
            Some(person) => Tried::Wrong(person.account.name),
            None => Tried::Unknown,
        })
    }
}

fn account(name: &str) -> Account {
    Account {
        name: name.into(),
        rights: Arc::new(Rights {
            may_relay: true,
            senders: Box::default(),
            only_to: Box::default(),
            place: Place::Default,
        }),
        messages_per_hour: None,
        recipients_per_hour: None,
    }
}

fn sources(users: &str, directory: Directory) -> Sources {
    Sources::new(parse(users).unwrap(), vec![Arc::new(directory)])
}

const DIRECTORY: Directory = Directory {
    away: false,
    names_are_known: true,
};

fn wrong<T>(name: &str) -> Tried<T> {
    Tried::Wrong(name.into())
}

#[test]
fn a_person_is_one_user_whatever_the_name() {
    let sources = sources("", DIRECTORY);
    for name in CLARA {
        let expected = account(CLARA[0]);
        assert_eq!(sources.find(name), Ok(Found::User(expected.clone())));
        assert_eq!(sources.verify(name, "pencil"), Ok(Tried::Right(expected)));
        assert_eq!(sources.verify(name, "chalk"), Ok(wrong(CLARA[0])));
    }
    assert_eq!(sources.find("eve"), Ok(Found::Nobody));
    assert_eq!(sources.verify("eve", "pencil"), Ok(Tried::Unknown));
}

#[test]
fn an_entry_of_the_users_file_holds_for_all_names_of_a_person() {
    for written in CLARA {
        let disabled = sources(
            &format!("[user.\"{written}\"]\ndisabled = true\n"),
            DIRECTORY,
        );
        let entry = format!(
            "[user.\"{written}\"]\nmay_relay = false\nsenders = [\"a.test\"]\nmessages_per_hour = 3\n"
        );
        let narrowed = sources(&entry, DIRECTORY);
        for name in CLARA {
            assert_eq!(disabled.find(name), Ok(Found::Barred), "{name}");
            let answer = disabled.verify(name, "pencil").unwrap();
            assert!(!matches!(answer, Tried::Right(_)), "{name}");
            let Ok(Tried::Right(account)) = narrowed.verify(name, "pencil") else {
                panic!("{name} does not sign in")
            };
            assert_eq!(narrowed.find(name), Ok(Found::User(account.clone())));
            assert_eq!(&*account.name, CLARA[0]);
            assert!(!account.rights.may_relay, "{name}");
            assert_eq!(
                *account.rights.senders,
                [SenderPattern::parse("a.test").unwrap()]
            );
            assert_eq!(account.messages_per_hour, Some(3));
        }
    }
}

#[test]
fn several_entries_for_one_person_all_count() {
    let users = "[user.clara]\nmay_relay = false\nmessages_per_hour = 5\n\
                 [user.\"clara@example.com\"]\nmessages_per_hour = 3\nrecipients_per_hour = 7\n";
    let found = sources(users, DIRECTORY).find("clara@corp.example.com");
    let Ok(Found::User(account)) = found else {
        panic!("{found:?}")
    };
    assert!(!account.rights.may_relay);
    assert_eq!(account.messages_per_hour, Some(3));
    assert_eq!(account.recipients_per_hour, Some(7));
}

#[test]
fn who_goes_by_other_names_is_not_let_in_while_they_cannot_be_told() {
    let hidden = || Directory {
        away: false,
        names_are_known: false,
    };
    let some = sources("[user.eve]\ndisabled = true\n", hidden());
    for password in ["pencil", "chalk"] {
        assert_eq!(some.verify("clara", password), Ok(wrong(CLARA[0])));
    }
    assert_eq!(some.find("clara"), Ok(Found::Barred));
    // Where the file says nothing of anybody, no name gets around it.
    let none = sources("", hidden());
    assert!(matches!(
        none.verify("clara", "pencil"),
        Ok(Tried::Right(_))
    ));
}

#[test]
fn a_user_with_a_password_in_the_file_is_nobody_elses() {
    let users = format!("{}[user.clara]\n", two_users());
    for away in [false, true] {
        let sources = sources(&users, Directory { away, ..DIRECTORY });
        let right = sources.verify("ann@example.com", "pencil");
        assert!(matches!(right, Ok(Tried::Right(_))), "{right:?}");
        assert_eq!(
            sources.verify("ann@example.com", "wrong"),
            Ok(wrong("Ann@example.com"))
        );
        assert_eq!(
            sources.verify("gone@example.com", "pencil"),
            Ok(Tried::Unknown)
        );
        assert_eq!(sources.find("gone@example.com"), Ok(Found::Barred));
        assert_eq!(sources.verify("clara", "pencil").is_err(), away);
        assert!(!sources.know_scram_keys());
    }
    assert!(!Sources::default().know_scram_keys());
}

/// Somebody whom only tokens prove may have an entry, and nobody else needs to know the name.
#[test]
fn an_entry_without_a_password_may_be_for_tokens() {
    let sources = sources("[user.robot]\nmay_relay = false\n", DIRECTORY);
    let found = sources.find("robot");
    assert!(
        matches!(&found, Ok(Found::User(account)) if !account.rights.may_relay),
        "{found:?}"
    );
    assert_eq!(sources.verify("robot", "x"), Ok(Tried::Unknown));
}

/// The users file alone says who may sign in at the console, also of the people of a directory.
#[test]
fn the_console_is_for_whom_the_file_names() {
    let users = "[user.\"clara@example.com\"]\nconsole_role = \"operator\"\n[user.clara]\nconsole_role = \"admin\"\n";
    let role = |users: &str, name: &str| {
        let found = sources(users, DIRECTORY).find(name).unwrap();
        let Found::User(account) = found else {
            return None;
        };
        let sources = sources(users, DIRECTORY);
        sources.console(&account).map(|(role, _)| role)
    };
    for name in CLARA {
        assert_eq!(role(users, name), Some(ConsoleRole::Operator), "{name}");
        assert_eq!(role("", name), None, "{name}");
    }
    let barred = users.replace("\"admin\"", "\"admin\"\ndisabled = true");
    assert_eq!(role(&barred, CLARA[0]), None);
}
