//! Rows to values and back. Each record carries a checksum of what never changes about it; one that
//! does not add up, or does not read as what it should be, is damaged: it is set aside, never sent.

use bytes::Bytes;
use mail::{
    BodyKind, EnvelopeId, MailParameters, Mailbox, Notify, OriginalRecipient, QueueId,
    RcptParameters, Ret, ReversePath, Timestamp,
};
use relay_policy::Admitted;
use rusqlite::types::{Type, ValueRef};
use rusqlite::{CachedStatement, Row};

use crate::local::segments::{Place, READ_WHOLE_MAX};
use crate::{HoldReason, Message, Recipient, RecipientState, SpoolError};

/// `recipient.state` of a recipient that is tried when due; the index `due` holds these alone.
pub(super) const WAITING: i64 = 0;
const HELD_OPERATOR: i64 = 1;
const HELD_BADMAIL: i64 = 2;
/// Set aside because its record is damaged.
pub(super) const CORRUPT: i64 = 3;
const HELD_BOUNCING: i64 = 4;
const HELD_SCREENING: i64 = 5;
/// Of a message that has yet to be looked at; the index `unscreened_due` holds these alone.
pub(super) const UNSCREENED: i64 = 6;

pub(super) const MESSAGE_COLUMNS: &str =
    "id, arrived, sender, flags, envid, client, head, size, body, large, sum, user, place";
pub(super) const RECIPIENT_COLUMNS: &str = "id, number, address, grounds, notify, original, state, due, tries, delay_told, last, sum, \
     host";

/// Numbers are stored signed; nothing of ours comes near the difference.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn millis(at: Timestamp) -> i64 {
    signed(at.as_millis())
}

pub(super) fn state_number(state: RecipientState) -> i64 {
    match state {
        RecipientState::Waiting => WAITING,
        RecipientState::Held(HoldReason::Operator) => HELD_OPERATOR,
        RecipientState::Held(HoldReason::Badmail) => HELD_BADMAIL,
        RecipientState::Held(HoldReason::Bouncing) => HELD_BOUNCING,
        RecipientState::Held(HoldReason::Screening) => HELD_SCREENING,
        RecipientState::Held(HoldReason::Unscreened) => UNSCREENED,
    }
}

pub(super) fn state_of(number: i64) -> Option<RecipientState> {
    match number {
        WAITING => Some(RecipientState::Waiting),
        HELD_OPERATOR => Some(RecipientState::Held(HoldReason::Operator)),
        HELD_BADMAIL => Some(RecipientState::Held(HoldReason::Badmail)),
        HELD_BOUNCING => Some(RecipientState::Held(HoldReason::Bouncing)),
        HELD_SCREENING => Some(RecipientState::Held(HoldReason::Screening)),
        UNSCREENED => Some(RecipientState::Held(HoldReason::Unscreened)),
        _ => None,
    }
}

/// Where a message's content is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    /// The row of `body` with this number.
    Row(i64),
    /// A segment: so many octets of it from there on.
    Segment(Place, u64),
    /// A file of so many octets, named after the message.
    File(u64),
}

impl Kept {
    /// The values of `body`, `large` and `place`.
    fn columns(self) -> [Option<i64>; 3] {
        match self {
            Self::Row(number) => [Some(number), None, None],
            Self::Segment(place, octets) => [None, Some(signed(octets)), Some(place.to_number())],
            Self::File(octets) => [None, Some(signed(octets)), None],
        }
    }

    /// Whether it is read into memory, whole.
    pub(super) fn is_read_whole(self) -> bool {
        match self {
            Self::Row(_) => true,
            Self::Segment(_, octets) => octets <= READ_WHOLE_MAX,
            Self::File(_) => false,
        }
    }
}

const EIGHT_BIT: i64 = 1;
const SMTPUTF8: i64 = 2;
const RET_FULL: i64 = 4;
const RET_HEADERS: i64 = 8;
const FROM_STRANGER: i64 = 16;

/// What fits in a bit of `message.flags`. A parameter with a value of its own has a column.
fn flags(message: &Message) -> i64 {
    let parameters = &message.parameters;
    let body = match parameters.body {
        BodyKind::SevenBit => 0,
        BodyKind::EightBit => EIGHT_BIT,
    };
    let ret = match parameters.ret {
        None => 0,
        Some(Ret::Full) => RET_FULL,
        Some(Ret::Headers) => RET_HEADERS,
    };
    let smtputf8 = if parameters.smtputf8 { SMTPUTF8 } else { 0 };
    let stranger = if message.from_stranger {
        FROM_STRANGER
    } else {
        0
    };
    body | ret | smtputf8 | stranger
}

fn envid(parameters: &MailParameters) -> Option<&str> {
    parameters.envid.as_ref().map(EnvelopeId::as_str)
}

