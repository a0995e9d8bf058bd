//! The thread that writes one protocol log.
//!
//! It writes what it has as soon as nothing more waits. What cannot be written is counted as lost
//! and tried no further: a fault of the disk is told once, and after a pause the file is opened
//! anew.

use std::fs::{self, File};
use std::io;
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, UNIX_EPOCH};

use mail::Timestamp;
use privacy::Veil;
use protocol_log::{EvenClock, Period, Settings, maillog};

use super::{Entry, files};
use crate::clock;
use crate::log::{HasLogFiles, LogFileFacts, ceiling};

/// Octets that are gathered before they are written.
const GATHERED_MAX: usize = 64 << 10;
/// How long a log rests after a fault of its disk.
const FAULT_PAUSE: Duration = Duration::from_secs(10);
/// How often the free room is looked at.
const ROOM_INTERVAL: Duration = Duration::from_secs(1);
/// How often the folder is looked at at least, however little is written.
const SWEEP_INTERVAL: Duration = Duration::from_secs(600);
/// Seconds of which a period is a multiple in every zone.
const QUARTER: u64 = 900;

pub(super) struct Writer {
    settings: Arc<Settings>,
    computer: Arc<str>,
    lost: Arc<AtomicU64>,
    folder: Arc<Folder>,
    open: Option<Open>,
    /// Whole lines that are still to be written.
    gathered: String,
    /// How many they are.
    lines: u64,
    /// Octets written since the folder was looked at, and when that was.
    since_sweep: u64,
    swept: Instant,
    began: Instant,
    clock: EvenClock,
    /// Whether the disk had room, and when it was asked.
    room: (bool, Option<Instant>),
    /// Nothing is written before.
    resting_until: Option<Instant>,
}

/// What lies in the folder, as all logs together see it.
struct Folder {
    settings: Arc<Settings>,
    /// The file that is written to.
    current: Mutex<String>,
}

impl Folder {
    fn set_current(&self, name: &str) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        name.clone_into(&mut current);
    }
}

impl HasLogFiles for Folder {
    fn log_files(&self) -> Vec<LogFileFacts> {
        let directory = &self.settings.directory;
        let mut found = files::list(directory).unwrap_or_default();
        found.retain(|file| self.settings.is_ours(&file.name));
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let facts = found.into_iter().map(|file| LogFileFacts {
            written: UNIX_EPOCH + Duration::from_millis(file.written.as_millis()),
            octets: file.octets,
            is_current: file.name == *current,
            path: directory.join(&file.name),
        });
        facts.collect()
    }
}

/// The file that is written to.
struct Open {
    name: String,
    file: File,
    octets: u64,
    period: Period,
    /// The quarter of an hour for which the period was looked at last.
    quarter: u64,
}

impl Writer {
    pub(super) fn new(settings: Arc<Settings>, computer: Arc<str>, lost: Arc<AtomicU64>) -> Self {
        let began = Instant::now();
        let folder = Arc::new(Folder {
            settings: Arc::clone(&settings),
            current: Mutex::default(),
        });
        ceiling().count(&folder);
        Self {
            folder,
            settings,
            computer,
            lost,
            open: None,
            gathered: String::new(),
            lines: 0,
            since_sweep: 0,
            swept: began,
            began,
            clock: EvenClock::new(Duration::ZERO, clock::now()),
            room: (true, None),
            resting_until: None,
        }
    }

