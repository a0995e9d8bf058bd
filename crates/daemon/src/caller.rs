//! The way of a program to the submit socket of the relay that runs.

use std::io::{self, Read, Write as _};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use submission::{Ended, Handover};
use tokio::time::timeout;

use crate::hand_over::hand_over;

/// How long the relay may take for a message.
const TIME_LIMIT: Duration = Duration::from_secs(600);

/// Hands a message to the relay that listens at `socket`: its head, then `rest`. Blocks, for ten
/// minutes at most.
///
/// # Errors
/// When nobody listens there, or not for us.
pub fn hand_in(
    socket: &Path,
    handover: Handover,
    rest: impl Read + Send + 'static,
) -> io::Result<Ended> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let stream = tokio::net::UnixStream::connect(socket).await?;
        let handed = timeout(TIME_LIMIT, hand_over(stream, handover, rest)).await;
        handed.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the relay does not answer"))
    })
}

/// Lets standard input and output speak with the relay that listens at `socket`, octet by octet,
/// until it ends the session.
///
/// # Errors
/// When nobody listens there, or not for us, or nobody reads the answers.
pub fn speak(socket: &Path) -> io::Result<()> {
    let mut from_relay = UnixStream::connect(socket)?;
    let mut to_relay = from_relay.try_clone()?;
    // It waits for the caller, who may say nothing more: when the relay has ended, so have we.
    std::thread::spawn(move || {
        let _ended = io::copy(&mut io::stdin().lock(), &mut to_relay);
        let _closed = to_relay.shutdown(Shutdown::Write);
    });
    let mut out = io::stdout().lock();
    io::copy(&mut from_relay, &mut out)?;
    out.flush()
}
