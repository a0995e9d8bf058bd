use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use config::{Disk, Environment, Files};
use daemon::{Doors, Relay, Source, WebListener};
use sign_in::{NewUser, UserFile};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use super::client::Client;
use super::dns;
use super::pretend::Server;

/// The organisation's mail server: the only client that may relay.
pub const MAIL_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Somebody on the Internet.
pub const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 50);

/// Who may sign in.
pub const USER: &str = "bob@hosted.example";
/// How: on loopback, for as long as the demo runs.
pub const PASSWORD: &str = "only-for-this-demo";

/// Everything that the demo plays on.
pub struct Stage {
    /// Where the relay listens.
    pub relay: SocketAddr,
    /// Where users submit their mail.
    pub submission: SocketAddr,
    /// The organisation's mail server.
    pub exchange: Server,
    /// An Internet host that takes everything.
    pub good: Server,
    /// One that greylists.
    pub grey: Server,
    /// Where the console is served.
    pub console: SocketAddr,
    running: Relay,
    pages: JoinHandle<()>,
    dns: JoinHandle<()>,
    directory: TempDir,
}

impl Stage {
    /// Starts all of it.
    pub async fn set_up() -> Result<Self, String> {
        let text = |e: std::io::Error| format!("the demo cannot be set up: {e}");
        let directory = tempfile::tempdir().map_err(text)?;
        let (dns_address, dns) = dns::serve().await.map_err(text)?;
        let exchange = Server::start(([127, 0, 0, 1], 0).into(), false)
            .await
            .map_err(text)?;
        let good = Server::start(([127, 0, 0, 11], 0).into(), false)
            .await
            .map_err(text)?;
        // All hosts of the Internet listen on one port; the dead one, 127.0.0.13, does not.
        let port = good.address().port();
        let grey = Server::start(([127, 0, 0, 12], port).into(), true)
            .await
            .map_err(text)?;
        let doors = Arc::<Doors>::default();
        let pages = WebListener::bind(([127, 0, 0, 1], 0).into(), &doors)?;
        let console = pages.address().map_err(text)?;
        let outside = [dns_address, exchange.address(), console];
        let configuration = configuration(directory.path(), outside, port);
        let file = directory.path().join("gatepost.toml");
        std::fs::write(&file, &configuration).map_err(text)?;
        let load = move |files: &dyn Files| config::load(&file, files, &Environment::default());
        let loaded = load(&Disk).map_err(|diagnostics| diagnostics.to_string())?;
        add_user(&loaded.config.auth.users_file)?;
        let spool = daemon::open_spool(&loaded.config)?;
        let bound = daemon::bind(&loaded.config, &[], &doors)?;
        let settings = crate::console::settings(&loaded.config, false);
        let lifetimes = crate::console::lifetimes(&loaded.config);
        let source = Source {
            file: Some(directory.path().join("gatepost.toml")),
            load: Box::new(load),
        };
        let running = Relay::start(loaded.config, spool, bound, None, doors, source)
            .await
            .map_err(|why| why.to_string())?;
        let router = console::Console::new(running.api(), lifetimes).router(settings);
        let pages = tokio::spawn(pages.serve(router, None));
        let addresses = running.addresses().await;
        let at = |wanted: &str| {
            let found = addresses.iter().find(|(name, _)| **name == *wanted);
            found
                .map(|(_, address)| *address)
                .ok_or("the relay listens nowhere")
        };
        Ok(Self {
            relay: at("internet")?,
            submission: at("submission")?,
            exchange,
            good,
            grey,
            console,
            running,
            pages,
            dns,
            directory,
        })
    }

    /// A link that signs in at the console once.
    pub async fn link(&self) -> Result<String, String> {
        console::link(&self.running.api(), "demo").await
    }

    /// The configuration that the relay runs with.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join("gatepost.toml")
    }

    /// A message from the Internet to the hosted domain; the last reply.
    pub async fn internet_to_hosted(&self, mark: &str) -> Result<String, String> {
        let mut client = Client::connect(STRANGER, self.relay).await?;
        client
            .message("ann@good.example", "bob@hosted.example", &letter(mark))
            .await
    }

    /// A message from the mail server to anybody; the last reply.
    pub async fn mail_server_to(&self, to: &str, mark: &str) -> Result<String, String> {
        let mut client = Client::connect(MAIL_SERVER, self.relay).await?;
        client
            .message("bob@hosted.example", to, &letter(mark))
            .await
    }

    /// Stops all of it.
    pub async fn take_down(self) {
        self.pages.abort();
        self.running.stop().await;
        self.exchange.take_down().await;
        self.good.take_down().await;
        self.grey.take_down().await;
        self.dns.abort();
    }
}

/// Makes the file with the one user.
fn add_user(path: &Path) -> Result<(), String> {
    let mut file = UserFile::open("").map_err(|why| why.to_string())?;
    let user = NewUser {
        name: USER,
        password: Some(PASSWORD),
        may_relay: true,
        recipients: &[],
        console_role: None,
        senders: &[],
    };
    file.add(&user).map_err(|why| why.to_string())?;
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let written = written.and_then(|mut to| to.write_all(file.text().as_bytes()));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

/// A short message that can be found again by its mark.
pub fn letter(mark: &str) -> String {
    format!("Subject: {mark}\r\nFrom: <ann@good.example>\r\n\r\nThis is {mark}.")
}

/// `outside` are the name server, the mail server and the console.
fn configuration(data_dir: &Path, outside: [SocketAddr; 3], port: u16) -> String {
    let [dns, exchange, console] = outside;
    format!(
        r#"hostname = "relay.hosted.example"
data_dir = "{data_dir}"

[listener.internet]
bind = "127.0.0.1:0"

[listener.submission]
bind = "127.0.0.1:0"
kind = "submission"

[domain."hosted.example"]
route = "[{host}]:{exchange_port}"

[domain."blocked.example"]
type = "blocked"

[relay]
allow = ["{MAIL_SERVER}"]

[outbound]
port = {port}
private_mx = ["127.0.0.0/8"]

[dns]
servers = ["{dns}"]

[console]
bind = "{console}"

[limits]
message_size = "1MB"
tarpit = "0s"

[queue]                            # compressed: a second stands for a minute and more
retry = ["1s"]
probe = "1s"
expire = "6s"

[spool]
min_free = "1MB"
"#,
        data_dir = data_dir.display(),
        host = exchange.ip(),
        exchange_port = exchange.port(),
    )
}
