use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};

use crate::tag_list::is_blank;

/// Some leave out the padding, of keys above all.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Reads base64 that may be folded anywhere (RFC 6376 section 2.10).
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let solid: Vec<u8> = text.iter().copied().filter(|b| !is_blank(*b)).collect();
    LENIENT.decode(solid).ok()
}

/// Base64 with its padding.
pub(crate) fn encode(octets: &[u8]) -> String {
    general_purpose::STANDARD.encode(octets)
}
