/// Refusals of a session that a stranger hears at once.
const REFUSALS_AT_ONCE: u32 = 2;

/// The refusals of one session. A stranger whose commands are refused again and again waits for
/// each further one: whoever harvests addresses or probes for an open relay loses time, and a
/// client with one wrong address notices nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct Refusals(u32);

impl Refusals {
    /// Counts one more, with 5yz; whether a stranger waits for it.
    pub fn another_waits(&mut self) -> bool {
        self.0 = self.0.saturating_add(1);
        self.0 > REFUSALS_AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_refusal_waits_and_each_that_follows() {
        let mut refusals = Refusals::default();
        let waits = [(); 5].map(|()| refusals.another_waits());
        assert_eq!(waits, [false, false, true, true, true]);
        let mut many = Refusals(u32::MAX);
        assert!(many.another_waits());
    }
}
