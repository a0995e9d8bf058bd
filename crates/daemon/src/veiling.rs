//! How mail addresses are made unrecognisable in logs and in what is tracked (`log.privacy`), and
//! the key for that.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use config::Privacy;
use filter::{Condition, Filter, Glob};
use privacy::{KEY_LEN, Veil};
use protocol_log::{MailLine, Row};
use tracking::Transcript;

use crate::key_file;

/// What stands between the time and what a client says in a dialogue.
const SAYS: &str = " C: ";
/// In `data_dir`: whoever has it can try which address a hash stands for.
const KEY_FILE: &str = "privacy.key";

/// What `log.privacy` says, with the key, which is made when there is none. `None`: addresses stand
/// as they are.
///
/// # Errors
/// The key cannot be read or made; with another one equal addresses would no longer look equal.
pub(crate) fn open(privacy: Privacy, data_dir: &Path) -> Result<Option<Arc<Veil>>, String> {
    let file = data_dir.join(KEY_FILE);
    let veil = match privacy {
        Privacy::Off => return Ok(None),
        Privacy::Cut => Veil::cutting(),
        Privacy::Hash => {
            let named = |error| format!("log.privacy: {}: {error}", file.display());
            Veil::hashing(&key_file::open::<KEY_LEN>(&file).map_err(named)?)
        }
    };
    Ok(Some(Arc::new(veil)))
}

/// A row of a protocol log. The Message-ID behind DATA has the form of an address and is none.
pub(crate) fn row(veil: &Veil, row: &Row) -> Row {
    let mut row = row.clone();
    if &*row.verb != "DATA" {
        row.argument = veil.argument(&row.verb, &row.argument).into();
        row.verb = veil.verb(&row.verb).into();
    }
    row
}

/// A line of a maillog.
pub(crate) fn mail_line(veil: &Veil, line: &MailLine) -> MailLine {
    let mut line = line.clone();
    for text in line.texts() {
        *text = veil.text(text).into();
    }
    line
}

/// A row of what is tracked: Message-IDs stay, and who looked for one finds it.
pub(crate) fn tracked(veil: &Veil, row: &tracking::Row) -> tracking::Row {
    let mut row = row.clone();
    row.user = veil.user(&row.user).into();
    row.recipient = veil.mailbox(&row.recipient).into();
    row.sender = row.sender.map(|sender| veil.mailbox(&sender).into());
    for text in [&mut row.route, &mut row.host, &mut row.place] {
        if text.contains('@') {
            *text = veil.text(text).into();
        }
    }
    // The subject is a sentence of ours where we warn of somebody.
    for sentence in [&mut row.subject, &mut row.reply, &mut row.note] {
        *sentence = veil.sentence(sentence).into();
    }
    row
}

/// A dialogue.
pub(crate) fn transcript(veil: &Veil, transcript: &Transcript) -> Transcript {
    let lines = transcript.text.split_inclusive('\n');
    Transcript {
        text: lines.map(|line| said(veil, line)).collect(),
        ..transcript.clone()
    }
}

/// A line of a dialogue, as [`smtp::Dialogue`] prints it.
fn said<'a>(veil: &Veil, line: &'a str) -> Cow<'a, str> {
    let command = line
        .split_once(SAYS)
        .filter(|(time, _)| !time.contains(char::is_alphabetic));
    // What stands in brackets is about content.
    let command = command.filter(|(_, command)| !command.starts_with('('));
    let Some((time, command)) = command else {
        return veil.text(line);
    };
    let (command, end) = command.split_at(command.trim_end_matches('\n').len());
    let (verb, argument) = command.split_at(command.find(' ').unwrap_or(command.len()));
    let (argument, verb) = (veil.argument(verb, argument), veil.verb(verb));
    format!("{time}{SAYS}{verb}{argument}{end}").into()
}

/// What is asked about addresses, as they stand in what is tracked: who asks for one finds it by its
/// hash.
pub(crate) fn asked(veil: &Veil, filter: Filter) -> Filter {
    let address = |glob: Glob| Glob::new(&veil.mailbox(glob.as_str()));
    let conditions = filter.conditions.into_iter().map(|one| match one {
        Condition::To(glob) if is_exact(&glob) => Condition::To(address(glob)),
        Condition::From(glob) if is_exact(&glob) => Condition::From(address(glob)),
        Condition::User(glob) if is_exact(&glob) => {
            Condition::User(Glob::new(&veil.user(glob.as_str())))
        }
        other => other,
    });
    Filter {
        conditions: conditions.collect(),
    }
}

