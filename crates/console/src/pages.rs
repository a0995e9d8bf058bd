//! The pages, each a function from who asks to what he sees.

mod api;
mod audit;
pub(crate) mod configuration;
mod devices;
mod diagnose;
mod help;
mod logs;
mod message;
mod operations;
mod overview;
mod quarantine;
mod queues;
mod sessions;
mod tracking;

pub(crate) use self::api::{api, openapi};
pub(crate) use self::audit::audit;
pub(crate) use self::devices::devices;
pub(crate) use self::diagnose::{
    check, check_message, delivery, delivery_trial, dns, doctor, examine, proof, prove, send,
    send_test, try_delivery,
};
pub(crate) use self::help::{help, nothing};
pub(crate) use self::logs::logs;
pub(crate) use self::message::{message, transcripts};
pub(crate) use self::operations::{operation, operations};
pub(crate) use self::overview::overview;
pub(crate) use self::quarantine::{badmail, held_message, quarantine};
pub(crate) use self::queues::queues;
pub(crate) use self::sessions::sessions;
pub(crate) use self::tracking::{download as tracking_download, tracking};
