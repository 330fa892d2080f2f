//! The socket in the data directory, by which those who run the broker come to its API.
//!
//! Who may open it is the file system's to say: the user that the broker runs as, and root. So
//! nobody is asked for a password there, and nothing is refused.

use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::{fmt, fs};

use rustix::fs::Mode;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};

/// What the socket is called.
pub(crate) const SOCKET: &str = warren_io::SOCKET;

/// How many may wait until they are served.
const BACKLOG: i32 = 64;

/// Makes the socket in a data directory that no other broker has: one that is there is a broker's
/// that was killed.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn bind_local(data_dir: &Path) -> Result<UnixListener, LocalError> {
    let path = data_dir.join(SOCKET);
    bind(&path).map_err(|error| LocalError { path, error })
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let address = SocketAddrUnix::new(path)?;
    let (family, kind) = (AddressFamily::UNIX, SocketType::STREAM);
    let socket = rustix::net::socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // Before it has a name: there is no moment in which others may open it.
    rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

/// Takes the socket away: its broker answers nobody any more.
pub(crate) fn unbind_local(data_dir: &Path) {
    // A broker that comes does without this.
    let _ = fs::remove_file(data_dir.join(SOCKET));
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) struct LocalError {
    path: PathBuf,
    error: io::Error,
}

impl fmt::Display for LocalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.error)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_its_owner_may_open_the_socket_and_one_that_is_left_over_is_in_nobodys_way() {
        let dir = TempDir::new().expect("a temporary directory");
        for _ in 0..2 {
            let listener = bind_local(dir.path()).expect("can be made");
            let metadata = fs::metadata(dir.path().join(SOCKET)).expect("is there");
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
            drop(listener);
        }
        let error = bind_local(&dir.path().join("none")).expect_err("there is no directory");
        assert!(error.to_string().contains("none"), "{error}");
    }
}
