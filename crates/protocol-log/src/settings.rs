use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mail::{Timestamp, Zone};

use crate::{Field, Form, Period, Rotation, Row, w3c};

/// One protocol log: what is written, where, and how long it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Its name.
    pub name: Arc<str>,
    /// How a line looks.
    pub form: Form,
    /// The folder of its files, and of nothing else.
    pub directory: PathBuf,
    /// The fields of the W3C form, in IIS's order.
    pub fields: Vec<Field>,
    /// When another file is begun.
    pub rotation: Rotation,
    /// Octets after which another file is begun, where files go by their size.
    pub truncate_size: u64,
    /// How long a file is kept after its last line; `None`: as long as there is room.
    pub keep: Option<Duration>,
    /// Octets of all files.
    pub max_size: u64,
    /// Free octets of the disk below which nothing is written.
    pub min_free: u64,
    /// Whether a file that is gone on with after a restart has the lines above its rows again, as
    /// IIS writes them.
    pub repeat_header: bool,
    /// The zone in which periods begin and end; `None`: UTC, as in the rows.
    pub zone: Option<Zone>,
    /// The listeners whose sessions are written; none: those of all.
    pub listeners: Vec<Arc<str>>,
    /// Whether outgoing connections are written too.
    pub outbound: bool,
    /// The name by which lines of the maillog form are known.
    pub program: Box<str>,
}

/// Of so many parts of [`Settings::max_size`] one may be a single file, so that there is always
/// another one to give up.
const FILES_MIN: u64 = 4;

impl Settings {
    /// Octets of one file.
    pub fn file_max(&self) -> u64 {
        let ceiling = self.max_size / FILES_MIN;
        match self.rotation {
            Rotation::Size => self.truncate_size.min(ceiling),
            Rotation::Daily
            | Rotation::Hourly
            | Rotation::Weekly
            | Rotation::Monthly
            | Rotation::None => ceiling,
        }
    }

    /// The period of a row of this moment.
    pub fn period(&self, at: Timestamp) -> Period {
        Period::of(at, self.rotation, self.zone.as_ref())
    }

    /// What a file begins with at this moment; empty where the form has no such lines.
    pub fn header(&self, at: Timestamp) -> String {
        match self.form {
            Form::W3c => w3c::header(&self.fields, at),
            Form::Iis | Form::Ncsa | Form::Json | Form::Maillog => String::new(),
        }
    }

    /// Appends the row with its line end.
    pub fn write(&self, row: &Row, out: &mut String) {
        self.form.write(row, &self.fields, out);
    }

    /// Whether rows under these words may follow: a file whose fields are others is never gone on
    /// with, since readers take the first `#Fields` for all that follows.
    pub fn fits(&self, start_of_file: &str) -> bool {
        let wanted = w3c::fields_line(&self.fields);
        let mut lines = start_of_file.lines().map(str::trim_end);
        let found = lines.find(|line| line.starts_with("#Fields:"));
        self.form != Form::W3c || found.is_none_or(|found| found == wanted)
    }

    /// The name of the file for a period, given what lies in the folder: the last one of the
    /// period, while it has room, or one behind it. Whether the last one fits is asked once.
    pub fn file_name<'a>(
        &self,
        period: &Period,
        files: impl Iterator<Item = (&'a str, u64)>,
        fits: impl FnOnce(&str) -> bool,
    ) -> String {
        let of_period = files.filter_map(|(name, octets)| {
            let number = period.number_of(self.form, name)?;
            Some((number, octets))
        });
        let Some((number, octets)) = of_period.max() else {
            return period.file_name(self.form, 1);
        };
        let last = period.file_name(self.form, number);
        if octets < self.file_max() && fits(&last) {
            return last;
        }
        period.file_name(self.form, number.saturating_add(1))
    }

    /// Whether the file is one that this log may have written.
    pub fn is_ours(&self, name: &str) -> bool {
        let (short, long) = self.form.prefixes();
        let stem = name.strip_suffix(".log").unwrap_or_default();
        let digits = stem.strip_prefix(long).or_else(|| stem.strip_prefix(short));
        digits.is_some_and(|digits| {
            !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || b == b'-')
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn settings() -> Settings {
        Settings {
            name: "w3c".into(),
            form: Form::W3c,
            directory: "/var/log/gatepost".into(),
            fields: Field::DEFAULT.to_vec(),
            rotation: Rotation::Daily,
            truncate_size: 100,
            keep: Some(Duration::from_secs(30 * 86_400)),
            max_size: 1000,
            min_free: 0,
            repeat_header: true,
            zone: None,
            listeners: Vec::new(),
            outbound: true,
            program: "gatepost".into(),
        }
    }

    #[test]
    fn a_file_is_gone_on_with_while_it_has_room_and_the_same_fields() {
        let settings = settings();
        let day = settings.period(Timestamp::from_millis(1_160_572_600_000));
        let name = |files: &[(&'static str, u64)], fits| {
            settings.file_name(&day, files.iter().copied(), |_| fits)
        };
        assert_eq!(name(&[], true), "ex061011.log");
        assert_eq!(name(&[("ex061010.log", 9)], true), "ex061011.log");
        assert_eq!(name(&[("ex061011.log", 249)], true), "ex061011.log");
        assert_eq!(name(&[("ex061011.log", 250)], true), "ex061011-2.log");
        assert_eq!(name(&[("ex061011.log", 9)], false), "ex061011-2.log");
        // The first ones are gone already.
        assert_eq!(name(&[("ex061011-9.log", 9)], true), "ex061011-9.log");
        assert_eq!(name(&[("ex061011-9.log", 999)], true), "ex061011-10.log");
    }

    #[test]
    fn other_fields_begin_another_file() {
        let settings = settings();
        let mut other = settings.clone();
        other.fields.push(Field::Referer);
        let header = settings.header(Timestamp::from_millis(0));
        assert!(settings.fits(&header) && !other.fits(&header));
        assert!(settings.fits(""));
        assert!(settings.fits(&header.replace('\n', "\r\n")));
    }

    #[test]
    fn only_files_of_the_log_are_its_own() {
        let settings = settings();
        for ours in ["ex061011.log", "extend1.log", "ex061011-2.log"] {
            assert!(settings.is_ours(ours), "{ours}");
        }
        for other in [
            "ex.log",
            "in061011.log",
            "example.log",
            "ex061011.log.gz",
            "mail.log",
        ] {
            assert!(!settings.is_ours(other), "{other}");
        }
    }
}
