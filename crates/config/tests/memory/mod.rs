//! Files that exist in a test alone.
#![allow(dead_code, reason = "each file of tests uses a part of it")]

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use config::{Diagnostics, Environment, Files, Loaded, load};

#[derive(Default)]
pub struct Memory(BTreeMap<PathBuf, Vec<u8>>);

impl Memory {
    pub fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.insert(path.into(), text.as_ref().to_vec());
        self
    }

    #[allow(dead_code, reason = "not every file of tests has a use for it")]
    pub fn load(&self) -> Result<Loaded, Diagnostics> {
        load(Path::new("gatepost.toml"), self, &environment())
    }
}

impl Files for Memory {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<String>> {
        let inside = self
            .0
            .keys()
            .filter(|path| path.parent() == Some(directory));
        Ok(inside
            .filter_map(|path| path.file_name()?.to_str().map(str::to_owned))
            .rev()
            .collect())
    }
}

pub fn environment() -> Environment {
    Environment {
        hostname: mail::Domain::parse("system.test").ok(),
        addresses: Vec::new(),
    }
}

/// A configuration that is right.
pub fn good(text: &str) -> Loaded {
    config::parse("gatepost.toml", text, &environment()).unwrap_or_else(|why| panic!("{why}"))
}

/// The diagnostics of one that is wrong.
pub fn bad(text: &str) -> Diagnostics {
    config::parse("gatepost.toml", text, &environment())
        .map(|_| ())
        .expect_err(text)
}
