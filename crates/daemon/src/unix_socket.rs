//! Sockets in the file system.

use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use nix::fcntl::AT_FDCWD;
use nix::sys::stat::{FchmodatFlags, Mode, fchmodat};

/// Opens a socket with this mode, ready for the runtime. A file left by a relay that was killed is
/// replaced.
///
/// # Errors
/// With the path. When something else stands there, or another relay listens.
pub(crate) fn open(path: &Path, mode: u32) -> io::Result<UnixListener> {
    let listen = || {
        remove_left(path)?;
        let socket = UnixListener::bind(path)?;
        // Whoever may write to the folder may have put a link there: it is not followed.
        let mode = Mode::from_bits_truncate(mode);
        fchmodat(AT_FDCWD, path, mode, FchmodatFlags::NoFollowSymlink)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    listen().map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("{}: {error}", path.display()))
    })
}

fn remove_left(path: &Path) -> io::Result<()> {
    let Ok(there) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !there.file_type().is_socket() {
        return Err(io::Error::other(
            "something else than a socket stands there",
        ));
    }
    if UnixStream::connect(path).is_ok() {
        return Err(io::Error::other("another relay listens there"));
    }
    std::fs::remove_file(path)
}
