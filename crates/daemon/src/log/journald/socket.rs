use std::fs::File;
use std::io::{self, IoSlice, Write as _};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

pub(super) type Socket = UnixDatagram;

/// How long the journal may take to make room.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends an entry to the journal that listens at `path`, connected once and anew after an error.
/// Blocks, but not for ever.
pub(super) fn send(socket: &mut Option<Socket>, path: &Path, entry: &[u8]) -> io::Result<()> {
    let connected = match socket {
        Some(connected) => connected,
        None => socket.insert(connect(path)?),
    };
    let sent = match connected.send(entry) {
        Err(error) if error.raw_os_error() == Some(Errno::EMSGSIZE as i32) => {
            send_as_file(connected, entry)
        }
        sent => sent.map(drop),
    };
    if sent.is_err() {
        *socket = None;
    }
    sent
}

fn connect(path: &Path) -> io::Result<Socket> {
    let socket = UnixDatagram::unbound()?;
    socket.connect(path)?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// What is too large for a datagram goes as a file in memory that nobody can change any more.
fn send_as_file(socket: &Socket, entry: &[u8]) -> io::Result<()> {
    let flags = MFdFlags::MFD_ALLOW_SEALING | MFdFlags::MFD_CLOEXEC;
    let mut file = File::from(memfd_create("journal-entry", flags)?);
    file.write_all(entry)?;
    let seals = SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_SEAL;
    fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
    let files = [file.as_fd().as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&files)];
    let nothing = [IoSlice::new(&[])];
    let socket = socket.as_raw_fd();
    sendmsg::<()>(socket, &nothing, &rights, MsgFlags::empty(), None)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::IoSliceMut;

    use nix::cmsg_space;
    use nix::sys::socket::{ControlMessageOwned, recvmsg};

    use super::*;

    #[test]
    fn what_is_too_large_for_a_datagram_goes_as_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        let mut socket = Some(connect(&path).unwrap());
        let small = socket.as_ref().map(socket2::SockRef::from).unwrap();
        small.set_send_buffer_size(4096).unwrap();
        let (short, long) = (b"A=1\n".repeat(3), b"A=1\n".repeat(50_000));
        send(&mut socket, &path, &short).unwrap();
        send(&mut socket, &path, &long).unwrap();

        let mut buffer = [0; 100];
        let octets = journal.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..octets], short);
        let mut space = cmsg_space!([i32; 1]);
        let mut slices = [IoSliceMut::new(&mut buffer)];
        let received = recvmsg::<()>(
            journal.as_raw_fd(),
            &mut slices,
            Some(&mut space),
            MsgFlags::empty(),
        )
        .unwrap();
        assert_eq!(received.bytes, 0);
        let rights = received.cmsgs().unwrap().find_map(|message| match message {
            ControlMessageOwned::ScmRights(files) => Some(files[0]),
            _ => None,
        });
        let file = format!("/proc/self/fd/{}", rights.unwrap());
        assert_eq!(std::fs::read(&file).unwrap(), long);
        assert!(
            File::options()
                .append(true)
                .open(&file)
                .unwrap()
                .write(b"x")
                .is_err()
        );
    }

    #[test]
    fn a_journal_that_comes_back_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let mut socket = None;
        assert!(send(&mut socket, &path, b"A=1\n").is_err());
        let journal = UnixDatagram::bind(&path).unwrap();
        send(&mut socket, &path, b"A=2\n").unwrap();
        drop(journal);
        std::fs::remove_file(&path).unwrap();
        let journal = UnixDatagram::bind(&path).unwrap();
        assert!(send(&mut socket, &path, b"A=3\n").is_err());
        send(&mut socket, &path, b"A=4\n").unwrap();
        let mut buffer = [0; 10];
        let octets = journal.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..octets], *b"A=4\n");
    }
}
