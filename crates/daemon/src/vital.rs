//! The parts without which the process must not go on.

/// Held by the disk thread and the queue manager: when one of them ends by a fault, the process
/// ends too, and the supervisor starts it again from what the spool holds. Going on without them
/// would look like a relay and be none.
pub(crate) struct Vital(pub(crate) &'static str);

/// EX_SOFTWARE of sysexits.h.
const EXIT_FAULT: i32 = 70;

impl Drop for Vital {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("gatepost: {} ended by a fault, so the process ends", self.0);
            std::process::exit(EXIT_FAULT);
        }
    }
}
