//! The web console beside the relay: where it listens, and by which settings.

use config::{Config, Console, ConsoleBind};
use console::{Console as Pages, Lifetimes, Settings};
use daemon::{ControlApi, Doors, Served, WebListener};

/// Opens the console's sockets; what serves them is called once the relay runs.
///
/// # Errors
/// An address that somebody wrote cannot be bound. Where nobody wrote one, another relay of this
/// machine may have it: the status says so, and it is no reason not to carry mail.
pub fn open(config: &Config, doors: &Doors) -> Result<Served, String> {
    let (sockets, troubles) = sockets(&config.console, doors)?;
    let served: Vec<_> = sockets
        .into_iter()
        .map(|(socket, is_encrypted)| (socket, settings(config, is_encrypted)))
        .collect();
    let lifetimes = lifetimes(config);
    Ok(Box::new(move |api| {
        troubles.into_iter().for_each(|why| api.is_without(why));
        Box::pin(serve(served, lifetimes, api))
    }))
}

/// Opens the sockets for the pages behind links of digests.
///
/// # Errors
/// An address cannot be bound.
pub fn open_links(config: &Config, doors: &Doors) -> Result<Served, String> {
    let open = |bind: &ConsoleBind| {
        let socket = WebListener::bind(bind.address, doors);
        let socket = socket.map_err(|why| format!("quarantine.link_bind {why}"));
        Ok((socket?, bind.tls))
    };
    let sockets = config.console.links.iter().map(open);
    let sockets: Vec<(WebListener, bool)> = sockets.collect::<Result<_, String>>()?;
    Ok(Box::new(move |api| {
        Box::pin(async move {
            let mut tasks = tokio::task::JoinSet::new();
            for (socket, by_tls) in sockets {
                let tls = by_tls.then(|| api.clone());
                tasks.spawn(socket.serve(::console::links(api.clone()), tls));
            }
            while tasks.join_next().await.is_some() {}
        })
    }))
}

/// Those that are open, each with whether it is served by TLS; and why others are not.
type Sockets = (Vec<(WebListener, bool)>, Vec<String>);

fn sockets(console: &Console, doors: &Doors) -> Result<Sockets, String> {
    let (mut sockets, mut troubles) = (Vec::new(), Vec::new());
    for bind in &console.binds {
        match WebListener::bind(bind.address, doors) {
            Ok(socket) => sockets.push((socket, bind.tls)),
            Err(why) if console.is_default => {
                troubles.push(format!(
                    "there is no console: {why}; console.bind says where it is served"
                ));
            }
            Err(why) => return Err(format!("console.bind {why}")),
        }
    }
    Ok((sockets, troubles))
}

/// The settings of the console, as it is served at one address.
pub fn settings(config: &Config, is_encrypted: bool) -> Settings {
    let console = &config.console;
    let own = ["localhost".to_owned(), config.hostname.to_string()];
    let more = console.hostnames.iter().map(ToString::to_string);
    Settings {
        hostname: config.hostname.to_string(),
        is_encrypted,
        names: own.into_iter().chain(more).collect(),
    }
}

/// When sessions at the console end.
pub fn lifetimes(config: &Config) -> Lifetimes {
    Lifetimes {
        idle: config.console.idle_timeout,
        absolute: config.console.absolute_timeout,
    }
}

async fn serve(served: Vec<(WebListener, Settings)>, lifetimes: Lifetimes, api: ControlApi) {
    let pages = Pages::new(api.clone(), lifetimes);
    let mut tasks = tokio::task::JoinSet::new();
    for (socket, settings) in served {
        let tls = settings.is_encrypted.then(|| api.clone());
        let router = pages.router(settings);
        tasks.spawn(socket.serve(router, tls));
    }
    while tasks.join_next().await.is_some() {}
}
