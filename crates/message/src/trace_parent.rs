//! The place of a message in a distributed trace, as a header field tells it (W3C Trace Context,
//! level 1, section 3.2).

use mail::QueueId;

use crate::RawField;

/// The field, whose name and form are those of HTTP.
const FIELD: &str = "traceparent";
/// Whether those before us keep the trace.
const SAMPLED: u8 = 1;
/// Octets of a value of version 00.
const VALUE_LEN: usize = 55;

/// In which trace something is, and under which span what follows from it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// The trace; not 0.
    pub trace: u128,
    /// The span; not 0.
    pub span: u64,
    /// As those before us sent them.
    pub flags: u8,
}

impl TraceParent {
    /// Of a message that begins a trace: its queue id is the trace's, and the end of it the span's.
    pub fn of(id: QueueId) -> Self {
        Self {
            trace: u128::from_be_bytes(id.to_bytes()).max(1),
            span: span_of(id),
            flags: SAMPLED,
        }
    }

    /// Of a message that belongs to the trace of somebody else.
    pub fn of_message(self, id: QueueId) -> Self {
        Self {
            span: span_of(id),
            ..self
        }
    }

    /// Reads the value of the field. `None` where it is none, and where it is of a version that has
    /// nothing in common with ours.
    pub fn parse(value: &str) -> Option<Self> {
        let value = value.trim();
        let is_hex = |text: &str| {
            let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
            text.bytes().all(is_digit)
        };
        let mut parts = value.splitn(5, '-');
        let mut part = |len| {
            parts
                .next()
                .filter(|part| part.len() == len && is_hex(part))
        };
        let (version, trace, span, flags) = (part(2)?, part(32)?, part(16)?, part(2)?);
        if version == "ff" || (version == "00" && value.len() != VALUE_LEN) {
            return None;
        }
        let parent = Self {
            trace: u128::from_str_radix(trace, 16).ok()?,
            span: u64::from_str_radix(span, 16).ok()?,
            flags: u8::from_str_radix(flags, 16).ok()?,
        };
        (parent.trace != 0 && parent.span != 0).then_some(parent)
    }

    /// What the first such field of a header says.
    pub fn in_header(header: &[u8]) -> Option<Self> {
        Self::find(header).map(|(found, _)| found)
    }

    /// The same, and where that field ends.
    pub fn find(header: &[u8]) -> Option<(Self, usize)> {
        let mut end = 0;
        let mut fields = RawField::all(header).inspect(|field| end += field.raw.len());
        let field = fields.find(|field| field.is(FIELD))?;
        drop(fields);
        let found = Self::parse(std::str::from_utf8(field.value).ok()?)?;
        Some((found, end))
    }

    /// The field, with its line end.
    pub fn field(self) -> String {
        let Self { trace, span, flags } = self;
        format!(
            "{FIELD}: 00-{trace:032x}-{span:016x}-{:02x}\r\n",
            flags & SAMPLED
        )
    }

    /// Whether those before us keep the trace, so that ours is of use to somebody.
    pub fn is_sampled(self) -> bool {
        self.flags & SAMPLED != 0
    }
}

/// The random end of a queue id.
fn span_of(id: QueueId) -> u64 {
    let id = u128::from_be_bytes(id.to_bytes());
    ((id & u128::from(u64::MAX)) as u64).max(1)
}

#[cfg(test)]
mod tests {
    use mail::Timestamp;
    use proptest::prelude::*;

    use super::*;

    const WRITTEN: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn it_is_read_as_the_standard_has_it() {
        let parent = TraceParent::parse(WRITTEN).unwrap();
        assert_eq!(parent.trace, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c);
        assert_eq!(parent.span, 0xb7ad_6b71_6920_3331);
        assert!(parent.is_sampled());
        assert_eq!(parent.field(), format!("traceparent: {WRITTEN}\r\n"));
        let later = WRITTEN.replacen("00", "cc", 1) + "-more";
        assert_eq!(TraceParent::parse(&later), Some(parent));
        for wrong in [
            "",
            "00",
            &WRITTEN.to_uppercase(),
            &WRITTEN.replacen("00", "ff", 1),
            &format!("{WRITTEN}-more"),
            &WRITTEN.replace("b7ad6b7169203331", "0000000000000000"),
            &WRITTEN.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &WRITTEN.replace('-', "_"),
        ] {
            assert_eq!(TraceParent::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_message_has_its_queue_id_for_a_trace_and_is_found_in_its_header() {
        let id = QueueId::new(Timestamp::from_millis(1_700_000_000_000), 7 << 64 | 9);
        let of = TraceParent::of(id);
        assert_eq!(of.trace.to_be_bytes(), id.to_bytes());
        assert_eq!(of.span, 9);
        let header = format!(
            "Received: x\r\nTraceParent:\r\n {WRITTEN}\r\n{}",
            of.field()
        );
        let found = TraceParent::in_header(header.as_bytes()).unwrap();
        assert_eq!(Some(found), TraceParent::parse(WRITTEN));
        assert_eq!(found.of_message(id).trace, found.trace);
        assert_eq!(TraceParent::in_header(b"Subject: x\r\n"), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(trace in 1u128.., span in 1u64.., sampled in any::<bool>()) {
            let parent = TraceParent { trace, span, flags: u8::from(sampled) };
            prop_assert_eq!(TraceParent::in_header(parent.field().as_bytes()), Some(parent));
        }

        #[test]
        fn nothing_panics(value in "[0-9a-f-]{0,60}") {
            let _read = TraceParent::parse(&value);
        }
    }
}
