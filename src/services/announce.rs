//! Announcer.
