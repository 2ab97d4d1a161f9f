//! The meaning of presence: statuses, documents, events. No file, clock, socket or task.
//!
//! [`status`] has the seven values and their words, [`pidf`] turns them into documents and documents back into
//! [`info::PresenceInfo`], [`event`] into the JSON line. Documents are read leniently and written strictly;
//! every one goes through [`xml`] with its limits.

pub mod buddy;
pub mod compose;
pub mod core;
pub mod event;
pub mod explain;
pub mod history;
pub mod holds;
pub mod info;
pub mod lists;
pub mod pidf;
pub mod policy;
pub mod rlmi;
pub mod rpid;
pub mod status;
pub mod text;
pub(crate) mod views;
pub mod winfo;
pub mod xml;

pub use crate::sip::events::rates::{Rate, RateError, Rates};
pub use event::{PresenceEvent, PresentityState};
pub use info::{FailureCode, Freshness, PresenceInfo};
pub use status::{Activity, Basic, OpenWhen, PresenceStatus};
