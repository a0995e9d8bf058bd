use std::fmt;

use mail::{Place, Reply};
use relay_policy::{Admitted, Question, Reason};

/// The steps of a decision, in order, with the line behind each: what `relay check` prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What was looked at, in order.
    pub steps: Vec<Step>,
    /// What the client would hear at RCPT (or earlier: in place of the greeting, at MAIL); `None`
    /// while a question is open.
    pub answer: Option<Reply>,
    /// What has to be found out first; put the answer into the facts and explain again.
    pub question: Option<Question>,
    /// Who gets the message when the recipient is taken: itself, or those to whom it is forwarded;
    /// each with the line that decided so.
    pub admitted: Vec<(Admitted, Reason)>,
    /// What would have to be otherwise for a refused recipient to be taken.
    pub accepted_if: Option<String>,
}

/// One step of an [`Explanation`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// `connection`, `tls`, `sign-in`, `sender`, `only to`, `recipient`, `dns lists`, `relay`,
    /// `greylisting`; `policy`; `sender`, `only to`, `dns lists`, `greylisting` and `policy` only where a rule speaks of them. Or, in place of `recipient` and `relay`, `srs`
    pub name: &'static str,
    /// How it went.
    pub result: StepResult,
    /// What the step found, in words for people.
    pub text: String,
    /// The line that decided; `None` when no line can be named.
    pub place: Option<Place>,
}

/// How a step went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepResult {
    /// It lets the recipient through.
    Pass,
    /// It had no say.
    Moot,
    /// It refuses for good.
    Refuse,
    /// It refuses for now.
    Postpone,
    /// It needs a fact.
    Ask,
}

impl fmt::Display for StepResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pass => "pass",
            Self::Moot => "-",
            Self::Refuse => "REFUSE",
            Self::Postpone => "LATER",
            Self::Ask => "?",
        })
    }
}

impl Explanation {
    /// Whether the recipient would be taken.
    pub fn is_accepted(&self) -> bool {
        self.answer.as_ref().is_some_and(Reply::is_positive)
    }

    pub(crate) fn admitted(mut self, all: Vec<(Admitted, Reason)>) -> Self {
        self.admitted = all;
        self.ended(Some(Reply::new(250, 1, 5, "Ok")), None)
    }

    pub(crate) fn refused(mut self, reply: Reply, accepted_if: String) -> Self {
        self.accepted_if = Some(accepted_if);
        self.ended(Some(reply), None)
    }

    pub(crate) fn ended(mut self, answer: Option<Reply>, question: Option<Question>) -> Self {
        self.answer = answer;
        self.question = question;
        self
    }
}

/// The widest text after which the places still stand in one column.
const TEXT_WIDTH_MAX: usize = 100;

/// A line for each step, then the answer. Ends without a line end.
impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths = self.steps.iter().map(|step| step.text.chars().count());
        let width = widths.filter(|w| *w <= TEXT_WIDTH_MAX).max().unwrap_or(0);
        let digits = self.steps.len().to_string().len();
        for (number, step) in (1..).zip(&self.steps) {
            let place = step
                .place
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default();
            let text = mail::escaped(&step.text).to_string();
            let line = format!(
                "  {number:>digits$} {:<11} {:<7} {text:<width$}  {place}",
                step.name, step.result
            );
            writeln!(f, "{}", line.trim_end())?;
        }
        match &self.answer {
            Some(answer) => write!(f, "  answer        {answer}")?,
            None => f.write_str("  answer        cannot tell yet")?,
        }
        for (admitted, why) in &self.admitted {
            let (grounds, text) = (admitted.grounds(), why.to_string());
            let (text, place) = (mail::escaped(&text), &why.place);
            write!(f, "\n  admitted as   {grounds}: {text}  {place}")?;
        }
        if let Some(otherwise) = &self.accepted_if {
            write!(f, "\n  accepted if   {}", mail::escaped(otherwise))?;
        }
        Ok(())
    }
}
