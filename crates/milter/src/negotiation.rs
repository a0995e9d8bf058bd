use std::collections::BTreeMap;

use crate::Fault;
use crate::packet::{Fields, packet};
use crate::step::{MacroStage, Step};

/// The version that is offered. An older one in the answer is taken, down to [`VERSION_MIN`].
const VERSION: u32 = 6;
const VERSION_MIN: u32 = 2;
/// From here on a connection can be used again for another client.
const VERSION_OF_KEEPING: u32 = 6;
/// From here on DATA is told.
const VERSION_OF_DATA: u32 = 4;

/// All actions there are, and always all: opendkim closes the connection without a word when one is
/// missing that it wants.
const ACTIONS_OFFERED: u32 = 0x1ff;

/// A milter may say that it wants no more of a kind of step.
const SKIP: u32 = 0x400;
/// Values of fields go both ways with the blank that follows the colon.
const LEADING_SPACE: u32 = 0x10_0000;

/// All that we can do with steps, and no more, as libmilter agrees to bits that it does not know. Pieces
/// of a body of 256 KiB or 1 MiB (`SMFIP_MDS_256K`, `SMFIP_MDS_1M`) are not among it: a milter takes
/// them only where its author asked libmilter for that (`smfi_setmaxdatasize`), as none of those does
/// that people run, and any other closes the connection on a packet beyond 64 KiB.
const STEPS_OFFERED: u32 = 0x7f | 0x80 | 0x300 | SKIP | 0xf_f000 | LEADING_SPACE;

/// Names of macros that one milter may ask for at one stage.
const NAMES_MAX: usize = 100;

/// What was agreed upon with one milter on one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Negotiated {
    version: u32,
    steps: u32,
    /// The macros that it asked for by name, at the stages for which it did.
    macros: BTreeMap<MacroStage, Vec<Box<str>>>,
}

/// Writes our offer.
pub(crate) fn offer(out: &mut Vec<u8>) {
    let numbers = [VERSION, ACTIONS_OFFERED, STEPS_OFFERED].map(u32::to_be_bytes);
    packet(out, Step::Negotiation.command(), &[numbers.as_flattened()]);
}

/// That the milter closed the connection in place of an answer.
pub(crate) fn closed() -> Fault {
    Fault::ClosedInNegotiation {
        actions: ACTIONS_OFFERED,
        steps: STEPS_OFFERED,
    }
}

impl Negotiated {
    /// Reads the answer to it. Bits count as they stand in the answer, whether they were offered or
    /// not: rspamd sets all that it means.
    pub(crate) fn read(data: &[u8]) -> Result<Self, Fault> {
        let malformed = Fault::Malformed(Step::Negotiation.command());
        let mut fields = Fields(data);
        let mut number = || fields.number().ok_or(malformed.clone());
        let (version, _actions, mut steps) = (number()?, number()?, number()?);
        if !(VERSION_MIN..=VERSION).contains(&version) {
            return Err(Fault::Version(version));
        }
        if version < VERSION_OF_DATA {
            steps |= Step::Data.unwanted();
        }
        let mut macros = BTreeMap::new();
        while !fields.is_empty() {
            let stage = fields.number().ok_or(malformed.clone())?;
            let names = fields.text().ok_or(malformed.clone())?;
            // A stage that nobody knows never comes.
            let Some(stage) = MacroStage::from_number(stage) else {
                continue;
            };
            let names = String::from_utf8_lossy(names);
            let names = names
                .split([' ', ',', '\t'])
                .filter(|name| !name.is_empty());
            macros.insert(stage, names.take(NAMES_MAX).map(Box::from).collect());
        }
        Ok(Self {
            version,
            steps,
            macros,
        })
    }

    pub(crate) fn wants(&self, step: Step) -> bool {
        self.steps & step.unwanted() == 0
    }

    pub(crate) fn answers(&self, step: Step) -> bool {
        self.steps & step.unanswered() == 0
    }

    /// Whether values of fields have the blank behind the colon, in both directions.
    pub(crate) fn has_leading_space(&self) -> bool {
        self.steps & LEADING_SPACE != 0
    }

    /// Whether another client may follow on the connection.
    pub(crate) fn takes_others(&self) -> bool {
        self.version >= VERSION_OF_KEEPING
    }

    pub(crate) fn macros(&self, stage: MacroStage) -> Option<&[Box<str>]> {
        self.macros.get(&stage).map(Vec::as_slice)
    }
}
