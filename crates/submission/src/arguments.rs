use std::fmt;
use std::path::PathBuf;

use mail::{MailParameters, ParameterFault, RcptParameters};

/// The command line of `sendmail`, as programs have called it for forty years.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Arguments {
    /// What is to be done.
    pub mode: Mode,
    /// `-f`, `-r`: the sender.
    pub sender: Option<String>,
    /// `-F`: the name of the sender, for a From field that is missing.
    pub full_name: Option<String>,
    /// Who is to get it; each may be a list.
    pub recipients: Vec<String>,
    /// `-t`: To, Cc and Bcc name further ones.
    pub reads_recipients: bool,
    /// `-i`, `-oi`: a line with a lone dot does not end the message.
    pub dots_are_text: bool,
    /// `-v`: tell what happens.
    pub verbose: bool,
    /// What is said of the message.
    pub parameters: MailParameters,
    /// What is said of each recipient.
    pub of_recipients: RcptParameters,
    /// `-C`: the configuration file.
    pub config: Option<PathBuf>,
}

/// What `sendmail` is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// `-bm`: send the message on standard input.
    #[default]
    Send,
    /// `-bs`: speak SMTP on standard input and output.
    Smtp,
    /// `-bp`: list the queue.
    ListQueue,
    /// `-bi`, as `newaliases`: make the table of aliases anew, of which there is none.
    MakeAliases,
}

/// What makes no sense on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage(pub String);

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Options that stand alone. Those without a meaning here ask for nothing that would be done
/// otherwise.
const ALONE: &str = "itvnmGUIsc";
/// Options with a value, in the same argument or the next.
const WITH_VALUE: &str = "ABbCeFfhLNOopRrVX";
/// Options whose value, which they may do without, stands in the same argument.
const PERHAPS_WITH_VALUE: &str = "dq";

impl Arguments {
    /// Reads what stands behind the name of the program. Options end at the first argument that is
    /// none, so that no address is taken for an option.
    ///
    /// # Errors
    /// When an option is unknown, or its value.
    pub fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Usage> {
        let mut parsed = Self::default();
        let mut arguments = arguments.into_iter();
        let mut only_recipients = false;
        while let Some(argument) = arguments.next() {
            match argument.strip_prefix('-') {
                Some("-") => {
                    only_recipients = true;
                    break;
                }
                Some(cluster) if !cluster.is_empty() => {
                    parsed.cluster(cluster, &mut arguments)?;
                }
                Some(_) | None => {
                    parsed.recipients.push(argument);
                    break;
                }
            }
        }
        for argument in arguments {
            // Behind `--` it would be an address.
            if !only_recipients && argument.starts_with('-') {
                let argument = mail::escaped(&argument);
                return Err(Usage(format!(
                    "{argument}: options stand before recipients"
                )));
            }
            parsed.recipients.push(argument);
        }
        Ok(parsed)
    }

    /// Options in one argument: `-ti`, `-fann@example.com`.
    fn cluster(
        &mut self,
        cluster: &str,
        next: &mut impl Iterator<Item = String>,
    ) -> Result<(), Usage> {
        let mut letters = cluster.chars();
        while let Some(letter) = letters.next() {
            if ALONE.contains(letter) {
                self.alone(letter);
                continue;
            }
            let rest = letters.as_str();
            if PERHAPS_WITH_VALUE.contains(letter) {
                return Self::perhaps_with_value(letter);
            }
            if !WITH_VALUE.contains(letter) {
                return Err(Usage(format!("-{letter}: unknown option")));
            }
            let value = if rest.is_empty() {
                let missing = || Usage(format!("-{letter} needs a value"));
                next.next().ok_or_else(missing)?
            } else {
                rest.to_owned()
            };
            return self.with_value(letter, value);
        }
        Ok(())
    }

    fn perhaps_with_value(letter: char) -> Result<(), Usage> {
        if letter == 'q' {
            let why = "-q: the relay tries by itself; see `gatepost queue retry`";
            return Err(Usage(why.to_owned()));
        }
        Ok(())
    }

    fn alone(&mut self, letter: char) {
        match letter {
            'i' | 'I' => self.dots_are_text = true,
            't' => self.reads_recipients = true,
            'v' => self.verbose = true,
            _ => {}
        }
    }

    fn with_value(&mut self, letter: char, value: String) -> Result<(), Usage> {
        let wrong = || {
            Usage(format!(
                "-{letter} {}: unknown value",
                mail::escaped(&value)
            ))
        };
        match letter {
            'b' => {
                self.mode = match &*value {
                    "m" => Mode::Send,
                    "s" => Mode::Smtp,
                    "p" => Mode::ListQueue,
                    "i" => Mode::MakeAliases,
                    _ => return Err(wrong()),
                };
            }
            'f' | 'r' => self.sender = Some(value),
            'F' => self.full_name = Some(value),
            'C' => self.config = Some(value.into()),
            'o' if value == "i" => self.dots_are_text = true,
            'o' if value == "t" => self.reads_recipients = true,
            // What is said of message and recipients. Else: how errors are told (-oem), how it is
            // delivered (-odb), and the like: always in the one way that there is here. -X would
            // write a file of the caller's choice.
            _ => return self.parameter(letter, &value).map_err(|_| wrong()),
        }
        Ok(())
    }

