//! `gatepost sendmail`, and the binary called as `sendmail` or `mailq`: hands a message to the relay of
//! this machine, and keeps it for later while that does not run. It has no rights of its own.

use std::fs::Permissions;
use std::io::{self, Cursor, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use config::{Disk, LocalDoors};
use mail::{Domain, Mailbox, Reply};
use nix::unistd::{Uid, User};
use submission::{
    Arguments, Ended, Handover, Mode, NotSubmitted, Origin, Submission, until_lone_dot,
};

use crate::cli::{Cli, DEFAULT_CONFIG, QueueVerb, Selection};
use crate::{machine, queue_commands};

/// Octets of a message that are read; no relay takes as much.
const MESSAGE_BYTES_MAX: u64 = 1 << 30;
/// Random characters in the name of a file that is kept: nobody can guess it.
const NAME_RANDOM: usize = 24;

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
            eprintln!("sendmail: {why}");
            exit
        }
    };
    ExitCode::from(exit as u8)
}

fn run(config: Option<&Path>, arguments: Vec<String>) -> Result<ExitCode, Failure> {
    let arguments =
        Arguments::parse(arguments).map_err(|why| Failure(Exit::Usage, why.to_string()))?;
    let config = arguments.config.as_deref().or(config);
    let config = config.unwrap_or(Path::new(DEFAULT_CONFIG));
    if arguments.mode == Mode::ListQueue {
        return Ok(list_queue(config));
    }
    // What stands in the file is not told: anybody may name any file.
    let doors = config::local_doors(config, &Disk).map_err(|error| {
        let why = format!("the configuration {}: {error}", config.display());
        Failure(Exit::Configuration, why)
    })?;
    match arguments.mode {
        Mode::Smtp => speak(&doors)?,
        Mode::Send | Mode::ListQueue => send(&doors, &arguments)?,
    }
    Ok(ExitCode::from(Exit::Ok as u8))
}

fn list_queue(config: &Path) -> ExitCode {
    let cli = Cli {
        config: config.to_owned(),
        json: false,
        command: None,
    };
    let everything = QueueVerb::List(Selection { filter: Vec::new() });
    match queue_commands::run(&cli, &everything) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn socket(doors: &LocalDoors) -> Result<&Path, Failure> {
    let missing = || Failure(Exit::Configuration, "there is no submit.socket".to_owned());
    doors.socket.as_deref().ok_or_else(missing)
}

fn unreachable(error: &io::Error) -> Failure {
    let exit = match error.kind() {
        io::ErrorKind::PermissionDenied => Exit::NoPermission,
        _ => Exit::TryAgain,
    };
    Failure(exit, format!("the relay cannot be reached: {error}"))
}

/// SMTP between the caller and the relay: every octet goes through as it is.
fn speak(doors: &LocalDoors) -> Result<(), Failure> {
    daemon::speak(socket(doors)?).map_err(|error| {
        println!("421 4.3.2 The relay does not run");
        unreachable(&error)
    })
}

fn send(doors: &LocalDoors, arguments: &Arguments) -> Result<(), Failure> {
    let unread = |why: String| Failure(Exit::DataError, format!("the message: {why}"));
    let mut input = Vec::new();
    let read = io::stdin()
        .lock()
        .take(MESSAGE_BYTES_MAX)
        .read_to_end(&mut input);
    let octets = read.map_err(|error| unread(error.to_string()))?;
    if octets as u64 == MESSAGE_BYTES_MAX {
        return Err(unread("it is too large".to_owned()));
    }
    if !arguments.dots_are_text {
        input.truncate(until_lone_dot(&input).len());
    }
    let origin = Origin::Program(arguments, &user(doors)?);
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
    let Failure(exit, why) = match hand_over(doors, submission.clone(), input.clone()) {
        Ok(reply) => {
            if tells {
                eprintln!("sendmail: {reply}");
            }
            return Ok(());
        }
        Err(failure) => failure,
    };
    let is_refused = matches!(exit, Exit::NoUser | Exit::Unavailable);
    let Some(directory) = doors.pickup.as_ref().filter(|_| !is_refused) else {
        return Err(Failure(exit, why));
    };
    keep(directory, &submission, &input).map_err(|error| {
        let path = directory.display();
        Failure(exit, format!("{why}; and not kept in {path}: {error}"))
    })?;
    if tells {
        eprintln!("sendmail: kept for later: {why}");
    }
    Ok(())
}

/// Who calls, as an address of this machine.
fn user(doors: &LocalDoors) -> Result<Mailbox, Failure> {
    let hostname = doors
        .hostname
        .clone()
        .or_else(|| machine::environment().hostname);
    let hostname = hostname.as_ref().map_or("localhost", Domain::as_str);
    let uid = Uid::current();
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name);
    let named = name.and_then(|name| Mailbox::parse(&format!("{name}@{hostname}")).ok());
    let numbered = || Mailbox::parse(&format!("uid-{uid}@{hostname}"));
    named
        .map_or_else(numbered, Ok)
        .map_err(|why| Failure(Exit::OsError, format!("the user has no address: {why}")))
}

/// Gives what the relay said when it took the message.
fn hand_over(doors: &LocalDoors, submission: Submission, input: Vec<u8>) -> Result<Reply, Failure> {
    let socket = socket(doors)?;
    let mut rest = Cursor::new(input);
    rest.set_position(submission.taken as u64);
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
/// but the relay's group can read it there.
fn keep(directory: &Path, submission: &Submission, input: &[u8]) -> io::Result<()> {
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .rand_bytes(NAME_RANDOM)
        .tempfile_in(directory)?;
    file.write_all(submission.envelope_lines().as_bytes())?;
    file.write_all(&submission.head)?;
    file.write_all(&input[submission.taken..])?;
    // In a directory that gives its group to new files; in another the relay could not read it, and
    // its name keeps it secret.
    let of_its_group = file.as_file().metadata()?.gid() == std::fs::metadata(directory)?.gid();
    let mode = if of_its_group { 0o640 } else { 0o644 };
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    let name = file.path().file_name().unwrap_or_default();
    let name = name.to_string_lossy();
    let path = directory.join(format!("{}.eml", name.trim_start_matches('.')));
    let kept = file.persist(path)?;
    // Its name, too, is on stable storage then.
    kept.sync_all()
}
