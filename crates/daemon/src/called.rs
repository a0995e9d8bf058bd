//! A program that is called, waited for, and heard where it fails. Not by a shell, and not for ever.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Of what it says when it fails, so many octets are told.
const WORDS_MAX: u64 = 600;
/// So long the last of it may take after its end.
const WORDS_WAIT: Duration = Duration::from_secs(1);

/// Runs it until it has ended, or for `limit`; then it is killed with all that it has called.
///
/// # Errors
/// It could not be called, took too long or ended with another code than 0: then with what it wrote
/// to its error output.
pub(crate) async fn call(command: &mut Command, limit: Duration) -> Result<(), String> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("cannot be called: {error}"))?;
    let mut group = Group(child.id().and_then(|id| i32::try_from(id).ok()));
    let mut said = Vec::new();
    let ended = timeout(limit, ended(&mut child, &mut said)).await;
    if ended.is_ok() {
        group.0 = None;
    }
    let failure = match ended {
        Ok(Ok(status)) if status.success() => return Ok(()),
        Ok(Ok(status)) => ending(status),
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("it took longer than {} seconds", limit.as_secs()),
    };
    let said = String::from_utf8_lossy(&said);
    Err(format!("{failure}: {}", mail::escaped(said.trim())))
}

/// A program and all that it has called, which are killed with this: their time is over, or the relay
/// stops. `None` once it has ended.
struct Group(Option<i32>);

impl Drop for Group {
    fn drop(&mut self) {
        let _gone = self
            .0
            .map(|group| killpg(Pid::from_raw(group), Signal::SIGKILL));
    }
}

/// Waits for its end, and gathers the first of what it says.
async fn ended(child: &mut Child, said: &mut Vec<u8>) -> io::Result<ExitStatus> {
    let stderr = child.stderr.take();
    let listening = async {
        if let Some(stderr) = stderr {
            let mut first = stderr.take(WORDS_MAX);
            let _told_as_far_as_it_went = first.read_to_end(said).await;
            let _drained = tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await;
        }
    };
    tokio::pin!(listening);
    tokio::select! {
        () = &mut listening => child.wait().await,
        status = child.wait() => {
            // What it has left running may hold its output open for ever.
            let _heard = timeout(WORDS_WAIT, listening).await;
            status
        }
    }
}

fn ending(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("it ended with {code}"),
        None => "it was killed".to_owned(),
    }
}
