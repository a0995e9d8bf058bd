//! `gatepost bench`: a load of mail, and a next hop that throws it away, for whoever wants to know
//! how much a relay on his machine carries. Neither has anything to do with a relay's own data.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a load goes over sockets, and its time is what is measured"
)]

mod latencies;
mod reach;
mod sink;
mod source;
mod wire;

use std::time::Duration;

use crate::bench_arguments::BenchVerb;
use crate::cli::Cli;
use crate::exit::{Failure, Outcome};

/// A handshake that takes longer has failed, on either side.
const HANDSHAKE_MAX: Duration = Duration::from_secs(30);
/// The field that says when a message was sent, in microseconds since 1970.
const SENT_FIELD: &str = "X-Gatepost-Bench: ";

/// `gatepost bench ...`
pub fn command(cli: &Cli, verb: &BenchVerb) -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::Temporary(e.to_string()))?;
    match verb {
        BenchVerb::Source(arguments) => runtime.block_on(source::run(cli, arguments)),
        BenchVerb::Sink(arguments) => runtime.block_on(sink::run(cli, arguments)),
    }
}
