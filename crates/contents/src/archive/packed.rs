//! One file, packed: gzip, bzip2, xz, zstd.

use std::io::{BufRead as _, Read};

use ruzstd::decoding::StreamingDecoder;

use super::{DICTIONARY_MAX, Entry, Packed, Visit};
use crate::{Kind, Why};

pub(super) fn walk(packed: Packed<'_>, visit: &mut Visit<'_>) -> Result<(), Why> {
    let mut names = vec![without_extension(packed.name)];
    let octets = packed.octets.reader();
    match packed.kind {
        Kind::Gzip => {
            let mut reader = flate2::bufread::MultiGzDecoder::new(octets);
            let inner = reader.header().and_then(|header| header.filename());
            names.extend(inner.map(|inner| String::from_utf8_lossy(inner).into_owned()));
            visit_one(names, &mut reader, visit)
        }
        Kind::Bzip2 => visit_one(
            names,
            &mut bzip2::bufread::MultiBzDecoder::new(octets),
            visit,
        ),
        Kind::Xz => {
            let limit = (DICTIONARY_MAX / 1024) as u32;
            visit_one(
                names,
                &mut lzma_rust2::XzReader::new_mem_limit(octets, true, limit),
                visit,
            )
        }
        Kind::Zstd => {
            let mut reader =
                StreamingDecoder::new_with_max_window_size(octets, DICTIONARY_MAX as u64)
                    .map_err(|_| Why::Broken("it does not unpack"))?;
            visit_one(names, &mut reader, visit)?;
            // The library reads one frame, and other programs read them all.
            match reader.get_mut().fill_buf() {
                Ok([]) => Ok(()),
                _ => Err(Why::Broken("something behind its end")),
            }
        }
        kind => Err(Why::NotInspected(kind)),
    }
}

fn visit_one(names: Vec<String>, content: &mut dyn Read, visit: &mut Visit<'_>) -> Result<(), Why> {
    visit(Entry {
        names,
        size: 0,
        content: Ok(content),
    })
}

/// What programs name what they unpack: `a.txt` of `a.txt.gz`, `a.tar` of `a.tgz`.
fn without_extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((stem, "tgz" | "tbz" | "tbz2" | "txz")) => format!("{stem}.tar"),
        Some((stem, _)) if !stem.is_empty() => stem.to_owned(),
        _ => name.to_owned(),
    }
}