    fn parameter(&mut self, letter: char, value: &str) -> Result<(), ParameterFault> {
        let named = |options: &[(char, &'static str)]| {
            let mut options = options.iter();
            options
                .find(|(option, _)| *option == letter)
                .map(|(_, keyword)| *keyword)
        };
        if let Some(keyword) = named(&MailParameters::OPTIONS) {
            self.parameters.set(keyword, Some(value))?;
        }
        if let Some(keyword) = named(&RcptParameters::OPTIONS) {
            self.of_recipients.set(keyword, Some(value))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use mail::Notify;

    use super::*;

    fn parse(line: &str) -> Result<Arguments, Usage> {
        Arguments::parse(line.split(' ').map(|word| word.replace('_', " ")))
    }

    /// What the callers write, as it was recorded.
    #[test]
    fn every_caller_is_understood() {
        for (line, sender, recipients, reads, dots) in [
            // bsd-mailx, PHP, MIME::Lite, apt-listchanges, mdadm
            ("-i -t", None, &[][..], true, true),
            ("-t -i -fann@a.test", Some("ann@a.test"), &[], true, true),
            (
                "-t -oi -oem -fann@a.test",
                Some("ann@a.test"),
                &[],
                true,
                true,
            ),
            ("-oi -t", None, &[], true, true),
            ("-t", None, &[], true, false),
            // s-nail, git, nodemailer, at
            (
                "-i -f ann@a.test -- bob@b.test carl@b.test",
                Some("ann@a.test"),
                &["bob@b.test", "carl@b.test"],
                false,
                true,
            ),
            (
                "-f ann@a.test -i bob@b.test",
                Some("ann@a.test"),
                &["bob@b.test"],
                false,
                true,
            ),
            ("-i root", None, &["root"], false, true),
            // mutt
            (
                "-oem -oi -f ann@a.test -B8BITMIME -N failure,delay -R hdrs -- bob@b.test",
                Some("ann@a.test"),
                &["bob@b.test"],
                false,
                true,
            ),
            // cron
            (
                "-FCronDaemon -i -B8BITMIME -oem bob@x,carl@x",
                None,
                &["bob@x,carl@x"],
                false,
                true,
            ),
            // fail2ban
            (
                "-f ann@a.test bob@b.test,_carl@b.test",
                Some("ann@a.test"),
                &["bob@b.test, carl@b.test"],
                false,
                false,
            ),
            ("-ti", None, &[], true, true),
            ("-d -t -i", None, &[], true, true),
            ("-d0.1 -t", None, &[], true, false),
            // No address is an option.
            ("-- -bob@b.test", None, &["-bob@b.test"], false, false),
            (
                "-- bob@b.test -t",
                None,
                &["bob@b.test", "-t"],
                false,
                false,
            ),
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.sender.as_deref(), sender, "{line}");
            assert_eq!(parsed.recipients, recipients, "{line}");
            assert_eq!(
                (parsed.reads_recipients, parsed.dots_are_text),
                (reads, dots),
                "{line}"
            );
        }
    }

    #[test]
    fn no_address_is_an_option() {
        for (line, recipients) in [
            ("-- -bob@b.test", &["-bob@b.test"][..]),
            ("-- bob@b.test -t", &["bob@b.test", "-t"]),
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.recipients, recipients, "{line}");
            assert!(!parsed.reads_recipients, "{line}");
        }
    }

    #[test]
    fn values_stand_in_the_same_argument_or_the_next() {
        for line in [
            "-N never -R full -V id1 -r ann@a.test -F Ann_B -C /x -bs -v",
            "-Nnever -Rfull -Vid1 -rann@a.test -FAnn_B -C/x -b s -v",
        ] {
            let parsed = parse(line).unwrap();
            assert_eq!(parsed.of_recipients.notify, Some(Notify::NEVER), "{line}");
            assert_eq!(
                parsed.parameters.to_string(),
                " RET=FULL ENVID=id1",
                "{line}"
            );
            assert_eq!(parsed.sender.as_deref(), Some("ann@a.test"), "{line}");
            assert_eq!(parsed.full_name.as_deref(), Some("Ann B"), "{line}");
            assert_eq!(parsed.config, Some("/x".into()), "{line}");
            assert_eq!((parsed.mode, parsed.verbose), (Mode::Smtp, true), "{line}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for (line, said) in [
            ("-y", "-y: unknown option"),
            ("bob@b.test -f", "-f: options stand before recipients"),
            ("-f", "-f needs a value"),
            ("-bz", "-b z: unknown value"),
            ("-Nsometimes", "-N sometimes: unknown value"),
            (
                "-q",
                "-q: the relay tries by itself; see `gatepost queue retry`",
            ),
        ] {
            assert_eq!(parse(line), Err(Usage(said.to_owned())), "{line}");
        }
    }
}
