//! tar.

use std::io::Read;

use super::{Entry, Visit};
use crate::Why;
use crate::octets::Octets;

pub(super) fn walk(octets: &dyn Octets, visit: &mut Visit<'_>) -> Result<(), Why> {
    let broken = |_| Why::Broken("it does not unpack");
    let mut archive = tar::Archive::new(octets.reader());
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        if entry.header().entry_type().is_dir() {
            continue;
        }
        let names = vec![String::from_utf8_lossy(&entry.path_bytes()).into_owned()];
        let size = entry.size();
        let content: &mut dyn Read = &mut entry;
        visit(Entry {
            names,
            size,
            content: Ok(content),
        })?;
    }
    Ok(())
}
