use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1 as resource;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;

use crate::{Side, Span, Value};

/// By which name we are known.
const NAME: &str = "gatepost";
const NANOS_PER_MILLI: u64 = 1_000_000;

/// Whose spans they are.
#[derive(Debug, Clone)]
pub struct Resource {
    /// Our host name.
    pub host: String,
    /// Our version.
    pub version: &'static str,
}

/// The body of an `ExportTraceServiceRequest` with these spans, for a POST as
/// `application/x-protobuf`.
pub fn request(of: &Resource, spans: &[Span]) -> Vec<u8> {
    let attributes = vec![
        attribute("service.name", &NAME.into()),
        attribute("service.version", &of.version.into()),
        attribute("host.name", &of.host.as_str().into()),
    ];
    let request = ExportTraceServiceRequest {
        resource_spans: vec![otlp::ResourceSpans {
            resource: Some(resource::Resource {
                attributes,
                ..Default::default()
            }),
            scope_spans: vec![otlp::ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: NAME.to_owned(),
                    version: of.version.to_owned(),
                    ..Default::default()
                }),
                spans: spans.iter().map(written).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    };
    request.encode_to_vec()
}

fn written(span: &Span) -> otlp::Span {
    // The end is known to the millisecond. The beginning is rounded down to one as well, so that no
    // span seems to begin before the one above it.
    let took = span.took.as_nanos().div_ceil(NANOS_PER_MILLI.into());
    let began = span
        .ended
        .as_millis()
        .saturating_sub(u64::try_from(took).unwrap_or(u64::MAX));
    let kind = match span.side {
        Some(Side::Server) => otlp::span::SpanKind::Server,
        Some(Side::Client) => otlp::span::SpanKind::Client,
        None => otlp::span::SpanKind::Internal,
    };
    let link = |(trace, id): &(u128, u64)| otlp::span::Link {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id.to_be_bytes().to_vec(),
        ..Default::default()
    };
    let code = match span.failed {
        true => otlp::status::StatusCode::Error,
        false => otlp::status::StatusCode::Unset,
    };
    let attributes = span.attributes.iter();
    otlp::Span {
        trace_id: span.trace.to_be_bytes().to_vec(),
        span_id: span.id.to_be_bytes().to_vec(),
        parent_span_id: span
            .parent
            .map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
        name: span.name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: began.saturating_mul(NANOS_PER_MILLI),
        end_time_unix_nano: span.ended.as_millis().saturating_mul(NANOS_PER_MILLI),
        attributes: attributes
            .map(|(key, value)| attribute(key, value))
            .collect(),
        links: span.links.iter().map(link).collect(),
        status: Some(otlp::Status {
            code: code.into(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn attribute(key: &str, value: &Value) -> KeyValue {
    let value = match value {
        Value::Text(text) => any_value::Value::StringValue(text.clone()),
        Value::Number(number) => {
            any_value::Value::IntValue(i64::try_from(*number).unwrap_or(i64::MAX))
        }
    };
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mail::Timestamp;

    use super::*;

    /// A session of 2.3 ms that began at 718.2 ms, and its message that was begun in the same
    /// millisecond, as its id has it.
    #[test]
    fn no_span_begins_before_the_one_above_it() {
        let began = |took| {
            let span = Span {
                name: "",
                side: None,
                trace: 1,
                id: 1,
                parent: None,
                links: Vec::new(),
                ended: Timestamp::from_millis(720),
                took,
                attributes: Vec::new(),
                failed: false,
            };
            written(&span).start_time_unix_nano
        };
        let message = began(Duration::from_millis(2));
        assert_eq!(message, 718 * NANOS_PER_MILLI);
        assert_eq!(began(Duration::from_micros(2300)), 717 * NANOS_PER_MILLI);
        assert_eq!(began(Duration::from_micros(1700)), message);
        assert_eq!(began(Duration::from_secs(9)), 0);
    }
}
