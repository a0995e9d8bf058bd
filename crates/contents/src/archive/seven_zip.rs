//! 7z.

use std::io::Read;

use sevenz_rust2::{Archive, BlockDecoder, Error, Password};

use super::{DICTIONARY_MAX, Entry, Visit};
use crate::Why;
use crate::octets::Octets;

/// KiB that the directory may take when it is unpacked, and its dictionary. Two thousand names are a
/// fifth of that; each octet of it may become a hundred in memory.
const DIRECTORY_MAX_KB: usize = 1280;

pub(super) fn walk(octets: &dyn Octets, visit: &mut Visit<'_>) -> Result<(), Why> {
    let password = Password::empty();
    let mut source = octets.reader();
    let archive = Archive::read_with_memory_limit(&mut source, &password, DIRECTORY_MAX_KB)
        .map_err(|error| why(&error))?;
    let files = archive
        .files
        .iter()
        .enumerate()
        .filter(|(_, file)| !file.is_directory);
    for (index, file) in files {
        let content: Result<&mut dyn Read, Why> =
            match archive.stream_map.file_block_index.get(index) {
                _ if archive.is_file_encrypted(index) => Err(Why::Encrypted),
                Some(Some(_)) => continue,
                _ => Ok(&mut std::io::empty()),
            };
        visit(Entry {
            names: vec![file.name.clone()],
            size: file.size,
            content,
        })?;
    }
    for block in 0..archive.blocks.len() {
        let first = archive.stream_map.block_first_file_index.get(block);
        if first.is_some_and(|&file| archive.is_file_encrypted(file)) {
            continue;
        }
        // One thread: it would take as many as there are processors.
        let limit = DICTIONARY_MAX / 1024;
        let decoder =
            BlockDecoder::new_with_memory_limit(1, limit, block, &archive, &password, &mut source);
        let mut ended = Ok(());
        let walked = decoder.for_each_entries(&mut |file, content: &mut dyn Read| {
            // Files without content were shown above.
            if !file.is_directory && file.has_stream {
                let names = vec![file.name.clone()];
                ended = visit(Entry {
                    names,
                    size: file.size,
                    content: Ok(content),
                });
            }
            Ok(ended.is_ok())
        });
        ended?;
        walked.map_err(|error| why(&error))?;
    }
    Ok(())
}

fn why(error: &Error) -> Why {
    match error {
        Error::PasswordRequired | Error::MaybeBadPassword(_) => Why::Encrypted,
        // A directory that is encrypted needs a method that is left out here: we have no passwords.
        Error::UnsupportedCompressionMethod(method) if method.contains("AES") => Why::Encrypted,
        Error::UnsupportedCompressionMethod(_) | Error::Unsupported(_) => Why::UnknownMethod,
        Error::MaxMemLimited { .. } => Why::TooLarge,
        _ => Why::Broken("it does not unpack"),
    }
}
