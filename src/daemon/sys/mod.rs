//! The system calls that no crate offers as they are needed; the only folder with `unsafe` in it.
//!
//! `batch` receives and sends datagrams many at a time; `calls` are those that are made now and then.

#![expect(unsafe_code, reason = "the one home of unsafe")]

mod batch;
mod calls;

pub(super) use batch::{BATCH_MAX, Received, Receiver, Sender, Trouble, TroubleKind};
pub(super) use calls::{arrival_interface, clock_state, passed_fds, socket_memory};
