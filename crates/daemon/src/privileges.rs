//! Giving up root: after the low ports are bound, the process becomes its own user and keeps one
//! right, to bind low ports again on reload.
//!
//! Must run before any thread is started: on Linux each thread has its own identity.

use std::path::Path;

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{chown, geteuid, setgid, setgroups, setuid};

use crate::accounts::{account_named, group_named};

/// Becomes `user` and `group` when started as root, giving `owned` directories to that user first.
/// Does nothing when not root, or when the user is root itself.
///
/// # Errors
/// A text that says which step failed: there is no such user, or the kernel said no. The caller
/// must not go on.
pub fn drop_to(user: &str, group: Option<&str>, owned: &[&Path]) -> Result<(), String> {
    if !geteuid().is_root() || user == "root" {
        return Ok(());
    }
    let identity = account_named(user)
        .map_err(|e| format!("user `{user}` cannot be looked up: {e}"))?
        .ok_or_else(|| no_such_user(user, group))?;
    let gid = match group {
        None => identity.gid,
        Some(group) => {
            group_named(group)
                .map_err(|e| format!("group `{group}` cannot be looked up: {e}"))?
                .ok_or_else(|| {
                    format!("there is no group `{group}`: create it (groupadd --system {group}), or name another one with `group = \"...\"`")
                })?
        }
    };
    for path in owned {
        chown(*path, Some(identity.uid), Some(gid))
            .map_err(|e| format!("{} cannot be given to {user}: {e}", path.display()))?;
    }
    caps::securebits::set_keepcaps(true).map_err(|e| format!("keeping capabilities: {e}"))?;
    setgroups(&[gid]).map_err(|e| format!("setgroups: {e}"))?;
    setgid(gid).map_err(|e| format!("setgid: {e}"))?;
    setuid(identity.uid).map_err(|e| format!("setuid: {e}"))?;
    keep_only_low_ports().map_err(|e| format!("keeping the right to bind low ports: {e}"))
}

/// One command makes the account and, where it is of the same name, the group.
fn no_such_user(user: &str, group: Option<&str>) -> String {
    let group = match group {
        Some(group) if group != user => format!("--gid {group}"),
        Some(_) | None => "--user-group".to_owned(),
    };
    format!(
        "there is no user `{user}`: create it (useradd --system {group} --shell /usr/sbin/nologin {user}), or name another one with `user = \"...\"`"
    )
}

/// Has a program that this process becomes keep the right to bind low ports, if this one has it: a
/// user other than root loses it otherwise.
pub(crate) fn outlive_exec() -> Result<(), caps::errors::CapsError> {
    let right = Capability::CAP_NET_BIND_SERVICE;
    if !geteuid().is_root() && caps::has_cap(None, CapSet::Permitted, right)? {
        caps::raise(None, CapSet::Inheritable, right)?;
        caps::raise(None, CapSet::Ambient, right)?;
    }
    Ok(())
}

/// Of all that root may do, binding low ports stays, so that a reload can open a new listener.
fn keep_only_low_ports() -> Result<(), caps::errors::CapsError> {
    let kept: CapsHashSet = [Capability::CAP_NET_BIND_SERVICE].into_iter().collect();
    caps::set(None, CapSet::Effective, &kept)?;
    caps::set(None, CapSet::Permitted, &kept)?;
    caps::securebits::set_keepcaps(false)
}
