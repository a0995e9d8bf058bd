//! What the relay's decision would say, why, and whether it lets strangers through.
//!
//! [`explain`] tells step by step what a client would hear for a recipient, with the configuration
//! line behind each step. [`posture`] says whether a set of rules makes an open relay, each hole
//! with an example that [`relay_policy::decide`] itself carries. [`prove`] tries every known
//! pattern by which strangers relay on the real sessions.
//!
//! Nothing here decides: everything asks the code that the live relay runs. A fault here misleads
//! whoever reads a report, and lets no mail through; that is why it stands apart from the decision.

mod advice;
mod bonds;
mod explain;
mod explanation;
mod gains;
mod holes;
mod passage;
mod permission;
mod posture;
pub mod prove;
mod reach;
mod suffix;
mod suspicions;

pub use bonds::Bonds;
pub use explain::explain;
pub use explanation::{Explanation, Step, StepResult};
pub use gains::{Gain, gains};
pub use holes::{Hole, HoleKind, PUBLIC_ADDRESSES_MAX, Proof};
pub use passage::{Passage, Way};
pub use permission::{Permission, Permitted};
pub use posture::{Posture, posture};
pub use suspicions::Suspicion;
