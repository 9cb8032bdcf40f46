//! The chat hub, by scripts: what each kind of datagram brings forth, to whom, in which order.

mod afar;
mod clean;
mod commands;
mod expiry;
mod fan_out;
mod hostile;
mod limits;
mod listings;
mod lists;
mod restart;
mod returning;
mod roster;
mod sessions;
mod sockets;
mod text;
mod ways;
