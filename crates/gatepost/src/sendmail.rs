//! `gatepost sendmail`, and the binary called as `sendmail` or `mailq`: hands a message to the relay of
//! this machine, and keeps it for later while that does not run. It has no rights of its own.

use std::fmt::Display;
use std::fs::{File, Permissions};
use std::io::{self, BufRead, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use bytes::{Buf as _, Bytes};
use config::{Disk, LocalSubmission};
use mail::{Domain, Mailbox, Reply};
use nix::unistd::Uid;
use submission::{Arguments, Ended, Handover, Mode, NotSubmitted, Origin, Submission, is_lone_dot};

use crate::cli::{Cli, DEFAULT_CONFIG, QueueVerb, Selection};
use crate::queue_commands;

/// Random characters in the name of a file that is kept: nobody can guess it.
const NAME_RANDOM: usize = 24;
/// In the mode of a folder: everybody may see which files are in it.
const LISTED: u32 = 0o004;

/// How it ends, as sysexits.h has it. Programs take every other end than 0 for a failure.
enum Exit {
    Ok = 0,
    Usage = 64,
    DataError = 65,
    NoUser = 67,
    Unavailable = 69,
    OsError = 71,
    TryAgain = 75,
    NoPermission = 77,
    Configuration = 78,
}

/// Why a message was not sent, and how that is said.
struct Failure(Exit, String);

/// The arguments, when the binary was called by one of the names that programs know.
pub fn called_as() -> Option<Vec<String>> {
    let mut arguments = std::env::args_os().map(|one| one.to_string_lossy().into_owned());
    let program = arguments.next()?;
    match Path::new(&program).file_name()?.to_str()? {
        "sendmail" => Some(arguments.collect()),
        "mailq" => Some(["-bp".to_owned()].into_iter().chain(arguments).collect()),
        _ => None,
    }
}

/// Does what the arguments say; `config` is the configuration where they name none.
pub fn command(config: Option<&Path>, arguments: Vec<String>) -> ExitCode {
    let exit = match run(config, arguments) {
        Ok(code) => return code,
        Err(Failure(exit, why)) => {
            tell(why);
            exit
        }
    };
    ExitCode::from(exit as u8)
}

/// To the caller. It may have closed that end; what became of the message does not change by it.
fn tell(what: impl Display) {
    let _unheard = writeln!(io::stderr(), "sendmail: {what}");
}

fn run(config: Option<&Path>, arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let arguments =
        Arguments::parse(arguments).map_err(|why| Failure(Exit::Usage, why.to_string()))?;
    let config = arguments.config.as_deref().or(config);
    let config = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    match arguments.mode {
        Mode::ListQueue => return Ok(list_queue(config)),
        Mode::MakeAliases => return Ok(ExitCode::from(Exit::Ok as u8)),
        Mode::Send | Mode::Smtp => {}
    }
    // What stands in the file is not told: anybody may name any file.
    let local = config::local_submission(config, &Disk).map_err(|error| {
        let why = format!("the configuration {}: {error}", config.display());
        Failure(Exit::Configuration, why)
    })?;
    if arguments.mode == Mode::Smtp {
        speak(&local)?;
    } else {
        send(&local, &arguments)?;
    }
    Ok(ExitCode::from(Exit::Ok as u8))
}

fn list_queue(config: &Path) -> ExitCode {
    let cli = Cli {
        config: config.to_owned(),
        json: false,
        command: None,
    };
    let everything = QueueVerb::List {
        selection: Selection { filter: Vec::new() },
        limit: 0,
    };
    match queue_commands::run(&cli, &everything) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn socket(local: &LocalSubmission) -> Result<&Path, Failure> {
    let missing = || Failure(Exit::Configuration, "there is no submit.socket".to_owned());
    local.socket.as_deref().ok_or_else(missing)
}

fn unreachable(error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::TryAgain,
    };
    Failure(exit, format!("the relay cannot be reached: {error}"))
}

/// SMTP between the caller and the relay: every octet goes through as it is.
fn speak(local: &LocalSubmission) -> Result<(), Failure> {
    daemon::speak(socket(local)?).map_err(|error| {
        let _unheard = writeln!(io::stdout(), "421 4.3.2 The relay does not run\r");
        unreachable(&error)
    })
}

fn send(local: &LocalSubmission, arguments: &Arguments) -> Result<(), Failure> {
    let input = message(io::stdin().lock(), local.message_size, arguments)
        .map_err(|why| Failure(Exit::DataError, format!("the message: {why}")))?;
    let input = Bytes::from(input);
    let origin = Origin::Program(arguments, &user(local)?);
    let submission = Submission::read(&input, origin).map_err(|why| {
        let exit = match why {
            NotSubmitted::NoRecipients => Exit::Usage,
            NotSubmitted::NoSender | NotSubmitted::Address(..) | NotSubmitted::Envelope(_) => {
                Exit::DataError
            }
        };
        Failure(exit, why.to_string())
    })?;
    let tells = arguments.verbose || io::stderr().is_terminal();
    let Failure(exit, why) = match hand_over(local, submission.clone(), &input) {
        Ok(reply) => {
            if tells {
                tell(reply);
            }
            return Ok(());
        }
        Err(failure) => failure,
    };
    let is_refused = matches!(exit, Exit::NoUser | Exit::Unavailable);
    let Some(directory) = local.pickup.as_ref().filter(|_| !is_refused) else {
        return Err(Failure(exit, why));
    };
    keep(local, directory, &submission, &input).map_err(|error| {
        let path = directory.display();
        Failure(exit, format!("{why}; and not kept in {path}: {error}"))
    })?;
    if tells {
        tell(format_args!("kept for later: {why}"));
    }
    Ok(())
}

/// What the caller writes. Without `-i` a lone dot ends it, and whoever wrote that may say nothing
/// more and not close the pipe either.
fn message(input: impl BufRead, size_max: u64, arguments: &Arguments) -> io::Result<Vec<u8>> {
    let mut input = input.take(size_max.saturating_add(1));
    let mut message = Vec::new();
    let mut start = 0;
    if arguments.dots_are_text {
        input.read_to_end(&mut message)?;
    }
    while input.read_until(b'\n', &mut message)? > 0 {
        // One that was cut at the limit is no dot.
        if is_lone_dot(&message[start..]) && message.len() as u64 <= size_max {
            message.truncate(start);
            break;
        }
        start = message.len();
    }
    if message.len() as u64 > size_max {
        let why = format!("it is larger than limits.message_size, {size_max} octets");
        return Err(io::Error::other(why));
    }
    Ok(message)
}

/// Who calls, as an address of this machine.
fn user(local: &LocalSubmission) -> Result<Mailbox, Failure> {
    let hostname = local
        .hostname
        .clone()
        .or_else(|| daemon::environment().hostname);
    let hostname = hostname.as_ref().map_or("localhost", Domain::as_str);
    let uid = Uid::current();
    let name = daemon::account_of(uid).map(|account| account.name);
    let named = name.and_then(|name| Mailbox::parse(&format!("{name}@{hostname}")).ok());
    let numbered = || Mailbox::parse(&format!("uid-{uid}@{hostname}"));
    named
        .map_or_else(numbered, Ok)
        .map_err(|why| Failure(Exit::OsError, format!("the user has no address: {why}")))
}

/// Gives what the relay said when it took the message.
fn hand_over(
    local: &LocalSubmission,
    submission: Submission,
    input: &Bytes,
) -> Result<Reply, Failure> {
    let socket = socket(local)?;
    let rest = input.slice(submission.taken..).reader();
    let handover = Handover::new("localhost", submission);
    let ended = daemon::hand_in(socket, handover, rest).map_err(|error| unreachable(&error))?;
    match ended {
        Ended::Taken(reply) => Ok(reply),
        Ended::Postponed(reply) => Err(Failure(Exit::TryAgain, reply.to_string())),
        Ended::Refused { recipient, reply } => Err(refused(recipient.as_ref(), &reply)),
    }
}

/// Nobody gets the message.
fn refused(recipient: Option<&Mailbox>, reply: &Reply) -> Failure {
    match recipient {
        // RFC 3463: X.1.X is about the address.
        Some(recipient) if reply.status().subject == 1 => {
            Failure(Exit::NoUser, format!("{recipient}: {reply}"))
        }
        Some(recipient) => Failure(Exit::Unavailable, format!("{recipient}: {reply}")),
        None => Failure(Exit::Unavailable, reply.to_string()),
    }
}

/// Puts the message into the pickup directory, where the relay finds it when it runs again. Nobody
/// reads it there but the relay, its group, and whoever may list the directory.
fn keep(
    local: &LocalSubmission,
    directory: &Path,
    submission: &Submission,
    input: &[u8],
) -> io::Result<()> {
    if !local.pickup_serves(&submission.sender) {
        let why = "relay.pickup or pickup.senders forbids there what the socket permits";
        return Err(io::Error::other(why));
    }
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(NAME_RANDOM)
        .tempfile_in(directory)?;
    let mode = mode(file.as_file(), directory, &local.group)?;
    file.write_all(submission.envelope_lines().as_bytes())?;
    file.write_all(&submission.head)?;
    file.write_all(&input[submission.taken..])?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    let name = file.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let path = directory.join(format!("{}.eml", name.trim_start_matches('.')));
    let kept = file.persist(path)?;
    // Its name, too, is on stable storage then; by the directory itself where we may read that.
    kept.sync_all()?;
    File::open(directory).map_or(Ok(()), |directory| directory.sync_all())
}

/// With which the relay can read a file that is kept there. The directory belongs to the relay's
/// account. Where the file has neither that owner nor the relay's group, only its name keeps it
/// secret, so that nobody else may see names there.
fn mode(file: &File, directory: &Path, group: &str) -> io::Result<u32> {
    let (file, directory) = (file.metadata()?, std::fs::metadata(directory)?);
    let group = daemon::group_named(group).ok().flatten();
    let is_of_group = group.is_some_and(|group| group.as_raw() == file.gid());
    if is_of_group || file.uid() == directory.uid() {
        return Ok(0o640);
    }
    if directory.mode() & LISTED != 0 {
        let why = "everybody could read it: others may list the directory, and files there do not \
                   get the group of the relay";
        return Err(io::Error::other(why));
    }
    Ok(0o644)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    /// A caller that says nothing more and does not close the pipe.
    struct Open;

    impl io::Read for Open {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            panic!("it would wait for ever");
        }
    }

    #[test]
    fn a_message_ends_at_a_lone_dot_or_with_its_octets() {
        let dots_are_text = Arguments {
            dots_are_text: true,
            ..Arguments::default()
        };
        for (input, expected) in [
            ("a\n.\nb\n", "a\n"),
            ("a\r\n.\r\nb", "a\r\n"),
            (".", ""),
            ("a\n..\n.b\nc.", "a\n..\n.b\nc."),
        ] {
            let octets = input.as_bytes();
            let read = message(octets, 100, &Arguments::default()).unwrap();
            assert_eq!(read, expected.as_bytes(), "{input}");
            let read = message(octets, 100, &dots_are_text).unwrap();
            assert_eq!(read, octets, "{input}");
        }
        let open = io::Read::chain(&b"a\n.\n"[..], BufReader::new(Open));
        assert_eq!(message(open, 100, &Arguments::default()).unwrap(), b"a\n");
    }

    #[test]
    fn no_more_is_read_than_the_relay_takes() {
        for arguments in [
            Arguments::default(),
            Arguments {
                dots_are_text: true,
                ..Arguments::default()
            },
        ] {
            assert!(message(&b"abc\n"[..], 4, &arguments).is_ok());
            // Cut behind the dot it would look like an end.
            for input in ["abc\nd", "abc\n.d"] {
                let open = io::Read::chain(input.as_bytes(), BufReader::new(Open));
                assert!(message(open, 4, &arguments).is_err(), "{input}");
            }
        }
    }
}
