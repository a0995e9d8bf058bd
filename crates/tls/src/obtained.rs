use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use config::{Acme, AcmeName};

use super::TlsProblem;
use super::server_certificate::ServerCertificate;

/// The certificates that we got by ACME, as handshakes find them: a new one counts from the next
/// handshake on, without a reload. One for the life of the relay, which every configuration shares.
#[derive(Debug, Default)]
pub struct Obtained {
    read: RwLock<Read>,
    /// Held by whoever reads: of two at one time the later has the files as they are. Handshakes wait
    /// for no disk.
    reading: Mutex<()>,
}

#[derive(Debug, Default)]
struct Read {
    shown: Arc<[Arc<ServerCertificate>]>,
    wrong: Vec<TlsProblem>,
}

impl Obtained {
    /// Reads the files of all names again, in place of what was read before. Names without a file have
    /// no certificate yet; of those whose file cannot be used the one that was read before is shown on.
    pub fn read(&self, acme: Option<&Acme>) {
        let names = acme.map_or(&[][..], |acme| &acme.names);
        let _alone = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut shown, mut wrong) = (Vec::new(), Vec::new());
        for name in names.iter().filter(|name| name.files.chain.exists()) {
            match ServerCertificate::load(&name.files) {
                Ok(new) => shown.push(Arc::new(new)),
                Err(message) => {
                    let place = name.files.place.clone();
                    wrong.push(TlsProblem { place, message });
                    shown.extend(self.find(name));
                }
            }
        }
        let shown = shown.into();
        *self.read.write().unwrap_or_else(PoisonError::into_inner) = Read { shown, wrong };
    }

    /// All of them, in the order of the names.
    pub fn all(&self) -> Arc<[Arc<ServerCertificate>]> {
        Arc::clone(&self.look().shown)
    }

    /// What is wrong with files that are there and cannot be used.
    pub fn wrong(&self) -> Vec<TlsProblem> {
        self.look().wrong.clone()
    }

    /// The one of this name.
    pub fn find(&self, name: &AcmeName) -> Option<Arc<ServerCertificate>> {
        let all = self.all();
        all.iter()
            .find(|one| one.chain == name.files.chain)
            .cloned()
    }

    fn look(&self) -> RwLockReadGuard<'_, Read> {
        self.read.read().unwrap_or_else(PoisonError::into_inner)
    }
}
