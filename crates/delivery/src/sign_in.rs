use std::fmt;
use std::sync::Arc;

/// With what we sign in at the servers of a route: begins an exchange for each connection.
pub trait Credentials: Send + Sync {
    /// Begins with the best of the mechanisms that the server offers (in upper case). Never called
    /// without encryption; `exporter` is that encryption's channel binding (RFC 9266), if it has
    /// one. Or why not, in words that hold no secret: there is no mechanism that both sides know,
    /// or no token to be had.
    fn begin(
        &self,
        offered: &[Box<str>],
        exporter: Option<&[u8; 32]>,
    ) -> Result<SignInStart, Box<str>>;
}

/// The start of an exchange.
pub struct SignInStart {
    /// The mechanism's registered name.
    pub mechanism: &'static str,
    /// What is said before the server has asked, for mechanisms where the client begins.
    pub initial: Option<Vec<u8>>,
    /// What answers the server from then on.
    pub exchange: Box<dyn SignIn>,
}

/// One exchange, of octets as they are before base64. Errors are words that hold no secret.
pub trait SignIn: Send {
    /// The answer to a challenge; an error cancels the exchange.
    fn step(&mut self, challenge: &[u8]) -> Result<Vec<u8>, Box<str>>;

    /// The server says that we are signed in. An error when it has not proved what the mechanism
    /// wants proved (SCRAM: that it knows us).
    fn finish(&mut self) -> Result<(), Box<str>>;
}

/// Whom we sign in as: [`Credentials`], and no way to print them.
#[derive(Clone)]
pub struct Identity(pub Arc<dyn Credentials>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// The same credentials, not merely equal ones.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Identity {}
