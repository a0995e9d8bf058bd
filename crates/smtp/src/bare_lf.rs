use crate::ContentFault;

/// What becomes of an LF without CR in content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BareLf {
    /// The message is refused: another server might see the end of a message there.
    #[default]
    Refuse,
    /// It becomes CRLF. For clients that are known, and known to send it.
    Mend,
}

/// Watches the ends of lines of content, and the two things that must never come of mending one: an
/// end of the message (that takes CRLF on the wire, on both sides of the dot), and a line that is a
/// lone dot.
#[derive(Debug)]
pub(crate) struct LineEnds {
    bare_lf: BareLf,
    /// The last line end was a bare LF.
    mended: bool,
}

impl LineEnds {
    pub(crate) fn new(bare_lf: BareLf) -> Self {
        Self {
            bare_lf,
            mended: false,
        }
    }

    /// A line ends at CRLF.
    pub(crate) fn on_crlf(&mut self, is_lone_dot: bool) -> Result<(), ContentFault> {
        if std::mem::take(&mut self.mended) && is_lone_dot {
            return Err(ContentFault::BareLf);
        }
        Ok(())
    }

    /// A line ends at a bare LF, to be passed on as CRLF.
    pub(crate) fn on_bare_lf(&mut self, is_lone_dot: bool) -> Result<(), ContentFault> {
        if self.bare_lf == BareLf::Refuse || is_lone_dot {
            return Err(ContentFault::BareLf);
        }
        self.mended = true;
        Ok(())
    }
}
