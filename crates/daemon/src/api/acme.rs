use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A name and its certificate by ACME: `GET /v1/acme`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeRow {
    /// The name.
    pub name: String,
    /// `valid`, `ended`, or `none` where there is no certificate yet
    pub state: String,
    /// When the certificate begins, RFC 3339.
    pub begins: Option<String>,
    /// When it ends, RFC 3339.
    pub ends: Option<String>,
    /// When the next one is ordered as far as is known, RFC 3339; nothing: as soon as can be.
    pub renewed: Option<String>,
    /// Whether the authority said when (RFC 9773); else it is after two thirds of the life.
    pub is_advised: bool,
    /// What a TLSA record says of its key.
    pub tlsa: Option<String>,
    /// Where certificate and key are.
    pub file: String,
    /// Orders since the start, those that failed included.
    pub tries: u64,
    /// Orders that failed since a certificate was got.
    pub failures: u32,
    /// When one was ordered last, RFC 3339.
    pub tried: Option<String>,
    /// Why the last order failed.
    pub trouble: Option<String>,
    /// What is not as it should be with the certificate.
    pub complaint: Option<String>,
}

/// The query of `GET /v1/acme`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AcmeQuery {
    /// So many seconds the answer may wait for the end of orders that an operator wanted.
    #[serde(default)]
    pub wait: Option<u64>,
}

/// Which one is wanted anew: `POST /v1/acme/renew`
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub struct AcmeRenew {
    /// The name; without it all.
    #[serde(default)]
    pub name: Option<String>,
}

/// Those that are ordered now, one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AcmeRenewing {
    /// Their names.
    pub names: Vec<String>,
}
