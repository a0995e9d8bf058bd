//! Another program in place of this one, without a client that is turned away: the program that
//! stands where this one was started from.
//!
//! The process stays and becomes the other program (exec): the spool never has two writers, systemd
//! goes on looking after the same process, and the listening sockets stay open. Clients that come
//! meanwhile wait for their greeting; what is under way ends first, as at a stop.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::env;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsRawFd as _, RawFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::unistd::execve;
use socket2::Socket;
use tokio::process::Command;
use tokio::sync::Notify;

use crate::called;
use crate::doors::{HandedOn, NONE};
use crate::privileges;

/// What systemd's way of handing on sockets says in the environment.
const HANDED_ON: [&str; 3] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"];
/// The first descriptor that is handed on.
const FIRST: RawFd = 3;
/// So long the other program may look at the configuration.
const LOOK_MAX: Duration = Duration::from_secs(30);

/// The upgrades of one relay.
pub(crate) struct Upgrades {
    program: Result<Program, String>,
    /// The main file of the configuration, if it is in one.
    configuration: Option<PathBuf>,
    /// One at a time looks at the other program.
    looking: tokio::sync::Mutex<()>,
    /// Why the last one that was asked for did not begin.
    refused: Mutex<Option<String>>,
    wanted: Notify,
}

impl Upgrades {
    /// Of a relay that starts now. The place of its program is found out here: later another file
    /// stands there.
    pub(crate) fn new(configuration: Option<PathBuf>) -> Self {
        Self {
            program: Program::of_this_process(),
            configuration,
            looking: tokio::sync::Mutex::default(),
            refused: Mutex::default(),
            wanted: Notify::new(),
        }
    }

    /// Has the other program look at the configuration as it is now.
    ///
    /// # Errors
    /// It cannot be called, or would not start with it. Everything goes on as before.
    pub(crate) async fn look(&self) -> Result<&Program, String> {
        let _alone = self.looking.lock().await;
        let looked = self.try_program().await;
        if let Err(why) = &looked {
            tracing::error!(why, "no upgrade, everything goes on as before");
        }
        let why = looked.as_ref().err().cloned();
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = why;
        looked
    }

    async fn try_program(&self) -> Result<&Program, String> {
        let program = self.program.as_ref().map_err(Clone::clone)?;
        let none = "this relay's configuration has no file";
        let file = self.configuration.as_deref().ok_or(none)?;
        let mut command = Command::new(&program.path);
        command
            .arg("--config")
            .arg(file)
            .args(["config", "check"])
            .env_remove("NOTIFY_SOCKET");
        let looked = called::call(&mut command, LOOK_MAX).await;
        looked.map_err(|why| format!("{} config check: {why}", program.path.display()))?;
        Ok(program)
    }

    /// Why the last one that was asked for did not begin.
    pub(crate) fn refused(&self) -> Option<String> {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.clone()
    }

    /// What goes on with these sockets.
    ///
    /// # Errors
    /// It is not known where the program stands.
    pub(crate) fn next(&self, sockets: Vec<HandedOn>) -> Result<Next, String> {
        let program = self.program.clone()?;
        Ok(Next { program, sockets })
    }

    /// Begins it.
    pub(crate) fn begin(&self) {
        self.wanted.notify_one();
    }

    /// Comes when it is to begin.
    pub(crate) async fn begun(&self) {
        self.wanted.notified().await;
    }
}

/// A program and how it is called.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The place by which this process was called, so that a link there may lead to another version
    /// later; else the place of its file.
    fn of_this_process() -> Result<Self, String> {
        let file = env::current_exe();
        let file = file.map_err(|e| format!("it is not known where the program stands: {e}"))?;
        let mut words = env::args_os();
        let called = PathBuf::from(words.next().unwrap_or_default());
        let places = match called.components().count() {
            1 => env::var_os("PATH").unwrap_or_default(),
            _ => OsString::new(),
        };
        let places = env::split_paths(&places).map(|folder| folder.join(&called));
        let places = std::iter::once(called.clone()).chain(places);
        let mut places = places.filter_map(|place| std::path::absolute(place).ok());
        let is_it = |place: &Path| place.canonicalize().is_ok_and(|real| real == file);
        let path = places.find(|place| is_it(place));
        Ok(Self {
            path: path.unwrap_or_else(|| where_it_stood(file)),
            arguments: words.collect(),
        })
    }
}

