//! Which files go: those that are too old, then the oldest until the rest has room.

use mail::Timestamp;

use crate::Settings;

/// A file in the folder of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Its name.
    pub name: String,
    /// When it was written last.
    pub written: Timestamp,
    /// Its size.
    pub octets: u64,
}

/// Of so many parts of the ceiling one is left free, for what is written before the folder is
/// looked at again.
const SPARE: u64 = 16;

impl Settings {
    /// Octets after which the folder is to be looked at again.
    pub fn sweep_after(&self) -> u64 {
        self.max_size / SPARE
    }

    /// The files that are to go, but never the one that is written to. `now`: by what age is
    /// measured; `None` while no clock is believed, and none goes for its age.
    pub fn surplus(
        &self,
        mut files: Vec<LogFile>,
        current: &str,
        now: Option<Timestamp>,
    ) -> Vec<String> {
        let age = now.zip(self.keep);
        files.retain(|file| self.is_ours(&file.name));
        files.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
        let room = self.max_size - self.sweep_after();
        let mut all: u64 = files.iter().map(|file| file.octets).sum();
        let mut surplus = Vec::new();
        for file in files {
            let is_old = age.is_some_and(|(now, keep)| now.since(file.written) > keep);
            if file.name != current && (is_old || all > room) {
                all -= file.octets;
                surplus.push(file.name);
            }
        }
        surplus
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Rotation;
    use crate::settings::tests::settings;

    const DAY: u64 = 86_400_000;

    /// A folder in which a log lives, as whoever owns the files does what the log says.
    struct Folder {
        settings: Settings,
        files: Vec<LogFile>,
        current: String,
        since_sweep: u64,
        most: u64,
    }

    impl Folder {
        fn new(settings: Settings) -> Self {
            Self {
                settings,
                files: Vec::new(),
                current: String::new(),
                since_sweep: 0,
                most: 0,
            }
        }

        fn write(&mut self, at: Timestamp, octets: u64) {
            let settings = &self.settings;
            let known = self.files.iter().map(|file| (&*file.name, file.octets));
            let name = settings.file_name(&settings.period(at), known, |_| true);
            let begun = name != self.current;
            self.current = name;
            match self.files.iter_mut().find(|file| file.name == self.current) {
                Some(file) => {
                    file.octets += octets;
                    file.written = at;
                }
                None => self.files.push(LogFile {
                    name: self.current.clone(),
                    written: at,
                    octets,
                }),
            }
            self.most = self
                .most
                .max(self.files.iter().map(|file| file.octets).sum());
            self.since_sweep += octets;
            if begun || self.since_sweep >= settings.sweep_after() {
                self.since_sweep = 0;
                let surplus = settings.surplus(self.files.clone(), &self.current, Some(at));
                self.files.retain(|file| !surplus.contains(&file.name));
            }
        }

        fn names(&self) -> Vec<&str> {
            self.files.iter().map(|file| &*file.name).collect()
        }
    }

    #[test]
    fn files_are_kept_as_long_as_they_may_be() {
        let settings = Settings {
            keep: Some(Duration::from_millis(3 * DAY)),
            max_size: 1_000_000,
            ..settings()
        };
        let mut folder = Folder::new(settings);
        for hour in 0..240 {
            folder.write(Timestamp::from_millis(hour * DAY / 24), 10);
        }
        assert_eq!(
            folder.names(),
            [
                "ex700107.log",
                "ex700108.log",
                "ex700109.log",
                "ex700110.log"
            ]
        );
    }

    #[test]
    fn the_folder_never_holds_more_than_its_ceiling() {
        for rotation in [
            Rotation::Daily,
            Rotation::Hourly,
            Rotation::Size,
            Rotation::None,
        ] {
            let settings = Settings {
                rotation,
                keep: None,
                truncate_size: 50_000,
                max_size: 1_000_000,
                ..settings()
            };
            let mut folder = Folder::new(settings);
            for row in 0..100_000 {
                folder.write(Timestamp::from_millis(row * 10_000), 100);
            }
            assert!(folder.most <= 1_000_000, "{rotation:?}: {}", folder.most);
            assert!(folder.most > 500_000, "{rotation:?}: {}", folder.most);
            assert!(
                folder.files.len() >= 3,
                "{rotation:?}: {:?}",
                folder.names()
            );
        }
    }

    #[test]
    fn what_others_left_in_the_folder_is_no_business_of_a_log() {
        let file = |name: &str| LogFile {
            name: name.into(),
            written: Timestamp::from_millis(0),
            octets: 10_000_000,
        };
        let files = vec![
            file("ex700101.log"),
            file("precious.log"),
            file("ex700102.log"),
        ];
        let now = Timestamp::from_millis(1000 * DAY);
        let surplus = settings().surplus(files, "ex700102.log", Some(now));
        assert_eq!(surplus, ["ex700101.log"]);
    }

    #[test]
    fn while_no_clock_is_believed_files_go_for_their_size_alone() {
        let file = |name: &str, octets| LogFile {
            name: name.into(),
            written: Timestamp::from_millis(0),
            octets,
        };
        let files = [400, 300, 300, 10].into_iter().zip(1..);
        let files = files.map(|(octets, day)| file(&format!("ex70010{day}.log"), octets));
        let surplus = settings().surplus(files.collect(), "ex700104.log", None);
        assert_eq!(surplus, ["ex700101.log"]);
    }
}
