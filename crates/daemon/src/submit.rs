//! The submit socket: programs of this machine hand in messages there, and can do nothing else. It
//! speaks SMTP, and knows by the system which account speaks.

use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;

use config::Config;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::fchownat;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::accounts::{account_named, group_named};
use crate::doors::Doors;
use crate::listener::{ACCEPT_PAUSE, report_fault, see_out};
use crate::local_session;
use crate::services::{Services, Stop};

/// Opens `submit.socket`, where the configuration has one and it is not open already, with its mode,
/// group and owner. As root, who can give it to any group; the relay's account owns it, so that its
/// next start can replace it.
///
/// # Errors
/// Says which step failed.
pub fn open_submit_socket(config: &Config, doors: &Doors) -> Result<Option<StdListener>, String> {
    let Some(submit) = &config.local.submit else {
        return Ok(None);
    };
    let failed = |error| format!("submit.socket: {error}");
    let opened = doors.lasting_at(&submit.socket, submit.mode);
    let (socket, is_given) = opened.map_err(failed)?;
    if is_given {
        return Ok(Some(socket));
    }
    let own = nix::unistd::geteuid();
    let user = account_named(&config.user.name).ok().flatten();
    let user = user.filter(|_| own.is_root()).map(|user| user.uid);
    let group = match (&submit.group, own.is_root()) {
        (None, false) => None,
        (None, true) => group_named(&config.group.name).ok().flatten(),
        (Some(name), _) => {
            let group = group_named(name).ok().flatten();
            Some(group.ok_or_else(|| format!("submit.group: there is no group `{name}`"))?)
        }
    };
    let given = fchownat(
        AT_FDCWD,
        &submit.socket,
        user,
        group,
        AtFlags::AT_SYMLINK_NOFOLLOW,
    );
    given.map_err(|error| {
        let path = submit.socket.display();
        format!("submit.socket: {path} cannot be given to its group: {error}")
    })?;
    Ok(Some(socket))
}

/// Accepts until the relay stops, then waits for its sessions.
pub(crate) async fn serve(services: Arc<Services>, socket: UnixListener) {
    let mut stop = services.stop.subscribe();
    let mut sessions = JoinSet::new();
    while *stop.borrow() == Stop::Running {
        tokio::select! {
            _ = stop.changed() => {}
            Some(ended) = sessions.join_next() => report_fault(ended),
            accepted = socket.accept() => match accepted {
                Ok((stream, _)) => {
                    sessions.spawn(greet(Arc::clone(&services), stream));
                }
                Err(error) => {
                    tracing::error!(%error, "cannot accept a connection at submit.socket");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
    drop(socket);
    see_out(sessions, stop).await;
}

async fn greet(services: Arc<Services>, stream: UnixStream) {
    let uid = match stream.peer_cred() {
        Ok(peer) => peer.uid(),
        Err(error) => return tracing::warn!(%error, "submit.socket: unknown peer"),
    };
    let active = services.active();
    let Some(submit) = &active.setup.config.local.submit else {
        return;
    };
    let settings = Arc::clone(&submit.session);
    drop(active);
    local_session::serve(services, settings, stream, uid, None).await;
}
