use mail::{Client, Place};

use crate::list::Found;
use crate::{Facts, List, Question, Reason};

/// How a list is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// "Only the list below."
    OnlyList,
    /// "All except the list below."
    AllExcept,
}

/// Who may do something: a list, and how it is read.
#[derive(Debug, Clone)]
pub struct Access {
    /// How the list is read.
    pub mode: Mode,
    /// Who may, with [`Mode::OnlyList`]; who may not, with [`Mode::AllExcept`].
    pub list: List,
    /// What the list is called in explanations: `relay.allow`.
    pub list_name: &'static str,
    /// Where the mode was written.
    pub place: Place,
}

/// What is known of a client's right.
pub(crate) enum Standing {
    Permitted(Reason),
    Barred(Reason),
    Ask(Question),
    CannotTell(Reason),
}

impl Access {
    /// `allow` and nobody else.
    pub fn only_list(list: List, list_name: &'static str, place: Place) -> Self {
        Self {
            mode: Mode::OnlyList,
            list,
            list_name,
            place,
        }
    }

    /// Everybody but `except`.
    pub fn all_except(list: List, list_name: &'static str, place: Place) -> Self {
        Self {
            mode: Mode::AllExcept,
            list,
            list_name,
            place,
        }
    }

    pub(crate) fn standing(&self, client: &Client, facts: &Facts) -> Standing {
        let found = self.list.find(client.address(), facts);
        match (self.mode, found) {
            (_, Found::NeedsName) => Standing::Ask(Question::ConfirmedName(client.address())),
            (_, Found::CannotTell) => {
                let why = Reason::nameless(self.list_name, client, self.list.place());
                Standing::CannotTell(why)
            }
            (Mode::OnlyList, Found::Entry(e)) => {
                Standing::Permitted(Reason::listed(self.list_name, e))
            }
            (Mode::OnlyList, Found::Nothing) => Standing::Barred(self.unlisted(client)),
            (Mode::AllExcept, Found::Entry(e)) => {
                Standing::Barred(Reason::listed(self.list_name, e))
            }
            (Mode::AllExcept, Found::Nothing) => Standing::Permitted(self.unlisted(client)),
        }
    }

    fn unlisted(&self, client: &Client) -> Reason {
        Reason::unlisted(self.list_name, &self.list, client.address(), &self.place)
    }
}
