//! How many clients a whole relay lets in at one time, seen from outside.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use config::{Delivery, Environment};
use route::Security;
use tls::{Connector, How, Stream, TlsError};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::{Doors, Relay, bind, fixed_source, open_spool};

/// No handshake here takes this long.
const LONG: Duration = Duration::from_secs(30);

/// A relay with one listener, and the directory of its data.
async fn relay(listener: &str) -> (Relay, SocketAddr, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().display();
    let text = format!(
        "hostname = \"relay.example\"\ndata_dir = \"{data}\"\n\
         control.socket = \"{data}/control.sock\"\ndns.servers = [\"127.0.0.1:9\"]\n\
         [listener.door]\nbind = \"127.0.0.1:0\"\n{listener}"
    );
    let config = config::parse("gatepost.toml", &text, &Environment::default());
    let config = config.map_err(|wrong| wrong.to_string()).unwrap().config;
    let spool = open_spool(&config).unwrap();
    let doors = Arc::<Doors>::default();
    let bound = bind(&config, &[], &doors).unwrap();
    let relay = Relay::start(config, spool, bound, None, doors, fixed_source()).await;
    let relay = relay.unwrap();
    let (_, address) = relay.addresses().await[0].clone();
    (relay, address, directory)
}

async fn encrypted(door: SocketAddr) -> Result<Stream, TlsError> {
    let how = How {
        security: &Security::Required,
        host: "relay.example",
        ca: None,
        certificate: None,
    };
    let connector = Connector::load(std::iter::empty::<&Delivery>()).unwrap();
    let socket = TcpStream::connect(door).await.unwrap();
    let made = connector.connect(socket, &how, LONG).await;
    made.map(|(stream, _, _)| stream)
}

/// Else whoever opens connections would get as many handshakes, each with its time and memory,
/// whatever the limits say.
#[tokio::test]
async fn nobody_shakes_hands_without_a_place() {
    let (relay, door, _directory) = relay("kind = \"submissions\"\nmax_per_client = 1").await;
    let mut first = encrypted(door).await.unwrap();
    let mut greeting = [0; 4];
    first.read_exact(&mut greeting).await.unwrap();
    assert_eq!(&greeting, b"220 ");
    let second = encrypted(door).await;
    assert!(matches!(second, Err(TlsError::Lost(_))), "{second:?}");
    drop(first);
    relay.stop().await;
}
