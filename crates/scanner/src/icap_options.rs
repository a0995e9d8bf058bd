use crate::Fault;
use crate::fault::text;
use crate::http::Head;

/// Characters of a text that is kept.
const TEXT_MAX: usize = 128;

/// How a message is given to an ICAP service.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// As what a web server answers (RESPMOD).
    #[default]
    Response,
    /// As what a client uploads (REQMOD).
    Request,
}

impl Method {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Response => "RESPMOD",
            Self::Request => "REQMOD",
        }
    }
}

/// What an ICAP service says of itself (RFC 3507 section 4.10), to be kept for a while.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct IcapOptions {
    /// How it can be asked.
    pub methods: Vec<Method>,
    /// How many octets of a content it wants to see first.
    pub preview: Option<u64>,
    /// Whether it may answer that nothing is to be changed, without giving the content back.
    pub allows_204: bool,
    /// What it is.
    pub service: Option<String>,
    /// Another value means that it judges otherwise now.
    pub tag: Option<String>,
    /// For how many seconds this is so; for ever where it does not say.
    pub ttl_seconds: Option<u64>,
    /// How many connections it wants at most.
    pub connections_max: Option<u64>,
}

impl IcapOptions {
    /// Reads them from the head of the answer to OPTIONS.
    pub(crate) fn read(head: &Head) -> Result<Self, Fault> {
        let methods = [Method::Response, Method::Request];
        let methods: Vec<Method> = methods
            .into_iter()
            .filter(|method| head.has_word("Methods", method.word()))
            .collect();
        if methods.is_empty() {
            let said = head.text("Methods").unwrap_or_default();
            return Err(Fault::malformed("a method that there is", said.as_bytes()));
        }
        let number = |name: &str| head.text(name).and_then(|value| value.trim().parse().ok());
        let words = |name: &str| {
            head.text(name)
                .map(|value| text(value.as_bytes(), TEXT_MAX))
        };
        Ok(Self {
            methods,
            preview: number("Preview"),
            allows_204: head.has_word("Allow", "204"),
            service: words("Service"),
            tag: words("ISTag"),
            ttl_seconds: number("Options-TTL"),
            connections_max: number("Max-Connections"),
        })
    }
}
