//! What the binary serves in the relay's process, beside the relay.

use std::pin::Pin;

use config::Config;

use crate::control::ControlApi;
use crate::doors::Doors;

/// Opens what has to be open before root is given up, such as sockets, or takes those that are open
/// already, and gives what serves it; or says why it cannot, which ends the start.
pub type Beside = Box<dyn FnOnce(&Config, &Doors) -> Result<Served, String>>;

/// Serves until it is dropped, which is when the relay is told to stop. Called within the runtime,
/// once the relay runs.
pub type Served = Box<dyn FnOnce(ControlApi) -> Pin<Box<dyn Future<Output = ()> + Send>>>;