/// Reads what [`flags`] and [`envid`] wrote.
fn read_parameters(flags: i64, envid: Option<&str>) -> Result<MailParameters, Unreadable> {
    let has = |flag| flags & flag != 0;
    let envid = envid
        .map(|value| EnvelopeId::new(value).ok_or_else(|| damaged("ENVID")))
        .transpose()?;
    Ok(MailParameters {
        body: if has(EIGHT_BIT) {
            BodyKind::EightBit
        } else {
            BodyKind::SevenBit
        },
        smtputf8: has(SMTPUTF8),
        ret: match (has(RET_FULL), has(RET_HEADERS)) {
            (false, false) => None,
            (true, false) => Some(Ret::Full),
            (_, true) => Some(Ret::Headers),
        },
        envid,
    })
}

/// A checksum over several values; each goes in with its length, so that no two lists look alike.
pub(super) struct Sum(crc32fast::Hasher);

impl Sum {
    pub(super) fn of(id: QueueId) -> Self {
        let mut sum = Self(crc32fast::Hasher::new());
        sum.0.update(&id.to_bytes());
        sum
    }

    pub(super) fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub(super) fn bytes(self, bytes: &[u8]) -> Self {
        let mut sum = self.number(bytes.len() as i64);
        sum.0.update(bytes);
        sum
    }

    pub(super) fn optional(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.bytes(text.as_bytes()),
            None => self.number(-1),
        }
    }

    pub(super) fn value(self) -> i64 {
        i64::from(self.0.finalize())
    }
}

fn message_sum(message: &Message) -> Sum {
    let sum = Sum::of(message.id)
        .number(millis(message.arrived))
        .bytes(message.reverse_path.as_str().as_bytes())
        .number(flags(message))
        .optional(envid(&message.parameters))
        .bytes(message.client.as_bytes())
        .bytes(&message.head)
        .number(signed(message.size));
    // Records from before there was a user have the same sum without one.
    match &message.user {
        Some(user) => sum.bytes(user.as_bytes()),
        None => sum,
    }
}

/// The same with where its content is, so that no other one's is taken for it.
fn whole_sum(message: &Message, kept: Kept) -> i64 {
    let columns = kept.columns().into_iter();
    columns
        .fold(message_sum(message), |sum, column| {
            sum.number(column.unwrap_or(-1))
        })
        .value()
}

fn recipient_sum(id: QueueId, recipient: &Recipient) -> i64 {
    Sum::of(id)
        .number(i64::from(recipient.number))
        .bytes(recipient.admitted.recipient().as_str().as_bytes())
        .bytes(recipient.admitted.stored_grounds().as_bytes())
        .number(notify_number(recipient.parameters.notify))
        .optional(original(&recipient.parameters))
        .value()
}

fn notify_number(notify: Option<Notify>) -> i64 {
    notify.map_or(-1, |notify| i64::from(notify.to_bits()))
}

fn original(parameters: &RcptParameters) -> Option<&str> {
    parameters.original.as_ref().map(OriginalRecipient::as_str)
}

pub(super) fn content_sum(content: &[u8]) -> i64 {
    i64::from(crc32fast::hash(content))
}

pub(super) const INSERT_MESSAGE: &str =
    "INSERT OR IGNORE INTO message VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// In the same order.
pub(super) const UPDATE_MESSAGE: &str = "UPDATE message SET arrived = ?2, sender = ?3, flags = ?4,
     envid = ?5, client = ?6, head = ?7, size = ?8, body = ?9, large = ?10, sum = ?11, user = ?12,
     place = ?13 WHERE id = ?1";

/// Runs one of them; answers whether there is a row by it.
pub(super) fn write_message(
    statement: &mut CachedStatement<'_>,
    message: &Message,
    kept: Kept,
) -> rusqlite::Result<bool> {
    let [body, large, place] = kept.columns();
    let rows = statement.execute((
        message.id.to_bytes(),
        millis(message.arrived),
        message.reverse_path.as_str(),
        flags(message),
        envid(&message.parameters),
        &*message.client,
        &*message.head,
        signed(message.size),
        body,
        large,
        whole_sum(message, kept),
        message.user.as_deref(),
        place,
    ))?;
    Ok(rows == 1)
}

pub(super) const INSERT_RECIPIENT: &str =
    "INSERT INTO recipient VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)";

/// Runs [`INSERT_RECIPIENT`].
pub(super) fn insert_recipient(
    statement: &mut CachedStatement<'_>,
    id: QueueId,
    recipient: &Recipient,
) -> rusqlite::Result<usize> {
    let mailbox = recipient.admitted.recipient();
    statement.execute((
        id.to_bytes(),
        recipient.number,
        mailbox.as_str(),
        &*recipient.filed_under(),
        &*recipient.admitted.stored_grounds(),
        recipient.parameters.notify.map(Notify::to_bits),
        original(&recipient.parameters),
        state_number(recipient.state),
        millis(recipient.due),
        recipient.tries,
        recipient.delay_told,
        recipient.last.as_deref(),
        recipient_sum(id, recipient),
    ))
}

