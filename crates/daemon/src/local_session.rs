//! A session with an account of this machine: by the submit socket, or about a file that was picked
//! up. From here on it is served as every other.

use std::sync::Arc;

use admission::{Limit, SlotLimits, Standing};
use mail::{Client, QueueId};
use reception::{Session, Settings};
use tls::Stream;
use tokio::net::UnixStream;

use crate::client_socket::ClientSocket;
use crate::connection::{self, Terms};
use crate::ending::Ending;
use crate::services::Services;

/// Sessions of one way in at one time. Who finds no room is postponed.
const SESSIONS_MAX: u32 = 200;
/// Of these so many may be one account's, times ten for those who may relay, as all do here. The
/// pickup directory has fewer sessions than one account may have.
const PER_ACCOUNT: u32 = 5;

/// Serves account `uid` by these settings; `id` is the name of its message, where it has one
/// already.
pub(crate) async fn serve(
    services: Arc<Services>,
    settings: Arc<Settings>,
    stream: UnixStream,
    uid: u32,
    id: Option<QueueId>,
) {
    let ending = Ending::new(&services);
    let client = Client::of_this_machine(uid, Arc::clone(&settings.rules.listener.name));
    services.journal.connected(&client);
    let (number, standing) = (services.next_session(), Standing::permitted());
    let limits = SlotLimits {
        in_all: Limit::default_of(SESSIONS_MAX),
        per_client: Limit::default_of(PER_ACCOUNT),
    };
    let slot = services.pace.enter(&client, &standing, &limits);
    let session = match &slot {
        Ok(_) => Session::new(settings, client, number),
        Err(_) => Session::busy(settings, client, number),
    };
    let terms = Terms {
        socket: ClientSocket::new(Stream::Local(stream), None),
        standing,
        is_proxy: false,
        id,
    };
    Box::pin(connection::serve(services, terms, session, ending)).await;
    drop(slot);
}
