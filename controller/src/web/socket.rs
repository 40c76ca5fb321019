//! The socket and its gate: only the controller's own user and root may ask.

use std::{
    io,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use axum::{
    extract::{ConnectInfo, Request, connect_info::Connected},
    middleware::Next,
    response::Response,
    serve::IncomingStream,
};
use tokio::net::{UnixListener, UnixStream};

use super::refusal::{Blame, Refusal};

/// Why the socket of the API can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another controller answers on it.
    #[error("another controller answers on {}", .0.display())]
    Taken(PathBuf),
    /// The system refuses.
    #[error("can't listen on {}", path.display())]
    Bind {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Opens the socket, readable by its owner alone. What a controller that died left behind is
/// taken over.
///
/// # Errors
/// When somebody answers on it already, or the system refuses.
pub fn bind(path: &Path) -> Result<UnixListener, BindError> {
    let failed = |source| BindError::Bind {
        path: path.to_owned(),
        source,
    };
    // A blocking connect to a local socket answers at once, full backlog or not.
    match std::os::unix::net::UnixStream::connect(path) {
        Ok(_) => return Err(BindError::Taken(path.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)?;
        }
        Err(_) => {}
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    // Until this line the gate alone keeps others out.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok(listener)
}

/// Whose process is at the other end, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    uid: Option<u32>,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        let stream: &UnixStream = stream.io();
        let uid = stream.peer_cred().ok().map(|credentials| credentials.uid());
        Self { uid }
    }
}

impl Peer {
    /// The controller's own user and root may; without credentials nobody may.
    fn may(self, own: u32) -> bool {
        self.uid.is_some_and(|uid| uid == own || uid == 0)
    }

    pub(super) fn name(self) -> String {
        self.uid
            .map_or_else(|| "somebody".to_owned(), |uid| format!("uid {uid}"))
    }
}

pub(super) async fn gate(
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    let own = rustix::process::geteuid().as_raw();
    if peer.may(own) {
        Ok(next.run(request).await)
    } else {
        let message = format!("{} may not command this controller", peer.name());
        let hint = format!("use the user with uid {own}, who runs it, or root");
        Err(Refusal::new(Blame::NotAuthorised, message).hint(hint))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_that_a_dead_controller_left_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        drop(bind(&path).unwrap());
    }

    #[test]
    fn only_the_same_user_and_root_may() {
        let may = |uid| Peer { uid }.may(1000);
        assert_eq!(
            [Some(1000), Some(0), Some(1001), None].map(may),
            [true, true, false, false]
        );
    }
}
