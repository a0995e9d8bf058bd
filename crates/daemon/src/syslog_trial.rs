//! `gatepost log test-syslog`: whether servers take a message as the configuration has it.

use std::io;
use std::process;
use std::thread;
use std::time::Duration;

use config::{Config, Syslog};
use syslog::{Destination, Message, Severity};

use crate::syslog_sender::Connection;
use crate::{clock, privileges};

/// How long a server has to show that it does not like what it got.
const WAIT: Duration = Duration::from_secs(1);
const APP: &str = "gatepost";
const TEXT: &str = "a test message of gatepost log test-syslog";

/// What became of one message to one server.
#[derive(Debug)]
pub struct SyslogTrial {
    /// The name of the server in the configuration.
    pub name: String,
    /// Where it is.
    pub to: String,
    /// What can be said for it, or against it.
    pub result: Result<String, String>,
}

/// Sends a message to each server of `config`. Started as root it becomes the relay's account first,
/// which is who has to be able to do that.
///
/// Must be called before any thread is started. Blocks.
///
/// # Errors
/// It cannot become the relay's account.
pub fn try_syslog(config: &Config) -> Result<Vec<SyslogTrial>, String> {
    privileges::drop_to(&config.user.name, Some(&*config.group.name), &[])?;
    let servers = config.log.syslogs.values();
    Ok(thread::scope(|scope| {
        let begun = servers.map(|syslog| (syslog, scope.spawn(|| sent(syslog))));
        let begun: Vec<_> = begun.collect();
        let trials = begun.into_iter().map(|(syslog, result)| SyslogTrial {
            name: syslog.name.to_string(),
            to: syslog.to.to_string(),
            result: result
                .join()
                .unwrap_or_else(|_| Err("the trial broke off".to_owned())),
        });
        trials.collect()
    }))
}

fn sent(syslog: &Syslog) -> Result<String, String> {
    let not_opened = |error: io::Error| format!("cannot be reached: {error}");
    let mut connection = Connection::open(syslog).map_err(not_opened)?;
    let message = Message {
        at: clock::now(),
        severity: Severity::Informational,
        app: APP,
        text: TEXT,
        again: false,
    };
    let frame = syslog.format.frame(&message, process::id());
    let refused = |error: io::Error| refusal(syslog, &error);
    connection.send(&frame).map_err(refused)?;
    if !connection.is_sure() {
        thread::sleep(WAIT);
        connection.look().map_err(refused)?;
    }
    connection.close();
    Ok(match syslog.to {
        Destination::Unix(_) => "taken".to_owned(),
        Destination::Udp(..) => "sent: UDP says no more than that nobody refused it".to_owned(),
        Destination::Tcp(..) | Destination::Tls(..) => "sent, and the server kept the connection \
             open: look there whether it is one message, of the program gatepost"
            .to_owned(),
    })
}

fn refusal(syslog: &Syslog, error: &io::Error) -> String {
    let hint = match error.kind() {
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset => {
            ": it expects another `framing`, or does not want our messages"
        }
        _ => "",
    };
    format!("{} did not take it: {error}{hint}", syslog.to)
}
