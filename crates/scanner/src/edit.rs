use serde::{Deserialize, Serialize};

/// A change in a message, its fields or its envelope, that a scanner asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Edit {
    /// A field is added.
    Add {
        /// Without the colon.
        name: String,
        /// What stands behind colon and blank. Where it is folded, CRLF and a blank or tab.
        value: String,
        /// Where.
        place: Position,
    },
    /// A field is taken out.
    Remove {
        /// Without the colon, in any case.
        name: String,
        /// Which of those with the name.
        which: Which,
    },
    /// The first field of the name gets this value; where there is none, it is added.
    Set {
        /// Without the colon, in any case.
        name: String,
        /// As in [`Edit::Add`].
        value: String,
    },
    /// It is from somebody else: an address without angle brackets, as the scanner wrote it; empty for
    /// the null sender.
    Sender(String),
    /// It goes to a further recipient: an address as above.
    AddRecipient(String),
    /// It does not go to this one.
    RemoveRecipient(String),
}

/// Where a field is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Position {
    /// Behind so many fields from the top; 0 is above all.
    Top(u32),
    /// Before so many fields from the end; 0 is behind all.
    End(u32),
}

/// Which fields of one name are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// All.
    All,
    /// The one at this place from the top, counted from 1.
    FromTop(u32),
    /// The one at this place from the end, counted from 1.
    FromEnd(u32),
}

impl Which {
    /// As scanners tell it by a number: 0 is all, those below 0 count from the end.
    pub(crate) fn of(number: i64) -> Option<Self> {
        let place = u32::try_from(number.unsigned_abs()).ok()?;
        Some(match number {
            0 => Self::All,
            1.. => Self::FromTop(place),
            ..0 => Self::FromEnd(place),
        })
    }
}
