//! Base64 (RFC 4648 section 4), as exports have it.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// What a text stands for; `None` where it is no base64. Missing padding is no matter.
pub(crate) fn octets(text: &str) -> Option<Vec<u8>> {
    LENIENT.decode(text).ok()
}