    /// Until nobody has anything more to say.
    pub(super) fn run(mut self, entries: &Receiver<Entry>, veil: Option<&Veil>) {
        loop {
            match entries.recv_timeout(SWEEP_INTERVAL) {
                Ok(entry) => {
                    self.take(&entry.behind(veil));
                    while let Ok(entry) = entries.try_recv() {
                        self.take(&entry.behind(veil));
                    }
                    self.flush();
                }
                Err(RecvTimeoutError::Timeout) => self.sweep_in_time(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn take(&mut self, entry: &Entry) {
        let at = match entry {
            Entry::Row(row) => row.at,
            Entry::Line(at, _) => *at,
        };
        if !self.is_at_its_place(at) {
            self.flush();
            self.open = None;
        }
        if self
            .resting_until
            .is_some_and(|until| Instant::now() < until)
            || !self.has_room()
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if self.open.is_none()
            && let Err(error) = self.open(at)
        {
            self.lost.fetch_add(1, Ordering::Relaxed);
            return self.rest(&error);
        }
        match entry {
            Entry::Row(row) => self.settings.write(row, &mut self.gathered),
            Entry::Line(at, line) => {
                let (computer, pid) = (&self.computer, process::id());
                maillog(&self.settings, computer, pid, *at, line, &mut self.gathered);
            }
        }
        self.lines += 1;
        if self.gathered.len() >= GATHERED_MAX {
            self.flush();
        }
    }

    /// Whether a line of this moment goes into the file that is open. One that comes a little late
    /// does; one that comes much earlier than those before it shows that the clock was set back,
    /// and goes into the file of its own period.
    fn is_at_its_place(&mut self, at: Timestamp) -> bool {
        let Some(open) = &mut self.open else {
            return true;
        };
        if open.octets + self.gathered.len() as u64 >= self.settings.file_max() {
            return false;
        }
        let quarter = at.as_secs() / QUARTER;
        if quarter == open.quarter || quarter + 1 == open.quarter {
            return true;
        }
        open.quarter = quarter;
        self.settings.period(at) == open.period
    }

    fn open(&mut self, at: Timestamp) -> io::Result<()> {
        let settings = &self.settings;
        let directory = &settings.directory;
        let found = files::list(directory)?;
        let sizes = found.iter().map(|file| (&*file.name, file.octets));
        let period = settings.period(at);
        let fits = |name: &str| settings.fits(&files::start_of(&directory.join(name)));
        let name = settings.file_name(&period, sizes, fits);
        // From now on nobody gives it up.
        self.folder.set_current(&name);
        let file = files::append_to(&directory.join(&name))?;
        let octets = file.metadata()?.len();
        if octets == 0 || settings.repeat_header {
            self.gathered.push_str(&settings.header(at));
        }
        self.open = Some(Open {
            name,
            file,
            octets,
            period,
            quarter: at.as_secs() / QUARTER,
        });
        self.resting_until = None;
        self.sweep()
    }

    fn flush(&mut self) {
        let text = std::mem::take(&mut self.gathered);
        let lines = std::mem::take(&mut self.lines);
        let Some(open) = &mut self.open else { return };
        let written = files::append(&mut open.file, open.octets, text.as_bytes());
        let octets = text.len() as u64;
        open.octets += octets;
        self.since_sweep += octets;
        self.gathered = text;
        self.gathered.clear();
        if let Err(error) = written {
            self.lost.fetch_add(lines, Ordering::Relaxed);
            return self.rest(&error);
        }
        ceiling().wrote(octets);
        if self.since_sweep >= self.settings.sweep_after() || self.swept.elapsed() >= SWEEP_INTERVAL
        {
            self.sweep_in_time();
        }
    }

    fn sweep_in_time(&mut self) {
        if let Err(error) = self.sweep() {
            self.rest(&error);
        }
    }

    /// Gives up the files that are to go.
    fn sweep(&mut self) -> io::Result<()> {
        let directory = &self.settings.directory;
        let current = self.open.as_ref().map_or("", |open| &open.name);
        let found = files::list(directory)?;
        // Somebody has taken it away: the next line is the first of a new one.
        let is_gone = !found.iter().any(|file| file.name == current);
        let now = clock::now();
        let is_believed = self.clock.is_believed(self.began.elapsed(), now);
        let now = is_believed.then_some(now);
        for name in self.settings.surplus(found, current, now) {
            match fs::remove_file(directory.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        if is_gone {
            self.open = None;
        }
        self.since_sweep = 0;
        self.swept = Instant::now();
        Ok(())
    }

    /// Whether the disk has so much room left that a log may take some: what is left belongs to
    /// mail.
    fn has_room(&mut self) -> bool {
        let (had_room, asked) = self.room;
        if asked.is_some_and(|asked| asked.elapsed() < ROOM_INTERVAL) {
            return had_room;
        }
        let free = files::free(&self.settings.directory);
        let has_room = free.is_none_or(|free| free >= self.settings.min_free);
        self.room = (has_room, Some(Instant::now()));
        let log = &*self.settings.name;
        match (had_room, has_room) {
            (true, false) => tracing::warn!(log, free, "no room: the protocol log is not written"),
            (false, true) => tracing::info!(log, "the protocol log is written again"),
            (true, true) | (false, false) => {}
        }
        has_room
    }

    fn rest(&mut self, error: &io::Error) {
        if self.resting_until.is_none() {
            let directory = self.settings.directory.display();
            tracing::error!(log = &*self.settings.name, %directory, %error, "the protocol log cannot be written");
        }
        self.open = None;
        self.gathered.clear();
        self.lines = 0;
        self.resting_until = Some(Instant::now() + FAULT_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use protocol_log::{Form, MailLine, Rotation};

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn writer(directory: &std::path::Path) -> Writer {
        let settings = Settings {
            name: "log".into(),
            form: Form::Maillog,
            directory: directory.to_owned(),
            fields: Vec::new(),
            rotation: Rotation::Daily,
            truncate_size: 1 << 20,
            keep: Some(DAY),
            max_size: 1 << 30,
            min_free: 0,
            repeat_header: true,
            zone: None,
            listeners: Vec::new(),
            outbound: true,
            program: "gatepost".into(),
        };
        Writer::new(Arc::new(settings), "relay.example".into(), Arc::default())
    }

    fn line(at: Timestamp) -> Entry {
        let line = MailLine::Refused {
            client: [192, 0, 2, 1].into(),
            from: "a@b.example".into(),
            to: "c@d.example".into(),
            reply: "550 5.7.1 no".into(),
        };
        Entry::Line(at, Arc::new(line))
    }

    #[test]
    fn a_line_after_a_clock_set_back_goes_into_the_file_of_its_day() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = writer(folder.path());
        // 1 February 2028, a moment after midnight in UTC.
        let ahead = Timestamp::from_millis(1_832_976_000_500);
        let right = Timestamp::from_millis(1_769_900_000_000);
        let late = Timestamp::from_millis(1_832_975_999_900);
        for at in [ahead, late, right, right + DAY] {
            writer.take(&line(at));
        }
        writer.flush();
        let lines = |name: &str| {
            let text = fs::read_to_string(folder.path().join(name));
            text.unwrap_or_default().lines().count()
        };
        let names = [
            "ml280201.log",
            "ml280131.log",
            "ml260131.log",
            "ml260201.log",
        ];
        assert_eq!(names.map(lines), [2, 0, 1, 1]);
    }

    #[test]
    fn what_is_old_by_a_clock_just_begun_with_stays() {
        let folder = tempfile::tempdir().unwrap();
        let old = folder.path().join("ml700101.log");
        let file = File::create(&old).unwrap();
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        let mut writer = writer(folder.path());
        writer.take(&line(clock::now()));
        assert!(old.exists());
        let now = clock::now();
        writer.began -= Duration::from_secs(4000);
        writer.clock = EvenClock::new(
            Duration::ZERO,
            Timestamp::from_millis(now.as_millis() - 4_000_000),
        );
        writer.sweep().unwrap();
        assert!(!old.exists());
    }
}
