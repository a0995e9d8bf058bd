//! The arguments of `gatepost bench`.

use std::net::SocketAddr;

use clap::{Args, Subcommand};

const MESSAGE_OCTETS_MAX: i64 = 64 * 1024 * 1024;
const SESSIONS_MAX: i64 = 10_000;

/// `gatepost bench ...`
#[derive(Debug, Subcommand)]
pub enum BenchVerb {
    /// Send messages as fast as they are taken, or at a rate, and say how many a second that are, and
    /// how long each one waits for its 250. Exit 0: all were taken, 1: not all.
    Source(Source),
    /// Take messages and throw them away, until interrupted: a next hop for a relay that is measured.
    /// Says how long messages of `gatepost bench source` were on their way.
    Sink(Sink),
}

/// What is sent, and to whom.
#[derive(Debug, Clone, Args)]
pub struct Source {
    /// The server.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub target: SocketAddr,
    #[command(flatten)]
    pub reach: Reach,
    /// How many.
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: u64,
    /// How many connections at the same time.
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=SESSIONS_MAX))]
    pub sessions: u32,
    /// Octets of each message, without its header.
    #[arg(long, value_name = "OCTETS", default_value_t = 4096, value_parser = clap::value_parser!(u32).range(0..=MESSAGE_OCTETS_MAX))]
    pub size: u32,
    /// Not more than so many a second.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    pub rate: Option<u32>,
    /// All messages of a session on one connection, in place of one for each.
    #[arg(long)]
    pub keep: bool,
    /// Encrypt; any certificate will do.
    #[arg(long)]
    pub starttls: bool,
    /// So many of a hundred connections take up the session of an earlier one, where there is one.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub resume: u8,
    /// The sender.
    #[arg(long, value_name = "ADDRESS", default_value = "ann@client.test", value_parser = address)]
    pub from: String,
    /// The recipient.
    #[arg(long, value_name = "ADDRESS", default_value = "bob@hosted.test", value_parser = address)]
    pub to: String,
}

/// Where mail is taken, and what becomes of it.
#[derive(Debug, Clone, Args)]
pub struct Sink {
    /// Where it listens; port 0: at a free one, which it names on standard error.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    #[command(flatten)]
    pub reach: Reach,
    /// Offer STARTTLS, with a certificate that is made for it.
    #[arg(long)]
    pub starttls: bool,
    /// Refuse so many of a hundred recipients (550).
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub refuse: u8,
    /// Have so many of a hundred recipients wait (450), beside those that are refused.
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub defer: u8,
    /// Wait so long before the reply to the last dot.
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    pub delay: u32,
    /// End once so many messages have come.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..))]
    pub messages: Option<u64>,
    /// Print a line whenever something has come.
    #[arg(long)]
    pub progress: bool,
}

/// How far a load may go: it must be nobody's by mistake.
#[derive(Debug, Clone, Args)]
pub struct Reach {
    /// The machine at that address is yours, and so is the network between: without this only
    /// addresses of this machine are taken (127.0.0.0/8 and ::1).
    #[arg(long)]
    pub beyond_loopback: bool,
    /// As well when the address is none of a private network (RFC 1918, fc00::/7, link-local).
    #[arg(long, requires = "beyond_loopback")]
    pub public_address: bool,
}

/// Servers are to be measured by all kinds of addresses, but no command behind them.
fn address(text: &str) -> Result<String, String> {
    let is_one = !text.contains(|c: char| c.is_control() || "<>".contains(c));
    is_one
        .then(|| text.to_owned())
        .ok_or_else(|| "an address stands alone, without < and >".to_owned())
}