fn is_exact(glob: &Glob) -> bool {
    !glob.as_str().contains('*')
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use mail::{Timestamp, TrackedResult};
    use tracking::Stage;

    use super::*;

    #[test]
    fn the_key_is_made_once_and_for_the_relay_alone() {
        let folder = tempfile::tempdir().unwrap();
        let veiled = || {
            let veil = open(Privacy::Hash, folder.path()).unwrap();
            veil.unwrap().text("bob@x.example").into_owned()
        };
        let first = veiled();
        assert_eq!(veiled(), first);
        let file = folder.path().join(KEY_FILE);
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        std::fs::write(&file, "short").unwrap();
        let error = open(Privacy::Hash, folder.path()).unwrap_err();
        assert!(error.contains("privacy.key"), "{error}");
        std::fs::remove_file(&file).unwrap();
        assert_ne!(veiled(), first, "another key");
        assert!(open(Privacy::Off, folder.path()).unwrap().is_none());
    }

    #[test]
    fn neither_notes_nor_dialogues_name_people_without_a_domain() {
        let veil = Veil::hashing(&[7; KEY_LEN]);
        let over = admission::Over {
            subject: admission::Subject::User("zzann".into()),
            measure: admission::Measure::NewRecipients,
            count: 61,
            most: admission::Rate {
                count: 50,
                per: std::time::Duration::from_secs(3600),
            },
            usual: None,
            reaction: admission::Limit::default_of(admission::Reaction::Hold),
        };
        let user = veil.user("zzann");
        let mut row = tracking::Row::new(Timestamp::default(), TrackedResult::Held, Stage::Data);
        row.note = over.to_string().into();
        row.recipient = "zzbob".into();
        let row = tracked(&veil, &row);
        assert!(
            row.note.contains(&format!("of user {user} in 1 h")),
            "{row:?}"
        );
        assert_eq!(*row.recipient, veil.user("zzbob"));

        let said = [
            "     +0 C: VRFY zzann\n",
            "     +0 S: 252 2.1.5 Cannot say; C: VRFY x\n",
            "  +1000 C: RCPT TO:<a@x> ORCPT=rfc822;zzbob+40x\n",
            "     +1 C: (7 octets of content)\n",
            "     +1 C: QUIT\n",
            "     +1 C: ZZHAL zz\n",
        ];
        let dialogue = Transcript {
            at: Timestamp::default(),
            session: None,
            ids: Vec::new(),
            text: said.concat(),
        };
        let text = transcript(&veil, &dialogue).text;
        let bob = veil.text("zzbob@x");
        let recipient = veil.text("a@x");
        let expected = [
            format!("     +0 C: VRFY {user}\n"),
            said[1].to_owned(),
            format!("  +1000 C: RCPT TO:<{recipient}> ORCPT=rfc822;{bob}\n"),
            said[3].to_owned(),
            said[4].to_owned(),
            format!("     +1 C: {} {}\n", veil.user("zzhal"), veil.user("zz")),
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn who_asks_for_an_address_finds_it_by_its_hash() {
        let veil = Veil::hashing(&[7; KEY_LEN]);
        let mut row = tracking::Row::new(Timestamp::default(), TrackedResult::Refused, Stage::Rcpt);
        row.sender = Some("ann@x.example".into());
        row.recipient = "bob@y.example".into();
        row.user = "ann".into();
        row.message_id = "1@x.example".into();
        row.reply = "550 5.1.1 <bob@y.example> unknown".into();
        let row = tracked(&veil, &row);
        let shown = format!("{row:?}");
        assert!(!shown.contains("ann") && !shown.contains("bob"), "{shown}");
        assert_eq!(&*row.message_id, "1@x.example");
        let finds = |text: &str| {
            let filter = Filter::parse_tracked(text, Timestamp::default()).unwrap();
            asked(&veil, filter).matches(&row.facts())
        };
        let hashed = format!("to:{}", row.recipient);
        for text in [
            "to:BOB@y.example",
            "from:ann@x.example",
            "user:ann",
            "to:*@y.example",
            &hashed,
        ] {
            assert!(finds(text), "{text}");
        }
        assert!(!finds("to:eve@y.example") && !finds("to:b*@y.example"));
    }
}
