//! What outlasts a restart, as octets: one line of JSON with the records, and behind it who wrote to
//! whom.

use serde::{Deserialize, Serialize};

use super::known::Known;
use super::record::Record;
use super::records::Records;
use crate::Subject;

/// Another one is not read: everybody is then learned anew.
const VERSION: u32 = 1;

/// The line of JSON.
#[derive(Serialize, Deserialize)]
struct Kept {
    version: u32,
    senders: Vec<KeptRecord>,
    domains: Vec<KeptRecord>,
}

#[derive(Serialize, Deserialize)]
struct KeptRecord {
    kind: String,
    name: String,
    record: Record,
}

/// The octets to be kept.
pub(crate) fn write(senders: &Records, domains: &Records, known: &Known) -> Vec<u8> {
    let kept = Kept {
        version: VERSION,
        senders: kept(senders),
        domains: kept(domains),
    };
    // Fails for maps without text as keys alone, and there are none.
    let mut octets = serde_json::to_vec(&kept).unwrap_or_default();
    octets.push(b'\n');
    known.write_to(&mut octets);
    octets
}

/// What was kept; `None` when this is not what [`write`] gave.
pub(crate) fn read(octets: &[u8]) -> Option<(Records, Records, Known)> {
    let line = octets.iter().position(|octet| *octet == b'\n')?;
    let (line, known) = octets.split_at_checked(line + 1)?;
    let kept: Kept = serde_json::from_slice(line).ok()?;
    if kept.version != VERSION {
        return None;
    }
    let known = Known::read(known)?;
    Some((records(kept.senders), records(kept.domains), known))
}

fn kept(records: &Records) -> Vec<KeptRecord> {
    let all = records.iter().map(|(subject, record)| KeptRecord {
        kind: subject.to_string(),
        name: subject.name(),
        record: record.clone(),
    });
    all.collect()
}

fn records(kept: Vec<KeptRecord>) -> Records {
    let read = |kept: KeptRecord| Some((Subject::named(&kept.kind, &kept.name)?, kept.record));
    kept.into_iter().filter_map(read).collect()
}
