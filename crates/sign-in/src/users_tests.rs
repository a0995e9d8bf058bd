use super::*;
use crate::{ConsoleRole, Decoys, EditError, NewUser, Totp, UserFile};

const FILE: &str = "users.toml";

pub(crate) fn parse(text: &str) -> Result<Users, Vec<Problem>> {
    Users::parse(text, &FILE.into())
}

fn is_right(users: &Users, name: &str, password: &str) -> bool {
    matches!(users.verify(name, password), Tried::Right(_))
}

fn new<'a>(name: &'a str, password: &'a str) -> NewUser<'a> {
    NewUser {
        name,
        password: Some(password),
        may_relay: true,
        senders: &[],
        recipients: &[],
        console_role: None,
    }
}

/// Cheap hashes, for tests that look at other things.
pub(crate) fn two_users() -> String {
    let user = |name: &str, password: &str, more: &str| {
        let params = Params::new(16, 1, 1, None).unwrap();
        let argon2 = argon2::Argon2::from(params);
        let hash = argon2::PasswordHasher::hash_password_with_salt(
            &argon2,
            password.as_bytes(),
            b"salt salt",
        );
        let hash = hash.unwrap();
        let iterations = std::num::NonZeroU32::new(4096).unwrap();
        let keys = ScramKeys::derive(password, b"salt", iterations).to_text();
        format!("[user.\"{name}\"]\npassword = \"{hash}\"\nscram_sha_256 = \"{keys}\"\n{more}\n")
    };
    user("Ann@example.com", "pencil", "messages_per_hour = 5")
        + &user("gone@example.com", "pencil", "disabled = true")
}

#[test]
fn users_have_what_the_file_says() {
    let text = "# people\n[user.\"Ann@Example.com\"]\nmay_relay = false\nsenders = [\"ann@example.com\", \"*.example.org\"]\nmessages_per_hour = 5\nrecipients_per_hour = 50\n\n[user.bob]\n";
    let users = parse(text).unwrap();
    let ann = users.find("ann@example.com").unwrap();
    assert_eq!(&*ann.name, "Ann@Example.com");
    assert!(!ann.rights.may_relay);
    assert_eq!(ann.rights.senders.len(), 2);
    assert_eq!(ann.rights.place, Place::line(&FILE.into(), 2, 7));
    assert_eq!(
        (ann.messages_per_hour, ann.recipients_per_hour),
        (Some(5), Some(50))
    );
    let bob = users.find("bob").unwrap();
    assert!(bob.rights.may_relay);
    assert_eq!((bob.messages_per_hour, bob.rights.senders.len()), (None, 0));
    assert_eq!(users.find("eve"), None);
}

