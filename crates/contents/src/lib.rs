//! What is in a message: octets in, facts out.
//!
//! [`look_into`] tells the subject and the header fields, the texts as people read them, and
//! everything that can be opened: each attachment with all names that a client may give it, what it
//! is by its octets, and the entries of archives. What could not be read is told as well, with the
//! reason, since a rule may be about just that. [`parts`] tells where the parts of a message lie, and
//! [`edit`] changes them: a part is removed, a footer added, the subject tagged, and every other octet
//! stays. [`unpack`] opens an archive that is a file of its own.
//!
//! Nothing here judges. Nothing reads a clock or the world, nothing recurses by what is in a message,
//! and work and memory stay within [`Limits`], whatever somebody has packed.

mod archive;
mod attachment;
pub mod edit;
mod encoding;
mod field;
mod kept;
mod kind;
mod limits;
mod look;
mod octets;
mod parameters;
mod quoting;
mod rope;
mod sight;
mod structure;
mod text;
mod unpack;
mod unread;
mod zip_directory;

pub use attachment::Attachment;
pub use encoding::TransferEncoding;
pub use field::{Field, decoded};
pub use kept::Scratch;
pub use kind::Kind;
pub use limits::{Limits, Wanted};
pub use look::{Contents, look_into, look_into_octets};
pub use octets::{Octets, Reader};
pub use rope::Rope;
pub use structure::{Part, PartNumber, Seal, parts};
pub use text::{Text, folded};
pub use unpack::{Unpacked, unpack};
pub use unread::{Unread, Why};
