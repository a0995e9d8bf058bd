//! What the relay does as spans of a distributed trace: a session, the messages that came in it, the
//! attempts to bring each to its next hop; and how OpenTelemetry takes them (OTLP 1.x, protobuf).
//!
//! The trace of a message is its queue id, unless its sender said to which one it belongs
//! ([`message::TraceParent`]); so attempts find it again after a restart, and nothing need be
//! remembered. A session stands in the trace of its first message, above it; further messages have
//! traces of their own, linked to the session, since a connection that stays open for a day would
//! be one trace without an end. No span names an address or a person.

mod request;
mod span;
mod tracer;

pub use request::{Resource, request};
pub use span::{Side, Span, Value};
pub use tracer::Tracer;
