//! Questions about what the relay would do, and what others would answer it.

mod check;
mod delivery;
mod dns;
mod doctor;
mod proof;
mod send;

pub(crate) use self::check::{check, check_message};
pub(crate) use self::delivery::{delivery, delivery_trial, try_delivery};
pub(crate) use self::dns::dns;
pub(crate) use self::doctor::{doctor, examine};
pub(crate) use self::proof::{proof, prove};
pub(crate) use self::send::{send, send_test};

/// The questions: path, words.
const TABS: [(&str, &str); 6] = [
    ("/diagnose", "Relay check"),
    ("/diagnose/proof", "Open-relay proof"),
    ("/diagnose/delivery", "Delivery"),
    ("/diagnose/dns", "DNS"),
    ("/diagnose/send", "Test message"),
    ("/diagnose/doctor", "Doctor"),
];
