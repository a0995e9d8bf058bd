use std::fs::File;
use std::io;
use std::os::unix::fs::fchown;

use daemon::account_named;
use nix::unistd::geteuid;

/// Gives a file or directory that root makes to the account that the relay runs as, which has to
/// read it. Where there is no such account, or somebody else makes it, it stays with its maker.
///
/// # Errors
/// Its owner cannot be changed.
pub fn give(file: &File, account: &str) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    match account_named(account) {
        Ok(Some(user)) => fchown(file, Some(user.uid.as_raw()), Some(user.gid.as_raw())),
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Lets the group of that account read a file that root made and keeps.
///
/// # Errors
/// Its group cannot be changed.
pub fn share(file: &File, account: &str) -> io::Result<()> {
    if !geteuid().is_root() {
        return Ok(());
    }
    match account_named(account) {
        Ok(Some(user)) => fchown(file, None, Some(user.gid.as_raw())),
        Ok(None) | Err(_) => Ok(()),
    }
}
