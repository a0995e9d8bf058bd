//! `gatepost user`: who may sign in. Works on the users file alone; a running relay notices the
//! change by itself.

mod totp;

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sign_in::{ConsoleRole, EditError, NewUser, UserFile, Users};

use crate::cli::{Cli, UserVerb};
use crate::exit::{Failure, Outcome};
use crate::output::{self, say};
use crate::{account, run};

/// Runs one of the verbs.
pub fn command(cli: &Cli, verb: &UserVerb) -> Outcome {
    let config = run::load(&cli.config)?.config;
    let book = Book {
        path: config.auth.users_file.clone(),
        owner: config.user.name.clone(),
    };
    let no = |why: EditError| Failure::No(why.to_string());
    match verb {
        UserVerb::List => list(cli, &book),
        UserVerb::Add {
            name,
            no_relay,
            sender,
            recipient,
            console_role,
        } => book.change(cli, &format!("{name} may sign in"), |file| {
            let password = new_password(name)?;
            file.add(&NewUser {
                name,
                password: Some(&password),
                may_relay: !no_relay,
                senders: sender,
                recipients: recipient,
                console_role: console_role.role(),
            })
            .map_err(no)
        }),
        UserVerb::Passwd { name } => {
            book.change(cli, &format!("{name} has a new password"), |file| {
                let password = new_password(name)?;
                file.set_password(name, &password).map_err(no)
            })
        }
        UserVerb::Role { name, role } => {
            let what = match role.role() {
                Some(role) => format!("{name} may sign in at the console as {role}"),
                None => format!("{name} may not sign in at the console"),
            };
            book.change(cli, &what, |file| {
                file.set_console_role(name, role.role()).map_err(no)
            })
        }
        UserVerb::Totp { name, remove: true } => {
            let what = format!("{name} signs in at the console by the password alone");
            book.change(cli, &what, |file| file.set_totp(name, None).map_err(no))
        }
        UserVerb::Totp {
            name,
            remove: false,
        } => totp::give(cli, &book, name, config.hostname.as_str()),
        UserVerb::Remove { name } => {
            book.change(cli, &format!("{name} may no longer sign in"), |file| {
                file.remove(name).map_err(no)
            })
        }
    }
}

fn done(cli: &Cli, what: &str) -> Outcome {
    if cli.json {
        return output::json(&serde_json::json!({ "done": what }));
    }
    say!("{what}");
    Ok(ExitCode::SUCCESS)
}

fn list(cli: &Cli, book: &Book) -> Outcome {
    let file = book.open()?;
    let users = Users::parse(&file.text(), &book.path.display().to_string().into());
    let users = users.map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Failure::Configuration(lines.join("\n"))
    })?;
    if cli.json {
        let names: Vec<_> = file
            .names()
            .iter()
            .map(|name| as_json(&users, name))
            .collect();
        return output::json(&names);
    }
    let rows: Vec<Vec<String>> = file.names().iter().map(|name| row(&users, name)).collect();
    let heading = [
        "USER",
        "RELAY",
        "SENDERS",
        "RECIPIENTS",
        "CONSOLE",
        "SECOND FACTOR",
    ];
    output::table(&heading, &rows);
    Ok(ExitCode::SUCCESS)
}

fn rights(users: &Users, name: &str) -> Option<std::sync::Arc<relay_policy::Rights>> {
    let name = sign_in::prepare_name(name)?;
    Some(std::sync::Arc::clone(&users.find(&name)?.rights))
}

fn senders(rights: &relay_policy::Rights) -> Vec<String> {
    rights.senders.iter().map(ToString::to_string).collect()
}

fn recipients(rights: &relay_policy::Rights) -> Vec<String> {
    let lists = rights.only_to.iter();
    lists
        .flat_map(|only_to| only_to.recipients.iter().map(ToString::to_string))
        .collect()
}

/// What the user may do at the console, and whether a second factor goes with it.
fn at_console(users: &Users, name: &str) -> (Option<ConsoleRole>, bool) {
    match sign_in::prepare_name(name) {
        Some(name) => (users.console_role(&name), users.totp(&name).is_some()),
        None => (None, false),
    }
}