#[test]
fn all_problems_are_found_each_with_its_place() {
    let text = "[user.ann]\npasword = \"x\"\npassword = \"secret\"\n\n[user.Ann]\nmay_relay = 1\nsenders = [\"a@\", 3]\n[user.\"\"]\n[user.bob]\nmessages_per_hour = -1\nscram_sha_256 = \"x\"\n[group]\n";
    let problems = parse(text).unwrap_err();
    let mut found: Vec<_> = problems
        .iter()
        .map(|problem| (problem.line, problem.message.as_str()))
        .collect();
    found.sort();
    let expected = [
        (2, "no key `pasword`"),
        (3, "not a password hash"),
        (5, "already there"),
        (6, "`may_relay` is true or false"),
        (7, ""),
        (7, "text in quotes"),
        (8, "cannot be a user's name"),
        (10, "a whole number"),
        (11, "ITERATIONS"),
        (12, "only [user"),
    ];
    for (line, part) in expected {
        let there = found
            .iter()
            .any(|(at, text)| *at == line && text.contains(part));
        assert!(there, "{line} {part}: {found:#?}");
    }
    assert!(problems.iter().any(|p| (p.line, p.column) == (3, 12)));
    assert!(!problems.iter().any(|p| p.message.contains("secret")));
    let broken = parse("[user.ann\n").unwrap_err();
    assert_eq!((broken.len(), broken[0].line), (1, 1));
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_users_file() {
    let text = "\u{feff}[user.ann]\n";
    assert!(parse(text).unwrap().find("ann").is_some());
    assert_eq!(UserFile::open(text).unwrap().names(), ["ann"]);
}

#[test]
fn keys_without_a_password_are_an_error() {
    let text = two_users();
    let without: String = text
        .lines()
        .filter(|line| !line.starts_with("password"))
        .map(|line| format!("{line}\n"))
        .collect();
    let problems = parse(&without).unwrap_err();
    assert_eq!(problems.len(), 2);
    assert!(problems[0].message.contains("needs `password`"));
}

#[test]
fn only_the_right_password_of_an_enabled_user_verifies() {
    let users = parse(&two_users()).unwrap();
    for (name, password, expected) in [
        ("ann@example.com", "pencil", true),
        ("ann@example.com", "Pencil", false),
        ("ann@example.com", "", false),
        ("gone@example.com", "pencil", false),
        ("eve@example.com", "pencil", false),
    ] {
        let right = is_right(&users, name, password);
        assert_eq!(right, expected, "{name} {password}");
    }
    assert!(users.know_scram_keys());
    assert!(users.scram_keys("ann@example.com").0.is_some());
    assert!(users.scram_keys("gone@example.com").0.is_none());
}

/// RFC 5802 section 5.1: the salt and the count come before the client has proven anything.
#[test]
fn scram_asks_a_user_and_nobody_alike_and_the_same_after_a_restart() {
    let start = |text: &str| parse(text).unwrap().with_decoys(Decoys::new([7; 32]));
    let looks = |users: &Users, name: &str| {
        let (account, keys) = users.scram_keys(name);
        assert!(account.is_none(), "{name}");
        (keys.salt.to_vec(), keys.iterations)
    };
    let (users, after_restart) = (start(&two_users()), start(&two_users()));
    let (_, ann) = users.scram_keys("ann@example.com");
    let (salt, iterations) = looks(&users, "nobody@example.com");
    assert_eq!((salt.len(), iterations), (ann.salt.len(), ann.iterations));
    assert_eq!(
        looks(&after_restart, "nobody@example.com"),
        (salt.clone(), iterations)
    );
    assert_ne!(looks(&users, "noone@example.com").0, salt);
    let other_seed = parse(&two_users())
        .unwrap()
        .with_decoys(Decoys::new([8; 32]));
    assert_ne!(looks(&other_seed, "nobody@example.com").0, salt);
    // Who is disabled keeps the salt that was seen before.
    let enabled = start(&two_users().replace("disabled = true", ""));
    let (_, before) = enabled.scram_keys("gone@example.com");
    assert_eq!(looks(&users, "gone@example.com").0, before.salt.to_vec());
}

#[test]
fn scram_is_known_only_when_every_password_has_keys() {
    let text: String = two_users().replacen("scram_sha_256", "# scram_sha_256", 1);
    assert!(!parse(&text).unwrap().know_scram_keys());
    let by_token_only = "[user.ann]\n";
    assert!(parse(by_token_only).unwrap().know_scram_keys());
}

#[test]
fn editing_keeps_what_is_there() {
    let text = "# our people\n\n[user.ann] # the boss\nmay_relay = true # for now\n\n# the other one\n[user.\"Bob\"]\nmay_relay = false\n";
    let mut file = UserFile::open(text).unwrap();
    file.set_password("ANN", "first").unwrap();
    let once = file.text();
    assert!(once.starts_with(
        "# our people\n\n[user.ann] # the boss\nmay_relay = true # for now\npassword = \"$argon2id$"
    ));
    assert!(once.contains("# the other one\n[user.\"Bob\"]\nmay_relay = false\n"));

    let commented = once.replacen("\"\nscram", "\" # temporary\nscram", 1);
    let mut file = UserFile::open(&commented).unwrap();
    file.set_password("ann", "second").unwrap();
    assert!(file.text().contains("\" # temporary\nscram_sha_256"));
    let users = parse(&file.text()).unwrap();
    assert!(is_right(&users, "ann", "second"));
    assert!(!is_right(&users, "ann", "first"));

    file.remove("bob").unwrap();
    assert_eq!(file.names(), ["ann"]);
    assert!(!file.text().contains("Bob"));
    assert!(file.text().starts_with("# our people\n"));
}

#[test]
fn what_was_added_can_sign_in() {
    let mut file = UserFile::open("").unwrap();
    file.add(&new("ann@example.com", "pencil")).unwrap();
    file.add(&NewUser {
        name: "bot",
        password: None,
        may_relay: false,
        senders: &["bot@example.com".into()],
        recipients: &["hosted".into(), "ops@partner.example".into()],
        console_role: Some(ConsoleRole::Viewer),
    })
    .unwrap();
    let text = file.text();
    assert!(text.starts_with("[user.\"ann@example.com\"]\n"), "{text}");
    assert!(!text.contains("pencil"));
    let users = parse(&text).unwrap();
    assert!(is_right(&users, "ann@example.com", "pencil"));
    assert!(users.know_scram_keys());
    let bot = users.find("bot").unwrap();
    assert!(!bot.rights.may_relay);
    assert_eq!(bot.rights.senders.len(), 1);
    let recipients = bot.rights.only_to[0].recipients.iter();
    let recipients: Vec<String> = recipients.map(ToString::to_string).collect();
    assert_eq!(recipients, ["hosted", "ops@partner.example"]);
    assert!(!is_right(&users, "bot", ""));
    assert_eq!(users.console_role("bot"), Some(ConsoleRole::Viewer));
}

#[test]
fn the_console_knows_a_user_by_role_and_second_factor() {
    let mut file = UserFile::open("# people\n[user.Ann] # the boss\n[user.bob]\n").unwrap();
    let totp = Totp::draw().unwrap();
    file.set_console_role("ann", Some(ConsoleRole::Admin))
        .unwrap();
    file.set_totp("ANN", Some(&totp)).unwrap();
    let text = file.text();
    assert!(
        text.starts_with("# people\n[user.Ann] # the boss\nconsole_role = \"admin\"\ntotp = \""),
        "{text}"
    );
    let users = parse(&text).unwrap();
    assert!(users.have_console_roles());
    assert_eq!(users.console_role("ann"), Some(ConsoleRole::Admin));
    assert_eq!(users.totp("ann").unwrap().code_at(59), totp.code_at(59));
    assert_eq!(
        (users.console_role("bob"), users.console_role("eve")),
        (None, None)
    );
    assert!(users.totp("bob").is_none());
    // Who is disabled is nobody at the console either.
    let disabled = text.replace("console_role", "disabled = true\nconsole_role");
    let users = parse(&disabled).unwrap();
    assert_eq!(
        (users.console_role("ann"), users.have_console_roles()),
        (None, false)
    );
    file.set_console_role("ann", None).unwrap();
    file.set_totp("ann", None).unwrap();
    assert_eq!(file.text(), "# people\n[user.Ann] # the boss\n[user.bob]\n");
    assert_eq!(file.set_totp("eve", None), Err(EditError::Unknown));
    for (line, expected) in [
        ("console_role = \"root\"", "\"operator\""),
        ("console_role = true", "in quotes"),
        ("totp = \"SECRET1\"", "base32"),
    ] {
        let problems = parse(&format!("[user.ann]\n{line}\n")).unwrap_err();
        assert!(problems[0].message.contains(expected), "{problems:?}");
        assert!(!problems[0].message.contains("SECRET1"));
    }
}

#[test]
fn edits_that_make_no_sense_are_refused() {
    let mut file = UserFile::open("[user.ann]\n").unwrap();
    let before = file.text();
    let long = "x".repeat(1025);
    assert_eq!(file.add(&new("Ann", "x")), Err(EditError::Exists));
    assert_eq!(file.add(&new("", "x")), Err(EditError::Name));
    assert_eq!(file.add(&new("bob", "")), Err(EditError::Password));
    assert_eq!(file.add(&new("bob", &long)), Err(EditError::Password));
    assert_eq!(file.set_password("bob", "x"), Err(EditError::Unknown));
    assert_eq!(file.set_password("ann", ""), Err(EditError::Password));
    assert_eq!(file.remove("bob"), Err(EditError::Unknown));
    let senders = ["no @ sender".to_owned()];
    let wrong = NewUser {
        senders: &senders,
        ..new("bob", "x")
    };
    assert!(matches!(file.add(&wrong), Err(EditError::Address(_))));
    let recipients = ["*".to_owned()];
    let wrong = NewUser {
        recipients: &recipients,
        ..new("bob", "x")
    };
    assert!(matches!(file.add(&wrong), Err(EditError::Address(_))));
    assert_eq!(file.text(), before);
    for text in ["user = 3\n", "[user\n"] {
        assert!(matches!(UserFile::open(text), Err(EditError::NotUsers(_))));
    }
}