/// The system says so of a file that is gone, or has another in its place.
fn where_it_stood(file: PathBuf) -> PathBuf {
    let octets = file.as_os_str().as_bytes();
    match octets.strip_suffix(b" (deleted)") {
        Some(stood) if !file.exists() => PathBuf::from(OsStr::from_bytes(stood)),
        _ => file,
    }
}

/// What is left of a relay that is to go on as another program.
pub(crate) struct Next {
    pub(crate) program: Program,
    sockets: Vec<HandedOn>,
}

impl Next {
    /// Becomes it. Where that is impossible this program starts anew, with the same sockets. Signals
    /// that are held back meanwhile are the other program's.
    ///
    /// # Errors
    /// Neither is possible.
    pub(crate) fn go(self) -> Result<Infallible, String> {
        let sockets = self.placed()?;
        if let Err(error) = privileges::outlive_exec() {
            // A listener of a reload may lack a low port; those that are open are there.
            eprintln!("gatepost: the right to bind low ports is lost: {error}");
        }
        let environment = environment(&sockets)?;
        let mut last = String::new();
        for path in [self.program.path.as_path(), Path::new("/proc/self/exe")] {
            let why = self.execute(path, &environment);
            last = format!("{} cannot be executed: {why}", path.display());
            eprintln!("gatepost: {last}");
        }
        Err(last)
    }

    fn execute(&self, path: &Path, environment: &[CString]) -> String {
        let called = std::iter::once(self.program.path.as_os_str());
        let words = called.chain(self.program.arguments.iter().map(OsString::as_os_str));
        let words = words.map(text).collect::<Result<Vec<_>, _>>();
        let executed = words.and_then(|words| {
            let path = text(path.as_os_str())?;
            execve(&path, &words, environment).map_err(|error| error.to_string())
        });
        match executed {
            Ok(never) => match never {},
            Err(why) => why,
        }
    }

    /// The sockets at descriptors that stay open in the other program: small numbers, now that all
    /// others are closed.
    fn placed(&self) -> Result<Vec<(Socket, &'static str)>, String> {
        let placed = self.sockets.iter().map(|HandedOn { name, socket }| {
            let socket = socket.try_clone().map_err(|error| error.to_string())?;
            let stays = FcntlArg::F_SETFD(FdFlag::empty());
            fcntl(&socket, stays).map_err(|error| error.to_string())?;
            Ok((socket, *name))
        });
        let placed: Result<_, String> = placed.collect();
        placed.map_err(|why| format!("listening sockets cannot be handed on: {why}"))
    }
}

/// The environment of this process, and in it which descriptors are listening sockets.
fn environment(sockets: &[(Socket, &'static str)]) -> Result<Vec<CString>, String> {
    let names: BTreeMap<RawFd, &str> = sockets
        .iter()
        .map(|(socket, name)| (socket.as_raw_fd(), *name))
        .collect();
    let end = names.last_key_value().map_or(FIRST, |(last, _)| last + 1);
    let all: Vec<&str> = (FIRST..end)
        .map(|number| names.get(&number).copied().unwrap_or(NONE))
        .collect();
    let own = [
        std::process::id().to_string(),
        all.len().to_string(),
        all.join(":"),
    ];
    let own = HANDED_ON
        .iter()
        .zip(own)
        .map(|(name, value)| OsString::from(format!("{name}={value}")));
    let others = env::vars_os().filter(|(name, _)| HANDED_ON.iter().all(|own| name != own));
    let others = others.map(|(mut variable, value)| {
        variable.push("=");
        variable.push(value);
        variable
    });
    others.chain(own).map(|variable| text(&variable)).collect()
}

fn text(word: &OsStr) -> Result<CString, String> {
    CString::new(word.to_owned().into_vec()).map_err(|error| error.to_string())
}