fn row(users: &Users, name: &str) -> Vec<String> {
    let Some(rights) = rights(users, name) else {
        let rest = std::iter::repeat_n(String::new(), 4);
        return [name.to_owned(), "disabled".to_owned()]
            .into_iter()
            .chain(rest)
            .collect();
    };
    let yes = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    let (role, second_factor) = at_console(users, name);
    vec![
        name.to_owned(),
        yes(rights.may_relay),
        senders(&rights).join(" "),
        recipients(&rights).join(" "),
        role.map_or("no", ConsoleRole::as_str).to_owned(),
        yes(second_factor),
    ]
}

fn as_json(users: &Users, name: &str) -> serde_json::Value {
    let rights = rights(users, name);
    let (role, second_factor) = at_console(users, name);
    serde_json::json!({
        "name": name,
        "disabled": rights.is_none(),
        "may_relay": rights.as_ref().is_some_and(|rights| rights.may_relay),
        "senders": rights.as_deref().map(senders).unwrap_or_default(),
        "recipients": rights.as_deref().map(recipients).unwrap_or_default(),
        "console_role": role.map(ConsoleRole::as_str),
        "second_factor": second_factor,
    })
}

/// Asked for twice on a terminal, without showing it; otherwise the first line of standard input.
fn new_password(name: &str) -> Result<String, Failure> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("the password cannot be read: {error}"));
    if std::io::stdin().is_terminal() {
        let first =
            rpassword::prompt_password(format!("Password for {name}: ")).map_err(unreadable)?;
        let again = rpassword::prompt_password("Again: ").map_err(unreadable)?;
        if first != again {
            return Err(Failure::Usage("the two passwords differ".to_owned()));
        }
        return Ok(first);
    }
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .read_line(&mut line)
        .map_err(unreadable)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// The users file on disk.
struct Book {
    path: PathBuf,
    /// The account that the relay runs as, which has to read it.
    owner: String,
}

impl Book {
    fn open(&self) -> Result<UserFile, Failure> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(self.failure(&error)),
        };
        UserFile::open(&text)
            .map_err(|why| Failure::Configuration(format!("{}: {why}", self.path.display())))
    }

    /// Reads the file, changes it, writes it and says what was done.
    fn change(
        &self,
        cli: &Cli,
        what: &str,
        act: impl FnOnce(&mut UserFile) -> Result<(), Failure>,
    ) -> Outcome {
        let mut file = self.open()?;
        act(&mut file)?;
        self.write(&file)?;
        done(cli, what)
    }

    /// Puts the new text in place of the old in one step, so that nobody ever reads half of it.
    fn write(&self, file: &UserFile) -> Result<(), Failure> {
        let new = self.path.with_extension("toml.new");
        self.write_new(&new, &file.text())
            .and_then(|()| std::fs::rename(&new, &self.path))
            .map_err(|error| {
                // It may not even be there; the error that counts is the first one.
                let _removed = std::fs::remove_file(&new);
                self.failure(&error)
            })
    }

    fn write_new(&self, new: &Path, text: &str) -> std::io::Result<()> {
        if let Some(directory) = self.path.parent() {
            std::fs::create_dir_all(directory)?;
        }
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(new)?;
        file.write_all(text.as_bytes())?;
        self.hand_over(&file)?;
        file.sync_all()
    }

    /// To whom the file belonged before; a new one to the account that the relay runs as.
    fn hand_over(&self, file: &std::fs::File) -> std::io::Result<()> {
        match std::fs::metadata(&self.path) {
            Ok(old) if nix::unistd::geteuid().is_root() => {
                std::os::unix::fs::fchown(file, Some(old.uid()), Some(old.gid()))
            }
            Ok(_) => Ok(()),
            Err(_) => account::give(file, &self.owner),
        }
    }

    fn failure(&self, error: &std::io::Error) -> Failure {
        Failure::No(format!("{}: {error}", self.path.display()))
    }
}
