use config::Shown;
use mail::Place;

/// One thing that is so, and the line that says it; `None` when no line can be named.
pub struct Fact {
    /// What it is about.
    pub name: &'static str,
    /// What is so.
    pub text: String,
    /// The line.
    pub place: Option<Place>,
}

impl Fact {
    /// A fact that a line says.
    pub(super) fn at(name: &'static str, text: String, place: &Place) -> Self {
        Self {
            name,
            text,
            place: Some(place.clone()),
        }
    }

    /// A fact that no line says.
    pub(super) fn found(name: &'static str, text: String) -> Self {
        Self {
            name,
            text,
            place: None,
        }
    }

    /// An option, as it is in force.
    pub(super) fn of(name: &'static str, shown: Shown) -> Self {
        Self::at(name, shown.value, &shown.place)
    }
}
