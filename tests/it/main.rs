//! The integration tests: one binary, a module for each thing that is tested from outside.

mod bounds;
mod chat;
mod foreign;
mod loops;
mod protocol;
mod script;
mod sim;
