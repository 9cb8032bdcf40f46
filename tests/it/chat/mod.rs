//! The chat hub, by scripts: what each kind of datagram brings forth, to whom, in which order.

mod clean;
mod commands;
mod expiry;
mod hostile;
mod limits;
mod lists;
mod restart;
mod returning;
mod roster;
mod sessions;
mod sockets;
mod text;
mod ways;