/// Why a record cannot be taken for what it should be. Errors of the disk are not damage: they
/// concern the store, not the record.
pub(super) enum Unreadable {
    Damaged(String),
    Failed(SpoolError),
}

impl From<rusqlite::Error> for Unreadable {
    fn from(error: rusqlite::Error) -> Self {
        match error {
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..) => Self::Damaged(error.to_string()),
            other => Self::Failed(other.into()),
        }
    }
}

pub(super) fn damaged(what: &str) -> Unreadable {
    Unreadable::Damaged(what.to_owned())
}

/// The id in a column.
pub(super) fn id_of(row: &Row<'_>, column: usize) -> rusqlite::Result<QueueId> {
    row.get(column).map(QueueId::from_bytes)
}

pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let number: i64 = row.get(column)?;
    u64::try_from(number).map_err(|_| rusqlite::Error::IntegralValueOutOfRange(column, number))
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    unsigned(row, column).map(Timestamp::from_millis)
}

/// The text in a column, borrowed from the row.
pub(super) fn text<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a str> {
    let value = row.get_ref(column)?;
    value.as_str().map_err(|_| wrong_type(column, value))
}

pub(super) fn optional_text<'a>(
    row: &'a Row<'_>,
    column: usize,
) -> rusqlite::Result<Option<&'a str>> {
    let value = row.get_ref(column)?;
    value
        .as_str_or_null()
        .map_err(|_| wrong_type(column, value))
}

fn wrong_type(column: usize, value: ValueRef<'_>) -> rusqlite::Error {
    let found: Type = value.data_type();
    rusqlite::Error::InvalidColumnType(column, "text".to_owned(), found)
}

/// Reads [`MESSAGE_COLUMNS`].
pub(super) fn read_message(row: &Row<'_>) -> Result<(Message, Kept), Unreadable> {
    let head = row
        .get_ref(6)?
        .as_blob()
        .map_err(|_| damaged("the head is no octets"))?;
    let flags: i64 = row.get(3)?;
    let message = Message {
        id: id_of(row, 0)?,
        arrived: moment(row, 1)?,
        reverse_path: ReversePath::parse(text(row, 2)?).map_err(|_| damaged("the sender"))?,
        parameters: read_parameters(flags, optional_text(row, 4)?)?,
        client: text(row, 5)?.into(),
        user: optional_text(row, 11)?.map(Into::into),
        from_stranger: flags & FROM_STRANGER != 0,
        head: Bytes::copy_from_slice(head),
        size: unsigned(row, 7)?,
    };
    let kept = read_kept(row, [8, 9, 12])?;
    let sum = row.get::<_, i64>(10)?;
    // Records from before there were segments have a sum of the facts alone.
    if sum != whole_sum(&message, kept) && sum != message_sum(&message).value() {
        return Err(damaged("the checksum of the message's facts"));
    }
    Ok((message, kept))
}

/// Reads `body`, `large` and `place`, which are these columns.
pub(super) fn read_kept(row: &Row<'_>, columns: [usize; 3]) -> Result<Kept, Unreadable> {
    let [body, large, place] = columns;
    let is_large = row.get::<_, Option<i64>>(large)?.is_some();
    match (row.get(body)?, is_large, row.get(place)?) {
        (Some(number), false, None) => Ok(Kept::Row(number)),
        (None, true, None) => Ok(Kept::File(unsigned(row, large)?)),
        (None, true, Some(number)) => match Place::from_number(number) {
            Some(place) => Ok(Kept::Segment(place, unsigned(row, large)?)),
            None => Err(damaged("the place of the content")),
        },
        _ => Err(damaged("the place of the content")),
    }
}

/// Reads [`RECIPIENT_COLUMNS`].
pub(super) fn read_recipient(row: &Row<'_>) -> Result<Recipient, Unreadable> {
    let mailbox = Mailbox::parse(text(row, 2)?).map_err(|_| damaged("the address"))?;
    let admitted = Admitted::from_stored_text(mailbox, text(row, 3)?);
    let original = optional_text(row, 5)?
        .map(|value| OriginalRecipient::new(value).ok_or_else(|| damaged("ORCPT")))
        .transpose()?;
    let mut recipient = Recipient {
        number: row.get(1)?,
        admitted: admitted.ok_or_else(|| damaged("the grounds"))?,
        filed: None,
        parameters: RcptParameters {
            notify: row.get::<_, Option<u8>>(4)?.map(Notify::from_bits),
            original,
        },
        state: state_of(row.get(6)?).ok_or_else(|| damaged("the state"))?,
        due: moment(row, 7)?,
        tries: row.get(8)?,
        delay_told: row.get(9)?,
        last: optional_text(row, 10)?.map(Into::into),
    };
    if recipient_sum(id_of(row, 0)?, &recipient) != row.get::<_, i64>(11)? {
        return Err(damaged("the checksum of the recipient"));
    }
    recipient.file_under(text(row, 12)?);
    Ok(recipient)
}
